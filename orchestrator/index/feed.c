/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/index/feed.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/map.h"
#include "common/proto/keys.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/index/attributes.h"

#define CREDIT      2000 /* records of a partition between two commits */
#define COMMIT_MS   200
#define COMMIT_ROWS 5000
#define RETRY_MS    1000
#define ASK_MS      2000
#define TRIM_MS     60000
#define TRIM_RUNS   2000

enum source_kind { SOURCE_EVENTS, SOURCE_RESULTS, SOURCE_LIFECYCLE, SOURCE_COUNT };
static const char *const source_names[] = { "events", "results", "lifecycle" };

struct part;

/* A record that waits for the definition of a start before it. */
struct waiting {
    struct waiting *next;
    struct bus_record record;
    struct bus_held *held;
};

struct part {
    struct feed *feed;
    struct source *source;
    struct bus_reader *reader;
    int32_t number;
    int64_t next;     /* offset behind what was taken */
    uint32_t taken;   /* since the last commit: the credit to give back */
    bool at_end, new; /* new: `next` is not stored yet */
    struct waiting *first, *last;
};

struct source {
    struct feed *feed;
    enum source_kind kind;
    char *topic;
    struct part *parts;
    int32_t count;
    bool asking;
};

struct feed {
    struct loop *loop;
    struct bus *bus;
    struct index_db *db;
    struct feed_options options;
    struct log log;
    struct source sources[SOURCE_COUNT];
    struct bus_reader *definitions;
    char *definitions_topic;
    struct map known; /* sha256 -> struct definition */
    struct loop_timer tick;
    uint64_t trimmed_ms, asked_ms;
    bool begun; /* a transaction is open */
    uint32_t rows;
    bool broken, definitions_read, failed;
    struct err why;
};

/* --- faults --- */

static void parts_close(struct source *s)
{
    for (int32_t i = 0; i < s->count; i++) {
        struct part *p = &s->parts[i];
        bus_reader_close(p->reader);
        while (p->first) {
            struct waiting *w = p->first;
            p->first = w->next;
            bus_record_release(w->held);
            free(w);
        }
    }
    free(TAKE(s->parts));
    s->count = 0;
}

/* The database refused: what was taken since the last commit will be read again. Nothing is closed
 * here, within a reader's callback; the next tick does. */
static void feed_break(struct feed *f, const struct err *e)
{
    if (!f->broken) log_error(&f->log, "index.write", "%s; trying again each second", e->text);
    f->broken = true;
    loop_arm(f->loop, &f->tick, RETRY_MS);
}

static void feed_fail(struct feed *f, const struct err *e)
{
    f->failed = true;
    f->why = *e;
    log_error(&f->log, "index.failed", "%s", e->text);
    loop_stop(f->loop);
}

/* --- writing --- */

static bool begin(struct feed *f)
{
    struct err e;
    if (f->broken || f->failed) return false;
    if (f->begun) return true;
    if (!index_db_begin(f->db, &e)) {
        feed_break(f, &e);
        return false;
    }
    f->begun = true;
    return true;
}

static bool store_offsets(struct feed *f, struct err *e)
{
    for (size_t k = 0; k < SOURCE_COUNT; k++) {
        struct source *s = &f->sources[k];
        for (int32_t i = 0; i < s->count; i++) {
            struct part *p = &s->parts[i];
            if (!p->new) continue;
            if (!index_db_set_offset(f->db, s->topic, p->number, p->next, e)) return false;
        }
    }
    return true;
}

static void commit(struct feed *f)
{
    struct err e;
    if (!f->begun || f->broken) return;
    if (!store_offsets(f, &e) || !index_db_commit(f->db, &e)) {
        feed_break(f, &e);
        return;
    }
    f->begun = false;
    f->rows = 0;
    for (size_t k = 0; k < SOURCE_COUNT; k++) {
        for (int32_t i = 0; i < f->sources[k].count; i++) {
            struct part *p = &f->sources[k].parts[i];
            p->new = false;
            if (p->taken) bus_reader_credit(p->reader, p->taken);
            p->taken = 0;
        }
    }
}

/* --- records --- */

