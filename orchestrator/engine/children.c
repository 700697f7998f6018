/* SPDX-License-Identifier: Apache-2.0
 *
 * workflow: a child run. Its id follows from the parent's step and attempt, so that a start that is
 * told twice starts one run. The child tells its parent that it has ended (or begun, where the
 * parent does not wait) by an event; a parent that ends, or gives the step up, cancels its child by
 * one. What was told stands in the run for as long as it is kept, because a recovery may have to
 * tell it again:
 *
 *   field h of the child   "parent": "<run id> <attempt> <path>", "detached", "depth"
 *   field c of the parent  [[offset of the event that caused it, run id of the child], ...] */
#include "orchestrator/engine/state.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/base/mutant.h"

static void child_id(struct fold *f, uint32_t index, uint32_t attempt, char ret[RUN_ID_MAX])
{
    struct bytes path = step_path(f, index);
    AUTO_BUF struct buf origin = { 0 };
    buf_addf(&origin, "%s/%.*s/%u", f->run->id, (int)path.len, path.data, attempt);
    run_id_from_origin(ret, buf_bytes(&origin));
}

/* An event for another run. */
static struct effect *event_new(struct fold *f, enum effect_kind kind, enum event_type type,
                                const char *run_id)
{
    struct effect *effect = effect_new(f->fx, kind);
    effect->header[HEADER_V] = BYTES_LIT(MESSAGE_VERSION);
    effect->header[HEADER_TYPE] = bytes_of(event_type_name(type));
    effect->header[HEADER_RUN_ID] = arena_text(&f->fx->arena, run_id);
    return effect;
}

/* --- the parent --- */

static void emit_start(struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    const struct step *s = step_get(f, index);
    void **arena = &f->fx->arena;
    char id[RUN_ID_MAX];
    child_id(f, index, s->attempt, id);
    struct effect *effect = event_new(f, EFFECT_START, EVENT_RUN_START, id);
    struct bytes *header = effect->header;
    task_id_make(effect->task_id, bytes_of(f->run->id), step_path(f, index), s->attempt);
    header[HEADER_WORKFLOW] = arena_text(arena, d->child);
    if (d->child_version) header[HEADER_VERSION] = arena_text(arena, d->child_version);
    header[HEADER_PARENT] = arena_text(arena, f->run->id);
    header[HEADER_PATH] = arena_copy(arena, step_path(f, index));
    header[HEADER_ATTEMPT] = arena_int(arena, s->attempt);
    AUTO_BUF struct buf bond = { 0 };
    buf_addf(&bond, "%s %u", d->child_detached ? "detached" : "attached", run_depth(f->run) + 1);
    header[HEADER_CHILD] = arena_copy(arena, buf_bytes(&bond));
    static const struct {
        enum message_header header;
        enum run_text text;
    } texts[] = { { HEADER_NAMESPACE, TEXT_NAMESPACE },
                  { HEADER_ACTOR, TEXT_ACTOR },
                  { HEADER_TRACEPARENT, TEXT_TRACEPARENT } };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct bytes text = run_text(f->run, texts[i].text);
        if (text.data) header[texts[i].header] = arena_copy(arena, text);
    }
    effect->value = arena_copy(arena, buf_bytes(&f->payload));
}

void child_issue(struct fold *f, uint32_t index)
{
    struct err e = { 0 };
    if (step_spent(f, index)) return;
    if (!step_make_task(f, index, &e)) {
        step_fail_evaluation(f, index, &e);
        return;
    }
    if (f->read_mutable) step_save_task(f, index);
    struct step *s = step_make(f, index);
    s->attempt++;
    s->issued_off = f->cx->offset;
    s->at_ms = f->now_ms;
    step_move(f, index, STEP_STATE_ISSUED, NULL);
    emit_start(f, index);
}

void child_reissue(struct fold *f, uint32_t index)
{
    struct err e;
    if (!MUTANT(CHILD_START) && step_make_task(f, index, &e)) emit_start(f, index);
}

static void emit_cancel(struct fold *f, const char *id)
{
    struct effect *effect = event_new(f, EFFECT_EVENT, EVENT_RUN_CANCEL, id);
    effect->header[HEADER_ACTOR] = BYTES_LIT("parent");
    effect->value =
        BYTES_LIT("{\"reason\":\"the run that it is a part of has ended or given it up\"}");
}

