/* SPDX-License-Identifier: Apache-2.0
 *
 * A step that is done by a worker: its task is issued, its results are matched by (path, attempt),
 * failures are retried, and it ends by the first success of any attempt or by its last failure. */
#include "orchestrator/engine/state.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/base/mutant.h"

#define IDEMPOTENCY_KEY_MAX 1024

static void task_id_of(struct fold *f, uint32_t index, uint32_t attempt, char ret[TASK_ID_MAX])
{
    task_id_make(ret, bytes_of(f->run->id), step_path(f, index), attempt);
}

/* What a worker may still do with the task that is out is of no use. */
void step_cancel_task(struct fold *f, uint32_t index)
{
    const struct step *s = step_get(f, index);
    char task_id[TASK_ID_MAX];
    task_id_of(f, index, s->attempt, task_id);
    effect_mark(f, EFFECT_CANCEL, task_id,
                step_deadline_ms(f->run, &f->def->steps[index], s) + LEASE_MS);
}

/* --- what a task is made of --- */

/* A text that the definition makes of the state; none where template is NULL. */
static bool make_key(const struct template *template, const char *what, struct template_env *env,
                     struct buf *ret, struct err *e)
{
    json_t *value = NULL;
    if (!template) return true;
    if (!template_eval_json(template, env, &value, e)) return err_prefix(e, "%s", what);
    AUTO_JSON *owned = value;
    if (json_is_string(owned))
        buf_add(ret, json_string_value(owned), json_string_length(owned));
    else
        json_write(ret, owned);
    if (ret->len > IDEMPOTENCY_KEY_MAX)
        return err_fail(e, ERR_LIMIT, "%s has %zu bytes, the limit is %d", what, ret->len,
                        IDEMPOTENCY_KEY_MAX);
    return true;
}

static bool evaluate_task(struct fold *f, uint32_t index, struct err *e)
{
    const struct step_def *d = &f->def->steps[index];
    struct template_env env = names_env(f, index);
    if (!make_key(d->idempotency_key, "idempotency_key", &env, &f->idempotency, e)) return false;
    if (!make_key(d->cache_key, "cache.key", &env, &f->cache_key, e)) return false;
    if (!d->input) {
        buf_add_text(&f->payload, "null");
        return true;
    }
    struct secret_refs secrets = { 0 };
    env.secrets = &secrets;
    bool ok = template_eval(d->input, &env, fold_payload_max(f), &f->payload, e);
    if (ok && secrets.count) secret_refs_encode(&secrets, &f->secrets);
    secret_refs_done(&secrets);
    if (ok && f->secrets.len + f->idempotency.len > HEADERS_BYTES_MAX / 2)
        ok = err_fail(e, ERR_LIMIT, "the task's references to secrets do not fit %d bytes",
                      HEADERS_BYTES_MAX / 2);
    return ok;
}

/* The stored form of a task: "<length of its key> <length of its secrets>\n", key, secrets,
 * payload. */
void step_save_task(struct fold *f, uint32_t index)
{
    AUTO_BUF struct buf b = { 0 };
    buf_reserve(&b, 48 + f->idempotency.len + f->secrets.len + f->payload.len);
    buf_add_int(&b, (int64_t)f->idempotency.len);
    buf_add_char(&b, ' ');
    buf_add_int(&b, (int64_t)f->secrets.len);
    buf_add_char(&b, '\n');
    buf_add(&b, f->idempotency.data, f->idempotency.len);
    buf_add(&b, f->secrets.data, f->secrets.len);
    buf_add(&b, f->payload.data, f->payload.len);
    step_set_payload(f, index, buf_bytes(&b));
}

