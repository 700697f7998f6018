/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's header as its callers use it: effects, what is issued again, the stored form and the
 * description. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "world.h"

#define WORKFLOW "workflow: w\nversion: 1.0.0\n"
#define ONE_STEP WORKFLOW "steps: [{name: a, type: task}]\n"

#define AUTO_DEFINITION CLEANUP(definition_free_p) struct definition
#define AUTO_WORLD      CLEANUP(world_done) struct world

static const struct usage no_usage;

static void complete(struct world *w, const char *path, const char *output)
{
    world_result(w, EVENT_TASK_COMPLETED, path, 1, output, no_usage);
}

static const char *ce_text(const struct effect *effect, const char *name)
{
    for (size_t i = 0; i < effect->ce_count; i++)
        if (strcmp(effect->ce[i].name, name) == 0) return effect->ce[i].value.data;
    return "absent";
}

Test(engine_api, a_finished_run_is_one_cloud_event)
{
    AUTO_DEFINITION *def = parse_definition(ONE_STEP);
    AUTO_WORLD w = world_new(def);
    world_start(&w, "{}");
    w.now_ms += 1500;
    world_result(&w, EVENT_TASK_COMPLETED, "a", 1, "{\"x\":1}",
                 (struct usage){ .tokens_in = 5, .tokens_out = 6, .micro_usd = 7 });
    cr_assert_eq(w.fx.count, 1);
    const struct effect *effect = &w.fx.list[0];
    cr_assert_eq(effect->kind, EFFECT_RESULT);
    cr_assert_str_eq(ce_text(effect, "ce_specversion"), "1.0");
    cr_assert_str_eq(ce_text(effect, "ce_id"), RUN_ID "/completed");
    cr_assert_str_eq(ce_text(effect, "ce_source"), "/tutti/w");
    cr_assert_str_eq(ce_text(effect, "ce_type"), "io.tutti.run.completed");
    cr_assert_str_eq(ce_text(effect, "ce_subject"), RUN_ID);
    cr_assert_str_eq(ce_text(effect, "ce_time"), "2023-11-14T22:13:21.500Z");
    cr_assert_str_eq(ce_text(effect, "content-type"), "application/json");
    cr_assert(bytes_is(effect->key, RUN_ID));
    cr_assert_str_eq(effect->value.data,
                     "{\"run\":\"" RUN_ID "\",\"workflow\":\"w\",\"version\":\"1.0.0\","
                     "\"status\":\"completed\",\"output\":{\"x\":1},"
                     "\"usage\":{\"tokens_in\":5,\"tokens_out\":6,\"micro_usd\":7},"
                     "\"started_at\":\"2023-11-14T22:13:20.000Z\","
                     "\"finished_at\":\"2023-11-14T22:13:21.500Z\"}");
}

/* --- lifecycle --- */

#define PEOPLE                                                                        \
    WORKFLOW "steps: [{name: a, type: human_approval}, {name: b, type: task, retry: " \
             "{max_attempts: 1}}]\n"

static const struct effect *told(const struct world *w, size_t n)
{
    for (size_t i = 0; i < w->fx.count; i++)
        if (w->fx.list[i].kind == EFFECT_LIFECYCLE && n-- == 0) return &w->fx.list[i];
    cr_assert_fail("nothing more is told");
    return NULL;
}

static void check_told(const struct world *w, size_t n, const char *id, const char *sequence,
                       const char *value)
{
    const struct effect *effect = told(w, n);
    cr_expect_str_eq(ce_text(effect, "ce_id"), id);
    cr_expect_str_eq(ce_text(effect, "ce_sequence"), sequence);
    cr_expect_str_eq(effect->value.data, value);
}

static void apply(struct world *w, enum event_type type, const char *path, const char *value)
{
    world_apply(w,
                (struct event){ .type = type, .path = bytes_of(path), .actor = BYTES_LIT("ann") },
                value);
}

#define TOLD(from, state, more, at)                                                        \
    "{\"run_id\":\"" RUN_ID "\",\"workflow\":\"w\",\"version\":\"1.0.0\",\"from\":\"" from \
    "\",\"state\":\"" state "\"" more ",\"at\":\"2023-11-14T22:13:" at "Z\"}"

Test(engine_api, a_run_that_waits_for_its_turn_is_told_of_as_initializing)
{
    AUTO_DEFINITION *def = parse_definition(PEOPLE);
    AUTO_WORLD w = world_new(def);
    w.lifecycle = true;
    world_apply(
        &w, (struct event){ .type = EVENT_RUN_START, .key = BYTES_LIT("k"), .policy = START_QUEUE },
        "{}");
    cr_assert_str_eq(w.trace.data, "lifecycle initializing");
    check_told(&w, 0, RUN_ID "/0.0", "00000000000000000100.000",
               TOLD("initializing", "initializing", "", "20.000"));
    world_apply(&w, (struct event){ .type = EVENT_RUN_BEGIN }, "");
    cr_assert_str_eq(w.trace.data, "lifecycle running, lifecycle waiting_approval");
}

