/* SPDX-License-Identifier: Apache-2.0
 *
 * A map of a hundred thousand items, on the engine alone: what an event costs is counted, not
 * timed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/map.h"
#include "orchestrator/engine/engine.h"
#include "world.h"

#define ITEMS  100000
#define ACTIVE 64

#define AUTO_DEFINITION CLEANUP(definition_free_p) struct definition

struct large {
    const struct definition *def;
    struct run *run;
    struct effects fx;
    struct fields fields;
    struct map store; /* struct field by name, owned */
    char (*open)[64]; /* paths of tasks that are out, in order */
    size_t first, count;
    int64_t now_ms, offset;
    size_t visited_most, bytes_most, fields_most, skeleton_most; /* of one event */
};

static void store_put(struct large *l, const struct field *field)
{
    struct field *old = map_remove(&l->store, field->name);
    if (old) {
        free((char *)(uintptr_t)old->name.data);
        free((char *)(uintptr_t)old->value.data);
        free(old);
    }
    if (!field->value.data) return;
    struct field *copy = xmalloc(sizeof *copy);
    *copy = *field;
    copy->name.data = xstrndup(field->name.data, field->name.len);
    copy->value.data = xstrndup(field->value.data, field->value.len);
    map_put(&l->store, copy->name, copy);
}

/* Applies an event, and notes what it cost. Transitions are not kept: nobody loads them. */
static void apply(struct large *l, struct event ev)
{
    struct fold_context cx = {
        .record_ms = l->now_ms++, .offset = l->offset++, .topic = "events", .gen = "g1"
    };
    ev.run_id = BYTES_LIT(RUN_ID);
    ev.gen = BYTES_LIT("g1");
    effects_reset(&l->fx);
    fields_reset(&l->fields);
    if (l->run)
        engine_apply(l->run, &ev, &cx, &l->fx);
    else
        l->run = engine_start(l->def, &ev, &cx, &l->fx);
    size_t pending = run_pending_fields(l->run), bytes = 0;
    run_changes(l->run, &l->fields);
    cr_assert_leq(l->fields.count, pending + 5, "more fields than the engine said");
    for (size_t i = 0; i < l->fields.count; i++) {
        const struct field *field = &l->fields.list[i];
        if (bytes_is(field->name, "s")) l->skeleton_most = MAX(l->skeleton_most, field->value.len);
        if (!bytes_is(field->name, "i") && !bytes_is(field->name, "o:m")) bytes += field->value.len;
        if (field->name.data[0] != 't') store_put(l, field);
    }
    if (run_state_terminal(run_state_of(l->run))) return; /* it makes the list */
    l->bytes_most = MAX(l->bytes_most, bytes);
    l->fields_most = MAX(l->fields_most, l->fields.count);
    if (ev.type != EVENT_RUN_START) l->visited_most = MAX(l->visited_most, run_visited(l->run));
    for (size_t i = 0; i < l->fx.count; i++) {
        struct bytes path = l->fx.list[i].header[HEADER_PATH];
        cr_assert_eq(l->fx.list[i].kind, EFFECT_TASK);
        snprintf(l->open[l->count++], sizeof *l->open, "%.*s", (int)path.len, path.data);
    }
}

static struct large large_new(const struct definition *def, size_t tasks)
{
    return (struct large){ .def = def, .now_ms = START_MS, .open = xcalloc(tasks, 64) };
}

static void large_done(struct large *l)
{
    size_t pos = 0;
    for (struct field *f; (f = map_next(&l->store, &pos));) {
        free((char *)(uintptr_t)f->name.data);
        free((char *)(uintptr_t)f->value.data);
        free(f);
    }
    map_done(&l->store);
    effects_done(&l->fx);
    fields_done(&l->fields);
    run_free(l->run);
    free(l->open);
}

static void start(struct large *l, int items)
{
    AUTO_BUF struct buf input = { 0 };
    buf_add_char(&input, '[');
    for (int i = 0; i < items; i++) buf_addf(&input, "%s%d", i ? "," : "", i);
    buf_add_char(&input, ']');
    apply(l, (struct event){ .type = EVENT_RUN_START, .value = buf_bytes(&input) });
}

