/* SPDX-License-Identifier: Apache-2.0
 *
 * What a definition compiles to, and every rule that it is held to.
 */
#include "support.h"

#include <dirent.h>

#include "common/base/limits.h"
#include "common/definition/compile.h"

/* --- what it compiles to --- */

static bool no_names(void *user, const char *const *names, size_t count, size_t *ret_used,
                     json_t **ret, struct err *e)
{
    (void)user, (void)count;
    if (strcmp(names[0], "steps") == 0 || strcmp(names[0], "input") == 0) {
        CLEANUP(buf_done) struct buf b = { 0 };
        for (size_t i = 0; i < count; i++) buf_addf(&b, "%s%s", i ? "." : "<", names[i]);
        buf_add_char(&b, '>');
        *ret = json_string(b.data);
        *ret_used = count;
        return true;
    }
    return err_fail(e, ERR_INVALID, "%s", names[0]);
}

/* The template's value with every path shown as <path>; to free(). */
static char *shown(const struct template *t)
{
    struct template_env env = { .cel = { .resolve = no_names } };
    struct secret_refs secrets = { 0 };
    struct buf b = { 0 };
    struct err e;
    env.secrets = &secrets;
    cr_assert_not_null(t);
    cr_assert(template_eval(t, &env, MIB, &b, &e), "%s", e.text);
    secret_refs_done(&secrets);
    AUTO_JSON *value = json_parse(buf_bytes(&b), &e);
    buf_reset(&b);
    json_write_sorted(&b, value);
    return buf_take(&b, NULL);
}

static void expect_shown_at(const struct template *t, const char *wanted, int line)
{
    AUTO_FREE char *text = shown(t);
    cr_expect_str_eq(text, wanted, "line %d", line);
}
#define expect_shown(t, wanted) expect_shown_at((t), (wanted), __LINE__)

static const struct step_def *step(const struct definition *d, const char *name)
{
    const struct step_def *s = definition_step(d, bytes_of(name));
    cr_assert_not_null(s, "%s", name);
    return s;
}

Test(definition, a_workflow_without_settings_has_the_documented_defaults)
{
    AUTO_DEFINITION *d = define_steps("- {name: a, type: task}\n");
    cr_expect_str_eq(d->name, "w");
    cr_expect_str_eq(d->version, "1");
    cr_expect_eq(d->timeout_ms, 3600 * 1000);
    cr_expect_eq(d->max_parallel, 10);
    cr_expect_eq(d->budget_tokens, 0);
    cr_expect_eq(d->budget_micro_usd, 0);
    cr_expect_eq(d->retention_ms, 3600 * 1000);
    cr_expect_eq(d->on_error, ON_ERROR_FAIL);
    cr_expect_eq(d->fallback_block, NO_INDEX);
    cr_expect_null(d->input_schema);
    cr_expect_null(d->output);
    const struct step_def *s = step(d, "a");
    cr_expect_str_eq(s->queue, "default");
    cr_expect_str_eq(s->uses, "a");
    cr_expect_str_eq(s->path, "a");
    cr_expect_eq(s->timeout_ms, 0);
    cr_expect_eq(s->queue_timeout_ms, 0);
    cr_expect_eq(s->retry.max_attempts, 4);
    cr_expect_eq(s->retry.backoff, BACKOFF_EXPONENTIAL);
    cr_expect_eq(s->retry.initial_ms, 500);
    cr_expect_eq(s->retry.max_ms, 30000);
    cr_expect_eq(s->retry.on, 0);
    cr_expect_eq(s->on_error, ON_ERROR_FAIL);
}

Test(definition, a_step_takes_the_defaults_of_its_workflow_and_may_change_each)
{
    AUTO_DEFINITION *d = define("workflow: w\nversion: '1'\n"
                                "limits: {timeout: 90, max_parallel: 3, budget: {tokens: 5, usd: "
                                "0.5}}\n"
                                "retention: 2h\n"
                                "defaults: {model: big, queue: q.1, timeout: 1m, retry: "
                                "{max_attempts: 2, initial: 1}}\n"
                                "steps:\n"
                                "- {name: a, type: llm, prompt: x}\n"
                                "- {name: b, type: LLM, prompt: x, model: small, queue: other, "
                                "timeout: 250ms, queue_timeout: 7d, retry: {backoff: fixed, on: "
                                "[timeout, lost]}}\n");
    cr_expect_eq(d->timeout_ms, 90000);
    cr_expect_eq(d->max_parallel, 3);
    cr_expect_eq(d->budget_tokens, 5);
    cr_expect_eq(d->budget_micro_usd, 500000);
    cr_expect_eq(d->retention_ms, 7200 * 1000);
    const struct step_def *a = step(d, "a"), *b = step(d, "b");
    cr_expect_str_eq(a->uses, "big");
    cr_expect_str_eq(a->queue, "q.1");
    cr_expect_eq(a->timeout_ms, 60000);
    cr_expect_eq(a->retry.max_attempts, 2);
    cr_expect_str_eq(b->uses, "small");
    cr_expect_str_eq(b->queue, "other");
    cr_expect_eq(b->timeout_ms, 250);
    cr_expect_eq(b->queue_timeout_ms, 7LL * 24 * 3600 * 1000);
    cr_expect_eq(b->retry.max_attempts, 2);
    cr_expect_eq(b->retry.initial_ms, 1000);
    cr_expect_eq(b->retry.backoff, BACKOFF_FIXED);
    cr_expect_eq(b->retry.on, UINT64_C(1) << ERROR_TIMEOUT | UINT64_C(1) << ERROR_LOST);
}

