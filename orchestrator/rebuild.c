/* SPDX-License-Identifier: Apache-2.0
 *
 * REBUILD: Redis holds nothing usable of a partition, so it is filled from the snapshots and then
 * from the log beyond the floor. The topic is read twice: first without values, to find the floor
 * and for each run the snapshot that counts, then the values of those. What an old dump brought
 * back is deleted between the two, once it is known that the rest can be had; both by scripts that
 * do nothing once another owner has claimed. The same first reading alone finds the quarantined
 * events for an owner that is cautious. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mutant.h"
#include "orchestrator/snapshot.h"

#define SCAN_PAGE     "1000"
#define READ_AHEAD    256 /* records */
#define RESTORE_RUNS  32
#define RESTORE_BYTES (512 * KIB)
#define CALLS_MAX     4
#define READY_BYTES   (4 * (size_t)MIB) /* read ahead of Redis */

struct version { /* a snapshot of a run, or a floor */
    struct version *next;
    int64_t epoch, off;
    uint32_t chunks, seen;
    char *gen, *claim; /* of a floor */
    struct buf value;  /* of a floor, or of what is being restored */
};

struct subject { /* what snapshots are of */
    char id[RUN_ID_MAX];
    struct version *versions, *chosen;
    struct subject *next_ready;
};

struct rebuild {
    struct partition *part;
    bool whole; /* else only the quarantine is wanted */
    struct bus_reader *reader;
    struct map subjects;
    struct version *floor; /* NULL: none */
    int64_t place;         /* where the state will stand */
    struct subject *ready, **ready_end;
    size_t missing, restored; /* chosen and not read yet; in Redis */
    size_t ready_bytes;
    uint32_t owed; /* records read and not credited yet */
    size_t calls;  /* restores under way */
    bool ended, placing, said;
};

struct ask {
    struct partition *part;
    uint32_t life;
};

static struct ask *ask_new(struct partition *part)
{
    struct ask *ask = xcalloc(1, sizeof *ask);
    *ask = (struct ask){ .part = part, .life = part->life };
    partition_await(part);
    return ask;
}

/* The partition if the answer is for its present life and says OK. */
static struct partition *answered(struct ask *ask, enum store_status status,
                                  const struct store_reply *reply)
{
    struct partition *part = ask->part;
    uint32_t life = ask->life;
    free(ask);
    if (!partition_reply(part, life)) return NULL;
    if (status == STORE_OK) return part;
    struct bytes text = store_string(reply);
    AUTO_FREE char *why = xasprintf("Redis did not answer amid a rebuild (%.*s)",
                                    (int)MIN(text.len, (size_t)120), text.len ? text.data : "");
    partition_reload(part, 5 * RETRY_MS, why);
    return NULL;
}

static struct partition *answered_ok(struct ask *ask, enum store_status status,
                                     const struct store_reply *reply)
{
    struct partition *part = answered(ask, status, reply);
    if (!part || bytes_is(store_string(store_at(reply, 0)), "OK")) return part;
    partition_displaced(part, INT64_MAX, "another owner took over during the rebuild");
    return NULL;
}

static void call(struct partition *part, enum script_id script, size_t keys, struct args *args,
                 store_fn done)
{
    AUTO_FREE struct bytes *argv = args_views(args);
    store_script(part->shard->store, shard_script(part->shard, script), keys, argv, args->count,
                 done, ask_new(part));
    args_done(args);
}

/* --- what was read --- */

static void version_free(struct version *v)
{
    free(v->gen);
    free(v->claim);
    buf_done(&v->value);
    free(v);
}

void rebuild_abandon(struct partition *part)
{
    struct rebuild *rb = TAKE(part->rebuilding);
    if (!rb) return;
    bus_reader_close(rb->reader);
    size_t pos = 0;
    for (struct subject *s; (s = map_next(&rb->subjects, &pos));) {
        while (s->versions) {
            struct version *v = s->versions;
            s->versions = v->next;
            version_free(v);
        }
        free(s);
    }
    map_done(&rb->subjects);
    free(rb);
}

