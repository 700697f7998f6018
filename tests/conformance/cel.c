/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers cases of cel-spec's conformance data: a JSON line each, as cel.py makes it, is answered
 * by a line {"value": ...} or {"error": ...}. Values have the JSON form of cel.expr.Value. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/cel/cel.h"
#include "common/cel/check.h"
#include "common/cel/value.h"

#define TYPE_URL "type.googleapis.com/"

/* --- values from JSON --- */

static struct val from_json(struct scope *a, const json_t *value);

static struct val list_from_json(struct scope *a, const json_t *values)
{
    size_t count = json_array_size(values);
    struct val *items = scope_alloc(a, (count + 1) * sizeof *items);
    for (size_t i = 0; i < count; i++) items[i] = from_json(a, json_array_get(values, i));
    return val_list_of(a, items, count);
}

static struct val map_from_json(struct scope *a, const json_t *entries)
{
    struct val_map *map = scope_alloc(a, sizeof *map);
    *map = (struct val_map){ 0 };
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        struct val key = from_json(a, json_object_get(entry, "key"));
        struct val value = from_json(a, json_object_get(entry, "value"));
        val_map_add(a, map, &key, &value);
    }
    return val_map(map);
}

static struct val object_from_json(const json_t *object)
{
    struct val v = { .type = VAL_DURATION };
    struct bytes text = bytes_of(json_text(object, "value"));
    if (strcmp(json_text(object, "@type"), TYPE_URL "google.protobuf.Duration") == 0)
        ASSERT(span_parse(text, &v.i));
    else {
        v.type = VAL_TIMESTAMP;
        ASSERT(instant_parse(text, &v.time));
    }
    return v;
}

/* "NaN", "Infinity" and "-Infinity" are strings there. */
static double double_from_json(const json_t *number)
{
    return json_is_string(number) ? strtod(json_string_value(number), NULL)
                                  : json_number_value(number);
}

/* The string of base64 becomes bytes by the engine's own function. */
static struct val bytes_from_json(struct scope *a, const json_t *text)
{
    struct val v;
    struct cel_env env = { 0 };
    AUTO_FREE char *source = xasprintf("base64.decode('%s')", json_string_value(text));
    struct cel *c = cel_compile(bytes_of(source), NULL, NULL);
    ASSERT(c && cel_eval_value(c, &env, a, &v, NULL));
    cel_free(c);
    return v;
}

static struct val from_json(struct scope *a, const json_t *value)
{
    const char *kind = json_object_iter_key(json_object_iter((json_t *)value));
    const json_t *of = json_object_get(value, kind);
    if (strcmp(kind, "boolValue") == 0) return val_bool(json_is_true(of));
    if (strcmp(kind, "int64Value") == 0) return val_int(atoll(json_string_value(of)));
    if (strcmp(kind, "uint64Value") == 0)
        return val_uint(strtoull(json_string_value(of), NULL, 10));
    if (strcmp(kind, "doubleValue") == 0) return val_double(double_from_json(of));
    if (strcmp(kind, "stringValue") == 0) return val_of_json(of);
    if (strcmp(kind, "bytesValue") == 0) return bytes_from_json(a, of);
    if (strcmp(kind, "listValue") == 0) return list_from_json(a, json_object_get(of, "values"));
    if (strcmp(kind, "mapValue") == 0) return map_from_json(a, json_object_get(of, "entries"));
    if (strcmp(kind, "objectValue") == 0) return object_from_json(of);
    ASSERT(strcmp(kind, "nullValue") == 0);
    return (struct val){ .type = VAL_NULL };
}

/* --- values to JSON --- */

static json_t *to_json(const struct val *v);

static json_t *list_to_json(const struct val *v)
{
    json_t *values = json_array();
    for (size_t i = 0; i < val_list_size(v); i++) {
        struct val element = val_list_at(v, i);
        json_array_append_new(values, to_json(&element));
    }
    return json_pack("{s:{s:o}}", "listValue", "values", values);
}

