/* SPDX-License-Identifier: Apache-2.0
 *
 * The stored form of a run: the fields that changed. The skeleton is rewritten by every change, so
 * it is encoded by hand and holds only numbers:
 *
 *   [1, state, now, transitions, finished_off, finished_ms, fallback, tokens_in, tokens_out,
 *    micro_usd, [entry, ...], begun, more, since, lives, top, floor]
 *
 * (the last four only where the run was revived, or something was repeated in it) with one entry
 * for each step of the run's own scope that has left PENDING:
 *
 *   [index, state, attempt, counted, issued_off, at_ms, definite, choice, handler, flags, base,
 *    [entry, ...]]
 *
 * without the zeros at its end; flags: 1 ASKING, 2 ESCALATED, 4 HELD, 8 DECIDED. The last list is
 * there for a loop, and holds the steps of its iteration. So the skeleton does not grow with what
 * is repeated. The live items of a map stand in its pages, of which only those are written that
 * have changed:
 *
 *   ["bits of completed items", "bits of failed items", [[item, [entry, ...]], ...]]
 *
 * bits: hexadecimal digits of four items each, the first in the lowest bit, without zeros at the
 * end. States are numbers of RUN_STATES and STEP_STATES: those lists may only grow at their end. */
#include "orchestrator/engine/state.h"

#include "common/base/mutant.h"

#include <stdlib.h>

void fields_append(struct fields *f, struct bytes name, struct bytes value)
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
    if (f->spare.cap > SPARE_BYTES_MAX) buf_done(&f->spare);
}

void fields_done(struct fields *f)
{
    free(f->list);
    arena_done(&f->arena);
    buf_done(&f->spare);
    *f = (struct fields){ 0 };
}

/* value NULL: the field is to be deleted. */
static void add_copy(struct fields *f, struct bytes name, const char *value, size_t len)
{
    struct bytes copy = { 0 };
    if (value) copy = arena_copy(&f->arena, (struct bytes){ .data = value, .len = len });
    fields_append(f, name, copy);
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
    if (run->aside && run->aside->parent) {
        add_member(b, "parent", bytes_of(run->aside->parent));
        buf_addf(b, ",\"detached\":%s,\"depth\":%u", run->aside->detached ? "true" : "false",
                 run->aside->depth);
    }
    if (run_start_off(run) > 0) buf_addf(b, ",\"start_off\":%lld", (long long)run_start_off(run));
    if (run_policy(run)) add_member(b, "policy", bytes_of(start_policy_name(run_policy(run))));
    if (run->aside && run->aside->forked_from[0])
        add_member(b, "forked_from", bytes_of(run->aside->forked_from));
    buf_add_char(b, '}');
}

static void encode_numbers(struct buf *b, const int64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i) buf_add_char(b, ',');
        buf_add_int(b, numbers[i]);
    }
}

static void encode_entries(const struct run *run, const struct scope *scope, struct buf *b);

static void encode_step(const struct run *run, uint32_t index, const struct step *s, struct buf *b)
{
    const struct step_def *d = &run->def->steps[index];
    bool escalated = s->flags & STEP_ESCALATED, asking = s->flags & STEP_ASKING;
    bool held = s->flags & STEP_HELD, decided = s->flags & STEP_DECIDED;
    const int64_t numbers[] = { index,         s->state,
                                s->attempt,    s->counted,
                                s->issued_off, s->at_ms,
                                s->definite,   s->choice,
                                s->handler,    asking + 2 * escalated + 4 * held + 8 * decided,
                                s->base };
    const struct scope *iteration = d->kind == STEP_LOOP && s->body ? s->body->first : NULL;
    size_t count = ARRAY_LEN(numbers);
    while (!iteration && numbers[count - 1] == 0 && count > 2) count--;
    buf_add_char(b, '[');
    encode_numbers(b, numbers, count);
    if (iteration) {
        buf_add_char(b, ',');
        encode_entries(run, iteration, b);
    }
    buf_add_char(b, ']');
}

static void encode_entries(const struct run *run, const struct scope *scope, struct buf *b)
{
    const struct scope_def *def = &run->def->scopes[scope->id];
    bool first = true;
    buf_add_char(b, '[');
    for (uint32_t i = 0; i < def->count; i++) {
        if (!scope->steps[i]) continue;
        if (!first) buf_add_char(b, ',');
        first = false;
        encode_step(run, def->steps[i], scope->steps[i], b);
    }
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
    buf_add_char(b, ',');
    encode_entries(run, run->root, b);
    buf_add_char(b, ',');
    int64_t since_ms = run_lives(run) ? run->aside->since_ms : 0;
    const int64_t last[] = {
        run->begun, run->more, since_ms, run_lives(run), run->top, run->floor
    };
    bool revived = run_lives(run) || run->top;
    encode_numbers(b, last, revived ? ARRAY_LEN(last) : 2);
    buf_add_char(b, ']');
}

