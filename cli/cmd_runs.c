/* SPDX-License-Identifier: Apache-2.0
 *
 * `status`, `history`, `watch` and `cancel`: one run each.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/runs.h"
#include "common/base/clock.h"
#include "common/base/limits.h"

#define CANCEL_WAIT_MS 10000

/* Opens the run that the first argument names. */
static bool open_run(struct client *c, struct view *v, struct err *e)
{
    return view_open(c, c->cli->args[0], v, e) && view_read(c, v, RUN_GRACE_MS, e);
}

/* --- status --- */

static void print_error_of(struct buf *text, const struct term *t, const json_t *run)
{
    AUTO_BUF struct buf why = { 0 };
    runs_error_text(&why, run);
    if (why.len == 0) return;
    term_styled(text, t, TERM_RED, why.data);
    buf_add_char(text, '\n');
}

/* What a run that has not begun waits for: the unfinished runs with its key that were started
 * before it. */
static bool add_line_before(struct client *c, struct view *v, struct err *e)
{
    if (strcmp(runs_status(v->run), run_state_name(RUN_INITIALIZING)) != 0) return true;
    AUTO_JSON *line = json_array(), *before = json_array();
    if (!runs_line(c, v->id, v->partition, line, e)) return false;
    for (size_t i = 0; i < json_array_size(line); i++) {
        json_t *run = json_array_get(line, i);
        if (strcmp(json_string_value(run), v->id) == 0) break;
        json_array_append(before, run);
    }
    json_object_set(v->run, "waits_for", before);
    return true;
}

static void print_waits_for(struct buf *text, const json_t *run)
{
    const json_t *before = json_object_get(run, "waits_for");
    size_t count = json_array_size(before);
    if (count == 0) return;
    buf_addf(text, "waits for %zu run%s with the key %s: %s", count, count == 1 ? "" : "s",
             json_text(run, "key"), json_string_value(json_array_get(before, 0)));
    if (count > 1) buf_add_text(text, ", ...");
    buf_add_char(text, '\n');
}

int cmd_status(struct cli *cli)
{
    struct err e;
    CLEANUP(client_close) struct client client;
    CLEANUP(view_done) struct view view = { 0 };
    if (!client_open(&client, cli, NULL, &e) || !open_run(&client, &view, &e) ||
        !add_line_before(&client, &view, &e))
        return cli_fail(cli, "status", &e);
    if (cli->config->json) return cli_print_json(cli, view.run) ? EXIT_OK : EXIT_FAILED;
    AUTO_BUF struct buf text = { 0 };
    runs_block(&text, &cli->out, &view, clock_wall_ms(), SIZE_MAX);
    print_error_of(&text, &cli->out, view.run);
    print_waits_for(&text, view.run);
    const json_t *output = json_object_get(view.run, "output");
    if (output && !json_is_null(output)) {
        buf_add_char(&text, '\n');
        term_value(&text, &cli->out, output);
    }
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}

/* --- history --- */

static void add_change(void *user, const struct change *t)
{
    char when[TIME_TEXT_MAX];
    time_format(t->record_ms, when);
    json_t *item =
        json_pack("{s:I, s:s, s:I, s:s, s:s, s:I, s:s*}", "number", (json_int_t)t->number, "time",
                  when, "offset", (json_int_t)t->offset, "path", t->path, "state", t->state,
                  "attempt", (json_int_t)t->attempt, "why", t->why);
    if (item) json_array_append_new(user, item);
}

static void add_line(void *user, const struct change *t)
{
    runs_change_line(user, t);
}

int cmd_history(struct cli *cli)
{
    struct err e;
    CLEANUP(client_close) struct client client;
    CLEANUP(view_done) struct view view = { .def_asked = true }; /* needs no definition */
    if (!client_open(&client, cli, NULL, &e) || !view_open(&client, cli->args[0], &view, &e))
        return cli_fail(cli, "history", &e);
    view.def_asked = true;
    if (!view_read(&client, &view, RUN_GRACE_MS, &e)) return cli_fail(cli, "history", &e);
    if (cli->config->json) {
        AUTO_JSON *list = json_array();
        runs_transitions(&view.fields, 0, add_change, list);
        AUTO_JSON *report = json_pack("{s:s, s:O}", "run_id", view.id, "transitions", list);
        return cli_print_json(cli, report) ? EXIT_OK : EXIT_FAILED;
    }
    AUTO_BUF struct buf text = { 0 };
    runs_transitions(&view.fields, 0, add_line, &text);
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}

/* --- watch --- */

int cmd_watch(struct cli *cli)
{
    struct err e;
    CLEANUP(client_close) struct client client;
    CLEANUP(view_done) struct view view = { 0 };
    if (!client_open(&client, cli, NULL, &e) || !view_open(&client, cli->args[0], &view, &e) ||
        !runs_watch(&client, &view, watch_mode_of(cli), cli->config->timeout_ms, &e))
        return cli_fail(cli, "watch", &e);
    return runs_print_result(cli, view.run);
}

/* --- cancel --- */

static bool append_cancel(struct client *c, const struct view *v, struct err *e)
{
    int32_t partitions;
    if (!client_partitions(c, "events", &partitions, e)) return false;
    const char *reason = c->cli->config->reason, *user = getenv("USER");
    struct bytes header[HEADER_COUNT] = { 0 };
    if (user && *user && strlen(user) <= NAME_BYTES_MAX && utf8_check(user, strlen(user)))
        header[HEADER_ACTOR] = bytes_of(user);
    AUTO_BUF struct buf value = { 0 };
    if (reason && (strlen(reason) > 4 * KIB || !utf8_check(reason, strlen(reason))))
        return err_fail(e, ERR_INVALID, "--reason: wants at most 4 KiB of UTF-8");
    AUTO_JSON *said =
        json_pack("{s:s*, s:b}", "reason", reason, "compensate", (int)c->cli->config->compensate);
    json_write(&value, said);
    return client_append(c, EVENT_RUN_CANCEL, v->id, partitions, header, buf_bytes(&value), e);
}

int cmd_cancel(struct cli *cli)
{
    struct err e;
    CLEANUP(client_close) struct client client;
    CLEANUP(view_done) struct view view = { 0 };
    if (!client_open(&client, cli, NULL, &e) || !open_run(&client, &view, &e))
        return cli_fail(cli, "cancel", &e);
    if (runs_ended(view.run)) {
        err_fail(&e, ERR_CONFLICT, "run %s has ended already: it is %s", view.id,
                 runs_status(view.run));
        return cli_fail(cli, "cancel", &e);
    }
    if (!append_cancel(&client, &view, &e) ||
        !runs_watch(&client, &view, WATCH_QUIET, CANCEL_WAIT_MS, &e))
        return cli_fail(cli, "cancel", &e);
    if (strcmp(runs_status(view.run), run_state_name(RUN_CANCELLED)) != 0) {
        err_fail(&e, ERR_CONFLICT, "run %s was faster: it is %s", view.id, runs_status(view.run));
        return cli_fail(cli, "cancel", &e);
    }
    if (cli->config->json) return cli_print_json(cli, view.run) ? EXIT_OK : EXIT_FAILED;
    AUTO_BUF struct buf text = { 0 };
    buf_addf(&text, "run %s is cancelled\n", view.id);
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}
