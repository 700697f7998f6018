/* SPDX-License-Identifier: Apache-2.0
 *
 * Leases and calls: a call begins under a lease that is fresh, and never for a step whose result
 * had been applied when the lease was given. What lies between is counted, and so are calls upon an
 * answer that a wipe of Redis has overtaken: no check of the worker's can close that. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/oracle_internal.h"
#include "tests/sim/redis.h"
#include "worker/lease.h"

/* The tasks that a worker asks about, in the order of the verdicts. */
struct asked {
    const struct bytes *at, *end;
    size_t left;  /* of the tasks of a hash */
    bool hashes;  /* before the tasks of a hash stand their number and a TTL */
    bool marks;   /* behind each task stands its mark */
    size_t reply; /* of the first verdict; there are none for marks */
};

/* false: the call is about no tasks. */
static bool asked_of(const char *name, const struct bytes *argv, size_t argc, size_t key_count,
                     struct asked *ret)
{
    *ret = (struct asked){ .end = argv + argc };
    if (strcmp(name, "lease") == 0) {
        ret->at = argv + key_count + 3;
        ret->hashes = true;
        ret->reply = 1;
    } else if (strcmp(name, "renew") == 0) {
        ret->at = argv + key_count + 2;
        ret->hashes = true;
    } else if (strcmp(name, "release") == 0) {
        ret->at = argv + key_count + 1;
    } else if (strcmp(name, "command") == 0 && bytes_is(argv[0], "HSET")) {
        ret->at = argv + 2;
        ret->marks = true;
    } else {
        return false;
    }
    return true;
}

/* NULL behind the last. */
static const struct bytes *next_asked(struct asked *a)
{
    if (a->at == a->end) return NULL;
    if (a->hashes && a->left == 0) {
        a->left = strtoul(a->at->data, NULL, 10);
        a->at += 2;
    }
    a->left--;
    const struct bytes *task = a->at;
    a->at += a->marks ? 2 : 1;
    return task;
}

static void grant(struct oracle *o, const struct proc *p, struct output *out)
{
    out->leased_by = p;
    out->lease[p->index].life = p->life;
    out->lease[p->index].us = o->world->now_us;
}

static void negative(void *user, struct bytes field, struct bytes value)
{
    struct oracle *o = user;
    bool count = bytes_is(field, "pok") || bytes_is(field, "pbad") ||
                 (field.len > 1 && field.data[0] == 'b');
    if (count && memchr(value.data, '-', value.len))
        world_violation(o->world, "breaker counters", "%.*s is %.*s", (int)field.len, field.data,
                        (int)value.len, value.data);
}

/* What workers ask of Redis, task by task. */
static void trace_leases(const struct world *w, const struct proc *p, const char *name,
                         const struct bytes *argv, size_t argc, size_t key_count,
                         const struct store_reply *reply)
{
    struct asked a;
    if (!w->options.trace || p->kind != PROC_WORKER || !asked_of(name, argv, argc, key_count, &a))
        return;
    if (a.at == a.end) trace(w, p, "asks for the generation of %s", argv[0].data);
    size_t i = a.reply;
    for (const struct bytes *task; (task = next_asked(&a)); i++) {
        const struct output *out = map_get(&w->oracle->outputs, *task);
        struct bytes said = { 0 };
        if (a.marks)
            said = task[1];
        else if (i < store_count(reply))
            said = store_string(store_at(reply, i));
        trace(w, p, "%s of %s %s attempt %u: %.*s", a.marks ? "done" : name,
              out ? out->run->id : "?", out ? out->path : "?", out ? out->attempt : 0,
              (int)said.len, said.data ? said.data : "");
    }
}

void lease_judge(struct oracle *o, const struct proc *p, const char *name, const struct bytes *argv,
                 size_t argc, size_t key_count, const struct store_reply *reply)
{
    trace_leases(o->world, p, name, argv, argc, key_count, reply);
    struct asked a;
    if (strcmp(name, "breaker") == 0) redis_each_field(o->world->redis, argv[0], negative, o);
    if (!asked_of(name, argv, argc, key_count, &a) || !a.hashes) return;
    size_t i = a.reply; /* a lease under another generation has no verdicts */
    for (const struct bytes *task; i < store_count(reply) && (task = next_asked(&a)); i++) {
        struct output *out = map_get(&o->outputs, *task);
        struct bytes said = store_string(store_at(reply, i));
        if (out && (bytes_is(said, "T") || bytes_is(said, "R"))) grant(o, p, out);
    }
}

/* The first call of a process for a task: its lease is its own, and fresh. */
static void judge_lease(struct oracle *o, const struct proc *p, const struct output *out)
{
    struct world *w = o->world;
    uint64_t granted_us = out->lease[p->index].us;
    bool mine = out->lease[p->index].life == p->life;
    bool overtaken = mine && out->leased_by != p && o->lost_us > granted_us;
    if (overtaken)
        w->counters.overtaken++;
    else if (!mine || out->leased_by != p)
        world_violation(w, "leases", "%s calls for %s %s attempt %u without a lease", p->name,
                        out->run->id, out->path, out->attempt);
    uint64_t max_ms = MIN(w->options.lease_ms / 3, (uint32_t)LEASE_ANSWER_MS_MAX) + 2;
    if (w->now_us - granted_us > max_ms * MS)
        world_violation(w, "leases", "%s calls under a lease that is %" PRIu64 " ms old", p->name,
                        (w->now_us - granted_us) / 1000);
}

void oracle_called(struct world *w, const struct proc *p, const struct ledger_entry *call)
{
    struct oracle *o = w->oracle;
    char task_id[TASK_ID_MAX];
    task_id_make(task_id, bytes_of(call->run_id), bytes_of(call->path), call->attempt);
    struct output *out = map_get(&o->outputs, bytes_of(task_id));
    if (!out) {
        world_violation(w, "no output without a cause",
                        "%s calls for %s %s attempt %u, which no run issued", p->name, call->run_id,
                        call->path, call->attempt);
        return;
    }
    /* A connection that never reached the tool is tried again under the same, renewed lease. */
    bool first = out->called_life[p->index] != p->life;
    out->called_life[p->index] = p->life;
    if (first) judge_lease(o, p, out);
    for (const struct settled *s = out->run->settled; s; s = s->next) {
        if (strcmp(s->path, call->path) != 0 || !s->applied_us) continue;
        if (first && out->lease[p->index].us > s->applied_us)
            world_violation(w, "no call after a result",
                            "%s calls for %s %s attempt %u, whose result was applied %" PRIu64
                            " ms before, and its lease given after that",
                            p->name, call->run_id, call->path, call->attempt,
                            (w->now_us - s->applied_us) / 1000);
        else
            w->counters.repeated++;
    }
}
