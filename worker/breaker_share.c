/* SPDX-License-Identifier: Apache-2.0
 *
 * Breakers of a worker, and of its fleet. */
#include "worker/breaker_share.h"

#include <stdlib.h>

#include "common/base/map.h"
#include "common/proto/keys.h"

#define PERMIT_MS 5000 /* a permit, unless it is renewed: so long a worker that died holds it */
#define RENEW_MS  1000 /* those of calls that are under way are renewed this often */

struct dependency {
    char *name;
    struct breaker local;
    enum breaker_state told;  /* the state that was logged last */
    enum breaker_state fleet; /* as Redis said last */
    uint64_t fleet_until_ms;  /* OPEN: when it may be probed */
    uint32_t granted;         /* permits at hand */
    uint64_t granted_until_ms;
    uint32_t probing;   /* calls with a permit that are under way */
    uint32_t held_told; /* permits that Redis was told of last, and when */
    uint64_t told_ms;
    bool wanted, asking;
    uint32_t ok, failed, probes_ok, probes_failed; /* since the last flush */
    struct breaker_share *share;
};

struct breaker_share {
    struct breaker_share_options o;
    char *prefix, *worker;
    struct map by_name;
    struct loop_timer flush;
    bool stopped;
};

static void tell(struct dependency *d)
{
    enum breaker_state now = d->fleet != BREAKER_CLOSED ? d->fleet : d->local.state;
    if (now == d->told) return;
    log_warn(d->share->o.log, "breaker.state", "%s: %s, was %s", d->name, breaker_state_name(now),
             breaker_state_name(d->told));
    d->told = now;
}

static void fleet_state(struct dependency *d, const struct store_reply *r)
{
    uint64_t now = loop_now_ms(d->share->o.loop);
    struct bytes text = store_string(store_at(r, 0));
    uint64_t wait = (uint64_t)MAX(store_integer(store_at(r, 2)), (int64_t)0);
    enum breaker_state was = d->fleet;
    d->fleet = bytes_is(text, "open")   ? BREAKER_OPEN
               : bytes_is(text, "half") ? BREAKER_HALF
                                        : BREAKER_CLOSED;
    d->fleet_until_ms = now + wait;
    if (d->fleet != BREAKER_CLOSED)
        breaker_force(&d->local, now, BREAKER_OPEN, wait ? wait : d->local.options.open_ms);
    else if (was != BREAKER_CLOSED)
        breaker_force(&d->local, now, BREAKER_CLOSED, 0);
    int64_t granted = store_integer(store_at(r, 3));
    if (granted > 0) {
        d->granted += (uint32_t)granted;
        d->granted_until_ms = now + PERMIT_MS;
        d->wanted = false;
    }
    tell(d);
}

static void on_reply(void *user, enum store_status status, const struct store_reply *reply)
{
    struct dependency *d = user;
    d->asking = false;
    if (!d->share->stopped && status == STORE_OK && store_count(reply) == 4) fleet_state(d, reply);
}

static void add(struct buf *text, size_t *ends, size_t *count, int64_t value)
{
    buf_add_int(text, value);
    ends[(*count)++] = text->len;
}

/* Permits that it has, at hand or in calls. */
static uint32_t held(const struct dependency *d)
{
    return d->probing + d->granted;
}

static void flush(struct dependency *d)
{
    struct breaker_share *s = d->share;
    const struct breaker_options *b = &d->local.options;
    AUTO_BUF struct buf text = { 0 };
    size_t ends[15], count = 0;
    key_breaker(&text, s->prefix, bytes_of(d->name));
    ends[count++] = text.len;
    /* The tag makes both keys one slot of a cluster. */
    buf_add_char(&text, '{');
    key_breaker(&text, s->prefix, bytes_of(d->name));
    buf_add_text(&text, "}:probes");
    ends[count++] = text.len;
    buf_add_text(&text, s->worker);
    ends[count++] = text.len;
    const int64_t numbers[] = { BREAKER_FLEET_WINDOW_MS,
                                b->calls_min,
                                b->failure_percent,
                                b->open_ms,
                                b->permits,
                                PERMIT_MS,
                                d->ok,
                                d->failed,
                                d->probes_ok,
                                d->probes_failed,
                                d->wanted,
                                held(d) };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) add(&text, ends, &count, numbers[i]);
    struct bytes argv[ARRAY_LEN(ends)];
    for (size_t i = 0; i < count; i++) {
        size_t from = i ? ends[i - 1] : 0;
        argv[i] = (struct bytes){ .data = text.data + from, .len = ends[i] - from };
    }
    d->asking = true;
    d->held_told = held(d);
    d->told_ms = loop_now_ms(s->o.loop);
    d->ok = d->failed = d->probes_ok = d->probes_failed = 0; /* lost with the reply: advisory */
    store_script(s->o.store, s->o.script, 2, argv, count, on_reply, d);
}

