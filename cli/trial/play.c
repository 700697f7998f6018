/* SPDX-License-Identifier: Apache-2.0
 *
 * One case on the engine: a clock that jumps to whatever comes next (an answer, an event of the
 * case, the run's own timer, in this order where they fall on one moment), so that days pass in no
 * time and the same case always goes the same way. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/trial/parts.h"
#include "common/base/limits.h"

#define RUN_ID      "0000000000000000-000000000000000000000000"
#define APPLIED_MAX 2000000 /* events: a case that has not ended by then never will */

struct fold_context play_context(struct play *p)
{
    return (struct fold_context){
        .record_ms = p->now_ms, .offset = p->offset++, .topic = "events", .partition = 0, .gen = "0"
    };
}

/* --- steps --- */

static struct played_step *step_of(struct play *p, struct bytes path)
{
    struct played_step *step = map_get(&p->by_path, path);
    if (step) return step;
    step = xcalloc(1, sizeof *step);
    step->path = xstrndup(path.data, path.len);
    step->def = mock_step(p->suite->def, path);
    if (p->step_count == p->step_cap) {
        p->step_cap = p->step_cap ? 2 * p->step_cap : 32;
        p->steps = xrealloc(p->steps, p->step_cap * sizeof *p->steps);
    }
    p->steps[p->step_count++] = step;
    map_put(&p->by_path, bytes_of(step->path), step);
    return step;
}

/* Steps that only hold others say nothing of the way that a run took. */
static bool on_path(const struct played_step *step)
{
    if (!step->def) return false;
    switch (step->def->kind) {
    case STEP_PARALLEL:
    case STEP_MAP:
    case STEP_CONDITIONAL:
    case STEP_LOOP: return false;
    default: return true;
    }
}

static void step_moved(struct play *p, const json_t *move)
{
    const char *path = json_string_value(json_array_get(move, 0));
    const char *state = json_string_value(json_array_get(move, 1));
    if (!path || !state || !*path) return;
    struct played_step *step = step_of(p, bytes_of(path));
    for (int s = 0; s < STEP_STATE_COUNT; s++)
        if (strcmp(step_state_name((enum step_state)s), state) == 0)
            step->state = (enum step_state)s;
    step->began |= step->state != STEP_STATE_PENDING && step->state != STEP_STATE_SKIPPED &&
                   step->state != STEP_STATE_CANCELLED;
    step->attempts = (uint32_t)json_integer_value(json_array_get(move, 2));
    if (step->state != STEP_STATE_COMPLETED || !on_path(step)) return;
    if (p->path_count == p->path_cap) {
        p->path_cap = p->path_cap ? 2 * p->path_cap : 32;
        p->path = xrealloc(p->path, p->path_cap * sizeof(struct played_step *));
    }
    p->path[p->path_count++] = step;
}

static void take_transition(struct play *p, struct bytes value)
{
    AUTO_JSON *transition = json_parse(value, NULL);
    size_t i;
    json_t *move;
    json_array_foreach(json_array_get(transition, 2), i, move) {
        step_moved(p, move);
    }
}

static void set_result(struct played_step *step, struct bytes value)
{
    buf_reset(&step->result);
    buf_add(&step->result, value.data, value.len);
}

/* The output of an item ("docs[17]") is that of the last step of the body, which is gone by then.
 */
static void take_item(struct play *p, struct bytes path, struct bytes value)
{
    const struct definition *def = p->suite->def;
    const char *open = memrchr(path.data, '[', path.len);
    const char *slash = memrchr(path.data, '/', path.len), *from = slash ? slash + 1 : path.data;
    const struct step_def *map =
        open && open > from ? definition_step(def, (struct bytes){ from, (size_t)(open - from) })
                            : NULL;
    if (!map || map->kind != STEP_MAP) return;
    const struct block_def *body = &def->blocks[map->body_block];
    AUTO_FREE char *last = xasprintf("%.*s/%s", (int)path.len, path.data,
                                     def->steps[body->steps[body->count - 1]].name);
    struct played_step *step = map_get(&p->by_path, bytes_of(last));
    if (step && step->state == STEP_STATE_COMPLETED) set_result(step, value);
}