static const struct definition *definition_of(struct feed *f, struct bytes sha)
{
    return map_get(&f->known, sha);
}

static bool index_start(struct feed *f, const struct event *ev, const struct bus_record *r,
                        struct err *e)
{
    const struct definition *def = definition_of(f, ev->definition);
    struct err why = { 0 };
    json_t *made = NULL;
    if (def->attributes && !attributes_make(def, ev, r->timestamp_ms, &made, &why))
        log_warn(&f->log, "index.attributes", "run %.*s: %s", (int)ev->run_id.len, ev->run_id.data,
                 why.text);
    AUTO_JSON *attributes = made;
    return index_db_start(
        f->db,
        &(struct index_start){ .run_id = ev->run_id,
                               .workflow = ev->workflow,
                               .version = ev->version,
                               .key = ev->key,
                               .actor = ev->actor,
                               .namespace_ = ev->namespace_,
                               .started_ms = r->timestamp_ms,
                               .may_wait = ev->policy == START_QUEUE || ev->policy == START_SKIP,
                               .attributes = attributes },
        e);
}

static struct bytes extra(const struct bus_record *r, const char *name)
{
    for (size_t i = 0; i < r->extra_count; i++)
        if (strcmp(r->extra[i].name, name) == 0) return r->extra[i].value;
    return (struct bytes){ 0 };
}

/* A CloudEvent about a run: its type is io.tutti.run.<state>, its sequence the offset of the event
 * that caused it. What is none of ours is passed. */
static bool index_change(struct feed *f, const struct bus_record *r, struct err *e)
{
    static const char prefix[] = "io.tutti.run.";
    struct bytes type = extra(r, "ce_type"), run = extra(r, "ce_subject");
    struct bytes sequence = extra(r, "ce_sequence"), time = extra(r, "ce_time");
    if (type.len < sizeof prefix || memcmp(type.data, prefix, sizeof prefix - 1) != 0 ||
        !run_id_check(run))
        return true;
    AUTO_FREE char *state = xstrndup(type.data + sizeof prefix - 1, type.len - (sizeof prefix - 1));
    AUTO_FREE char *when = xstrndup(time.data ? time.data : "", time.len);
    AUTO_FREE char *number = xstrndup(sequence.data ? sequence.data : "", sequence.len);
    int64_t ms = 0;
    if (f->sources[SOURCE_RESULTS].topic && strcmp(r->topic, f->sources[SOURCE_RESULTS].topic) == 0)
        ms = time_parse(when, &ms) ? ms : r->timestamp_ms;
    return index_db_change(f->db,
                           &(struct index_change){ .run_id = run,
                                                   .workflow = extra(r, "ce_workflow"),
                                                   .version = extra(r, "ce_version"),
                                                   .state = state,
                                                   .offset = strtoll(number, NULL, 10),
                                                   .finished_ms = ms },
                           e);
}

/* An event that says whether a run has begun. A start that may have to wait, or to be skipped, is
 * followed by one of the others. */
static bool index_event(struct feed *f, const struct event *ev, const struct bus_record *r,
                        struct err *e)
{
    struct index_change change = { .run_id = ev->run_id, .offset = r->offset };
    switch (ev->type) {
    case EVENT_RUN_START: return index_start(f, ev, r, e);
    case EVENT_RUN_BEGIN:
        change.state = run_state_name(RUN_RUNNING);
        return index_db_change(f->db, &change, e);
    case EVENT_RUN_SKIPPED: return index_db_forget(f->db, ev->run_id, e);
    default: return true;
    }
}

/* false: it has to wait for a definition, or the database is broken. */
static bool take(struct part *p, const struct bus_record *r)
{
    struct feed *f = p->feed;
    struct event ev;
    struct err e;
    bool ok = true;
    if (p->source->kind == SOURCE_EVENTS) {
        bool known = event_decode(&r->message, &ev, &e) == EVENT_OK;
        bool start = known && ev.type == EVENT_RUN_START;
        bool counts =
            start || (known && (ev.type == EVENT_RUN_BEGIN || ev.type == EVENT_RUN_SKIPPED));
        if (start && !definition_of(f, ev.definition)) return false;
        if (counts) ok = begin(f) && (index_event(f, &ev, r, &e) || (feed_break(f, &e), false));
        f->rows += counts;
    } else {
        ok = begin(f) && (index_change(f, r, &e) || (feed_break(f, &e), false));
        f->rows++;
    }
    if (!ok) return false;
    p->next = r->offset + 1;
    p->new = true;
    p->taken++;
    return true;
}

