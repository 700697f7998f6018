/* SPDX-License-Identifier: Apache-2.0
 *
 * Records: three producers, one member of a group that has all partitions, two readers. A model of
 * what must come says when everything is at rest. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/bus/contract.h"

#define PARTS        3
#define PRODUCERS    3
#define PURGED       3 /* the bus that is purged: its sends may fail */
#define READERS      2
#define SENDS_MAX    800
#define BEYOND       10000 /* no log is that long, whatever is sent yet */
#define COMMITS      16
#define OPS          24
#define UNLIMITED    UINT32_MAX
#define ASK_AGAIN_MS 20

struct data;

struct sent {
    struct bus_waiter waiter; /* first */
    struct data *data;
    size_t index;
    int32_t part;
    size_t bus;
    bool sending, failed;
    int reports;
    int64_t offset;
};

/* A partition being read, by the group or by a reader. */
struct reading {
    struct data *data;
    int32_t part;
    struct bus_reader *reader; /* NULL: the group */
    bool active;
    bool refused; /* its offset is not there: an error must come */
    int64_t from, next, last_end;
    uint32_t credit; /* that is left */
};

struct commit {
    int64_t offset;
    char note[BUS_NOTE_MAX];
};

struct part {
    bool assigned;
    size_t sends;             /* to it */
    int log[SENDS_MAX];       /* by offset: the index of what stands there, -1: not known yet */
    int reported[SIDE_BUSES]; /* of each producer's: the last that was reported */
    struct reading reading;
    struct commit commits[COMMITS]; /* [0]: none */
    size_t commit_count, confirmed;
    bool asking;
    uint64_t ask_ms;
};

struct data {
    struct sequence sequence; /* first */
    int32_t parts;
    struct part part[PARTS];
    struct reading readers[READERS];
    struct sent sent[SENDS_MAX];
    size_t sent_count, reported;
    size_t questions; /* under way */
    int revoked, lost;
    size_t ops;
    size_t purged_from; /* sends from here on may fail */
    enum { ASSIGNING, GOING, RESTING, PURGING, READING_BACK } state;
    void (*then)(struct data *d); /* at rest */
};

static struct data *data_of(const struct contract *c, const char *topic)
{
    uint64_t seed = strtoull(topic + strlen("data-"), NULL, 10);
    ASSERT(seed - c->first_seed < c->count);
    return (struct data *)(void *)c->sequences[seed - c->first_seed];
}

static bool planted(const struct data *d, enum plant plant)
{
    return d->sequence.contract->plant == plant;
}

#define wrong(d, ...) sequence_wrong(&(d)->sequence, __VA_ARGS__)

/* --- sending --- */

/* Both reports and readers say what stands at an offset: they must agree. */
static void stands(struct data *d, int32_t p, int64_t offset, size_t index)
{
    struct part *part = &d->part[p];
    if (offset < 0 || offset >= SENDS_MAX || index >= d->sent_count ||
        (part->log[offset] >= 0 && (size_t)part->log[offset] != index)) {
        wrong(d, "%d/%" PRId64 " is %zu", p, offset, index);
        return;
    }
    part->log[offset] = (int)index;
}

struct question {
    struct data *data;
    int32_t part;
    int64_t offset; /* that must be readable; -1: the answer is told */
};

static void on_offsets(void *user, int64_t start, int64_t end, const struct err *e)
{
    struct question *q = user;
    struct data *d = q->data;
    d->questions--;
    if (q->offset < 0)
        buf_addf(&d->sequence.trace, " %d:%" PRId64 "..%" PRId64 "%s", q->part, e ? 0 : start,
                 e ? 0 : end, e ? " not there" : "");
    else if (e || end <= q->offset)
        wrong(d, "reported at %d/%" PRId64 " and the log ends at %" PRId64, q->part, q->offset,
              end);
    free(q);
}

static void ask_offsets(struct data *d, int32_t p, int64_t offset)
{
    struct question *q = xmalloc(sizeof *q);
    *q = (struct question){ .data = d, .part = p, .offset = offset };
    d->questions++;
    bus_offsets(side_bus(d->sequence.contract->side, 1), d->sequence.topic, p, on_offsets, q);
}

