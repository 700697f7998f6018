/* SPDX-License-Identifier: Apache-2.0
 *
 * URI references (RFC 3986), as far as schemas need them: nothing is ever fetched.
 */
#ifndef TUTTI_SCHEMA_URI_H
#define TUTTI_SCHEMA_URI_H

#include "common/base/buf.h"

/* Appends reference resolved against base (section 5.2). base may be "" or relative: what is
 * missing stays missing. The fragment of base does not count. */
void uri_resolve(struct buf *ret, const char *base, const char *reference);
/* Appends text with its %XX decoded; false for a broken one, or %00. */
bool uri_decode(struct buf *ret, const char *text);

#endif
