/* SPDX-License-Identifier: Apache-2.0
 *
 * wait, and the signals that it may wait for. A signal goes to the first step that waits for its
 * name and whose `match` holds; if there is none, it is kept for one that will. The run holds
 *
 *   {"last": payload of the last signal that a step took, "kept": [[name, payload], ...]}
 *
 * of which only names are kept that some step of the definition waits for. */
#include "orchestrator/engine/state.h"

#include <math.h>

#include "common/base/clock.h"
#include "common/base/limits.h"

#define KEPT_MAX       100
#define KEPT_BYTES_MAX (64 * KIB) /* of one payload */

/* --- what the run holds --- */

/* Borrowed from the fold's cache. */
static bool signals_json(struct fold *f, json_t **ret, struct err *e)
{
    const struct aside *a = f->run->aside;
    bool any = a && a->signals;
    if (!f->signals_json)
        f->signals_json =
            any ? json_parse((struct bytes){ .data = a->signals, .len = a->signals_len }, e)
                : json_pack("{s:n, s:[]}", "last", "kept");
    *ret = f->signals_json;
    return *ret || err_prefix(e, "signals");
}

static void store(struct fold *f, json_t *last, json_t *kept)
{
    AUTO_BUF struct buf text = { 0 };
    AUTO_JSON *all = json_pack("{s:O, s:O}", "last", last, "kept", kept);
    json_write(&text, all);
    run_set_signals(f, buf_bytes(&text));
}

bool signal_value(struct fold *f, json_t **ret, struct err *e)
{
    json_t *all;
    if (f->signal) {
        *ret = json_incref(f->signal);
        return true;
    }
    f->read_mutable = true;
    if (!signals_json(f, &all, e)) return false;
    json_t *last = json_object_get(all, "last");
    *ret = last ? json_incref(last) : json_null();
    return true;
}

/* --- matching --- */

/* Whether the step, which waits for signals of that name, takes the payload. An expression that
 * fails on it does not. */
static bool takes(struct fold *f, uint32_t index, json_t *payload)
{
    const struct cel *match = f->def->steps[index].match;
    bool holds = true;
    struct err e;
    f->signal = payload;
    if (match) holds = condition_holds(f, index, match, "match", &holds, &e) && holds;
    f->signal = NULL;
    return holds;
}

/* The step takes the payload. last: what the run keeps of it. */
static void take(struct fold *f, uint32_t index, json_t *payload, json_t *kept)
{
    AUTO_BUF struct buf output = { 0 };
    json_write(&output, payload);
    store(f, payload, kept);
    step_complete(f, index, buf_bytes(&output));
}

/* --- wait --- */

static bool read_duration(const json_t *value, int64_t *ret_ms)
{
    if (json_is_string(value)) return duration_parse(json_string_value(value), ret_ms);
    double seconds = json_number_value(value);
    if (!json_is_number(value) || !(seconds >= 0 && seconds * 1000 <= (double)DURATION_MS_MAX))
        return false;
    *ret_ms = llround(seconds * 1000);
    return true;
}

/* Until when the step waits, by `for` or `until`. */
static bool end_of_wait(struct fold *f, uint32_t index, int64_t *ret, struct err *e)
{
    const struct step_def *d = &f->def->steps[index];
    struct template_env env = names_env(f, index);
    const char *name = d->wait_for ? "for" : "until";
    AUTO_JSON *value = NULL;
    if (!template_eval_json(d->wait_for ? d->wait_for : d->wait_until, &env, &value, e))
        return err_prefix(e, "%s", name);
    if (d->wait_for) {
        if (!read_duration(value, ret))
            return err_fail(e, ERR_INVALID, "for: the value is no duration, such as 90s or 90");
        *ret += f->now_ms;
        return true;
    }
    bool number = json_is_integer(value);
    if (number) *ret = json_integer_value(value);
    if (number || (json_is_string(value) && time_parse(json_string_value(value), ret))) {
        if (*ret <= f->now_ms + DURATION_MS_MAX) return true;
        return err_fail(e, ERR_LIMIT, "until: the time is more than ten years away");
    }
    return err_fail(e, ERR_INVALID,
                    "until: the value is no time (RFC 3339, or milliseconds since 1970)");
}

static void wait_until(struct fold *f, uint32_t index, int64_t at_ms)
{
    struct step *s = step_move(f, index, STEP_STATE_WAITING, NULL);
    s->at_ms = at_ms;
    timed_update(f->run, step_scope(f, index), index, s);
}

