/* SPDX-License-Identifier: Apache-2.0
 *
 * What the language promises, judged by what runs have noted of themselves (their transitions) and
 * by the log, without a look into how the engine gets there: a step settles once, what is undone
 * was done, the newest is undone first, all of it, a vote counts once and none is lost, what was
 * emitted is there, and the same log gives the same state. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/hash.h"
#include "orchestrator/engine/state.h"
#include "sim/oracle_internal.h"

#define REPLAY_EVERY 16 /* seeds: a whole replay costs as much as the seed did */

/* A step that can be undone. Places in the order of things are counted by told.clock. */
struct undoable {
    const struct step_def *step;
    uint32_t done_at, undone_at; /* 0: not */
    bool handled;                /* others gave its output: nothing of its own is to be undone */
    bool skipped;                /* an operator has skipped a step that undoes it */
};
struct vote {
    uint64_t path, actor;
};
struct told {
    uint64_t *settled; /* hashes of paths */
    size_t settled_count, settled_cap;
    struct undoable *undoable;
    size_t undoable_count;
    uint32_t clock;
    struct vote *votes; /* of those who may, "approve" */
    size_t vote_count;
    /* of the event that is being applied */
    const struct step_def *asked; /* whom it answers; NULL: nobody */
    bool escalated;               /* that step had failed */
    uint32_t quorum;
    bool again;   /* the run was set back: what it had told before counts no more */
    bool cancels; /* the run rolls back because of a cancel */
    bool rolled_back;
};

/* One of a transition's moves. */
struct move {
    struct bytes path, state;
    bool why;
};

static struct told *told_of(struct shadow_run *run)
{
    if (run->told) return run->told;
    struct told *t = run->told = xcalloc(1, sizeof *t);
    const struct definition *def = run->run->def;
    t->undoable = xcalloc(def->step_count + 1, sizeof *t->undoable);
    for (uint32_t i = 0; i < def->step_count; i++)
        if (def->steps[i].compensate_block != NO_INDEX)
            t->undoable[t->undoable_count++].step = &def->steps[i];
    return t;
}

void language_free(struct shadow_run *run)
{
    struct told *t = run->told;
    if (!t) return;
    free(t->settled);
    free(t->undoable);
    free(t->votes);
    free(t);
    run->told = NULL;
}

/* The step of the run itself, not of a map or loop; or NULL. */
static const struct step_def *own_step(const struct shadow_run *run, struct bytes path)
{
    const struct step_def *d = path.len ? definition_step(run->run->def, path) : NULL;
    return d && d->scope == 0 ? d : NULL;
}

static const struct step *state_of(const struct shadow_run *run, const struct step_def *d)
{
    return run->run->root->steps[d->slot];
}

/* --- votes --- */

static bool named(const json_t *approvers, const char *who, const json_t *roles)
{
    size_t i, k;
    json_t *name, *role;
    if (!json_is_array(approvers)) return true;
    json_array_foreach(approvers, i, name) {
        const char *text = json_string_value(name);
        if (strcmp(text, who) == 0) return true;
        json_array_foreach(roles, k, role) {
            AUTO_FREE char *as = xasprintf("role:%s", json_string_value(role));
            if (strcmp(text, as) == 0) return true;
        }
    }
    return false;
}

static size_t votes_for(const struct told *t, uint64_t path)
{
    size_t count = 0;
    for (size_t i = 0; i < t->vote_count; i++) count += t->votes[i].path == path;
    return count;
}

static bool voted(const struct told *t, struct vote v)
{
    for (size_t i = 0; i < t->vote_count; i++)
        if (t->votes[i].path == v.path && t->votes[i].actor == v.actor) return true;
    return false;
}

