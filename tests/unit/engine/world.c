/* SPDX-License-Identifier: Apache-2.0
 *
 * One run under test: see world.h. */
#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

struct definition *parse_definition(const char *text)
{
    struct faults faults = { 0 };
    struct definition *def = definition_parse(bytes_of(text), &faults);
    for (size_t i = 0; i < faults.count; i++)
        fprintf(stderr, "%u:%u %s: %s\n", faults.list[i].line, faults.list[i].column,
                faults.list[i].pointer ? faults.list[i].pointer : "", faults.list[i].text);
    if (!def) fprintf(stderr, "%s\n", text);
    cr_assert(def, "the definition has %zu faults", faults.count);
    faults_done(&faults);
    return def;
}

struct world world_new(const struct definition *def)
{
    return (struct world){
        .def = def, .now_ms = START_MS, .offset = 100, .gen = "g1", .before = json_object()
    };
}

void world_done(struct world *w)
{
    for (size_t i = 0; i < w->stored; i++) {
        free((char *)(uintptr_t)w->store[i].name.data);
        free((char *)(uintptr_t)w->store[i].value.data);
    }
    for (size_t i = 0; i < w->emitted; i++) {
        free(w->emissions[i].text);
        free(w->emissions[i].value);
    }
    for (size_t i = 0; i < w->logged; i++) {
        free(w->log[i].value);
        free(w->log[i].path);
        free(w->log[i].gen);
    }
    free(w->store);
    free(w->emissions);
    free(w->log);
    json_decref(w->before);
    buf_done(&w->trace);
    for (size_t i = 0; i < w->told_count; i++) free(w->told[i]);
    free(w->told);
    effects_done(&w->fx);
    fields_done(&w->fields);
    run_free(w->run);
}

/* --- bytes to compare --- */

static void add_bytes(struct buf *b, const char *name, struct bytes value)
{
    if (!value.data) return;
    buf_addf(b, "%s=%.*s\n", name, (int)value.len, value.data);
}

static void effect_text(struct buf *b, const struct effect *effect, bool with_gen)
{
    buf_addf(b, "%d %s %s %lld\n", effect->kind, effect->task_id,
             effect->queue ? effect->queue : "-", (long long)effect->until_ms);
    for (int i = 0; i < HEADER_COUNT; i++)
        if (with_gen || i != HEADER_GEN) add_bytes(b, message_header_name(i), effect->header[i]);
    for (size_t i = 0; i < effect->ce_count; i++)
        add_bytes(b, effect->ce[i].name, effect->ce[i].value);
    add_bytes(b, "key", effect->key);
    add_bytes(b, "value", effect->value);
}

static void effects_text(struct buf *b, const struct effects *fx)
{
    for (size_t i = 0; i < fx->count; i++) effect_text(b, &fx->list[i], true);
}

static void fields_text(struct buf *b, const struct field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_add(b, fields[i].name.data, fields[i].name.len);
        if (fields[i].value.data)
            add_bytes(b, " ", fields[i].value);
        else
            buf_add_text(b, " deleted\n");
    }
}

/* --- the store --- */

static void store_put(struct world *w, const struct field *field)
{
    size_t i = 0;
    while (i < w->stored && !bytes_equal(w->store[i].name, field->name)) i++;
    if (i < w->stored) {
        free((char *)(uintptr_t)w->store[i].value.data);
        free((char *)(uintptr_t)w->store[i].name.data);
        w->store[i] = w->store[--w->stored];
    }
    if (!field->value.data) return;
    w->store = xrealloc(w->store, (w->stored + 1) * sizeof *w->store);
    struct field *copy = &w->store[w->stored++];
    *copy = *field;
    copy->name.data = xstrndup(field->name.data, field->name.len);
    copy->value.data = xstrndup(field->value.data, field->value.len);
}

struct bytes world_field(const struct world *w, const char *name)
{
    for (size_t i = 0; i < w->stored; i++)
        if (bytes_is(w->store[i].name, name)) return w->store[i].value;
    return (struct bytes){ 0 };
}

/* Those of the stored fields that the engine names, asked until it names nothing new. */
static size_t read_in_pieces(const struct world *w, struct field *ret)
{
    size_t count = 0, before;
    do {
        CLEANUP(fields_done) struct fields needs = { 0 };
        before = count;
        run_needs(w->def, ret, count, &needs);
        for (size_t i = 0; i < needs.count; i++) {
            size_t k = 0, at = 0;
            while (k < count && !bytes_equal(ret[k].name, needs.list[i].name)) k++;
            while (at < w->stored && !bytes_equal(w->store[at].name, needs.list[i].name)) at++;
            if (k == count && at < w->stored) ret[count++] = w->store[at];
        }
    } while (count > before);
    return count;
}

