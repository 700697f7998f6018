/* SPDX-License-Identifier: Apache-2.0
 *
 * map and loop, told as scenarios (scenario.h). */
#include <criterion/criterion.h>

#include "scenario.h"

#define SCENARIO(name, definition, script) \
    Test(engine_repeat, name)              \
    {                                      \
        scenario(definition, script);      \
    }
#define WORKFLOW "workflow: w\nversion: 1.0.0\n"

/* --- map --- */

SCENARIO(a_map_runs_its_steps_for_each_item,
         WORKFLOW "steps:\n- name: m\n  type: map\n  over: '${input}'\n  steps:\n"
                  "  - {name: a, type: task, input: {v: '${item.x}', n: '${index}'}}\n",
         "start [{\"x\":5},{\"x\":6}] -> task m[0]/a/1, task m[1]/a/1\n"
         "payload m[1]/a/1 {\"v\":6,\"n\":1}\n"
         "header m[1]/a/1 path m[1]/a\n"
         "header m[1]/a/1 idempotency-key 0123456789abcdef-0123456789abcdef01234567/m[1]/a\n"
         "state m[0]/a issued\n"
         "ok m[1]/a/1 \"second\" -> nothing\nfield o:m[1] \"second\"\nfield o:m[1]/a absent\n"
         "ok m[1]/a/1 \"again\" -> ignored, settle m[1]/a/1\n"
         "ok m[0]/a/1 \"first\" -> result completed\n"
         "result [\"first\",\"second\"]\nfield m:m:0 absent\n")

SCENARIO(a_map_begins_no_more_items_than_it_may,
         WORKFLOW "steps:\n- name: m\n  type: map\n  over: '${input}'\n  max_concurrent: 2\n"
                  "  steps:\n  - {name: a, type: task, input: '${item}'}\n"
                  "  - {name: b, type: task, input: '${steps.a.output}'}\n",
         "start [10,20,30] -> task m[0]/a/1, task m[1]/a/1\n"
         "ok m[1]/a/1 21 -> task m[1]/b/1\npayload m[1]/b/1 21\nfield o:m[1]/a 21\n"
         "ok m[1]/b/1 22 -> task m[2]/a/1\nfield o:m[1]/a absent\npayload m[2]/a/1 30\n"
         "ok m[2]/a/1 31 -> task m[2]/b/1\nok m[2]/b/1 32\n"
         "ok m[0]/a/1 11 -> task m[0]/b/1\nok m[0]/b/1 null -> result completed\n"
         "result [null,22,32]\n")

SCENARIO(an_empty_list_completes_at_once,
         WORKFLOW "steps:\n- name: m\n  type: map\n  over: '${input}'\n  steps:\n"
                  "  - {name: a, type: task}\n  reduce:\n"
                  "  - {name: r, type: transform, value: {got: '${results}'}}\n",
         "start [] -> result completed\nresult {\"got\":[]}\n")

SCENARIO(reduce_sees_all_results,
         WORKFLOW "steps:\n- name: m\n  type: map\n  over: '${input}'\n  as: doc\n  steps:\n"
                  "  - {name: a, type: task, input: '${doc}'}\n"
                  "  reduce:\n  - {name: r, type: task, input: '${results}'}\n"
                  "- {name: z, type: task, input: '${steps.m.output}'}\n",
         "start [1,2] -> task m[0]/a/1, task m[1]/a/1\nok m[0]/a/1 \"x\"\n"
         "ok m[1]/a/1 \"y\" -> task r/1\npayload r/1 [\"x\",\"y\"]\n"
         "ok r/1 {\"all\":true} -> task z/1\npayload z/1 {\"all\":true}\n"
         "field o:m {\"all\":true}\n")

SCENARIO(a_batch_is_a_list_of_items,
         WORKFLOW "steps:\n- name: m\n  type: map\n  over: '${input}'\n  batch: 2\n  steps:\n"
                  "  - {name: a, type: task, input: '${item}'}\n",
         "start [1,2,3] -> task m[0]/a/1, task m[1]/a/1\npayload m[0]/a/1 [1,2]\n"
         "payload m[1]/a/1 [3]\n")

