/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of a run: its memory, the tables of legal moves and the one door through which a state
 * changes. */
#include "orchestrator/engine/state.h"

#include <stdlib.h>

#include "common/base/limits.h"

static_assert(ATTEMPTS_MAX < UINT8_MAX, "an attempt fits its byte");
static_assert(sizeof(struct step) <= 64, "a waiting run stays small");

/* --- names and kinds of states --- */

struct state_info {
    const char *text;
    bool terminal;
};
#define X(name, text_, terminal_) [RUN_##name] = { .text = text_, .terminal = terminal_ },
static const struct state_info run_states[RUN_STATE_COUNT] = { RUN_STATES(X) };
#undef X
#define X(name, text_, terminal_) [STEP_STATE_##name] = { .text = text_, .terminal = terminal_ },
static const struct state_info step_states[STEP_STATE_COUNT] = { STEP_STATES(X) };
#undef X

const char *run_state_name(enum run_state s)
{
    ASSERT(s < RUN_STATE_COUNT);
    return run_states[s].text;
}

const char *step_state_name(enum step_state s)
{
    ASSERT(s < STEP_STATE_COUNT);
    return step_states[s].text;
}

bool run_state_terminal(enum run_state s)
{
    ASSERT(s < RUN_STATE_COUNT);
    return run_states[s].terminal;
}

bool step_state_terminal(enum step_state s)
{
    ASSERT(s < STEP_STATE_COUNT);
    return step_states[s].terminal;
}

/* --- legal moves: what is not here is a bug of ours; terminal states have no row --- */

#define TO(s) [STEP_STATE_##s] = true
static const bool step_moves[STEP_STATE_COUNT][STEP_STATE_COUNT] = {
    [STEP_STATE_PENDING] = { TO(ISSUED), TO(WAITING), TO(COMPLETED), TO(FAILED), TO(SKIPPED) },
    [STEP_STATE_ISSUED] = { TO(BACKOFF), TO(WAITING), TO(COMPLETED), TO(FAILED), TO(CANCELLED) },
    /* From WAITING to WAITING: a container that failed and now runs its fallback. */
    [STEP_STATE_WAITING] = { TO(ISSUED), TO(WAITING), TO(COMPLETED), TO(FAILED), TO(CANCELLED) },
    [STEP_STATE_BACKOFF] = { TO(ISSUED), TO(WAITING), TO(COMPLETED), TO(FAILED), TO(CANCELLED) },
};
#undef TO
#define TO(s) [RUN_##s] = true
static const bool run_moves[RUN_STATE_COUNT][RUN_STATE_COUNT] = {
    [RUN_INITIALIZING] = { TO(RUNNING), TO(FAILED) },
    [RUN_RUNNING] = { TO(PAUSED), TO(COMPLETED), TO(FAILED), TO(CANCELLED) },
    [RUN_PAUSED] = { TO(RUNNING), TO(FAILED), TO(CANCELLED) },
};
#undef TO

/* Notes a move for the transition of this application. */
static void note_move(struct fold *f, const char *path, const char *state, uint32_t attempt,
                      const char *why)
{
    struct buf *b = &f->moves;
    buf_add_char(b, b->len ? ',' : '[');
    buf_add_char(b, '[');
    buf_add_json_string(b, path, strlen(path));
    buf_add_text(b, ",\"");
    buf_add_text(b, state);
    buf_add_text(b, "\",");
    buf_add_int(b, attempt);
    if (why) {
        buf_add_text(b, ",\"");
        buf_add_text(b, why);
        buf_add_char(b, '"');
    }
    buf_add_char(b, ']');
    f->touched = true;
}

/* What only a live step needs is dropped, so that memory and stored form agree. */
static void step_shed(struct step *s)
{
    if (s->payload) {
        free(TAKE(s->payload));
        s->flags |= STEP_PAYLOAD_CHANGED;
    }
    s->flags &= (uint8_t)~STEP_FALLBACK;
    s->payload_len = s->choice = 0;
    s->issued_off = s->at_ms = 0;
    s->definite = 0;
}

struct step *step_move(struct fold *f, uint32_t index, enum step_state to, const char *why)
{
    struct step *s = step_make(f->run, index);
    ASSERT(step_moves[s->state][to]);
    if (s->state == STEP_STATE_ISSUED) {
        f->run->issued--;
        f->freed = true;
    }
    if (to == STEP_STATE_ISSUED) f->run->issued++;
    s->state = (uint8_t)to;
    if (step_state_terminal(to)) step_shed(s);
    note_move(f, f->def->steps[index].path, step_state_name(to), s->attempt, why);
    return s;
}

