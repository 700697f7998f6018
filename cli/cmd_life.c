/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs that have ended, and what is made of them: retry and rerun let one go on, fork and restart
 * start another. Whether and from where a run can go on is the engine's to say, of the very state
 * that the orchestrator has (orchestrator/engine/revive.c). */
#include <stdlib.h>

#include "cli/control.h"
#include "common/base/limits.h"

/* --- the run itself --- */

/* The run as the engine has it. */
static bool load(struct client *c, struct view *v, struct run **ret, struct err *e)
{
    if (!v->def)
        return err_fail(e, ERR_NOT_FOUND, "the definition of run %s is not in Kafka any more",
                        v->id);
    if (!runs_fetch_payloads(c, v->id, &v->fields, e)) return false;
    *ret = run_load(v->def, v->id, v->fields.list, v->fields.count, e);
    return *ret || err_prefix(e, "run %s", v->id);
}

static bool open_run(struct client *client, struct cli *cli, struct view *v, struct err *e)
{
    return client_open(client, cli, NULL, e) && view_open(client, cli->args[0], v, e) &&
           view_read(client, v, RUN_GRACE_MS, e);
}

static bool may_revive(struct client *c, struct view *v, struct bytes path, struct err *e)
{
    struct run *loaded = NULL;
    if (!load(c, v, &loaded, e)) return false;
    CLEANUP(run_free_p) struct run *run = loaded;
    return engine_may_revive(run, path, e) || err_prefix(e, "run %s", v->id);
}

/* --- retry, rerun --- */

static int64_t lives_of(const struct view *v)
{
    return json_int(v->run, "revived", 0);
}

static bool has_revived(const struct view *v, const void *lives)
{
    return lives_of(v) > *(const int64_t *)lives;
}

static int revive(struct cli *cli, const struct told *told, const char *what)
{
    struct err e;
    CLEANUP(client_close) struct client client;
    CLEANUP(view_done) struct view view = { 0 };
    if (!open_run(&client, cli, &view, &e) || !may_revive(&client, &view, told->path, &e))
        return cli_fail(cli, cli->command->name, &e);
    int64_t lives = lives_of(&view);
    if (!control_tell(&client, view.id, told, &e) ||
        !control_wait(&client, &view, has_revived, &lives, &e))
        return cli_fail(cli, cli->command->name, &e);
    return control_report(cli, &view, what);
}

int cmd_retry(struct cli *cli)
{
    struct told told = { .type = EVENT_RUN_RETRY };
    if (!cli->config->where) return revive(cli, &told, "what had failed begins again");
    return bulk_run(cli, &(struct bulk){ .told = told,
                                         .states = 1u << RUN_FAILED | 1u << RUN_CANCELLED,
                                         .spares_undone = true });
}

int cmd_rerun(struct cli *cli)
{
    struct err e;
    struct told told = { .type = EVENT_RUN_RERUN, .path = bytes_of(cli->config->from) };
    if (!cli->config->from) {
        err_fail(&e, ERR_INVALID, "--from STEP is missing: from which step on?");
        return cli_fail(cli, "rerun", &e);
    }
    if (!cli->config->where) return revive(cli, &told, "it is done again from there");
    return bulk_run(
        cli, &(struct bulk){ .told = told,
                             .states = 1u << RUN_FAILED | 1u << RUN_CANCELLED | 1u << RUN_COMPLETED,
                             .spares_undone = true });
}

/* --- another run --- */

static int print_started(const struct cli *cli, const struct definition *def, const char *id,
                         const char *origin_name, const char *origin)
{
    if (cli->config->json) {
        AUTO_JSON *value = json_pack("{s:s, s:s, s:s, s:s}", "run_id", id, "workflow", def->name,
                                     "version", def->version, origin_name, origin);
        return cli_print_json(cli, value) ? EXIT_OK : EXIT_FAILED;
    }
    AUTO_BUF struct buf text = { 0 };
    buf_addf(&text, "%s\n", id);
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}

/* Members of an object that an option gives are put into one of the fork's; more may be NULL. */
static bool change(json_t *fork, const char *member, json_t *more, struct err *e)
{
    if (more && !json_is_object(more))
        return err_fail(e, ERR_INVALID, "--outputs: wants an object {\"STEP\": OUTPUT}");
    if (more) json_object_update(json_object_get(fork, member), more);
    return true;
}

