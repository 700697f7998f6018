/* SPDX-License-Identifier: Apache-2.0
 *
 * Large payloads: the limit is that of the fold, and the outline of a run whose payloads are
 * elsewhere. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "world.h"

#define AUTO_DEFINITION CLEANUP(definition_free_p) struct definition
#define WORKFLOW        "workflow: w\nversion: 1.0.0\n"
#define LARGE           950000 /* above what fits a message */

struct bench {
    struct run *run;
    struct effects fx;
    struct fields fields;
    struct fold_context cx;
};

/* A run whose input is a list of two large texts. */
static struct bench started(const struct definition *def, size_t payload_max)
{
    struct bench b = { .cx = { .record_ms = START_MS,
                               .offset = 100,
                               .topic = "t",
                               .gen = "g",
                               .payload_max = payload_max } };
    AUTO_BUF struct buf input = { 0 };
    AUTO_FREE char *text = xmalloc(LARGE / 2);
    memset(text, 'x', LARGE / 2);
    buf_add_char(&input, '[');
    for (int i = 0; i < 2; i++) {
        buf_add_text(&input, i ? ",\"" : "\"");
        buf_add(&input, text, LARGE / 2);
        buf_add_char(&input, '"');
    }
    buf_add_char(&input, ']');
    struct event ev = { .type = EVENT_RUN_START,
                        .run_id = BYTES_LIT(RUN_ID),
                        .value = buf_bytes(&input) };
    b.run = engine_start(def, &ev, &b.cx, &b.fx);
    return b;
}

static void bench_done(struct bench *b)
{
    run_free(b->run);
    effects_done(&b->fx);
    fields_done(&b->fields);
}

static const struct effect *effect_of(const struct bench *b, enum effect_kind kind)
{
    for (size_t i = 0; i < b->fx.count; i++)
        if (b->fx.list[i].kind == kind) return &b->fx.list[i];
    cr_assert_fail("no such effect");
    return NULL;
}

Test(engine_payloads, the_limit_is_that_of_the_fold)
{
    AUTO_DEFINITION *def =
        parse_definition(WORKFLOW "steps:\n- {name: a, type: task, input: '${input}'}\n");
    struct bench b = started(def, 2 * LARGE);
    cr_assert_gt(effect_of(&b, EFFECT_TASK)->value.len, LARGE);
    bench_done(&b);
    b = started(def, 0);
    cr_assert_eq(run_state_of(b.run), RUN_FAILED);
    struct bytes why = effect_of(&b, EFFECT_RESULT)->payload;
    AUTO_JSON *error = json_parse(why, NULL);
    cr_assert_str_eq(json_text(error, "type"), "bad_request");
    cr_assert(strstr(json_text(error, "message"), "900000"));
    bench_done(&b);
}

Test(engine_payloads, a_result_says_where_in_it_the_payload_stands)
{
    AUTO_DEFINITION *def =
        parse_definition(WORKFLOW "steps:\n- {name: a, type: transform, value: '${input}'}\n");
    struct bench b = started(def, 2 * LARGE);
    cr_assert_eq(run_state_of(b.run), RUN_COMPLETED);
    const struct effect *fx = effect_of(&b, EFFECT_RESULT);
    AUTO_JSON *value = json_parse(fx->value, NULL), *payload = json_parse(fx->payload, NULL);
    cr_assert_gt(fx->payload.len, LARGE);
    cr_assert(json_equal(json_object_get(value, "output"), payload));
    cr_assert_geq(fx->payload.data, fx->value.data);
    bench_done(&b);
}

/* The list of a map is made of the input each time that the run is loaded. */
Test(engine_payloads, a_run_is_loaded_whatever_size_was_let_in_and_its_outline_without_payloads)
{
    AUTO_DEFINITION *def = parse_definition(
        WORKFLOW "steps:\n- name: m\n  type: map\n  over: '${input}'\n  max_concurrent: 1\n"
                 "  steps:\n  - {name: a, type: task, input: '${item.size()}'}\n");
    struct bench b = started(def, 2 * LARGE);
    cr_assert_eq(run_state_of(b.run), RUN_RUNNING);
    run_changes(b.run, &b.fields);
    struct err e = { 0 };
    CLEANUP(run_free_p)
    struct run *loaded = run_load(def, RUN_ID, b.fields.list, b.fields.count, &e);
    cr_assert(loaded, "%s", e.text);
    for (size_t i = 0; i < b.fields.count; i++)
        if (bytes_is(b.fields.list[i].name, "i"))
            b.fields.list[i].value = BYTES_LIT("{\"lost\":1}");
    cr_assert_null(run_load(def, RUN_ID, b.fields.list, b.fields.count, &e));
    CLEANUP(run_free_p)
    struct run *outline = run_load_outline(def, RUN_ID, b.fields.list, b.fields.count, &e);
    cr_assert(outline, "%s", e.text);
    cr_assert_eq(run_due_ms(outline), run_due_ms(b.run));
    struct event ev = { .type = EVENT_RUN_TERMINATE, .value = BYTES_LIT("null") };
    engine_apply(outline, &ev, &b.cx, &b.fx);
    cr_assert_eq(run_state_of(outline), RUN_CANCELLED, "it can be ended all the same");
    bench_done(&b);
}

Test(engine_payloads, a_skeleton_says_whether_its_run_has_ended)
{
    AUTO_DEFINITION *def = parse_definition(WORKFLOW "steps:\n- {name: a, type: task, input: 1}\n");
    struct bench b = started(def, 2 * LARGE);
    for (int ended = 0; ended < 2; ended++) {
        fields_reset(&b.fields);
        run_changes(b.run, &b.fields);
        struct bytes skeleton = { 0 };
        for (size_t i = 0; i < b.fields.count; i++)
            if (bytes_is(b.fields.list[i].name, "s")) skeleton = b.fields.list[i].value;
        cr_assert_eq(skeleton_ended(skeleton), ended);
        struct event ev = { .type = EVENT_RUN_CANCEL, .value = BYTES_LIT("null") };
        engine_apply(b.run, &ev, &b.cx, &b.fx);
    }
    cr_assert_not(skeleton_ended(BYTES_LIT("")));
    cr_assert_not(skeleton_ended(BYTES_LIT("[1,99999999999999999999")));
    bench_done(&b);
}