Test(definition, types_are_read_without_regard_to_case_and_task_has_two_other_names)
{
    AUTO_DEFINITION *d = define_steps("- {name: a, type: Sequential}\n- {name: b, type: WORKER}\n"
                                      "- {name: c, type: Set, vars: {x: 1}}\n");
    cr_expect_eq(step(d, "a")->kind, STEP_TASK);
    cr_expect_eq(step(d, "b")->kind, STEP_TASK);
    cr_expect_eq(step(d, "c")->kind, STEP_SET);
    cr_expect_null(step(d, "c")->input);
    expect_shown(step(d, "c")->value, "{\"x\":1}");
}

Test(definition, a_task_without_input_gets_what_the_step_before_it_made)
{
    AUTO_DEFINITION *d = define_steps("- {name: a, type: task, on_error: {fallback: [{name: f, "
                                      "type: task}]}}\n"
                                      "- {name: b-c, type: task}\n"
                                      "- {name: d, type: task}\n"
                                      "- name: p\n  type: parallel\n  branches:\n"
                                      "    x: [{name: g, type: task}, {name: h, type: task}]\n"
                                      "- {name: i, type: task}\n"
                                      "- {name: j, type: task, input: null}\n");
    expect_shown(step(d, "a")->input, "\"<input>\"");
    expect_shown(step(d, "f")->input, "\"<steps.a.output>\"");
    expect_shown(step(d, "b-c")->input, "\"<steps.a.output>\"");
    expect_shown(step(d, "d")->input, "\"<steps.b-c.output>\"");
    expect_shown(step(d, "g")->input, "\"<steps.d.output>\"");
    expect_shown(step(d, "h")->input, "\"<steps.g.output>\"");
    expect_shown(step(d, "i")->input, "\"<steps.p.output>\"");
    expect_shown(step(d, "j")->input, "null");
}

Test(definition, an_llm_step_becomes_one_conversation)
{
    AUTO_DEFINITION *d = define_steps(
        "- {name: a, type: llm, system: be brief, prompt: 'of ${input.x}', temperature: 0.5, "
        "max_tokens: 9, stream: true}\n"
        "- {name: b, type: llm, messages: [{role: user, content: hi}, {role: assistant, content: "
        "ho}], output_schema: {type: object, description: 'not ${a template}'}}\n");
    expect_shown(step(d, "a")->input,
                 "{\"max_tokens\":9,\"messages\":[{\"content\":\"be brief\",\"role\":\"system\"},"
                 "{\"content\":\"of <input.x>\",\"role\":\"user\"}],\"model\":\"default\","
                 "\"stream\":true,\"temperature\":0.5}");
    expect_shown(step(d, "b")->input,
                 "{\"messages\":[{\"content\":\"hi\",\"role\":\"user\"},{\"content\":\"ho\","
                 "\"role\":\"assistant\"}],\"model\":\"default\",\"output_schema\":{"
                 "\"description\":\"not ${a template}\",\"type\":\"object\"}}");
    cr_expect_null(step(d, "a")->output_schema);
    cr_expect_not_null(step(d, "b")->output_schema);
}

Test(definition, a_message_is_text_even_where_it_is_one_expression)
{
    AUTO_DEFINITION *d = define_steps("- {name: a, type: llm, prompt: '${input.x}'}\n");
    expect_shown(step(d, "a")->input, "{\"messages\":[{\"content\":\"<input.x>\\n\",\"role\":"
                                      "\"user\"}],\"model\":\"default\"}");
}

Test(definition, http_is_get_and_with_a_body_post)
{
    AUTO_DEFINITION *d = define_steps("- {name: a, type: http, url: 'https://x/${input.y}', query: "
                                      "{n: 1}}\n"
                                      "- {name: b, type: http, url: u, body: [1]}\n"
                                      "- {name: c, type: http, url: u, method: PUT, headers: {k: "
                                      "v}}\n");
    expect_shown(step(d, "a")->input,
                 "{\"method\":\"GET\",\"query\":{\"n\":1},\"url\":\"https://x/<input.y>\"}");
    expect_shown(step(d, "b")->input, "{\"body\":[1],\"method\":\"POST\",\"url\":\"u\"}");
    expect_shown(step(d, "c")->input,
                 "{\"headers\":{\"k\":\"v\"},\"method\":\"PUT\",\"url\":\"u\"}");
}

Test(definition, exec_names_a_command_of_the_worker)
{
    AUTO_DEFINITION *d =
        define_steps("- {name: a, type: exec, command: wc, args: [-w, '${input}'], "
                     "stdin: {t: 1}}\n");
    cr_expect_str_eq(step(d, "a")->uses, "wc");
    expect_shown(step(d, "a")->input,
                 "{\"args\":[\"-w\",\"<input>\"],\"command\":\"wc\",\"stdin\":{\"t\":1}}");
}

Test(definition, branches_stand_in_the_order_of_their_names)
{
    AUTO_DEFINITION *d = define_steps("- name: p\n  type: parallel\n  max_concurrent: 2\n"
                                      "  join: {at_least: 2}\n  on_branch_error: collect\n"
                                      "  branches:\n"
                                      "    z: [{name: a, type: task}]\n"
                                      "    b: [{name: c, type: task}, {name: e, type: task}]\n"
                                      "    m: [{name: d, type: task}]\n");
    const struct step_def *p = step(d, "p");
    cr_assert_eq(p->branch_count, 3);
    cr_expect_str_eq(d->blocks[p->branches[0]].name, "b");
    cr_expect_str_eq(d->blocks[p->branches[1]].name, "m");
    cr_expect_str_eq(d->blocks[p->branches[2]].name, "z");
    cr_expect_eq(d->blocks[p->branches[0]].parent_step, p->index);
    cr_expect_eq(d->blocks[p->branches[0]].count, 2);
    cr_expect_eq(p->max_concurrent, 2);
    cr_expect_eq(p->join, JOIN_AT_LEAST);
    cr_expect_eq(p->join_count, 2);
    cr_expect_not(p->fail_fast);
    const struct step_def *e = step(d, "e");
    cr_expect_eq(e->block, p->branches[0]);
    cr_expect_eq(e->position, 1);
    cr_expect_eq(&d->steps[e->index], e);
}

