/* SPDX-License-Identifier: Apache-2.0
 *
 * What people and programs are shown of a run (schemas/run.schema.json), from its stored fields.
 * With the definition steps come in its order and with their types; without it they are known from
 * the run's transitions, in the order in which they moved. Of what repeats only that is shown which
 * goes on, up to a bound, and counts of the rest. */
#include "orchestrator/engine/state.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/map.h"

#define INSTANCES_SHOWN 100 /* of all maps and loops; and failed items of a map */

struct described {
    const struct definition *def;
    const struct field *fields;
    size_t count;
    struct map by_name; /* of fields */
    json_t *head, *skeleton;
    json_t *steps; /* path -> object that is being filled, in the order of the result */
    size_t instances;
};

static const struct field *find(const struct described *d, const char *name)
{
    return map_get(&d->by_name, bytes_of(name));
}

/* The JSON of a field: a new reference, or NULL where there is none; damage is shown as such. */
static json_t *field_json(const struct described *d, const char *name)
{
    const struct field *field = find(d, name);
    if (!field) return NULL;
    json_t *value = json_parse(field->value, NULL);
    /* Payloads are opaque: what a strict parser refuses (a doubled key) is shown as text. */
    return value ? value : json_stringn(field->value.data, field->value.len);
}

static void set_time(json_t *object, const char *key, int64_t wall_ms)
{
    char text[TIME_TEXT_MAX];
    time_format(wall_ms, text);
    json_object_set_new(object, key, json_string(text));
}

static void copy_text(json_t *to, const char *to_key, const json_t *from, const char *key)
{
    const char *text = json_text(from, key);
    if (text) json_object_set_new(to, to_key, json_string(text));
}

/* --- steps --- */

static void set_state(json_t *step, const char *state, int64_t attempt)
{
    json_object_set_new(step, "status", json_string(state));
    json_object_set_new(step, "attempts", json_integer(attempt));
}

static json_t *step_object(struct described *d, const char *path)
{
    json_t *step = json_object_get(d->steps, path);
    if (step) return step;
    step = json_object();
    json_object_set_new(step, "path", json_string(path));
    set_state(step, step_state_name(STEP_STATE_PENDING), 0);
    json_object_set_new(d->steps, path, step);
    return step;
}

static void apply_move(struct described *d, const json_t *move, int64_t record_ms)
{
    const char *path = json_string_value(json_array_get(move, 0));
    const char *state = json_string_value(json_array_get(move, 1));
    if (!path || !state || !*path) return;
    /* Of what repeats there may be any number of steps, most of them long gone. */
    json_t *step = strchr(path, '[') ? json_object_get(d->steps, path) : step_object(d, path);
    if (!step) return;
    if (!d->def) set_state(step, state, json_integer_value(json_array_get(move, 2)));
    if (!json_object_get(step, "started_at")) set_time(step, "started_at", record_ms);
    for (int s = 0; s < STEP_STATE_COUNT; s++)
        if (step_state_terminal((enum step_state)s) &&
            strcmp(state, step_state_name((enum step_state)s)) == 0)
            set_time(step, "finished_at", record_ms);
}

/* Transitions give the times of the steps, and without a definition the steps themselves. */
static void apply_transitions(struct described *d, int64_t transitions)
{
    for (int64_t n = 0; n < transitions;) {
        char name[32];
        snprintf(name, sizeof name, "t:%lld", (long long)n);
        AUTO_JSON *together = field_json(d, name);
        size_t values = json_array_size(together), i;
        json_t *move;
        for (size_t t = 0; t < values; t += 3) {
            int64_t record_ms = json_integer_value(json_array_get(together, t));
            json_array_foreach(json_array_get(together, t + 2), i, move)
                apply_move(d, move, record_ms);
        }
        n += MAX((int64_t)(values / 3), (int64_t)1);
    }
}

static int64_t number(const json_t *array, size_t index)
{
    return json_integer_value(json_array_get(array, index));
}

/* What the entry of a step that is known from the definition says. NULL: it is damaged. */
static const struct step_def *step_of(const struct described *d, const json_t *entry)
{
    int64_t index = number(entry, 0), state = number(entry, 1);
    bool ok = index >= 0 && index < d->def->step_count && state >= 0 && state < STEP_STATE_COUNT;
    return ok ? &d->def->steps[index] : NULL;
}

static void apply_entries(struct described *d, const char *prefix, const json_t *entries);

