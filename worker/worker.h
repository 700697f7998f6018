/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker: takes tasks of its queues by credit, leases them, calls, publishes the results and
 * commits what is done. Everything goes through the io headers, so that a simulator can run the
 * same code over fakes.
 *
 * The life of a task, in this order and no other:
 *   record -> lease (first taker wins, its generation is checked) -> call -> result in the log
 *   -> done key -> contiguous offset -> commit
 *
 * A paid call is not paid twice (architecture.md, decision 6):
 *   1. A task of another generation is dropped: its owner issues it again under the new one.
 *   2. A lease that ran out without a result makes task.lost, not a second call.
 *   3. (the orchestrator's)
 *   4. A call starts only while its lease was taken or renewed less than a third of its length ago.
 *
 * While Redis is away no new call starts: the tasks wait, up to their deadline, because an unleased
 * call may be paid twice. Calls that run go on, their results are published all the same, and done
 * keys are set when Redis is back. While Kafka is away results are kept and sent again. */
#ifndef TUTTI_WORKER_H
#define TUTTI_WORKER_H

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/io/bus.h"
#include "common/io/http_pool.h"
#include "common/io/loop.h"
#include "common/io/payload_store.h"
#include "common/io/store.h"
#include "worker/breaker.h"

struct worker;

/* Strings and JSON are copied or referenced; 0 or NULL means the default that is stated. */
struct worker_options {
    const char *prefix;        /* of the installation; required */
    const char *name;          /* for people; required. Leases carry it with a random part behind */
    const char *const *queues; /* required */
    size_t queue_count;
    const char *group;        /* "<prefix>-workers" */
    uint32_t inflight_max;    /* 1000: calls at the same time */
    uint32_t lease_ms;        /* LEASE_MS; renewed every third of it */
    uint32_t commit_ms;       /* 1000 */
    uint32_t call_timeout_ms; /* 600000: of a call whose task states none */
    const struct log *log;    /* required */

    const json_t *handlers;           /* {name: {"exec": {...}} or {"http": {...}}}; may be NULL */
    const json_t *commands;           /* {name: {"command", "args", "env", "cwd", "timeout"}} */
    const json_t *models;             /* catalogue.h; may be NULL */
    const json_t *emit_topics;        /* a list of names, NAME* for all that begin so; NULL: none */
    const char *secrets_dir;          /* a file per secret; may be NULL */
    const char *const *hosts_private; /* host or host:port that may be private; NULL-ended */
    bool private_allowed;             /* any private address may be called */
    size_t http_body_bytes_max;       /* 1 MiB: of a response */
    size_t exec_output_bytes_max;     /* 1 MiB: of a program */
    uint32_t http_connect_ms;         /* 10000 */
    struct breaker_options breaker;   /* zero fields: breaker_defaults */
    struct payload_store_options payloads; /* log is set by the worker */
};

/* What a worker has done and does. */
struct worker_stats {
    uint64_t taken;     /* records */
    uint64_t completed; /* results of each kind that are in the log */
    uint64_t failed, lost;
    uint64_t dropped; /* without a result: done or cancelled elsewhere, or of another generation */
    uint64_t dead_letters;
    size_t held;    /* tasks in memory */
    size_t running; /* calls open now */
};

/* Makes the topics of the worker's queues and of the dead letters where they are missing: a group
 * that joins before they exist would not see them for minutes. done(user, NULL) on success. */
void worker_topics_make(struct bus *bus, const struct worker_options *o, int32_t partitions,
                        int16_t replicas, void (*done)(void *user, const struct err *e),
                        void *user);

/* Starts to join its group. loop, bus, store and pool must outlive it until worker_free. Errors:
 * ERR_INVALID names what is wrong in handlers, commands, models or secrets. */
MUST_CHECK struct worker *worker_open(struct loop *loop, struct bus *bus, struct store *store,
                                      struct http_pool *pool, const struct worker_options *options,
                                      struct err *e);
/* Reads the models and secrets again; calls that run keep what they started with. On failure the
 * old ones stay. */
MUST_CHECK bool worker_reload(struct worker *w, const json_t *models, const char *secrets_dir,
                              struct err *e);
/* Takes nothing more, gives back what has not started, finishes what runs (for grace_ms at the
 * most; what is left then is aborted, and its lease runs out), commits and leaves; then done, once.
 */
void worker_drain(struct worker *w, uint32_t grace_ms, void (*done)(void *user), void *user);
/* Stops at once: aborts calls and lets go of the records, as a crash would; nothing is called back
 * any more. For the second SIGTERM and for simulators. */
void worker_stop(struct worker *w);
struct worker_stats worker_stats(const struct worker *w);
/* Releases the memory. The store, the bus and the pool must be closed (they call back until then),
 * and the loop is turned no more. NULL is fine; returns NULL. */
struct worker *worker_free(struct worker *w);

#endif
