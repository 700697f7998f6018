/* SPDX-License-Identifier: Apache-2.0
 *
 * What people tell a run: answer, signal, pause, resume, skip, set, terminate. Each is one event in
 * the log; the command waits until it is acknowledged there, and where it can be seen until the run
 * has taken it. */
#include <stdlib.h>

#include "cli/runs.h"
#include "common/base/limits.h"

#define TAKEN_WAIT_MS 10000

/* --- what is sent --- */

bool cli_actor(const struct cli *cli, struct bytes *ret, struct err *e)
{
    const char *name = cli->config->as ? cli->config->as : getenv("USER");
    *ret = (struct bytes){ 0 };
    if (!name || !*name) return true;
    if (strlen(name) > NAME_BYTES_MAX || !utf8_check(name, strlen(name)))
        return err_fail(e, ERR_INVALID, "--as: a name has at most %d bytes of UTF-8",
                        NAME_BYTES_MAX);
    *ret = bytes_of(name);
    return true;
}

/* JSON as an option gives it; NULL text: nothing. */
static bool read_json(const char *option, const char *text, json_t **ret, struct err *e)
{
    *ret = NULL;
    if (!text) return true;
    *ret = json_parse(bytes_of(text), e);
    return *ret || err_prefix(e, "%s", option);
}

struct told {
    enum event_type type;
    struct bytes path, signal;
    const json_t *value; /* NULL: null */
};

static bool tell(struct client *c, const struct view *v, const struct told *t, struct err *e)
{
    int32_t partitions;
    struct bytes header[HEADER_COUNT] = { [HEADER_PATH] = t->path, [HEADER_SIGNAL] = t->signal };
    AUTO_BUF struct buf value = { 0 };
    json_write(&value, t->value ? t->value : json_null());
    return cli_actor(c->cli, &header[HEADER_ACTOR], e) &&
           client_partitions(c, "events", &partitions, e) &&
           client_append(c, t->type, v->id, partitions, header, buf_bytes(&value), e);
}

/* Opens the run that the first argument names; one that has ended takes nothing. */
static bool open_live(struct client *client, struct cli *cli, struct view *v, struct err *e)
{
    if (!client_open(client, cli, NULL, e) || !view_open(client, cli->args[0], v, e) ||
        !view_read(client, v, RUN_GRACE_MS, e))
        return false;
    return !runs_ended(v->run) || err_fail(e, ERR_CONFLICT, "run %s has ended already: it is %s",
                                           v->id, runs_status(v->run));
}

static const json_t *step_of(const struct view *v, const char *path)
{
    const json_t *steps = json_object_get(v->run, "steps");
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const char *known = json_text(json_array_get(steps, i), "path");
        if (known && strcmp(known, path) == 0) return json_array_get(steps, i);
    }
    return NULL;
}

/* --- waiting until it is taken --- */

struct waiting {
    struct client *client;
    struct view *view;
    bool (*taken)(const struct view *v, const void *user);
    const void *user;
    bool failed;
};

static bool look(void *user)
{
    struct waiting *w = user;
    struct err e;
    if (!view_read(w->client, w->view, 0, &e)) w->failed = true;
    return w->failed || w->taken(w->view, w->user);
}

static bool wait_taken(struct client *c, struct view *v,
                       bool (*taken)(const struct view *v, const void *user), const void *user,
                       struct err *e)
{
    uint64_t end = loop_now_ms(c->loop) + TAKEN_WAIT_MS;
    struct waiting w = { .client = c, .view = v, .taken = taken, .user = user };
    while (!look(&w) && loop_now_ms(c->loop) < end) loop_turn(c->loop, 50);
    if (!w.failed && taken(v, user)) return true;
    return err_fail(e, ERR_TIMEOUT,
                    "the event is in the log, but run %s has not taken it within 10 s (is an "
                    "orchestrator running?)",
                    v->id);
}

static int report(struct cli *cli, const struct view *v, const char *what)
{
    if (cli->config->json) return cli_print_json(cli, v->run) ? EXIT_OK : EXIT_FAILED;
    AUTO_BUF struct buf text = { 0 };
    buf_addf(&text, "run %s: %s; it is %s\n", v->id, what, runs_status(v->run));
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}

