/* SPDX-License-Identifier: Apache-2.0
 *
 * The people: some answer what they are asked and send signals, others run the installation and
 * pause, resume, skip, end. The unruly say things twice, late, two at a time, and about what is not
 * there. Once the world is healed they answer whatever is still open, so that every run comes to
 * its end. */
#include <stdio.h>

#include "sim/generate.h"
#include "sim/oracle.h"
#include "sim/user.h"
#include "sim/workload.h"

static const char *const names[] = {
#define X(name) name,
    PEOPLE(X)
#undef X
};
static const char *const signals[] = {
#define X(name) name,
    SIGNALS(X)
#undef X
};

/* One of what is to be seen, each as likely as any other. */
struct choice {
    struct prng *random;
    enum sight sight;
    uint64_t seen;
    bool escalated;
    const struct step_def *step;
    struct client_event event; /* run and path */
};

static void consider(void *user, const struct look *look)
{
    struct choice *c = user;
    if (look->sight != c->sight || prng_below(c->random, ++c->seen) > 0) return;
    c->step = look->step;
    c->escalated = look->escalated;
    memcpy(c->event.run_id, look->run_id, sizeof c->event.run_id);
    snprintf(c->event.path, sizeof c->event.path, "%.*s", (int)look->path.len,
             look->path.data ? look->path.data : "");
}

/* false: there is none. */
static bool choose(struct world *w, enum sight sight, struct choice *ret)
{
    *ret = (struct choice){ .random = &w->script, .sight = sight };
    oracle_look(w, consider, ret);
    return ret->seen > 0;
}

/* --- saying --- */

static bool unruly(struct world *w)
{
    return world_faulty(w) && prng_chance(&w->script, w->options.unruly_ppm);
}

/* Now, or a little later; the unruly say it late, and again. */
static void say(struct world *w, const struct client_event *event)
{
    struct prng *p = &w->script;
    uint64_t at_us = w->now_us + prng_below(p, 50 * MS);
    if (unruly(w)) at_us += prng_below(p, 5 * SECOND);
    client_send(w, at_us, event);
    if (!unruly(w)) return;
    w->counters.kinds[FAULT_EXTERNAL]++;
    w->counters.faults++;
    client_send(w, at_us + prng_below(p, prng_below(p, 2) ? 10 * MS : 3 * SECOND), event);
}

/* --- those who are asked --- */

static void answer_as(struct client_event *event, const char *who, const char *decision)
{
    event->type = EVENT_APPROVAL;
    snprintf(event->actor, sizeof event->actor, "%s", who);
    snprintf(event->text, sizeof event->text,
             "{\"decision\":\"%s\",\"comment\":\"%s\",\"values\":{\"answer\":7,\"n\":9},"
             "\"output\":{\"answer\":1,\"n\":0},\"roles\":%s}",
             decision, who, strcmp(who, "dan") == 0 ? "[\"lead\"]" : "[]");
}

static void answer(struct world *w, struct choice *c)
{
    struct prng *p = &w->script;
    unsigned r = (unsigned)prng_below(p, 100);
    const char *decision = r < 75 ? "approve" : r < 85 || !c->escalated ? "reject" : "retry";
    answer_as(&c->event, names[prng_below(p, ARRAY_LEN(names))], decision);
    if (unruly(w)) {
        static const char *const paths[] = { "nowhere", "s0", "s1[0]/s2", "" };
        snprintf(c->event.path, sizeof c->event.path, "%s", paths[prng_below(p, ARRAY_LEN(paths))]);
    }
    if (unruly(w)) snprintf(c->event.actor, sizeof c->event.actor, "eve");
    say(w, &c->event);
    if (!unruly(w)) return;
    /* Two at once. */
    answer_as(&c->event, names[prng_below(p, ARRAY_LEN(names))], decision);
    client_send(w, w->now_us, &c->event);
}

