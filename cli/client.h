/* SPDX-License-Identifier: Apache-2.0
 *
 * A session with an installation: Kafka and Redis on one loop, each connected when it is first
 * needed, and calls that wait for their answer (a command line has nothing better to do). Waiting
 * means running the loop, so timers and children of the caller go on meanwhile.
 */
#ifndef TUTTI_CLI_CLIENT_H
#define TUTTI_CLI_CLIENT_H

#include "cli/cli.h"
#include "common/base/id.h"
#include "common/io/bus.h"
#include "common/io/loop.h"
#include "common/io/store.h"
#include "orchestrator/engine/engine.h"

struct client {
    const struct cli *cli;
    struct loop *loop; /* borrowed or own */
    struct loop *own_loop;
    struct bus *bus;        /* NULL until it is needed */
    struct store *store;    /* the same */
    const bool *stop;       /* the caller's: true ends every wait with ERR_INTERNAL; may be NULL */
    struct ticket *tickets; /* of calls that were given up: their answers may still come */
    int64_t sent_offset;    /* where the record stands that was sent last */
    struct err bus_error;   /* why Kafka does not answer, as far as that is known */
};

/* loop: NULL for one of its own. Connects to nothing yet. */
MUST_CHECK bool client_open(struct client *c, const struct cli *cli, struct loop *loop,
                            struct err *e);
void client_close(struct client *c);

/* Runs the loop until cond(user) or wait_ms have passed; looks at least every 10 ms, so that cond
 * may ask for anything. Returns whether it holds. */
bool client_wait(struct client *c, bool (*cond)(void *user), void *user, uint32_t wait_ms);

/* --- Kafka --- */

/* Connects if need be. ERR_UNAVAILABLE after the connect timeout. */
MUST_CHECK bool client_bus(struct client *c, struct err *e);
/* Partitions of topic <prefix>.<name>; ERR_NOT_FOUND with advice if there is no such topic. */
MUST_CHECK bool client_partitions(struct client *c, const char *name, int32_t *ret, struct err *e);
/* Appends an event about a run to the partition that is its own of `partitions`, and waits for the
 * acknowledgement. header: HEADER_COUNT views; v, type and run-id are filled in here. */
MUST_CHECK bool client_append(struct client *c, enum event_type type, const char *run_id,
                              int32_t partitions, struct bytes *header, struct bytes value,
                              struct err *e);

/* Sends a record and waits for its acknowledgement. ERR_NOT_FOUND: no such topic or partition. */
MUST_CHECK bool client_send(struct client *c, const struct bus_message *m, struct err *e);
/* Reads a partition of topic <prefix>.<name> from its start to its end of now. */
MUST_CHECK bool client_read(struct client *c, const char *name, int32_t partition,
                            void (*on_record)(void *user, const struct bus_record *r), void *user,
                            struct err *e);

/* A definition as it was deployed. */
struct deployed {
    char *name, *version; /* owned */
    char sha256[SHA256_HEX];
    int64_t offset;
    char *canonical; /* owned */
    size_t canonical_len;
};
struct deployments {
    struct deployed *list; /* owned; in order of offset */
    size_t count;
};
void deployments_done(struct deployments *d);
/* Which to return; NULL or empty: any. */
struct deployed_query {
    const char *name, *version, *sha256;
};
MUST_CHECK bool client_deployments(struct client *c, const struct deployed_query *query,
                                   struct deployments *ret, struct err *e);
/* Deploys; the same content again is fine (*ret_new false). ERR_CONFLICT: the version holds other
 * content. */
MUST_CHECK bool client_deploy(struct client *c, const struct definition *def, bool *ret_new,
                              struct err *e);
/* What NAME or NAME@VERSION stands for: of a version the one at the lowest offset, without a
 * version the one deployed last. ERR_NOT_FOUND names what there is. */
MUST_CHECK bool client_resolve(struct client *c, const char *reference, struct definition **ret,
                               struct err *e);

/* --- Redis --- */

/* Connects if need be. ERR_UNAVAILABLE or ERR_AUTH after the connect timeout. */
MUST_CHECK bool client_store(struct client *c, struct err *e);
/* One command; fn (may be NULL) sees the reply. A refusal or no reply is an error. */
MUST_CHECK bool client_command(struct client *c, const struct bytes *argv, size_t argc,
                               void (*fn)(void *user, const struct store_reply *reply), void *user,
                               struct err *e);
/* The number of partitions of this installation as Redis holds it. ERR_NOT_FOUND: nothing has
 * started here yet. */
MUST_CHECK bool client_stored_partitions(struct client *c, int32_t *ret, struct err *e);

#endif