/* Answers the task that is out longest. */
static void answer(struct large *l)
{
    apply(l, (struct event){ .type = EVENT_TASK_COMPLETED,
                             .path = bytes_of(l->open[l->first++]),
                             .attempt = 1,
                             .value = BYTES_LIT("7") });
}

/* A run out of what is stored goes on as the one in memory. */
static void check_load(const struct large *l)
{
    AUTO_FREE struct field *fields = xcalloc(l->store.count, sizeof *fields);
    size_t pos = 0, n = 0;
    for (struct field *f; (f = map_next(&l->store, &pos));) fields[n++] = *f;
    struct err e = { 0 };
    CLEANUP(run_free_p) struct run *run = run_load(l->def, RUN_ID, fields, n, &e);
    cr_assert(run, "%s", e.text);
    cr_assert_eq(run_memory(run), run_memory(l->run));
    cr_assert_eq(run_due_ms(run), run_due_ms(l->run));
}

Test(engine_large, an_event_costs_the_same_among_a_hundred_thousand_items)
{
    AUTO_DEFINITION *def =
        parse_definition("workflow: w\nversion: 1.0.0\nlimits: {max_parallel: 64}\n"
                         "steps:\n- name: m\n  type: map\n  over: '${input}'\n"
                         "  steps:\n  - {name: a, type: task, input: '${item}'}\n");
    struct large l = large_new(def, ITEMS);
    start(&l, ITEMS);
    size_t before = run_memory(l.run);
    while (l.first < l.count) {
        answer(&l);
        if (l.first == ITEMS / 2 || l.first == ITEMS - 10) check_load(&l);
        if (l.first == ITEMS - 1)
            cr_assert_lt(run_memory(l.run), before + 24 * ITEMS, "an item that has ended is small");
    }
    cr_assert_eq(l.first, ITEMS, "%zu tasks were answered", l.first);
    cr_assert_eq(run_state_of(l.run), RUN_COMPLETED);
    cr_assert_leq(l.visited_most, 3, "the run, the item that was touched, the next one");
    cr_assert_lt(l.fields_most, 16);
    cr_assert_lt(l.bytes_most, 64 * ACTIVE + 512);
    cr_assert_lt(l.skeleton_most, 256);
    check_load(&l);
    large_done(&l);
}

Test(engine_large, items_that_wait_for_nobody_go_on_in_pieces)
{
    AUTO_DEFINITION *def = parse_definition("workflow: w\nversion: 1.0.0\nsteps:\n- name: m\n"
                                            "  type: map\n  over: '${input}'\n  steps:\n"
                                            "  - {name: a, type: transform, value: '${item}'}\n");
    struct large l = large_new(def, 1);
    start(&l, 20000);
    int events = 1;
    for (; !run_state_terminal(run_state_of(l.run)); events++)
        apply(&l, (struct event){ .type = EVENT_TIMER_FIRED });
    cr_assert_eq(run_state_of(l.run), RUN_COMPLETED);
    cr_assert_geq(events, 40);
    cr_assert_lt(l.fields_most, 1500, "what one commit writes is bounded");
    large_done(&l);
}

/* Many wait, for a slot and for a time: neither costs the others. */
Test(engine_large, ten_thousand_items_that_wait_cost_an_event_nothing)
{
    AUTO_DEFINITION *def = parse_definition(
        "workflow: w\nversion: 1.0.0\nlimits: {max_parallel: 10}\nsteps:\n- name: m\n  type: map\n"
        "  over: '${input}'\n  max_concurrent: 10000\n  steps:\n"
        "  - {name: a, type: task, retry: {backoff: fixed, initial: 1h}}\n");
    struct large l = large_new(def, 20000);
    start(&l, 9000);
    while (run_due_ms(l.run) < l.now_ms) apply(&l, (struct event){ .type = EVENT_TIMER_FIRED });
    l.visited_most = l.bytes_most = 0;
    for (int i = 0; i < 5000; i++)
        apply(&l, (struct event){ .type = EVENT_TASK_FAILED,
                                  .path = bytes_of(l.open[l.first++]),
                                  .attempt = 1,
                                  .value = BYTES_LIT("{\"type\":\"overloaded\"}") });
    cr_assert_leq(l.visited_most, 3);
    cr_assert_lt(l.bytes_most, 20000, "two pages of items that are all live");
    check_load(&l);
    large_done(&l);
}
