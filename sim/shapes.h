/* SPDX-License-Identifier: Apache-2.0
 *
 * The workflows of the simulated installation. */
#ifndef TUTTI_SIM_SHAPES_H
#define TUTTI_SIM_SHAPES_H

#include "common/definition/definition.h"
#include "sim/generate.h"

#define SHAPES_WRITTEN 9
#define SHAPES         (SHAPES_WRITTEN + GENERATED)
#define SHAPES_CHILD   SHAPES_WRITTEN /* the first of GENERATED_CHILDREN children */

/* By number; compiled when it is asked for first, and kept until shapes_free. */
const struct definition *shape(size_t i);
bool shape_has(const struct definition *def, enum step_kind kind);
/* At the end of a process. */
void shapes_free(void);

#endif
