/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a call, the turns of the loop, and the end of the worker. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/limits.h"
#include "worker/call.h"
#include "worker/tools.h"

#define CALL_TIMEOUT_MS (600 * SECOND_MS)

extern const char worker_script_lease[], worker_script_renew[], worker_script_release[],
    worker_script_breaker[];

/* --- the life of a call --- */

bool call_past_deadline(const struct call *c)
{
    return c->task.deadline_ms && loop_wall_ms(c->worker->loop) >= c->task.deadline_ms;
}

static void on_unpark(struct loop_timer *t)
{
    struct call *c = t->user;
    c->worker->parked--;
    call_wait(c);
}

void call_park(struct call *c, uint64_t ms)
{
    struct worker *w = c->worker;
    if (w->phase != WORKER_OPEN) {
        call_forget(c);
        return;
    }
    if (c->task.deadline_ms) {
        int64_t left = c->task.deadline_ms - loop_wall_ms(w->loop);
        if ((int64_t)ms > left) ms = (uint64_t)MAX(left, (int64_t)0);
    }
    c->state = CALL_PARKED;
    w->parked++;
    c->timer = (struct loop_timer){ .on_due = on_unpark, .user = c };
    loop_arm(w->loop, &c->timer, ms);
}

void call_publish(struct call *c, enum event_type type)
{
    c->type = type;
    c->started = true;
    c->state = CALL_SENDING;
    call_push(&c->part->results, c);
}

void call_drop(struct call *c)
{
    c->worker->stats.dropped++;
    call_finish(c);
}

void call_lost(struct call *c)
{
    struct worker *w = c->worker;
    if (call_of_task(w, c->task.task_id) == NULL) call_map(c);
    log_warn(&w->log, "task.lost",
             "run %.*s step %.*s attempt %u: its lease ran out without a result",
             (int)c->task.run_id.len, c->task.run_id.data, (int)c->task.path.len, c->task.path.data,
             c->task.attempt);
    c->value = (struct bytes){ 0 };
    call_publish(c, EVENT_TASK_LOST);
}

static void log_failure(const struct call *c, const struct outcome *o)
{
    AUTO_FREE char *run_id = xstrndup(c->task.run_id.data, c->task.run_id.len);
    struct log log = log_with_text(&c->worker->log, "run_id", run_id);
    log = log_with_text(&log, "error_type", error_type_name(o->error));
    log = log_with_int(&log, "attempt", c->task.attempt);
    log_warn(&log, "task.failed", "run %.*s step %.*s attempt %u: %.*s", (int)c->task.run_id.len,
             c->task.run_id.data, (int)c->task.path.len, c->task.path.data, c->task.attempt,
             (int)MIN(o->text.len, (size_t)500), o->text.data ? o->text.data : "");
}

static void take_output(struct call *c, struct outcome *o)
{
    buf_done(&c->owned);
    if (payload_is_ref(buf_bytes(&o->text))) /* it is an output that looks like one */
        payload_add(&c->owned, buf_bytes(&o->text));
    else
        c->owned.data = buf_take(&o->text, &c->owned.len);
    c->value = buf_bytes(&c->owned);
}

/* Turns the outcome into the result that will be published; o is empty afterwards. */
static void call_settle(struct call *c, struct outcome *o)
{
    if (o->used) usage_encode(&c->usage, o->model, &o->usage);
    size_t most = payload_store_max(c->worker->payloads);
    if (o->ok && o->text.len > most)
        outcome_fail(o, ERROR_INVALID_OUTPUT, "the output has %zu bytes, the limit is %zu",
                     o->text.len, most);
    payloads_release(c);
    if (o->ok) {
        take_output(c, o);
        cache_store(c);
        payloads_publish(c);
    } else {
        log_failure(c, o);
        buf_reset(&c->owned); /* what the cache gave */
        error_encode(&c->owned, o->error, o->text.data ? o->text.data : "", o->retryable,
                     o->retry_after_ms, o->details);
        c->value = buf_bytes(&c->owned);
        call_publish(c, EVENT_TASK_FAILED);
    }
    outcome_done(o);
}

static void fail_with(struct call *c, enum error_type type, bool retryable, const char *text)
{
    struct outcome o = { 0 };
    outcome_fail(&o, type, "%s", text);
    o.retryable = retryable;
    call_settle(c, &o);
}

void call_fail(struct call *c, enum error_type type, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fail_with(c, type, error_type_retryable(type), text);
}

