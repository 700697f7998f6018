/* SPDX-License-Identifier: Apache-2.0
 *
 * What a case expects, against what was played. */
#include <stdlib.h>

#include "cli/trial/parts.h"
#include "common/base/clock.h"

/* An expectation: its value, its line, and the pointer to it. */
struct part {
    const json_t *value;
    uint32_t line;
    char *pointer; /* owned */
};

static void part_done(struct part *part)
{
    free(part->pointer);
}
#define AUTO_PART CLEANUP(part_done) struct part

static struct part part_of(const struct play *p, const json_t *object, const char *pointer,
                           const char *name)
{
    struct part part = { .value = json_object_get(object, name) };
    AUTO_BUF struct buf b = { 0 };
    uint32_t column;
    buf_add_text(&b, pointer);
    json_pointer_add(&b, name);
    part.pointer = buf_take(&b, NULL);
    if (part.value) positions_find(p->suite->positions, part.pointer, &part.line, &column);
    return part;
}

static void check_value(const struct play *p, const json_t *object, const char *pointer,
                        const char *name, const char *where, const json_t *actual)
{
    AUTO_FREE char *has = xasprintf("%s_has", name);
    AUTO_PART exact = part_of(p, object, pointer, name);
    AUTO_PART partial = part_of(p, object, pointer, has);
    if (exact.value) trial_diff(p->problems, exact.line, where, exact.value, actual, false);
    if (partial.value) trial_diff(p->problems, partial.line, where, partial.value, actual, true);
}

/* --- errors --- */

static void check_error(const struct play *p, const struct part *wanted, const char *where,
                        const json_t *actual)
{
    const char *key;
    json_t *item;
    if (!wanted->value) return;
    if (!json_is_object(actual) || json_is_null(wanted->value)) {
        trial_diff(p->problems, wanted->line, where, wanted->value, actual, false);
        return;
    }
    json_object_foreach((json_t *)wanted->value, key, item) {
        const char *words = json_string_value(item), *real = json_text(actual, key);
        bool contained = strcmp(key, "message") == 0;
        if (real && (contained ? strstr(real, words) != NULL : strcmp(real, words) == 0)) continue;
        trial_problem_add(p->problems, wanted->line, "%s.%s: expected %s\"%s\", got %s%s%s", where,
                          key, contained ? "something with " : "", words, real ? "\"" : "",
                          real ? real : "nothing", real ? "\"" : "");
    }
}

/* --- the run --- */

static void check_status(const struct play *p)
{
    const json_t *expect = p->tcase->expect;
    AUTO_FREE char *place = xasprintf("%s/expect", p->tcase->pointer);
    AUTO_PART placed = part_of(p, expect, place, "status");
    const json_t *error = json_object_get(expect, "error");
    const char *state = run_state_name(run_state_of(p->run));
    const char *wanted = placed.value ? json_string_value(placed.value) : "completed";
    if (!placed.value && json_is_object(error)) return; /* check_error says it */
    if (strcmp(wanted, state) == 0) return;
    AUTO_BUF struct buf why = { 0 };
    const json_t *real = json_object_get(p->result, "error");
    if (json_is_object(real)) {
        const char *step = json_text(real, "step");
        buf_addf(&why, " (%s%s%s: %s)", json_text(real, "type"), step ? " at " : "",
                 step ? step : "", json_text(real, "message"));
    }
    trial_problem_add(p->problems, placed.line, "status: expected %s, got %s%s", wanted, state,
                      why.data ? why.data : "");
    const char *type = json_text(real, "type");
    if (p->waits.len && type && strcmp(type, "timeout") == 0)
        trial_problem_add(p->problems, 0, "when time ran out, these were waiting: %s",
                          p->waits.data);
}

static void check_duration(const struct play *p, const struct part *wanted, int64_t actual_ms)
{
    int64_t ms, min_ms = 0, max_ms = INT64_MAX;
    if (!wanted->value) return;
    if (json_is_object(wanted->value)) {
        const json_t *min = json_object_get(wanted->value, "min");
        const json_t *max = json_object_get(wanted->value, "max");
        if (min) (void)!suite_duration_of(min, &min_ms);
        if (max) (void)!suite_duration_of(max, &max_ms);
    } else if (suite_duration_of(wanted->value, &ms)) {
        min_ms = max_ms = ms;
    }
    if (actual_ms >= min_ms && actual_ms <= max_ms) return;
    AUTO_BUF struct buf text = { 0 };
    json_write(&text, wanted->value);
    trial_problem_add(p->problems, wanted->line, "duration: expected %s, got %lldms", text.data,
                      (long long)actual_ms);
}

/* --- the way --- */

static bool names(const struct played_step *step, const char *name)
{
    return strcmp(step->path, name) == 0 || (step->def && strcmp(step->def->name, name) == 0);
}