/* Of all stored fields, or, as a large run is read, only of those that are needed. */
static struct run *load(const struct world *w)
{
    struct err e;
    AUTO_FREE struct field *pieces = xcalloc(w->stored + 1, sizeof *pieces);
    bool whole = w->logged % 2;
    size_t count = whole ? w->stored : read_in_pieces(w, pieces);
    struct run *run = run_load(w->def, RUN_ID, whole ? w->store : pieces, count, &e);
    cr_assert(run, "the stored fields do not load: %s", e.text);
    return run;
}

json_t *world_describe(const struct world *w)
{
    struct err e;
    json_t *run = run_describe(w->def, RUN_ID, w->store, w->stored, &e);
    cr_assert(run, "%s", e.text);
    return run;
}

static const char *described_state(const json_t *run, const char *path)
{
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(run, "steps"), i, step) {
        if (strcmp(json_text(step, "path"), path) == 0) return json_text(step, "status");
    }
    return "?";
}

enum step_state world_state(const struct world *w, const char *path)
{
    AUTO_JSON *run = world_describe(w);
    const char *state = described_state(run, path);
    for (int s = 0; s < STEP_STATE_COUNT; s++)
        if (strcmp(step_state_name(s), state) == 0) return s;
    cr_assert_fail("step %s is '%s'", path, state);
    return STEP_STATE_COUNT;
}

/* --- what was emitted --- */

static struct emission *emission_find(struct world *w, const char *task_id)
{
    for (size_t i = 0; i < w->emitted; i++)
        if (strcmp(w->emissions[i].task_id, task_id) == 0) return &w->emissions[i];
    return NULL;
}

/* A task id that was emitted before must come with the very same bytes. */
static void note_task(struct world *w, const struct effect *effect)
{
    AUTO_BUF struct buf text = { 0 };
    effect_text(&text, effect, false);
    struct emission *known = emission_find(w, effect->task_id);
    if (known) {
        cr_assert_str_eq(known->text, text.data, "a task was emitted again with other bytes");
        return;
    }
    w->emissions = xrealloc(w->emissions, (w->emitted + 1) * sizeof *w->emissions);
    struct emission *new = &w->emissions[w->emitted++];
    struct bytes path = effect->header[HEADER_PATH];
    *new = (struct emission){
        .attempt = (uint32_t)strtoul(effect->header[HEADER_ATTEMPT].data, NULL, 10),
        .text = xstrdup(text.data),
        .value = xstrndup(effect->value.data, effect->value.len),
    };
    memcpy(new->task_id, effect->task_id, TASK_ID_MAX);
    snprintf(new->path, sizeof new->path, "%.*s", (int)path.len, path.data);
}

static void add_trace(struct world *w, const char *what, const struct effect *effect)
{
    const struct emission *task = emission_find(w, effect->task_id);
    buf_addf(&w->trace, "%s%s ", w->trace.len ? ", " : "", what);
    if (task)
        buf_addf(&w->trace, "%s/%u", task->path, task->attempt);
    else
        buf_add_text(&w->trace, "unknown");
}

static void note_effect(struct world *w, const struct effect *effect)
{
    static const char *const names[] = { [EFFECT_TASK] = "task",
                                         [EFFECT_START] = "child",
                                         [EFFECT_CANCEL] = "cancel",
                                         [EFFECT_SETTLE] = "settle" };
    if (effect->kind == EFFECT_TASK || effect->kind == EFFECT_START) {
        note_task(w, effect);
        cr_assert((effect->queue || effect->kind == EFFECT_START) && effect->value.len > 0);
    }
    if (effect->kind == EFFECT_EVENT) {
        struct bytes event = effect->header[HEADER_TYPE];
        buf_addf(&w->trace, "%s%.*s", w->trace.len ? ", " : "", (int)event.len, event.data);
        w->told = xrealloc(w->told, (w->told_count + 1) * sizeof *w->told);
        struct buf text = { 0 };
        effect_text(&text, effect, false);
        w->told[w->told_count++] = buf_take(&text, NULL);
        return;
    }
    if (effect->kind == EFFECT_CANCEL) {
        struct emission *task = emission_find(w, effect->task_id);
        cr_assert(task, "a task is cancelled that was never issued");
        task->cancelled = true;
    }
    if (effect->kind != EFFECT_RESULT && effect->kind != EFFECT_LIFECYCLE) {
        add_trace(w, names[effect->kind], effect);
        return;
    }
    const char *type = strrchr(effect->ce[3].value.data, '.') + 1;
    buf_addf(&w->trace, "%s%s %s", w->trace.len ? ", " : "",
             effect->kind == EFFECT_RESULT ? "result" : "lifecycle", type);
    cr_assert(json_check(effect->value));
}

