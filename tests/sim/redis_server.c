/* SPDX-License-Identifier: Apache-2.0
 *
 * The fake Redis' commands that are about the server and about all keys. */
#include <stdio.h>

#include "tests/sim/redis_internal.h"

#define SCAN_COUNT 10
#define DATABASES  16

/* --- SCAN --- */

/* As Redis' stringmatchlen: * ? [a-c] [^a] and \. Case counts. */
static bool class_match(struct bytes *pattern, char ch)
{
    const char *p = pattern->data, *end = p + pattern->len;
    bool negated = p < end && *p == '^', hit = false;
    if (negated) p++;
    for (;; p++) {
        if (p >= end) {
            p--;
            break;
        }
        if (*p == ']') break;
        if (*p == '\\' && end - p >= 2) {
            hit |= *++p == ch;
        } else if (end - p >= 3 && p[1] == '-') {
            int low = MIN(p[0], p[2]), high = MAX(p[0], p[2]);
            hit |= ch >= low && ch <= high;
            p += 2;
        } else {
            hit |= *p == ch;
        }
    }
    *pattern = (struct bytes){ .data = p, .len = (size_t)(end - p) };
    return hit != negated;
}

static struct bytes tail(struct bytes b)
{
    return (struct bytes){ .data = b.data + 1, .len = b.len - 1 };
}

bool glob_match(struct bytes pattern, struct bytes text)
{
    while (pattern.len && text.len) {
        char p = pattern.data[0];
        if (p == '*') {
            while (pattern.len > 1 && pattern.data[1] == '*') pattern = tail(pattern);
            if (pattern.len == 1) return true;
            for (; text.len; text = tail(text))
                if (glob_match(tail(pattern), text)) return true;
            return false;
        }
        if (p == '[') {
            pattern = tail(pattern);
            if (!class_match(&pattern, text.data[0])) return false;
        } else if (p != '?') {
            if (p == '\\' && pattern.len >= 2) pattern = tail(pattern);
            if (pattern.data[0] != text.data[0]) return false;
        }
        pattern = tail(pattern);
        text = tail(text);
    }
    while (!text.len && pattern.len && pattern.data[0] == '*') pattern = tail(pattern);
    return !pattern.len && !text.len;
}

struct scan {
    struct bytes pattern, type;
    int64_t count;
    uint64_t cursor;
};

static bool parse_cursor(struct bytes text, uint64_t *ret)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > 19) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        value = 10 * value + (uint64_t)(text.data[i] - '0');
    }
    *ret = value;
    return true;
}

static bool parse_scan(struct call *c, struct scan *s)
{
    if (!parse_cursor(c->argv[1], &s->cursor)) {
        reply_error(c, "ERR invalid cursor");
        return false;
    }
    for (size_t i = 2; i < c->argc; i += 2) {
        bool has = i + 1 < c->argc;
        if (has && word_is(c->argv[i], "COUNT")) {
            if (!parse_integer(c->argv[i + 1], &s->count)) {
                reply_error(c, NOT_INTEGER);
                return false;
            }
            has = s->count >= 1;
        } else if (has && word_is(c->argv[i], "MATCH")) {
            s->pattern = c->argv[i + 1];
        } else if (has && word_is(c->argv[i], "TYPE")) {
            redis_not_implemented(c->r, BYTES_LIT("SCAN TYPE"));
        } else {
            has = false;
        }
        if (has) continue;
        reply_error(c, SYNTAX_ERROR);
        return false;
    }
    return true;
}

/* Buckets from first to end hold what one call looks at: whole buckets, count keys or a few more.
 */
static size_t scan_end(const struct keyspace *k, size_t first, int64_t count)
{
    size_t end = first, buckets = k->buckets ? (size_t)1 << k->bits : 0;
    for (int64_t seen = 0; end < buckets && seen < count; end++)
        for (const struct entry *e = k->buckets[end]; e; e = e->next) seen++;
    return end;
}

