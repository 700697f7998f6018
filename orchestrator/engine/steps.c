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
#define COUNTED_ATTEMPTS    62 /* bits of step.counted; usage of later attempts is always counted */

static const char *path_of(const struct fold *f, uint32_t index)
{
    return f->def->steps[index].path;
}

static void task_id_of(const struct fold *f, uint32_t index, uint32_t attempt,
                       char ret[TASK_ID_MAX])
{
    task_id_make(ret, bytes_of(f->run->id), bytes_of(path_of(f, index)), attempt);
}

/* --- what a task is made of --- */

static bool make_idempotency_key(struct fold *f, struct template_env *env, const struct step_def *d,
                                 struct err *e)
{
    if (!d->idempotency_key) return true;
    json_t *value = NULL;
    if (!template_eval_json(d->idempotency_key, env, &value, e))
        return err_prefix(e, "idempotency_key");
    AUTO_JSON *owned = value;
    if (json_is_string(owned))
        buf_add(&f->idempotency, json_string_value(owned), json_string_length(owned));
    else
        json_write(&f->idempotency, owned);
    if (f->idempotency.len > IDEMPOTENCY_KEY_MAX)
        return err_fail(e, ERR_LIMIT, "idempotency_key has %zu bytes, the limit is %d",
                        f->idempotency.len, IDEMPOTENCY_KEY_MAX);
    return true;
}

static bool evaluate_task(struct fold *f, uint32_t index, struct err *e)
{
    const struct step_def *d = &f->def->steps[index];
    struct template_env env = names_env(f, index);
    if (!make_idempotency_key(f, &env, d, e)) return false;
    if (!d->input) {
        buf_add_text(&f->payload, "null");
        return true;
    }
    struct secret_refs secrets = { 0 };
    env.secrets = &secrets;
    bool ok = template_eval(d->input, &env, PAYLOAD_BYTES_MAX, &f->payload, e);
    if (ok && secrets.count) secret_refs_encode(&secrets, &f->secrets);
    secret_refs_done(&secrets);
    if (ok && f->secrets.len + f->idempotency.len > HEADERS_BYTES_MAX / 2)
        ok = err_fail(e, ERR_LIMIT, "the task's references to secrets do not fit %d bytes",
                      HEADERS_BYTES_MAX / 2);
    return ok;
}

/* The stored form of a task: "<length of its key> <length of its secrets>\n", key, secrets,
 * payload. */
static void save_task(struct fold *f, uint32_t index)
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
static bool make_task(struct fold *f, uint32_t index, struct err *e)
{
    const struct step *s = step_get(f->run, index);
    buf_reset(&f->payload);
    buf_reset(&f->secrets);
    buf_reset(&f->idempotency);
    f->read_mutable = false;
    return s && s->payload ? restore_task(f, s, e) : evaluate_task(f, index, e);
}

static struct bytes make_key_header(struct fold *f, uint32_t index, void **arena)
{
    const struct step *s = step_get(f->run, index);
    if (f->idempotency.len) return arena_copy(arena, buf_bytes(&f->idempotency));
    /* The provider has answered: the next attempt is a new request to it. */
    char text[RUN_ID_MAX + 16 + 8];
    int n = s->definite ? snprintf(text, sizeof text, "/%u", s->definite) : 0;
    size_t path = strlen(path_of(f, index)), id = strlen(f->run->id),
           len = id + 1 + path + (size_t)n;
    char *key = arena_alloc(arena, len + 1);
    memcpy(key, f->run->id, id);
    key[id] = '/';
    memcpy(key + id + 1, path_of(f, index), path);
    memcpy(key + id + 1 + path, text, (size_t)n);
    key[len] = '\0';
    return (struct bytes){ .data = key, .len = len };
}

static struct bytes text_header(struct fold *f, enum run_text which)
{
    struct bytes text = run_text(f->run, which);
    return text.data ? arena_copy(&f->fx->arena, text) : (struct bytes){ 0 };
}

