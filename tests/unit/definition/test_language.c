/* SPDX-License-Identifier: Apache-2.0
 *
 * The kinds of steps that repeat, wait, choose and undo: what compiles to what, and each fault.
 */
#include "support.h"

#define AUTO_TEXT AUTO_FREE char

static const struct step_def *step(const struct definition *d, const char *name)
{
    const struct step_def *s = definition_step(d, bytes_of(name));
    cr_assert_not_null(s, "%s", name);
    return s;
}

static const char *before(const struct definition *d, const char *name)
{
    const struct step_def *s = definition_before(d, step(d, name)->index);
    return s ? s->name : "-";
}

/* --- scopes --- */

Test(scopes, the_bodies_of_maps_and_loops_are_scopes_within_scopes)
{
    AUTO_DEFINITION *d = define_steps(
        "- {name: a, type: task}\n"
        "- name: m\n  type: map\n  over: ${input.items}\n  as: doc\n  max_concurrent: 5\n"
        "  steps:\n"
        "  - {name: b, type: task, input: '${doc.x + index}'}\n"
        "  - name: l\n    type: loop\n    until: steps.c.output.done && index > 1\n    "
        "max_iterations: 3\n"
        "    steps: [{name: c, type: task}, {name: d, type: task, input: '${steps.b.output}'}]\n"
        "  reduce: [{name: r, type: task}, {name: r2, type: task, input: '${results}'}]\n"
        "- {name: e, type: task, input: '${steps.m.output}'}\n");
    cr_assert_eq(d->scope_count, 3);
    cr_expect_eq(step(d, "m")->scope, 0);
    cr_expect_eq(step(d, "b")->scope, step(d, "m")->body_scope);
    cr_expect_eq(step(d, "l")->scope, step(d, "m")->body_scope);
    cr_expect_eq(step(d, "c")->scope, step(d, "l")->body_scope);
    cr_expect_eq(step(d, "r")->scope, 0, "what reduces is done once");
    const struct scope_def *inner = &d->scopes[step(d, "c")->scope];
    cr_expect_eq(inner->owner, step(d, "l")->index);
    cr_expect_eq(inner->parent, step(d, "l")->scope);
    cr_expect_eq(inner->count, 2);
    cr_expect_eq(inner->steps[step(d, "d")->slot], step(d, "d")->index);
    cr_expect_eq(d->scopes[0].count, 5);
    cr_expect_eq(step(d, "m")->max_concurrent, 5);
    cr_expect(step(d, "m")->fail_fast);
    cr_expect_eq(step(d, "l")->max_iterations, 3);
}

Test(scopes, a_first_step_without_input_gets_the_item_the_results_or_what_it_needs)
{
    AUTO_DEFINITION *d =
        define_steps("- name: m\n  type: map\n  over: [1]\n  as: doc\n  steps:\n"
                     "  - {name: p, type: parallel, branches: {x: [{name: a, type: task}]}}\n"
                     "  reduce: [{name: r, type: task}]\n"
                     "- {name: l, type: loop, while: index < 2, max_iterations: 2, steps: [{name: "
                     "b, type: task}]}\n");
    static const char *const wanted[][2] = { { "a", "doc" }, { "r", "results" }, { "b", "item" } };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) cr_expect_not_null(step(d, wanted[i][0])->input);
    cr_expect_str_eq(before(d, "a"), "-");
    cr_expect_str_eq(before(d, "r"), "-");
    cr_expect_str_eq(before(d, "b"), "-");
    cr_expect_str_eq(before(d, "l"), "m");
}

Test(scopes, what_repeats_has_no_one_output_outside)
{
    expect_step_fault("- {name: m, type: map, over: [1], steps: [{name: a, type: task}]}\n"
                      "- {name: b, type: task, input: '${steps.a.output}'}\n",
                      "step 'a' is repeated inside 'm', so it has no one output here; read "
                      "steps.m.output");
    expect_step_fault("- {name: m, type: map, over: [1], steps: [{name: a, type: task}], reduce: "
                      "[{name: r, type: task, input: '${steps.a.output}'}]}\n",
                      "is repeated inside 'm'");
    expect_step_fault("- {name: a, type: task, input: '${item}'}\n"
                      "- {name: m, type: map, over: [1], steps: [{name: b, type: task}]}\n"
                      "- {name: c, type: task, input: '${steps.m.outputs}'}\n",
                      "'steps.m' needs .output");
    expect_fault("workflow: w\nversion: '1'\noutput: '${steps.a.output}'\n"
                 "steps: [{name: m, type: map, over: [1], steps: [{name: a, type: task}]}]\n",
                 "3:12: step 'a' is repeated inside 'm'");
    expect_step_fault("- {name: l, type: loop, while: steps.a.output, max_iterations: 1, steps: "
                      "[{name: l2, type: loop, until: 'true', max_iterations: 1, steps: [{name: a, "
                      "type: task}]}]}\n",
                      "is repeated inside 'l2'");
}

