/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets go where the definition says, and nowhere else. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/secrets.h"

static struct secrets *with(const char *name, const char *value)
{
    struct err e;
    AUTO_FREE char *variable = xasprintf("TUTTI_SECRET_%s", name);
    setenv(variable, value, 1);
    struct secrets *s = secrets_open(NULL, &e);
    cr_assert(s != NULL, "%s", e.text);
    return s;
}

static bool apply(const struct secrets *s, const char *refs, json_t *value,
                  struct used_secrets *used, struct err *e)
{
    struct secret_refs r;
    cr_assert(secret_refs_decode(bytes_of(refs), &r, e), "%s", e->text);
    bool ok = secrets_apply(s, &r, value, used, e);
    secret_refs_done(&r);
    return ok;
}

Test(secrets, are_put_at_their_places_only)
{
    struct err e;
    setenv("TUTTI_SECRET_B", "bbbb", 1);
    CLEANUP(secrets_free_p) struct secrets *s = with("A", "aa\"aa");
    struct used_secrets used = { 0 };
    AUTO_JSON *value = json_parse(
        BYTES_LIT("{\"h\":{\"x~/y\":\"Bearer  and \"},\"body\":\"${secrets.A} [A]\"}"), &e);
    cr_assert(apply(s, "[[\"/h/x~0~1y\",7,\"A\"],[\"/h/x~0~1y\",7,\"B\"],[\"/h/x~0~1y\",12,\"B\"]]",
                    value, &used, &e),
              "%s", e.text);
    cr_assert_str_eq(json_text(json_object_get(value, "h"), "x~/y"), "Bearer aa\"aabbbb and bbbb");
    cr_assert_str_eq(json_text(value, "body"), "${secrets.A} [A]", "data names no secret");
    used_secrets_done(&used);
}

Test(secrets, an_unknown_one_is_named)
{
    struct err e;
    CLEANUP(secrets_free_p) struct secrets *s = with("A", "aaaa");
    struct used_secrets used = { 0 };
    AUTO_JSON *value = json_parse(BYTES_LIT("{\"a\":\"\"}"), &e);
    cr_assert_not(apply(s, "[[\"/a\",0,\"PAGER\"]]", value, &used, &e));
    cr_assert_not_null(strstr(e.text, "PAGER"));
    cr_assert_not(apply(s, "[[\"/a\",1,\"A\"]]", value, &used, &e), "beyond the end");
    cr_assert_not(apply(s, "[[\"/b\",0,\"A\"]]", value, &used, &e), "no such place");
    used_secrets_done(&used);
}

Test(secrets, come_from_files_first)
{
    char dir[] = "/tmp/tutti-secrets-XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    AUTO_FREE char *path = xasprintf("%s/A", dir);
    FILE *f = fopen(path, "w");
    fputs("from file\n", f);
    fclose(f);
    setenv("TUTTI_SECRET_A", "from environment", 1);
    struct err e;
    CLEANUP(secrets_free_p) struct secrets *s = secrets_open(dir, &e);
    cr_assert(s != NULL, "%s", e.text);
    cr_assert_str_eq(secrets_find(s, "A")->bytes, "from file");
    unlink(path);
    rmdir(dir);
}

Test(secrets, are_taken_out_of_texts_and_values_in_every_form)
{
    struct used_secrets used = { 0 };
    struct secret quoted = secret_new("pa\"ss", 5), digits = secret_new("123456", 6),
                  tiny = secret_new("abc", 3);
    used_secrets_add(&used, "Q", &quoted);
    used_secrets_add(&used, "N", &digits);
    used_secrets_add(&used, "T", &tiny);
    AUTO_BUF struct buf text = { 0 };
    buf_add_text(&text, "raw pa\"ss, escaped pa\\\"ss, abc");
    redact_text(&used, &text);
    cr_assert_str_eq(text.data, "raw [redacted:Q], escaped [redacted:Q], abc");
    struct err e;
    AUTO_JSON *value =
        json_parse(BYTES_LIT("{\"p\\u0061\\\"ss\":[\"x\\u0070a\\\"ssx\",123456,7]}"), &e);
    AUTO_JSON *clean = redact_json(&used, value);
    AUTO_BUF struct buf out = { 0 };
    json_write(&out, clean);
    cr_assert_str_eq(out.data, "{\"[redacted:Q]\":[\"x[redacted:Q]x\",\"[redacted:N]\",7]}");
    secret_done(&quoted);
    secret_done(&digits);
    secret_done(&tiny);
    used_secrets_done(&used);
}