static void name_steps(struct described *d, const char *prefix, uint32_t scope)
{
    for (uint32_t i = 0; i < d->def->scopes[scope].count; i++) {
        const struct step_def *s = &d->def->steps[d->def->scopes[scope].steps[i]];
        AUTO_FREE char *path = xasprintf("%s%s", prefix, s->path);
        json_t *step = step_object(d, path);
        json_object_set_new(step, "name", json_string(s->name));
        json_object_set_new(step, "type", json_string(step_kind_name(s->kind)));
    }
}

/* An instance that goes on: its steps. */
static void show_instance(struct described *d, const char *owner, const struct step_def *s,
                          int64_t number_, const json_t *entries)
{
    if (d->instances++ >= INSTANCES_SHOWN) return;
    AUTO_FREE char *prefix = xasprintf("%s[%lld]/", owner, (long long)number_);
    name_steps(d, prefix, s->body_scope);
    apply_entries(d, prefix, entries);
}

struct counts {
    int64_t completed, failed, active;
    json_t *failures; /* the first failed items */
};

/* The items whose bits are set in one of the two texts of a page. */
static void count_ended(const struct described *d, const char *path, int64_t page,
                        const char *digits, bool failed, struct counts *n)
{
    for (int64_t i = 0; digits && digits[i] && i < PAGE_ITEMS / 4; i++) {
        const char *at = strchr("0123456789abcdef", digits[i]);
        unsigned bits = at ? (unsigned)(at - "0123456789abcdef") : 0;
        for (int k = 0; k < 4; k++) {
            if (!(bits >> k & 1)) continue;
            *(failed ? &n->failed : &n->completed) += 1;
            if (!failed || json_array_size(n->failures) >= INSTANCES_SHOWN) continue;
            int64_t item = page * PAGE_ITEMS + 4 * i + k;
            AUTO_FREE char *name = xasprintf("o:%s[%lld]", path, (long long)item);
            json_t *error = field_json(d, name), *failure = json_object();
            json_object_set_new(failure, "item", json_integer(item));
            if (error) json_object_set_new(failure, "error", error);
            json_array_append_new(n->failures, failure);
        }
    }
}

static void show_page(struct described *d, const char *path, const struct step_def *s, int64_t page,
                      const json_t *value, struct counts *n)
{
    size_t i;
    json_t *live;
    count_ended(d, path, page, json_string_value(json_array_get(value, 0)), false, n);
    count_ended(d, path, page, json_string_value(json_array_get(value, 1)), true, n);
    json_array_foreach(json_array_get(value, 2), i, live) {
        n->active++;
        show_instance(d, path, s, number(live, 0), json_array_get(live, 1));
    }
}

/* What has become of a map's items: of one that goes on from its pages, of one that has ended from
 * its entry. */
static void show_items(struct described *d, const char *path, const struct step_def *s,
                       const json_t *entry)
{
    struct counts n = { .failures = json_array() };
    enum step_state state = (enum step_state)number(entry, 1);
    int64_t total = number(entry, 4);
    if (step_state_terminal(state)) {
        n.completed = number(entry, 5);
        n.failed = number(entry, 3);
    }
    for (int64_t p = 0; !step_state_terminal(state) && p * PAGE_ITEMS < MAP_ITEMS_MAX; p++) {
        AUTO_FREE char *name = xasprintf("m:%s:%lld", path, (long long)p);
        if (!find(d, name)) break;
        AUTO_JSON *page = field_json(d, name);
        show_page(d, path, s, p, page, &n);
    }
    json_t *items = json_pack("{s:I, s:I, s:I, s:I}", "total", (json_int_t)total, "completed",
                              (json_int_t)n.completed, "failed", (json_int_t)n.failed, "active",
                              (json_int_t)n.active);
    if (json_array_size(n.failures)) json_object_set(items, "failures", n.failures);
    json_decref(n.failures);
    json_object_set_new(step_object(d, path), "items", items);
}

/* What people are asked, and what they have said so far. */
static void show_asked(struct described *d, const char *path)
{
    AUTO_FREE char *name = xasprintf("q:%s", path);
    json_t *asked = field_json(d, name);
    if (asked) json_object_set_new(step_object(d, path), "asked", asked);
}

/* The skeleton and the pages have the last word on the states. */
static void apply_entry(struct described *d, const char *prefix, const json_t *entry)
{
    const struct step_def *s = step_of(d, entry);
    if (!s) return;
    AUTO_FREE char *path = xasprintf("%s%s", prefix, s->path);
    set_state(step_object(d, path), step_state_name((enum step_state)number(entry, 1)),
              number(entry, 2));
    const json_t *iteration = json_array_get(entry, STEP_NUMBERS);
    if (number(entry, 9) & 1) show_asked(d, path);
    if (s->kind == STEP_MAP) show_items(d, path, s, entry);
    if (s->kind != STEP_LOOP) return;
    json_object_set_new(step_object(d, path), "iterations", json_integer(number(entry, 4)));
    if (iteration) show_instance(d, path, s, number(entry, 4) - 1, iteration);
}

