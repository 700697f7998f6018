/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON that fits a schema, with content that fits the names of its properties. It knows the
 * keywords that matter for the shape (type, properties, required, items, enum, const, bounds, local
 * references), not the whole of JSON Schema. */
#include <math.h>
#include <stdlib.h>

#include "cli/demo_model/extract.h"

#define FILL_DEPTH_MAX 12

struct fill {
    const struct facts *facts;
    const json_t *root;
    const char *sentence; /* the item that is being filled, or NULL */
    const struct figure *figure;
    int depth;
};

static json_t *fill(const struct fill *in, const json_t *schema, const char *name);

static bool named(const char *name, const char *const *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcasestr(name, parts[i])) return true;
    return false;
}
#define NAMED(name, ...)                                \
    named((name), (const char *const[]){ __VA_ARGS__ }, \
          sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

/* The schema that a local reference, or the first alternative, leads to. */
static const json_t *resolve(const struct fill *in, const json_t *schema)
{
    for (int hops = 0; hops < 8; hops++) {
        const char *ref = json_text(schema, "$ref");
        const json_t *next = json_array_get(json_object_get(schema, "anyOf"), 0);
        if (!next) next = json_array_get(json_object_get(schema, "oneOf"), 0);
        if (!next) next = json_array_get(json_object_get(schema, "allOf"), 0);
        if (ref) {
            const char *slash = strrchr(ref, '/');
            const char *defs = strstr(ref, "definitions/") ? "definitions" : "$defs";
            next = json_object_get(json_object_get(in->root, defs), slash ? slash + 1 : "");
        }
        if (!next) break;
        schema = next;
    }
    return schema;
}

/* The type to fill; guessed where the schema has none. */
static const char *type_of(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type");
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)type, i, item)
        if (json_is_string(item) && strcmp(json_string_value(item), "null") != 0)
            return json_string_value(item);
    if (json_is_string(type)) return json_string_value(type);
    if (json_object_get(schema, "properties") || json_object_get(schema, "required"))
        return "object";
    return json_object_get(schema, "items") ? "array" : NULL;
}

/* --- lists --- */

static json_t *list_for(const struct fill *in, const char *name)
{
    const struct facts *f = in->facts;
    if (NAMED(name, "statistic", "figure", "number", "metric", "data", "fact"))
        return list_statistics(f);
    if (NAMED(name, "risk", "challenge", "threat", "problem")) return list_ranked(f, RANK_RISK, 5);
    if (NAMED(name, "trend", "growth", "opportunit", "highlight", "strength"))
        return list_ranked(f, RANK_GROWTH, 5);
    if (NAMED(name, "topic", "tag", "keyword", "categor"))
        return json_pack("[s]", *f->class ? f->class : f->topic);
    if (NAMED(name, "conclusion", "finding", "insight", "point", "lesson"))
        return list_conclusions(f);
    return list_ranked(f, RANK_ANY, 5);
}

/* The first figure of a sentence of the facts. */
static const struct figure *figure_in(const struct facts *f, const char *sentence)
{
    for (size_t i = 0; i < f->figure_count; i++)
        if (strcmp(f->sentences[f->figures[i].sentence].text, sentence) == 0) return &f->figures[i];
    return NULL;
}

static json_t *fill_array(const struct fill *in, const json_t *schema, const char *name)
{
    const json_t *items = json_object_get(schema, "items");
    int64_t min = json_int(schema, "minItems", 0), max = json_int(schema, "maxItems", 100);
    AUTO_JSON *content = list_for(in, name);
    /* Too few sentences for what is asked: then the single figures. */
    for (size_t i = 0; i < in->facts->figure_count && (int64_t)json_array_size(content) < min; i++)
        json_array_append_new(content, json_string(in->facts->figures[i].text));
    while ((int64_t)json_array_size(content) < MIN(min, 100))
        json_array_append_new(content, json_string("The text says no more"));
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(content) && (int64_t)i < max; i++) {
        struct fill inner = *in;
        inner.sentence = json_string_value(json_array_get(content, i));
        inner.figure = figure_in(in->facts, inner.sentence);
        json_array_append_new(list, fill(&inner, items, ""));
    }
    return list;
}

/* --- scalars --- */

static char *text_for(const struct fill *in, const char *name)
{
    const struct facts *f = in->facts;
    const struct figure *figure = in->figure;
    AUTO_BUF struct buf text = { 0 };
    if (in->sentence && NAMED(name, "unit")) return xstrdup(figure ? figure->unit : "");
    if (in->sentence && NAMED(name, "value", "number", "figure", "amount"))
        return xstrdup(figure ? figure->text : "");
    if (in->sentence) return xstrdup(in->sentence);
    if (NAMED(name, "topic", "title", "subject", "name", "heading")) return xstrdup(f->topic);
    if (NAMED(name, "class", "categor", "type", "kind")) return xstrdup(f->class);
    if (NAMED(name, "risk", "trend", "growth", "conclusion", "challenge")) {
        AUTO_JSON *list = list_for(in, name);
        const char *first = json_string_value(json_array_get(list, 0));
        return xstrdup(first ? first : "");
    }
    write_summary(f, 100, &text);
    return text.data ? buf_take(&text, NULL) : xstrdup("");
}

