/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run does, told as scenarios. Each event of a scenario is also applied to a copy that was
 * loaded from the stored fields, everything pending is issued again after each, and the whole log
 * is folded a second time at the end (world.h). */
#include <criterion/criterion.h>

#include "scenario.h"

#define SCENARIO(name, definition, script) \
    Test(engine, name)                     \
    {                                      \
        scenario(definition, script);      \
    }
#define WORKFLOW "workflow: w\nversion: 1.0.0\n"

/* --- a list of steps --- */

SCENARIO(steps_run_one_after_the_other,
         WORKFLOW "steps:\n"
                  "- {name: a, type: task, input: '${input}'}\n"
                  "- {name: b, type: task, input: {from: '${steps.a.output.x}'}}\n",
         "start {\"n\":1} -> task a/1\n"
         "run running\n"
         "payload a/1 {\"n\":1}\n"
         "header a/1 kind task\n"
         "header a/1 actor ann\n"
         "header a/1 reply-to tutti.events/3\n"
         "header a/1 idempotency-key 0123456789abcdef-0123456789abcdef01234567/a\n"
         "header a/1 deadline-ms 1700003600000\n"
         "state b pending\n"
         "ok a/1 {\"x\":[7]} -> task b/1\n"
         "payload b/1 {\"from\":[7]}\n"
         "field q:b absent\n"
         "ok b/1 \"done\" -> result completed\n"
         "run completed\n"
         "result \"done\"\n"
         "field o:a {\"x\":[7]}\n"
         "field t:1 [1700000000000,101,[[\"a\",\"completed\",1],[\"b\",\"issued\",1]]]\n")

SCENARIO(an_output_mapping_makes_the_result,
         WORKFLOW "steps: [{name: a, type: task, output: {y: '${output.x}'}}]\n"
                  "output: {sum: '${steps.a.output.y + 1}', id: '${run.workflow}'}\n",
         "start {}\nok a/1 {\"x\":2}\nresult {\"sum\":3,\"id\":\"w\"}\nfield o:a {\"y\":2}\n")

SCENARIO(a_bad_input_makes_a_run_that_has_failed,
         WORKFLOW "input: {type: object, required: [n], properties: {n: {type: integer}}}\n"
                  "steps: [{name: a, type: task}]\n",
         "start {\"n\":\"x\"} -> result failed\nrun failed\n"
         "error {\"type\":\"bad_request\",\"message\":\"/n\"}\nstate a skipped\n")

SCENARIO(an_absent_input_is_null, WORKFLOW "steps: [{name: a, type: task, input: '${input}'}]\n",
         "start -> task a/1\npayload a/1 null\nok a/1 -> result completed\nresult null\n")

SCENARIO(a_start_of_a_run_that_exists_is_ignored, WORKFLOW "steps: [{name: a, type: task}]\n",
         "start {} -> task a/1\nstart {} -> ignored\n")

SCENARIO(a_step_whose_condition_is_false_is_skipped,
         WORKFLOW "steps:\n- {name: a, type: task, if: input.go}\n"
                  "- {name: b, type: task, input: '${steps.a.output}'}\n",
         "start {\"go\":false} -> task b/1\nstate a skipped\npayload b/1 null\n")

SCENARIO(an_unknown_name_says_which_are_near,
         WORKFLOW "steps:\n- {name: a, type: task, input: '${topik}'}\n",
         "start {\"topic\":1} -> result failed\n"
         "error {\"type\":\"expression\",\"step\":\"a\",\"message\":\"topic\"}\n")

SCENARIO(vars_are_set_and_bare_names_find_them,
         WORKFLOW "steps:\n"
                  "- {name: s, type: set, vars: {n: '${input.n + 1}', m: 5}}\n"
                  "- {name: t, type: set, vars: {m: '${vars.m + 1}'}}\n"
                  "- {name: a, type: task, input: ['${n}', '${m}', '${z}']}\n",
         "start {\"n\":1,\"z\":9} -> task a/1\npayload a/1 [2,6,9]\nfield v {\"m\":6,\"n\":2}\n")

/* --- results --- */

SCENARIO(a_doubled_result_changes_nothing,
         WORKFLOW "steps: [{name: a, type: task},"
                  "{name: b, type: task}]\n",
         "start {}\nok a/1 1 -> task b/1\nok a/1 2 -> ignored\nok a/7 2 -> ignored\n"
         "ok b/1 3\nresult 3\nfield o:a 1\n")