static struct subject *subject_of(struct rebuild *rb, const char *id)
{
    struct subject *s = map_get(&rb->subjects, bytes_of(id));
    if (s) return s;
    s = xcalloc(1, sizeof *s);
    memcpy(s->id, id, RUN_ID_MAX);
    map_put(&rb->subjects, bytes_of(s->id), s);
    return s;
}

/* The place in the list of the version that a record of this key is of, or the list's end. */
static struct version **version_at(struct subject *s, const struct snapshot_key *key)
{
    struct version **at = &s->versions;
    for (; *at; at = &(*at)->next) {
        bool whole = (*at)->chunks == 1;
        if ((*at)->epoch == key->epoch && whole == (key->off < 0) &&
            (whole || (*at)->off == key->off))
            break;
    }
    return at;
}

static void quarantine_note(struct partition *part, int64_t offset)
{
    if (partition_quarantined(part, offset)) return;
    part->quarantined =
        xrealloc(part->quarantined, (part->quarantined_count + 1) * sizeof *part->quarantined);
    part->quarantined[part->quarantined_count++] = offset;
}

/* First reading. */
static void survey(void *user, const struct bus_record *r)
{
    struct rebuild *rb = user;
    struct snapshot_record rec;
    if (!snapshot_parse(r, &rec)) {
        log_warn(&rb->part->log, "rebuild.malformed",
                 "the record at offset %lld of %s is no snapshot: ignored", (long long)r->offset,
                 r->topic);
        return;
    }
    if (strcmp(rec.key.id, SNAPSHOT_QUARANTINE) == 0) {
        if (rec.chunks) quarantine_note(rb->part, rec.key.epoch);
        return;
    }
    if (!rb->whole) return;
    struct subject *s = subject_of(rb, rec.key.id);
    struct version **at = version_at(s, &rec.key), *v = *at;
    if (rec.chunks == 0) {
        if (!v) return;
        *at = v->next;
        version_free(v);
        return;
    }
    if (!v) v = *at = xcalloc(1, sizeof *v);
    v->epoch = rec.key.epoch;
    v->off = rec.off;
    v->chunks = rec.chunks;
    /* The chunks of a snapshot are written in order, and it is whole if they are read in order. */
    if (rec.key.chunk == 0) {
        v->seen = 0;
        buf_reset(&v->value);
    }
    if (rec.key.chunk != v->seen) return;
    v->seen++;
    if (strcmp(s->id, SNAPSHOT_FLOOR) != 0) return;
    buf_add(&v->value, rec.value.data, rec.value.len);
    free(v->gen);
    free(v->claim);
    v->gen = xstrndup(rec.gen.data ? rec.gen.data : "", rec.gen.len);
    v->claim = xstrndup(rec.claim.data ? rec.claim.data : "", rec.claim.len);
}

/* --- which snapshots count --- */

static struct version *highest(struct subject *s, int64_t floor, const struct map *manifest)
{
    struct version *best = NULL;
    for (struct version *v = s ? s->versions : NULL; v; v = v->next) {
        if (v->seen != v->chunks || (best && best->off >= v->off)) continue;
        if (manifest && v->off < floor && !MUTANT(RULE_6)) {
            AUTO_BUF struct buf line = { 0 };
            buf_addf(&line, "%s %" PRId64 " %" PRId64, s->id, v->epoch, v->off);
            if (!map_get(manifest, buf_bytes(&line))) continue;
        }
        best = v;
    }
    return best;
}

static void index_manifest(struct bytes text, struct map *ret)
{
    while (text.len) {
        const char *end = memchr(text.data, '\n', text.len);
        size_t len = end ? (size_t)(end - text.data) : text.len;
        if (len) map_put(ret, (struct bytes){ text.data, len }, (void *)(uintptr_t)text.data);
        size_t skip = MIN(len + 1, text.len);
        text = (struct bytes){ text.data + skip, text.len - skip };
    }
}

