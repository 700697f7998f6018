/* SPDX-License-Identifier: Apache-2.0
 *
 * Child runs, seen by the parent and by the child. */
#include <criterion/criterion.h>

#include "scenario.h"

#define SCENARIO(name, definition, script) \
    Test(engine_children, name)            \
    {                                      \
        scenario(definition, script);      \
    }
#define WORKFLOW "workflow: w\nversion: 1.0.0\n"
#define SUB                                                                            \
    "steps:\n- {name: c, type: workflow, workflow: other, version: 2.0.0, input: {n: " \
    "'${input.n}'}}\n- {name: z, type: task}\n"

SCENARIO(a_child_is_started_and_its_output_is_the_steps, WORKFLOW SUB,
         "start {\"n\":3} -> child c/1\nstate c issued\nheader c/1 workflow other\nheader c/1 "
         "version 2.0.0\n"
         "header c/1 parent 0123456789abcdef-0123456789abcdef01234567\nheader c/1 path c\nheader "
         "c/1 attempt 1\n"
         "header c/1 child attached 1\nheader c/1 actor ann\npayload c/1 {\"n\":3}\n"
         "child c/1 started -> ignored\n"
         "usage 5 6 7\nchild c/1 completed {\"x\":1} -> task z/1\npayload z/1 {\"x\":1}\n"
         "child c/1 completed 2 -> ignored\nok z/1 -> result completed\n")

SCENARIO(a_child_that_fails_fails_the_step_with_its_error, WORKFLOW SUB,
         "start {\"n\":3}\nchild c/1 failed {\"type\":\"auth\",\"message\":\"no key\"} -> result "
         "failed\n"
         "error {\"type\":\"auth\",\"message\":\"the child run failed: no key\",\"step\":\"c\"}\n")

SCENARIO(a_child_that_was_cancelled_is_an_error, WORKFLOW SUB,
         "start {\"n\":3}\nchild c/1 cancelled {\"type\":\"cancelled\",\"message\":\"x\"} -> "
         "result failed\nerror {\"type\":\"cancelled\"}\n")

SCENARIO(
    a_detached_child_is_waited_for_only_until_it_has_begun,
    WORKFLOW "steps:\n- {name: c, type: workflow, workflow: other, wait: false}\n",
    "start {} -> child c/1\nheader c/1 child detached 1\nchild c/1 started -> result completed\n")

SCENARIO(a_detached_child_that_cannot_be_started_fails_the_step,
         WORKFLOW "steps:\n- {name: c, type: workflow, workflow: other, wait: false}\n",
         "start {} -> child c/1\nchild c/1 failed {\"type\":\"bad_request\",\"message\":\"there is "
         "no workflow\"} -> result failed\n")

SCENARIO(a_run_that_ends_cancels_its_child, WORKFLOW SUB,
         "start {\"n\":1}\ncancel -> run.cancel, result cancelled\nstate c cancelled\n"
         "child c/1 completed 1 -> ignored\n")

SCENARIO(an_abandoned_child_goes_on,
         WORKFLOW
         "steps:\n- {name: c, type: workflow, workflow: other, on_parent_close: abandon}\n",
         "start {}\ncancel -> result cancelled\n")

SCENARIO(a_child_has_a_time_limit,
         WORKFLOW "steps:\n- {name: c, type: workflow, workflow: other, timeout: 10s, on_error: "
                  "continue}\n- {name: z, type: task}\n",
         "start {}\ndue 10000\nafter 10000\ntimer -> run.cancel, task z/1\nchild c/1 completed 1 "
         "-> ignored\n")

SCENARIO(a_join_that_is_reached_cancels_the_other_child,
         WORKFLOW
         "steps:\n- {name: p, type: parallel, join: any, branches: {x: [{name: c, type: workflow, "
         "workflow: o}], y: [{name: d, type: workflow, workflow: o}]}}\n- {name: z, type: task}\n",
         "start {} -> child c/1, child d/1\nchild d/1 completed 4 -> run.cancel, task z/1\n")

SCENARIO(
    each_item_of_a_map_has_a_child,
    WORKFLOW "steps: [{name: m, type: map, over: [7, 8], steps: [{name: c, type: workflow, "
             "workflow: o}]}]\n",
    "start {} -> child m[0]/c/1, child m[1]/c/1\npayload m[1]/c/1 8\nchild m[1]/c/1 completed 2\n"
    "child m[0]/c/1 completed 1 -> result completed\nresult [1,2]\n")

/* --- the child --- */

SCENARIO(a_child_tells_its_parent_how_it_ended, WORKFLOW "steps: [{name: a, type: task}]\n",
         "parent attached {} -> task a/1\nok a/1 5 -> result completed, child.finished\n")

SCENARIO(a_detached_child_tells_that_it_began,
         WORKFLOW "steps: [{name: a, type: task, retry: {max_attempts: 1}}]\n",
         "parent detached {} -> child.started, task a/1\nfail a/1 auth -> result failed\n")

SCENARIO(children_of_children_have_a_limit, WORKFLOW "steps: [{name: a, type: task}]\n",
         "parent x {} -> result failed, child.finished\nerror "
         "{\"type\":\"bad_request\",\"message\":\"nested deeper than 20\"}\n")
