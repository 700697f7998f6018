/* SPDX-License-Identifier: Apache-2.0
 *
 * A grammar of workflows. What is drawn is always valid and always comes to an end as long as
 * somebody answers: waits are of seconds, and whoever is asked without a timeout is answered by the
 * simulated people at last (people.c). The tool answers {"answer": 0 to 999, "n": 0 to 2}. */
#include "sim/generate.h"

#include "sim/prng.h"

#define DEPTH_MAX 3

struct gen {
    struct prng random;
    struct buf *b;
    uint32_t number;
    uint32_t names;    /* steps so far */
    int budget;        /* steps that may still come */
    uint32_t repeated; /* maps and loops around */
    bool undoing;      /* within a compensation or the like: only small steps */
};

static bool chance(struct gen *g, unsigned percent)
{
    return prng_below(&g->random, 100) < percent;
}

static unsigned pick(struct gen *g, unsigned n)
{
    return (unsigned)prng_below(&g->random, n);
}

#define put(...) buf_addf(g->b, __VA_ARGS__)

static unsigned begin(struct gen *g, const char *type)
{
    g->budget--;
    put("{name: s%u, type: %s", g->names, type);
    return g->names++;
}

static void list(struct gen *g, unsigned count, unsigned depth);

/* --- fields of many kinds --- */

static void approvers(struct gen *g)
{
    static const char *const some[] = { "", ", approvers: [ann, bob]",
                                        ", approvers: [ann, bob, cid], quorum: 2",
                                        ", approvers: [ann, 'role:lead'], quorum: 2",
                                        ", approvers: [bob]" };
    static const char *const times[] = { "", ", timeout: 2s", ", timeout: 3s, on_timeout: approve",
                                         (", timeout: 1500ms, on_timeout: escalate, "
                                          "escalate_to: [cid, dan]") };
    put("%s%s", some[pick(g, ARRAY_LEN(some))], times[pick(g, ARRAY_LEN(times))]);
}

/* One or two steps that need nobody, or the worker alone. */
static void small_list(struct gen *g)
{
    bool before = g->undoing;
    g->undoing = true;
    list(g, 1 + pick(g, 2), DEPTH_MAX);
    g->undoing = before;
}

static void handlers(struct gen *g)
{
    if (g->undoing || !chance(g, 30)) return;
    switch (pick(g, 6)) {
    case 0: put(", on_error: continue"); break;
    case 1:
        put(", on_error: {fallback: ");
        small_list(g);
        put("}");
        break;
    case 2:
    case 3:
        put(", on_error: {escalate: {timeout: 20s");
        if (chance(g, 50)) put(", approvers: [ann, 'role:lead'], quorum: 1");
        put("}}");
        break;
    case 4: put(", on_error: rollback"); break;
    default:
        put(", catch: [{on: [timeout, tool_error, unreachable], steps: ");
        small_list(g);
        put("}]");
        break;
    }
}

static void compensation(struct gen *g, unsigned percent)
{
    if (g->undoing || g->repeated || !chance(g, percent)) return;
    put(", compensate: ");
    small_list(g);
}

/* What ends a step; undo: how often it can be undone, in percent. */
static void end(struct gen *g, unsigned undo)
{
    if (!g->undoing && chance(g, 6)) put(", if: 'input.n > 0'");
    handlers(g);
    compensation(g, undo);
    put("}");
}

static void retry(struct gen *g)
{
    static const char *const policies[] = { "{max_attempts: 2, initial: 50ms}",
                                            "{max_attempts: 4, initial: 100ms, max: 1s}",
                                            "{max_attempts: 3, backoff: fixed, initial: 200ms}",
                                            "{max_attempts: 1}" };
    put(", retry: %s", policies[pick(g, ARRAY_LEN(policies))]);
}