static json_t *fill_string(const struct fill *in, const json_t *schema, const char *name)
{
    AUTO_FREE char *text = text_for(in, name);
    if (!*text && json_int(schema, "minLength", 0) > 0) {
        free(text);
        text = xstrdup("none");
    }
    int64_t max = json_int(schema, "maxLength", INT64_MAX);
    size_t len = 0; /* maxLength counts code points */
    for (int64_t points = 0; text[len]; len++) {
        points += ((unsigned char)text[len] & 0xC0) != 0x80;
        if (points > max) break;
    }
    return json_stringn(text, len);
}

static json_t *fill_number(const struct fill *in, const json_t *schema, const char *name,
                           bool integer)
{
    const struct facts *f = in->facts;
    double value = in->figure ? in->figure->value : f->figure_count ? f->figures[0].value : 0;
    if (NAMED(name, "confidence", "score", "probab")) value = f->sentence_count ? 0.9 : 0.1;
    if (NAMED(name, "count", "total")) value = (double)f->sentence_count;
    const json_t *min = json_object_get(schema, "minimum"),
                 *max = json_object_get(schema, "maximum");
    if (min) value = fmax(value, json_number_value(min));
    if (max) value = fmin(value, json_number_value(max));
    if (!integer) return json_real(value);
    return json_integer((json_int_t)fmin(fmax(round(value), -9e15), 9e15));
}

/* The choice that the text names; of moods, the one that its cue words have; else the first. */
static json_t *fill_enum(const struct fill *in, const json_t *choices)
{
    const struct facts *f = in->facts;
    int mood = 0;
    size_t i;
    json_t *choice;
    for (size_t k = 0; k < f->sentence_count; k++)
        mood += is_growth(&f->sentences[k]) - is_risk(&f->sentences[k]);
    const char *moods[] = { "negative", "neutral", "positive" };
    const char *felt = moods[(mood > 0) - (mood < 0) + 1];
    json_array_foreach((json_t *)choices, i, choice) {
        const char *text = json_string_value(choice);
        if (!text) continue;
        bool fits = strcasecmp(text, felt) == 0 || strcasecmp(text, f->class) == 0 ||
                    strcasestr(f->topic, text);
        for (size_t k = 0; k < f->sentence_count && !fits; k++)
            fits = strcasestr(f->sentences[k].text, text) != NULL;
        if (fits) return json_incref(choice);
    }
    return json_incref(json_array_get(choices, 0));
}

/* --- objects --- */

static json_t *fill_object(const struct fill *in, const json_t *schema)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *required = json_object_get(schema, "required");
    json_t *object = json_object();
    const char *name;
    json_t *property;
    size_t i;
    json_object_foreach((json_t *)properties, name, property)
        json_object_set_new(object, name, fill(in, property, name));
    json_array_foreach((json_t *)required, i, property) {
        name = json_string_value(property);
        if (!name || json_object_get(object, name)) continue;
        json_object_set_new(object, name, fill(in, NULL, name));
    }
    return object;
}

/* Without a type, a name in the plural is a list. */
static json_t *fill_untyped(const struct fill *in, const char *name)
{
    size_t len = strlen(name);
    if (len > 3 && name[len - 1] == 's' && name[len - 2] != 's') return list_for(in, name);
    return fill_string(in, NULL, name);
}

static json_t *fill(const struct fill *outer, const json_t *schema, const char *name)
{
    struct fill in = *outer;
    if (in.depth++ >= FILL_DEPTH_MAX) return json_null();
    schema = resolve(&in, schema);
    const json_t *fixed = json_object_get(schema, "const");
    if (fixed) return json_deep_copy(fixed);
    const json_t *choices = json_object_get(schema, "enum");
    if (json_array_size(choices)) return fill_enum(&in, choices);
    const char *type = type_of(schema);
    if (!type) return fill_untyped(&in, name);
    if (strcmp(type, "object") == 0) return fill_object(&in, schema);
    if (strcmp(type, "array") == 0) return fill_array(&in, schema, name);
    if (strcmp(type, "integer") == 0) return fill_number(&in, schema, name, true);
    if (strcmp(type, "number") == 0) return fill_number(&in, schema, name, false);
    if (strcmp(type, "null") == 0) return json_null();
    if (strcmp(type, "boolean") == 0)
        return json_boolean(!NAMED(name, "crisis") || strcmp(in.facts->class, "crisis") == 0);
    return fill_string(&in, schema, name);
}

json_t *fill_schema(const struct facts *f, const json_t *schema)
{
    struct fill in = { .facts = f, .root = schema };
    return fill(&in, schema, "");
}