Test(scopes, faults_of_map_and_loop)
{
    expect_step_fault("- {name: m, type: map}\n", "4:3: a step of type map needs 'over'");
    expect_step_fault("- {name: m, type: map, over: [1]}\n", "a step of type map needs 'steps'");
    expect_step_fault("- {name: m, type: map, over: {a: 1}, steps: [{name: a, type: task}]}\n",
                      "expected a list, or a template of one, found a mapping");
    expect_step_fault(
        "- {name: m, type: map, over: [1], as: 'a b', steps: [{name: a, type: task}]}\n",
        "'as' has letters");
    expect_step_fault(
        "- {name: m, type: map, over: [1], batch: 0, steps: [{name: a, type: task}]}\n",
        "'batch' must be from 1 to 100000");
    expect_step_fault(
        "- {name: l, type: loop, max_iterations: 1, steps: [{name: a, type: task}]}\n",
        "needs 'until'");
    expect_step_fault("- {name: l, type: loop, until: 'true', steps: [{name: a, type: task}]}\n",
                      "needs 'max_iterations'");
    expect_step_fault("- {name: l, type: loop, until: 'true', while: 'true', max_iterations: 1, "
                      "steps: [{name: a, type: task}]}\n",
                      "'until' and 'while' exclude each other");
    expect_step_fault(
        "- {name: l, type: loop, until: 'true', max_iterations: 10001, steps: [{name: "
        "a, type: task}]}\n",
        "from 1 to 10000");
}

/* --- graphs --- */

Test(graph, needs_make_a_list_a_graph)
{
    AUTO_DEFINITION *d =
        define_steps("- {name: a, type: task}\n- {name: b, type: task}\n"
                     "- {name: c, type: task, needs: [a]}\n"
                     "- {name: e, type: task, needs: [c, b], input: '${steps.a.output}'}\n"
                     "- {name: f, type: task, needs: [b, c]}\n");
    cr_expect(d->blocks[0].graph);
    cr_expect_eq(step(d, "e")->need_count, 2);
    cr_expect_str_eq(before(d, "c"), "a");
    cr_expect_str_eq(before(d, "b"), "-", "it starts at once");
    cr_expect_str_eq(before(d, "e"), "-");
    AUTO_DEFINITION *plain = define_steps("- {name: a, type: task}\n");
    cr_expect_not(plain->blocks[0].graph);
}

Test(graph, faults_of_needs)
{
    expect_step_fault("- {name: a, type: task, needs: [c]}\n- {name: b, type: task, needs: [a]}\n"
                      "- {name: c, type: task, needs: [b]}\n",
                      "steps need each other in a cycle: a -> c -> b -> a");
    expect_step_fault("- {name: a, type: task, needs: [a]}\n", "4:33: step 'a' needs itself");
    expect_step_fault("- {name: abc, type: task}\n- {name: b, type: task, needs: [abd]}\n",
                      "no step is called 'abd'; did you mean 'abc'?");
    expect_step_fault("- {name: p, type: parallel, branches: {x: [{name: a, type: task}]}}\n"
                      "- {name: b, type: task, needs: [a]}\n",
                      "'a' is a step of another list");
    expect_step_fault("- {name: a, type: task}\n- {name: b, type: task}\n"
                      "- {name: c, type: task, needs: [a], input: '${steps.b.output}'}\n",
                      "'c' reads step 'b', which runs beside it; add it to its 'needs'");
    expect_step_fault("- {name: a, type: task, input: '${steps.b.output}'}\n"
                      "- {name: b, type: task, needs: [a]}\n",
                      "which can only run after it");
}

