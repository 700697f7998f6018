/* SPDX-License-Identifier: Apache-2.0
 *
 * `list`: runs, the newest first: from the index where there is one, else from Redis. Of each
 * partition's live and finished runs a bounded number is looked at, so that a list of an
 * installation with a million runs stays a small matter.
 */
#include <stdlib.h>

#include "cli/runs.h"
#include "cli/search.h"
#include "common/base/clock.h"
#include "common/proto/keys.h"

#define FILTERED_LOOKS                                                        \
    1000 /* runs looked at in each set of a partition where a filter is given \
          */

struct listing;

/* One run that is asked for. */
struct candidate {
    struct listing *listing;
    char id[RUN_ID_MAX];
    int32_t partition;
    json_t *run;
};

struct listing {
    struct client *client;
    struct candidate *list;
    size_t count, answered;
    int32_t partition; /* whose ids are being read */
    bool lost;
};

static void listing_done(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++) json_decref(l->list[i].run);
    free(l->list);
}

static void on_ids(void *user, const struct store_reply *reply)
{
    struct listing *l = user;
    for (size_t i = 0; i < store_count(reply); i++) {
        struct bytes id = store_string(store_at(reply, i));
        if (!run_id_check(id)) continue;
        l->list = xrealloc(l->list, (l->count + 1) * sizeof(*l->list));
        struct candidate *c = &l->list[l->count++];
        *c = (struct candidate){ .partition = l->partition };
        memcpy(c->id, id.data, id.len);
    }
}

static bool read_ids(struct listing *l, int32_t partitions, struct err *e)
{
    const struct cli_config *o = l->client->cli->config;
    uint32_t looks = o->status || o->workflow ? MAX(o->limit, (uint32_t)FILTERED_LOOKS) : o->limit;
    AUTO_BUF struct buf last = { 0 };
    buf_add_int(&last, (int64_t)looks - 1);
    for (int32_t p = 0; p < partitions; p++) {
        l->partition = p;
        AUTO_BUF struct buf live = { 0 }, finished = { 0 };
        key_timers(&live, o->prefix, p);
        key_finished(&finished, o->prefix, p);
        struct bytes argv[] = { BYTES_LIT("ZREVRANGE"), buf_bytes(&live), BYTES_LIT("0"),
                                buf_bytes(&last) };
        if (!client_command(l->client, argv, ARRAY_LEN(argv), on_ids, l, e)) return false;
        argv[1] = buf_bytes(&finished);
        if (!client_command(l->client, argv, ARRAY_LEN(argv), on_ids, l, e)) return false;
    }
    return true;
}

/* --- the runs themselves: asked for at once, answered in any order --- */

static const char *const head_fields[] = { "h", "s" };

static void on_head(void *user, enum store_status status, const struct store_reply *reply)
{
    struct candidate *c = user;
    c->listing->answered++;
    c->listing->lost = c->listing->lost || status != STORE_OK;
    if (status != STORE_OK) return;
    struct field fields[ARRAY_LEN(head_fields)];
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(head_fields); i++)
        if (store_type(store_at(reply, i)) == STORE_STRING)
            fields[count++] = (struct field){ .name = bytes_of(head_fields[i]),
                                              .value = store_string(store_at(reply, i)) };
    struct err e;
    /* A run that was removed meanwhile has no fields, and is no part of the list. */
    if (count == ARRAY_LEN(head_fields)) c->run = run_describe(NULL, c->id, fields, count, &e);
    /* Steps are known from fields that were not asked for. */
    if (c->run) json_object_del(c->run, "steps");
}

static bool all_answered(void *user)
{
    const struct listing *l = user;
    return l->answered == l->count;
}

static bool read_heads(struct listing *l, struct err *e)
{
    struct client *client = l->client;
    for (size_t i = 0; i < l->count; i++) {
        struct candidate *c = &l->list[i];
        c->listing = l;
        AUTO_BUF struct buf key = { 0 };
        key_run(&key, client->cli->config->prefix, c->partition, bytes_of(c->id));
        struct bytes argv[] = { BYTES_LIT("HMGET"), buf_bytes(&key), bytes_of(head_fields[0]),
                                bytes_of(head_fields[1]) };
        store_command(client->store, argv, ARRAY_LEN(argv), on_head, c);
    }
    bool answered = client_wait(client, all_answered, l, client->cli->config->connect_timeout_ms);
    /* What is still under way must not find its candidate gone. */
    if (!answered) client->store = store_close(client->store);
    if (!answered || l->lost)
        return err_fail(e, ERR_UNAVAILABLE, "Redis: the connection was lost, try again");
    return true;
}