static void reported(struct sent *s, const char *error, int64_t offset)
{
    struct data *d = s->data;
    struct part *part = &d->part[s->part];
    if (s->sending) wrong(d, "a report within the call");
    if (++s->reports > 1) {
        wrong(d, "%zu is reported twice", s->index);
        return;
    }
    d->reported++;
    s->failed = error != NULL;
    s->offset = offset;
    if (error && s->index < d->purged_from) wrong(d, "%zu failed: %s", s->index, error);
    if (error) return;
    stands(d, s->part, offset, s->index);
    if (s->bus != PURGED && (int)s->index < part->reported[s->bus])
        wrong(d, "%zu is reported after %d", s->index, part->reported[s->bus]);
    part->reported[s->bus] = (int)s->index;
    if (s->index % 8 == 0) ask_offsets(d, s->part, offset + planted(d, PLANT_REPORT_EARLY));
}

static void on_report(struct bus_waiter *w, const struct bus_delivery *report)
{
    struct sent *s = (struct sent *)(void *)w;
    const struct data *d = s->data;
    bool chosen = s->index == 5;
    if (chosen && planted(d, PLANT_REPORT_LOST)) return;
    const char *error = chosen && planted(d, PLANT_REPORT_FAILED) ? "planted" : report->error;
    reported(s, error, report->offset);
    if (chosen && planted(d, PLANT_REPORT_TWICE)) reported(s, error, report->offset);
}

/* What a message of this index says, besides its key. */
struct content {
    char key[24], text[2000];
    struct bytes value, header[HEADER_COUNT];
    struct bus_extra_header extra[2];
    size_t extra_count;
};

static void content_make(struct content *c, size_t index)
{
    snprintf(c->key, sizeof c->key, "%zu", index);
    memset(c->text, 'a' + (char)(index % 26), sizeof c->text);
    c->value = (struct bytes){ 0 };
    memset(c->header, 0, sizeof c->header);
    size_t kind = index % 5;
    if (kind > 0)
        c->value = (struct bytes){ c->text, kind == 1 ? 0 : kind == 2 ? 2000 : index % 50 };
    if (index % 3 == 0) {
        c->header[HEADER_TYPE] = bytes_of("task");
        c->header[HEADER_RUN_ID] = bytes_of(c->key);
        c->header[HEADER_GEN] = bytes_of("");
    }
    c->extra[0] = (struct bus_extra_header){ .name = "ce_id", .value = bytes_of(c->key) };
    c->extra[1] = (struct bus_extra_header){ .name = "empty", .value = bytes_of("") };
    c->extra_count = index % 7 < 3 ? index % 7 : 0;
}

static bool same(struct bytes a, struct bytes b)
{
    return (a.data == NULL) == (b.data == NULL) && bytes_equal(a, b);
}

static bool content_equal(const struct content *c, const struct bus_record *r)
{
    bool equal = same(c->value, r->message.value) && c->extra_count == r->extra_count;
    for (int h = 0; h < HEADER_COUNT; h++) equal &= same(c->header[h], r->message.header[h]);
    for (size_t i = 0; equal && i < r->extra_count; i++)
        equal = strcmp(c->extra[i].name, r->extra[i].name) == 0 &&
                same(c->extra[i].value, r->extra[i].value);
    return equal;
}

static void send(struct data *d, int32_t p, size_t bus)
{
    if (d->sent_count == SENDS_MAX) return;
    struct err e;
    struct content c;
    struct sent *s = &d->sent[d->sent_count];
    *s = (struct sent){ .waiter.done = on_report,
                        .data = d,
                        .index = d->sent_count++,
                        .part = p,
                        .bus = bus,
                        .sending = true };
    content_make(&c, s->index);
    bool sent = bus_send(side_bus(d->sequence.contract->side, bus),
                         &(struct bus_message){ .topic = d->sequence.topic,
                                                .partition = p,
                                                .key = bytes_of(c.key),
                                                .value = c.value,
                                                .header = s->index % 3 == 0 ? c.header : NULL,
                                                .extra = c.extra,
                                                .extra_count = c.extra_count },
                         &s->waiter, &e);
    s->sending = false;
    d->part[p].sends++;
    if (sent) return;
    wrong(d, "%zu is refused: %s", s->index, e.text);
    d->reported++;
}

