/* SPDX-License-Identifier: Apache-2.0
 *
 * Templates. Parts: the template (JSON), then the world: a JSON object whose members are the
 * names. */
#include "common/base/limits.h"
#include "common/cel/template.h"
#include "tests/fuzz/fuzz.h"

#define COST_MAX 20000

struct world {
    json_t *value;
    struct buf raw; /* of the member that was asked for last */
    char secrets;   /* its address is the user of an environment that has secrets */
};

static bool resolve(void *user, const char *const *names, size_t count, size_t *ret_used,
                    json_t **ret, struct err *e)
{
    (void)count;
    struct world *w = user;
    json_t *found = json_object_get(w->value, names[0]);
    if (!found) return err_fail(e, ERR_NOT_FOUND, "unknown name '%.60s'", names[0]);
    *ret_used = 1;
    *ret = json_incref(found);
    return true;
}

static bool raw(void *user, const char *const *names, size_t count, struct bytes *ret)
{
    struct world *w = user;
    json_t *found = count == 1 ? json_object_get(w->value, names[0]) : NULL;
    if (!found) return false;
    buf_reset(&w->raw);
    json_write(&w->raw, found);
    *ret = buf_bytes(&w->raw);
    return true;
}

/* The encoded result, or "!" and the error. */
static void evaluate(const struct template *t, struct world *w, bool with_raw,
                     struct secret_refs *secrets, size_t bytes_max, struct buf *ret)
{
    struct err e = { 0 };
    struct template_env env = { .cel = { .resolve = resolve, .user = w, .cost_max = COST_MAX },
                                .raw = with_raw ? raw : NULL,
                                .secrets = secrets };
    if (template_eval(t, &env, bytes_max, ret, &e)) {
        FUZZ_CHECK(ret->len <= bytes_max, "%zu bytes of %zu", ret->len, bytes_max);
        FUZZ_CHECK(json_check(buf_bytes(ret)), "no JSON of ours: %s", ret->data);
        return;
    }
    FUZZ_CHECK(ret->len == 0, "a failure left %zu bytes behind", ret->len);
    fuzz_check_error(&e);
    buf_addf(ret, "!%s", e.text);
}

/* As a value it is what the bytes say, unless the whole fails. */
static void check_json(const struct template *t, struct world *w, const struct buf *encoded)
{
    struct err e = { 0 };
    AUTO_JSON *value = NULL;
    struct template_env env = { .cel = { .resolve = resolve, .user = w, .cost_max = COST_MAX } };
    bool ok = template_eval_json(t, &env, &value, &e);
    if (encoded->data[0] == '!') return; /* bytes_max is of the encoded form only */
    FUZZ_CHECK(ok, "%s, but encoded it is %s", e.text, encoded->data);
    AUTO_JSON *parsed = json_parse(buf_bytes(encoded), &e);
    FUZZ_CHECK(parsed && json_same(parsed, value), "as a value it is another than %s",
               encoded->data);
}

/* The secrets are places in the result: strings, and offsets within them. */
static void check_secrets(const struct secret_refs *refs)
{
    struct err e = { 0 };
    AUTO_BUF struct buf header = { 0 }, again = { 0 };
    CLEANUP(secret_refs_done) struct secret_refs decoded = { 0 };
    secret_refs_encode(refs, &header);
    FUZZ_CHECK(secret_refs_decode(buf_bytes(&header), &decoded, &e), "%s", e.text);
    secret_refs_encode(&decoded, &again);
    fuzz_check_same("places of secrets", buf_bytes(&header), buf_bytes(&again));
}

/* The same value; a number may be written in another way where its text is taken as it is, which
 * can be what makes the result too large. */
static void check_alike(const struct buf *plain, const struct buf *quick, size_t bytes_max)
{
    if (strstr(plain->data, "0.") && plain->len + quick->len > bytes_max / 2) return;
    AUTO_JSON *a = json_parse(buf_bytes(plain), NULL), *b = json_parse(buf_bytes(quick), NULL);
    if (a && b)
        FUZZ_CHECK(json_same(a, b), "with raw it is another: %s, %s", plain->data, quick->data);
    else
        fuzz_check_same("with and without raw", buf_bytes(plain), buf_bytes(quick));
}

static void check_world(const struct template *t, struct world *w, size_t bytes_max)
{
    AUTO_BUF struct buf plain = { 0 }, quick = { 0 }, more = { 0 };
    CLEANUP(secret_refs_done) struct secret_refs refs = { 0 };
    evaluate(t, w, false, NULL, bytes_max, &plain);
    evaluate(t, w, true, NULL, bytes_max, &quick);
    if (plain.data[0] != '!' || quick.data[0] != '!') {
        /* What is at hand encoded is copied: only its cost is another. */
        bool limit = strstr(plain.data, "costs more than") != NULL;
        if (!limit) check_alike(&plain, &quick, bytes_max);
    }
    check_json(t, w, &plain);
    evaluate(t, w, false, &refs, bytes_max, &more);
    if (plain.data[0] != '!') FUZZ_CHECK(refs.count == 0, "secrets where none may stand");
    if (more.data[0] != '!') check_secrets(&refs);
}

static void on_path(void *user, const char *pointer, const char *const *names, size_t count,
                    size_t offset)
{
    (void)offset;
    FUZZ_CHECK(pointer && count >= 1 && names[0], "a path without names");
    (*(size_t *)user)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_INPUT in = fuzz_split(data, size);
    struct err e = { 0 };
    struct world w = { 0 };
    size_t paths = 0, offset = 0;
    AUTO_FREE char *pointer = NULL;
    if (!json_check(in.part[0])) return -1;
    AUTO_JSON *value = json_parse(in.part[0], NULL);
    if (!value) return -1; /* a doubled key */
    CLEANUP(template_free_p) struct template *t = template_compile(value, &pointer, &offset, &e);
    if (!t) {
        fuzz_check_error(&e);
        FUZZ_CHECK(pointer, "a fault without a place: %s", e.text);
        return 0;
    }
    template_paths(t, on_path, &paths);
    FUZZ_CHECK(!template_is_constant(t) || paths == 0, "a constant reads %zu paths", paths);
    AUTO_JSON *world = json_check(in.part[1]) ? json_parse(in.part[1], NULL) : NULL;
    if (!json_is_object(world)) {
        json_decref(world);
        world = json_parse(BYTES_LIT("{\"a\":{\"b\":[1,\"x\"]},\"n\":3,\"s\":\"t\"}"), NULL);
    }
    w.value = world;
    check_world(t, &w, 16 + fuzz_number(in.part[0]) % 4096);
    buf_done(&w.raw);
    return 0;
}
