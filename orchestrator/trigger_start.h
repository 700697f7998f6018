/* SPDX-License-Identifier: Apache-2.0
 *
 * From a record of an upstream topic to the start of a run, as pure functions: what is sent for it
 * and when it is committed is triggers.c's. */
#ifndef TUTTI_TRIGGER_START_H
#define TUTTI_TRIGGER_START_H

#include "common/base/id.h"
#include "common/definition/definition.h"
#include "common/io/bus.h"

/* The `event` that a definition's expressions see: CloudEvents in binary or structured mode, or
 * plain JSON as its data. A new reference; NULL with ERR_INVALID where the value is no JSON. */
MUST_CHECK json_t *trigger_event(const struct bus_record *r, struct err *e);

/* A start that is to be sent. */
struct trigger_start {
    bool wanted; /* false: the filter does not hold, and nothing else is set */
    char run_id[RUN_ID_MAX];
    struct buf input; /* JSON */
    struct buf key;   /* empty: none */
    enum start_policy policy;
};
void trigger_start_done(struct trigger_start *s);
/* What the trigger makes of the event, which is not changed. ret must be zero and is released
 * whatever comes back. An error says that the record is at fault: an expression that fails, an
 * input or a key beyond its limit. */
MUST_CHECK bool trigger_start_make(const struct definition *def, const struct trigger_def *trigger,
                                   json_t *event, const struct bus_record *r,
                                   struct trigger_start *ret, struct err *e);
/* The headers of its run.start: views of def and s. */
void trigger_start_headers(const struct definition *def, const struct trigger_start *s,
                           struct bytes ret[HEADER_COUNT]);

#endif
