/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs as a command line sees them: started by an event in Kafka, looked at in Redis, and described
 * by the engine's own reading of the stored fields.
 */
#ifndef TUTTI_CLI_RUNS_H
#define TUTTI_CLI_RUNS_H

#include "cli/client.h"

/* How long a run that was just started may be unknown to Redis. */
#define RUN_GRACE_MS 2000

/* The stored fields of a run. */
struct run_fields {
    struct field *list; /* owned, as are its bytes */
    size_t count;       /* 0: there is no such run */
};
void runs_fields_done(struct run_fields *f);
/* All fields, or only the named ones (names not NULL). */
MUST_CHECK bool runs_fetch(struct client *c, const char *run_id, int32_t partition,
                           const char *const *names, size_t name_count, struct run_fields *ret,
                           struct err *e);

/* A run that is looked at. */
struct view {
    char id[RUN_ID_MAX];
    int32_t partition;
    struct definition *def; /* NULL where the definition cannot be had: then steps go by path */
    bool def_asked;
    bool fresh; /* started a moment ago: Redis may not know it for as long as no orchestrator is up
                 */
    struct run_fields fields;
    json_t *run; /* run_describe of the fields */
};
void view_done(struct view *v);
/* Checks the form of the id and finds its partition. ERR_INVALID, ERR_NOT_FOUND. */
MUST_CHECK bool view_open(struct client *c, const char *id, struct view *ret, struct err *e);
/* Reads the run again, within grace_ms at the latest. ERR_NOT_FOUND: Redis does not know it. */
MUST_CHECK bool view_read(struct client *c, struct view *v, uint32_t grace_ms, struct err *e);

/* What is read out of a description. */
const char *runs_status(const json_t *run);
bool runs_ended(const json_t *run);
/* Wall time of its start; 0 if the description has none. */
int64_t runs_started_ms(const json_t *run);
/* EXIT_OK for a completed run; else EXIT_FAILED. */
int runs_exit_code(const json_t *run);
/* Appends one line of what went wrong; nothing if the run has no error. */
void runs_error_text(struct buf *ret, const json_t *run);

/* A transition of a step or of the run. */
struct change {
    uint64_t number;
    int64_t record_ms, offset;
    const char *path, *state; /* path "": the run itself */
    int64_t attempt;
    const char *why; /* an error type, or NULL */
};
/* Calls fn for every transition numbered `from` or higher, in order; returns the next number. */
uint64_t runs_transitions(const struct run_fields *fields, uint64_t from,
                          void (*fn)(void *user, const struct change *t), void *user);

/* Starts a run of def. input: JSON, checked against the schema and the payload limit here. key: may
 * be NULL, and policy too, what is done where other runs have it. ret_id: the new run's id.
 * ERR_INVALID, ERR_LIMIT; errors of Kafka. */
MUST_CHECK bool runs_start(struct client *c, const struct definition *def, struct bytes input,
                           const char *key, const char *policy, char ret_id[RUN_ID_MAX],
                           int32_t *ret_partition, struct err *e);
/* Waits until the event that was appended last, to this partition, has been folded. ERR_TIMEOUT: it
 * is in the log all the same. */
MUST_CHECK bool runs_wait_folded(struct client *c, int32_t partition, uint32_t wait_ms,
                                 struct err *e);
/* The runs of a start key that were started with a policy and are unfinished, in the order of their
 * starts: appends their ids to the list. id: one of them, or any that has the key. */
MUST_CHECK bool runs_line(struct client *c, const char *id, int32_t partition, json_t *ret,
                          struct err *e);
/* The input that the flags of start and dev ask for. */
MUST_CHECK bool runs_input(const struct cli *cli, struct buf *ret, struct err *e);

enum watch_mode {
    WATCH_QUIET, /* only waits */
    WATCH_LINES, /* a line per transition */
    WATCH_BLOCK, /* one block, redrawn */
    WATCH_JSON,  /* an object per transition, one a line */
};
/* The mode that fits the output. */
enum watch_mode watch_mode_of(const struct cli *cli);
/* Watches until the run has ended; v->run is then its description. timeout_ms 0: no limit; after it
 * ERR_TIMEOUT. */
MUST_CHECK bool runs_watch(struct client *c, struct view *v, enum watch_mode mode,
                           uint32_t timeout_ms, struct err *e);
/* Appends the block of a run, at most rows_max lines: a head line and a line per step, each no
 * wider than the terminal. Returns the number of lines. */
size_t runs_block(struct buf *ret, const struct term *t, const struct view *v, int64_t now_ms,
                  size_t rows_max);
/* The local time of day, as in 12:00:01. */
void runs_clock(int64_t wall_ms, char ret[16]);
/* Appends one transition for people: "12:00:01 extract issued". */
void runs_change_line(struct buf *ret, const struct change *t);
/* Prints the output of an ended run, or why it has none; returns the exit code. */
int runs_print_result(const struct cli *cli, const json_t *run);

#endif
