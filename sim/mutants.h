/* SPDX-License-Identifier: Apache-2.0
 *
 * Switching deliberate bugs on and off. In the ordinary build there are none. */
#ifndef TUTTI_SIM_MUTANTS_H
#define TUTTI_SIM_MUTANTS_H

#include "common/base/mutant.h"

#ifdef TUTTI_MUTANTS
/* Makes this one the bug that is there; returns the one before. */
enum mutant mutant_set(enum mutant mutant);
const char *mutant_name(enum mutant mutant);
#else
static inline enum mutant mutant_set(enum mutant mutant)
{
    return mutant;
}
#endif

#endif
