/* SPDX-License-Identifier: Apache-2.0
 *
 * map and loop: bodies that run many times. The items of a map are begun in order, as many side by
 * side as it allows; an iteration of a loop begins when the one before has ended. Of what has ended
 * only its output stays in memory. A pass enters the instances that were marked, so that an event
 * costs the same among three items and among a hundred thousand. */
#include <stdlib.h>

#include "common/base/limits.h"
#include "orchestrator/engine/state.h"

/* Whether this event has begun as much as it may: then the rest waits for the next one, which time
 * brings at once. */
static bool yields(struct fold *f)
{
    if (f->work < FOLD_WORK_MAX) return false;
    f->yielded = true;
    scope_mark(f->scope);
    return true;
}

/* Enters an instance, runs its body, leaves. Its result is copied: the output of the body, or the
 * error of the step that failed. */
static enum flow instance_run(struct fold *f, uint32_t index, struct scope *scope,
                              struct buf *result)
{
    struct scope *here = f->scope;
    f->scope = scope;
    scope->dirty = false;
    f->visited++;
    uint32_t block = f->def->steps[index].body_block;
    enum flow flow = block_run(f, block);
    buf_reset(result);
    if (flow != FLOW_BUSY) {
        struct bytes value = flow == FLOW_DONE ? block_output(f, block) : step_error(f, f->failed);
        buf_add(result, value.data, value.len);
    }
    f->scope = here;
    return flow;
}

/* Ends what is open in an instance. */
static void instance_sweep(struct fold *f, struct scope *scope)
{
    struct scope *here = f->scope;
    const struct scope_def *def = &f->def->scopes[scope->id];
    f->scope = scope;
    for (uint32_t i = 0; i < def->count; i++)
        if (scope->steps[i]) step_sweep(f, def->steps[i]);
    f->scope = here;
}

static void iteration_end(struct fold *f, struct scope *scope)
{
    struct body *body = scope->body;
    instance_sweep(f, scope);
    body->active--;
    scope_erase(f->run, scope);
    body->dirty_count = 0;
}

/* Its instances and pages go. What the items of a map gave stays in the store while there is
 * somebody to look at it: until the run is deleted, or the instance ends that the map stands in. */
void body_drop(struct run *run, struct body *b)
{
    AUTO_BUF struct buf name = { 0 };
    b->dirty_count = 0;
    while (b->first) {
        struct scope *scope = b->first;
        if (b->items) b->items[scope->item].state = ITEM_PENDING;
        scope->dirty = false;
        scope_erase(run, scope);
    }
    for (uint32_t p = 0; p * PAGE_ITEMS < b->count; p++) {
        if (!(b->pages[p] & PAGE_STORED)) continue;
        page_field_name(&name, run, b, p);
        run_erase_field(run, &name);
    }
    if (b->items && !b->scope->body) {
        body_drop_list(run, b);
        if (b->changed_at) run->aside->changed_bodies[b->changed_at - 1] = NULL;
        b->changed_at = 0;
        b->next_ended = run->aside->ended;
        run->aside->ended = b;
        return;
    }
    for (uint32_t i = 0; i < b->begun && b->items; i++) {
        if (!b->items[i].stored) continue;
        item_field_name(&name, "o:", run, b, i);
        run_erase_field(run, &name);
    }
    body_free(run, b);
}

/* What has ended for good is kept as it stood: a revival of the run goes on there. An iteration
 * that was never counted, because its `while` failed, goes. */
static void body_hold(struct fold *f, uint32_t index, struct body *b)
{
    b->dirty_count = 0;
    for (struct scope *i = b->first; i; i = i->next) i->dirty = false;
    if (!b->items && b->first && b->first->item >= b->begun) iteration_end(f, b->first);
    body_drop_list(f->run, b);
    step_get(f, index)->flags |= STEP_HELD;
}

