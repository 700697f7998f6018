/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of JSON Schema 2020-12 that is enforced so far. What is not is refused when the schema
 * is compiled, never ignored: an unknown keyword is an error that names it. */
#ifndef TUTTI_SCHEMA_H
#define TUTTI_SCHEMA_H

#include "common/base/err.h"
#include "common/base/json.h"

struct schema;

/* Compiles. On failure NULL, ERR_UNSUPPORTED or ERR_INVALID, e names the keyword; *ret_pointer (may
 * be NULL) is where, to free(). */
MUST_CHECK struct schema *schema_compile(const json_t *value, char **ret_pointer, struct err *e);
struct schema *schema_free(struct schema *s);
DEFINE_CLEANUP(struct schema *, schema_free)
/* Whether value is valid; e says the JSON pointer in the value, what it is and what is wanted. */
MUST_CHECK bool schema_check(const struct schema *s, const json_t *value, struct err *e);

#endif