void call_fail_for_good(struct call *c, enum error_type type, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fail_with(c, type, false, text);
}

static void on_tool_done(void *user, struct outcome *o)
{
    struct call *c = user;
    ASSERT(c->state == CALL_RUNNING);
    c->tool = NULL;
    c->worker->stats.running--;
    call_settle(c, o);
}

void call_start(struct call *c)
{
    if (call_past_deadline(c)) {
        call_fail(c, ERROR_TIMEOUT, "the task's deadline passed before a worker could start it");
        return;
    }
    c->started = true;
    if (tools_is_noop(&c->task)) { /* its output is its input, and nobody needs to look at it */
        c->value = c->task.value.len ? c->task.value : BYTES_LIT("null");
        call_publish(c, EVENT_TASK_COMPLETED);
        return;
    }
    if (c->cached) {
        c->value = buf_bytes(&c->owned);
        payloads_publish(c);
        return;
    }
    if (!payloads_read_input(c)) call_run(c);
}

void call_run(struct call *c)
{
    struct worker *w = c->worker;
    AUTO_OUTCOME struct outcome now = { 0 };
    struct tool_input in = { .task = &c->task,
                             .timeout_ms = c->task.timeout_ms ? c->task.timeout_ms
                                                              : (int64_t)w->call_timeout_ms,
                             .done = on_tool_done,
                             .user = c };
    c->state = CALL_RUNNING;
    c->tool = tools_start(w->tools, &in, &now);
    if (c->tool)
        w->stats.running++;
    else
        call_settle(c, &now);
}

static void tool_stop(struct call *c)
{
    if (!c->tool) return;
    c->worker->stats.running--;
    struct tool_call *tool = TAKE(c->tool);
    tool->abort(tool);
}

void call_cancel(struct call *c)
{
    if (c->state != CALL_RUNNING) return; /* its result is on the way already, and does no harm */
    tool_stop(c);
    log_info(&c->worker->log, "task.cancelled",
             "run %.*s step %.*s attempt %u: the call is aborted", (int)c->task.run_id.len,
             c->task.run_id.data, (int)c->task.path.len, c->task.path.data, c->task.attempt);
    call_drop(c);
}

/* --- turns --- */

static void leave(struct worker *w);

/* How long the work of this partition may still gather: 0, it is to be done now. What costs is the
 * batch, in Kafka as in Redis, so a busy worker makes fewer of them; a quiet one answers at once.
 */
static uint64_t part_wait_ms(const struct worker *w, const struct part *p)
{
    uint64_t pace = MIN((uint64_t)w->held / SERVE_TASKS, (uint64_t)SERVE_MS_MAX);
    uint64_t since = loop_now_ms(w->loop) - p->served_ms;
    if (since >= pace || w->phase != WORKER_OPEN) return 0;
    if (part_waiting(p) + p->results.count + p->acked.count >= SERVE_TASKS) return 0;
    return pace - since;
}

static void on_serve(struct loop_timer *t)
{
    (void)t; /* the flush of this turn is what was wanted */
}

void executor_flush(void *worker)
{
    struct worker *w = worker;
    if (w->phase == WORKER_LEFT) return;
    uint64_t next_ms = UINT64_MAX;
    for (struct part *p = w->parts; p; p = p->next) {
        p->due = false;
        if (!part_waiting(p) && !p->results.head && !p->acked.head) continue;
        uint64_t wait_ms = part_wait_ms(w, p);
        next_ms = wait_ms ? MIN(next_ms, wait_ms) : next_ms;
        if (wait_ms) continue;
        p->due = true;
        p->served_ms = loop_now_ms(w->loop);
        publish_results(w, p);
        lease_mark_done(w, p);
    }
    if (w->phase == WORKER_OPEN && !payloads_full(w)) lease_ask(w);
    if (next_ms != UINT64_MAX && !loop_armed(&w->serve)) loop_arm(w->loop, &w->serve, next_ms);
    intake_credit(w);
    if (w->phase == WORKER_DRAINING && w->held == 0) leave(w);
}

static void expire_list(struct part *p, enum priority priority)
{
    for (size_t left = p->fresh[priority].count; left; left--) {
        struct call *c = call_unwait(p, priority);
        if (call_past_deadline(c))
            call_fail(c, ERROR_TIMEOUT,
                      "the task's deadline passed while the worker had no connection to Redis");
        else
            call_wait(c);
    }
}

