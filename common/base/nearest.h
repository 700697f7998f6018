/* SPDX-License-Identifier: Apache-2.0
 *
 * The names that are nearest to one that does not exist, for a message.
 */
#ifndef TUTTI_NEAREST_H
#define TUTTI_NEAREST_H

#include "common/base/base.h"

#define NEAREST_MAX 3

/* Begin with { .wanted = ... }. */
struct nearest {
    const char *wanted;
    const char *name[NEAREST_MAX]; /* the nearest first; borrowed from nearest_offer */
    size_t distance[NEAREST_MAX];
    size_t count;
};

/* Keeps the name if it is near enough: at most three letters apart, and fewer than it has. Names of
 * 64 bytes and more are never near. */
void nearest_offer(struct nearest *n, const char *name);
/* " (did you mean a, b?)", or nothing. */
#define NEAREST_TEXT_MAX (NEAREST_MAX * 66 + 24)
void nearest_text(const struct nearest *n, char ret[NEAREST_TEXT_MAX]);

/* The one of names that is nearest to name, without regard to case, or NULL if none is near (a
 * third of the letters may be wrong) or name is one of them. */
const char *nearest_name(const char *name, const char *const *names, size_t count);

#endif
