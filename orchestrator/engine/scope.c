/* SPDX-License-Identifier: Apache-2.0
 *
 * Instances of scopes: the run itself, and below each map or loop that goes on its items or its
 * iteration. Whoever touches an instance marks it and all around it, so that a pass finds its way
 * from the root to what has changed and looks at nothing else. An instance is released when it
 * ends; of an item only the output stays. */
#include <stdlib.h>

#include "common/base/limits.h"
#include "orchestrator/engine/state.h"

#define ALLOCATION_BYTES 16 /* overhead of an allocation, rounding included */

/* Room for one more element of an array that grows by doubling. */
#define GROW(list, count, cap)                                 \
    do {                                                       \
        if ((count) == (cap)) {                                \
            (cap) = (cap) ? 2 * (cap) : 8;                     \
            (list) = xrealloc((list), (cap) * sizeof *(list)); \
        }                                                      \
    } while (0)

/* --- paths --- */

struct bytes step_path_within(struct fold *f, uint32_t index)
{
    const struct scope *s = step_scope(f, index);
    if (!s) return bytes_of(f->def->steps[index].path);
    buf_reset(&f->path);
    buf_add_text(&f->path, scope_path(f->run, s));
    buf_add_text(&f->path, f->def->steps[index].path);
    return buf_bytes(&f->path);
}

void field_name(struct buf *ret, const char *prefix, const struct run *run,
                const struct scope *scope, const char *name)
{
    buf_reset(ret);
    buf_add_text(ret, prefix);
    buf_add_text(ret, scope_path(run, scope));
    buf_add_text(ret, name);
}

void item_field_name(struct buf *ret, const char *prefix, const struct run *run,
                     const struct body *body, uint32_t item)
{
    field_name(ret, prefix, run, body->scope, run->def->steps[body->owner].path);
    buf_add_char(ret, '[');
    buf_add_int(ret, item);
    buf_add_char(ret, ']');
}

void page_field_name(struct buf *ret, const struct run *run, const struct body *body, uint32_t page)
{
    field_name(ret, "m:", run, body->scope, run->def->steps[body->owner].path);
    buf_add_char(ret, ':');
    buf_add_int(ret, page);
}

/* Takes "NAME[N]/" off the front. Only the one way of writing a number is taken. */
static bool take_segment(struct bytes *path, struct bytes *ret_name, uint32_t *ret_item)
{
    const char *open = path->len ? memchr(path->data, '[', path->len) : NULL;
    if (!open) return false;
    *ret_name = (struct bytes){ .data = path->data, .len = (size_t)(open - path->data) };
    const char *p = open + 1, *end = path->data + path->len;
    uint64_t n = 0;
    for (; p < end && *p >= '0' && *p <= '9' && n <= UINT32_MAX; p++)
        n = 10 * n + (uint64_t)(*p - '0');
    bool shortest = p > open + 1 && (open[1] != '0' || p == open + 2);
    if (!shortest || n > UINT32_MAX || end - p < 2 || p[0] != ']' || p[1] != '/') return false;
    *ret_item = (uint32_t)n;
    *path = (struct bytes){ .data = p + 2, .len = (size_t)(end - p - 2) };
    return true;
}

static struct scope *body_find(const struct body *body, uint32_t item)
{
    if (body->items) {
        const struct map_item *i = item < body->begun ? &body->items[item] : NULL;
        return i && i->state == ITEM_LIVE ? i->live : NULL;
    }
    return body->first && body->first->item == item ? body->first : NULL;
}

/* The body of a map or loop that repeats now, or holds what it repeated. */
static const struct body *body_of(const struct step_def *d, const struct step *s)
{
    bool repeats = d->kind == STEP_MAP || d->kind == STEP_LOOP;
    return repeats && s ? s->body : NULL;
}

