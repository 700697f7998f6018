/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading values of a definition: each reader takes a node, checks it, and leaves a fault that says
 * what was expected and what was found.
 */
#include <math.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/cel/check.h"
#include "common/definition/compile.h"

static void release_json(void *p)
{
    json_decref(p);
}

static void release_cel(void *p)
{
    cel_free(p);
}

static void release_template(void *p)
{
    template_free(p);
}

static void release_schema(void *p)
{
    schema_free(p);
}

const json_t *scratch_json(struct compiler *c, json_t *value)
{
    return memory_own(&c->scratch, value, release_json);
}

struct node node_get(struct node object, const char *key)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    buf_add_text(&b, object.pointer);
    buf_add_char(&b, '/');
    for (const char *p = key; *p; p++) {
        if (*p == '~' || *p == '/')
            buf_add_text(&b, *p == '~' ? "~0" : "~1");
        else
            buf_add_char(&b, *p);
    }
    const char *pointer = memory_own(&object.c->scratch, buf_take(&b, NULL), free);
    return (struct node){ .c = object.c,
                          .value = json_object_get(object.value, key),
                          .pointer = pointer };
}

struct node node_at(struct node array, size_t index)
{
    return (struct node){ .c = array.c,
                          .value = json_array_get(array.value, index),
                          .pointer = scratch_text(array.c, "%s/%zu", array.pointer, index) };
}

static const char *noun(const json_t *value)
{
    if (!value) return "nothing";
    switch (json_typeof(value)) {
    case JSON_NULL: return "nothing";
    case JSON_TRUE:
    case JSON_FALSE: return "true or false";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_STRING: return "a text";
    case JSON_ARRAY: return "a list";
    case JSON_OBJECT: break;
    }
    return "a mapping";
}

bool is_object(struct node n, const char *what)
{
    if (json_is_object(n.value)) return true;
    fault(n, "%s: expected a mapping, found %s", what, noun(n.value));
    return false;
}

bool is_array(struct node n, const char *what)
{
    if (json_is_array(n.value)) return true;
    fault(n, "%s: expected a list, found %s", what, noun(n.value));
    return false;
}

void check_members(struct node object, const char *what, const char *const *names, size_t count,
                   const struct refused_field *refused, size_t refused_count)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object.value, key, value) {
        size_t i = 0;
        while (i < count && strcmp(names[i], key) != 0) i++;
        if (i < count) continue;
        for (i = 0; i < refused_count && strcmp(refused[i].name, key) != 0; i++) {}
        struct node n = node_get(object, key);
        if (i < refused_count)
            fault_key(n, "'%s' is not supported by this version%s%s", key,
                      refused[i].advice[0] ? "; " : "", refused[i].advice);
        else
            fault_key(n, "%s has no field '%s'%s", what, key, did_you_mean(n.c, key, names, count));
    }
}

bool read_text(struct node object, const char *key, const char **ret)
{
    struct node n = node_get(object, key);
    if (!n.value) return true;
    if (!json_is_string(n.value)) {
        fault(n, "'%s': expected a text, found %s", key, noun(n.value));
        return false;
    }
    if (json_string_length(n.value) == 0) {
        fault(n, "'%s' must not be empty", key);
        return false;
    }
    *ret = json_string_value(n.value);
    return true;
}

bool read_int64(struct node object, const char *key, int64_t min, int64_t max, int64_t *ret)
{
    struct node n = node_get(object, key);
    if (!n.value) return true;
    if (!json_is_integer(n.value)) {
        fault(n, "'%s': expected an integer, found %s", key, noun(n.value));
        return false;
    }
    int64_t value = json_integer_value(n.value);
    if (value < min || value > max) {
        fault(n, "'%s' must be from %lld to %lld, not %lld", key, (long long)min, (long long)max,
              (long long)value);
        return false;
    }
    *ret = value;
    return true;
}

