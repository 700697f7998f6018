/* SPDX-License-Identifier: Apache-2.0
 *
 * The interpreter of scenarios: see scenario.h. */
#include "scenario.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

struct player {
    struct world world;
    struct usage usage;
    const char *line; /* for messages */
};

static void same_json(const struct player *p, const json_t *actual, const char *wanted)
{
    struct err e;
    AUTO_JSON *value = json_parse(bytes_of(wanted), &e);
    cr_assert(value, "%s: %s", p->line, e.text);
    AUTO_BUF struct buf text = { 0 };
    if (actual) json_write(&text, actual);
    cr_assert(actual && json_same(actual, value), "%s: it is %s", p->line,
              text.data ? text.data : "absent");
}

/* "a/2 rest" -> path, attempt, rest */
static uint32_t split_task(char *text, char **ret_path, char **ret_rest)
{
    char *space = strchr(text, ' ');
    if (space) *space = '\0';
    *ret_rest = space ? space + 1 : text + strlen(text);
    char *slash = strrchr(text, '/');
    cr_assert(slash, "no attempt in '%s'", text);
    *slash = '\0';
    *ret_path = text;
    return (uint32_t)strtoul(slash + 1, NULL, 10);
}

static const struct emission *emission_of(const struct player *p, const char *path,
                                          uint32_t attempt)
{
    for (size_t i = 0; i < p->world.emitted; i++)
        if (strcmp(p->world.emissions[i].path, path) == 0 &&
            p->world.emissions[i].attempt == attempt)
            return &p->world.emissions[i];
    cr_assert_fail("%s: no such task was issued", p->line);
    return NULL;
}

static void play_result(struct player *p, const char *word, char *rest)
{
    char *path, *value;
    uint32_t attempt = split_task(rest, &path, &value);
    struct usage usage = p->usage;
    p->usage = (struct usage){ 0 };
    if (strcmp(word, "ok") == 0) {
        world_result(&p->world, EVENT_TASK_COMPLETED, path, attempt, value, usage);
    } else if (strcmp(word, "lost") == 0) {
        world_result(&p->world, EVENT_TASK_LOST, path, attempt, "", usage);
    } else {
        char *members = strchr(value, ' ');
        if (members) *members++ = '\0';
        AUTO_BUF struct buf error = { 0 };
        buf_addf(&error, "{\"type\":\"%s\",\"message\":\"it broke\"%s%s}", value,
                 members ? "," : "", members ? members : "");
        world_result(&p->world, EVENT_TASK_FAILED, path, attempt, error.data, usage);
    }
}

/* "STEP WHO [MEMBERS]" */
static void play_answer(struct player *p, const char *decision, char *rest)
{
    char *who = strchr(rest, ' ');
    cr_assert(who, "%s: who?", p->line);
    *who++ = '\0';
    char *members = strchr(who, ' ');
    if (members) *members++ = '\0';
    AUTO_BUF struct buf value = { 0 };
    buf_addf(&value, "{\"decision\":\"%s\"%s%s}", decision, members ? "," : "",
             members ? members : "");
    struct event ev = { .type = EVENT_APPROVAL, .path = bytes_of(rest), .actor = bytes_of(who) };
    world_apply(&p->world, ev, value.data);
}

static void play_signal(struct player *p, char *rest)
{
    char *payload = strchr(rest, ' ');
    if (payload) *payload++ = '\0';
    struct event ev = { .type = EVENT_SIGNAL, .signal = bytes_of(rest) };
    world_apply(&p->world, ev, payload ? payload : "null");
}

/* "STEP/N STATUS JSON", of the child that was started so */
static void play_child(struct player *p, char *rest)
{
    char *path, *status;
    uint32_t attempt = split_task(rest, &path, &status);
    char *value = strchr(status, ' ');
    if (value) *value++ = '\0';
    const char *id = strstr(emission_of(p, path, attempt)->text, "run-id=");
    cr_assert(id, "%s: it is no child run", p->line);
    bool started = strcmp(status, "started") == 0;
    AUTO_BUF struct buf text = { 0 };
    buf_addf(&text, "{\"status\":\"%s\",\"%s\":%s}", status,
             strcmp(status, "completed") == 0 ? "output" : "error", value ? value : "null");
    struct event ev = { .type = started ? EVENT_CHILD_STARTED : EVENT_CHILD_FINISHED,
                        .path = bytes_of(path),
                        .attempt = attempt,
                        .child = { .data = id + 7, .len = RUN_ID_MAX - 1 },
                        .usage = p->usage };
    p->usage = (struct usage){ 0 };
    world_apply(&p->world, ev, started ? "null" : text.data);
}