static void note_vote(struct shadow_run *run, const struct event *ev)
{
    struct told *t = told_of(run);
    const struct step_def *d = own_step(run, ev->path);
    const struct step *s = d ? state_of(run, d) : NULL;
    if (!s || !(s->flags & STEP_ASKING) || !ev->actor.len) return;
    AUTO_JSON *answer = json_parse(ev->value, NULL);
    AUTO_JSON *asked =
        json_parse((struct bytes){ .data = s->payload, .len = s->payload_len }, NULL);
    const char *decision = json_text(answer, "decision");
    AUTO_FREE char *who = xstrndup(ev->actor.data, ev->actor.len);
    if (!decision || strcmp(decision, "approve") != 0 ||
        !named(json_object_get(asked, "approvers"), who, json_object_get(answer, "roles")))
        return;
    t->asked = d;
    t->escalated = s->flags & STEP_ESCALATED;
    t->quorum = t->escalated ? d->escalation->quorum : d->approval->quorum;
    struct vote v = { hash_bytes(ev->path), hash_bytes(ev->actor) };
    if (voted(t, v)) return;
    t->votes = xrealloc(t->votes, (t->vote_count + 1) * sizeof *t->votes);
    t->votes[t->vote_count++] = v;
}

static void forget_votes(struct told *t, uint64_t path)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->vote_count; i++)
        if (t->votes[i].path != path) t->votes[kept++] = t->votes[i];
    t->vote_count = kept;
}

/* An approval that an answer has completed: by as many different people as it takes, all of whom
 * have said so. */
static void judge_approved(struct oracle *o, const struct shadow_run *run, const struct step_def *d,
                           struct bytes output)
{
    const struct told *t = run->told;
    AUTO_JSON *value = json_parse(output, NULL);
    const json_t *by = json_object_get(value, "by");
    struct told seen = { 0 };
    struct vote list[QUORUM_MAX];
    seen.votes = list;
    size_t i;
    json_t *name;
    json_array_foreach(by, i, name) {
        struct vote v = { hash_bytes(bytes_of(d->path)),
                          hash_bytes(bytes_of(json_string_value(name))) };
        if (i >= QUORUM_MAX || !voted(t, v) || voted(&seen, v))
            world_violation(o->world, "votes", "run %s: %s of %s is counted without a vote",
                            run->id, json_string_value(name), d->path);
        else
            list[seen.vote_count++] = v;
    }
    if (json_array_size(by) != d->approval->quorum)
        world_violation(o->world, "votes", "run %s: %s is approved by %zu people, not by %u",
                        run->id, d->path, json_array_size(by), d->approval->quorum);
}

static void judge_votes(struct oracle *o, const struct shadow_run *run, const struct event *ev)
{
    const struct told *t = run->told;
    if (!t || !t->asked || !run->run) return;
    const struct step *s = state_of(run, t->asked);
    if (s->flags & STEP_ASKING && votes_for(t, hash_bytes(ev->path)) >= t->quorum)
        world_violation(o->world, "votes", "run %s: %s asks on, although %u have approved", run->id,
                        t->asked->path, t->quorum);
}

/* --- undoing --- */

static void note_done(struct told *t, const struct step_def *d, const struct move *m,
                      const struct event *ev)
{
    for (size_t i = 0; i < t->undoable_count; i++) {
        struct undoable *u = &t->undoable[i];
        if (u->step != d) continue;
        u->handled |= bytes_is(m->state, "waiting") && m->why;
        bool skipped = ev->type == EVENT_STEP_SKIP && bytes_is(ev->path, d->path);
        if (bytes_is(m->state, "completed") && !u->handled && !skipped) u->done_at = ++t->clock;
    }
}

static void judge_undoing(struct oracle *o, const struct shadow_run *run, struct undoable *u)
{
    struct told *t = run->told;
    if (u->undone_at || t->again) return;
    u->undone_at = ++t->clock;
    if (!u->done_at)
        world_violation(o->world, "compensation", "run %s: %s is undone, but was not done", run->id,
                        u->step->path);
    for (size_t i = 0; i < t->undoable_count; i++) {
        const struct undoable *other = &t->undoable[i];
        bool sooner = other->undone_at && other != u && other->done_at < u->done_at;
        if (sooner && u->done_at < other->undone_at)
            world_violation(o->world, "compensation",
                            "run %s: %s is undone before %s, which was completed later", run->id,
                            other->step->path, u->step->path);
    }
}

