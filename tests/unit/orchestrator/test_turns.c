/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose turn it is among runs with one start key: what starts and other events make of the ledger,
 * and which events go out. Every check looks at the stored text too, taken into a fresh ledger: an
 * owner that takes over must go on the same way. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/proto/ledger.h"
#include "orchestrator/internal.h"

#define ROUTE "0123456789abcdef"

struct world {
    struct ledger ledger;
    struct effects fx;
    struct buf said; /* of the last call: "begin 2, cancel 1" */
};

/* The id of run n. */
static struct bytes run(unsigned n)
{
    static char ids[8][RUN_ID_MAX];
    static unsigned next;
    char *id = ids[next++ % ARRAY_LEN(ids)];
    snprintf(id, RUN_ID_MAX, ROUTE "-%024u", n);
    return bytes_of(id);
}

static unsigned number(struct bytes run_id)
{
    return (unsigned)strtoul(run_id.data + ROUTE_HEX + 1, NULL, 10);
}

/* As a commit and a takeover do it. */
static void store_and_load(struct world *w)
{
    struct args sets = { 0 }, deletes = { 0 };
    ledger_changes(&w->ledger, &sets, &deletes);
    args_done(&sets);
    args_done(&deletes);
    struct ledger loaded = { 0 };
    size_t pos = 0;
    for (struct ledger_item *e; (e = map_next(&w->ledger.entries, &pos));)
        buf_add(&ledger_make(&loaded, bytes_of(e->name))->value, e->value.data, e->value.len);
    ledger_done(&w->ledger);
    w->ledger = loaded;
}

static void end(struct world *w)
{
    buf_reset(&w->said);
    for (size_t i = 0; i < w->fx.count; i++) {
        const struct effect *effect = &w->fx.list[i];
        cr_assert_eq(effect->kind, EFFECT_EVENT);
        if (i) buf_add_text(&w->said, ", ");
        struct bytes type = effect->header[HEADER_TYPE];
        buf_addf(&w->said, "%.*s %u", (int)type.len, type.data,
                 number(effect->header[HEADER_RUN_ID]));
    }
    buf_add_char(&w->said, '\0');
    effects_reset(&w->fx);
    store_and_load(w);
}

static enum turn start_beside(struct world *w, unsigned n, enum start_policy policy,
                              struct bytes holder)
{
    struct event ev = { .type = EVENT_RUN_START, .run_id = run(n), .policy = policy };
    enum turn turn = turns_start(&w->ledger, &ev, holder, &w->fx);
    end(w);
    return turn;
}

static enum turn start(struct world *w, unsigned n, enum start_policy policy)
{
    return start_beside(w, n, policy, (struct bytes){ .data = "" });
}

static void released(struct world *w, unsigned n)
{
    turns_released(&w->ledger, run(n), &w->fx);
    end(w);
}

static void begun(struct world *w, unsigned n)
{
    turns_begun(&w->ledger, run(n));
    end(w);
}

static void over(struct world *w, unsigned n)
{
    turns_over(&w->ledger, run(n), &w->fx);
    end(w);
}

static void resend(struct world *w)
{
    turns_resend(&w->ledger, &w->fx);
    end(w);
}

/* "r1 w2": the line as it is stored. */
static const char *line(struct world *w)
{
    static char text[400];
    char name[LINE_NAME_LEN];
    const struct ledger_item *e = ledger_find(&w->ledger, line_name(run(0), name));
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; e && i < line_count(buf_bytes(&e->value)); i++) {
        const struct place *place = line_place(buf_bytes(&e->value), i);
        char id[RUN_ID_MAX];
        place_run_id(bytes_of(ROUTE), place, id);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%c%u", i ? " " : "", place->state,
                                number(bytes_of(id)));
    }
    return text;
}

static void done(struct world *w)
{
    ledger_done(&w->ledger);
    effects_done(&w->fx);
    buf_done(&w->said);
}

#define SAID(text) cr_assert_str_eq(w.said.data, text)
#define LINE(text) cr_assert_str_eq(line(&w), text)

Test(turns, queued_runs_begin_one_after_the_other_in_the_order_of_their_starts)
{
    struct world w = { 0 };
    cr_assert_eq(start(&w, 1, START_QUEUE), TURN_NOW);
    SAID("run.begin 1");
    LINE("b1");
    begun(&w, 1);
    cr_assert_eq(start(&w, 2, START_QUEUE), TURN_WAIT);
    cr_assert_eq(start(&w, 3, START_QUEUE), TURN_WAIT);
    SAID("");
    LINE("r1 w2 w3");
    over(&w, 1);
    SAID("key.released 1");
    LINE("r1 w2 w3");
    released(&w, 1);
    SAID("run.begin 2");
    LINE("b2 w3");
    begun(&w, 2);
    LINE("r2 w3");
    released(&w, 1);
    SAID("");
    LINE("r2 w3");
    released(&w, 2);
    SAID("run.begin 3");
    begun(&w, 3);
    released(&w, 3);
    LINE("");
    cr_assert_not(turns_taken(&w.ledger, run(1)));
    done(&w);
}

Test(turns, who_waits_and_is_cancelled_lets_those_behind_wait_on)
{
    struct world w = { 0 };
    for (unsigned n = 1; n <= 3; n++) start(&w, n, START_QUEUE);
    released(&w, 2);
    SAID("");
    LINE("b1 w3");
    released(&w, 1);
    SAID("run.begin 3");
    done(&w);
}