/* --- pause, resume, terminate --- */

static bool has_status(const struct view *v, const void *status)
{
    return strcmp(runs_status(v->run), status) == 0;
}

static bool is_no_more_paused(const struct view *v, const void *user)
{
    (void)user;
    return strcmp(runs_status(v->run), run_state_name(RUN_PAUSED)) != 0;
}

static int control(struct cli *cli, enum event_type type, const char *status, const char *what)
{
    struct err e;
    CLEANUP(client_close) struct client client;
    CLEANUP(view_done) struct view view = { 0 };
    AUTO_JSON *value =
        cli->config->reason ? json_pack("{s:s}", "reason", cli->config->reason) : NULL;
    struct told told = { .type = type, .value = value };
    if (!open_live(&client, cli, &view, &e) || !tell(&client, &view, &told, &e) ||
        !wait_taken(&client, &view, status ? has_status : is_no_more_paused, status, &e))
        return cli_fail(cli, cli->command->name, &e);
    return report(cli, &view, what);
}

int cmd_pause(struct cli *cli)
{
    return control(cli, EVENT_RUN_PAUSE, run_state_name(RUN_PAUSED), "nothing new begins");
}

int cmd_resume(struct cli *cli)
{
    return control(cli, EVENT_RUN_RESUME, NULL, "it goes on");
}

int cmd_terminate(struct cli *cli)
{
    return control(cli, EVENT_RUN_TERMINATE, run_state_name(RUN_CANCELLED), "it was ended");
}

/* --- answer --- */

static bool asks(const struct view *v, const char *path, struct err *e)
{
    const json_t *step = step_of(v, path);
    if (!step)
        return err_fail(e, ERR_NOT_FOUND, "run %s has no step '%s' at this moment", v->id, path);
    return json_object_get(step, "asked") ||
           err_fail(e, ERR_CONFLICT, "step %s asks nobody: it is %s", path,
                    json_text(step, "status"));
}

/* The names between commas, without `role:`, which stands before them where they are asked; NULL:
 * none were given. */
static bool read_roles(const char *text, json_t **ret, struct err *e)
{
    static const char mark[] = "role:";
    *ret = NULL;
    if (!text) return true;
    AUTO_JSON *roles = json_array();
    for (const char *at = text, *end; at; at = *end ? end + 1 : NULL) {
        end = at + strcspn(at, ",");
        if (strncmp(at, mark, sizeof mark - 1) == 0) at += sizeof mark - 1;
        json_t *role = json_stringn(at, (size_t)(end - at));
        if (!role || end == at || end - at > NAME_BYTES_MAX) {
            json_decref(role);
            return err_fail(e, ERR_INVALID,
                            "--role: names between commas are wanted, of at most %d bytes of UTF-8",
                            NAME_BYTES_MAX);
        }
        json_array_append_new(roles, role);
    }
    *ret = TAKE(roles);
    return true;
}

static bool make_answer(const struct cli *cli, json_t **ret, struct err *e)
{
    const struct cli_config *c = cli->config;
    json_t *values = NULL, *output = NULL, *roles = NULL;
    bool ok = read_json("--values", c->values, &values, e) &&
              read_json("--output", c->output, &output, e) && read_roles(c->role, &roles, e);
    AUTO_JSON *answer =
        json_pack("{s:s, s:s*, s:o*, s:o*, s:o*}", "decision", cli->args[2], "comment", c->comment,
                  "values", values, "output", output, "roles", roles);
    if (ok && !answer) ok = err_fail(e, ERR_INVALID, "--comment: it is no UTF-8");
    if (ok) *ret = TAKE(answer);
    return ok;
}

