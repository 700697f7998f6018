/* SPDX-License-Identifier: Apache-2.0
 *
 * The stored form of a run: the fields that changed. The skeleton is rewritten by every change, so
 * it is encoded by hand and holds only numbers:
 *
 *   [1, state, now, transitions, finished_off, finished_ms, fallback, tokens_in, tokens_out,
 *    micro_usd, [[index, state, attempt, counted, issued_off, at_ms, definite, choice, fallback],
 *    ...]]
 *
 * with one entry for each step that has left PENDING, and without the zeros at an entry's end.
 * States are numbers of RUN_STATES and STEP_STATES: those lists may only grow at their end. */
#include "orchestrator/engine/state.h"

#include <stdlib.h>

static void field_add(struct fields *f, struct bytes name, struct bytes value)
{
    if (f->count == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 16;
        f->list = xrealloc(f->list, f->cap * sizeof *f->list);
    }
    f->list[f->count++] = (struct field){ .name = name, .value = value };
}

void fields_reset(struct fields *f)
{
    f->count = 0;
    arena_reset(&f->arena);
}

void fields_done(struct fields *f)
{
    free(f->list);
    arena_done(&f->arena);
    *f = (struct fields){ 0 };
}

static struct bytes named(struct fields *f, const char *prefix, const char *path)
{
    size_t n = strlen(prefix), m = strlen(path);
    char *name = arena_alloc(&f->arena, n + m + 1);
    memcpy(name, prefix, n);
    memcpy(name + n, path, m + 1);
    return (struct bytes){ .data = name, .len = n + m };
}

/* value NULL: the field is to be deleted. */
static void add_copy(struct fields *f, struct bytes name, const char *value, size_t len)
{
    struct bytes copy = { 0 };
    if (value) copy = arena_copy(&f->arena, (struct bytes){ .data = value, .len = len });
    field_add(f, name, copy);
}

static void add_member(struct buf *b, const char *name, struct bytes text)
{
    if (!text.data) return;
    buf_add_text(b, ",\"");
    buf_add_text(b, name);
    buf_add_text(b, "\":");
    buf_add_json_string(b, text.data, text.len);
}

static void encode_head(const struct run *run, struct buf *b)
{
    buf_addf(b, "{\"definition\":\"%s\"", run->def->sha256);
    add_member(b, "workflow", bytes_of(run->def->name));
    add_member(b, "version", bytes_of(run->def->version));
    buf_addf(b, ",\"logic\":%u,\"started_ms\":%lld", run->logic, (long long)run->started_ms);
    add_member(b, "key", run_text(run, TEXT_KEY));
    add_member(b, "namespace", run_text(run, TEXT_NAMESPACE));
    add_member(b, "actor", run_text(run, TEXT_ACTOR));
    add_member(b, "traceparent", run_text(run, TEXT_TRACEPARENT));
    buf_add_char(b, '}');
}

static void encode_numbers(struct buf *b, const int64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i) buf_add_char(b, ',');
        buf_add_int(b, numbers[i]);
    }
}

static void encode_step(uint32_t index, const struct step *s, struct buf *b)
{
    const int64_t numbers[] = { index,       s->state,      s->attempt,
                                s->counted,  s->issued_off, s->at_ms,
                                s->definite, s->choice,     s->flags & STEP_FALLBACK ? 1 : 0 };
    size_t count = ARRAY_LEN(numbers);
    while (numbers[count - 1] == 0 && count > 2) count--;
    buf_add_char(b, '[');
    encode_numbers(b, numbers, count);
    buf_add_char(b, ']');
}

static void encode_skeleton(const struct run *run, struct buf *b)
{
    const int64_t numbers[] = { 1,
                                run->state,
                                run->now_ms,
                                run->transitions,
                                run->finished_off,
                                run->finished_ms,
                                run->fallback,
                                run->usage.tokens_in,
                                run->usage.tokens_out,
                                run->usage.micro_usd };
    buf_reserve(b, 256);
    buf_add_char(b, '[');
    encode_numbers(b, numbers, ARRAY_LEN(numbers));
    buf_add_text(b, ",[");
    bool first = true;
    for (uint32_t i = 0; i < run->def->step_count; i++) {
        if (!run->steps[i]) continue;
        if (!first) buf_add_char(b, ',');
        first = false;
        encode_step(i, run->steps[i], b);
    }
    buf_add_text(b, "]]");
}

static void step_changes(struct run *run, uint32_t index, struct fields *ret)
{
    struct step *s = run->steps[index];
    const char *path = run->def->steps[index].path;
    if (!s) return;
    if (s->flags & STEP_RESULT_CHANGED)
        add_copy(ret, named(ret, "o:", path), s->result, s->result_len);
    if (s->flags & STEP_PAYLOAD_CHANGED)
        add_copy(ret, named(ret, "q:", path), s->payload, s->payload_len);
    s->flags &= (uint8_t) ~(STEP_RESULT_CHANGED | STEP_PAYLOAD_CHANGED);
}

/* All of them in one field, named after the first: a field costs Redis more than what is in it. */
static void transition_changes(struct run *run, struct fields *ret)
{
    if (!run->unsaved) return;
    AUTO_BUF struct buf name = { 0 }, value = { 0 };
    buf_add_text(&name, "t:");
    buf_add_int(&name, run->unsaved->number);
    while (run->unsaved) {
        struct transition *t = run->unsaved;
        buf_add_char(&value, value.len ? ',' : '[');
        buf_add(&value, t->text, t->len);
        run->unsaved = t->next;
        free(t);
    }
    buf_add_char(&value, ']');
    field_add(ret, arena_copy(&ret->arena, buf_bytes(&name)),
              arena_copy(&ret->arena, buf_bytes(&value)));
}

/* No expression is evaluated in a run that has ended. Once its payloads are handed to the store,
 * all it keeps is the result, which may have to be emitted again. */
static void forget_payloads(struct run *run)
{
    for (uint32_t i = 0; i < run->def->step_count; i++) {
        struct step *s = run->steps[i];
        if (!s) continue;
        free(TAKE(s->result));
        s->result_len = 0;
    }
    free(TAKE(run->input));
    free(TAKE(run->vars));
    run->input_len = run->vars_len = 0;
}

bool run_changed(const struct run *run)
{
    return run->changed != 0;
}

void run_changes(struct run *run, struct fields *ret)
{
    if (!run->changed) return;
    AUTO_BUF struct buf b = { 0 };
    if (run->changed & RUN_NEW) {
        encode_head(run, &b);
        field_add(ret, BYTES_LIT("h"), arena_copy(&ret->arena, buf_bytes(&b)));
        add_copy(ret, BYTES_LIT("i"), run->input, run->input_len);
        buf_reset(&b);
    }
    /* Whatever changes, the skeleton does: it holds the time. */
    encode_skeleton(run, &b);
    field_add(ret, BYTES_LIT("s"), arena_copy(&ret->arena, buf_bytes(&b)));
    if (run->changed & RUN_VARS) add_copy(ret, BYTES_LIT("v"), run->vars, run->vars_len);
    if (run->changed & RUN_RESULT_CHANGED)
        add_copy(ret, BYTES_LIT("o:"), run->result, run->result_len);
    for (uint32_t i = 0; i < run->def->step_count; i++) step_changes(run, i, ret);
    transition_changes(run, ret);
    run->changed = 0;
    if (run_state_terminal((enum run_state)run->state)) forget_payloads(run);
}
