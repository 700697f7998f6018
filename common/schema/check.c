/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a value is what a compiled schema says. Most values are valid, so the first walk answers
 * yes or no and nothing else; if it says no, a second one finds the reasons.
 *
 * `unevaluated...` needs to know what the other keywords have looked at. That is collected in a
 * `struct seen`, and only where a schema asks: it is handed down to schemas for the same value,
 * which add to it. A schema that fails leaves no traces (Core, section 7.7.1.1): where the failure
 * is also that of the schema above, nobody looks at them; elsewhere it gets a `struct seen` of its
 * own.
 */
#include <stdlib.h>

#include "common/schema/check.h"
#include "common/schema/format.h"

/* Which items of an array, or members of an object in their order, were looked at. */
struct seen {
    size_t all; /* items below this one; the rest by bit */
    size_t words;
    uint64_t first, *more; /* bits 0 to 63, and the others; more is NULL while there are none */
};

static void seen_mark(struct seen *s, size_t i, size_t count)
{
    if (!s || i < s->all) return;
    if (i < 64) {
        s->first |= UINT64_C(1) << i;
        return;
    }
    if (!s->more) {
        s->words = (count + 63) / 64;
        s->more = xcalloc(s->words, sizeof *s->more);
    }
    s->more[i / 64] |= UINT64_C(1) << i % 64;
}

static bool seen_has(const struct seen *s, size_t i)
{
    if (i < s->all) return true;
    if (i < 64) return s->first >> i & 1;
    return s->more && s->more[i / 64] >> i % 64 & 1;
}

static void seen_all(struct seen *s, size_t count)
{
    if (s) s->all = MAX(s->all, count);
}

/* Adds what `from` has, which is empty afterwards. */
static void seen_merge(struct seen *to, struct seen *from)
{
    to->all = MAX(to->all, from->all);
    to->first |= from->first;
    if (!to->more) {
        to->more = TAKE(from->more);
        to->words = from->words;
    }
    for (size_t i = 0; from->more && i < from->words; i++) to->more[i] |= from->more[i];
}

static void seen_done(struct seen *s)
{
    free(s->more);
    s->more = NULL;
}

static bool check(struct check *c, const struct node *n, const json_t *value,
                  const struct place *at, struct seen *seen);

/* Without saying why; seen (may be NULL) gets what a success has looked at. */
static bool check_quietly(struct check *c, const struct node *n, const json_t *value,
                          const struct place *at, struct seen *seen)
{
    CLEANUP(seen_done) struct seen own = { 0 };
    struct schema_report *report = TAKE(c->report);
    bool ok = check(c, n, value, at, seen ? &own : NULL);
    c->report = report;
    if (ok && seen && spend(c, own.words)) seen_merge(seen, &own);
    return ok;
}

/* --- values, numbers, texts --- */