static void worker_fields(struct gen *g)
{
    retry(g);
    if (chance(g, 50)) put(", timeout: %ums", 500 + 500 * pick(g, 4));
    if (chance(g, 10)) put(", priority: %s", chance(g, 50) ? "high" : "low");
    if (chance(g, 5)) put(", queue_timeout: 5s");
    if (chance(g, 5)) put(", idempotency_key: 'k-${input.n}'");
}

static void time_limit(struct gen *g)
{
    if (chance(g, 15)) put(", timeout: %us", 1 + pick(g, 4));
}

/* --- steps that a worker does --- */

static void task(struct gen *g)
{
    (void)begin(g, "task");
    put(", uses: %s", chance(g, 70) ? "tool" : "noop");
    worker_fields(g);
    if (chance(g, 20)) put(", input: {n: '${input.n}'}");
    if (chance(g, 6)) put(", cache: {ttl: 3s}");
    if (chance(g, 6)) put(", output: {kept: '${output}'}");
    end(g, 30);
}

static void call(struct gen *g)
{
    static const char *const kinds[][2] = {
        { "llm", ", model: m, prompt: 'a word, please'" },
        { "http", ", url: 'http://tool/'" },
        { "webhook", ", endpoint: 'http://tool/', body: {n: '${input.n}'}" },
        { "exec", ", command: c" },
        { "emit", ", topic: " EMIT_TOPIC ", event_type: simulated, data: {n: '${input.n}'}" },
        { "emit", ", topic: " EMIT_TOPIC ", event_type: simulated, key: k, data: 1" },
    };
    unsigned kind = pick(g, ARRAY_LEN(kinds));
    (void)begin(g, kinds[kind][0]);
    put("%s", kinds[kind][1]);
    worker_fields(g);
    end(g, 15);
}

static void router(struct gen *g, unsigned depth)
{
    (void)begin(g, "router");
    put(", model: m, prompt: 'which one?', choices: {a: {description: one, steps: ");
    list(g, 1, depth + 1);
    put("}, b: {description: another, steps: ");
    list(g, 1 + pick(g, 2), depth + 1);
    put("}}%s, retry: {max_attempts: 2, initial: 50ms}", chance(g, 50) ? ", default: b" : "");
    end(g, 15);
}

/* --- what holds other steps --- */

static void parallel(struct gen *g, unsigned depth)
{
    static const char *const joins[] = { "", ", join: any", ", join: {at_least: 2}" };
    unsigned branches = 2 + pick(g, 2);
    (void)begin(g, "parallel");
    put(", branches: {");
    for (unsigned i = 0; i < branches; i++) {
        put("%sb%u: ", i ? ", " : "", i);
        list(g, 1 + pick(g, 2), depth + 1);
    }
    put("}%s%s%s", joins[pick(g, ARRAY_LEN(joins))],
        chance(g, 30) ? ", on_branch_error: collect" : "",
        chance(g, 20) ? ", max_concurrent: 1" : "");
    time_limit(g);
    end(g, 15);
}

static void map(struct gen *g, unsigned depth)
{
    static const char *const lists[] = { "[1, 2, 3]", "[1, 2, 3, 4, 5]", "[input.n, 2]", "[]" };
    (void)begin(g, "map");
    put(", over: '${%s}'%s%s%s, steps: ", lists[pick(g, ARRAY_LEN(lists))],
        chance(g, 30) ? ", batch: 2" : "", chance(g, 50) ? ", max_concurrent: 2" : "",
        chance(g, 40) ? ", on_item_error: collect" : "");
    g->repeated++;
    list(g, 1 + pick(g, 2), depth + 1);
    g->repeated--;
    if (chance(g, 25)) {
        put(", reduce: [");
        (void)begin(g, "task");
        put(", uses: noop, input: '${results}'}]");
    }
    time_limit(g);
    end(g, 15);
}

