/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose turn it is: runs that were started with a key and a policy (message.h). The ledger has a
 * line for each key that has unfinished ones (common/proto/ledger.h), in the order of their starts.
 * Nothing here looks at a run, for the ledger follows from the log alone; so what has to be known
 * of a run is an event:
 *
 *   a start   takes a place: it RUNS or WAITS. What it replaces is told to end (run.cancel). A run
 *             that the key stands for without a policy may be over or not: it is ASKED (key.asked)
 *   a run that has a place and turns out to be over, by whatever event, says so: key.released
 *   key.released frees the place; the first of the line, if it WAITS, is told to begin (run.begin)
 *
 *   run.begin: it RUNS
 *
 * An answer that is missing behind a recovery is asked for again (turns_resend); all of these
 * events may come twice. */
#include <stdlib.h>

#include "common/proto/ledger.h"
#include "orchestrator/internal.h"

#define WAITING_MAX 1000 /* of one key */
#define RUNNING_MAX 1000 /* the same: one that began, or is to end */

static struct ledger_item *line_find(const struct ledger *l, struct bytes run_id)
{
    char name[LINE_NAME_LEN];
    return ledger_find(l, line_name(run_id, name));
}

static size_t count_of(const struct ledger_item *line)
{
    return line ? line_count(buf_bytes(&line->value)) : 0;
}

static struct place *place_at(struct ledger_item *line, size_t i)
{
    return (struct place *)(uintptr_t)line_place(buf_bytes(&line->value), i);
}

/* NULL: the run has no place. */
static struct place *place_find(struct ledger_item *line, struct bytes run_id)
{
    for (size_t i = 0; i < count_of(line); i++)
        if (memcmp(place_at(line, i)->unique, run_id.data + ROUTE_HEX + 1, UNIQUE_HEX) == 0)
            return place_at(line, i);
    return NULL;
}

static void place_add(struct ledger *l, struct ledger_item *line, struct bytes run_id,
                      enum place_state state)
{
    buf_add_char(&line->value, (char)state);
    buf_add(&line->value, run_id.data + ROUTE_HEX + 1, UNIQUE_HEX);
    ledger_touch(l, line);
}

static size_t count_waiting(struct ledger_item *line)
{
    size_t n = 0;
    for (size_t i = 0; i < count_of(line); i++) n += place_at(line, i)->state == PLACE_WAITS;
    return n;
}

/* --- events --- */

static void tell(struct effects *fx, enum event_type type, struct bytes run_id, struct bytes value)
{
    struct effect *effect = effect_new(fx, EFFECT_EVENT);
    effect->header[HEADER_V] = BYTES_LIT(MESSAGE_VERSION);
    effect->header[HEADER_TYPE] = bytes_of(event_type_name(type));
    effect->header[HEADER_RUN_ID] = arena_copy(&fx->arena, run_id);
    effect->value = arena_copy(&fx->arena, value);
}

/* What a place waits for an answer to. by: the run that takes its place, if it is to end. */
static void tell_place(struct effects *fx, struct bytes route, const struct place *place,
                       struct bytes by)
{
    AUTO_BUF struct buf why = { 0 };
    char text[RUN_ID_MAX];
    place_run_id(route, place, text);
    struct bytes id = bytes_of(text);
    switch ((enum place_state)place->state) {
    case PLACE_BEGINS: tell(fx, EVENT_RUN_BEGIN, id, (struct bytes){ 0 }); break;
    case PLACE_ASKED: tell(fx, EVENT_KEY_ASKED, id, (struct bytes){ 0 }); break;
    case PLACE_ENDS:
        buf_addf(&why, "{\"reason\":\"run %.*s with the same key has replaced it\"}", (int)by.len,
                 by.data);
        tell(fx, EVENT_RUN_CANCEL, id, buf_bytes(&why));
        break;
    case PLACE_RUNS:
    case PLACE_WAITS: break;
    }
}

static void replace_all(struct ledger *l, struct ledger_item *line, struct bytes by,
                        struct effects *fx)
{
    for (size_t i = 0; i < count_of(line); i++) {
        struct place *place = place_at(line, i);
        if (place->state == PLACE_ENDS) continue;
        place->state = PLACE_ENDS;
        tell_place(fx, by, place, by);
    }
    if (count_of(line)) ledger_touch(l, line);
}