static void on_record(void *user, const struct bus_record *r)
{
    struct part *p = user;
    struct feed *f = p->feed;
    p->at_end = false;
    if (!p->first && take(p, r)) {
        if (f->rows >= COMMIT_ROWS) commit(f);
        return;
    }
    if (f->broken || f->failed) return; /* it is read again */
    struct waiting *w = xcalloc(1, sizeof *w);
    w->record = *r;
    w->held = bus_record_hold(r);
    if (p->last && p->first)
        p->last->next = w;
    else
        p->first = w;
    p->last = w;
}

static void drain(struct part *p)
{
    while (p->first && take(p, &p->first->record)) {
        struct waiting *w = p->first;
        p->first = w->next;
        bus_record_release(w->held);
        free(w);
    }
}

static void on_end(void *user, int64_t next_offset)
{
    struct part *p = user;
    (void)next_offset;
    p->at_end = true;
}

static void on_error(void *user, const struct err *e)
{
    struct part *p = user;
    struct err why = *e;
    if (e->kind != ERR_NOT_FOUND || p->next < 0) {
        log_warn(&p->feed->log, "index.read", "%s/%d: %s", p->source->topic, p->number, e->text);
        return;
    }
    err_fail(&why, ERR_CONFLICT,
             "%s/%d no longer has the offset %lld that the index goes on from: its records were "
             "deleted meanwhile, or the topic was made anew. Remove the index file; it is made "
             "again of what the topics have",
             p->source->topic, p->number, (long long)p->next);
    feed_fail(p->feed, &why);
}

/* --- definitions --- */

static void on_definition(void *user, const struct bus_record *r)
{
    struct feed *f = user;
    struct err e;
    if (!r->message.value.data) return;
    struct definition *def = definition_load(r->message.value, NULL, &e);
    if (!def) {
        log_warn(&f->log, "definition.unusable", "%.*s: %s", (int)r->message.key.len,
                 r->message.key.data, e.text);
        return;
    }
    if (map_get(&f->known, bytes_of(def->sha256))) {
        definition_free(def);
        return;
    }
    map_put(&f->known, bytes_of(def->sha256), def);
    struct source *events = &f->sources[SOURCE_EVENTS];
    for (int32_t i = 0; i < events->count; i++) drain(&events->parts[i]);
}

static void on_definitions_end(void *user, int64_t next_offset)
{
    struct feed *f = user;
    (void)next_offset;
    f->definitions_read = true;
}

/* --- opening --- */

static bool part_open(struct part *p, struct err *e)
{
    struct feed *f = p->feed;
    if (!index_db_offset(f->db, p->source->topic, p->number, &p->next, e)) return false;
    p->reader = bus_reader_open(f->bus,
                                &(struct bus_reader_options){
                                    .topic = p->source->topic,
                                    .partition = p->number,
                                    .offset = p->next >= 0 ? p->next : BUS_START,
                                    .credit = CREDIT,
                                    .on_record = on_record,
                                    .on_end = on_end,
                                    .on_error = on_error,
                                    .user = p,
                                },
                                e);
    return p->reader;
}

static void on_info(void *user, int32_t partitions, const char *cluster_id, const struct err *e)
{
    struct source *s = user;
    (void)cluster_id;
    s->asking = false;
    if (e || partitions == 0 || s->parts) return; /* asked again */
    s->parts = xcalloc((size_t)partitions, sizeof *s->parts);
    s->count = partitions;
    for (int32_t i = 0; i < partitions; i++) {
        struct err why;
        s->parts[i] = (struct part){ .feed = s->feed, .source = s, .number = i };
        if (part_open(&s->parts[i], &why)) continue;
        feed_break(s->feed, &why);
        return;
    }
}

