/* SPDX-License-Identifier: Apache-2.0
 *
 * Templates: a JSON value whose strings may hold ${expression}. A string that is exactly one ${...}
 * keeps the value's type; elsewhere values are inserted as text (strings as they are, others as
 * compact JSON). $${ is a literal ${. Object keys are never templates. */
#ifndef TUTTI_TEMPLATE_H
#define TUTTI_TEMPLATE_H

#include "common/cel/cel.h"
#include "common/proto/message.h"

struct template;

/* Compiles. On failure NULL; *ret_pointer (may be NULL) is the JSON pointer of the string at fault,
 * to free(), and ret_offset (may be NULL) the byte offset in that string. */
MUST_CHECK struct template *template_compile(const json_t *value, char **ret_pointer,
                                             size_t *ret_offset, struct err *e);
struct template *template_free(struct template *t);
DEFINE_CLEANUP(struct template *, template_free)

/* cel_check of every expression within, with names that may be anything. On failure as
 * template_compile has it. */
MUST_CHECK bool template_check(const struct template *t, char **ret_pointer, size_t *ret_offset,
                               struct err *e);

bool template_is_constant(const struct template *t);

/* What an evaluation needs beside the names. */
struct template_env {
    struct cel_env cel;
    /* The encoded JSON of a path, if it is at hand, so that a template that is one ${path} needs no
     * parsing; may be NULL. The view must live until template_eval returns. */
    bool (*raw)(void *user, const char *const *names, size_t count, struct bytes *ret);
    /* Where ${secrets.NAME} may stand: each use inserts nothing and is noted here. NULL: an error
     * that says so. `secrets` may only be used as exactly secrets.NAME, never inside a larger
     * expression. */
    struct secret_refs *secrets;
};

/* Appends the encoded JSON result. A result that is larger than bytes_max is ERR_LIMIT and names
 * the limit. Errors name the JSON pointer of the string. */
MUST_CHECK bool template_eval(const struct template *t, struct template_env *env, size_t bytes_max,
                              struct buf *ret, struct err *e);
/* As a JSON value: a new reference. */
MUST_CHECK bool template_eval_json(const struct template *t, struct template_env *env, json_t **ret,
                                   struct err *e);
/* cel_paths of every expression within; pointer: of the string. */
void template_paths(const struct template *t,
                    void (*fn)(void *user, const char *pointer, const char *const *names,
                               size_t count, size_t offset),
                    void *user);

#endif
