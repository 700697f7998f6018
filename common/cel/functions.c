/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of functions and how an overload is found. String functions follow cel-go's
 * ext/strings, math functions its ext/math, the others the specification.
 */
#include "common/base/nearest.h"
#include "common/cel/internal.h"

#define GLOBAL CALL_GLOBAL
#define METHOD CALL_METHOD
#define BOTH   (CALL_GLOBAL | CALL_METHOD)

static const struct function functions[] = {
    { "size", BOTH, "S:I Y:I La:I Mab:I", convert_size },
    { "int", GLOBAL, "I:I U:I D:I S:I T:I", convert_int },
    { "uint", GLOBAL, "U:U I:U D:U S:U", convert_uint },
    { "double", GLOBAL, "D:D I:D U:D S:D", convert_double },
    { "string", GLOBAL, "S:S I:S U:S D:S B:S Y:S T:S R:S", convert_string },
    { "bool", GLOBAL, "B:B S:B", convert_bool },
    { "bytes", GLOBAL, "Y:Y S:Y", convert_bytes },
    { "timestamp", GLOBAL, "T:T S:T I:T", convert_timestamp },
    { "duration", GLOBAL, "R:R S:R", convert_duration },
    { "dyn", GLOBAL, "a:?", convert_dyn },
    { "type", GLOBAL, "a:K", convert_type },
    { "contains", METHOD, "SS:B", string_contains },
    { "startsWith", METHOD, "SS:B", string_starts_with },
    { "endsWith", METHOD, "SS:B", string_ends_with },
    { "matches", BOTH, "SS:B", string_matches },
    { "lowerAscii", METHOD, "S:S", string_lower_ascii },
    { "upperAscii", METHOD, "S:S", string_upper_ascii },
    { "trim", METHOD, "S:S", string_trim },
    { "reverse", METHOD, "S:S", string_reverse },
    { "split", METHOD, "SS:LS SSI:LS", string_split },
    { "join", METHOD, "LS:S LSS:S", string_join },
    { "replace", METHOD, "SSS:S SSSI:S", string_replace },
    { "substring", METHOD, "SI:S SII:S", string_substring },
    { "indexOf", METHOD, "SS:I SSI:I", string_index_of },
    { "lastIndexOf", METHOD, "SS:I SSI:I", string_last_index_of },
    { "charAt", METHOD, "SI:S", string_char_at },
    { "format", METHOD, "SL?:S", string_format },
    { "strings.quote", GLOBAL, "S:S", string_quote },
    { "base64.encode", GLOBAL, "Y:S", convert_base64_encode },
    { "base64.decode", GLOBAL, "S:Y", convert_base64_decode },
    { "getFullYear", METHOD, "T:I TS:I", time_full_year },
    { "getMonth", METHOD, "T:I TS:I", time_month },
    { "getDayOfMonth", METHOD, "T:I TS:I", time_day_of_month },
    { "getDate", METHOD, "T:I TS:I", time_date },
    { "getDayOfWeek", METHOD, "T:I TS:I", time_day_of_week },
    { "getDayOfYear", METHOD, "T:I TS:I", time_day_of_year },
    { "getHours", METHOD, "T:I TS:I R:I", time_hours },
    { "getMinutes", METHOD, "T:I TS:I R:I", time_minutes },
    { "getSeconds", METHOD, "T:I TS:I R:I", time_seconds },
    { "getMilliseconds", METHOD, "T:I TS:I R:I", time_milliseconds },
    { "math.greatest", GLOBAL, "LI:I LU:U LD:D L?:? I+:I U+:U D+:D ?+:?", math_greatest },
    { "math.least", GLOBAL, "LI:I LU:U LD:D L?:? I+:I U+:U D+:D ?+:?", math_least },
    { "math.abs", GLOBAL, "I:I U:U D:D", math_abs },
    { "math.ceil", GLOBAL, "D:D", math_ceil },
    { "math.floor", GLOBAL, "D:D", math_floor },
    { "math.round", GLOBAL, "D:D", math_round },
    { "math.trunc", GLOBAL, "D:D", math_trunc },
    { "math.sign", GLOBAL, "I:I U:U D:D", math_sign },
    { "math.isNaN", GLOBAL, "D:B", math_is_nan },
    { "math.isInf", GLOBAL, "D:B", math_is_inf },
    { "math.isFinite", GLOBAL, "D:B", math_is_finite },
    { "math.bitAnd", GLOBAL, "II:I UU:U", math_bit_and },
    { "math.bitOr", GLOBAL, "II:I UU:U", math_bit_or },
    { "math.bitXor", GLOBAL, "II:I UU:U", math_bit_xor },
    { "math.bitNot", GLOBAL, "I:I U:U", math_bit_not },
    { "math.bitShiftLeft", GLOBAL, "II:I UI:U", math_bit_shift_left },
    { "math.bitShiftRight", GLOBAL, "II:I UI:U", math_bit_shift_right },
    { "optional.of", GLOBAL, "a:Oa", optional_of },
    { "optional.none", GLOBAL, ":Oa", optional_none },
    { "optional.ofNonZeroValue", GLOBAL, "a:Oa", optional_of_non_zero },
    { "hasValue", METHOD, "Oa:B", optional_has_value },
    { "value", METHOD, "Oa:a", optional_value },
    { "or", METHOD | CALL_LAZY, "OaOa:Oa", optional_or },
    { "orValue", METHOD | CALL_LAZY, "Oaa:a", optional_or },
};

