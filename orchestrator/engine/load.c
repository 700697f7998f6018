/* SPDX-License-Identifier: Apache-2.0
 *
 * A run from its stored fields. What Redis hands back is input like any other: a damaged head or
 * skeleton, on which every decision rests, is refused, never guessed at. Payloads (i, v, o:, q:)
 * are taken as they are: they were checked on their way in, and who looks into one parses it. */
#include "orchestrator/engine/state.h"

#include <stdlib.h>

#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/mutant.h"

#define SKELETON_VERSION 1
#define SKELETON_STEPS   10          /* where the list of steps stands */
#define TIME_MS_MAX      (1LL << 56) /* sums of times and durations stay far from an overflow */

static const struct field *field_find(const struct field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_is(fields[i].name, name)) return &fields[i];
    return NULL;
}

struct loader {
    struct run *run;
    struct fold fold;
    struct map by_name; /* o:, q: and m: fields that nobody has taken yet */
    struct waiting {
        struct scope *scope;
        struct step *step;
        uint32_t index;
        size_t order;
    } * queue;
    size_t queue_count, queue_cap;
    bool outline; /* payloads are not looked into */
    struct err *e;
};

static json_t *parse_field(const struct field *fields, size_t count, const char *name,
                           json_type type, struct err *e)
{
    const struct field *field = field_find(fields, count, name);
    if (!field) {
        err_fail(e, ERR_INVALID, "field %s is missing", name);
        return NULL;
    }
    json_t *value = json_parse(field->value, e);
    if (value && json_typeof(value) == type) return value;
    if (value) err_fail(e, ERR_INVALID, "it has the wrong type");
    err_prefix(e, "field %s", name);
    json_decref(value);
    return NULL;
}

bool fields_definition(const struct field *fields, size_t count, char ret[SHA256_HEX])
{
    AUTO_JSON *head = parse_field(fields, count, "h", JSON_OBJECT, NULL);
    const char *sha = json_text(head, "definition");
    if (!sha || strlen(sha) != SHA256_HEX - 1) return false;
    memcpy(ret, sha, SHA256_HEX);
    return true;
}

bool skeleton_ended(struct bytes skeleton)
{
    size_t at = 0;
    unsigned state = 0;
    while (at < skeleton.len && skeleton.data[at] != ',') at++;
    for (at++; at < skeleton.len && skeleton.data[at] >= '0' && skeleton.data[at] <= '9'; at++)
        state = MIN(10 * state + (unsigned)(skeleton.data[at] - '0'), 1000u);
    return state < RUN_STATE_COUNT && run_state_terminal((enum run_state)state);
}

/* The number at an index, if it lies within bounds. */
static bool number_at(const json_t *array, size_t index, int64_t min, int64_t max, int64_t *ret)
{
    const json_t *value = json_array_get(array, index);
    if (!json_is_integer(value)) return false;
    *ret = json_integer_value(value);
    return *ret >= min && *ret <= max;
}

static bool damaged(struct loader *l, const char *what)
{
    return err_fail(l->e, ERR_INVALID, "%s", what);
}

/* Whether people can have been asked about the step. */
static bool asking_possible(const struct step_def *d, enum step_state state, const int64_t *n)
{
    bool escalated = n[9] & 2;
    return state == STEP_STATE_WAITING && !n[8] && !n[4] &&
           (escalated ? d->escalation != NULL : d->approval != NULL);
}

