/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps that wait for people, for time, or for signals. */
#include <criterion/criterion.h>

#include "scenario.h"

#define SCENARIO(name, definition, script) \
    Test(engine_people, name)              \
    {                                      \
        scenario(definition, script);      \
    }
#define WORKFLOW "workflow: w\nversion: 1.0.0\n"

/* --- approval --- */

SCENARIO(a_person_approves_and_may_change_what_is_editable,
         WORKFLOW "steps:\n"
                  "- {name: a, type: human_approval, approvers: [ann, bob], show: {sum: "
                  "'${input.n}', to: x}, editable: [sum]}\n"
                  "- {name: b, type: task}\n",
         "start {\"n\":5} -> nothing\n"
         "run waiting_approval\nstate a waiting\n"
         "approve a eve -> ignored\n"
         "approve a ann \"values\":{\"sum\":4,\"to\":\"me\",\"more\":1},\"comment\":\"fine\" -> "
         "task b/1\n"
         "run running\n"
         "payload b/1 "
         "{\"decision\":\"approved\",\"by\":[\"ann\"],\"comment\":\"fine\",\"values\":{\"sum\":4,"
         "\"to\":\"x\"}}\n"
         "field q:a absent\n"
         "approve a bob -> ignored\n"
         "ok b/1 1 -> result completed\n")

SCENARIO(a_rejection_fails_the_step_with_who_and_why,
         WORKFLOW "steps:\n- {name: a, type: human_approval}\n- {name: b, type: task}\n",
         "start {}\n"
         "reject a ann \"comment\":\"too much\" -> result failed\n"
         "error {\"type\":\"rejected\",\"message\":\"too "
         "much\",\"step\":\"a\",\"details\":{\"by\":\"ann\",\"comment\":\"too much\"}}\n")

SCENARIO(
    a_quorum_counts_people_not_answers,
    WORKFLOW
    "steps: [{name: a, type: human_approval, approvers: [ann, 'role:ops', 'bob'], quorum: 2}]\n",
    "start {}\n"
    "approve a ann -> nothing\n"
    "approve a ann -> ignored\n"
    "approve a eve \"roles\":[\"dev\"] -> ignored\n"
    "run waiting_approval\n"
    "approve a eve \"roles\":[\"dev\",\"ops\"] -> result completed\n"
    "result "
    "{\"decision\":\"approved\",\"by\":[\"ann\",\"eve\"],\"comment\":null,\"values\":null}\n")

SCENARIO(nobody_answers_in_time,
         WORKFLOW "steps:\n- {name: a, type: human_approval, timeout: 10s}\n",
         "start {} -> nothing\ndue 10000\nafter 9999\ntimer -> ignored\nafter 1\n"
         "timer -> result failed\nerror {\"type\":\"rejected\",\"message\":\"in time\"}\n")

SCENARIO(a_timeout_may_approve,
         WORKFLOW
         "steps:\n- {name: a, type: human_approval, timeout: 10s, on_timeout: approve, show: 1}\n",
         "start {}\nafter 10000\ntimer -> result completed\n"
         "result {\"decision\":\"approved\",\"by\":[],\"comment\":null,\"values\":1}\n")

SCENARIO(a_timeout_may_ask_somebody_else_once,
         WORKFLOW "steps:\n- {name: a, type: human_approval, approvers: [ann], timeout: 10s, "
                  "on_timeout: escalate, escalate_to: '${input.boss}'}\n",
         "start {\"boss\":\"zoe\"}\nafter 10000\ntimer -> nothing\ndue 20000\n"
         "approve a ann -> ignored\n"
         "run waiting_approval\n"
         "approve a zoe -> result completed\n")

SCENARIO(the_second_timeout_rejects,
         WORKFLOW "steps:\n- {name: a, type: human_approval, timeout: 10s, on_timeout: escalate, "
                  "escalate_to: [zoe]}\n",
         "start {}\nafter 10000\ntimer -> nothing\nafter 10000\ntimer -> result failed\n")

SCENARIO(approvers_that_are_no_names_fail_the_step,
         WORKFLOW "steps:\n- {name: a, type: human_approval, approvers: '${input.who}'}\n",
         "start {\"who\":[1]} -> result failed\nerror "
         "{\"type\":\"expression\",\"message\":\"approvers\"}\n")

SCENARIO(other_branches_go_on_meanwhile,
         WORKFLOW "steps:\n- name: p\n  type: parallel\n  branches:\n"
                  "    x: [{name: a, type: human_approval}]\n    y: [{name: b, type: task}]\n",
         "start {} -> task b/1\nrun waiting_approval\nok b/1 2 -> nothing\n"
         "approve a ann -> result completed\n")

SCENARIO(a_cancel_ends_it, WORKFLOW "steps: [{name: a, type: human_approval}]\n",
         "start {}\ncancel -> result cancelled\nstate a cancelled\nfield q:a absent\napprove a ann "
         "-> ignored\n")

