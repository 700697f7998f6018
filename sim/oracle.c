/* SPDX-License-Identifier: Apache-2.0
 *
 * What passes by, and the last word. */
#include "sim/oracle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/hash.h"
#include "common/proto/keys.h"
#include "sim/generate.h"
#include "sim/oracle_internal.h"
#include "sim/workload.h"
#include "tests/sim/redis.h"

struct oracle *oracle_new(struct world *w)
{
    struct oracle *o = xcalloc(1, sizeof *o);
    o->world = w;
    o->part_count = w->options.partitions;
    o->parts = xcalloc(o->part_count, sizeof *o->parts);
    for (size_t i = 0; i < o->part_count; i++) {
        o->parts[i].id = (int32_t)i;
        o->parts[i].floor = o->parts[i].recovered_epoch = -1;
        for (size_t p = 0; p < PROCS_MAX; p++) o->parts[i].takeover[p].epoch = -1;
    }
    return o;
}

struct oracle *oracle_free(struct oracle *o)
{
    if (!o) return NULL;
    shadow_free(o);
    free(o);
    return NULL;
}

void oracle_definition(struct world *w, const struct definition *def)
{
    map_put(&w->oracle->definitions, bytes_of(def->sha256), (void *)(uintptr_t)def);
}

static bool is_topic(const struct log_part *part, const char *name)
{
    const char *own = topic_own_name(part);
    return own && strcmp(own, name) == 0;
}

/* --- records --- */

static void judge_timer(struct oracle *o, const struct proc *p, const struct record *r)
{
    struct event ev;
    if (event_decode(&r->message, &ev, NULL) != EVENT_OK || ev.type != EVENT_TIMER_FIRED) return;
    int64_t wall = world_wall_ms(o->world) + p->skew_ms;
    if (ev.due_ms > wall)
        world_violation(o->world, "timers", "%s fires a timer of %.*s %" PRId64 " ms early",
                        p->name, (int)ev.run_id.len, ev.run_id.data, ev.due_ms - wall);
}

void oracle_sent(struct world *w, const struct proc *p, const struct log_part *part,
                 const struct record *r)
{
    struct oracle *o = w->oracle;
    if (p->kind != PROC_ORCHESTRATOR) return;
    if (is_topic(part, "events")) judge_timer(o, p, r);
    struct output *out = output_of(o, part, r);
    if (out) output_sent(o, p, out);
}

void oracle_dropped(struct world *w, const struct proc *p, const struct log_part *part,
                    const struct record *r)
{
    struct oracle *o = w->oracle;
    struct output *out = p->kind == PROC_ORCHESTRATOR ? output_of(o, part, r) : NULL;
    if (!out) return;
    out->under_way--;
    judge_outputs(o, p, &o->parts[out->run->partition]);
}

static void note_floor(struct shadow_part *part, const struct record *r)
{
    static const char start[] = "floor/";
    struct bytes key = r->message.key, off = { 0 };
    if (key.len < sizeof start || memcmp(key.data, start, sizeof start - 1) != 0) return;
    for (size_t i = 0; i < r->extra_count; i++)
        if (strcmp(r->extra[i].name, "off") == 0) off = r->extra[i].value;
    if (r->message.value.data && off.data)
        part->floor = MAX(part->floor, (int64_t)strtoll(off.data, NULL, 10));
}

static struct trial *trial_of(struct shadow_part *part, int64_t offset)
{
    for (size_t i = 0; i < part->trial_count; i++)
        if (part->trials[i].offset == offset) return &part->trials[i];
    part->trials = xrealloc(part->trials, (part->trial_count + 1) * sizeof *part->trials);
    struct trial *t = &part->trials[part->trial_count++];
    *t = (struct trial){ .offset = offset };
    return t;
}

static void trial_note(struct shadow_part *part, const struct proc *p, const struct bytes *argv)
{
    bool begins = bytes_is(argv[3], "trying");
    if (!begins && !bytes_is(argv[3], "survived")) return;
    struct trial *t = trial_of(part, strtoll(argv[2].data, NULL, 10));
    if (begins && p->state == PROC_DOWN) /* the mark came behind its death */
        t->deaths++;
    else if (begins)
        t->life[p->index] = p->life;
    else
        memset(t->life, 0, sizeof t->life);
}

