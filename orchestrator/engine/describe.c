/* SPDX-License-Identifier: Apache-2.0
 *
 * What people and programs are shown of a run (schemas/run.schema.json), from its stored fields.
 * With the definition steps come in its order and with their types; without it they are known from
 * the run's transitions, in the order in which they moved. */
#include "orchestrator/engine/state.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/map.h"

struct described {
    const struct definition *def;
    const struct field *fields;
    size_t count;
    struct map by_name; /* of fields */
    json_t *head, *skeleton;
    json_t *steps; /* path -> object that is being filled, in the order of the result */
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
    json_t *step = step_object(d, path);
    set_state(step, state, json_integer_value(json_array_get(move, 2)));
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

/* The skeleton has the last word on the states. */
static void apply_skeleton(struct described *d)
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_array_get(d->skeleton, 10), i, entry) {
        json_int_t index = json_integer_value(json_array_get(entry, 0));
        json_int_t state = json_integer_value(json_array_get(entry, 1));
        if (index < 0 || index >= d->def->step_count || state < 0 || state >= STEP_STATE_COUNT)
            continue;
        set_state(step_object(d, d->def->steps[index].path),
                  step_state_name((enum step_state)state),
                  json_integer_value(json_array_get(entry, 2)));
    }
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
    for (uint32_t i = 0; d->def && i < d->def->step_count; i++) {
        const struct step_def *s = &d->def->steps[i];
        json_t *step = step_object(d, s->path);
        json_object_set_new(step, "name", json_string(s->name));
        json_object_set_new(step, "type", json_string(step_kind_name(s->kind)));
    }
    int64_t transitions = json_integer_value(json_array_get(d->skeleton, 3));
    apply_transitions(d, MIN(transitions, (int64_t)d->count * RUN_EVENTS_MAX));
    if (d->def) apply_skeleton(d);
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