SCENARIO(the_first_failed_item_fails_the_map,
         WORKFLOW "steps:\n- name: m\n  type: map\n  over: '${input}'\n  steps:\n"
                  "  - {name: a, type: task, retry: {max_attempts: 1}}\n",
         "start [1,2,3] -> task m[0]/a/1, task m[1]/a/1, task m[2]/a/1\n"
         "fail m[1]/a/1 tool_error -> cancel m[0]/a/1, cancel m[2]/a/1, result failed\n"
         "error {\"type\":\"tool_error\",\"step\":\"m[1]/a\"}\nstate m failed\n"
         "ok m[0]/a/1 1 -> ignored\n")

SCENARIO(failed_items_may_be_collected,
         WORKFLOW "steps:\n- name: m\n  type: map\n  over: '${input}'\n  on_item_error: collect\n"
                  "  steps: [{name: a, type: task, retry: {max_attempts: 1}}]\n"
                  "  output: '${[has(output[0].error), output[1], output[0].error.type]}'\n",
         "start [1,2] -> task m[0]/a/1, task m[1]/a/1\nfail m[0]/a/1 tool_error -> nothing\n"
         "field o:m[0] present\n"
         "ok m[1]/a/1 7 -> result completed\nresult [true,7,\"tool_error\"]\n")

SCENARIO(what_over_gives_must_be_a_list,
         WORKFLOW "steps:\n- name: m\n  type: map\n  over: '${input.list}'\n  steps:\n"
                  "  - {name: a, type: task}\n",
         "start {\"list\":7} -> result failed\n"
         "error {\"type\":\"expression\",\"message\":\"not a list\",\"step\":\"m\"}\n")

SCENARIO(a_map_may_fall_back,
         WORKFLOW "steps:\n- name: m\n  type: map\n  over: '${input}'\n  steps:\n"
                  "  - {name: a, type: task, retry: {max_attempts: 1}}\n"
                  "  on_error: {fallback: [{name: f, type: task, input: '${error.step}'}]}\n",
         "start [1,2] -> task m[0]/a/1, task m[1]/a/1\n"
         "fail m[0]/a/1 auth -> cancel m[1]/a/1, task f/1\npayload f/1 \"m[0]/a\"\n"
         "ok f/1 3 -> result completed\nresult 3\n")

SCENARIO(maps_nest,
         WORKFLOW "steps:\n- name: m\n  type: map\n  over: '${input}'\n  as: row\n  steps:\n"
                  "  - name: n\n    type: map\n    over: '${row}'\n    as: cell\n    steps:\n"
                  "    - {name: a, type: task, input: ['${row}', '${cell}', '${index}']}\n",
         "start [[1,2],[3]] -> task m[0]/n[0]/a/1, task m[0]/n[1]/a/1, task m[1]/n[0]/a/1\n"
         "payload m[0]/n[1]/a/1 [[1,2],2,1]\nfield m:m[0]/n:0 present\n"
         "ok m[0]/n[0]/a/1 \"p\" -> nothing\nfield o:m[0]/n[0] \"p\"\n"
         "ok m[0]/n[1]/a/1 \"q\" -> nothing\nfield o:m[0] [\"p\",\"q\"]\n"
         "field o:m[0]/n[0] absent\nfield m:m[0]/n:0 absent\nfield o:m[0]/n absent\n"
         "ok m[1]/n[0]/a/1 \"r\" -> result completed\nresult [[\"p\",\"q\"],[\"r\"]]\n")

SCENARIO(a_list_that_may_change_is_stored,
         WORKFLOW "steps:\n- {name: s, type: set, vars: {l: [1, 2]}}\n"
                  "- name: m\n  type: map\n  over: '${vars.l}'\n  max_concurrent: 1\n  steps:\n"
                  "  - {name: a, type: task, input: '${item}'}\n"
                  "  - {name: t, type: set, vars: {l: []}}\n",
         "start -> task m[0]/a/1\nfield q:m [1,2]\nok m[0]/a/1 1 -> task m[1]/a/1\n"
         "payload m[1]/a/1 2\nok m[1]/a/1 1 -> result completed\nfield q:m absent\n")