bool read_u32(struct node object, const char *key, uint32_t min, uint32_t max, uint32_t *ret)
{
    int64_t value = *ret;
    if (!read_int64(object, key, min, max, &value)) return false;
    *ret = (uint32_t)value;
    return true;
}

bool read_duration(struct node object, const char *key, int64_t *ret_ms)
{
    struct node n = node_get(object, key);
    if (!n.value) return true;
    int64_t ms = 0;
    bool ok = false;
    if (json_is_string(n.value)) {
        ok = duration_parse(json_string_value(n.value), &ms);
    } else if (json_is_number(n.value)) {
        double seconds = json_number_value(n.value);
        ok = seconds >= 0 && seconds * SECOND_MS <= (double)DURATION_MS_MAX;
        if (ok) ms = (int64_t)llround(seconds * SECOND_MS);
    }
    if (ok && ms > 0) {
        *ret_ms = ms;
        return true;
    }
    fault(n, "'%s' is no duration: write 250ms, 30s, 10m, 2h, 7d or a number of seconds above 0",
          key);
    return false;
}

unsigned read_word(struct node n, const char *const *words, unsigned count)
{
    const char *text = json_string_value(n.value);
    for (unsigned i = 0; text && i < count; i++)
        if (strcmp(words[i], text) == 0) return i;
    CLEANUP(buf_done) struct buf b = { 0 };
    for (unsigned i = 0; i < count; i++)
        buf_addf(&b, "%s%s", i == 0 ? "" : i + 1 == count ? " or " : ", ", words[i]);
    if (text)
        fault(n, "expected %s, found '%.100s'%s", b.data, text,
              did_you_mean(n.c, text, words, count));
    else
        fault(n, "expected %s, found %s", b.data, noun(n.value));
    return count;
}

bool check_name(struct node n, const char *what)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    static const char others[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
                                 "0123456789-";
    const char *name = json_string_value(n.value);
    if (name && *name && strchr(letters, *name) && !name[strspn(name, others)] &&
        strlen(name) <= NAME_BYTES_MAX)
        return true;
    fault(n,
          "%s must be a name: a letter or _ first, then letters, digits, _ or -; at most %d "
          "characters",
          what, NAME_BYTES_MAX);
    return false;
}

bool topic_name_good(struct node n)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const char *text = json_string_value(n.value);
    if (text && *text && strlen(text) <= TOPIC_BYTES_MAX && strcmp(text, ".") != 0 &&
        strcmp(text, "..") != 0 && !text[strspn(text, allowed)])
        return true;
    fault(n, "'topic' is no name of a Kafka topic (letters, digits, '.', '_' and '-'; at most %d)",
          TOPIC_BYTES_MAX);
    return false;
}

bool read_queue(struct node object, const char **ret)
{
    struct node n = node_get(object, "queue");
    if (!n.value) return true;
    const char *name = json_string_value(n.value);
    if (name && *name && strlen(name) <= NAME_BYTES_MAX &&
        !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-")]) {
        *ret = name;
        return true;
    }
    fault(n, "a queue's name has lower-case letters, digits, '.', '_' and '-'; at most %d",
          NAME_BYTES_MAX);
    return false;
}

void read_handler(struct node object, const char *key, const char **ret)
{
    struct node n = node_get(object, key);
    const char *text = NULL;
    if (!read_text(object, key, &text) || !text) return;
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "_-./:@";
    if (strlen(text) > NAME_BYTES_MAX || text[strspn(text, allowed)])
        fault(n,
              "'%s' is a fixed name of at most %d letters, digits and _ - . / : @, not a template",
              key, NAME_BYTES_MAX);
    else
        *ret = text;
}

