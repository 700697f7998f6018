/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated world: processes that run the product's own code over fakes of common/io, one
 * Kafka, one Redis, tools that answer or not, and virtual time. One seed decides everything: who
 * gets a turn when, how long a message takes, what breaks. See docs/simulator.md.
 *
 * A process is crashed by a flag: from that instant nothing leaves it any more, whatever its code
 * still does until its turn ends; then its objects are closed, which nobody outside notices. */
#ifndef TUTTI_SIM_WORLD_H
#define TUTTI_SIM_WORLD_H

#include "common/base/buf.h"
#include "common/base/map.h"
#include "common/io/loop.h"
#include "sim/options.h"
#include "sim/prng.h"

#define PROCS_MAX 8
#define NEVER     UINT64_MAX
#define PREFIX    "tutti"
#define MS        1000ull       /* microseconds */
#define SECOND    1000000ull    /* microseconds */
#define EPOCH_MS  1767225600000 /* the wall clock when the world begins */

struct world;
struct proc;
struct redis;
struct redis_dump;
struct cluster;
struct oracle;
struct workload;
struct people;
struct tools_world;
struct blobs_world;
struct blob_store;

/* --- processes --- */

enum proc_kind { PROC_ORCHESTRATOR, PROC_WORKER };
enum proc_state {
    PROC_DOWN,
    PROC_UP,
    PROC_STOPPED, /* SIGSTOP: no turn until it is continued, while the world goes on */
};

struct proc {
    struct world *world;
    int index;
    enum proc_kind kind;
    enum proc_state state;
    char name[16];
    bool dead;                      /* crashed within this turn: nothing leaves it any more */
    bool killed;                    /* by a fault, within this turn */
    uint32_t life;                  /* counts starts */
    uint64_t wake_us, free_us;      /* when it wants its next turn; when it can have it */
    uint64_t stopped_us, resume_us; /* of the present stop */
    uint64_t stops;                 /* so far: the call oracle asks whether there was one */
    uint64_t cut_since_us;
    uint64_t bus_cut_us, store_cut_us; /* cut off from Kafka or Redis until then */
    int64_t skew_ms;                   /* of its wall clock */
    struct prng random;                /* what random_bytes gives it */
    struct loop *loop;
    struct bus *bus;
    struct store *store;
    struct http_pool *pool;
    struct blob_store *blobs;
    struct shard *shard;
    struct worker *worker;
};

/* Wants a turn at that time or earlier. */
void proc_wake(struct proc *p, uint64_t at_us);
/* An output has just left the process: it may be its last. */
void proc_output(struct proc *p);
static inline bool proc_silent(const struct proc *p)
{
    return p->dead;
}
void proc_start(struct proc *p);
void proc_crash(struct proc *p);
void proc_stop(struct proc *p, uint64_t for_us);
void proc_continue(struct proc *p);
/* The process whose code runs at this moment, or NULL: for the clock, which has no other argument.
 */
struct proc *proc_current(void);

/* --- the world --- */

enum phase { PHASE_FAULTS, PHASE_HEALED, PHASE_OVER };

struct happening {
    uint64_t at_us, order;
    void (*fn)(void *user);
    void *user;
};

struct counters {
    uint64_t steps;     /* deliveries to processes: records, acknowledgements, replies, timers */
    uint64_t turns;     /* of all processes */
    uint64_t events;    /* records appended to the events topic */
    uint64_t faults;    /* that happened, of all kinds */
    uint64_t calls;     /* of tools */
    uint64_t repeated;  /* calls begun between a lease check and the application of a result */
    uint64_t overtaken; /* calls begun on the answer of a Redis that was wiped meanwhile */
    uint64_t results_doubled; /* the same result emitted twice, where that is legal */
    uint64_t runs, runs_ended;
    uint64_t kinds[FAULT_COUNT]; /* faults of each kind; those in messages are the rest */
    uint64_t tools_failed, tools_slow, tools_hung;
    /* of a user's workflow (endings_of_world) */
    uint64_t completed, failed, cancelled, rolled_back;
    uint64_t again_failed;  /* calls of a step whose earlier calls had all failed */
    uint64_t again_unknown; /* calls of a step of which one call succeeded, or got no answer */
    uint64_t cut;           /* seeds that were left before their runs had ended */
    uint64_t virtual_ms;
};