void run_move(struct fold *f, enum run_state to, const char *why)
{
    ASSERT(run_moves[f->run->state][to]);
    f->run->state = (uint8_t)to;
    note_move(f, "", run_state_name(to), 0, why);
}

/* --- a fold --- */

struct fold fold_begin(struct run *run, const struct fold_context *cx, struct effects *fx)
{
    return (struct fold){ .run = run,
                          .def = run->def,
                          .cx = cx,
                          .fx = fx,
                          .now_ms = MAX(run->now_ms, cx->record_ms),
                          .at = NO_INDEX };
}

static void save_transition(struct fold *f)
{
    struct run *run = f->run;
    AUTO_BUF struct buf b = { 0 };
    buf_reserve(&b, f->moves.len + 48);
    buf_add_int(&b, f->cx->record_ms);
    buf_add_char(&b, ',');
    buf_add_int(&b, f->cx->offset);
    buf_add_char(&b, ',');
    buf_add(&b, f->moves.data, f->moves.len);
    buf_add_char(&b, ']');
    struct transition *t = xmalloc(sizeof *t + b.len);
    t->next = NULL;
    t->number = run->transitions++;
    t->len = (uint32_t)b.len;
    memcpy(t->text, b.data, b.len);
    if (!run->unsaved) run->unsaved_end = &run->unsaved;
    *run->unsaved_end = t;
    run->unsaved_end = &t->next;
}

void fold_end(struct fold *f)
{
    if (f->touched) {
        f->run->now_ms = f->now_ms;
        f->run->changed |= RUN_SKELETON;
        if (f->moves.len) save_transition(f);
        f->run->due_ms = run_next_due_ms(f->run);
    }
    names_done(f);
    buf_done(&f->moves);
    buf_done(&f->payload);
    buf_done(&f->secrets);
    buf_done(&f->idempotency);
}

/* --- a run --- */

char *bytes_dup(struct bytes value)
{
    if (!value.data) return NULL;
    char *copy = xmalloc(value.len + 1);
    memcpy(copy, value.data, value.len);
    copy[value.len] = '\0';
    return copy;
}

/* A text of a header that can be written as JSON and handed on; else it counts as absent. */
static bool text_usable(struct bytes text)
{
    return text.len && text.len <= TEXT_BYTES_MAX && !memchr(text.data, '\0', text.len) &&
           utf8_check(text.data, text.len);
}

struct run *run_new(const struct definition *def, struct bytes id,
                    const struct bytes texts[TEXT_COUNT])
{
    ASSERT(id.len == RUN_ID_MAX - 1);
    struct run *run = xcalloc(1, sizeof *run);
    run->def = def;
    memcpy(run->id, id.data, id.len);
    run->steps = xcalloc(def->step_count ? def->step_count : 1, sizeof *run->steps);
    run->finished_off = -1;
    for (uint32_t i = 0; i < def->step_count; i++)
        if (def->steps[i].kind == STEP_SET) run->sets_vars = true;
    AUTO_BUF struct buf b = { 0 };
    for (int i = 0; i < TEXT_COUNT; i++) {
        bool usable = text_usable(texts[i]);
        run->text_len[i] = usable ? (uint16_t)texts[i].len : TEXT_ABSENT;
        if (usable) buf_add(&b, texts[i].data, texts[i].len);
    }
    if (b.len) run->texts = xstrndup(b.data, b.len);
    return run;
}

struct run *run_free(struct run *run)
{
    if (!run) return NULL;
    for (uint32_t i = 0; i < run->def->step_count; i++) {
        struct step *s = run->steps[i];
        if (!s) continue;
        free(s->result);
        free(s->payload);
        free(s);
    }
    while (run->unsaved) {
        struct transition *t = run->unsaved;
        run->unsaved = t->next;
        free(t);
    }
    free(run->steps);
    free(run->texts);
    free(run->input);
    free(run->vars);
    free(run->result);
    free(run);
    return NULL;
}

struct bytes run_text(const struct run *run, enum run_text which)
{
    if (run->text_len[which] == TEXT_ABSENT) return (struct bytes){ 0 };
    const char *p = run->texts ? run->texts : "";
    for (int i = 0; i < (int)which; i++)
        if (run->text_len[i] != TEXT_ABSENT) p += run->text_len[i];
    return (struct bytes){ .data = p, .len = run->text_len[which] };
}

const char *run_id(const struct run *run)
{
    return run->id;
}

enum run_state run_state_of(const struct run *run)
{
    return (enum run_state)run->state;
}

const char *run_definition(const struct run *run)
{
    return run->def->sha256;
}

struct bytes run_key(const struct run *run)
{
    return run_text(run, TEXT_KEY);
}