/* --- reading --- */

static void arrives(struct reading *r, int64_t offset, size_t index)
{
    struct data *d = r->data;
    if (!r->active || r->refused || r->credit == 0) {
        wrong(d, "%d/%" PRId64 " comes %s", r->part, offset,
              !r->active   ? "unasked"
              : r->refused ? "where nothing is"
                           : "without credit");
        return;
    }
    if (offset != r->next)
        wrong(d, "%d/%" PRId64 " comes where %" PRId64 " is due", r->part, offset, r->next);
    if (r->credit != UNLIMITED) r->credit--;
    r->next = offset + 1;
    stands(d, r->part, offset, index);
}

static void on_reading(struct reading *r, const struct bus_record *record)
{
    struct data *d = r->data;
    struct content c;
    char key[24] = "";
    if (record->message.key.len < sizeof key)
        memcpy(key, record->message.key.data, record->message.key.len);
    size_t index = strtoul(key, NULL, 10);
    content_make(&c, index + planted(d, PLANT_CONTENT));
    if (!content_equal(&c, record))
        wrong(d, "%d/%" PRId64 " is not what was sent", r->part, record->offset);
    if (record->timestamp_ms <= 0) wrong(d, "a record without a time");
    if (strcmp(record->topic, d->sequence.topic) != 0 || record->partition != r->part)
        wrong(d, "a record of %s/%d", record->topic, record->partition);
    int64_t offset = record->offset;
    if (planted(d, PLANT_SWAP) && offset / 2 == 1) offset ^= 1;
    if (planted(d, PLANT_RECORD_LOST) && offset == 3) return;
    arrives(r, offset, index);
    if (planted(d, PLANT_RECORD_TWICE) && offset == 3) arrives(r, offset, index);
}

static void on_refused(struct reading *r, const struct err *e)
{
    struct data *d = r->data;
    if (planted(d, PLANT_RANGE)) return;
    if (!r->active || !r->refused || r->credit == 0 || e->kind != ERR_NOT_FOUND)
        wrong(d, "%d: error %d: %s", r->part, (int)e->kind, e->text);
    r->active = false;
}

static void on_end(void *user, int64_t next)
{
    struct reading *r = user;
    struct data *d = r->data;
    if (planted(d, PLANT_END)) next++;
    if (!r->active || r->refused || r->credit == 0)
        wrong(d, "%d: an end%s", r->part, r->credit ? "" : " without credit");
    if (next != r->next)
        wrong(d, "%d ends at %" PRId64 " where %" PRId64 " is due", r->part, next, r->next);
    if (next <= r->last_end) wrong(d, "%d ends at %" PRId64 " once more", r->part, next);
    r->next = r->last_end = next;
}

static bool reading_rests(const struct reading *r)
{
    if (!r->active || r->credit == 0) return true;
    if (r->refused) return false;
    int64_t end = (int64_t)r->data->part[r->part].sends;
    return r->next == end && (!r->reader || r->last_end == end);
}

static void reading_tell(struct reading *r, struct buf *trace)
{
    buf_addf(trace, " %s%d", r->reader ? "reader " : "", r->part);
    if (!r->active)
        buf_addf(trace, r->refused ? "=refused" : "=-");
    else if (r->refused)
        buf_addf(trace, "=dry");
    else
        buf_addf(trace, "=%" PRId64 "..%" PRId64, r->from, r->next);
}

/* Where a reading may begin: known to both sides, because everything is at rest. What the cluster
 * is asked for must have come before the next read, since an answer that comes later moves it
 * (librdkafka 2.0.2): a reader hears of the start or the end, a group only by a first record. */
