/* SPDX-License-Identifier: Apache-2.0
 *
 * Deliberate bugs, to prove that the simulator would find them. They exist in its test build only
 * (TUTTI_MUTANTS), where one can be switched on; everywhere else MUTANT(x) is the constant false.
 * Those of Lua scripts are made by rewriting a line of the script (sim/mutants.c). */
#ifndef TUTTI_MUTANT_H
#define TUTTI_MUTANT_H

#include "common/base/base.h"

/* X(enumerator, what the bug does) */
#define MUTANTS(X) X(NONE, "nothing")

enum mutant {
#define X(name, text) MUTANT_##name,
    MUTANTS(X)
#undef X
        MUTANT_COUNT
};

#ifdef TUTTI_MUTANTS
bool mutant_on(enum mutant mutant);
#define MUTANT(name) mutant_on(MUTANT_##name)
#else
#define MUTANT(name) false
#endif

#endif