static void note_undone(struct oracle *o, const struct shadow_run *run, const struct step_def *d,
                        const struct move *m, const struct event *ev)
{
    struct told *t = run->told;
    for (size_t i = 0; i < t->undoable_count; i++) {
        struct undoable *u = &t->undoable[i];
        if (u->step->compensate_block != d->block) continue;
        if (!bytes_is(m->state, "skipped"))
            judge_undoing(o, run, u);
        else
            u->skipped |= ev->type == EVENT_STEP_SKIP;
    }
}

static void judge_rolled_back(struct oracle *o, const struct shadow_run *run)
{
    const struct told *t = run->told;
    for (size_t i = 0; i < t->undoable_count; i++) {
        const struct undoable *u = &t->undoable[i];
        if (u->done_at && !u->undone_at && !u->skipped && !t->again)
            world_violation(o->world, "compensation", "run %s is rolled back, but %s is not undone",
                            run->id, u->step->path);
    }
}

/* --- moves --- */

static bool terminal(struct bytes state)
{
    return bytes_is(state, "completed") || bytes_is(state, "failed") ||
           bytes_is(state, "skipped") || bytes_is(state, "cancelled");
}

/* false: it had settled before. An open addressing set. */
static bool settle(struct told *t, uint64_t path)
{
    if (2 * t->settled_count >= t->settled_cap) {
        size_t cap = t->settled_cap, bigger = cap ? 2 * cap : 32;
        uint64_t *old = t->settled;
        t->settled = xcalloc(bigger, sizeof *t->settled);
        t->settled_cap = bigger;
        t->settled_count = 0;
        for (size_t i = 0; i < cap; i++)
            if (old[i]) (void)settle(t, old[i]);
        free(old);
    }
    path |= 1;
    size_t at = (path >> 7) & (t->settled_cap - 1);
    while (t->settled[at] && t->settled[at] != path) at = (at + 1) & (t->settled_cap - 1);
    if (t->settled[at]) return false;
    t->settled[at] = path;
    t->settled_count++;
    return true;
}

static void judge_emitted(struct oracle *o, const struct shadow_run *run, struct bytes path)
{
    AUTO_FREE char *id = xasprintf("%s/%.*s", run->id, (int)path.len, path.data);
    if (!o->keeps_fields && !map_get(&o->emitted, bytes_of(id)))
        world_violation(o->world, "emitted events", "%s is completed, but no event is there", id);
}

static void judge_move(struct oracle *o, struct shadow_run *run, const struct move *m,
                       const struct event *ev)
{
    struct told *t = told_of(run);
    if (m->path.len == 0) {
        bool cancelled =
            t->cancels && event_type_is_result(ev->type) && bytes_is(m->state, "cancelled");
        t->rolled_back |= cancelled || bytes_is(m->state, "rolled_back");
        return;
    }
    if (terminal(m->state) && !settle(t, hash_bytes(m->path)) && !t->again)
        world_violation(o->world, "a step settles once", "run %s: %.*s settles again, as %.*s",
                        run->id, (int)m->path.len, m->path.data, (int)m->state.len, m->state.data);
    bool waits = bytes_is(m->state, "waiting");
    if (waits) forget_votes(t, hash_bytes(m->path));
    const struct step_def *d = own_step(run, m->path);
    if (!d) return;
    note_done(t, d, m, ev);
    note_undone(o, run, d, m, ev);
    if (d->kind == STEP_EMIT && bytes_is(m->state, "completed") &&
        ev->type == EVENT_TASK_COMPLETED && bytes_is(ev->path, d->path))
        judge_emitted(o, run, m->path);
}

