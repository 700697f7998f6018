/* SPDX-License-Identifier: Apache-2.0
 *
 * Templates: what becomes of ${...} inside JSON, where secrets may stand, and what errors say.
 */
#include "common/cel/template.h"

#include "tests/unit/cel/world.h"

struct fixture {
    json_t *world;
    struct template_env env;
    struct secret_refs secrets;
    struct err e;
};

static void fixture_done(struct fixture *f)
{
    json_decref(f->world);
    secret_refs_done(&f->secrets);
}
#define FIXTURE(f)                                                                  \
    CLEANUP(fixture_done) struct fixture f = { 0 };                                 \
    f.world = json_parse(BYTES_LIT(WORLD), &f.e);                                   \
    f.env = (struct template_env)                                                   \
    {                                                                               \
        .cel = { .resolve = world_resolve, .user = f.world }, .secrets = &f.secrets \
    }

static struct template *compile(struct fixture *f, const char *json)
{
    AUTO_JSON *value = json_parse(bytes_of(json), &f->e);
    cr_assert(value, "the case itself: %s", f->e.text);
    struct template *t = template_compile(value, NULL, NULL, &f->e);
    cr_assert(t, "%s: %s", json, f->e.text);
    return t;
}

/* The encoded result, or "!" and the error. */
static char *evaluate(struct fixture *f, const char *json, size_t bytes_max)
{
    CLEANUP(template_free_p) struct template *t = compile(f, json);
    AUTO_BUF struct buf out = { 0 };
    buf_add_text(&out, "before ");
    if (!template_eval(t, &f->env, bytes_max, &out, &f->e)) {
        cr_expect_str_eq(out.data, "before ", "a failure leaves nothing behind");
        return xasprintf("!%s", f->e.text);
    }
    cr_expect(json_check((struct bytes){ out.data + 7, out.len - 7 }), "%s", out.data);
    return xstrdup(out.data + 7);
}

static void check(const struct cel_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        FIXTURE(f);
        AUTO_FREE char *got = evaluate(&f, cases[i].source, 100000);
        bool ok = cases[i].want[0] == '!' ? strstr(got, cases[i].want + 1) != NULL
                                          : strcmp(got, cases[i].want) == 0;
        cr_expect(ok, "%s\n  wanted %s\n  got    %s", cases[i].source, cases[i].want, got);
    }
}

Test(template, a_string_that_is_one_expression_keeps_the_type)
{
    static const struct cel_case cases[] = {
        { "\"${x}\"", "10" },
        { "\"${ x + 1 }\"", "11" },
        { "\"${input.list}\"", "[3,1,2]" },
        { "\"${input.flag}\"", "true" },
        { "\"${input.nil}\"", "null" },
        { "\"${input.name}\"", "\"Zoë\"" },
        { "\"${input.pi}\"", "3.14" },
        { "\"${0.1}\"", "0.1" },
        { "\"${1.0}\"", "1.0" },
        { "\"${1e300}\"", "1e+300" },
        { "\"${ {'a': {'b': [1]}} }\"", "{\"a\":{\"b\":[1]}}" },
        { "\"${'}'}\"", "\"}\"" },
        { "\"${ {'}': '${'}['}'] }\"", "\"${\"" },
        { "{\"a\":\"${x}\",\"b\":[\"${x}\",\"c\"]}", "{\"a\":10,\"b\":[10,\"c\"]}" },
        { "\"${x // comment\\n}\"", "10" },
    };
    check(cases, ARRAY_LEN(cases));
}

