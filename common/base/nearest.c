/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/nearest.h"

#include <stdio.h>
#include <string.h>

enum { DISTANCE_MAX = 3, COMPARED_MAX = 64 };

/* Levenshtein's distance by Wagner and Fischer's dynamic programme, one row at a time. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strnlen(a, COMPARED_MAX), m = strnlen(b, COMPARED_MAX);
    if (n >= COMPARED_MAX || m >= COMPARED_MAX) return COMPARED_MAX;
    size_t row[COMPARED_MAX];
    for (size_t j = 0; j <= m; j++) row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t above = row[j];
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t shift = MIN(above, row[j - 1]) + 1;
            row[j] = MIN(shift, change);
            diagonal = above;
        }
    }
    return row[m];
}

void nearest_offer(struct nearest *n, const char *name)
{
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
