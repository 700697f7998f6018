/* SPDX-License-Identifier: Apache-2.0
 *
 * `schedule`: the schedules of the deployed workflows, and what people do to them. A pause is an
 * event in the log; runs that are started by hand are starts like those of the schedule itself. */
#include <stdlib.h>

#include "cli/runs.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/definition/firing.h"
#include "common/proto/keys.h"
#include "common/proto/ledger.h"

#define TAKEN_WAIT_MS 10000
#define BACKFILL_MAX  1000

/* The latest version of each workflow that has a schedule. */
struct workflows {
    struct definition **list; /* owned */
    size_t count;
};

static void workflows_done(struct workflows *w)
{
    for (size_t i = 0; i < w->count; i++) definition_free(w->list[i]);
    free(w->list);
}

/* One schedule. */
struct scheduled {
    const struct definition *def;
    const struct trigger_def *trigger;
    char id[SCHEDULE_ID_MAX], run[RUN_ID_MAX]; /* an id that a run of it could have */
    int32_t partition;
    struct cron cron;
    struct zone *zone; /* owned */
    struct schedule_state state;
};

static void scheduled_done(struct scheduled *s)
{
    s->zone = zone_free(s->zone);
}

/* --- which there are --- */

/* Of two contents under one version the first counts. */
static bool superseded(const struct deployments *all, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(all->list[k].name, all->list[i].name) == 0 &&
            strcmp(all->list[k].version, all->list[i].version) == 0)
            return true;
    for (size_t k = i + 1; k < all->count; k++)
        if (strcmp(all->list[k].name, all->list[i].name) == 0 && !superseded(all, k)) return true;
    return false;
}

static bool has_schedule(const struct definition *def)
{
    for (uint32_t i = 0; i < def->trigger_count; i++)
        if (def->triggers[i].schedule) return true;
    return false;
}

static bool read_workflows(struct client *c, const char *name, struct workflows *ret, struct err *e)
{
    struct deployed_query query = { .name = name };
    CLEANUP(deployments_done) struct deployments all = { 0 };
    if (!client_deployments(c, &query, &all, e)) return false;
    ret->list = xcalloc(all.count + 1, sizeof *ret->list);
    for (size_t i = 0; i < all.count; i++) {
        const struct deployed *d = &all.list[i];
        struct bytes text = { .data = d->canonical, .len = d->canonical_len };
        if (superseded(&all, i)) continue;
        struct definition *def = definition_load(text, d->sha256, e);
        if (!def)
            cli_note(c->cli, "%s@%s: %s", d->name, d->version, e->text);
        else if (has_schedule(def))
            ret->list[ret->count++] = def;
        else
            definition_free(def);
    }
    return true;
}

static void on_state(void *user, const struct store_reply *reply)
{
    *(struct schedule_state *)user = schedule_decode(store_string(reply));
}

static bool read_state(struct client *c, struct scheduled *s, struct err *e)
{
    AUTO_BUF struct buf key = { 0 }, name = { 0 };
    key_ledger(&key, c->cli->config->prefix, s->partition);
    schedule_name(&name, bytes_of(s->id));
    struct bytes argv[] = { BYTES_LIT("HGET"), buf_bytes(&key), buf_bytes(&name) };
    return client_command(c, argv, ARRAY_LEN(argv), on_state, &s->state, e);
}

static bool open_schedule(struct client *c, const struct definition *def,
                          const struct trigger_def *trigger, struct scheduled *ret, struct err *e)
{
    int32_t partitions;
    *ret = (struct scheduled){ .def = def, .trigger = trigger };
    schedule_id(def, trigger, ret->id);
    schedule_run_id(def, trigger, 0, ret->run);
    if (!client_stored_partitions(c, &partitions, e)) return false;
    ret->partition = partition_of(run_id_route(bytes_of(ret->run)), partitions);
    ret->zone = zone_load(trigger->schedule->timezone, e);
    return ret->zone && cron_parse(trigger->schedule->cron, &ret->cron, NULL, e) &&
           read_state(c, ret, e);
}

/* "WORKFLOW/NAME", or "WORKFLOW" where it has one schedule only. */
static bool find_schedule(struct client *c, struct workflows *all, struct scheduled *ret,
                          struct err *e)
{
    const char *text = c->cli->args[1], *slash = strchr(text, '/');
    AUTO_FREE char *workflow = slash ? xstrndup(text, (size_t)(slash - text)) : xstrdup(text);
    const struct trigger_def *found = NULL;
    size_t count = 0;
    if (!read_workflows(c, workflow, all, e)) return false;
    const struct definition *def = all->count ? all->list[0] : NULL;
    for (uint32_t i = 0; def && i < def->trigger_count; i++) {
        const struct trigger_def *t = &def->triggers[i];
        if (!t->schedule || (slash && strcmp(t->schedule->name, slash + 1) != 0)) continue;
        found = t;
        count++;
    }
    if (count > 1)
        return err_fail(e, ERR_INVALID,
                        "%s has %zu schedules: name one, as tutti schedule list does", text, count);
    if (!found)
        return err_fail(e, ERR_NOT_FOUND,
                        "there is no schedule %s; tutti schedule list shows those there are", text);
    return open_schedule(c, def, found, ret, e);
}