Test(definition, parallel_joins_all_and_fails_fast_unless_it_says_otherwise)
{
    AUTO_DEFINITION *d =
        define_steps("- name: p\n  type: parallel\n  branches: {a: [{name: x, type: task}], b: "
                     "[{name: y, type: task}]}\n"
                     "- name: q\n  type: parallel\n  join: any\n  branches: {a: [{name: v, type: "
                     "task}]}\n");
    cr_expect_eq(step(d, "p")->join, JOIN_ALL);
    cr_expect_eq(step(d, "p")->join_count, 2);
    cr_expect_eq(step(d, "p")->max_concurrent, 0);
    cr_expect(step(d, "p")->fail_fast);
    cr_expect_eq(step(d, "q")->join, JOIN_ANY);
    cr_expect_eq(step(d, "q")->join_count, 1);
}

Test(definition, a_conditional_has_its_cases_in_order_and_else_last)
{
    AUTO_DEFINITION *d = define_steps("- name: c\n  type: conditional\n  cases:\n"
                                      "  - {when: input.a, steps: [{name: x, type: task}]}\n"
                                      "  - {when: '${input.b}', steps: []}\n"
                                      "  else: [{name: y, type: task}]\n");
    const struct step_def *c = step(d, "c");
    cr_assert_eq(c->case_count, 3);
    cr_expect_not_null(c->cases[0].when);
    cr_expect_not_null(c->cases[1].when);
    cr_expect_null(c->cases[2].when);
    cr_expect_eq(d->blocks[c->cases[1].block].count, 0);
    cr_expect_eq(step(d, "y")->block, c->cases[2].block);
}

Test(definition, conditions_are_one_case_that_holds_when_any_of_them_does)
{
    AUTO_DEFINITION *d =
        define_steps("- name: c\n  type: conditional\n  conditions: ['1 > 2 // no', "
                     "'${ 2 > 1 }', false]\n  steps: [{name: x, type: task}]\n"
                     "  else: []\n");
    const struct step_def *c = step(d, "c");
    cr_assert_eq(c->case_count, 2);
    cr_expect_eq(step(d, "x")->block, c->cases[0].block);
    cr_expect_null(c->cases[1].when);
    struct cel_env env = { .resolve = no_names };
    struct err e;
    json_t *value = NULL;
    cr_assert(cel_eval(c->cases[0].when, &env, &value, &e), "%s", e.text);
    cr_expect(json_is_true(value));
    json_decref(value);
    expect_step_fault("- {name: c, type: conditional, conditions: ['true', '1 +'], steps: []}\n",
                      "in the expression: ");
}

Test(definition, errors_fail_continue_or_fall_back)
{
    AUTO_DEFINITION *d = define("workflow: w\nversion: '1'\nsteps:\n"
                                "- {name: a, type: task, on_error: continue}\n"
                                "- {name: b, type: task, on_error: {fallback: [{name: c, type: "
                                "task, input: '${error.message}'}]}}\n"
                                "on_error: {fallback: [{name: d, type: task, input: "
                                "'${steps.b.error}'}]}\n");
    cr_expect_eq(step(d, "a")->on_error, ON_ERROR_CONTINUE);
    cr_expect_eq(step(d, "b")->on_error, ON_ERROR_FALLBACK);
    cr_expect_eq(step(d, "c")->block, step(d, "b")->fallback_block);
    cr_expect_eq(d->on_error, ON_ERROR_FALLBACK);
    cr_expect_eq(step(d, "d")->block, d->fallback_block);
    cr_expect_eq(d->blocks[d->fallback_block].parent_step, NO_INDEX);
    cr_expect_eq(d->blocks[0].count, 2);
}

Test(definition, triggers_see_the_event)
{
    AUTO_DEFINITION *d = define("workflow: w\nversion: '1'\ntriggers:\n"
                                "- {topic: shop.orders, filter: 'event.type == \"x\"', input: {a: "
                                "'${event.data}'}, key: '${event.id}'}\n- {topic: T_2}\n"
                                "steps:\n- {name: a, type: task}\n");
    cr_assert_eq(d->trigger_count, 2);
    cr_expect_str_eq(d->triggers[0].topic, "shop.orders");
    cr_expect_not_null(d->triggers[0].filter);
    cr_expect_not_null(d->triggers[0].input);
    cr_expect_not_null(d->triggers[0].key);
    cr_expect_null(d->triggers[1].filter);
    cr_expect_null(d->triggers[1].input);
    cr_expect_null(d->triggers[1].key);
}

/* --- identity --- */

Test(definition, the_version_keeps_its_text)
{
    AUTO_DEFINITION *d = define("workflow: w\nversion: 1.10\nsteps:\n- {name: a, type: task}\n");
    cr_expect_str_eq(d->version, "1.10");
    cr_expect_not_null(strstr(d->canonical, "\"version\":\"1.10\""));
    AUTO_DEFINITION *e = define("{\"workflow\":\"w\",\"version\":2.50,\"steps\":[{\"name\":\"a\","
                                "\"type\":\"task\"}]}");
    cr_expect_str_eq(e->version, "2.50");
}