/* --- maps --- */

static void encode_bits(const struct body *body, uint32_t from, uint32_t to, enum item_state state,
                        struct buf *b)
{
    char digits[PAGE_ITEMS / 4 + 1];
    size_t len = 0, used = 0;
    for (uint32_t i = from; i < to; i += 4) {
        unsigned bits = 0;
        for (uint32_t k = i; k < to && k < i + 4; k++)
            if (body->items[k].state == state) bits |= 1u << (k - i);
        digits[len++] = "0123456789abcdef"[bits];
        if (bits) used = len;
    }
    buf_add_char(b, '"');
    buf_add(b, digits, used);
    buf_add_char(b, '"');
}

static void encode_page(const struct run *run, const struct body *body, uint32_t page,
                        struct buf *b)
{
    uint32_t from = page * PAGE_ITEMS, to = MIN(body->begun, from + PAGE_ITEMS);
    bool first = true;
    buf_add_char(b, '[');
    encode_bits(body, from, to, ITEM_COMPLETED, b);
    buf_add_char(b, ',');
    encode_bits(body, from, to, ITEM_FAILED, b);
    buf_add_text(b, ",[");
    for (uint32_t i = from; i < to; i++) {
        if (body->items[i].state != ITEM_LIVE) continue;
        buf_addf(b, "%s[%u,", first ? "" : ",", i);
        first = false;
        encode_entries(run, body->items[i].live, b);
        buf_add_char(b, ']');
    }
    buf_add_text(b, "]]");
}

static void output_changes(const struct run *run, struct body *body, struct fields *ret)
{
    AUTO_BUF struct buf name = { 0 };
    for (size_t k = 0; k < body->changed_count; k++) {
        struct map_item *item = &body->items[body->changed[k]];
        if (!item->changed) continue;
        item_field_name(&name, "o:", run, body, body->changed[k]);
        add_copy(ret, arena_copy(&ret->arena, buf_bytes(&name)), item->output, item->output_len);
        item->changed = false;
        item->stored = item->output != NULL;
    }
    body->changed_count = 0;
}

static void body_changes(const struct run *run, struct body *body, struct fields *ret)
{
    AUTO_BUF struct buf name = { 0 }, text = { 0 };
    for (uint32_t p = 0; p * PAGE_ITEMS < body->begun; p++) {
        if (!(body->pages[p] & PAGE_CHANGED)) continue;
        if (MUTANT(PAGE_UNSAVED) && body->pages[p] & PAGE_STORED) continue;
        page_field_name(&name, run, body, p);
        buf_reset(&text);
        encode_page(run, body, p, &text);
        fields_append(ret, arena_copy(&ret->arena, buf_bytes(&name)),
                      arena_copy(&ret->arena, buf_bytes(&text)));
        body->pages[p] = PAGE_STORED;
    }
    output_changes(run, body, ret);
    body->changed_at = 0;
}

/* --- what changed --- */

static struct bytes named(struct fields *f, const char *prefix, const struct run *run,
                          const struct scope *scope, const char *step)
{
    const char *const parts[] = { prefix, scope_path(run, scope), step };
    size_t len[ARRAY_LEN(parts)], sum = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) sum += len[i] = strlen(parts[i]);
    char *name = arena_alloc(&f->arena, sum + 1), *at = name;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        memcpy(at, parts[i], len[i]);
        at += len[i];
    }
    *at = '\0';
    return (struct bytes){ .data = name, .len = sum };
}

static void step_changes(const struct run *run, const struct scope *scope, const char *path,
                         struct step *s, struct fields *ret)
{
    if (!(s->flags & (STEP_RESULT_CHANGED | STEP_PAYLOAD_CHANGED))) return;
    /* What is not there needs no deletion. */
    if (s->flags & STEP_RESULT_CHANGED && (s->result || s->flags & STEP_RESULT_STORED))
        add_copy(ret, named(ret, "o:", run, scope, path), s->result, s->result_len);
    if (s->flags & STEP_PAYLOAD_CHANGED && (s->payload || s->flags & STEP_PAYLOAD_STORED))
        add_copy(ret, named(ret, "q:", run, scope, path), s->payload, s->payload_len);
    s->flags &= (uint8_t) ~(STEP_RESULT_CHANGED | STEP_PAYLOAD_CHANGED | STEP_RESULT_STORED |
                            STEP_PAYLOAD_STORED);
    if (s->result) s->flags |= STEP_RESULT_STORED;
    if (s->payload) s->flags |= STEP_PAYLOAD_STORED;
}

static void scope_changes(const struct run *run, struct scope *scope, struct fields *ret)
{
    const struct scope_def *def = &run->def->scopes[scope->id];
    for (uint32_t i = 0; i < def->count; i++)
        if (scope->steps[i])
            step_changes(run, scope, run->def->steps[def->steps[i]].path, scope->steps[i], ret);
    scope->changed_at = 0;
}

