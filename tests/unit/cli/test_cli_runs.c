/* SPDX-License-Identifier: Apache-2.0
 *
 * What is shown of a run: its transitions in their order, and the block that is redrawn.
 */
#include <criterion/criterion.h>

#include "cli/runs.h"

#define WORKFLOW                                                       \
    "workflow: w\nversion: 1.0.0\nsteps:\n"                            \
    "  - { name: first, type: task, uses: noop, input: {} }\n"         \
    "  - name: both\n    type: parallel\n    branches:\n"              \
    "      a: [ { name: left, type: task, uses: noop, input: {} } ]\n" \
    "      b: [ { name: right, type: task, uses: noop, input: {} } ]\n"

static struct definition *workflow(void)
{
    CLEANUP(faults_done) struct faults faults = { 0 };
    struct definition *def = definition_parse(bytes_of(WORKFLOW), &faults);
    cr_assert(def, "%s", faults.count ? faults.list[0].text : "");
    return def;
}

#define FIELD(name_, value_)                                 \
    {                                                        \
        .name = BYTES_LIT(name_), .value = BYTES_LIT(value_) \
    }

static void collect(void *user, const struct change *t)
{
    runs_change_line(user, t);
}

/* The lines of transitions without their time of day, which depends on the time zone. */
static void check_lines(const struct buf *text, const char *const *wanted, size_t count)
{
    const char *line = text->data;
    for (size_t i = 0; i < count; i++) {
        cr_assert(line && strlen(line) > 9);
        cr_assert_eq(line[2], ':');
        size_t len = strcspn(line, "\n");
        struct bytes rest = { .data = line + 9, .len = len - 9 };
        cr_assert(bytes_is(rest, wanted[i]), "%s", line);
        line += len + 1;
    }
    cr_assert_str_eq(line, "");
}

Test(runs, transitions_come_in_the_order_of_their_numbers)
{
    struct field list[] = {
        FIELD("t:10", "[1700000002000,9,[[\"first\",\"completed\",2]]]"),
        FIELD("s", "[]"),
        FIELD("t:9", "[1700000001000,8,[[\"first\",\"backoff\",1,\"timeout\"],"
                     "[\"first\",\"issued\",2]]]"),
        FIELD("t:0", "[\"1700000000000\",7,[[\"\",\"running\",0]]]"),
    };
    struct run_fields fields = { .list = list, .count = ARRAY_LEN(list) };
    AUTO_BUF struct buf all = { 0 }, later = { 0 };
    cr_assert_eq(runs_transitions(&fields, 0, collect, &all), 11);
    static const char *const wanted[] = { "run running", "first backoff: timeout",
                                          "first issued (attempt 2)",
                                          "first completed (attempt 2)" };
    check_lines(&all, wanted, ARRAY_LEN(wanted));
    cr_assert_eq(runs_transitions(&fields, 10, collect, &later), 11);
    check_lines(&later, wanted + 3, 1);
    cr_assert_eq(runs_transitions(&fields, 11, collect, &later), 11);
}

Test(runs, transitions_of_one_field_are_told_one_by_one)
{
    struct field list[] = {
        FIELD("t:0", "[1000,7,[[\"\",\"running\",0]],2000,8,[[\"first\",\"issued\",1]],"
                     "3000,9,[[\"first\",\"completed\",1]]]"),
        FIELD("t:3", "[4000,10,[[\"\",\"completed\",0]]]"),
    };
    struct run_fields fields = { .list = list, .count = ARRAY_LEN(list) };
    AUTO_BUF struct buf all = { 0 }, later = { 0 }, none = { 0 };
    cr_assert_eq(runs_transitions(&fields, 0, collect, &all), 4);
    static const char *const wanted[] = { "run running", "first issued", "first completed",
                                          "run completed" };
    check_lines(&all, wanted, ARRAY_LEN(wanted));
    cr_assert_eq(runs_transitions(&fields, 2, collect, &later), 4);
    check_lines(&later, wanted + 2, 2);
    cr_assert_eq(runs_transitions(&fields, 4, collect, &none), 4);
    cr_assert_eq(none.len, 0);
}

Test(runs, damaged_transitions_and_dangerous_paths_do_no_harm)
{
    struct field list[] = { FIELD("t:0", "[1,"), FIELD("t:1", "{}"), FIELD("t:2", "[1,2,[[1,2]]]"),
                            FIELD("t:3", "[1,2,[[\"a\\u001b[2J\",\"is\\u202esued\",1]]]") };
    struct run_fields fields = { .list = list, .count = ARRAY_LEN(list) };
    AUTO_BUF struct buf text = { 0 };
    runs_transitions(&fields, 0, collect, &text);
    static const char *const wanted[] = { "a\\x1b[2J is\\u{202e}sued" };
    check_lines(&text, wanted, 1);
}

static json_t *description(const char *status)
{
    return json_pack("{s:s, s:s, s:s, s:{s:i, s:i, s:i}}", "workflow", "w", "version", "1.0.0",
                     "status", status, "usage", "tokens_in", 30, "tokens_out", 12, "micro_usd",
                     1500);
}