/* Whether the run has noted what this person said, or asks no more. */
static bool is_answered(const struct view *v, const void *user)
{
    const struct cli *cli = user;
    const json_t *step = step_of(v, cli->args[1]), *asked = json_object_get(step, "asked");
    struct bytes who;
    struct err e;
    if (!asked || runs_ended(v->run)) return true;
    if (!cli_actor(cli, &who, &e)) return false;
    const json_t *votes = json_object_get(asked, "votes");
    for (size_t i = 0; i < json_array_size(votes); i++) {
        const char *by = json_text(json_array_get(votes, i), "by");
        if (by && bytes_is(who, by)) return true;
    }
    return false;
}

static int give_answer(struct cli *cli, const json_t *answer)
{
    struct err e;
    CLEANUP(client_close) struct client client;
    CLEANUP(view_done) struct view view = { 0 };
    struct told told = { .type = EVENT_APPROVAL, .path = bytes_of(cli->args[1]), .value = answer };
    if (!open_live(&client, cli, &view, &e) || !asks(&view, cli->args[1], &e) ||
        !tell(&client, &view, &told, &e))
        return cli_fail(cli, "answer", &e);
    if (wait_taken(&client, &view, is_answered, cli, &e))
        return report(cli, &view, "the answer was taken");
    err_fail(&e, ERR_CONFLICT,
             "run %s has not taken the answer: the step asks others (--as and --role say who you "
             "are), or has asked you before",
             view.id);
    return cli_fail(cli, "answer", &e);
}

int cmd_answer(struct cli *cli)
{
    static const char *const decisions[] = { "approve", "reject", "retry" };
    struct err e;
    json_t *made = NULL;
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(decisions); i++)
        known |= strcmp(cli->args[2], decisions[i]) == 0;
    if (!known) {
        err_fail(&e, ERR_INVALID, "'%.40s' is none of approve, reject and retry", cli->args[2]);
        return cli_fail(cli, "answer", &e);
    }
    if (!make_answer(cli, &made, &e)) return cli_fail(cli, "answer", &e);
    AUTO_JSON *answer = made;
    return give_answer(cli, answer);
}

/* --- signal, skip, set --- */

static int tell_only(struct cli *cli, struct told *told, const char *what)
{
    struct err e;
    CLEANUP(client_close) struct client client;
    CLEANUP(view_done) struct view view = { 0 };
    if (!open_live(&client, cli, &view, &e) || !tell(&client, &view, told, &e))
        return cli_fail(cli, cli->command->name, &e);
    return report(cli, &view, what);
}

int cmd_signal(struct cli *cli)
{
    struct err e;
    json_t *value;
    if (!read_json("--json-data", cli->config->json_data, &value, &e))
        return cli_fail(cli, "signal", &e);
    AUTO_JSON *payload = value;
    struct told told = { .type = EVENT_SIGNAL, .signal = bytes_of(cli->args[1]), .value = payload };
    return tell_only(cli, &told, "the signal is in its log");
}

int cmd_skip(struct cli *cli)
{
    struct err e;
    json_t *value;
    if (!read_json("--output", cli->config->output, &value, &e)) return cli_fail(cli, "skip", &e);
    AUTO_JSON *output = value;
    struct told told = { .type = EVENT_STEP_SKIP, .path = bytes_of(cli->args[1]), .value = output };
    return tell_only(cli, &told, "it is told to skip the step");
}

int cmd_set(struct cli *cli)
{
    struct err e = { 0 };
    AUTO_JSON *vars = json_object();
    for (size_t i = 1; i < cli->arg_count; i++) {
        const char *text = strchr(cli->args[i], '=');
        AUTO_FREE char *name =
            xstrndup(cli->args[i], text ? (size_t)(text - cli->args[i]) : strlen(cli->args[i]));
        json_t *value = text ? json_parse(bytes_of(text + 1), &e) : NULL;
        if (!value) {
            if (!text) err_fail(&e, ERR_INVALID, "'%.60s' is not NAME=JSON", cli->args[i]);
            err_prefix(&e, "%.60s", name);
            return cli_fail(cli, "set", &e);
        }
        json_object_set_new(vars, name, value);
    }
    struct told told = { .type = EVENT_RUN_SET_VARS, .value = vars };
    return tell_only(cli, &told, "it is told to set the variables");
}