static bool check_enum(struct check *c, const struct value_rules *v, const json_t *value)
{
    if (!(v->types & 1u << value_type(value))) return false;
    uint64_t size = 0, hash = value_hash(value, &size);
    if (!spend(c, size)) return false;
    size_t low = 0, high = v->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (v->hashed[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < v->count && v->hashed[low].hash == hash; low++) {
        if (json_same(v->hashed[low].value, value)) return true;
        if (!spend(c, size)) return false;
    }
    return false;
}

static bool check_values(struct check *c, const struct node *n, const json_t *value,
                         const struct place *at)
{
    const struct value_rules *v = n->values;
    if (!spend(c, v->constant_size)) return false;
    if (v->constant && !json_same(v->constant, value)) return check_fail_value(c, n, value, at);
    if (v->list && !check_enum(c, v, value)) return check_fail_value(c, n, value, at);
    return true;
}

static bool check_number(struct check *c, const struct node *n, const json_t *value,
                         const struct place *at)
{
    const struct number_rules *r = n->numbers;
    const char *broken = NULL;
    /* The decimal of a real comes from its text. */
    if (r->multiple_of && !spend(c, json_is_real(value) ? 16 : 1)) return false;
    if (r->minimum && number_order(value, r->minimum) < 0)
        broken = "minimum";
    else if (r->maximum && number_order(value, r->maximum) > 0)
        broken = "maximum";
    else if (r->exclusive_minimum && number_order(value, r->exclusive_minimum) <= 0)
        broken = "exclusiveMinimum";
    else if (r->exclusive_maximum && number_order(value, r->exclusive_maximum) >= 0)
        broken = "exclusiveMaximum";
    else if (r->multiple_of && !decimal_multiple(decimal_of(value), r->divisor))
        broken = "multipleOf";
    return broken ? check_fail_number(c, n, broken, value, at) : true;
}

static bool search(struct check *c, const struct pattern *p, struct bytes text)
{
    if (!spend(c, 1 + text.len / 64)) return false;
    enum pattern_verdict verdict = pattern_search(p, &c->matcher, text, &c->work);
    if (verdict == PATTERN_TOO_COSTLY) return check_stop(c, "a pattern takes too long");
    return verdict == PATTERN_YES;
}

static bool check_string(struct check *c, const struct node *n, const json_t *value,
                         const struct place *at)
{
    const struct string_rules *s = n->strings;
    struct bytes text = { json_string_value(value), json_string_length(value) };
    bool ok = true;
    if (s->min > 0 || s->max < SIZE_MAX) {
        if (!spend(c, text.len / 64)) return false;
        size_t count = utf8_count(text.data, text.len);
        if (count < s->min)
            ok = check_fail_count(c, n, "minLength", at, "a string", "character", s->min, count);
        else if (count > s->max)
            ok = check_fail_count(c, n, "maxLength", at, "a string", "character", s->max, count);
    }
    if (!ok && !more(c)) return false;
    char found[80];
    if (s->pattern && !search(c, s->pattern, text)) {
        value_sample(value, found, sizeof found);
        ok = check_fail(c, n, "pattern", at, "expected a string that matches %.150s, found %s",
                        s->pattern_text, found);
    }
    if (!ok && !more(c)) return false;
    if (s->format && (!spend(c, text.len / 64) || !s->format->valid(text))) {
        value_sample(value, found, sizeof found);
        ok = check_fail(c, n, "format", at, "expected %s, found %s", s->format->noun, found);
    }
    return ok;
}

/* --- arrays --- */

/* Sorted by hash, equal items are neighbours: large arrays cost n log n, not n squared. */
static bool check_unique(struct check *c, const struct node *n, const json_t *value,
                         const struct place *at)
{
    size_t count = json_array_size(value);
    uint64_t size = 0;
    if (!spend(c, count)) return false;
    AUTO_FREE struct hashed *list = values_by_hash(value, &size);
    if (!spend(c, size)) return false;
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count && list[j].hash == list[i].hash; j++) {
            if (json_same(list[i].value, list[j].value))
                return check_fail(c, n, "uniqueItems", at,
                                  "expected items that all differ, found %zu and %zu the same",
                                  list[i].index, list[j].index);
            if (!spend(c, size / count + 1)) return false;
        }
    return true;
}

static bool check_contains(struct check *c, const struct node *n, const json_t *value,
                           const struct place *at, struct seen *seen)
{
    const struct array_rules *a = n->arrays;
    size_t count = json_array_size(value), found = 0;
    for (size_t i = 0; i < count && !c->stopped; i++) {
        struct place inner = { .up = at, .index = i };
        if (!check_quietly(c, a->contains, json_array_get(value, i), &inner, NULL)) continue;
        found++;
        seen_mark(seen, i, count);
        /* Without bounds or anybody who asks which items these are, one is enough. */
        if (!seen && found >= a->min_contains && a->max_contains == SIZE_MAX) return true;
    }
    if (found < a->min_contains)
        return check_fail(c, n, a->min_contains == 1 ? "contains" : "minContains", at,
                          "expected at least %zu item%s that fit%s 'contains', found %zu",
                          a->min_contains, a->min_contains == 1 ? "" : "s",
                          a->min_contains == 1 ? "s" : "", found);
    if (found > a->max_contains)
        return check_fail(c, n, "maxContains", at,
                          "expected at most %zu items that fit 'contains', found %zu",
                          a->max_contains, found);
    return true;
}

