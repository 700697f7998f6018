/* SPDX-License-Identifier: Apache-2.0
 *
 * What names mean in an expression: input, vars, steps, run, error and output, and bare names,
 * which are looked up in vars, in the output of the step before, and in the input. Parsed JSON is
 * kept for the time of one fold.
 *
 * It also notes whether anything was read that may change while a task is out: such a task's
 * payload has to be stored, because it could not be made a second time. */
#include "orchestrator/engine/state.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/nearest.h"

/* --- the cache --- */

/* What a fold has parsed of an instance. */
struct names {
    struct names *next;  /* of the fold */
    struct scope *scope; /* NULL: it is gone */
    uint32_t count;
    struct buf batch; /* the JSON of an item that is a list of values */
    json_t *item, *results;
    uint32_t results_of; /* the map that `results` belongs to */
    json_t *result[];    /* by slot */
};

static struct names *names_of(struct fold *f, struct scope *scope)
{
    if (scope->names) return scope->names;
    uint32_t count = f->def->scopes[scope->id].count;
    struct names *n = xcalloc(1, sizeof *n + count * sizeof(json_t *));
    n->scope = scope;
    n->count = count;
    n->next = f->names;
    f->names = n;
    return scope->names = n;
}

void names_forget_result(struct scope *scope, uint32_t slot)
{
    if (scope->names) json_decref(TAKE(scope->names->result[slot]));
}

static void names_clear(struct names *n)
{
    for (uint32_t i = 0; i < n->count; i++) json_decref(TAKE(n->result[i]));
    json_decref(TAKE(n->item));
    json_decref(TAKE(n->results));
    buf_done(&n->batch);
}

void names_forget_scope(struct scope *scope)
{
    if (!scope->names) return;
    names_clear(scope->names);
    scope->names->scope = NULL;
    scope->names = NULL;
}

void names_done(struct fold *f)
{
    json_decref(TAKE(f->input_json));
    json_decref(TAKE(f->vars_json));
    json_decref(TAKE(f->run_error_json));
    json_decref(TAKE(f->signals_json));
    json_decref(TAKE(f->seeds_json));
    while (f->names) {
        struct names *n = f->names;
        f->names = n->next;
        if (n->scope) names_forget_scope(n->scope);
        free(n);
    }
}

/* Borrowed from *cache, where it is put if it is not there yet. */
static bool parse_once(json_t **cache, struct bytes text, const char *what, json_t **ret,
                       struct err *e)
{
    if (!*cache) *cache = json_parse(text, e);
    *ret = *cache;
    return *ret ? true : err_prefix(e, "%s", what);
}

static bool input_json(struct fold *f, json_t **ret, struct err *e)
{
    struct bytes text = { .data = f->run->input, .len = f->run->input_len };
    return parse_once(&f->input_json, text, "input", ret, e);
}

bool names_vars(struct fold *f, json_t **ret, struct err *e)
{
    struct bytes text = { .data = f->run->vars, .len = f->run->vars_len };
    return parse_once(&f->vars_json, f->run->vars ? text : BYTES_LIT("{}"), "vars", ret, e);
}

/* The result of a step, be it its output or its error. */
static bool result_json(struct fold *f, uint32_t index, struct bytes text, json_t **ret,
                        struct err *e)
{
    struct scope *scope = step_scope(f, index);
    ASSERT(scope); /* else the text would have been "null" */
    json_t **cache = &names_of(f, scope)->result[f->def->steps[index].slot];
    char what[NAME_BYTES_MAX + 16];
    snprintf(what, sizeof what, "steps.%s", f->def->steps[index].name);
    return parse_once(cache, text, what, ret, e);
}

/* An output or an error: bytes "null" are not worth the cache, which holds one value a step. */
static bool result_or_null(struct fold *f, uint32_t index, struct bytes text, json_t **ret,
                           struct err *e)
{
    if (bytes_is(text, "null")) {
        *ret = json_null();
        return true;
    }
    json_t *value;
    if (!result_json(f, index, text, &value, e)) return false;
    *ret = json_incref(value);
    return true;
}

/* --- the nearest names, for a message --- */

static void nearest_offer_keys(struct nearest *n, json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) nearest_offer(n, key);
}