/* Whether its permits are news: some came back or were not used in time, or they are to be renewed.
 */
static bool permits_are_news(struct dependency *d, uint64_t now)
{
    if (now >= d->granted_until_ms) d->granted = 0;
    return held(d) != d->held_told || (held(d) > 0 && now - d->told_ms >= RENEW_MS);
}

static void on_flush(struct loop_timer *t)
{
    struct breaker_share *s = t->user;
    loop_arm(s->o.loop, t, BREAKER_FLUSH_MS);
    if (!s->o.store || !store_connected(s->o.store)) return;
    size_t pos = 0;
    for (struct dependency *d; (d = map_next(&s->by_name, &pos)) != NULL;) {
        bool news = d->ok || d->failed || d->probes_ok || d->probes_failed || d->wanted;
        news |= permits_are_news(d, loop_now_ms(s->o.loop));
        if (news && !d->asking) flush(d);
    }
}

struct breaker_share *breaker_share_open(const struct breaker_share_options *o)
{
    struct breaker_share *s = xcalloc(1, sizeof *s);
    s->o = *o;
    s->prefix = xstrdup(o->prefix);
    s->worker = xstrdup(o->worker);
    s->flush = (struct loop_timer){ .on_due = on_flush, .user = s };
    loop_arm(o->loop, &s->flush, BREAKER_FLUSH_MS);
    return s;
}

void breaker_share_stop(struct breaker_share *s)
{
    s->stopped = true;
    loop_disarm(s->o.loop, &s->flush);
}

struct breaker_share *breaker_share_free(struct breaker_share *s)
{
    if (!s) return NULL;
    size_t pos = 0;
    for (struct dependency *d; (d = map_next(&s->by_name, &pos)) != NULL;) {
        free(d->name);
        free(d);
    }
    map_done(&s->by_name);
    free(s->prefix);
    free(s->worker);
    free(s);
    return NULL;
}

static struct dependency *dependency_of(struct breaker_share *s, const char *name)
{
    struct dependency *d = map_get(&s->by_name, bytes_of(name));
    if (d || s->by_name.count >= BREAKER_DEPENDENCIES_MAX) return d;
    d = xcalloc(1, sizeof *d);
    d->name = xstrdup(name);
    d->share = s;
    breaker_init(&d->local, s->o.breaker);
    (void)map_put(&s->by_name, bytes_of(d->name), d);
    return d;
}

bool breaker_share_acquire(struct breaker_share *s, const char *dependency,
                           struct breaker_pass *ret, uint64_t *ret_wait_ms)
{
    struct dependency *d = dependency_of(s, dependency);
    *ret = (struct breaker_pass){ .dependency = d };
    if (!d) return true;
    uint64_t now = loop_now_ms(s->o.loop);
    bool shared = s->o.store && store_connected(s->o.store);
    bool pass;
    if (!shared || d->fleet == BREAKER_CLOSED) {
        pass = breaker_acquire(&d->local, now, &ret->epoch, ret_wait_ms);
    } else if (d->granted && now < d->granted_until_ms) {
        d->granted--;
        d->probing++;
        ret->probe = pass = true;
    } else {
        d->granted = 0;
        d->wanted = now >= d->fleet_until_ms;
        *ret_wait_ms = d->wanted ? 1000 : d->fleet_until_ms - now;
        pass = false;
    }
    tell(d);
    return pass;
}

void breaker_share_record(struct breaker_share *s, struct breaker_pass *pass,
                          enum breaker_effect effect)
{
    struct dependency *d = pass->dependency;
    pass->dependency = NULL;
    if (!d) return;
    d->ok += effect == BREAKER_SUCCESS && !pass->probe;
    d->failed += effect == BREAKER_FAILURE && !pass->probe;
    d->probes_ok += effect == BREAKER_SUCCESS && pass->probe;
    d->probes_failed += effect == BREAKER_FAILURE && pass->probe;
    d->probing -= pass->probe;
    if (pass->probe)
        d->granted += effect == BREAKER_IGNORE; /* the permit is free for the next call */
    else
        breaker_record(&d->local, loop_now_ms(s->o.loop), pass->epoch, effect);
    tell(d);
}