static void apply_entries(struct described *d, const char *prefix, const json_t *entries)
{
    size_t i;
    json_t *entry;
    json_array_foreach(entries, i, entry) apply_entry(d, prefix, entry);
}

static json_t *describe_steps(struct described *d)
{
    json_t *list = json_array();
    const char *path;
    json_t *step;
    json_object_foreach(d->steps, path, step) {
        char name[2 + 4096];
        if (snprintf(name, sizeof name, "o:%s", path) >= (int)sizeof name) continue;
        json_t *result = field_json(d, name);
        bool completed = strcmp(json_text(step, "status"), "completed") == 0;
        if (result) json_object_set_new(step, completed ? "output" : "error", result);
        json_array_append(list, step);
    }
    return list;
}

static void make_steps(struct described *d)
{
    d->steps = json_object();
    if (d->def) {
        name_steps(d, "", 0);
        apply_entries(d, "", json_array_get(d->skeleton, 10));
    }
    int64_t transitions = json_integer_value(json_array_get(d->skeleton, 3));
    apply_transitions(d, MIN(transitions, (int64_t)d->count * RUN_EVENTS_MAX));
}

/* --- the run --- */

static void describe_end(const struct described *d, enum run_state state, json_t *run)
{
    if (run_state_terminal(state))
        set_time(run, "finished_at", json_integer_value(json_array_get(d->skeleton, 5)));
    json_t *input = field_json(d, "i"), *result = field_json(d, "o:");
    if (input) json_object_set_new(run, "input", input);
    if (result) json_object_set_new(run, state == RUN_COMPLETED ? "output" : "error", result);
}

static json_t *describe_run(struct described *d, const char *id, struct err *e)
{
    json_int_t state = json_integer_value(json_array_get(d->skeleton, 1));
    if (!json_is_array(json_array_get(d->skeleton, 10)) || state < 0 || state >= RUN_STATE_COUNT) {
        err_fail(e, ERR_INVALID, "field s is damaged");
        return NULL;
    }
    json_t *run = json_object();
    json_object_set_new(run, "id", json_string(id));
    copy_text(run, "workflow", d->head, "workflow");
    copy_text(run, "version", d->head, "version");
    copy_text(run, "definition", d->head, "definition");
    json_object_set_new(run, "status", json_string(run_state_name((enum run_state)state)));
    copy_text(run, "key", d->head, "key");
    copy_text(run, "namespace", d->head, "namespace");
    copy_text(run, "actor", d->head, "actor");
    set_time(run, "started_at", json_int(d->head, "started_ms", 0));
    set_time(run, "updated_at", json_integer_value(json_array_get(d->skeleton, 2)));
    describe_end(d, (enum run_state)state, run);
    json_object_set_new(run, "usage",
                        json_pack("{s:I, s:I, s:I}", "tokens_in",
                                  json_integer_value(json_array_get(d->skeleton, 7)), "tokens_out",
                                  json_integer_value(json_array_get(d->skeleton, 8)), "micro_usd",
                                  json_integer_value(json_array_get(d->skeleton, 9))));
    make_steps(d);
    json_object_set_new(run, "steps", describe_steps(d));
    return run;
}

json_t *run_describe(const struct definition *def, const char *id, const struct field *fields,
                     size_t count, struct err *e)
{
    struct described d = { .def = def, .fields = fields, .count = count };
    for (size_t i = 0; i < count; i++)
        if (fields[i].value.data)
            map_put(&d.by_name, fields[i].name, (void *)(uintptr_t)&fields[i]);
    d.head = field_json(&d, "h");
    d.skeleton = field_json(&d, "s");
    const char *sha = json_text(d.head, "definition");
    json_t *run = NULL;
    if (!sha || !json_is_array(d.skeleton))
        err_fail(e, ERR_INVALID, "the run's stored fields h and s are missing or damaged");
    else if (def && strcmp(def->sha256, sha) != 0)
        err_fail(e, ERR_INVALID, "the run is of another definition");
    else
        run = describe_run(&d, id, e);
    json_decref(d.head);
    json_decref(d.skeleton);
    json_decref(d.steps);
    map_done(&d.by_name);
    return run;
}