static bool restore_task(struct fold *f, const struct step *s, struct err *e)
{
    const char *p = s->payload, *end = p + s->payload_len;
    char *after;
    unsigned long key = strtoul(p, &after, 10);
    unsigned long secrets = *after == ' ' ? strtoul(after + 1, &after, 10) : 0;
    size_t left = (size_t)(end - after);
    if (*after != '\n' || key > left || secrets > left || key + secrets + 1 > left)
        return err_fail(e, ERR_INVALID, "the stored task is damaged");
    p = after + 1;
    buf_add(&f->idempotency, p, key);
    buf_add(&f->secrets, p + key, secrets);
    buf_add(&f->payload, p + key + secrets, (size_t)(end - p) - key - secrets);
    return true;
}

/* Fills the fold's payload, secrets and idempotency key: as stored, or made from the state. All
 * attempts of a path get the same, because they carry the same idempotency key. */
bool step_make_task(struct fold *f, uint32_t index, struct err *e)
{
    const struct step *s = step_get(f, index);
    buf_reset(&f->payload);
    buf_reset(&f->secrets);
    buf_reset(&f->idempotency);
    buf_reset(&f->cache_key);
    f->read_mutable = false;
    return s && s->payload ? restore_task(f, s, e) : evaluate_task(f, index, e);
}

static struct bytes make_key_header(struct fold *f, uint32_t index, void **arena)
{
    const struct step *s = step_get(f, index);
    if (f->idempotency.len) return arena_copy(arena, buf_bytes(&f->idempotency));
    struct bytes path = step_path(f, index);
    struct buf *key = &f->text;
    buf_reset(key);
    buf_add(key, f->run->id, sizeof f->run->id - 1);
    buf_add_char(key, '/');
    buf_add(key, path.data, path.len);
    if (s->definite) { /* the provider has answered: the next attempt is a new request to it */
        buf_add_char(key, '/');
        buf_add_int(key, s->definite);
    }
    return arena_copy(arena, buf_bytes(key));
}

static struct bytes text_header(struct fold *f, enum run_text which)
{
    struct bytes text = run_text(f->run, which);
    return text.data ? arena_copy(&f->fx->arena, text) : (struct bytes){ 0 };
}

/* A task that was stored is without its key: what it was made of may have changed since. Then it is
 * not cached at all. */
static void add_cache_headers(struct fold *f, const struct step_def *d, struct bytes *header)
{
    if (!d->cache_ttl_ms || (d->cache_key && !f->cache_key.len)) return;
    header[HEADER_CACHE_TTL_MS] = arena_int(&f->fx->arena, d->cache_ttl_ms);
    if (d->cache_key)
        header[HEADER_CACHE_KEY] = arena_copy(&f->fx->arena, buf_bytes(&f->cache_key));
}

static struct bytes make_reply_to(struct fold *f, void **arena)
{
    struct buf *reply = &f->text;
    buf_reset(reply);
    buf_add_text(reply, f->cx->topic);
    buf_add_char(reply, '/');
    buf_add_int(reply, f->cx->partition);
    return arena_copy(arena, buf_bytes(reply));
}

/* The task of a step that is ISSUED, from what make_task has filled. */
static void emit_task(struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    const struct step *s = step_get(f, index);
    void **arena = &f->fx->arena;
    struct effect *effect = effect_new(f->fx, EFFECT_TASK);
    struct bytes *header = effect->header;
    task_id_of(f, index, s->attempt, effect->task_id);
    effect->queue = d->queue;
    effect->priority = d->priority;
    header[HEADER_V] = BYTES_LIT(MESSAGE_VERSION);
    header[HEADER_TYPE] = BYTES_LIT("task");
    header[HEADER_RUN_ID] = arena_text(arena, f->run->id);
    header[HEADER_PATH] = arena_copy(arena, step_path(f, index));
    header[HEADER_ATTEMPT] = arena_int(arena, s->attempt);
    header[HEADER_TASK_ID] = arena_text(arena, effect->task_id);
    header[HEADER_KIND] = bytes_of(step_kind_name(d->kind == STEP_ROUTER ? STEP_LLM : d->kind));
    header[HEADER_USES] = arena_text(arena, d->uses ? d->uses : "");
    header[HEADER_REPLY_TO] = make_reply_to(f, arena);
    header[HEADER_GEN] = arena_text(arena, f->cx->gen ? f->cx->gen : "");
    header[HEADER_DEADLINE_MS] = arena_int(arena, step_deadline_ms(f->run, d, s));
    header[HEADER_MARKS] = marks_header(f);
    if (d->timeout_ms) header[HEADER_TIMEOUT_MS] = arena_int(arena, d->timeout_ms);
    header[HEADER_IDEMPOTENCY_KEY] = make_key_header(f, index, arena);
    if (f->secrets.len) header[HEADER_SECRETS] = arena_copy(arena, buf_bytes(&f->secrets));
    if (d->kind == STEP_EMIT) header[HEADER_WORKFLOW] = arena_text(arena, f->def->name);
    add_cache_headers(f, d, header);
    header[HEADER_NAMESPACE] = text_header(f, TEXT_NAMESPACE);
    header[HEADER_ACTOR] = text_header(f, TEXT_ACTOR);
    header[HEADER_TRACEPARENT] = text_header(f, TEXT_TRACEPARENT);
    effect->key = header[HEADER_TASK_ID];
    effect->value = arena_copy(arena, buf_bytes(&f->payload));
}