void repeat_drop(struct fold *f, uint32_t index)
{
    struct step *s = step_get(f, index);
    if (!s || !s->body) return;
    struct body *b = s->body;
    for (struct scope *i = b->first; i; i = i->next) instance_sweep(f, i);
    bool holds = step_holds(&f->def->steps[index], s);
    if (b->items && step_state_terminal((enum step_state)s->state)) {
        s->issued_off = b->count;
        s->at_ms = b->completed;
        s->counted = b->failed;
    }
    step_touch(f, index);
    if (holds) {
        body_hold(f, index, b);
        return;
    }
    s->body = NULL;
    if (s->payload) step_set_payload(f, index, (struct bytes){ 0 });
    body_drop(f->run, b);
}

bool repeat_resume(struct fold *f, uint32_t index)
{
    const struct step *s = step_get(f, index);
    struct body *b = s->body;
    struct bytes stored = { .data = s->payload, .len = s->payload_len };
    struct err e;
    return !b->items || s->choice || map_restore_list(f, b, stored, &e);
}

/* --- map: its list --- */

static void list_encode(json_t *list, struct buf *ret, uint32_t **ret_offsets)
{
    size_t count = json_array_size(list);
    uint32_t *offsets = xcalloc(count + 1, sizeof *offsets);
    buf_add_char(ret, '[');
    for (size_t i = 0; i < count; i++) {
        if (i) buf_add_char(ret, ',');
        offsets[i] = (uint32_t)ret->len;
        json_write(ret, json_array_get(list, i));
    }
    buf_add_char(ret, ']');
    offsets[count] = (uint32_t)ret->len;
    *ret_offsets = offsets;
}

/* Takes the list in. *ret_items: how many items it makes. */
static bool list_take(struct fold *f, struct body *body, json_t *list, uint32_t *ret_items,
                      struct err *e)
{
    struct run *run = f->run;
    *ret_items = 0;
    if (!json_is_array(list)) return err_fail(e, ERR_INVALID, "over: the value is not a list");
    size_t count = json_array_size(list), batch = MAX(run->def->steps[body->owner].batch, 1u);
    size_t items = (count + batch - 1) / batch;
    if (items > MAP_ITEMS_MAX)
        return err_fail(e, ERR_LIMIT, "over: the list makes %zu items, the limit is %d", items,
                        MAP_ITEMS_MAX);
    AUTO_BUF struct buf text = { 0 };
    uint32_t *offsets;
    list_encode(list, &text, &offsets);
    if (text.len > fold_payload_max(f)) {
        free(offsets);
        return err_fail(e, ERR_LIMIT, "over: the list has %zu bytes, the limit is %zu", text.len,
                        fold_payload_max(f));
    }
    body_set_list(run, body, buf_take(&text, NULL), offsets, (uint32_t)count);
    *ret_items = (uint32_t)items;
    return true;
}

static bool list_make(struct fold *f, struct body *body, uint32_t *ret_items, struct err *e)
{
    struct template_env env = names_env(f, body->owner);
    json_t *value = NULL;
    f->read_mutable = false;
    if (!template_eval_json(f->def->steps[body->owner].over, &env, &value, e))
        return err_prefix(e, "over");
    AUTO_JSON *list = value;
    return list_take(f, body, list, ret_items, e);
}

bool map_restore_list(struct fold *f, struct body *body, struct bytes stored, struct err *e)
{
    uint32_t items = 0;
    bool ok;
    if (stored.data) {
        AUTO_JSON *list = json_parse(stored, e);
        ok = list && list_take(f, body, list, &items, e);
    } else {
        ok = list_make(f, body, &items, e);
    }
    return ok && (items == body->count || err_fail(e, ERR_INVALID, "the list has another length"));
}

struct bytes item_bytes(const struct definition *def, const struct body *body, uint32_t item,
                        struct buf *buf)
{
    uint32_t batch = def->steps[body->owner].batch, size = MAX(batch, 1u);
    uint32_t from = item * size, to = MIN(body->list_count, from + size);
    struct bytes view = { .data = body->list + body->offsets[from],
                          .len = body->offsets[to] - body->offsets[from] - 1 };
    if (!batch) return view;
    buf_reset(buf);
    buf_add_char(buf, '[');
    buf_add(buf, view.data, view.len);
    buf_add_char(buf, ']');
    return buf_bytes(buf);
}