/* The step is given up while its child goes on. */
void child_close(struct fold *f, uint32_t index)
{
    if (f->def->steps[index].child_abandoned || MUTANT(CHILD_LEFT)) return;
    struct aside *a = run_aside(f->run);
    if (a->closed_count == a->closed_cap) {
        a->closed_cap = a->closed_cap ? 2 * a->closed_cap : 8;
        a->closed = xrealloc(a->closed, a->closed_cap * sizeof *a->closed);
    }
    struct closed *c = &a->closed[a->closed_count++];
    c->off = f->cx->offset;
    child_id(f, index, step_get(f, index)->attempt, c->id);
    emit_cancel(f, c->id);
    f->run->changed |= RUN_CLOSED;
    f->touched = true;
}

void closed_reissue(struct fold *f, int64_t doubt_off)
{
    const struct aside *a = f->run->aside;
    for (uint32_t i = 0; a && i < a->closed_count && !MUTANT(CHILD_CANCEL); i++)
        if (a->closed[i].off >= doubt_off) emit_cancel(f, a->closed[i].id);
}

void closed_encode(const struct run *run, struct buf *ret)
{
    const struct aside *a = run->aside;
    buf_add_char(ret, '[');
    for (uint32_t i = 0; i < a->closed_count; i++)
        buf_addf(ret, "%s[%lld,\"%s\"]", i ? "," : "", (long long)a->closed[i].off,
                 a->closed[i].id);
    buf_add_char(ret, ']');
}

bool closed_load(struct run *run, struct bytes text, struct err *e)
{
    AUTO_JSON *all = json_parse(text, e);
    struct aside *a = run_aside(run);
    if (!all) return false;
    a->closed_cap = (uint32_t)json_array_size(all);
    a->closed = xcalloc(a->closed_cap + 1, sizeof *a->closed);
    for (uint32_t i = 0; i < a->closed_cap; i++) {
        const json_t *off = json_array_get(json_array_get(all, i), 0);
        const char *id = json_string_value(json_array_get(json_array_get(all, i), 1));
        if (!json_is_integer(off) || !id || !run_id_check(bytes_of(id)))
            return err_fail(e, ERR_INVALID, "field c is damaged");
        a->closed[i].off = json_integer_value(off);
        memcpy(a->closed[i].id, id, RUN_ID_MAX);
        a->closed_count++;
    }
    return json_is_array(all) || err_fail(e, ERR_INVALID, "field c is damaged");
}

/* --- what a child tells --- */

static bool of_child(struct fold *f, uint32_t index, const struct event *ev)
{
    const struct step *s = step_get(f, index);
    char id[RUN_ID_MAX];
    if (!s || s->state != STEP_STATE_ISSUED || ev->attempt != s->attempt) return false;
    child_id(f, index, s->attempt, id);
    return bytes_is(ev->child, id);
}

/* The child's own error, and which run had it. */
static void child_failed(struct fold *f, uint32_t index, const struct event *ev,
                         const json_t *value)
{
    const json_t *error = json_object_get(value, "error");
    const char *type = json_text(error, "type"), *message = json_text(error, "message");
    AUTO_BUF struct buf details = { 0 }, text = { 0 };
    AUTO_JSON *more = json_pack("{s:s%, s:O?}", "run_id", ev->child.data, ev->child.len, "error",
                                error ? (json_t *)error : NULL);
    struct failure failure = { .type = ERROR_INTERNAL, .step = index };
    if (type && !error_type_find(bytes_of(type), &failure.type)) failure.type = ERROR_INTERNAL;
    json_write(&details, more);
    buf_addf(&text, "the child run failed: %s", message ? message : "it gave no message");
    failure.message = buf_bytes(&text);
    failure.details = buf_bytes(&details);
    step_fail_with(f, index, &failure);
}

static void child_ended(struct fold *f, uint32_t index, const struct event *ev)
{
    AUTO_JSON *value = json_parse(ev->value, NULL);
    const char *status = json_text(value, "status");
    run_add_usage(f, &ev->usage);
    if (!status || strcmp(status, run_state_name(RUN_COMPLETED)) != 0) {
        child_failed(f, index, ev, value);
        return;
    }
    AUTO_BUF struct buf output = { 0 };
    const json_t *made = json_object_get(value, "output");
    json_write(&output, made ? made : json_null());
    step_complete(f, index, buf_bytes(&output));
}

