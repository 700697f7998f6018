/* SPDX-License-Identifier: Apache-2.0
 *
 * What JSON does not have: timestamps, durations, bytes and optionals, and what becomes of them in
 * a result; and the extensions around them.
 */
#include "common/cel/value.h"
#include "tests/unit/cel/world.h"

Test(cel_values, timestamps_are_rfc_3339)
{
    static const struct cel_case cases[] = {
        { "timestamp('2009-02-13T23:31:30Z')", "\"2009-02-13T23:31:30Z\"" },
        { "timestamp('2009-02-14T01:01:30.5+01:30')", "\"2009-02-13T23:31:30.5Z\"" },
        { "timestamp('2024-02-29T00:00:00.000000001Z')", "\"2024-02-29T00:00:00.000000001Z\"" },
        { "timestamp('1960-01-01T00:00:00.25Z')", "\"1960-01-01T00:00:00.25Z\"" },
        { "timestamp(1234567890)", "\"2009-02-13T23:31:30Z\"" },
        { "timestamp(-1)", "\"1969-12-31T23:59:59Z\"" },
        { "int(timestamp('2009-02-13T23:31:30.9Z'))", "1234567890" },
        { "string(timestamp(0))", "\"1970-01-01T00:00:00Z\"" },
        { "timestamp('2023-02-29T00:00:00Z')", "!timestamp(): cannot convert '2023-02-29" },
        { "timestamp('2023-01-01')", "!cannot convert" },
        { "timestamp('2023-01-01T00:00:00')", "!cannot convert" },
        { "timestamp('2023-01-01T24:00:00Z')", "!cannot convert" },
        { "timestamp('2023-01-01T00:00:00.Z')", "!cannot convert" },
        { "timestamp('2023-01-01T00:00:00Z ')", "!cannot convert" },
        { "timestamp('0001-01-01T00:00:00+00:01')", "!cannot convert" },
        { "timestamp(253402300800)", "!timestamp(): the value is out of range" },
        { "timestamp(1.5)", "!no such overload: timestamp(double)" },
    };
    CHECK(cases);
}

Test(cel_values, parts_of_a_timestamp_are_those_of_its_zone)
{
#define T "timestamp('2024-02-29T23:31:30.123456789Z')"
    static const struct cel_case cases[] = {
        { T ".getFullYear()", "2024" },
        { T ".getMonth()", "1" },
        { T ".getDate()", "29" },
        { T ".getDayOfMonth()", "28" },
        { T ".getDayOfWeek()", "4" },
        { T ".getDayOfYear()", "59" },
        { T ".getHours()", "23" },
        { T ".getMinutes()", "31" },
        { T ".getSeconds()", "30" },
        { T ".getMilliseconds()", "123" },
        { T ".getDate('+01:00')", "1" },
        { T ".getMonth('01:00')", "2" },
        { T ".getHours('-23:32')", "23" },
        { T ".getDate('-23:32')", "28" },
        { T ".getHours('UTC')", "23" },
        { "timestamp('1969-12-28T00:00:00Z').getDayOfWeek()", "0" },
        { "timestamp('0001-01-01T00:00:00Z').getDayOfYear()", "0" },
        { T ".getHours('+25:00')", "!the time zone '+25:00' is not known here" },
        { T ".getHours('Europe/Berlin')",
          "!getHours(): the time zone 'Europe/Berlin' is not known here; write an offset" },
        { T ".getHours(1)", "!no such overload: google.protobuf.Timestamp.getHours(int)" },
    };
    CHECK(cases);
}

static bool berlin(void *user, const char *name, int64_t s, int32_t *ret)
{
    (void)user;
    *ret = s > 1711846800 ? 7200 : 3600; /* summer began at 2024-03-31T01:00:00Z */
    return strcmp(name, "Europe/Berlin") == 0;
}

Test(cel_values, a_host_may_know_the_names_of_zones)
{
    struct err e;
    CLEANUP(cel_free_p)
    struct cel *c =
        cel_compile(BYTES_LIT("timestamp('2024-03-31T00:30:00Z').getHours('Europe/Berlin') * 100 + "
                              "timestamp('2024-03-31T01:30:00Z').getHours('Europe/Berlin')"),
                    NULL, &e);
    struct cel_env env = { .zone = berlin };
    AUTO_JSON *value = NULL;
    cr_assert(cel_eval(c, &env, &value, &e), "%s", e.text);
    cr_expect_eq(json_integer_value(value), 103);
}