static void choose(struct rebuild *rb)
{
    struct map manifest = { 0 };
    if (rb->floor) index_manifest(buf_bytes(&rb->floor->value), &manifest);
    int64_t floor = rb->floor ? rb->floor->off : 0;
    size_t pos = 0;
    for (struct subject *s; (s = map_next(&rb->subjects, &pos));) {
        if (strcmp(s->id, SNAPSHOT_FLOOR) == 0) continue;
        s->chosen = highest(s, floor, &manifest);
        if (!s->chosen) continue;
        s->chosen->seen = 0; /* counts again in the second reading */
        rb->missing++;
    }
    map_done(&manifest);
}

/* --- 3. the values are read, and put into Redis --- */

static void pump(struct partition *part);

static void on_restored(void *user, enum store_status status, const struct store_reply *reply)
{
    struct partition *part = answered_ok(user, status, reply);
    if (!part) return;
    part->rebuilding->calls--;
    pump(part);
}

/* Whether the run has its start key where the replay begins. A start that is replayed takes it by
 * itself; until then an older run may have it. */
static bool holds_key(const struct partition *part, const struct run *run)
{
    return run_key(run).data && run_policy(run) == START_REJECT &&
           run_start_off(run) < part->rebuilding->place;
}

/* Adds a run's part of the script's arguments. false: its definition is not known yet, or it is
 * damaged (then the shard stops). */
static bool add_run(struct partition *part, const struct subject *s, struct args *keys,
                    struct args *values, int64_t *fin_bytes)
{
    struct shard *shard = part->shard;
    const struct version *v = s->chosen;
    AUTO_FREE struct field *fields = NULL;
    size_t count = 0;
    char sha[SHA256_HEX], entry[SNAPSHOT_ENTRY_MAX];
    struct err e = { 0 };
    if (!snapshot_decode(buf_bytes(&v->value), &fields, &count) ||
        !fields_definition(fields, count, sha)) {
        err_fail(&e, ERR_INVALID, "the snapshot of run %s is damaged", s->id);
        shard_fail(shard, &e);
        return false;
    }
    const struct definition *def = catalogue_find(shard->catalogue, sha);
    if (!def) {
        if (!part->rebuilding->said)
            log_warn(&part->log, "partition.waits",
                     "a snapshot needs definition %s, which is not known: waiting for it", sha);
        part->rebuilding->said = true;
        return false;
    }
    CLEANUP(run_free_p) struct run *run = run_load(def, s->id, fields, count, &e);
    if (!run) {
        err_prefix(&e, "the snapshot of run %s", s->id);
        shard_fail(shard, &e);
        return false;
    }
    bool live = !run_state_terminal(run_state_of(run));
    if (!live) *fin_bytes += (int64_t)run_memory(run);
    struct bytes skeleton = { 0 };
    for (size_t i = 0; i < count; i++)
        if (bytes_is(fields[i].name, "s")) skeleton = fields[i].value;
    snapshot_entry_make(entry, v->epoch, v->off, v->chunks, skeleton);
    AUTO_BUF struct buf key = { 0 };
    key_run(&key, shard->prefix, part->id, bytes_of(s->id));
    args_add(keys, buf_bytes(&key));
    buf_reset(&key);
    key_start(&key, shard->prefix, part->id, run_id_route(bytes_of(s->id)));
    args_add(keys, buf_bytes(&key));
    args_add(values, bytes_of(s->id));
    args_add_int(values, live);
    args_add_int(values, run_due_ms(run));
    args_add_int(values, holds_key(part, run));
    args_add(values, bytes_of(entry));
    args_add_int(values, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        args_add(values, fields[i].name);
        args_add(values, fields[i].value);
    }
    return true;
}

static void restore(struct partition *part, const struct args *keys, const struct args *values,
                    int64_t fin_bytes, bool last)
{
    struct rebuild *rb = part->rebuilding;
    struct args args = { 0 };
    args_add_key(&args, part, key_partition);
    args_add_key(&args, part, key_timers);
    args_add_key(&args, part, key_finished);
    args_add_key(&args, part, key_snapshots);
    args_append(&args, keys);
    size_t key_count = args.count;
    args_add_int(&args, part->epoch);
    if (last)
        args_add_int(&args, rb->place);
    else
        args_add(&args, (struct bytes){ .data = "" });
    args_add(&args, bytes_of(last && rb->floor ? rb->floor->gen : ""));
    args_add_int(&args, fin_bytes);
    args_append(&args, values);
    rb->calls++;
    call(part, SCRIPT_RESTORE, key_count, &args, on_restored);
}