static json_t *map_to_json(const struct val *v)
{
    json_t *entries = json_array();
    struct val_walk w = { .map = v };
    struct val key, value;
    while (val_walk_next(&w, &key, &value))
        json_array_append_new(
            entries, json_pack("{s:o, s:o}", "key", to_json(&key), "value", to_json(&value)));
    return json_pack("{s:{s:o}}", "mapValue", "entries", entries);
}

static json_t *bytes_to_json(const struct val *v)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    AUTO_BUF struct buf b = { 0 };
    for (size_t i = 0; i < v->text.len; i += 3) {
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (i + k < v->text.len ? (unsigned char)v->text.data[i + k] : 0u);
        for (size_t k = 0; k < 4; k++)
            buf_add_char(&b, i + k <= v->text.len ? alphabet[group >> (18 - 6 * k) & 63] : '=');
    }
    return json_pack("{s:s}", "bytesValue", b.data ? b.data : "");
}

static json_t *object_to_json(const char *type, const char *text)
{
    return json_pack("{s:{s:s+, s:s}}", "objectValue", "@type", TYPE_URL, type, "value", text);
}

static json_t *number_to_json(const struct val *v)
{
    char text[32];
    if (v->type == VAL_DOUBLE && isfinite(v->d)) return json_pack("{s:f}", "doubleValue", v->d);
    if (v->type == VAL_DOUBLE)
        return json_pack("{s:s}", "doubleValue",
                         isnan(v->d) ? "NaN"
                         : v->d > 0  ? "Infinity"
                                     : "-Infinity");
    if (v->type == VAL_INT)
        snprintf(text, sizeof text, "%lld", (long long)v->i);
    else
        snprintf(text, sizeof text, "%llu", (unsigned long long)v->u);
    return json_pack("{s:s}", v->type == VAL_INT ? "int64Value" : "uint64Value", text);
}

static json_t *to_json(const struct val *v)
{
    char text[TIME_VALUE_TEXT_MAX];
    switch (v->type) {
    case VAL_NULL: return json_pack("{s:n}", "nullValue");
    case VAL_BOOL: return json_pack("{s:b}", "boolValue", v->b);
    case VAL_INT:
    case VAL_UINT:
    case VAL_DOUBLE: return number_to_json(v);
    case VAL_STRING:
        return json_pack("{s:o}", "stringValue", json_stringn(v->text.data, v->text.len));
    case VAL_BYTES: return bytes_to_json(v);
    case VAL_LIST: return list_to_json(v);
    case VAL_MAP: return map_to_json(v);
    case VAL_TIMESTAMP:
        instant_format(v->time, text);
        return object_to_json(val_type_name(v->type), text);
    case VAL_DURATION: span_format(v->i, text); return object_to_json(val_type_name(v->type), text);
    case VAL_TYPE: return json_pack("{s:s}", "typeValue", val_type_name(v->named));
    default: return json_pack("{s:s}", "unknown", val_type_name(v->type));
    }
}

/* --- names --- */

struct world {
    struct scope scope;
    const char *container;
    const json_t *bindings;
};

/* A name in the container, or in one around it: the innermost has it (langdef.md, "Name
 * Resolution"). */
static const json_t *find(const struct world *w, const char *name)
{
    AUTO_FREE char *container = xstrdup(w->container);
    for (;;) {
        AUTO_FREE char *full = xasprintf("%s%s%s", container, *container ? "." : "", name);
        const json_t *found = json_object_get(w->bindings, full);
        if (found || !*container) return found;
        char *dot = strrchr(container, '.');
        *(dot ? dot : container) = '\0';
    }
}

/* The longest part of the path that is a variable. */
static bool resolve(void *user, const char *const *names, size_t count, size_t *ret_used,
                    struct val *ret, struct err *e)
{
    struct world *w = user;
    for (size_t used = count; used > 0; used--) {
        AUTO_BUF struct buf name = { 0 };
        for (size_t i = 0; i < used; i++) buf_addf(&name, "%s%s", i ? "." : "", names[i]);
        const json_t *found = find(w, name.data);
        if (!found) continue;
        *ret = from_json(&w->scope, found);
        *ret_used = used;
        return true;
    }
    return err_fail(e, ERR_NOT_FOUND, "unknown name '%s'", names[0]);
}