static void repeated_changes(struct run *run, struct fields *ret)
{
    if (!run->aside) return;
    for (size_t i = 0; i < run->aside->changed_scope_count; i++)
        if (run->aside->changed_scopes[i]) scope_changes(run, run->aside->changed_scopes[i], ret);
    for (size_t i = 0; i < run->aside->changed_body_count; i++)
        if (run->aside->changed_bodies[i]) body_changes(run, run->aside->changed_bodies[i], ret);
    run->aside->changed_scope_count = run->aside->changed_body_count = 0;
    while (run->aside->ended) {
        struct body *body = run->aside->ended;
        run->aside->ended = body->next_ended;
        output_changes(run, body, ret);
        body_free(run, body);
    }
}

/* First of all, because what is deleted may be written again. */
static void erased_changes(struct run *run, struct fields *ret)
{
    if (!run->aside) return;
    for (size_t i = 0; i < run->aside->erased_count; i++) {
        fields_append(ret, arena_text(&ret->arena, run->aside->erased[i]), (struct bytes){ 0 });
        free(run->aside->erased[i]);
    }
    run->aside->erased_count = 0;
}

/* All of them in one field, named after the first: a field costs Redis more than what is in it. */
static void transition_changes(struct run *run, struct fields *ret)
{
    if (!run->unsaved) return;
    struct buf *b = &ret->spare;
    buf_reset(b);
    buf_add_text(b, "t:");
    buf_add_int(b, run->unsaved->number);
    struct bytes name = arena_copy(&ret->arena, buf_bytes(b));
    buf_reset(b);
    while (run->unsaved) {
        struct transition *t = run->unsaved;
        buf_add_char(b, b->len ? ',' : '[');
        buf_add(b, t->text, t->len);
        run->unsaved = t->next;
        free(t);
    }
    run->unsaved_bytes = 0;
    buf_add_char(b, ']');
    fields_append(ret, name, arena_copy(&ret->arena, buf_bytes(b)));
}

bool field_is_payload(struct bytes name)
{
    if (name.len == 1) return memchr("ivgk", name.data[0], 4) != NULL;
    return name.len >= 2 && name.data[1] == ':' && (name.data[0] == 'o' || name.data[0] == 'q');
}

bool run_changed(const struct run *run)
{
    return run->changed != 0;
}

/* What most runs do not have. */
static void aside_changes(const struct run *run, struct fields *ret)
{
    AUTO_BUF struct buf b = { 0 };
    if (run->changed & RUN_UNDO && !MUTANT(UNDO_UNSAVED)) {
        undo_encode(run, &b);
        fields_append(ret, BYTES_LIT("u"), arena_copy(&ret->arena, buf_bytes(&b)));
    }
    if (run->changed & RUN_CLOSED) {
        buf_reset(&b);
        closed_encode(run, &b);
        fields_append(ret, BYTES_LIT("c"), arena_copy(&ret->arena, buf_bytes(&b)));
    }
    if (run->changed & RUN_SIGNALS)
        add_copy(ret, BYTES_LIT("g"), run->aside->signals, run->aside->signals_len);
}

void run_changes(struct run *run, struct fields *ret)
{
    if (!run->changed) return;
    struct buf *b = &ret->spare;
    erased_changes(run, ret);
    if (run->changed & RUN_NEW) {
        buf_reset(b);
        encode_head(run, b);
        fields_append(ret, BYTES_LIT("h"), arena_copy(&ret->arena, buf_bytes(b)));
        add_copy(ret, BYTES_LIT("i"), run->input, run->input_len);
        if (run->aside && run->aside->seeds)
            add_copy(ret, BYTES_LIT("k"), run->aside->seeds, run->aside->seeds_len);
    }
    /* Whatever changes, the skeleton does: it holds the time. */
    buf_reset(b);
    encode_skeleton(run, b);
    fields_append(ret, BYTES_LIT("s"), arena_copy(&ret->arena, buf_bytes(b)));
    if (run->changed & RUN_LATE) {
        buf_reset(b);
        late_encode(run, b);
        fields_append(ret, BYTES_LIT("l"), arena_copy(&ret->arena, buf_bytes(b)));
    }
    if (run->changed & RUN_VARS) add_copy(ret, BYTES_LIT("v"), run->vars, run->vars_len);
    aside_changes(run, ret);
    if (run->changed & RUN_RESULT_CHANGED)
        add_copy(ret, BYTES_LIT("o:"), run->result, run->result_len);
    scope_changes(run, run->root, ret);
    repeated_changes(run, ret);
    transition_changes(run, ret);
    run->changed = 0;
    run->pending_fields = 0;
}
