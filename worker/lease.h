/* SPDX-License-Identifier: Apache-2.0
 *
 * What the lease scripts (scripts/lease.lua, renew.lua) answer about a task. */
#ifndef TUTTI_LEASE_H
#define TUTTI_LEASE_H

#include "common/base/buf.h"

/* A call is begun only if the answer for its lease came within this, else the worker asks again. A
 * Redis that is wiped while the answer is under way gives the task to another worker, so an answer
 * says the less the older it is. Redis answers within a few milliseconds, and within half a second
 * even while it forks or waits for its disk. */
#define LEASE_ANSWER_MS_MAX 500

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