void oracle_killed(struct world *w, const struct proc *p)
{
    struct oracle *o = w->oracle;
    for (size_t i = 0; i < o->part_count; i++)
        for (size_t k = 0; k < o->parts[i].trial_count; k++) {
            struct trial *t = &o->parts[i].trials[k];
            if (t->life[p->index] != p->life) continue;
            t->life[p->index] = 0;
            t->deaths++;
        }
}

static bool malformed(const struct shadow_part *part, int64_t offset)
{
    for (size_t i = 0; i < part->malformed_count; i++)
        if (part->malformed[i] == offset) return true;
    return false;
}

/* No event of ours crashes anybody. If one is quarantined, its owners must have been killed while
 * it was marked, so often that nobody could tell it from one that does. */
static void judge_dead_letter(struct oracle *o, const struct record *r, const struct proc *by)
{
    int64_t offset = -1;
    size_t p = 0;
    for (size_t i = 0; i < r->extra_count; i++) {
        if (strcmp(r->extra[i].name, "dlq-offset") == 0)
            offset = strtoll(r->extra[i].value.data, NULL, 10);
        if (strcmp(r->extra[i].name, "dlq-partition") == 0)
            p = strtoul(r->extra[i].value.data, NULL, 10);
    }
    uint32_t deaths = offset >= 0 && p < o->part_count ? trial_of(&o->parts[p], offset)->deaths : 0;
    if (deaths >= 2)
        o->world->quarantined = true; /* its run is paused now, and the fold does not know */
    else if (offset < 0 || p >= o->part_count || !malformed(&o->parts[p], offset))
        world_violation(o->world, "no innocent event is quarantined",
                        "%s dead-letters the event at offset %" PRId64
                        " of partition %zu, under whose mark %u owners died",
                        by ? by->name : "?", offset, p, deaths);
}

void oracle_appended(struct world *w, const struct log_part *part, const struct record *r,
                     const struct proc *by)
{
    struct oracle *o = w->oracle;
    const struct bytes *h = r->message.header;
    trace(w, by, "appends to %s/%d at %" PRId64 ": %.*s %.*s %.*s/%.*s %.*s", part->topic->name,
          part->id, r->offset, (int)h[HEADER_TYPE].len, h[HEADER_TYPE].data,
          (int)h[HEADER_RUN_ID].len, h[HEADER_RUN_ID].data, (int)h[HEADER_PATH].len,
          h[HEADER_PATH].data, (int)h[HEADER_ATTEMPT].len, h[HEADER_ATTEMPT].data,
          (int)h[HEADER_GEN].len, h[HEADER_GEN].data);
    if (by && by->kind == PROC_ORCHESTRATOR) output_appended(o, part, r, by);
    if (is_topic(part, "events")) {
        shadow_fold(o, &o->parts[part->id], r);
    } else if (strcmp(part->topic->name, EMIT_TOPIC) == 0) {
        emitted_judge(o, r);
    } else if (is_topic(part, "snapshots")) {
        note_floor(&o->parts[part->id], r);
    } else if (is_topic(part, "dlq")) {
        judge_dead_letter(o, r, by);
    }
}

int64_t oracle_floor(const struct world *w, int32_t partition)
{
    return w->oracle->parts[partition].floor;
}

/* --- Redis --- */

void oracle_redis_lost(struct world *w)
{
    struct oracle *o = w->oracle;
    o->lost_us = w->now_us;
    for (size_t i = 0; i < o->part_count; i++) o->parts[i].recovered_epoch = -1;
}

/* The partition whose p:{p} this key is, or NULL. */
static struct shadow_part *part_of_key(struct oracle *o, struct bytes key)
{
    static const char start[] = PREFIX ":p:{";
    if (key.len < sizeof start || memcmp(key.data, start, sizeof start - 1) != 0) return NULL;
    size_t p = strtoul(key.data + sizeof start - 1, NULL, 10);
    return p < o->part_count ? &o->parts[p] : NULL;
}