static bool fail_unknown(const struct nearest *n, const char *what, struct err *e)
{
    char hint[NEAREST_TEXT_MAX];
    nearest_text(n, hint);
    return err_fail(e, ERR_INVALID, "unknown %s '%.100s'%s", what, n->wanted, hint);
}

/* --- steps --- */

static uint32_t step_find(const struct fold *f, const char *name)
{
    const struct step_def *d = definition_step(f->def, bytes_of(name));
    return d ? d->index : NO_INDEX;
}

static bool step_field(struct fold *f, uint32_t index, const char *field, json_t **ret,
                       struct err *e)
{
    if (strcmp(field, "output") == 0)
        return result_or_null(f, index, step_output(f, index), ret, e);
    if (strcmp(field, "error") == 0) return result_or_null(f, index, step_error(f, index), ret, e);
    const struct step *s = step_get(f, index);
    if (strcmp(field, "status") == 0)
        *ret = json_string(step_state_name(step_at(f, index)));
    else if (strcmp(field, "attempts") == 0)
        *ret = json_integer(s ? s->attempt : 0);
    else
        return err_fail(e, ERR_INVALID,
                        "steps.%s has output, status, error and attempts, but no '%.100s'",
                        f->def->steps[index].name, field);
    return true;
}

static void note_read_of_step(struct fold *f, uint32_t index)
{
    if (!step_state_terminal(step_at(f, index))) f->read_mutable = true;
}

static bool resolve_steps(struct fold *f, const char *const *names, size_t count, size_t *ret_used,
                          json_t **ret, struct err *e)
{
    if (count < 2) return err_fail(e, ERR_INVALID, "steps needs the name of a step: steps.NAME");
    ASSERT(names[1]);
    uint32_t index = step_find(f, names[1]);
    if (index == NO_INDEX) {
        struct nearest n = { .wanted = names[1] };
        for (uint32_t i = 0; i < f->def->step_count; i++) nearest_offer(&n, f->def->steps[i].name);
        return fail_unknown(&n, "step", e);
    }
    note_read_of_step(f, index);
    if (count > 2) {
        *ret_used = 3;
        return step_field(f, index, names[2], ret, e);
    }
    static const char *const fields[] = { "output", "status", "error", "attempts" };
    AUTO_JSON *whole = json_object();
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        json_t *value;
        if (!step_field(f, index, fields[i], &value, e)) return false;
        json_object_set_new(whole, fields[i], value);
    }
    *ret_used = 2;
    *ret = TAKE(whole);
    return true;
}

/* The step whose output bare names see. For the run's own output mapping: the last one. */
static uint32_t step_before(const struct fold *f)
{
    const struct definition *def = f->def;
    if (f->at != NO_INDEX) {
        const struct step_def *before = definition_before(def, f->at);
        return before ? before->index : NO_INDEX;
    }
    const struct block_def *top = &def->blocks[0];
    return top->count ? top->steps[top->count - 1] : NO_INDEX;
}

/* --- run, error --- */

static bool resolve_run(struct fold *f, const char *const *names, size_t count, size_t *ret_used,
                        json_t **ret, struct err *e)
{
    const struct run *run = f->run;
    char started[TIME_TEXT_MAX];
    time_format(run->started_ms, started);
    const struct {
        const char *name, *text;
    } fields[] = { { "id", run->id },
                   { "workflow", run->def->name },
                   { "version", run->def->version },
                   { "started_at", started } };
    AUTO_JSON *whole = json_object();
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (count > 1 && strcmp(names[1], fields[i].name) == 0) {
            *ret_used = 2;
            *ret = json_string(fields[i].text);
            return true;
        }
        json_object_set_new(whole, fields[i].name, json_string(fields[i].text));
    }
    if (count > 1)
        return err_fail(e, ERR_INVALID,
                        "run has id, workflow, version and started_at, but no '%.100s'", names[1]);
    *ret_used = 1;
    *ret = TAKE(whole);
    return true;
}

/* Whether the block takes over after an error of the step. */
static bool handles(const struct step_def *d, uint32_t block)
{
    bool found = block == d->fallback_block;
    for (uint32_t i = 0; i < d->catch_count; i++) found |= block == d->catches[i].block;
    return found;
}

