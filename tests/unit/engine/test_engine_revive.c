/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs that have ended and go on: run.retry, run.rerun, and forks. (Every event is also applied to
 * a run that was just loaded, and every scenario is folded twice: see world.h.) */
#include <criterion/criterion.h>

#include "scenario.h"
#include "world.h"

#define SCENARIO(name, definition, script) \
    Test(engine_revive, name)              \
    {                                      \
        scenario(definition, script);      \
    }
#define WORKFLOW "workflow: w\nversion: 1.0.0\ndefaults: {retry: {max_attempts: 1}}\n"
#define THREE    "steps: [{name: a, type: task}, {name: b, type: task}, {name: c, type: task}]\n"

/* --- retry --- */

SCENARIO(a_failed_run_goes_on_at_the_step_that_failed, WORKFLOW THREE,
         "start {}\nok a/1 1\nfail b/1 auth -> result failed\nstate c skipped\n"
         "again -> task b/2\nrun running\nstate a completed\nstate c pending\nfield o: absent\n"
         "payload b/2 1\nok b/2 2 -> task c/1\nok c/1 3 -> result completed/1\nresult 3\n")

SCENARIO(a_step_that_is_begun_again_has_all_its_attempts,
         "workflow: w\nversion: 1.0.0\nsteps: [{name: a, type: task, retry: {max_attempts: 2, "
         "initial: 1s, backoff: fixed}}]\n",
         "start {}\nfail a/1 timeout\nafter 1000\ntimer -> task a/2\nfail a/2 timeout -> result "
         "failed\nagain -> task a/3\nfail a/3 timeout -> nothing\nafter 1000\ntimer -> task a/4\n"
         "fail a/4 timeout -> result failed/1\nagain -> task a/5\nok a/5 1 -> result completed/2\n")

SCENARIO(
    an_answer_of_before_does_not_end_what_was_begun_again, WORKFLOW THREE,
    "start {}\nok a/1 1\ncancel -> cancel b/1, result cancelled\nagain -> task b/2\n"
    "usage 5 0 0\nok b/1 9 -> settle b/1\nstate b issued\nok b/2 2 -> task c/1\npayload c/1 2\n")

SCENARIO(a_request_that_was_answered_is_another_one_and_one_that_was_cut_off_the_same,
         WORKFLOW THREE,
         "start {}\nfail a/1 auth\nagain -> task a/2\nheader a/2 idempotency-key "
         "0123456789abcdef-0123456789abcdef01234567/a/2\nok a/2 1 -> task b/1\n"
         "cancel\nagain -> task b/2\nheader b/2 idempotency-key "
         "0123456789abcdef-0123456789abcdef01234567/b\n")

SCENARIO(the_time_of_a_run_counts_anew, WORKFLOW "limits: {timeout: 60s}\n" THREE,
         "start {}\nafter 60000\ntimer -> cancel a/1, result failed\nerror "
         "{\"type\":\"timeout\"}\nafter 5000\nagain -> task a/2\ndue 125000\nafter 59999\n"
         "timer -> ignored\nafter 1\ntimer -> cancel a/2, result failed/1\n")

SCENARIO(
    what_has_ended_well_or_goes_on_is_not_begun_again, WORKFLOW THREE,
    "start {}\nagain -> ignored\nrerun a -> ignored\npause\nagain -> ignored\nresume\nok a/1\nok "
    "b/1\nok c/1 -> result completed\nagain -> ignored\nrun completed\n")

SCENARIO(a_run_that_was_rolled_back_stays_so, WORKFLOW "on_error: rollback\n" THREE,
         "start {}\nfail a/1 auth -> result rolled_back\nagain -> ignored\nrerun a -> ignored\n")

SCENARIO(
    a_run_that_was_cancelled_and_undone_stays_so,
    WORKFLOW "steps: [{name: a, type: task, compensate: [{name: ua, type: task}]}, {name: b, "
             "type: task}]\n",
    "start {}\nok a/1\ncancel {\"compensate\":true} -> cancel b/1, task ua/1\nok ua/1 -> result "
    "cancelled\nagain -> ignored\n")

