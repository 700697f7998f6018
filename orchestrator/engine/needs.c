/* SPDX-License-Identifier: Apache-2.0
 *
 * Which stored fields a run is loaded from, for those who read a large one in pieces: the skeleton
 * names the steps and the pages of maps, and a page the outputs of items and the steps of others.
 * Damage is left to run_load. */
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/base/map.h"
#include "orchestrator/engine/state.h"

struct needs {
    const struct definition *def;
    struct map by_name; /* what is there */
    struct fields *ret;
};

static void need(struct needs *n, const char *prefix, const char *path, const char *name)
{
    AUTO_BUF struct buf b = { 0 };
    buf_addf(&b, "%s%s%s", prefix, path, name);
    fields_append(n->ret, arena_copy(&n->ret->arena, buf_bytes(&b)), (struct bytes){ 0 });
}

static int64_t number(const json_t *array, size_t index)
{
    return json_integer_value(json_array_get(array, index));
}

static void need_entries(struct needs *n, uint32_t scope, const char *path, const json_t *entries);

static void need_instance(struct needs *n, const struct step_def *d, const char *path, int64_t item,
                          const json_t *entries)
{
    AUTO_FREE char *within = xasprintf("%s%s[%lld]/", path, d->path, (long long)item);
    need_entries(n, d->body_scope, within, entries);
}

/* The outputs of items whose bits are set. */
static void need_outputs(struct needs *n, const struct step_def *d, const char *path, int64_t from,
                         const char *digits)
{
    for (int64_t i = 0; digits && digits[i] && i < PAGE_ITEMS / 4; i++) {
        const char *at = strchr("0123456789abcdef", digits[i]);
        unsigned bits = at ? (unsigned)(at - "0123456789abcdef") : 0;
        for (int k = 0; k < 4; k++) {
            if (!(bits >> k & 1)) continue;
            long long item = from + 4 * i + k;
            AUTO_FREE char *name = xasprintf("%s[%lld]", d->path, item);
            need(n, "o:", path, name);
        }
    }
}

static void need_pages(struct needs *n, const struct step_def *d, const char *path, int64_t items)
{
    for (int64_t p = 0; p * PAGE_ITEMS < MIN(items, (int64_t)MAP_ITEMS_MAX); p++) {
        AUTO_FREE char *name = xasprintf("%s:%lld", d->path, (long long)p);
        AUTO_FREE char *whole = xasprintf("m:%s%s", path, name);
        const struct field *field = map_get(&n->by_name, bytes_of(whole));
        need(n, "m:", path, name);
        if (!field) continue;
        AUTO_JSON *page = json_parse(field->value, NULL);
        size_t i;
        json_t *live;
        need_outputs(n, d, path, p * PAGE_ITEMS, json_string_value(json_array_get(page, 0)));
        need_outputs(n, d, path, p * PAGE_ITEMS, json_string_value(json_array_get(page, 1)));
        json_array_foreach(json_array_get(page, 2), i, live)
            need_instance(n, d, path, number(live, 0), json_array_get(live, 1));
    }
}

/* The nesting is that of the definition's scopes. */
static void need_entries(struct needs *n, uint32_t scope, const char *path, const json_t *entries)
{
    size_t i;
    json_t *entry;
    json_array_foreach(entries, i, entry) {
        int64_t index = number(entry, 0);
        if (index < 0 || index >= n->def->step_count) continue;
        const struct step_def *d = &n->def->steps[index];
        if (d->scope != scope) continue;
        need(n, "o:", path, d->path);
        need(n, "q:", path, d->path);
        bool held = number(entry, 9) & 4;
        if (number(entry, 1) != STEP_STATE_WAITING && !held) continue;
        if (d->kind == STEP_MAP) need_pages(n, d, path, number(entry, 4));
        if (d->kind == STEP_LOOP)
            need_instance(n, d, path, number(entry, 4) - 1, json_array_get(entry, STEP_NUMBERS));
    }
}

void run_needs(const struct definition *def, const struct field *fields, size_t count,
               struct fields *ret)
{
    static const char *const always[] = { "h", "s", "i", "v", "l", "g", "u", "c", "k", "o:" };
    struct needs n = { .def = def, .ret = ret };
    for (size_t i = 0; i < count; i++)
        if (fields[i].value.data)
            map_put(&n.by_name, fields[i].name, (void *)(uintptr_t)&fields[i]);
    for (size_t i = 0; i < ARRAY_LEN(always); i++) need(&n, "", "", always[i]);
    const struct field *skeleton = map_get(&n.by_name, BYTES_LIT("s"));
    AUTO_JSON *s = skeleton ? json_parse(skeleton->value, NULL) : NULL;
    need_entries(&n, 0, "", json_array_get(s, 10));
    map_done(&n.by_name);
}