static int64_t choose_offset(struct data *d, struct reading *r, bool grouped)
{
    struct part *part = &d->part[r->part];
    int64_t end = (int64_t)part->sends, offset;
    bool heard = !grouped || (r->credit && end > 0);
    const struct commit *last = &part->commits[part->commit_count - 1];
    switch (draw(&d->sequence, 8)) {
    case 0: return heard ? BUS_START : 0;
    case 1: r->next = end; return grouped ? end : BUS_END;
    case 2: offset = end; break;
    case 3: offset = BEYOND + (int64_t)draw(&d->sequence, 5); break;
    case 4:
        if (!grouped || (last->offset < 0 && !heard)) return r->next = end;
        r->next = MAX(last->offset, 0);
        r->refused = r->next > end;
        return BUS_COMMITTED;
    default: offset = (int64_t)draw(&d->sequence, (uint64_t)end + 1);
    }
    r->refused = offset > end;
    return r->next = offset;
}

static uint32_t choose_credit(struct data *d)
{
    return (uint32_t)(draw(&d->sequence, 6) == 0   ? 0
                      : draw(&d->sequence, 4) == 0 ? 1000
                                                   : 1 + draw(&d->sequence, 12));
}

static uint32_t distorted(const struct data *d, uint32_t credit)
{
    return credit + planted(d, PLANT_CREDIT);
}

static void read_group(struct data *d)
{
    int32_t p = (int32_t)draw(&d->sequence, (uint64_t)d->parts);
    struct reading *r = &d->part[p].reading;
    if (r->active && r->refused) { /* hears of it first: the error could come after the next read */
        r->credit++;
        bus_credit(d->sequence.contract->group, d->sequence.topic, p, 1);
        return;
    }
    *r = (struct reading){ .data = d, .part = p, .active = true, .last_end = -1 };
    r->credit = choose_credit(d);
    int64_t offset = choose_offset(d, r, true);
    r->from = r->next;
    if (planted(d, PLANT_OLD_POSITION) && offset > 0) offset--;
    bus_read(d->sequence.contract->group, d->sequence.topic, p, offset, distorted(d, r->credit));
}

static void on_reader_record(void *user, const struct bus_record *record)
{
    on_reading(user, record);
}

static void on_reader_error(void *user, const struct err *e)
{
    on_refused(user, e);
}

static void reader_open(struct data *d)
{
    struct err e;
    struct reading *r = &d->readers[draw(&d->sequence, READERS)];
    bus_reader_close(r->reader);
    *r = (struct reading){ .data = d,
                           .part = (int32_t)draw(&d->sequence, (uint64_t)d->parts),
                           .active = true,
                           .last_end = -1 };
    int64_t offset = choose_offset(d, r, false);
    r->from = r->next;
    uint32_t credit = choose_credit(d);
    r->credit = credit ? credit : UNLIMITED;
    r->reader = bus_reader_open(side_bus(d->sequence.contract->side, draw(&d->sequence, 3)),
                                &(struct bus_reader_options){ .topic = d->sequence.topic,
                                                              .partition = r->part,
                                                              .offset = offset,
                                                              .credit = credit,
                                                              .on_record = on_reader_record,
                                                              .on_end = on_end,
                                                              .on_error = on_reader_error,
                                                              .user = r },
                                &e);
    if (!r->reader) wrong(d, "no reader: %s", e.text);
}

/* --- commits --- */

static void on_committed(void *user, int64_t offset, const char *note, const struct err *e)
{
    struct reading *r = user;
    struct data *d = r->data;
    struct part *part = &d->part[r->part];
    part->asking = false;
    part->ask_ms = side_now_ms(d->sequence.contract->side) + ASK_AGAIN_MS;
    if (planted(d, PLANT_NOTE)) note = "";
    for (size_t i = part->commit_count; !e && i-- > part->confirmed;) {
        if (part->commits[i].offset != offset || strcmp(part->commits[i].note, note) != 0) continue;
        part->confirmed = i;
        return;
    }
    if (e && e->retriable) return;
    wrong(d, "%d: committed is %" PRId64 " '%s' %s", r->part, offset, note, e ? e->text : "");
}

