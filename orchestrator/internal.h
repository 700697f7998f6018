/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the orchestrator share: a shard (all that one thread owns: its loop, its Kafka
 * and Redis connections, its partitions) and a partition with the life cycle of docs/protocol.md:
 *
 *   CLAIMING -> TAKING_OVER -> RECOVERING -> REISSUING -> RUNNING
 *      ^______________________________________________________|   reload: memory is dropped, a new
 *                                                                 claim is made
 *   HALTED: its log or its snapshots are not what Redis speaks of; it is looked at again later
 *
 * Shards share nothing, so there is no lock in this directory. */
#ifndef TUTTI_ORCHESTRATOR_INTERNAL_H
#define TUTTI_ORCHESTRATOR_INTERNAL_H

#include "common/base/log.h"
#include "common/base/map.h"
#include "common/io/bus.h"
#include "common/io/guard.h"
#include "common/io/loop.h"
#include "common/io/payload_store.h"
#include "common/io/store.h"
#include "common/proto/keys.h"
#include "orchestrator/engine/arena.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/shard.h"

#define CLAIM_TOKEN_MAX 40
#define RANDOM_TEXT_MAX 13 /* 12 hex digits */
#define FOLD_MARK_MAX   (GENERATION_MAX + 24)
#define CREDIT_RECORDS  512  /* read ahead of the fold, a partition */
#define REPLAY_CREDIT   2048 /* the same while it recovers */
#define PIPELINE_MAX \
    4 /* batches of a partition that are acknowledged or committed while the next is folded */
#define REPLAY_PIPELINE_MAX 2     /* the same of a replay, whose batches are large */
#define LOAD_PAGE           64    /* runs read by one script */
#define COMMITS_MAX         4     /* of a shard under way at once */
#define WAVE_MS             50    /* a wave that takes longer does not hold the next one back */
#define HALT_MS             10000 /* before a halted partition is looked at again */
#define RETRY_MS            200   /* before Redis or Kafka is asked again after a refusal */
#define SHARD_PENDING_MAX   50000 /* messages under way before the fold waits for the broker */

/* X(enumerator, text) */
#define PARTITION_STATES(X)       \
    X(CLAIMING, "claiming")       \
    X(TAKING_OVER, "taking_over") \
    X(RECOVERING, "recovering")   \
    X(REISSUING, "reissuing")     \
    X(RUNNING, "running")         \
    X(HALTED, "halted")
enum partition_state {
#define X(name, text) PARTITION_##name,
    PARTITION_STATES(X)
#undef X
};

/* --- timers.c: due times of live runs, a heap with an index by run id --- */

struct due {
    int64_t due_ms;    /* when to look again */
    int64_t stored_ms; /* score in tm:{p}; never later than the truth, corrected lazily */
    size_t slot;       /* in the heap */
    bool stored;       /* is a member of tm:{p} */
    char id[RUN_ID_MAX];
};
struct timers {
    struct due **heap;
    size_t count, cap;
    struct map by_id;
};
void timers_done(struct timers *t);
struct due *timers_find(const struct timers *t, const char *id);
/* Inserts or moves. */
struct due *timers_set(struct timers *t, const char *id, int64_t due_ms);
void timers_remove(struct timers *t, const char *id);
struct due *timers_first(const struct timers *t);

/* --- cache.c: run states in memory --- */

