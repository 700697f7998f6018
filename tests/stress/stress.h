/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two halves of the stress program share: the installation, and the driver's progress. */
#ifndef TUTTI_TESTS_STRESS_H
#define TUTTI_TESTS_STRESS_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/io/loop.h"

#define PREFIX             "stress"
#define EVENTS_PARTITIONS  12
#define RESULTS_PARTITIONS 3
#define TASKS_PARTITIONS   4
#define RUNS               300
#define RUNS_IN_FLIGHT     60
#define SESSION_TIMEOUT_MS 4000 /* the mock cluster wants more than 3000 */
#define MOCK_FETCH_WAIT_MS 2    /* it does not wake a waiting fetch */

/* A thread of its own that starts the runs, does their tasks and reads their results. All fields
 * but the atomic ones are the driver's, or set before it starts. */
struct driver {
    const char *brokers;
    struct log log;
    struct loop *main_loop; /* woken when a counter moves */
    pthread_t thread;
    atomic_uint finished; /* runs whose result came */
    atomic_uint tasks;    /* answered */
    atomic_bool stop, ended;
    bool failed; /* read after the thread is joined */
    struct err error;
};

/* Starts the thread. */
MUST_CHECK bool driver_start(struct driver *d, struct err *e);
/* Asks it to end and waits for that; false: something went wrong in it. */
MUST_CHECK bool driver_stop(struct driver *d, struct err *e);

#endif