SCENARIO(what_could_be_undone_can_be_so_after_a_retry,
         WORKFLOW "steps: [{name: a, type: task, compensate: [{name: ua, type: task}]}, {name: b, "
                  "type: task}]\n",
         "start {}\nok a/1\nfail b/1 auth -> result failed\nstate ua skipped\nagain -> task b/2\n"
         "cancel {\"compensate\":true} -> cancel b/2, task ua/1\nok ua/1 -> result cancelled/1\n")

SCENARIO(an_input_that_was_refused_is_refused_still,
         WORKFLOW "input: {type: object, required: [x]}\n" THREE,
         "start {} -> result failed\nagain -> ignored\n")

SCENARIO(a_second_retry_ends_with_an_event_of_its_own, WORKFLOW THREE,
         "start {}\nfail a/1 auth -> result failed\nagain\nfail a/2 auth -> result failed/1\n"
         "again\nfail a/3 auth -> result failed/2\n")

SCENARIO(an_expiry_that_was_meant_for_an_earlier_end_deletes_nothing,
         WORKFLOW "retention: 1h\n" THREE,
         "start {}\nfail a/1 auth -> result failed\ndue 3600000\nafter 1000\nagain\nexpired "
         "1700003600000 -> ignored\nfail a/2 auth -> result failed/1\ndue 3601000\n"
         "expired 1700003600000 -> ignored\nexpired 1700003601000 -> deleted\n")

#define BRANCHES                                                                       \
    "steps: [{name: p, type: parallel, branches: {x: [{name: x1, type: task}, {name: " \
    "x2, type: task}], y: [{name: y1, type: task}, {name: y2, type: task}], z: "       \
    "[{name: z1, type: task}]}}, {name: e, type: task}]\n"

SCENARIO(branches_keep_what_they_have_and_go_on, WORKFLOW BRANCHES,
         "start {}\nok x1/1 1\nok z1/1 3\nfail x2/1 auth -> cancel y1/1, result failed\n"
         "again -> task x2/2, task y1/2\nstate p waiting\nstate z1 completed\nstate x1 completed\n"
         "ok y1/2\nok x2/2 2 -> nothing\nok y2/1 4 -> task e/1\npayload e/1 "
         "{\"x\":2,\"y\":4,\"z\":3}\n")

SCENARIO(a_branch_that_had_no_turn_has_it_then,
         WORKFLOW "steps: [{name: p, type: parallel, max_concurrent: 1, branches: {x: [{name: x1, "
                  "type: task}], y: [{name: y1, type: task}]}}]\n",
         "start {}\nfail x1/1 auth -> result failed\nstate y1 skipped\nagain -> task x1/2\n"
         "ok x1/2 1 -> task y1/1\nok y1/1 2 -> result completed/1\n")

#define CASES                                                                                  \
    "steps: [{name: s, type: set, vars: {n: 1}}, {name: c, type: conditional, cases: [{when: " \
    "'vars.n == 1', steps: [{name: t, type: set, vars: {n: 2}}, {name: a, type: task}]}, "     \
    "{when: 'true', steps: [{name: b, type: task}]}]}]\n"

SCENARIO(a_case_is_taken_once, WORKFLOW CASES,
         "start {}\nfail a/1 auth -> result failed\nstate t completed\nagain -> task a/2\nstate b "
         "skipped\nok a/2 7 -> result completed/1\nresult 7\n")

SCENARIO(a_condition_that_was_false_is_not_asked_again,
         WORKFLOW
         "steps: [{name: s, type: set, vars: {n: 1}}, {name: a, type: task, if: 'vars.n == "
         "2'}, {name: b, type: task}, {name: c, type: task, if: 'vars.n == 2'}]\n",
         "start {}\nvars {\"n\":2}\nfail b/1 auth -> result failed\nagain -> task b/2\nstate a "
         "skipped\nok b/2 -> task c/1\n")

