/* SPDX-License-Identifier: Apache-2.0
 *
 * The name that somebody probably meant.
 */
#ifndef TUTTI_NEAREST_H
#define TUTTI_NEAREST_H

#include "common/base/base.h"

/* The one of names that is nearest to name, without regard to case, or NULL if none is near (a
 * third of the letters may be wrong) or name is one of them. */
const char *nearest_name(const char *name, const char *const *names, size_t count);

#endif
