/* SPDX-License-Identifier: Apache-2.0
 *
 * Attempts that had no answer when their instance went: an item that was cut off, a task that was
 * lost. What such a call has consumed is known only when its result comes late, and is counted
 * then, once. The list is bounded: of older ones nothing more is counted. */
#include <stdlib.h>

#include "orchestrator/engine/state.h"

#define LATE_MAX 256

static size_t late_bytes(const struct late *l)
{
    return sizeof *l + strlen(l->path) + 16;
}

static void late_remove(struct run *run, size_t at)
{
    struct aside *a = run->aside;
    a->repeated_bytes -= late_bytes(&a->late[at]);
    free(a->late[at].path);
    memmove(&a->late[at], &a->late[at + 1], (--a->late_count - at) * sizeof *a->late);
    run->changed |= RUN_LATE;
}

void late_add(struct run *run, const char *path, int64_t attempts)
{
    struct aside *a = run_aside(run);
    if (!a->late) a->late = xcalloc(LATE_MAX, sizeof *a->late);
    if (a->late_count == LATE_MAX) late_remove(run, 0);
    struct late *l = &a->late[a->late_count++];
    *l = (struct late){ .path = xstrdup(path), .attempts = attempts };
    a->repeated_bytes += late_bytes(l);
    run->changed |= RUN_LATE;
}

bool late_take(struct run *run, struct bytes path, uint32_t attempt)
{
    struct aside *a = run->aside;
    int64_t bit = attempt_bit(attempt);
    for (size_t i = 0; a && i < a->late_count; i++) {
        if (!(a->late[i].attempts & bit) || !bytes_is(path, a->late[i].path)) continue;
        a->late[i].attempts &= ~bit;
        run->changed |= RUN_LATE;
        if (!a->late[i].attempts) late_remove(run, i);
        return true;
    }
    return false;
}

void late_encode(const struct run *run, struct buf *ret)
{
    const struct aside *a = run->aside;
    buf_add_char(ret, '[');
    for (size_t i = 0; i < a->late_count; i++) {
        buf_add_text(ret, i ? ",[" : "[");
        buf_add_json_string(ret, a->late[i].path, strlen(a->late[i].path));
        buf_add_char(ret, ',');
        buf_add_int(ret, a->late[i].attempts);
        buf_add_char(ret, ']');
    }
    buf_add_char(ret, ']');
}

bool late_load(struct run *run, struct bytes text, struct err *e)
{
    AUTO_JSON *list = json_parse(text, e);
    size_t i;
    json_t *entry;
    bool ok = json_is_array(list) && json_array_size(list) <= LATE_MAX;
    json_array_foreach(list, i, entry) {
        const char *path = json_string_value(json_array_get(entry, 0));
        json_int_t attempts = json_integer_value(json_array_get(entry, 1));
        ok = ok && path && strlen(path) <= PATH_BYTES_MAX && attempts > 0;
        if (ok) late_add(run, path, attempts);
    }
    run->changed = 0;
    return ok || err_fail(e, ERR_INVALID, "field l is damaged");
}

void late_free(struct run *run)
{
    struct aside *a = run->aside;
    while (a && a->late_count) late_remove(run, a->late_count - 1);
    if (a) free(TAKE(a->late));
}