/* --- applying --- */

static enum step_state state_of(const char *name)
{
    for (int s = 0; s < STEP_STATE_COUNT; s++)
        if (strcmp(step_state_name(s), name) == 0) return s;
    return STEP_STATE_COUNT;
}

/* Terminal states are never left. */
static void check_states(struct world *w)
{
    AUTO_JSON *run = world_describe(w), *states = json_object();
    bool ended = run_state_terminal(run_state_of(w->run));
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(run, "steps"), i, step) {
        const char *path = json_text(step, "path"), *now = json_text(step, "status");
        const char *was = json_text(w->before, path);
        if (was && step_state_terminal(state_of(was)))
            cr_assert_str_eq(now, was, "%s left %s", path, was);
        if (ended)
            cr_assert(step_state_terminal(state_of(now)), "%s is %s in a run that has ended", path,
                      now);
        json_object_set_new(states, path, json_string(now));
    }
    if (run_state_terminal(w->run_before)) cr_assert_eq(w->run_before, run_state_of(w->run));
    w->run_before = run_state_of(w->run);
    json_decref(w->before);
    w->before = json_incref(states);
}

static struct run *apply_one(const struct definition *def, struct run *run, const struct logged *l,
                             struct effects *fx, struct fields *fields, enum engine_verdict *ret)
{
    *ret = ENGINE_APPLIED;
    if (run)
        *ret = engine_apply(run, &l->ev, &l->cx, fx);
    else if (l->ev.policy == START_QUEUE)
        run = engine_start_waiting(def, &l->ev, &l->cx, fx);
    else if (l->ev.policy == START_ALLOW)
        run = engine_start_refused(def, &l->ev, "too many", &l->cx, fx);
    else
        run = engine_start(def, &l->ev, &l->cx, fx);
    cr_assert_eq(*ret == ENGINE_APPLIED, run_changed(run));
    run_changes(run, fields);
    cr_assert(!run_changed(run));
    return run;
}

static void compare(const char *what, struct buf *a, struct buf *b)
{
    cr_assert(bytes_equal(buf_bytes(a), buf_bytes(b)),
              "%s differ between the run in memory and the loaded one:\n%s\n--- loaded:\n%s", what,
              a->data ? a->data : "", b->data ? b->data : "");
}

/* The same event for a run that was loaded a moment ago. */
static void apply_to_loaded(struct world *w, const struct logged *l)
{
    CLEANUP(run_free_p) struct run *run = load(w);
    CLEANUP(effects_done) struct effects fx = { 0 };
    CLEANUP(fields_done) struct fields fields = { 0 };
    enum engine_verdict verdict;
    apply_one(w->def, run, l, &fx, &fields, &verdict);
    cr_assert_eq(verdict, w->verdict);
    AUTO_BUF struct buf a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
    effects_text(&a, &w->fx);
    effects_text(&b, &fx);
    compare("effects", &a, &b);
    fields_text(&c, w->fields.list, w->fields.count);
    fields_text(&d, fields.list, fields.count);
    compare("fields", &c, &d);
    cr_assert_eq(run_due_ms(run), run_due_ms(w->run));
    cr_assert_eq(run_memory(run), run_memory(w->run));
}

static struct logged *append(struct world *w, struct event ev, const char *value)
{
    w->log = xrealloc(w->log, (w->logged + 1) * sizeof *w->log);
    struct logged *l = &w->log[w->logged++];
    *l = (struct logged){ .ev = ev,
                          .value = xstrdup(value),
                          .path = xstrndup(ev.path.data ? ev.path.data : "", ev.path.len),
                          .gen = xstrdup(w->gen) };
    l->cx = (struct fold_context){ .record_ms = w->now_ms,
                                   .offset = w->offset++,
                                   .topic = "tutti.events",
                                   .partition = 3,
                                   .gen = l->gen,
                                   .lifecycle = w->lifecycle };
    l->ev.run_id = BYTES_LIT(RUN_ID);
    l->ev.value = bytes_of(l->value);
    l->ev.path = bytes_of(l->path);
    return l;
}