/* Events below its snapshot are not applied to a run again, and it is there to be read. */
static void remember(struct partition *part, const struct subject *s)
{
    struct skip *skip = xcalloc(1, sizeof *skip);
    memcpy(skip->id, s->id, RUN_ID_MAX);
    skip->off = s->chosen->off;
    map_put(&part->skips, bytes_of(skip->id), skip);
}

/* One script's worth of what is ready. false: nothing could be sent. */
static bool restore_some(struct partition *part)
{
    struct rebuild *rb = part->rebuilding;
    struct args keys = { 0 }, values = { 0 };
    int64_t fin_bytes = 0;
    size_t runs = 0, bytes = 0;
    bool waits = false;
    while (rb->ready && runs < RESTORE_RUNS && bytes < RESTORE_BYTES) {
        struct subject *s = rb->ready;
        waits = !add_run(part, s, &keys, &values, &fin_bytes);
        if (waits) break;
        rb->ready = s->next_ready;
        if (!rb->ready) rb->ready_end = &rb->ready;
        remember(part, s);
        bytes += s->chosen->value.len;
        rb->ready_bytes -= s->chosen->value.len;
        buf_done(&s->chosen->value);
        runs++;
        rb->restored++;
    }
    if (runs) restore(part, &keys, &values, fin_bytes, false);
    args_done(&keys);
    args_done(&values);
    if (waits) partition_retry(part, RETRY_MS, pump);
    return runs > 0 && !waits;
}

static void finish(struct partition *part)
{
    struct rebuild *rb = part->rebuilding;
    int64_t place = rb->place;
    log_info(&part->log, "rebuild.restored",
             "%zu runs are back from snapshots, the log is replayed from offset %lld", rb->restored,
             (long long)place);
    snprintf(part->fold_gen, sizeof part->fold_gen, "%s", rb->floor ? rb->floor->gen : "");
    rebuild_abandon(part);
    part->off = part->sent_off = part->fold_off = part->replay_from = place;
    partition_read_index(part);
}

/* What a floor holds beside the manifest, as arguments of the last restore: start keys of runs that
 * were gone before their snapshots could be made, and the ledger. */
static void floor_args(struct partition *part, const struct version *floor, struct args *keys,
                       struct args *values)
{
    struct args runs = { 0 }, ledger = { 0 };
    struct bytes text = floor ? buf_bytes(&floor->value) : BYTES_LIT("");
    args_add_key(keys, part, key_ledger);
    while (text.len) {
        const char *end = memchr(text.data, '\n', text.len);
        struct bytes line = { text.data, end ? (size_t)(end - text.data) : text.len };
        const char *space = memchr(line.data, ' ', line.len);
        struct bytes rest = { line.data + 1, line.len - 1 };
        if (line.len && *line.data == '=' && space) {
            args_add(&ledger, (struct bytes){ rest.data, (size_t)(space - rest.data) });
            args_add(&ledger,
                     (struct bytes){ space + 1, (size_t)(line.data + line.len - space - 1) });
        } else if (line.len && *line.data == '~' && run_id_check(rest)) {
            AUTO_BUF struct buf key = { 0 };
            key_start(&key, part->shard->prefix, part->id, run_id_route(rest));
            args_add(keys, buf_bytes(&key));
            args_add(&runs, rest);
        }
        size_t taken = MIN(line.len + 1, text.len);
        text = (struct bytes){ text.data + taken, text.len - taken };
    }
    args_append(values, &runs);
    args_append(values, &ledger);
    args_done(&runs);
    args_done(&ledger);
}

