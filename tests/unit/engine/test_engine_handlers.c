/* SPDX-License-Identifier: Apache-2.0
 *
 * What follows an error: catch, fallback, people; routers; and time limits of what holds steps. */
#include <criterion/criterion.h>

#include "scenario.h"

#define SCENARIO(name, definition, script) \
    Test(engine_handlers, name)            \
    {                                      \
        scenario(definition, script);      \
    }
#define WORKFLOW "workflow: w\nversion: 1.0.0\ndefaults: {retry: {max_attempts: 1}}\n"

#define CATCHES                                                                                   \
    "steps:\n- name: a\n  type: task\n  catch:\n"                                                 \
    "  - {on: [timeout, lost], steps: [{name: x, type: task, input: '${error.type}'}]}\n"         \
    "  - {on: [auth], steps: [{name: y, type: task, input: '${error.message}'}]}\n"               \
    "  on_error: {fallback: [{name: z, type: task, input: '${error.type}'}]}\n- {name: b, type: " \
    "task}\n"

SCENARIO(
    the_first_catch_of_the_type_takes_over, WORKFLOW CATCHES,
    "start {} -> task a/1\nfail a/1 auth -> task y/1\npayload y/1 \"it broke\"\nstate a "
    "waiting\nstate x pending\n"
    "ok y/1 5 -> task b/1\npayload b/1 5\nstate a completed\nstate x skipped\nstate z skipped\n"
    "ok b/1 -> result completed\n")

SCENARIO(what_no_catch_names_is_the_fallbacks, WORKFLOW CATCHES,
         "start {}\nfail a/1 refused -> task z/1\npayload z/1 \"refused\"\nok z/1 -> task b/1\n")

SCENARIO(an_error_in_a_catch_is_the_steps, WORKFLOW CATCHES,
         "start {}\nfail a/1 lost -> task x/1\nfail x/1 auth -> result failed\n"
         "error {\"type\":\"auth\",\"step\":\"x\"}\n")

SCENARIO(a_catch_comes_after_all_attempts,
         "workflow: w\nversion: 1.0.0\nsteps: [{name: a, type: task, retry: {max_attempts: 2, "
         "initial: 1s, backoff: fixed}, catch: [{on: any, steps: [{name: x, type: task}]}]}]\n",
         "start {}\nfail a/1 timeout -> nothing\nstate a backoff\nafter 1000\ntimer -> task "
         "a/2\nfail a/2 timeout -> task x/1\n"
         "ok a/1 3 -> ignored, settle a/1\nok x/1 4 -> result completed\nresult 4\n")

/* --- people decide --- */

#define ESCALATES \
    "steps:\n- {name: a, type: task, on_error: {escalate: [ann]}}\n- {name: b, type: task}\n"

SCENARIO(people_give_an_output_in_its_place, WORKFLOW ESCALATES,
         "start {}\nfail a/1 auth -> nothing\nrun waiting_approval\nstate a waiting\n"
         "approve a bob -> ignored\napprove a ann \"output\":{\"x\":1} -> task b/1\npayload b/1 "
         "{\"x\":1}\n")

SCENARIO(people_have_it_tried_again_with_all_its_attempts,
         "workflow: w\nversion: 1.0.0\nsteps:\n- {name: a, type: task, retry: {max_attempts: 2, "
         "initial: 1s, backoff: fixed}, on_error: {escalate: [ann]}}\n",
         "start {}\nfail a/1 timeout\nafter 1000\ntimer -> task a/2\nfail a/2 timeout -> "
         "nothing\nrun waiting_approval\n"
         "retry a ann -> task a/3\nrun running\nheader a/3 idempotency-key "
         "0123456789abcdef-0123456789abcdef01234567/a/1\n"
         "fail a/3 timeout -> nothing\nstate a backoff\nafter 1000\ntimer -> task a/4\nok a/4 7 -> "
         "result completed\nresult 7\n")

SCENARIO(people_let_it_fail_with_its_own_error, WORKFLOW ESCALATES,
         "start {}\nfail a/1 auth\nreject a ann -> result failed\nerror "
         "{\"type\":\"auth\",\"step\":\"a\"}\n")

SCENARIO(
    a_late_success_settles_what_people_were_asked, WORKFLOW ESCALATES,
    "start {}\nfail a/1 lost -> nothing\nrun waiting_approval\nok a/1 2 -> task b/1\nrun running\n")

/* --- router --- */

#define ROUTER                                                                                   \
    "steps:\n- name: r\n  type: router\n  prompt: 'who?'\n  default: b\n  choices:\n"            \
    "    a: {description: about a, steps: [{name: x, type: task}]}\n    b: {description: about " \
    "b, steps: []}\n"                                                                            \
    "- {name: z, type: task}\n"

SCENARIO(a_router_runs_the_steps_of_the_choice, WORKFLOW ROUTER,
         "start {} -> task r/1\nheader r/1 kind llm\nok r/1 {\"choice\":\"a\"} -> task x/1\nstate "
         "r waiting\n"
         "ok x/1 5 -> task z/1\npayload z/1 {\"choice\":\"a\",\"output\":5}\nok z/1 -> result "
         "completed\n")

SCENARIO(an_answer_that_is_no_choice_is_the_default, WORKFLOW ROUTER,
         "start {}\nok r/1 {\"choice\":\"c\"} -> task z/1\npayload z/1 "
         "{\"choice\":\"b\",\"output\":null}\nstate x skipped\n")

SCENARIO(an_error_that_is_no_answer_is_none, WORKFLOW ROUTER,
         "start {}\nfail r/1 auth -> result failed\nerror {\"type\":\"auth\"}\n")

/* --- time limits --- */

SCENARIO(what_holds_steps_may_have_a_time_limit,
         WORKFLOW
         "steps:\n- name: p\n  type: parallel\n  timeout: 10s\n  on_error: continue\n  branches: "
         "{x: [{name: a, type: task}], y: [{name: b, type: task}]}\n- {name: z, type: task}\n",
         "start {} -> task a/1, task b/1\ndue 10000\nok a/1 1\nafter 10000\ntimer -> cancel b/1, "
         "task z/1\nstate p failed\nstate b cancelled\n")

SCENARIO(a_map_and_a_loop_have_time_limits_too,
         WORKFLOW "steps:\n- {name: m, type: map, over: [1, 2], timeout: 5s, max_concurrent: 1, "
                  "on_error: continue, steps: [{name: a, type: task}]}\n"
                  "- {name: l, type: loop, until: 'false', max_iterations: 3, timeout: 5s, steps: "
                  "[{name: b, type: task}]}\n",
         "start {} -> task m[0]/a/1\nafter 5000\ntimer -> cancel m[0]/a/1, task l[0]/b/1\nstate m "
         "failed\nok l[0]/b/1 -> task l[1]/b/1\n"
         "after 5000\ntimer -> cancel l[1]/b/1, result failed\nerror "
         "{\"type\":\"timeout\",\"step\":\"l\"}\n")
