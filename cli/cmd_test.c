/* SPDX-License-Identifier: Apache-2.0
 *
 * `test`: finds files of cases, plays the cases (cli/trial), and tells what became of them.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/trial/trial.h"

#define DIRECTORY_DEPTH_MAX 32

struct tally {
    struct cli *cli;
    uint32_t passed, failed, chosen;
    int code;
    char **paths; /* owned */
    size_t count;
    json_t *files;
};

/* --- finding files --- */

static void add_path(struct tally *t, char *path)
{
    t->paths = xrealloc(t->paths, (t->count + 1) * sizeof *t->paths);
    t->paths[t->count++] = path;
}

static void raise_code(struct tally *t, int code)
{
    t->code = MAX(t->code, code);
}

/* Names in byte order, so that two runs say the same. Links to directories are not followed. */
static bool walk(struct tally *t, const char *dir, int depth, struct err *e)
{
    struct dirent **list = NULL;
    int count = depth > DIRECTORY_DEPTH_MAX ? 0 : scandir(dir, &list, NULL, alphasort);
    bool ok = count >= 0 || err_fail(e, ERR_INVALID, "%s: %s", dir, strerror(errno));
    for (int i = 0; i < count; i++) {
        const char *name = list[i]->d_name;
        bool bare = dir[0] == '.' && dir[1] == '\0';
        AUTO_FREE char *path = bare ? xstrdup(name) : xasprintf("%s/%s", dir, name);
        struct stat st;
        if (ok && name[0] != '.' && lstat(path, &st) == 0) {
            if (S_ISDIR(st.st_mode))
                ok = walk(t, path, depth + 1, e);
            else if (trial_path_is_suite(path))
                add_path(t, TAKE(path));
        }
        free(list[i]);
    }
    free(list);
    return ok;
}

static bool find(struct tally *t, const char *name, struct err *e)
{
    struct stat st;
    AUTO_FREE char *path = xstrdup(name);
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--) path[n - 1] = '\0';
    if (stat(path, &st) != 0)
        return err_fail(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_INVALID, "%s: %s", path,
                        strerror(errno));
    size_t before = t->count;
    if (S_ISDIR(st.st_mode)) {
        if (!walk(t, path, 0, e)) return false;
        return t->count > before ||
               err_fail(e, ERR_NOT_FOUND, "%s: holds no tests, which are files *.test.yaml", path);
    }
    if (trial_path_is_suite(path)) {
        add_path(t, TAKE(path));
        return true;
    }
    AUTO_FREE char *beside = trial_path_of(path);
    if (stat(beside, &st) != 0)
        return err_fail(e, ERR_NOT_FOUND, "%s: has no tests: there is no %s beside it", path,
                        beside);
    add_path(t, TAKE(beside));
    return true;
}

/* --- one case --- */

static void show_problem(struct buf *b, const struct trial_problem *problem)
{
    buf_add_text(b, "            ");
    if (problem->line) buf_addf(b, "line %u: ", problem->line);
    const char *text = problem->text, *end;
    while ((end = strchr(text, '\n')) != NULL) {
        term_text(b, (struct bytes){ text, (size_t)(end - text) }, false);
        buf_add_text(b, "\n            ");
        text = end + 1;
    }
    term_text(b, bytes_of(text), false);
    buf_add_char(b, '\n');
}

static void show_case(const struct tally *t, struct buf *b, const struct trial_case *c,
                      const struct trial_result *r)
{
    const struct term *out = &t->cli->out;
    bool passed = r->problems.count == 0;
    buf_add_text(b, "  ");
    term_styled(b, out, passed ? TERM_GREEN : TERM_RED, passed ? "ok    " : "FAILED");
    buf_add_text(b, "  ");
    term_text(b, bytes_of(c->name), false);
    if (!passed) buf_addf(b, " (line %u)", c->line);
    buf_add_char(b, '\n');
    for (size_t i = 0; i < r->problems.count; i++) show_problem(b, &r->problems.list[i]);
}

static json_t *case_json(const struct trial_case *c, const struct trial_result *r)
{
    json_t *problems = json_array();
    for (size_t i = 0; i < r->problems.count; i++) {
        const struct trial_problem *problem = &r->problems.list[i];
        uint32_t line = problem->line ? problem->line : c->line;
        json_t *item = json_pack("{s:i, s:s}", "line", (int)line, "message", problem->text);
        json_array_append_new(problems, item ? item : json_null());
    }
    return json_pack("{s:s, s:i, s:b, s:I, s:o}", "name", c->name, "line", (int)c->line, "passed",
                     r->problems.count == 0, "duration_ms", (json_int_t)r->duration_ms, "problems",
                     problems);
}

/* --- one file --- */

