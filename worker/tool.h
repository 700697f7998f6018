/* SPDX-License-Identifier: Apache-2.0
 *
 * What a worker can do with a task: call a model, an HTTP endpoint or a program. A tool gets a task
 * whose lease is fresh and ends in exactly one outcome, unless it is aborted. */
#ifndef TUTTI_TOOL_H
#define TUTTI_TOOL_H

#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/io/http_pool.h"
#include "common/io/loop.h"
#include "common/proto/message.h"

/* How a call ended. */
struct outcome {
    bool ok;
    bool retryable;
    enum error_type error;  /* valid unless ok */
    int64_t retry_after_ms; /* 0: none */
    struct buf text;        /* ok: the output, JSON; else a message for people, UTF-8 */
    json_t *details;        /* of an error; owned; may be NULL */
    bool used;              /* usage is there */
    struct usage usage;
    char model[128];
};

/* An outcome without memory of its own is all zero. */
void outcome_done(struct outcome *o);
#define AUTO_OUTCOME CLEANUP(outcome_done)
/* Makes o a failure of this type, retryable as the type says; a message that is no UTF-8 is
 * replaced. What o held before is released. */
void outcome_fail(struct outcome *o, enum error_type error, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Hands the content over; from is empty afterwards. */
void outcome_move(struct outcome *to, struct outcome *from);

/* One running call; the tool's memory. */
struct tool_call {
    /* Ends it without an outcome: done is not called any more, and the memory is gone. */
    void (*abort)(struct tool_call *call);
};

/* What a tool is asked to do. */
struct tool_input {
    const struct task *task; /* lives until done or abort */
    int64_t timeout_ms;      /* of this call, above 0 */
    /* Exactly once, never inside the start; takes what it wants of the outcome with outcome_move.
     * The tool_call is gone afterwards. */
    void (*done)(void *user, struct outcome *o);
    void *user;
};

/* Which tool a task goes to, and what the tools share. */
struct tools;
/* Starts the task's call. NULL: it is over already, and *ret_now says how (to outcome_done). */
MUST_CHECK struct tool_call *tools_start(struct tools *t, const struct tool_input *in,
                                         struct outcome *ret_now);
/* Whether the task is the built-in no-operation, which is answered without a call. */
static inline bool tools_is_noop(const struct task *task)
{
    return bytes_is(task->uses, "noop") && bytes_is(task->kind, "task");
}

#endif