static bool commits_rest(struct data *d)
{
    bool rest = true;
    for (int32_t p = 0; p < d->parts; p++) {
        struct part *part = &d->part[p];
        if (part->confirmed == part->commit_count - 1) continue;
        rest = false;
        if (part->asking || side_now_ms(d->sequence.contract->side) < part->ask_ms) continue;
        part->asking = true;
        bus_committed(d->sequence.contract->group, d->sequence.topic, p, on_committed,
                      &part->reading);
        if (!part->asking) wrong(d, "answered within the call");
    }
    return rest;
}

static void commit(struct data *d)
{
    int32_t p = (int32_t)draw(&d->sequence, (uint64_t)d->parts);
    struct part *part = &d->part[p];
    if (part->commit_count == COMMITS) return;
    struct commit *at = &part->commits[part->commit_count];
    uint64_t offset = draw(&d->sequence, part->sends + 2);
    *at = (struct commit){ .offset = offset > part->sends ? BEYOND : (int64_t)offset };
    if (draw(&d->sequence, 3))
        snprintf(at->note, sizeof at->note, "%.*s %zu", (int)draw(&d->sequence, 40),
                 "results 17 of a note that is rather long 1", part->commit_count);
    part->commit_count++;
    bus_commit_noted(d->sequence.contract->group, d->sequence.topic, p, at->offset, at->note);
}

/* --- at rest --- */

static bool rests(struct data *d)
{
    bool rest = d->reported == d->sent_count && d->questions == 0;
    for (int32_t p = 0; p < d->parts; p++) rest = rest && reading_rests(&d->part[p].reading);
    for (size_t i = 0; i < READERS; i++)
        rest = rest && (!d->readers[i].reader || reading_rests(&d->readers[i]));
    return commits_rest(d) && rest;
}

static void tell(struct data *d)
{
    struct buf *trace = &d->sequence.trace;
    buf_addf(trace, " |");
    for (int32_t p = 0; p < d->parts; p++) {
        const struct part *part = &d->part[p];
        const struct commit *last = &part->commits[part->commit_count - 1];
        reading_tell(&d->part[p].reading, trace);
        buf_addf(trace, "<%zu", part->sends);
        if (part->commit_count > 1) buf_addf(trace, " (%" PRId64 " %s)", last->offset, last->note);
    }
    for (size_t i = 0; i < READERS; i++)
        if (d->readers[i].reader) reading_tell(&d->readers[i], trace);
}

static void rest_then(struct data *d, void (*then)(struct data *d))
{
    d->state = RESTING;
    d->then = then;
    sequence_wait(&d->sequence);
}

static void go_on(struct data *d)
{
    d->state = GOING;
}

/* Nobody sends before the position is known. */
static void read_then_rest(struct data *d)
{
    read_group(d);
    rest_then(d, go_on);
}

static void open_then_rest(struct data *d)
{
    reader_open(d);
    rest_then(d, go_on);
}

static void on_info(void *user, int32_t partitions, const char *cluster_id, const struct err *e)
{
    struct data *d = user;
    (void)cluster_id;
    d->questions--;
    buf_addf(&d->sequence.trace, " %d partitions%s", e ? 0 : partitions, e ? " unknown" : "");
}

static void ask(struct data *d)
{
    int32_t p = (int32_t)draw(&d->sequence, (uint64_t)d->parts);
    ask_offsets(d, p, -1);
    rest_then(d, go_on);
}

static void ask_info(struct data *d)
{
    d->questions++;
    bus_topic_info(side_bus(d->sequence.contract->side, 2), d->sequence.topic, on_info, d);
    rest_then(d, go_on);
}

static void send_some(struct data *d)
{
    size_t bus = draw(&d->sequence, PRODUCERS);
    int32_t p = (int32_t)draw(&d->sequence, (uint64_t)d->parts);
    for (size_t n = 1 + draw(&d->sequence, 20); n > 0; n--) send(d, p, bus);
}

