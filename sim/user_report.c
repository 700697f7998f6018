/* SPDX-License-Identifier: Apache-2.0
 *
 * A summary of the campaign on a user's workflow: for people, or as one object. */
#include "sim/user_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/mutants.h"
#include "sim/shapes.h"
#include "sim/workload.h"
#include "tests/sim/redis.h"

#define FAILURES_SHOWN 10

/* Everything that is told; the numbers are v's. */
struct report {
    const struct user_request *q;
    const struct sim_user *user;
    struct verdict *v;
    char *replay;
};

static const char *level_name(enum fault_level level)
{
    static const char *const names[] = { "none", "some", "many", "mixed" };
    return names[level];
}

/* --- faults by kind --- */

struct kind_count {
    const char *name;
    uint64_t count;
};
#define KINDS_MAX (FAULT_COUNT + 4)

/* Returns how many there are; those that did not happen are left out. */
static size_t kinds_of(const struct counters *c, struct kind_count ret[KINDS_MAX])
{
    size_t count = 0;
    uint64_t rest = c->faults;
    for (int kind = 0; kind < FAULT_COUNT; kind++) {
        rest -= c->kinds[kind];
        if (c->kinds[kind])
            ret[count++] = (struct kind_count){ fault_name((enum fault_kind)kind), c->kinds[kind] };
    }
    const struct kind_count others[] = { { "message", rest },
                                         { "call_failed", c->tools_failed },
                                         { "call_slow", c->tools_slow },
                                         { "call_unanswered", c->tools_hung } };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (others[i].count) ret[count++] = others[i];
    return count;
}

static uint64_t faults_of(const struct counters *c)
{
    return c->faults + c->tools_failed + c->tools_slow + c->tools_hung;
}

static uint64_t unfinished(const struct counters *c)
{
    return c->runs - MIN(c->runs, c->completed + c->failed + c->cancelled + c->rolled_back);
}

static char *replay_of(const struct report *r, uint64_t seed)
{
    return xasprintf("%s --seed %" PRIu64 " --trace", r->replay, seed);
}

/* --- for people --- */

static void show_failures(const struct report *r)
{
    const struct endings *e = &r->v->endings;
    const char *before = "";
    bool hint = false;
    for (size_t i = 0; i < e->count; i++) {
        const struct ending *f = &e->list[i];
        hint |= strcmp(f->type, "expression") == 0 || strcmp(f->type, "invalid_output") == 0;
        if (i >= FAILURES_SHOWN) continue;
        const char *what = f->rolled_back ? "rolled back" : "failed";
        printf("  %-12s %5" PRIu64 "  %s%s%s: %s (seed %" PRIu64 ")\n",
               strcmp(what, before) == 0 ? "" : what, f->count, f->type, *f->step ? " at " : "",
               f->step, f->text, f->seed);
        before = what;
    }
    if (e->count > FAILURES_SHOWN)
        printf("                      and %zu other kinds (--json names them all)\n",
               e->count - FAILURES_SHOWN);
    if (hint)
        printf("                      what a step answers is said by --mocks FILE "
               "(docs/simulator.md)\n");
}

static void show_faults(const struct counters *c)
{
    struct kind_count kinds[KINDS_MAX];
    size_t count = kinds_of(c, kinds);
    printf("  faults       %5" PRIu64, faults_of(c));
    for (size_t i = 0; i < count; i++)
        printf("%s%" PRIu64 " %s", i ? ", " : ": ", kinds[i].count, kinds[i].name);
    printf("\n");
}

static void show_violations(const struct report *r)
{
    const struct verdict *v = r->v;
    printf("  violations   %5" PRIu64 "\n", v->violations);
    for (size_t i = 0; i < v->found_count; i++) {
        AUTO_FREE char *replay = replay_of(r, v->found[i].seed);
        printf("SEED=%" PRIu64 "  %s: %s\n    again with: %s\n", v->found[i].seed,
               v->found[i].oracle, v->found[i].text, replay);
    }
}

static void show(const struct report *r)
{
    const struct verdict *v = r->v;
    const struct counters *c = &v->sum;
    uint64_t s = c->virtual_ms / 1000;
    printf("%s@%s: %" PRIu64 " seed%s of %" PRIu32 " runs, faults %s\n", r->user->def->name,
           r->user->def->version, v->seeds, v->seeds == 1 ? "" : "s", r->user->runs,
           level_name(r->q->campaign.level));
    printf("  runs         %5" PRIu64 ": %" PRIu64 " completed, %" PRIu64 " failed, %" PRIu64
           " cancelled%s",
           c->runs, c->completed, c->failed, c->cancelled,
           c->cancelled ? " (by the simulated client)" : "");
    if (c->rolled_back) printf(", %" PRIu64 " rolled back", c->rolled_back);
    if (unfinished(c))
        printf(", %" PRIu64 " without an end (%" PRIu64 " seeds were left early)", unfinished(c),
               c->cut);
    printf("\n");
    show_failures(r);
    printf("  calls        %5" PRIu64 ": %" PRIu64 " again after a failure, %" PRIu64
           " repeated because nobody knew whether it was done\n",
           c->calls, c->again_failed, c->again_unknown);
    show_faults(c);
    printf("  virtual time %5" PRIu64 " h %02" PRIu64 " min %02" PRIu64 " s\n", s / 3600,
           s / 60 % 60, s % 60);
    show_violations(r);
}

/* --- for programs --- */

static json_t *failures_json(const struct endings *e)
{
    json_t *list = json_array();
    for (size_t i = 0; i < e->count; i++) {
        const struct ending *f = &e->list[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:I, s:s, s:I}", "status",
                                        f->rolled_back ? "rolled_back" : "failed", "type", f->type,
                                        "step", f->step, "count", (json_int_t)f->count, "message",
                                        f->text, "seed", (json_int_t)f->seed));
    }
    return list;
}

