/* SPDX-License-Identifier: Apache-2.0
 *
 * Buffers, maps, hashes, identities, time and log lines: what the rest of the tree takes for
 * granted. Known answers come from where the formats do (Apache Kafka's UtilsTest, FIPS 180). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/hash.h"
#include "common/base/id.h"
#include "common/base/json.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "tests/unit/base/prng.h"

/* --- buf --- */

Test(buf, grows_and_is_always_ended_by_a_nul)
{
    AUTO_BUF struct buf b = { 0 };
    for (int i = 0; i < 10000; i++) {
        buf_add_char(&b, (char)('a' + i % 26));
        cr_assert(b.data[b.len] == '\0');
    }
    cr_assert_eq(b.len, 10000);
    cr_assert_eq(b.data[9999], 'a' + 9999 % 26);
    buf_reset(&b);
    cr_assert_eq(b.len, 0);
    cr_assert_str_eq(b.data, "");
}

Test(buf, formats_what_printf_would_however_long)
{
    AUTO_BUF struct buf b = { 0 };
    AUTO_FREE char *longer = xcalloc(1, 5000);
    memset(longer, 'x', 4999);
    buf_addf(&b, "%d-%s-%c", 7, longer, 'z');
    cr_assert_eq(b.len, 2 + 4999 + 2);
    cr_assert_str_eq(b.data + b.len - 2, "-z");
}

Test(buf, integers_of_all_sizes_are_written_as_printf_does)
{
    static const int64_t values[] = { 0,  1,   -1,        9,         10,
                                      99, 100, INT32_MAX, INT32_MIN, 1000000007,
                                      -5, 42,  INT64_MAX, INT64_MIN, -1000000000000 };
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        AUTO_BUF struct buf b = { 0 };
        char expected[32];
        snprintf(expected, sizeof expected, "%lld", (long long)values[i]);
        buf_add_int(&b, values[i]);
        cr_assert_str_eq(b.data, expected);
    }
}

Test(buf, a_json_string_of_any_text_reads_back_as_that_text)
{
    uint64_t prng = 7;
    static const char *const parts[] = { "a", "\"", "\\", "\n", "\x01", "\x1f", "\x7f",
                                         "/", "é",  "€",  "😀",  "\t",   "</" };
    for (int round = 0; round < 500; round++) {
        AUTO_BUF struct buf text = { 0 };
        AUTO_BUF struct buf json = { 0 };
        for (size_t n = prng_below(&prng, 30); n > 0; n--)
            buf_add_text(&text, parts[prng_below(&prng, ARRAY_LEN(parts))]);
        buf_add_json_string(&json, text.data, text.len);
        cr_assert(json_check(buf_bytes(&json)));
        AUTO_JSON *back = json_parse(buf_bytes(&json), NULL);
        cr_assert_str_eq(json_string_value(back), text.data ? text.data : "");
    }
}

Test(buf, take_hands_the_bytes_over)
{
    struct buf b = { 0 };
    buf_add_text(&b, "mine");
    size_t len;
    AUTO_FREE char *text = buf_take(&b, &len);
    cr_assert_str_eq(text, "mine");
    cr_assert_eq(len, 4);
    cr_assert_null(b.data);
    cr_assert_eq(b.len, 0);
}

/* --- map --- */

Test(map, behaves_as_a_list_searched_from_end_to_end)
{
    enum { KEYS = 300, STEPS = 60000 };
    static char keys[KEYS][16];
    static int values[KEYS][2];
    int *model[KEYS] = { NULL };
    size_t count = 0;
    uint64_t prng = 99;
    struct map m = { 0 };
    for (int i = 0; i < KEYS; i++) snprintf(keys[i], sizeof keys[i], "k%d", i);
    for (int step = 0; step < STEPS; step++) {
        size_t k = prng_below(&prng, KEYS);
        int *value = &values[k][prng_below(&prng, 2)], *old;
        switch (prng_below(&prng, 3)) {
        case 0:
            old = map_put(&m, bytes_of(keys[k]), value);
            cr_assert_eq(old, model[k]);
            count += model[k] == NULL;
            model[k] = value;
            break;
        case 1:
            old = map_remove(&m, bytes_of(keys[k]));
            cr_assert_eq(old, model[k]);
            count -= model[k] != NULL;
            model[k] = NULL;
            break;
        default: cr_assert_eq(map_get(&m, bytes_of(keys[k])), model[k]);
        }
        cr_assert_eq(m.count, count);
    }
    size_t pos = 0, seen = 0;
    for (int *v; (v = map_next(&m, &pos)); seen++)
        cr_assert_eq(model[(v - values[0]) / 2], v, "iteration gives what is there");
    cr_assert_eq(seen, count);
    map_done(&m);
}