static bool check_items(struct check *c, const struct node *n, const json_t *value,
                        const struct place *at, struct seen *seen)
{
    const struct array_rules *a = n->arrays;
    size_t count = json_array_size(value), end = a->items ? count : MIN(count, a->prefix_count);
    bool ok = true;
    for (size_t i = 0; i < end; i++) {
        const struct node *inner = i < a->prefix_count ? a->prefix[i] : a->items;
        struct place place = { .up = at, .index = i };
        if (check(c, inner, json_array_get(value, i), &place, NULL)) continue;
        ok = false;
        if (!more(c)) return false;
    }
    seen_all(seen, end);
    return ok;
}

static bool check_array(struct check *c, const struct node *n, const json_t *value,
                        const struct place *at, struct seen *seen)
{
    const struct array_rules *a = n->arrays;
    size_t count = json_array_size(value);
    bool ok = true;
    if (count < a->min)
        ok = check_fail_count(c, n, "minItems", at, "an array", "item", a->min, count);
    else if (count > a->max)
        ok = check_fail_count(c, n, "maxItems", at, "an array", "item", a->max, count);
    if (!ok && !more(c)) return false;
    if (a->unique && !check_unique(c, n, value, at)) ok = false;
    if (!ok && !more(c)) return false;
    if ((a->items || a->prefix_count) && !check_items(c, n, value, at, seen)) ok = false;
    if (!ok && !more(c)) return false;
    if (a->contains && !check_contains(c, n, value, at, seen)) ok = false;
    return ok;
}

/* --- objects --- */

static const struct property *property_find(const struct object_rules *o, const char *name,
                                            size_t len)
{
    size_t low = 0, high = o->property_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct property *p = &o->properties[middle];
        int order = len != p->len ? (len < p->len ? -1 : 1) : memcmp(name, p->name, len);
        if (order == 0) return p;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static bool check_name(struct check *c, const struct node *names, const char *key, size_t len,
                       const struct place *at)
{
    AUTO_JSON *name = json_stringn_nocheck(key, len);
    return check(c, names, name, at, NULL);
}

struct member {
    const char *key;
    size_t len;
    const json_t *value;
};

/* All that is said about one member. *ret_seen: whether anything is said about its value. */
static bool check_member(struct check *c, const struct object_rules *o, const struct property *p,
                         const struct member *m, const struct place *at, bool *ret_seen)
{
    struct place inner = { .up = at, .key = m->key };
    bool ok = true;
    *ret_seen = p && p->node;
    if (o->names && !check_name(c, o->names, m->key, m->len, &inner)) ok = false;
    if (p && p->node && (ok || more(c)) && !check(c, p->node, m->value, &inner, NULL)) ok = false;
    for (size_t i = 0; i < o->pattern_count && (ok || more(c)); i++) {
        if (!search(c, o->patterns[i].pattern, (struct bytes){ m->key, m->len })) continue;
        *ret_seen = true;
        if (!check(c, o->patterns[i].node, m->value, &inner, NULL)) ok = false;
    }
    if (*ret_seen || !o->additional || !(ok || more(c))) return ok && !c->stopped;
    *ret_seen = true;
    return check(c, o->additional, m->value, &inner, NULL) && ok;
}

static bool check_required(struct check *c, const struct node *n, const json_t *value,
                           const struct place *at)
{
    const struct object_rules *o = n->objects;
    bool ok = true;
    for (size_t i = 0; i < o->property_count && (ok || more(c)); i++) {
        const struct property *p = &o->properties[i];
        struct place inner = { .up = at, .key = p->name };
        if (!p->required || json_object_getn(value, p->name, p->len)) continue;
        ok = check_fail(c, n, "required", &inner, "this property is required, and missing");
    }
    return ok;
}

static bool check_members(struct check *c, const struct node *n, const json_t *value,
                          const struct place *at, struct seen *seen)
{
    const struct object_rules *o = n->objects;
    size_t count = json_object_size(value), index = 0, required = 0;
    json_t *object = (json_t *)value; /* iterators are not const */
    bool ok = true;
    if (!spend(c, count)) return false;
    for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i), index++) {
        struct member m = { .key = json_object_iter_key(i),
                            .len = json_object_iter_key_len(i),
                            .value = json_object_iter_value(i) };
        const struct property *p = property_find(o, m.key, m.len);
        bool said;
        if (p && p->required) required++;
        if (!check_member(c, o, p, &m, at, &said)) ok = false;
        if (said) seen_mark(seen, index, count);
        if (!ok && !more(c)) return false;
    }
    if (required < o->required_count && !check_required(c, n, value, at)) ok = false;
    return ok;
}

