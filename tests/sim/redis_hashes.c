/* SPDX-License-Identifier: Apache-2.0
 *
 * The fake Redis' commands on hashes and sets. */
#include "tests/sim/redis_internal.h"

static struct field *find_field(const struct redis *r, const struct entry *e, struct bytes name)
{
    return e ? fields_find(entry_fields(e), name, hash_of(r, name)) : NULL;
}

static void reply_value(struct call *c, const struct field *field)
{
    if (field)
        reply_bytes(c, text_bytes(field->value));
    else if (c->r->options.bug == REDIS_BUG_NIL_IS_EMPTY)
        reply_text(c, "");
    else
        reply_nil(c);
}

/* --- reads --- */

void redis_cmd_hget(struct call *c)
{
    struct entry *e;
    if (!find_typed(c, c->argv[1], REDIS_HASH, &e)) return;
    reply_value(c, find_field(c->r, e, c->argv[2]));
}

void redis_cmd_hmget(struct call *c)
{
    struct entry *e;
    if (!find_typed(c, c->argv[1], REDIS_HASH, &e)) return;
    reply_array(c, c->argc - 2);
    for (size_t i = 2; i < c->argc; i++) reply_value(c, find_field(c->r, e, c->argv[i]));
}

/* each: values a field has in the reply; 1: the name alone. */
static void reply_fields(struct call *c, const struct entry *e, size_t each)
{
    reply_array(c, e ? each * entry_fields(e)->count : 0);
    for (size_t i = 0; e && i < entry_fields(e)->used; i++) {
        const struct field *field = &entry_fields(e)->list[i];
        if (!field->name) continue;
        reply_bytes(c, text_bytes(field->name));
        if (each > 1) reply_bytes(c, text_bytes(field->value));
    }
}

void redis_cmd_hgetall(struct call *c)
{
    struct entry *e;
    if (find_typed(c, c->argv[1], REDIS_HASH, &e)) reply_fields(c, e, 2);
}

void redis_cmd_hkeys(struct call *c)
{
    struct entry *e;
    if (find_typed(c, c->argv[1], REDIS_HASH, &e)) reply_fields(c, e, 1);
}

void redis_cmd_hexists(struct call *c)
{
    struct entry *e;
    if (!find_typed(c, c->argv[1], REDIS_HASH, &e)) return;
    reply_integer(c, find_field(c->r, e, c->argv[2]) != NULL);
}

static void reply_length(struct call *c, enum redis_type type)
{
    struct entry *e;
    if (!find_typed(c, c->argv[1], type, &e)) return;
    reply_integer(c, e ? (int64_t)entry_fields(e)->count : 0);
}

void redis_cmd_hlen(struct call *c)
{
    reply_length(c, REDIS_HASH);
}

/* KEY CURSOR [COUNT n]: as Redis does with what is small, everything at once. */
bool scan_small(struct call *c, enum redis_type type, struct entry **ret)
{
    bool options = c->argc == 3 || (c->argc == 5 && word_is(c->argv[3], "COUNT"));
    if (!options || !bytes_is(c->argv[2], "0"))
        redis_not_implemented(c->r, BYTES_LIT("HSCAN and ZSCAN with a cursor"));
    return find_typed(c, c->argv[1], type, ret);
}

void redis_cmd_hscan(struct call *c)
{
    struct entry *e;
    if (!scan_small(c, REDIS_HASH, &e)) return;
    reply_array(c, 2);
    reply_text(c, "0");
    reply_fields(c, e, 2);
}

/* --- writes --- */

/* -> new fields; -1: answered */
static int64_t set_fields(struct call *c)
{
    struct entry *e;
    if (c->argc % 2) {
        reply_error(c, "ERR wrong number of arguments for '%s' command",
                    word_is(c->argv[0], "HMSET") ? "hmset" : "hset");
        return -1;
    }
    if (!make_typed(c, c->argv[1], REDIS_HASH, &e)) return -1;
    int64_t created = 0;
    for (size_t i = 2; i < c->argc; i += 2) {
        uint32_t hash = hash_of(c->r, c->argv[i]);
        struct field *at = fields_find(e->map, c->argv[i], hash);
        data_set_field(c->r, e, at, c->argv[i], hash, c->argv[i + 1]);
        created += at == NULL;
    }
    return created;
}

