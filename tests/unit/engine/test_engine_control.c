/* SPDX-License-Identifier: Apache-2.0
 *
 * What people do to a run from outside. */
#include <criterion/criterion.h>

#include "scenario.h"

#define SCENARIO(name, definition, script) \
    Test(engine_control, name)             \
    {                                      \
        scenario(definition, script);      \
    }
#define WORKFLOW "workflow: w\nversion: 1.0.0\n"
#define TWO      "steps: [{name: a, type: task}, {name: b, type: task}]\n"

SCENARIO(a_paused_run_takes_results_and_begins_nothing, WORKFLOW TWO,
         "start {}\npause -> nothing\nrun paused\nok a/1 1 -> nothing\nstate a completed\nstate b "
         "pending\npause -> ignored\n"
         "resume -> task b/1\nrun running\nresume -> ignored\nok b/1 -> result completed\n")

SCENARIO(a_timer_waits_while_it_is_paused, WORKFLOW "steps: [{name: w, type: wait, for: 10s}]\n",
         "start {}\npause\nafter 20000\ntimer -> ignored\nresume -> result completed\n")

SCENARIO(an_approval_can_be_given_while_it_is_paused,
         WORKFLOW "steps: [{name: a, type: human_approval}, {name: b, type: task}]\n",
         "start {}\npause\nrun paused\napprove a ann -> nothing\nrun paused\nresume -> task b/1\n")

SCENARIO(a_terminated_run_ends_at_once,
         WORKFLOW "on_error: rollback\nsteps: [{name: a, type: task, compensate: [{name: u, type: "
                  "task}]}, {name: b, type: task}]\n",
         "start {}\nok a/1\nterminate {\"reason\":\"enough\"} -> cancel b/1, result cancelled\n"
         "error {\"type\":\"cancelled\",\"message\":\"the run was terminated: enough\"}\nterminate "
         "-> ignored\n")

SCENARIO(a_step_that_is_out_is_skipped, WORKFLOW TWO,
         "start {}\nskip a -> cancel a/1, task b/1\nstate a skipped\npayload b/1 null\nok a/1 3 -> "
         "ignored\nskip a -> ignored\n")

SCENARIO(a_skipped_step_may_be_given_an_output, WORKFLOW TWO,
         "start {}\nskip a {\"x\":1} -> cancel a/1, task b/1\nstate a completed\npayload b/1 "
         "{\"x\":1}\n")

SCENARIO(a_step_that_is_yet_to_come_is_skipped, WORKFLOW TWO,
         "start {}\nskip b -> nothing\nskip nope -> ignored\nok a/1 5 -> result completed\nstate b "
         "skipped\nresult null\n")

SCENARIO(a_whole_branch_is_skipped_with_what_is_in_it,
         WORKFLOW "steps: [{name: p, type: parallel, branches: {x: [{name: a, type: task}], y: "
                  "[{name: b, type: task}]}}, {name: z, type: task}]\n",
         "start {}\nskip p -> cancel a/1, cancel b/1, task z/1\nstate a cancelled\n")

SCENARIO(
    an_item_of_a_map_is_skipped,
    WORKFLOW "steps: [{name: m, type: map, over: [1, 2], steps: [{name: a, type: task}]}]\n",
    "start {}\nskip m[1]/a 9 -> cancel m[1]/a/1\nok m[0]/a/1 8 -> result completed\nresult [8,9]\n")

SCENARIO(variables_are_set_from_outside,
         WORKFLOW "steps: [{name: s, type: set, vars: {x: 1, y: 2}}, {name: a, type: task}, {name: "
                  "b, type: task, input: '${vars}'}]\n",
         "start {}\nvars {\"x\":5} -> nothing\nvars [1] -> ignored\nok a/1 -> task b/1\npayload "
         "b/1 {\"x\":5,\"y\":2}\n")

/* --- runs that wait for their turn --- */

SCENARIO(a_queued_run_begins_with_its_run_begin, WORKFLOW TWO,
         "queued {\"x\":1} -> nothing\nrun initializing\nstate a pending\nbegin -> task "
         "a/1\nrun running\npayload a/1 {\"x\":1}\nbegin -> ignored\nok a/1 1 -> task b/1\n")

SCENARIO(what_is_asked_about_its_key_changes_no_run, WORKFLOW TWO,
         "queued {}\nasked -> ignored\nreleased -> ignored\nrun initializing\nbegin\nasked -> "
         "ignored\nreleased -> ignored\nrun running\n")

SCENARIO(the_timeout_of_a_queued_run_counts_from_its_beginning,
         "workflow: w\nversion: 1.0.0\nlimits: {timeout: 10s}\n" TWO,
         "queued {}\nafter 60000\ntimer -> ignored\nrun initializing\nbegin -> task a/1\nafter "
         "9000\ntimer -> ignored\nafter 2000\ntimer -> cancel a/1, result failed\nerror "
         "{\"type\":\"timeout\"}\n")

SCENARIO(a_queued_run_is_cancelled_and_does_not_begin, WORKFLOW TWO,
         "queued {}\ncancel {\"reason\":\"late\",\"compensate\":true} -> result "
         "cancelled\nbegin -> ignored\nstate a skipped\nerror {\"message\":\"late\"}\n")

SCENARIO(a_queued_run_is_terminated, WORKFLOW TWO,
         "queued {}\nterminate -> result cancelled\nbegin -> ignored\n")

SCENARIO(a_queued_run_cannot_be_paused_and_takes_variables_and_signals,
         WORKFLOW "steps: [{name: w, type: wait, signal: go}, {name: b, type: task, input: "
                  "'${vars}'}]\n",
         "queued {}\npause -> ignored\nvars {\"x\":5} -> nothing\nsignal go 1 -> nothing\nrun "
         "initializing\nbegin -> task b/1\npayload b/1 {\"x\":5}\n")

SCENARIO(a_queued_run_with_a_bad_input_fails_at_once,
         WORKFLOW "input: {type: object, required: [x]}\n" TWO,
         "queued {} -> result failed\nerror {\"type\":\"bad_request\"}\nbegin -> ignored\n")

SCENARIO(a_refused_run_has_failed_and_says_why, WORKFLOW TWO,
         "refused {} -> result failed\nerror "
         "{\"type\":\"bad_request\",\"message\":\"too many\"}\n")
