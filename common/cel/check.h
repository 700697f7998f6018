/* SPDX-License-Identifier: Apache-2.0
 *
 * The types of expressions, before they are evaluated: what type an expression has, and operators
 * and functions that have no overload for the types of what they are given. What is not known has
 * the type dyn, which fits everywhere. */
#ifndef TUTTI_CEL_CHECK_H
#define TUTTI_CEL_CHECK_H

#include "common/cel/cel.h"
#include "common/cel/value.h"

/* The types of values, and three that no value has. */
enum type_kind {
#define X(name, text) TYPE_##name,
    VAL_TYPES(X)
#undef X
        TYPE_DYN,
    TYPE_PARAM,   /* id: stands for a type that is found out */
    TYPE_ABSTRACT /* name, params: a type of the host */
};

struct type {
    enum type_kind kind;
    uint32_t id, depth;
    uint32_t count; /* of params: 1 of LIST and OPTIONAL, 2 of MAP: key and value */
    const char *name;
    const struct type *const *params;
};

/* Parameters are numbered from 0 in each overload. */
struct overload {
    size_t count;
    const struct type *const *args; /* the target of a method comes first */
    const struct type *result;
};

/* What the host has. Both may be NULL: then names are dyn, and there are no other functions. */
struct check_env {
    /* The type of a path, of which a prefix may be consumed, as cel_env.resolve does it; false if
     * it is not known, which makes it dyn. */
    bool (*variable)(void *user, const char *const *names, size_t count, size_t *ret_used,
                     const struct type **ret);
    /* The overloads of a function that CEL does not have; 0 if there is none. */
    size_t (*overloads)(void *user, const char *function, const struct overload **ret);
    void *user;
};

/* *ret, which lives in the scope, has no parameters any more: dyn is in their place. Fails with
 * ERR_INVALID and a text like those of cel_compile. */
MUST_CHECK bool cel_check(const struct cel *c, const struct check_env *env, struct scope *a,
                          const struct type **ret, size_t *ret_offset, struct err *e);

#endif