Test(cel_values, durations_have_units_and_a_range)
{
    static const struct cel_case cases[] = {
        { "duration('3.5s')", "\"3.5s\"" },
        { "duration('1h45m47s')", "\"6347s\"" },
        { "duration('-1.5h')", "\"-5400s\"" },
        { "duration('-500ms')", "\"-0.5s\"" },
        { "duration('1us') + duration('1ns')", "\"0.000001001s\"" },
        { "duration('0')", "\"0s\"" },
        { "duration('+1m')", "\"60s\"" },
        { "duration('.5s')", "\"0.5s\"" },
        { "duration('-9223372036854775807ns')", "\"-9223372036.854775807s\"" },
        { "duration('-9223372036854775807ns') - duration('1ns')", "\"-9223372036.854775808s\"" },
        { "duration('9223372036854775808ns')", "!duration(): cannot convert" },
        { "duration('')", "!cannot convert ''" },
        { "duration('1')", "!cannot convert" },
        { "duration('1d')", "!cannot convert" },
        { "duration('s')", "!cannot convert" },
        { "duration('1s ')", "!cannot convert" },
        { "duration('.s')", "!cannot convert" },
        { "duration('99999999999999999999s')", "!cannot convert" },
        { "duration('90m').getHours()", "1" },
        { "duration('90m').getMinutes()", "90" },
        { "duration('1.25s').getMilliseconds()", "250" },
        { "duration('1s') > duration('999ms')", "true" },
        { "timestamp('2024-01-01T00:00:00Z') + duration('-1ns')",
          "\"2023-12-31T23:59:59.999999999Z\"" },
        { "timestamp('2024-01-01T00:00:00Z') - timestamp('2023-12-31T23:59:59.5Z')", "\"0.5s\"" },
        { "timestamp('9999-12-31T23:59:59Z') + duration('1s')", "!the timestamp is out of range" },
        { "timestamp('9999-12-31T23:59:59Z') - timestamp('0001-01-01T00:00:00Z')",
          "!the duration is out of range" },
        { "duration('-9223372036854775807ns') - duration('2ns')", "!the duration is out of range" },
        { "timestamp(0) + timestamp(0)", "!no such overload: google.protobuf.Timestamp + " },
        { "duration('1s') * 2", "!no such overload: google.protobuf.Duration * int" },
    };
    CHECK(cases);
}

Test(cel_values, a_result_is_json)
{
    static const struct cel_case cases[] = {
        { "[1u, 9223372036854775808u]", "[1,\"9223372036854775808\"]" },
        { "{'b': b'\\x00\\xff', 't': timestamp(0), 'd': duration('1500ms')}",
          "{\"b\":\"AP8=\",\"t\":\"1970-01-01T00:00:00Z\",\"d\":\"1.5s\"}" },
        { "[optional.of(1), optional.none(), optional.of(optional.none())]", "[1,null,null]" },
        { "[int, type(b''), google.protobuf.Timestamp, type(optional.none())]",
          "[\"int\",\"bytes\",\"google.protobuf.Timestamp\",\"optional_type\"]" },
        { "{-1: 'a', false: 'b'}", "{\"-1\":\"a\",\"false\":\"b\"}" },
        { "['a\\u0000b']", "!NUL" },
        { "{'a\\u0000b': 1}", "!a key has a NUL" },
        { "size('a\\u0000b')", "3" },
        { "'a\\u0000b' == 'a\\u0000' + 'b'", "true" },
    };
    CHECK(cases);
}

Test(cel_values, bytes_are_no_text)
{
    static const struct cel_case cases[] = {
        { "size(b'\\xc3\\xab')", "2" },
        { "string(b'\\xc3\\xab')", "\"ë\"" },
        { "string(b'\\xff')", "!not valid UTF-8" },
        { "bytes('ë') == b'\\xc3\\xab'", "true" },
        { "b'a' < b'b' && b'' < b'\\x00'", "true" },
        { "b'ab' + b'c' == b'abc'", "true" },
        { "b'a' == 'a'", "false" },
        { "base64.encode(b'hello')", "\"aGVsbG8=\"" },
        { "string(base64.decode('aGVsbG8'))", "\"hello\"" },
        { "string(base64.decode('aGVsbG8='))", "\"hello\"" },
        { "base64.decode('') == b''", "true" },
        { "base64.decode('a')", "!base64.decode(): cannot convert 'a'" },
        { "base64.decode('aGVs=')", "!cannot convert" },
        { "base64.decode('aG Vs')", "!cannot convert" },
    };
    CHECK(cases);
}