Test(map, keys_may_hold_any_bytes_and_none)
{
    struct map m = { 0 };
    int a, b, c;
    cr_assert_null(map_get(&m, BYTES_LIT("x")));
    map_put(&m, BYTES_LIT(""), &a);
    map_put(&m, BYTES_LIT("\0"), &b);
    map_put(&m, BYTES_LIT("\0\0"), &c);
    cr_assert_eq(map_get(&m, BYTES_LIT("")), &a);
    cr_assert_eq(map_get(&m, BYTES_LIT("\0")), &b);
    cr_assert_eq(map_get(&m, BYTES_LIT("\0\0")), &c);
    map_done(&m);
}

/* --- hashes --- */

Test(hash, murmur2_gives_what_kafka_gives)
{
    /* org.apache.kafka.common.utils.UtilsTest.testMurmur2 */
    static const struct {
        const char *key;
        int32_t hash;
    } known[] = {
        { "21", -973932308 },
        { "foobar", -790332482 },
        { "a-little-bit-long-string", -985981536 },
        { "a-little-bit-longer-string", -1486304829 },
        { "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971 },
        { "abc", 479470107 },
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        cr_expect_eq((int32_t)murmur2(bytes_of(known[i].key)), known[i].hash, "%s", known[i].key);
}

Test(hash, a_partition_is_the_hash_without_its_sign_modulo_their_number)
{
    cr_assert_eq(partition_of(BYTES_LIT("21"), 16), (-973932308 & 0x7fffffff) % 16);
    for (int32_t count = 1; count < 100; count++) {
        int32_t p = partition_of(BYTES_LIT("foobar"), count);
        cr_assert(p >= 0 && p < count);
    }
}

Test(hash, sha_of_abc_is_the_published_one)
{
    char hex[SHA256_HEX], hex1[SHA1_HEX];
    sha256_hex(BYTES_LIT("abc"), hex);
    cr_expect_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha1_hex(BYTES_LIT("abc"), hex1);
    cr_expect_str_eq(hex1, "a9993e364706816aba3e25717850c26c9cd0d89d");
}

/* --- identities --- */

Test(id, a_run_id_has_its_form_and_routes_by_its_key)
{
    char a[RUN_ID_MAX], b[RUN_ID_MAX], c[RUN_ID_MAX];
    run_id_random(a, 1700000000000, (const unsigned char *)"\1\2\3\4\5\6");
    run_id_random(b, 1700000000001, (const unsigned char *)"\1\2\3\4\5\7");
    cr_assert(run_id_check(bytes_of(a)) && run_id_check(bytes_of(b)));
    cr_assert_str_neq(a, b);
    memcpy(c, a, sizeof c);
    run_id_route_by_key(a, BYTES_LIT("flow"), BYTES_LIT("order-1"));
    run_id_route_by_key(b, BYTES_LIT("flow"), BYTES_LIT("order-1"));
    cr_assert(run_id_check(bytes_of(a)));
    cr_assert(bytes_equal(run_id_route(bytes_of(a)), run_id_route(bytes_of(b))));
    cr_assert_str_eq(a + ROUTE_HEX, c + ROUTE_HEX, "the unique part stays");
    run_id_route_by_key(b, BYTES_LIT("flow"), BYTES_LIT("order-2"));
    cr_assert_not(bytes_equal(run_id_route(bytes_of(a)), run_id_route(bytes_of(b))));
    run_id_route_by_key(b, BYTES_LIT("flowo"), BYTES_LIT("rder-1"));
    cr_assert_not(bytes_equal(run_id_route(bytes_of(a)), run_id_route(bytes_of(b))));
}

Test(id, the_same_origin_gives_the_same_run)
{
    char a[RUN_ID_MAX], b[RUN_ID_MAX];
    run_id_from_origin(a, BYTES_LIT("orders/3/17"));
    run_id_from_origin(b, BYTES_LIT("orders/3/17"));
    cr_assert_str_eq(a, b);
    cr_assert(run_id_check(bytes_of(a)));
    run_id_from_origin(b, BYTES_LIT("orders/3/18"));
    cr_assert_str_neq(a, b);
}

Test(id, what_is_no_run_id_is_refused)
{
    static const char *const bad[] = { "",
                                       "0123456789abcdef",
                                       "0123456789abcdef-0123456789abcdef0123456",
                                       "0123456789abcdef-0123456789abcdef012345678",
                                       "0123456789ABCDEF-0123456789abcdef01234567",
                                       "0123456789abcdef_0123456789abcdef01234567",
                                       "0123456789abcdeg-0123456789abcdef01234567" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) cr_expect_not(run_id_check(bytes_of(bad[i])));
    cr_expect(run_id_check(BYTES_LIT("0123456789abcdef-0123456789abcdef01234567")));
}

Test(id, a_task_is_named_by_run_path_and_attempt)
{
    char a[TASK_ID_MAX], b[TASK_ID_MAX];
    task_id_make(a, BYTES_LIT("run"), BYTES_LIT("a/b"), 1);
    task_id_make(b, BYTES_LIT("run"), BYTES_LIT("a/b"), 1);
    cr_assert_str_eq(a, b);
    cr_assert_eq(strlen(a), TASK_ID_HEX);
    cr_assert_eq(strspn(a, "0123456789abcdef"), TASK_ID_HEX);
    task_id_make(b, BYTES_LIT("run"), BYTES_LIT("a/b"), 2);
    cr_assert_str_neq(a, b);
    task_id_make(b, BYTES_LIT("run"), BYTES_LIT("a/c"), 1);
    cr_assert_str_neq(a, b);
    task_id_make(b, BYTES_LIT("ruN"), BYTES_LIT("a/b"), 1);
    cr_assert_str_neq(a, b);
}

/* --- time --- */

Test(clock, a_duration_is_a_number_and_a_unit)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } table[] = {
        { "250ms", 250 },
        { "30s", 30000 },
        { "10m", 600000 },
        { "2h", 7200000 },
        { "7d", 604800000 },
        { "0", 0 },
        { "30", 30000 },
        { "1.5s", 1500 },
        { "0.25", 250 },
        { "3650d", DURATION_MS_MAX },
        { "3651d", -1 },
        { "", -1 },
        { "s", -1 },
        { "-1s", -1 },
        { "+1s", -1 },
        { "1 s", -1 },
        { " 1s", -1 },
        { "1S", -1 },
        { "1w", -1 },
        { "0x10", -1 },
        { "inf", -1 },
        { "nan", -1 },
        { "1s2", -1 },
        { "1e99s", -1 },
        { "99999999999999999999d", -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        int64_t ms = -1;
        bool ok = duration_parse(table[i].text, &ms);
        cr_expect_eq(ok, table[i].ms >= 0, "'%s'", table[i].text);
        if (ok) cr_expect_eq(ms, table[i].ms, "'%s' is %lld", table[i].text, (long long)ms);
    }
}

/* RFC 4231, test cases 2 and 6. */
Test(hash, hmac_is_that_of_the_rfc)
{
    unsigned char hash[SHA256_BYTES], key[131];
    char hex[SHA256_HEX];
    hmac_sha256(BYTES_LIT("Jefe"), BYTES_LIT("what do ya want for nothing?"), hash);
    hex_encode(hash, sizeof hash, hex);
    cr_expect_str_eq(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    hmac_sha256((struct bytes){ (const char *)key, sizeof key },
                BYTES_LIT("Test Using Larger Than Block-Size Key - Hash Key First"), hash);
    hex_encode(hash, sizeof hash, hex);
    cr_expect_str_eq(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

Test(hash, base64_goes_there_and_back_and_nothing_else_is_read)
{
    static const char *const pairs[][2] = {
        { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }
    };
    static const char *const bad[] = { "Zg=", "Zg", "Z===", "Zm9*", "Zm=v", "=Zm9" };
    AUTO_BUF struct buf b = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        buf_reset(&b);
        base64_encode(bytes_of(pairs[i][0]), &b);
        cr_expect(bytes_is(buf_bytes(&b), pairs[i][1]), "%s", pairs[i][0]);
        buf_reset(&b);
        cr_expect(base64_decode(bytes_of(pairs[i][1]), &b));
        cr_expect(bytes_is(buf_bytes(&b), pairs[i][0]), "%s", pairs[i][1]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_expect_not(base64_decode(bytes_of(bad[i]), &b), "%s", bad[i]);
}

Test(clock, time_is_written_as_rfc_3339_in_utc)
{
    static const struct {
        int64_t ms;
        const char *text;
    } table[] = { { 0, "1970-01-01T00:00:00.000Z" },
                  { 951782400000, "2000-02-29T00:00:00.000Z" },
                  { 1700000000123, "2023-11-14T22:13:20.123Z" },
                  { 4102444799999, "2099-12-31T23:59:59.999Z" } };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char text[TIME_TEXT_MAX];
        time_format(table[i].ms, text);
        cr_expect_str_eq(text, table[i].text);
    }
}

Test(clock, rfc_3339_is_read_with_any_offset_and_nothing_else_is)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: no time */
    } table[] = { { "1970-01-01T00:00:00Z", 0 },
                  { "2000-02-29t00:00:00.000z", 951782400000 },
                  { "2023-11-14T22:13:20.1234567Z", 1700000000123 },
                  { "2023-11-14 23:43:20.1+01:30", 1700000000100 },
                  { "2023-11-14T21:13:20-01:00", 1700000000000 },
                  { "2023-02-29T00:00:00Z", -1 },
                  { "1900-02-29T00:00:00Z", -1 },
                  { "2023-13-01T00:00:00Z", -1 },
                  { "2023-01-01T24:00:00Z", -1 },
                  { "2023-01-01T00:00:00", -1 },
                  { "2023-01-01T00:00:00.Z", -1 },
                  { "2023-01-01T00:00:00+25:00", -1 },
                  { "2023-01-01T00:00:00Zx", -1 },
                  { "2023-1-1T00:00:00Z", -1 },
                  { "", -1 } };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        int64_t ms = -1;
        bool ok = time_parse(table[i].text, &ms);
        cr_expect_eq(ok, table[i].ms >= 0, "'%s'", table[i].text);
        if (ok) cr_expect_eq(ms, table[i].ms, "'%s' is %lld", table[i].text, (long long)ms);
    }
}

Test(clock, the_monotonic_clock_does_not_go_back)
{
    uint64_t before = clock_mono_us();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_mono_us();
        cr_assert(now >= before);
        before = now;
    }
}

