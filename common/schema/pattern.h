/* SPDX-License-Identifier: Apache-2.0
 *
 * `pattern` and `patternProperties`: regular expressions of ECMA-262 with the flag u, searched for
 * anywhere in a text. This is all that schemas know of the engine behind it.
 */
#ifndef TUTTI_SCHEMA_PATTERN_H
#define TUTTI_SCHEMA_PATTERN_H

#include "common/base/buf.h"
#include "common/base/err.h"

struct pattern; /* compiled; may be shared by threads */
struct matcher; /* the memory of searches, of one thread */

/* Compiles; NULL with e (ERR_INVALID, or ERR_LIMIT where it is too long or gets too large), whose
 * text begins with the offset in source where that is known. */
MUST_CHECK struct pattern *pattern_compile(struct bytes source, struct err *e);
struct pattern *pattern_free(struct pattern *p);
DEFINE_CLEANUP(struct pattern *, pattern_free)
/* Bytes that it takes. */
size_t pattern_size(const struct pattern *p);

enum pattern_verdict { PATTERN_NO, PATTERN_YES, PATTERN_TOO_COSTLY };

/* Searches text. *matcher is made when it is first needed. *work is what is left; it gets less. */
MUST_CHECK enum pattern_verdict pattern_search(const struct pattern *p, struct matcher **matcher,
                                               struct bytes text, uint64_t *work);
struct matcher *matcher_free(struct matcher *m);

#endif
