/* SPDX-License-Identifier: Apache-2.0
 *
 * The fake Redis' commands on keys and strings, and what all commands parse with. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "tests/sim/redis_internal.h"

#define WRONG_TYPE "WRONGTYPE Operation against a key holding the wrong kind of value"

/* --- words --- */

bool word_is(struct bytes word, const char *upper)
{
    return word.len == strlen(upper) && strncasecmp(word.data, upper, word.len) == 0;
}

bool parse_integer(struct bytes text, int64_t *ret)
{
    if (text.len == 1 && text.data[0] == '0') {
        *ret = 0;
        return true;
    }
    size_t i = 0;
    bool negative = text.len > 1 && text.data[0] == '-';
    if (negative) i++;
    if (i >= text.len || text.data[i] < '1' || text.data[i] > '9') return false;
    int64_t value = 0;
    for (; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        int digit = text.data[i] - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
    }
    *ret = value;
    return true;
}

bool parse_double(struct bytes text, double *ret)
{
    char copy[64], *end;
    if (text.len == 0 || text.len >= sizeof copy || isspace((unsigned char)text.data[0]))
        return false; /* 64 digits are more than anybody sends */
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    errno = 0;
    double value = strtod(copy, &end);
    if (end != copy + text.len || isnan(value)) return false;
    if (errno == ERANGE && (isinf(value) || fpclassify(value) == FP_ZERO)) return false;
    *ret = value;
    return true;
}

struct bytes int_text(char digits[24], int64_t value)
{
    char *end = digits + 24, *p = end;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--p = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0) *--p = '-';
    return (struct bytes){ .data = p, .len = (size_t)(end - p) };
}

/* --- keys --- */

struct entry *find_live(struct redis *r, struct bytes key)
{
    struct entry *e = keyspace_find(&r->keys, key, hash_of(r, key));
    if (!e || !is_expired(r, e)) return e;
    if (r->refusing != REDIS_READONLY) data_remove(r, e); /* a replica leaves it to its primary */
    return NULL;
}

bool find_typed(struct call *c, struct bytes key, enum redis_type type, struct entry **ret)
{
    *ret = find_live(c->r, key);
    if (!*ret || (*ret)->type == type) return true;
    reply_error(c, WRONG_TYPE);
    return false;
}

bool make_typed(struct call *c, struct bytes key, enum redis_type type, struct entry **ret)
{
    if (!find_typed(c, key, type, ret)) return false;
    if (!*ret) *ret = data_create(c->r, key, type);
    return true;
}

void redis_cmd_exists(struct call *c)
{
    int64_t count = 0;
    for (size_t i = 1; i < c->argc; i++) count += find_live(c->r, c->argv[i]) != NULL;
    reply_integer(c, count);
}

void redis_cmd_del(struct call *c)
{
    int64_t count = 0;
    for (size_t i = 1; i < c->argc; i++) {
        struct entry *e = find_live(c->r, c->argv[i]);
        if (e) data_remove(c->r, e);
        count += e || c->r->options.bug == REDIS_BUG_UNLINK_COUNTS_ALL;
    }
    reply_integer(c, count);
}

void redis_cmd_type(struct call *c)
{
    static const char *const names[] = { "none", "string", "hash", "set", "zset" };
    struct entry *e = find_live(c->r, c->argv[1]);
    reply_status(c, names[e ? e->type : REDIS_NONE]);
}

/* --- expiry --- */

static void answer_ttl(struct call *c, bool seconds)
{
    struct entry *e = find_live(c->r, c->argv[1]);
    int64_t left = !e ? -2 : e->expire_ms < 0 ? -1 : e->expire_ms - c->r->now_ms;
    reply_integer(c, seconds && left > 0 ? (left + 500) / 1000 : left);
}

void redis_cmd_pttl(struct call *c)
{
    answer_ttl(c, false);
}

void redis_cmd_ttl(struct call *c)
{
    answer_ttl(c, true);
}

