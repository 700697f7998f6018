/* SPDX-License-Identifier: Apache-2.0
 *
 * The fake Redis' commands on sorted sets. */
#include <math.h>
#include <stdlib.h>

#include "tests/sim/redis_internal.h"

/* --- ZADD --- */

struct add_options {
    bool nx, xx, gt, lt, ch, incr;
};

/* -> the index of the first score */
static size_t parse_add(const struct call *c, struct add_options *o)
{
    size_t i = 2;
    for (; i < c->argc; i++) {
        if (word_is(c->argv[i], "NX"))
            o->nx = true;
        else if (word_is(c->argv[i], "XX"))
            o->xx = true;
        else if (word_is(c->argv[i], "GT"))
            o->gt = true;
        else if (word_is(c->argv[i], "LT"))
            o->lt = true;
        else if (word_is(c->argv[i], "CH"))
            o->ch = true;
        else if (word_is(c->argv[i], "INCR"))
            o->incr = true;
        else
            break;
    }
    return i;
}

static bool options_ok(struct call *c, const struct add_options *o, size_t words)
{
    if (words == 0 || words % 2)
        reply_error(c, SYNTAX_ERROR);
    else if (o->nx && o->xx)
        reply_error(c, "ERR XX and NX options at the same time are not compatible");
    else if ((o->gt && o->nx) || (o->lt && o->nx) || (o->gt && o->lt))
        reply_error(c, "ERR GT, LT, and/or NX options at the same time are not compatible");
    else if (o->incr && words > 2)
        reply_error(c, "ERR INCR option supports a single increment-element pair");
    else
        return true;
    return false;
}

struct added {
    int64_t created, updated;
    bool applied; /* of INCR */
    double score;
};

/* false: answered */
static bool add_one(struct call *c, struct entry **e, const struct add_options *o, double score,
                    struct bytes member, struct added *sum)
{
    uint32_t hash = hash_of(c->r, member);
    struct field *at = *e ? fields_find(entry_fields(*e), member, hash) : NULL;
    if (at && o->nx) return true;
    if (!at && o->xx) return true;
    if (at && o->incr) {
        score += at->score;
        if (isnan(score)) {
            reply_error(c, "ERR resulting score is not a number (NaN)");
            return false;
        }
    }
    if (at && ((o->lt && score >= at->score) || (o->gt && score <= at->score))) return true;
    sum->applied = true;
    sum->score = score;
    if (!at) {
        if (!*e) *e = data_create(c->r, c->argv[1], REDIS_ZSET);
        sum->created++;
    } else if (score == at->score) {
        return true;
    } else {
        sum->updated++;
        if (c->r->options.bug == REDIS_BUG_ZADD_KEEPS_SCORE) return true;
    }
    data_set_score(c->r, *e, at, member, hash, score);
    return true;
}

static void add(struct call *c, const struct add_options *o, size_t first)
{
    struct entry *e;
    double score;
    struct added sum = { 0 };
    if (!options_ok(c, o, c->argc - first)) return;
    for (size_t i = first; i < c->argc; i += 2)
        if (!parse_double(c->argv[i], &score)) {
            reply_error(c, "ERR value is not a valid float");
            return;
        }
    if (!find_typed(c, c->argv[1], REDIS_ZSET, &e)) return;
    for (size_t i = first; i < c->argc; i += 2) {
        (void)parse_double(c->argv[i], &score);
        if (!add_one(c, &e, o, score, c->argv[i + 1], &sum)) return;
    }
    if (!o->incr)
        reply_integer(c, sum.created + (o->ch ? sum.updated : 0));
    else if (sum.applied)
        reply_double(c, sum.score);
    else
        reply_nil(c);
}

void redis_cmd_zadd(struct call *c)
{
    struct add_options o = { 0 };
    size_t first = parse_add(c, &o);
    add(c, &o, first);
}

void redis_cmd_zincrby(struct call *c)
{
    add(c, &(struct add_options){ .incr = true }, 2);
}

/* --- ranges --- */

/* Positions [first, end) of a sorted set. */
struct span {
    size_t first, end;
};

struct bound {
    double score;
    bool open;
};

/* Redis is laxer here than with a score: spaces may lead, and nothing is zero. */
static bool parse_bound(struct bytes text, struct bound *ret)
{
    char copy[64], *end;
    ret->open = text.len && text.data[0] == '(';
    size_t skip = ret->open ? 1 : 0;
    if (text.len - skip >= sizeof copy) return false;
    if (text.len) memcpy(copy, text.data + skip, text.len - skip);
    copy[text.len - skip] = '\0';
    ret->score = strtod(copy, &end);
    return *end == '\0' && !isnan(ret->score);
}

static bool parse_bounds(struct call *c, struct bytes low, struct bytes high, struct bound ret[2])
{
    if (parse_bound(low, &ret[0]) && parse_bound(high, &ret[1])) {
        if (c->r->options.bug == REDIS_BUG_RANGE_IS_OPEN) ret[1].open = true;
        return true;
    }
    reply_error(c, "ERR min or max is not a float");
    return false;
}

static struct span by_score(const struct entry *e, const struct bound b[2])
{
    if (!e) return (struct span){ 0, 0 };
    struct span s = { .first = zset_first(e->zset, b[0].score, b[0].open),
                      .end = zset_first(e->zset, b[1].score, !b[1].open) };
    if (s.end < s.first) s.end = s.first;
    return s;
}

