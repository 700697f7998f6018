/* SPDX-License-Identifier: Apache-2.0
 *
 * Rolling back: what is undone, in which order, and what becomes of the run. */
#include <criterion/criterion.h>

#include "scenario.h"

#define SCENARIO(name, definition, script) \
    Test(engine_undo, name)                \
    {                                      \
        scenario(definition, script);      \
    }
#define WORKFLOW "workflow: w\nversion: 1.0.0\ndefaults: {retry: {max_attempts: 1}}\n"
#define SAGA                                                                                    \
    "steps:\n- {name: a, type: task, compensate: [{name: ua, type: task, input: "               \
    "'${steps.a.output.id}'}]}\n"                                                               \
    "- {name: n, type: task}\n"                                                                 \
    "- {name: b, type: task, compensate: [{name: ub1, type: task}, {name: ub2, type: task}]}\n" \
    "- {name: c, type: task, compensate: [{name: uc, type: task}]}\n"

SCENARIO(a_run_that_fails_undoes_what_it_completed_the_newest_first,
         WORKFLOW "on_error: rollback\n" SAGA,
         "start {}\nok a/1 {\"id\":7}\nok n/1\nok b/1 5 -> task c/1\nfield u [0,[0,3]]\n"
         "fail c/1 auth -> task ub1/1\nrun rolling_back\npayload ub1/1 5\n"
         "ok ub1/1 -> task ub2/1\nok ub2/1 -> task ua/1\npayload ua/1 7\n"
         "ok ua/1 -> result rolled_back\nrun rolled_back\nstate uc skipped\n"
         "error {\"type\":\"auth\",\"step\":\"c\"}\n")

SCENARIO(a_step_may_have_the_run_roll_back,
         WORKFLOW "steps:\n- {name: a, type: task, compensate: [{name: ua, type: task}]}\n"
                  "- {name: p, type: parallel, branches: {x: [{name: b, type: task, on_error: "
                  "rollback}], y: [{name: c, type: task}]}}\n",
         "start {}\nok a/1 -> task b/1, task c/1\nfail b/1 timeout -> cancel c/1, task ua/1\n"
         "ok ua/1 -> result rolled_back\nerror {\"type\":\"timeout\",\"step\":\"b\"}\n")

SCENARIO(a_run_with_nothing_to_undo_is_rolled_back_at_once,
         WORKFLOW "on_error: rollback\nsteps: [{name: a, type: task}]\n",
         "start {}\nfail a/1 auth -> result rolled_back\n")

SCENARIO(a_compensation_that_fails_is_passed_and_told, WORKFLOW "on_error: rollback\n" SAGA,
         "start {}\nok a/1 {\"id\":7}\nok n/1\nok b/1 5\nfail c/1 auth -> task ub1/1\n"
         "fail ub1/1 unreachable -> task ua/1\nstate ub2 skipped\nok ua/1 -> result rolled_back\n"
         "error "
         "{\"type\":\"auth\",\"details\":{\"compensation_failed\":{\"b\":{\"type\":\"unreachable\","
         "\"message\":\"it "
         "broke\",\"step\":\"ub1\",\"attempt\":1,\"retryable\":true,\"details\":null}}}}\n")

SCENARIO(a_signal_makes_nobody_forget_what_can_be_undone,
         WORKFLOW
         "on_error: rollback\nsteps:\n- {name: a, type: task, compensate: [{name: ua, type: "
         "task}]}\n- {name: w, type: wait, signal: go}\n- {name: c, type: task}\n",
         "start {}\nok a/1 1\nsignal other 1\nsignal go 2 -> task c/1\n"
         "fail c/1 auth -> task ua/1\nok ua/1 -> result rolled_back\n")

SCENARIO(compensations_are_retried,
         "workflow: w\nversion: 1.0.0\non_error: rollback\nsteps:\n"
         "- {name: a, type: task, compensate: [{name: ua, type: task, retry: {max_attempts: 3, "
         "initial: 1s, backoff: fixed}}]}\n"
         "- {name: f, type: fail, error: no}\n",
         "start {}\nok a/1 -> task ua/1\nfail ua/1 timeout -> nothing\nrun rolling_back\nafter "
         "1000\ntimer -> task ua/2\n"
         "ok ua/2 -> result rolled_back\nerror {\"type\":\"rejected\",\"message\":\"no\"}\n")

