/* SPDX-License-Identifier: Apache-2.0
 *
 * A command for many runs: those that --where finds, in the index if there is one, else in Redis.
 * First all are found, page by page, so that what is done to some cannot move the others; then each
 * gets an event of its own, if the state that it has by then takes it. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/search.h"

#define PAGE 500

/* --- what is looked for --- */

/* The options of `tutti list` that a filter stands for; owned. */
struct where {
    char *workflow, *version, *state, *key, *since, *until;
    struct buf attributes; /* "NAME=VALUE,..." */
};

static void where_done(struct where *w)
{
    char *const all[] = { w->workflow, w->version, w->state, w->key, w->since, w->until };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) free(all[i]);
    buf_done(&w->attributes);
}

static bool take_attribute(struct where *w, const char *name, const char *value, struct err *e)
{
    if (!*name || strchr(value, ','))
        return err_fail(e, ERR_INVALID,
                        "--where: attr.%.60s: wants a name, and a value without a "
                        "comma",
                        name);
    buf_addf(&w->attributes, "%s%s=%s", w->attributes.len ? "," : "", name, value);
    return true;
}

/* "started>TIME" and "started<TIME" also by name. */
static bool take_term(struct where *w, const char *name, char sign, const char *value,
                      struct err *e)
{
    const struct {
        const char *name;
        char sign;
        char **to;
    } terms[] = { { "workflow", '=', &w->workflow }, { "version", '=', &w->version },
                  { "state", '=', &w->state },       { "status", '=', &w->state },
                  { "key", '=', &w->key },           { "started", '>', &w->since },
                  { "started", '<', &w->until } };
    if (!*value) return err_fail(e, ERR_INVALID, "--where: %.60s: a value is missing", name);
    if (sign == '=' && strncmp(name, "attr.", 5) == 0) return take_attribute(w, name + 5, value, e);
    for (size_t i = 0; i < ARRAY_LEN(terms); i++) {
        if (terms[i].sign != sign || strcmp(terms[i].name, name) != 0) continue;
        if (*terms[i].to)
            return err_fail(e, ERR_INVALID, "--where: %s%c is there twice", name, sign);
        *terms[i].to = xstrdup(value);
        return true;
    }
    return err_fail(e, ERR_INVALID,
                    "--where: '%.60s%c' is none of workflow=, version=, state=, key=, attr.NAME=, "
                    "started> (at that time or later) and started< (before)",
                    name, sign);
}

/* One value: up to a space, or within quotes. Ends it with a NUL; NULL: a quote is missing. */
static char *take_value(char *p, char **ret)
{
    char quote = *p == '\'' || *p == '"' ? *p : '\0';
    *ret = quote ? p + 1 : p;
    char *end = quote ? strchr(p + 1, quote) : p + strcspn(p, " \t\n");
    if (!end) return NULL;
    bool more = *end;
    *end = '\0';
    return more ? end + 1 : end;
}

static bool where_parse(const char *text, struct where *ret, struct err *e)
{
    AUTO_FREE char *copy = xstrdup(text);
    for (char *p = copy; *(p += strspn(p, " \t\n"));) {
        char *sign = p + strcspn(p, "=<> \t\n"), *value;
        char which = *sign;
        if (!which || isspace((unsigned char)which))
            return err_fail(e, ERR_INVALID, "--where: '%.60s' is not NAME=VALUE", p);
        *sign++ = '\0';
        if (which == '>' && *sign == '=') sign++;
        char *next = take_value(sign, &value);
        if (!next) return err_fail(e, ERR_INVALID, "--where: a quote is missing: %.60s", sign);
        if (!take_term(ret, p, which, value, e)) return false;
        p = next;
    }
    return true;
}

/* --- finding --- */

/* All that match, up to --limit: [{"id", "status", "workflow"}]. *ret_more: there are others. */
static bool find_runs(struct cli *cli, const struct where *w, json_t *ret, bool *ret_more,
                      struct err *e)
{
    size_t limit = cli->config->limit;
    AUTO_FREE char *cursor = NULL;
    for (;;) {
        struct cli_config config = *cli->config;
        config.workflow = w->workflow;
        config.of_version = w->version;
        config.status = w->state;
        config.key = w->key;
        config.since = w->since;
        config.until = w->until;
        config.attr = w->attributes.data;
        config.cursor = cursor;
        struct cli asking = *cli;
        asking.config = &config;
        /* One more than is wanted tells whether there are others. */
        config.limit = (uint32_t)MIN(limit + 1 - json_array_size(ret), (size_t)PAGE);
        AUTO_JSON *page = NULL;
        if (config.index_url) {
            if (!search_runs(&asking, &page, e)) return false;
        } else {
            config.limit = (uint32_t)MIN(limit + 1, (size_t)UINT32_MAX);
            if (search_needed(&config, e) || !list_runs(&asking, &page, e)) return false;
        }
        json_array_extend(ret, json_object_get(page, "runs"));
        free(cursor);
        const char *next = json_text(page, "next");
        cursor = next ? xstrdup(next) : NULL;
        *ret_more = json_array_size(ret) > limit;
        while (json_array_size(ret) > limit) json_array_remove(ret, json_array_size(ret) - 1);
        if (*ret_more || !cursor) return true;
    }
}

/* --- sending --- */

struct tally {
    size_t sent, skipped, failed;
    json_t *runs; /* of the report */
};