Test(definition, layout_comments_and_order_of_fields_do_not_change_the_hash)
{
    AUTO_DEFINITION *a = define("workflow: w\nversion: '1'\nsteps:\n- {name: a, type: task}\n");
    AUTO_DEFINITION *b = define("{\"steps\": [{\"type\":\"task\", \"name\":\"a\"}],\n"
                                " \"version\":\"1\", \"workflow\":\"w\"}");
    AUTO_DEFINITION *c = define("workflow: w\nversion: '1'\nsteps:\n- {name: b, type: task}\n");
    cr_expect_str_eq(a->canonical, "{\"steps\":[{\"name\":\"a\",\"type\":\"task\"}],\"version\":"
                                   "\"1\",\"workflow\":\"w\"}");
    cr_expect_eq(a->canonical_len, strlen(a->canonical));
    cr_expect_str_eq(a->sha256, b->sha256);
    cr_expect_str_neq(a->sha256, c->sha256);
    char hash[SHA256_HEX];
    sha256_hex(bytes_of(a->canonical), hash);
    cr_expect_str_eq(a->sha256, hash);
}

Test(definition, the_canonical_form_loads_as_the_same_definition)
{
    AUTO_DEFINITION *a = define_steps("- {name: a, type: task, if: input.x > 1.5}\n");
    struct bytes canonical = { a->canonical, a->canonical_len };
    struct err e;
    AUTO_DEFINITION *b = definition_load(canonical, a->sha256, &e);
    cr_assert_not_null(b, "%s", e.text);
    cr_expect_str_eq(a->sha256, b->sha256);
    cr_expect_str_eq(a->canonical, b->canonical);
    cr_expect_not_null(step(b, "a")->condition);
}

Test(definition, what_is_damaged_or_not_canonical_does_not_load)
{
    AUTO_DEFINITION *a = define_steps("- {name: a, type: task}\n");
    struct bytes canonical = { a->canonical, a->canonical_len };
    char other[SHA256_HEX];
    sha256_hex(BYTES_LIT("x"), other);
    struct err e;
    cr_expect_null(definition_load(canonical, other, &e));
    cr_expect_eq(e.kind, ERR_CONFLICT);
    AUTO_FREE char *spaced = xasprintf(" %s", a->canonical);
    cr_expect_null(definition_load(bytes_of(spaced), NULL, &e));
    cr_expect_not_null(strstr(e.text, "not in canonical form"), "%s", e.text);
    cr_expect_null(definition_load(BYTES_LIT("{\"workflow\":"), NULL, &e));
    cr_expect_null(definition_load(BYTES_LIT("{}"), NULL, &e));
    cr_expect_eq(e.kind, ERR_INVALID);
}

/* --- limits --- */

Test(definition, a_thousand_steps_are_allowed_and_one_more_is_not)
{
    for (int extra = 0; extra < 2; extra++) {
        CLEANUP(buf_done) struct buf b = { 0 };
        buf_add_text(&b, "workflow: w\nversion: '1'\nsteps:\n");
        for (int i = 0; i < DEFINITION_STEPS_MAX + extra; i++)
            buf_addf(&b, "- {name: s%d, type: task}\n", i);
        if (extra) {
            expect_fault(b.data, "1004:3: a definition has at most 1000 steps");
        } else {
            AUTO_DEFINITION *d = define(b.data);
            cr_expect_eq(d->step_count, DEFINITION_STEPS_MAX);
        }
    }
}

Test(definition, a_file_beyond_the_limit_is_refused_by_its_size)
{
    AUTO_FREE char *text = xmalloc(DEFINITION_BYTES_MAX + 2);
    memset(text, '#', DEFINITION_BYTES_MAX + 1);
    text[DEFINITION_BYTES_MAX + 1] = '\0';
    expect_fault(text, "1:1: the definition has 524289 bytes; the limit is 524288");
}

Test(definition, lists_of_steps_nest_only_so_deep)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    const int depth = 40;
    for (int i = 0; i < depth; i++)
        buf_addf(&b,
                 "{\"name\":\"n%d\",\"type\":\"conditional\",\"cases\":[{\"when\":\"true\","
                 "\"steps\":[",
                 i);
    buf_add_text(&b, "{\"name\":\"x\",\"type\":\"task\"}");
    for (int i = 0; i < depth; i++) buf_add_text(&b, "]}]}");
    AUTO_FREE char *text =
        xasprintf("{\"workflow\":\"w\",\"version\":\"1\",\"steps\":[%s]}", b.data);
    expect_fault(text, "nest");
}

Test(definition, max_steps_is_held_against_the_steps_that_are_written)
{
    expect_fault("workflow: w\nversion: '1'\nlimits: {max_steps: 1}\nsteps:\n"
                 "- {name: a, type: task}\n- {name: b, type: task}\n",
                 "3:21: the definition has 2 steps, more than its max_steps");
    AUTO_DEFINITION *d = define("workflow: w\nversion: '1'\nlimits: {max_steps: 1}\nsteps:\n"
                                "- {name: a, type: task}\n");
    cr_expect_eq(d->step_count, 1);
}

/* --- the rules --- */

Test(definition, the_root_and_its_required_fields_are_checked)
{
    expect_fault("[]", "1:1: a workflow: expected a mapping, found a list");
    expect_fault("hello", "1:1: a workflow: expected a mapping, found a text");
    expect_fault("{}", "1:1: a workflow needs its name under 'workflow'");
    expect_fault("{}", "a workflow needs a 'version'");
    expect_fault("{}", "a workflow needs 'steps'");
    expect_fault("{\"name\":\"w\"}", "the name stands under 'workflow'");
    expect_fault("workflow: w\nversion: [1]\n", "2:10: 'version' has letters");
    expect_fault("workflow: w\nversion: 1 beta\n", "2:10: 'version' has letters");
    expect_fault("wrkflow: w\n",
                 "1:1: a workflow has no field 'wrkflow'; did you mean 'workflow'?");
}