static void path_problem(const struct play *p, const struct part *wanted, const char *words)
{
    AUTO_BUF struct buf expected = { 0 }, actual = { 0 };
    size_t i;
    json_t *item;
    json_array_foreach(wanted->value, i, item) {
        buf_addf(&expected, "%s%s", i ? ", " : "", json_string_value(item));
    }
    for (size_t k = 0; k < p->path_count; k++)
        buf_addf(&actual, "%s%s", k ? ", " : "", p->path[k]->path);
    trial_problem_add(p->problems, wanted->line, "path: %s\n  expected %s\n  got      %s", words,
                      expected.len ? expected.data : "nothing",
                      actual.len ? actual.data : "nothing");
}

static void check_path(const struct play *p, const struct part *wanted)
{
    size_t count = json_array_size(wanted->value);
    if (!wanted->value) return;
    bool same = count == p->path_count;
    for (size_t i = 0; same && i < count; i++)
        same = names(p->path[i], json_string_value(json_array_get(wanted->value, i)));
    if (!same) path_problem(p, wanted, "other steps completed, or in another order");
}

static void check_path_has(const struct play *p, const struct part *wanted)
{
    size_t at = 0, i;
    json_t *item;
    json_array_foreach(wanted->value, i, item) {
        const char *name = json_string_value(item);
        while (at < p->path_count && !names(p->path[at], name)) at++;
        if (at == p->path_count) {
            AUTO_FREE char *words = xasprintf("%s is missing, or out of order", name);
            path_problem(p, wanted, words);
            return;
        }
        at++;
    }
}

/* --- steps --- */

/* The instance that a key means. NULL: none began, or *ret_count are meant. */
static const struct played_step *find_step(const struct play *p, const char *key, size_t *ret_count)
{
    const struct played_step *found = map_get(&p->by_path, bytes_of(key));
    *ret_count = found != NULL;
    for (size_t i = 0; i < p->step_count && !map_get(&p->by_path, bytes_of(key)); i++) {
        if (!names(p->steps[i], key)) continue;
        found = p->steps[i];
        ++*ret_count;
    }
    return *ret_count == 1 ? found : NULL;
}

static void check_number(const struct play *p, const struct part *wanted, const char *where,
                         uint32_t actual)
{
    if (!wanted->value || json_integer_value(wanted->value) == actual) return;
    trial_problem_add(p->problems, wanted->line, "%s: expected %lld, got %u", where,
                      (long long)json_integer_value(wanted->value), actual);
}

static json_t *parsed(const struct buf *text)
{
    return text->len ? json_parse(buf_bytes(text), NULL) : NULL;
}

static void check_played(const struct play *p, const json_t *wanted, const char *key,
                         const char *pointer, const struct played_step *step)
{
    enum step_state state = step ? step->state : STEP_STATE_PENDING;
    AUTO_FREE char *name = xasprintf("steps.%s", key);
    AUTO_FREE char *status = xasprintf("%s.status", name), *input = xasprintf("%s.input", name),
                   *output = xasprintf("%s.output", name), *error = xasprintf("%s.error", name),
                   *attempts = xasprintf("%s.attempts", name), *calls = xasprintf("%s.calls", name);
    AUTO_PART of_status = part_of(p, wanted, pointer, "status"),
              of_attempts = part_of(p, wanted, pointer, "attempts"),
              of_calls = part_of(p, wanted, pointer, "calls"),
              of_error = part_of(p, wanted, pointer, "error");
    AUTO_JSON *result = step ? parsed(&step->result) : NULL;
    AUTO_JSON *given = step ? parsed(&step->input) : NULL;
    AUTO_JSON *actual = json_string(step_state_name(state));
    if (of_status.value)
        trial_diff(p->problems, of_status.line, status, of_status.value, actual, false);
    check_number(p, &of_attempts, attempts, step ? step->attempts : 0);
    check_number(p, &of_calls, calls, step ? step->calls : 0);
    check_value(p, wanted, pointer, "input", input, given);
    AUTO_JSON *null = json_null();
    const json_t *out = state == STEP_STATE_COMPLETED ? (result ? result : null) : NULL;
    check_value(p, wanted, pointer, "output", output, out);
    check_error(p, &of_error, error, state == STEP_STATE_COMPLETED ? null : result);
}

static void check_steps(const struct play *p, const struct part *wanted)
{
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)wanted->value, key, item) {
        size_t count;
        AUTO_PART part = part_of(p, wanted->value, wanted->pointer, key);
        const struct played_step *step = find_step(p, key, &count);
        if (count > 1)
            trial_problem_add(p->problems, part.line,
                              "steps.%s: it ran %zu times; name one by its path, such as %s", key,
                              count, p->path_count ? p->path[0]->path : "items[0]/name");
        else
            check_played(p, item, key, part.pointer, step);
    }
}