static bool state_of(struct client *c, const char *id, char ret[32], bool *ret_undone,
                     struct err *e)
{
    static const char *const names[] = { "h", "s", "u" };
    struct run_fields fields = { 0 };
    struct view view = { 0 };
    if (!view_open(c, id, &view, e) ||
        !runs_fetch(c, id, view.partition, names, ARRAY_LEN(names), &fields, e))
        return false;
    *ret_undone = false;
    snprintf(ret, 32, "removed");
    for (size_t i = 0; i < fields.count; i++)
        if (bytes_is(fields.list[i].name, "u"))
            *ret_undone = fields.list[i].value.len > 1 && fields.list[i].value.data[1] != '0';
    json_t *run =
        fields.count ? run_describe(NULL, id, fields.list, fields.count, e) : json_object();
    runs_fields_done(&fields);
    if (run && json_object_size(run)) snprintf(ret, 32, "%s", runs_status(run));
    json_decref(run);
    return run != NULL;
}

static bool takes(const struct bulk *bulk, const char *status, bool undone)
{
    for (int s = 0; s < RUN_STATE_COUNT; s++)
        if (strcmp(run_state_name((enum run_state)s), status) == 0)
            return bulk->states >> s & 1 && !(bulk->spares_undone && undone);
    return false;
}

static void note(struct tally *t, size_t *count, const char *id, const char *result,
                 const char *why, json_t *entry)
{
    ++*count;
    json_object_set_new(entry, "id", json_string(id));
    json_object_set_new(entry, "result", json_string(result));
    if (why) json_object_set_new(entry, "why", json_string(why));
    json_array_append(t->runs, entry);
}

/* One run. false: nothing more can be sent. */
static bool send_one(struct client *c, const struct bulk *bulk, const char *id, struct tally *t)
{
    struct err e = { 0 };
    char status[32];
    bool undone, dry = c->cli->config->dry_run;
    AUTO_JSON *entry = json_object();
    bool ok = state_of(c, id, status, &undone, &e);
    if (ok && !takes(bulk, status, undone)) {
        AUTO_FREE char *why = xasprintf("it is %s%s", status, undone ? " and was undone" : "");
        note(t, &t->skipped, id, "skipped", why, entry);
        return true;
    }
    if (ok && !dry)
        ok = bulk->each ? bulk->each(c, id, entry, &e) : control_tell(c, id, &bulk->told, &e);
    if (ok)
        note(t, &t->sent, id, dry ? "would be sent" : "sent", NULL, entry);
    else
        note(t, &t->failed, id, "failed", e.text, entry);
    return ok || e.kind != ERR_UNAVAILABLE;
}

/* --- asking and telling --- */

static bool confirmed(const struct cli *cli, size_t count, bool more, struct err *e)
{
    const struct cli_config *o = cli->config;
    if (o->yes || o->json || o->dry_run || count == 0) return true;
    if (isatty(STDIN_FILENO) != 1)
        return err_fail(e, ERR_INVALID,
                        "%zu runs match, and nobody can be asked: add --yes, or "
                        "--dry-run to see them",
                        count);
    fprintf(stderr, "tutti %s: %zu runs match%s. Go on? [y/N] ", cli->command->name, count,
            more ? ", and more beyond --limit" : "");
    char answer[8];
    bool yes = fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
    return yes || err_fail(e, ERR_CONFLICT, "nothing was sent");
}

static int report(const struct cli *cli, const struct tally *t, size_t matched, bool more)
{
    const struct cli_config *o = cli->config;
    int code = t->failed || t->sent + t->skipped < matched ? EXIT_FAILED : EXIT_OK;
    if (o->json) {
        AUTO_JSON *value =
            json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:b, s:O}", "command", cli->command->name,
                      "dry_run", (int)o->dry_run, "matched", (json_int_t)matched, "sent",
                      (json_int_t)t->sent, "skipped", (json_int_t)t->skipped, "failed",
                      (json_int_t)t->failed, "more", (int)more, "runs", t->runs);
        return cli_print_json(cli, value) ? code : EXIT_FAILED;
    }
    AUTO_BUF struct buf text = { 0 };
    for (size_t i = 0; i < json_array_size(t->runs); i++) {
        const json_t *run = json_array_get(t->runs, i);
        const char *why = json_text(run, "why"), *result = json_text(run, "result"),
                   *made = json_text(run, "run_id");
        if (!why && !made && !o->dry_run) continue; /* what went as it should is counted */
        buf_addf(&text, "%s %s%s", json_text(run, "id"), result, why ? ": " : "");
        if (why) term_text(&text, bytes_of(why), false);
        buf_addf(&text, "%s%s\n", made ? " as " : "", made ? made : "");
    }
    buf_addf(&text, "%zu %s, %zu skipped, %zu failed\n", t->sent,
             o->dry_run ? "would be sent" : "sent", t->skipped, t->failed);
    if (more) cli_note(cli, "there are more: repeat the command, or raise --limit");
    return cli_print(&text) ? code : EXIT_FAILED;
}

int bulk_run(struct cli *cli, const struct bulk *bulk)
{
    struct err e = { 0 };
    CLEANUP(client_close) struct client client;
    CLEANUP(where_done) struct where where = { 0 };
    AUTO_JSON *found = json_array(), *runs = json_array();
    struct tally tally = { .runs = runs };
    bool more = false;
    if (!client_open(&client, cli, NULL, &e) || !where_parse(cli->config->where, &where, &e) ||
        !find_runs(cli, &where, found, &more, &e) ||
        !confirmed(cli, json_array_size(found), more, &e))
        return cli_fail(cli, cli->command->name, &e);
    size_t matched = json_array_size(found);
    for (size_t i = 0; i < matched; i++) {
        const char *id = json_text(json_array_get(found, i), "id");
        if (!id || !send_one(&client, bulk, id, &tally)) break;
    }
    return report(cli, &tally, matched, more);
}
