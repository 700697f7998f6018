/* SPDX-License-Identifier: Apache-2.0
 *
 * The public messages: what stands in the headers of a Kafka record, and what its value means. A
 * payload stays opaque bytes; only the headers are looked at to route it. Every header is a UTF-8
 * string, numbers in decimal. schemas/{task,result,event}.schema.json describe the same as
 * {"headers": {...}, "value": ...}.
 */
/* clang-format off */
/*
 * events (key: the routing part of the run id; partition: murmur2 of it)
 *   type               value                              headers besides v, type, run-id
 *   run.start          the input, JSON; of a fork         definition, workflow, version, [key],
 *                      {"input", "vars", "outputs"}       [policy: with a key], [schedule, due-ms:
 *                                                         a firing], [refused: why it fails at
 *                                                         once], [namespace], [actor],
 *                                                         [traceparent]; of a child: parent, path,
 *                                                         attempt, child; of a fork: forked-from
 *   run.begin          null: its turn has come            -
 *   run.skipped        null: its start has made no run    -
 *   schedule.paused    null (run-id: that of a run it     schedule, [actor]
 *                      could have)
 *   schedule.resumed   null                               the same
 *   key.asked          null: is the run over?             -
 *   key.released       null: the run is over, or is none  -
 *   run.cancel         {"reason", "compensate"} or null   [actor]
 *   run.terminate      {"reason"} or null                 [actor]
 *   run.pause          {"reason"} or null                 [actor]
 *   run.resume         null                               [actor]
 *   run.retry          null: again from what failed       [actor]
 *   run.rerun          null                               path: the step from which on all is done
 *                                                         again; [actor]
 *   step.skip          its output, JSON                   path, [actor]
 *   run.set_variables  {name: value}                      [actor]
 *   signal             the payload, JSON                  signal: its name; [actor]
 *   approval           {"decision": "approve" | "reject"  path, actor
 *                      | "retry", "comment", "values",
 *                      "output"}
 *   child.started      null                               path, attempt (of the parent's step),
 *                                                         child: its run id
 *   child.finished     {"status", "output" or "error"}    the same
 *   run.expired        null                               [due-ms: when the end it is about was
 *                                                         due]
 *   timer.fired        null                               due-ms
 *   task.completed     the output, JSON                   path, attempt, task-id, gen, [usage],
 *                                                         [worker], [cached]
 *   task.failed        {"type", "message", "retryable",   the same
 *                      "retry_after_ms", "details"}
 *   task.lost          null                               the same
 *   owner.claim        null (key: "claim")                claim (token of the assignment), gen,
 *                                                         logic, worker, [payload-max]
 *
 * Any value of a task or an event may be a claim check instead (blob_ref.h).
 *
 * tasks.<queue> (key: task id)
 *   task               the task's input, JSON (kind says  path, attempt, task-id, kind, uses,
 *                      of what shape)                     reply-to, gen, deadline-ms, marks,
 *                                                         timeout-ms, idempotency-key, [secrets],
 *                                                         [namespace], [actor], [traceparent],
 *                                                         [cache-ttl-ms], [cache-key]
 *
 * results: one CloudEvent in binary mode a finished run (docs/clients.md).
 */
/* clang-format on */
#ifndef TUTTI_MESSAGE_H
#define TUTTI_MESSAGE_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/limits.h"

#define MESSAGE_VERSION "1"
/* ce_type of the one CloudEvent on `results` that is of no run: an owner's claim. */
#define CE_TYPE_CLAIMED "io.tutti.partition.claimed"
#define LOGIC_VERSION   1 /* of the engine: raised when the same log would fold to another state */