/* --- issuing --- */

static void add_saturated(int64_t *sum, int64_t more)
{
    if (more > 0 && __builtin_add_overflow(*sum, more, sum)) *sum = INT64_MAX;
}

/* Whether the run has spent what its definition allows; e says on what. */
static bool budget_spent(const struct run *run, struct err *e)
{
    const struct definition *def = run->def;
    int64_t tokens = run->usage.tokens_in;
    add_saturated(&tokens, run->usage.tokens_out);
    if (def->budget_tokens && tokens >= def->budget_tokens)
        return !err_fail(e, ERR_LIMIT, "the run has used %lld of its budget of %lld tokens",
                         (long long)tokens, (long long)def->budget_tokens);
    if (def->budget_micro_usd && run->usage.micro_usd >= def->budget_micro_usd)
        return !err_fail(e, ERR_LIMIT, "the run has spent %lld of its budget of %lld micro-dollars",
                         (long long)run->usage.micro_usd, (long long)def->budget_micro_usd);
    return false;
}

bool step_spent(struct fold *f, uint32_t index)
{
    const struct step *s = step_make(f, index);
    if (s->attempt < ATTEMPTS_MAX) return false;
    struct err e;
    err_fail(&e, ERR_LIMIT, "the step has had %d attempts in this run, which is the limit",
             ATTEMPTS_MAX);
    struct failure failure = failure_of(ERROR_BUDGET_EXCEEDED, index, &e);
    step_fail_with(f, index, &failure);
    return true;
}

void step_issue(struct fold *f, uint32_t index, bool served)
{
    const struct step_def *d = &f->def->steps[index];
    struct err e = { 0 };
    if (d->kind == STEP_LLM && budget_spent(f->run, &e)) {
        struct failure failure = failure_of(ERROR_BUDGET_EXCEEDED, index, &e);
        step_fail_with(f, index, &failure);
        return;
    }
    if (step_spent(f, index)) return;
    if (!served && queue_full(f->run)) {
        queue_add(f, index);
        return;
    }
    if (!step_make_task(f, index, &e)) {
        step_fail_evaluation(f, index, &e);
        return;
    }
    if (f->read_mutable) step_save_task(f, index);
    struct step *s = step_make(f, index);
    ASSERT(s->attempt < UINT8_MAX);
    s->attempt++;
    s->at_ms = f->now_ms;
    step_move(f, index, STEP_STATE_ISSUED, NULL)->issued_off = f->cx->offset;
    emit_task(f, index);
}

/* A task that cannot be made again (a newer program whose expressions differ, which the logic
 * version should have prevented) is left to the backstop, which issues the next attempt. */
void step_reissue(struct fold *f, uint32_t index)
{
    struct err e;
    if (f->def->steps[index].kind == STEP_WORKFLOW)
        child_reissue(f, index);
    else if (step_make_task(f, index, &e))
        emit_task(f, index);
}