SCENARIO(
    a_router_is_not_asked_again,
    WORKFLOW
    "steps: [{name: r, type: router, model: m, prompt: p, choices: {x: {description: x, steps: "
    "[{name: a, type: task}]}, y: {description: y, steps: [{name: b, type: task}]}}}]\n",
    "start {}\nok r/1 {\"choice\":\"x\"} -> task a/1\nfail a/1 auth -> result failed\nagain -> "
    "task a/2\nok a/2 1 -> result completed/1\nresult {\"choice\":\"x\",\"output\":1}\n")

SCENARIO(
    a_router_that_had_no_answer_is_asked,
    WORKFLOW
    "steps: [{name: r, type: router, model: m, prompt: p, choices: {x: {description: x, steps: "
    "[{name: a, type: task}]}, y: {description: y, steps: [{name: b, type: task}]}}}]\n",
    "start {}\nfail r/1 auth -> result failed\nagain -> task r/2\nok r/2 {\"choice\":\"y\"} -> "
    "task b/1\n")

SCENARIO(a_graph_goes_on_where_it_can,
         WORKFLOW
         "steps: [{name: a, type: task}, {name: b, type: task, needs: [a]}, {name: c, type: "
         "task}, {name: d, type: task, needs: [b, c], input: 1}]\n",
         "start {}\nok a/1 -> task b/1\nfail c/1 auth -> cancel b/1, result failed\nagain -> task "
         "b/2, task c/2\nok c/2\nok b/2 -> task d/1\nok d/1 1 -> result completed/1\n")

SCENARIO(
    a_handler_that_failed_too_begins_with_its_step,
    WORKFLOW "steps: [{name: a, type: task, catch: [{on: any, steps: [{name: h1, type: task}, "
             "{name: h2, type: task}]}]}]\n",
    "start {}\nfail a/1 auth -> task h1/1\nok h1/1 1\nfail h2/1 auth -> result failed\nagain -> "
    "task a/2\nstate h1 pending\nfail a/2 auth -> task h1/2\nok h1/2 -> task h2/2\nok h2/2 5 -> "
    "result completed/1\nresult 5\n")

SCENARIO(
    a_run_whose_fallback_failed_begins_where_it_had_failed_first,
    WORKFLOW "on_error: {fallback: [{name: f1, type: task}, {name: f2, type: task}]}\n" THREE,
    "start {}\nok a/1 1\nfail b/1 auth -> task f1/1\nok f1/1\nfail f2/1 auth -> result failed\n"
    "again -> task b/2\nstate f1 pending\nfail b/2 auth -> task f1/2\n")

SCENARIO(a_failure_that_was_passed_over_stays,
         WORKFLOW "steps: [{name: a, type: task, on_error: continue}, {name: b, type: task}]\n",
         "start {}\nfail a/1 auth -> task b/1\nfail b/1 auth -> result failed\nagain -> task b/2\n"
         "state a failed\nok b/2 1 -> result completed/1\n")

/* --- what repeats --- */

#define MAP                                                                               \
    "steps: [{name: m, type: map, over: [5, 6, 7], max_concurrent: 2, steps: [{name: a, " \
    "type: task}, {name: b, type: task}]}]\n"

SCENARIO(items_that_have_completed_stay_and_others_go_on, WORKFLOW MAP,
         "start {}\nok m[0]/a/1 1\nok m[0]/b/1 10 -> task m[2]/a/1\nok m[1]/a/1 2\n"
         "fail m[1]/b/1 auth -> cancel m[2]/a/1, result failed\nfield m:m:0 present\n"
         "again -> task m[1]/b/2, task m[2]/a/2\nstate m waiting\nstate m[1]/a completed\n"
         "ok m[1]/b/2 20\nok m[2]/a/2 3\nok m[2]/b/1 30 -> result completed/1\nresult [10,20,30]\n"
         "field m:m:0 absent\n")

