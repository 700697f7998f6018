/* SPDX-License-Identifier: Apache-2.0
 *
 * Payloads on their way out: what is larger than payloads.inline_max is put into the payload store,
 * and its claim check goes into the record or the field instead. The object is there before the
 * record that names it is produced, and before the field is committed: a batch waits for its puts
 * as it waits for its acknowledgements. */
#include <stdlib.h>

#include "orchestrator/internal.h"

/* --- what the store is known to hold of a run --- */

void payload_known_add(struct entry *entry, const struct blob_ref *ref)
{
    struct bytes name = bytes_of(ref->sha256);
    if (map_get(&entry->known, name)) return;
    char *copy = xstrdup(ref->sha256);
    map_put(&entry->known, bytes_of(copy), copy);
}

void payload_known_done(struct entry *entry)
{
    size_t pos = 0;
    for (char *name; (name = map_next(&entry->known, &pos));) free(name);
    map_done(&entry->known);
}

static bool known(const struct entry *entry, const struct blob_ref *ref)
{
    return entry && map_get(&entry->known, bytes_of(ref->sha256));
}

/* --- puts --- */

/* A put that a batch waits for. */
struct held {
    struct batch *batch;
    struct outputs *outputs; /* that it belongs to; NULL: it is a field's */
    struct blob_ref ref;
    char run_id[RUN_ID_MAX];
    bool has_effect; /* to be sent once the object is there */
    struct effect effect;
    struct bytes before, after; /* RESULT: what stands around the payload */
    void *arena;
};

static void held_free(struct held *h)
{
    arena_done(&h->arena);
    free(h);
}

/* The claim check in place of the payload; in a result it lies within, and its address beside it:
 * whoever reads results may know nothing of our stores. */
static void make_value(const struct held *h, struct buf *ret)
{
    buf_add(ret, h->before.data, h->before.len);
    blob_ref_add(ret, &h->ref);
    if (h->effect.kind != EFFECT_RESULT) return;
    AUTO_BUF struct buf url = { 0 };
    payload_store_url(h->batch->shard->payloads, bytes_of(h->run_id), &h->ref, &url);
    buf_add_text(ret, ",\"payload_url\":");
    buf_add_json_string(ret, url.data, url.len);
    buf_add(ret, h->after.data, h->after.len);
}

static void send_held(struct held *h)
{
    AUTO_BUF struct buf value = { 0 };
    make_value(h, &value);
    h->effect.value = buf_bytes(&value);
    batch_send(h->batch, h->outputs, &h->effect);
}

static void on_put(void *user, const struct payload_answer *a)
{
    struct held *h = user;
    struct batch *b = h->batch;
    struct partition *part = b->part;
    if (a->status != BLOB_OK) b->failed = true; /* the shard is being closed */
    if (part && !b->failed) {
        struct entry *entry = cache_find(part, bytes_of(h->run_id));
        if (entry) payload_known_add(entry, &h->ref);
        if (h->has_effect) send_held(h);
    }
    struct outputs *o = h->outputs;
    held_free(h);
    batch_answered(b, o);
}

static struct held *hold(struct batch *b, struct bytes run_id, const struct blob_ref *ref)
{
    struct held *h = xcalloc(1, sizeof *h);
    *h = (struct held){ .batch = b, .ref = *ref };
    ASSERT(run_id.data && run_id.len == RUN_ID_MAX - 1);
    memcpy(h->run_id, run_id.data, run_id.len);
    return h;
}

static void put(struct held *h, struct bytes content)
{
    struct batch *b = h->batch;
    b->acks_missing++;
    if (h->outputs) h->outputs->acks_missing++;
    (void)payload_store_put(b->shard->payloads, bytes_of(h->run_id), &h->ref, content, 0, on_put,
                            h);
}

/* --- fields --- */

bool payloads_outside(const struct batch *b, const struct entry *entry, const struct fields *fields)
{
    bool outside = entry->outside || entry->known.count > 0;
    for (size_t i = 0; i < fields->count && !outside; i++)
        outside = field_is_payload(fields->list[i].name) &&
                  payload_store_takes(b->shard->payloads, fields->list[i].value.len);
    return outside;
}

void payloads_add_field(struct batch *b, struct entry *entry, const struct field *field)
{
    struct args *values = &b->run_values;
    bool holds = field_is_payload(field->name);
    if (holds && payload_store_takes(b->shard->payloads, field->value.len)) {
        struct blob_ref ref = blob_ref_of(field->value);
        AUTO_BUF struct buf text = { 0 };
        blob_ref_add(&text, &ref);
        args_add(values, buf_bytes(&text));
        if (!known(entry, &ref)) put(hold(b, bytes_of(entry->id), &ref), field->value);
    } else if (holds && payload_guarded(field->value)) {
        AUTO_BUF struct buf text = { 0 };
        buf_add_char(&text, ' ');
        buf_add(&text, field->value.data, field->value.len);
        args_add(values, buf_bytes(&text));
    } else {
        args_add(values, field->value);
    }
}

/* --- effects --- */

static void copy_effect(struct held *h, const struct effect *fx)
{
    h->has_effect = true;
    h->effect = *fx;
    h->effect.value = h->effect.payload = (struct bytes){ 0 };
    for (size_t i = 0; i < HEADER_COUNT; i++)
        if (fx->header[i].data) h->effect.header[i] = arena_copy(&h->arena, fx->header[i]);
    if (fx->key.data) h->effect.key = arena_copy(&h->arena, fx->key);
    if (!fx->ce_count) return;
    struct ce_header *ce = arena_alloc(&h->arena, fx->ce_count * sizeof *ce);
    for (size_t i = 0; i < fx->ce_count; i++) /* the names are constants */
        ce[i] = (struct ce_header){ .name = fx->ce[i].name,
                                    .value = arena_copy(&h->arena, fx->ce[i].value) };
    h->effect.ce = ce;
}

bool payloads_hold(struct batch *b, const struct effect *fx)
{
    bool result = fx->kind == EFFECT_RESULT;
    struct bytes content = result ? fx->payload : fx->value;
    if (!payload_store_takes(b->shard->payloads, content.len)) return false;
    struct blob_ref ref = blob_ref_of(content);
    struct bytes run_id = result ? fx->key : fx->header[HEADER_RUN_ID];
    struct held *h = hold(b, run_id, &ref);
    h->outputs = b->outputs;
    copy_effect(h, fx);
    if (result) {
        size_t at = (size_t)(content.data - fx->value.data), end = at + content.len;
        h->before = arena_copy(&h->arena, (struct bytes){ fx->value.data, at });
        h->after =
            arena_copy(&h->arena, (struct bytes){ fx->value.data + end, fx->value.len - end });
    }
    /* Of a run of another partition nothing is known. */
    if (known(cache_find(b->part, run_id), &ref)) {
        send_held(h);
        held_free(h);
    } else {
        put(h, content);
    }
    return true;
}
