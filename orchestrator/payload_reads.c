/* SPDX-License-Identifier: Apache-2.0
 *
 * Claim checks on their way in: the content of an event's value, and of the stored fields of a run,
 * before the fold sees either. So the engine knows nothing of the payload store. An object never
 * changes, so that a replay reads the same.
 *
 * A store that does not answer holds up what needs it (payload_store.h). An object that is not
 * there, or whose bytes are not what its name says, is an incident: the event is put into
 * quarantine (caution.c), with its run paused, and others go on. Of such a run only the outline is
 * loaded; an event that evaluates nothing is still applied to it. */
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/internal.h"

#define READ_AHEAD_BYTES                                                    \
    (32 * MIB) /* contents of queued events, a partition; one may be larger \
                */

/* --- events --- */

/* The content of an item's value. */
struct payload {
    struct partition *part;
    struct payload_op *op; /* NULL: it is there, or lost */
    struct blob_ref ref;
    struct buf content;
    char lost[300]; /* why it never will be; "": it is there */
    char run_id[RUN_ID_MAX];
};

struct payload *payload_free(struct payload *p)
{
    if (!p) return NULL;
    p->part->payload_bytes -= (size_t)p->ref.size;
    payload_op_cancel(p->op);
    buf_done(&p->content);
    free(p);
    return NULL;
}

static void on_content(void *user, const struct payload_answer *a)
{
    struct payload *p = user;
    p->op = NULL;
    if (a->status == BLOB_OK) {
        buf_add(&p->content, a->data.data, a->data.len);
        struct entry *entry = cache_find(p->part, bytes_of(p->run_id));
        if (entry) payload_known_add(entry, &p->ref);
    } else {
        snprintf(p->lost, sizeof p->lost, "%s", a->text);
    }
}

static void ask_content(struct partition *part, struct item *item, const struct blob_ref *ref)
{
    struct payload *p = xcalloc(1, sizeof *p);
    *p = (struct payload){ .part = part, .ref = *ref };
    memcpy(p->run_id, item->ev.run_id.data, item->ev.run_id.len);
    part->payload_bytes += (size_t)ref->size;
    p->op = payload_store_get(part->shard->payloads, item->ev.run_id, ref, 0, on_content, p);
    item->payload = p;
}

void payloads_prepare(struct partition *part)
{
    if (!part->claim_checks) return;
    for (size_t i = 0; i < part->inbox_count; i++) {
        struct item *item = partition_item(part, i);
        struct blob_ref ref;
        if (!item->ev.claim_check || item->payload || fold_skips(part, item)) continue;
        bool good = blob_ref_parse(item->ev.value, &ref, NULL);
        ASSERT(good); /* event_decode has looked */
        if (part->payload_bytes && part->payload_bytes + ref.size > READ_AHEAD_BYTES) return;
        ask_content(part, item, &ref);
    }
}

bool payload_here(const struct partition *part, const struct item *item)
{
    if (!item->ev.claim_check || fold_skips(part, item)) return true;
    return item->payload && !item->payload->op;
}

/* Whether the fold of the event will look at its value. */
static bool looked_at(const struct item *item, const struct run *run)
{
    if (item->ev.type == EVENT_RUN_START) return !run;
    return run && !run_state_terminal(run_state_of(run));
}

/* Whether a run that has ended may go on by it, and evaluate something. */
static bool revives(const struct item *item)
{
    return item->verdict == EVENT_OK &&
           (item->ev.type == EVENT_RUN_RETRY || item->ev.type == EVENT_RUN_RERUN);
}

void payloads_expect(struct partition *part, const struct item *item)
{
    if (!revives(item)) return;
    struct entry *entry = cache_find(part, item->ev.run_id);
    if (entry && entry->loading && !entry->fetch) entry->whole = true;
}

bool payloads_lacking(struct partition *part, const struct item *item, bool *ret_gone)
{
    if (!revives(item)) return false;
    struct entry *entry = cache_find(part, item->ev.run_id);
    if (!entry || entry->loading || !entry->partial) return false;
    *ret_gone = entry->pins == 0; /* else when its batch is committed */
    if (*ret_gone) cache_drop(entry);
    return true;
}

/* Whether the event can be applied to a run of which only the outline is there. */
static bool evaluates_nothing(const struct item *item, const struct run *run)
{
    if (!run) return true;
    enum run_state state = run_state_of(run);
    enum event_type type = item->ev.type;
    if (revives(item)) return false;
    if (run_state_terminal(state) || type == EVENT_RUN_TERMINATE || type == EVENT_RUN_START)
        return true;
    return state == RUN_PAUSED && (type == EVENT_TIMER_FIRED || type == EVENT_RUN_PAUSE);
}

static const char *advice(struct buf *why, const char *text)
{
    buf_addf(why, "%.300s. Put the object back, then send the event again (tutti dlq redrive)",
             text);
    return why->data;
}

enum payload_verdict payload_take(struct item *item, const struct entry *entry, struct buf *why)
{
    const struct payload *p = item->payload;
    if (entry->lost && !evaluates_nothing(item, entry->run)) {
        (void)advice(why, entry->lost);
        return PAYLOAD_LOST;
    }
    if (!item->ev.claim_check) return PAYLOAD_FINE;
    if (p->lost[0] && looked_at(item, entry->run)) {
        (void)advice(why, p->lost);
        return PAYLOAD_LOST;
    }
    struct err e;
    struct bytes content = p->lost[0] ? BYTES_LIT("null") : buf_bytes(&p->content);
    if (event_load(&item->ev, content, &e) == EVENT_OK) return PAYLOAD_FINE;
    buf_add_text(why, e.text);
    return PAYLOAD_MALFORMED;
}

