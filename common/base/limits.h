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
#define DEFINITION_DEPTH_MAX 32  /* nesting of step lists */
#define NAME_BYTES_MAX       100 /* workflow, step, queue, secret names */
#define ATTEMPTS_MAX         100
#define START_KEY_BYTES_MAX  512
#define HEADER_COUNT_MAX     40 /* headers of a record that are looked at */

/* Time. */
#define SECOND_MS       1000
#define RUN_TIMEOUT_MS  (3600 * SECOND_MS) /* limits.timeout where a definition has none */
#define DURATION_MS_MAX (3650LL * 24 * 3600 * SECOND_MS)
#define LEASE_MS        (30 * SECOND_MS)
#define LEASE_RENEW_MS  (10 * SECOND_MS)
#define MARKS_SPAN_MS   (900 * SECOND_MS) /* runs that may last until then share a hash of marks */
static_assert(LEASE_RENEW_MS * 3 <= LEASE_MS, "two renewals may be lost before a lease is");

/* The fold. */
#define FOLD_EVENTS_MAX   256 /* of a partition in one turn */
#define COMMIT_EVENTS_MAX 8192
#define COMMIT_RUNS_MAX   512  /* a larger script holds Redis' only thread for more than 10 ms */
#define COMMIT_BYTES_MAX  MIB  /* of the events' values */
#define RUN_EVENTS_MAX    1024 /* of one run in one batch */
#define COMMIT_FIELDS_MAX \
    3500 /* of one run in one commit: Lua's unpack takes 7,999 values, two a field */
static_assert(2 * DEFINITION_STEPS_MAX + RUN_EVENTS_MAX + 4 <= COMMIT_FIELDS_MAX,
              "all that a batch can change of a run goes into one script call");
#define PARTITIONS_MAX 1024

#endif
