/* SPDX-License-Identifier: Apache-2.0
 *
 * matches(): RE2 behind four functions of C. CEL asks for RE2's syntax, and RE2 searches in time
 * that is linear in the text, whatever the pattern. */
#ifndef TUTTI_CEL_REGEX_H
#define TUTTI_CEL_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct regex;

/* NULL: the pattern is none, or too large; ret_error says what is wrong with it, NUL-terminated and
 * cut to error_size bytes. */
struct regex *regex_compile(const char *pattern, size_t len, char *ret_error, size_t error_size);
void regex_free(struct regex *r);
/* How many instructions the program has: a search takes at most so many steps a byte. */
size_t regex_size(const struct regex *r);
/* Whether the text contains a match. May be called by several threads at once. */
bool regex_search(const struct regex *r, const char *text, size_t len);

#ifdef __cplusplus
}
#endif

#endif
