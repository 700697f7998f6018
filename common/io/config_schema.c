/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON Schema of a program's configuration file, from its option table: for editors that
 * complete and check YAML. A key without a value counts as not given, so null fits everywhere. */
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/io/config_parts.h"

static json_t *types(const char *a, const char *b)
{
    return b ? json_pack("[s,s,s]", a, b, "null") : json_pack("[s,s]", a, "null");
}

/* A character class of the charset; what would end or change it is escaped. */
static json_t *charset_pattern(const char *charset)
{
    AUTO_BUF struct buf b = { 0 };
    buf_add_text(&b, "^[");
    for (const char *p = charset; *p; p++) {
        if (strchr("\\]^-[", *p)) buf_add_char(&b, '\\');
        buf_add_char(&b, *p);
    }
    buf_add_text(&b, "]*$");
    return json_string(b.data);
}

static void add_text(json_t *schema, const struct option *o)
{
    json_object_set_new(schema, "type", types("string", NULL));
    /* The program counts bytes, a schema characters: never more than those. */
    if (o->max) json_object_set_new(schema, "maxLength", json_integer(o->max));
    if (o->max && o->min && o->charset)
        json_object_set_new(schema, "minLength", json_integer(o->min));
    if (o->charset) json_object_set_new(schema, "pattern", charset_pattern(o->charset));
}

static void add_choices(json_t *schema, const struct option *o)
{
    json_t *list = json_array();
    for (const char *p = o->choices; *p;) {
        size_t len = strcspn(p, "|");
        json_array_append_new(list, json_stringn(p, len));
        p += len + (p[len] == '|');
    }
    json_array_append_new(list, json_null());
    json_object_set_new(schema, "enum", list);
}

static json_t *in_units(int64_t value, int64_t unit)
{
    return value % unit ? json_real((double)value / (double)unit) : json_integer(value / unit);
}

/* A bare number counts in units of `unit` (1000 ms are a second); text may have a unit of its own.
 */
static void add_number(json_t *schema, const struct option *o, const char *pattern, int64_t unit)
{
    int64_t min, max;
    option_bounds(o, &min, &max);
    json_object_set_new(schema, "type",
                        types(unit == 1 ? "integer" : "number", pattern ? "string" : NULL));
    json_object_set_new(schema, "minimum", in_units(min, unit));
    json_object_set_new(schema, "maximum", in_units(max, unit));
    if (pattern) json_object_set_new(schema, "pattern", json_string(pattern));
}

static json_t *fallback_of(const struct option *o)
{
    if (o->type == OPTION_BOOL) return json_boolean(strcmp(o->fallback, "true") == 0);
    if (o->type == OPTION_U32) return json_integer(strtoll(o->fallback, NULL, 10));
    if (o->type == OPTION_JSON) return json_parse(bytes_of(o->fallback), NULL);
    return json_string(o->fallback);
}

/* What the schema says only in words: the bounds of texts with units. */
static json_t *description_of(const struct option *o)
{
    AUTO_BUF struct buf text = { 0 };
    buf_add_text(&text, o->help);
    if (o->type == OPTION_DURATION || o->type == OPTION_SIZE) {
        buf_add_text(&text, " Takes ");
        option_allowed(o, &text);
        buf_add_char(&text, '.');
    }
    if (o->reloadable) buf_add_text(&text, " Read again on SIGHUP.");
    return json_string(text.data);
}

static json_t *option_schema(const struct option *o)
{
    json_t *schema = json_object();
    json_object_set_new(schema, "description", description_of(o));
    switch (o->type) {
    case OPTION_TEXT: add_text(schema, o); break;
    case OPTION_U32: add_number(schema, o, NULL, 1); break;
    case OPTION_BOOL: json_object_set_new(schema, "type", types("boolean", NULL)); break;
    case OPTION_DURATION:
        add_number(schema, o, "^[0-9]+([.][0-9]+)?(ms|s|m|h|d)?$", SECOND_MS);
        break;
    case OPTION_SIZE:
        add_number(schema, o, "^[0-9]+ *(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?$", 1);
        break;
    case OPTION_ENUM: add_choices(schema, o); break;
    case OPTION_SECRET: json_object_set_new(schema, "type", types("string", NULL)); break;
    case OPTION_JSON: break; /* any structure; the program that takes it checks it */
    }
    if (o->fallback && *o->fallback) json_object_set_new(schema, "default", fallback_of(o));
    return schema;
}

static json_t *object_schema(json_t *properties)
{
    return json_pack("{s:[s,s],s:b,s:o}", "type", "object", "null", "additionalProperties", 0,
                     "properties", properties);
}

/* A key may be both (`kafka: HOST:PORT` of a command, and `kafka: {brokers: }`): makes the option's
 * schema that of the group too. */
static void allow_group(json_t *schema, json_t *properties)
{
    json_t *type = json_object_get(schema, "type");
    ASSERT(json_is_array(type));
    json_array_append_new(type, json_string("object"));
    json_object_set_new(schema, "additionalProperties", json_false());
    json_object_set_new(schema, "properties", properties);
}

/* The `properties` that the option belongs to, its group's made where it is missing. */
static json_t *properties_for(json_t *top, const struct option *o, const char **ret_key)
{
    struct bytes group = option_group(o);
    *ret_key = o->name + (group.len ? group.len + 1 : 0);
    if (!group.len) return top;
    AUTO_FREE char *name = xstrndup(group.data, group.len);
    json_t *there = json_object_get(top, name);
    if (!there)
        json_object_set_new(top, name, object_schema(json_object()));
    else if (!json_object_get(there, "properties"))
        allow_group(there, json_object());
    return json_object_get(json_object_get(top, name), "properties");
}

static void add_option(json_t *top, const struct option *o)
{
    const char *key;
    json_t *properties = properties_for(top, o, &key);
    json_t *schema = option_schema(o);
    json_t *group = json_object_get(json_object_get(properties, key), "properties");
    if (group) allow_group(schema, json_incref(group));
    json_object_set_new(properties, key, schema);
    if (o->type != OPTION_SECRET) return;
    AUTO_FREE char *file_key = xasprintf("%s_file", key);
    AUTO_FREE char *text = xasprintf("Name of a file that holds %s.", o->name);
    json_object_set_new(properties, file_key,
                        json_pack("{s:s,s:o}", "description", text, "type", types("string", NULL)));
}

json_t *config_schema(const struct option_table *table)
{
    json_t *top = json_object();
    for (size_t i = 0; i < table->count; i++) add_option(top, &table->options[i]);
    json_t *schema = object_schema(top);
    json_object_set_new(schema, "title", json_string(table->program));
    json_object_set_new(schema, "description", json_string(table->summary));
    return schema;
}