Test(template, elsewhere_values_become_text)
{
    static const struct cel_case cases[] = {
        { "\"n=${x}\"", "\"n=10\"" },
        { "\"${x}${x}\"", "\"1010\"" },
        { "\" ${x}\"", "\" 10\"" },
        { "\"hi ${input.name}!\"", "\"hi Zoë!\"" },
        { "\"l: ${input.list}\"", "\"l: [3,1,2]\"" },
        { "\"t: ${input.tags}\"", "\"t: [\\\"a\\\",\\\"b\\\"]\"" },
        { "\"${input.nil}, ${input.flag}, ${input.pi}\"", "\"null, true, 3.14\"" },
        { "\"\\\"q\\\" ${'a\\\\nb'}\\n\"", "\"\\\"q\\\" a\\nb\\n\"" },
    };
    check(cases, ARRAY_LEN(cases));
}

Test(template, dollars_and_keys_stay_as_they_are)
{
    static const struct cel_case cases[] = {
        { "\"$${x}\"", "\"${x}\"" },
        { "\"a $${x} ${x}\"", "\"a ${x} 10\"" },
        { "\"$$${x}\"", "\"$${x}\"" },
        { "\"$x ${x} $\"", "\"$x 10 $\"" },
        { "\"$\"", "\"$\"" },
        { "\"{x}\"", "\"{x}\"" },
        { "{\"${x}\":\"${x}\"}", "{\"${x}\":10}" },
        { "[1,2.5,null,true,{},[],\"\"]", "[1,2.5,null,true,{},[],\"\"]" },
    };
    check(cases, ARRAY_LEN(cases));
}

Test(template, errors_of_evaluation_name_the_string)
{
    static const struct cel_case cases[] = {
        { "{\"a\":[0,\"${input.no}\"]}", "!/a/1: 1:1: no such key: no" },
        { "{\"a/b\":{\"c~d\":\"x ${1/0}\"}}", "!/a~1b/c~0d: 1:2: division by zero" },
        { "\"${nobody}\"", "!1:1: unknown name 'nobody'" },
        { "\"${1.0/0.0}\"", "!infinite" },
    };
    check(cases, ARRAY_LEN(cases));
}

