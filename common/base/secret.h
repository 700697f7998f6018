/* SPDX-License-Identifier: Apache-2.0
 *
 * A secret is a type of its own that no log or JSON writer accepts; its memory is wiped on release.
 */
#ifndef TUTTI_SECRET_H
#define TUTTI_SECRET_H

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"

struct secret {
    char *bytes; /* NUL-terminated; NULL: there is none */
    size_t len;
};

static inline struct secret secret_new(const char *text, size_t len)
{
    return (struct secret){ .bytes = xstrndup(text, len), .len = len };
}
static inline void secret_done(struct secret *s)
{
    if (s->bytes) {
        explicit_bzero(s->bytes, s->len);
        free(s->bytes);
    }
    *s = (struct secret){ 0 };
}

#endif