/* Many ways lead through layers of steps that all need each other. */
Test(graph, a_dense_graph_compiles_at_once)
{
    AUTO_BUF struct buf steps = { 0 };
    for (int layer = 0; layer < 60; layer++)
        for (int i = 0; i < 4; i++) {
            buf_addf(&steps, "- {name: s%d_%d, type: task", layer, i);
            if (layer)
                buf_addf(&steps,
                         ", needs: [s%d_0, s%d_1, s%d_2, s%d_3], input: '${steps.s0_0.output}'",
                         layer - 1, layer - 1, layer - 1, layer - 1);
            buf_add_text(&steps, "}\n");
        }
    AUTO_DEFINITION *d = define_steps(steps.data);
    cr_expect_eq(d->step_count, 240);
}

/* --- what follows an error, and what undoes --- */

Test(handlers, catch_and_escalation_and_compensation_compile)
{
    AUTO_DEFINITION *d = define_steps(
        "- name: a\n  type: task\n  compensate: [{name: undo, type: task}]\n"
        "  catch:\n  - {on: [timeout, lost], steps: [{name: x, type: task, input: "
        "'${error.type}'}]}\n"
        "  - {on: any, steps: [{name: y, type: task}]}\n"
        "  on_error: {escalate: {approvers: [ann, 'role:ops'], quorum: 2, timeout: 1h}}\n"
        "- {name: b, type: rollback, to: a}\n");
    const struct step_def *a = step(d, "a");
    cr_expect_eq(a->catch_count, 2);
    cr_expect_eq(a->catches[0].on, 1ull << ERROR_TIMEOUT | 1ull << ERROR_LOST);
    cr_expect_eq(a->catches[1].on, 0);
    cr_expect_eq(a->on_error, ON_ERROR_ESCALATE);
    cr_expect_eq(a->escalation->quorum, 2);
    cr_expect_eq(a->escalation->timeout_ms, 3600000);
    cr_expect_str_eq(before(d, "x"), "a");
    cr_expect_str_eq(before(d, "undo"), "a");
    cr_expect_eq(step(d, "b")->rollback_to, a->index);
    cr_expect_eq(step(d, "undo")->block, a->compensate_block);
}

Test(handlers, faults)
{
    expect_step_fault(
        "- {name: a, type: task, catch: [{on: [nope], steps: [{name: b, type: task}]}]}\n",
        "'nope' is no error type");
    expect_step_fault("- {name: a, type: task, catch: [{on: any, steps: [{name: b, type: task}]}, "
                      "{on: [lost], steps: [{name: c, type: task}]}]}\n",
                      "those behind it are never asked");
    expect_step_fault("- {name: a, type: task, catch: [{on: [lost]}]}\n", "a catch needs 'on'");
    expect_step_fault("- {name: a, type: return, compensate: [{name: b, type: task}]}\n",
                      "a step of type return has no field 'compensate'");
    expect_step_fault("- {name: a, type: rollback, to: b}\n- {name: b, type: task}\n",
                      "rolls back to step 'b', which does not run before it");
    expect_step_fault("- {name: a, type: task, compensate: [{name: u, type: task}], input: "
                      "'${steps.u.output}'}\n",
                      "'a' reads step 'u', which is inside it");
    expect_step_fault("- {name: m, type: map, over: [1], steps: [{name: a, type: task, compensate: "
                      "[{name: u, type: task}]}]}\n",
                      "'compensate' is not supported inside a map or a loop by this version");
    expect_step_fault("- {name: m, type: map, over: [1], steps: [{name: a, type: rollback}]}\n",
                      "rollback is not supported inside a map or a loop by this version");
    expect_fault("on_error: continue\nworkflow: w\nversion: '1'\nsteps: [{name: a, type: task}]\n",
                 "1:11: expected fail or rollback, found 'continue'");
}

/* --- people, time, signals --- */