/* By the machine's time zone database, through libc. */
static bool zone(void *user, const char *name, int64_t s, int32_t *ret)
{
    (void)user;
    AUTO_FREE char *path = xasprintf("/usr/share/zoneinfo/%s", name);
    FILE *file = fopen(path, "re");
    if (!file) return false;
    fclose(file);
    AUTO_FREE char *setting = xasprintf(":%s", name);
    setenv("TZ", setting, 1);
    tzset();
    time_t t = (time_t)s;
    struct tm tm;
    if (!localtime_r(&t, &tm)) return false;
    *ret = (int32_t)tm.tm_gmtoff;
    return true;
}

/* --- types --- */

static const struct {
    const char *wire;
    enum type_kind kind;
} primitives[] = {
    { "BOOL", TYPE_BOOL },     { "INT64", TYPE_INT },     { "UINT64", TYPE_UINT },
    { "DOUBLE", TYPE_DOUBLE }, { "STRING", TYPE_STRING }, { "BYTES", TYPE_BYTES },
};

/* cel.expr.Type; parameters have the letters T, U and V. */
static const struct type *type_from_json(struct scope *a, const json_t *type)
{
    const char *kind = json_object_iter_key(json_object_iter((json_t *)type));
    const json_t *of = json_object_get(type, kind);
    struct type *t = scope_alloc(a, sizeof *t);
    const json_t *params = json_object_get(of, "parameterTypes");
    const struct type **list = scope_alloc(a, (json_array_size(params) + 2) * sizeof *list);
    *t = (struct type){ .kind = TYPE_DYN, .params = list };
    if (strcmp(kind, "primitive") == 0) {
        for (size_t i = 0; i < ARRAY_LEN(primitives); i++)
            if (strcmp(primitives[i].wire, json_string_value(of)) == 0)
                t->kind = primitives[i].kind;
    } else if (strcmp(kind, "null") == 0) {
        t->kind = TYPE_NULL;
    } else if (strcmp(kind, "typeParam") == 0) {
        t->kind = TYPE_PARAM;
        t->id = (uint32_t)(json_string_value(of)[0] - 'T');
    } else if (strcmp(kind, "listType") == 0) {
        t->kind = TYPE_LIST;
        list[t->count++] = type_from_json(a, json_object_get(of, "elemType"));
    } else if (strcmp(kind, "mapType") == 0) {
        t->kind = TYPE_MAP;
        list[t->count++] = type_from_json(a, json_object_get(of, "keyType"));
        list[t->count++] = type_from_json(a, json_object_get(of, "valueType"));
    } else if (strcmp(kind, "abstractType") == 0) {
        t->kind = TYPE_ABSTRACT;
        t->name = json_text(of, "name");
        for (size_t i = 0; i < json_array_size(params); i++)
            list[t->count++] = type_from_json(a, json_array_get(params, i));
    }
    return t;
}

static json_t *type_to_json(const struct type *t)
{
    json_t *params = json_array();
    for (size_t i = 0; i < ARRAY_LEN(primitives); i++)
        if (t->kind == primitives[i].kind)
            return json_pack("{s:s}", "primitive", primitives[i].wire);
    for (uint32_t i = 0; i < t->count; i++)
        json_array_append_new(params, type_to_json(t->params[i]));
    switch (t->kind) {
    case TYPE_NULL: return json_pack("{s:n}", "null");
    case TYPE_TIMESTAMP: return json_pack("{s:s}", "wellKnown", "TIMESTAMP");
    case TYPE_DURATION: return json_pack("{s:s}", "wellKnown", "DURATION");
    case TYPE_LIST:
        return json_pack("{s:{s:O}}", "listType", "elemType", json_array_get(params, 0));
    case TYPE_MAP:
        return json_pack("{s:{s:O, s:O}}", "mapType", "keyType", json_array_get(params, 0),
                         "valueType", json_array_get(params, 1));
    case TYPE_OPTIONAL:
    case TYPE_ABSTRACT:
        return json_pack("{s:{s:s, s:o}}", "abstractType", "name",
                         t->kind == TYPE_OPTIONAL ? "optional_type" : t->name, "parameterTypes",
                         params);
    default: return json_pack("{s:{}}", "dyn");
    }
}