SCENARIO(a_result_of_an_unknown_step_is_ignored, WORKFLOW "steps: [{name: a, type: task}]\n",
         "start {}\nok x/1 1 -> ignored\nfail a/0 timeout -> ignored\n")

SCENARIO(a_failure_is_retried_after_its_backoff,
         WORKFLOW "steps:\n- {name: a, type: task, retry: {max_attempts: 3, backoff: fixed, "
                  "initial: 1ms}}\n",
         "start {} -> task a/1\nfail a/1 provider_error -> nothing\nstate a backoff\n"
         "after 1\ntimer -> task a/2\nheader a/2 attempt 2\n"
         "header a/2 idempotency-key 0123456789abcdef-0123456789abcdef01234567/a\n"
         "fail a/1 provider_error -> ignored, settle a/1\n"
         "fail a/2 rate_limited -> nothing\nafter 1\ntimer -> task a/3\n"
         "header a/3 idempotency-key 0123456789abcdef-0123456789abcdef01234567/a/1\n"
         "fail a/3 tool_error -> result failed\n"
         "error {\"type\":\"tool_error\",\"attempt\":3,\"step\":\"a\",\"message\":\"it broke\"}\n")

SCENARIO(a_retry_waits_as_long_as_the_provider_asks, WORKFLOW "steps: [{name: a, type: task}]\n",
         "start {}\nfail a/1 rate_limited \"retry_after_ms\":90000\ndue 90000\n"
         "after 89999\ntimer -> ignored\nafter 1\nafter 1\ntimer -> task a/2\n")

SCENARIO(the_worker_may_say_that_an_error_is_not_worth_a_retry,
         WORKFLOW "steps: [{name: a, type: task}]\n",
         "start {}\nfail a/1 provider_error \"retryable\":false -> result failed\nrun failed\n")

SCENARIO(only_the_errors_that_a_policy_names_are_retried,
         WORKFLOW "steps: [{name: a, type: task, retry: {on: [timeout]}}]\n",
         "start {}\nfail a/1 provider_error -> result failed\n")

SCENARIO(a_late_success_of_an_earlier_attempt_settles_the_step,
         WORKFLOW "steps: [{name: a, type: task, retry: {backoff: fixed, initial: 1ms}},"
                  "{name: b, type: task}]\n",
         "start {}\nlost a/1 -> nothing\nafter 1\ntimer -> task a/2\n"
         "ok a/1 \"late\" -> settle a/1, cancel a/2, task b/1\n"
         "field o:a \"late\"\nok a/2 \"later\" -> ignored\nfield o:a \"late\"\n")

SCENARIO(a_success_during_backoff_settles_the_step, WORKFLOW "steps: [{name: a, type: task}]\n",
         "start {}\nlost a/1\nstate a backoff\nok a/1 4 -> result completed\nresult 4\n")

SCENARIO(lost_counts_only_in_the_generation_that_the_fold_knows,
         WORKFLOW "steps: [{name: a, type: task}]\n",
         "start {}\ngen g2\nfrom g1\nlost a/1 -> ignored\nfrom g2\nlost a/1 -> nothing\n"
         "state a backoff\n")

SCENARIO(a_failure_of_another_generation_changes_nothing_and_leaves_the_task_open,
         WORKFLOW "steps: [{name: a, type: task}]\n",
         "start {}\ngen g2\nfrom g1\nfail a/1 timeout -> ignored\nstate a issued\n"
         "from g2\nfail a/1 timeout -> nothing\nstate a backoff\n")

SCENARIO(a_lost_of_the_generation_is_answered_by_the_next_attempt,
         WORKFLOW "steps: [{name: a, type: task, retry: {backoff: fixed, initial: 1ms}}]\n",
         "start {}\ngen g2\nfrom g2\nlost a/1 -> nothing\nafter 1\ntimer -> task a/2\n"
         "lost a/1 -> ignored\n")

SCENARIO(a_result_of_an_older_generation_is_marked_as_settled,
         WORKFLOW "steps: [{name: a, type: task}]\n",
         "start {}\ngen g2\nfrom g1\nok a/1 1 -> settle a/1, result completed\n")

SCENARIO(a_task_whose_output_breaks_its_schema_is_retried,
         WORKFLOW "steps: [{name: a, type: task, output_schema: {type: integer}}]\n",
         "start {}\nok a/1 \"x\" -> nothing\nstate a backoff\n")

/* --- time --- */