SCENARIO(an_item_waits_for_a_slot_behind_those_that_came_before,
         WORKFLOW "limits: {max_parallel: 2}\nsteps:\n- name: m\n  type: map\n"
                  "  over: '${input}'\n  max_concurrent: 3\n  steps:\n"
                  "  - {name: a, type: task}\n  - {name: b, type: task}\n",
         "start [1,2,3,4] -> task m[0]/a/1, task m[1]/a/1\nstate m[2]/a waiting\n"
         "ok m[0]/a/1 1 -> task m[2]/a/1\nstate m[0]/b waiting\n"
         "ok m[1]/a/1 1 -> task m[0]/b/1\nok m[2]/a/1 1 -> task m[1]/b/1\n"
         "ok m[0]/b/1 1 -> task m[2]/b/1\nstate m[3]/a waiting\n"
         "ok m[1]/b/1 1 -> task m[3]/a/1\n")

SCENARIO(an_item_is_retried_by_itself,
         WORKFLOW "steps:\n- name: m\n  type: map\n  over: '${input}'\n  steps:\n"
                  "  - {name: a, type: task, retry: {backoff: fixed, initial: 1ms}}\n",
         "start [1,2]\nfail m[1]/a/1 provider_error -> nothing\nstate m[1]/a backoff\nafter 1\n"
         "timer -> task m[1]/a/2\nlost m[0]/a/1\nafter 1\ntimer -> task m[0]/a/2\n"
         "ok m[0]/a/1 \"late\" -> settle m[0]/a/1, cancel m[0]/a/2\n"
         "ok m[1]/a/2 \"b\" -> result completed\nresult [\"late\",\"b\"]\n")

SCENARIO(a_cancelled_run_ends_all_items,
         WORKFLOW "steps:\n- name: m\n  type: map\n  over: '${input}'\n  max_concurrent: 2\n"
                  "  steps: [{name: a, type: task}]\n",
         "start [1,2,3]\nok m[0]/a/1 \"kept\" -> task m[2]/a/1\n"
         "cancel -> cancel m[1]/a/1, cancel m[2]/a/1, result cancelled\nstate m cancelled\n"
         "field o:m[0] \"kept\"\nfield m:m:0 present\n")

SCENARIO(an_item_sees_the_steps_around_and_not_those_of_others,
         WORKFLOW "steps:\n- {name: z, type: task}\n- name: m\n  type: map\n"
                  "  over: '${input}'\n  max_concurrent: 1\n  steps:\n"
                  "  - {name: a, type: task, input: '${steps.z.output}'}\n"
                  "  - {name: b, type: task, if: 'steps.a.output == 1'}\n",
         "start [1,2] -> task z/1\nok z/1 \"zz\" -> task m[0]/a/1\npayload m[0]/a/1 \"zz\"\n"
         "ok m[0]/a/1 1 -> task m[0]/b/1\nok m[0]/b/1 5 -> task m[1]/a/1\n"
         "ok m[1]/a/1 2 -> result completed\nresult [5,null]\n")

/* --- loop --- */

SCENARIO(a_loop_runs_until_its_condition_holds,
         WORKFLOW "steps:\n- name: l\n  type: loop\n  until: 'steps.a.output.good'\n"
                  "  max_iterations: 5\n  steps:\n"
                  "  - {name: a, type: task, input: ['${item}', '${index}']}\n",
         "start {} -> task l[0]/a/1\npayload l[0]/a/1 [null,0]\n"
         "ok l[0]/a/1 {\"good\":false} -> task l[1]/a/1\n"
         "payload l[1]/a/1 [{\"good\":false},1]\nfield o:l[0]/a absent\n"
         "field q:l {\"good\":false}\nok l[0]/a/1 {} -> ignored, settle l[0]/a/1\n"
         "ok l[1]/a/1 {\"good\":true} -> result completed\nresult {\"good\":true}\n"
         "field q:l absent\n")