/* --- starts --- */

/* A run that might have had to wait is told to begin all the same: whoever reads the log (the
 * index) knows then that it did not. One that is skipped is told of for the same reason. */
static enum turn line_start(struct ledger *l, struct ledger_item *line, const struct event *ev,
                            struct effects *fx)
{
    size_t count = count_of(line), waiting = count_waiting(line);
    bool waits = ev->policy == START_QUEUE && count > 0;
    bool told = ev->policy == START_QUEUE || ev->policy == START_SKIP;
    if (ev->policy == START_SKIP && count > 0) {
        tell(fx, EVENT_RUN_SKIPPED, ev->run_id, (struct bytes){ 0 });
        return TURN_NONE;
    }
    if (waits ? waiting >= WAITING_MAX : count - waiting >= RUNNING_MAX) return TURN_FULL;
    if (ev->policy == START_REPLACE) replace_all(l, line, ev->run_id, fx);
    place_add(l, line, ev->run_id, waits ? PLACE_WAITS : told ? PLACE_BEGINS : PLACE_RUNS);
    if (told && !waits) tell_place(fx, ev->run_id, place_at(line, 0), (struct bytes){ 0 });
    return waits ? TURN_WAIT : TURN_NOW;
}

enum turn turns_start(struct ledger *l, const struct event *ev, struct bytes holder,
                      struct effects *fx)
{
    char name[LINE_NAME_LEN];
    ASSERT(ev->policy != START_REJECT);
    struct ledger_item *line = ledger_make(l, line_name(ev->run_id, name));
    if (place_find(line, ev->run_id)) return TURN_NONE; /* the same start again */
    bool judges = ev->policy == START_QUEUE || ev->policy == START_REPLACE;
    if (judges && holder.len && !place_find(line, holder)) {
        place_add(l, line, holder, PLACE_ASKED);
        if (ev->policy == START_QUEUE)
            tell_place(fx, holder, place_find(line, holder), (struct bytes){ 0 });
    }
    enum turn turn = line_start(l, line, ev, fx);
    if (count_of(line) == 0) ledger_touch(l, line); /* nobody needs it */
    return turn;
}

bool turns_taken(const struct ledger *l, struct bytes run_id)
{
    return count_of(line_find(l, run_id)) > 0;
}

/* --- what comes back --- */

void turns_begun(struct ledger *l, struct bytes run_id)
{
    struct ledger_item *line = line_find(l, run_id);
    struct place *place = place_find(line, run_id);
    if (!place || place->state != PLACE_BEGINS) return;
    place->state = PLACE_RUNS;
    ledger_touch(l, line);
}

void turns_released(struct ledger *l, struct bytes run_id, struct effects *fx)
{
    struct ledger_item *line = line_find(l, run_id);
    struct place *place = place_find(line, run_id);
    if (!place) return;
    size_t rest = line->value.len - (size_t)((char *)(place + 1) - line->value.data);
    memmove(place, place + 1, rest);
    line->value.len -= sizeof *place;
    ledger_touch(l, line);
    if (count_of(line) == 0 || place_at(line, 0)->state != PLACE_WAITS) return;
    place_at(line, 0)->state = PLACE_BEGINS;
    tell_place(fx, run_id, place_at(line, 0), (struct bytes){ 0 });
}

void turns_over(const struct ledger *l, struct bytes run_id, struct effects *fx)
{
    if (place_find(line_find(l, run_id), run_id))
        tell(fx, EVENT_KEY_RELEASED, run_id, (struct bytes){ 0 });
}

static void resend_line(struct ledger_item *line, struct effects *fx)
{
    struct bytes route = { .data = line->name + 2, .len = ROUTE_HEX };
    char by[RUN_ID_MAX] = "another";
    for (size_t i = count_of(line); i-- > 0;) {
        const struct place *place = place_at(line, i);
        if (place->state != PLACE_ENDS) place_run_id(route, place, by);
        tell_place(fx, route, place, bytes_of(by));
    }
}

void turns_resend(const struct ledger *l, struct effects *fx)
{
    size_t pos = 0;
    for (struct ledger_item *entry; (entry = map_next(&l->entries, &pos));)
        if (strncmp(entry->name, "k:", 2) == 0) resend_line(entry, fx);
}