/* Whether a step of that kind can be in that state with those numbers. */
static bool entry_possible(const struct step_def *d, enum step_state state, const int64_t *n)
{
    bool live = state == STEP_STATE_ISSUED || state == STEP_STATE_BACKOFF;
    bool waits = state == STEP_STATE_WAITING && !n[8];
    if (d->kind == STEP_WORKFLOW && state == STEP_STATE_BACKOFF) return false;
    if (live && ((!step_kind_is_task(d->kind) && d->kind != STEP_WORKFLOW) || n[2] == 0))
        return false;
    if (n[8] > d->catch_count + (d->fallback_block != NO_INDEX)) return false;
    if (n[9] & 4 && (d->body_scope == NO_INDEX ||
                     (state != STEP_STATE_FAILED && state != STEP_STATE_CANCELLED)))
        return false;
    if (n[9] & 8 && state != STEP_STATE_SKIPPED) return false;
    if (n[9] & 4) waits = true; /* as bounded as one that goes on */
    if (n[9] & 1) return asking_possible(d, state, n);
    if (d->kind == STEP_APPROVAL || d->kind == STEP_WAIT)
        return n[7] == 0 && !(waits && d->kind == STEP_APPROVAL);
    if (d->kind == STEP_MAP)
        return n[7] <= (d->reduce_block != NO_INDEX) && (!waits || n[4] <= MAP_ITEMS_MAX);
    if (d->kind == STEP_LOOP) return n[7] == 0 && (!waits || n[4] <= d->max_iterations);
    if (d->kind == STEP_ROUTER) return n[7] <= d->choice_count && !(waits && !n[7] == !n[4]);
    if (n[7] > d->case_count || (waits && d->kind == STEP_CONDITIONAL && !n[7])) return false;
    bool at_once = d->kind == STEP_SET || d->kind == STEP_TRANSFORM || d->kind == STEP_RETURN ||
                   d->kind == STEP_FAIL || d->kind == STEP_WORKFLOW;
    return !(waits && (at_once || (step_kind_is_task(d->kind) && !n[4])));
}

/* Into the list of what waits for a slot, which is put in order when all are there. */
static void note_waiting(struct loader *l, struct scope *scope, uint32_t index, struct step *s)
{
    if (l->queue_count == l->queue_cap) {
        l->queue_cap = l->queue_cap ? 2 * l->queue_cap : 16;
        l->queue = xrealloc(l->queue, l->queue_cap * sizeof *l->queue);
    }
    l->queue[l->queue_count] =
        (struct waiting){ .scope = scope, .step = s, .index = index, .order = l->queue_count };
    l->queue_count++;
}

/* Whether nothing in the instance can go on: the run has ended, or what it is repeated by. */
static bool instance_over(const struct run *run, const struct scope *scope)
{
    for (const struct body *b = scope->body; b; b = b->scope->body)
        if (b->scope->steps[run->def->steps[b->owner].slot]->flags & STEP_HELD) return true;
    return run_state_terminal((enum run_state)run->state);
}

static bool load_step(struct loader *l, struct scope *scope, const json_t *entry)
{
    static const int64_t max[STEP_NUMBERS] = {
        UINT32_MAX, STEP_STATE_COUNT - 1, ATTEMPTS_MAX, INT64_MAX, INT64_MAX,   TIME_MS_MAX,
        UINT8_MAX,  UINT32_MAX,           UINT8_MAX,    15,        ATTEMPTS_MAX
    };
    struct run *run = l->run;
    int64_t n[STEP_NUMBERS] = { 0 };
    size_t count = MIN(json_array_size(entry), (size_t)STEP_NUMBERS);
    bool ok = count >= 2 && json_array_size(entry) <= STEP_NUMBERS + 1;
    for (size_t i = 0; i < count && ok; i++) ok = number_at(entry, i, 0, max[i], &n[i]);
    if (!ok || n[0] >= run->def->step_count || run->def->steps[n[0]].scope != scope->id ||
        scope->steps[run->def->steps[n[0]].slot])
        return damaged(l, "a step's entry is damaged");
    const struct step_def *d = &run->def->steps[n[0]];
    enum step_state state = (enum step_state)n[1];
    bool goes_on = !step_state_terminal(state) && state != STEP_STATE_PENDING;
    if (!entry_possible(d, state, n) || (goes_on && instance_over(run, scope)))
        return err_fail(l->e, ERR_INVALID, "step %s cannot be %s", d->name, step_state_name(state));
    l->fold.scope = scope;
    struct step *s = step_make(&l->fold, d->index);
    *s = (struct step){
        .state = (uint8_t)state,
        .attempt = (uint8_t)n[2],
        .counted = n[3],
        .issued_off = n[4],
        .at_ms = n[5],
        .definite = (uint8_t)n[6],
        .choice = (uint32_t)n[7],
        .handler = (uint8_t)n[8],
        .flags = (uint8_t)((n[9] & 1 ? STEP_ASKING : 0) | (n[9] & 2 ? STEP_ESCALATED : 0) |
                           (n[9] & 4 ? STEP_HELD : 0) | (n[9] & 8 ? STEP_DECIDED : 0)),
        .base = (uint8_t)n[10]
    };
    if (state == STEP_STATE_ISSUED) run->issued++;
    if (s->flags & STEP_ASKING) run_aside(run)->asked++;
    if (d->kind == STEP_ROLLBACK && state == STEP_STATE_WAITING && !s->handler &&
        !(s->flags & STEP_ASKING))
        run_aside(run)->undoing++;
    if (step_queued(d, s)) note_waiting(l, scope, d->index, s);
    if (!MUTANT(WAIT_UNTIMED) || s->state != STEP_STATE_WAITING)
        timed_update(run, scope, d->index, s);
    return true;
}