Test(definition, what_this_version_does_not_run_is_refused_and_never_ignored)
{
    static const char *const types[] = { "react", "planner", "orchestrator", "mcp", "Embed" };
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        AUTO_FREE char *steps = xasprintf("- {name: a, type: %s}\n", types[i]);
        AUTO_FREE char *wanted =
            xasprintf("4:19: step type '%s' is not supported by this version", types[i]);
        expect_step_fault(steps, wanted);
    }
    static const char *const fields[] = { "resources", "tools", "env" };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        AUTO_FREE char *steps = xasprintf("- {name: a, type: task, %s: [x]}\n", fields[i]);
        AUTO_FREE char *wanted =
            xasprintf("4:25: '%s' is not supported by this version", fields[i]);
        expect_step_fault(steps, wanted);
    }
    static const char *const roots[] = { "access", "notify" };
    for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
        AUTO_FREE char *text = xasprintf("%s: {}\n", roots[i]);
        AUTO_FREE char *wanted = xasprintf("1:1: '%s' is not supported by this version", roots[i]);
        expect_fault(text, wanted);
    }
    expect_fault("triggers: [{webhook: /x}]\n", "1:13: 'webhook' is not supported");
}

Test(definition, names_are_letters_digits_and_two_signs)
{
    expect_step_fault("- {name: 'a b', type: task}\n", "4:10: a step's 'name' must be a name");
    expect_step_fault("- {name: 1a, type: task}\n", "4:10: a step's 'name' must be a name");
    expect_step_fault("- {name: 7, type: task}\n", "4:10: a step's 'name' must be a name");
    expect_step_fault("- {name: '', type: task}\n", "4:10: a step's 'name' must be a name");
    AUTO_FREE char *longest = xmalloc(NAME_BYTES_MAX + 2);
    memset(longest, 'a', NAME_BYTES_MAX + 1);
    longest[NAME_BYTES_MAX + 1] = '\0';
    AUTO_FREE char *steps = xasprintf("- {name: %s, type: task}\n", longest);
    expect_step_fault(steps, "a step's 'name' must be a name");
    AUTO_FREE char *good = xasprintf("- {name: %s, type: task}\n", longest + 1);
    AUTO_DEFINITION *d = define_steps(good);
    cr_expect_eq(d->step_count, 1);
}

Test(definition, fields_that_only_a_worker_heeds_stand_only_where_a_worker_works)
{
    static const char *const fields[] = { "timeout: 1s", "queue_timeout: 1s", "queue: q",
                                          "retry: {max_attempts: 1}", "idempotency_key: k" };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        AUTO_FREE char *steps = xasprintf("- {name: a, type: set, vars: {x: 1}, %s}\n", fields[i]);
        expect_step_fault(steps, "4:38: a step of type set has no field '");
        expect_step_fault(steps, "it belongs to: task, llm, http, exec");
    }
}

Test(definition, durations_are_above_zero_and_bounded)
{
    static const char *const bad[] = {
        "0", "0s", "-1", "5x", "''", "null", "[1]", "4000d", "1e300"
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO_FREE char *steps = xasprintf("- {name: a, type: task, timeout: %s}\n", bad[i]);
        expect_step_fault(steps, "4:34: 'timeout' is no duration");
    }
}

Test(definition, retries_are_bounded_and_their_waits_agree)
{
    expect_step_fault("- {name: a, type: task, retry: {max_attempts: 0}}\n", "from 1 to 100");
    expect_step_fault("- {name: a, type: task, retry: {max_attempts: 101}}\n", "from 1 to 100");
    expect_step_fault("- {name: a, type: task, retry: {max_attempts: 1.5}}\n",
                      "'max_attempts': expected an integer, found a number");
    expect_step_fault("- {name: a, type: task, retry: {max_retries: 3}}\n",
                      "4:33: 'retry' has no field 'max_retries'");
    expect_step_fault("- {name: a, type: task, retry: {initial: 10s, max: 1s}}\n",
                      "4:52: 'max' is shorter than 'initial'");
    expect_step_fault("- {name: a, type: task, retry: {on: timeout}}\n", "'on': expected a list");
    expect_step_fault("- {name: a, type: task, retry: {on: []}}\n", "at least one error type");
    expect_step_fault("- {name: a, type: task, retry: 3}\n",
                      "4:32: 'retry': expected a mapping, found a number");
    AUTO_DEFINITION *d = define_steps("- {name: a, type: task, retry: {initial: 5m}}\n");
    cr_expect_eq(step(d, "a")->retry.max_ms, 300000);
}