void child_apply(struct fold *f, const struct event *ev)
{
    const struct step_def *gone, *d = path_find(f, ev->path, &gone);
    bool ours = d && d->kind == STEP_WORKFLOW && of_child(f, d->index, ev);
    if (ours && ev->type == EVENT_CHILD_STARTED && d->child_detached) {
        AUTO_BUF struct buf output = { 0 };
        buf_addf(&output, "{\"run_id\":\"%.*s\"}", (int)ev->child.len, ev->child.data);
        step_complete(f, d->index, buf_bytes(&output));
    } else if (ours && ev->type == EVENT_CHILD_FINISHED) {
        child_ended(f, d->index, ev); /* of a detached one too: it could not be started */
    }
    if (f->touched) scope_mark(f->scope);
    f->scope = f->run->root;
}

void child_timed_out(struct fold *f, uint32_t index)
{
    struct err e;
    child_close(f, index);
    err_fail(&e, ERR_TIMEOUT, "the child run did not end within %lld ms",
             (long long)f->def->steps[index].timeout_ms);
    struct failure failure = failure_of(ERROR_TIMEOUT, index, &e);
    step_fail_with(f, index, &failure);
}

/* --- the child --- */

void run_set_parent(struct run *run, const struct event *ev)
{
    if (!ev->parent.data) return;
    struct aside *a = run_aside(run);
    a->parent = xasprintf("%.*s %u %.*s", (int)ev->parent.len, ev->parent.data, ev->attempt,
                          (int)ev->path.len, ev->path.data);
    /* "attached 3": the third generation. */
    AUTO_FREE char *bond = xstrndup(ev->child.data ? ev->child.data : "", ev->child.len);
    const char *depth = strchr(bond, ' ');
    a->detached = strncmp(bond, "detached", 8) == 0;
    a->depth = depth ? (uint32_t)strtoul(depth, NULL, 10) : 1;
}

bool parent_load(struct run *run, const json_t *head, struct err *e)
{
    const char *parent = json_text(head, "parent");
    if (!parent) return true;
    size_t len = strlen(parent);
    const char *attempt = len > RUN_ID_MAX ? parent + RUN_ID_MAX : "";
    size_t digits = strspn(attempt, "0123456789");
    struct bytes id = { .data = parent, .len = RUN_ID_MAX - 1 };
    if (len <= RUN_ID_MAX || parent[RUN_ID_MAX - 1] != ' ' || !run_id_check(id) || digits == 0 ||
        attempt[digits] != ' ' || !attempt[digits + 1])
        return err_fail(e, ERR_INVALID, "field h is damaged");
    struct aside *a = run_aside(run);
    a->parent = xstrdup(parent);
    a->detached = json_is_true(json_object_get(head, "detached"));
    a->depth = (uint32_t)json_int(head, "depth", 1);
    return true;
}

/* To the step that waits: "<run id> <attempt> <path>" says which. */
static struct effect *tell_parent(struct fold *f, enum event_type type)
{
    void **arena = &f->fx->arena;
    char id[RUN_ID_MAX];
    const char *parent = f->run->aside->parent;
    memcpy(id, parent, RUN_ID_MAX - 1);
    id[RUN_ID_MAX - 1] = '\0';
    struct effect *effect = event_new(f, EFFECT_EVENT, type, id);
    const char *attempt = parent + RUN_ID_MAX, *path = strchr(attempt, ' ') + 1;
    effect->header[HEADER_ATTEMPT] =
        arena_copy(arena, (struct bytes){ .data = attempt, .len = (size_t)(path - 1 - attempt) });
    effect->header[HEADER_PATH] = arena_text(arena, path);
    effect->header[HEADER_CHILD] = arena_text(arena, f->run->id);
    return effect;
}

void parent_tell_start(struct fold *f)
{
    if (f->run->aside && f->run->aside->parent && f->run->aside->detached)
        (void)tell_parent(f, EVENT_CHILD_STARTED);
}

void parent_tell_end(struct fold *f)
{
    const struct run *run = f->run;
    if (!run->aside || !run->aside->parent || run->aside->detached) return;
    struct effect *effect = tell_parent(f, EVENT_CHILD_FINISHED);
    AUTO_BUF struct buf value = { 0 }, usage = { 0 };
    buf_addf(&value, "{\"status\":\"%s\",\"%s\":", run_state_name(run_state_of(run)),
             run->state == RUN_COMPLETED ? "output" : "error");
    if (run->result)
        buf_add(&value, run->result, run->result_len);
    else
        buf_add_text(&value, "null");
    buf_add_char(&value, '}');
    effect->value = arena_copy(&f->fx->arena, buf_bytes(&value));
    usage_encode(&usage, "", &run->usage);
    effect->header[HEADER_USAGE] = arena_copy(&f->fx->arena, buf_bytes(&usage));
}
