/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of a run: its memory, the tables of legal moves and the one door through which a state
 * changes. */
#include "orchestrator/engine/state.h"

#include <stdlib.h>

#include "common/base/limits.h"

static_assert(ATTEMPTS_MAX < UINT8_MAX, "an attempt fits its byte");
static_assert(sizeof(struct step) <= 72, "a waiting run stays small");

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

/* --- legal moves: what is not here is a bug of ours; terminal states of
 * steps have no row --- */

#define TO(s) [STEP_STATE_##s] = true
#define ENDS  TO(COMPLETED), TO(FAILED), TO(SKIPPED), TO(CANCELLED)
static const bool step_moves[STEP_STATE_COUNT][STEP_STATE_COUNT] = {
    [STEP_STATE_PENDING] = { TO(ISSUED), TO(WAITING), TO(COMPLETED), TO(FAILED), TO(SKIPPED) },
    [STEP_STATE_ISSUED] = { TO(BACKOFF), TO(WAITING), ENDS },
    /* From WAITING to WAITING: what failed there, and now a handler runs or people are asked. */
    [STEP_STATE_WAITING] = { TO(ISSUED), TO(WAITING), ENDS },
    [STEP_STATE_BACKOFF] = { TO(ISSUED), TO(WAITING), ENDS },
};
#undef ENDS
#undef TO
#define TO(s) [RUN_##s] = true
/* A run that goes on may go to any other state of going on, to a stop, or to an end. */
#define GOING TO(RUNNING), TO(WAITING_APPROVAL), TO(ROLLING_BACK)
#define ENDS  TO(FAILED), TO(CANCELLED), TO(ROLLED_BACK)
static const bool run_moves[RUN_STATE_COUNT][RUN_STATE_COUNT] = {
    [RUN_INITIALIZING] = { TO(INITIALIZING), TO(RUNNING), TO(FAILED), TO(CANCELLED) },
    [RUN_RUNNING] = { GOING, TO(PAUSED), TO(COMPLETED), ENDS },
    [RUN_WAITING_APPROVAL] = { GOING, TO(PAUSED), TO(COMPLETED), ENDS },
    [RUN_ROLLING_BACK] = { GOING, TO(PAUSED), TO(COMPLETED), ENDS },
    [RUN_PAUSED] = { TO(RUNNING), ENDS },
    /* By run_reopen alone. */
    [RUN_COMPLETED] = { TO(RUNNING) },
    [RUN_FAILED] = { TO(RUNNING) },
    [RUN_CANCELLED] = { TO(RUNNING) },
};
#undef GOING
#undef ENDS
#undef TO