/* --- ends --- */

/* The result of the step's own work through its `output` mapping. */
void step_complete(struct fold *f, uint32_t index, struct bytes output)
{
    const struct step_def *d = &f->def->steps[index];
    AUTO_BUF struct buf mapped = { 0 };
    struct err e = { 0 };
    /* What a handler made, or people gave, stands for the step's output; the mapping was not
     * written for it. */
    const struct step *s = step_get(f, index);
    bool own = !s || !(s->handler || s->flags & STEP_ESCALATED);
    if (own && d->output) {
        struct template_env env = names_env(f, index);
        f->output = output;
        bool ok = template_eval(d->output, &env, fold_payload_max(f), &mapped, &e);
        f->output = (struct bytes){ 0 };
        output = buf_bytes(&mapped);
        if (!ok) err_prefix(&e, "output");
    } else if (output.len > fold_payload_max(f)) {
        err_fail(&e, ERR_LIMIT, "the output has %zu bytes, the limit is %zu", output.len,
                 fold_payload_max(f));
    }
    if (e.kind != ERR_NONE) {
        step_fail_evaluation(f, index, &e);
        return;
    }
    bool null = bytes_is(output, "null");
    step_set_result(f, index, null ? (struct bytes){ 0 } : output);
    step_move(f, index, STEP_STATE_COMPLETED, NULL);
    step_sweep_children(f, index, true);
    if (own) undo_note(f, index);
}

uint32_t step_handler(const struct step_def *d, const struct step *s)
{
    if (!s->handler) return NO_INDEX;
    return s->handler <= d->catch_count ? d->catches[s->handler - 1].block : d->fallback_block;
}

/* Which handler takes an error of that type; 0: none. */
static uint8_t handler_for(const struct step_def *d, const char *type)
{
    enum error_type known = ERROR_INTERNAL;
    (void)!error_type_find(bytes_of(type), &known);
    for (uint32_t i = 0; i < d->catch_count; i++)
        if (d->catches[i].on == 0 || d->catches[i].on >> known & 1) return (uint8_t)(i + 1);
    return d->on_error == ON_ERROR_FALLBACK ? (uint8_t)(d->catch_count + 1) : 0;
}

void step_fail(struct fold *f, uint32_t index, struct bytes error)
{
    const struct step_def *d = &f->def->steps[index];
    const struct step *s = step_get(f, index);
    char why[32];
    if (d->kind == STEP_ROUTER && router_default(f, index, error)) return;
    failure_type(error, why);
    uint8_t handler = s && s->handler ? 0 : handler_for(d, why);
    if (!handler && d->on_error == ON_ERROR_ESCALATE) {
        step_set_result(f, index, error);
        step_sweep_children(f, index, false);
        escalation_start(f, index);
        return;
    }
    if (!handler) {
        step_give_up(f, index, error);
        return;
    }
    step_set_result(f, index, error);
    step_move(f, index, STEP_STATE_WAITING, why)->handler = handler;
    step_sweep_children(f, index, false);
}

void step_give_up(struct fold *f, uint32_t index, struct bytes error)
{
    char why[32];
    failure_type(error, why);
    step_set_result(f, index, error);
    step_move(f, index, STEP_STATE_FAILED, why);
    step_sweep_children(f, index, true);
    if (f->def->steps[index].on_error != ON_ERROR_ROLLBACK || run_rolls(f->run)) return;
    struct bytes kept = step_error(f, index);
    buf_reset(&f->returned);
    buf_add(&f->returned, kept.data, kept.len);
    f->stop = STOP_UNDO;
}

void step_fail_with(struct fold *f, uint32_t index, const struct failure *failure)
{
    const struct step *s = step_get(f, index);
    struct failure complete = *failure;
    complete.step = index;
    complete.attempt = s ? s->attempt : 0;
    complete.retryable = false;
    AUTO_BUF struct buf error = { 0 };
    failure_encode(f, &error, &complete);
    step_fail(f, index, buf_bytes(&error));
}