struct declared {
    struct scope scope;
    const json_t *types; /* the typeEnv of the case */
    struct overload overload;
};

/* The only overload that a function of the data has. */
static size_t overloads(void *user, const char *function, const struct overload **ret)
{
    struct declared *d = user;
    for (size_t i = 0; i < json_array_size(d->types); i++) {
        const json_t *item = json_array_get(d->types, i);
        if (strcmp(json_text(item, "name"), function) != 0) continue;
        const json_t *first =
            json_array_get(json_object_get(json_object_get(item, "function"), "overloads"), 0);
        const json_t *params = json_object_get(first, "params");
        d->overload.count = json_array_size(params);
        const struct type **args = scope_alloc(&d->scope, d->overload.count * sizeof *args);
        for (size_t k = 0; k < d->overload.count; k++)
            args[k] = type_from_json(&d->scope, json_array_get(params, k));
        d->overload.args = args;
        d->overload.result = type_from_json(&d->scope, json_object_get(first, "resultType"));
        *ret = &d->overload;
        return 1;
    }
    return 0;
}

static bool deduce(const struct cel *c, const json_t *question, json_t *reply, struct err *e)
{
    struct declared d = { .types = json_object_get(question, "types") };
    struct check_env env = { .overloads = overloads, .user = &d };
    const struct type *type;
    bool ok = cel_check(c, &env, &d.scope, &type, NULL, e);
    if (ok) json_object_set_new(reply, "type", type_to_json(type));
    scope_done(&d.scope);
    return ok;
}

/* --- cases --- */

static bool evaluate(const struct cel *c, const json_t *question, json_t *reply, struct err *e)
{
    struct world w = { .container = json_text(question, "container"),
                       .bindings = json_object_get(question, "bindings") };
    struct cel_env env = { .resolve_value = resolve, .zone = zone, .user = &w };
    struct scope a = { 0 };
    struct val value;
    bool ok = cel_eval_value(c, &env, &a, &value, e);
    if (ok) json_object_set_new(reply, "value", to_json(&value));
    scope_done(&a);
    scope_done(&w.scope);
    return ok;
}

static json_t *answer(const json_t *question)
{
    struct err e = { 0 };
    json_t *reply = json_object();
    const json_t *expr = json_object_get(question, "expr");
    struct bytes source = { json_string_value(expr), json_string_length(expr) };
    bool deduces = json_is_true(json_object_get(question, "deduce"));
    bool evaluates = json_is_true(json_object_get(question, "evaluate"));
    bool checked = json_is_true(json_object_get(question, "checked"));
    /* Functions that only a case declares are known to the checker alone. */
    CLEANUP(cel_free_p)
    struct cel *c = checked && evaluates ? cel_compile(source, NULL, &e)
                                         : cel_compile_unchecked(source, NULL, &e);
    bool ok = c && (!deduces || deduce(c, question, reply, &e)) &&
              (!evaluates || evaluate(c, question, reply, &e));
    if (!ok) json_object_set_new(reply, "error", json_string(e.text));
    return reply;
}

int main(void)
{
    AUTO_FREE char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, stdin) > 0) {
        AUTO_JSON *question = json_loads(line, JSON_ALLOW_NUL, NULL);
        AUTO_JSON *reply = question ? answer(question) : json_pack("{s:s}", "error", "no JSON");
        ASSERT(reply);
        json_dumpf(reply, stdout, JSON_COMPACT);
        putchar('\n');
    }
    return 0;
}