SCENARIO(
    items_that_had_not_begun_begin,
    WORKFLOW "steps: [{name: s, type: set, vars: {l: [1, 2, 3]}}, {name: m, type: map, over: "
             "'${vars.l}', max_concurrent: 1, steps: [{name: a, type: task, input: "
             "'${item}'}]}]\n",
    "start {}\nok m[0]/a/1 1\nvars {\"l\":[9]}\nfail m[1]/a/1 auth -> result failed\nfield q:m "
    "[1,2,3]\nagain -> task m[1]/a/2\npayload m[1]/a/2 2\nok m[1]/a/2 2 -> task m[2]/a/1\n"
    "payload m[2]/a/1 3\nok m[2]/a/1 3 -> result completed/1\nresult [1,2,3]\n")

SCENARIO(
    what_reduces_goes_on,
    WORKFLOW "steps: [{name: m, type: map, over: [1], steps: [{name: a, type: task}], reduce: "
             "[{name: r1, type: task, input: '${results}'}, {name: r2, type: task, input: "
             "'${results}'}]}]\n",
    "start {}\nok m[0]/a/1 4 -> task r1/1\nok r1/1 -> task r2/1\nfail r2/1 auth -> result "
    "failed\nagain -> task r2/2\npayload r2/2 [4]\nok r2/2 5 -> result completed/1\nresult 5\n")

#define LOOP                                                                                  \
    "steps: [{name: l, type: loop, while: 'index < 3', max_iterations: 5, steps: [{name: a, " \
    "type: task, input: '${item}'}, {name: b, type: task}]}]\n"

SCENARIO(
    a_loop_goes_on_in_its_iteration, WORKFLOW LOOP,
    "start {}\nok l[0]/a/1\nok l[0]/b/1 10 -> task l[1]/a/1\nok l[1]/a/1 2\nfail l[1]/b/1 auth "
    "-> result failed\nagain -> task l[1]/b/2\npayload l[1]/b/2 2\nok l[1]/b/2 20 -> task "
    "l[2]/a/1\npayload l[2]/a/1 20\nok l[2]/a/1\nok l[2]/b/1 30 -> result completed/1\nresult "
    "30\n")

SCENARIO(a_loop_within_a_map_goes_on,
         WORKFLOW "steps: [{name: m, type: map, over: [1, 2], steps: [{name: l, type: loop, until: "
                  "'index == 1', max_iterations: 5, steps: [{name: a, type: task}]}]}]\n",
         "start {}\nok m[0]/l[0]/a/1 1 -> task m[0]/l[1]/a/1\nfail m[1]/l[0]/a/1 auth -> cancel "
         "m[0]/l[1]/a/1, result failed\nagain -> task m[0]/l[1]/a/2, task m[1]/l[0]/a/2\nok "
         "m[0]/l[1]/a/2 2\nok m[1]/l[0]/a/2 3\nok m[1]/l[1]/a/1 4 -> result completed/1\nresult "
         "[2,4]\n")

SCENARIO(a_loop_whose_question_failed_asks_again,
         WORKFLOW "steps: [{name: s, type: set, vars: {n: 1}}, {name: l, type: loop, while: "
                  "'vars.n', max_iterations: 3, steps: [{name: a, type: task}]}]\n",
         "start {} -> result failed\nagain -> result failed/1\n")

SCENARIO(a_map_that_failed_and_was_passed_over_keeps_nothing,
         WORKFLOW
         "steps: [{name: m, type: map, over: [1, 2], on_error: continue, steps: [{name: a, "
         "type: task}]}, {name: b, type: task}]\n",
         "start {}\nfail m[0]/a/1 auth -> cancel m[1]/a/1, task b/1\nfield m:m:0 absent\n")

SCENARIO(an_item_that_ends_takes_with_it_what_failed_in_it,
         WORKFLOW
         "steps: [{name: m, type: map, over: [1], steps: [{name: p, type: parallel, "
         "on_branch_error: collect, branches: {x: [{name: n, type: map, over: [1, 2], "
         "steps: [{name: a, type: task}]}], y: [{name: b, type: task}]}}]}, {name: z, type: "
         "task}]\n",
         "start {}\nok m[0]/n[0]/a/1 1\nfail m[0]/n[1]/a/1 auth -> nothing\nfield m:m[0]/n:0 "
         "present\nfield o:m[0]/n[0] present\nok m[0]/b/1 2 -> task z/1\nfield m:m[0]/n:0 absent\n"
         "field o:m[0]/n[0] absent\nfield o:m[0]/n[1]/a absent\n")