static bool scan_wants(const struct redis *r, const struct scan *s, const struct entry *e)
{
    return e->key->hash >= s->cursor && !is_expired(r, e) &&
           (!s->pattern.data || glob_match(s->pattern, text_bytes(e->key)));
}

/* A cursor is the least hash that was not looked at yet. */
void redis_cmd_scan(struct call *c)
{
    struct scan s = { .count = SCAN_COUNT };
    if (!parse_scan(c, &s)) return;
    const struct keyspace *k = &c->r->keys;
    size_t first =
        s.cursor > UINT32_MAX ? (size_t)1 << k->bits : keyspace_bucket(k, (uint32_t)s.cursor);
    size_t end = scan_end(k, first, s.count), found = 0;
    for (size_t i = first; i < end; i++)
        for (const struct entry *e = k->buckets[i]; e; e = e->next)
            found += scan_wants(c->r, &s, e);
    bool over = !k->buckets || end >= (size_t)1 << k->bits;
    char digits[24];
    reply_array(c, 2);
    reply_bytes(c, int_text(digits, over ? 0 : (int64_t)((uint64_t)end << (32 - k->bits))));
    reply_array(c, found);
    for (size_t i = first; i < end; i++)
        for (const struct entry *e = k->buckets[i]; e; e = e->next)
            if (scan_wants(c->r, &s, e)) reply_bytes(c, text_bytes(e->key));
}

void redis_cmd_dbsize(struct call *c)
{
    reply_integer(c, (int64_t)c->r->keys.count);
}

void redis_cmd_flushall(struct call *c)
{
    redis_wipe(c->r);
    reply_status(c, "OK");
}

/* --- the server --- */

void redis_cmd_time(struct call *c)
{
    char digits[24];
    reply_array(c, 2);
    reply_bytes(c, int_text(digits, c->r->now_ms / 1000));
    reply_bytes(c, int_text(digits, c->r->now_ms % 1000 * 1000));
}

void redis_cmd_ping(struct call *c)
{
    if (c->argc > 2)
        reply_error(c, "ERR wrong number of arguments for 'ping' command");
    else if (c->argc == 2)
        reply_bytes(c, c->argv[1]);
    else
        reply_status(c, "PONG");
}

/* There is one keyspace, whatever its number. */
void redis_cmd_select(struct call *c)
{
    int64_t db;
    if (!parse_integer(c->argv[1], &db))
        reply_error(c, "ERR value is not an integer or out of range");
    else if (db < 0 || db >= DATABASES)
        reply_error(c, "ERR DB index is out of range");
    else
        reply_status(c, "OK");
}

void redis_cmd_auth(struct call *c)
{
    if (c->argc > 3)
        reply_error(c, SYNTAX_ERROR);
    else if (c->argc == 2)
        reply_error(c, "ERR AUTH <password> called without any password configured for the "
                       "default user. Are you sure your configuration is correct?");
    else
        reply_error(c, "WRONGPASS invalid username-password pair or user is disabled.");
}

void redis_cmd_info(struct call *c)
{
    if (c->argc != 2 || !word_is(c->argv[1], "SERVER"))
        redis_not_implemented(c->r, BYTES_LIT("INFO of another section than server"));
    char text[160];
    snprintf(text, sizeof text,
             "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:%s\r\n",
             c->r->run_id);
    reply_text(c, text);
}

void redis_cmd_config(struct call *c)
{
    if (c->argc != 3 || !word_is(c->argv[1], "GET") || !word_is(c->argv[2], "MAXMEMORY-POLICY"))
        redis_not_implemented(c->r, BYTES_LIT("CONFIG but GET maxmemory-policy"));
    const char *policy = c->r->options.maxmemory_policy;
    reply_array(c, 2);
    reply_text(c, "maxmemory-policy");
    reply_text(c, policy ? policy : "noeviction");
}