static void give_credit(struct data *d)
{
    int32_t p = (int32_t)draw(&d->sequence, (uint64_t)d->parts);
    uint32_t more = 1 + (uint32_t)draw(&d->sequence, 10);
    if (d->part[p].reading.active) d->part[p].reading.credit += more;
    bus_credit(d->sequence.contract->group, d->sequence.topic, p, more);
}

static void reader_credit(struct data *d)
{
    struct reading *r = &d->readers[draw(&d->sequence, READERS)];
    uint32_t more = 1 + (uint32_t)draw(&d->sequence, 10);
    if (!r->reader || r->credit == UNLIMITED) return;
    if (r->active) r->credit += more;
    bus_reader_credit(r->reader, more);
}

static void reader_close(struct data *d)
{
    struct reading *r = &d->readers[draw(&d->sequence, READERS)];
    r->reader = bus_reader_close(r->reader);
    r->active = false;
}

static void op(struct data *d)
{
    static void (*const ops[])(struct data * d) = {
        send_some,   send_some, send_some,     send_some,    give_credit,
        give_credit, commit,    reader_credit, reader_close,
    };
    static void (*const calm[])(struct data * d) = {
        read_then_rest, read_then_rest, read_then_rest, open_then_rest, open_then_rest, ask,
        ask_info,
    };
    size_t kind = draw(&d->sequence, ARRAY_LEN(ops) + ARRAY_LEN(calm));
    if (kind < ARRAY_LEN(ops))
        ops[kind](d);
    else
        rest_then(d, calm[kind - ARRAY_LEN(ops)]);
}

/* --- the end: what a purge leaves --- */

static void over(struct data *d)
{
    d->sequence.done = true;
}

/* What failed is not in the log, what did not is, once and in order. */
static void judge_purge(struct data *d)
{
    const struct part *part = &d->part[0];
    size_t landed = 0, sent = 0;
    for (size_t i = d->purged_from; i < d->sent_count; i++, sent++) landed += !d->sent[i].failed;
    int last = -1;
    size_t found = 0;
    for (size_t o = 0; o < part->sends; o++) {
        if (part->log[o] < (int)d->purged_from) continue;
        found++;
        if (part->log[o] < last) wrong(d, "purged: %d after %d", part->log[o], last);
        if (d->sent[part->log[o]].failed) wrong(d, "purged: %d is in the log", part->log[o]);
        last = part->log[o];
    }
    if (found != landed) wrong(d, "purged: %zu of %zu stand in the log", found, landed);
    buf_addf(&d->sequence.trace, " purged");
    over(d);
}

static void read_back(struct data *d)
{
    struct part *part = &d->part[0];
    for (size_t i = d->purged_from; i < d->sent_count; i++) part->sends -= d->sent[i].failed;
    d->then = judge_purge;
    d->state = READING_BACK;
    sequence_wait(&d->sequence);
}

static void purge(struct data *d)
{
    struct bus *bus = side_bus(d->sequence.contract->side, PURGED);
    struct err e;
    struct reading *r = &d->readers[0];
    bus_reader_close(r->reader);
    *r = (struct reading){ .data = d, .active = true, .last_end = -1, .credit = UNLIMITED };
    r->reader = bus_reader_open(side_bus(d->sequence.contract->side, 1),
                                &(struct bus_reader_options){ .topic = d->sequence.topic,
                                                              .offset = BUS_START,
                                                              .on_record = on_reader_record,
                                                              .on_end = on_end,
                                                              .on_error = on_reader_error,
                                                              .user = r },
                                &e);
    bus_credit(d->sequence.contract->group, d->sequence.topic, 0, 1000);
    d->part[0].reading.credit += 1000;
    d->purged_from = d->sent_count;
    for (int i = 0; i < 20; i++) send(d, 0, PURGED);
    bus_purge(bus);
    for (int i = 0; i < 5; i++) send(d, 0, PURGED);
    d->state = PURGING;
    sequence_wait(&d->sequence);
}

/* --- a sequence --- */