struct entry {
    struct run *run; /* NULL: Redis has no such run (known for the batch under way only) */
    struct partition *part;
    struct entry *older, *newer; /* by last use, over all partitions of the shard */
    size_t memory;
    int64_t watched_ms;    /* its due time as the timers have it; 0: none */
    int64_t stored_bytes;  /* of a finished run: what it counts in fin_bytes */
    struct fetch *fetch;   /* payloads of it that are being read; NULL: none */
    char *lost;            /* why one of them is not there, and run an outline; NULL: all are */
    struct map known;      /* sha256 of what the payload store is known to hold of it */
    uint32_t pins;         /* uncommitted batches and recoveries that hold it (cache_pin) */
    uint32_t asked;        /* in which load_round */
    uint32_t batch_events; /* of it in the batch that is being folded */
    bool loading;
    bool large;    /* it is being read in pieces */
    bool in_batch; /* touched by the batch that is being folded */
    bool deleted;  /* by the batch that is being folded */
    bool retime;   /* its timer fired: the index is to be corrected */
    bool outside;  /* it was read with claim checks in it */
    bool partial;  /* it has ended, and of its claim checks only the result's was read */
    bool whole;    /* all of them are to be read: it is to go on */
    char id[RUN_ID_MAX];
};
struct start_key {
    char route[ROUTE_HEX + 1];
    char run_id[RUN_ID_MAX]; /* "" : none */
    uint32_t pins, asked;
    bool loading, in_batch;
};
struct cache {
    struct entry *oldest, *newest;
    size_t memory, memory_max, count;
    size_t pinned; /* of memory: what cannot leave now */
};
struct entry *cache_find(struct partition *part, struct bytes id);
/* A new entry that is loading. */
struct entry *cache_add(struct partition *part, struct bytes id);
void cache_pin(struct entry *entry); /* it stays until it is unpinned as often */
void cache_unpin(struct entry *entry);
void cache_use(struct entry *entry);     /* marks as used last */
void cache_account(struct entry *entry); /* after its state changed */
void cache_drop(struct entry *entry);    /* not pinned */
void cache_trim(
    struct cache *cache); /* to its bound, least recently used first; pinned ones stay */
void cache_drop_partition(struct partition *part);
/* Asks Redis for entries and keys that are loading (the lists are copied). A failure raises
 * load_round after a while; a read of another place reloads the partition. */
void cache_load(struct partition *part, struct entry **entries, size_t entry_count,
                struct start_key **keys, size_t key_count);
/* Takes the stored fields of an entry that is loading; their values may be changed. Where some are
 * claim checks it goes on loading until the payloads are read. false: its definition is not known
 * yet, or they are damaged. */
bool cache_take(struct entry *entry, struct field *fields, size_t count);
/* The same once the payloads stand in the fields (but for those that are lost). */
bool cache_put_in(struct entry *entry, const struct field *fields, size_t count);

/* --- load_large.c: a run with too many fields for one script --- */

/* Reads it in pieces, then cache_take; unless it is under way. */
void large_load(struct entry *entry);

/* --- args.c: the arguments of a script, kept because a commit may be asked again --- */

struct partition;
struct args {
    struct buf text;
    size_t *ends;
    size_t count, cap;
};
void args_done(struct args *a);
void args_add(struct args *a, struct bytes value);
void args_add_int(struct args *a, int64_t value);
/* The name of a key of the partition, made by one of the key_ functions. */
void args_add_key(struct args *a, const struct partition *part,
                  void (*key)(struct buf *, const char *, int32_t));
void args_append(struct args *a, const struct args *more);
/* A view, good until the next is added. */
struct bytes args_at(const struct args *a, size_t i);
/* Views of all arguments, to free(). */
struct bytes *args_views(const struct args *a);

/* --- ledger.c: what is folded beside the runs --- */

struct ledger_item {
    char *name;
    struct buf value; /* empty: it goes with the next commit */
    bool changed;
    struct ledger_item *next_changed;
};
struct ledger {
    struct map entries;
    struct ledger_item *changed;
};
/* NULL: there is none of that name. */
struct ledger_item *ledger_find(const struct ledger *l, struct bytes name);
struct ledger_item *ledger_make(struct ledger *l, struct bytes name);
/* To be called wherever the value changes. */
void ledger_touch(struct ledger *l, struct ledger_item *entry);
/* Appends what changed since the last call: names with values, and the names of what is gone. */
void ledger_changes(struct ledger *l, struct args *sets, struct args *deletes);
void ledger_done(struct ledger *l);

/* --- turns.c: start keys with a policy --- */

enum turn {
    TURN_NONE, /* nothing is started */
    TURN_NOW,
    TURN_WAIT, /* the run begins with its run.begin */
    TURN_FULL, /* too many runs have the key */
};
/* A run.start with a key and a policy, which is not one that was folded before. holder: the run
 * that the key stands for (that of a start without policy), or empty. fx gets events. */
enum turn turns_start(struct ledger *l, const struct event *ev, struct bytes holder,
                      struct effects *fx);