/* The next commit among the words of a MULTI, from *at on: each ends with HSET p:{p} epoch E off O
 * ... NULL: there is none. *at is then where that begins. */
static struct shadow_part *next_commit(struct oracle *o, const struct bytes *argv, size_t argc,
                                       size_t *at)
{
    for (size_t i = *at; i + 4 < argc; i++) {
        if (!bytes_is(argv[i], "HSET") || !bytes_is(argv[i + 2], "epoch")) continue;
        struct shadow_part *part = part_of_key(o, argv[i + 1]);
        *at = i;
        if (part) return part;
    }
    return NULL;
}

static void commit_note(struct oracle *o, const struct proc *p, const struct bytes *argv,
                        size_t argc, const struct store_reply *reply)
{
    struct shadow_part *part;
    bool done = store_type(reply) == STORE_ARRAY;
    for (size_t at = 0; (part = next_commit(o, argv, argc, &at)); at++) {
        const struct bytes *place = argv + at;
        trace(o->world, p, "commits %d to %s under epoch %s: %s", part->id, place[5].data,
              place[3].data, done ? "done" : "p:{p} was written to meanwhile");
        if (done) commit_judge(o, p, part, argv, place);
    }
}

void oracle_before(struct world *w, const struct proc *p, const char *name,
                   const struct bytes *argv, size_t argc)
{
    (void)p;
    if (strcmp(name, "commit") != 0) return;
    struct shadow_part *part;
    for (size_t at = 0; (part = next_commit(w->oracle, argv, argc, &at)); at++)
        commit_before(w->oracle, part);
}

static void takeover_note(struct oracle *o, const struct proc *p, struct shadow_part *part,
                          const struct bytes *argv, const struct store_reply *reply)
{
    struct bytes verdict = store_string(store_at(reply, 0));
    if (!bytes_is(verdict, "OK") && !bytes_is(verdict, "REBUILD")) return;
    char gen[GENERATION_MAX];
    generation_make(gen, redis_run_id(o->world->redis), store_string(store_at(reply, 4)));
    part->takeover[p->index] = (struct takeover){
        .epoch = strtoll(argv[1].data, NULL, 10),
        .off = store_integer(store_at(reply, 1)),
        .from = store_integer(store_at(reply, 2)),
        .reissue_all = !bytes_is(store_string(store_at(reply, 6)), gen),
        .life = p->life,
    };
    /* A claim of another generation in the replay: the fold may have ignored failures behind it. */
    struct takeover *t = &part->takeover[p->index];
    for (size_t i = 0; i < part->claim_count; i++)
        if (part->claims[i].offset >= t->off && part->claims[i].offset < t->epoch &&
            part->claims[i].gen != hash_bytes(bytes_of(gen)))
            t->reissue_all = true;
    trace(o->world, p, "takes over %d: %.*s off %" PRId64 " from %" PRId64 " epoch %" PRId64 "%s",
          part->id, (int)verdict.len, verdict.data, part->takeover[p->index].off,
          part->takeover[p->index].from, part->takeover[p->index].epoch,
          part->takeover[p->index].reissue_all ? ", everything pending is in doubt" : "");
}

static bool resumed(const struct shadow_run *run, int64_t from, int64_t to)
{
    for (size_t i = 0; i < run->resume_count; i++)
        if (run->resumes[i] >= from && run->resumes[i] < to) return true;
    return false;
}

static void marks_note(struct oracle *o, const struct proc *p, struct shadow_part *part,
                       const struct bytes *argv, size_t key_count, const struct store_reply *reply)
{
    const struct takeover *t = &part->takeover[p->index];
    for (size_t i = 1; i < key_count && 1 + i < store_count(reply); i++) {
        struct output *out = map_get(&o->outputs, argv[key_count + i]); /* behind the epoch */
        if (!out) continue;
        struct bytes mark = store_string(store_at(reply, 1 + i));
        out->asked[p->index].epoch = t->epoch;
        bool anew = t->reissue_all || resumed(out->run, t->from, t->epoch);
        out->asked[p->index].unclaimed = mark.len == 0 || (anew && !bytes_is(mark, "done"));
    }
}

