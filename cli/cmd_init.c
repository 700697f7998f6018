/* SPDX-License-Identifier: Apache-2.0
 *
 * `init`: a new workflow with its test, from one of the files in cli/templates.
 */
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/trial/trial.h"
#include "common/base/limits.h"

/* X(name), also the choices of --template. */
#define TEMPLATES(X) X(hello) X(llm) X(pipeline) X(approval) X(map)
#define X(name)      extern const char template_##name[], template_##name##_test[];
TEMPLATES(X)
#undef X

static const struct {
    const char *name, *workflow, *test;
} templates[] = {
#define X(name) { #name, template_##name, template_##name##_test },
    TEMPLATES(X)
#undef X
};

/* The name of the workflow within a path: that of the file. It must be one of the language. */
static bool workflow_name(const char *path, struct buf *ret, struct err *e)
{
    const char *slash = strrchr(path, '/'), *from = slash ? slash + 1 : path;
    size_t len = strlen(from);
    if (len > 5 && strcmp(from + len - 5, ".yaml") == 0) len -= 5;
    bool good = len > 0 && len <= NAME_BYTES_MAX && strspn(from, "0123456789-") == 0;
    for (size_t i = 0; i < len && good; i++)
        good = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-",
                      from[i]) != NULL;
    if (!good)
        return err_fail(e, ERR_INVALID,
                        "%.100s: is no name of a workflow, which begins with a letter or _ and has "
                        "letters, digits, _ and -",
                        from);
    buf_add(ret, from, len);
    return true;
}

/* The template with the name in the place of NAME. */
static void fill(const char *text, const char *name, struct buf *ret)
{
    static const char mark[] = "workflow: NAME";
    const char *at = strstr(text, mark);
    ASSERT(at);
    buf_add(ret, text, (size_t)(at - text));
    buf_addf(ret, "workflow: %s%s", name, at + sizeof mark - 1);
}

static bool write_both(const char *path, const char *test_path, const char *workflow,
                       const char *test, struct err *e)
{
    struct buf probe = { 0 };
    struct err ignored;
    bool there = cli_read(test_path, DEFINITION_BYTES_MAX, &probe, &ignored);
    buf_done(&probe);
    if (there)
        return err_fail(e, ERR_CONFLICT, "%s: exists already; nothing was changed", test_path);
    return cli_write(path, bytes_of(workflow), true, e) &&
           cli_write(test_path, bytes_of(test), true, e);
}

int cmd_init(struct cli *cli)
{
    struct err e;
    AUTO_BUF struct buf name = { 0 }, workflow = { 0 };
    if (!workflow_name(cli->args[0], &name, &e)) return cli_fail(cli, "init", &e);
    const char *slash = strrchr(cli->args[0], '/');
    int dir = slash ? (int)(slash + 1 - cli->args[0]) : 0;
    AUTO_FREE char *path = xasprintf("%.*s%s.yaml", dir, cli->args[0], name.data);
    AUTO_FREE char *test_path = trial_path_of(path);
    size_t which = 0;
    while (strcmp(templates[which].name, cli->config->template_name) != 0) which++;
    fill(templates[which].workflow, name.data, &workflow);
    if (!write_both(path, test_path, workflow.data, templates[which].test, &e))
        return cli_fail(cli, "init", &e);
    if (cli->config->json) {
        AUTO_JSON *made =
            json_pack("{s:s, s:s, s:s}", "workflow", name.data, "file", path, "test", test_path);
        return cli_print_json(cli, made) ? EXIT_OK : EXIT_FAILED;
    }
    AUTO_BUF struct buf text = { 0 };
    buf_addf(&text,
             "%s and %s are there. Next:\n"
             "  tutti test %s                 its test cases, without a model or a server\n"
             "  tutti validate %s             every fault, with line and column\n"
             "  tutti schema workflow >%.*stutti.schema.json   completion in your editor\n"
             "  tutti dev --run %s            run it on this machine\n",
             path, test_path, path, path, dir, cli->args[0], path);
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}