/* The same for a few properties of a large object about whose others nothing is said. */
static bool check_few(struct check *c, const struct node *n, const json_t *value,
                      const struct place *at)
{
    const struct object_rules *o = n->objects;
    bool ok = true;
    for (size_t i = 0; i < o->property_count && (ok || more(c)); i++) {
        const struct property *p = &o->properties[i];
        const json_t *member = json_object_getn(value, p->name, p->len);
        struct place inner = { .up = at, .key = p->name };
        if (member && p->node && !check(c, p->node, member, &inner, NULL)) ok = false;
    }
    if ((ok || more(c)) && !check_required(c, n, value, at)) ok = false;
    return ok;
}

static bool check_dependents(struct check *c, const struct node *n, const json_t *value,
                             const struct place *at, struct seen *seen)
{
    const struct object_rules *o = n->objects;
    bool ok = true;
    for (size_t i = 0; i < o->dependent_count && (ok || more(c)); i++) {
        const struct dependent *d = &o->dependents[i];
        if (!spend(c, 1 + d->required_count)) return false;
        if (!json_object_get(value, d->name)) continue;
        if (d->node && !check(c, d->node, value, at, seen)) ok = false;
        for (size_t j = 0; j < d->required_count && (ok || more(c)); j++) {
            struct place inner = { .up = at, .key = d->required[j] };
            if (json_object_get(value, d->required[j])) continue;
            ok = check_fail(c, n, "dependentRequired", &inner,
                            "this property is required beside '%.80s', and missing", d->name);
        }
    }
    return ok;
}

static bool check_object(struct check *c, const struct node *n, const json_t *value,
                         const struct place *at, struct seen *seen)
{
    const struct object_rules *o = n->objects;
    size_t count = json_object_size(value);
    bool ok = true, others = o->additional || o->names || o->pattern_count;
    if (count < o->min)
        ok = check_fail_count(c, n, "minProperties", at, "an object", "property", o->min, count);
    else if (count > o->max)
        ok = check_fail_count(c, n, "maxProperties", at, "an object", "property", o->max, count);
    if (!ok && !more(c)) return false;
    if (!others && !seen && o->property_count < count / 4) {
        if (!spend(c, o->property_count) || !check_few(c, n, value, at)) ok = false;
    } else if ((others || o->property_count) && !check_members(c, n, value, at, seen)) {
        ok = false;
    }
    if (!ok && !more(c)) return false;
    if (o->dependent_count && !check_dependents(c, n, value, at, seen)) ok = false;
    return ok;
}

/* --- schemas for the same value --- */

static size_t depth_of(const struct schema_violation *v)
{
    size_t depth = 0;
    for (const char *p = v->pointer; *p; p++) depth += *p == '/';
    return depth;
}

/* Of all alternatives the one whose first violation lies deepest in the value was meant, as a rule.
 */
static bool explain(struct check *c, const struct node *n, const char *keyword,
                    const struct node_list *list, const json_t *value, const struct place *at)
{
    if (!c->report) return false;
    struct schema_report *report = c->report, nearest = { 0 };
    for (size_t i = 0; i < list->count; i++) {
        struct schema_report one = { .max = 1 };
        c->report = &one;
        (void)check(c, list->list[i], value, at, NULL);
        if (one.count && (!nearest.count || depth_of(one.list) > depth_of(nearest.list))) {
            struct schema_report swap = nearest;
            nearest = one;
            one = swap;
        }
        schema_report_done(&one);
    }
    c->report = report;
    (void)check_fail_alternatives(c, n, keyword, at, list->count,
                                  nearest.count ? nearest.list : NULL);
    schema_report_done(&nearest);
    return false;
}