const struct function *function_find(struct bytes name, int how)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        if ((functions[i].how & how) && bytes_is(name, functions[i].name)) return &functions[i];
    return NULL;
}

void function_nearest(struct nearest *n, int how)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        if (functions[i].how & how) nearest_offer(n, functions[i].name);
}

bool function_is_matches(const struct function *f)
{
    return f->run == string_matches;
}

/* --- overloads --- */

const char *overload_skip(const char *type)
{
    switch (*type) {
    case 'L':
    case 'O': return overload_skip(type + 1);
    case 'M': return overload_skip(overload_skip(type + 1));
    default: return type + 1;
    }
}

/* What a letter admits, lists and maps whatever is in them. */
static bool admits(char letter, enum val_type type)
{
    switch (letter) {
    case 'B': return type == VAL_BOOL;
    case 'I': return type == VAL_INT;
    case 'U': return type == VAL_UINT;
    case 'D': return type == VAL_DOUBLE;
    case 'S': return type == VAL_STRING;
    case 'Y': return type == VAL_BYTES;
    case 'T': return type == VAL_TIMESTAMP;
    case 'R': return type == VAL_DURATION;
    case 'L': return type == VAL_LIST;
    case 'M': return type == VAL_MAP;
    case 'O': return type == VAL_OPTIONAL;
    default: return true; /* any, or whatever it is the first time */
    }
}

/* Whether the overload at *text takes the arguments; args may be NULL: then any of that count.
 * *text moves to the next one, or to the end. */
static bool overload_takes(const char **text, const struct val *args, size_t count)
{
    const char *p = *text;
    size_t i = 0;
    bool ok = true;
    while (*p != ':') {
        const char *next = overload_skip(p);
        bool many = *next == '+';
        do {
            if (i == count)
                ok = false;
            else if (args && !admits(*p, args[i].type))
                ok = false;
            i++;
        } while (many && i < count);
        p = next + many;
    }
    p = overload_skip(p + 1);
    *text = *p == ' ' ? p + 1 : p;
    return ok && i == count;
}

bool function_takes_count(const struct function *f, size_t count)
{
    for (const char *text = f->overloads; *text;)
        if (overload_takes(&text, NULL, count)) return true;
    return false;
}

bool function_run(const struct call *c, struct val *ret)
{
    for (const char *text = c->function->overloads; *text;)
        if (overload_takes(&text, c->args, c->count)) return c->function->run(c, ret);
    return call_mismatch(c);
}

bool call_mismatch(const struct call *c)
{
    char text[200];
    size_t len = 0;
    size_t first = c->is_method;
    for (size_t i = first; i < c->count && len < sizeof text - 32; i++) {
        const char *name = val_type_name(c->args[i].type);
        if (i > first) {
            text[len++] = ',';
            text[len++] = ' ';
        }
        size_t n = strlen(name);
        memcpy(text + len, name, n);
        len += n;
    }
    text[len] = '\0';
    return eval_fail(c->ev, c->node->offset, "no such overload: %s%s%s(%s)",
                     c->is_method ? val_type_name(c->args[0].type) : "", c->is_method ? "." : "",
                     c->function->name, text);
}