/* A signal that came before its wait. */
static bool take_kept(struct fold *f, uint32_t index, struct err *e)
{
    json_t *all;
    if (!f->run->aside || !f->run->aside->signals) return false;
    if (!signals_json(f, &all, e)) return false;
    AUTO_JSON *kept = json_copy(json_object_get(all, "kept"));
    for (size_t i = 0; i < json_array_size(kept); i++) {
        const json_t *entry = json_array_get(kept, i);
        const char *name = json_string_value(json_array_get(entry, 0));
        AUTO_JSON *payload = json_incref(json_array_get(entry, 1));
        if (!name || strcmp(name, f->def->steps[index].signal) != 0 || !takes(f, index, payload))
            continue;
        json_array_remove(kept, i);
        take(f, index, payload, kept);
        return true;
    }
    return false;
}

void wait_start(struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    struct err e = { 0 };
    int64_t at_ms = d->wait_timeout_ms ? f->now_ms + d->wait_timeout_ms : 0;
    bool ok = true;
    if (d->signal) {
        if (take_kept(f, index, &e)) return;
        ok = e.kind == ERR_NONE;
    } else {
        ok = end_of_wait(f, index, &at_ms, &e);
    }
    if (!ok)
        step_fail_evaluation(f, index, &e);
    else if (!d->signal && at_ms <= f->now_ms)
        step_complete(f, index, BYTES_LIT("null"));
    else
        wait_until(f, index, at_ms);
}

void wait_ended(struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    if (!d->signal) {
        step_complete(f, index, BYTES_LIT("null"));
        return;
    }
    struct err e;
    err_fail(&e, ERR_TIMEOUT, "no signal '%s' came within %lld ms", d->signal,
             (long long)d->wait_timeout_ms);
    struct failure failure = failure_of(ERROR_TIMEOUT, index, &e);
    step_fail_with(f, index, &failure);
}

/* --- a signal --- */

struct arrival {
    struct bytes name;
    json_t *payload;
    bool taken;
};

static bool waits_for_signal(const struct step_def *d, const struct step *s)
{
    return s && d->kind == STEP_WAIT && d->signal && s->state == STEP_STATE_WAITING &&
           !s->handler && !(s->flags & STEP_ASKING);
}

static void offer(struct fold *f, void *arrival)
{
    struct arrival *a = arrival;
    const struct scope_def *def = &f->def->scopes[f->scope->id];
    for (uint32_t i = 0; i < def->count && !a->taken; i++) {
        const struct step_def *d = &f->def->steps[def->steps[i]];
        const struct step *s = f->scope->steps[i];
        if (!waits_for_signal(d, s) || !bytes_is(a->name, d->signal)) continue;
        if (!takes(f, d->index, a->payload)) continue;
        json_t *all;
        struct err e;
        if (!signals_json(f, &all, &e)) return; /* damaged: nothing can be kept with it */
        AUTO_JSON *kept = json_incref(json_object_get(all, "kept"));
        take(f, d->index, a->payload, kept);
        scope_mark(f->scope);
        a->taken = true;
    }
}

static bool waits_for(const struct definition *def, struct bytes name)
{
    for (uint32_t i = 0; i < def->step_count; i++)
        if (def->steps[i].signal && bytes_is(name, def->steps[i].signal)) return true;
    return false;
}

/* The oldest of a name makes room for a new one. */
static void keep(struct fold *f, const struct arrival *a)
{
    json_t *all;
    struct err e;
    if (!signals_json(f, &all, &e)) return;
    AUTO_JSON *kept = json_copy(json_object_get(all, "kept")),
              *last = json_incref(json_object_get(all, "last"));
    for (size_t i = 0; json_array_size(kept) >= KEPT_MAX && i < json_array_size(kept); i++) {
        const char *name = json_string_value(json_array_get(json_array_get(kept, i), 0));
        if (name && bytes_is(a->name, name)) json_array_remove(kept, i);
    }
    if (json_array_size(kept) >= KEPT_MAX) json_array_remove(kept, 0);
    json_array_append_new(kept, json_pack("[s%, O]", a->name.data, a->name.len, a->payload));
    store(f, last, kept);
}

void signal_apply(struct fold *f, const struct event *ev)
{
    if (!waits_for(f->def, ev->signal)) return;
    AUTO_JSON *payload = json_parse(ev->value, NULL);
    if (!payload) return; /* a doubled key, which only a parser sees */
    struct arrival a = { .name = ev->signal, .payload = payload };
    scopes_each(f, offer, &a); /* of a paused run too, as any other answer */
    if (!a.taken && ev->value.len <= KEPT_BYTES_MAX) keep(f, &a);
}