const struct step_def *path_find(struct fold *f, struct bytes path,
                                 const struct step_def **ret_gone)
{
    struct scope *scope = f->run->root;
    uint32_t id = 0; /* goes on where there is no instance */
    struct bytes name;
    uint32_t item;
    *ret_gone = NULL;
    while (take_segment(&path, &name, &item)) {
        const struct step_def *d = definition_step(f->def, name);
        if (!d || d->scope != id || d->body_scope == NO_INDEX) return NULL;
        if (item >= (d->kind == STEP_LOOP ? d->max_iterations : MAP_ITEMS_MAX)) return NULL;
        const struct body *body = scope ? body_of(d, scope->steps[d->slot]) : NULL;
        scope = body ? body_find(body, item) : NULL;
        id = d->body_scope;
    }
    const struct step_def *d = definition_step(f->def, path);
    if (!d || d->scope != id) return NULL;
    if (!scope) {
        *ret_gone = d;
        return NULL;
    }
    f->scope = scope;
    return d;
}

/* --- instances --- */

static size_t scope_bytes(const struct run *run, const struct scope *scope)
{
    size_t bytes = sizeof *scope + run->def->scopes[scope->id].count * sizeof(struct step *) +
                   strlen(scope_path(run, scope)) + ALLOCATION_BYTES;
    for (uint32_t i = 0; i < run->def->scopes[scope->id].count; i++)
        if (scope->steps[i]) bytes += step_bytes(scope->steps[i]);
    return bytes;
}

struct scope *scope_new(struct run *run, struct body *body, uint32_t item)
{
    uint32_t id = body ? run->def->steps[body->owner].body_scope : 0;
    size_t slots = run->def->scopes[id].count;
    AUTO_BUF struct buf path = { 0 };
    if (body) {
        item_field_name(&path, "", run, body, item);
        buf_add_char(&path, '/');
    }
    struct scope *s = xcalloc(1, sizeof *s + slots * sizeof(struct step *) + path.len + 1);
    s->id = (uint16_t)id;
    s->item = item;
    s->body = body;
    if (path.len) memcpy(&s->steps[slots], path.data, path.len);
    if (body) run->aside->repeated_bytes += scope_bytes(run, s);
    return s;
}

static void forget_changed_scope(struct run *run, struct scope *scope)
{
    if (!scope->changed_at) return;
    run->aside->changed_scopes[scope->changed_at - 1] = NULL;
    scope->changed_at = 0;
}

static void step_free(struct run *run, uint32_t index, struct step *s)
{
    const struct step_def *d = &run->def->steps[index];
    if (d->body_scope != NO_INDEX)
        body_free(run, s->body);
    else if (s->queued)
        queue_remove(run, s);
    timed_remove(run, s);
    free(s->result);
    free(s->payload);
    free(s);
}

void scope_free(struct run *run, struct scope *scope)
{
    const struct scope_def *def = &run->def->scopes[scope->id];
    forget_changed_scope(run, scope);
    names_forget_scope(scope);
    if (scope->body) run->aside->repeated_bytes -= scope_bytes(run, scope);
    for (uint32_t i = 0; i < def->count; i++)
        if (scope->steps[i]) step_free(run, def->steps[i], scope->steps[i]);
    free(scope);
}

void scope_mark(struct scope *scope)
{
    for (struct scope *s = scope; s && !s->dirty; s = scope_parent(s)) {
        s->dirty = true;
        struct body *b = s->body;
        if (!b) continue;
        GROW(b->dirty, b->dirty_count, b->dirty_cap);
        b->dirty[b->dirty_count++] = s;
    }
}

void scope_changed(struct run *run, struct scope *scope)
{
    if (!scope->body) return;
    if (!scope->changed_at) {
        GROW(run->aside->changed_scopes, run->aside->changed_scope_count,
             run->aside->changed_scope_cap);
        run->aside->changed_scopes[run->aside->changed_scope_count++] = scope;
        scope->changed_at = (uint32_t)run->aside->changed_scope_count;
    }
    /* An iteration is stored in the entry of its loop. */
    while (scope->body && !scope->body->items) scope = scope->body->scope;
    if (scope->body) body_page_changed(run, scope->body, scope->item);
}