void step_fail_evaluation(struct fold *f, uint32_t index, const struct err *e)
{
    enum error_type type = e->kind == ERR_LIMIT ? ERROR_BAD_REQUEST : ERROR_EXPRESSION;
    struct failure failure = failure_of(type, index, e);
    step_fail_with(f, index, &failure);
}

/* --- failures of an attempt --- */

/* Failures after which nobody knows whether the call was carried out. */
static bool definite(enum error_type type)
{
    const uint64_t vague = 1ull << ERROR_TIMEOUT | 1ull << ERROR_LOST | 1ull << ERROR_UNREACHABLE |
                           1ull << ERROR_PROVIDER_ERROR | 1ull << ERROR_OVERLOADED |
                           1ull << ERROR_INTERNAL | 1ull << ERROR_CANCELLED;
    return !(vague >> type & 1);
}

/* Full jitter (M. Brooker, "Exponential Backoff And Jitter", 2015): uniform between nothing and the
 * window. The draw is the hash of the next attempt's task id, so that a replay draws the same. */
static int64_t backoff_ms(struct fold *f, uint32_t index, uint32_t attempt)
{
    const struct retry_policy *p = &f->def->steps[index].retry;
    int64_t window = p->initial_ms;
    if (p->backoff == BACKOFF_EXPONENTIAL)
        for (uint32_t n = 1; n < attempt && window < p->max_ms; n++) window *= 2;
    if (p->backoff == BACKOFF_EXPONENTIAL && p->max_ms) window = MIN(window, p->max_ms);
    if (window <= 0) return 0;
    char task_id[TASK_ID_MAX];
    unsigned char hash[SHA256_BYTES];
    task_id_of(f, index, attempt + 1, task_id);
    sha256(bytes_of(task_id), hash);
    uint64_t draw = 0;
    for (int i = 0; i < 8; i++) draw = draw << 8 | hash[i];
    return (int64_t)(draw % ((uint64_t)window + 1));
}

void step_attempt_failed(struct fold *f, uint32_t index, const struct failure *failure)
{
    const struct retry_policy *policy = &f->def->steps[index].retry;
    struct step *s = step_make(f, index);
    ASSERT(s->state == STEP_STATE_ISSUED);
    if (definite(failure->type) && s->definite < UINT8_MAX) s->definite++;
    AUTO_BUF struct buf error = { 0 };
    failure_encode(f, &error, failure);
    bool wanted = policy->on == 0 || policy->on >> failure->type & 1;
    bool spent = s->attempt - s->base >= (int)policy->max_attempts || s->attempt >= ATTEMPTS_MAX;
    if (!failure->retryable || !wanted || spent) {
        step_fail(f, index, buf_bytes(&error));
        return;
    }
    int64_t asked = MIN(failure->retry_after_ms, (int64_t)DURATION_MS_MAX); /* may be negative */
    int64_t drawn = backoff_ms(f, index, s->attempt);
    s->at_ms = f->now_ms + MAX(drawn, asked);
    s->issued_off = 0;
    step_set_result(f, index, buf_bytes(&error));
    step_move(f, index, STEP_STATE_BACKOFF, error_type_name(failure->type));
}

void step_timed_out(struct fold *f, uint32_t index)
{
    const struct step *s = step_get(f, index);
    char text[128];
    step_cancel_task(f, index);
    snprintf(text, sizeof text, "no result within %lld ms of the task's being issued",
             (long long)(step_backstop_ms(f->run, &f->def->steps[index], s) - s->at_ms));
    struct failure failure = { .type = ERROR_TIMEOUT,
                               .retryable = true,
                               .step = index,
                               .attempt = s->attempt,
                               .message = bytes_of(text) };
    step_attempt_failed(f, index, &failure);
}

/* --- results --- */

void run_add_usage(struct fold *f, const struct usage *u)
{
    add_saturated(&f->run->usage.tokens_in, u->tokens_in);
    add_saturated(&f->run->usage.tokens_out, u->tokens_out);
    add_saturated(&f->run->usage.micro_usd, u->micro_usd);
    f->touched = true;
}