/* The task of a step that is ISSUED, from what make_task has filled. */
static void emit_task(struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    const struct step *s = step_get(f->run, index);
    void **arena = &f->fx->arena;
    struct effect *effect = effect_new(f->fx, EFFECT_TASK);
    struct bytes *header = effect->header;
    task_id_of(f, index, s->attempt, effect->task_id);
    effect->queue = d->queue;
    AUTO_BUF struct buf reply = { 0 };
    buf_add_text(&reply, f->cx->topic);
    buf_add_char(&reply, '/');
    buf_add_int(&reply, f->cx->partition);
    header[HEADER_V] = BYTES_LIT(MESSAGE_VERSION);
    header[HEADER_TYPE] = BYTES_LIT("task");
    header[HEADER_RUN_ID] = arena_text(arena, f->run->id);
    header[HEADER_PATH] = arena_text(arena, d->path);
    header[HEADER_ATTEMPT] = arena_int(arena, s->attempt);
    header[HEADER_TASK_ID] = arena_text(arena, effect->task_id);
    header[HEADER_KIND] = bytes_of(step_kind_name(d->kind));
    header[HEADER_USES] = arena_text(arena, d->uses ? d->uses : "");
    header[HEADER_REPLY_TO] = arena_copy(arena, buf_bytes(&reply));
    header[HEADER_GEN] = arena_text(arena, f->cx->gen ? f->cx->gen : "");
    header[HEADER_DEADLINE_MS] = arena_int(arena, step_deadline_ms(f->run, index));
    header[HEADER_MARKS] = marks_header(f);
    if (d->timeout_ms) header[HEADER_TIMEOUT_MS] = arena_int(arena, d->timeout_ms);
    header[HEADER_IDEMPOTENCY_KEY] = make_key_header(f, index, arena);
    if (f->secrets.len) header[HEADER_SECRETS] = arena_copy(arena, buf_bytes(&f->secrets));
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

void step_issue(struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    struct err e = { 0 };
    if (d->kind == STEP_LLM && budget_spent(f->run, &e)) {
        struct failure failure = failure_of(ERROR_BUDGET_EXCEEDED, index, &e);
        step_fail_with(f, index, &failure);
        return;
    }
    if (f->def->max_parallel && f->run->issued >= f->def->max_parallel) {
        f->starved = true;
        if (step_at(f->run, index) != STEP_STATE_WAITING)
            step_move(f, index, STEP_STATE_WAITING, NULL);
        return;
    }
    if (!make_task(f, index, &e)) {
        enum error_type type = e.kind == ERR_LIMIT ? ERROR_BAD_REQUEST : ERROR_EXPRESSION;
        struct failure failure = failure_of(type, index, &e);
        step_fail_with(f, index, &failure);
        return;
    }
    if (f->read_mutable) save_task(f, index);
    struct step *s = step_make(f->run, index);
    ASSERT(s->attempt < UINT8_MAX);
    s->attempt++;
    s->issued_off = f->cx->offset;
    s->at_ms = f->now_ms;
    step_move(f, index, STEP_STATE_ISSUED, NULL);
    emit_task(f, index);
}

/* A task that cannot be made again (a newer program whose expressions differ, which the logic
 * version should have prevented) is left to the backstop, which issues the next attempt. */
void step_reissue(struct fold *f, uint32_t index)
{
    struct err e;
    if (make_task(f, index, &e)) emit_task(f, index);
}

/* --- ends --- */

/* The result of the step's own work through its `output` mapping. */
void step_complete(struct fold *f, uint32_t index, struct bytes output)
{
    const struct step_def *d = &f->def->steps[index];
    AUTO_BUF struct buf mapped = { 0 };
    struct err e = { 0 };
    /* A fallback's output stands for the step's, it is not what the mapping was written for. */
    const struct step *s = step_get(f->run, index);
    bool own = !s || !(s->flags & STEP_FALLBACK);
    if (own && d->output) {
        struct template_env env = names_env(f, index);
        f->output = output;
        bool ok = template_eval(d->output, &env, PAYLOAD_BYTES_MAX, &mapped, &e);
        f->output = (struct bytes){ 0 };
        output = buf_bytes(&mapped);
        if (!ok) err_prefix(&e, "output");
    } else if (output.len > PAYLOAD_BYTES_MAX) {
        err_fail(&e, ERR_LIMIT, "the output has %zu bytes, the limit is %d", output.len,
                 PAYLOAD_BYTES_MAX);
    }
    if (e.kind != ERR_NONE) {
        enum error_type type = e.kind == ERR_LIMIT ? ERROR_BAD_REQUEST : ERROR_EXPRESSION;
        struct failure failure = failure_of(type, index, &e);
        step_fail_with(f, index, &failure);
        return;
    }
    bool null = bytes_is(output, "null");
    step_set_result(f, index, null ? (struct bytes){ 0 } : output);
    step_move(f, index, STEP_STATE_COMPLETED, NULL);
    step_sweep_children(f, index, true);
}

void step_fail(struct fold *f, uint32_t index, struct bytes error)
{
    const struct step_def *d = &f->def->steps[index];
    const struct step *s = step_get(f->run, index);
    bool fall_back = d->on_error == ON_ERROR_FALLBACK && !(s && s->flags & STEP_FALLBACK);
    char why[32];
    failure_type(error, why);
    step_set_result(f, index, error);
    if (fall_back) {
        step_move(f, index, STEP_STATE_WAITING, why);
        step_make(f->run, index)->flags |= STEP_FALLBACK;
    } else {
        step_move(f, index, STEP_STATE_FAILED, why);
    }
    step_sweep_children(f, index, !fall_back);
}

void step_fail_with(struct fold *f, uint32_t index, const struct failure *failure)
{
    const struct step *s = step_get(f->run, index);
    struct failure complete = *failure;
    complete.step = index;
    complete.attempt = s ? s->attempt : 0;
    complete.retryable = false;
    AUTO_BUF struct buf error = { 0 };
    failure_encode(&error, f->def, &complete);
    step_fail(f, index, buf_bytes(&error));
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
static int64_t backoff_ms(const struct fold *f, uint32_t index, uint32_t attempt)
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
    struct step *s = step_make(f->run, index);
    ASSERT(s->state == STEP_STATE_ISSUED);
    if (definite(failure->type) && s->definite < UINT8_MAX) s->definite++;
    AUTO_BUF struct buf error = { 0 };
    failure_encode(&error, f->def, failure);
    bool wanted = policy->on == 0 || policy->on >> failure->type & 1;
    if (!failure->retryable || !wanted || s->attempt >= policy->max_attempts) {
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
    const struct step *s = step_get(f->run, index);
    char task_id[TASK_ID_MAX], text[128];
    task_id_of(f, index, s->attempt, task_id);
    effect_mark(f, EFFECT_CANCEL, task_id, step_deadline_ms(f->run, index) + LEASE_MS);
    snprintf(text, sizeof text, "no result within %lld ms of the task's being issued",
             (long long)(step_backstop_ms(f->run, index) - s->at_ms));
    struct failure failure = { .type = ERROR_TIMEOUT,
                               .retryable = true,
                               .step = index,
                               .attempt = s->attempt,
                               .message = bytes_of(text) };
    step_attempt_failed(f, index, &failure);
}

/* --- results --- */

static void count_usage(struct fold *f, uint32_t index, const struct event *ev)
{
    const struct usage *u = &ev->usage;
    if (!u->tokens_in && !u->tokens_out && !u->micro_usd) return;
    struct step *s = step_make(f->run, index);
    int64_t bit = ev->attempt <= COUNTED_ATTEMPTS ? 1ll << (ev->attempt - 1) : 0;
    if (s->counted & bit) return;
    s->counted |= bit;
    add_saturated(&f->run->usage.tokens_in, u->tokens_in);
    add_saturated(&f->run->usage.tokens_out, u->tokens_out);
    add_saturated(&f->run->usage.micro_usd, u->micro_usd);
    f->touched = true;
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
    const struct step *s = step_get(f->run, index);
    bool current = ev->attempt == s->attempt;
    if (current && bytes_is(ev->gen, f->cx->gen ? f->cx->gen : "")) return;
    bool open = current && s->state == STEP_STATE_ISSUED &&
                !run_state_terminal((enum run_state)f->run->state);
    if (open && ev->type == EVENT_TASK_FAILED) return; /* it is still to be done */
    char task_id[TASK_ID_MAX];
    task_id_of(f, index, ev->attempt, task_id);
    int64_t deadline = current && s->state == STEP_STATE_ISSUED ? step_deadline_ms(f->run, index)
                                                                : run_deadline_ms(f->run);
    effect_mark(f, EFFECT_SETTLE, task_id, deadline + LEASE_MS);
}

/* A task's output against its schema. (That of a model call is checked by its worker, which can
 * tell the model.) */
static bool output_valid(const struct fold *f, uint32_t index, struct bytes output, struct err *e)
{
    const struct step_def *d = &f->def->steps[index];
    if (d->kind != STEP_TASK || !d->output_schema) return true;
    AUTO_JSON *value = json_parse(output, e);
    return value && schema_check(d->output_schema, value, e);
}

static void completed(struct fold *f, uint32_t index, const struct event *ev)
{
    struct step *s = step_make(f->run, index);
    bool current = ev->attempt == s->attempt;
    struct bytes output = ev->value.len ? ev->value : BYTES_LIT("null");
    /* Settled already, by a success or by its last failure (then its fallback may run). A step that
     * waits for a slot between two attempts is as open as one in backoff. */
    if (step_state_terminal((enum step_state)s->state) || s->flags & STEP_FALLBACK) return;
    struct err e = { 0 };
    if (!output_valid(f, index, output, &e)) {
        struct failure failure = failure_of(ERROR_INVALID_OUTPUT, index, &e);
        failure.attempt = s->attempt;
        if (counts(f, s, ev)) step_attempt_failed(f, index, &failure);
        return;
    }
    if (!current && s->state == STEP_STATE_ISSUED) {
        char task_id[TASK_ID_MAX];
        task_id_of(f, index, s->attempt, task_id);
        effect_mark(f, EFFECT_CANCEL, task_id, step_deadline_ms(f->run, index) + LEASE_MS);
    }
    step_complete(f, index, output);
}

/* The value of task.failed; what a foreign worker leaves out or gets wrong becomes `internal`. */
static void failed(struct fold *f, uint32_t index, const struct event *ev)
{
    const struct step *s = step_get(f->run, index);
    if (!counts(f, s, ev)) return;
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
    const struct step *s = step_get(f->run, index);
    if (!counts(f, s, ev)) return;
    struct failure failure = { .type = ERROR_LOST,
                               .retryable = true,
                               .step = index,
                               .attempt = s->attempt,
                               .message = BYTES_LIT("the worker that had the task is gone") };
    step_attempt_failed(f, index, &failure);
}

void step_result(struct fold *f, const struct event *ev)
{
    const struct step_def *d = definition_step(f->def, ev->path);
    if (!d || !step_kind_is_task(d->kind)) return;
    const struct step *s = step_get(f->run, d->index);
    /* An attempt that was never issued: of another installation, or invented. */
    if (!s || ev->attempt == 0 || ev->attempt > s->attempt) return;
    if (ev->type != EVENT_TASK_LOST) settle(f, d->index, ev);
    if (run_state_terminal((enum run_state)f->run->state)) return;
    count_usage(f, d->index, ev);
    if (ev->type == EVENT_TASK_COMPLETED) completed(f, d->index, ev);
    if (ev->type == EVENT_TASK_FAILED) failed(f, d->index, ev);
    if (ev->type == EVENT_TASK_LOST) lost(f, d->index, ev);
}