/* --- errors --- */

Test(err, a_prefix_stands_before_the_text_and_both_are_cut_to_fit)
{
    struct err e;
    cr_assert_not(err_fail(&e, ERR_LIMIT, "%d bytes", 5));
    cr_assert_not(err_prefix(&e, "file %s", "x"));
    cr_assert_str_eq(e.text, "file x: 5 bytes");
    cr_assert_eq(e.kind, ERR_LIMIT);
    for (int i = 0; i < 100; i++) (void)err_prefix(&e, "long prefix %d", i);
    cr_assert(strlen(e.text) < sizeof e.text);
    cr_assert_not(err_fail(NULL, ERR_INVALID, "nobody asks"));
}

Test(err, a_text_is_one_line_of_utf8_whatever_it_quotes)
{
    static const struct {
        const char *quoted, *text;
    } rows[] = {
        { "a\nb\x7f", "at 'a b '" },
        { "Zo\xC3\xAB \xE2\x82\xAC \xF0\x9F\x98\x80",
          "at 'Zo\xC3\xAB \xE2\x82\xAC \xF0\x9F\x98\x80'" },
        { "\xFF-\xC3(\x80", "at '?-?(?'" },
        { "\xED\xA0\x80", "at '?"
                          "?"
                          "?'" },
    };
    struct err e;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        (void)err_fail(&e, ERR_INVALID, "at '%s'", rows[i].quoted);
        cr_expect_str_eq(e.text, rows[i].text);
    }
    char many[sizeof e.text + 8];
    for (size_t shift = 0; shift < 3; shift++) { /* cut within a character: it goes as a whole */
        memset(many, 'x', sizeof many);
        for (size_t i = shift; i + 3 < sizeof many; i += 3) memcpy(many + i, "\xE2\x82\xAC", 3);
        many[sizeof many - 1] = '\0';
        (void)err_fail(&e, ERR_INVALID, "%s", many);
        cr_expect(utf8_check(e.text, strlen(e.text)));
        cr_expect_gt(strlen(e.text), sizeof e.text - 4);
        (void)err_prefix(&e, "a\nb");
        cr_expect(utf8_check(e.text, strlen(e.text)));
        cr_expect_eq(strncmp(e.text, "a b: ", 5), 0);
    }
}