SCENARIO(a_loop_goes_on_while_its_condition_holds,
         WORKFLOW "steps:\n- name: l\n  type: loop\n  while: 'index < 2'\n  max_iterations: 5\n"
                  "  steps: [{name: a, type: task}]\n",
         "start {} -> task l[0]/a/1\nok l[0]/a/1 1 -> task l[1]/a/1\n"
         "ok l[1]/a/1 2 -> result completed\nresult 2\n")

SCENARIO(a_loop_that_never_begins_gives_null,
         WORKFLOW "steps:\n- name: l\n  type: loop\n  while: 'input.go'\n  max_iterations: 5\n"
                  "  steps: [{name: a, type: task}]\n",
         "start {\"go\":false} -> result completed\nresult null\n")

SCENARIO(a_loop_ends_after_its_last_iteration,
         WORKFLOW "steps:\n- name: l\n  type: loop\n  until: 'false'\n  max_iterations: 2\n"
                  "  steps: [{name: a, type: task}]\n",
         "start {}\nok l[0]/a/1 1 -> task l[1]/a/1\nok l[1]/a/1 2 -> result completed\n"
         "result 2\n")

SCENARIO(a_failed_iteration_fails_the_loop,
         WORKFLOW "steps:\n- name: l\n  type: loop\n  until: 'true'\n  max_iterations: 2\n"
                  "  steps: [{name: a, type: task, retry: {max_attempts: 1}}]\n"
                  "  on_error: continue\n- {name: z, type: task, input: '${steps.l.error.type}'}\n",
         "start {}\nfail l[0]/a/1 auth -> task z/1\npayload z/1 \"auth\"\nstate l failed\n")

SCENARIO(a_condition_that_fails_fails_the_loop,
         WORKFLOW "steps:\n- name: l\n  type: loop\n  until: 'steps.a.output.x > 1'\n"
                  "  max_iterations: 2\n  steps: [{name: a, type: task}]\n",
         "start {}\nok l[0]/a/1 {} -> result failed\n"
         "error {\"type\":\"expression\",\"message\":\"until\",\"step\":\"l\"}\n")

SCENARIO(a_loop_in_a_map_in_a_branch,
         WORKFLOW "steps:\n- name: p\n  type: parallel\n  branches:\n    x:\n    - name: m\n"
                  "      type: map\n      over: '${input}'\n      max_concurrent: 1\n"
                  "      steps:\n      - name: l\n        type: loop\n"
                  "        until: 'steps.a.output'\n        max_iterations: 3\n"
                  "        as: last\n        steps:\n"
                  "        - {name: a, type: task, input: ['${item}', '${last}']}\n"
                  "    y: [{name: b, type: task}]\n",
         "start [7,8] -> task m[0]/l[0]/a/1, task b/1\n"
         "ok m[0]/l[0]/a/1 false -> task m[0]/l[1]/a/1\npayload m[0]/l[1]/a/1 [7,false]\n"
         "field q:m[0]/l false\nfield o:m[0]/l[0]/a absent\n"
         "ok m[0]/l[1]/a/1 true -> task m[1]/l[0]/a/1\nfield q:m[0]/l absent\n"
         "ok b/1 1 -> nothing\nok m[1]/l[0]/a/1 true -> result completed\n"
         "result {\"x\":[true,true],\"y\":1}\n")

SCENARIO(what_waits_for_nobody_goes_on_in_pieces,
         WORKFLOW "steps:\n- name: l\n  type: loop\n  until: 'index == 599'\n"
                  "  max_iterations: 1000\n  steps:\n"
                  "  - {name: t, type: transform, value: '${index}'}\n",
         "start {} -> nothing\nrun running\ndue 0\ntimer -> nothing\ndue 0\n"
         "timer -> result completed\nresult 599\n")