static void loop(struct gen *g, unsigned depth)
{
    (void)begin(g, "loop");
    put(", max_iterations: %u, steps: [", 2 + pick(g, 2));
    g->repeated++;
    unsigned inner = begin(g, "task");
    put(", uses: tool, retry: {max_attempts: 2, initial: 50ms}}");
    if (chance(g, 40)) {
        put(", ");
        list(g, 0, depth + 1); /* without brackets: one more step */
    }
    put("], ");
    g->repeated--;
    if (chance(g, 50))
        put("while: 'index < 2'");
    else
        put("until: 'steps.s%u.output.n == 0'", inner);
    time_limit(g);
    end(g, 15);
}

static void conditional(struct gen *g, unsigned depth)
{
    (void)begin(g, "conditional");
    put(", cases: [{when: 'input.n == %u', steps: ", pick(g, 3));
    list(g, 1 + pick(g, 2), depth + 1);
    put("}]");
    if (chance(g, 60)) {
        put(", else: ");
        list(g, 1, depth + 1);
    }
    time_limit(g);
    end(g, 15);
}

/* --- people, time, other runs --- */

static void approval(struct gen *g)
{
    (void)begin(g, "human_approval");
    approvers(g);
    if (chance(g, 60)) put(", show: {answer: 1, n: '${input.n}'}, editable: [answer]");
    end(g, 15);
}

static void wait(struct gen *g)
{
    (void)begin(g, "wait");
    switch (pick(g, 4)) {
    case 0: put(", for: %ums", 50 + pick(g, 4000)); break;
    case 1: put(", until: '2026-01-01T00:00:%02uZ'", 2 + pick(g, 20)); break;
    default:
        put(", signal: %s", chance(g, 50) ? "go" : "paid");
        if (chance(g, 40)) put(", match: 'signal.n == 1'");
        if (chance(g, 60)) put(", timeout: %us", 1 + pick(g, 6));
        break;
    }
    end(g, 15);
}

static void child(struct gen *g)
{
    bool last = g->number == GENERATED_CHILDREN - 1;
    (void)begin(g, "workflow");
    if (chance(g, 3))
        put(", workflow: nowhere");
    else
        put(", workflow: c%u", last ? 0 : pick(g, GENERATED_CHILDREN));
    if (chance(g, 25)) put(", wait: false");
    if (chance(g, 20)) put(", on_parent_close: abandon");
    if (chance(g, 30)) put(", timeout: %us", 1 + pick(g, 5));
    put(", input: {n: '${input.n}'}");
    end(g, 20);
}

/* --- small steps --- */

static void quick(struct gen *g)
{
    bool set = chance(g, 50);
    unsigned name = begin(g, set ? "set" : "transform");
    if (set)
        put(", vars: {v%u: '${input.n}'}", name % 3);
    else
        put(", value: {x: '${input.n + 1}'}");
    end(g, 10);
}

/* A conditional around what ends a list, so that it seldom does. */
static void ending(struct gen *g)
{
    static const char *const ends[] = { "return, output: {early: true}", "return",
                                        "fail, error: {type: refused, message: simulated}",
                                        "fail, error: simulated" };
    (void)begin(g, "conditional");
    put(", cases: [{when: 'input.n == 2', steps: [");
    (void)begin(g, ends[pick(g, ARRAY_LEN(ends))]);
    put("}]}]}");
}

static void rollback(struct gen *g)
{
    if (g->repeated || g->undoing) {
        quick(g);
        return;
    }
    (void)begin(g, "rollback");
    put("}");
}

static void step(struct gen *g, unsigned depth)
{
    bool childless = g->undoing || g->number < GENERATED_CHILDREN - 1;
    unsigned r = pick(g, 100);
    if (g->undoing || g->budget <= 0) r %= 50;
    if (r < 34)
        task(g);
    else if (r < 42)
        call(g);
    else if (r < 50)
        quick(g);
    else if (r < 58)
        approval(g);
    else if (r < 66)
        wait(g);
    else if (r < 75 && !childless)
        child(g);
    else if (r < 78)
        ending(g);
    else if (r < 81)
        rollback(g);
    else if (depth >= DEPTH_MAX)
        task(g);
    else if (r < 86)
        parallel(g, depth);
    else if (r < 90)
        map(g, depth);
    else if (r < 93)
        loop(g, depth);
    else if (r < 97)
        conditional(g, depth);
    else
        router(g, depth);
}