SCENARIO(a_map_behind_a_handler_begins_anew_and_its_tasks_have_other_ids,
         WORKFLOW "steps: [{name: m, type: map, over: [1, 2], catch: [{on: any, steps: [{name: h, "
                  "type: task}]}], steps: [{name: a, type: task}]}]\n",
         "start {}\nok m[0]/a/1 1\nfail m[1]/a/1 auth -> task h/1\nfail h/1 auth -> result failed\n"
         "again -> task m[0]/a/2, task m[1]/a/2\nok m[0]/a/1 7 -> ignored, settle m[0]/a/1\nok "
         "m[0]/a/2 1\nok "
         "m[1]/a/2 2 -> result completed/1\nresult [1,2]\n")

/* --- people, waits, children --- */

SCENARIO(people_are_asked_again,
         WORKFLOW "steps: [{name: a, type: human_approval}, {name: b, type: task}]\n",
         "start {}\nreject a ann -> result failed\nagain -> nothing\nrun waiting_approval\nstate a "
         "waiting\napprove a ann -> task b/1\n")

SCENARIO(a_step_that_people_gave_up_is_tried_again,
         WORKFLOW "steps: [{name: a, type: task, on_error: {escalate: [ann]}}]\n",
         "start {}\nfail a/1 auth\nrun waiting_approval\nreject a ann -> result failed\nagain -> "
         "task a/2\nfail a/2 auth -> nothing\nrun waiting_approval\n")

SCENARIO(a_signal_is_waited_for_again,
         WORKFLOW "steps: [{name: w, type: wait, signal: go, timeout: 10s}]\n",
         "start {}\nafter 10000\ntimer -> result failed\nagain -> nothing\nstate w waiting\nsignal "
         "go 5 -> result completed/1\nresult 5\n")

SCENARIO(a_kept_signal_is_kept,
         WORKFLOW "steps: [{name: a, type: task}, {name: w, type: wait, signal: go}]\n",
         "start {}\nsignal go 5\nfail a/1 auth\nagain\nok a/2 -> result completed/1\nresult 5\n")

SCENARIO(
    a_child_is_started_anew_and_the_one_before_is_not_listened_to,
    WORKFLOW "steps: [{name: s, type: workflow, workflow: other}]\n",
    "start {}\nchild s/1 failed {\"type\":\"auth\"} -> result failed\nagain -> child s/2\n"
    "child s/1 completed 3 -> ignored\nchild s/2 completed 4 -> result completed/1\nresult 4\n")

SCENARIO(a_child_that_is_revived_tells_its_parent_again,
         WORKFLOW "steps: [{name: a, type: task}]\n",
         "parent attached {}\nfail a/1 auth -> result failed, child.finished\nagain -> task "
         "a/2\nok a/2 -> result completed/1, child.finished\n")

SCENARIO(a_run_that_began_too_many_steps_may_begin_as_many_more,
         WORKFLOW "limits: {max_steps: 3}\nsteps: [{name: m, type: map, over: [1, 2, 3], "
                  "max_concurrent: 1, steps: [{name: a, type: task}]}]\n",
         "start {}\nok m[0]/a/1\nok m[1]/a/1 -> result failed\nerror "
         "{\"type\":\"budget_exceeded\"}\nagain -> task m[2]/a/1\nok m[2]/a/1 1 -> result "
         "completed/1\n")

/* --- rerun --- */

SCENARIO(a_run_is_done_again_from_a_step, WORKFLOW THREE,
         "start {}\nok a/1 1\nok b/1 2\nok c/1 3 -> result completed\nrerun b -> task b/2\nstate a "
         "completed\nstate c pending\npayload b/2 1\nok b/2 5 -> task c/2\npayload c/2 5\nok c/2 6 "
         "-> result completed/1\nresult 6\n")

