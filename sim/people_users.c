/* SPDX-License-Identifier: Apache-2.0
 *
 * The people of a user's workflow: they say what the answers have for them, once they are asked, or
 * approve of everything. Who is asked again, because others are now, is answered again. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/oracle.h"
#include "sim/user.h"
#include "sim/workload.h"

#define LOOK_US  (300 * MS)
#define AGAIN_MS 10000 /* an answer that has led to nothing until then is given once more */

/* A step that was answered. */
struct answered {
    struct answered *next;
    uint64_t next_us; /* not before */
    char key[];       /* "<run> <path>" */
};

/* A text that an event holds until the end of the world. */
struct said {
    struct said *next;
    struct buf text;
};

struct people {
    struct map answered;
    struct answered *all;
    struct said *said;
};

void people_done(struct world *w)
{
    struct people *p = w->people;
    if (!p) return;
    map_done(&p->answered);
    while (p->all) {
        struct answered *a = p->all;
        p->all = a->next;
        free(a);
    }
    while (p->said) {
        struct said *s = p->said;
        p->said = s->next;
        buf_done(&s->text);
        free(s);
    }
    free(p);
    w->people = NULL;
}

/* Whether it is time for an answer; the next one is due much later. */
static bool due(struct world *w, const struct look *look, int64_t after_ms)
{
    struct people *p = w->people;
    AUTO_FREE char *key = xasprintf("%s %.*s", look->run_id, (int)look->path.len, look->path.data);
    struct answered *a = map_get(&p->answered, bytes_of(key));
    if (a && w->now_us < a->next_us) return false;
    if (!a) {
        size_t len = strlen(key);
        a = xmalloc(sizeof *a + len + 1);
        memcpy(a->key, key, len + 1);
        a->next = p->all;
        p->all = a;
        map_put(&p->answered, bytes_of(a->key), a);
    }
    a->next_us = w->now_us + (uint64_t)(after_ms + AGAIN_MS) * MS;
    return true;
}

static void say(struct world *w, struct client_event *event, const json_t *value, int64_t after_ms)
{
    struct said *s = xcalloc(1, sizeof *s);
    s->next = w->people->said;
    w->people->said = s;
    json_write(&s->text, value);
    event->value = buf_bytes(&s->text);
    uint64_t at_us = w->now_us + (uint64_t)after_ms * MS + prng_below(&w->script, SECOND);
    client_send(w, at_us, event);
    if (!world_faulty(w) || !prng_chance(&w->script, w->options.unruly_ppm)) return;
    client_send(w, at_us + prng_below(&w->script, SECOND),
                event); /* who is in doubt says it again */
}

/* `who` is one of the approvers: a name, or "role:NAME" for somebody who has the role. */
static void vote(struct world *w, const struct look *look, const struct answer *a, const char *who)
{
    struct client_event event = { .type = EVENT_APPROVAL };
    const char *role = strncmp(who, "role:", 5) == 0 ? who + 5 : NULL;
    bool rejects = a && a->kind == ANSWER_REJECT;
    memcpy(event.run_id, look->run_id, sizeof event.run_id);
    snprintf(event.path, sizeof event.path, "%.*s", (int)look->path.len, look->path.data);
    snprintf(event.actor, sizeof event.actor, "%s", role ? role : who);
    AUTO_JSON *value = json_pack("{s:s}", "decision", rejects ? "reject" : "approve");
    static const char *const members[] = { "comment", "values" };
    for (size_t i = 0; a && i < ARRAY_LEN(members); i++)
        if (json_object_get(a->value, members[i]))
            json_object_set(value, members[i], json_object_get(a->value, members[i]));
    if (role) json_object_set_new(value, "roles", json_pack("[s]", role));
    if (look->escalated)
        json_object_set(value, "output", w->options.user->defaults[look->step->index]);
    say(w, &event, value, a ? a->after_ms : 0);
}

static void answer(struct world *w, const struct look *look, const struct answer *a)
{
    AUTO_JSON *asked = json_parse(look->asked, NULL);
    const json_t *approvers = json_object_get(asked, "approvers");
    const char *by = a ? json_text(a->value, "by") : NULL;
    int64_t quorum = json_int(asked, "quorum", 1);
    if (by) {
        vote(w, look, a, by);
        return;
    }
    if (!json_is_array(approvers)) {
        for (int64_t i = 0; i < quorum; i++) {
            char who[16];
            snprintf(who, sizeof who, "tester%d", (int)(i + 1));
            vote(w, look, a, who);
        }
        return;
    }
    for (size_t i = 0; i < json_array_size(approvers); i++)
        vote(w, look, a, json_string_value(json_array_get(approvers, i)));
}

static void send_signal(struct world *w, const struct look *look, const struct answer *a)
{
    struct client_event event = { .type = EVENT_SIGNAL };
    memcpy(event.run_id, look->run_id, sizeof event.run_id);
    snprintf(event.signal, sizeof event.signal, "%s", look->step->signal);
    AUTO_JSON *empty = json_object();
    say(w, &event, a ? a->value : empty, a ? a->after_ms : 0);
}

static void consider(void *user, const struct look *look)
{
    struct world *w = user;
    const struct sim_user *u = w->options.user;
    if (look->sight != SIGHT_ASKS && look->sight != SIGHT_SIGNAL) return;
    const struct answer *a = look->escalated ? NULL : answers_find(&u->answers, look->step);
    if ((!a && !u->approve) || !due(w, look, a ? a->after_ms : 0)) return;
    if (look->sight == SIGHT_ASKS)
        answer(w, look, a);
    else
        send_signal(w, look, a);
}

static void on_turn(void *user)
{
    struct world *w = user;
    if (w->closing) return;
    oracle_look(w, consider, w);
    world_in(w, LOOK_US, on_turn, w);
}

void people_users_begin(struct world *w)
{
    const struct sim_user *u = w->options.user;
    w->people = xcalloc(1, sizeof *w->people);
    if (u->approve || u->answers.count) world_in(w, LOOK_US, on_turn, w);
}