/* Whether unfinished runs with a policy have the key of this run. */
bool turns_taken(const struct ledger *l, struct bytes run_id);
/* The events run.begin and key.released. */
void turns_begun(struct ledger *l, struct bytes run_id);
void turns_released(struct ledger *l, struct bytes run_id, struct effects *fx);
/* The run is over, or there is none of that id: fx gets its key.released if it has a place. */
void turns_over(const struct ledger *l, struct bytes run_id, struct effects *fx);
/* Behind a recovery: every event that has not been answered, once more. */
void turns_resend(const struct ledger *l, struct effects *fx);

/* --- schedules.c --- */

/* A run.start: whether it may be one, as far as its schedule has a say. */
bool schedules_start(struct ledger *l, const struct event *ev);
/* The events schedule.paused and schedule.resumed. */
void schedules_control(struct ledger *l, const struct event *ev, int64_t record_ms);
/* The catalogue changed. */
void schedules_update(struct shard *shard);
void schedules_close(struct shard *shard);
/* Appends the starts that are due, of the schedules that lie in the partition. */
void schedules_fire(struct partition *part);

/* --- outputs.c: what a fold sends --- */

/* The folds of all partitions in one turn. The next wave is folded when fewer than `pipeline` are
 * under way: what arrives meanwhile makes it larger, and what costs is the number of batches, in
 * Kafka as in Redis. */
struct wave {
    struct shard *shard;
    size_t folds; /* whose outputs are not acknowledged yet */
};
void wave_leave(struct wave *wave);

struct batch;
struct outputs {
    struct batch *batch;
    struct wave *wave; /* NULL: of a recovery */
    size_t acks_missing;
    bool closed; /* nothing is added any more */
    struct bus_waiter waiter, results_waiter;
};
/* Of the next fold into the batch. */
void outputs_open(struct batch *b, struct wave *wave);
/* So many more were handed to the bus with a waiter of b->outputs. */
void outputs_await(struct batch *b, size_t count);
/* The fold is over; done if there is none. */
void outputs_close(struct batch *b);
/* The tasks of the next turn go to another partition. */
void outputs_turn_over(struct shard *shard);
/* Sends every output of fx; on failure the batch is marked failed. */
void batch_produce(struct batch *b, const struct effects *fx);
/* Sends one of them, whose payload fits a message, as a part of these outputs, which may be closed.
 */
void batch_send(struct batch *b, struct outputs *o, const struct effect *fx);
/* One of acks_missing of the batch is in, and of the outputs (NULL: of none). */
void batch_answered(struct batch *b, struct outputs *o);
/* Sends a change of a run's state, alone. */
void batch_lifecycle(struct batch *b, const struct effect *effect);
/* The owner's claim on its partition of `results`, a CloudEvent of its own: once it is acknowledged
 * (results_next is behind it), readers see everything that was written there before. */
void batch_claim_results(struct batch *b);

/* --- batch.c: what one commit writes --- */

struct run_write { /* of a key in run_keys */
    size_t sets, deletes;
    bool gone; /* the key itself */
};
enum commit_verdict {
    COMMIT_OK,
    COMMIT_DUP,    /* it was done already */
    COMMIT_RELOAD, /* Redis stands somewhere else */
    COMMIT_FENCED, /* another owner has taken over */
};

struct batch {
    struct shard *shard;
    struct partition *part; /* NULL: abandoned, waits only for its acknowledgements */
    struct batch *next;     /* in order of the log */
    int64_t from, to;
    uint64_t opened_ms;
    bool recovered; /* the replay is over with this commit */
    bool has_claim; /* fold_gen changed */
    bool strange;   /* a claim of another generation than ours: failures may have been ignored */
    bool sealed;    /* folded, produced, encoded */
    bool sent;      /* the commit is under way */
    bool failed;    /* an output was not delivered */
    size_t acks_missing;     /* of all its folds */
    struct outputs *outputs; /* of the fold that is going on; NULL between two */
    struct entry **touched;
    struct start_key **keys;
    size_t touched_count, touched_cap, key_count, key_cap;
    size_t folded_bytes; /* values of the events in it */
    /* What is written, in parts: collected while folding, completed by batch_seal, and never
     * joined, because it is copied often enough on its way. */
    struct args fixed_keys, mark_keys, start_keys, run_keys;
    struct args place, marks, start_values, tm_adds, tm_dels, fin_adds, fin_dels, run_values;
    struct args mark_count, fin_delta; /* numbers, as words */
    struct run_write *writes;          /* one a key in run_keys */
    size_t write_cap;
    bool ends_replay; /* no doubt is left behind it */
    bool torn;        /* a part of it was refused: Redis may stand behind it without it */
    enum commit_verdict verdict; /* of the last time that it was asked for */
    int64_t found_epoch;         /* likewise: what Redis held; -1: none */
    int64_t fin_bytes;
    int64_t results_next; /* offset behind its last CloudEvent; 0: it has none */
};
struct batch *batch_new(struct partition *part, int64_t from);
void batch_free(struct batch *b);
void batch_mark(struct batch *b, const struct effect *effect);
bool batch_touch(struct batch *b, struct entry *entry); /* false: it has as many as it may */
bool batch_touch_key(struct batch *b, struct start_key *key);
/* Encodes the changes of what was touched; after it the batch can be committed. */
void batch_seal(struct batch *b);
/* Sends the commits that are due, in order. */
void batches_advance(struct partition *part);
void batches_abandon(struct partition *part);