bool read_error_type(struct node n, enum error_type *ret)
{
    static const char *const names[] = {
#define X(name, text, retryable) text,
        ERROR_TYPES(X)
#undef X
    };
    const char *text = json_string_value(n.value);
    if (text && error_type_find(bytes_of(text), ret)) return true;
    if (text)
        fault(n, "'%.100s' is no error type%s", text,
              did_you_mean(n.c, text, names, ARRAY_LEN(names)));
    else
        fault(n, "expected the name of an error type, found %s", noun(n.value));
    return false;
}

void read_error_types(struct node n, uint64_t *ret)
{
    *ret = 0;
    if (!is_array(n, "'on'")) return;
    if (json_array_size(n.value) == 0) fault(n, "'on' must name at least one error type");
    for (size_t i = 0; i < json_array_size(n.value); i++) {
        enum error_type type;
        if (read_error_type(node_at(n, i), &type)) *ret |= UINT64_C(1) << type;
    }
}

bool read_retry(struct node object, struct retry_policy *policy)
{
    static const char *const names[] = { "max_attempts", "backoff", "initial", "max", "on" };
    static const char *const backoffs[] = { "exponential", "fixed" };
    struct node n = node_get(object, "retry");
    if (!n.value) return true;
    size_t faults = n.c->faults->count;
    if (!is_object(n, "'retry'")) return false;
    check_members(n, "'retry'", names, ARRAY_LEN(names), NULL, 0);
    (void)read_u32(n, "max_attempts", 1, ATTEMPTS_MAX, &policy->max_attempts);
    struct node backoff = node_get(n, "backoff");
    if (backoff.value)
        policy->backoff = read_word(backoff, backoffs, ARRAY_LEN(backoffs)) == 1
                              ? BACKOFF_FIXED
                              : BACKOFF_EXPONENTIAL;
    bool ok = read_duration(n, "initial", &policy->initial_ms);
    ok = read_duration(n, "max", &policy->max_ms) && ok;
    if (ok && policy->max_ms < policy->initial_ms) {
        /* A long initial wait alone raises the default of max; two that disagree are a fault. */
        if (node_get(n, "max").value)
            fault(node_get(n, "max"), "'max' is shorter than 'initial'");
        else
            policy->max_ms = policy->initial_ms;
    }
    struct node on = node_get(n, "on");
    if (on.value) read_error_types(on, &policy->on);
    return n.c->faults->count == faults;
}

struct schema *read_schema(struct node n)
{
    struct err e;
    AUTO_FREE char *pointer = NULL;
    struct schema *s = schema_compile(n.value, &pointer, &e);
    if (s) return memory_own(n.c->memory, s, release_schema);
    struct node at = n;
    at.pointer = scratch_text(n.c, "%s%s", n.pointer, pointer);
    fault_key(at, "%s", e.text);
    return NULL;
}

static struct use *use_add(struct node n, unsigned roots)
{
    struct compiler *c = n.c;
    GROW(c->uses, c->use_count, c->use_cap);
    c->uses[c->use_count] =
        (struct use){ .value = n.value, .pointer = n.pointer, .step = c->now_step, .roots = roots };
    return &c->uses[c->use_count++];
}

/* A message of cel_compile begins with "line:column: " within the expression. In a fault whose
 * position points into the expression already, that would be a second, other position. */
const char *without_position(const char *text)
{
    size_t line = strspn(text, "0123456789");
    if (!line || text[line] != ':') return text;
    size_t column = strspn(text + line + 1, "0123456789");
    const char *rest = text + line + 1 + column;
    return column && rest[0] == ':' && rest[1] == ' ' ? rest + 2 : text;
}

/* Takes ${ and } off an expression that is written as a template; returns the bytes before it. */
static size_t unwrap(struct bytes *source)
{
    size_t from = 0, to = source->len;
    while (from < to && strchr(" \t\n", source->data[from])) from++;
    while (to > from && strchr(" \t\n", source->data[to - 1])) to--;
    if (to - from < 3 || memcmp(source->data + from, "${", 2) != 0 || source->data[to - 1] != '}')
        return 0;
    *source = (struct bytes){ .data = source->data + from + 2, .len = to - from - 3 };
    return from + 2;
}