static bool load_skeleton(struct run *run, const json_t *s, struct err *e)
{
    int64_t begun = 0, more = 0, since = 0, lives = 0, top = 0, floor = 0;
    bool revived = json_array_size(s) > SKELETON_STEPS + 3;
    int64_t version, state, now, transitions, finished_off, finished_ms, fallback, in, out, usd;
    if (!number_at(s, 0, 1, SKELETON_VERSION, &version))
        return err_fail(e, ERR_INVALID, "field s: of a version that this program does not know");
    if (!number_at(s, 1, 0, RUN_STATE_COUNT - 1, &state) ||
        !number_at(s, 2, -TIME_MS_MAX, TIME_MS_MAX, &now) ||
        !number_at(s, 3, 0, UINT32_MAX, &transitions) ||
        !number_at(s, 4, -1, INT64_MAX, &finished_off) ||
        !number_at(s, 5, -TIME_MS_MAX, TIME_MS_MAX, &finished_ms) ||
        !number_at(s, 6, 0, run->def->on_error == ON_ERROR_FALLBACK, &fallback) ||
        !number_at(s, 7, 0, INT64_MAX, &in) || !number_at(s, 8, 0, INT64_MAX, &out) ||
        !number_at(s, 9, 0, INT64_MAX, &usd) || !json_is_array(json_array_get(s, SKELETON_STEPS)) ||
        !number_at(s, SKELETON_STEPS + 1, 0, UINT32_MAX, &begun) ||
        !number_at(s, SKELETON_STEPS + 2, 0, 1, &more) ||
        (revived && (!number_at(s, SKELETON_STEPS + 3, -TIME_MS_MAX, TIME_MS_MAX, &since) ||
                     !number_at(s, SKELETON_STEPS + 4, 0, UINT32_MAX, &lives) ||
                     !number_at(s, SKELETON_STEPS + 5, 0, ATTEMPTS_MAX, &top) ||
                     !number_at(s, SKELETON_STEPS + 6, 0, ATTEMPTS_MAX, &floor))))
        return err_fail(e, ERR_INVALID, "field s is damaged");
    run->state = (uint8_t)state;
    run->now_ms = now;
    run->transitions = (uint32_t)transitions;
    run->finished_off = finished_off;
    run->finished_ms = finished_ms;
    run->fallback = fallback != 0;
    run->usage = (struct usage){ .tokens_in = in, .tokens_out = out, .micro_usd = usd };
    run->begun = (uint32_t)begun;
    run->more = more != 0;
    if (lives) run_aside(run)->lives = (uint32_t)lives;
    if (lives) run->aside->since_ms = since;
    run->top = (uint8_t)top;
    run->floor = (uint8_t)floor;
    return true;
}

/* --- payloads --- */

/* A field that stands for something of an instance, taken out of what is left to be taken. */
static const struct field *take(struct loader *l, const struct buf *name)
{
    return map_remove(&l->by_name, buf_bytes(name));
}

static void load_bytes(const struct field *field, char **ret, uint32_t *ret_len)
{
    if (!field) return;
    *ret = bytes_dup(field->value.data ? field->value : (struct bytes){ .data = "" });
    *ret_len = (uint32_t)field->value.len;
}

static void load_payloads(struct loader *l, struct scope *scope)
{
    const struct scope_def *def = &l->run->def->scopes[scope->id];
    AUTO_BUF struct buf name = { 0 };
    for (uint32_t i = 0; i < def->count; i++) {
        struct step *s = scope->steps[i];
        const char *path = l->run->def->steps[def->steps[i]].path;
        if (!s) continue;
        field_name(&name, "o:", l->run, scope, path);
        const struct field *result = take(l, &name);
        field_name(&name, "q:", l->run, scope, path);
        const struct field *payload = take(l, &name);
        if (result) s->flags |= STEP_RESULT_STORED;
        if (payload) s->flags |= STEP_PAYLOAD_STORED;
        size_t before = step_bytes(s);
        load_bytes(result, &s->result, &s->result_len);
        load_bytes(payload, &s->payload, &s->payload_len);
        if (scope->body) l->run->aside->repeated_bytes += step_bytes(s) - before;
    }
}

