/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions that depend on a hash in Redis: its fields are read under WATCH, the caller looks at
 * them and says what is to be done, and MULTI … EXEC does it unless the hash has changed meanwhile
 * (optimistic locking, as the Redis documentation has it under "Transactions"). It costs a round
 * trip more than a script and a half of its CPU: a script turns every argument into a Lua string,
 * and back.
 *
 * A connection has one list of what it watches. So those that wait go together, GUARDED_MAX at the
 * most: one look at all their hashes, one EXEC, and the next look goes out right behind it. */
#ifndef TUTTI_GUARD_H
#define TUTTI_GUARD_H

#include "common/io/store.h"

#define GUARDED_MAX        4
#define GUARDED_FIELDS_MAX 8

/* Commands that are put together word by word; views, nothing is copied. */
struct command_list {
    struct bytes *words;
    size_t *lengths; /* words of each command */
    size_t word_count, word_cap, count, cap;
};
void command_list_begin(struct command_list *l, struct bytes verb, struct bytes key);
void command_list_word(struct command_list *l, struct bytes word);
void command_list_done(struct command_list *l);

struct guards;

/* The store is the caller's, and nobody else may use WATCH or MULTI on it. */
struct guards *guards_new(struct store *store);
/* What still waits is LOST; what is under way must have had its reply: close the store first. NULL
 * is fine; returns NULL. */
struct guards *guards_free(struct guards *g);

enum guard_result {
    GUARD_DONE,
    GUARD_DECLINED, /* decide said no */
    GUARD_CHANGED,  /* one of the hashes that were looked at was written to, and nothing was done:
                     * ask again */
    GUARD_REFUSED,  /* Redis said no, and nothing was done */
    GUARD_TORN,     /* it said no to a command, which found a key of another type; the others were
                     * executed */
    GUARD_LOST,     /* no reply: done or not done */
};
struct guarded {
    struct bytes key;           /* the hash; copied */
    const struct bytes *fields; /* literals */
    size_t field_count;
    /* values: of those fields, with a NUL behind each; data is NULL where there is none. Whether
     * something is to be done, and then what: appended to commands, whose words must be good until
     * done. EXEC follows before anything that is asked of the store afterwards. */
    bool (*decide)(void *user, const struct bytes *values, struct command_list *commands);
    /* Once, never inside guard_submit. why: Redis' words, where it said no. */
    void (*done)(void *user, enum guard_result result, struct bytes why);
    void *user;
};
void guard_submit(struct guards *g, const struct guarded *guarded);

#endif
