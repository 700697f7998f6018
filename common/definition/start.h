/* SPDX-License-Identifier: Apache-2.0
 *
 * What starts that nobody typed have in common: those by a record of a topic, and those by a
 * schedule. */
#ifndef TUTTI_DEFINITION_START_H
#define TUTTI_DEFINITION_START_H

#include "common/definition/definition.h"

/* What a trigger's expressions see: `event` alone, which must outlive it. */
struct template_env event_env(json_t *event);
/* The headers of a run.start, views of what is given; the caller adds key and policy. */
void start_headers(const struct definition *def, const char *run_id, const char *actor,
                   struct bytes ret[HEADER_COUNT]);

#endif
