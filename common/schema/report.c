/* SPDX-License-Identifier: Apache-2.0
 *
 * What a failed check says: where in the value, what is wanted, what is there, and which keyword
 * wants it.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/schema/check.h"

static const struct {
    const char *text, *noun;
} types[] = {
#define X(name, text_, noun_) [TYPE_##name] = { .text = text_, .noun = noun_ },
    SCHEMA_TYPES(X)
#undef X
};
static_assert(ARRAY_LEN(types) == TYPE_COUNT, "every type needs a name");

static void pointer_add(struct buf *b, const struct place *place)
{
    if (!place) return;
    pointer_add(b, place->up);
    buf_add_char(b, '/');
    if (!place->key) {
        buf_add_int(b, (int64_t)place->index);
        return;
    }
    for (const char *p = place->key; *p; p++) {
        if (*p == '~')
            buf_add_text(b, "~0");
        else if (*p == '/')
            buf_add_text(b, "~1");
        else
            buf_add_char(b, *p);
    }
}

bool check_fail(struct check *c, const struct node *n, const char *keyword, const struct place *at,
                const char *fmt, ...)
{
    struct schema_report *r = c->report;
    if (!r || c->stopped || r->count >= r->max) return false;
    AUTO_BUF struct buf pointer = { 0 }, address = { 0 };
    buf_add_text(&pointer, "");
    pointer_add(&pointer, at);
    node_address(&address, n);
    if (keyword) buf_addf(&address, "/%s", keyword);
    char text[sizeof c->e->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    text_one_line(text);
    r->list = xrealloc(r->list, (r->count + 1) * sizeof *r->list);
    r->list[r->count++] = (struct schema_violation){
        .pointer = buf_take(&pointer, NULL),
        .keyword = buf_take(&address, NULL),
        .text = xstrdup(text),
    };
    return false;
}

bool check_fail_type(struct check *c, const struct node *n, const json_t *value,
                     const struct place *at)
{
    if (!c->report) return false;
    AUTO_BUF struct buf want = { 0 };
    for (unsigned i = 0; i < TYPE_COUNT; i++) {
        if (!(n->types & 1u << i)) continue;
        if (want.len) buf_add_text(&want, " or ");
        buf_add_text(&want, types[i].noun);
    }
    return check_fail(c, n, "type", at, "expected %s, found %s", want.data,
                      types[value_type(value)].noun);
}

bool check_fail_value(struct check *c, const struct node *n, const json_t *value,
                      const struct place *at)
{
    if (!c->report) return false;
    const struct value_rules *v = n->values;
    bool constant = v->constant && !json_same(v->constant, value);
    char found[80], want[160];
    value_sample(value, found, sizeof found);
    value_sample(constant ? v->constant : v->list, want, sizeof want);
    return check_fail(c, n, constant ? "const" : "enum", at, "expected %s%s, found %s",
                      constant ? "" : "one of ", want, found);
}

bool check_fail_count(struct check *c, const struct node *n, const char *keyword,
                      const struct place *at, const char *kind, const char *unit, size_t bound,
                      size_t found)
{
    const char *many = strcmp(unit, "property") == 0 ? "properties" : NULL;
    char plural[32];
    snprintf(plural, sizeof plural, "%ss", unit);
    return check_fail(c, n, keyword, at, "expected %s of at %s %zu %s, found %zu", kind,
                      found < bound ? "least" : "most", bound,
                      bound == 1 ? unit
                      : many     ? many
                                 : plural,
                      found);
}

bool check_fail_number(struct check *c, const struct node *n, const char *keyword,
                       const json_t *value, const struct place *at)
{
    if (!c->report) return false;
    const struct number_rules *r = n->numbers;
    const struct {
        const char *keyword, *text;
        const json_t *bound;
    } bounds[] = {
        { "minimum", "at least", r->minimum },
        { "maximum", "at most", r->maximum },
        { "exclusiveMinimum", "above", r->exclusive_minimum },
        { "exclusiveMaximum", "below", r->exclusive_maximum },
        { "multipleOf", "that is a multiple of", r->multiple_of },
    };
    size_t i = 0;
    while (strcmp(bounds[i].keyword, keyword) != 0) i++;
    char found[40], want[40];
    value_sample(value, found, sizeof found);
    value_sample(bounds[i].bound, want, sizeof want);
    return check_fail(c, n, keyword, at, "expected a number %s %s, found %s", bounds[i].text, want,
                      found);
}

bool check_fail_alternatives(struct check *c, const struct node *n, const char *keyword,
                             const struct place *at, size_t count,
                             const struct schema_violation *nearest)
{
    if (!nearest)
        return check_fail(c, n, keyword, at,
                          "expected one of %zu alternatives, found none that fits", count);
    AUTO_BUF struct buf pointer = { 0 };
    pointer_add(&pointer, at);
    bool same = strlen(nearest->pointer) == pointer.len; /* it begins alike in any case */
    return check_fail(
        c, n, keyword, at,
        "expected one of %zu alternatives, found none that fits; the nearest: %.100s%s%s", count,
        same ? "" : nearest->pointer, same ? "" : ": ", nearest->text);
}

bool check_stop(struct check *c, const char *what)
{
    if (!c->stopped) err_fail(c->e, ERR_LIMIT, "the value cannot be checked: %s", what);
    c->stopped = true;
    return false;
}

void violation_done(struct schema_violation *v)
{
    free(v->pointer);
    free(v->keyword);
    free(v->text);
}

void schema_report_done(struct schema_report *r)
{
    for (size_t i = 0; i < r->count; i++) violation_done(&r->list[i]);
    free(r->list);
    *r = (struct schema_report){ 0 };
}

void report_error(const struct schema_report *r, struct err *e)
{
    const struct schema_violation *v = &r->list[0];
    const char *pointer = *v->pointer ? v->pointer : "the value";
    size_t len = strlen(pointer), room = 150; /* a long one must not crowd out the rest */
    err_fail(e, ERR_INVALID, "%s%s: %s (%.100s)", len > room ? "..." : "",
             len > room ? pointer + len - room : pointer, v->text, v->keyword);
}
