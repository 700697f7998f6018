/* SPDX-License-Identifier: Apache-2.0
 *
 * Warnings: each where it is due, and none where a run could prove it wrong.
 */
#include "support.h"

/* Every warning as text; the definition must have no fault. To free(). */
static char *warnings_of(const char *text)
{
    struct faults faults, warnings;
    AUTO_DEFINITION *d = definition_lint(bytes_of(text), &faults, &warnings);
    AUTO_FREE char *wrong = faults_text(&faults);
    cr_assert_not_null(d, "%s\n%s", wrong, text);
    char *found = faults_text(&warnings);
    faults_done(&warnings);
    return found;
}

static void expect_warning_at(const char *text, const char *wanted, int line)
{
    AUTO_FREE char *found = warnings_of(text);
    cr_expect_not_null(strstr(found, wanted), "line %d: wanted '%s', found\n%s", line, wanted,
                       found);
    const char *end = strchr(found, '\n');
    cr_expect(end && !end[1], "line %d: one warning, found\n%s", line, found);
}

static void expect_silence_at(const char *text, int line)
{
    AUTO_FREE char *found = warnings_of(text);
    cr_expect_str_empty(found, "line %d: found\n%s", line, found);
}

#define WORKFLOW            "workflow: w\nversion: '1'\n"
#define WARNS(rest, wanted) expect_warning_at(WORKFLOW rest, (wanted), __LINE__)
#define SILENT(rest)        expect_silence_at(WORKFLOW rest, __LINE__)
#define LLM(name)           "{name: " name ", type: llm, prompt: hello}"
#define BOTH                "output: '${steps.a.output}${steps.b.output}'\n"

Test(warnings, two_questions_of_which_none_needs_the_other_take_twice_the_time)
{
    WARNS(BOTH "steps:\n- " LLM("a") "\n- " LLM("b") "\n",
          "6:3: 'b' reads nothing of 'a' before it: side by side, in a step of type parallel");
    WARNS(BOTH "steps:\n- {name: a, type: http, url: 'http://x'}\n- " LLM("b") "\n",
          "'b' reads nothing of 'a'");
    SILENT(BOTH "steps:\n- " LLM("a") "\n- {name: b, type: llm, prompt: 'x ${steps.a.output}'}\n");
    SILENT(BOTH "steps:\n- " LLM("a") "\n- {name: b, type: llm, prompt: 'x ${topic}'}\n");
    SILENT(BOTH
           "steps:\n- " LLM("a") "\n- {name: b, type: llm, if: steps.a.output == 1, prompt: x}\n");
    SILENT(
        "steps:\n- {name: p, type: parallel, branches: {x: [" LLM("a") "], y: [" LLM("b") "]}}\n");
    SILENT(BOTH "steps:\n- " LLM("a") "\n- {name: b, type: llm, prompt: x, needs: [a]}\n");
    SILENT("limits: {max_parallel: 1}\n" BOTH "steps:\n- " LLM("a") "\n- " LLM("b") "\n");
}

Test(warnings, what_may_change_something_keeps_its_place)
{
    SILENT(BOTH "steps:\n- {name: a, type: task, input: 1}\n- {name: b, type: task, input: 1}\n");
    SILENT(BOTH "steps:\n- {name: a, type: http, url: 'http://x', body: 1}\n- " LLM("b") "\n");
    SILENT(BOTH
           "steps:\n- {name: a, type: http, url: 'http://x', method: DELETE}\n- " LLM("b") "\n");
    SILENT(BOTH "steps:\n- {name: a, type: llm, prompt: x, on_error: {fallback: [{name: r, type: "
                "return}]}}\n- " LLM("b") "\n");
}

Test(warnings, a_condition_that_reads_nothing_is_always_the_same)
{
    WARNS("steps: [{name: a, type: task, if: false}]\n", "reads nothing: it is always false");
    WARNS("steps: [{name: a, type: task, if: 1 < 2}]\n", "it is always true");
    WARNS("steps: [{name: a, type: task, if: 1 / 0 > 2}]\n", "always fails: ");
    WARNS("steps: [{name: a, type: conditional, cases: [{when: 'true', steps: []}]}]\n",
          "always true; 'else' says so");
    WARNS("steps: [{name: a, type: conditional, conditions: ['false', input.x], steps: []}]\n",
          "3:51: this condition reads nothing: it is always false");
    SILENT("steps: [{name: a, type: task, if: input.x > 1}]\n");
    SILENT(
        "steps: [{name: a, type: loop, while: 'true', max_iterations: 3, steps: [{name: b, type: "
        "task}]}]\n");
}

