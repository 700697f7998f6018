/* SPDX-License-Identifier: Apache-2.0
 *
 * `fmt`: files in their canonical layout.
 */
#include "cli/cli.h"
#include "common/base/limits.h"
#include "common/yaml/yaml.h"

#define FMT_BYTES_MAX (8 * MIB)

/* A workflow that compiles must stay the very same one. */
static bool same_workflow(struct bytes before, struct bytes after, struct err *e)
{
    CLEANUP(faults_done) struct faults faults = { 0 }, more = { 0 };
    CLEANUP(definition_free_p) struct definition *was = definition_parse(before, &faults);
    if (!was) return true; /* no workflow, or one with faults: its values are the same */
    CLEANUP(definition_free_p) struct definition *is = definition_parse(after, &more);
    return (is && strcmp(was->sha256, is->sha256) == 0) ||
           err_fail(e, ERR_INTERNAL, "the layout would change its hash; it stays as it is");
}

static bool format(const char *path, struct buf *ret_before, struct buf *ret_after, struct err *e)
{
    if (!cli_read(path, FMT_BYTES_MAX, ret_before, e)) return false;
    return (yaml_format(buf_bytes(ret_before), ret_after, e) &&
            same_workflow(buf_bytes(ret_before), buf_bytes(ret_after), e)) ||
           err_prefix(e, "%s", path);
}

/* What is done about one file; *ret_changed: it is not formatted, or was not. */
static bool handle(const struct cli *cli, const char *path, bool *ret_changed, struct err *e)
{
    const struct cli_config *o = cli->config;
    AUTO_BUF struct buf before = { 0 }, after = { 0 };
    if (!format(path, &before, &after, e)) return false;
    *ret_changed = !bytes_equal(buf_bytes(&before), buf_bytes(&after));
    if (o->check) return true;
    if (o->to_stdout || strcmp(path, "-") == 0)
        return cli_print(&after) || err_fail(e, ERR_IO, "standard output cannot be written");
    return !*ret_changed || cli_write(path, buf_bytes(&after), false, e);
}

int cmd_fmt(struct cli *cli)
{
    const struct cli_config *o = cli->config;
    int code = EXIT_OK;
    AUTO_JSON *files = json_array();
    for (size_t i = 0; i < cli->arg_count; i++) {
        const char *path = cli->args[i];
        struct err e = { 0 };
        bool changed = false;
        if (!handle(cli, path, &changed, &e)) {
            int failed = exit_code_of(&e);
            code = MAX(code, failed);
            json_array_append_new(files, json_pack("{s:s, s:s}", "file", path, "error", e.text));
            if (!o->json) cli_fail(cli, "fmt", &e);
            continue;
        }
        json_array_append_new(files, json_pack("{s:s, s:b}", "file", path, "changed", changed));
        if (o->check && changed) code = MAX(code, EXIT_FAILED);
        bool printed = o->to_stdout || strcmp(path, "-") == 0;
        if (changed && o->check)
            cli_note(cli, "%s is not formatted", path);
        else if (changed && !printed)
            cli_note(cli, "formatted %s", path);
    }
    if (!o->json || o->to_stdout) return code;
    AUTO_JSON *report = json_pack("{s:O}", "files", files);
    return cli_print_json(cli, report) ? code : EXIT_FAILED;
}