static bool play_control(struct player *p, const char *word, char *rest)
{
    static const struct {
        const char *word;
        enum event_type type;
        bool path;
    } words[] = {
        { "pause", EVENT_RUN_PAUSE, false },       { "resume", EVENT_RUN_RESUME, false },
        { "begin", EVENT_RUN_BEGIN, false },       { "asked", EVENT_KEY_ASKED, false },
        { "released", EVENT_KEY_RELEASED, false }, { "terminate", EVENT_RUN_TERMINATE, false },
        { "vars", EVENT_RUN_SET_VARS, false },     { "skip", EVENT_STEP_SKIP, true }
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(word, words[i].word) != 0) continue;
        struct event ev = { .type = words[i].type };
        char *value = words[i].path ? strchr(rest, ' ') : rest;
        if (words[i].path) ev.path = bytes_of(rest);
        if (words[i].path && value) {
            *value++ = '\0';
            ev.path = bytes_of(rest);
        }
        world_apply(&p->world, ev, value && *value ? value : "null");
        return true;
    }
    return false;
}

/* Events. false: the word is none. */
static bool play_event(struct player *p, const char *word, char *rest)
{
    struct world *w = &p->world;
    if (strcmp(word, "start") == 0)
        world_start(w, rest);
    else if (strcmp(word, "queued") == 0 || strcmp(word, "refused") == 0)
        world_apply(w,
                    (struct event){ .type = EVENT_RUN_START,
                                    .key = BYTES_LIT("k"),
                                    .policy = *word == 'q' ? START_QUEUE : START_ALLOW },
                    rest);
    else if (strcmp(word, "ok") == 0 || strcmp(word, "fail") == 0 || strcmp(word, "lost") == 0)
        play_result(p, word, rest);
    else if (strcmp(word, "cancel") == 0)
        world_apply(w, (struct event){ .type = EVENT_RUN_CANCEL }, rest);
    else if (strcmp(word, "approve") == 0 || strcmp(word, "reject") == 0 ||
             strcmp(word, "retry") == 0)
        play_answer(p, word, rest);
    else if (play_control(p, word, rest))
        return true;
    else if (strcmp(word, "child") == 0)
        play_child(p, rest);
    else if (strcmp(word, "parent") == 0)
        world_start_child(w,
                          *rest == 'd'   ? "detached 1"
                          : *rest == 'a' ? "attached 1"
                                         : "attached 21",
                          strchr(rest, ' ') + 1);
    else if (strcmp(word, "signal") == 0)
        play_signal(p, rest);
    else if (strcmp(word, "timer") == 0)
        world_apply(w, (struct event){ .type = EVENT_TIMER_FIRED }, "");
    else if (strcmp(word, "expired") == 0)
        world_apply(w, (struct event){ .type = EVENT_RUN_EXPIRED }, "");
    else
        return false;
    return true;
}

static void check_effects(const struct player *p, const char *wanted)
{
    static const char *const verdicts[] = { "", "ignored", "deleted" };
    AUTO_BUF struct buf actual = { 0 };
    buf_add_text(&actual, verdicts[p->world.verdict]);
    if (actual.len && p->world.trace.len) buf_add_text(&actual, ", ");
    buf_add(&actual, p->world.trace.data, p->world.trace.len);
    if (!actual.len) buf_add_text(&actual, "nothing");
    cr_assert_str_eq(actual.data, wanted, "%s: it was %s", p->line, actual.data);
}

static void check_header(struct player *p, char *rest)
{
    char *path, *name;
    uint32_t attempt = split_task(rest, &path, &name);
    char *value = strchr(name, ' ');
    cr_assert(value);
    *value++ = '\0';
    AUTO_BUF struct buf line = { 0 };
    buf_addf(&line, "\n%s=%s\n", name, value);
    const struct emission *task = emission_of(p, path, attempt);
    cr_assert(strstr(task->text, line.data), "%s: the task is %s", p->line, task->text);
}

