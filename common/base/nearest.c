/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/nearest.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/limits.h"

enum { DISTANCE_MAX = 3, OFFERED_BYTES_MAX = 63 };

/* The distance of two names by insertions, deletions, substitutions and swaps of neighbours
 * ("optimal string alignment", Damerau 1964), without regard to case. Names are at most
 * NAME_BYTES_MAX long; longer ones are compared by their beginning. */
static size_t distance(const char *a, const char *b)
{
    size_t an = strnlen(a, NAME_BYTES_MAX), bn = strnlen(b, NAME_BYTES_MAX);
    size_t rows[3][NAME_BYTES_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= bn; j++) above[j] = j;
    for (size_t i = 1; i <= an; i++) {
        row[0] = i;
        for (size_t j = 1; j <= bn; j++) {
            size_t same = strncasecmp(&a[i - 1], &b[j - 1], 1) != 0;
            size_t gap = MIN(above[j], row[j - 1]) + 1;
            size_t best = MIN(gap, above[j - 1] + same);
            if (i > 1 && j > 1 && strncasecmp(&a[i - 1], &b[j - 2], 1) == 0 &&
                strncasecmp(&a[i - 2], &b[j - 1], 1) == 0)
                best = MIN(best, before[j - 2] + 1);
            row[j] = best;
        }
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[bn];
}

const char *nearest_name(const char *name, const char *const *names, size_t count)
{
    /* A third of the letters may be wrong; of three or fewer, one. */
    size_t best = strlen(name) < 3 ? 2 : strlen(name) / 3 + 1;
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) continue;
        size_t d = distance(name, names[i]);
        if (d >= best || d >= strlen(names[i])) continue;
        best = d;
        nearest = names[i];
    }
    return nearest;
}

void nearest_offer(struct nearest *n, const char *name)
{
    if (strlen(name) > OFFERED_BYTES_MAX) return;
    size_t d = distance(n->wanted, name);
    if (d > DISTANCE_MAX || d >= strlen(n->wanted)) return;
    size_t at = n->count;
    while (at > 0 && n->distance[at - 1] > d) at--;
    if (at == NEAREST_MAX) return;
    if (n->count < NEAREST_MAX) n->count++;
    for (size_t i = n->count - 1; i > at; i--) {
        n->name[i] = n->name[i - 1];
        n->distance[i] = n->distance[i - 1];
    }
    n->name[at] = name;
    n->distance[at] = d;
}

void nearest_text(const struct nearest *n, char ret[NEAREST_TEXT_MAX])
{
    size_t len = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < n->count; i++)
        len += (size_t)snprintf(ret + len, NEAREST_TEXT_MAX - len, "%s%s",
                                i ? ", " : " (did you mean ", n->name[i]);
    if (n->count) snprintf(ret + len, NEAREST_TEXT_MAX - len, "?)");
}