static void take_field(struct play *p, const struct field *field)
{
    struct bytes name = field->name, value = field->value;
    if (name.len < 2 || !value.data || name.data[1] != ':') return;
    struct bytes path = { name.data + 2, name.len - 2 };
    if (name.data[0] == 't') take_transition(p, value);
    if (name.data[0] != 'o' || !path.len) return;
    if (path.data[path.len - 1] == ']')
        take_item(p, path, value);
    else
        set_result(step_of(p, path), value);
}

/* --- tasks --- */

static void drop_pending(struct play *p, size_t i)
{
    free(p->pending[i].value);
    p->pending[i] = p->pending[--p->pending_count];
}

static void take_effect(struct play *p, const struct effect *effect)
{
    const struct bytes *header = effect->header;
    if (effect->kind == EFFECT_TASK || effect->kind == EFFECT_START) {
        play_call(p, effect);
    } else if (effect->kind == EFFECT_CANCEL) {
        for (size_t i = p->pending_count; i-- > 0;)
            if (strcmp(p->pending[i].task_id, effect->task_id) == 0) drop_pending(p, i);
    } else if (effect->kind == EFFECT_EVENT) {
        /* To a child: it is cancelled. */
        for (size_t i = p->pending_count; i-- > 0;)
            if (bytes_is(header[HEADER_RUN_ID], p->pending[i].child)) drop_pending(p, i);
    } else if (effect->kind == EFFECT_RESULT) {
        json_decref(p->result);
        p->result = json_parse(effect->value, NULL);
    }
}

void play_collect(struct play *p)
{
    fields_reset(&p->fields);
    run_changes(p->run, &p->fields);
    for (size_t i = 0; i < p->fields.count; i++) take_field(p, &p->fields.list[i]);
    for (size_t i = 0; i < p->fx.count; i++) take_effect(p, &p->fx.list[i]);
    effects_reset(&p->fx);
}

static void fail_play(struct play *p, const struct err *e)
{
    trial_problem_add(p->problems, 0, "%s", e->text);
    p->stuck = true;
}

/* What a task without a mock answers: `noop` gives its input back; nothing else can be known. */
static bool answer_unmocked(struct play *p, const struct played_step *step, struct pending *ret,
                            struct bytes input)
{
    const struct definition *def = p->suite->def;
    if (step->def && step->def->kind == STEP_TASK && strcmp(step->def->uses, "noop") == 0) {
        ret->value = xstrndup(input.data, input.len);
        return true;
    }
    AUTO_JSON *text = json_parse((struct bytes){ def->canonical, def->canonical_len }, NULL);
    AUTO_JSON *sample = step->def ? mock_default(step->def, text) : json_object();
    AUTO_BUF struct buf example = { 0 };
    json_write(&example, sample);
    trial_problem_add(p->problems, 0,
                      "step %s (%s) was called and has no mock. Add one to mocks, such as\n"
                      "  %s: { output: %s }",
                      step->path, step->def ? step_kind_name(step->def->kind) : "?",
                      step->def ? step->def->name : step->path, example.data);
    p->stuck = true;
    return false;
}

/* A worker gives a call up after the step's timeout. */
static void cut_off(struct pending *call, int64_t timeout_ms)
{
    AUTO_FREE char *text =
        xasprintf("no answer within the timeout of %lld ms", (long long)timeout_ms);
    AUTO_BUF struct buf error = { 0 };
    error_encode(&error, ERROR_TIMEOUT, text, true, 0, NULL);
    free(call->value);
    call->value = buf_take(&error, NULL);
    call->type = EVENT_TASK_FAILED;
    call->usage = (struct usage){ 0 };
}