static struct span by_index(const struct entry *e, int64_t first, int64_t last)
{
    int64_t count = e ? (int64_t)entry_fields(e)->count : 0;
    if (first < 0) first = MAX(first + count, 0);
    if (last < 0) last += count;
    if (last >= count) last = count - 1;
    if (first > last || first >= count) return (struct span){ 0, 0 };
    return (struct span){ .first = (size_t)first, .end = (size_t)last + 1 };
}

struct range_options {
    bool by_score, reverse, with_scores, limited;
    int64_t skip, count; /* count negative: all */
};

static void reply_span(struct call *c, const struct entry *e, struct span s,
                       const struct range_options *o)
{
    size_t count = s.end - s.first;
    if (o->limited) {
        size_t skip = o->skip < 0 ? count : MIN((size_t)o->skip, count);
        count -= skip;
        if (o->count >= 0) count = MIN((size_t)o->count, count);
        if (o->reverse)
            s.first = s.end - skip - count;
        else
            s.first += skip;
    }
    reply_array(c, o->with_scores ? 2 * count : count);
    for (size_t i = 0; i < count; i++) {
        const struct ranked *at =
            &e->zset->list[o->reverse ? s.first + count - 1 - i : s.first + i];
        reply_bytes(c, text_bytes(at->member));
        if (o->with_scores) reply_double(c, at->score);
    }
}

static bool parse_range(struct call *c, struct range_options *o, bool new_words)
{
    for (size_t i = 4; i < c->argc; i++) {
        if (word_is(c->argv[i], "WITHSCORES")) {
            o->with_scores = true;
        } else if (word_is(c->argv[i], "LIMIT") && i + 2 < c->argc) {
            o->limited = true;
            if (!parse_integer(c->argv[i + 1], &o->skip) ||
                !parse_integer(c->argv[i + 2], &o->count)) {
                reply_error(c, NOT_INTEGER);
                return false;
            }
            i += 2;
        } else if (new_words && word_is(c->argv[i], "REV")) {
            o->reverse = true;
        } else if (new_words && word_is(c->argv[i], "BYSCORE")) {
            o->by_score = true;
        } else {
            if (word_is(c->argv[i], "BYLEX"))
                redis_not_implemented(c->r, BYTES_LIT("ZRANGE BYLEX"));
            reply_error(c, SYNTAX_ERROR);
            return false;
        }
    }
    if (o->limited && !o->by_score) {
        reply_error(c, "ERR syntax error, LIMIT is only supported in combination with either "
                       "BYSCORE or BYLEX");
        return false;
    }
    return true;
}

static void range(struct call *c, struct range_options *o, bool new_words)
{
    struct entry *e;
    struct bound bounds[2] = { 0 };
    int64_t first = 0, last = 0;
    if (!parse_range(c, o, new_words)) return;
    if (o->by_score) {
        struct bytes low = c->argv[2], high = c->argv[3];
        if (!parse_bounds(c, o->reverse ? high : low, o->reverse ? low : high, bounds)) return;
    } else if (!parse_integer(c->argv[2], &first) || !parse_integer(c->argv[3], &last)) {
        reply_error(c, NOT_INTEGER);
        return;
    }
    if (!find_typed(c, c->argv[1], REDIS_ZSET, &e)) return;
    struct span s = o->by_score ? by_score(e, bounds) : by_index(e, first, last);
    if (!o->by_score && o->reverse && e) {
        size_t count = entry_fields(e)->count;
        s = (struct span){ .first = count - s.end, .end = count - s.first };
    }
    reply_span(c, e, s, o);
}

void redis_cmd_zrange(struct call *c)
{
    range(c, &(struct range_options){ 0 }, true);
}

void redis_cmd_zrevrange(struct call *c)
{
    range(c, &(struct range_options){ .reverse = true }, false);
}

void redis_cmd_zrangebyscore(struct call *c)
{
    range(c, &(struct range_options){ .by_score = true }, false);
}

void redis_cmd_zscan(struct call *c)
{
    struct entry *e;
    if (!scan_small(c, REDIS_ZSET, &e)) return;
    size_t count = e ? entry_fields(e)->count : 0;
    reply_array(c, 2);
    reply_text(c, "0");
    reply_array(c, 2 * count);
    for (size_t i = 0; i < count; i++) {
        const struct ranked *at = &e->zset->list[i];
        reply_bytes(c, text_bytes(at->member));
        reply_double(c, at->score);
    }
}

void redis_cmd_zcount(struct call *c)
{
    struct entry *e;
    struct bound bounds[2];
    if (!parse_bounds(c, c->argv[2], c->argv[3], bounds)) return;
    if (!find_typed(c, c->argv[1], REDIS_ZSET, &e)) return;
    struct span s = by_score(e, bounds);
    reply_integer(c, (int64_t)(s.end - s.first));
}

void redis_cmd_zremrangebyscore(struct call *c)
{
    struct entry *e;
    struct bound bounds[2];
    if (!parse_bounds(c, c->argv[2], c->argv[3], bounds)) return;
    if (!find_typed(c, c->argv[1], REDIS_ZSET, &e)) return;
    struct span s = by_score(e, bounds);
    for (size_t i = s.first; i < s.end; i++) {
        const struct text *member = e->zset->list[s.first].member;
        struct field *at = fields_find(entry_fields(e), text_bytes(member), member->hash);
        if (data_remove_field(c->r, e, at)) break;
    }
    reply_integer(c, (int64_t)(s.end - s.first));
}
