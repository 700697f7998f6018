/* SPDX-License-Identifier: Apache-2.0
 *
 * The judges. They see what passes between the processes and the world (records as they are sent
 * and appended, scripts as Redis executes them, calls as they begin), fold the log once more on
 * their own, and complain by world_violation. docs/simulator.md lists what each holds. */
#ifndef TUTTI_SIM_ORACLE_H
#define TUTTI_SIM_ORACLE_H

#include "common/io/store.h"
#include "sim/cluster.h"
#include "sim/tools_world.h"
#include "sim/world.h"

struct oracle;
struct oracle *oracle_new(struct world *w);
struct oracle *oracle_free(struct oracle *o);

/* A process hands a record to its client. */
void oracle_sent(struct world *w, const struct proc *p, const struct log_part *part,
                 const struct record *r);
/* A record that was sent will not be appended any more. */
void oracle_dropped(struct world *w, const struct proc *p, const struct log_part *part,
                    const struct record *r);
/* A record stands in a log now. */
void oracle_appended(struct world *w, const struct log_part *part, const struct record *r,
                     const struct proc *by);
/* Redis is about to execute, and has executed, a script or a command. */
void oracle_before(struct world *w, const struct proc *p, const char *name,
                   const struct bytes *argv, size_t argc);
void oracle_executed(struct world *w, const struct proc *p, const char *name,
                     const struct bytes *argv, size_t argc, size_t key_count,
                     const struct store_reply *reply);
/* The highest floor that stands in the snapshots of a partition; -1: none. */
int64_t oracle_floor(const struct world *w, int32_t partition);
/* Redis has gone back. */
void oracle_redis_lost(struct world *w);
/* A process dies by a fault. */
void oracle_killed(struct world *w, const struct proc *p);
/* A call begins. */
void oracle_called(struct world *w, const struct proc *p, const struct ledger_entry *call);
/* Whether all runs have ended, their results are in the log, and Redis stands at its end. */
bool oracle_at_rest(const struct world *w);
/* It takes too long: complains about what has not ended. */
void oracle_stuck(struct world *w);
/* The last word: everything is compared. */
void oracle_end(struct world *w);

/* --- oracle_look.c: what people can see of the runs, as far as the log goes --- */

enum sight {
    SIGHT_RUN,    /* a run that has not ended: once each */
    SIGHT_PAUSED, /* it is paused */
    SIGHT_ASKS,   /* a step asks people; an escalated one with `escalated` */
    SIGHT_SIGNAL, /* a step waits for a signal */
    SIGHT_STEP,   /* a step that is neither PENDING nor over */
};
struct look {
    enum sight sight;
    bool escalated;
    const char *run_id;
    const struct definition *def;
    const struct step_def *step; /* of ASKS, SIGNAL, STEP */
    struct bytes path;           /* of the step; it and `asked` live during the call */
    struct bytes asked;          /* of ASKS: the question, JSON (orchestrator/engine/people.c) */
};
/* Calls fn for everything that is to be seen, in an order that the seed alone decides. */
void oracle_look(struct world *w, void (*fn)(void *user, const struct look *look), void *user);

#endif