static struct bytes quoted(const char **at)
{
    const char *start = ++*at;
    *at = strchr(start, '"');
    ASSERT(*at); /* names need no escapes */
    struct bytes text = { start, (size_t)(*at - start) };
    ++*at;
    return text;
}

/* [record ms,offset,[[path,"state",attempt,"error type"],...]] */
static void judge_transition(struct oracle *o, struct shadow_run *run, struct bytes text,
                             const struct event *ev)
{
    AUTO_FREE char *copy = xstrndup(text.data, text.len);
    const char *at = strstr(copy, "[[");
    if (!at) return;
    for (at++; *at == '['; at += *at == ',') {
        struct move m = { 0 };
        at++;
        m.path = quoted(&at);
        at++;
        m.state = quoted(&at);
        const char *last = at + strcspn(at, "]");
        m.why = memchr(at, '"', (size_t)(last - at)) != NULL;
        judge_move(o, run, &m, ev);
        at = last + 1;
    }
}

/* --- an event --- */

void language_before(struct oracle *o, struct shadow_run *run, const struct event *ev)
{
    (void)o;
    if (ev->type == EVENT_APPROVAL) note_vote(run, ev);
    if (ev->type == EVENT_RUN_RETRY || ev->type == EVENT_RUN_RERUN) told_of(run)->again = true;
    struct told *t = run->told;
    if (!t) return;
    const struct aside *a = run->run->aside;
    t->cancels = a && a->undo_level == UNDO_CANCEL;
    for (size_t i = 0; i < t->undoable_count; i++) {
        const struct step *s = state_of(run, t->undoable[i].step);
        if (t->undoable[i].done_at || !s) continue;
        t->undoable[i].handled = s->handler || s->flags & STEP_ESCALATED;
    }
}

static struct bytes changed_output(const struct oracle *o, struct bytes path)
{
    for (size_t i = 0; i < o->fields.count; i++) {
        struct bytes name = o->fields.list[i].name;
        if (name.len == path.len + 2 && memcmp(name.data, "o:", 2) == 0 &&
            memcmp(name.data + 2, path.data, path.len) == 0)
            return o->fields.list[i].value;
    }
    return (struct bytes){ 0 };
}

void language_after(struct oracle *o, struct shadow_run *run, const struct event *ev)
{
    for (size_t i = 0; run->run && i < o->fields.count; i++) {
        struct bytes name = o->fields.list[i].name;
        if (name.len > 2 && memcmp(name.data, "t:", 2) == 0)
            judge_transition(o, run, o->fields.list[i].value, ev);
    }
    struct told *t = run->told;
    if (!t || !run->run) return;
    judge_votes(o, run, ev);
    if (t->asked && !t->escalated && !t->asked->output &&
        state_of(run, t->asked)->state == STEP_STATE_COMPLETED)
        judge_approved(o, run, t->asked, changed_output(o, ev->path));
    t->asked = NULL;
    if (t->rolled_back) judge_rolled_back(o, run);
    t->rolled_back = false;
}

/* --- the end --- */

static void judge_replay(struct oracle *o, struct shadow_part *part)
{
    const struct log_part *log = cluster_part(o->world->cluster, PREFIX ".events", part->id);
    struct oracle *again = log ? shadow_again(o, part->id, log->end) : NULL;
    size_t pos = 0;
    for (struct shadow_run *run; again && (run = map_next(&part->runs, &pos));) {
        const struct shadow_run *other = map_get(&again->parts[part->id].runs, bytes_of(run->id));
        struct moment a = shadow_moment(run, INT64_MAX), b = { 0 };
        if (other) b = shadow_moment(other, INT64_MAX);
        if (a.off != b.off || a.digest != b.digest || a.exists != b.exists)
            world_violation(o->world, "replay", "run %s is another when its log is folded again",
                            run->id);
    }
    shadow_again_free(again);
}

void language_end(struct oracle *o)
{
    if (o->world->violated || o->world->seed % REPLAY_EVERY) return;
    for (size_t i = 0; i < o->part_count; i++) judge_replay(o, &o->parts[i]);
}