Test(engine_api, every_change_of_a_runs_state_is_told_in_order_under_an_id_of_its_own)
{
    AUTO_DEFINITION *def = parse_definition(PEOPLE);
    AUTO_WORLD w = world_new(def);
    w.lifecycle = true;
    world_start(&w, "{}");
    cr_assert_str_eq(w.trace.data, "lifecycle running, lifecycle waiting_approval");
    check_told(&w, 0, RUN_ID "/0.0", "00000000000000000100.000",
               TOLD("initializing", "running", "", "20.000"));
    check_told(&w, 1, RUN_ID "/0.1", "00000000000000000100.001",
               TOLD("running", "waiting_approval", "", "20.000"));
    const struct effect *effect = told(&w, 1);
    cr_expect_str_eq(ce_text(effect, "ce_specversion"), "1.0");
    cr_expect_str_eq(ce_text(effect, "ce_source"), "/tutti/w");
    cr_expect_str_eq(ce_text(effect, "ce_type"), "io.tutti.run.waiting_approval");
    cr_expect_str_eq(ce_text(effect, "ce_subject"), RUN_ID);
    cr_expect_str_eq(ce_text(effect, "ce_time"), "2023-11-14T22:13:20.000Z");
    cr_expect(bytes_is(effect->key, "0123456789abcdef"), "the routing part of its id");
    w.now_ms += 1000;
    apply(&w, EVENT_RUN_PAUSE, "", "");
    check_told(&w, 0, RUN_ID "/1.0", "00000000000000000101.000",
               TOLD("waiting_approval", "paused", "", "21.000"));
    apply(&w, EVENT_RUN_RESUME, "", "");
    cr_assert_str_eq(w.trace.data, "lifecycle running, lifecycle waiting_approval");
    apply(&w, EVENT_APPROVAL, "a", "{\"decision\":\"approve\"}");
    cr_assert_str_eq(w.trace.data, "task b/1, lifecycle running");
    world_result(&w, EVENT_TASK_FAILED, "b", 1, "{\"type\":\"auth\",\"message\":\"no\"}", no_usage);
    cr_assert_str_eq(w.trace.data, "lifecycle failed, result failed");
    check_told(&w, 0, RUN_ID "/4.0", "00000000000000000104.000",
               TOLD("running", "failed",
                    ",\"error\":{\"type\":\"auth\",\"message\":\"no\",\"step\":\"b\",\"attempt\":1,"
                    "\"retryable\":false,\"details\":null}",
                    "21.000"));
    apply(&w, EVENT_RUN_CANCEL, "", "{}");
    cr_assert_eq(w.fx.count, 0, "a run that is over changes no more");
}

Test(engine_api, a_run_is_told_to_roll_back_with_the_error_and_an_incident_with_its_reason)
{
    AUTO_DEFINITION *def = parse_definition(
        WORKFLOW "on_error: rollback\nsteps: [{name: a, type: task, compensate: [{name: u, type: "
                 "task}]}, {name: f, type: fail, error: broken}]\n");
    AUTO_WORLD w = world_new(def);
    w.lifecycle = true;
    world_start(&w, "{}");
    complete(&w, "a", "1");
    cr_assert_str_eq(w.trace.data, "task u/1, lifecycle rolling_back");
    cr_expect(strstr(told(&w, 0)->value.data, "\"message\":\"broken\""));
    struct fold_context cx = { .offset = 200, .topic = "t", .gen = "g", .lifecycle = true };
    effects_reset(&w.fx);
    engine_pause(w.run, "it crashed its owners", &cx, &w.fx);
    cr_expect_str_eq(ce_text(told(&w, 0), "ce_type"), "io.tutti.run.paused");
    cr_expect(strstr(told(&w, 0)->value.data, "\"message\":\"broken\""),
              "why it rolls back is not to be forgotten");

    AUTO_DEFINITION *plain = parse_definition(ONE_STEP);
    AUTO_WORLD other = world_new(plain);
    world_start(&other, "{}");
    effects_reset(&other.fx);
    engine_pause(other.run, "it crashed its owners", &cx, &other.fx);
    cr_expect(strstr(told(&other, 0)->value.data, "it crashed its owners"));
}