/* The error that `error` stands for at this place: of the innermost step in a handler of which it
 * is, or of the run. It is settled while that runs, so reading it is no read of a mutable. */
static bool error_here(const struct fold *f, uint32_t *ret_step)
{
    const struct definition *def = f->def;
    uint32_t index = f->at;
    while (index != NO_INDEX) {
        uint32_t block = def->steps[index].block;
        uint32_t parent = def->blocks[block].parent_step;
        if (parent == NO_INDEX) {
            *ret_step = NO_INDEX;
            return block != 0;
        }
        if (handles(&def->steps[parent], block)) {
            *ret_step = parent;
            return true;
        }
        index = parent;
    }
    return false;
}

/* --- item, index, results --- */

/* The innermost repetition around the fold whose item has that name; NULL: none. */
static struct scope *repetition_of(const struct fold *f, const char *item)
{
    struct scope *s = f->scope;
    while (s->body && item && strcmp(f->def->steps[s->body->owner].as, item) != 0)
        s = s->body->scope;
    return s->body ? s : NULL;
}

/* The JSON of an item of a map; of the output of the iteration before. Neither changes while the
 * instance is there. */
static struct bytes item_text(struct fold *f, struct scope *scope)
{
    const struct body *body = scope->body;
    const struct step_def *d = &f->def->steps[body->owner];
    if (d->kind == STEP_MAP)
        return item_bytes(f->def, body, scope->item, &names_of(f, scope)->batch);
    const struct step *s = body->scope->steps[d->slot];
    return s->payload ? (struct bytes){ .data = s->payload, .len = s->payload_len }
                      : BYTES_LIT("null");
}

/* The map whose reduce steps the fold is in. */
static uint32_t reduced_map(const struct fold *f)
{
    const struct definition *def = f->def;
    for (uint32_t at = f->at; at != NO_INDEX;) {
        uint32_t block = def->steps[at].block, parent = def->blocks[block].parent_step;
        if (parent != NO_INDEX && def->steps[parent].reduce_block == block) return parent;
        at = parent;
    }
    return NO_INDEX;
}

/* Names that stand for something only inside a map or a loop. false: this one is none. */
static bool resolve_repeated(struct fold *f, const char *name, bool *ret_ok, json_t **ret,
                             struct err *e)
{
    struct scope *scope = repetition_of(f, name);
    json_t *value = NULL;
    *ret_ok = true;
    if (scope) {
        *ret_ok = parse_once(&names_of(f, scope)->item, item_text(f, scope), name, &value, e);
        *ret = json_incref(value);
        return true;
    }
    scope = strcmp(name, "index") == 0 ? repetition_of(f, NULL) : NULL;
    if (scope) {
        *ret = json_integer(scope->item);
        return true;
    }
    uint32_t map = strcmp(name, "results") == 0 ? reduced_map(f) : NO_INDEX;
    if (map == NO_INDEX) return false;
    const struct step *s = step_get(f, map);
    struct scope *around = step_scope(f, map);
    if (!s || !s->body) return false;
    struct names *n = names_of(f, around);
    if (!n->results || n->results_of != map) {
        AUTO_BUF struct buf text = { 0 };
        json_decref(TAKE(n->results));
        n->results_of = map;
        map_results(s->body, &text);
        n->results = json_parse(buf_bytes(&text), e);
    }
    *ret_ok = n->results || err_prefix(e, "results");
    *ret = json_incref(n->results);
    return true;
}

static bool resolve_error(struct fold *f, uint32_t step, json_t **ret, struct err *e)
{
    if (step != NO_INDEX) return result_or_null(f, step, step_error(f, step), ret, e);
    struct bytes text = { .data = f->run->result, .len = f->run->result_len };
    json_t *value;
    if (!parse_once(&f->run_error_json, f->run->result ? text : BYTES_LIT("null"), "error", &value,
                    e))
        return false;
    *ret = json_incref(value);
    return true;
}

/* --- bare names --- */