/* Without Redis nobody asks for leases, so that nobody else would see deadlines pass. */
static void expire_waiting(struct worker *w)
{
    for (struct part *p = w->parts; p; p = p->next)
        for (unsigned i = 0; i < PRIORITY_COUNT; i++) expire_list(p, (enum priority)i);
}

static void on_tick(struct loop_timer *t)
{
    struct worker *w = t->user;
    loop_arm(w->loop, t, TICK_MS);
    for (struct part *p = w->parts; p; p = p->next)
        while (p->again.head) call_push(&p->results, call_pop(&p->again));
    publish_letters(w);
    if (!store_connected(w->store) && w->phase == WORKER_OPEN) expire_waiting(w);
}

static void on_commit(struct loop_timer *t)
{
    struct worker *w = t->user;
    loop_arm(w->loop, t, w->commit_ms);
    if (w->phase <= WORKER_DRAINING) intake_commit(w);
}

static void on_renew(struct loop_timer *t)
{
    struct worker *w = t->user;
    loop_arm(w->loop, t, MIN((uint64_t)RENEW_CHECK_MS, w->lease_ms / 6 + 1));
    lease_renew(w);
}

/* --- the end --- */

static void abandon_call(struct call *c)
{
    tool_stop(c);
    loop_disarm(c->worker->loop, &c->timer);
    if (c->held) bus_record_release(TAKE(c->held));
}

static void abandon(struct worker *w)
{
    if (w->phase == WORKER_LEFT) return;
    w->phase = WORKER_LEFT;
    call_each(w, abandon_call);
    w->payloads = payload_store_close(w->payloads);
    struct loop_timer *timers[] = { &w->tick, &w->commit, &w->renew, &w->grace, &w->serve };
    for (size_t i = 0; i < ARRAY_LEN(timers); i++) loop_disarm(w->loop, timers[i]);
    tools_stop(w->tools);
}

static void on_left(void *user)
{
    struct worker *w = user;
    if (w->phase == WORKER_LEFT) return;
    w->group = NULL;
    abandon(w);
    if (w->drained) w->drained(w->drained_user);
}

static void leave(struct worker *w)
{
    w->phase = WORKER_LEAVING;
    intake_commit(w);
    bus_leave(w->group, on_left, w);
}

static void on_grace(struct loop_timer *t)
{
    struct worker *w = t->user;
    if (w->phase != WORKER_DRAINING) return;
    log_warn(&w->log, "worker.grace", "%zu tasks are not finished; their leases run out", w->held);
    leave(w);
}

static void forget_waiting(struct call *c)
{
    if (c->state == CALL_FRESH || c->state == CALL_PARKED) call_forget(c);
}

void worker_drain(struct worker *w, uint32_t grace_ms, void (*done)(void *user), void *user)
{
    if (w->phase != WORKER_OPEN) return;
    w->phase = WORKER_DRAINING;
    w->drained = done;
    w->drained_user = user;
    for (struct part *p = w->parts; p; p = p->next) memset(p->fresh, 0, sizeof p->fresh);
    call_each(w, forget_waiting);
    loop_arm(w->loop, &w->grace, grace_ms);
    loop_again(w->loop);
}

void worker_stop(struct worker *w)
{
    abandon(w);
}

struct worker_stats worker_stats(const struct worker *w)
{
    struct worker_stats s = w->stats;
    s.held = w->held;
    return s;
}

/* --- the beginning --- */

static void on_dlq_info(void *user, int32_t partitions, const char *cluster_id, const struct err *e)
{
    struct worker *w = user;
    (void)cluster_id, (void)e; /* without metadata the first partition takes the dead letters */
    w->dlq_partitions = partitions;
}

static void names_make(struct worker *w, const struct worker_options *o)
{
    unsigned char random[6];
    char hex[2 * sizeof random + 1];
    random_bytes(random, sizeof random);
    hex_encode(random, sizeof random, hex);
    w->prefix = xstrdup(o->prefix);
    w->name = xstrdup(o->name);
    w->lease_name = xasprintf("%s-%s", o->name, hex); /* a restart is another taker */
    w->group_name = o->group ? xstrdup(o->group) : xasprintf("%s-workers", o->prefix);
    struct buf dlq = { 0 };
    topic_name(&dlq, o->prefix, "dlq");
    w->dlq_topic = buf_take(&dlq, NULL);
}