static void pump(struct partition *part)
{
    struct rebuild *rb = part->rebuilding;
    while (rb->calls < CALLS_MAX && rb->ready && restore_some(part)) {}
    if (rb->owed && rb->ready_bytes < READY_BYTES) {
        bus_reader_credit(rb->reader, rb->owed);
        rb->owed = 0;
    }
    if (!rb->ended || rb->ready || rb->calls > 0) return;
    if (rb->missing > 0) {
        partition_reload(part, 5 * RETRY_MS, "a snapshot was overwritten while it was read");
        return;
    }
    if (rb->placing) {
        finish(part);
        return;
    }
    rb->placing = true;
    struct args keys = { 0 }, values = { 0 };
    floor_args(part, rb->floor, &keys, &values);
    restore(part, &keys, &values, 0, true);
    args_done(&keys);
    args_done(&values);
}

static void on_value(void *user, const struct bus_record *r)
{
    struct rebuild *rb = user;
    struct snapshot_record rec;
    rb->owed++;
    struct subject *s = NULL;
    if (snapshot_parse(r, &rec) && rec.chunks) s = map_get(&rb->subjects, bytes_of(rec.key.id));
    struct version *v = s ? s->chosen : NULL;
    bool wanted = v && v->seen < v->chunks && v->epoch == rec.key.epoch && v->off == rec.off &&
                  v->chunks == rec.chunks;
    if (wanted && rec.key.chunk == 0 && v->seen > 0) { /* written once more from its beginning */
        v->seen = 0;
        rb->ready_bytes -= v->value.len;
        buf_reset(&v->value);
    }
    if (wanted && rec.key.chunk == v->seen) {
        v->seen++;
        buf_add(&v->value, rec.value.data, rec.value.len);
        rb->ready_bytes += rec.value.len;
        if (v->seen == v->chunks) {
            rb->missing--;
            *rb->ready_end = s;
            rb->ready_end = &s->next_ready;
        }
    }
    pump(rb->part);
}

static void on_values_end(void *user, int64_t next_offset)
{
    struct rebuild *rb = user;
    (void)next_offset;
    if (rb->ended) return;
    rb->ended = true;
    pump(rb->part);
}

static void on_read_error(void *user, const struct err *e)
{
    struct rebuild *rb = user;
    partition_reload(rb->part, 5 * RETRY_MS, e->text);
}

static void read_topic(struct rebuild *rb, uint32_t credit,
                       void (*on_record)(void *, const struct bus_record *),
                       void (*on_end)(void *, int64_t))
{
    struct err e;
    struct partition *part = rb->part;
    bus_reader_close(rb->reader);
    rb->reader =
        bus_reader_open(part->shard->bus,
                        &(struct bus_reader_options){ .topic = part->shard->snapshots_topic,
                                                      .partition = part->id,
                                                      .offset = BUS_START,
                                                      .credit = credit,
                                                      .on_record = on_record,
                                                      .on_end = on_end,
                                                      .on_error = on_read_error,
                                                      .user = rb },
                        &e);
    if (!rb->reader) partition_reload(part, 5 * RETRY_MS, e.text);
}

static void read_values(struct partition *part)
{
    struct rebuild *rb = part->rebuilding;
    if (rb->missing > 0)
        read_topic(rb, READ_AHEAD, on_value, on_values_end);
    else
        on_values_end(rb, 0);
}

/* --- 2. what an old dump brought back goes --- */

static void ask_scan(struct partition *part, struct bytes cursor);

static void on_purged(void *user, enum store_status status, const struct store_reply *reply)
{
    (void)answered_ok(user, status, reply);
}

static void purge(struct partition *part, const struct store_reply *names)
{
    struct args args = { 0 };
    if (store_count(names) == 0) return;
    args_add_key(&args, part, key_partition);
    for (size_t i = 0; i < store_count(names); i++)
        args_add(&args, store_string(store_at(names, i)));
    size_t keys = args.count;
    args_add_int(&args, part->epoch);
    call(part, SCRIPT_PURGE, keys, &args, on_purged);
}