size_t cel_source(struct node *n, struct bytes *ret)
{
    /* `if: true` is an expression, too. */
    if (json_is_boolean(n->value))
        n->value = scratch_json(n->c, json_string(json_is_true(n->value) ? "true" : "false"));
    *ret =
        (struct bytes){ .data = json_string_value(n->value), .len = json_string_length(n->value) };
    return ret->data ? unwrap(ret) : 0;
}

/* Whether the expression may give true or false, as far as that can be told before it runs. */
static bool check_condition(struct node n, size_t before, const struct cel *cel)
{
    CLEANUP(scope_done) struct scope scope = { 0 };
    const struct type *type;
    size_t offset;
    struct err e;
    if (!cel_check(cel, NULL, &scope, &type, &offset, &e)) {
        fault_in(n, before + offset, "in the expression: %s", without_position(e.text));
        return false;
    }
    if (type->kind == TYPE_BOOL || type->kind == TYPE_DYN) return true;
    fault_in(n, before, "the expression must give true or false, but it gives a value of type %s",
             val_type_name((enum val_type)type->kind));
    return false;
}

struct cel *read_cel(struct node n, unsigned roots)
{
    struct bytes source;
    size_t before = cel_source(&n, &source), offset = 0;
    if (!source.data) {
        fault(n, "expected an expression as text, found %s", noun(n.value));
        return NULL;
    }
    struct err e;
    struct cel *cel = cel_compile(source, &offset, &e);
    if (!cel) {
        fault_in(n, before + offset, "in the expression: %s", without_position(e.text));
        return NULL;
    }
    memory_own(n.c->memory, cel, release_cel);
    if (!check_condition(n, before, cel)) return NULL;
    struct use *use = use_add(n, roots);
    use->cel = cel;
    use->offset = before;
    return cel;
}

struct cel *build_cel(struct node n, struct bytes source)
{
    struct err e;
    struct cel *cel = cel_compile(source, NULL, &e);
    if (cel) return memory_own(n.c->memory, cel, release_cel);
    fault(n, "taken together: %s", without_position(e.text));
    return NULL;
}

struct node node_descend(struct node n, const char *pointer)
{
    while (*pointer == '/') {
        size_t len = strcspn(pointer + 1, "/");
        AUTO_FREE char *token = xstrndup(pointer + 1, len);
        char *to = token;
        for (const char *p = token; *p; p++) *to++ = *p != '~' ? *p : *++p == '0' ? '~' : '/';
        *to = '\0';
        n = json_is_array(n.value) ? node_at(n, strtoul(token, NULL, 10)) : node_get(n, token);
        pointer += 1 + len;
    }
    return n;
}

bool check_template(struct node n, unsigned roots)
{
    AUTO_FREE char *pointer = NULL;
    size_t offset = 0;
    struct err e;
    struct template *t = template_compile(n.value, &pointer, &offset, &e);
    if (t) memory_own(&n.c->scratch, t, release_template);
    if (!t || !template_check(t, &pointer, &offset, &e)) {
        fault_in(node_descend(n, pointer ? pointer : ""), offset, "in the template: %s",
                 without_position(e.text));
        return false;
    }
    use_add(n, roots)->template = t;
    return true;
}

struct template *build_template(struct compiler *c, const json_t *value)
{
    struct err e;
    struct template *t = template_compile(value, NULL, NULL, &e);
    ASSERT(t); /* all of its parts were compiled before */
    return memory_own(c->memory, t, release_template);
}

struct template *read_template(struct node n, unsigned roots)
{
    return check_template(n, roots) ? build_template(n.c, n.value) : NULL;
}

struct template *read_list(struct node n)
{
    if (json_is_array(n.value) || json_is_string(n.value)) return read_template(n, 0);
    fault(n, "expected a list, or a template of one, found %s", noun(n.value));
    return NULL;
}