/* --- map: its items --- */

void map_results(const struct body *body, struct buf *ret)
{
    buf_reserve(ret, body->output_bytes + 2);
    buf_add_char(ret, '[');
    for (uint32_t i = 0; i < body->count; i++) {
        const struct map_item *item = &body->items[i];
        bool failed = item->state == ITEM_FAILED;
        if (i) buf_add_char(ret, ',');
        if (failed) buf_add_text(ret, "{\"error\":");
        if (item->output)
            buf_add(ret, item->output, item->output_len);
        else
            buf_add_text(ret, "null");
        if (failed) buf_add_char(ret, '}');
    }
    buf_add_char(ret, ']');
}

void map_start(struct fold *f, uint32_t index)
{
    struct err e = { 0 };
    struct body *body = body_new(f->run, step_scope(f, index), index);
    uint32_t items = 0;
    if (!list_make(f, body, &items, &e)) {
        body_free(f->run, body);
        step_fail_evaluation(f, index, &e);
        return;
    }
    body_set_items(f->run, body, items);
    struct step *s = step_move(f, index, STEP_STATE_WAITING, NULL);
    s->body = body;
    s->issued_off = items;
    if (f->read_mutable)
        step_set_payload(
            f, index, (struct bytes){ .data = body->list, .len = body->offsets[body->list_count] });
}

/* Runs an item. false: the pass is to end, or the map has failed. */
static bool item_run(struct fold *f, uint32_t index, struct body *body, struct scope *scope)
{
    AUTO_BUF struct buf result = { 0 };
    enum flow flow = instance_run(f, index, scope, &result);
    if (f->stop) return false;
    if (flow == FLOW_BUSY) return true;
    if (flow == FLOW_FAILED && f->def->steps[index].fail_fast) {
        step_fail(f, index, buf_bytes(&result));
        return false;
    }
    instance_sweep(f, scope);
    item_end(f->run, body, scope->item, flow == FLOW_DONE ? ITEM_COMPLETED : ITEM_FAILED,
             buf_bytes(&result));
    f->touched = true;
    if (body->output_bytes + 1 <= fold_payload_max(f)) return true;
    struct err e;
    err_fail(&e, ERR_LIMIT,
             "the outputs of %u items have more than %zu bytes together, which is the limit",
             body->completed + body->failed, fold_payload_max(f));
    step_fail_evaluation(f, index, &e);
    return false;
}

static int by_number(const void *a, const void *b)
{
    const struct scope *x = *(struct scope *const *)a, *y = *(struct scope *const *)b;
    return (x->item > y->item) - (x->item < y->item);
}

/* Runs the marked items, in order. What is marked meanwhile is for the next pass. */
static bool marked_run(struct fold *f, uint32_t index, struct body *body)
{
    AUTO_FREE struct scope **marked = TAKE(body->dirty);
    size_t count = body->dirty_count;
    body->dirty_count = body->dirty_cap = 0;
    if (count > 1) qsort(marked, count, sizeof *marked, by_number);
    for (size_t i = 0; i < count; i++) marked[i]->dirty = false;
    for (size_t i = 0; i < count; i++)
        if (!item_run(f, index, body, marked[i])) return false;
    return true;
}

/* All items have ended. */
static void map_reduce(struct fold *f, uint32_t index, struct body *body)
{
    const struct step_def *d = &f->def->steps[index];
    if (d->reduce_block == NO_INDEX) {
        AUTO_BUF struct buf output = { 0 };
        map_results(body, &output);
        step_complete(f, index, buf_bytes(&output));
        return;
    }
    struct step *s = step_get(f, index);
    if (!s->choice) {
        s->choice = 1;
        body_drop_list(f->run, body);
        step_set_payload(f, index, (struct bytes){ 0 });
        step_touch(f, index);
    }
    block_follow(f, index, d->reduce_block);
}