static void step_once(struct data *d)
{
    bool assigned = true;
    switch (d->state) {
    case ASSIGNING:
        for (int32_t p = 0; p < d->parts; p++) assigned = assigned && d->part[p].assigned;
        if (assigned) go_on(d);
        break;
    case GOING:
        if (d->ops++ < OPS)
            op(d);
        else
            rest_then(d, draw(&d->sequence, 4) ? over : purge);
        break;
    case RESTING:
        if (!rests(d)) break;
        tell(d);
        d->then(d);
        break;
    case PURGING:
        if (d->reported == d->sent_count) read_back(d);
        break;
    case READING_BACK:
        if (rests(d)) d->then(d);
        break;
    }
}

static void data_step(struct sequence *s)
{
    struct data *d = (struct data *)(void *)s;
    int before;
    size_t ops;
    do {
        before = d->state;
        ops = d->ops;
        step_once(d);
    } while (!s->done && ((int)d->state != before || d->ops != ops));
    for (size_t i = 0; s->done && i < READERS; i++)
        d->readers[i].reader = bus_reader_close(d->readers[i].reader);
}

static void data_stuck(struct sequence *s)
{
    struct data *d = (struct data *)(void *)s;
    wrong(d, "waits in vain, state %d, reports %zu of %zu, questions %zu", (int)d->state,
          d->reported, d->sent_count, d->questions);
    tell(d);
    for (size_t i = 0; i < READERS; i++)
        d->readers[i].reader = bus_reader_close(d->readers[i].reader);
}

static void data_end(struct sequence *s)
{
    struct data *d = (struct data *)(void *)s;
    buf_addf(&s->trace, " revoked %d lost %d", d->revoked, d->lost);
}

struct sequence *data_new(struct contract *c, uint64_t seed)
{
    struct data *d = xcalloc(1, sizeof *d);
    struct sequence *s = &d->sequence;
    *s = (struct sequence){ .contract = c,
                            .seed = seed,
                            .prng = prng_new(seed, 50),
                            .step = data_step,
                            .stuck = data_stuck,
                            .end = data_end };
    snprintf(s->topic, sizeof s->topic, "data-%" PRIu64, seed);
    d->parts = (int32_t)(1 + draw(s, PARTS));
    d->purged_from = SENDS_MAX;
    for (int32_t p = 0; p < d->parts; p++) {
        struct part *part = &d->part[p];
        part->reading = (struct reading){ .data = d, .part = p };
        part->commits[0].offset = -1;
        part->commit_count = 1;
        for (size_t i = 0; i < SENDS_MAX; i++) part->log[i] = -1;
        for (size_t i = 0; i < SIDE_BUSES; i++) part->reported[i] = -1;
    }
    side_topic(c->side, s->topic, d->parts);
    sequence_wait(s);
    return s;
}

/* --- the group's callbacks --- */

static void on_assign(void *user, const char *topic, int32_t p)
{
    struct data *d = data_of(user, topic);
    if (p >= d->parts || d->part[p].assigned)
        wrong(d, "%d is assigned again", p);
    else
        d->part[p].assigned = true;
}

static void on_revoke(void *user, const char *topic, int32_t p, bool lost)
{
    struct data *d = data_of(user, topic);
    if (!d->part[p].assigned) wrong(d, "%d is revoked and was not ours", p);
    d->part[p].assigned = false;
    d->part[p].reading.active = false;
    d->revoked++;
    d->lost += lost;
    if (!d->sequence.done) wrong(d, "%d is revoked", p);
}

static void on_record(void *user, const struct bus_record *r)
{
    struct data *d = data_of(user, r->topic);
    on_reading(&d->part[r->partition].reading, r);
}

static void on_error(void *user, const char *topic, int32_t p, const struct err *e)
{
    const struct contract *c = user;
    if (p >= 0)
        on_refused(&data_of(c, topic)->part[p].reading, e);
    else
        sequence_wrong(c->sequences[0], "group: %s", e->text);
}

struct bus_group_options data_group(struct contract *c)
{
    return (struct bus_group_options){ .group = "all",
                                       .on_assign = on_assign,
                                       .on_revoke = on_revoke,
                                       .on_record = on_record,
                                       .on_error = on_error,
                                       .user = c };
}
