/* SPDX-License-Identifier: Apache-2.0
 *
 * The deliberate bugs of common/base/mutant.h: their names, those that are lines of a script, and
 * the faults that each is hunted with. */
#include "sim/mutants.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/runner.h"

static const struct {
    const char *name, *text;
} mutants[] = {
#define X(name, text) [MUTANT_##name] = { #name, text },
    MUTANTS(X)
#undef X
};

/* As the clock: what asks has no argument that could carry it. */
static _Thread_local enum mutant present;

enum mutant mutant_set(enum mutant mutant)
{
    enum mutant before = present;
    present = mutant;
    return before;
}

enum mutant mutant_get(void)
{
    return present;
}

const char *mutant_name(enum mutant mutant)
{
    return mutants[mutant].name;
}

const char *mutant_text(enum mutant mutant)
{
    return mutants[mutant].text;
}

enum mutant mutant_find(const char *name)
{
#ifdef TUTTI_MUTANTS
    for (int m = MUTANT_NONE + 1; m < MUTANT_COUNT; m++)
        if (strcmp(name, mutants[m].name) == 0) return (enum mutant)m;
#endif
    (void)name;
    return MUTANT_NONE;
}

/* --- scripts --- */

static const struct rewrite {
    enum mutant mutant;
    const char *script, *from, *to;
} rewrites[] = {
    { MUTANT_NO_REPLAY_FROM, "takeover", "tonumber(h[3] or h[2] or -1)", "tonumber(h[2] or -1)" },
    { MUTANT_RULE_3, "takeover", "if off < start or h[6] then",
      "if h[6] then redis.call('HDEL', KEYS[1], 'rebuild') end if off < start then" },
};

static _Thread_local struct {
    struct script script;
    char *text;
} rewritten[ARRAY_LEN(rewrites)];

static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    if (!at) {
        fprintf(stderr, "mutants: a script has no line \"%s\" any more\n", from);
        abort();
    }
    return xasprintf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

const struct script *mutant_script(const struct script *script, struct script *ret)
{
    const char *source = script->source;
    for (size_t i = 0; i < ARRAY_LEN(rewrites); i++) {
        if (rewrites[i].mutant != present || strcmp(rewrites[i].script, script->name) != 0)
            continue;
        if (!rewritten[i].text) {
            rewritten[i].text = replaced(source, rewrites[i].from, rewrites[i].to);
            rewritten[i].script = script_make(script->name, rewritten[i].text);
        }
        *ret = rewritten[i].script;
        source = ret->source;
    }
    return source == script->source ? script : ret;
}

void mutants_free(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rewrites); i++) {
        free(rewritten[i].text);
        rewritten[i].text = NULL;
    }
}

#ifdef TUTTI_MUTANTS
bool mutant_on(enum mutant mutant)
{
    return present == mutant;
}
#endif

/* --- the hunt --- */

/* Which kinds of faults a mutant is hunted with, where the ordinary mixture finds it seldom. */
struct profile {
    enum mutant mutant;
    enum fault_level level;
    unsigned kinds; /* of FAULT_*: only these; 0: as drawn */
    uint32_t crash_ppm, lost_ppm, late_ppm;
    bool hasty;  /* runs leave as soon as they end, and snapshots come often */
    bool warm;   /* without faults nothing leaves memory, so that nothing has to be loaded */
    bool plain;  /* it needs no fault to be found */
    bool shared; /* the judge has it as well: only the oracles of the language can see it */
};

#define KIND(name) (1u << FAULT_##name)

static const struct profile profiles[] = {
    { .mutant = MUTANT_RULE_6,
      .level = FAULTS_MANY,
      .kinds = KIND(REDIS_WIPE),
      .lost_ppm = 30000,
      .hasty = true },
    { .mutant = MUTANT_RULE_7,
      .level = FAULTS_MANY,
      .kinds = KIND(DEEP_RETENTION) | KIND(CRASH) | KIND(REBALANCE),
      .crash_ppm = 20000 },
    { .mutant = MUTANT_UNDO_ORDER, .level = FAULTS_MANY, .warm = true },
    { .mutant = MUTANT_SIGNAL_DROPPED, .level = FAULTS_MANY, .warm = true },
    { .mutant = MUTANT_WAIT_UNTIMED, .level = FAULTS_MANY, .warm = true },
    { .mutant = MUTANT_UNDO_UNSAVED, .level = FAULTS_MANY, .plain = true },
    { .mutant = MUTANT_PAGE_UNSAVED, .level = FAULTS_MANY, .plain = true },
    { .mutant = MUTANT_CHILD_LEFT, .level = FAULTS_MANY, .plain = true, .shared = true },
    { .mutant = MUTANT_VOTE_TWICE, .level = FAULTS_MANY, .plain = true, .shared = true },
    { .mutant = MUTANT_UNDO_OLDEST, .level = FAULTS_MANY, .plain = true, .shared = true },
    { .mutant = MUTANT_UNDO_SHORT, .level = FAULTS_MANY, .plain = true, .shared = true },
    { .mutant = MUTANT_KEY_TAKEN, .level = FAULTS_MANY, .plain = true },
};