/* --- instances --- */

static bool load_scope(struct loader *l, struct scope *scope, const json_t *entries);

static bool load_items(struct loader *l, struct body *body, const json_t *page, uint32_t from)
{
    size_t i;
    json_t *value;
    json_array_foreach(json_array_get(page, 2), i, value) {
        int64_t item;
        if (!number_at(value, 0, from, MIN(body->count, from + PAGE_ITEMS) - 1, &item) ||
            body->items[item].state != ITEM_PENDING || (body->last && body->last->item >= item))
            return damaged(l, "an item of a map is damaged");
        body->begun = MAX(body->begun, (uint32_t)item + 1);
        struct scope *scope = body_begin(l->run, body, (uint32_t)item);
        if (!load_scope(l, scope, json_array_get(value, 1))) return false;
    }
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The items whose bits are set have ended so. */
static bool load_ended(struct loader *l, struct body *body, const json_t *bits, uint32_t from,
                       enum item_state state)
{
    const char *digits = json_string_value(bits);
    AUTO_BUF struct buf name = { 0 };
    if (!digits) return damaged(l, "a page of a map is damaged");
    for (uint32_t i = 0; digits[i]; i++) {
        int digit = hex_digit(digits[i]);
        if (digit < 0 || i >= PAGE_ITEMS / 4) return damaged(l, "a page of a map is damaged");
        for (uint32_t k = 0; k < 4; k++) {
            uint32_t item = from + 4 * i + k;
            if (!(digit >> k & 1)) continue;
            if (item >= body->count || body->items[item].state != ITEM_PENDING)
                return damaged(l, "a page of a map is damaged");
            item_field_name(&name, "o:", l->run, body, item);
            const struct field *output = take(l, &name);
            item_load(l->run, body, item, state, output ? output->value : (struct bytes){ 0 });
        }
    }
    return true;
}

static bool load_pages(struct loader *l, struct body *body)
{
    AUTO_BUF struct buf name = { 0 };
    for (uint32_t p = 0; p * PAGE_ITEMS < body->count; p++) {
        page_field_name(&name, l->run, body, p);
        const struct field *field = take(l, &name);
        if (!field) break;
        AUTO_JSON *page = json_parse(field->value, l->e);
        uint32_t from = p * PAGE_ITEMS;
        body->pages[p] = PAGE_STORED;
        if (!page || !load_ended(l, body, json_array_get(page, 0), from, ITEM_COMPLETED) ||
            !load_ended(l, body, json_array_get(page, 1), from, ITEM_FAILED) ||
            !load_items(l, body, page, from))
            return false;
    }
    if (body->begun != body->completed + body->failed + body->active)
        return damaged(l, "items of a map are missing");
    return true;
}

static bool load_map(struct loader *l, struct body *body, struct step *s)
{
    body_set_items(l->run, body, (uint32_t)s->issued_off);
    struct bytes stored = { .data = s->payload, .len = s->payload_len };
    l->fold.scope = body->scope;
    bool held = s->flags & STEP_HELD; /* its list is made when it goes on */
    if (!held && !s->choice && !l->outline && !map_restore_list(&l->fold, body, stored, l->e))
        return false;
    if (!load_pages(l, body)) return false;
    if (s->choice && body->completed + body->failed != body->count)
        return damaged(l, "a map reduces before its items have ended");
    return true;
}

static bool load_loop(struct loader *l, struct body *body, struct step *s, const json_t *entries)
{
    body->begun = (uint32_t)s->issued_off;
    if (!entries) return true;
    if (!body->begun) return damaged(l, "an iteration of a loop is damaged");
    return load_scope(l, body_begin(l->run, body, body->begun - 1), entries);
}

/* What a map or a loop repeats, if it does. */
static bool load_body(struct loader *l, struct scope *scope, const json_t *entry)
{
    const struct step_def *d = &l->run->def->steps[json_integer_value(json_array_get(entry, 0))];
    struct step *s = scope->steps[d->slot];
    const json_t *entries = json_array_get(entry, STEP_NUMBERS);
    bool repeats = (d->kind == STEP_MAP || d->kind == STEP_LOOP) &&
                   s->state == STEP_STATE_WAITING && !s->handler && !(s->flags & STEP_ASKING) &&
                   !run_state_terminal((enum run_state)l->run->state);
    repeats |= (s->flags & STEP_HELD) != 0;
    if (entries && (!repeats || d->kind != STEP_LOOP))
        return damaged(l, "a step's entry is damaged");
    if (!repeats) return true;
    s->body = body_new(l->run, scope, d->index);
    if (d->kind == STEP_LOOP) return load_loop(l, s->body, s, entries);
    return load_map(l, s->body, s);
}

/* Top down: what is within may read what is around. The nesting is that of the definition. */
static bool load_scope(struct loader *l, struct scope *scope, const json_t *entries)
{
    size_t i;
    json_t *entry;
    if (!json_is_array(entries)) return damaged(l, "the steps of an instance are missing");
    json_array_foreach(entries, i, entry) {
        if (!load_step(l, scope, entry)) return false;
    }
    load_payloads(l, scope);
    json_array_foreach(entries, i, entry) {
        if (!load_body(l, scope, entry)) return false;
    }
    scope_mark(scope);
    return true;
}

static int by_ticket(const void *a, const void *b)
{
    const struct waiting *x = a, *y = b;
    int by_number =
        (x->step->issued_off > y->step->issued_off) - (x->step->issued_off < y->step->issued_off);
    return by_number ? by_number : (x->order > y->order) - (x->order < y->order);
}

static void load_queue(struct loader *l)
{
    if (l->queue_count) qsort(l->queue, l->queue_count, sizeof *l->queue, by_ticket);
    for (size_t i = 0; i < l->queue_count; i++)
        queue_append(l->run, l->queue[i].scope, l->queue[i].index, l->queue[i].step);
}

/* What is left belongs to no step, and is damage; except what the items of a map gave that has
 * ended, which nobody reads. */
static bool leftover(struct loader *l, const struct field *field)
{
    struct bytes name = field->name, path = { .data = name.data + 2, .len = name.len - 2 };
    const char *open = memchr(path.data, '[', path.len);
    if (name.data[0] == 'o' && open) {
        struct bytes owner = { .data = path.data, .len = (size_t)(open - path.data) };
        const struct step_def *d = definition_step(l->run->def, owner);
        if (d && d->kind == STEP_MAP && d->scope == 0 && l->run->root->steps[d->slot]) return true;
    }
    return err_fail(l->e, ERR_INVALID, "field %.*s belongs to no step of the run",
                    (int)MIN(name.len, (size_t)100), name.data);
}

static bool index_fields(struct loader *l, const struct field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct bytes name = fields[i].name;
        if (name.len < 2 || name.data[1] != ':' || !fields[i].value.data) continue;
        if (name.data[0] != 'o' && name.data[0] != 'q' && name.data[0] != 'm') continue;
        if (fields[i].value.len > UINT32_MAX)
            return err_fail(l->e, ERR_INVALID, "a field is too large");
        if (map_put(&l->by_name, name, (void *)(uintptr_t)&fields[i]))
            return err_fail(l->e, ERR_INVALID, "field %.*s is there twice",
                            (int)MIN(name.len, (size_t)100), name.data);
    }
    return true;
}