void map_continue(struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    struct body *body = step_get(f, index)->body;
    uint32_t most = d->max_concurrent ? d->max_concurrent : f->def->max_parallel;
    AUTO_BUF struct buf seed = { 0 };
    if (!marked_run(f, index, body)) return;
    while (body->begun < body->count && (!most || body->active < most)) {
        if (yields(f)) return;
        f->work++;
        struct scope *scope = body_begin(f->run, body, body->begun++);
        scope_changed(f->run, scope);
        f->touched = true;
        if (seed_item(f, scope, &seed))
            item_end(f->run, body, scope->item, ITEM_COMPLETED, buf_bytes(&seed));
        else if (!item_run(f, index, body, scope))
            return;
    }
    if (body->completed + body->failed == body->count) map_reduce(f, index, body);
}

/* --- loop --- */

void loop_start(struct fold *f, uint32_t index)
{
    struct step *s = step_move(f, index, STEP_STATE_WAITING, NULL);
    s->body = body_new(f->run, step_scope(f, index), index);
}

static void loop_complete(struct fold *f, uint32_t index)
{
    const struct step *s = step_get(f, index);
    AUTO_BUF struct buf output = { 0 };
    if (s->payload)
        buf_add(&output, s->payload, s->payload_len);
    else
        buf_add_text(&output, "null");
    step_complete(f, index, buf_bytes(&output));
}

/* Asks `while` or `until` in an iteration. false: the step has failed. */
static bool loop_asks(struct fold *f, uint32_t index, struct scope *scope, bool *ret)
{
    const struct step_def *d = &f->def->steps[index];
    struct scope *here = f->scope;
    struct err e = { 0 };
    f->scope = scope;
    bool ok = d->while_ ? condition_holds(f, index, d->while_, "while", ret, &e)
                        : condition_holds(f, index, d->until, "until", ret, &e);
    f->scope = here;
    if (!ok) fail_expression(f, index, &e);
    return ok;
}

/* Begins the next iteration. NULL: the loop has ended, or waits for the next event. */
static struct scope *loop_begin(struct fold *f, uint32_t index, struct body *body)
{
    const struct step_def *d = &f->def->steps[index];
    bool goes_on = body->begun < d->max_iterations;
    if (goes_on && yields(f)) return NULL;
    struct scope *scope = NULL;
    if (goes_on) {
        scope = body_begin(f->run, body, body->begun);
        if (d->while_ && !loop_asks(f, index, scope, &goes_on)) return NULL;
    }
    if (!goes_on) {
        if (scope) iteration_end(f, scope);
        loop_complete(f, index);
        return NULL;
    }
    body->begun++;
    f->work++;
    step_get(f, index)->issued_off = body->begun;
    step_touch(f, index);
    return scope;
}

/* An iteration has ended well. false: so has the loop. */
static bool loop_next(struct fold *f, uint32_t index, struct scope *scope, struct bytes output)
{
    bool ends = false;
    if (f->def->steps[index].until && !loop_asks(f, index, scope, &ends)) return false;
    iteration_end(f, scope);
    step_set_payload(f, index, bytes_is(output, "null") ? (struct bytes){ 0 } : output);
    if (ends) loop_complete(f, index);
    return !ends;
}

void loop_continue(struct fold *f, uint32_t index)
{
    struct body *body = step_get(f, index)->body;
    AUTO_BUF struct buf result = { 0 };
    struct scope *scope = body->first;
    if (scope && !scope->dirty) return;
    for (;;) {
        if (!scope) scope = loop_begin(f, index, body);
        if (!scope) return;
        body->dirty_count = 0;
        enum flow flow = instance_run(f, index, scope, &result);
        if (f->stop || flow == FLOW_BUSY) return;
        if (flow == FLOW_FAILED) {
            step_fail(f, index, buf_bytes(&result));
            return;
        }
        if (!loop_next(f, index, scope, buf_bytes(&result))) return;
        scope = NULL;
    }
}
