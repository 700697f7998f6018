/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "orchestrator/internal.h"

void args_done(struct args *a)
{
    buf_done(&a->text);
    free(a->ends);
    *a = (struct args){ 0 };
}

static void args_end(struct args *a)
{
    if (a->count == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 32;
        a->ends = xrealloc(a->ends, a->cap * sizeof *a->ends);
    }
    a->ends[a->count++] = a->text.len;
}

void args_add(struct args *a, struct bytes value)
{
    buf_add(&a->text, value.data, value.len);
    args_end(a);
}

void args_add_int(struct args *a, int64_t value)
{
    buf_add_int(&a->text, value);
    args_end(a);
}

void args_add_key(struct args *a, const struct partition *part,
                  void (*key)(struct buf *, const char *, int32_t))
{
    key(&a->text, part->shard->prefix, part->id);
    args_end(a);
}

void args_append(struct args *a, const struct args *more)
{
    size_t base = a->text.len, from = a->count;
    buf_add(&a->text, more->text.data, more->text.len);
    if (a->count + more->count > a->cap) {
        a->cap = 2 * (a->count + more->count);
        a->ends = xrealloc(a->ends, a->cap * sizeof *a->ends);
    }
    for (size_t i = 0; i < more->count; i++) a->ends[from + i] = base + more->ends[i];
    a->count += more->count;
}

struct bytes args_at(const struct args *a, size_t i)
{
    size_t start = i ? a->ends[i - 1] : 0;
    return (struct bytes){ .data = a->text.data + start, .len = a->ends[i] - start };
}

struct bytes *args_views(const struct args *a)
{
    struct bytes *views = xcalloc(a->count, sizeof *views);
    for (size_t i = 0; i < a->count; i++) views[i] = args_at(a, i);
    return views;
}