Test(definition, an_llm_step_is_checked_in_all_its_fields)
{
    expect_step_fault("- {name: a, type: llm}\n", "4:3: a step of type llm needs 'prompt' or");
    expect_step_fault("- {name: a, type: llm, prompt: a, messages: []}\n",
                      "'messages' and 'prompt' exclude each other");
    expect_step_fault("- {name: a, type: llm, prompt: [a]}\n", "'prompt': expected a text");
    expect_step_fault("- {name: a, type: llm, prompt: ''}\n", "'prompt' must not be empty");
    expect_step_fault("- {name: a, type: llm, messages: []}\n", "'messages' must not be empty");
    expect_step_fault("- {name: a, type: llm, messages: [{role: robot, content: x}]}\n",
                      "expected system, user, assistant or developer, found 'robot'");
    expect_step_fault("- {name: a, type: llm, messages: [{role: user}]}\n",
                      "a message needs 'role' and 'content'");
    expect_step_fault("- {name: a, type: llm, prompt: a, model: '${input.m}'}\n",
                      "4:42: 'model' is a fixed name");
    expect_step_fault("- {name: a, type: llm, prompt: a, temperature: 3}\n", "from 0 to 2");
    expect_step_fault("- {name: a, type: llm, prompt: a, max_tokens: 0}\n", "'max_tokens' must be");
    expect_step_fault("- {name: a, type: llm, prompt: a, stream: 'yes'}\n", "true or false");
    expect_step_fault("- {name: a, type: llm, prompt: a, output_schema: {anyOf: []}}\n",
                      "4:51: 'anyOf' must be a list of schemas that is not empty");
    expect_step_fault("- {name: a, type: llm, prompt: a, output_schema: {type: text}}\n",
                      "'type' must be null, boolean");
}

Test(definition, http_and_exec_steps_are_checked_in_all_their_fields)
{
    expect_step_fault("- {name: a, type: http}\n", "needs a 'url'");
    expect_step_fault("- {name: a, type: http, url: u, method: FETCH}\n", "expected GET, POST,");
    expect_step_fault("- {name: a, type: http, url: u, headers: {a: 1}}\n", "'a': expected a text");
    expect_step_fault("- {name: a, type: http, url: u, query: x}\n", "expected a mapping");
    expect_step_fault("- {name: a, type: exec}\n", "needs a 'command'");
    expect_step_fault("- {name: a, type: exec, command: '${input}'}\n", "is a fixed name");
    expect_step_fault("- {name: a, type: exec, command: a, args: x}\n", "expected a list");
    expect_step_fault("- {name: a, type: exec, command: a, args: [1]}\n",
                      "4:44: an argument must be a text");
}

Test(definition, parallel_and_conditional_steps_are_checked_in_all_their_fields)
{
    expect_step_fault("- {name: a, type: parallel}\n", "needs 'branches'");
    expect_step_fault("- {name: a, type: parallel, branches: {}}\n", "must not be empty");
    expect_step_fault("- {name: a, type: parallel, branches: {b: []}}\n", "must not be empty");
    expect_step_fault("- {name: a, type: parallel, branches: {'b c': [{name: d, type: task}]}}\n",
                      "a branch's name must be a name");
    expect_step_fault("- {name: a, type: parallel, join: {at_least: 2}, branches: {b: [{name: d, "
                      "type: task}]}}\n",
                      "'at_least' must be from 1 to 1, not 2");
    expect_step_fault(
        "- {name: a, type: parallel, join: most, branches: {b: [{name: d, type: task}]}}\n",
        "expected all or any, found 'most'");
    expect_step_fault("- {name: a, type: conditional}\n", "needs 'cases', or 'conditions'");
    expect_step_fault("- {name: a, type: conditional, cases: []}\n", "'cases' must not be empty");
    expect_step_fault("- {name: a, type: conditional, cases: [{when: 'true'}]}\n",
                      "4:40: a case needs 'when' and 'steps'");
    expect_step_fault("- {name: a, type: conditional, conditions: ['true']}\n",
                      "'conditions' need 'steps'");
    expect_step_fault("- {name: a, type: conditional, cases: [], conditions: []}\n",
                      "exclude each other");
    expect_step_fault(
        "- {name: a, type: conditional, cases: [{when: 'true', steps: []}], steps: []}\n",
        "'steps' goes with 'conditions'");
}

Test(definition, a_set_step_sets_variables_that_expressions_can_name)
{
    expect_step_fault("- {name: a, type: set}\n", "needs 'vars'");
    expect_step_fault("- {name: a, type: set, vars: {}}\n", "must not be empty");
    expect_step_fault("- {name: a, type: set, vars: {a-b: 1}}\n", "a variable's name has letters");
}

Test(definition, the_schema_of_the_input_is_compiled_and_its_faults_found)
{
    AUTO_DEFINITION *d = define("workflow: w\nversion: '1'\ninput: {type: object, required: [a]}\n"
                                "steps:\n- {name: a, type: task}\n");
    struct err e;
    AUTO_JSON *empty = json_object();
    cr_assert_not_null(d->input_schema);
    cr_expect_not(schema_check(d->input_schema, empty, &e));
    expect_fault("input:\n  properties:\n    a: {$ref: '#/x'}\n",
                 "3:9: '$ref' leads to '#/x', and there is nothing there");
}

/* --- expressions --- */

Test(references, a_fault_in_an_expression_is_found_at_its_column)
{
    expect_step_fault("- {name: a, type: task, if: 'input.x +'}\n", "in the expression: ");
    expect_step_fault("- {name: a, type: task, if: 'input.x || 1 + true == 2'}\n",
                      "in the expression: no such overload: +(int, bool)");
    expect_step_fault("- {name: a, type: task, if: '${input.x + 1}'}\n",
                      "must give true or false, but it gives a value of type int");
    expect_step_fault("- {name: a, type: task, input: {b: 'x ${size(5)}'}}\n",
                      ": no such overload: size(int)");
    expect_step_fault("- name: a\n  type: task\n  if: ${ vars.x == 1 }\n", "6:10: no 'set' step");
    expect_step_fault("- name: a\n  type: task\n  input: 'one ${vars.x}'\n", "6:17: no 'set' step");
    expect_step_fault("- name: a\n  type: task\n  input: \"\u20b9\u20b9 ${vars.x}\"\n",
                      "6:16: no 'set' step");
    expect_step_fault("- name: a\n  type: task\n  input: {b: [1, '${1 +}']}\n",
                      "in the template: ");
    /* Where the text in the file is not the text of the value, its start is the place. */
    expect_step_fault("- name: a\n  type: task\n  input: \"\\t${vars.x}\"\n",
                      "6:10: no 'set' step");
    expect_step_fault("- name: a\n  type: task\n  input: |\n    x ${vars.x}\n",
                      "6:10: no 'set' step");
    expect_step_fault("- name: a\n  type: task\n  if: [1]\n",
                      "6:7: expected an expression as text");
}