/* count 0: one step, without brackets. */
static void list(struct gen *g, unsigned count, unsigned depth)
{
    if (count == 0) {
        step(g, depth);
        return;
    }
    put("[");
    for (unsigned i = 0; i < count; i++) {
        if (i) put(", ");
        step(g, depth);
    }
    put("]");
}

/* The list as a graph: a diamond around some of its steps. */
static void graph(struct gen *g)
{
    unsigned a = begin(g, "task");
    put(", uses: tool}, ");
    unsigned left = begin(g, "task");
    put(", uses: tool, needs: [s%u], on_error: continue}, ", a);
    unsigned right = begin(g, "human_approval");
    put(", needs: [s%u], timeout: 2s, on_timeout: approve}, ", a);
    unsigned other = begin(g, "wait");
    put(", for: 300ms}, ");
    (void)begin(g, "task");
    put(", uses: noop, needs: [s%u, s%u, s%u]}", left, right, other);
}

/* A saga: what was done is undone, by a step, by an error, or by whoever cancels. */
static void saga(struct gen *g)
{
    unsigned steps = 2 + pick(g, 3), first = g->names;
    for (unsigned i = 0; i < steps; i++) {
        (void)begin(g, "task");
        put(", uses: tool, compensate: [{name: u%u, type: task, uses: tool, "
            "retry: {max_attempts: 6, initial: 20ms}}]",
            g->names);
        put("}, ");
    }
    if (chance(g, 50)) {
        (void)begin(g, "rollback");
        if (chance(g, 50)) put(", to: s%u", first);
        put("}, ");
    }
    (void)begin(g, "wait");
    put(", signal: go, timeout: 2s, on_error: continue}, ");
    (void)begin(g, "fail");
    put(", if: 'input.n > 0', error: simulated}");
}

static void head(struct gen *g)
{
    static const char *const ends[] = { "fail", "rollback", "{escalate: {timeout: 20s}}",
                                        "{fallback: [{name: last, type: task, uses: noop}]}" };
    bool is_child = g->number < GENERATED_CHILDREN;
    static const char *const kept[] = { "6s", "10s" };
    put("{workflow: %c%u, version: 1.0.0, ", is_child ? 'c' : 'g', g->number);
    /* A child that had left could be started again by a start that comes late. */
    put("retention: %s, ", !is_child && chance(g, 30) ? kept[pick(g, 2)] : "30d");
    if (chance(g, 40)) put("on_error: %s, ", ends[pick(g, ARRAY_LEN(ends))]);
    if (chance(g, 40)) {
        put("limits: {timeout: %us", 10 + pick(g, 100));
        if (chance(g, 50)) put(", max_parallel: %u", 1 + pick(g, 3));
        put("}, ");
    }
    put("defaults: {retry: {max_attempts: 3, initial: 100ms}}, steps: [");
}

void generate(uint32_t number, struct buf *ret)
{
    struct gen gen = { .random = prng_new(number, 11), .b = ret, .number = number }, *g = &gen;
    unsigned count = 2 + pick(g, 4);
    g->budget = number < GENERATED_CHILDREN ? 4 : 9;
    head(g);
    unsigned form = pick(g, 10);
    if (number == GENERATED_CHILDREN - 1) {
        child(g);
    } else if (form == 0) {
        graph(g);
    } else if (form < 3) {
        saga(g);
    } else {
        for (unsigned i = 0; i < count; i++) {
            if (i) put(", ");
            step(g, 0);
        }
    }
    put("]}");
}
