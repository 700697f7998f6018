/* SPDX-License-Identifier: Apache-2.0
 *
 * From a schema to a value: what a step answers that has an output_schema and no mock. */
#include "common/mocks/mocks.h"

static json_t *sample_object(const json_t *schema)
{
    json_t *value = json_object(), *item;
    const char *key;
    json_object_foreach(json_object_get(schema, "properties"), key, item) {
        json_object_set_new(value, key, mock_sample(item));
    }
    return value;
}

static json_t *sample_array(const json_t *schema)
{
    json_t *value = json_array();
    int64_t least = json_int(schema, "minItems", 1), count = MAX(least, 1);
    int64_t most = json_int(schema, "maxItems", count);
    count = MIN(count, most);
    for (int64_t i = 0; i < MIN(count, 1000); i++)
        json_array_append_new(value, mock_sample(json_object_get(schema, "items")));
    return value;
}

static json_t *sample_string(const json_t *schema)
{
    static const char text[] = "simulated";
    AUTO_BUF struct buf value = { 0 };
    int64_t least = MIN(json_int(schema, "minLength", 0), 10000);
    buf_add_text(&value, text);
    while ((int64_t)value.len < least) buf_add_char(&value, '.');
    int64_t most = json_int(schema, "maxLength", (int64_t)value.len);
    most = MAX(most, 0);
    return json_stringn(value.data, MIN((size_t)most, value.len));
}

static bool within(const json_t *schema, double v)
{
    static const struct {
        const char *key;
        bool upper, open;
    } bounds[] = { { "minimum", false, false },
                   { "exclusiveMinimum", false, true },
                   { "maximum", true, false },
                   { "exclusiveMaximum", true, true } };
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        const json_t *bound = json_object_get(schema, bounds[i].key);
        if (!json_is_number(bound)) continue;
        double b = json_number_value(bound);
        if ((bounds[i].upper ? v > b : v < b) || (bounds[i].open && !(v > b) && !(v < b)))
            return false;
    }
    return true;
}

/* 1 if that will do, else something at or between the bounds. */
static json_t *sample_number(const json_t *schema, bool integer)
{
    static const char *const keys[] = { "minimum", "exclusiveMinimum", "maximum",
                                        "exclusiveMaximum" };
    double candidates[14] = { 1, 0 }, sum = 0;
    size_t count = 2, bounds = 0;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const json_t *bound = json_object_get(schema, keys[i]);
        if (!json_is_number(bound)) continue;
        double b = json_number_value(bound);
        candidates[count++] = b;
        candidates[count++] = b + 1;
        candidates[count++] = b - 1;
        sum += b;
        bounds++;
    }
    if (bounds && count < ARRAY_LEN(candidates))
        candidates[count++] = sum / (double)bounds; /* between a lower and an upper one */
    for (size_t i = 0; i < count; i++) {
        double v = candidates[i];
        bool whole =
            v > -9e15 && v < 9e15 && !((double)(int64_t)v < v) && !((double)(int64_t)v > v);
        if (!within(schema, v) || (integer && !whole)) continue;
        return whole ? json_integer((json_int_t)v) : json_real(v);
    }
    return json_integer(1);
}

static const char *type_of(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type");
    if (json_is_array(type)) type = json_array_get(type, 0);
    if (json_is_string(type)) return json_string_value(type);
    return json_object_get(schema, "items") ? "array" : "object";
}

json_t *mock_sample(const json_t *schema)
{
    json_t *fixed = json_object_get(schema, "const");
    if (!fixed) fixed = json_array_get(json_object_get(schema, "enum"), 0);
    if (!fixed) fixed = json_object_get(schema, "default");
    if (fixed) return json_incref(fixed);
    const char *type = type_of(schema);
    if (strcmp(type, "array") == 0) return sample_array(schema);
    if (strcmp(type, "string") == 0) return sample_string(schema);
    if (strcmp(type, "integer") == 0) return sample_number(schema, true);
    if (strcmp(type, "number") == 0) return sample_number(schema, false);
    if (strcmp(type, "boolean") == 0) return json_true();
    if (strcmp(type, "null") == 0) return json_null();
    return sample_object(schema);
}

/* Lists of steps stand under a few keys only, so that no value of a step is taken for one. */
static const json_t *find_text(const json_t *value, const char *name, bool lists)
{
    static const char *const keys[] = { "steps",    "branches",   "cases", "else",
                                        "on_error", "fallback",   "catch", "reduce",
                                        "choices",  "compensate", NULL };
    const json_t *found = NULL;
    for (size_t i = 0; i < json_array_size(value) && !found; i++)
        found = find_text(json_array_get(value, i), name, false);
    const char *own = lists ? NULL : json_text(value, "name");
    if (own && strcmp(own, name) == 0) return value;
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)value, key, item) {
        bool listed = lists;
        for (size_t i = 0; keys[i]; i++) listed |= strcmp(keys[i], key) == 0;
        if (!listed || found) continue;
        bool named = strcmp(key, "branches") == 0 || strcmp(key, "choices") == 0;
        found = find_text(item, name, named);
    }
    return found;
}

const json_t *mock_step_text(const json_t *text, const char *name)
{
    return find_text(text, name, false);
}

json_t *mock_default(const struct step_def *step, const json_t *text)
{
    struct err e;
    if (step->output_schema) {
        const json_t *own = mock_step_text(text, step->name);
        json_t *sample = mock_sample(json_object_get(own, "output_schema"));
        if (schema_check(step->output_schema, sample, &e)) return sample;
        json_decref(sample);
    }
    switch (step->kind) {
    case STEP_HTTP: return json_pack("{s:i, s:{}, s:{}}", "status", 200, "headers", "body");
    case STEP_WEBHOOK: return json_pack("{s:i, s:{}}", "status", 200, "body");
    case STEP_EMIT:
        return json_pack("{s:s, s:i, s:i}", "topic", "simulated", "partition", 0, "offset", 0);
    case STEP_ROUTER:
        return json_pack("{s:s}", "choice", step->choice_count ? step->choices[0].name : "");
    case STEP_LLM: return json_string("a simulated answer");
    default: return json_object();
    }
}