/* --- commit.c --- */

/* Appends the commands of a sealed batch. counted: fin_bytes has it already. */
void batch_commands(const struct batch *b, bool ends_replay, bool counted, struct command_list *l);
/* Of a struct guarded: looks at epoch, off, replay_until and rebuild of p:{p}, and sets verdict. */
bool batch_decide(void *batch, const struct bytes *values, struct command_list *commands);
/* Sends a sealed one, whose outputs are acknowledged. */
void batch_commit(struct batch *b);

/* --- partition.c --- */

struct item { /* a record that waits for the fold: small, for there are thousands */
    struct bus_held *held;
    struct event ev; /* views under held */
    enum event_verdict verdict;
    uint32_t bytes; /* of the record's value */
    int64_t offset, record_ms;
    struct entry *entry;     /* of its run, while it is folded */
    char *reason;            /* of a verdict that is not OK */
    struct payload *payload; /* of a value that is a claim check, once it was asked for */
};

/* An event that is not folded, and what its run says about it. */
struct quarantined {
    int64_t offset;
    char *why;
};

struct partition {
    struct shard *shard;
    int32_t id;
    enum partition_state state;
    uint32_t life;          /* raised by every reload: replies to an earlier life are dropped */
    bool revoked;           /* no longer assigned: dies when the last reply is in */
    size_t replies_pending; /* callbacks under way that name this partition */
    struct partition *next_buried;
    struct log log;
    struct loop_timer retry;
    void (*retry_fn)(struct partition *part);

    char token[CLAIM_TOKEN_MAX]; /* of this claim */
    struct bus_waiter claim_waiter;
    uint32_t claim_life; /* the life that the claim under way was sent in */
    bool claim_pending;
    int64_t epoch; /* offset of our claim */
    int64_t log_start;
    char gen[GENERATION_MAX];      /* of our claim */
    char fold_gen[GENERATION_MAX]; /* of the last claim folded */
    size_t fold_payload_max;       /* likewise; 0: it said none */
    bool rebuild, reissue_all;
    bool halted;            /* until it runs; so that the alarm is given once */
    struct {                /* what Redis said before the claim */
        int64_t epoch, off; /* -1: nothing */
        char claim[CLAIM_TOKEN_MAX];
    } known;
    int64_t accept_loss; /* an operator's word: a log that begins below is good enough */
    struct genesis *genesis;
    struct rebuild *rebuilding;
    struct args doubtful; /* finished runs that may owe a result, where the log cannot say */
    struct map skips;     /* by run id: what a rebuild has put back, until the recovery is over */

    int64_t replay_from;  /* where the doubt begins */
    int64_t doubt_off;    /* the same for what leaves the installation: below it Kafka was told that
                             all is acknowledged */
    int64_t fold_off;     /* next offset to fold */
    uint64_t folded_ms;   /* when the last fold was */
    int64_t sent_off;     /* where Redis stands once all that was sent is applied */
    int64_t off;          /* where Redis is known to stand */
    int64_t advised_off;  /* told to Kafka */
    int64_t results_next; /* in its partition of `results`: CloudEvents that are not committed yet
                             stand here or behind; -1: unknown */
    uint64_t checked_ms, advised_ms; /* when Redis was last compared, Kafka last told */
    bool checking;

