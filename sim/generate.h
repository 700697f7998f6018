/* SPDX-License-Identifier: Apache-2.0
 *
 * Generated workflows: every kind of step and every common field, drawn by a number. */
#ifndef TUTTI_SIM_GENERATE_H
#define TUTTI_SIM_GENERATE_H

#include "common/base/buf.h"

/* Child workflows have the numbers below this, and start none themselves but the last, which starts
 * the first. */
#define GENERATED_CHILDREN 6
#define GENERATED          400

/* Those who may be asked in generated workflows; the last has the role "lead" and no more. */
#define PEOPLE(X) X("ann") X("bob") X("cid") X("dan")
/* Signals that generated workflows wait for; `match` wants {"n": 1}. */
#define SIGNALS(X) X("go") X("paid")
/* Where emit steps send their events. */
#define EMIT_TOPIC "downstream.events"

/* Appends the text of the workflow of that number; its name is "c<number>" of a child, else
 * "g<number>". The same for ever, as long as this file does not change. */
void generate(uint32_t number, struct buf *ret);

#endif