Test(people, approvals_and_waits_compile)
{
    AUTO_DEFINITION *d = define_steps(
        "- {name: a, type: human_approval, approvers: [ann, bob], quorum: 2, show: {amount: 1}, "
        "editable: [amount], timeout: 2h, on_timeout: escalate, escalate_to: ['role:boss']}\n"
        "- {name: w, type: wait, for: 90s}\n"
        "- {name: v, type: wait, until: '${input.due}'}\n"
        "- {name: s, type: wait, signal: paid, match: signal.order == input.order, timeout: 1d}\n"
        "- {name: t, type: task, input: '${signal.amount}'}\n");
    const struct approval_def *a = step(d, "a")->approval;
    cr_assert_not_null(a);
    cr_expect_eq(a->quorum, 2);
    cr_expect_eq(a->timeout_ms, 7200000);
    cr_expect_eq(a->on_timeout, ON_TIMEOUT_ESCALATE);
    cr_expect_eq(a->editable_count, 1);
    cr_expect_not_null(a->escalate_to);
    cr_expect_not_null(step(d, "w")->wait_for);
    cr_expect_not_null(step(d, "v")->wait_until);
    cr_expect_str_eq(step(d, "s")->signal, "paid");
    cr_expect_eq(step(d, "s")->wait_timeout_ms, 24 * 3600000);
}

Test(people, faults)
{
    expect_step_fault("- {name: a, type: human_approval, approvers: [ann], quorum: 2}\n",
                      "'quorum' is 2, but there are only 1 'approvers'");
    expect_step_fault("- {name: a, type: human_approval, on_timeout: approve}\n",
                      "needs a 'timeout'");
    expect_step_fault("- {name: a, type: human_approval, timeout: 1h, on_timeout: escalate}\n",
                      "needs 'escalate_to'");
    expect_step_fault("- {name: a, type: wait}\n", "needs one of 'for'");
    expect_step_fault("- {name: a, type: wait, for: 1s, signal: x}\n", "needs one of 'for'");
    expect_step_fault("- {name: a, type: wait, for: soon}\n", "'for' is no duration");
    expect_step_fault("- {name: a, type: wait, for: 1s, timeout: 1s}\n",
                      "'timeout' goes with 'signal'");
    expect_step_fault(
        "- {name: a, type: task, input: '${signal.x}'}\n- {name: b, type: set, vars: {x: 1}}\n"
        "- {name: c, type: task, if: steps.a.output}\n- {name: w, type: wait, for: 1s, match: "
        "signal.x}\n",
        "'match' goes with 'signal'");
}

/* --- choices, ends, other systems --- */

Test(kinds, a_router_is_a_model_call_with_its_choices)
{
    AUTO_DEFINITION *d =
        define_steps("- name: r\n  type: router\n  prompt: 'Who answers ${input.text}?'\n  "
                     "default: billing\n  choices:\n"
                     "    shipping: {description: about parcels, steps: [{name: s, type: task}]}\n"
                     "    billing: {description: 'about ${money}', steps: []}\n"
                     "- {name: z, type: task, input: '${steps.r.output.choice}'}\n");
    const struct step_def *r = step(d, "r");
    cr_assert_eq(r->choice_count, 2);
    cr_expect_str_eq(r->choices[0].name, "billing");
    cr_expect_eq(r->default_block, r->choices[0].block);
    cr_expect_eq(step(d, "s")->block, r->choices[1].block);
    cr_expect_not_null(r->output_schema);
    cr_expect(step_kind_is_task(r->kind));
}

Test(kinds, what_leaves_for_other_systems_compiles)
{
    AUTO_DEFINITION *d = define_steps(
        "- {name: h, type: webhook, endpoint: 'https://${secrets.HOST}/x', body: {a: '${input}'}, "
        "secret: KEY, "
        "priority: high}\n"
        "- {name: e, type: emit, topic: orders.done, event_type: order.done, data: {x: 1}, key: "
        "'${run.id}'}\n"
        "- {name: c, type: task, cache: {ttl: 1h, key: '${input.id}'}, priority: low}\n"
        "- {name: w, type: workflow, workflow: other, wait: false, on_parent_close: abandon}\n"
        "- {name: t, type: transform, value: {n: '${size(input.items)}'}}\n"
        "- {name: f, type: conditional, cases: [{when: input.bad, steps: [{name: x, type: fail, "
        "error: 'no ${input.bad}'}]}], "
        "else: [{name: y, type: return, output: {ok: true}}]}\n");
    cr_expect_eq(step(d, "h")->priority, PRIORITY_HIGH);
    cr_expect_eq(step(d, "c")->cache_ttl_ms, 3600000);
    cr_expect_not_null(step(d, "c")->cache_key);
    cr_expect_eq(step(d, "c")->priority, PRIORITY_LOW);
    cr_expect(step(d, "w")->child_detached && step(d, "w")->child_abandoned);
    cr_expect_null(step(d, "w")->child_version);
    cr_expect_not_null(step(d, "w")->input);
    cr_expect_not_null(step(d, "x")->value);
    cr_expect_not_null(step(d, "y")->value);
    cr_expect_null(step(d, "y")->output, "it is no mapping");
}

