/* SPDX-License-Identifier: Apache-2.0
 *
 * `tutti test`, `graph`, `fmt` and `init` under sanitizers; tests/e2e/test_workflow_tests.py and
 * test_workflow_tools.py have what they do, case by case.
 */
#include <criterion/criterion.h>

#include "cli/cli.h"
#include "tests/unit/cli/program.h"

#define HAS(text, part) cr_assert(strstr(text, part), "%s", text)

#define WORKFLOW                            \
    "workflow: w\nversion: 1.0.0\nsteps:\n" \
    "- {name: ask, type: task, uses: x,\n"  \
    "   retry: {max_attempts: 2}}\n"        \
    "- {name: same, type: task, uses: noop}\n"

/* A workflow and its cases in a directory of their own. */
struct pair {
    char *workflow, *suite;
};

static struct pair pair_of(const char *cases)
{
    struct pair p = { .workflow = temporary("w.yaml", WORKFLOW) };
    p.suite =
        xasprintf("%.*s/w.test.yaml", (int)(strrchr(p.workflow, '/') - p.workflow), p.workflow);
    FILE *f = fopen(p.suite, "we");
    cr_assert(f && fwrite(cases, 1, strlen(cases), f) == strlen(cases) && fclose(f) == 0);
    return p;
}

static void pair_done(struct pair *p)
{
    (void)unlink(p->suite);
    free(p->suite);
    temporary_done(&p->workflow);
}
#define AUTO_PAIR CLEANUP(pair_done) struct pair

Test(test, the_examples_are_green)
{
    AUTO_OUTCOME o = TUTTI("test", TUTTI_SOURCE_DIR "/examples", "--coverage");
    cr_assert_eq(o.code, EXIT_OK, "%s%s", o.out, o.err);
    HAS(o.out, " passed, 0 failed\n");
    cr_assert_not(strstr(o.out, "never"), "%s", o.out);
}

Test(test, what_differs_is_told_with_its_line)
{
    AUTO_PAIR p = pair_of("cases:\n- name: one\n  mocks:\n    ask:\n    - {error: {type: lost}}\n"
                          "    - {output: {a: \"${attempt}\"}, after: 30m}\n  expect:\n"
                          "    output: {a: 1}\n    path: [same]\n");
    AUTO_OUTCOME o = TUTTI("test", p.workflow);
    cr_assert_eq(o.code, EXIT_FAILED);
    HAS(o.out, "line 8: output.a: expected 1, got 2");
    HAS(o.out, "line 9: path: ");
    HAS(o.out, "got      ask, same");
    HAS(o.out, "0 passed, 1 failed\n");
    AUTO_OUTCOME json = TUTTI("test", p.workflow, "--json", "--coverage");
    AUTO_JSON *said = json_parse(bytes_of(json.out), NULL);
    cr_assert_eq(json_int(said, "failed", 0), 1, "%s", json.out);
}

Test(test, a_task_without_a_mock_fails_its_case_and_shows_one)
{
    AUTO_PAIR p = pair_of("cases: [{name: one}]\n");
    AUTO_OUTCOME o = TUTTI("test", p.suite);
    cr_assert_eq(o.code, EXIT_FAILED);
    HAS(o.out, "ask: { output: {} }");
}

Test(test, a_case_that_ends_by_an_event_leaves_nothing_behind)
{
    AUTO_PAIR p = pair_of("mocks: {ask: {output: 1, after: 2h}}\ncases:\n"
                          "- name: cancelled\n  events: [{at: 1h, cancel: enough}]\n"
                          "  expect: {status: cancelled, duration: 1h, calls: {same: 0}}\n"
                          "- name: too late\n  events: [{at: 3h, cancel: true}]\n");
    AUTO_OUTCOME o = TUTTI("test", p.suite);
    HAS(o.out, "ok      cancelled");
    HAS(o.out, "FAILED  too late");
    HAS(o.out, "(timeout: ");
}

Test(test, files_that_cannot_be_are_refused_with_the_place)
{
    static const char *const bad[] = { "cases: []\n", "cases: [{name: x, expect: {outptu: 1}}]\n",
                                       "cases: [{name: x, mocks: {no: {output: 1}}}]\n",
                                       "cases: [{name: x, events: [{at: 1s}]}]\n", "cases: [" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO_PAIR p = pair_of(bad[i]);
        AUTO_OUTCOME o = TUTTI("validate", p.suite, p.workflow);
        cr_assert_eq(o.code, EXIT_USAGE, "%s", bad[i]);
        HAS(o.err, "w.test.yaml:");
    }
}

Test(graph, every_form_of_a_picture_is_printed)
{
    static const char file[] = TUTTI_SOURCE_DIR "/tests/data/workflows/everything.yaml";
    AUTO_OUTCOME mermaid = TUTTI("graph", file), dot = TUTTI("graph", file, "--format", "dot"),
                 json = TUTTI("graph", file, "--json");
    HAS(mermaid.out, "flowchart TD\n");
    HAS(mermaid.out, "-.->|\"undone by\"|");
    HAS(dot.out, "subgraph cluster_1 {");
    AUTO_JSON *said = json_parse(bytes_of(json.out), NULL);
    cr_assert_str_eq(json_text(said, "workflow"), "everything");
}

Test(fmt, a_file_is_laid_out_in_place)
{
    AUTO_TEMPORARY path = temporary("w.yaml", WORKFLOW);
    AUTO_OUTCOME check = TUTTI("fmt", "--check", path);
    cr_assert_eq(check.code, EXIT_FAILED);
    AUTO_OUTCOME first = TUTTI("fmt", path);
    cr_assert_eq(first.code, EXIT_OK, "%s", first.err);
    AUTO_OUTCOME again = TUTTI("fmt", "--check", path);
    cr_assert_eq(again.code, EXIT_OK, "%s", again.err);
}

Test(init, a_new_workflow_passes_its_own_test)
{
    AUTO_TEMPORARY file = temporary("taken.yaml", "mine");
    AUTO_FREE char *taken = xstrndup(file, strlen(file) - strlen(".yaml"));
    AUTO_OUTCOME refused = TUTTI("init", taken);
    cr_assert_eq(refused.code, EXIT_FAILED);
    AUTO_FREE char *name = xasprintf("%s-not", taken), *flow = xasprintf("%s.yaml", name),
                   *suite = xasprintf("%s.test.yaml", name);
    AUTO_OUTCOME made = TUTTI("init", name, "--template", "llm");
    cr_assert_eq(made.code, EXIT_OK, "%s", made.err);
    AUTO_OUTCOME tested = TUTTI("test", flow);
    cr_assert_eq(tested.code, EXIT_OK, "%s", tested.out);
    cr_assert(unlink(flow) == 0 && unlink(suite) == 0);
}