static void show_coverage(struct buf *b, const struct definition *def, const bool *covered,
                          json_t *ret_json)
{
    uint32_t count = 0;
    AUTO_BUF struct buf missing = { 0 };
    AUTO_JSON *names = json_array();
    for (uint32_t i = 0; i < def->step_count; i++) {
        count += covered[i];
        if (covered[i]) continue;
        buf_addf(&missing, "%s%s", missing.len ? ", " : "", def->steps[i].name);
        json_array_append_new(names, json_string(def->steps[i].name));
    }
    buf_addf(b, "  steps   %u of %u", count, def->step_count);
    if (missing.len) buf_addf(b, "; never: %s", missing.data);
    buf_add_char(b, '\n');
    json_object_set_new(ret_json, "coverage",
                        json_pack("{s:i, s:i, s:O}", "steps", (int)def->step_count, "covered",
                                  (int)count, "never", names));
}

static void play_suite(struct tally *t, const struct trial_suite *s)
{
    const struct cli_config *o = t->cli->config;
    AUTO_FREE bool *covered = xcalloc(s->def->step_count + 1, sizeof *covered);
    AUTO_BUF struct buf text = { 0 };
    json_t *cases = json_array();
    AUTO_JSON *file =
        json_pack("{s:s, s:s, s:o}", "file", s->path, "workflow", s->workflow_path, "cases", cases);
    term_text(&text, bytes_of(s->path), false);
    buf_add_char(&text, '\n');
    size_t head = text.len;
    for (size_t i = 0; i < s->count; i++) {
        const struct trial_case *c = &s->cases[i];
        if (o->test_case && strcmp(o->test_case, c->name) != 0) continue;
        CLEANUP(trial_result_done) struct trial_result r;
        trial_play(s, c, &r, covered);
        t->chosen++;
        if (r.problems.count)
            t->failed++;
        else
            t->passed++;
        show_case(t, &text, c, &r);
        json_array_append_new(cases, case_json(c, &r));
    }
    if (text.len == head) return; /* none of that name */
    if (o->coverage) show_coverage(&text, s->def, covered, file);
    if (file) json_array_append(t->files, file);
    if (!o->json && !cli_print(&text)) raise_code(t, EXIT_FAILED);
}

static void run_file(struct tally *t, const char *path)
{
    CLEANUP(trial_suite_done) struct trial_suite s = { 0 };
    CLEANUP(faults_done) struct faults faults = { 0 };
    struct err e = { 0 };
    if (trial_suite_read(path, &s, &faults, &e)) {
        play_suite(t, &s);
        return;
    }
    bool faulty = faults.count > 0, json = t->cli->config->json;
    raise_code(t, faulty ? EXIT_USAGE : exit_code_of(&e));
    if (json)
        json_array_append_new(t->files,
                              faulty ? json_pack("{s:s, s:o}", "file", path, "faults",
                                                 cli_faults_json(s.workflow_path, &faults))
                                     : json_pack("{s:s, s:s}", "file", path, "error", e.text));
    else if (faulty)
        cli_faults_print(s.workflow_path, NULL, &faults);
    else
        cli_fail(t->cli, "test", &e);
}

/* --- all of them --- */

static void sum_up(struct tally *t)
{
    const struct cli *cli = t->cli;
    if (t->failed) raise_code(t, EXIT_FAILED);
    if (cli->config->json) {
        AUTO_JSON *report = json_pack("{s:i, s:i, s:O}", "passed", (int)t->passed, "failed",
                                      (int)t->failed, "files", t->files);
        if (!report || !cli_print_json(cli, report)) raise_code(t, EXIT_FAILED);
        return;
    }
    if (!t->chosen) return; /* whatever there was could not be read */
    AUTO_BUF struct buf text = { 0 };
    buf_addf(&text, "%u passed, %u failed\n", t->passed, t->failed);
    if (!cli_print(&text)) raise_code(t, EXIT_FAILED);
}

int cmd_test(struct cli *cli)
{
    struct tally t = { .cli = cli, .files = json_array() };
    struct err e;
    const char *only = cli->config->test_case;
    bool ok = cli->arg_count > 0 || find(&t, ".", &e);
    for (size_t i = 0; ok && i < cli->arg_count; i++) ok = find(&t, cli->args[i], &e);
    for (size_t i = 0; ok && i < t.count; i++) run_file(&t, t.paths[i]);
    if (ok && only && !t.chosen && t.code == EXIT_OK)
        ok = err_fail(&e, ERR_NOT_FOUND, "no case has the name %.100s", only);
    if (!ok)
        t.code = cli_fail(cli, "test", &e);
    else
        sum_up(&t);
    for (size_t i = 0; i < t.count; i++) free(t.paths[i]);
    free(t.paths);
    json_decref(t.files);
    return t.code;
}