static void send_signal(struct world *w, struct choice *c)
{
    struct prng *p = &w->script;
    const char *name =
        c->step && c->step->signal ? c->step->signal : signals[prng_below(p, ARRAY_LEN(signals))];
    c->event.type = EVENT_SIGNAL;
    c->event.path[0] = '\0';
    snprintf(c->event.signal, sizeof c->event.signal, "%s", name);
    snprintf(c->event.text, sizeof c->event.text, "{\"n\":%u,\"by\":%u}",
             prng_below(p, 4) ? 1u : 0u, (unsigned)prng_below(p, 1000));
    say(w, &c->event);
}

/* --- those who run it --- */

static void act_on_run(struct world *w, struct choice *c, enum event_type type, const char *value)
{
    c->event.type = type;
    snprintf(c->event.text, sizeof c->event.text, "%s", value);
    say(w, &c->event);
}

static void operate(struct world *w)
{
    struct prng *p = &w->script;
    struct choice c;
    unsigned r = (unsigned)prng_below(p, 100);
    if (!choose(w, r < 70 ? SIGHT_RUN : SIGHT_STEP, &c)) return;
    if (r < 25)
        act_on_run(w, &c, EVENT_RUN_PAUSE, "{\"reason\":\"simulated\"}");
    else if (r < 32)
        act_on_run(w, &c, EVENT_RUN_CANCEL, "{\"compensate\":true}");
    else if (r < 36)
        act_on_run(w, &c, EVENT_RUN_TERMINATE, "null");
    else if (r < 50)
        act_on_run(w, &c, EVENT_RUN_SET_VARS, "{\"v0\":[1,2],\"set\":true}");
    else if (r < 70)
        send_signal(w, &c); /* maybe before anybody waits for it */
    else
        act_on_run(w, &c, EVENT_STEP_SKIP, prng_below(p, 2) ? "null" : "{\"n\":0,\"by\":\"ops\"}");
}

static void resume(struct world *w)
{
    struct choice c;
    if (choose(w, SIGHT_PAUSED, &c)) act_on_run(w, &c, EVENT_RUN_RESUME, "null");
}

/* --- the end --- */

/* Whatever is open is answered, at once and well. */
static void close_one(void *user, const struct look *look)
{
    struct world *w = user;
    struct client_event event = { .type = EVENT_RUN_RESUME, .text = "null" };
    memcpy(event.run_id, look->run_id, sizeof event.run_id);
    if (look->sight == SIGHT_PAUSED) client_send(w, w->now_us, &event);
    if (look->sight == SIGHT_SIGNAL) {
        event.type = EVENT_SIGNAL;
        snprintf(event.signal, sizeof event.signal, "%s", look->step->signal);
        snprintf(event.text, sizeof event.text, "{\"n\":1,\"by\":0}");
        client_send(w, w->now_us, &event);
    }
    if (look->sight != SIGHT_ASKS) return;
    snprintf(event.path, sizeof event.path, "%.*s", (int)look->path.len, look->path.data);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        answer_as(&event, names[i], "approve");
        client_send(w, w->now_us, &event);
    }
}

static void come_again(struct world *w, uint64_t in_us);

static void on_turn(void *user)
{
    struct world *w = user;
    struct choice c;
    if (w->closing) return;
    if (w->phase == PHASE_HEALED) {
        oracle_look(w, close_one, w);
        come_again(w, SECOND);
        return;
    }
    uint64_t r = prng_below(&w->script, 100);
    if (r < w->options.operator_percent)
        operate(w);
    else if (r % 10 == 0)
        resume(w);
    else if (choose(w, r % 2 ? SIGHT_ASKS : SIGHT_SIGNAL, &c))
        (r % 2 ? answer : send_signal)(w, &c);
    uint64_t mean = w->options.people_us;
    come_again(w, prng_range(&w->script, mean / 4, mean * 7 / 4));
}

static void come_again(struct world *w, uint64_t in_us)
{
    world_in(w, in_us, on_turn, w);
}

void people_begin(struct world *w)
{
    if (w->options.user)
        people_users_begin(w);
    else
        come_again(w, workload_rest_us(w) + SECOND);
}