/* X(enumerator, header name) */
#define MESSAGE_HEADERS(X)                \
    X(V, "v")                             \
    X(TYPE, "type")                       \
    X(RUN_ID, "run-id")                   \
    X(PATH, "path")                       \
    X(ATTEMPT, "attempt")                 \
    X(TASK_ID, "task-id")                 \
    X(REPLY_TO, "reply-to")               \
    X(GEN, "gen")                         \
    X(DEADLINE_MS, "deadline-ms")         \
    X(TIMEOUT_MS, "timeout-ms")           \
    X(MARKS, "marks")                     \
    X(KIND, "kind")                       \
    X(USES, "uses")                       \
    X(SECRETS, "secrets")                 \
    X(USAGE, "usage")                     \
    X(WORKER, "worker")                   \
    X(IDEMPOTENCY_KEY, "idempotency-key") \
    X(DEFINITION, "definition")           \
    X(WORKFLOW, "workflow")               \
    X(VERSION, "version")                 \
    X(KEY, "key")                         \
    X(DUE_MS, "due-ms")                   \
    X(CLAIM, "claim")                     \
    X(LOGIC, "logic")                     \
    X(NAMESPACE, "namespace")             \
    X(ACTOR, "actor")                     \
    X(TRACEPARENT, "traceparent")         \
    X(SIG, "sig")                         \
    X(PARENT, "parent")                   \
    X(POLICY, "policy")                   \
    X(CACHE_TTL_MS, "cache-ttl-ms")       \
    X(CACHE_KEY, "cache-key")             \
    X(CACHED, "cached")                   \
    X(SIGNAL, "signal")                   \
    X(CHILD, "child")                     \
    X(SCHEDULE, "schedule")               \
    X(REFUSED, "refused")                 \
    X(FORKED_FROM, "forked-from")         \
    X(PAYLOAD_MAX, "payload-max")

enum message_header {
#define X(name, text) HEADER_##name,
    MESSAGE_HEADERS(X)
#undef X
        HEADER_COUNT
};

/* X(enumerator, wire text, is it a result of a task) */
#define EVENT_TYPES(X)                       \
    X(RUN_START, "run.start", 0)             \
    X(RUN_CANCEL, "run.cancel", 0)           \
    X(RUN_EXPIRED, "run.expired", 0)         \
    X(TIMER_FIRED, "timer.fired", 0)         \
    X(TASK_COMPLETED, "task.completed", 1)   \
    X(TASK_FAILED, "task.failed", 1)         \
    X(TASK_LOST, "task.lost", 1)             \
    X(OWNER_CLAIM, "owner.claim", 0)         \
    X(RUN_RESUME, "run.resume", 0)           \
    X(RUN_PAUSE, "run.pause", 0)             \
    X(RUN_TERMINATE, "run.terminate", 0)     \
    X(RUN_RETRY, "run.retry", 0)             \
    X(RUN_RERUN, "run.rerun", 0)             \
    X(STEP_SKIP, "step.skip", 0)             \
    X(RUN_SET_VARS, "run.set_variables", 0)  \
    X(SIGNAL, "signal", 0)                   \
    X(APPROVAL, "approval", 0)               \
    X(CHILD_STARTED, "child.started", 0)     \
    X(CHILD_FINISHED, "child.finished", 0)   \
    X(RUN_BEGIN, "run.begin", 0)             \
    X(KEY_ASKED, "key.asked", 0)             \
    X(KEY_RELEASED, "key.released", 0)       \
    X(RUN_SKIPPED, "run.skipped", 0)         \
    X(SCHEDULE_PAUSED, "schedule.paused", 0) \
    X(SCHEDULE_RESUMED, "schedule.resumed", 0)

enum event_type {
#define X(name, text, result) EVENT_##name,
    EVENT_TYPES(X)
#undef X
        EVENT_TYPE_COUNT
};

/* What a start does where unfinished runs have its key. X(enumerator, wire text) */
#define START_POLICIES(X)                                                                  \
    X(REJECT, "reject")   /* nothing: the key stands for one run, also one that is over */ \
    X(QUEUE, "queue")     /* its run begins when all before it are over */                 \
    X(REPLACE, "replace") /* they are cancelled */                                         \
    X(ALLOW, "allow")     /* it runs beside them */                                        \
    X(SKIP, "skip")       /* nothing; of schedules */