static bool resolve_bare(struct fold *f, const char *name, json_t **ret, struct err *e)
{
    if (f->run->sets_vars) f->read_mutable = true;
    json_t *places[3] = { NULL, NULL, NULL };
    AUTO_JSON *output = NULL;
    if (!names_vars(f, &places[0], e)) return false;
    uint32_t before = step_before(f);
    if (before != NO_INDEX) {
        note_read_of_step(f, before);
        if (!result_or_null(f, before, step_output(f, before), &output, e)) return false;
        places[1] = output;
    }
    if (!input_json(f, &places[2], e)) return false;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        json_t *value = json_object_get(places[i], name);
        if (value) {
            *ret = json_incref(value);
            return true;
        }
    }
    struct nearest n = { .wanted = name };
    static const char *const roots[] = { "input", "vars", "steps", "run" };
    for (size_t i = 0; i < ARRAY_LEN(roots); i++) nearest_offer(&n, roots[i]);
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (json_is_object(places[i])) nearest_offer_keys(&n, places[i]);
    return fail_unknown(&n, "name", e);
}

/* --- for the evaluator --- */

static bool resolve(void *user, const char *const *names, size_t count, size_t *ret_used,
                    json_t **ret, struct err *e)
{
    struct fold *f = user;
    uint32_t step;
    *ret_used = 1;
    if (strcmp(names[0], "steps") == 0) return resolve_steps(f, names, count, ret_used, ret, e);
    if (strcmp(names[0], "run") == 0) return resolve_run(f, names, count, ret_used, ret, e);
    if (strcmp(names[0], "error") == 0 && error_here(f, &step))
        return resolve_error(f, step, ret, e);
    if (strcmp(names[0], "output") == 0 && f->output.data) {
        *ret = json_parse(f->output, e);
        return *ret ? true : err_prefix(e, "output");
    }
    json_t *value = NULL;
    bool ok;
    if (resolve_repeated(f, names[0], &ok, ret, e)) return ok;
    if (strcmp(names[0], "signal") == 0 && (f->signal || f->run->waits_signals))
        return signal_value(f, ret, e);
    if (strcmp(names[0], "input") == 0) {
        if (!input_json(f, &value, e)) return false;
    } else if (strcmp(names[0], "vars") == 0) {
        if (f->run->sets_vars) f->read_mutable = true;
        if (!names_vars(f, &value, e)) return false;
    } else {
        return resolve_bare(f, names[0], ret, e);
    }
    *ret = json_incref(value);
    return true;
}

/* has(a.b.c): what cannot be resolved is not there; a step's error or output is there if it is not
 * null. */
static bool exists(void *user, const char *const *names, size_t count, bool *ret, struct err *e)
{
    (void)e;
    size_t used = 0;
    json_t *found = NULL;
    *ret = false;
    if (!resolve(user, names, count, &used, &found, NULL)) return true;
    AUTO_JSON *root = found;
    const json_t *value = root;
    for (size_t i = used; i < count && value; i++) value = json_object_get(value, names[i]);
    *ret = value && !(used == 3 && count == 3 && json_is_null(value));
    return true;
}

/* The bytes of what is stored as bytes, so that ${input} is copied and never parsed. */
static bool raw(void *user, const char *const *names, size_t count, struct bytes *ret)
{
    struct fold *f = user;
    uint32_t step;
    if (count == 1 && strcmp(names[0], "input") == 0) {
        *ret = (struct bytes){ .data = f->run->input, .len = f->run->input_len };
        return true;
    }
    if (count == 1 && strcmp(names[0], "output") == 0 && f->output.data) {
        *ret = f->output;
        return true;
    }
    struct scope *scope = count == 1 ? repetition_of(f, names[0]) : NULL;
    if (scope) {
        *ret = item_text(f, scope);
        return true;
    }
    if (count != 3 || strcmp(names[0], "steps") != 0 || strcmp(names[2], "output") != 0)
        return false;
    step = step_find(f, names[1]);
    if (step == NO_INDEX) return false;
    note_read_of_step(f, step);
    *ret = step_output(f, step);
    return true;
}

struct template_env names_env(struct fold *f, uint32_t step)
{
    f->at = step;
    return (struct template_env){ .cel = { .resolve = resolve, .exists = exists, .user = f },
                                  .raw = raw };
}