void oracle_executed(struct world *w, const struct proc *p, const char *name,
                     const struct bytes *argv, size_t argc, size_t key_count,
                     const struct store_reply *reply)
{
    struct oracle *o = w->oracle;
    struct shadow_part *part = argc ? part_of_key(o, argv[0]) : NULL;
    if (store_type(reply) == STORE_ERROR_TEXT) {
        trace(w, p, "is refused %s by Redis: %s", name, store_string(reply).data);
        return;
    }
    if (part && strcmp(name, "takeover") == 0) takeover_note(o, p, part, argv, reply);
    if (part && strcmp(name, "trying") == 0 && bytes_is(store_string(store_at(reply, 0)), "OK"))
        trial_note(part, p, argv);
    if (part && strcmp(name, "marks") == 0) marks_note(o, p, part, argv, key_count, reply);
    if (strcmp(name, "commit") == 0) commit_note(o, p, argv, argc, reply);
    lease_judge(o, p, name, argv, argc, key_count, reply);
}

/* --- the end --- */

static struct log_part *events_part(const struct world *w, size_t p)
{
    return cluster_part(w->cluster, PREFIX ".events", (int32_t)p);
}

/* The first output that is in no log, and should be. */
static const struct output *first_open(const struct shadow_part *part)
{
    const struct output *out = part->open;
    while (out && !output_pending(out)) out = out->next_open;
    return out;
}

bool oracle_at_rest(const struct world *w)
{
    const struct oracle *o = w->oracle;
    if (o->live) return false;
    for (size_t i = 0; i < o->part_count; i++) {
        int64_t epoch, off;
        const struct log_part *log = events_part(w, i);
        if (!log || first_open(&o->parts[i])) return false;
        if (!redis_place(o->world, &o->parts[i], &epoch, &off) || off != log->end) return false;
    }
    return true;
}

/* What is still open, for the reader of a violation. */
struct open_steps {
    const char *run_id;
    struct buf text;
};

static void name_open(void *user, const struct look *look)
{
    struct open_steps *open = user;
    if (strcmp(look->run_id, open->run_id) != 0 || open->text.len > 300) return;
    if (look->sight == SIGHT_PAUSED) buf_add_text(&open->text, " paused");
    if (look->sight != SIGHT_STEP) return;
    buf_addf(&open->text, " %.*s", (int)look->path.len, look->path.data);
}

static void run_stuck(struct world *w, const struct shadow_run *run)
{
    struct open_steps open = { .run_id = run->id };
    oracle_look(w, name_open, &open);
    world_violation(w, "liveness", "run %s of partition %d does not end; open:%s", run->id,
                    run->partition, open.text.len ? open.text.data : " nothing");
    buf_done(&open.text);
}

void oracle_stuck(struct world *w)
{
    struct oracle *o = w->oracle;
    for (size_t i = 0; i < o->part_count; i++) {
        struct shadow_part *part = &o->parts[i];
        size_t pos = 0;
        for (struct shadow_run *run; (run = map_next(&part->runs, &pos));)
            if (!run->ended) {
                run_stuck(w, run);
                return;
            }
        const struct output *out = first_open(part);
        if (out) {
            world_violation(w, "liveness",
                            "%s %s, issued at %" PRId64 " of partition %d, never left",
                            output_kind_name(out->kind), out->id, out->issued_off, part->id);
            return;
        }
    }
    world_violation(w, "liveness", "Redis does not reach the end of the log");
}

void oracle_end(struct world *w)
{
    struct oracle *o = w->oracle;
    for (size_t i = 0; i < o->part_count && !w->violated; i++) place_compare(o, &o->parts[i]);
    outputs_end(o);
    language_end(o);
}