struct world {
    uint64_t seed;
    struct options options;
    struct prng net, faults, script, choice;
    uint64_t now_us;
    enum phase phase;
    bool closing; /* what still happens only gives its memory back */
    uint64_t heal_us, limit_us;
    struct happening *heap;
    size_t heap_count, heap_cap;
    uint64_t order;
    struct proc procs[PROCS_MAX];
    size_t proc_count;
    struct cluster *cluster;
    struct redis *redis;
    struct redis_dump *dump;
    uint64_t redis_marks[8]; /* of the last moments, for rewinds */
    size_t redis_mark_count;
    uint64_t redis_epoch;   /* counts servers */
    uint64_t redis_down_us; /* refuses connections until then */
    int64_t slept_ms;       /* how long everything has stood still, by the wall clock */
    uint64_t retain_us;
    struct workload *workload;
    struct people *people; /* of a user's workflow */
    struct oracle *oracle;
    struct tools_world *tools;
    struct blobs_world *blobs; /* the payload store */
    struct counters counters;
    bool cut;         /* a user's runs wait for longer than is worth simulating */
    bool quarantined; /* killed so often that an event had to be taken for poison: the rest of the
                         seed tells nothing */
    bool violated;
    char violation[1000];
    char oracle_name[40]; /* which one */
};

/* Runs one seed to its end; w says how it went. Release with world_done. redis is reset first: one
 * for many seeds, since it compiles each script but once. It stays the caller's. */
void world_run(struct world *w, struct redis *redis, uint64_t seed, const struct options *options);
struct redis *world_redis(void);
void world_done(struct world *w);
/* What comes next, which may be a turn of a process; false: nothing will ever come. */
bool world_step(struct world *w);

/* fn(user) at that time. There is no taking back: fn looks whether it is still wanted. */
void world_at(struct world *w, uint64_t at_us, void (*fn)(void *user), void *user);
static inline void world_in(struct world *w, uint64_t us, void (*fn)(void *user), void *user)
{
    world_at(w, w->now_us + us, fn, user);
}
static inline int64_t world_wall_ms(const struct world *w)
{
    return EPOCH_MS + (int64_t)(w->now_us / 1000) + w->slept_ms;
}
static inline bool world_faulty(const struct world *w)
{
    return w->phase == PHASE_FAULTS;
}
/* Some delay of a network hop, in microseconds: mostly short, now and then long. */
uint64_t world_delay(struct world *w);
/* A fault has happened. */
void world_fault(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* An oracle is not content: the first complaint is kept, and the world ends. */
void world_violation(struct world *w, const char *oracle, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* --- trace.c --- */
void trace(const struct world *w, const struct proc *p, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* --- faults.c --- */
void faults_begin(struct world *w);
/* Ends all faults: who is stopped goes on, who is down starts, Redis accepts. */
void faults_heal(struct world *w);

/* Some orchestrator stands still for longer than its session lasts. */
void fault_freeze(struct world *w);

/* --- people.c: those who are asked, and those who run the installation --- */
void people_begin(struct world *w);
void people_users_begin(struct world *w); /* people_users.c */
void people_done(struct world *w);

/* --- workload.c --- */
void workload_begin(struct world *w);
void workload_done(struct world *w);
/* Everything that was started has ended, and everybody is at rest. */
bool workload_settled(struct world *w);

/* --- loop_fake.c --- */
void loop_fake_turn(struct loop *loop);
struct proc *loop_proc(const struct loop *loop);
bool loop_fake_stopped(const struct loop *loop);
/* Of an earlier timer or a wish for another turn; NEVER if there is none. */
uint64_t loop_fake_due_us(const struct loop *loop);

#endif