SCENARIO(a_run_that_begins_too_many_steps_fails,
         WORKFLOW "limits: {max_steps: 5}\nsteps:\n- name: l\n  type: loop\n  until: 'false'\n"
                  "  max_iterations: 100\n  steps:\n"
                  "  - {name: t, type: transform, value: '${index}'}\n"
                  "  on_error: {fallback: [{name: f, type: task}]}\n",
         "start {} -> result failed\n"
         "error {\"type\":\"budget_exceeded\",\"message\":\"max_steps\"}\n")

/* --- graphs --- */

SCENARIO(a_step_of_a_graph_starts_when_its_needs_have_ended,
         WORKFLOW "steps:\n- {name: d, type: task, needs: [b, c], input: ['${steps.b.output}', "
                  "'${steps.c.output}']}\n- {name: b, type: task, needs: [a]}\n"
                  "- {name: c, type: task, needs: [a]}\n- {name: a, type: task}\n",
         "start {} -> task a/1\nok a/1 0 -> task b/1, task c/1\nok c/1 2 -> nothing\n"
         "ok b/1 1 -> task d/1\npayload d/1 [1,2]\nok d/1 3 -> result completed\n")

SCENARIO(a_failed_step_of_a_graph_ends_it,
         WORKFLOW "steps:\n- {name: a, type: task, retry: {max_attempts: 1}}\n"
                  "- {name: b, type: task}\n- {name: c, type: task, needs: [a]}\n",
         "start {} -> task a/1, task b/1\n"
         "fail a/1 auth -> cancel b/1, result failed\nstate c skipped\n")

SCENARIO(a_need_that_failed_and_continues_is_met,
         WORKFLOW "steps:\n"
                  "- {name: a, type: task, retry: {max_attempts: 1}, on_error: continue}\n"
                  "- {name: b, type: set, needs: [c], vars: {x: 1}}\n"
                  "- {name: c, type: transform, needs: [a], value: 4}\n",
         "start {} -> task a/1\nfail a/1 auth -> result completed\nresult 4\n")

/* --- transform, return, fail --- */

SCENARIO(return_completes_the_run_where_it_stands,
         WORKFLOW
         "steps:\n- name: m\n  type: map\n  over: '${input}'\n  steps:\n"
         "  - {name: a, type: task}\n"
         "  - {name: r, type: return, if: 'steps.a.output == 1', output: {it: '${item}'}}\n"
         "- {name: z, type: task}\noutput: 9\n",
         "start [7,8] -> task m[0]/a/1, task m[1]/a/1\n"
         "ok m[1]/a/1 1 -> cancel m[0]/a/1, result completed\nresult {\"it\":8}\n"
         "state z skipped\n")

SCENARIO(return_gives_the_output_of_the_step_before,
         WORKFLOW "steps:\n- {name: a, type: task}\n- {name: r, type: return}\n",
         "start {}\nok a/1 {\"k\":1} -> result completed\nresult {\"k\":1}\n")

SCENARIO(fail_is_a_failure_like_any_other,
         WORKFLOW "steps:\n- {name: f, type: fail, error: {type: auth, message: 'no ${input.who}', "
                  "details: {a: 1}}, on_error: continue}\n"
                  "- {name: g, type: fail, error: 'enough of ${steps.f.error.message}'}\n",
         "start {\"who\":\"ann\"} -> result failed\n"
         "error {\"type\":\"rejected\",\"message\":\"enough of no ann\",\"step\":\"g\"}\n")

SCENARIO(a_map_of_a_graph_that_ends_last_lets_begin_what_stands_before_it,
         WORKFLOW "steps:\n- {name: d, type: task, needs: [b, c]}\n- {name: b, type: task}\n"
                  "- {name: c, type: map, over: [1, 2], steps: [{name: x, type: task}]}\n",
         "start {} -> task b/1, task c[0]/x/1, task c[1]/x/1\nok b/1\nok c[0]/x/1\n"
         "ok c[1]/x/1 -> task d/1\nok d/1 -> result completed\n")
