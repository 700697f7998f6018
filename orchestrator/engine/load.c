/* SPDX-License-Identifier: Apache-2.0
 *
 * A run from its stored fields. What Redis hands back is input like any other: a damaged head or
 * skeleton, on which every decision rests, is refused, never guessed at. Payloads (i, v, o:, q:)
 * are taken as they are: they were checked on their way in, and who looks into one parses it. */
#include "orchestrator/engine/state.h"

#include <stdlib.h>

#include "common/base/limits.h"

#define SKELETON_VERSION 1
#define SKELETON_STEPS   10 /* where the list of steps stands */
#define STEP_NUMBERS     9
#define TIME_MS_MAX      (1LL << 56) /* sums of times and durations stay far from an overflow */

static const struct field *field_find(const struct field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_is(fields[i].name, name)) return &fields[i];
    return NULL;
}

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

/* The number at an index, if it lies within bounds. */
static bool number_at(const json_t *array, size_t index, int64_t min, int64_t max, int64_t *ret)
{
    const json_t *value = json_array_get(array, index);
    if (!json_is_integer(value)) return false;
    *ret = json_integer_value(value);
    return *ret >= min && *ret <= max;
}

static bool load_step(struct run *run, const json_t *entry, struct err *e)
{
    static const int64_t max[STEP_NUMBERS] = {
        UINT32_MAX, STEP_STATE_COUNT - 1, ATTEMPTS_MAX, INT64_MAX,
        INT64_MAX,  TIME_MS_MAX,          UINT8_MAX,    UINT32_MAX,
        1
    };
    int64_t n[STEP_NUMBERS] = { 0 };
    size_t count = json_array_size(entry);
    bool ok = count >= 2 && count <= STEP_NUMBERS;
    for (size_t i = 0; i < count && ok; i++) ok = number_at(entry, i, 0, max[i], &n[i]);
    if (!ok || n[0] >= run->def->step_count || run->steps[n[0]])
        return err_fail(e, ERR_INVALID, "field s: a step's entry is damaged");
    const struct step_def *d = &run->def->steps[n[0]];
    enum step_state state = (enum step_state)n[1];
    bool live = state == STEP_STATE_ISSUED || state == STEP_STATE_BACKOFF;
    if ((live && (!step_kind_is_task(d->kind) || n[2] == 0)) || n[7] > d->case_count ||
        (n[8] && d->fallback_block == NO_INDEX) ||
        (state == STEP_STATE_WAITING && d->kind == STEP_CONDITIONAL && !n[8] && !n[7]) ||
        (state == STEP_STATE_WAITING && d->kind == STEP_SET && !n[8]))
        return err_fail(e, ERR_INVALID, "field s: step %s cannot be %s", d->name,
                        step_state_name(state));
    *step_make(run, d->index) = (struct step){ .state = (uint8_t)state,
                                               .attempt = (uint8_t)n[2],
                                               .counted = n[3],
                                               .issued_off = n[4],
                                               .at_ms = n[5],
                                               .definite = (uint8_t)n[6],
                                               .choice = (uint32_t)n[7],
                                               .flags = n[8] ? STEP_FALLBACK : 0 };
    if (state == STEP_STATE_ISSUED) run->issued++;
    return true;
}

static bool load_skeleton(struct run *run, const json_t *s, struct err *e)
{
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
        !number_at(s, 9, 0, INT64_MAX, &usd) || !json_is_array(json_array_get(s, SKELETON_STEPS)))
        return err_fail(e, ERR_INVALID, "field s is damaged");
    if (state != RUN_RUNNING && state != RUN_PAUSED && state != RUN_COMPLETED &&
        state != RUN_FAILED && state != RUN_CANCELLED)
        return err_fail(e, ERR_INVALID,
                        "field s: the run is %s, which this program cannot go on "
                        "with",
                        run_state_name((enum run_state)state));
    run->state = (uint8_t)state;
    run->now_ms = now;
    run->transitions = (uint32_t)transitions;
    run->finished_off = finished_off;
    run->finished_ms = finished_ms;
    run->fallback = fallback != 0;
    run->usage = (struct usage){ .tokens_in = in, .tokens_out = out, .micro_usd = usd };
    const json_t *steps = json_array_get(s, SKELETON_STEPS);
    for (size_t i = 0; i < json_array_size(steps); i++)
        if (!load_step(run, json_array_get(steps, i), e)) return false;
    return true;
}

static void load_bytes(const struct field *field, char **ret, uint32_t *ret_len)
{
    if (!field) return;
    *ret = bytes_dup(field->value.data ? field->value : (struct bytes){ .data = "" });
    *ret_len = (uint32_t)field->value.len;
}

/* o:<path> and q:<path>; those of steps that are PENDING, or that do not exist, are damage. */
static bool load_of_path(struct run *run, const struct field *field, struct err *e)
{
    struct bytes name = field->name, path = { .data = name.data + 2, .len = name.len - 2 };
    if (path.len == 0 && !run->result) { /* a damaged snapshot may have a field twice */
        load_bytes(field, &run->result, &run->result_len);
        return true;
    }
    const struct step_def *d = definition_step(run->def, path);
    struct step *s = d ? run->steps[d->index] : NULL;
    bool ended = run_state_terminal((enum run_state)run->state);
    if (!s || field->value.len > UINT32_MAX || (name.data[0] == 'o' ? s->result : s->payload))
        return err_fail(e, ERR_INVALID, "field %.*s belongs to no step of the run",
                        (int)MIN(name.len, (size_t)100), name.data);
    if (ended) return true; /* as in forget_payloads (fields.c) */
    if (name.data[0] == 'o')
        load_bytes(field, &s->result, &s->result_len);
    else
        load_bytes(field, &s->payload, &s->payload_len);
    return true;
}

static bool load_fields(struct run *run, const struct field *fields, size_t count, struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        struct bytes name = fields[i].name;
        if (name.len < 2 || name.data[1] != ':' || !fields[i].value.data) continue;
        if (name.data[0] != 'o' && name.data[0] != 'q') continue;
        if (!load_of_path(run, &fields[i], e)) return false;
    }
    if (run_state_terminal((enum run_state)run->state)) return true;
    load_bytes(field_find(fields, count, "v"), &run->vars, &run->vars_len);
    load_bytes(field_find(fields, count, "i"), &run->input, &run->input_len);
    return run->input ? true : err_fail(e, ERR_INVALID, "field i is missing");
}

struct run *run_load(const struct definition *def, const char *id, const struct field *fields,
                     size_t count, struct err *e)
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
    if (!load_skeleton(run, skeleton, e) || !load_fields(run, fields, count, e)) return NULL;
    run->due_ms = run_next_due_ms(run);
    return TAKE(run);
}