enum start_policy {
#define X(name, text) START_##name,
    START_POLICIES(X)
#undef X
        START_POLICY_COUNT
};
const char *start_policy_name(enum start_policy policy);
/* false if the text names no policy. */
MUST_CHECK bool start_policy_find(struct bytes text, enum start_policy *ret);

/* A message's headers by name, and its value; all views into the record they came from. An absent
 * header has data NULL; unknown headers are ignored. */
struct message {
    struct bytes header[HEADER_COUNT];
    struct bytes key, value;
};

/* What a model call consumed. */
struct usage {
    int64_t tokens_in, tokens_out, micro_usd;
};

/* A decoded event. Views live as long as the message. */
struct event {
    enum event_type type;
    struct bytes run_id; /* well formed, except for owner.claim, where it is empty */
    struct bytes path; /* of a step: task.*, child.*, approval, step.skip, run.rerun; run.start of a
                          child: of the parent's step */
    uint32_t attempt;  /* task.*, child.*, run.start of a child: from 1 */
    struct bytes task_id;    /* task.* */
    struct bytes gen;        /* task.*, owner.claim */
    struct bytes definition; /* run.start: sha256 in hex */
    struct bytes workflow, version;
    struct bytes key;         /* run.start: the start key; data NULL where there is none */
    enum start_policy policy; /* run.start with a key */
    struct bytes schedule;    /* schedule.*: its id; run.start: that it is a firing of it, whose
                                 planned    time is due_ms; data NULL: it is none */
    struct bytes refused;     /* run.start: why the run fails at once; data NULL: it does not */
    struct bytes parent;      /* run.start of a child: the parent's run id; data NULL: no child */
    struct bytes child;       /* child.*: the child's run id; run.start of a child: "attached" or
                                 "detached", and its generation */
    struct bytes signal;      /* signal: its name */
    struct bytes forked_from; /* run.start of a fork: the run it was made of; data NULL: no fork */
    struct bytes claim;       /* owner.claim: the token */
    uint32_t logic;           /* owner.claim */
    int64_t payload_max;      /* owner.claim: the largest payload; 0: what fits a message */
    int64_t due_ms; /* timer.fired; run.start by a schedule; run.expired: when the end it is
                       about was due, 0: any */
    struct bytes namespace_, actor, traceparent, worker;
    struct usage usage;
    struct bytes value; /* well-formed JSON, or empty where the type says null */
    bool claim_check;   /* value is one (blob_ref.h): its content is put in by event_load */
};

/* What an event is when it cannot be folded. */
enum event_verdict {
    EVENT_OK,
    EVENT_MALFORMED, /* no event of ours: dead-letter and skip */
    EVENT_NEWER, /* of a newer format or an unknown type: give the partition back, never dead-letter
                  */
};

/* Enum <-> wire text. message_header_find: HEADER_COUNT if the name is none of ours; our own
 * messages have them in the order of the enum, so it looks from `first` on (HEADER_COUNT is as good
 * as 0), and then at those before it. */
const char *message_header_name(enum message_header header);
size_t message_header_name_len(enum message_header header);
enum message_header message_header_find(struct bytes name, enum message_header first);
const char *event_type_name(enum event_type type);
bool event_type_is_result(enum event_type type);

/* Decodes the message of an `events` record. On EVENT_MALFORMED and EVENT_NEWER e says why, and
 * nothing stands in ret. A task.completed whose value is no JSON or is too large becomes
 * EVENT_TASK_FAILED with an invalid_output error in its value (static text), so that no bad payload
 * ever enters a state. */
MUST_CHECK enum event_verdict event_decode(const struct message *m, struct event *ret,
                                           struct err *e);

/* Puts the content in whose claim check the value is; what holds for a value in a message holds for
 * it, but for the limit. EVENT_MALFORMED: it is no JSON, and e says so. */