Test(engine_api, that_it_is_told_changes_nothing_else)
{
    AUTO_DEFINITION *def = parse_definition(PEOPLE);
    AUTO_WORLD quiet = world_new(def), told_of = world_new(def);
    told_of.lifecycle = true;
    struct world *const worlds[] = { &quiet, &told_of };
    for (size_t i = 0; i < ARRAY_LEN(worlds); i++) {
        world_start(worlds[i], "{}");
        apply(worlds[i], EVENT_APPROVAL, "a", "{\"decision\":\"approve\"}");
        complete(worlds[i], "b", "1");
    }
    cr_assert_str_eq(quiet.trace.data, "result completed");
    cr_assert_eq(quiet.stored, told_of.stored);
    for (size_t i = 0; i < quiet.stored; i++)
        cr_assert(bytes_equal(quiet.store[i].value, told_of.store[i].value) &&
                  bytes_equal(quiet.store[i].name, told_of.store[i].name));
}

static size_t reissued(const struct world *w, int64_t doubt_off)
{
    CLEANUP(effects_done) struct effects fx = { 0 };
    struct fold_context cx = { .topic = "tutti.events", .gen = "g2" };
    engine_reissue(w->run, doubt_off, &cx, &fx);
    return fx.count;
}

/* The first event of a world has offset 100. */
Test(engine_api, only_what_was_caused_in_doubt_is_issued_again)
{
    AUTO_DEFINITION *def = parse_definition(
        WORKFLOW "steps:\n- name: p\n  type: parallel\n  branches: {x: [{name: a, type: task}, "
                 "{name: b, type: task}], y: [{name: c, type: task}]}\n");
    AUTO_WORLD w = world_new(def);
    world_start(&w, "{}");
    cr_assert_eq(reissued(&w, 100), 2);
    cr_assert_eq(reissued(&w, 101), 0);
    complete(&w, "a", "1");
    cr_assert_eq(reissued(&w, 101), 1);
    cr_assert_eq(reissued(&w, 0), 2);
    complete(&w, "b", "1");
    complete(&w, "c", "1");
    cr_assert_eq(reissued(&w, 103), 1, "the event of the finished run, caused at 103");
    cr_assert_eq(reissued(&w, 104), 0);
}

Test(engine_api, backoff_is_drawn_within_its_window_and_differs_by_run)
{
    AUTO_DEFINITION *def = parse_definition(
        WORKFLOW
        "steps: [{name: a, type: task, retry: {max_attempts: 9, initial: 1s, max: 3s}}]\n");
    struct fold_context cx = { .record_ms = START_MS, .topic = "t", .gen = "g" };
    int64_t sum[3] = { 0 }, most[3] = { 0 };
    enum { RUNS = 200 };
    for (int i = 0; i < RUNS; i++) {
        char id[RUN_ID_MAX];
        run_id_from_origin(id, (struct bytes){ .data = (char *)&i, .len = sizeof i });
        CLEANUP(effects_done) struct effects fx = { 0 };
        struct event ev = { .type = EVENT_RUN_START, .run_id = bytes_of(id) };
        cx.record_ms = START_MS;
        CLEANUP(run_free_p) struct run *run = engine_start(def, &ev, &cx, &fx);
        for (uint32_t n = 0; n < 3; n++) {
            ev = (struct event){ .type = EVENT_TASK_FAILED,
                                 .path = BYTES_LIT("a"),
                                 .attempt = n + 1,
                                 .gen = BYTES_LIT("g"),
                                 .value = BYTES_LIT("{\"type\":\"overloaded\"}") };
            engine_apply(run, &ev, &cx, &fx);
            int64_t wait = run_due_ms(run) - cx.record_ms;
            sum[n] += wait;
            most[n] = MAX(most[n], wait);
            cx.record_ms += wait;
            engine_apply(run, &(struct event){ .type = EVENT_TIMER_FIRED }, &cx, &fx);
        }
    }
    static const int64_t window[] = { 1000, 2000, 3000 };
    for (int n = 0; n < 3; n++) {
        cr_assert_leq(most[n], window[n]);
        cr_assert_geq(most[n], window[n] * 9 / 10);
        cr_assert_geq(sum[n] / RUNS, window[n] * 4 / 10);
        cr_assert_leq(sum[n] / RUNS, window[n] * 6 / 10);
    }
}

/* A JSON string of that many bytes; to free(). */
static char *long_text(size_t bytes)
{
    char *text = xmalloc(bytes + 1);
    memset(text, 'x', bytes);
    text[0] = text[bytes - 1] = '"';
    text[bytes] = '\0';
    return text;
}