static json_t *violations_json(const struct report *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->v->found_count; i++) {
        const struct found *f = &r->v->found[i];
        AUTO_FREE char *replay = replay_of(r, f->seed);
        json_array_append_new(list,
                              json_pack("{s:I, s:s, s:s, s:s}", "seed", (json_int_t)f->seed,
                                        "oracle", f->oracle, "text", f->text, "replay", replay));
    }
    return list;
}

static json_t *kinds_json(const struct counters *c)
{
    struct kind_count kinds[KINDS_MAX];
    size_t count = kinds_of(c, kinds);
    json_t *all = json_object();
    for (size_t i = 0; i < count; i++)
        json_object_set_new(all, kinds[i].name, json_integer((json_int_t)kinds[i].count));
    return all;
}

static void show_json(const struct report *r)
{
    const struct counters *c = &r->v->sum;
    AUTO_JSON *all =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "workflow", r->user->def->name, "version",
                  r->user->def->version, "level", level_name(r->q->campaign.level), "seeds",
                  (json_int_t)r->v->seeds, "runs_per_seed", (json_int_t)r->user->runs, "seeds_cut",
                  (json_int_t)c->cut);
    const struct kind_count numbers[] = { { "runs", c->runs },
                                          { "completed", c->completed },
                                          { "failed", c->failed },
                                          { "cancelled", c->cancelled },
                                          { "rolled_back", c->rolled_back },
                                          { "unfinished", unfinished(c) },
                                          { "calls", c->calls },
                                          { "retried_calls", c->again_failed },
                                          { "repeated_calls", c->again_unknown },
                                          { "faults", faults_of(c) },
                                          { "virtual_ms", c->virtual_ms },
                                          { "violations", r->v->violations } };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        json_object_set_new(all, numbers[i].name, json_integer((json_int_t)numbers[i].count));
    json_object_set_new(all, "faults_by_kind", kinds_json(c));
    json_object_set_new(all, "failures", failures_json(&r->v->endings));
    json_object_set_new(all, "found", violations_json(r));
    AUTO_BUF struct buf line = { 0 };
    json_write(&line, all);
    printf("%s\n", line.data);
}

/* --- the campaign --- */

static int refuse(const struct user_request *q, const struct err *e)
{
    int code = e->kind == ERR_NOT_FOUND ? 3 : 2;
    if (q->json) {
        AUTO_JSON *error =
            json_pack("{s:{s:s, s:s, s:s, s:i}}", "error", "kind", err_kind_name(e->kind),
                      "command", "simulate", "message", e->text, "exit_code", code);
        AUTO_BUF struct buf line = { 0 };
        json_write(&line, error);
        fprintf(stderr, "%s\n", line.data);
    } else {
        fprintf(stderr, "tutti: simulate: %s\n", e->text);
    }
    return code;
}

static char *replay_command(const struct user_request *q)
{
    AUTO_BUF struct buf b = { 0 };
    if (q->replay) {
        buf_add_text(&b, q->replay);
    } else {
        const struct user_files *f = &q->files;
        buf_addf(&b, "tutti-simulator --workflow %s", f->workflow);
        if (f->input) buf_addf(&b, " --input %s", f->input);
        if (f->mocks) buf_addf(&b, " --mocks %s", f->mocks);
        if (f->approve) buf_add_text(&b, " --approve");
        buf_addf(&b, " --runs %" PRIu32 " --faults %s", f->runs, level_name(q->campaign.level));
    }
    if (q->campaign.mutant != MUTANT_NONE)
        buf_addf(&b, " --mutant %s", mutant_name(q->campaign.mutant));
    return buf_take(&b, NULL);
}

static int by_seed(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return x->seed < y->seed ? -1 : x->seed > y->seed;
}

static void run(const struct user_request *q, const struct campaign *c, struct verdict *v)
{
    if (!q->one) {
        campaign_run(c, v);
    } else {
        v->seeds = 1;
        CLEANUP(redis_free_p) struct redis *redis = world_redis();
        bool good = seed_run(c, redis, c->first, q->trace, &v->sum, &v->endings, &v->found[0]);
        v->violations = v->found_count = !good;
    }
    /* Which process took which seed is chance. */
    qsort(v->found, v->found_count, sizeof *v->found, by_seed);
    endings_sort(&v->endings);
}

/* Steps that wait for people who have nothing to say. */
static void note_silence(const struct sim_user *u)
{
    for (size_t i = 0; i < u->def->step_count && !u->approve; i++) {
        const struct step_def *d = &u->def->steps[i];
        bool asks = d->kind == STEP_APPROVAL || d->escalation || d->signal;
        if (asks && !answers_find(&u->answers, d))
            fprintf(stderr, "%s waits for people, and nobody answers: see --mocks and --approve\n",
                    d->name);
    }
}

int user_simulate(const struct user_request *q)
{
    struct sim_user user;
    struct err e;
    int code = 2;
    if (!user_open(&user, &q->files, &e)) {
        code = refuse(q, &e);
    } else {
        struct campaign c = q->campaign;
        c.adjust = user_adjust;
        c.user = &user;
        struct report r = { .q = q, .user = &user, .v = xcalloc(1, sizeof *r.v) };
        r.replay = replay_command(q);
        if (user.triggers && !q->json)
            fprintf(stderr, "its triggers are left out: the simulated client starts the runs\n");
        if (!q->json) note_silence(&user);
        run(q, &c, r.v);
        if (q->json)
            show_json(&r);
        else
            show(&r);
        code = r.v->violations > 0;
        free(r.v);
        free(r.replay);
    }
    user_done(&user);
    shapes_free();
    return code;
}