static bool check_any(struct check *c, const struct node *n, const json_t *value,
                      const struct place *at, struct seen *seen)
{
    const struct node_list *any = &n->logic->any;
    bool ok = false;
    /* Who asks what was looked at needs to know of all that fit. */
    for (size_t i = 0; i < any->count && (!ok || seen) && !c->stopped; i++)
        if (check_quietly(c, any->list[i], value, at, seen)) ok = true;
    return ok || explain(c, n, "anyOf", any, value, at);
}

static bool check_one(struct check *c, const struct node *n, const json_t *value,
                      const struct place *at, struct seen *seen)
{
    const struct node_list *one = &n->logic->one;
    size_t fits = SIZE_MAX;
    for (size_t i = 0; i < one->count && !c->stopped; i++) {
        if (!check_quietly(c, one->list[i], value, at, seen)) continue;
        if (fits != SIZE_MAX)
            return check_fail(
                c, n, "oneOf", at,
                "expected what fits one of %zu alternatives only, found that %zu and %zu fit",
                one->count, fits, i);
        fits = i;
    }
    return fits != SIZE_MAX || explain(c, n, "oneOf", one, value, at);
}

static bool check_if(struct check *c, const struct logic_rules *l, const json_t *value,
                     const struct place *at, struct seen *seen)
{
    if (!l->then_ && !l->else_ && !seen) return true;
    const struct node *next = check_quietly(c, l->if_, value, at, seen) ? l->then_ : l->else_;
    return !next || check(c, next, value, at, seen);
}

/* The outermost schema on the way here that has the anchor (Core, section 8.2.3.2). */
static const struct node *dynamic_target(const struct check *c, const struct logic_rules *l)
{
    for (size_t i = 0; l->dynamic_name != SIZE_MAX && i < c->scope_count; i++) {
        const struct node *n = c->scope[i]->dynamic[l->dynamic_name];
        if (n) return n;
    }
    return l->dynamic;
}

static bool check_logic(struct check *c, const struct node *n, const json_t *value,
                        const struct place *at, struct seen *seen)
{
    const struct logic_rules *l = n->logic;
    bool ok = true;
    if (l->ref && !check(c, l->ref, value, at, seen)) ok = false;
    if (l->dynamic && (ok || more(c)) && !check(c, dynamic_target(c, l), value, at, seen))
        ok = false;
    for (size_t i = 0; i < l->all.count && (ok || more(c)); i++)
        if (!check(c, l->all.list[i], value, at, seen)) ok = false;
    if (l->any.count && (ok || more(c)) && !check_any(c, n, value, at, seen)) ok = false;
    if (l->one.count && (ok || more(c)) && !check_one(c, n, value, at, seen)) ok = false;
    if (l->not_ && (ok || more(c)) && check_quietly(c, l->not_, value, at, NULL))
        ok = check_fail(c, n, "not", at, "expected what does not fit 'not', found what fits");
    if (l->if_ && (ok || more(c)) && !check_if(c, l, value, at, seen)) ok = false;
    return ok;
}

/* --- what nobody has looked at --- */

static bool check_unevaluated_members(struct check *c, const struct node *n, const json_t *value,
                                      const struct place *at, struct seen *seen)
{
    size_t count = json_object_size(value), index = 0;
    json_t *object = (json_t *)value;
    bool ok = true;
    if (!spend(c, count)) return false;
    for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i), index++) {
        if (seen_has(seen, index)) continue;
        struct place inner = { .up = at, .key = json_object_iter_key(i) };
        if (check(c, n->objects->unevaluated, json_object_iter_value(i), &inner, NULL)) continue;
        ok = false;
        if (!more(c)) return false;
    }
    seen_all(seen, count);
    return ok;
}

static bool check_unevaluated_items(struct check *c, const struct node *n, const json_t *value,
                                    const struct place *at, struct seen *seen)
{
    size_t count = json_array_size(value);
    bool ok = true;
    if (!spend(c, count)) return false;
    for (size_t i = 0; i < count; i++) {
        if (seen_has(seen, i)) continue;
        struct place inner = { .up = at, .index = i };
        if (check(c, n->arrays->unevaluated, json_array_get(value, i), &inner, NULL)) continue;
        ok = false;
        if (!more(c)) return false;
    }
    seen_all(seen, count);
    return ok;
}

/* --- one schema --- */