Test(turns, a_replacement_cancels_all_that_is_there_once)
{
    struct world w = { 0 };
    start(&w, 1, START_QUEUE);
    start(&w, 2, START_QUEUE);
    cr_assert_eq(start(&w, 3, START_REPLACE), TURN_NOW);
    SAID("run.cancel 1, run.cancel 2");
    LINE("e1 e2 r3");
    cr_assert_eq(start(&w, 4, START_REPLACE), TURN_NOW);
    SAID("run.cancel 3");
    cr_assert_eq(start(&w, 5, START_QUEUE), TURN_WAIT);
    released(&w, 1);
    released(&w, 2);
    released(&w, 3);
    SAID("");
    LINE("r4 w5");
    released(&w, 4);
    SAID("run.begin 5");
    done(&w);
}

Test(turns, one_that_is_allowed_runs_beside_and_is_waited_for_by_those_behind)
{
    struct world w = { 0 };
    cr_assert_eq(start(&w, 1, START_ALLOW), TURN_NOW);
    cr_assert_eq(start(&w, 2, START_ALLOW), TURN_NOW);
    cr_assert_eq(start(&w, 3, START_QUEUE), TURN_WAIT);
    cr_assert_eq(start(&w, 4, START_ALLOW), TURN_NOW);
    LINE("r1 r2 w3 r4");
    released(&w, 1);
    SAID("");
    released(&w, 2);
    SAID("run.begin 3");
    LINE("b3 r4");
    done(&w);
}

Test(turns, a_skipped_start_leaves_no_trace)
{
    struct world w = { 0 };
    cr_assert_eq(start(&w, 1, START_SKIP), TURN_NOW);
    cr_assert_eq(start(&w, 2, START_SKIP), TURN_NONE);
    SAID("run.skipped 2");
    LINE("b1");
    released(&w, 1);
    cr_assert_eq(w.ledger.entries.count, 0);
    cr_assert_eq(start(&w, 3, START_SKIP), TURN_NOW);
    done(&w);
}

Test(turns, a_run_without_policy_that_has_the_key_is_asked_whether_it_is_over)
{
    struct world w = { 0 };
    cr_assert_eq(start_beside(&w, 2, START_QUEUE, run(1)), TURN_WAIT);
    SAID("key.asked 1");
    LINE("a1 w2");
    cr_assert_eq(start_beside(&w, 3, START_QUEUE, run(1)), TURN_WAIT);
    SAID("");
    over(&w, 1);
    SAID("key.released 1");
    released(&w, 1);
    SAID("run.begin 2");
    cr_assert_eq(start_beside(&w, 4, START_REPLACE, run(1)), TURN_NOW);
    SAID("run.cancel 2, run.cancel 3, run.cancel 1");
    cr_assert_eq(start_beside(&w, 5, START_ALLOW, run(9)), TURN_NOW);
    LINE("e2 e3 e1 r4 r5");
    done(&w);
}

Test(turns, the_same_start_again_is_nothing)
{
    struct world w = { 0 };
    start(&w, 1, START_QUEUE);
    start(&w, 2, START_QUEUE);
    cr_assert_eq(start(&w, 2, START_QUEUE), TURN_NONE);
    cr_assert_eq(start(&w, 1, START_REPLACE), TURN_NONE);
    SAID("");
    LINE("b1 w2");
    done(&w);
}

Test(turns, answers_that_are_missing_behind_a_recovery_are_asked_for_again)
{
    struct world w = { 0 };
    start_beside(&w, 2, START_QUEUE, run(1));
    start(&w, 3, START_QUEUE);
    resend(&w);
    SAID("key.asked 1");
    released(&w, 1);
    resend(&w);
    SAID("run.begin 2");
    begun(&w, 2);
    resend(&w);
    SAID("");
    start(&w, 4, START_REPLACE);
    turns_resend(&w.ledger, &w.fx);
    cr_assert_eq(w.fx.count, 2);
    for (size_t i = 0; i < w.fx.count; i++) {
        AUTO_JSON *value = json_parse(w.fx.list[i].value, NULL);
        const char *reason = json_text(value, "reason");
        cr_assert(reason && strstr(reason, run(4).data), "%s", reason);
    }
    end(&w);
    SAID("run.cancel 3, run.cancel 2");
    done(&w);
}

Test(turns, a_run_that_has_no_place_says_nothing_when_it_is_over)
{
    struct world w = { 0 };
    over(&w, 1);
    SAID("");
    start(&w, 1, START_ALLOW);
    over(&w, 2);
    SAID("");
    done(&w);
}

Test(turns, a_thousand_wait_and_no_more)
{
    struct world w = { 0 };
    start(&w, 1, START_QUEUE);
    for (unsigned n = 2; n <= 1001; n++) {
        struct event ev = { .run_id = run(n), .policy = START_QUEUE };
        cr_assert_eq(turns_start(&w.ledger, &ev, (struct bytes){ 0 }, &w.fx), TURN_WAIT);
    }
    cr_assert_eq(start(&w, 1002, START_QUEUE), TURN_FULL);
    cr_assert_eq(start(&w, 1003, START_ALLOW), TURN_NOW, "what runs is counted by itself");
    released(&w, 1);
    SAID("run.begin 2");
    cr_assert_eq(start(&w, 1004, START_QUEUE), TURN_WAIT);
    done(&w);
}