Test(references, steps_can_only_be_read_after_they_ran)
{
    expect_step_fault("- {name: a, type: task, if: steps.b.output}\n- {name: b, type: task}\n",
                      "4:29: 'a' reads step 'b', which can only run after it");
    expect_step_fault("- {name: a, type: task, output: '${steps.a.output}'}\n",
                      "in its 'output' mapping that is 'output'");
    expect_step_fault("- {name: a, type: task, input: '${steps.b.output}'}\n"
                      "- {name: b, type: task, input: '${steps.a.output}'}\n",
                      "steps read each other in a cycle: a -> b -> a");
    expect_step_fault("- name: p\n  type: parallel\n  if: steps.a.status == 'x'\n"
                      "  branches: {b: [{name: a, type: task}]}\n",
                      "'p' reads step 'a', which is inside it and runs later");
    expect_step_fault("- name: p\n  type: parallel\n"
                      "  branches: {b: [{name: a, type: task, input: '${steps.p.output}'}]}\n",
                      "'a' reads step 'p', which it is a part of and which ends later");
    expect_step_fault("- name: c\n  type: conditional\n  cases:\n"
                      "  - {when: 'true', steps: [{name: a, type: task}]}\n"
                      "  else: [{name: b, type: task, input: '${steps.a.output}'}]\n",
                      "'b' reads step 'a' of another case of 'c'");
    expect_step_fault("- name: a\n  type: task\n  input: ${steps.f.output}\n"
                      "  on_error: {fallback: [{name: f, type: task}]}\n",
                      "'a' reads step 'f', which is inside it and runs later");
}

Test(references, what_has_run_can_be_read_from_everywhere_after_it)
{
    AUTO_DEFINITION *d = define("workflow: w\nversion: '1'\nsteps:\n"
                                "- {name: a, type: task, input: '${run.id}'}\n"
                                "- name: p\n  type: parallel\n  output: '${steps.b.output}'\n"
                                "  branches:\n"
                                "    x: [{name: b, type: task, input: '${steps.a.attempts}'}]\n"
                                "  on_error: {fallback: [{name: f, type: task, input: "
                                "'${[steps.b.status, steps.p.error, error.type]}'}]}\n"
                                "- {name: c-d, type: task, input: '${steps.b.output.x[0].y}'}\n"
                                "- {name: e, type: task, if: 'steps.`c-d`.status == \"x\"', input: "
                                "'${steps.`c-d`.output}'}\n"
                                "on_error: {fallback: [{name: g, type: task, input: "
                                "'${steps.e.error.message} ${error.step}'}]}\n"
                                "output: ['${steps.e.output}', '${steps.g.output}']\n");
    cr_expect_eq(d->step_count, 7);
}

Test(references, members_of_steps_run_and_error_are_known)
{
    expect_step_fault("- {name: a, type: task}\n- {name: b, type: task, if: steps.a}\n",
                      "'steps.a' needs .output, .status, .error or .attempts");
    expect_step_fault("- {name: a, type: task}\n- {name: b, type: task, if: steps.a.outptu}\n",
                      "did you mean 'output'?");
    expect_step_fault("- {name: a, type: task, if: run.started}\n",
                      "'run' has no member 'started'");
    expect_step_fault("- {name: a, type: task, on_error: {fallback: [{name: b, type: task, input: "
                      "'${error.mesage}'}]}}\n",
                      "'error' has no member 'mesage'; did you mean 'message'?");
    expect_step_fault(
        "- {name: a, type: task}\n- {name: b, type: task, if: 'steps[\"a\"].output'}\n",
        "a step is named as steps.NAME");
    expect_step_fault("- {name: a, type: task}\n- {name: b-c, type: task}\n"
                      "- {name: d, type: task, if: steps.b-c.output}\n",
                      "no step is called 'b'; a name with '-' is written steps.`b-c`");
}

Test(references, names_that_only_some_places_know_are_refused_elsewhere)
{
    expect_step_fault("- {name: a, type: task, input: '${output.x}'}\n",
                      "'output' is known only in the 'output' mapping");
    expect_step_fault("- {name: a, type: task, input: '${error.type}'}\n",
                      "'error' is known only inside a fallback");
    expect_step_fault("- {name: a, type: task, if: event.data}\n",
                      "'event' is known only in triggers");
    expect_fault("triggers: [{topic: t, filter: input.x}]\n",
                 "1:31: a trigger knows only 'event', and not 'input'");
    AUTO_DEFINITION *d = define_steps("- {name: a, type: task, output: {b: '${output.x}'}}\n");
    cr_expect_not_null(step(d, "a")->output);
}