SCENARIO(each_item_of_a_map_asks_for_itself,
         WORKFLOW "steps: [{name: m, type: map, over: '${input.items}', steps: [{name: a, type: "
                  "human_approval, show: '${item}'}]}]\n",
         "start {\"items\":[1,2]} -> nothing\n"
         "approve m[1]/a ann -> nothing\nrun waiting_approval\n"
         "approve m[0]/a ann -> result completed\n")

/* --- wait --- */

SCENARIO(a_wait_lasts_as_long_as_it_says,
         WORKFLOW "steps:\n- {name: w, type: wait, for: 90s}\n- {name: v, type: wait, for: "
                  "'${input.ms}ms'}\n- {name: z, type: wait, for: '${input.none}'}\n",
         "start {\"ms\":250,\"none\":0} -> nothing\nstate w waiting\ndue 90000\nafter 90000\ntimer "
         "-> nothing\n"
         "state w completed\ndue 90250\nafter 250\ntimer -> result completed\nresult null\n")

SCENARIO(a_wait_for_a_time_that_is_over_is_none,
         WORKFLOW "steps:\n- {name: w, type: wait, until: '2023-11-14T22:13:20Z'}\n- {name: v, "
                  "type: wait, until: '${input.at}'}\n",
         "start {\"at\":1700000060000} -> nothing\nstate w completed\ndue 60000\nafter "
         "60000\ntimer -> result completed\n")

SCENARIO(a_wait_for_what_is_no_time_fails,
         WORKFLOW "steps:\n- {name: w, type: wait, until: '${input.at}'}\n",
         "start {\"at\":\"soon\"} -> result failed\nerror "
         "{\"type\":\"expression\",\"message\":\"until: the value is no time\"}\n")

/* --- signals --- */

SCENARIO(a_signal_ends_the_wait_that_it_matches,
         WORKFLOW
         "steps:\n- {name: w, type: wait, signal: paid, match: signal.order == input.order}\n"
         "- {name: b, type: task, input: {sum: '${signal.sum}', same: '${steps.w.output.sum}'}}\n",
         "start {\"order\":7} -> nothing\n"
         "signal paid {\"order\":8,\"sum\":1} -> nothing\n"
         "signal paid 5 -> nothing\n"
         "signal other {\"order\":7} -> ignored\n"
         "state w waiting\n"
         "signal paid {\"order\":7,\"sum\":2} -> task b/1\n"
         "payload b/1 {\"sum\":2,\"same\":2}\n"
         "field g "
         "{\"last\":{\"order\":7,\"sum\":2},\"kept\":[[\"paid\",{\"order\":8,\"sum\":1}],[\"paid\","
         "5]]}\n"
         "signal paid {\"order\":7,\"sum\":3} -> nothing\n"
         "ok b/1 -> result completed\nfield q:b absent\n")

SCENARIO(a_signal_that_comes_early_is_kept,
         WORKFLOW "steps:\n- {name: a, type: task}\n- {name: w, type: wait, signal: go}\n- {name: "
                  "v, type: wait, signal: go, timeout: 5s}\n",
         "start {} -> task a/1\nsignal go 1 -> nothing\nok a/1 -> nothing\nstate w "
         "completed\nstate v waiting\n"
         "signal go 2 -> result completed\nresult 2\n")

SCENARIO(a_signal_leaves_alone_what_else_the_run_keeps,
         "workflow: w\nversion: 1.0.0\non_error: rollback\nsteps:\n"
         "- {name: a, type: task, compensate: [{name: ua, type: task}]}\n"
         "- {name: w, type: wait, signal: go}\n- {name: x, type: fail, error: no}\n",
         "parent attached {}\nok a/1\nsignal go 1 -> task ua/1\n"
         "ok ua/1 -> result rolled_back, child.finished\n")

SCENARIO(no_signal_in_time_is_a_timeout,
         WORKFLOW "steps:\n- {name: v, type: wait, signal: go, timeout: 5s, catch: [{on: "
                  "[timeout], steps: [{name: c, type: task, input: '${error.type}'}]}]}\n",
         "start {}\nafter 5000\ntimer -> task c/1\npayload c/1 \"timeout\"\nok c/1 9 -> result "
         "completed\nresult 9\n")

SCENARIO(one_signal_goes_to_one_step,
         WORKFLOW "steps:\n- name: m\n  type: map\n  over: [1, 2]\n  steps: [{name: w, type: wait, "
                  "signal: go, match: signal.for == 0 || signal.for == item}]\n",
         "start {} -> nothing\nsignal go {\"for\":2} -> nothing\nsignal go {\"for\":0} -> result "
         "completed\n"
         "result [{\"for\":0},{\"for\":2}]\n")

SCENARIO(a_router_whose_choice_has_failed_is_not_asked_again,
         WORKFLOW
         "steps:\n- {name: r, type: router, model: m, prompt: p, choices: {x: {description: "
         "d, steps: [{name: a, type: task, retry: {max_attempts: 1}}]}, y: {description: e, steps: "
         "[{name: b, type: task}]}}, on_error: "
         "{escalate: [ann, bob]}}\n",
         "start {}\nok r/1 {\"choice\":\"x\"} -> task a/1\nfail a/1 auth -> nothing\n"
         "retry r ann -> ignored\napprove r bob \"output\":1 -> result completed\nresult 1\n")
