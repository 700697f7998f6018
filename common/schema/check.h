/* SPDX-License-Identifier: Apache-2.0
 *
 * A check under way, shared by the walk (check.c) and what it says about failures (report.c).
 */
#ifndef TUTTI_SCHEMA_CHECK_H
#define TUTTI_SCHEMA_CHECK_H

#include "common/schema/node.h"

/* The way to the value at hand, a list on the stack: it becomes a JSON pointer only where a check
 * fails. */
struct place {
    const struct place *up;
    const char *key; /* NULL: index */
    size_t index;
};

struct check {
    const struct schema *s;
    uint64_t work; /* left */
    unsigned depth;
    bool stopped; /* by a limit: whatever is returned means nothing any more; e has it */
    struct matcher *matcher;
    /* The dynamic scope: resources that are entered, the first one outermost, and whether each is
     * there. */
    const struct resource **scope;
    size_t scope_count;
    bool *in_scope;
    /* NULL: nobody wants to know why, and the first failure is the end. */
    struct schema_report *report;
    struct err *e;
};

/* Whether the walk should go on behind a failure. */
static inline bool more(const struct check *c)
{
    return c->report && !c->stopped && c->report->count < c->report->max;
}

/* Says why, if somebody wants to know; returns false. keyword: of n; NULL: n itself. */
bool check_fail(struct check *c, const struct node *n, const char *keyword, const struct place *at,
                const char *fmt, ...) PRINTF_LIKE(5, 6);

bool check_fail_type(struct check *c, const struct node *n, const json_t *value,
                     const struct place *at);
bool check_fail_value(struct check *c, const struct node *n, const json_t *value,
                      const struct place *at);
/* A count that is out of bounds: "expected an array of at least 2 items, found 1". */
bool check_fail_count(struct check *c, const struct node *n, const char *keyword,
                      const struct place *at, const char *kind, const char *unit, size_t bound,
                      size_t found);
bool check_fail_number(struct check *c, const struct node *n, const char *keyword,
                       const json_t *value, const struct place *at);
/* None of the alternatives fits; nearest (may be NULL) is why the nearest one does not. */
bool check_fail_alternatives(struct check *c, const struct node *n, const char *keyword,
                             const struct place *at, size_t count,
                             const struct schema_violation *nearest);

/* Stops the check; returns false. */
bool check_stop(struct check *c, const char *what);
/* Takes from the work that is left; false when there is none. */
static inline bool spend(struct check *c, uint64_t steps)
{
    if (c->work > steps) {
        c->work -= steps;
        return true;
    }
    c->work = 0;
    return check_stop(c, "it takes more work than one check may do");
}

void violation_done(struct schema_violation *v);
/* Where the first violation stands, as text of an error. */
void report_error(const struct schema_report *r, struct err *e);

#endif