static bool answer_mocked(struct play *p, const struct mock *mock, const struct mock_call *call,
                          struct pending *ret, int64_t timeout_ms)
{
    const struct mock_reply *reply = mock_reply_of(mock, call->attempt);
    AUTO_BUF struct buf value = { 0 };
    struct err e;
    if (!mock_answer(mock, call, &value, &e)) {
        fail_play(p, &e);
        return false;
    }
    ret->type = reply->output ? EVENT_TASK_COMPLETED : EVENT_TASK_FAILED;
    ret->value = buf_take(&value, NULL);
    ret->usage = reply->usage;
    int64_t after_ms = reply->after_ms;
    if (timeout_ms && after_ms > timeout_ms) {
        cut_off(ret, timeout_ms);
        after_ms = timeout_ms;
    }
    ret->due_ms = p->now_ms + after_ms;
    return true;
}

/* A mocked answer as what a child run tells its parent. */
static void tell_as_child(struct pending *call)
{
    bool failed = call->type == EVENT_TASK_FAILED;
    char *told = xasprintf("{\"status\":\"%s\",\"%s\":%s}", failed ? "failed" : "completed",
                           failed ? "error" : "output", call->value);
    free(call->value);
    call->value = told;
    call->type = EVENT_CHILD_FINISHED;
}

static bool answer(struct play *p, const struct mock_call *seen, struct pending *call,
                   int64_t timeout_ms)
{
    const struct step_def *def = call->step->def;
    const struct mock *mock = mocks_find(&p->tcase->mocks, seen->path);
    if (!mock) mock = mocks_find(&p->suite->mocks, seen->path);
    if (*call->child && def && def->child_detached) {
        call->type = EVENT_CHILD_STARTED; /* nobody waits for what it answers */
        call->value = xstrdup("null");
        return true;
    }
    bool ok = mock ? answer_mocked(p, mock, seen, call, timeout_ms)
                   : answer_unmocked(p, call->step, call, seen->input);
    if (ok && *call->child) tell_as_child(call);
    return ok;
}

void play_call(struct play *p, const struct effect *effect)
{
    const struct bytes *header = effect->header, input = effect->value, path = header[HEADER_PATH];
    const struct bytes timeout = header[HEADER_TIMEOUT_MS];
    uint32_t attempt = (uint32_t)strtoul(header[HEADER_ATTEMPT].data, NULL, 10);
    struct played_step *step = step_of(p, path);
    uint32_t *calls = step->def ? &p->calls[step->def->index] : &step->calls;
    struct pending call = { .due_ms = p->now_ms,
                            .number = p->tasks++,
                            .step = step,
                            .attempt = attempt,
                            .type = EVENT_TASK_COMPLETED };
    const struct mock_call seen = { path, input, attempt, ++*calls };
    if (step->def) step->calls++;
    buf_reset(&step->input);
    buf_add(&step->input, input.data, input.len);
    snprintf(call.task_id, sizeof call.task_id, "%s", effect->task_id);
    if (effect->kind == EFFECT_START)
        snprintf(call.child, sizeof call.child, "%.*s", (int)header[HEADER_RUN_ID].len,
                 header[HEADER_RUN_ID].data);
    if (!answer(p, &seen, &call, timeout.data ? strtoll(timeout.data, NULL, 10) : 0)) return;
    if (p->pending_count == p->pending_cap) {
        p->pending_cap = p->pending_cap ? 2 * p->pending_cap : 16;
        p->pending = xrealloc(p->pending, p->pending_cap * sizeof *p->pending);
    }
    p->pending[p->pending_count++] = call;
}

/* --- time --- */

static const struct pending *next_answer(const struct play *p)
{
    const struct pending *next = NULL;
    for (size_t i = 0; i < p->pending_count; i++) {
        const struct pending *call = &p->pending[i];
        if (!next || call->due_ms < next->due_ms ||
            (call->due_ms == next->due_ms && call->number < next->number))
            next = call;
    }
    return next;
}

enum engine_verdict play_apply(struct play *p, const struct event *ev)
{
    struct event event = *ev;
    const struct fold_context cx = play_context(p);
    event.run_id = BYTES_LIT(RUN_ID);
    enum engine_verdict verdict = engine_apply(p->run, &event, &cx, &p->fx);
    play_collect(p);
    return verdict;
}