SCENARIO(the_backstop_issues_the_next_attempt,
         WORKFLOW "limits: {timeout: 2h}\nsteps: [{name: a, type: task, timeout: 10s, "
                  "queue_timeout: 60s, retry: {backoff: fixed, initial: 1ms}}]\n",
         "start {}\nheader a/1 timeout-ms 10000\nheader a/1 deadline-ms 1700000060000\n"
         "due 100000\nafter 100000\ntimer -> cancel a/1, task a/2\n"
         "fail a/1 timeout -> ignored, settle a/1\ndue 200000\n")

SCENARIO(a_run_ends_with_its_timeout,
         WORKFLOW "limits: {timeout: 5s}\nsteps: [{name: a, type: task}]\n",
         "start {}\ndue 5000\nafter 4999\ntimer -> ignored\nafter 1\n"
         "timer -> cancel a/1, result failed\nerror {\"type\":\"timeout\"}\nstate a cancelled\n"
         "ok a/1 1 -> ignored\n")

SCENARIO(time_never_goes_back, WORKFLOW "steps: [{name: a, type: task},{name: b, type: task}]\n",
         "start {}\nafter -5000\nok a/1 1 -> task b/1\nok b/1 1 -> result completed\n"
         "due 3600000\n")

SCENARIO(a_finished_run_leaves_by_its_event,
         WORKFLOW "retention: 2h\nsteps: [{name: a, type: task}]\n",
         "start {}\nexpired -> ignored\nok a/1 1\ndue 7200000\ntimer -> ignored\n"
         "expired -> deleted\n")

/* --- cancel --- */

SCENARIO(a_cancelled_run_cancels_what_is_out,
         WORKFLOW "steps:\n- name: p\n  type: parallel\n  branches: {x: [{name: a, type: task}], "
                  "y: [{name: b, type: task}]}\n- {name: c, type: task}\n",
         "start {} -> task a/1, task b/1\nok a/1 1\n"
         "cancel {\"reason\":\"no more\"} -> cancel b/1, result cancelled\n"
         "run cancelled\nerror {\"type\":\"cancelled\",\"message\":\"no more\"}\n"
         "state b cancelled\nstate c skipped\nstate p cancelled\n"
         "ok b/1 2 -> ignored\ncancel -> ignored\n")

/* --- errors --- */

SCENARIO(a_failed_step_with_continue_lets_the_run_go_on,
         WORKFLOW "steps:\n- {name: a, type: task, on_error: continue}\n"
                  "- {name: b, type: task, input: ['${steps.a.output}', '${steps.a.error.type}', "
                  "'${steps.a.status}']}\n",
         "start {}\nfail a/1 bad_request -> task b/1\nstate a failed\n"
         "payload b/1 [null,\"bad_request\",\"failed\"]\nok b/1 1\nrun completed\n")

SCENARIO(a_fallback_sees_the_error_and_gives_the_output,
         WORKFLOW "steps:\n"
                  "- name: a\n  type: task\n  on_error:\n    fallback:\n"
                  "    - {name: f, type: task, input: '${error.message}'}\n"
                  "- {name: b, type: task, input: '${steps.a.output}'}\n",
         "start {}\nfail a/1 refused -> task f/1\nstate a waiting\npayload f/1 \"it broke\"\n"
         "field q:f absent\nok a/1 1 -> ignored\nok f/1 {\"y\":1} -> task b/1\nstate a completed\n"
         "payload b/1 {\"y\":1}\n")

SCENARIO(a_fallback_that_is_not_needed_is_skipped,
         WORKFLOW "steps:\n- {name: a, type: task, on_error: {fallback: [{name: f, type: "
                  "task}]}}\n- {name: b, type: task}\n",
         "start {}\nok a/1 1 -> task b/1\nstate f skipped\n")

SCENARIO(a_fallback_that_fails_fails_the_step,
         WORKFLOW "steps:\n- {name: a, type: task, on_error: {fallback: [{name: f, type: "
                  "task}]}}\n",
         "start {}\nfail a/1 refused -> task f/1\nfail f/1 auth -> result failed\n"
         "error {\"type\":\"auth\",\"step\":\"f\"}\nstate a failed\n")

SCENARIO(the_run_has_a_fallback_too,
         WORKFLOW
         "on_error: {fallback: [{name: f, type: task, input: '${error.step}'}]}\n"
         "steps: [{name: a, type: task},{name: b, type: task}]\noutput: '${steps.b.output}'\n",
         "start {}\nfail a/1 refused -> task f/1\npayload f/1 \"a\"\nstate b skipped\n"
         "run running\nok f/1 \"sorry\" -> result completed\nresult \"sorry\"\n")

