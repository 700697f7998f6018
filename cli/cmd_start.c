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

/* A start key stands for one run: the id that Redis holds once the start event was folded. */
struct key_wait {
    struct client *client;
    const char *redis_key;
    char id[RUN_ID_MAX];
    struct err error;
    bool failed;
};

static void on_key(void *user, const struct store_reply *reply)
{
    struct key_wait *w = user;
    struct bytes id = store_string(reply);
    if (!run_id_check(id)) return;
    memcpy(w->id, id.data, id.len);
    w->id[id.len] = '\0';
}

static bool nothing(void *user)
{
    (void)user;
    return false;
}

/* Replaces id by the id of the run that the key stands for. */
static bool wait_for_key(struct client *c, char id[RUN_ID_MAX], int32_t partition, struct err *e)
{
    AUTO_BUF struct buf key = { 0 };
    key_start(&key, c->cli->config->prefix, partition, run_id_route(bytes_of(id)));
    struct bytes argv[] = { BYTES_LIT("GET"), buf_bytes(&key) };
    struct key_wait w = { 0 };
    if (!client_store(c, e)) return false;
    uint64_t end_ms = loop_now_ms(c->loop) + KEY_WAIT_MS;
    while (loop_now_ms(c->loop) < end_ms && !(c->stop && *c->stop)) {
        if (!client_command(c, argv, ARRAY_LEN(argv), on_key, &w, e)) return false;
        if (w.id[0]) {
            memcpy(id, w.id, sizeof(w.id));
            return true;
        }
        client_wait(c, nothing, NULL, 50);
    }
    return err_fail(e, ERR_TIMEOUT,
                    "run %s: the start is in Kafka, but no orchestrator took it up within %d s; it "
                    "will run once one is up",
                    id, KEY_WAIT_MS / 1000);
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
    return runs_print_result(c, view.run);
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
    const char *key = cli->config->key;
    if (!runs_start(&client, def, buf_bytes(&input), key, id, &partition, &e))
        return cli_fail(cli, "start", &e);
    memcpy(started, id, sizeof(id));
    if (key && !wait_for_key(&client, id, partition, &e)) return cli_fail(cli, "start", &e);
    bool existed = strcmp(started, id) != 0;
    if (!cli->config->wait && !cli->config->watch) return print_started(cli, def, id, existed);
    if (existed)
        cli_note(cli, "the key %s already stands for run %s; no other was started", key, id);
    /* An earlier run of the key may be of another version: let its own definition be looked up. */
    return follow(&client, existed ? NULL : TAKE(def), id, partition);
}