    struct item **inbox; /* ring */
    size_t inbox_first, inbox_count, inbox_cap;
    size_t credit_extra;   /* of a recovery, not to be given back */
    size_t prepared;       /* items at the front whose states were asked for */
    size_t claim_checks;   /* items whose value is one */
    size_t payload_bytes;  /* contents of these, there or asked for */
    struct map runs, keys; /* cached: by run id, by route */
    uint32_t load_round;   /* raised when what was asked for is to be asked for again */
    struct timers timers;
    struct ledger ledger;
    struct batch *batches, *batches_last; /* in order */
    size_t batch_count;
    bool commits_fail; /* the oldest commit was refused or lost, and is asked again */
    struct recovery *recovery;
    bool waits_for_definition;
    size_t expiring;            /* run.expired events appended and not folded yet */
    int64_t expired_off;        /* behind the last that was folded: until that is committed */
    bool overfull;              /* its finished runs hold twice what they may */
    uint64_t expiring_ms;       /* since when */
    struct bus_waiter appended; /* of timer and expiry events */

    int64_t caution; /* from this offset on; -1: none */
    int64_t tried_off;
    uint32_t tried_count, clean_commits;
    bool trying;
    struct quarantined *quarantined; /* few */
    size_t quarantined_count;

    struct round *round; /* of snapshots; NULL between them */
    struct freed {       /* runs that have expired and had a start key until then; see snapshot.c */
        int64_t off;
        char id[RUN_ID_MAX];
    } * freed;
    size_t freed_count, freed_cap;
    uint64_t round_due_ms;
    int64_t floor; /* that the last one reached; -1: unknown */
};

struct skip {
    char id[RUN_ID_MAX];
    int64_t off; /* its snapshot has the events below it already */
};

struct partition *partition_new(struct shard *shard, int32_t id);
/* The one partition of `results` that its CloudEvents go to. */
int32_t partition_results(const struct partition *part);
/* The group took it away. */
void partition_revoke(struct partition *part);
void partition_record(struct partition *part, const struct bus_record *r);
/* Goes on with a recovery, or reads ahead the states that the next wave needs; called every turn.
 */
void partition_pump(struct partition *part);
/* Folds what can be folded into the wave. */
void partition_fold(struct partition *part, struct wave *wave);
/* Drops memory and claims again after wait_ms; why goes to the log. */
void partition_reload(struct partition *part, uint32_t wait_ms, const char *why);
/* Stops it with an alarm, to be looked at again after HALT_MS; nothing of it is read or written
 * until then. */
void partition_halt(struct partition *part, const char *why);
void partition_set_state(struct partition *part, enum partition_state state);
/* The same without a word, where it was said already or is no surprise. */
/* Redis stands elsewhere than this owner: with the epoch that it holds (INT64_MAX: of another
 * owner). A rewind is answered at once; where another has claimed, 1 to 3 s later, or two owners
 * that both believe to be assigned would fence each other without a pause and nobody would get to
 * run. */
void partition_displaced(struct partition *part, int64_t epoch, const char *why);
#ifdef TUTTI_MUTANTS
void partition_seek_back(struct partition *part);
#endif
void partition_retry_claim(struct partition *part, uint32_t wait_ms);
/* Frees it if it is revoked and nothing is under way. */
void partition_bury(struct partition *part);
/* Goes on after wait_ms with whatever waits for an answer of Redis: commits, loads, a recovery. */
void partition_resume_in(struct partition *part, uint32_t wait_ms);
void partition_retry(struct partition *part, uint32_t wait_ms, void (*fn)(struct partition *part));
struct item *partition_item(struct partition *part, size_t i);
void partition_consume(struct partition *part,
                       size_t count); /* removes items from the front, gives credit */
/* A callback that carries the partition begins or has come; done: false if it belongs to an earlier
 * life. */
void partition_await(struct partition *part);
bool partition_reply(struct partition *part, uint32_t life);

/* claim.c */
void partition_claim(struct partition *part);
/* The last step of a takeover: reads the index of live runs, then the recovery begins. */
void partition_read_index(struct partition *part);

/* --- genesis.c --- */

