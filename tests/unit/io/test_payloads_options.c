/* SPDX-License-Identifier: Apache-2.0
 *
 * Where payloads go, as an administrator says it. */
#include <criterion/criterion.h>

#include "common/io/options.h"

struct program_config {
    struct payloads_config payloads;
};

static const struct option options[] = { PAYLOADS_OPTIONS(struct program_config, payloads) };
static const struct option_table table = { .program = "tutti-test",
                                           .summary = "A test.",
                                           .options = options,
                                           .count = ARRAY_LEN(options),
                                           .config_bytes = sizeof(struct program_config) };

static bool load(char **argv, int argc, struct program_config **ret, struct payloads_place *place,
                 struct err *e)
{
    bool over;
    void *config = NULL;
    bool ok = config_load(&table, argc, argv, &config, NULL, &over, e);
    *ret = config;
    return ok && payloads_place_of(&(*ret)->payloads, place, e);
}

#define LOAD(...)                                         \
    char *argv[] = { "tutti-test", ##__VA_ARGS__, NULL }; \
    struct program_config *c = NULL;                      \
    struct payloads_place place;                          \
    struct err e = { 0 };                                 \
    bool ok = load(argv, (int)ARRAY_LEN(argv) - 1, &c, &place, &e)

Test(payloads_options, there_is_no_store_unless_one_is_named)
{
    LOAD();
    cr_assert(ok, "%s", e.text);
    cr_assert(place.none);
    cr_assert_eq(c->payloads.inline_max, 32 * 1024);
    config_free(&table, c);
}

Test(payloads_options, a_directory)
{
    LOAD("--payloads-store", "dir:/var/lib/tutti");
    cr_assert(ok, "%s", e.text);
    cr_assert_str_eq(place.options.dir, "/var/lib/tutti");
    config_free(&table, c);
}

Test(payloads_options, a_bucket_with_a_prefix)
{
    LOAD("--payloads-store", "s3://bucket/a/b", "--payloads-s3-region", "eu-1",
         "--payloads-s3-access-key", "k", "--payloads-s3-secret-key", "s");
    cr_assert(ok, "%s", e.text);
    cr_assert_null(place.options.dir);
    cr_assert_str_eq(place.options.bucket, "bucket");
    cr_assert_str_eq(place.options.prefix, "a/b");
    cr_assert_str_eq(place.options.endpoint, "https://s3.eu-1.amazonaws.com");
    config_free(&table, c);
}

Test(payloads_options, a_mistake_is_answered_by_what_may_be)
{
    LOAD("--payloads-store", "/var/lib/tutti");
    cr_assert_not(ok);
    cr_assert(strstr(e.text, "dir:/path"), "%s", e.text);
    config_free(&table, c);
}

Test(payloads_options, s3_needs_keys)
{
    LOAD("--payloads-store", "s3://bucket");
    cr_assert_not(ok);
    cr_assert(strstr(e.text, "payloads.s3.secret_key"), "%s", e.text);
    config_free(&table, c);
}