static bool change_fork(const struct cli *cli, json_t *fork, struct err *e)
{
    AUTO_JSON *vars = NULL, *outputs = NULL;
    const struct cli_config *o = cli->config;
    if (!control_vars(cli, 1, &vars, e) || !change(fork, "vars", vars, e)) return false;
    if (o->outputs && !(outputs = json_parse(bytes_of(o->outputs), e)))
        return err_prefix(e, "--outputs");
    if (!change(fork, "outputs", outputs, e)) return false;
    if (!o->input && !o->input_json && !o->input_text && !o->document) return true;
    AUTO_BUF struct buf text = { 0 };
    if (!runs_input(cli, &text, e)) return false;
    json_t *input = json_parse(buf_bytes(&text), e);
    if (!input) return err_prefix(e, "the input");
    json_object_set_new(fork, "input", input);
    return true;
}

int cmd_fork(struct cli *cli)
{
    struct err e;
    char id[RUN_ID_MAX];
    int32_t partition;
    struct run *loaded = NULL;
    CLEANUP(client_close) struct client client;
    CLEANUP(view_done) struct view view = { 0 };
    if (!open_run(&client, cli, &view, &e) || !load(&client, &view, &loaded, &e))
        return cli_fail(cli, "fork", &e);
    CLEANUP(run_free_p) struct run *run = loaded;
    AUTO_JSON *fork = engine_fork(run, bytes_of(cli->config->at), &e);
    if (!fork || !change_fork(cli, fork, &e) ||
        !runs_fork(&client, view.def, fork, view.id, id, &partition, &e))
        return cli_fail(cli, "fork", &e);
    return print_started(cli, view.def, id, "forked_from", view.id);
}

/* --- restart --- */

static bool end_first(struct client *c, const struct view *v, struct err *e)
{
    if (runs_ended(v->run)) return true;
    if (!c->cli->config->cancel)
        return err_fail(e, ERR_CONFLICT,
                        "run %s has not ended: it is %s. With --cancel it is cancelled first",
                        v->id, runs_status(v->run));
    AUTO_JSON *value = json_pack("{s:s}", "reason", "the run was restarted");
    return control_tell(c, v->id, &(struct told){ .type = EVENT_RUN_CANCEL, .value = value }, e);
}

/* *ret_def is NULL where that failed. */
static bool restart(struct client *c, struct view *v, struct definition **ret_def,
                    char ret_id[RUN_ID_MAX], struct err *e)
{
    const char *name = json_text(v->run, "workflow"), *version = c->cli->config->of_version;
    AUTO_FREE char *reference =
        xasprintf("%s%s%s", name ? name : "", version ? "@" : "", version ? version : "");
    struct bytes input = BYTES_LIT("null");
    int32_t partition;
    if (!runs_fetch_payloads(c, v->id, &v->fields, e)) return false;
    for (size_t i = 0; i < v->fields.count; i++)
        if (bytes_is(v->fields.list[i].name, "i")) input = v->fields.list[i].value;
    return client_resolve(c, reference, ret_def, e) && end_first(c, v, e) &&
           runs_start(c, *ret_def, input, NULL, NULL, ret_id, &partition, e);
}

static bool restart_each(struct client *c, const char *id, json_t *entry, struct err *e)
{
    char made[RUN_ID_MAX];
    CLEANUP(view_done) struct view view = { 0 };
    CLEANUP(definition_free_p) struct definition *def = NULL;
    if (!view_open(c, id, &view, e)) return false;
    view.def_asked = true; /* its own definition is not needed */
    if (!view_read(c, &view, 0, e) || !restart(c, &view, &def, made, e)) return false;
    json_object_set_new(entry, "run_id", json_string(made));
    return true;
}

int cmd_restart(struct cli *cli)
{
    struct err e;
    char id[RUN_ID_MAX];
    const uint32_t ended =
        1u << RUN_COMPLETED | 1u << RUN_FAILED | 1u << RUN_CANCELLED | 1u << RUN_ROLLED_BACK;
    if (cli->config->where)
        return bulk_run(cli,
                        &(struct bulk){ .each = restart_each,
                                        .states = ended | (cli->config->cancel ? BULK_GOING : 0) });
    CLEANUP(client_close) struct client client;
    CLEANUP(view_done) struct view view = { 0 };
    CLEANUP(definition_free_p) struct definition *def = NULL;
    if (!open_run(&client, cli, &view, &e) || !restart(&client, &view, &def, id, &e))
        return cli_fail(cli, "restart", &e);
    return print_started(cli, def, id, "restarted_from", view.id);
}