static bool load_parts(struct loader *l, const json_t *skeleton, const struct field *fields,
                       size_t count)
{
    struct run *run = l->run;
    const struct field *result = map_remove(&l->by_name, BYTES_LIT("o:"));
    load_bytes(result, &run->result, &run->result_len);
    const struct field *closed = field_find(fields, count, "c");
    if (closed && !closed_load(run, closed->value, l->e)) return false;
    load_bytes(field_find(fields, count, "v"), &run->vars, &run->vars_len);
    run->sets_vars |= run->vars != NULL; /* people may have set them (run_change_vars) */
    const struct field *signals = field_find(fields, count, "g");
    const struct field *undo = field_find(fields, count, "u");
    const struct field *seeds = field_find(fields, count, "k");
    if (undo && !undo_load(run, undo->value, l->e)) return false;
    if (signals && !MUTANT(SIGNAL_DROPPED))
        load_bytes(signals, &run_aside(run)->signals, &run_aside(run)->signals_len);
    if (seeds) load_bytes(seeds, &run_aside(run)->seeds, &run_aside(run)->seeds_len);
    load_bytes(field_find(fields, count, "i"), &run->input, &run->input_len);
    if (!run->input) return err_fail(l->e, ERR_INVALID, "field i is missing");
    const struct field *late = field_find(fields, count, "l");
    if (late && !late_load(run, late->value, l->e)) return false;
    if (!load_scope(l, run->root, json_array_get(skeleton, SKELETON_STEPS)))
        return err_prefix(l->e, "the run's steps");
    load_queue(l);
    size_t pos = 0;
    for (const struct field *f; (f = map_next(&l->by_name, &pos));)
        if (!leftover(l, f)) return false;
    return true;
}

