/* SPDX-License-Identifier: Apache-2.0
 *
 * Random runs of random definitions: results that succeed, fail, get lost, come late or twice,
 * timers before and after their time, changes of generation and cancels in any order. world.c holds
 * the claims: no terminal state is left, a loaded run goes on exactly as the one in memory, a task
 * that is issued again has the same bytes, a replay gives the same fields. Here: once everything is
 * answered the run ends, and nothing that is out is without a time at which it is given up.
 *
 * TUTTI_SEEDS sets the number of runs; on failure SEED= names the run, TUTTI_SEED repeats it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

#define RUNS_OF_A_DEFINITION 8
#define EVENTS_MAX           40
#define END_MAX              2000

/* splitmix64 (S. Vigna, 2015) */
struct prng {
    uint64_t state;
};

static uint64_t prng_next(struct prng *r)
{
    uint64_t z = r->state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static unsigned below(struct prng *r, unsigned n)
{
    return (unsigned)(prng_next(r) % n);
}

static bool chance(struct prng *r, unsigned percent)
{
    return below(r, 100) < percent;
}

/* --- definitions --- */

struct maker {
    struct prng *r;
    struct buf *b;
    unsigned names, depth, repeats;
    bool vars;           /* there is a step that sets vars.v */
    unsigned before[64]; /* steps that have ended when the next one starts */
    unsigned before_count;
};

static void make_steps(struct maker *m, unsigned count);

/* An expression's source; some of them fail. */
static void make_expression(struct maker *m, bool condition)
{
    struct buf *b = m->b;
    if (m->repeats && chance(m->r, 40)) {
        static const char *const repeated[] = { "item", "index", "[item, index]" };
        buf_add_text(b, condition ? "index < 2" : repeated[below(m->r, 3)]);
        return;
    }
    unsigned step = m->before_count ? m->before[below(m->r, m->before_count)] : 0;
    unsigned kind = below(m->r, m->before_count ? 8 : 4);
    if (condition) {
        static const char *const free_ones[] = { "input.n > 3", "input.n < 7", "has(vars.v)",
                                                 "input.none" };
        if (kind < 4)
            buf_add_text(b, kind == 2 && !m->vars ? "true" : free_ones[kind]);
        else if (kind < 6)
            buf_addf(b, "steps.s%u.status == 'completed'", step);
        else
            buf_addf(b, "steps.s%u.output != null", step);
        return;
    }
    static const char *const free_ones[] = { "input", "vars", "input.n", "input.none" };
    if (kind < 3 || (kind == 3 && chance(m->r, 10)))
        buf_add_text(b, free_ones[kind]);
    else if (kind == 3)
        buf_add_text(b, "run.id");
    else if (kind < 6)
        buf_addf(b, "steps.s%u.output", step);
    else
        buf_addf(b, "steps.s%u.%s", step, kind == 6 ? "status" : "error");
}

static void make_template(struct maker *m)
{
    buf_add_text(m->b, chance(m->r, 50) ? "\"${" : "\"text ${");
    make_expression(m, false);
    buf_add_text(m->b, "}\"");
}

/* A list in its own scope: what ran in it is not before what follows it. */
static void make_list(struct maker *m)
{
    unsigned scope = m->before_count;
    m->depth++;
    buf_add_char(m->b, '[');
    make_steps(m, 1 + below(m->r, 3));
    buf_add_char(m->b, ']');
    m->depth--;
    m->before_count = scope;
}

static void make_parallel(struct maker *m)
{
    unsigned branches = 1 + below(m->r, 3);
    static const char *const joins[] = { "\"all\"", "\"any\"", "{\"at_least\":1}" };
    buf_addf(m->b, "\"type\":\"parallel\",\"join\":%s,\"on_branch_error\":\"%s\",\"branches\":{",
             joins[below(m->r, 3)], chance(m->r, 50) ? "collect" : "fail_fast");
    for (unsigned i = 0; i < branches; i++) {
        buf_addf(m->b, "%s\"b%u\":", i ? "," : "", i);
        make_list(m);
    }
    buf_add_text(m->b, "}");
    if (chance(m->r, 30)) buf_add_text(m->b, ",\"max_concurrent\":1");
}

static void make_conditional(struct maker *m)
{
    buf_add_text(m->b, "\"type\":\"conditional\",\"cases\":[{\"when\":\"");
    make_expression(m, true);
    buf_add_text(m->b, "\",\"steps\":");
    make_list(m);
    buf_add_text(m->b, "}]");
    if (chance(m->r, 50)) {
        buf_add_text(m->b, ",\"else\":");
        make_list(m);
    }
}

/* The body of a map or a loop. */
static void make_body(struct maker *m)
{
    m->repeats++;
    buf_add_text(m->b, ",\"steps\":");
    make_list(m);
    m->repeats--;
}

static void make_map(struct maker *m)
{
    static const char *const lists[] = { "input.list", "input.list", "[1, input.n]",
                                         "input.n > 4 ? [] : [input.list, 2]" };
    const char *list = lists[below(m->r, 4)];
    if (m->vars && chance(m->r, 20)) list = "[vars.v, vars.v]";
    if (m->repeats && chance(m->r, 20)) list = "[item, index]";
    buf_addf(m->b, "\"type\":\"map\",\"over\":\"${%s}\",\"on_item_error\":\"%s\"", list,
             chance(m->r, 50) ? "collect" : "fail_fast");
    if (chance(m->r, 50)) buf_addf(m->b, ",\"max_concurrent\":%u", 1 + below(m->r, 3));
    if (chance(m->r, 20)) buf_add_text(m->b, ",\"batch\":2");
    make_body(m);
    if (!chance(m->r, 30)) return;
    unsigned name = m->names++;
    bool task = chance(m->r, 50);
    buf_addf(m->b, ",\"reduce\":[{\"name\":\"s%u\",\"type\":\"%s\",\"%s\":\"${results}\"}]", name,
             task ? "task" : "transform", task ? "input" : "value");
}

static void make_loop(struct maker *m)
{
    bool asks_before = chance(m->r, 40);
    buf_addf(m->b, "\"type\":\"loop\",\"max_iterations\":%u,\"%s\":\"", 1 + below(m->r, 3),
             asks_before ? "while" : "until");
    buf_addf(m->b, "%s%u\"", asks_before ? "index < " : "index >= ", below(m->r, 4));
    make_body(m);
}

/* More iterations than one event begins. */
static void make_long_loop(struct maker *m)
{
    buf_addf(m->b,
             "\"type\":\"loop\",\"max_iterations\":1000,\"until\":\"index == 700\",\"steps\":"
             "[{\"name\":\"s%u\",\"type\":\"transform\",\"value\":\"${index}\"}]",
             m->names++);
}

static void make_task(struct maker *m)
{
    buf_add_text(m->b, "\"type\":\"task\",\"input\":{\"x\":");
    make_template(m);
    buf_addf(m->b, "},\"retry\":{\"max_attempts\":%u,\"initial\":\"1s\"}", 1 + below(m->r, 4));
    if (chance(m->r, 20)) buf_add_text(m->b, ",\"output_schema\":{\"type\":\"object\"}");
    if (chance(m->r, 20)) buf_add_text(m->b, ",\"queue_timeout\":\"20s\",\"timeout\":\"5s\"");
    if (chance(m->r, 10)) buf_add_text(m->b, ",\"output\":\"${output.k}\"");
}

/* needs: names of steps, or none. */
static void make_step(struct maker *m, const char *needs)
{
    unsigned name = m->names++, kind = below(m->r, 14);
    buf_addf(m->b, "{\"name\":\"s%u\",", name);
    if (needs) buf_addf(m->b, "\"needs\":[%s],", needs);
    if (kind < 2 && m->depth < 3) {
        make_parallel(m);
    } else if (kind < 4 && m->depth < 3) {
        make_conditional(m);
    } else if (kind == 4 && m->vars) {
        buf_add_text(m->b, "\"type\":\"set\",\"vars\":{\"v\":");
        make_template(m);
        buf_add_text(m->b, "}");
    } else if (kind == 5) {
        buf_add_text(m->b, "\"type\":\"transform\",\"value\":");
        make_template(m);
    } else if (kind < 8 && m->depth < 3) {
        make_map(m);
    } else if (kind == 8 && m->depth < 3) {
        make_loop(m);
    } else if (kind == 9 && m->repeats == 0 && chance(m->r, 10)) {
        make_long_loop(m);
    } else {
        make_task(m);
    }
    if (chance(m->r, 15)) {
        buf_add_text(m->b, ",\"if\":\"");
        make_expression(m, true);
        buf_add_text(m->b, "\"");
    }
    if (chance(m->r, 20))
        buf_add_text(m->b, ",\"on_error\":\"continue\"");
    else if (chance(m->r, 20) && m->depth < 3) {
        buf_add_text(m->b, ",\"on_error\":{\"fallback\":");
        make_list(m);
        buf_add_text(m->b, "}");
    }
    buf_add_text(m->b, "}");
    if (m->before_count < ARRAY_LEN(m->before)) m->before[m->before_count++] = name;
}

/* Each may need what stands before it in the list, and then sees that and no other. */
static void make_graph(struct maker *m, unsigned count)
{
    unsigned outer = m->before_count, made[8];
    for (unsigned i = 0; i < count; i++) {
        AUTO_BUF struct buf needs = { 0 };
        m->before_count = outer;
        for (unsigned k = 0; k < i; k++) {
            if (!chance(m->r, i == 1 ? 100 : 60) || m->before_count == ARRAY_LEN(m->before))
                continue;
            buf_addf(&needs, "%s\"s%u\"", needs.len ? "," : "", made[k]);
            m->before[m->before_count++] = made[k];
        }
        if (i) buf_add_char(m->b, ',');
        made[i] = m->names;
        make_step(m, needs.data);
    }
    m->before_count = outer;
}

static void make_steps(struct maker *m, unsigned count)
{
    if (count > 1 && chance(m->r, 25)) {
        make_graph(m, count);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        if (i) buf_add_char(m->b, ',');
        make_step(m, NULL);
    }
}

static void make_definition(struct prng *r, struct buf *b)
{
    struct maker m = { .r = r, .b = b };
    buf_addf(b,
             "{\"workflow\":\"random\",\"version\":\"1.0.0\",\"limits\":{\"max_parallel\":%u,"
             "\"timeout\":\"%u\"},\"steps\":",
             1 + below(r, 4), chance(r, 20) ? 30 : 3600);
    m.vars = chance(r, 50);
    buf_add_text(b, m.vars ? "[{\"name\":\"v\",\"type\":\"set\",\"vars\":{\"v\":0}}," : "[");
    make_steps(&m, 1 + below(r, 4));
    buf_add_char(b, ']');
    if (chance(r, 20)) {
        m.before_count = 0;
        buf_add_text(b, ",\"on_error\":{\"fallback\":");
        make_list(&m);
        buf_add_text(b, "}");
    }
    buf_add_text(b, "}");
}

/* --- events --- */

static const struct usage some_usage = { .tokens_in = 3, .tokens_out = 2, .micro_usd = 1 };

static void answer(struct world *w, struct prng *r, struct emission *task, bool well)
{
    static const char *const outputs[] = { "{\"k\":1}", "{\"k\":[true]}", "null", "\"text\"" };
    AUTO_FREE char *path = xstrdup(task->path);
    uint32_t attempt = task->attempt;
    unsigned kind = well ? 0 : below(r, 10);
    task->answered = true;
    task->counted |= kind < 9 && !run_state_terminal(run_state_of(w->run));
    if (kind < 6) {
        world_result(w, EVENT_TASK_COMPLETED, path, attempt, outputs[below(r, well ? 2 : 4)],
                     some_usage);
    } else if (kind < 9) {
        AUTO_BUF struct buf error = { 0 };
        enum error_type type = below(r, ERROR_TYPE_COUNT);
        error_encode(&error, type, "it broke", error_type_retryable(type), below(r, 5000), NULL);
        world_result(w, EVENT_TASK_FAILED, path, attempt, error.data, some_usage);
    } else {
        snprintf(w->result_gen, sizeof w->result_gen, "%s", chance(r, 30) ? "g0" : "");
        world_result(w, EVENT_TASK_LOST, path, attempt, "", (struct usage){ 0 });
        /* A worker says that a task of the current generation is lost, but not that one of another
         * is: that one was issued again and still waits for an answer. */
        if (w->result_gen[0]) w->emissions[task - w->emissions].answered = false;
        w->result_gen[0] = '\0';
    }
}

static void fire_timer(struct world *w)
{
    world_apply(w, (struct event){ .type = EVENT_TIMER_FIRED }, "");
}

/* A run that has ended goes on, if it may: as a whole, or from some step. */
static void revive(struct world *w, struct prng *r)
{
    AUTO_FREE char *path = NULL;
    struct event ev = { .type = EVENT_RUN_RETRY };
    if (chance(r, 50) || run_state_of(w->run) == RUN_COMPLETED) {
        path = xasprintf("s%u", below(r, 8));
        ev = (struct event){ .type = EVENT_RUN_RERUN, .path = bytes_of(path) };
    }
    bool ended = run_state_terminal(run_state_of(w->run));
    world_apply(w, ev, "");
    if (!ended) cr_assert_eq(w->verdict, ENGINE_IGNORED, "a run that goes on was revived");
}

static void random_event(struct world *w, struct prng *r)
{
    unsigned kind = below(r, 100);
    w->now_ms += below(r, 3000);
    w->hasty = !chance(r, 30);
    if (kind < 70 && w->emitted) {
        /* Mostly one of the latest; sometimes an old one, answered or not. */
        size_t from = chance(r, 70) && w->emitted > 3 ? w->emitted - 3 : 0;
        struct emission *task = &w->emissions[from + below(r, (unsigned)(w->emitted - from))];
        answer(w, r, task, false);
    } else if (kind < 85) {
        if (chance(r, 60)) w->now_ms = MAX(w->now_ms, run_due_ms(w->run));
        int64_t due = run_due_ms(w->run);
        fire_timer(w);
        if (w->now_ms < due) cr_assert_eq(w->verdict, ENGINE_IGNORED, "a timer before its time");
    } else if (kind < 86) {
        world_apply(w, (struct event){ .type = EVENT_RUN_CANCEL }, "{\"reason\":\"enough\"}");
    } else if (kind < 90) {
        snprintf(w->gen, sizeof w->gen, "g%u", 1 + below(r, 3));
    } else if (kind < 91) {
        revive(w, r);
    } else if (kind < 92) {
        world_start(w, "{}");
        cr_assert_eq(w->verdict, ENGINE_IGNORED);
    } else {
        w->now_ms -= 500; /* records of another clock */
    }
}

/* Every answer that is owed comes, and time passes: then the run ends. */
static void finish(struct world *w, struct prng *r)
{
    for (int i = 0; i < END_MAX && !run_state_terminal(run_state_of(w->run)); i++) {
        size_t open = 0;
        while (open < w->emitted && (w->emissions[open].answered || w->emissions[open].cancelled))
            open++;
        w->now_ms += 10;
        if (open < w->emitted) {
            answer(w, r, &w->emissions[open], true);
            continue;
        }
        w->now_ms = MAX(w->now_ms, run_due_ms(w->run));
        fire_timer(w);
        cr_assert_eq(w->verdict, ENGINE_APPLIED, "what was due has not moved");
    }
    cr_assert(run_state_terminal(run_state_of(w->run)), "the run does not end");
}

/* What each attempt has consumed is counted once, however late it was answered, and also if its
 * item or iteration was long gone. */
static void check_usage(const struct world *w)
{
    json_int_t counted = 0;
    AUTO_JSON *run = world_describe(w);
    for (size_t i = 0; i < w->emitted; i++) counted += w->emissions[i].counted;
    const json_t *usage = json_object_get(run, "usage");
    cr_assert_eq(json_int(usage, "tokens_in", -1), some_usage.tokens_in * counted);
}

static void random_run(const struct definition *def, uint64_t seed)
{
    struct prng r = { .state = seed };
    struct world w = world_new(def);
    AUTO_BUF struct buf input = { 0 };
    buf_addf(&input, "{\"n\":%u,\"list\":[", below(&r, 10));
    for (unsigned i = below(&r, 5); i > 0; i--) buf_addf(&input, "%u%s", i, i > 1 ? "," : "");
    buf_add_text(&input, "]}");
    world_start(&w, input.data);
    unsigned events = below(&r, EVENTS_MAX);
    for (unsigned i = 0; i < events; i++) random_event(&w, &r);
    w.hasty = false;
    finish(&w, &r);
    for (unsigned i = chance(&r, 50) ? 1 + below(&r, 3) : 0; i > 0; i--) {
        revive(&w, &r);
        for (unsigned k = below(&r, 10); k > 0; k--) random_event(&w, &r);
        w.hasty = false;
        finish(&w, &r);
    }
    world_check_replay(&w);
    check_usage(&w);
    /* A finished run changes no more. */
    if (w.emitted) answer(&w, &r, &w.emissions[below(&r, (unsigned)w.emitted)], false);
    cr_assert_eq(w.verdict == ENGINE_APPLIED, w.emitted == 0 ? w.verdict == ENGINE_APPLIED : false);
    world_apply(&w, (struct event){ .type = EVENT_RUN_EXPIRED }, "");
    cr_assert_eq(w.verdict, ENGINE_DELETED);
    world_done(&w);
}

/* Whatever stands in the store: it is refused or it loads, and then events can be applied. */
static void damaged_run(const struct definition *def, uint64_t seed)
{
    struct prng r = { .state = seed };
    struct world w = world_new(def);
    world_start(&w, "{\"n\":4,\"list\":[1,2,3]}");
    for (unsigned i = below(&r, 6); i > 0 && w.emitted; i--)
        answer(&w, &r, &w.emissions[below(&r, (unsigned)w.emitted)], false);
    for (unsigned i = 0; i < 20; i++) {
        struct field *field = &w.store[below(&r, (unsigned)w.stored)];
        char *data = (char *)(uintptr_t)field->value.data;
        static const char useful[] = "0123456789,,[]{}\"-";
        if (field->value.len)
            data[below(&r, (unsigned)field->value.len)] = useful[below(&r, sizeof useful - 1)];
        struct err e;
        json_decref(run_describe(def, RUN_ID, w.store, w.stored, &e));
        CLEANUP(run_free_p) struct run *run = run_load(def, RUN_ID, w.store, w.stored, &e);
        if (!run) continue;
        CLEANUP(effects_done) struct effects fx = { 0 };
        struct fold_context cx = { .record_ms = run_due_ms(run), .topic = "t", .gen = "g" };
        engine_reissue(run, 0, &cx, &fx);
        for (size_t k = 0; k < w.emitted; k++)
            engine_apply(run,
                         &(struct event){ .type = EVENT_TASK_COMPLETED,
                                          .path = bytes_of(w.emissions[k].path),
                                          .attempt = w.emissions[k].attempt,
                                          .value = BYTES_LIT("{}") },
                         &cx, &fx);
        engine_apply(run, &(struct event){ .type = EVENT_TIMER_FIRED }, &cx, &fx);
        engine_apply(run, &(struct event){ .type = EVENT_RUN_CANCEL }, &cx, &fx);
        engine_apply(run, &(struct event){ .type = EVENT_RUN_RETRY }, &cx, &fx);
    }
    world_done(&w);
}

static uint64_t number_of(const char *variable, uint64_t fallback)
{
    const char *text = getenv(variable);
    return text ? strtoull(text, NULL, 10) : fallback;
}

#define NO_SEED UINT64_MAX
static uint64_t running = NO_SEED;

/* After a failed assertion too: which run it was. */
static void say_seed(void)
{
    if (running != NO_SEED) fprintf(stderr, "SEED=%llu\n", (unsigned long long)running);
}

static void runs(uint64_t part, uint64_t parts,
                 void (*one)(const struct definition *def, uint64_t seed))
{
    uint64_t count = number_of("TUTTI_SEEDS", 1000), only = number_of("TUTTI_SEED", NO_SEED);
    for (uint64_t d = part; d * RUNS_OF_A_DEFINITION < count; d += parts) {
        struct prng r = { .state = d };
        AUTO_BUF struct buf text = { 0 };
        make_definition(&r, &text);
        CLEANUP(definition_free_p) struct definition *def = NULL;
        for (uint64_t i = 0; i < RUNS_OF_A_DEFINITION; i++) {
            uint64_t seed = d * RUNS_OF_A_DEFINITION + i;
            if (only != NO_SEED && only != seed) continue;
            if (!def) def = parse_definition(text.data);
            running = seed;
            one(def, seed);
            running = NO_SEED;
        }
    }
}

TestSuite(engine_random, .fini = say_seed);

Test(engine_random, random_runs_keep_every_promise)
{
    runs(0, 2, random_run);
}

Test(engine_random, more_random_runs_keep_every_promise)
{
    runs(1, 2, random_run);
}

Test(engine_random, a_damaged_store_is_refused_or_loads)
{
    runs(0, 3, damaged_run);
}