Test(kinds, faults)
{
    expect_step_fault("- {name: r, type: router, choices: {a: {description: x, steps: []}, b: "
                      "{description: y, steps: []}}}\n",
                      "needs a 'prompt'");
    expect_step_fault(
        "- {name: r, type: router, prompt: x, choices: {a: {description: x, steps: []}}}\n",
        "'choices' must be at least two");
    expect_step_fault("- {name: r, type: router, prompt: x, default: c, choices: {a: {description: "
                      "x, steps: []}, b: {description: y, steps: []}}}\n",
                      "expected a or b, found 'c'");
    expect_step_fault("- {name: e, type: emit, event_type: x}\n", "needs a 'topic'");
    expect_step_fault("- {name: e, type: emit, topic: 'a b', event_type: x}\n",
                      "no name of a Kafka topic");
    expect_step_fault("- {name: h, type: webhook}\n", "needs an 'endpoint'");
    expect_step_fault("- {name: h, type: webhook, endpoint: x, secret: '${secrets.A}'}\n",
                      "'secret' must be a name");
    expect_step_fault("- {name: w, type: workflow}\n", "needs the name of a 'workflow'");
    expect_step_fault("- {name: t, type: transform}\n", "needs a 'value'");
    expect_step_fault("- {name: f, type: fail}\n", "needs an 'error'");
    expect_step_fault("- {name: f, type: fail, error: {type: oops, message: x}}\n",
                      "'oops' is no error type");
    expect_step_fault("- {name: c, type: task, cache: {}}\n", "'cache' needs a 'ttl'");
    expect_step_fault("- {name: c, type: emit, topic: t, event_type: t, cache: {ttl: 1s}}\n",
                      "a step of type emit has no field 'cache'");
    expect_step_fault("- {name: c, type: task, priority: urgent}\n",
                      "expected normal, high or low");
}

/* --- the workflow's own --- */

Test(workflow, attributes_and_keyed_triggers_compile)
{
    AUTO_DEFINITION *d = define("workflow: w\nversion: '1'\nattributes: {tier: '${input.tier}', "
                                "size: '${size(input.items)}'}\n"
                                "triggers:\n"
                                "- {topic: orders, key: '${event.data.id}', on_conflict: reject}\n"
                                "- {topic: orders, key: '${event.data.id}', on_conflict: replace}\n"
                                "steps: [{name: a, type: task}]\n");
    cr_assert_eq(d->trigger_count, 2);
    cr_expect_eq(d->triggers[0].policy, START_REJECT);
    cr_expect_eq(d->triggers[1].policy, START_REPLACE);
    cr_expect_not_null(d->attributes);
    cr_expect_eq(d->max_steps, 1000);
    AUTO_DEFINITION *m =
        define_steps("- {name: m, type: map, over: [1], steps: [{name: a, type: task}]}\n");
    cr_expect_eq(m->max_steps, 1000000);
}

Test(workflow, faults_of_attributes_and_triggers)
{
    expect_fault("attributes: {x: '${steps.a.output}'}\nworkflow: w\nversion: '1'\nsteps: [{name: "
                 "a, type: task}]\n",
                 "'steps' is not known at the start");
    expect_fault("attributes: {x: [1]}\n", "1:17: an attribute is a text, a number or a bool");
    expect_fault("triggers: [{schedule: '0 9 * *'}]\n", "the day of week is missing");
    expect_fault("triggers: [{schedule: '0 9 * * *', timezone: '+02:00'}]\n",
                 "'timezone' is the name of a time zone");
    expect_fault("triggers: [{schedule: '0 9 * * *', filter: x}]\n",
                 "a trigger of a schedule has no field 'filter'");
    expect_fault("triggers: [{topic: t, on_conflict: queue}]\n", "it needs a 'key'");
    expect_fault("triggers: [{topic: t, key: x, on_conflict: skip}]\n",
                 "expected reject, queue, replace or allow, found 'skip'");
    expect_fault("triggers: [{schedule: '0 9 * * *', max_catch_up: 1001}]\n", "max_catch_up");
    expect_fault("triggers: [{schedule: '0 9 * * *', name: a/b}]\n",
                 "the name of a schedule must be a name");
    expect_fault("triggers: [{schedule: '@daily', name: a}, {schedule: '@daily', name: a}]\n",
                 "another schedule has the name 'a'");
    expect_fault("triggers: [{}]\n", "a trigger needs a 'topic' or a 'schedule'");
}