SCENARIO(a_rollback_has_the_time_of_a_run,
         "workflow: w\nversion: 1.0.0\non_error: rollback\nlimits: {timeout: 60s}\nsteps:\n"
         "- {name: a, type: task, compensate: [{name: ua, type: task}]}\n- {name: b, type: task, "
         "retry: {max_attempts: 1}}\n",
         "start {}\nok a/1\nafter 50000\nfail b/1 auth -> task ua/1\nheader ua/1 deadline-ms "
         "1700000110000\nafter 30000\n"
         "ok ua/1 -> result rolled_back\n")

SCENARIO(a_step_rolls_back_to_a_step_and_the_run_goes_on,
         WORKFLOW "steps:\n- {name: a, type: task, compensate: [{name: ua, type: task}]}\n"
                  "- {name: b, type: task, compensate: [{name: ub, type: task}]}\n"
                  "- {name: c, type: task, compensate: [{name: uc, type: task}]}\n"
                  "- {name: r, type: rollback, to: a}\n- {name: z, type: task}\n",
         "start {}\nok a/1\nok b/1\nok c/1 -> task uc/1\nrun rolling_back\nok uc/1 -> task "
         "ub/1\nok ub/1 -> task z/1\n"
         "run running\npayload z/1 {\"undone\":[\"c\",\"b\"],\"failed\":{}}\nfield u "
         "[0,[0]]\nstate ua pending\n"
         "ok z/1 -> result completed\n")

SCENARIO(what_a_handler_stood_in_for_is_not_undone,
         WORKFLOW "on_error: rollback\nsteps:\n- {name: a, type: task, compensate: [{name: ua, "
                  "type: task}], on_error: {fallback: [{name: x, type: task}]}}\n"
                  "- {name: f, type: fail, error: no}\n",
         "start {}\nfail a/1 auth -> task x/1\nok x/1 -> result rolled_back\n")

SCENARIO(a_cancel_may_ask_for_compensation, WORKFLOW SAGA,
         "start {}\nok a/1 {\"id\":1}\ncancel {\"compensate\":true,\"reason\":\"changed my mind\"} "
         "-> cancel n/1, task ua/1\n"
         "run rolling_back\nok ua/1 -> result cancelled\nerror "
         "{\"type\":\"cancelled\",\"message\":\"changed my mind\"}\n")

SCENARIO(a_cancel_while_it_rolls_back_ends_it, WORKFLOW "on_error: rollback\n" SAGA,
         "start {}\nok a/1 {\"id\":1}\nfail n/1 auth -> task ua/1\ncancel -> cancel ua/1, result "
         "cancelled\nstate ua cancelled\n")

SCENARIO(a_cancel_that_comes_again_leaves_a_rollback_its_time,
         "workflow: w\nversion: 1.0.0\nlimits: {timeout: 60s}\nsteps:\n"
         "- {name: a, type: task, compensate: [{name: ua, type: task}]}\n- {name: b, type: task}\n",
         "start {}\nok a/1\nafter 1000\ncancel {\"compensate\":true} -> cancel b/1, task ua/1\n"
         "due 61000\nafter 5000\ncancel {\"compensate\":true} -> ignored\ndue 61000\n"
         "ok ua/1 -> result cancelled\n")

SCENARIO(a_compensation_that_is_out_keeps_its_deadline_when_the_whole_run_rolls_back,
         "workflow: w\nversion: 1.0.0\nlimits: {timeout: 60s}\nsteps:\n"
         "- {name: a, type: task, compensate: [{name: ua, type: task}]}\n"
         "- {name: r, type: rollback}\n- {name: b, type: task}\n",
         "start {}\nafter 1000\nok a/1 -> task ua/1\n"
         "cancel {\"compensate\":true} -> nothing\nok ua/1 -> result cancelled\n")