/* Calls done if the claim with that token lies at that offset; otherwise the shard stops. */
void genesis_check(struct partition *part, int64_t epoch, const char *token,
                   void (*done)(struct partition *part));
void genesis_abandon(struct partition *part);

/* --- rebuild.c --- */

/* Fills Redis from the snapshots and sets the place to replay from, then partition_read_index. Not
 * whole: only learns which events are quarantined. */
void rebuild_begin(struct partition *part, bool whole);
void rebuild_abandon(struct partition *part);

/* --- snapshot.c --- */

/* Begins or goes on with a round of snapshots; called every tick. */
void snapshot_tick(struct partition *part);
/* The event at that offset frees the start key of the run. */
void snapshot_note_freed(struct partition *part, const char *run_id, int64_t offset);
void snapshot_abandon(struct partition *part);
/* A finished run is live again by what is being committed: the round under way may have looked for
 * it where it is not any more. */
void snapshot_note_revived(struct partition *part, const char *run_id);

/* --- caution.c --- */

/* What was said when the event there was put into quarantine; NULL: it was not. */
const char *partition_quarantined(const struct partition *part, int64_t offset);
/* Whether the event there is to be folded alone, and whether it may be folded now. */
bool caution_holds(const struct partition *part, int64_t offset);
bool caution_passes(struct partition *part, int64_t offset);
/* Its fold came back. */
void caution_survived(struct partition *part);
/* A commit went well. */
void caution_committed(struct partition *part);
/* Whether the event is not to be folded, and what is done instead. */
bool caution_quarantines(const struct partition *part, int64_t offset);
void caution_quarantine(struct batch *b, struct entry *entry, const struct item *item,
                        const struct fold_context *cx, struct effects *fx);

/* Puts the event aside: to the dead-letter topic and into quarantine, and its run is paused. */
void caution_put_aside(struct batch *b, struct entry *entry, const struct item *item,
                       const char *why, const struct fold_context *cx, struct effects *fx);

/* --- payload_reads.c: claim checks on their way in --- */

/* Asks for the contents of queued events, as far ahead as memory allows. */
void payloads_prepare(struct partition *part);
/* Whether the event's value is there, or known to be lost. */
bool payload_here(const struct partition *part, const struct item *item);
enum payload_verdict { PAYLOAD_FINE, PAYLOAD_LOST, PAYLOAD_MALFORMED };
/* Puts the content into the event that is folded next, if its value is a claim check. LOST: that of
 * the event or of its run is not there; then, as for MALFORMED, why says so. */
enum payload_verdict payload_take(struct item *item, const struct entry *entry, struct buf *why);
/* Stops reading it. NULL is fine; returns NULL. */
struct payload *payload_free(struct payload *p);
/* Whether the event lets a run go on that has ended, of which not all payloads were read: it is
 * read again. *ret_gone: it is to be asked for. */
bool payloads_lacking(struct partition *part, const struct item *item, bool *ret_gone);
/* The event is queued, and its run asked for. */
void payloads_expect(struct partition *part, const struct item *item);
/* Reads the payloads of an entry that is loading, then cache_take. false: there are none to be
 * read. */
bool payloads_fetch(struct entry *entry, const struct field *fields, size_t count);
void payload_fetch_cancel(struct entry *entry);
/* Values that had to be guarded as they were. */
void payloads_unguard(struct field *fields, size_t count);
/* What a finished run counts in fin_bytes: as it was counted when it ended, if some of it lies in
 * the payload store (field "b"), else its size. */
int64_t payloads_counted(const struct run *run, const struct field *fields, size_t count);

/* --- payloads.c: payloads on their way out --- */

/* Whether some of the run lies in the payload store, or will with these fields. */
bool payloads_outside(const struct batch *b, const struct entry *entry,
                      const struct fields *fields);
/* Appends the value of a field that changed to the batch's, as it is to be stored. */
void payloads_add_field(struct batch *b, struct entry *entry, const struct field *field);
/* Whether its payload belongs into the payload store: then it is put there, and sent. */
bool payloads_hold(struct batch *b, const struct effect *fx);
void payload_known_add(struct entry *entry, const struct blob_ref *ref);
void payload_known_done(struct entry *entry);

/* --- payload_sweep.c --- */

/* Begins a sweep of the payload store when one is due; called every tick. */
void payload_sweep_tick(struct shard *shard);
void payload_sweep_end(struct shard *shard);