static const struct term plain = { .width = 80, .height = 24 };

Test(runs, the_block_has_a_line_for_every_step_with_its_state_and_duration)
{
    struct field list[] = {
        FIELD("t:0", "[1000,1,[[\"\",\"running\",0],[\"first\",\"issued\",1]]]"),
        FIELD("t:1", "[3500,2,[[\"first\",\"completed\",1],[\"both\",\"waiting\",0],"
                     "[\"left\",\"issued\",1],[\"right\",\"issued\",1]]]"),
        FIELD("t:2", "[4000,3,[[\"left\",\"failed\",3,\"rate_limited\"]]]"),
    };
    struct view view = { .id = "0123456789abcdef-0123456789abcdef01234567",
                         .fields = { .list = list, .count = ARRAY_LEN(list) } };
    CLEANUP(definition_free_p) struct definition *def = workflow();
    AUTO_JSON *run = description("running");
    view.def = def;
    view.run = run;
    AUTO_BUF struct buf b = { 0 };
    cr_assert_eq(runs_block(&b, &plain, &view, 5000, 100), 6);
    cr_assert(strstr(b.data, "w@1.0.0  running  4.0 s  42 tokens  $0.0015\n"), "%s", b.data);
    cr_assert(strstr(b.data, "✓ first"), "%s", b.data);
    cr_assert(strstr(b.data, "2.5 s"), "%s", b.data);
    cr_assert(strstr(b.data, "1/2"), "%s", b.data);
    cr_assert(strstr(b.data, "✗ left"), "%s", b.data);
    cr_assert(strstr(b.data, "attempt 3  rate_limited"), "%s", b.data);
    cr_assert_not(strchr(b.data, '\x1b'));
}

Test(runs, long_names_and_kinds_do_not_touch_what_stands_behind_them)
{
    static const char text[] = "workflow: w\nversion: 1.0.0\nsteps:\n"
                               "- { name: a_name_of_more_than_24_letters, type: human_approval }\n";
    struct field list[] = { FIELD(
        "t:0", "[1000,1,[[\"a_name_of_more_than_24_letters\",\"waiting\",0]]]") };
    CLEANUP(faults_done) struct faults faults = { 0 };
    CLEANUP(definition_free_p)
    struct definition *def = definition_parse(BYTES_LIT(text), &faults);
    AUTO_JSON *run = description("waiting_approval");
    struct view view = { .def = def,
                         .fields = { .list = list, .count = ARRAY_LEN(list) },
                         .run = run };
    AUTO_BUF struct buf b = { 0 };
    runs_block(&b, &plain, &view, 5000, 100);
    cr_assert(strstr(b.data, " a_name_of_more_than_24_letters human_approval 4.0 s"), "%s", b.data);
}

Test(runs, without_a_definition_steps_are_those_that_moved)
{
    struct field list[] = { FIELD("t:0", "[1000,1,[[\"\",\"running\",0],[\"x\",\"issued\",1]]]") };
    AUTO_JSON *run = description("running");
    struct view view = { .fields = { .list = list, .count = 1 }, .run = run };
    AUTO_BUF struct buf b = { 0 };
    cr_assert_eq(runs_block(&b, &plain, &view, 5000, 100), 3);
    cr_assert(strstr(b.data, " x "), "%s", b.data);
}

Test(runs, a_block_never_outgrows_the_terminal)
{
    CLEANUP(definition_free_p) struct definition *def = workflow();
    AUTO_JSON *run = description("running");
    struct view view = { .def = def, .run = run };
    struct term narrow = { .width = 20, .height = 6 };
    AUTO_BUF struct buf b = { 0 };
    size_t lines = runs_block(&b, &narrow, &view, 5000, 5);
    cr_assert_leq(lines, 5);
    size_t seen = 0;
    for (const char *line = b.data; *line; seen++) {
        size_t len = strcspn(line, "\n");
        struct bytes text = { .data = line, .len = len };
        cr_assert_leq(term_columns(text), 20, "%s", line);
        line += len + 1;
    }
    cr_assert_eq(seen, lines);
}

Test(runs, only_a_completed_run_is_a_success)
{
    static const struct {
        const char *status;
        bool ended;
        int code;
    } cases[] = { { "completed", true, EXIT_OK },
                  { "failed", true, EXIT_FAILED },
                  { "cancelled", true, EXIT_FAILED },
                  { "running", false, EXIT_FAILED },
                  { "unheard of", false, EXIT_FAILED } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_JSON *run = description(cases[i].status);
        cr_assert_eq(runs_ended(run), cases[i].ended);
        cr_assert_eq(runs_exit_code(run), cases[i].code);
    }
    AUTO_JSON *run = json_pack("{s:s, s:{s:s, s:s, s:s}}", "started_at", "2026-11-22T04:27:15.123Z",
                               "error", "type", "timeout", "message", "too\x1b slow", "step", "a");
    AUTO_BUF struct buf text = { 0 };
    runs_error_text(&text, run);
    cr_assert_str_eq(text.data, "step a: timeout: too\\x1b slow");
    cr_assert_eq(runs_started_ms(run), 1795321635123);
}