Test(cel_values, optionals_chain)
{
    static const struct cel_case cases[] = {
        { "input.?a.orValue(0)", "1" },
        { "input.?no.orValue('none')", "\"none\"" },
        { "input.?no.deeper.still.hasValue()", "false" },
        { "input.?deep.er.x.value()", "7" },
        { "input.?no.value()", "!value(): the optional has none" },
        { "input.list[?1].orValue(9) + input.list[?7].orValue(9)", "10" },
        { "input[?'name'].orValue('x')", "\"Zoë\"" },
        { "input.list[?'a']", "!no such overload: list[string]" },
        { "input.a.?b", "!cannot select 'b' of int" },
        { "[?input.?a, ?input.?no, 3]", "[1,3]" },
        { "{?'a': input.?a, ?'b': input.?no}", "{\"a\":1}" },
        { "[?1]", "!'?' takes an optional, this is int" },
        { "input.?a.optMap(v, v + 1).value()", "2" },
        { "input.?no.optMap(v, v + 1).hasValue()", "false" },
        { "input.?deep.optFlatMap(d, d.?er).value().x", "7" },
        { "input.?a.optFlatMap(v, v)", "!optFlatMap() to int, which is no optional" },
        { "(1).optMap(v, v)", "!expected an optional, found int" },
        { "input.?no.or(input.?a).value()", "1" },
        { "input.?a.or(input.?list[1 / 0]).value()", "1" }, /* what is not needed is not asked */
        { "input.?a.orValue(1 / 0)", "1" },
        { "input.?no.orValue(1 / 0)", "!division by zero" },
        { "optional.of(1) == optional.of(1.0)", "true" },
        { "optional.of(1) == 1", "false" },
        { "optional.ofNonZeroValue('').hasValue()", "false" },
        { "has(input.?deep.er)", "true" },
        { "has(input.?deep.no)", "false" },
    };
    CHECK(cases);
}

Test(cel_values, macros_take_an_index_or_a_key_too)
{
    static const struct cel_case cases[] = {
        { "[3, 1, 2].all(i, v, i + v < 5)", "true" },
        { "input.list.exists(i, v, i == 2 && v == 2)", "true" },
        { "{'a': 1, 'b': 2}.existsOne(k, v, k == 'b' || v == 2)", "true" },
        { "[5, 6].transformList(i, v, i * 10 + v)", "[5,16]" },
        { "[5, 6].transformList(i, v, i > 0, v)", "[6]" },
        { "input.deep.er.transformMap(k, v, v * 2)", "{\"x\":14}" },
        { "{'a': 1, 'b': 2}.transformMap(k, v, v > 1, k + '!')", "{\"b\":\"b!\"}" },
        { "[7].transformMap(i, v, v)", "{\"0\":7}" },
        { "[1].transformList(i, i)", "!takes the name of a variable" },
        { "[1].filter(i, v, true)", "!filter() takes 2 arguments" },
        { "[true].all(x, x)", "true" }, /* one variable, though a name follows */
    };
    CHECK(cases);
}

Test(cel_values, names_can_be_bound)
{
    static const struct cel_case cases[] = {
        { "cel.bind(y, x * 2, y + y)", "40" },
        { "cel.bind(y, x, cel.bind(x, y + 1, x))", "11" },
        { "cel.bind(y, 1 / 0, 5)", "5" }, /* it is not read */
        { "cel.bind(y, 1 / 0, y)", "!1:15: division by zero" },
        { "cel.bind(y, 1 / 0, true || y == 1)", "true" },
        { "cel.bind(y, y, 1)", "1" },
        { "cel.block([x + 1, cel.index(0) * 2], cel.index(1))", "22" },
        { "cel.block([1], cel.index(1))", "!1:20: no variable cel.index is in scope here" },
        { "[1, 2].map(cel.iterVar(0, 0), cel.iterVar(0, 0) * 2)", "[2,4]" },
        { "cel.bind(1, 2, 3)", "!the name of a variable" },
        { "cel.bind(y, 2)", "!expected ','" },
        { "cel.nothing(1)", "!unknown" },
    };
    CHECK(cases);
}