static void assert_error(const struct world *w, const char *type, const char *part)
{
    AUTO_JSON *run = world_describe(w);
    const json_t *error = json_object_get(run, "error");
    cr_assert_str_eq(json_text(error, "type"), type);
    cr_assert(strstr(json_text(error, "message"), part), "%s", json_text(error, "message"));
}

Test(engine_api, a_payload_above_the_limit_is_an_error_that_names_it)
{
    AUTO_DEFINITION *def = parse_definition(
        WORKFLOW "steps: [{name: a, type: task, input: ['${input}', '${input}']}]\n");
    AUTO_WORLD w = world_new(def);
    AUTO_FREE char *input = long_text(500 * 1000);
    world_start(&w, input);
    assert_error(&w, "bad_request", "900000");
}

Test(engine_api, a_joined_output_above_the_limit_is_an_error_that_names_it)
{
    AUTO_DEFINITION *def = parse_definition(
        WORKFLOW "steps:\n- name: p\n  type: parallel\n  branches: {x: [{name: a, type: task}], "
                 "y: [{name: b, type: task}]}\n");
    AUTO_WORLD w = world_new(def);
    AUTO_FREE char *output = long_text(500 * 1000);
    world_start(&w, "{}");
    complete(&w, "a", output);
    complete(&w, "b", output);
    assert_error(&w, "bad_request", "900000");
}

Test(engine_api, the_head_keeps_key_and_identity)
{
    AUTO_DEFINITION *def = parse_definition(ONE_STEP);
    AUTO_WORLD w = world_new(def);
    world_apply(&w,
                (struct event){ .type = EVENT_RUN_START,
                                .key = BYTES_LIT("order 7"),
                                .namespace_ = BYTES_LIT("shop"),
                                .actor = BYTES_LIT("\xff") },
                "{}");
    struct err e;
    CLEANUP(run_free_p) struct run *run = run_load(def, RUN_ID, w.store, w.stored, &e);
    cr_assert(bytes_is(run_key(run), "order 7"));
    cr_assert_str_eq(run_definition(run), def->sha256);
    char sha[SHA256_HEX];
    cr_assert(fields_definition(w.store, w.stored, sha));
    cr_assert_str_eq(sha, def->sha256);
    AUTO_JSON *shown = world_describe(&w);
    cr_assert_str_eq(json_text(shown, "key"), "order 7");
    cr_assert_str_eq(json_text(shown, "namespace"), "shop");
    cr_assert_null(json_text(shown, "actor"), "what is no UTF-8 goes nowhere");
}

Test(engine_api, a_run_does_not_load_with_another_definition)
{
    AUTO_DEFINITION *def = parse_definition(ONE_STEP);
    AUTO_DEFINITION *other = parse_definition(WORKFLOW "steps: [{name: b, type: task}]\n");
    AUTO_WORLD w = world_new(def);
    world_start(&w, "{}");
    struct err e;
    cr_assert_null(run_load(other, RUN_ID, w.store, w.stored, &e));
    cr_assert_eq(e.kind, ERR_INVALID);
    cr_assert_null(run_load(def, RUN_ID, w.store, 0, &e));
    cr_assert_null(run_load(def, "x", w.store, w.stored, &e));
}

Test(engine_api, a_run_with_two_results_does_not_load)
{
    AUTO_DEFINITION *def = parse_definition(ONE_STEP);
    AUTO_WORLD w = world_new(def);
    world_start(&w, "{}");
    struct field fields[64];
    cr_assert_leq(w.stored + 2, ARRAY_LEN(fields));
    memcpy(fields, w.store, w.stored * sizeof *fields);
    fields[w.stored] = fields[w.stored + 1] =
        (struct field){ .name = BYTES_LIT("o:"), .value = BYTES_LIT("1") };
    struct err e;
    CLEANUP(run_free_p) struct run *one = run_load(def, RUN_ID, fields, w.stored + 1, &e);
    cr_assert(one);
    cr_assert_null(run_load(def, RUN_ID, fields, w.stored + 2, &e));
    cr_assert_eq(e.kind, ERR_INVALID);
}

