/* SPDX-License-Identifier: Apache-2.0
 *
 * Every limit of the product in one place, with the relations between them checked at compile time.
 */
#ifndef TUTTI_LIMITS_H
#define TUTTI_LIMITS_H

#include <assert.h>

#define KIB 1024
#define MIB (1024 * KIB)

/* A payload (an input, an output, a task's value) that leaves in one Kafka message. Larger ones are
 * refused with a typed error until claim checks exist. */
#define PAYLOAD_BYTES_MAX       (900 * 1000)
#define KAFKA_MESSAGE_BYTES_MAX (1000 * 1000) /* librdkafka's and the broker's default */
#define HEADERS_BYTES_MAX       (16 * KIB)
static_assert(PAYLOAD_BYTES_MAX + HEADERS_BYTES_MAX <= KAFKA_MESSAGE_BYTES_MAX,
              "a payload and its headers fit one message");

#define JSON_DEPTH_MAX 128

/* Definitions. */
#define DEFINITION_BYTES_MAX (512 * KIB)
#define DEFINITION_STEPS_MAX 1000
#define DEFINITION_DEPTH_MAX 32   /* nesting of step lists */
#define NAME_BYTES_MAX       100  /* workflow, step, queue, secret names */
#define PATH_BYTES_MAX       1024 /* a step's path in a run */
#define ATTEMPTS_MAX         100
#define PARALLEL_MAX         10000  /* tasks of a run, or items of a map, at the same time */
#define MAP_ITEMS_MAX        100000 /* of one map */
#define LOOP_ITERATIONS_MAX  10000
#define RUN_STEPS_MAX        1000000 /* steps that a run begins where something repeats */
#define QUORUM_MAX           100
#define CHILD_DEPTH_MAX      20  /* generations of child runs */
#define TOPIC_BYTES_MAX      249 /* Kafka's own limit */
#define START_KEY_BYTES_MAX  512
#define HEADER_COUNT_MAX     40 /* headers of a record that are looked at */

/* Time. */
#define SECOND_MS       1000
#define RUN_TIMEOUT_MS  (3600 * SECOND_MS) /* limits.timeout where a definition has none */
#define DURATION_MS_MAX (3650LL * 24 * 3600 * SECOND_MS)
#define LEASE_MS        (30 * SECOND_MS)
#define LEASE_RENEW_MS  (10 * SECOND_MS)
#define MARKS_SPAN_MS   (2 * SECOND_MS) /* runs whose first deadlines are that near share a hash */
static_assert(LEASE_RENEW_MS * 3 <= LEASE_MS, "two renewals may be lost before a lease is");

/* The fold. */
#define FOLD_EVENTS_MAX   256 /* of a partition in one turn */
#define COMMIT_EVENTS_MAX 8192
#define COMMIT_RUNS_MAX   512  /* a larger script holds Redis' only thread for more than 10 ms */
#define COMMIT_BYTES_MAX  MIB  /* of the events' values */
#define RUN_EVENTS_MAX    1024 /* of one run in one batch */
/* Changes of one run in one commit, after which it takes no further event of the run: a script
 * holds Redis' only thread for about a microsecond a field. What one event changes is bounded by
 * what it may begin (orchestrator/engine), and by what it ends. */
#define COMMIT_FIELDS_MAX 3500
#define PARTITIONS_MAX    1024

#endif