Test(references, secrets_stand_alone_and_only_where_a_worker_fills_them_in)
{
    AUTO_DEFINITION *d = define_steps(
        "- {name: a, type: http, url: 'https://${secrets.HOST}/', headers: {k: 'Bearer ${ "
        "secrets.T "
        "}'}, query: {q: '${secrets.Q}'}, body: ['${secrets.B}']}\n"
        "- {name: b, type: exec, command: c, args: ['${secrets.A}'], stdin: '${secrets.S}'}\n");
    cr_expect_eq(d->step_count, 2);
    expect_step_fault("- {name: a, type: task, input: '${secrets.X}'}\n", "secrets may stand only");
    expect_step_fault("- {name: a, type: task, if: secrets.X == ''}\n", "secrets may stand only");
    expect_step_fault("- {name: a, type: set, vars: {x: '${secrets.X}'}}\n",
                      "secrets may stand only");
    expect_step_fault("- {name: a, type: http, url: '${secrets.X + \"/\"}'}\n",
                      "a secret may only be used as ${secrets.NAME}");
    expect_step_fault("- {name: a, type: http, url: '${\"/\" + secrets.X}'}\n",
                      "a secret may only be used as ${secrets.NAME}");
    expect_step_fault("- {name: a, type: http, url: '${secrets.X.y}'}\n",
                      "a secret may only be used as ${secrets.NAME}");
    expect_step_fault("- {name: a, type: http, url: '${secrets}'}\n",
                      "a secret may only be used as ${secrets.NAME}");
}

Test(references, a_bare_name_must_have_somewhere_to_come_from)
{
#define CLOSED "workflow: w\nversion: '1'\ninput: {properties: {amount: {}}}\nsteps:\n"
    expect_fault(CLOSED "- {name: a, type: task, if: amuont > 1}\n",
                 "5:29: the name 'amuont' is neither a variable nor a property of the input; did "
                 "you mean 'amount'?");
    AUTO_DEFINITION *d = define(CLOSED "- {name: a, type: task, if: amount > 1}\n"
                                       "- {name: b, type: task, if: anything > 1}\n");
    cr_expect_eq(d->step_count, 2);
    AUTO_DEFINITION *open = define_steps("- {name: a, type: task, if: anything}\n");
    cr_expect_eq(open->step_count, 1);
    AUTO_DEFINITION *var = define(CLOSED "- {name: a, type: task, if: total > 1}\n"
                                         "- {name: s, type: set, vars: {total: 1}}\n");
    cr_expect_eq(var->step_count, 2);
}

Test(references, a_closed_input_has_no_other_properties)
{
    expect_fault("workflow: w\nversion: '1'\ninput: {properties: {a: {}}, additionalProperties: "
                 "false}\nsteps:\n- {name: a, type: task, if: input.b}\n",
                 "5:29: the input has no property 'b'");
    AUTO_DEFINITION *d = define("workflow: w\nversion: '1'\ninput: {properties: {a: {}}}\n"
                                "steps:\n- {name: a, type: task, if: input.b}\n");
    cr_expect_eq(d->step_count, 1);
}

Test(references, variables_must_be_set_somewhere)
{
    expect_step_fault("- {name: s, type: set, vars: {total: 1}}\n"
                      "- {name: a, type: task, if: vars.totl > 1}\n",
                      "no 'set' step sets the variable 'totl'; did you mean 'total'?");
    AUTO_DEFINITION *d = define_steps("- {name: s, type: set, vars: {total: 1}}\n"
                                      "- {name: a, type: task, if: 'vars.total > 1 && "
                                      "[1].exists(x, x > vars.total)'}\n");
    cr_expect_eq(d->step_count, 2);
}

/* --- the examples --- */

Test(examples, every_example_is_a_valid_definition)
{
    DIR *dir = opendir(TUTTI_SOURCE_DIR "/examples");
    cr_assert_not_null(dir);
    size_t files = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        const char *dot = strrchr(entry->d_name, '.');
        if (!dot || strcmp(dot, ".yaml") != 0 || strstr(entry->d_name, ".test.")) continue;
        AUTO_FREE char *path = xasprintf("examples/%s", entry->d_name);
        size_t len;
        AUTO_FREE char *text = read_source(path, &len);
        AUTO_DEFINITION *d = define(text);
        cr_expect_not_null(d->description, "%s", path);
        files++;
    }
    closedir(dir);
    cr_expect_geq(files, 6);
}

Test(examples, the_example_of_the_documentation_is_a_valid_definition)
{
    size_t len;
    AUTO_FREE char *page = read_source("docs/workflow-language.md", &len);
    char *from = strstr(page, "```yaml\nworkflow:");
    cr_assert_not_null(from);
    from += strlen("```yaml\n");
    char *to = strstr(from, "```");
    cr_assert_not_null(to);
    *to = '\0';
    AUTO_DEFINITION *d = define(from);
    cr_expect_gt(d->step_count, 4);
}

Test(examples, the_schema_for_editors_knows_the_fields_of_every_kind)
{
    struct err e;
    size_t len, count;
    AUTO_FREE char *text = read_source("schemas/workflow.schema.json", &len);
    AUTO_JSON *schema = json_parse((struct bytes){ text, len }, &e);
    cr_assert_not_null(schema, "%s", e.text);
    const char *const *names = field_names(&count);
    for (int kind = 0; kind < STEP_KIND_COUNT; kind++) {
        AUTO_FREE char *def = xasprintf("%sStep", step_kind_name(kind));
        const json_t *known =
            json_object_get(json_object_get(json_object_get(schema, "$defs"), def), "properties");
        size_t own = 0;
        cr_assert_not_null(known, "%s", def);
        for (size_t i = 0; i < count; i++) {
            if (!(field_kinds(names[i]) & 1u << kind)) continue;
            cr_expect_not_null(json_object_get(known, names[i]), "%s: %s", def, names[i]);
            own++;
        }
        cr_expect_eq(json_object_size(known), own, "%s", def);
    }
}
