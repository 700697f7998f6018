/* SPDX-License-Identifier: Apache-2.0
 *
 * The Common Expression Language (cel-spec, langdef.md) over JSON values. Pure: no clock, no I/O,
 * no randomness; bounded by a cost limit, so an evaluation always ends soon. The extensions that
 * the specification's own tests have are there too: optionals, bindings, blocks, macros with two
 * variables, math, strings and encoders. Protobuf messages and enums are not. */
#ifndef TUTTI_CEL_H
#define TUTTI_CEL_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/json.h"

struct cel; /* a compiled expression; immutable, may be shared by threads */
struct val; /* a value of CEL: value.h */
struct scope;

#define CEL_COST_MAX   1000000 /* default of cel_env.cost_max: some 100 ms at the worst */
#define CEL_SOURCE_MAX (64 * 1024)
#define CEL_DEPTH_MAX  64 /* nesting of the source */

/* Compiles. On failure NULL, and e's text says line and column within the source ("1:7: ...");
 * ret_offset (may be NULL) is the byte offset of the fault. */
MUST_CHECK struct cel *cel_compile(struct bytes source, size_t *ret_offset, struct err *e);
/* The same, but a function that does not exist is an error of the evaluation that gets there, as
 * the specification has it for expressions that nobody checks. */
MUST_CHECK struct cel *cel_compile_unchecked(struct bytes source, size_t *ret_offset,
                                             struct err *e);
struct cel *cel_free(struct cel *c);
DEFINE_CLEANUP(struct cel *, cel_free)

/* Where names get their values. */
struct cel_env {
    /* Resolves a dotted path of identifiers, names[0..count), of which the resolver may consume a
     * prefix: it sets *ret_used (>= 1) and *ret (a new reference). `steps.extract.output.topic`
     * arrives as four names; a resolver that knows steps.extract.output consumes three, the
     * evaluator selects the rest. Returns false with e for an unknown name. */
    bool (*resolve)(void *user, const char *const *names, size_t count, size_t *ret_used,
                    json_t **ret, struct err *e);
    /* In its place, for values that JSON does not have; *ret must live as long as the evaluation.
     * May be NULL. */
    bool (*resolve_value)(void *user, const char *const *names, size_t count, size_t *ret_used,
                          struct val *ret, struct err *e);
    /* Like resolve, for has(a.b.c): whether the path exists. May be NULL: then by resolve. */
    bool (*exists)(void *user, const char *const *names, size_t count, bool *ret, struct err *e);
    /* How many seconds east of UTC a named time zone is at a time (seconds since 1970). NULL, as
     * wherever a log is replayed: names are refused, because what they mean changes with the time
     * zone database; offsets such as '+02:00' always work. */
    bool (*zone)(void *user, const char *name, int64_t s, int32_t *ret);
    void *user;
    uint64_t cost_max; /* 0: CEL_COST_MAX */
    uint64_t cost;     /* spent; summed up over evaluations with this env */
};

/* Evaluates. *ret: a new reference to a value that may be shared with the expression and with what
 * resolve returned: never change it. What JSON does not have becomes: a uint a number, beyond 2^63
 * its digits as a string; bytes base64; a timestamp RFC 3339; a duration seconds, "3.5s"; a type
 * its name; an optional its value, or null; a key of a map its text. NaN, infinities and NUL
 * characters are errors. Errors (no such key, no such overload, division by zero, overflow, cost
 * limit ...) say what and where in the source; kind ERR_INVALID, or ERR_LIMIT for the cost, or the
 * kind of a failed resolve. && and || and the macros absorb errors as CEL demands, but only
 * ERR_INVALID and ERR_NOT_FOUND: what else a resolver reports ends the evaluation. */
MUST_CHECK bool cel_eval(const struct cel *c, struct cel_env *env, json_t **ret, struct err *e);
/* The same as a value of CEL, which lives in the scope and may point into the expression and into
 * what was resolved. */
MUST_CHECK bool cel_eval_value(const struct cel *c, struct cel_env *env, struct scope *a,
                               struct val *ret, struct err *e);

/* Calls fn for every free dotted path that the expression may read (["steps","a","output"]; a path
 * ends where an index, a call or a macro begins), once per occurrence, with its byte offset. For
 * validation and for finding secrets. The name of a type (int, string, list, map, type,
 * google.protobuf.Duration ...) is not reported: it means the type where the environment knows no
 * such name. */
void cel_paths(const struct cel *c,
               void (*fn)(void *user, const char *const *names, size_t count, size_t offset),
               void *user);
/* If the whole expression is one dotted path: its names (borrowed), else NULL. */
const char *const *cel_as_path(const struct cel *c, size_t *ret_count);

#endif
