/* SPDX-License-Identifier: Apache-2.0
 *
 * What became of the runs: read where a user would read it, in the topic of results. */
#include "sim/endings.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/json.h"
#include "sim/cluster.h"
#include "sim/tools_world.h"

void endings_add(struct endings *to, const struct ending *ending)
{
    for (size_t i = 0; i < to->count; i++) {
        struct ending *e = &to->list[i];
        if (e->rolled_back != ending->rolled_back || strcmp(e->type, ending->type) != 0 ||
            strcmp(e->step, ending->step) != 0)
            continue;
        uint64_t count = e->count + ending->count;
        if (ending->seed < e->seed) *e = *ending;
        e->count = count;
        return;
    }
    if (to->count < ENDINGS_MAX)
        to->list[to->count++] = *ending;
    else
        to->others += ending->count;
}

void endings_merge(struct endings *to, const struct endings *from)
{
    for (size_t i = 0; i < from->count; i++) endings_add(to, &from->list[i]);
    to->others += from->others;
}

static int compare(const void *a, const void *b)
{
    const struct ending *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    int type = strcmp(x->type, y->type), step = strcmp(x->step, y->step);
    return type ? type : step ? step : x->rolled_back - y->rolled_back;
}

void endings_sort(struct endings *e)
{
    qsort(e->list, e->count, sizeof *e->list, compare);
}

/* --- runs --- */

static void text_copy(char *to, size_t size, const char *text)
{
    if (!text) text = "";
    size_t len = strnlen(text, size - 1);
    while (len && !utf8_check(text, len)) len--;
    memcpy(to, text, len);
    to[len] = '\0';
}

static void result_count(struct world *w, struct bytes value, struct endings *ret)
{
    AUTO_JSON *result = json_parse(value, NULL);
    const char *status = json_text(result, "status");
    const json_t *error = json_object_get(result, "error");
    ASSERT(status);
    if (strcmp(status, "completed") == 0) {
        w->counters.completed++;
        return;
    }
    if (strcmp(status, "cancelled") == 0) {
        w->counters.cancelled++;
        return;
    }
    bool rolled_back = strcmp(status, "rolled_back") == 0;
    if (rolled_back)
        w->counters.rolled_back++;
    else
        w->counters.failed++;
    struct ending ending = { .count = 1, .seed = w->seed, .rolled_back = rolled_back };
    text_copy(ending.type, sizeof ending.type, json_text(error, "type"));
    text_copy(ending.step, sizeof ending.step, json_text(error, "step"));
    text_copy(ending.text, sizeof ending.text, json_text(error, "message"));
    endings_add(ret, &ending);
}

static void results_count(struct world *w, struct endings *ret)
{
    struct map seen = { 0 };
    const struct topic *topic = cluster_topic(w->cluster, PREFIX ".results");
    for (int32_t p = 0; topic && p < topic->partitions; p++) {
        const struct log_part *part = &topic->parts[p];
        for (int64_t i = part->start; i < part->end; i++) {
            struct record *r = part->records[i];
            if (!r || record_is_claim(r) || map_put(&seen, r->message.key, r)) continue;
            result_count(w, r->message.value, ret);
        }
    }
    map_done(&seen);
}

/* --- calls --- */

/* Until when another call of the step does again what may have been done already: a call that has
 * failed is known to have done nothing from its end on. */
static uint64_t doubtful_until(const struct ledger_entry *call)
{
    return call->succeeded || !call->end_us ? NEVER : call->end_us;
}

struct step_calls {
    struct step_calls *next;
    uint64_t doubtful_us; /* of those so far, the latest */
    char key[];
};

static void calls_count(struct world *w)
{
    struct map steps = { 0 };
    struct step_calls *all = NULL;
    for (size_t i = 0; i < tools_calls(w->tools); i++) {
        const struct ledger_entry *call = tools_call(w->tools, i);
        AUTO_FREE char *key = xasprintf("%s %s", call->run_id, call->path);
        struct step_calls *step = map_get(&steps, bytes_of(key));
        if (!step) {
            size_t len = strlen(key);
            step = xcalloc(1, sizeof *step + len + 1);
            memcpy(step->key, key, len);
            step->next = all;
            all = step;
            map_put(&steps, bytes_of(step->key), step);
        } else if (call->begin_us < step->doubtful_us) {
            w->counters.again_unknown++;
        } else {
            w->counters.again_failed++;
        }
        step->doubtful_us = MAX(step->doubtful_us, doubtful_until(call));
    }
    while (all) {
        struct step_calls *step = all;
        all = step->next;
        free(step);
    }
    map_done(&steps);
}

void endings_of_world(struct world *w, struct endings *ret)
{
    results_count(w, ret);
    calls_count(w);
    w->counters.cut += w->cut || w->quarantined;
    w->counters.virtual_ms += w->now_us / MS;
}