void world_apply(struct world *w, struct event ev, const char *value)
{
    struct logged *l = append(w, ev, value);
    effects_reset(&w->fx);
    fields_reset(&w->fields);
    buf_reset(&w->trace);
    w->run = apply_one(w->def, w->run, l, &w->fx, &w->fields, &w->verdict);
    for (size_t i = 0; i < w->fx.count; i++) note_effect(w, &w->fx.list[i]);
    if (w->stored && !w->hasty) apply_to_loaded(w, l);
    for (size_t i = 0; i < w->fields.count; i++) store_put(w, &w->fields.list[i]);
    if (w->hasty) return;
    check_states(w);
    world_check_reissue(w);
}

void world_start(struct world *w, const char *input)
{
    world_apply(w, (struct event){ .type = EVENT_RUN_START, .actor = BYTES_LIT("ann") }, input);
}

void world_start_child(struct world *w, const char *bond, const char *input)
{
    struct event ev = { .type = EVENT_RUN_START,
                        .actor = BYTES_LIT("ann"),
                        .parent = BYTES_LIT("fedcba9876543210-fedcba9876543210fedcba98"),
                        .path = BYTES_LIT("docs[17]/sub"),
                        .attempt = 2,
                        .child = bytes_of(bond) };
    world_apply(w, ev, input);
}

void world_result(struct world *w, enum event_type type, const char *path, uint32_t attempt,
                  const char *value, struct usage usage)
{
    static const char *const gens[] = { "g0", "g1", "g2", "g3" };
    struct event ev = { .type = type, .path = bytes_of(path), .attempt = attempt, .usage = usage };
    for (size_t i = 0; i < ARRAY_LEN(gens); i++)
        if (strcmp(gens[i], w->result_gen[0] ? w->result_gen : w->gen) == 0)
            ev.gen = bytes_of(gens[i]);
    world_apply(w, ev, value);
}

/* What is told another run again was told before. */
static void check_told(const struct world *w, const struct effect *effect)
{
    AUTO_BUF struct buf text = { 0 };
    bool found = false;
    effect_text(&text, effect, false);
    for (size_t i = 0; i < w->told_count; i++) found |= strcmp(w->told[i], text.data) == 0;
    cr_assert(found, "told for the first time when reissued: %s", text.data);
}

void world_check_reissue(struct world *w)
{
    CLEANUP(effects_done) struct effects fx = { 0 };
    struct fold_context cx = { .record_ms = w->now_ms + 5,
                               .offset = w->offset,
                               .topic = "tutti.events",
                               .partition = 3,
                               .gen = "other" };
    engine_reissue(w->run, 0, &cx, &fx);
    size_t issued = 0;
    const char *path;
    json_t *state;
    json_object_foreach(w->before, path, state) {
        issued += state_of(json_string_value(state)) == STEP_STATE_ISSUED;
    }
    bool ended = run_state_terminal(run_state_of(w->run));
    if (run_state_of(w->run) == RUN_PAUSED) issued = 0; /* its resume issues them */
    size_t events = 0;
    for (size_t i = 0; i < fx.count; i++) events += fx.list[i].kind == EFFECT_EVENT;
    cr_assert_eq(fx.count, issued + ended + events, "%zu effects for %zu issued steps", fx.count,
                 issued);
    for (size_t i = 0; i < fx.count; i++) {
        if (fx.list[i].kind == EFFECT_EVENT) check_told(w, &fx.list[i]);
        if (fx.list[i].kind != EFFECT_TASK && fx.list[i].kind != EFFECT_START) continue;
        cr_assert(fx.list[i].kind == EFFECT_START ||
                  bytes_is(fx.list[i].header[HEADER_GEN], "other"));
        cr_assert(emission_find(w, fx.list[i].task_id), "a task is first seen when reissued");
        note_task(w, &fx.list[i]);
    }
    cr_assert(!run_changed(w->run));
}

void world_check_replay(struct world *w)
{
    struct world again = { 0 };
    CLEANUP(run_free_p) struct run *run = NULL;
    CLEANUP(effects_done) struct effects fx = { 0 };
    CLEANUP(fields_done) struct fields fields = { 0 };
    for (size_t i = 0; i < w->logged; i++) {
        enum engine_verdict verdict;
        run = apply_one(w->def, run, &w->log[i], &fx, &fields, &verdict);
        for (size_t k = 0; k < fields.count; k++) store_put(&again, &fields.list[k]);
        fields_reset(&fields);
    }
    AUTO_BUF struct buf a = { 0 }, b = { 0 };
    fields_text(&a, w->store, w->stored);
    fields_text(&b, again.store, again.stored);
    compare("the fields of a replay", &a, &b);
    for (size_t i = 0; i < again.stored; i++) {
        free((char *)(uintptr_t)again.store[i].name.data);
        free((char *)(uintptr_t)again.store[i].value.data);
    }
    free(again.store);
}
