/* SPDX-License-Identifier: Apache-2.0
 *
 * `deploy` and `start`.
 */
#include <stdlib.h>
#include <unistd.h>

#include "cli/runs.h"
#include "common/base/limits.h"
#include "common/proto/keys.h"

#define KEY_WAIT_MS 10000

/* --- deploy --- */

int cmd_deploy(struct cli *cli)
{
    int code = EXIT_OK;
    CLEANUP(definition_free_p)
    struct definition *def = cli_definition(cli, cli->args[0], &code);
    if (!def) return code;
    struct err e;
    CLEANUP(client_close) struct client client;
    if (!client_open(&client, cli, NULL, &e)) return cli_fail(cli, "deploy", &e);
    bool new = false;
    if (!client_deploy(&client, def, &new, &e)) return cli_fail(cli, "deploy", &e);
    if (cli->config->json) {
        AUTO_JSON *report = json_pack("{s:s, s:s, s:s, s:b}", "workflow", def->name, "version",
                                      def->version, "sha256", def->sha256, "new", new);
        return cli_print_json(cli, report) ? EXIT_OK : EXIT_FAILED;
    }
    AUTO_BUF struct buf text = { 0 };
    buf_addf(&text, "%s@%s  sha256 %s%s\n", def->name, def->version, def->sha256,
             new ? "" : "  (was deployed already)");
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}

/* --- start --- */

static bool looks_like_file(const char *text)
{
    const char *dot = strrchr(text, '.');
    return strchr(text, '/') || access(text, R_OK) == 0 ||
           (dot &&
            (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0));
}

/* What Redis says, as text. */
struct answer {
    char text[64];
};

static void on_answer(void *user, const struct store_reply *reply)
{
    struct answer *a = user;
    struct bytes text = store_string(reply);
    size_t len = MIN(text.len, sizeof a->text - 1);
    memcpy(a->text, text.data ? text.data : "", len);
    a->text[len] = '\0';
}

/* Replaces id by the id of the run that the key stands for; of unfinished ones that were started
 * with --on-conflict, by the first. */
static bool run_of_key(struct client *c, char id[RUN_ID_MAX], int32_t partition, struct err *e)
{
    AUTO_BUF struct buf key = { 0 };
    struct answer found = { 0 };
    key_start(&key, c->cli->config->prefix, partition, run_id_route(bytes_of(id)));
    struct bytes argv[] = { BYTES_LIT("GET"), buf_bytes(&key) };
    if (!client_command(c, argv, ARRAY_LEN(argv), on_answer, &found, e)) return false;
    AUTO_JSON *line = json_array();
    if (!run_id_check(bytes_of(found.text)) && !runs_line(c, id, partition, line, e)) return false;
    const char *first = json_string_value(json_array_get(line, 0));
    if (first) memcpy(found.text, first, RUN_ID_MAX);
    if (!run_id_check(bytes_of(found.text)))
        return err_fail(e, ERR_CONFLICT,
                        "another run had the key, and has ended since: start it again");
    memcpy(id, found.text, RUN_ID_MAX);
    return true;
}

static bool resolve(struct client *c, const char *target, struct definition **ret, int *ret_exit)
{
    struct err e;
    const struct cli *cli = c->cli;
    if (!looks_like_file(target)) {
        if (client_resolve(c, target, ret, &e)) return true;
        *ret_exit = cli_fail(cli, "start", &e);
        return false;
    }
    CLEANUP(definition_free_p) struct definition *def = cli_definition(cli, target, ret_exit);
    bool new = false;
    if (!def) return false;
    if (!client_deploy(c, def, &new, &e)) {
        *ret_exit = cli_fail(cli, "start", &e);
        return false;
    }
    if (new && cli->err.tty) cli_note(cli, "deployed %s@%s", def->name, def->version);
    *ret = TAKE(def);
    return true;
}

static int print_started(const struct cli *cli, const struct definition *def, const char *id,
                         bool existed)
{
    if (existed)
        cli_note(cli, "the key %s already stands for run %s; no other was started",
                 cli->config->key, id);
    if (cli->config->json) {
        AUTO_JSON *report =
            json_pack("{s:s, s:s, s:s, s:s, s:b}", "run_id", id, "workflow", def->name, "version",
                      def->version, "definition", def->sha256, "existed", existed);
        return cli_print_json(cli, report) ? EXIT_OK : EXIT_FAILED;
    }
    AUTO_BUF struct buf text = { 0 };
    buf_addf(&text, "%s\n", id);
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}

static int follow(struct client *c, struct definition *def, const char *id, int32_t partition)
{
    const struct cli *cli = c->cli;
    struct err e;
    enum watch_mode mode = cli->config->watch ? watch_mode_of(cli) : WATCH_QUIET;
    CLEANUP(view_done)
    struct view view = {
        .partition = partition, .def = def, .def_asked = def != NULL, .fresh = true
    };
    memcpy(view.id, id, strlen(id) + 1);
    if (mode == WATCH_QUIET) cli_note(cli, "run %s", id);
    if (!runs_watch(c, &view, mode, cli->config->timeout_ms, &e)) return cli_fail(cli, "start", &e);
    return runs_print_result(cli, view.run);
}

int cmd_start(struct cli *cli)
{
    int code = EXIT_OK;
    struct err e;
    AUTO_BUF struct buf input = { 0 };
    if (!runs_input(cli, &input, &e)) return cli_fail(cli, "start", &e);
    CLEANUP(client_close) struct client client;
    if (!client_open(&client, cli, NULL, &e)) return cli_fail(cli, "start", &e);
    CLEANUP(definition_free_p) struct definition *def = NULL;
    if (!resolve(&client, cli->args[0], &def, &code)) return code;

    char id[RUN_ID_MAX], started[RUN_ID_MAX];
    int32_t partition = 0;
    const char *key = cli->config->key, *policy = cli->config->on_conflict;
    if (!runs_start(&client, def, buf_bytes(&input), key, policy, id, &partition, &e))
        return cli_fail(cli, "start", &e);
    memcpy(started, id, sizeof(id));
    bool rejects = key && (!policy || strcmp(policy, start_policy_name(START_REJECT)) == 0);
    if (rejects && (!runs_wait_folded(&client, partition, KEY_WAIT_MS, &e) ||
                    !run_of_key(&client, id, partition, &e)))
        return cli_fail(cli, "start", &e);
    bool existed = strcmp(started, id) != 0;
    if (!cli->config->wait && !cli->config->watch) return print_started(cli, def, id, existed);
    if (existed)
        cli_note(cli, "the key %s already stands for run %s; no other was started", key, id);
    /* An earlier run of the key may be of another version: let its own definition be looked up. */
    return follow(&client, existed ? NULL : TAKE(def), id, partition);
}