SCENARIO(a_failed_run_is_done_again_from_a_step_before, WORKFLOW THREE,
         "start {}\nok a/1 1\nok b/1 2\nfail c/1 auth -> result failed\nrerun c -> task c/2\nfail "
         "c/2 auth\nrerun a -> task a/2\nok a/2\nok b/2 -> task c/3\n")

SCENARIO(
    what_the_flow_never_came_to_is_no_place_to_begin, WORKFLOW THREE,
    "start {}\nfail a/1 auth -> result failed\nrerun c -> ignored\nrerun b -> ignored\nrerun x "
    "-> ignored\nrerun a -> task a/2\n")

SCENARIO(a_step_in_a_branch_is_done_again_and_what_comes_behind_the_branches, WORKFLOW BRANCHES,
         "start {}\nok x1/1 1\nok y1/1 1\nok z1/1 3\nok x2/1 2\nok y2/1 4\nok e/1 -> result "
         "completed\nrerun y2 -> task y2/2\nstate e pending\nstate x2 completed\nok y2/2 9 -> task "
         "e/2\npayload e/2 {\"x\":2,\"y\":9,\"z\":3}\n")

SCENARIO(a_step_in_a_case_is_done_again_if_the_case_was_taken, WORKFLOW CASES,
         "start {}\nok a/1 7 -> result completed\nrerun b -> ignored\nrerun a -> task a/2\nstate t "
         "completed\nok a/2 8 -> result completed/1\nresult 8\n")

SCENARIO(
    in_a_graph_all_that_needs_it_is_done_again,
    WORKFLOW "steps: [{name: a, type: task}, {name: b, type: task, needs: [a]}, {name: c, type: "
             "task}, {name: d, type: task, needs: [b, c], input: 1}]\n",
    "start {}\nok a/1\nok b/1\nok c/1\nok d/1 1 -> result completed\nrerun a -> task a/2\nstate "
    "c completed\nok a/2 -> task b/2\nok b/2 -> task d/2\nok d/2 2 -> result completed/1\n")

SCENARIO(
    a_map_is_done_again_whole_and_a_shorter_list_leaves_nothing_behind,
    WORKFLOW "steps: [{name: s, type: set, vars: {l: [1, 2]}}, {name: m, type: map, over: "
             "'${vars.l}', steps: [{name: a, type: task}]}]\n",
    "start {}\nok m[0]/a/1 1\nok m[1]/a/1 2 -> result completed\nresult [1,2]\nrerun m -> task "
    "m[0]/a/2, task m[1]/a/2\nok m[1]/a/1 9 -> ignored, settle m[1]/a/1\nok m[0]/a/2 null -> "
    "nothing\nfield "
    "o:m[0] absent\nok m[1]/a/2 4 -> result completed/1\nresult [null,4]\n")

SCENARIO(
    a_loop_is_done_again_whole, WORKFLOW LOOP,
    "start {}\nok l[0]/a/1\nok l[0]/b/1\nok l[1]/a/1\nok l[1]/b/1\nok l[2]/a/1\nok l[2]/b/1 5 "
    "-> result completed\nrerun l -> task l[0]/a/2\nok l[0]/a/2\nok l[0]/b/2 -> task l[1]/a/2\n")

SCENARIO(
    steps_of_items_handlers_and_compensations_are_no_place_to_begin,
    WORKFLOW "on_error: {fallback: [{name: f, type: task}]}\nsteps: [{name: m, type: map, over: "
             "[1], steps: [{name: a, type: task}], reduce: [{name: r, type: task}]}, {name: b, "
             "type: task, catch: [{on: any, steps: [{name: h, type: task}]}], compensate: "
             "[{name: u, type: task}]}]\n",
    "start {}\nok m[0]/a/1\nok r/1\nok b/1 -> result completed\nrerun m[0]/a -> ignored\nrerun "
    "a -> ignored\nrerun r -> ignored\nrerun h -> ignored\nrerun u -> ignored\nrerun f -> "
    "ignored\nrerun b -> task b/2\n")