void run_erase_field(struct run *run, const struct buf *name)
{
    GROW(run->aside->erased, run->aside->erased_count, run->aside->erased_cap);
    run->aside->erased[run->aside->erased_count++] = xstrndup(name->data, name->len);
    run->pending_fields++;
}

static void unlink_instance(struct scope *scope)
{
    struct body *b = scope->body;
    *(scope->previous ? &scope->previous->next : &b->first) = scope->next;
    *(scope->next ? &scope->next->previous : &b->last) = scope->previous;
    for (size_t i = 0; scope->dirty && i < b->dirty_count; i++) {
        if (b->dirty[i] != scope) continue;
        memmove(&b->dirty[i], &b->dirty[i + 1], (--b->dirty_count - i) * sizeof *b->dirty);
        break;
    }
}

void scope_erase(struct run *run, struct scope *scope)
{
    const struct scope_def *def = &run->def->scopes[scope->id];
    AUTO_BUF struct buf name = { 0 };
    for (uint32_t i = 0; i < def->count; i++) {
        struct step *s = scope->steps[i];
        if (!s) continue;
        const struct step_def *d = &run->def->steps[def->steps[i]];
        const char *step = d->path;
        int64_t issued = (1ll << MIN(s->attempt, 62)) - 1;
        if (s->attempt > run->top) run->top = s->attempt;
        if (d->body_scope != NO_INDEX && s->body) body_drop(run, TAKE(s->body));
        if (issued & ~s->counted && step_kind_is_task(d->kind)) {
            field_name(&name, "", run, scope, step);
            late_add(run, name.data, issued & ~s->counted);
        }
        if (s->flags & STEP_RESULT_STORED) {
            field_name(&name, "o:", run, scope, step);
            run_erase_field(run, &name);
        }
        if (s->flags & STEP_PAYLOAD_STORED) {
            field_name(&name, "q:", run, scope, step);
            run_erase_field(run, &name);
        }
    }
    unlink_instance(scope);
    scope_free(run, scope);
}

/* In order of the definition, and of the numbers of items: the first instance before what is within
 * it. */
static void each_below(struct fold *f, void (*fn)(struct fold *f, void *user), void *user)
{
    struct scope *here = f->scope;
    const struct scope_def *def = &f->def->scopes[here->id];
    fn(f, user);
    for (uint32_t i = 0; i < def->count; i++) {
        const struct body *b = body_of(&f->def->steps[def->steps[i]], here->steps[i]);
        for (struct scope *s = b ? b->first : NULL; s; s = s->next) {
            f->scope = s;
            each_below(f, fn, user);
        }
    }
    f->scope = here;
}

void scopes_each(struct fold *f, void (*fn)(struct fold *f, void *user), void *user)
{
    f->scope = f->run->root;
    each_below(f, fn, user);
}

/* --- what a map or loop repeats --- */

static size_t body_pages(const struct body *b)
{
    return (b->count + PAGE_ITEMS - 1) / PAGE_ITEMS;
}

static size_t list_bytes(const struct body *b)
{
    return b->list ? b->offsets[b->list_count] + (b->list_count + 1) * sizeof *b->offsets : 0;
}

static size_t body_fixed_bytes(const struct body *b)
{
    return sizeof *b + b->count * sizeof *b->items + body_pages(b) + 3 * ALLOCATION_BYTES;
}

static size_t item_output_bytes(const struct map_item *i)
{
    return (i->state == ITEM_COMPLETED || i->state == ITEM_FAILED) && i->output
               ? i->output_len + ALLOCATION_BYTES
               : 0;
}

struct body *body_new(struct run *run, struct scope *scope, uint32_t owner)
{
    struct body *b = xcalloc(1, sizeof *b);
    run_aside(run);
    b->scope = scope;
    b->owner = owner;
    run->aside->repeated_bytes += body_fixed_bytes(b);
    return b;
}

void body_set_items(struct run *run, struct body *body, uint32_t count)
{
    run->aside->repeated_bytes -= body_fixed_bytes(body);
    body->count = count;
    body->items = xcalloc(MAX(count, 1u), sizeof *body->items);
    body->pages = xcalloc(MAX(body_pages(body), (size_t)1), 1);
    run->aside->repeated_bytes += body_fixed_bytes(body);
}