/* A path stands in a header of every task and in every event of it. */
Test(scopes, a_path_through_many_maps_has_a_limit)
{
    AUTO_BUF struct buf text = { 0 };
    buf_add_text(&text, "workflow: w\nversion: 1.0.0\nsteps: ");
    for (int i = 0; i < 12; i++)
        buf_addf(&text, "[{name: m%02d%080d, type: map, over: '${[1]}', steps: ", i, 0);
    buf_add_text(&text, "[{name: a, type: task}]");
    for (int i = 0; i < 12; i++) buf_add_text(&text, "}]");
    expect_fault(text.data, "the path of this step has up to 1093 bytes, the limit is 1024");
}

/* --- files that are out to break something --- */

Test(hostile, names_that_no_template_can_hold_are_faults)
{
    expect_step_fault(
        "- {name: m, type: map, over: [1], as: 'in', steps: [{name: a, type: task}]}\n",
        "4:39: 'as' cannot be 'in', which means something else in expressions");
    expect_step_fault(
        "- {name: m, type: map, over: [1], as: 'null', steps: [{name: a, type: task}]}\n",
        "'as' cannot be 'null'");
    expect_step_fault("- {name: l, type: loop, until: 'true', max_iterations: 1, as: while, "
                      "steps: [{name: a, type: task}]}\n",
                      "'as' cannot be 'while'");
    expect_step_fault(
        "- {name: m, type: map, over: [1], as: input, steps: [{name: a, type: task}]}\n",
        "'as' cannot be 'input'");
    expect_step_fault(
        "- {name: m, type: map, over: [1], as: index, steps: [{name: a, type: task}]}\n",
        "'as' cannot be 'index'");
    expect_step_fault("- {name: h, type: webhook, endpoint: x, secret: A-B}\n",
                      "4:49: 'secret' has letters, digits and _");
    AUTO_DEFINITION *d = define_steps("- {name: in, type: task}\n- {name: 'true', type: task}\n"
                                      "- {name: 'null', type: task}\n- {name: b, type: task}\n"
                                      "- {name: c, type: task, needs: [b]}\n");
    cr_expect_eq(d->step_count, 5);
    AUTO_DEFINITION *graph = define_steps("- {name: in, type: task}\n- {name: 'true', type: task}\n"
                                          "- {name: c, type: task, needs: [in, 'true']}\n");
    cr_expect_not_null(step(graph, "c")->input);
}

/* A hundred thousand names that are nearly right: suggestions for faults that nobody will see would
 * take minutes, and gigabytes. */
Test(hostile, endless_lists_of_wrong_names_are_refused_at_once, .timeout = 30)
{
    AUTO_BUF struct buf steps = { 0 };
    for (int i = 0; i < 900; i++) buf_addf(&steps, "- {name: step_number_%d, type: task}\n", i);
    buf_add_text(&steps, "- {name: z, type: task, needs: [");
    for (int i = 0; i < 100000; i++) buf_add_text(&steps, "sx, ");
    buf_add_text(&steps, "sx]}\n");
    expect_step_fault(steps.data, "no step is called 'sx'");
}

/* Half of the file is a dense graph, the other half reads across it. */
Test(hostile, reads_across_a_dense_graph_are_checked_at_once, .timeout = 30)
{
    AUTO_BUF struct buf steps = { 0 };
    buf_add_text(&steps, "- {name: s0, type: task}\n");
    for (int i = 1; i < 300; i++) {
        buf_addf(&steps, "- {name: s%d, type: task, needs: [", i);
        for (int k = 0; k < i; k++) buf_addf(&steps, "%ss%d", k ? "," : "", k);
        buf_add_text(&steps, "]}\n");
    }
    buf_add_text(&steps, "- {name: z, type: task, needs: [s299], input: \"");
    for (int i = 0; i < 3000; i++) buf_add_text(&steps, "${steps.s0.status}");
    buf_add_text(&steps, "\"}\n");
    AUTO_DEFINITION *d = define_steps(steps.data);
    cr_expect_eq(d->step_count, 301);
}