Test(engine_api, without_its_definition_a_run_is_shown_by_paths)
{
    AUTO_DEFINITION *def =
        parse_definition(WORKFLOW "steps: [{name: a, type: task},{name: b, type: task}]\n");
    AUTO_WORLD w = world_new(def);
    world_start(&w, "{}");
    w.now_ms += 1000;
    complete(&w, "a", "[1]");
    struct err e;
    AUTO_JSON *run = run_describe(NULL, RUN_ID, w.store, w.stored, &e);
    const json_t *steps = json_object_get(run, "steps");
    cr_assert_eq(json_array_size(steps), 2);
    const json_t *a = json_array_get(steps, 0), *b = json_array_get(steps, 1);
    cr_assert_str_eq(json_text(a, "path"), "a");
    cr_assert_str_eq(json_text(a, "status"), "completed");
    cr_assert_str_eq(json_text(a, "finished_at"), "2023-11-14T22:13:21.000Z");
    cr_assert_eq(json_integer_value(json_array_get(json_object_get(a, "output"), 0)), 1);
    cr_assert_str_eq(json_text(b, "status"), "issued");
    cr_assert_eq(json_int(b, "attempts", 0), 1);
}

Test(engine_api, a_step_writes_its_own_fields_only)
{
    AUTO_DEFINITION *def = parse_definition(
        WORKFLOW "steps: [{name: a, type: task},{name: b, type: task},{name: c, type: task}]\n");
    AUTO_WORLD w = world_new(def);
    world_start(&w, "{}");
    cr_assert_eq(w.fields.count, 4, "h, i, s and t:0");
    complete(&w, "a", "1");
    complete(&w, "b", "2");
    cr_assert_eq(w.fields.count, 3, "s, o:b and t:2");
    for (size_t i = 0; i < w.fields.count; i++) cr_assert(!bytes_is(w.fields.list[i].name, "o:a"));
}

Test(engine_api, transitions_that_are_written_together_are_one_field)
{
    AUTO_DEFINITION *def =
        parse_definition(WORKFLOW "steps: [{name: a, type: task},{name: b, type: task}]\n");
    CLEANUP(effects_done) struct effects fx = { 0 };
    CLEANUP(fields_done) struct fields fields = { 0 };
    struct fold_context cx = { .record_ms = START_MS, .offset = 100, .topic = "t", .gen = "g" };
    struct event ev = { .type = EVENT_RUN_START, .run_id = BYTES_LIT(RUN_ID) };
    CLEANUP(run_free_p) struct run *run = engine_start(def, &ev, &cx, &fx);
    cx.record_ms += 1000;
    cx.offset++;
    ev = (struct event){ .type = EVENT_TASK_COMPLETED,
                         .path = BYTES_LIT("a"),
                         .attempt = 1,
                         .gen = BYTES_LIT("g"),
                         .value = BYTES_LIT("[1]") };
    cr_assert_eq(engine_apply(run, &ev, &cx, &fx), ENGINE_APPLIED);
    run_changes(run, &fields);
    cr_assert_eq(fields.count, 5, "h, i, s, o:a and t:0");
    cr_assert(bytes_is(fields.list[4].name, "t:0"));
    cr_assert(bytes_is(fields.list[4].value,
                       "[1700000000000,100,[[\"\",\"running\",0],[\"a\",\"issued\",1]],"
                       "1700000001000,101,[[\"a\",\"completed\",1],[\"b\",\"issued\",1]]]"));
    struct err e;
    AUTO_JSON *shown = run_describe(NULL, RUN_ID, fields.list, fields.count, &e);
    const json_t *a = json_array_get(json_object_get(shown, "steps"), 0);
    cr_assert_str_eq(json_text(a, "started_at"), "2023-11-14T22:13:20.000Z");
    cr_assert_str_eq(json_text(a, "finished_at"), "2023-11-14T22:13:21.000Z");
    cr_assert_eq(json_array_size(json_object_get(shown, "steps")), 2);
    fields_reset(&fields);
    cx.offset++;
    ev = (struct event){ .type = EVENT_RUN_CANCEL };
    cr_assert_eq(engine_apply(run, &ev, &cx, &fx), ENGINE_APPLIED);
    run_changes(run, &fields);
    bool third = false;
    for (size_t i = 0; i < fields.count; i++) third |= bytes_is(fields.list[i].name, "t:2");
    cr_assert(third, "the next goes on with their numbers");
}

Test(engine_api, a_run_with_an_input_of_512_bytes_waits_in_less_than_1_kib)
{
    AUTO_DEFINITION *def = parse_definition(
        WORKFLOW "steps: [{name: a, type: task},{name: b, type: task},{name: c, type: task},{name: "
                 "d, type: task},{name: e, type: task}]\n");
    AUTO_WORLD w = world_new(def);
    AUTO_FREE char *text = long_text(512);
    world_start(&w, text);
    cr_assert_lt(run_memory(w.run), 1024);
    static const char *const paths[] = { "a", "b", "c", "d" };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) complete(&w, paths[i], text);
    cr_assert_lt(run_memory(w.run), 4096);
    complete(&w, "e", text);
    cr_assert_lt(run_memory(w.run), 1536, "a finished run keeps its result");
}