Test(warnings, variables_and_outputs_that_nobody_reads)
{
    WARNS("output: 1\nsteps: [{name: a, type: set, vars: {x: 1, y: 2}}, {name: b, type: task, "
          "input: '${vars.x}'}]\n",
          "4:46: nothing reads the variable 'y'");
    WARNS("output: 1\nsteps: [{name: a, type: transform, value: 1}]\n",
          "nothing reads the output of 'a'");
    WARNS("steps: [" LLM("a") ", {name: b, type: task, input: 1}]\n",
          "nothing reads the output of 'a', which a model is paid for");
    SILENT("output: '${vars}'\nsteps: [{name: a, type: set, vars: {x: 1, y: 2}}]\n");
    SILENT("output: '${x}'\nsteps: [{name: a, type: set, vars: {x: 1}}]\n");
    SILENT("steps: [{name: a, type: set, vars: {x: 1}}]\n");
    SILENT("steps: [" LLM("a") "]\n");
    SILENT("steps: [" LLM("a") ", {name: b, type: task}]\n");
    SILENT("steps: [" LLM("a") ", {name: b, type: human_approval, timeout: 1m}]\n");
    SILENT("steps: [{name: a, type: transform, value: 1}, {name: b, type: task, if: "
           "steps.a.status == 'completed', input: 2}]\n");
    SILENT("steps: [{name: m, type: map, over: [1], steps: [{name: a, type: transform, value: "
           "1}]}]\n");
    SILENT("steps: [{name: a, type: transform, value: 1}, {name: b, type: task, needs: [a]}]\n");
}

Test(warnings, steps_behind_the_end_never_run)
{
    WARNS("steps: [{name: a, type: return, output: 1}, {name: b, type: task, input: 1}]\n",
          "'b' never runs: 'a' before it always ends the run");
    WARNS("steps: [{name: a, type: fail, error: x}, {name: b, type: task, input: 1}]\n",
          "'b' never runs: 'a' before it always fails");
    SILENT("steps: [{name: a, type: return, if: input.x == 1}, {name: b, type: task, input: 1}]\n");
    SILENT("steps: [{name: a, type: fail, error: x, on_error: continue}, {name: b, type: task, "
           "input: 1}]\n");
    SILENT("steps: [{name: b, type: task, input: 1}, {name: a, type: fail, error: x}]\n");
}

Test(warnings, times_that_the_run_does_not_live_to_see)
{
    WARNS("limits: {timeout: 10m}\nsteps: [{name: a, type: task, timeout: 10m}]\n",
          "4:40: 'timeout' of 10m never passes: the run ends after 10m (limits.timeout)");
    WARNS(
        "steps: [{name: a, type: human_approval, timeout: 1d}]\n",
        "'timeout' of 1d never passes: the run ends after 1h, as no limits.timeout says otherwise");
    WARNS(
        "limits: {timeout: 1d}\nsteps: [{name: a, type: human_approval, timeout: 12h, on_timeout: "
        "escalate, escalate_to: [z]}]\n",
        "'timeout' of 12h, once more with 'escalate', never passes");
    WARNS("limits: {timeout: 90s}\nsteps: [{name: a, type: task, on_error: {escalate: {timeout: "
          "2m}}}]\n",
          "'timeout' of 2m never passes: the run ends after 90s");
    WARNS("steps: [{name: a, type: wait, for: 2h}]\n", "'for' of 2h never passes");
    WARNS("steps: [{name: a, type: task, queue_timeout: 2h}]\n", "'queue_timeout' of 2h");
    WARNS("defaults: {timeout: 2h}\nsteps: [{name: a, type: task}, {name: b, type: task}]\n",
          "3:21: 'timeout' of 2h");
    WARNS("steps: [{name: a, type: human_approval}]\n",
          "'a' waits for people, but the run ends after 1h, as no limits.timeout says otherwise");
    WARNS("steps: [{name: a, type: wait, signal: s}]\n", "'a' waits for a signal, but");
    SILENT("limits: {timeout: 10m}\nsteps: [{name: a, type: task, timeout: 599s}]\n");
    SILENT("limits: {timeout: 2d}\nsteps: [{name: a, type: human_approval}]\n");
    SILENT(
        "limits: {timeout: 3d}\nsteps: [{name: a, type: human_approval, timeout: 1d, on_timeout: "
        "escalate, escalate_to: [z]}]\n");
    SILENT("steps: [{name: a, type: wait, for: 30m}]\n");
    SILENT("steps: [{name: a, type: wait, for: '${input.t}'}]\n");
    SILENT("steps: [{name: a, type: wait, signal: s, timeout: 30m}]\n");
}