/* --- probe.c --- */

/* Sees every event before it is folded, and does nothing. A test program may have its own, to crash
 * where a bug would. */
void fold_probe(const struct event *ev);

/* --- fold.c --- */

/* Folds what is queued below offset `until` into the open batch, or a new one, and hands its
 * outputs to the bus (silent: throws them away, in a replay). The batch stays open for the next
 * fold until it is as large as it may be or fold_close says so. false: nothing could be folded now
 * (nothing there, states still loading, a definition unknown). */
bool fold_batch(struct partition *part, struct wave *wave, bool silent, int64_t until);
/* The batch that folds have left open; NULL: there is none. */
struct batch *fold_open(const struct partition *part);
/* When it is to be committed, by loop_now_ms; UINT64_MAX: there is nothing to wait for. */
uint64_t fold_due_ms(const struct partition *part);
/* Puts it on its way. */
void fold_close(struct partition *part);
/* Asks for the states that the queued items need and that were not asked for yet. */
void fold_prepare(struct partition *part);
/* Entries for these run ids, loaded: false while some are under way. */
bool fold_have_runs(struct partition *part, const struct bytes *ids, size_t count);
void batch_link(struct batch *b);
/* Whether a snapshot has the event already. */
bool fold_skips(const struct partition *part, const struct item *item);
/* What the last claim says to the fold, as it is stored beside the offset: its generation, and
 * behind a space its payload-max if it has one. */
void fold_mark_make(const struct partition *part, char ret[FOLD_MARK_MAX]);
void fold_mark_take(struct partition *part, struct bytes mark);

/* --- recover.c --- */

void recovery_begin(struct partition *part);
void recovery_pump(struct partition *part);
void recovery_free(struct partition *part);
/* The place in `results` as a note beside the offset that Kafka is told, and back: "" is unknown.
 */
void recovery_note_make(const struct partition *part, char ret[BUS_NOTE_MAX]);
void recovery_note_take(struct partition *part, const char *note);
/* A run that the doubtful range names; owes: outputs of it may be in doubt. The last word counts.
 */
void recovery_note(struct partition *part, struct bytes run_id, bool owes);
/* The range resumes that run, which was noted: its tasks are issued again whoever had them. */
void recovery_note_resume(struct partition *part, struct bytes run_id);
/* Whether Redis cannot have the run: it is being rebuilt, and neither a snapshot nor the log so far
 * has named it. */
bool recovery_lacks(const struct partition *part, struct bytes run_id);

/* --- housekeeping.c --- */

void partition_housekeep(struct partition *part);
/* Every turn: lets finished runs leave where they hold twice what they may. */
void partition_make_room(struct partition *part);
/* Appends the events of timers that are due. */
void partition_fire_timers(struct partition *part);

/* --- catalogue.c: definitions and queues --- */

struct queue { /* of one priority */
    char *name, *topic;
    int32_t partitions; /* 0: not known yet */
    bool asking;
    uint64_t asked_ms;
    struct catalogue *catalogue;
};
struct catalogue;
struct catalogue *catalogue_open(struct shard *shard, struct err *e);
struct catalogue *catalogue_close(struct catalogue *c);
bool catalogue_ready(const struct catalogue *c); /* was read to its end once */
/* NULL: unknown so far, or its queues are. */
const struct definition *catalogue_find(struct catalogue *c, const char *sha256);
/* The definition of that name and version; version empty: the latest. NULL: there is none. */
const struct definition *catalogue_resolve(const struct catalogue *c, struct bytes name,
                                           struct bytes version);
/* When it was deployed, by the clock of the log. */
int64_t catalogue_deployed_ms(const struct catalogue *c, const struct definition *def);
/* Latest deployed definition of each name, for triggers. */
const struct definition *catalogue_next_latest(const struct catalogue *c, size_t *pos);
const struct queue *catalogue_queue(const struct catalogue *c, const char *name,
                                    enum priority priority);
void catalogue_tick(struct catalogue *c); /* asks again for what is not known yet */

/* --- dlq.c --- */

/* Sends a record to the dead-letter topic; w is told as by bus_send. false: the queue is full. */
bool dlq_send(struct shard *shard, const struct bus_record *r, const char *reason,
              const char *error, struct bus_waiter *w);