void redis_cmd_hset(struct call *c)
{
    int64_t created = set_fields(c);
    if (created >= 0) reply_integer(c, created);
}

void redis_cmd_hmset(struct call *c)
{
    if (set_fields(c) >= 0) reply_status(c, "OK");
}

void redis_cmd_hsetnx(struct call *c)
{
    struct entry *e;
    if (!find_typed(c, c->argv[1], REDIS_HASH, &e)) return;
    struct field *at = find_field(c->r, e, c->argv[2]);
    bool write = !at || c->r->options.bug == REDIS_BUG_NX_OVERWRITES;
    if (write) {
        if (!e) e = data_create(c->r, c->argv[1], REDIS_HASH);
        data_set_field(c->r, e, at, c->argv[2], hash_of(c->r, c->argv[2]), c->argv[3]);
    }
    reply_integer(c, write);
}

static void remove_fields(struct call *c, enum redis_type type)
{
    struct entry *e;
    int64_t removed = 0;
    if (!find_typed(c, c->argv[1], type, &e)) return;
    for (size_t i = 2; e && i < c->argc; i++) {
        struct field *at = find_field(c->r, e, c->argv[i]);
        if (!at) continue;
        removed++;
        if (data_remove_field(c->r, e, at)) break;
    }
    reply_integer(c, removed);
}

void redis_cmd_hdel(struct call *c)
{
    remove_fields(c, REDIS_HASH);
}

void redis_cmd_hincrby(struct call *c)
{
    struct entry *e;
    int64_t by, value = 0;
    if (!parse_integer(c->argv[3], &by)) {
        reply_error(c, NOT_INTEGER);
        return;
    }
    if (!find_typed(c, c->argv[1], REDIS_HASH, &e)) return;
    struct field *at = find_field(c->r, e, c->argv[2]);
    if (at && !parse_integer(text_bytes(at->value), &value)) {
        reply_error(c, "ERR hash value is not an integer");
        return;
    }
    if (__builtin_add_overflow(value, by, &value)) {
        reply_error(c, "ERR increment or decrement would overflow");
        return;
    }
    char digits[24];
    if (!e) e = data_create(c->r, c->argv[1], REDIS_HASH);
    if (c->r->options.bug != REDIS_BUG_HINCRBY_FORGETS || !at)
        data_set_field(c->r, e, at, c->argv[2], hash_of(c->r, c->argv[2]), int_text(digits, value));
    reply_integer(c, value);
}

/* --- sets --- */

void redis_cmd_sadd(struct call *c)
{
    struct entry *e;
    int64_t added = 0;
    if (!make_typed(c, c->argv[1], REDIS_SET, &e)) return;
    for (size_t i = 2; i < c->argc; i++) {
        if (find_field(c->r, e, c->argv[i])) continue;
        data_add_member(c->r, e, c->argv[i], hash_of(c->r, c->argv[i]));
        added++;
    }
    reply_integer(c, added);
}

void redis_cmd_srem(struct call *c)
{
    remove_fields(c, REDIS_SET);
}

void redis_cmd_smembers(struct call *c)
{
    struct entry *e;
    if (find_typed(c, c->argv[1], REDIS_SET, &e)) reply_fields(c, e, 1);
}

void redis_cmd_sismember(struct call *c)
{
    struct entry *e;
    if (!find_typed(c, c->argv[1], REDIS_SET, &e)) return;
    reply_integer(c, find_field(c->r, e, c->argv[2]) != NULL);
}

void redis_cmd_scard(struct call *c)
{
    reply_length(c, REDIS_SET);
}

/* --- what sorted sets share with both --- */

void redis_cmd_zcard(struct call *c)
{
    reply_length(c, REDIS_ZSET);
}

void redis_cmd_zrem(struct call *c)
{
    remove_fields(c, REDIS_ZSET);
}

void redis_cmd_zscore(struct call *c)
{
    struct entry *e;
    if (!find_typed(c, c->argv[1], REDIS_ZSET, &e)) return;
    struct field *at = find_field(c->r, e, c->argv[2]);
    if (at)
        reply_double(c, at->score);
    else
        reply_nil(c);
}