SCENARIO(what_is_done_again_is_undone_once,
         WORKFLOW "steps: [{name: a, type: task, compensate: [{name: ua, type: task}]}, {name: b, "
                  "type: task}]\n",
         "start {}\nok a/1\nok b/1 -> result completed\nrerun a -> task a/2\nfield u [0,[]]\nok "
         "a/2\nfield u [0,[0]]\ncancel {\"compensate\":true} -> cancel b/2, task ua/1\nok ua/1 -> "
         "result cancelled/1\n")

SCENARIO(
    a_run_that_returned_early_is_done_again,
    WORKFLOW "steps: [{name: a, type: task}, {name: r, type: return, if: 'steps.a.output == "
             "1'}, {name: b, type: task}]\n",
    "start {}\nok a/1 1 -> result completed\nrerun a -> task a/2\nok a/2 2 -> task b/1\nok b/1 "
    "3 -> result completed/1\nresult 3\n")

SCENARIO(a_run_that_was_saved_by_its_fallback_is_done_again,
         WORKFLOW "on_error: {fallback: [{name: f, type: task}]}\n" THREE,
         "start {}\nok a/1 1\nfail b/1 auth -> task f/1\nok f/1 9 -> result completed\nrerun b -> "
         "task b/2\nok b/2\nok c/1 3 -> result completed/1\nresult 3\n")

/* --- forks --- */

SCENARIO(a_fork_begins_where_nothing_is_given, WORKFLOW THREE,
         "fork {\"input\":{\"x\":1},\"outputs\":{\"a\":1}} -> task b/1\nstate a completed\npayload "
         "b/1 1\nfield i {\"x\":1}\nok b/1 2 -> task c/1\nok c/1 3 -> result completed\nresult 3\n")

SCENARIO(
    a_fork_of_all_completes_at_once, WORKFLOW THREE,
    "fork {\"outputs\":{\"a\":1,\"b\":2,\"c\":null}} -> result completed\nresult null\nrerun b "
    "-> task b/1\nok b/1 -> task c/1\n")

SCENARIO(a_fork_has_the_variables_that_it_is_given,
         WORKFLOW "steps: [{name: s, type: set, vars: {x: 1, y: 1}}, {name: a, type: task, input: "
                  "'${vars}'}]\n",
         "fork {\"vars\":{\"x\":7,\"z\":8},\"outputs\":{\"s\":{\"x\":1}}} -> task a/1\npayload a/1 "
         "{\"x\":7,\"z\":8}\n")

SCENARIO(items_of_a_map_are_taken_over,
         WORKFLOW "steps: [{name: m, type: map, over: [1, 2, 3], steps: [{name: a, type: task}, "
                  "{name: b, type: task}]}]\n",
         "fork {\"outputs\":{\"m[0]\":10,\"m[2]\":null,\"m[1]/a\":5}} -> task m[1]/b/1\npayload "
         "m[1]/b/1 5\nok m[1]/b/1 20 -> result completed\nresult [10,20,null]\n")

SCENARIO(
    steps_within_what_is_taken_over_can_be_read,
    WORKFLOW "steps: [{name: p, type: parallel, branches: {x: [{name: x1, type: task}], y: "
             "[{name: y1, type: task}]}}, {name: e, type: task, input: "
             "'${steps.x1.output}'}]\n",
    "fork {\"outputs\":{\"p\":{\"x\":1,\"y\":2},\"x1\":1}} -> task e/1\npayload e/1 1\nstate y1 "
    "skipped\n")

SCENARIO(branches_of_a_fork_go_on, WORKFLOW BRANCHES,
         "fork {\"outputs\":{\"x1\":1,\"z1\":3}} -> task x2/1, task y1/1\nok x2/1 2\nok y1/1\nok "
         "y2/1 4 -> task e/1\npayload e/1 {\"x\":2,\"y\":4,\"z\":3}\n")

SCENARIO(a_fork_that_cannot_be_read_fails, WORKFLOW THREE,
         "fork {\"outputs\":[1]} -> result failed\nerror {\"type\":\"bad_request\"}\nagain -> "
         "task a/1\n")

/* --- beside --- */

