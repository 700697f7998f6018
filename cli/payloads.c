/* SPDX-License-Identifier: Apache-2.0
 *
 * Inputs that are too large for a message: into the payload store, before the start that names
 * them.
 */
#include <stdlib.h>

#include "cli/runs.h"
#include "common/base/limits.h"

#define WAIT_MS 60000

/* What the options say, or that there is no store. */
static bool options_of(const struct cli *cli, struct payloads_place *place,
                       struct payload_store_options *ret, struct err *e)
{
    const struct payloads_config *c = &cli->config->payloads;
    *ret = (struct payload_store_options){ .log = &cli->log };
    return !c->store || payload_store_options_of(c, &cli->log, place, ret, e);
}

bool runs_input_max(const struct cli *cli, size_t *ret, struct err *e)
{
    struct payloads_place place;
    struct payload_store_options options;
    if (!options_of(cli, &place, &options, e)) return false;
    *ret = options.place ? options.max : PAYLOAD_BYTES_MAX;
    return true;
}

/* An operation that is waited for. */
struct waited {
    bool done, ok;
    struct buf data;
    struct err error;
};

static void waited_done(struct waited *w)
{
    buf_done(&w->data);
}

static void on_answer(void *user, const struct payload_answer *a)
{
    struct waited *w = user;
    w->done = true;
    w->ok = a->status == BLOB_OK;
    if (a->data.len) buf_add(&w->data, a->data.data, a->data.len);
    if (!w->ok) (void)err_fail(&w->error, ERR_UNAVAILABLE, "the payload store: %s", a->text);
}

static bool is_done(void *user)
{
    return ((struct waited *)user)->done;
}

static bool wait_for(struct client *c, struct waited *w, struct err *e)
{
    if (!client_wait(c, is_done, w, 2 * WAIT_MS))
        return err_fail(e, ERR_UNAVAILABLE, "the payload store did not answer");
    *e = w->error;
    return w->ok;
}

bool runs_store_input(struct client *c, const char *run_id, struct bytes input, struct buf *ret,
                      struct err *e)
{
    struct payloads_place place;
    struct payload_store_options options;
    CLEANUP(waited_done) struct waited waited = { 0 };
    if (!options_of(c->cli, &place, &options, e)) return false;
    if (!options.place || input.len <= options.inline_max) {
        payload_add(ret, input);
        return true;
    }
    CLEANUP(payload_store_close_p)
    struct payload_store *store = payload_store_open(c->loop, &options, e);
    if (!store) return false;
    struct blob_ref ref = blob_ref_of(input);
    blob_ref_add(ret, &ref);
    (void)payload_store_put(store, bytes_of(run_id), &ref, input, WAIT_MS, on_answer, &waited);
    return wait_for(c, &waited, e);
}

/* Whether it has the very form of a claim check. */
static bool ref_of(const json_t *value, struct blob_ref *ret)
{
    const char *digest = json_text(value, "$blob");
    if (!digest || json_object_size(value) != 2) return false;
    AUTO_BUF struct buf text = { 0 };
    buf_addf(&text, "{\"$blob\":\"%s\",\"size\":%lld}", digest,
             (long long)json_int(value, "size", -1));
    return blob_ref_parse(buf_bytes(&text), ret, NULL);
}

static bool fetch(struct client *c, const char *run_id, const struct blob_ref *ref, struct buf *ret,
                  struct err *e)
{
    struct payloads_place place;
    struct payload_store_options options;
    CLEANUP(waited_done) struct waited waited = { 0 };
    if (!options_of(c->cli, &place, &options, e)) return false;
    if (!options.place)
        return err_fail(e, ERR_NOT_FOUND, "it lies in a payload store, and payloads.store is none");
    CLEANUP(payload_store_close_p)
    struct payload_store *store = payload_store_open(c->loop, &options, e);
    if (!store) return false;
    (void)payload_store_get(store, bytes_of(run_id), ref, WAIT_MS, on_answer, &waited);
    if (!wait_for(c, &waited, e)) return false;
    buf_add(ret, waited.data.data, waited.data.len);
    return true;
}

/* Into the place of the field's value, which is owned. */
static bool fetch_field(struct client *c, const char *run_id, struct field *field, struct err *e)
{
    struct blob_ref ref;
    AUTO_BUF struct buf content = { 0 };
    if (!payload_is_ref(field->value)) {
        struct bytes value = payload_unguard(field->value);
        buf_add(&content, value.data, value.len);
    } else if (!blob_ref_parse(field->value, &ref, e) || !fetch(c, run_id, &ref, &content, e)) {
        return err_prefix(e, "field %.*s of run %s", (int)MIN(field->name.len, (size_t)100),
                          field->name.data, run_id);
    }
    free((char *)field->value.data);
    field->value.len = content.len;
    field->value.data = buf_take(&content, NULL);
    return true;
}

bool runs_fetch_payloads(struct client *c, const char *run_id, struct run_fields *fields,
                         struct err *e)
{
    for (size_t i = 0; i < fields->count; i++)
        if (field_is_payload(fields->list[i].name) && !fetch_field(c, run_id, &fields->list[i], e))
            return false;
    return true;
}

void runs_fetch_output(struct client *c, json_t *run)
{
    struct blob_ref ref;
    struct err e;
    const char *id = json_text(run, "id");
    AUTO_BUF struct buf content = { 0 };
    if (!id || !ref_of(json_object_get(run, "output"), &ref)) return;
    json_t *output = fetch(c, id, &ref, &content, &e) ? json_parse(buf_bytes(&content), &e) : NULL;
    if (output)
        json_object_set_new(run, "output", output);
    else
        cli_note(c->cli, "the output of %llu bytes is not shown: %s", (unsigned long long)ref.size,
                 e.text);
}