static bool has_usage(const struct event *ev)
{
    return ev->usage.tokens_in || ev->usage.tokens_out || ev->usage.micro_usd;
}

/* Nothing more is to be expected of the attempt when its instance is gone (late.c). */
static void note_answer(const struct fold *f, struct step *s, const struct event *ev)
{
    if (f->scope->body) s->counted |= attempt_bit(ev->attempt);
}

static void count_usage(struct fold *f, uint32_t index, const struct event *ev)
{
    if (!has_usage(ev)) return;
    struct step *s = step_make(f, index);
    int64_t bit = attempt_bit(ev->attempt);
    if (s->counted & bit) {
        /* Maybe of an earlier instance of the path, which went before that was answered. */
        if (f->scope->body && late_take(f->run, ev->path, ev->attempt))
            run_add_usage(f, &ev->usage);
        return;
    }
    s->counted |= bit;
    run_add_usage(f, &ev->usage);
    step_touch(f, index);
}

/* Whether a failure counts: of the attempt that is current, and issued under the generation that
 * is. What a worker of an older generation failed at was issued again meanwhile, and that task has
 * yet to be answered. */
static bool counts(const struct fold *f, const struct step *s, const struct event *ev)
{
    if (MUTANT(STALE_FAILURE)) return s->state == STEP_STATE_ISSUED;
    return s->state == STEP_STATE_ISSUED && ev->attempt == s->attempt &&
           bytes_is(ev->gen, f->cx->gen ? f->cx->gen : "");
}

static void settle(struct fold *f, uint32_t index, const struct event *ev)
{
    const struct step *s = step_get(f, index);
    bool current = ev->attempt == s->attempt;
    if (current && bytes_is(ev->gen, f->cx->gen ? f->cx->gen : "")) return;
    bool open = current && s->state == STEP_STATE_ISSUED &&
                !run_state_terminal((enum run_state)f->run->state);
    if (open && ev->type == EVENT_TASK_FAILED) return; /* it is still to be done */
    char task_id[TASK_ID_MAX];
    task_id_of(f, index, ev->attempt, task_id);
    int64_t deadline = current && s->state == STEP_STATE_ISSUED
                           ? step_deadline_ms(f->run, &f->def->steps[index], s)
                           : run_deadline_ms(f->run);
    effect_mark(f, EFFECT_SETTLE, task_id, deadline + LEASE_MS);
}

/* A task's output against its schema. (That of a model call is checked by its worker, which can
 * tell the model.) */
static bool output_valid(const struct fold *f, uint32_t index, struct bytes output, struct err *e)
{
    const struct step_def *d = &f->def->steps[index];
    if ((d->kind != STEP_TASK && d->kind != STEP_ROUTER) || !d->output_schema) return true;
    AUTO_JSON *value = json_parse(output, e);
    return value && schema_check(d->output_schema, value, e);
}

static void completed(struct fold *f, uint32_t index, const struct event *ev)
{
    struct step *s = step_make(f, index);
    const struct step_def *d = &f->def->steps[index];
    bool current = ev->attempt == s->attempt;
    struct bytes output = ev->value.len ? ev->value : BYTES_LIT("null");
    /* Settled already, by a success or by its last failure (then its fallback may run). A step that
     * waits for a slot between two attempts is as open as one in backoff. */
    if (step_state_terminal((enum step_state)s->state) || s->handler) return;
    if (ev->attempt <= s->base) return; /* people had it done again since */
    if (d->kind == STEP_ROUTER && s->choice) return;
    struct err e = { 0 };
    if (!output_valid(f, index, output, &e)) {
        struct failure failure = failure_of(ERROR_INVALID_OUTPUT, index, &e);
        failure.attempt = s->attempt;
        if (counts(f, s, ev)) step_attempt_failed(f, index, &failure);
        return;
    }
    if (!current && s->state == STEP_STATE_ISSUED) step_cancel_task(f, index);
    note_answer(f, s, ev);
    if (d->kind == STEP_ROUTER)
        router_chosen(f, index, output);
    else
        step_complete(f, index, output);
}