struct expire_options {
    bool nx, xx, gt, lt;
};

static bool parse_expire_options(struct call *c, struct expire_options *o)
{
    for (size_t i = 3; i < c->argc; i++) {
        struct bytes word = c->argv[i];
        if (word_is(word, "NX")) {
            o->nx = true;
        } else if (word_is(word, "XX")) {
            o->xx = true;
        } else if (word_is(word, "GT")) {
            o->gt = true;
        } else if (word_is(word, "LT")) {
            o->lt = true;
        } else {
            reply_error(c, "ERR Unsupported option %.*s", (int)word.len, word.data);
            return false;
        }
    }
    if (o->nx && (o->xx || o->gt || o->lt))
        reply_error(c, "ERR NX and XX, GT or LT options at the same time are not compatible");
    else if (o->gt && o->lt)
        reply_error(c, "ERR GT and LT options at the same time are not compatible");
    else
        return true;
    return false;
}

static bool expire_wanted(const struct expire_options *o, int64_t was, int64_t at)
{
    if (o->nx && was >= 0) return false;
    if (o->xx && was < 0) return false;
    if (o->gt && (was < 0 || at <= was)) return false;
    return !(o->lt && was >= 0 && at >= was);
}

static void expire(struct call *c, bool seconds)
{
    struct expire_options o = { 0 };
    int64_t value, at;
    if (!parse_expire_options(c, &o)) return;
    if (!parse_integer(c->argv[2], &value)) {
        reply_error(c, NOT_INTEGER);
        return;
    }
    if (__builtin_mul_overflow(value, seconds ? 1000 : 1, &at) ||
        __builtin_add_overflow(at, c->r->now_ms, &at)) {
        reply_error(c, "ERR invalid expire time in '%s' command", seconds ? "expire" : "pexpire");
        return;
    }
    struct entry *e = find_live(c->r, c->argv[1]);
    bool wanted = e && expire_wanted(&o, e->expire_ms, at);
    if (wanted && at <= c->r->now_ms)
        data_remove(c->r, e);
    else if (wanted)
        data_set_expire(c->r, e, at);
    reply_integer(c, wanted);
}

void redis_cmd_pexpire(struct call *c)
{
    expire(c, false);
}

void redis_cmd_expire(struct call *c)
{
    expire(c, true);
}

void redis_cmd_persist(struct call *c)
{
    struct entry *e = find_live(c->r, c->argv[1]);
    bool had = e && e->expire_ms >= 0;
    if (had) data_set_expire(c->r, e, -1);
    reply_integer(c, had);
}

/* --- strings --- */

void redis_cmd_get(struct call *c)
{
    struct entry *e;
    if (!find_typed(c, c->argv[1], REDIS_STRING, &e)) return;
    if (e)
        reply_bytes(c, text_bytes(e->string));
    else if (c->r->options.bug == REDIS_BUG_NIL_IS_EMPTY)
        reply_text(c, "");
    else
        reply_nil(c);
}

void redis_cmd_mget(struct call *c)
{
    reply_array(c, c->argc - 1);
    for (size_t i = 1; i < c->argc; i++) {
        const struct entry *e = find_live(c->r, c->argv[i]);
        if (e && e->type == REDIS_STRING)
            reply_bytes(c, text_bytes(e->string));
        else
            reply_nil(c);
    }
}

struct expiry {
    const char *word;
    int64_t unit_ms;
    bool absolute;
};

struct set_options {
    bool nx, xx, get, keep_ttl;
    const struct expiry *expiry; /* NULL: none */
    struct bytes number;         /* of expiry */
    int64_t expire_ms;
};

/* A kind of expiry with its number: once, or the same kind again. */
static bool parse_expiry(struct call *c, size_t i, struct set_options *o)
{
    static const struct expiry kinds[] = {
        { "EX", 1000, false }, { "PX", 1, false }, { "EXAT", 1000, true }, { "PXAT", 1, true }
    };
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        if (!word_is(c->argv[i], kinds[k].word)) continue;
        if (o->keep_ttl || i + 1 >= c->argc) return false;
        if (o->expiry && o->expiry != &kinds[k]) return false;
        o->expiry = &kinds[k];
        o->number = c->argv[i + 1];
        return true;
    }
    return false;
}