/* --- list --- */

static bool is_paused(const struct scheduled *s)
{
    return s->state.paused == SCHEDULE_BY_DEFINITION ? s->trigger->schedule->paused
                                                     : s->state.paused == SCHEDULE_PAUSED;
}

static void set_time(json_t *object, const char *key, int64_t ms)
{
    char text[TIME_TEXT_MAX];
    if (ms > 0 && ms < INT64_MAX) time_format(ms, text);
    json_object_set_new(object, key, ms > 0 && ms < INT64_MAX ? json_string(text) : json_null());
}

static json_t *describe(const struct scheduled *s)
{
    static const char *const catches[] = {
        [CATCH_UP_NONE] = "none", [CATCH_UP_LAST] = "last", [CATCH_UP_ALL] = "all"
    };
    const struct schedule_def *d = s->trigger->schedule;
    int64_t now_ms = clock_wall_ms();
    json_t *ret =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "id", s->id, "workflow", s->def->name,
                  "version", s->def->version, "schedule", d->cron, "timezone", d->timezone,
                  "overlap", start_policy_name(s->trigger->policy), "catch_up",
                  catches[d->catch_up], "paused", (int)is_paused(s));
    set_time(ret, "last", s->state.last_ms);
    set_time(ret, "next", is_paused(s) ? 0 : cron_next_ms(&s->cron, s->zone, now_ms));
    return ret;
}

static void add_line(struct buf *text, const json_t *s)
{
    const char *last = json_text(s, "last"), *next = json_text(s, "next");
    bool paused = json_is_true(json_object_get(s, "paused"));
    term_padded(text, json_text(s, "id"), 24);
    buf_add_char(text, ' ');
    term_padded(text, json_text(s, "schedule"), 16);
    buf_add_char(text, ' ');
    term_padded(text, json_text(s, "timezone"), 14);
    buf_addf(text, " last %-24s next %s\n", last ? last : "-",
             paused ? "paused"
             : next ? next
                    : "never");
}

static bool list_all(struct client *c, json_t *ret, struct err *e)
{
    CLEANUP(workflows_done) struct workflows all = { 0 };
    if (!read_workflows(c, NULL, &all, e)) return false;
    for (size_t i = 0; i < all.count; i++) {
        const struct definition *def = all.list[i];
        for (uint32_t k = 0; k < def->trigger_count; k++) {
            if (!def->triggers[k].schedule) continue;
            CLEANUP(scheduled_done) struct scheduled s;
            if (!open_schedule(c, def, &def->triggers[k], &s, e)) return err_prefix(e, "%s", s.id);
            json_array_append_new(ret, describe(&s));
        }
    }
    return true;
}

static int list(struct client *c)
{
    struct err e;
    AUTO_JSON *schedules = json_array();
    if (!list_all(c, schedules, &e)) return cli_fail(c->cli, "schedule", &e);
    AUTO_JSON *report = json_pack("{s:O}", "schedules", schedules);
    if (c->cli->config->json) return cli_print_json(c->cli, report) ? EXIT_OK : EXIT_FAILED;
    AUTO_BUF struct buf text = { 0 };
    for (size_t i = 0; i < json_array_size(schedules); i++)
        add_line(&text, json_array_get(schedules, i));
    if (text.len == 0) cli_note(c->cli, "no schedules");
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}

/* --- pause and resume --- */

static bool append(struct client *c, enum event_type type, const char *run, struct bytes *header,
                   struct bytes value, struct err *e)
{
    int32_t partitions;
    return cli_actor(c->cli, &header[HEADER_ACTOR], e) &&
           client_partitions(c, "events", &partitions, e) &&
           client_append(c, type, run, partitions, header, value, e);
}

static int control(struct client *c, struct scheduled *s, bool pause)
{
    struct err e;
    struct bytes header[HEADER_COUNT] = { [HEADER_SCHEDULE] = bytes_of(s->id) };
    enum event_type type = pause ? EVENT_SCHEDULE_PAUSED : EVENT_SCHEDULE_RESUMED;
    if (!append(c, type, s->run, header, BYTES_LIT("null"), &e) ||
        !runs_wait_folded(c, s->partition, TAKEN_WAIT_MS, &e) || !read_state(c, s, &e))
        return cli_fail(c->cli, "schedule", &e);
    AUTO_JSON *report = describe(s);
    if (c->cli->config->json) return cli_print_json(c->cli, report) ? EXIT_OK : EXIT_FAILED;
    AUTO_BUF struct buf text = { 0 };
    add_line(&text, report);
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}

