/* SPDX-License-Identifier: Apache-2.0
 *
 * What the lease scripts (scripts/lease.lua, renew.lua) answer about a task. */
#ifndef TUTTI_LEASE_H
#define TUTTI_LEASE_H

#include "common/base/buf.h"

enum lease_verdict {
    LEASE_TAKEN,     /* T: call */
    LEASE_HELD,      /* H<ms>: another worker has it for so long: park */
    LEASE_ENDED,     /* E: it ran out without a result: publish task.lost, do not call */
    LEASE_DONE,      /* D */
    LEASE_CANCELLED, /* C */
    LEASE_RENEWED,   /* R */
    LEASE_OTHER,     /* O: another worker has a live lease on a task that we run: go on */
};

/* false if the text is no verdict. ret_ms: of HELD, else 0. */
MUST_CHECK bool lease_verdict_parse(struct bytes text, enum lease_verdict *ret, int64_t *ret_ms);

#endif
