/* SPDX-License-Identifier: Apache-2.0 */
#include "common/proto/keys.h"

/* "<prefix>:<kind>:{<p>}", and ":<tail>" where there is one. */
static void sharded(struct buf *b, const char *prefix, const char *kind, int32_t p,
                    struct bytes tail)
{
    buf_add_text(b, prefix);
    buf_add_char(b, ':');
    buf_add_text(b, kind);
    buf_add(b, ":{", 2);
    buf_add_int(b, p);
    buf_add_char(b, '}');
    if (!tail.data) return;
    buf_add_char(b, ':');
    buf_add(b, tail.data, tail.len);
}

void key_partition(struct buf *b, const char *prefix, int32_t p)
{
    sharded(b, prefix, "p", p, (struct bytes){ 0 });
}

void key_timers(struct buf *b, const char *prefix, int32_t p)
{
    sharded(b, prefix, "tm", p, (struct bytes){ 0 });
}

void key_finished(struct buf *b, const char *prefix, int32_t p)
{
    sharded(b, prefix, "fin", p, (struct bytes){ 0 });
}

void key_snapshots(struct buf *b, const char *prefix, int32_t p)
{
    sharded(b, prefix, "snap", p, (struct bytes){ 0 });
}

void key_ledger(struct buf *b, const char *prefix, int32_t p)
{
    sharded(b, prefix, "ledger", p, (struct bytes){ 0 });
}

void key_run(struct buf *b, const char *prefix, int32_t p, struct bytes run_id)
{
    sharded(b, prefix, "run", p, run_id);
}

void key_start(struct buf *b, const char *prefix, int32_t p, struct bytes route)
{
    sharded(b, prefix, "key", p, route);
}

void key_marks(struct buf *b, const char *prefix, int32_t p, struct bytes marks)
{
    sharded(b, prefix, "tk", p, marks);
}

void key_breaker(struct buf *b, const char *prefix, struct bytes dependency)
{
    buf_add_text(b, prefix);
    buf_add_text(b, ":cb:");
    buf_add(b, dependency.data, dependency.len);
}

void key_cache(struct buf *b, const char *prefix, const char *sha256)
{
    buf_add_text(b, prefix);
    buf_add_text(b, ":cache:");
    buf_add_text(b, sha256);
}

void key_sys(struct buf *b, const char *prefix)
{
    buf_add_text(b, prefix);
    buf_add_text(b, ":sys");
}

void topic_name(struct buf *b, const char *prefix, const char *name)
{
    buf_add_text(b, prefix);
    buf_add_char(b, '.');
    buf_add_text(b, name);
}

static const char *const priority_suffix[PRIORITY_COUNT] = {
    [PRIORITY_NORMAL] = "",
    [PRIORITY_HIGH] = ".HIGH",
    [PRIORITY_LOW] = ".LOW",
};

void topic_tasks(struct buf *b, const char *prefix, const char *queue, enum priority priority)
{
    topic_name(b, prefix, "tasks.");
    buf_add_text(b, queue);
    buf_add_text(b, priority_suffix[priority]);
}

enum priority topic_priority(const char *topic)
{
    const char *dot = strrchr(topic, '.');
    if (dot && strcmp(dot, priority_suffix[PRIORITY_HIGH]) == 0) return PRIORITY_HIGH;
    if (dot && strcmp(dot, priority_suffix[PRIORITY_LOW]) == 0) return PRIORITY_LOW;
    return PRIORITY_NORMAL;
}

void generation_make(char ret[GENERATION_MAX], const char *server_run_id, struct bytes gen)
{
    size_t n = strnlen(server_run_id, 12);
    size_t m = MIN(gen.len, (size_t)(GENERATION_MAX - 2 - 12));
    memcpy(ret, server_run_id, n);
    ret[n] = '-';
    if (m) memcpy(ret + n + 1, gen.data, m);
    ret[n + 1 + m] = '\0';
}

struct bytes generation_gen(const char *generation)
{
    const char *dash = strchr(generation, '-');
    return bytes_of(dash ? dash + 1 : "");
}