static void ask(struct feed *f)
{
    uint64_t now = loop_now_ms(f->loop);
    if (f->asked_ms && now - f->asked_ms < ASK_MS) return;
    if (f->definitions_read) f->asked_ms = now;
    for (size_t i = 0; i < SOURCE_COUNT && f->definitions_read; i++) {
        struct source *s = &f->sources[i];
        if (s->parts || s->asking) continue;
        s->asking = true;
        bus_topic_info(f->bus, s->topic, on_info, s);
    }
}

static void trim(struct feed *f)
{
    struct err e;
    uint64_t now = loop_now_ms(f->loop);
    if (f->trimmed_ms && now - f->trimmed_ms < TRIM_MS) return;
    f->trimmed_ms = now;
    if (!begin(f)) return;
    int64_t before = loop_wall_ms(f->loop) - (int64_t)f->options.retention_ms;
    if (!index_db_trim(f->db, before, TRIM_RUNS, &e)) feed_break(f, &e);
}

static void on_tick(struct loop_timer *t)
{
    struct feed *f = t->user;
    if (f->failed) return;
    if (f->broken) {
        for (size_t i = 0; i < SOURCE_COUNT; i++) parts_close(&f->sources[i]);
        index_db_rollback(f->db);
        f->begun = false;
        f->rows = 0;
        f->broken = false;
    }
    trim(f);
    commit(f);
    ask(f);
    if (!loop_armed(t)) loop_arm(f->loop, t, COMMIT_MS);
}

static bool definitions_open(struct feed *f, struct err *e)
{
    struct buf name = { 0 };
    topic_name(&name, f->options.prefix, "definitions");
    f->definitions_topic = buf_take(&name, NULL);
    f->definitions = bus_reader_open(f->bus,
                                     &(struct bus_reader_options){ .topic = f->definitions_topic,
                                                                   .offset = BUS_START,
                                                                   .on_record = on_definition,
                                                                   .on_end = on_definitions_end,
                                                                   .user = f },
                                     e);
    return f->definitions;
}

struct feed *feed_open(struct loop *loop, struct bus *bus, struct index_db *db,
                       const struct feed_options *options, struct err *e)
{
    struct feed *f = xcalloc(1, sizeof *f);
    *f = (struct feed){ .loop = loop, .bus = bus, .db = db, .options = *options };
    f->log = *options->log;
    f->tick = (struct loop_timer){ .on_due = on_tick, .user = f };
    for (size_t i = 0; i < SOURCE_COUNT; i++) {
        struct buf name = { 0 };
        topic_name(&name, options->prefix, source_names[i]);
        f->sources[i] = (struct source){ .feed = f,
                                         .kind = (enum source_kind)i,
                                         .topic = buf_take(&name, NULL) };
    }
    if (!definitions_open(f, e)) return feed_close(f);
    loop_arm(loop, &f->tick, 0);
    return f;
}

struct feed *feed_close(struct feed *f)
{
    if (!f) return NULL;
    commit(f);
    loop_disarm(f->loop, &f->tick);
    bus_reader_close(f->definitions);
    for (size_t i = 0; i < SOURCE_COUNT; i++) {
        parts_close(&f->sources[i]);
        free(f->sources[i].topic);
    }
    size_t pos = 0;
    for (struct definition *def; (def = map_next(&f->known, &pos));) definition_free(def);
    map_done(&f->known);
    free(f->definitions_topic);
    free(f);
    return NULL;
}

bool feed_at_end(const struct feed *f)
{
    for (size_t k = 0; k < SOURCE_COUNT; k++) {
        const struct source *s = &f->sources[k];
        if (!s->parts) {
            /* Nothing has ever happened between start and end where there is no such topic. */
            if (s->kind == SOURCE_LIFECYCLE) continue;
            return false;
        }
        for (int32_t i = 0; i < s->count; i++)
            if (!s->parts[i].at_end || s->parts[i].new || s->parts[i].first) return false;
    }
    return !f->broken;
}

bool feed_failed(const struct feed *f, struct err *ret)
{
    if (f->failed) *ret = f->why;
    return f->failed;
}