static bool check_groups(struct check *c, const struct node *n, const json_t *value,
                         const struct place *at, struct seen *seen)
{
    bool ok = !n->values || check_values(c, n, value, at);
    if (!ok && !more(c)) return false;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        if (n->objects && !check_object(c, n, value, at, seen)) ok = false;
        break;
    case JSON_ARRAY:
        if (n->arrays && !check_array(c, n, value, at, seen)) ok = false;
        break;
    case JSON_STRING:
        if (n->strings && !check_string(c, n, value, at)) ok = false;
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        if (n->numbers && !check_number(c, n, value, at)) ok = false;
        break;
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL: break;
    }
    if (n->logic && (ok || more(c)) && !check_logic(c, n, value, at, seen)) ok = false;
    return ok;
}

static bool check_unevaluated(struct check *c, const struct node *n, const json_t *value,
                              const struct place *at, struct seen *seen)
{
    CLEANUP(seen_done) struct seen own = { 0 };
    bool ok = check_groups(c, n, value, at, &own);
    if (!ok) return false; /* what was looked at is not known */
    ok = json_is_object(value) ? check_unevaluated_members(c, n, value, at, &own)
                               : check_unevaluated_items(c, n, value, at, &own);
    if (ok && seen) seen_merge(seen, &own);
    return ok;
}

static bool check_node(struct check *c, const struct node *n, const json_t *value,
                       const struct place *at, struct seen *seen)
{
    if (n->never)
        return check_fail(c, n, NULL, at,
                          !at       ? "the schema allows no value at all"
                          : at->key ? "the schema allows no such property"
                                    : "the schema allows no such item");
    if (n->types) {
        enum schema_type type = value_type(value);
        unsigned is = 1u << type | (type == TYPE_INTEGER ? 1u << TYPE_NUMBER : 0);
        if (!(n->types & is)) return check_fail_type(c, n, value, at);
    }
    bool unevaluated = (json_is_object(value) && n->objects && n->objects->unevaluated) ||
                       (json_is_array(value) && n->arrays && n->arrays->unevaluated);
    return unevaluated ? check_unevaluated(c, n, value, at, seen)
                       : check_groups(c, n, value, at, seen);
}

static bool check(struct check *c, const struct node *n, const json_t *value,
                  const struct place *at, struct seen *seen)
{
    if (c->stopped || !spend(c, 1)) return false;
    if (++c->depth > SCHEMA_NESTING_MAX) {
        c->depth--;
        return check_stop(c, "the schema and the value are nested too deep");
    }
    bool enter = c->s->dynamic && !n->never && !c->in_scope[n->resource->index_used];
    if (enter) {
        c->scope[c->scope_count++] = n->resource;
        c->in_scope[n->resource->index_used] = true;
    }
    bool ok = check_node(c, n, value, at, seen);
    if (enter) c->in_scope[c->scope[--c->scope_count]->index_used] = false;
    c->depth--;
    return ok && !c->stopped;
}

static bool run(const struct schema *s, const json_t *value, struct schema_report *report,
                bool *ret_stopped, struct err *e)
{
    struct check c = { .s = s, .work = s->work_max, .report = report, .e = e };
    if (s->dynamic) {
        c.scope = xcalloc(s->resource_count, sizeof(struct resource *));
        c.in_scope = xcalloc(s->resource_count, sizeof *c.in_scope);
    }
    bool ok = check(&c, s->root, value, NULL, NULL);
    matcher_free(c.matcher);
    free(c.scope);
    free(c.in_scope);
    *ret_stopped = c.stopped;
    return ok;
}

bool schema_check_all(const struct schema *s, const json_t *value, struct schema_report *r,
                      struct err *e)
{
    bool stopped;
    if (run(s, value, NULL, &stopped, e)) return true;
    if (stopped) return false;
    (void)run(s, value, r, &stopped, e);
    if (r->count)
        report_error(r, e);
    else /* to say why takes more work than to find out */
        err_fail(e, ERR_INVALID,
                 "the value does not fit the schema, for reasons that take too "
                 "long to find");
    return false;
}

bool schema_check(const struct schema *s, const json_t *value, struct err *e)
{
    struct schema_report r = { .max = 1 };
    bool ok = schema_check_all(s, value, &r, e);
    schema_report_done(&r);
    return ok;
}