static void on_scan(void *user, enum store_status status, const struct store_reply *reply)
{
    struct partition *part = answered(user, status, reply);
    if (!part) return;
    struct bytes cursor = store_string(store_at(reply, 0));
    purge(part, store_at(reply, 1));
    if (bytes_is(cursor, "0"))
        read_values(part);
    else
        ask_scan(part, cursor);
}

/* Everything under the partition's tag except p:{p} itself and the tasks' marks (which a live call
 * renews): run, key, ledger, fin, snap and tm. */
static void ask_scan(struct partition *part, struct bytes cursor)
{
    AUTO_FREE char *pattern = xasprintf("%s:[rklfst][unemi]*:{%d}*", part->shard->prefix, part->id);
    struct bytes argv[] = { BYTES_LIT("SCAN"),  cursor,
                            BYTES_LIT("MATCH"), bytes_of(pattern),
                            BYTES_LIT("COUNT"), BYTES_LIT(SCAN_PAGE) };
    store_command(part->shard->store, argv, ARRAY_LEN(argv), on_scan, ask_new(part));
}

static void on_indexes(void *user, enum store_status status, const struct store_reply *reply)
{
    struct partition *part = answered(user, status, reply);
    if (!part) return;
    if (store_integer(reply) == 0)
        read_values(part);
    else
        ask_scan(part, BYTES_LIT("0"));
}

/* Each run stands in an index, by the same commit that wrote it: without indexes there is nothing
 * to look for, and a scan goes through all that Redis holds, of other partitions too. */
static void ask_indexes(struct partition *part)
{
    struct args args = { 0 };
    args_add(&args, BYTES_LIT("EXISTS"));
    args_add_key(&args, part, key_timers);
    args_add_key(&args, part, key_finished);
    args_add_key(&args, part, key_snapshots);
    args_add_key(&args, part, key_ledger);
    AUTO_FREE struct bytes *argv = args_views(&args);
    store_command(part->shard->store, argv, args.count, on_indexes, ask_new(part));
    args_done(&args);
}

static void clear(struct partition *part)
{
    choose(part->rebuilding);
    part->shard->sys_due = true;
    ask_indexes(part);
}

/* --- 1. the first reading, and whether the log still has what it needs --- */

static void on_survey_end(void *user, int64_t next_offset)
{
    struct rebuild *rb = user;
    struct partition *part = rb->part;
    (void)next_offset;
    rb->reader = bus_reader_close(rb->reader);
    if (!rb->whole) {
        rebuild_abandon(part);
        partition_read_index(part);
        return;
    }
    rb->floor = highest(map_get(&rb->subjects, BYTES_LIT(SNAPSHOT_FLOOR)), 0, NULL);
    rb->place = rb->floor ? rb->floor->off : 0;
    AUTO_BUF struct buf why = { 0 };
    if (rb->place > part->epoch)
        buf_addf(&why,
                 "its snapshots stand for offset %lld, but the log ended at %lld: the topic was "
                 "made anew or lost records",
                 (long long)rb->place, (long long)part->epoch);
    if (rb->place < part->log_start && part->accept_loss < part->log_start)
        buf_addf(&why,
                 "Redis holds nothing usable, and the log, which begins at offset %lld, no longer "
                 "has what is needed from offset %lld on: events are lost. To go on without them, "
                 "set the field accept_loss of its p: key to %lld",
                 (long long)part->log_start, (long long)rb->place, (long long)part->log_start);
    if (why.len) {
        partition_halt(part, why.data);
        return;
    }
    rb->place = MAX(rb->place, part->log_start);
    if (rb->floor && rb->floor->claim[0] && rb->floor->epoch >= part->log_start)
        genesis_check(part, rb->floor->epoch, rb->floor->claim, clear);
    else
        clear(part);
}

void rebuild_begin(struct partition *part, bool whole)
{
    struct rebuild *rb = xcalloc(1, sizeof *rb);
    rb->part = part;
    rb->whole = whole;
    rb->ready_end = &rb->ready;
    part->rebuilding = rb;
    read_topic(rb, 0, survey, on_survey_end);
}