static void check_calls(const struct play *p, const struct part *wanted)
{
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)wanted->value, key, item) {
        AUTO_PART part = part_of(p, wanted->value, wanted->pointer, key);
        AUTO_FREE char *where = xasprintf("calls.%s", key);
        const struct step_def *def = definition_step(p->suite->def, bytes_of(key));
        const struct played_step *step = map_get(&p->by_path, bytes_of(key));
        check_number(p, &part, where, def ? p->calls[def->index] : step ? step->calls : 0);
    }
}

/* --- expressions --- */

static json_t *step_value(const struct played_step *step)
{
    json_t *value = json_pack("{s:s, s:i, s:i}", "status", step_state_name(step->state), "attempts",
                              (int)step->attempts, "calls", (int)step->calls);
    json_t *result = parsed(&step->result), *input = parsed(&step->input);
    const char *name = step->state == STEP_STATE_FAILED ? "error" : "output";
    json_object_set_new(value, name, result ? result : json_null());
    json_object_set_new(value, "input", input ? input : json_null());
    return value;
}

static json_t *data_of(const struct play *p, int64_t duration_ms)
{
    json_t *steps = json_object(), *output = json_object_get(p->result, "output"),
           *error = json_object_get(p->result, "error");
    for (size_t i = 0; i < p->step_count; i++)
        json_object_set_new(steps, p->steps[i]->path, step_value(p->steps[i]));
    return json_pack("{s:O, s:O*, s:O*, s:s, s:o, s:I}", "input", p->tcase->input, "output", output,
                     "error", error, "status", run_state_name(run_state_of(p->run)), "steps", steps,
                     "duration_ms", (json_int_t)duration_ms);
}

static bool resolve(void *user, const char *const *path, size_t count, size_t *ret_used,
                    json_t **ret, struct err *e)
{
    json_t *value = json_object_get(user, path[0]);
    (void)count;
    if (!value)
        return err_fail(e, ERR_INVALID,
                        "%s is unknown here: there are input, output or error, status, steps and "
                        "duration_ms",
                        path[0]);
    *ret_used = 1;
    *ret = json_incref(value);
    return true;
}

static void check_holds(const struct play *p, const struct part *wanted, int64_t duration_ms)
{
    size_t i;
    json_t *item;
    if (!wanted->value) return;
    AUTO_JSON *data = data_of(p, duration_ms);
    struct cel_env env = { .resolve = resolve, .user = data };
    json_array_foreach(wanted->value, i, item) {
        AUTO_JSON *value = NULL;
        struct err e;
        uint32_t line, column;
        AUTO_FREE char *at = xasprintf("%s/%zu", wanted->pointer, i);
        positions_find(p->suite->positions, at, &line, &column);
        CLEANUP(cel_free_p)
        struct cel *cel = cel_compile(bytes_of(json_string_value(item)), NULL, &e);
        if (!cel || !cel_eval(cel, &env, &value, &e))
            trial_problem_add(p->problems, line, "holds: %s: %s", json_string_value(item), e.text);
        else if (!json_is_true(value))
            trial_problem_add(p->problems, line, "holds: %s: it does not", json_string_value(item));
    }
}

/* --- all --- */

void expect_check(struct play *p)
{
    const json_t *expect = p->tcase->expect;
    int64_t duration_ms = p->now_ms - PLAY_START_MS;
    AUTO_FREE char *place = xasprintf("%s/expect", p->tcase->pointer);
    AUTO_PART error = part_of(p, expect, place, "error"), path = part_of(p, expect, place, "path"),
              has = part_of(p, expect, place, "path_has"),
              steps = part_of(p, expect, place, "steps"),
              calls = part_of(p, expect, place, "calls"),
              duration = part_of(p, expect, place, "duration"),
              holds = part_of(p, expect, place, "holds");
    AUTO_JSON *null = json_null();
    json_t *real = json_object_get(p->result, "error");
    check_status(p);
    check_error(p, &error, "error", real ? real : null);
    check_value(p, expect, place, "output", "output", json_object_get(p->result, "output"));
    check_path(p, &path);
    if (has.value) check_path_has(p, &has);
    check_steps(p, &steps);
    check_calls(p, &calls);
    check_duration(p, &duration, duration_ms);
    check_holds(p, &holds, duration_ms);
}

void trial_play(const struct trial_suite *s, const struct trial_case *c, struct trial_result *ret,
                bool *covered)
{
    *ret = (struct trial_result){ 0 };
    struct play p = { .suite = s, .tcase = c, .problems = &ret->problems };
    play_case(&p);
    if (!p.stuck) expect_check(&p);
    ret->duration_ms = p.now_ms - PLAY_START_MS;
    for (size_t i = 0; covered && i < p.step_count; i++)
        if (p.steps[i]->def && p.steps[i]->began) covered[p.steps[i]->def->index] = true;
    play_done(&p);
}

void trial_result_done(struct trial_result *r)
{
    for (size_t i = 0; i < r->problems.count; i++) free(r->problems.list[i].text);
    free(r->problems.list);
    *r = (struct trial_result){ 0 };
}