/* After all words, so that an error of syntax comes first. */
static bool parse_number(struct call *c, struct set_options *o)
{
    int64_t ms;
    if (!parse_integer(o->number, &ms)) {
        reply_error(c, NOT_INTEGER);
        return false;
    }
    if (ms <= 0 || __builtin_mul_overflow(ms, o->expiry->unit_ms, &ms) ||
        (!o->expiry->absolute && __builtin_add_overflow(ms, c->r->now_ms, &ms))) {
        reply_error(c, "ERR invalid expire time in 'set' command");
        return false;
    }
    o->expire_ms = ms;
    return true;
}

static bool parse_set(struct call *c, struct set_options *o)
{
    for (size_t i = 3; i < c->argc; i++) {
        struct bytes word = c->argv[i];
        if (word_is(word, "NX") && !o->xx) {
            o->nx = true;
        } else if (word_is(word, "XX") && !o->nx) {
            o->xx = true;
        } else if (word_is(word, "GET")) {
            o->get = true;
        } else if (word_is(word, "KEEPTTL") && !o->expiry) {
            o->keep_ttl = true;
        } else if (parse_expiry(c, i, o)) {
            i++;
        } else {
            reply_error(c, SYNTAX_ERROR);
            return false;
        }
    }
    return !o->expiry || parse_number(c, o);
}

/* e: what is there, of any type; NULL: nothing. */
static struct entry *set_string(struct call *c, struct entry *e, struct bytes key,
                                struct bytes value)
{
    if (e && e->type != REDIS_STRING) {
        data_remove(c->r, e);
        e = NULL;
    }
    if (!e) e = data_create(c->r, key, REDIS_STRING);
    data_set_string(c->r, e, value);
    return e;
}

void redis_cmd_set(struct call *c)
{
    struct set_options o = { 0 };
    if (!parse_set(c, &o)) return;
    struct entry *e;
    if (o.get) {
        if (!find_typed(c, c->argv[1], REDIS_STRING, &e)) return;
        if (e)
            reply_bytes(c, text_bytes(e->string));
        else
            reply_nil(c);
    } else {
        e = find_live(c->r, c->argv[1]);
    }
    if ((o.nx && e && c->r->options.bug != REDIS_BUG_NX_OVERWRITES) || (o.xx && !e)) {
        if (!o.get) reply_nil(c);
        return;
    }
    bool keep = o.keep_ttl || c->r->options.bug == REDIS_BUG_SET_KEEPS_TTL;
    int64_t was_ms = e ? e->expire_ms : -1;
    e = set_string(c, e, c->argv[1], c->argv[2]);
    data_set_expire(c->r, e, o.expiry ? o.expire_ms : keep ? was_ms : -1);
    if (!o.get) reply_status(c, "OK");
}

static void increment(struct call *c, int64_t by)
{
    struct entry *e;
    int64_t value = 0;
    if (!find_typed(c, c->argv[1], REDIS_STRING, &e)) return;
    if (e && !parse_integer(text_bytes(e->string), &value)) {
        reply_error(c, NOT_INTEGER);
        return;
    }
    if (__builtin_add_overflow(value, by, &value)) {
        reply_error(c, "ERR increment or decrement would overflow");
        return;
    }
    char digits[24];
    (void)set_string(c, e, c->argv[1], int_text(digits, value));
    reply_integer(c, value);
}

void redis_cmd_incr(struct call *c)
{
    increment(c, 1);
}

void redis_cmd_incrby(struct call *c)
{
    int64_t by;
    if (parse_integer(c->argv[2], &by))
        increment(c, by);
    else
        reply_error(c, NOT_INTEGER);
}