/* --- output --- */

static int newest_first(const void *a_, const void *b_)
{
    const struct candidate *a = a_, *b = b_;
    int64_t x = runs_started_ms(a->run), y = runs_started_ms(b->run);
    return x > y ? -1 : x < y ? 1 : strcmp(a->id, b->id);
}

static bool matches(const struct cli_config *o, const json_t *run)
{
    const char *workflow = json_text(run, "workflow");
    if (!run) return false;
    if (o->status && strcmp(o->status, runs_status(run)) != 0) return false;
    return !o->workflow || (workflow && strcmp(workflow, o->workflow) == 0);
}

static void keep_matching(struct listing *l, const struct cli_config *o)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (matches(o, l->list[i].run))
            l->list[kept++] = l->list[i];
        else
            json_decref(l->list[i].run);
    }
    l->count = kept;
    if (l->count > 1) qsort(l->list, l->count, sizeof(*l->list), newest_first);
    while (l->count > o->limit) json_decref(l->list[--l->count].run);
}

static void add_line(struct buf *text, const json_t *run, int64_t now_ms)
{
    AUTO_BUF struct buf name = { 0 }, age = { 0 };
    const char *workflow = json_text(run, "workflow"), *version = json_text(run, "version");
    const char *id = json_text(run, "id");
    term_text(&name, bytes_of(workflow ? workflow : "?"), false);
    buf_add_char(&name, '@');
    term_text(&name, bytes_of(version ? version : "?"), false);
    term_duration(&age, now_ms - runs_started_ms(run));
    term_padded(text, id ? id : "?", RUN_ID_MAX);
    buf_add_char(text, ' ');
    term_padded(text, runs_status(run), 14);
    buf_add_char(text, ' ');
    term_padded(text, age.data, 11);
    buf_add_char(text, ' ');
    buf_add_text(text, name.data);
    buf_add_char(text, '\n');
}

/* report: {"runs": [...]} */
static int print_list(const struct cli *cli, const json_t *report)
{
    const json_t *runs = json_object_get(report, "runs");
    if (cli->config->json) return cli_print_json(cli, report) ? EXIT_OK : EXIT_FAILED;
    AUTO_BUF struct buf text = { 0 };
    int64_t now_ms = clock_wall_ms();
    for (size_t i = 0; i < json_array_size(runs); i++)
        add_line(&text, json_array_get(runs, i), now_ms);
    if (json_array_size(runs) == 0) cli_note(cli, "no runs");
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}

static int list_stored(struct cli *cli)
{
    struct err e;
    int32_t partitions;
    CLEANUP(client_close) struct client client;
    CLEANUP(listing_done) struct listing listing = { .client = &client };
    if (!client_open(&client, cli, NULL, &e) ||
        !client_stored_partitions(&client, &partitions, &e) ||
        !read_ids(&listing, partitions, &e) || !read_heads(&listing, &e))
        return cli_fail(cli, "list", &e);
    keep_matching(&listing, cli->config);
    AUTO_JSON *runs = json_array();
    for (size_t i = 0; i < listing.count; i++) json_array_append(runs, listing.list[i].run);
    AUTO_JSON *report = json_pack("{s:O}", "runs", runs);
    return print_list(cli, report);
}

int cmd_list(struct cli *cli)
{
    struct err e;
    json_t *found;
    if (!cli->config->index_url)
        return search_needed(cli->config, &e) ? cli_fail(cli, "list", &e) : list_stored(cli);
    if (!search_runs(cli, &found, &e)) return cli_fail(cli, "list", &e);
    AUTO_JSON *report = found;
    const char *next = json_text(report, "next");
    int code = print_list(cli, report);
    if (next) cli_note(cli, "there are more: --cursor %s", next);
    return code;
}
