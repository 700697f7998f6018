/* SPDX-License-Identifier: Apache-2.0
 *
 * Deliberate bugs: switching one on, and the hunt that shows that each is found. In the ordinary
 * build there are none. */
#ifndef TUTTI_SIM_MUTANTS_H
#define TUTTI_SIM_MUTANTS_H

#include "common/base/mutant.h"
#include "common/io/store.h"

/* Makes this one the bug that is there; returns the one before. */
enum mutant mutant_set(enum mutant mutant);
enum mutant mutant_get(void);
/* Whether the judge has it as well as the judged. */
bool mutant_shared(enum mutant mutant);
const char *mutant_name(enum mutant mutant);
const char *mutant_text(enum mutant mutant);
/* By name; MUTANT_NONE: there is none of that name, or none at all in this build. */
enum mutant mutant_find(const char *name);
/* The script as the present mutant has it; *ret is used if it differs. */
const struct script *mutant_script(const struct script *script, struct script *ret);
void mutants_free(void); /* rewritten scripts */

/* Hunts every mutant with its own faults, at most `count` seeds each, and shows that each survives
 * `calm` seeds without faults. Prints a line a mutant. */
struct hunt {
    size_t mutants, killed;
    bool all_killed, all_calm;
};
struct hunt mutants_hunt(uint64_t count, uint64_t calm, uint32_t processes, const char *only);

#endif