MUST_CHECK enum event_verdict event_load(struct event *ev, struct bytes content, struct err *e);

/* A secret's place in a task's value: JSON pointer of a string, byte offset in it (of the decoded
 * string), name of the secret. Encoded in the header `secrets` as [[pointer, offset, name], ...].
 */
struct secret_ref {
    char *pointer; /* owned */
    uint32_t offset;
    char *name; /* owned */
};
struct secret_refs {
    struct secret_ref *refs; /* owned, in order of pointer and offset of insertion */
    size_t count;
};
void secret_refs_done(struct secret_refs *refs);
void secret_refs_encode(const struct secret_refs *refs, struct buf *ret);
MUST_CHECK bool secret_refs_decode(struct bytes header, struct secret_refs *ret, struct err *e);

/* A decoded task, as a worker sees it. Views live as long as the message. */
struct task {
    struct bytes run_id, path, task_id, reply_to, gen, kind, uses, idempotency_key;
    struct bytes workflow; /* its name, of emit tasks; else empty */
    struct bytes namespace_, actor, traceparent;
    struct bytes secrets; /* undecoded header, or empty */
    uint32_t attempt;
    int64_t deadline_ms;    /* wall: never start later; 0: none */
    struct bytes marks;     /* digits: which hash of marks it is in (keys.h); empty: none */
    int64_t timeout_ms;     /* of one call, from its start; 0: the worker's default */
    int64_t cache_ttl_ms;   /* how long an output is kept for tasks alike; 0: it is not */
    struct bytes cache_key; /* what makes tasks alike instead of the value; data NULL: the value */
    struct bytes reply_topic; /* reply-to split: "topic/partition" */
    int32_t reply_partition;
    struct bytes value;
};
/* false: ret is not to be used. */
MUST_CHECK bool task_decode(const struct message *m, struct task *ret, struct err *e);

/* X(enumerator, wire text, retryable unless the worker says otherwise) */
#define ERROR_TYPES(X)                         \
    X(TIMEOUT, "timeout", 1)                   \
    X(CANCELLED, "cancelled", 0)               \
    X(RATE_LIMITED, "rate_limited", 1)         \
    X(SPEND_CAPPED, "spend_capped", 0)         \
    X(OVERLOADED, "overloaded", 1)             \
    X(AUTH, "auth", 0)                         \
    X(BAD_REQUEST, "bad_request", 0)           \
    X(CONTEXT_OVERFLOW, "context_overflow", 0) \
    X(REFUSED, "refused", 0)                   \
    X(FILTERED, "filtered", 0)                 \
    X(TRUNCATED, "truncated", 0)               \
    X(INVALID_OUTPUT, "invalid_output", 1)     \
    X(TOOL_ERROR, "tool_error", 1)             \
    X(PROVIDER_ERROR, "provider_error", 1)     \
    X(LOST, "lost", 1)                         \
    X(BUDGET_EXCEEDED, "budget_exceeded", 0)   \
    X(EXPRESSION, "expression", 0)             \
    X(REJECTED, "rejected", 0)                 \
    X(UNREACHABLE, "unreachable", 1)           \
    X(INTERNAL, "internal", 1)

enum error_type {
#define X(name, text, retryable) ERROR_##name,
    ERROR_TYPES(X)
#undef X
        ERROR_TYPE_COUNT
};
const char *error_type_name(enum error_type type);
bool error_type_retryable(enum error_type type);
/* false if the text names no error type. */
MUST_CHECK bool error_type_find(struct bytes text, enum error_type *ret);

/* Appends the value of a task.failed event. message must be valid UTF-8; details may be NULL. */
void error_encode(struct buf *ret, enum error_type type, const char *message, bool retryable,
                  int64_t retry_after_ms, const json_t *details);

/* The header `usage`: {"model":…,"tokens_in":…,"tokens_out":…,"micro_usd":…}. */
void usage_encode(struct buf *ret, const char *model, const struct usage *usage);

#endif