Test(template, faults_are_found_when_it_is_compiled)
{
    static const struct {
        const char *json, *pointer;
        size_t offset;
        const char *text;
    } cases[] = {
        { "{\"a\":[\"ok\",\"ab ${x + }\"]}", "/a/1", 9, "/a/1: 1:5: expected a value, found '}'" },
        { "{\"k/~\":\"${}\"}", "/k~1~0", 2, "expected a value, found '}'" },
        { "\"${x\"", "", 3, "1:2: the expression ends where '}' or an operator should be" },
        { "\"a ${'x}\"", "", 4, "the string is not closed" },
        { "\"${x y}\"", "", 4, "expected '}' or an operator" },
        { "{\"a\":\"${'x' + secrets.KEY}\"}", "/a", 8, "a secret may only be used as" },
        { "\"${secrets}\"", "", 2, "a secret may only be used as" },
        { "\"${secrets.A.b}\"", "", 2, "a secret may only be used as" },
        { "\"${[1].map(x, secrets.A)}\"", "", 13, "a secret may only be used as" },
        { "\"${has(secrets.A)}\"", "", 6, "a secret may only be used as" },
        { "\"${x}${ secrets['A'] }\"", "", 7, "a secret may only be used as" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e;
        size_t offset = 999;
        AUTO_FREE char *pointer = NULL;
        AUTO_JSON *value = json_parse(bytes_of(cases[i].json), &e);
        cr_assert_null(template_compile(value, &pointer, &offset, &e), "%s", cases[i].json);
        cr_expect_str_eq(pointer, cases[i].pointer, "%s", cases[i].json);
        cr_expect_eq(offset, cases[i].offset, "%s: offset %zu", cases[i].json, offset);
        cr_expect(strstr(e.text, cases[i].text), "%s: %s", cases[i].json, e.text);
    }
}

Test(template, what_holds_no_expression_is_constant)
{
    FIXTURE(f);
    CLEANUP(template_free_p) struct template *plain = compile(&f, "{\"a\":[1,\"b $${x}\"]}");
    cr_expect(template_is_constant(plain));
    CLEANUP(template_free_p) struct template *one = compile(&f, "{\"a\":[1,\"b ${x}\"]}");
    cr_expect_not(template_is_constant(one));
    CLEANUP(template_free_p) struct template *secret = compile(&f, "\"${secrets.A}\"");
    cr_expect_not(template_is_constant(secret));
}

Test(template, secrets_leave_a_place_and_no_text)
{
    FIXTURE(f);
    AUTO_FREE char *got =
        evaluate(&f,
                 "{\"url\":\"${secrets.URL}\",\"h\":[\"Bearer ${secrets.KEY}\",\"${input.name} "
                 "${secrets.A}-${ secrets.B }\\n\"]}",
                 1000);
    cr_expect_str_eq(got, "{\"url\":\"\",\"h\":[\"Bearer \",\"Zoë -\\n\"]}");
    static const struct {
        const char *pointer;
        uint32_t offset;
        const char *name;
    } want[] = {
        { "/url", 0, "URL" }, { "/h/0", 7, "KEY" }, { "/h/1", 5, "A" }, { "/h/1", 6, "B" }
    };
    cr_assert_eq(f.secrets.count, ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        cr_expect_str_eq(f.secrets.refs[i].pointer, want[i].pointer);
        cr_expect_eq(f.secrets.refs[i].offset, want[i].offset);
        cr_expect_str_eq(f.secrets.refs[i].name, want[i].name);
    }
}

Test(template, data_cannot_name_a_secret)
{
    FIXTURE(f);
    json_object_set_new(f.world, "x", json_string("${secrets.KEY}"));
    AUTO_FREE char *got = evaluate(&f, "[\"${x}\",\"a ${x}\"]", 1000);
    cr_expect_str_eq(got, "[\"${secrets.KEY}\",\"a ${secrets.KEY}\"]");
    cr_expect_eq(f.secrets.count, 0);
}

Test(template, secrets_are_refused_where_there_is_no_place_for_them)
{
    FIXTURE(f);
    f.env.secrets = NULL;
    AUTO_FREE char *got = evaluate(&f, "{\"a\":\"${secrets.KEY}\"}", 1000);
    cr_expect_str_eq(got, "!/a: secrets may not be used here");
}

Test(template, a_failure_forgets_the_secrets_that_it_noted)
{
    FIXTURE(f);
    AUTO_FREE char *got = evaluate(&f, "[\"${secrets.KEY}\",\"${nobody}\"]", 1000);
    cr_expect_eq(got[0], '!');
    cr_expect_eq(f.secrets.count, 0);
}

/* Hands out the bytes of `input` with the spaces that they happen to have. */
static bool raw_input(void *user, const char *const *names, size_t count, struct bytes *ret)
{
    (void)user;
    if (count != 1 || strcmp(names[0], "input") != 0) return false;
    *ret = BYTES_LIT("{ \"raw\": 1.50 }");
    return true;
}

Test(template, bytes_at_hand_are_copied)
{
    FIXTURE(f);
    f.env.raw = raw_input;
    AUTO_FREE char *got = evaluate(&f, "[\"${input}\",\"${ x }\",\"${input.a}\"]", 1000);
    cr_expect_str_eq(got, "[{ \"raw\": 1.50 },10,1]");
}

static bool raw_deep(void *user, const char *const *names, size_t count, struct bytes *ret)
{
    (void)names;
    (void)count;
    *ret = *(struct bytes *)CONTAINER_OF(user, struct bytes, data);
    return true;
}

Test(template, bytes_at_hand_do_not_nest_too_deep)
{
    FIXTURE(f);
    AUTO_BUF struct buf deep = { 0 };
    for (int i = 0; i < 127; i++) buf_add_char(&deep, '[');
    buf_add_text(&deep, "\"]]]\"");
    for (int i = 0; i < 127; i++) buf_add_char(&deep, ']');
    struct bytes raw = buf_bytes(&deep);
    f.env.raw = raw_deep;
    f.env.cel.user = &raw.data;
    AUTO_FREE char *whole = evaluate(&f, "\"${x}\"", 1000);
    cr_expect_str_eq(whole, deep.data);
    AUTO_FREE char *within = evaluate(&f, "{\"a\":\"${x}\"}", 1000);
    cr_expect_str_eq(within, "!/a: the result nests deeper than 128");
}

Test(template, a_result_has_a_size)
{
    FIXTURE(f);
    AUTO_FREE char *fits = evaluate(&f, "[\"${input.list}\"]", 9);
    cr_expect_str_eq(fits, "[[3,1,2]]");
    AUTO_FREE char *value = evaluate(&f, "[\"${input.list}\"]", 7);
    cr_expect_str_eq(value, "!/0: the result is larger than 7 bytes");
    cr_expect_eq(f.e.kind, ERR_LIMIT);
    AUTO_FREE char *text = evaluate(&f, "\"${input.list}${input.list}\"", 9);
    cr_expect_str_eq(text, "!the result is larger than 9 bytes");
    AUTO_FREE char *constant = evaluate(&f, "[1,2,3]", 6);
    cr_expect_str_eq(constant, "!the result is larger than 6 bytes");
    f.env.raw = raw_input;
    AUTO_FREE char *raw = evaluate(&f, "\"${input}\"", 5);
    cr_expect_str_eq(raw, "!the result is larger than 5 bytes");
}

Test(template, a_template_has_one_budget_of_steps)
{
    FIXTURE(f);
    f.env.cel.cost_max = 10;
    AUTO_FREE char *got = evaluate(&f, "[\"${1+1+1}\",\"${1+1+1}\",\"${1+1+1}\"]", 1000);
    cr_expect(strstr(got, "!/1: "), "%s", got);
    cr_expect_eq(f.e.kind, ERR_LIMIT);
}

Test(template, it_evaluates_to_values_too)
{
    static const char *const cases[][2] = {
        { "\"${input.list}\"", "[3,1,2]" },
        { "{\"a\":\"${x}\",\"b\":\"n ${x}\"}", "{\"a\":10,\"b\":\"n 10\"}" },
        { "[1,\"c\"]", "[1,\"c\"]" },
        { "\"${secrets.A}\"", "\"\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        FIXTURE(f);
        CLEANUP(template_free_p) struct template *t = compile(&f, cases[i][0]);
        AUTO_JSON *value = NULL;
        cr_assert(template_eval_json(t, &f.env, &value, &f.e), "%s", f.e.text);
        AUTO_BUF struct buf text = { 0 };
        json_write(&text, value);
        cr_expect_str_eq(text.data, cases[i][1]);
    }
    FIXTURE(f);
    CLEANUP(template_free_p) struct template *t = compile(&f, "{\"a\":\"${nobody}\"}");
    json_t *none = NULL;
    cr_expect_not(template_eval_json(t, &f.env, &none, &f.e));
    cr_expect(strstr(f.e.text, "/a: 1:1: unknown name"), "%s", f.e.text);
}

static void note_path(void *user, const char *pointer, const char *const *names, size_t count,
                      size_t offset)
{
    buf_addf(user, "%s:", pointer);
    for (size_t i = 0; i < count; i++) buf_addf(user, "%s%s", i ? "." : "", names[i]);
    buf_addf(user, "@%zu ", offset);
}

Test(template, paths_come_with_pointer_and_offset)
{
    FIXTURE(f);
    CLEANUP(template_free_p)
    struct template *t =
        compile(&f, "{\"a\":\"é ${x + input.a}\",\"b\":[\"${secrets.K}\",\"${steps.s.output}\"]}");
    AUTO_BUF struct buf text = { 0 };
    template_paths(t, note_path, &text);
    cr_expect_str_eq(text.data, "/a:x@5 /a:input.a@9 /b/0:secrets.K@2 /b/1:steps.s.output@2 ");
}
