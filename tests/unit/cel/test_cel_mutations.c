/* SPDX-License-Identifier: Apache-2.0
 *
 * Sources that are almost right: 20,000 mutations of valid ones compile or are refused, evaluate or
 * fail, and never crash, hang or leak (the sanitizers watch). Errors are valid UTF-8 of one line.
 */
#include "common/cel/template.h"
#include "tests/unit/cel/world.h"

static const char *const seeds[] = {
    "input.users.filter(u, u.age > 25 && has(u.n)).map(u, u.n + '!').join(', ')",
    "x > 5 ? input.list[0] + 2 * 3 : -int('42') % 7",
    "'abc'.matches('^a.c$') || input.name.startsWith(\"Zo\\u00eb\") && !false",
    "{'a': [1, 2.5e1, null], \"b\": {'c': r'\\d'}}['a'][1] == 25.0",
    "[1, 2, 3].exists_one(e, e in [2u, 0x3]) == true // comment",
    "'a,b'.split(',', 1).all(s, size(s) <= 3 || s.substring(1, 2) == '''x'y''')",
    "math.greatest(1, 2.5, x) / double(input.zero) != .5",
    "input.deep.er.x.`odd-key` + type(null) == null_type",
    "{?'a': input.?a, 1u: [?input.list[?7], b'\\xff']}[1u].map(v, v).size()",
    "input.?a.optMap(v, v + 1).or(optional.none()).orValue(5)",
    "cel.bind(y, x * 2, [y].all(i, v, i + v < 5) || {'k': y}.transformMap(k, v, v > 1, k) == {})",
    "'%s %.3f %x'.format([duration('1h2m'), 1.5, base64.encode(b'x')])",
    "timestamp('2024-02-29T23:31:30.5+01:30').getHours('-02:30') + 1",
};

/* xorshift64*, Vigna 2016: the same run every time. */
static uint64_t prng_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1DULL;
}

static size_t below(uint64_t *prng, size_t n)
{
    return (size_t)(prng_next(prng) % n);
}

static void mutate(struct buf *text, uint64_t *prng)
{
    static const char alphabet[] = "()[]{}.,?:+-*/%!<>=&|'\"\\`$ 019exurbRB\n\xc3\xa9_";
    size_t at = text->len ? below(prng, text->len) : 0, left = text->len - at;
    size_t n = left ? 1 + below(prng, MIN(left, 8u)) : 0;
    const char *other = seeds[below(prng, ARRAY_LEN(seeds))];
    size_t from = below(prng, strlen(other)), len = 1 + below(prng, strlen(other) - from);
    AUTO_BUF struct buf next = { 0 };
    buf_add(&next, text->data, at);
    switch (below(prng, 4)) {
    case 0: break; /* delete */
    case 1:
        buf_add_char(&next, alphabet[below(prng, sizeof alphabet - 1)]);
        n = 0;
        break;
    case 2: buf_add_char(&next, alphabet[below(prng, sizeof alphabet - 1)]); break;
    default: buf_add(&next, other + from, len); break;
    }
    if (left) buf_add(&next, text->data + at + n, left - n);
    buf_reset(text);
    buf_add(text, next.data, next.len);
}

static void check_error(const struct err *e)
{
    size_t len = strnlen(e->text, sizeof e->text);
    cr_assert_lt(len, sizeof e->text);
    cr_assert(utf8_check(e->text, len), "%s", e->text);
    for (size_t i = 0; i < len; i++) cr_assert((unsigned char)e->text[i] >= 0x20, "%s", e->text);
    cr_assert(e->text[0] >= '0' && e->text[0] <= '9', "no position: %s", e->text);
}

static void try_template(const struct buf *text, json_t *world)
{
    struct err e;
    if (!utf8_check(text->data, text->len)) return;
    AUTO_FREE char *wrapped = xasprintf("a ${%s} b", text->data);
    AUTO_JSON *value = json_string(wrapped);
    CLEANUP(template_free_p) struct template *t = template_compile(value, NULL, NULL, &e);
    struct template_env env = {
        .cel = { .resolve = world_resolve, .user = world, .cost_max = 5000 },
    };
    AUTO_BUF struct buf out = { 0 };
    if (!t)
        check_error(&e);
    else if (template_eval(t, &env, 10000, &out, &e))
        cr_assert(json_check(buf_bytes(&out)), "%s", out.data);
}

Test(cel_mutations, no_source_crashes)
{
    struct err e;
    AUTO_JSON *world = json_parse(BYTES_LIT(WORLD), &e);
    uint64_t prng = 0x7475747469;
    size_t compiled = 0;
    for (int round = 0; round < 20000; round++) {
        AUTO_BUF struct buf text = { 0 };
        buf_add_text(&text, seeds[below(&prng, ARRAY_LEN(seeds))]);
        for (size_t n = 1 + below(&prng, 4); n > 0; n--) mutate(&text, &prng);
        if (round % 4 == 0) try_template(&text, world);
        CLEANUP(cel_free_p) struct cel *c = cel_compile(buf_bytes(&text), NULL, &e);
        if (!c) {
            check_error(&e);
            continue;
        }
        compiled++;
        AUTO_JSON *value = NULL;
        struct cel_env env = { .resolve = world_resolve, .user = world, .cost_max = 5000 };
        if (!cel_eval(c, &env, &value, &e)) check_error(&e);
    }
    cr_expect_gt(compiled, 1000, "only %zu of the mutations compile", compiled);
}