/* Notes a move for the transition of this application. */
static void note_move(struct fold *f, struct bytes path, const char *state, uint32_t attempt,
                      const char *why)
{
    struct buf *b = &f->moves;
    buf_add_char(b, b->len ? ',' : '[');
    buf_add_char(b, '[');
    buf_add_json_string(b, path.data, path.len);
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

static void account(struct run *run, const struct scope *scope, size_t more, size_t less)
{
    if (scope->body) run->aside->repeated_bytes += more - less;
}

/* What only a live step needs is dropped, so that memory and stored form agree. */
static void step_shed(struct run *run, const struct scope *scope, uint32_t index, struct step *s)
{
    bool holds = step_holds(&run->def->steps[index], s);
    if (s->payload && !holds) {
        account(run, scope, 0, payload_bytes(s->payload, s->payload_len));
        free(TAKE(s->payload));
        s->flags |= STEP_PAYLOAD_CHANGED;
        run->pending_fields++;
    }
    s->flags &= (uint8_t)~STEP_ESCALATED;
    s->handler = s->base = 0;
    s->at_ms = 0;
    if (s->state != STEP_STATE_FAILED && s->state != STEP_STATE_CANCELLED) s->definite = 0;
    if (holds) return;
    s->payload_len = s->choice = 0;
    s->issued_off = 0;
}

/* The step in its instance, made if it was PENDING so far. */
static struct step *make_in(struct fold *f, struct scope *scope, uint32_t index)
{
    struct step **place = &scope->steps[f->def->steps[index].slot];
    if (*place) return *place;
    *place = xcalloc(1, sizeof **place);
    enum step_kind kind = f->def->steps[index].kind;
    if (scope->body && (step_kind_is_task(kind) || kind == STEP_WORKFLOW)) {
        /* An instance of the same path may have had these attempts. */
        (*place)->attempt = (*place)->base = f->run->floor;
        (*place)->counted = (1ll << MIN(f->run->floor, 62)) - 1;
    }
    account(f->run, scope, step_bytes(*place), 0);
    return *place;
}

struct step *step_make(struct fold *f, uint32_t index)
{
    struct scope *scope = step_scope(f, index);
    ASSERT(scope);
    return make_in(f, scope, index);
}

/* A step that was WAITING moves: what kept count of its waiting does so no more. */
static void leave_waiting(struct fold *f, uint32_t index, struct step *s)
{
    const struct step_def *d = &f->def->steps[index];
    if (step_queued(d, s)) queue_remove(f->run, s);
    if (s->flags & STEP_ASKING) {
        s->flags &= (uint8_t)~STEP_ASKING;
        f->run->aside->asked--;
        step_set_payload(f, index, (struct bytes){ 0 });
    } else if (d->kind == STEP_ROLLBACK && !s->handler) {
        f->run->aside->undoing--;
    }
}

struct step *step_move(struct fold *f, uint32_t index, enum step_state to, const char *why)
{
    struct run *run = f->run;
    struct scope *scope = step_scope(f, index);
    struct step *s = make_in(f, scope, index);
    ASSERT(step_moves[s->state][to]);
    if (s->state == STEP_STATE_ISSUED) run->issued--;
    if (to == STEP_STATE_ISSUED) run->issued++;
    if (s->state == STEP_STATE_WAITING) leave_waiting(f, index, s);
    if (to == STEP_STATE_WAITING) s->issued_off = s->at_ms = 0;
    s->state = (uint8_t)to;
    if (step_state_terminal(to)) step_shed(run, scope, index, s);
    timed_update(run, scope, index, s);
    scope_changed(run, scope);
    note_move(f, step_path(f, index), step_state_name(to), s->attempt, why);
    return s;
}

struct step *step_reopen(struct fold *f, uint32_t index, enum step_state to)
{
    struct scope *scope = step_scope(f, index);
    struct step *s = make_in(f, scope, index);
    bool repeats = f->def->steps[index].body_scope != NO_INDEX;
    ASSERT(step_state_terminal((enum step_state)s->state));
    ASSERT(to == STEP_STATE_PENDING || to == STEP_STATE_WAITING);
    step_set_result(f, index, (struct bytes){ 0 });
    /* Who decides that what was answered is asked once more knows that it is a new request; of what
     * was cut off nobody knows whether it was carried out. */
    if (s->state == STEP_STATE_COMPLETED) s->definite = s->attempt;
    if (s->state == STEP_STATE_FAILED && s->definite < UINT8_MAX) s->definite++;
    if (repeats) s->at_ms = s->counted = 0;
    if (to == STEP_STATE_PENDING) s->issued_off = s->choice = 0;
    s->flags &= (uint8_t) ~(STEP_HELD | STEP_DECIDED);
    s->base = s->attempt;
    s->state = (uint8_t)to;
    scope_changed(f->run, scope);
    note_move(f, step_path(f, index), step_state_name(to), s->attempt, NULL);
    return s;
}

void step_touch(struct fold *f, uint32_t index)
{
    f->touched = true;
    scope_changed(f->run, step_scope(f, index));
}

void run_move(struct fold *f, enum run_state to, const char *why)
{
    enum run_state from = run_state_of(f->run);
    ASSERT(run_moves[from][to]);
    f->run->state = (uint8_t)to;
    note_move(f, (struct bytes){ .data = "" }, run_state_name(to), 0, why);
    if (f->cx->lifecycle) effect_lifecycle(f, from, why);
}

void run_reopen(struct fold *f)
{
    struct run *run = f->run;
    ASSERT(run_state_terminal((enum run_state)run->state));
    run_set_result(f, (struct bytes){ 0 });
    run_aside(run)->since_ms = f->now_ms;
    run->finished_ms = 0;
    run->finished_off = -1;
    run->begun = 0;
    run->aside->lives++;
    run_move(f, RUN_RUNNING, NULL);
}

/* --- a fold --- */

/* The buffers that nearly every application fills are kept from one to the next. */
struct fold fold_begin(struct run *run, const struct fold_context *cx, struct effects *fx)
{
    struct fold f = { .run = run,
                      .def = run->def,
                      .cx = cx,
                      .fx = fx,
                      .scope = run->root,
                      .now_ms = MAX(run->now_ms, cx->record_ms),
                      .at = NO_INDEX };
    if (!fx) return f;
    f.moves = buf_move(&fx->spare[0]);
    f.payload = buf_move(&fx->spare[1]);
    f.text = buf_move(&fx->spare[2]);
    return f;
}

/* One that had to grow for a large payload is not kept. */
static void give_back(struct fold *f, struct buf *b, size_t i)
{
    if (f->fx && !f->fx->spare[i].data && b->cap <= SPARE_BYTES_MAX) {
        buf_reset(b);
        f->fx->spare[i] = buf_move(b);
    }
    buf_done(b);
}

static void save_transition(struct fold *f)
{
    struct run *run = f->run;
    struct buf *b = &f->text;
    buf_reset(b);
    buf_add_int(b, f->cx->record_ms);
    buf_add_char(b, ',');
    buf_add_int(b, f->cx->offset);
    buf_add_char(b, ',');
    struct transition *t = xmalloc(sizeof *t + b->len + f->moves.len + 1);
    t->next = NULL;
    t->number = run->transitions++;
    t->len = (uint32_t)(b->len + f->moves.len + 1);
    memcpy(t->text, b->data, b->len);
    memcpy(t->text + b->len, f->moves.data, f->moves.len);
    t->text[t->len - 1] = ']';
    run->unsaved_bytes += (uint32_t)(sizeof *t + t->len);
    run->pending_fields++;
    if (!run->unsaved) run->unsaved_end = &run->unsaved;
    *run->unsaved_end = t;
    run->unsaved_end = &t->next;
}

void fold_release(struct fold *f)
{
    names_done(f);
    give_back(f, &f->moves, 0);
    give_back(f, &f->payload, 1);
    give_back(f, &f->text, 2);
    buf_done(&f->path);
    buf_done(&f->returned);
    buf_done(&f->secrets);
    buf_done(&f->idempotency);
    buf_done(&f->cache_key);
}

void fold_end(struct fold *f)
{
    struct run *run = f->run;
    if (f->touched) {
        run->now_ms = f->now_ms;
        run->changed |= RUN_SKELETON;
        if (f->moves.len) save_transition(f);
        run->due_ms = run_next_due_ms(run);
    }
    if (run->aside) run->aside->visited = f->visited;
    fold_release(f);
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
    run->root = scope_new(run, NULL, 0);
    run->root->dirty = true;
    run->finished_off = -1;
    for (uint32_t i = 0; i < def->step_count; i++)
        if (def->steps[i].kind == STEP_SET)
            run->sets_vars = true;
        else if (def->steps[i].signal)
            run->waits_signals = true;
    AUTO_BUF struct buf b = { 0 };
    for (int i = 0; i < TEXT_COUNT; i++) {
        bool usable = text_usable(texts[i]);
        run->text_len[i] = usable ? (uint16_t)texts[i].len : TEXT_ABSENT;
        if (usable) buf_add(&b, texts[i].data, texts[i].len);
    }
    if (b.len) run->texts = xstrndup(b.data, b.len);
    return run;
}

struct aside *run_aside(struct run *run)
{
    if (!run->aside) run->aside = xcalloc(1, sizeof *run->aside);
    return run->aside;
}

static void aside_free(struct run *run)
{
    struct aside *a = run->aside;
    if (!a) return;
    while (a->ended) {
        struct body *b = a->ended;
        a->ended = b->next_ended;
        body_free(run, b);
    }
    late_free(run);
    ASSERT(a->repeated_bytes == 0 && !a->queue);
    for (size_t i = 0; i < a->erased_count; i++) free(a->erased[i]);
    free(a->erased);
    free(a->changed_scopes);
    free(a->changed_bodies);
    free(a->signals);
    free(a->seeds);
    free(a->parent);
    free(a->closed);
    free(a->undo);
    free(a);
}

struct run *run_free(struct run *run)
{
    if (!run) return NULL;
    scope_free(run, run->root);
    aside_free(run);
    ASSERT(run->timed_count == 0);
    while (run->unsaved) {
        struct transition *t = run->unsaved;
        run->unsaved = t->next;
        free(t);
    }
    free(run->timed);
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

enum start_policy run_policy(const struct run *run)
{
    return run->aside ? run->aside->policy : START_REJECT;
}

int64_t run_start_off(const struct run *run)
{
    return run->aside ? run->aside->start_off : 0;
}

int64_t run_due_ms(const struct run *run)
{
    return run->due_ms;
}

uint32_t run_visited(const struct run *run)
{
    return run->aside ? run->aside->visited : 1;
}

size_t run_pending_fields(const struct run *run)
{
    return run->pending_fields;
}

size_t run_memory(const struct run *run)
{
    const size_t overhead = 16; /* of an allocation, rounding included */
    uint32_t slots = run->def->scopes[0].count;
    size_t sum = sizeof *run + sizeof *run->root + 4 * overhead + run->input_len + run->vars_len +
                 run->result_len + slots * sizeof(struct step *) +
                 run->timed_count * sizeof *run->timed + run->unsaved_bytes;
    for (uint32_t i = 0; i < slots; i++)
        if (run->root->steps[i]) sum += step_bytes(run->root->steps[i]);
    if (run->aside)
        sum += run->aside->repeated_bytes + run->aside->signals_len + run->aside->seeds_len;
    return sum;
}

/* --- steps --- */

bool step_queued(const struct step_def *d, const struct step *s)
{
    return step_kind_is_task(d->kind) && s->state == STEP_STATE_WAITING && s->issued_off &&
           !s->handler;
}

void step_set_result(struct fold *f, uint32_t index, struct bytes value)
{
    struct scope *scope = step_scope(f, index);
    struct step *s = make_in(f, scope, index);
    if (!value.data && !s->result) return;
    size_t before = step_bytes(s);
    char *copy = bytes_dup(value);
    free(s->result);
    s->result = copy;
    s->result_len = (uint32_t)value.len;
    account(f->run, scope, step_bytes(s), before);
    s->flags |= STEP_RESULT_CHANGED;
    f->run->pending_fields++;
    names_forget_result(scope, f->def->steps[index].slot);
    f->touched = true;
    scope_changed(f->run, scope);
}

void step_set_payload(struct fold *f, uint32_t index, struct bytes value)
{
    struct step *s = step_make(f, index);
    if (!value.data && !s->payload) return;
    size_t before = step_bytes(s);
    free(s->payload);
    s->payload = bytes_dup(value);
    s->payload_len = (uint32_t)value.len;
    account(f->run, step_scope(f, index), step_bytes(s), before);
    s->flags |= STEP_PAYLOAD_CHANGED;
    f->run->pending_fields++;
    step_touch(f, index);
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

void run_set_signals(struct fold *f, struct bytes value)
{
    struct aside *a = run_aside(f->run);
    free(a->signals);
    a->signals = bytes_dup(value);
    a->signals_len = (uint32_t)value.len;
    f->run->changed |= RUN_SIGNALS;
    f->touched = true;
    json_decref(TAKE(f->signals_json));
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

struct bytes step_output(const struct fold *f, uint32_t index)
{
    return result_or_null(step_get(f, index), step_at(f, index) == STEP_STATE_COMPLETED);
}

struct bytes step_error(const struct fold *f, uint32_t index)
{
    return result_or_null(step_get(f, index), step_at(f, index) != STEP_STATE_COMPLETED);
}

struct bytes block_output(const struct fold *f, uint32_t block)
{
    const struct block_def *b = &f->def->blocks[block];
    return b->count ? step_output(f, b->steps[b->count - 1]) : BYTES_LIT("null");
}

/* --- times --- */

int64_t run_deadline_ms(const struct run *run)
{
    bool rolls = run->finished_ms && !run_state_terminal((enum run_state)run->state);
    int64_t since = run_lives(run) ? run->aside->since_ms : run->started_ms;
    return (rolls ? run->finished_ms : since) + run->def->timeout_ms;
}

/* A compensation that a step has begun keeps its time when the run as a whole rolls back: what is
 * out says so already. */
int64_t step_deadline_ms(const struct run *run, const struct step_def *d, const struct step *s)
{
    int64_t limit = run_deadline_ms(run);
    if (s->at_ms < run->finished_ms) limit = run->started_ms + run->def->timeout_ms;
    return d->queue_timeout_ms ? MIN(s->at_ms + d->queue_timeout_ms, limit) : limit;
}

int64_t step_backstop_ms(const struct run *run, const struct step_def *d, const struct step *s)
{
    int64_t call = d->timeout_ms;
    if (d->kind == STEP_WORKFLOW) return call ? s->at_ms + call : run_deadline_ms(run);
    return step_deadline_ms(run, d, s) + (call ? call : CALL_TIMEOUT_MS) + LEASE_MS;
}

int64_t run_next_due_ms(const struct run *run)
{
    if (run_state_terminal((enum run_state)run->state))
        return run->finished_ms + run->def->retention_ms;
    if (run->state == RUN_INITIALIZING) return run->started_ms + DURATION_MS_MAX;
    int64_t due = run_deadline_ms(run);
    if (run->state == RUN_PAUSED) return due;
    if (run->more) return run->now_ms;
    return run->timed_count ? MIN(due, run->timed[0].due_ms) : due;
}