Test(warnings, retries_that_change_nothing)
{
    WARNS("steps: [{name: a, type: task, retry: {max_attempts: 1, initial: 2s}}]\n",
          "'initial' has no effect: there is one attempt");
    WARNS("steps: [{name: a, type: http, url: 'http://x', retry: {on: [auth, bad_request]}}]\n",
          "nothing is tried again");
    SILENT("steps: [{name: a, type: task, retry: {max_attempts: 1}}]\n");
    SILENT("steps: [{name: a, type: task, retry: {max_attempts: 2, initial: 2s}}]\n");
    SILENT("steps: [{name: a, type: http, url: 'http://x', retry: {on: [auth, timeout]}}]\n");
    SILENT("steps: [{name: a, type: task, retry: {on: [auth]}}]\n");
    SILENT("defaults: {retry: {initial: 2s}}\nsteps: [{name: a, type: task, retry: {max_attempts: "
           "1}}]\n");
}

Test(warnings, a_rollback_needs_something_to_undo)
{
    WARNS("on_error: rollback\nsteps: [{name: a, type: task}]\n",
          "3:11: there is nothing to roll back: no step has a 'compensate'");
    WARNS("steps: [{name: a, type: task, on_error: rollback}]\n", "3:41: there is nothing");
    WARNS("steps: [{name: a, type: task}, {name: b, type: rollback}]\n", "3:32: there is nothing");
    SILENT("on_error: rollback\nsteps: [{name: a, type: task, compensate: [{name: u, type: "
           "task}]}]\n");
    SILENT("steps: [{name: a, type: task, compensate: [{name: u, type: task}]}]\n");
}

Test(warnings, templates_of_other_languages_stay_as_they_are)
{
    WARNS("steps: [{name: a, type: http, url: 'http://x', headers: {k: 'Bearer {{ secrets.KEY "
          "}}'}}]\n",
          "3:61: this stays as it is written: a template has ${secrets.NAME}");
    WARNS("steps: [{name: a, type: http, url: 'http://x', headers: {k: 'Bearer $secrets.KEY'}}]\n",
          "${secrets.NAME}");
    WARNS("steps: [{name: a, type: http, url: 'http://x', headers: {k: '{secrets.KEY}'}}]\n",
          "${secrets.NAME}");
    WARNS("steps: [{name: a, type: llm, prompt: 'To {{input.name}}'}]\n", "${input.NAME}");
    WARNS("output: '{{steps.a.output}}'\nsteps: [{name: a, type: task}]\n", "${steps.NAME}");
    SILENT(
        "steps: [{name: a, type: http, url: 'http://x', headers: {k: 'Bearer ${secrets.KEY}'}}]\n");
    SILENT("steps: [{name: a, type: llm, prompt: 'write $${secrets.KEY}, {name}, $secrets. or "
           "{{.Names}}'}]\n");
    SILENT("steps: [{name: a, type: task, description: 'as {{input.name}}'}]\n");
}

Test(warnings, a_file_with_faults_has_no_warnings)
{
    struct faults faults, warnings;
    AUTO_DEFINITION *d = definition_lint(
        BYTES_LIT(WORKFLOW "steps: [{name: a, type: task, if: false, color: red}]\n"), &faults,
        &warnings);
    cr_expect_null(d);
    cr_expect_eq(faults.count, 1);
    cr_expect_eq(warnings.count, 0);
    faults_done(&faults);
}

/* They are counted, not listed without an end. */
Test(warnings, endless_lists_end)
{
    AUTO_BUF struct buf text = { 0 };
    buf_add_text(&text, WORKFLOW "output: 1\nsteps:\n");
    for (int i = 0; i < 900; i++) buf_addf(&text, "- {name: a%d, type: llm, prompt: x}\n", i);
    struct faults faults, warnings;
    AUTO_DEFINITION *d = definition_lint(buf_bytes(&text), &faults, &warnings);
    cr_assert_not_null(d);
    cr_expect_eq(warnings.count, 50);
    faults_done(&warnings);
}