Test(cel_values, format_fills_in)
{
    static const struct cel_case cases[] = {
        { "'%s is %d %%'.format(['x', 5])", "\"x is 5 %\"" },
        { "'%s'.format([{'b': [1, 2.5, null], 'a': true, 3: b'x'}])",
          "\"{3: x, a: true, b: [1, 2.5, null]}\"" },
        { "'%.2f %e'.format([1, 2.5])", "\"1.00 2.500000e+00\"" },
        { "'%.0f %.0f'.format([0.5, 1.5])", "\"0 2\"" },
        { "'%x %X %o %b'.format([-255, 255u, 8, true])", "\"-ff FF 10 1\"" },
        { "'%x'.format(['hé'])", "\"68c3a9\"" },
        { "'%b'.format([-9223372036854775808])",
          "\"-1000000000000000000000000000000000000000000000000000000000000000\"" },
        { "'%f %d %s'.format([double('NaN'), double('-Infinity'), double('Infinity')])",
          "\"NaN -Infinity Infinity\"" },
        { "'%s'.format([])", "!format(): there is no argument 0" },
        { "'%q'.format([1])", "!unknown clause; there are %s %d" },
        { "'%'.format([1])", "!unknown clause" },
        { "'%.'.format([1])", "!unknown clause" },
        { "'%.101f'.format([1.0])", "!a precision is at most 100" },
        { "'%.99999999999999999999f'.format([1.0])", "!a precision is at most 100" },
        { "'%d'.format(['a'])", "!%d takes ints and uints only, this is string" },
        { "strings.quote('a\"b\\n\\\\é')", "\"\\\"a\\\\\\\"b\\\\n\\\\\\\\é\\\"\"" },
    };
    CHECK(cases);
}

Test(cel_values, bits_and_kinds_of_doubles)
{
    static const struct cel_case cases[] = {
        { "math.bitAnd(12, 10) + math.bitOr(12, 10) + math.bitXor(12, 10)", "28" },
        { "math.bitNot(0u) == 18446744073709551615u", "true" },
        { "math.bitShiftLeft(1, 63)", "-9223372036854775808" },
        { "math.bitShiftRight(-1, 60)", "15" },
        { "math.bitShiftLeft(1, 64)", "0" },
        { "math.bitShiftLeft(1, -1)", "!a negative shift" },
        { "math.bitAnd(1, 1u)", "!no such overload: math.bitAnd(int, uint)" },
        { "math.isNaN(0.0 / 0.0) && math.isInf(1.0 / 0.0) && math.isFinite(1.0)", "true" },
    };
    CHECK(cases);
}

/* An expression that a host compiles without knowing what it will meet. */
Test(cel_values, unchecked_functions_fail_where_they_are_called)
{
    static const char *const sources[] = { "nobody(1) || true", "'a'.nobody() || true" };
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        struct err e;
        cr_expect_null(cel_compile(bytes_of(sources[i]), NULL, &e));
        CLEANUP(cel_free_p)
        struct cel *c = cel_compile_unchecked(bytes_of(sources[i]), NULL, &e);
        cr_assert(c, "%s", e.text);
        struct cel_env env = { 0 };
        AUTO_JSON *value = NULL;
        cr_assert(cel_eval(c, &env, &value, &e), "%s", e.text);
        cr_expect(json_is_true(value));
    }
    struct err e;
    struct cel_env env = { 0 };
    json_t *none = NULL;
    CLEANUP(cel_free_p) struct cel *c = cel_compile_unchecked(BYTES_LIT("nobody(1)"), NULL, &e);
    cr_assert(c, "%s", e.text);
    cr_expect_not(cel_eval(c, &env, &none, &e));
    cr_expect_str_eq(e.text, "1:1: unknown function 'nobody'");
}

/* Values that JSON does not have come in by another door. */
static bool resolve_typed(void *user, const char *const *names, size_t count, size_t *ret_used,
                          struct val *ret, struct err *e)
{
    (void)user;
    if (count < 2 || strcmp(names[0], "a") != 0 || strcmp(names[1], "b") != 0)
        return err_fail(e, ERR_NOT_FOUND, "unknown name '%s'", names[0]);
    *ret = val_uint(7);
    *ret_used = 2;
    return true;
}

Test(cel_values, a_host_may_have_values_that_json_does_not_have)
{
    struct err e;
    CLEANUP(scope_done) struct scope scope = { 0 };
    struct cel_env env = { .resolve_value = resolve_typed };
    struct val v;
    CLEANUP(cel_free_p) struct cel *c = cel_compile(BYTES_LIT("a.b + 1u"), NULL, &e);
    cr_assert(cel_eval_value(c, &env, &scope, &v, &e), "%s", e.text);
    cr_expect_eq(v.type, VAL_UINT);
    cr_expect_eq(v.u, 8);
    CLEANUP(cel_free_p) struct cel *member = cel_compile(BYTES_LIT("a.b.c"), NULL, &e);
    cr_expect_not(cel_eval_value(member, &env, &scope, &v, &e));
    cr_expect(strstr(e.text, "cannot select 'c' of uint"), "%s", e.text);
}
