/* SPDX-License-Identifier: Apache-2.0
 *
 * Outputs that tasks alike share, in Redis. The question goes out ahead of the one for the lease,
 * over the same connection, so its answer is there when the lease is: no call waits for it, and the
 * rules of leases stay as they are. Whatever goes wrong with it is a miss. */
#include <stdlib.h>

#include "common/base/hash.h"
#include "worker/call.h"
#include "worker/tool.h"

#define CACHED_BYTES_MAX (256 * KIB) /* Redis holds them in memory */

struct look {
    struct call *call;
    uint64_t serial;
};

/* Each part with its length before it, so that no two tasks that differ give the same text. */
static void add_part(struct buf *b, struct bytes part)
{
    buf_add_int(b, (int64_t)part.len);
    buf_add_char(b, ':');
    if (part.len) buf_add(b, part.data, part.len);
}

/* Made of the task as it came, with names of secrets where a call has their texts. */
static void make_key(const struct call *c, struct buf *ret)
{
    const struct task *t = &c->task;
    bool own = t->cache_key.data != NULL;
    AUTO_BUF struct buf content = { 0 };
    char hash[SHA256_HEX];
    add_part(&content, t->kind);
    add_part(&content, t->uses);
    add_part(&content, t->namespace_);
    add_part(&content, own ? BYTES_LIT("key") : BYTES_LIT("value"));
    add_part(&content, own ? t->cache_key : t->value);
    if (!own) add_part(&content, t->secrets);
    sha256_hex(buf_bytes(&content), hash);
    key_cache(ret, c->worker->prefix, hash);
}

static void on_found(void *user, enum store_status status, const struct store_reply *reply)
{
    struct look *look = user;
    struct call *c = look->call;
    bool same = c->worker->phase != WORKER_LEFT && c->serial == look->serial;
    free(look);
    if (!same || c->state != CALL_ASKING || c->cached || status != STORE_OK) return;
    struct bytes output = store_string(reply);
    if (!output.len || output.len > CACHED_BYTES_MAX || !json_check(output)) return;
    buf_reset(&c->owned);
    buf_add(&c->owned, output.data, output.len);
    c->cached = true;
}

void cache_look(struct call *c)
{
    if (!c->task.cache_ttl_ms || c->cached || tools_is_noop(&c->task)) return;
    AUTO_BUF struct buf key = { 0 };
    make_key(c, &key);
    struct look *look = xmalloc(sizeof *look);
    *look = (struct look){ .call = c, .serial = c->serial };
    const struct bytes argv[] = { BYTES_LIT("GET"), buf_bytes(&key) };
    store_command(c->worker->store, argv, ARRAY_LEN(argv), on_found, look);
}

void cache_store(const struct call *c)
{
    if (!c->task.cache_ttl_ms || c->value.len > CACHED_BYTES_MAX) return;
    AUTO_BUF struct buf key = { 0 }, ttl = { 0 };
    make_key(c, &key);
    buf_add_int(&ttl, c->task.cache_ttl_ms);
    const struct bytes argv[] = { BYTES_LIT("SET"), buf_bytes(&key), c->value, BYTES_LIT("PX"),
                                  buf_bytes(&ttl) };
    store_command(c->worker->store, argv, ARRAY_LEN(argv), NULL, NULL);
}