static void check_error(const struct player *p, const json_t *run, const char *rest)
{
    AUTO_JSON *wanted = json_parse(bytes_of(rest), NULL);
    AUTO_BUF struct buf text = { 0 };
    const json_t *error = json_object_get(run, "error");
    if (error) json_write(&text, error);
    const char *key;
    json_t *value;
    json_object_foreach(wanted, key, value) {
        const json_t *actual = json_object_get(error, key);
        bool ok = actual && json_same(actual, value);
        /* A message need only contain what is wanted. */
        if (strcmp(key, "message") == 0 && json_is_string(actual))
            ok = strstr(json_string_value(actual), json_string_value(value)) != NULL;
        cr_assert(ok, "%s: it is %s", p->line, text.data ? text.data : "absent");
    }
}

static void check_field(const struct player *p, char *rest)
{
    char *value = strchr(rest, ' ');
    *value++ = '\0';
    struct bytes actual = world_field(&p->world, rest);
    if (strcmp(value, "absent") == 0)
        cr_assert_null(actual.data, "%s: it is %.*s", p->line, (int)actual.len, actual.data);
    else if (strcmp(value, "present") == 0)
        cr_assert(actual.data, "%s", p->line);
    else
        cr_assert(bytes_is(actual, value), "%s: it is %.*s", p->line, (int)actual.len,
                  actual.data ? actual.data : "");
}

static void check_line(struct player *p, const char *word, char *rest)
{
    struct world *w = &p->world;
    AUTO_JSON *run = world_describe(w);
    if (strcmp(word, "state") == 0) {
        char *wanted = strchr(rest, ' ');
        *wanted++ = '\0';
        cr_assert_str_eq(step_state_name(world_state(w, rest)), wanted, "%s", p->line);
    } else if (strcmp(word, "run") == 0) {
        cr_assert_str_eq(json_text(run, "status"), rest, "%s", p->line);
    } else if (strcmp(word, "result") == 0) {
        same_json(p, json_object_get(run, "output"), rest);
    } else if (strcmp(word, "error") == 0) {
        check_error(p, run, rest);
    } else if (strcmp(word, "due") == 0) {
        cr_assert_eq(run_due_ms(w->run) - START_MS, strtoll(rest, NULL, 10), "%s: it is %lld",
                     p->line, (long long)(run_due_ms(w->run) - START_MS));
    } else if (strcmp(word, "payload") == 0) {
        char *path, *value;
        uint32_t attempt = split_task(rest, &path, &value);
        AUTO_JSON *actual = json_parse(bytes_of(emission_of(p, path, attempt)->value), NULL);
        same_json(p, actual, value);
    } else if (strcmp(word, "header") == 0) {
        check_header(p, rest);
    } else if (strcmp(word, "field") == 0) {
        check_field(p, rest);
    } else {
        cr_assert_fail("what is '%s'?", p->line);
    }
}

static void play_line(struct player *p, char *line)
{
    AUTO_FREE char *whole = xstrdup(line);
    p->line = whole;
    struct world *w = &p->world;
    char *arrow = strstr(line, " -> ");
    if (arrow) *arrow = '\0';
    char *rest = strchr(line, ' ');
    if (rest) *rest++ = '\0';
    if (!rest) rest = line + strlen(line);
    if (play_event(p, line, rest)) {
        if (arrow) check_effects(p, arrow + 4);
    } else if (strcmp(line, "after") == 0) {
        w->now_ms += strtoll(rest, NULL, 10);
    } else if (strcmp(line, "gen") == 0) {
        snprintf(w->gen, sizeof w->gen, "%s", rest);
    } else if (strcmp(line, "from") == 0) {
        snprintf(w->result_gen, sizeof w->result_gen, "%s", rest);
    } else if (strcmp(line, "usage") == 0) {
        long long in, out, usd;
        cr_assert_eq(sscanf(rest, "%lld %lld %lld", &in, &out, &usd), 3);
        p->usage = (struct usage){ .tokens_in = in, .tokens_out = out, .micro_usd = usd };
    } else {
        check_line(p, line, rest);
    }
    p->line = "";
}

void scenario(const char *definition, const char *script)
{
    CLEANUP(definition_free_p) struct definition *def = parse_definition(definition);
    struct player p = { .world = world_new(def) };
    AUTO_FREE char *copy = xstrdup(script);
    char *rest = copy;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
        if (*line) play_line(&p, line);
    world_check_replay(&p.world);
    world_done(&p.world);
}