/* --- log --- */

static json_t *logged(const char *service, const char *field, const char *text)
{
    FILE *file = tmpfile();
    cr_assert_not_null(file);
    struct log log = log_new(service, LOG_INFO, fileno(file));
    struct log wider = log_with_text(&log, "field", field);
    log_debug(&wider, "not.seen", "below the level");
    log_warn(&wider, "some.event", "%s", text);
    char line[8192];
    rewind(file);
    size_t len = fread(line, 1, sizeof line, file);
    fclose(file);
    cr_assert(len > 0 && line[len - 1] == '\n', "a line ends");
    cr_assert_eq(memchr(line, '\n', len), line + len - 1, "and is one");
    json_t *json = json_parse((struct bytes){ line, len }, NULL);
    cr_assert_not_null(json, "%.*s", (int)len, line);
    cr_assert_str_eq(json_text(json, "level"), "warn");
    cr_assert_str_eq(json_text(json, "event"), "some.event");
    cr_assert_eq(strlen(json_text(json, "ts")), 24);
    return json;
}

Test(log, a_line_is_one_json_object_whatever_the_text)
{
    AUTO_JSON *plain = logged("svc", "va\"lue", "multi\nline \"quoted\" \x1b[31m €");
    cr_expect_str_eq(json_text(plain, "msg"), "multi\nline \"quoted\" \x1b[31m €");
    cr_expect_str_eq(json_text(plain, "field"), "va\"lue");
    cr_expect_str_eq(json_text(plain, "service"), "svc");
    AUTO_JSON *broken = logged("svc", "\xff\xfe", "bad \xc3( and \xed\xa0\x80");
    cr_expect_str_eq(json_text(broken, "msg"), "bad \\xc3( and \\xed\\xa0\\x80");
    AUTO_FREE char *endless = xcalloc(1, 100001);
    memset(endless, '"', 100000);
    AUTO_JSON *cut = logged("svc", endless, endless);
    cr_expect(strlen(json_text(cut, "msg")) > 500);
    cr_expect_null(json_text(cut, "field"), "a field that does not fit is left out");
    /* A multi-byte character that the cut goes through must not spoil the line. */
    for (int shift = 0; shift < 4; shift++) {
        AUTO_BUF struct buf text = { 0 };
        for (int i = 0; i < shift; i++) buf_add_char(&text, 'x');
        for (int i = 0; i < 400; i++) buf_add_text(&text, "😀");
        AUTO_JSON *line = logged("svc", "f", text.data);
        cr_expect_not_null(line);
    }
}
