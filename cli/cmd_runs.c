/* SPDX-License-Identifier: Apache-2.0
 *
 * `status`, `history`, `watch` and `cancel`: one run each.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/control.h"
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

/* Where it comes from, if that is no plain start, and its earlier ends. */
static void print_origin(struct buf *text, const json_t *run)
{
    const char *origin = json_text(run, "forked_from");
    int64_t revived = json_int(run, "revived", 0);
    if (origin) buf_addf(text, "  forked from run %s\n", origin);
    if (revived)
        buf_addf(text, "  went on %lld time%s after an end\n", (long long)revived,
                 revived == 1 ? "" : "s");
}

int cmd_status(struct cli *cli)
{
    struct err e;
    CLEANUP(client_close) struct client client;
    CLEANUP(view_done) struct view view = { 0 };
    if (!client_open(&client, cli, NULL, &e) || !open_run(&client, &view, &e) ||
        !add_line_before(&client, &view, &e))
        return cli_fail(cli, "status", &e);
    runs_fetch_output(&client, view.run);
    if (cli->config->json) return cli_print_json(cli, view.run) ? EXIT_OK : EXIT_FAILED;
    AUTO_BUF struct buf text = { 0 };
    runs_block(&text, &cli->out, &view, clock_wall_ms(), SIZE_MAX);
    print_origin(&text, view.run);
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
    return runs_print_result(&client, view.run);
}

/* --- cancel --- */

int cmd_cancel(struct cli *cli)
{
    struct err e;
    json_t *reason;
    if (!control_reason(cli, &reason, &e)) return cli_fail(cli, "cancel", &e);
    AUTO_JSON *value = reason ? reason : json_object();
    json_object_set_new(value, "compensate", json_boolean(cli->config->compensate));
    struct told told = { .type = EVENT_RUN_CANCEL, .value = value };
    if (cli->config->where)
        return bulk_run(cli, &(struct bulk){ .told = told, .states = BULK_GOING });
    CLEANUP(client_close) struct client client;
    CLEANUP(view_done) struct view view = { 0 };
    if (!client_open(&client, cli, NULL, &e) || !open_run(&client, &view, &e))
        return cli_fail(cli, "cancel", &e);
    if (runs_ended(view.run)) {
        err_fail(&e, ERR_CONFLICT, "run %s has ended already: it is %s", view.id,
                 runs_status(view.run));
        return cli_fail(cli, "cancel", &e);
    }
    if (!control_tell(&client, view.id, &told, &e) ||
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