static void scripts_make(struct worker *w)
{
    w->scripts[SCRIPT_LEASE] = script_make("lease", worker_script_lease);
    w->scripts[SCRIPT_RENEW] = script_make("renew", worker_script_renew);
    w->scripts[SCRIPT_RELEASE] = script_make("release", worker_script_release);
    w->scripts[SCRIPT_BREAKER] = script_make("breaker", worker_script_breaker);
    store_use_scripts(w->store, w->scripts, ARRAY_LEN(w->scripts));
}

static void timers_start(struct worker *w)
{
    w->tick = (struct loop_timer){ .on_due = on_tick, .user = w };
    w->commit = (struct loop_timer){ .on_due = on_commit, .user = w };
    w->renew = (struct loop_timer){ .on_due = on_renew, .user = w };
    w->grace = (struct loop_timer){ .on_due = on_grace, .user = w };
    w->serve = (struct loop_timer){ .on_due = on_serve, .user = w };
    loop_arm(w->loop, &w->tick, TICK_MS);
    loop_arm(w->loop, &w->commit, w->commit_ms);
    loop_arm(w->loop, &w->renew, MIN((uint64_t)RENEW_CHECK_MS, w->lease_ms / 6 + 1));
}

/* What an answer or a program may give is at least what a payload may have. */
static bool payloads_open(struct worker *w, struct worker_options *o, struct err *e)
{
    o->payloads.log = &w->log;
    w->payloads = payload_store_open(w->loop, &o->payloads, e);
    if (w->payloads && payload_store_there(w->payloads))
        o->http_body_bytes_max = o->exec_output_bytes_max =
            MAX(o->http_body_bytes_max, payload_store_max(w->payloads));
    return w->payloads != NULL;
}

struct worker *worker_open(struct loop *loop, struct bus *bus, struct store *store,
                           struct http_pool *pool, const struct worker_options *o, struct err *e)
{
    struct worker *w = xcalloc(1, sizeof *w);
    w->loop = loop;
    w->bus = bus;
    w->store = store;
    w->log = *o->log;
    w->inflight_max = o->inflight_max ? o->inflight_max : 1000;
    w->lease_ms = o->lease_ms ? o->lease_ms : LEASE_MS;
    w->commit_ms = o->commit_ms ? o->commit_ms : SECOND_MS;
    w->call_timeout_ms = o->call_timeout_ms ? o->call_timeout_ms : CALL_TIMEOUT_MS;
    names_make(w, o);
    scripts_make(w);
    struct worker_options with = *o;
    if (payloads_open(w, &with, e))
        w->tools =
            tools_open(&(struct tools_options){ .loop = loop,
                                                .bus = bus,
                                                .pool = pool,
                                                .store = store,
                                                .breaker_script = &w->scripts[SCRIPT_BREAKER],
                                                .worker_name = w->lease_name,
                                                .log = &w->log,
                                                .worker = &with },
                       e);
    if (!w->tools || !intake_join(w, o->queues, o->queue_count, e)) {
        if (w->tools) tools_stop(w->tools);
        store_use_scripts(store, NULL, 0);
        w->phase = WORKER_LEFT;
        return worker_free(w);
    }
    timers_start(w);
    loop_on_flush(loop, executor_flush, w);
    bus_topic_info(bus, w->dlq_topic, on_dlq_info, w);
    return w;
}

bool worker_reload(struct worker *w, const json_t *models, const char *secrets_dir, struct err *e)
{
    return tools_reload(w->tools, models, secrets_dir, e);
}

static void free_call(struct call *c)
{
    buf_done(&c->input);
    for (struct rider *r = c->first.next, *next; r; r = next) {
        next = r->next;
        free(r);
    }
    buf_done(&c->owned);
    buf_done(&c->usage);
    letter_free(c->letter);
}

static void free_lists(struct worker *w)
{
    while (w->parts) {
        struct part *p = w->parts;
        w->parts = p->next;
        free(p->topic);
        free(p);
    }
    while (w->sources) {
        struct source *s = w->sources;
        w->sources = s->next;
        contiguous_free(&s->done);
        free(s->topic);
        free(s);
    }
}

struct worker *worker_free(struct worker *w)
{
    if (!w) return NULL;
    abandon(w);
    call_each(w, free_call);
    for (size_t i = 0; i < w->chunk_count; i++) free(w->chunks[i]);
    free(w->chunks);
    map_done(&w->by_task);
    free_lists(w);
    tools_free(w->tools);
    free(w->prefix);
    free(w->name);
    free(w->lease_name);
    free(w->group_name);
    free(w->dlq_topic);
    payload_store_close(w->payloads);
    free(w);
    return NULL;
}
