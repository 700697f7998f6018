/* SPDX-License-Identifier: Apache-2.0
 *
 * Inputs that are too large for a message: into the payload store, before the start that names
 * them.
 */
#include <stdlib.h>

#include "cli/runs.h"
#include "common/base/limits.h"

#define PUT_WAIT_MS 60000

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

struct put {
    bool done, ok;
    struct err error;
};

static void on_put(void *user, const struct payload_answer *a)
{
    struct put *p = user;
    p->done = true;
    p->ok = a->status == BLOB_OK;
    if (!p->ok) (void)err_fail(&p->error, ERR_UNAVAILABLE, "the payload store: %s", a->text);
}

static bool put_done(void *user)
{
    return ((struct put *)user)->done;
}

bool runs_store_input(struct client *c, const char *run_id, struct bytes input, struct buf *ret,
                      struct err *e)
{
    struct payloads_place place;
    struct payload_store_options options;
    if (!options_of(c->cli, &place, &options, e)) return false;
    if (!options.place || input.len <= options.inline_max) {
        payload_add(ret, input);
        return true;
    }
    CLEANUP(payload_store_close_p)
    struct payload_store *store = payload_store_open(c->loop, &options, e);
    if (!store) return false;
    struct blob_ref ref = blob_ref_of(input);
    struct put put = { 0 };
    (void)payload_store_put(store, bytes_of(run_id), &ref, input, PUT_WAIT_MS, on_put, &put);
    blob_ref_add(ret, &ref);
    if (!client_wait(c, put_done, &put, 2 * PUT_WAIT_MS))
        return err_fail(e, ERR_UNAVAILABLE, "the payload store did not answer");
    *e = put.error;
    return put.ok;
}
