/* SPDX-License-Identifier: Apache-2.0
 *
 * How types fit each other while they are found out (types.c), for check.c. */
#ifndef TUTTI_CEL_TYPES_H
#define TUTTI_CEL_TYPES_H

#include "common/cel/check.h"

/* What the parameters stand for. */
struct typing {
    struct scope *scope;
    const struct type **found; /* by id; NULL: not known yet */
    size_t count, cap;
    struct type_bound *trail; /* what was bound, to take it back */
    size_t trail_len, trail_cap;
};

/* A type without parts. */
const struct type *type_simple(enum type_kind kind);
const struct type *type_param(struct typing *t);
const struct type *type_of_one(struct typing *t, enum type_kind kind, const struct type *part);
const struct type *type_of_two(struct typing *t, enum type_kind kind, const struct type *key,
                               const struct type *value);
/* Follows parameters to what they stand for, as far as that is known. */
const struct type *type_found(const struct typing *t, const struct type *type);
/* The type with what its parameters stand for in their place, and dyn for the others. */
const struct type *type_final(struct typing *t, const struct type *type);
/* Parameters that were bound after the mark are as they were then. */
size_t type_mark(const struct typing *t);
void type_undo(struct typing *t, size_t mark);
void type_bind(struct typing *t, const struct type *param, const struct type *type);
/* Whether a value of `from` fits where `to` is wanted, or the other way round; parameters are bound
 * by it. If not, nothing changes. */
bool type_fits(struct typing *t, const struct type *to, const struct type *from);
/* Both as one type: the more general one, dyn if they do not fit. a may be NULL. */
const struct type *type_join(struct typing *t, const struct type *a, const struct type *b);
bool type_same(const struct typing *t, const struct type *a, const struct type *b);
/* Parameters 0 to 9 of the type with fresh ones in their place; fresh[] begins with NULLs. */
const struct type *type_fresh(struct typing *t, const struct type *type,
                              const struct type *fresh[10]);
/* Appends "map(string, int)". */
void type_write(const struct typing *t, const struct type *type, struct buf *ret);

#endif