static void adjust(struct options *o, const void *user)
{
    const struct profile *p = user;
    if (p && p->warm && o->level == FAULTS_NONE) o->cache_bytes_max = RETENTION_BYTES_AMPLE;
    if (!p || o->level == FAULTS_NONE) return;
    for (int kind = 0; p->kinds && kind < FAULT_COUNT; kind++)
        o->every_us[kind] = p->kinds >> kind & 1 ? 2 * SECOND : 0;
    if (p->crash_ppm) o->crash_output_ppm = p->crash_ppm;
    if (p->lost_ppm) o->send_lost_ppm = o->send_landed_ppm = p->lost_ppm;
    if (p->late_ppm) o->send_late_ppm = p->late_ppm;
    if (!p->hasty) return;
    o->snapshot_ms = 500;
    o->retention_bytes_max = o->partitions;
    o->doubled_ppm = 0;
    for (int kind = 0; kind < FAULT_COUNT; kind++) o->every_us[kind] *= 2;
}

static const struct profile *profile_of(enum mutant mutant)
{
    for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
        if (profiles[i].mutant == mutant) return &profiles[i];
    return NULL;
}

bool mutant_shared(enum mutant mutant)
{
    const struct profile *p = profile_of(mutant);
    return p && p->shared;
}

/* Without faults it must survive: it is the fault that finds it. Returns whether it does. */
static bool calm_one(struct campaign *c, uint64_t calm, struct verdict *v)
{
    c->level = FAULTS_NONE;
    c->count = calm;
    campaign_run(c, v);
    printf("; without faults %s %" PRIu64 " (%.1f s)",
           v->violations ? "IT DIES WITHIN" : "it survives", v->seeds, v->seconds);
    return v->violations == 0;
}

static void hunt_one(enum mutant mutant, uint64_t count, uint64_t calm, uint32_t processes,
                     struct hunt *ret)
{
    const struct profile *p = profile_of(mutant);
    struct campaign c = { .first = 1,
                          .count = count,
                          .processes = processes,
                          .mutant = mutant,
                          .level = p ? p->level : FAULTS_MANY,
                          .stop_at_violation = true,
                          .adjust = adjust,
                          .user = p };
    struct verdict *v = xcalloc(1, sizeof *v);
    campaign_run(&c, v);
    bool killed = v->violations > 0;
    printf("%-16s %s", mutant_name(mutant), killed ? "killed" : "SURVIVES");
    if (killed)
        printf(" after %" PRIu64 " seeds by seed %" PRIu64 ", \"%s\"", v->seeds, v->found[0].seed,
               v->found[0].oracle);
    else
        printf(" %" PRIu64 " seeds", v->seeds);
    printf(" (%.1f s)", v->seconds);
    bool quiet = (p && p->plain) || calm_one(&c, calm, v);
    printf("  %s\n", mutant_text(mutant));
    if (!quiet)
        printf("    SEED=%" PRIu64 " %s: %s\n", v->found[0].seed, v->found[0].oracle,
               v->found[0].text);
    fflush(stdout);
    ret->mutants++;
    ret->killed += killed;
    ret->all_killed &= killed;
    ret->all_calm &= quiet;
    free(v);
}

struct hunt mutants_hunt(uint64_t count, uint64_t calm, uint32_t processes, const char *only)
{
    struct hunt hunt = { .all_killed = true, .all_calm = true };
    for (int m = MUTANT_NONE + 1; m < MUTANT_COUNT; m++)
        if (!only || strcmp(only, mutant_name((enum mutant)m)) == 0)
            hunt_one((enum mutant)m, count, calm, processes, &hunt);
    return hunt;
}
