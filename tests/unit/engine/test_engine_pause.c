/* SPDX-License-Identifier: Apache-2.0
 *
 * An incident: what a paused run keeps, what it does not do, and how it goes on. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "world.h"

#define AUTO_DEFINITION CLEANUP(definition_free_p) struct definition
#define WORKFLOW        "workflow: w\nversion: 1.0.0\n"
#define TWO_BRANCHES                                                                         \
    WORKFLOW "limits: {timeout: 1h}\nsteps:\n- name: p\n  type: parallel\n  branches: {"     \
             "x: [{name: a, type: task}, {name: b, type: task}], y: [{name: c, type: task, " \
             "retry: {backoff: fixed, initial: 1s}}]}\n"

struct bench {
    struct run *run;
    struct effects fx;
    struct fold_context cx;
};

static struct bench started(const struct definition *def)
{
    struct bench b = { .cx = { .record_ms = START_MS, .offset = 100, .topic = "t", .gen = "g" } };
    struct event ev = { .type = EVENT_RUN_START, .run_id = BYTES_LIT(RUN_ID) };
    b.run = engine_start(def, &ev, &b.cx, &b.fx);
    return b;
}

static void bench_done(struct bench *b)
{
    run_free(b->run);
    effects_done(&b->fx);
}

static enum engine_verdict apply(struct bench *b, struct event ev)
{
    effects_reset(&b->fx);
    b->cx.offset++;
    b->cx.record_ms++;
    return engine_apply(b->run, &ev, &b->cx, &b->fx);
}

static enum engine_verdict result(struct bench *b, enum event_type type, const char *path,
                                  const char *value)
{
    return apply(b, (struct event){ .type = type,
                                    .path = bytes_of(path),
                                    .attempt = 1,
                                    .gen = BYTES_LIT("g"),
                                    .value = bytes_of(value) });
}

static void pause_run(struct bench *b)
{
    effects_reset(&b->fx);
    b->cx.offset++;
    engine_pause(b->run, "it crashed", &b->cx, &b->fx);
}

/* Paths of the tasks that were emitted, in order. */
static void check_tasks(const struct bench *b, const char *expected)
{
    AUTO_BUF struct buf text = { 0 };
    for (size_t i = 0; i < b->fx.count; i++) {
        if (b->fx.list[i].kind != EFFECT_TASK) continue;
        struct bytes path = b->fx.list[i].header[HEADER_PATH];
        if (text.len) buf_add_char(&text, ' ');
        buf_add(&text, path.data, path.len);
    }
    cr_assert(bytes_is(buf_bytes(&text), expected), "%.*s", (int)text.len, text.data);
}

Test(engine_pause, a_result_is_kept_and_nothing_is_begun_until_the_run_goes_on)
{
    AUTO_DEFINITION *def = parse_definition(TWO_BRANCHES);
    struct bench b = started(def);
    check_tasks(&b, "a c");
    pause_run(&b);
    cr_assert_eq(run_state_of(b.run), RUN_PAUSED);
    cr_assert_eq(b.fx.count, 0);
    cr_assert_eq(result(&b, EVENT_TASK_COMPLETED, "a", "1"), ENGINE_APPLIED);
    check_tasks(&b, "");
    cr_assert_eq(apply(&b, (struct event){ .type = EVENT_RUN_RESUME }), ENGINE_APPLIED);
    cr_assert_eq(run_state_of(b.run), RUN_RUNNING);
    check_tasks(&b, "c b"); /* what was out, once more, and what comes next */
    bench_done(&b);
}

Test(engine_pause, its_tasks_are_not_issued_again_by_a_recovery)
{
    AUTO_DEFINITION *def = parse_definition(TWO_BRANCHES);
    struct bench b = started(def);
    pause_run(&b);
    engine_reissue(b.run, 0, &b.cx, &b.fx);
    cr_assert_eq(b.fx.count, 0);
    bench_done(&b);
}

/* A recovery amid the pause has kept them back, and the next one has to look no further than the
 * resume. */
Test(engine_pause, a_recovery_behind_the_resume_issues_again_what_was_out_before_it)
{
    AUTO_DEFINITION *def = parse_definition(TWO_BRANCHES);
    struct bench b = started(def);
    pause_run(&b);
    apply(&b, (struct event){ .type = EVENT_RUN_RESUME });
    effects_reset(&b.fx);
    engine_reissue(b.run, b.cx.offset, &b.cx, &b.fx);
    check_tasks(&b, "a c");
    bench_done(&b);
}