/* --- runs by hand --- */

/* What was asked for by hand is not skipped. */
static enum start_policy policy_by_hand(const struct scheduled *s)
{
    return s->trigger->policy == START_SKIP ? START_QUEUE : s->trigger->policy;
}

static bool start(struct client *c, const struct scheduled *s, enum start_policy policy,
                  int64_t planned_ms, json_t *ret, struct err *e)
{
    CLEANUP(firing_done) struct firing firing = { 0 };
    struct bytes header[HEADER_COUNT];
    if (!firing_make(s->def, s->trigger, planned_ms, &firing, e)) return false;
    firing_headers(s->def, policy, &firing, header);
    if (!append(c, EVENT_RUN_START, firing.run_id, header, buf_bytes(&firing.input), e))
        return false;
    json_t *run = json_pack("{s:s}", "run_id", firing.run_id);
    set_time(run, "scheduled_at", planned_ms);
    json_array_append_new(ret, run);
    return true;
}

static int print_runs(const struct cli *cli, json_t *runs)
{
    AUTO_JSON *report = json_pack("{s:O}", "runs", runs);
    if (cli->config->json) return cli_print_json(cli, report) ? EXIT_OK : EXIT_FAILED;
    AUTO_BUF struct buf text = { 0 };
    for (size_t i = 0; i < json_array_size(runs); i++) {
        const json_t *run = json_array_get(runs, i);
        buf_addf(&text, "%s %s\n", json_text(run, "run_id"), json_text(run, "scheduled_at"));
    }
    if (text.len == 0) cli_note(cli, "the schedule has no time in that range");
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}

static int trigger(struct client *c, const struct scheduled *s)
{
    struct err e;
    AUTO_JSON *runs = json_array();
    if (!start(c, s, policy_by_hand(s), clock_wall_ms(), runs, &e))
        return cli_fail(c->cli, "schedule", &e);
    return print_runs(c->cli, runs);
}

static bool read_time(const char *option, const char *text, int64_t *ret, struct err *e)
{
    if (!text) return err_fail(e, ERR_INVALID, "backfill wants --from TIME and --to TIME");
    return time_parse(text, ret) ||
           err_fail(e, ERR_INVALID, "%s %.60s: wants a time, such as 2026-11-22T04:00:00Z", option,
                    text);
}

/* Every planned time from..to, both included, in order. */
static bool backfill_all(struct client *c, const struct scheduled *s, json_t *ret, struct err *e)
{
    int64_t from = 0, to = 0, times[BACKFILL_MAX];
    size_t count = 0;
    if (!read_time("--from", c->cli->config->from, &from, e) ||
        !read_time("--to", c->cli->config->to, &to, e))
        return false;
    for (int64_t t = cron_next_ms(&s->cron, s->zone, from - 1); t <= to;
         t = cron_next_ms(&s->cron, s->zone, t)) {
        if (count == BACKFILL_MAX)
            return err_fail(e, ERR_LIMIT,
                            "the range has more than %d times: take it in smaller ones",
                            BACKFILL_MAX);
        times[count++] = t;
    }
    /* One that replaced the other would leave the last alone. */
    bool beside = s->trigger->policy == START_ALLOW;
    for (size_t i = 0; i < count; i++)
        if (!start(c, s, beside ? START_ALLOW : START_QUEUE, times[i], ret, e)) return false;
    return true;
}

static int backfill(struct client *c, const struct scheduled *s)
{
    struct err e;
    AUTO_JSON *runs = json_array();
    if (!backfill_all(c, s, runs, &e)) return cli_fail(c->cli, "schedule", &e);
    return print_runs(c->cli, runs);
}

int cmd_schedule(struct cli *cli)
{
    struct err e;
    CLEANUP(client_close) struct client client = { 0 };
    CLEANUP(workflows_done) struct workflows all = { 0 };
    CLEANUP(scheduled_done) struct scheduled s = { 0 };
    const char *verb = cli->args[0];
    bool lists = strcmp(verb, "list") == 0;
    if (lists != (cli->arg_count == 1)) {
        err_fail(&e, ERR_INVALID,
                 lists ? "list takes no name"
                       : "%s wants a schedule, as tutti schedule list "
                         "names it",
                 verb);
        return cli_fail(cli, "schedule", &e);
    }
    if (!client_open(&client, cli, NULL, &e) || !client_store(&client, &e))
        return cli_fail(cli, "schedule", &e);
    if (lists) return list(&client);
    if (!find_schedule(&client, &all, &s, &e)) return cli_fail(cli, "schedule", &e);
    ASSERT(s.trigger);
    if (strcmp(verb, "trigger") == 0) return trigger(&client, &s);
    if (strcmp(verb, "backfill") == 0) return backfill(&client, &s);
    return control(&client, &s, strcmp(verb, "pause") == 0);
}
