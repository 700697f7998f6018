/* SPDX-License-Identifier: Apache-2.0
 *
 * Where two values differ, for people. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/trial/parts.h"

#define DIFFERENCES_MAX 20  /* of one value: more say no more */
#define SHOWN_BYTES_MAX 300 /* of one value in a message */

void trial_problem_add(struct trial_problems *p, uint32_t line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = xvasprintf(fmt, args);
    va_end(args);
    p->list = xrealloc(p->list, (p->count + 1) * sizeof *p->list);
    p->list[p->count++] = (struct trial_problem){ .line = line, .text = text };
}

struct differ {
    struct trial_problems *problems;
    uint32_t line;
    struct buf where;
    size_t found;
    bool partial;
};

/* A value as it is shown, cut between characters where it is long. */
static char *shown(const json_t *value)
{
    AUTO_BUF struct buf b = { 0 };
    if (value)
        json_write(&b, value);
    else
        buf_add_text(&b, "nothing");
    if (b.len > SHOWN_BYTES_MAX) {
        size_t cut = SHOWN_BYTES_MAX;
        while (cut > 0 && ((unsigned char)b.data[cut] & 0xC0) == 0x80) cut--;
        b.len = cut;
        buf_add_text(&b, "…");
    }
    return buf_take(&b, NULL);
}

/* wanted NULL: it should not be there; actual NULL: it is not. */
static void report(struct differ *d, const json_t *wanted, const json_t *actual)
{
    d->found++;
    if (d->found == DIFFERENCES_MAX + 1)
        trial_problem_add(d->problems, d->line, "%s: and more differences", d->where.data);
    if (d->found > DIFFERENCES_MAX) return;
    AUTO_FREE char *first = shown(wanted), *second = shown(actual);
    trial_problem_add(d->problems, d->line, "%s: expected %s, got %s", d->where.data, first,
                      second);
}

static void walk(struct differ *d, const json_t *wanted, const json_t *actual);

static void walk_member(struct differ *d, const char *name, const json_t *wanted,
                        const json_t *actual)
{
    size_t before = d->where.len;
    buf_addf(&d->where, "%s%s", *name == '[' ? "" : ".", name);
    if (wanted && actual)
        walk(d, wanted, actual);
    else
        report(d, wanted, actual);
    d->where.data[d->where.len = before] = '\0';
}

static void walk_objects(struct differ *d, const json_t *wanted, const json_t *actual)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)wanted, key, value) {
        walk_member(d, key, value, json_object_get(actual, key));
    }
    if (d->partial) return;
    json_object_foreach((json_t *)actual, key, value) {
        if (!json_object_get(wanted, key)) walk_member(d, key, NULL, value);
    }
}

static void walk(struct differ *d, const json_t *wanted, const json_t *actual)
{
    size_t size = json_array_size(wanted);
    if (json_is_object(wanted) && json_is_object(actual)) {
        walk_objects(d, wanted, actual);
    } else if (json_is_array(wanted) && json_is_array(actual) && size == json_array_size(actual)) {
        for (size_t i = 0; i < size; i++) {
            AUTO_FREE char *name = xasprintf("[%zu]", i);
            walk_member(d, name, json_array_get(wanted, i), json_array_get(actual, i));
        }
    } else if (!json_same(wanted, actual)) {
        report(d, wanted, actual);
    }
}

void trial_diff(struct trial_problems *ret, uint32_t line, const char *where, const json_t *wanted,
                const json_t *actual, bool partial)
{
    struct differ d = { .problems = ret, .line = line, .partial = partial };
    buf_add_text(&d.where, where);
    if (actual)
        walk(&d, wanted, actual);
    else
        report(&d, wanted, NULL);
    buf_done(&d.where);
}