SCENARIO(an_output_mapping_that_fails_fails_the_run,
         WORKFLOW "steps: [{name: a, type: task}]\noutput: '${steps.a.output.x}'\n",
         "start {}\nok a/1 {} -> result failed\nerror {\"type\":\"expression\",\"step\":null}\n")

/* --- parallel --- */

#define BRANCHES                                                                      \
    "  branches: {x: [{name: a, type: task}, {name: a2, type: task}], y: [{name: b, " \
    "type: task}], z: [{name: c, type: task}]}\n"

SCENARIO(branches_run_side_by_side_and_are_joined,
         WORKFLOW "steps:\n- name: p\n  type: parallel\n" BRANCHES,
         "start {} -> task a/1, task b/1, task c/1\nok b/1 2 -> nothing\nok a/1 1 -> task a2/1\n"
         "ok c/1 3 -> nothing\nok a2/1 {\"k\":[]} -> result completed\n"
         "result {\"x\":{\"k\":[]},\"y\":2,\"z\":3}\n")

SCENARIO(the_first_failed_branch_ends_the_others,
         WORKFLOW "steps:\n- name: p\n  type: parallel\n" BRANCHES,
         "start {}\nfail b/1 auth -> cancel a/1, cancel c/1, result failed\nstate a2 skipped\n"
         "state a cancelled\nstate p failed\nerror {\"type\":\"auth\",\"step\":\"b\"}\n")

SCENARIO(collect_waits_for_all_and_shows_errors,
         WORKFLOW "steps:\n- name: p\n  type: parallel\n  on_branch_error: collect\n" BRANCHES,
         "start {}\nfail b/1 auth -> nothing\nok c/1 3\nok a/1 1\nok a2/1 1 -> result completed\n"
         "result {\"x\":1,\"y\":{\"error\":{\"type\":\"auth\",\"message\":\"it broke\","
         "\"step\":\"b\",\"attempt\":1,\"retryable\":false,\"details\":null}},\"z\":3}\n")

SCENARIO(any_is_content_with_the_first_branch,
         WORKFLOW "steps:\n- name: p\n  type: parallel\n  join: any\n" BRANCHES,
         "start {}\nfail c/1 auth -> nothing\nok b/1 2 -> cancel a/1, result completed\n"
         "state a2 skipped\nresult {\"x\":null,\"y\":2,\"z\":{\"error\":{\"type\":\"auth\","
         "\"message\":\"it broke\",\"step\":\"c\",\"attempt\":1,\"retryable\":false,"
         "\"details\":null}}}\n")

SCENARIO(at_least_two_fails_when_two_can_no_longer_succeed,
         WORKFLOW "steps:\n- name: p\n  type: parallel\n  join: {at_least: 2}\n" BRANCHES,
         "start {}\nfail c/1 auth -> nothing\nfail a/1 auth -> cancel b/1, result failed\n")

SCENARIO(max_concurrent_starts_branches_in_order,
         WORKFLOW "steps:\n- name: p\n  type: parallel\n  max_concurrent: 1\n" BRANCHES,
         "start {} -> task a/1\nok a/1 1 -> task a2/1\nok a2/1 1 -> task b/1\nok b/1 1 -> task "
         "c/1\nok c/1 1 -> result completed\n")

SCENARIO(max_parallel_holds_tasks_back_in_order,
         WORKFLOW "limits: {max_parallel: 2}\nsteps:\n- name: p\n  type: parallel\n" BRANCHES,
         "start {} -> task a/1, task b/1\nstate c waiting\nok b/1 1 -> task c/1\n"
         "ok a/1 1 -> task a2/1\n")

SCENARIO(a_slot_that_a_reached_join_sets_free_is_used_at_once,
         WORKFLOW "limits: {max_parallel: 3}\nsteps:\n- name: p\n  type: parallel\n  branches:\n"
                  "    x: [{name: a, type: task}, {name: q, type: parallel, branches: {i: [{name: "
                  "a1, type: task}], j: [{name: a2, type: task}], k: [{name: a3, type: task}]}}]\n"
                  "    y: [{name: r, type: parallel, join: any, branches: {i: [{name: b, type: "
                  "task}], j: [{name: c, type: task}]}}]\n",
         "start {} -> task a/1, task b/1, task c/1\nok a/1 1 -> task a1/1\n"
         "ok b/1 1 -> cancel c/1, task a2/1, task a3/1\n")