/* --- triggers.c --- */

struct triggers;
struct triggers *triggers_open(struct shard *shard);
/* Leaves its group, if it is in one: then shard_left follows. */
bool triggers_leave(struct triggers *t);
struct triggers *triggers_close(struct triggers *t);
void triggers_update(struct triggers *t); /* the catalogue changed */

/* --- shard.c --- */

/* X(enumerator, stem of scripts/<stem>.lua) */
#define SCRIPTS(X)                \
    X(GENERATION, generation)     \
    X(TAKEOVER, takeover)         \
    X(MARK, mark)                 \
    X(LOAD, load)                 \
    X(FIELDS, fields)             \
    X(TIMERS, timers)             \
    X(MARKS, marks)               \
    X(PLACE, place)               \
    X(PURGE, purge)               \
    X(RESTORE, restore)           \
    X(SURVEY, survey)             \
    X(SNAPPED, snapped)           \
    X(TRYING, trying)             \
    X(INSTALLATION, installation) \
    X(KNOWN, known)
enum script_id {
#define X(name, stem) SCRIPT_##name,
    SCRIPTS(X)
#undef X
        SCRIPT_COUNT
};

enum setup_step {
    SETUP_TOPICS,
    SETUP_EVENTS,
    SETUP_SNAPSHOTS,
    SETUP_RESULTS,
    SETUP_LIFECYCLE, /* if it is told of */
    SETUP_DLQ,
    SETUP_REDIS,
    SETUP_INSTALLATION,
    SETUP_CATALOGUE,
    SETUP_JOIN,
    SETUP_DONE
};

struct shard {
    struct shard_options options;
    char *prefix, *name;
    char instance[RANDOM_TEXT_MAX]; /* of this process: started again, it is another one */
    struct log log;
    struct loop *loop;
    struct bus *bus;
    struct store *store;
    struct guards *guards;
    struct payload_store *payloads;
    struct sweep *sweep; /* NULL: none goes on */
    uint64_t sweep_due_ms;
    struct script scripts[SCRIPT_COUNT];
    struct bus_group *group;
    struct catalogue *catalogue;
    struct triggers *triggers;
    struct schedule **schedules; /* by partition */
    char *events_topic, *results_topic, *lifecycle_topic, *definitions_topic, *dlq_topic,
        *snapshots_topic;
    int32_t results_partitions, lifecycle_partitions, dlq_partitions;
    struct partition **partitions; /* by id; NULL where not assigned */
    struct partition *buried;      /* revoked, waiting for acknowledgements */
    struct cache cache;
    struct effects effects; /* of the fold that is going on */
    struct fields fields;
    size_t waves;       /* under way */
    uint64_t wave_ms;   /* when the last one began */
    uint64_t task_turn; /* rotates the partition that tasks go to */
    size_t turn_bytes;  /* of tasks that this turn has put there */
    struct loop_timer tick, setup_timer;
    struct loop_timer commit_timer; /* the next open batch is due, or the stop takes too long */
    int32_t commit_turn;            /* the partition that is first to be looked at for it */
    uint64_t leave_ms;              /* when a stop waits no longer; 0: it has left */
    char run_id[64];                /* of the Redis server last seen */
    char cluster_id[64];            /* of the brokers; "" where they have none */
    enum setup_step setup_step;
    char setup_trouble[400]; /* said last */
    bool stopping;
    bool refused; /* Redis takes no writes */
    bool sys_due; /* Redis was wiped: the facts of the installation are written again */
    size_t leaving;
    uint64_t folded, commits, floors, folded_logged, logged_ms;
    struct err fatal; /* why the shard gave up; kind ERR_NONE while it has not */
};
void shard_fail(struct shard *shard, const struct err *e);
/* Redis refused a write (no memory, a replica, a disk that is full), and takes them again: said
 * once each. */
void shard_refused(struct shard *shard, struct bytes why);
void shard_accepted(struct shard *shard);
void shard_left(struct shard *shard); /* one of its groups is left; the last one stops the loop */
/* 12 random hex digits. */
void random_text(char ret[RANDOM_TEXT_MAX]);
/* A Redis script call on partition keys. */
const struct script *shard_script(const struct shard *shard, enum script_id id);

#endif