/* The value of task.failed; what a foreign worker leaves out or gets wrong becomes `internal`. */
static void failed(struct fold *f, uint32_t index, const struct event *ev)
{
    struct step *s = step_get(f, index);
    if (!counts(f, s, ev)) return;
    note_answer(f, s, ev);
    struct failure failure = { .type = ERROR_INTERNAL, .step = index, .attempt = s->attempt };
    AUTO_JSON *value = ev->value.len ? json_parse(ev->value, NULL) : NULL;
    const char *type = json_text(value, "type"), *message = json_text(value, "message");
    if (!type || !error_type_find(bytes_of(type), &failure.type)) failure.type = ERROR_INTERNAL;
    const json_t *retryable = json_object_get(value, "retryable");
    failure.retryable =
        json_is_boolean(retryable) ? json_is_true(retryable) : error_type_retryable(failure.type);
    failure.retry_after_ms = json_int(value, "retry_after_ms", 0);
    failure.message = message ? bytes_of(message) : BYTES_LIT("the worker gave no message");
    AUTO_BUF struct buf details = { 0 };
    const json_t *given = json_object_get(value, "details");
    if (given) json_write(&details, given);
    failure.details = buf_bytes(&details);
    step_attempt_failed(f, index, &failure);
}

/* Rule 2 of "a paid call is not paid twice": a task that was issued again under a new generation is
 * not lost with the old one. */
static void lost(struct fold *f, uint32_t index, const struct event *ev)
{
    const struct step *s = step_get(f, index);
    if (!counts(f, s, ev)) return;
    struct failure failure = { .type = ERROR_LOST,
                               .retryable = true,
                               .step = index,
                               .attempt = s->attempt,
                               .message = BYTES_LIT("the worker that had the task is gone") };
    step_attempt_failed(f, index, &failure);
}

/* A result for an instance that is gone: it changes nothing, but its task is not to be done again.
 */
static void settle_gone(struct fold *f, const struct step_def *d, const struct event *ev)
{
    if (!step_kind_is_task(d->kind) || ev->attempt == 0 || ev->attempt > ATTEMPTS_MAX) return;
    if (ev->type == EVENT_TASK_LOST) return;
    char task_id[TASK_ID_MAX];
    task_id_make(task_id, bytes_of(f->run->id), ev->path, ev->attempt);
    effect_mark(f, EFFECT_SETTLE, task_id, run_deadline_ms(f->run) + LEASE_MS);
    if (run_state_terminal((enum run_state)f->run->state) || !has_usage(ev)) return;
    if (late_take(f->run, ev->path, ev->attempt)) run_add_usage(f, &ev->usage);
}

static void result_of(struct fold *f, uint32_t index, const struct event *ev)
{
    const struct step *s = step_get(f, index);
    if (!s && f->scope->body && ev->attempt <= f->run->floor) {
        settle_gone(f, &f->def->steps[index], ev); /* of an earlier instance of the path */
        return;
    }
    /* An attempt that was never issued: of another installation, or invented. */
    if (!s || ev->attempt == 0 || ev->attempt > s->attempt) return;
    if (ev->type != EVENT_TASK_LOST) settle(f, index, ev);
    if (run_state_terminal((enum run_state)f->run->state)) return;
    count_usage(f, index, ev);
    if (ev->type == EVENT_TASK_COMPLETED) completed(f, index, ev);
    if (ev->type == EVENT_TASK_FAILED) failed(f, index, ev);
    if (ev->type == EVENT_TASK_LOST) lost(f, index, ev);
}

void step_result(struct fold *f, const struct event *ev)
{
    const struct step_def *gone, *d = path_find(f, ev->path, &gone);
    if (gone) settle_gone(f, gone, ev);
    if (!d || !step_kind_is_task(d->kind)) return;
    result_of(f, d->index, ev);
    if (f->touched) scope_mark(f->scope);
    f->scope = f->run->root;
}