/* --- conditional --- */

#define CASES                                                                                    \
    "  cases:\n  - {when: input.n > 5, steps: [{name: a, type: task}]}\n"                        \
    "  - {when: input.n > 1, steps: [{name: b, type: task}]}\n  else: [{name: c, type: task}]\n" \
    "- {name: d, type: task, input: '${steps.k.output}'}\n"

SCENARIO(the_first_case_that_holds_is_taken,
         WORKFLOW "steps:\n- name: k\n  type: conditional\n" CASES,
         "start {\"n\":3} -> task b/1\nstate a skipped\nstate c skipped\nok b/1 8 -> task d/1\n"
         "payload d/1 8\n")

SCENARIO(else_is_taken_where_no_case_holds,
         WORKFLOW "steps:\n- name: k\n  type: conditional\n" CASES, "start {\"n\":0} -> task c/1\n")

SCENARIO(a_condition_that_is_no_bool_fails_the_step,
         WORKFLOW "steps:\n- name: k\n  type: conditional\n" CASES,
         "start {\"n\":\"x\"} -> result failed\nerror {\"type\":\"expression\",\"step\":\"k\"}\n")

SCENARIO(without_a_case_that_holds_the_output_is_null,
         WORKFLOW "steps:\n- {name: k, type: conditional, cases: [{when: 'false', steps: [{name: "
                  "a, type: task}]}]}\n",
         "start {} -> result completed\nresult null\nstate a skipped\n")

/* --- usage and budgets --- */

SCENARIO(usage_is_summed_once_for_each_attempt,
         WORKFLOW "steps: [{name: a, type: task},{name: b, type: task}]\n",
         "start {}\nusage 10 5 100\nfail a/1 invalid_output\nusage 10 5 100\n"
         "fail a/1 invalid_output -> ignored\nusage 1 1 1\nok a/1 1 -> task b/1\nok b/1 1\n"
         "run completed\n")

SCENARIO(a_spent_budget_ends_model_calls,
         WORKFLOW "limits: {budget: {tokens: 100}}\ndefaults: {model: m}\nsteps:\n"
                  "- {name: a, type: llm, prompt: hi}\n- {name: b, type: llm, prompt: ho}\n",
         "start {}\nusage 60 40 0\nok a/1 {} -> result failed\n"
         "error {\"type\":\"budget_exceeded\",\"step\":\"b\",\"message\":\"100 tokens\"}\n")

/* --- payloads that could not be made twice --- */

SCENARIO(a_task_that_read_what_may_change_is_stored_until_it_is_settled,
         WORKFLOW "steps:\n- name: p\n  type: parallel\n  branches:\n"
                  "    x: [{name: s, type: set, vars: {n: 1}}, {name: a, type: task, input: "
                  "'${vars.n}', retry: {backoff: fixed, initial: 1ms}}]\n"
                  "    y: [{name: b, type: task}, {name: u, type: set, vars: {n: 2}}]\n",
         "start {} -> task a/1, task b/1\npayload a/1 1\nfield q:a present\nok b/1 1\n"
         "field v {\"n\":2}\nfail a/1 timeout\nafter 1\ntimer -> task a/2\npayload a/2 1\n"
         "ok a/2 1 -> result completed\nfield q:a absent\n")

SCENARIO(secrets_are_named_by_their_place,
         WORKFLOW
         "steps:\n- {name: a, type: http, url: 'https://x.example/', headers: {Authorization: "
         "'Bearer ${secrets.TOKEN}'}}\n",
         "start {}\nheader a/1 secrets [[\"/headers/Authorization\",7,\"TOKEN\"]]\n"
         "payload a/1 {\"method\":\"GET\",\"url\":\"https://x.example/\",\"headers\":"
         "{\"Authorization\":\"Bearer \"}}\n")

SCENARIO(an_idempotency_key_of_the_definition_is_used_as_it_is,
         WORKFLOW
         "steps: [{name: a, type: task, idempotency_key: 'order-${input.n}', retry: {backoff: "
         "fixed, initial: 1ms}}]\n",
         "start {\"n\":7}\nheader a/1 idempotency-key order-7\nfail a/1 tool_error\nafter 1\ntimer "
         "-> task "
         "a/2\nheader a/2 idempotency-key order-7\n")
