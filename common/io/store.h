/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis on the loop: pipelined commands and scripts over one connection, with deadlines and
 * reconnects. Sole includer of hiredis. A reply that never came is STORE_LOST: neither success nor
 * failure, so ask again what is safe to ask again. */
#ifndef TUTTI_STORE_H
#define TUTTI_STORE_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/io/loop.h"

struct store;

struct store_options {
    const char *host; /* name or address, or a path starting with / for a unix socket */
    uint16_t port;
    const char *username, *password; /* AUTH; NULL: none */
    uint32_t db;                     /* SELECT */
    /* 0: 2000. A server that owes replies and sends none for so long is given up: the connection is
     * dropped and everything on it is LOST. Also the deadline of a connection attempt. */
    uint32_t command_timeout_ms;
    uint32_t reconnect_ms_max; /* 0: 500; ten times that after refused credentials */
    const struct log *log;     /* required; logs a connection lost and regained once each */
    /* After every (re)connect, before queued commands go out; run_id is the server's, 40 hex. May
     * be NULL. */
    void (*on_connect)(void *user, const char *run_id);
    void (*on_disconnect)(void *user);
    void *user;
};

/* Starts to connect and keeps trying, first in the next turn. A host that is no address is looked
 * up for every attempt by a short-lived thread, so the loop never waits for DNS; each of its
 * addresses is tried. Credentials that are refused are reported by store_error. options are copied,
 * and log with them. Gives SIGPIPE an empty handler if it has none. ERR_INVALID: no host or no
 * port. */
MUST_CHECK struct store *store_open(struct loop *loop, const struct store_options *options,
                                    struct err *e);
/* Every pending callback comes with STORE_LOST before this returns; commands that they give are
 * dropped without a callback. Not from within a callback of this store. NULL is fine; returns NULL.
 */
struct store *store_close(struct store *s);
DEFINE_CLEANUP(struct store *, store_close)

bool store_connected(const struct store *s);
/* The run_id of the server of the present connection; "" before the first. */
const char *store_run_id(const struct store *s);
/* Why it is not connected (ERR_UNAVAILABLE, ERR_AUTH); false while connected. */
bool store_error(const struct store *s, struct err *ret);

enum store_status {
    STORE_OK,    /* reply is there */
    STORE_ERROR, /* Redis refused: reply is the error; nothing was done */
    STORE_LOST,  /* no reply: done or not done; reply is NULL */
};

enum store_type { STORE_NIL, STORE_INTEGER, STORE_STRING, STORE_ARRAY, STORE_ERROR_TEXT };
struct store_reply; /* dies with the callback */
enum store_type store_type(const struct store_reply *r);
int64_t store_integer(const struct store_reply *r); /* also of a string of digits; 0 otherwise */
struct bytes
store_string(const struct store_reply *r);       /* empty for other types; the text of an error */
size_t store_count(const struct store_reply *r); /* elements of an array, 0 for other types */
/* NULL where there is none, as for a lost reply: every function above takes that for nil, so that
 * an answer which is not what was asked for is an empty one and not the end of the process. */
const struct store_reply *store_at(const struct store_reply *r, size_t i);

typedef void (*store_fn)(void *user, enum store_status status, const struct store_reply *reply);

/* One command, binary-safe; argv[0] is its name, argv is copied. While there is no connection it
 * waits in a queue of 10,000 until the command deadline, then is LOST; one that finds the queue
 * full is LOST in the next turn. done comes exactly once, never inside the call; NULL: nobody asks.
 * LOADING, MASTERDOWN, READONLY and the like are STORE_ERROR. Not for SUBSCRIBE and MONITOR. */
void store_command(struct store *s, const struct bytes *argv, size_t argc, store_fn done,
                   void *user);

/* A script is a value: its source, its SHA-1 (made once by script_init). */
struct script {
    const char *name;
    const char *source; /* borrowed */
    char sha1[41];
};
struct script script_make(const char *name, const char *source);
/* Scripts to load right after every connect, so that NOSCRIPT is rare. The array must outlive the
 * store. One that does not compile is reported by its calls. */
void store_use_scripts(struct store *s, const struct script *scripts, size_t count);
/* EVALSHA; on NOSCRIPT once EVAL with the source, which runs behind commands given meanwhile. argv:
 * keys first (key_count of them), then arguments; copied. script must live until done. */
void store_script(struct store *s, const struct script *script, size_t key_count,
                  const struct bytes *argv, size_t argc, store_fn done, void *user);
/* --- what is done as one, and only where nothing has changed (guard.h uses these) --- */

/* The present connection, another number for each; 0: there is none. */
uint64_t store_connection(const struct store *s);
/* Commands, one behind the other: all their words, and of each command how many. */
struct store_commands {
    struct bytes *words;
    size_t *lengths;
    size_t count;
};
/* MULTI, the commands, EXEC, on this connection and no other: if it is gone, LOST. The reply is
 * EXEC's: those of the commands as an array, in which some may be errors; nil if something that the
 * connection watches was changed, and then nothing was done. Everything is copied. */
void store_exec(struct store *s, uint64_t connection, const struct store_commands *commands,
                store_fn done, void *user);
/* Writes what the socket takes now instead of at the end of the turn: for turns that are long. Not
 * from within a callback of this store; if the connection turns out to be lost, callbacks come. */
void store_push(struct store *s);
/* Commands under way or waiting. */
size_t store_pending(const struct store *s);

#endif