int64_t run_due_ms(const struct run *run)
{
    return run->due_ms;
}

size_t run_memory(const struct run *run)
{
    const size_t overhead = 16; /* of an allocation, rounding included */
    size_t sum = sizeof *run + 4 * overhead + run->input_len + run->vars_len + run->result_len +
                 run->def->step_count * sizeof *run->steps;
    for (uint32_t i = 0; i < run->def->step_count; i++) {
        const struct step *s = run->steps[i];
        if (s) sum += sizeof *s + s->result_len + s->payload_len + 3 * overhead;
    }
    for (const struct transition *t = run->unsaved; t; t = t->next) sum += sizeof *t + t->len;
    return sum;
}

/* --- steps --- */

enum step_state step_at(const struct run *run, uint32_t index)
{
    const struct step *s = run->steps[index];
    return s ? (enum step_state)s->state : STEP_STATE_PENDING;
}

struct step *step_make(struct run *run, uint32_t index)
{
    if (!run->steps[index]) run->steps[index] = xcalloc(1, sizeof(struct step));
    return run->steps[index];
}

void step_set_result(struct fold *f, uint32_t index, struct bytes value)
{
    struct step *s = step_make(f->run, index);
    if (!value.data && !s->result) return;
    char *copy = bytes_dup(value);
    free(s->result);
    s->result = copy;
    s->result_len = (uint32_t)value.len;
    s->flags |= STEP_RESULT_CHANGED;
    f->touched = true;
    names_forget_result(f, index);
}

void step_set_payload(struct fold *f, uint32_t index, struct bytes value)
{
    struct step *s = step_make(f->run, index);
    ASSERT(!s->payload && value.data);
    s->payload = bytes_dup(value);
    s->payload_len = (uint32_t)value.len;
    s->flags |= STEP_PAYLOAD_CHANGED;
    f->touched = true;
}

void run_set_vars(struct fold *f, struct bytes value)
{
    free(f->run->vars);
    f->run->vars = bytes_dup(value);
    f->run->vars_len = (uint32_t)value.len;
    f->run->changed |= RUN_VARS;
    f->touched = true;
    json_decref(TAKE(f->vars_json));
}

void run_set_result(struct fold *f, struct bytes value)
{
    char *copy = bytes_dup(value);
    free(f->run->result);
    f->run->result = copy;
    f->run->result_len = (uint32_t)value.len;
    f->run->changed |= RUN_RESULT_CHANGED;
    f->touched = true;
    json_decref(TAKE(f->run_error_json));
}

static struct bytes result_or_null(const struct step *s, bool wanted)
{
    if (!s || !s->result || !wanted) return BYTES_LIT("null");
    return (struct bytes){ .data = s->result, .len = s->result_len };
}

struct bytes step_output(const struct run *run, uint32_t index)
{
    return result_or_null(run->steps[index], step_at(run, index) == STEP_STATE_COMPLETED);
}

struct bytes step_error(const struct run *run, uint32_t index)
{
    return result_or_null(run->steps[index], step_at(run, index) != STEP_STATE_COMPLETED);
}

struct bytes block_output(const struct run *run, uint32_t block)
{
    const struct block_def *b = &run->def->blocks[block];
    return b->count ? step_output(run, b->steps[b->count - 1]) : BYTES_LIT("null");
}

/* --- times --- */

int64_t run_deadline_ms(const struct run *run)
{
    return run->started_ms + run->def->timeout_ms;
}

int64_t step_deadline_ms(const struct run *run, uint32_t index)
{
    int64_t queue = run->def->steps[index].queue_timeout_ms;
    int64_t limit = run_deadline_ms(run);
    return queue ? MIN(run->steps[index]->at_ms + queue, limit) : limit;
}

int64_t step_backstop_ms(const struct run *run, uint32_t index)
{
    int64_t call = run->def->steps[index].timeout_ms;
    return step_deadline_ms(run, index) + (call ? call : CALL_TIMEOUT_MS) + LEASE_MS;
}

int64_t run_next_due_ms(const struct run *run)
{
    if (run_state_terminal((enum run_state)run->state))
        return run->finished_ms + run->def->retention_ms;
    int64_t due = run_deadline_ms(run);
    if (run->state == RUN_PAUSED) return due;
    for (uint32_t i = 0; i < run->def->step_count; i++) {
        enum step_state state = step_at(run, i);
        if (state == STEP_STATE_ISSUED) due = MIN(due, step_backstop_ms(run, i));
        if (state == STEP_STATE_BACKOFF) due = MIN(due, run->steps[i]->at_ms);
    }
    return due;
}