void body_set_list(struct run *run, struct body *body, char *list, uint32_t *offsets,
                   uint32_t count)
{
    body->list = list;
    body->offsets = offsets;
    body->list_count = count;
    run->aside->repeated_bytes += list_bytes(body);
}

void body_drop_list(struct run *run, struct body *body)
{
    run->aside->repeated_bytes -= list_bytes(body);
    free(TAKE(body->list));
    free(TAKE(body->offsets));
}

void body_free(struct run *run, struct body *b)
{
    if (!b) return;
    while (b->first) {
        struct scope *s = b->first;
        b->first = s->next;
        if (b->items) b->items[s->item].state = ITEM_PENDING;
        scope_free(run, s);
    }
    for (uint32_t i = 0; i < b->begun && b->items; i++) {
        run->aside->repeated_bytes -= item_output_bytes(&b->items[i]);
        if (item_output_bytes(&b->items[i])) free(b->items[i].output);
    }
    body_drop_list(run, b);
    run->aside->repeated_bytes -= body_fixed_bytes(b);
    if (b->changed_at) run->aside->changed_bodies[b->changed_at - 1] = NULL;
    free(b->items);
    free(b->pages);
    free(b->dirty);
    free(b->changed);
    free(b);
}

struct scope *body_begin(struct run *run, struct body *body, uint32_t item)
{
    struct scope *s = scope_new(run, body, item);
    s->previous = body->last;
    *(body->last ? &body->last->next : &body->first) = s;
    body->last = s;
    body->active++;
    if (body->items) {
        body->items[item].state = ITEM_LIVE;
        body->items[item].live = s;
    }
    return s;
}

static void body_changed(struct run *run, struct body *body)
{
    if (body->changed_at) return;
    GROW(run->aside->changed_bodies, run->aside->changed_body_count, run->aside->changed_body_cap);
    run->aside->changed_bodies[run->aside->changed_body_count++] = body;
    body->changed_at = (uint32_t)run->aside->changed_body_count;
}

void body_page_changed(struct run *run, struct body *body, uint32_t item)
{
    uint8_t *page = &body->pages[item / PAGE_ITEMS];
    if (*page & PAGE_CHANGED) return;
    *page |= PAGE_CHANGED;
    body_changed(run, body);
    run->pending_fields++;
}

static void item_set(struct run *run, struct body *body, uint32_t item, enum item_state state,
                     struct bytes output)
{
    struct map_item *i = &body->items[item];
    i->state = (uint8_t)state;
    i->output = bytes_dup(output);
    i->output_len = (uint32_t)output.len;
    /* As it stands in the list of all outputs. */
    body->output_bytes += (output.data ? output.len : sizeof "null" - 1) + 1 +
                          (state == ITEM_FAILED ? sizeof "{\"error\":}" - 1 : 0);
    run->aside->repeated_bytes += item_output_bytes(i);
    *(state == ITEM_FAILED ? &body->failed : &body->completed) += 1;
}

void item_load(struct run *run, struct body *body, uint32_t item, enum item_state state,
               struct bytes output)
{
    body->begun = MAX(body->begun, item + 1);
    body->items[item].stored = output.data != NULL;
    item_set(run, body, item, state, output);
}

void item_end(struct run *run, struct body *body, uint32_t item, enum item_state state,
              struct bytes output)
{
    struct scope *scope = body->items[item].live;
    if (bytes_is(output, "null")) output = (struct bytes){ 0 };
    item_set(run, body, item, state, output);
    body->active--;
    body_page_changed(run, body, item);
    if (output.data || run_lives(run)) { /* what an earlier life has left there goes */
        GROW(body->changed, body->changed_count, body->changed_cap);
        body->changed[body->changed_count++] = item;
        body->items[item].changed = true;
        run->pending_fields++;
    }
    scope_erase(run, scope);
}