SCENARIO(a_child_takes_signals,
         WORKFLOW "steps: [{name: a, type: task}, {name: w, type: wait, signal: go}]\n",
         "parent attached {}\nsignal go 1\nsignal go 2\nok a/1 -> result completed, "
         "child.finished\n")

/* --- what others ask of the engine --- */

Test(engine_revive, a_path_has_a_hundred_attempts_in_all_lives_together)
{
    AUTO_BUF struct buf script = { 0 };
    buf_add_text(&script, "start {}\n");
    for (int n = 1; n <= ATTEMPTS_MAX; n++) buf_addf(&script, "fail a/%d auth\nagain\n", n);
    buf_add_text(&script, "run failed\nerror {\"type\":\"budget_exceeded\",\"step\":\"a\"}\n");
    scenario(WORKFLOW THREE, script.data);
}

static void ok(struct world *w, const char *path, const char *output)
{
    world_result(w, EVENT_TASK_COMPLETED, path, 1, output, (struct usage){ 0 });
}

static void fails(struct world *w, const char *path)
{
    world_result(w, EVENT_TASK_FAILED, path, 1, "{\"type\":\"auth\",\"message\":\"no\"}",
                 (struct usage){ 0 });
}

static void check_fork(const struct world *w, const char *at, const char *wanted)
{
    struct err e = { 0 };
    AUTO_BUF struct buf text = { 0 };
    AUTO_JSON *fork = engine_fork(w->run, bytes_of(at), &e),
              *value = json_parse(bytes_of(wanted), &e);
    cr_assert(fork && value, "%s", e.text);
    json_write(&text, fork);
    cr_assert(json_same(fork, value), "from %s it is %s", at ? at : "the end", text.data);
}

static void check_refused(const struct world *w, const char *path, const char *says)
{
    struct err e = { 0 };
    cr_assert(!engine_may_revive(w->run, bytes_of(path), &e), "%s", path ? path : "retry");
    cr_assert(strstr(e.text, says), "%s", e.text);
}

Test(engine_revive, a_fork_takes_over_what_had_completed_before_a_step)
{
    CLEANUP(definition_free_p)
    struct definition *def = parse_definition(
        WORKFLOW
        "steps: [{name: s, type: set, vars: {x: 1, y: 1}}, {name: a, type: task}, {name: m, "
        "type: map, over: [1, 2], steps: [{name: i, type: task}, {name: j, type: task}]}, "
        "{name: t, type: set, vars: {x: 2}}, {name: p, type: parallel, branches: {l: [{name: "
        "l1, type: task}, {name: l2, type: task}], r: [{name: r1, type: task}]}}]\n");
    struct world w = world_new(def);
    world_start(&w, "{\"n\":1}");
    ok(&w, "a", "5");
    ok(&w, "m[0]/i", "1");
    ok(&w, "m[0]/j", "10");
    ok(&w, "m[1]/i", "2");
    check_fork(
        &w, NULL,
        "{\"input\":{\"n\":1},\"vars\":{\"x\":1,\"y\":1},\"outputs\":{\"s\":{\"x\":1,\"y\":1},"
        "\"a\":5,\"m[0]\":10,\"m[1]/i\":2}}");
    check_refused(&w, NULL, "it has not ended");
    ok(&w, "m[1]/j", "20");
    ok(&w, "l1", "7");
    fails(&w, "l2");
    check_fork(
        &w, "l2",
        "{\"input\":{\"n\":1},\"vars\":{\"x\":2,\"y\":1},\"outputs\":{\"s\":{\"x\":1,\"y\":1},"
        "\"a\":5,\"m\":[10,20],\"t\":{\"x\":2},\"l1\":7}}");
    check_fork(
        &w, "m",
        "{\"input\":{\"n\":1},\"vars\":{\"x\":1,\"y\":1},\"outputs\":{\"s\":{\"x\":1,\"y\":1},"
        "\"a\":5}}");
    check_refused(&w, "i", "name the map or loop");
    check_refused(&w, "nope", "name the map or loop");
    world_done(&w);
}