static void apply_answer(struct play *p, const struct pending *next)
{
    size_t at = (size_t)(next - p->pending);
    struct pending call = *next;
    p->pending[at].value = NULL;
    drop_pending(p, at);
    AUTO_FREE char *value = call.value;
    /* The engine's own word of it, if there is one, comes with the changes. */
    bool task = event_type_is_result(call.type);
    if (task && (!call.step->def || !call.step->def->output || call.type == EVENT_TASK_FAILED))
        set_result(call.step, bytes_of(value));
    (void)play_apply(p, &(struct event){ .type = call.type,
                                         .path = bytes_of(call.step->path),
                                         .attempt = call.attempt,
                                         .task_id = bytes_of(call.task_id),
                                         .child = bytes_of(call.child),
                                         .gen = BYTES_LIT("0"),
                                         .usage = call.usage,
                                         .value = bytes_of(value) });
}

/* Who waits, should this be the moment at which the run gives up. */
static void note_waits(struct play *p)
{
    buf_reset(&p->waits);
    for (size_t i = 0; i < p->step_count; i++) {
        const struct played_step *step = p->steps[i];
        if (step->state != STEP_STATE_WAITING || !on_path(step)) continue;
        buf_addf(&p->waits, "%s%s (%s)", p->waits.len ? ", " : "", step->path,
                 step_kind_name(step->def->kind));
    }
}

static bool play_on(struct play *p, size_t *events)
{
    const struct trial_case *c = p->tcase;
    const struct pending *answer = next_answer(p);
    const struct trial_event *event = *events < c->event_count ? &c->events[*events] : NULL;
    int64_t answer_ms = answer ? answer->due_ms : INT64_MAX, timer_ms = run_due_ms(p->run);
    int64_t event_ms = event ? PLAY_START_MS + event->at_ms : INT64_MAX;
    int64_t next_ms = MIN(answer_ms, event_ms);
    next_ms = MIN(next_ms, timer_ms);
    if (next_ms == INT64_MAX) return false;
    p->now_ms = MAX(p->now_ms, next_ms);
    if (next_ms == answer_ms) {
        apply_answer(p, answer);
    } else if (next_ms == event_ms) {
        ++*events;
        play_event(p, event);
    } else {
        note_waits(p);
        (void)play_apply(p, &(struct event){ .type = EVENT_TIMER_FIRED, .due_ms = timer_ms });
    }
    return true;
}

void play_case(struct play *p)
{
    const struct trial_case *c = p->tcase;
    size_t events = 0;
    AUTO_BUF struct buf input = { 0 };
    json_write(&input, c->input);
    p->now_ms = PLAY_START_MS;
    p->calls = xcalloc(p->suite->def->step_count + 1, sizeof *p->calls);
    const struct fold_context cx = play_context(p);
    const struct event start = { .type = EVENT_RUN_START,
                                 .run_id = BYTES_LIT(RUN_ID),
                                 .actor = BYTES_LIT("test"),
                                 .value = buf_bytes(&input) };
    p->run = engine_start(p->suite->def, &start, &cx, &p->fx);
    play_collect(p);
    while (!p->stuck && !run_state_terminal(run_state_of(p->run))) {
        if (++p->applied > APPLIED_MAX || !play_on(p, &events)) {
            trial_problem_add(p->problems, 0, "the run does not end: it is %s after %llu events",
                              run_state_name(run_state_of(p->run)), (unsigned long long)p->applied);
            p->stuck = true;
        }
    }
    if (!p->stuck && events < c->event_count)
        trial_problem_add(p->problems, c->events[events].line,
                          "the run had ended before this event (%s)",
                          trial_act_name(c->events[events].act));
}

void play_done(struct play *p)
{
    while (p->pending_count) drop_pending(p, p->pending_count - 1);
    for (size_t i = 0; i < p->step_count; i++) {
        buf_done(&p->steps[i]->input);
        buf_done(&p->steps[i]->result);
        free(p->steps[i]->path);
        free(p->steps[i]);
    }
    map_done(&p->by_path);
    free(p->steps);
    free(p->path);
    free(p->pending);
    free(p->calls);
    buf_done(&p->waits);
    json_decref(p->result);
    effects_done(&p->fx);
    fields_done(&p->fields);
    run_free(p->run);
}