/* --- the fields of a run --- */

struct piece { /* a field that is a claim check */
    struct fetch *fetch;
    size_t field;
    struct payload_op *op;
    struct blob_ref ref;
};

struct fetch {
    struct partition *part;
    char id[RUN_ID_MAX];
    void *arena;
    struct field *fields;
    size_t count;
    struct piece *pieces;
    size_t piece_count, missing;
    char lost[300]; /* why one of them never will be there; "": none is lost */
};

void payload_fetch_cancel(struct entry *entry)
{
    struct fetch *f = TAKE(entry->fetch);
    if (!f) return;
    for (size_t i = 0; i < f->piece_count; i++) payload_op_cancel(f->pieces[i].op);
    arena_done(&f->arena);
    free(f->fields);
    free(f->pieces);
    free(f);
}

static void fetch_done(struct fetch *f)
{
    struct partition *part = f->part;
    struct entry *entry = cache_find(part, bytes_of(f->id));
    ASSERT(entry && entry->fetch == f);
    if (f->lost[0]) {
        free(entry->lost);
        entry->lost = xstrdup(f->lost);
        log_error(&part->log, "run.payload_lost",
                  "run %s: %s. Events of it are put aside until the object is back", f->id,
                  f->lost);
    }
    for (size_t i = 0; i < f->piece_count && !f->lost[0]; i++)
        payload_known_add(entry, &f->pieces[i].ref);
    if (!cache_put_in(entry, f->fields, f->count)) partition_resume_in(part, RETRY_MS);
    payload_fetch_cancel(entry);
}

static void on_piece(void *user, const struct payload_answer *a)
{
    struct piece *piece = user;
    struct fetch *f = piece->fetch;
    piece->op = NULL;
    if (a->status == BLOB_OK)
        f->fields[piece->field].value = arena_copy(&f->arena, a->data);
    else
        snprintf(f->lost, sizeof f->lost, "%s", a->text);
    if (--f->missing == 0) fetch_done(f);
}

/* Of a run that has ended only its own result is of use. */
static bool needed(const struct field *field, bool ended)
{
    if (!field_is_payload(field->name) || !payload_is_ref(field->value)) return false;
    return !ended || bytes_is(field->name, "o:");
}

static bool has_ended(const struct field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_is(fields[i].name, "s")) return skeleton_ended(fields[i].value);
    return false;
}

static void add_piece(struct fetch *f, size_t field)
{
    struct piece *piece = &f->pieces[f->piece_count++];
    struct err e;
    *piece = (struct piece){ .fetch = f, .field = field };
    if (blob_ref_parse(f->fields[field].value, &piece->ref, &e)) {
        f->missing++;
    } else {
        snprintf(f->lost, sizeof f->lost, "field %.*s of run %s: %.200s",
                 (int)MIN(f->fields[field].name.len, (size_t)60), f->fields[field].name.data, f->id,
                 e.text);
        f->piece_count--;
    }
}

bool payloads_fetch(struct entry *entry, const struct field *fields, size_t count)
{
    if (entry->fetch) return true; /* it was read once more meanwhile, and is the same */
    bool ended = !entry->whole && has_ended(fields, count);
    size_t refs = 0, left = 0;
    for (size_t i = 0; i < count; i++) {
        refs += needed(&fields[i], ended);
        left += needed(&fields[i], false);
    }
    entry->outside = left > 0;
    entry->partial = left > refs;
    if (!refs) return false;
    struct fetch *f = xcalloc(1, sizeof *f);
    *f = (struct fetch){ .part = entry->part, .count = count };
    memcpy(f->id, entry->id, RUN_ID_MAX);
    f->fields = xcalloc(count, sizeof *f->fields);
    f->pieces = xcalloc(refs, sizeof *f->pieces);
    entry->fetch = f;
    for (size_t i = 0; i < count; i++) {
        f->fields[i].name = arena_copy(&f->arena, fields[i].name);
        struct bytes value = fields[i].value;
        if (field_is_payload(fields[i].name)) value = payload_unguard(value);
        f->fields[i].value = arena_copy(&f->arena, value);
        if (needed(&fields[i], ended)) add_piece(f, i);
    }
    for (size_t i = 0; i < f->piece_count; i++)
        f->pieces[i].op = payload_store_get(entry->part->shard->payloads, bytes_of(f->id),
                                            &f->pieces[i].ref, 0, on_piece, &f->pieces[i]);
    if (!f->missing) fetch_done(f);
    return true;
}

void payloads_unguard(struct field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (field_is_payload(fields[i].name)) fields[i].value = payload_unguard(fields[i].value);
}

int64_t payloads_counted(const struct run *run, const struct field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_is(fields[i].name, "b") && fields[i].value.len < 20) {
            AUTO_FREE char *text = xstrndup(fields[i].value.data, fields[i].value.len);
            return strtoll(text, NULL, 10);
        }
    return (int64_t)run_memory(run);
}