static bool load_run(struct run *run, const json_t *skeleton, const struct field *fields,
                     size_t count, bool outline, struct err *e)
{
    /* What is stored was let in once. */
    const struct fold_context cx = { .record_ms = run->now_ms,
                                     .topic = "",
                                     .payload_max = SIZE_MAX };
    struct loader l = { .run = run, .outline = outline, .e = e };
    if (!load_skeleton(run, skeleton, e)) return false;
    l.fold = fold_begin(run, &cx, NULL);
    run->root->dirty = false; /* it is marked like all others */
    bool ok = index_fields(&l, fields, count) && load_parts(&l, skeleton, fields, count);
    fold_release(&l.fold);
    map_done(&l.by_name);
    free(l.queue);
    run->due_ms = run_next_due_ms(run);
    return ok;
}

static bool policy_load(struct run *run, const json_t *head, struct err *e)
{
    const char *text = json_text(head, "policy");
    enum start_policy policy = START_REJECT;
    if (text && !start_policy_find(bytes_of(text), &policy))
        return err_fail(e, ERR_INVALID, "field h is damaged");
    int64_t start_off = json_int(head, "start_off", 0);
    if (policy == START_REJECT && start_off == 0) return true;
    run_aside(run)->policy = policy;
    run->aside->start_off = start_off;
    return true;
}

static struct run *load(const struct definition *def, const char *id, const struct field *fields,
                        size_t count, bool outline, struct err *e)
{
    if (!run_id_check(bytes_of(id))) {
        err_fail(e, ERR_INVALID, "'%.60s' is no run id", id);
        return NULL;
    }
    AUTO_JSON *head = parse_field(fields, count, "h", JSON_OBJECT, e);
    if (!head) return NULL;
    const char *sha = json_text(head, "definition");
    if (!sha || strcmp(sha, def->sha256) != 0) {
        err_fail(e, ERR_INVALID, "the run is of another definition");
        return NULL;
    }
    AUTO_JSON *skeleton = parse_field(fields, count, "s", JSON_ARRAY, e);
    if (!skeleton) return NULL;
    const struct bytes texts[TEXT_COUNT] = {
        [TEXT_KEY] = bytes_of(json_text(head, "key")),
        [TEXT_NAMESPACE] = bytes_of(json_text(head, "namespace")),
        [TEXT_ACTOR] = bytes_of(json_text(head, "actor")),
        [TEXT_TRACEPARENT] = bytes_of(json_text(head, "traceparent")),
    };
    CLEANUP(run_free_p) struct run *run = run_new(def, bytes_of(id), texts);
    run->logic = (uint32_t)json_int(head, "logic", LOGIC_VERSION);
    run->started_ms = json_int(head, "started_ms", 0);
    if (run->started_ms > TIME_MS_MAX || run->started_ms < -TIME_MS_MAX) {
        err_fail(e, ERR_INVALID, "field h is damaged");
        return NULL;
    }
    const char *forked_from = json_text(head, "forked_from");
    if (forked_from && run_id_check(bytes_of(forked_from)))
        memcpy(run_aside(run)->forked_from, forked_from, RUN_ID_MAX);
    if (!parent_load(run, head, e) || !policy_load(run, head, e)) return NULL;
    if (!load_run(run, skeleton, fields, count, outline, e)) return NULL;
    return TAKE(run);
}

struct run *run_load(const struct definition *def, const char *id, const struct field *fields,
                     size_t count, struct err *e)
{
    return load(def, id, fields, count, false, e);
}

struct run *run_load_outline(const struct definition *def, const char *id,
                             const struct field *fields, size_t count, struct err *e)
{
    return load(def, id, fields, count, true, e);
}