Test(engine_pause, backoffs_wait_and_are_over_when_it_goes_on)
{
    AUTO_DEFINITION *def = parse_definition(TWO_BRANCHES);
    struct bench b = started(def);
    result(&b, EVENT_TASK_FAILED, "c", "{\"type\":\"overloaded\"}");
    pause_run(&b);
    b.cx.record_ms = START_MS + 60000;
    cr_assert_eq(apply(&b, (struct event){ .type = EVENT_TIMER_FIRED }), ENGINE_IGNORED);
    cr_assert_eq(run_due_ms(b.run), START_MS + 3600000, "only its own timeout is due");
    apply(&b, (struct event){ .type = EVENT_RUN_RESUME });
    check_tasks(&b, "a c");
    bench_done(&b);
}

Test(engine_pause, its_timeout_and_a_cancel_still_end_it)
{
    AUTO_DEFINITION *def = parse_definition(TWO_BRANCHES);
    struct bench b = started(def);
    pause_run(&b);
    b.cx.record_ms = START_MS + 3600000;
    apply(&b, (struct event){ .type = EVENT_TIMER_FIRED });
    cr_assert_eq(run_state_of(b.run), RUN_FAILED);
    cr_assert_eq(b.fx.list[b.fx.count - 1].kind, EFFECT_RESULT);
    bench_done(&b);
    b = started(def);
    pause_run(&b);
    apply(&b, (struct event){ .type = EVENT_RUN_CANCEL });
    cr_assert_eq(run_state_of(b.run), RUN_CANCELLED);
    pause_run(&b);
    cr_assert_eq(run_state_of(b.run), RUN_CANCELLED, "what has ended is not paused");
    cr_assert_eq(apply(&b, (struct event){ .type = EVENT_RUN_RESUME }), ENGINE_IGNORED);
    bench_done(&b);
}

Test(engine_pause, it_is_stored_with_its_reason_and_loaded_again)
{
    AUTO_DEFINITION *def = parse_definition(TWO_BRANCHES);
    struct bench b = started(def);
    CLEANUP(fields_done) struct fields fields = { 0 };
    struct err e;
    pause_run(&b);
    run_changes(b.run, &fields);
    CLEANUP(run_free_p) struct run *loaded = run_load(def, RUN_ID, fields.list, fields.count, &e);
    cr_assert(loaded != NULL, "%s", e.text);
    cr_assert_eq(run_state_of(loaded), RUN_PAUSED);
    cr_assert_eq(run_due_ms(loaded), run_due_ms(b.run));
    AUTO_JSON *shown = run_describe(def, RUN_ID, fields.list, fields.count, &e);
    cr_assert_str_eq(json_text(shown, "status"), "paused");
    cr_assert_str_eq(json_text(json_object_get(shown, "error"), "message"), "it crashed");
    fields_reset(&fields);
    apply(&b, (struct event){ .type = EVENT_RUN_RESUME });
    run_changes(b.run, &fields);
    bool gone = false;
    for (size_t i = 0; i < fields.count; i++)
        gone |= bytes_is(fields.list[i].name, "o:") && !fields.list[i].value.data;
    cr_assert(gone, "the reason goes when it goes on");
    bench_done(&b);
}

Test(engine_pause, a_signal_that_comes_meanwhile_is_taken_when_it_goes_on)
{
    AUTO_DEFINITION *def = parse_definition(
        WORKFLOW "steps:\n- {name: x, type: wait, signal: go}\n- {name: a, type: task, input: "
                 "\"${steps.x.output}\"}\n");
    struct bench b = started(def);
    pause_run(&b);
    apply(&b, (struct event){
                  .type = EVENT_SIGNAL, .signal = BYTES_LIT("go"), .value = BYTES_LIT("7") });
    check_tasks(&b, "");
    apply(&b, (struct event){ .type = EVENT_RUN_RESUME });
    check_tasks(&b, "a");
    cr_assert(bytes_is(b.fx.list[b.fx.count - 1].value, "7"));
    bench_done(&b);
}
