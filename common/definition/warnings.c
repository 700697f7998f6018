/* SPDX-License-Identifier: Apache-2.0
 *
 * What is allowed and surely not meant, or not needed: read when a file has no faults. A warning
 * that may be wrong is worse than none, so each is given only where no run could prove it wrong.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/definition/compile.h"

/* Who reads what. Row i of `steps` is step i, the last row the workflow. */
struct readers {
    struct compiler *c;
    bool *steps;     /* [reader * step_count + step] */
    struct map vars; /* names that may be those of variables */
    bool all_vars;   /* somebody reads `vars` as a whole */
    const struct use *use;
    size_t paths; /* of one use */
};

static void warn(struct node n, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void warn(struct node n, const char *fmt, ...)
{
    uint32_t line, column;
    va_list args;
    va_start(args, fmt);
    char *text = xvasprintf(fmt, args);
    va_end(args);
    positions_find(n.c->positions, n.pointer, &line, &column);
    fault_add(n.c->warnings, line, column, n.pointer, text);
}

static struct node root_of(struct compiler *c)
{
    return (struct node){ .c = c, .value = c->root, .pointer = "" };
}

static struct node step_node(struct compiler *c, uint32_t step)
{
    return node_descend(root_of(c), c->step_pointers[step]);
}

/* --- who reads what --- */

static void mark(struct readers *r, uint32_t reader, uint32_t step)
{
    uint32_t row = reader == NO_INDEX ? r->c->step_count : reader;
    r->steps[(size_t)row * r->c->step_count + step] = true;
}

/* The output of the step before; at the end of the run that is the last one. */
static void mark_before(struct readers *r, uint32_t reader)
{
    const struct block_def *top = &r->c->d->blocks[0];
    const struct step_def *before = NULL;
    if (reader != NO_INDEX)
        before = definition_before(r->c->d, reader);
    else if (top->count)
        before = &r->c->steps[top->steps[top->count - 1]];
    if (before) mark(r, reader, before->index);
}

static void on_path(void *user, const char *const *names, size_t count, size_t offset)
{
    static const char *const others[] = { "input", "run", "secrets", "output", "error" };
    struct readers *r = user;
    (void)offset;
    r->paths++;
    if (r->use->roots & ROOT_EVENT) return;
    if (strcmp(names[0], "steps") == 0) {
        uintptr_t found = count > 1 ? (uintptr_t)map_get(&r->c->names, bytes_of(names[1])) : 0;
        if (found) mark(r, r->use->step, (uint32_t)(found - 1));
    } else if (strcmp(names[0], "vars") == 0) {
        if (count > 1)
            map_put(&r->vars, bytes_of(names[1]), r);
        else
            r->all_vars = true;
    } else {
        for (size_t i = 0; i < ARRAY_LEN(others); i++)
            if (strcmp(others[i], names[0]) == 0) return;
        map_put(&r->vars, bytes_of(names[0]), r); /* a bare name may be any of these */
        mark_before(r, r->use->step);
    }
}

static void on_template_path(void *user, const char *pointer, const char *const *names,
                             size_t count, size_t offset)
{
    (void)pointer;
    on_path(user, names, count, offset);
}

/* How many paths the use has. */
static size_t walk_use(struct readers *r, const struct use *use)
{
    r->use = use;
    r->paths = 0;
    if (use->cel)
        cel_paths(use->cel, on_path, r);
    else
        template_paths(use->template, on_template_path, r);
    return r->paths;
}

/* What is read without being written. */
static void mark_implied(struct readers *r)
{
    const struct compiler *c = r->c;
    for (uint32_t i = 0; i < c->step_count; i++) {
        const struct step_def *s = &c->steps[i];
        bool input = (s->kind == STEP_TASK || s->kind == STEP_WORKFLOW) && !s->input;
        bool output = s->kind == STEP_RETURN && !s->value;
        bool show = (s->kind == STEP_APPROVAL && !s->approval->show) || s->escalation;
        if (input || output || show) mark_before(r, i);
        for (uint32_t k = 0; k < s->need_count; k++) mark(r, i, s->needs[k]);
    }
    /* The last step of a list gives the output of what holds it. */
    for (uint32_t b = 0; b < c->block_count; b++) {
        const struct block_def *block = &c->d->blocks[b];
        if (block->count && (b || !c->d->output)) mark(r, NO_INDEX, block->steps[block->count - 1]);
    }
}

static bool is_read(const struct readers *r, uint32_t step)
{
    for (uint32_t i = 0; i <= r->c->step_count; i++)
        if (r->steps[(size_t)i * r->c->step_count + step]) return true;
    return false;
}

/* --- conditions that are always the same --- */

static bool resolve_nothing(void *user, const char *const *names, size_t count, size_t *ret_used,
                            json_t **ret, struct err *e)
{
    (void)user;
    (void)count;
    (void)ret_used;
    (void)ret;
    return err_fail(e, ERR_NOT_FOUND, "no '%s'", names[0]);
}

/* The member under which the use stands, without numbers behind it, is one of those that choose. A
 * loop that goes on for ever is meant to: its max_iterations end it. */
static const char *chooses(const char *pointer)
{
    static const char *const members[] = { "if", "when", "conditions", "filter" };
    AUTO_FREE char *copy = xstrdup(pointer);
    char *last = strrchr(copy, '/');
    if (last && last[1] && !last[1 + strspn(last + 1, "0123456789")]) {
        *last = '\0';
        last = strrchr(copy, '/');
    }
    for (size_t i = 0; last && i < ARRAY_LEN(members); i++)
        if (strcmp(last + 1, members[i]) == 0) return members[i];
    return NULL;
}

static void check_constant(struct compiler *c, const struct use *use)
{
    const char *member = chooses(use->pointer);
    struct node n = { .c = c, .value = use->value, .pointer = use->pointer };
    struct cel_env env = { .resolve = resolve_nothing };
    AUTO_JSON *value = NULL;
    struct err e;
    if (!member) return;
    if (!cel_eval(use->cel, &env, &value, &e))
        warn(n, "this condition reads nothing, and always fails: %s", without_position(e.text));
    else
        warn(n, "this condition reads nothing: it is always %s%s",
             json_is_true(value) ? "true" : "false",
             strcmp(member, "when") == 0 && json_is_true(value) ? "; 'else' says so" : "");
}

/* --- what nobody reads --- */

static void check_vars(struct readers *r, uint32_t step)
{
    struct node vars = node_get(step_node(r->c, step), "vars");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)vars.value, name, value) {
        if (map_get(&r->vars, bytes_of(name))) continue;
        warn(node_get(vars, name), "nothing reads the variable '%s'", name);
        map_put(&r->vars, bytes_of(name), r); /* said once */
    }
}

/* Other kinds do something beside their output. */
static void check_outputs(struct readers *r)
{
    struct compiler *c = r->c;
    for (uint32_t i = 0; i < c->step_count; i++) {
        const struct step_def *s = &c->steps[i];
        bool handled = s->catch_count || s->on_error != ON_ERROR_FAIL;
        bool only_output = s->kind == STEP_TRANSFORM || (s->kind == STEP_LLM && !handled);
        if (s->kind == STEP_SET && !r->all_vars && !is_read(r, i)) check_vars(r, i);
        if (only_output && !is_read(r, i))
            warn(step_node(c, i), "nothing reads the output of '%s'%s", s->name,
                 s->kind == STEP_LLM ? ", which a model is paid for" : "");
    }
}

/* --- steps that could run side by side --- */

/* What changes nothing where it calls, so that nothing can depend on it but by its output. */
static bool only_asks(struct compiler *c, const struct step_def *s)
{
    if (s->catch_count || s->on_error != ON_ERROR_FAIL || s->compensate_block != NO_INDEX)
        return false; /* it may lead elsewhere than to the step behind it */
    if (s->kind == STEP_LLM) return true;
    if (s->kind != STEP_HTTP) return false;
    struct node n = step_node(c, s->index);
    const char *method = json_text(n.value, "method");
    if (!method) return !json_object_get(n.value, "body");
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static void check_order(const struct readers *r)
{
    struct compiler *c = r->c;
    if (c->d->max_parallel == 1) return;
    for (uint32_t b = 0; b < c->block_count; b++) {
        const struct block_def *block = &c->d->blocks[b];
        for (uint32_t i = 1; i < block->count && !block->graph; i++) {
            const struct step_def *a = &c->steps[block->steps[i - 1]];
            const struct step_def *s = &c->steps[block->steps[i]];
            if (r->steps[(size_t)s->index * c->step_count + a->index]) continue;
            if (!only_asks(c, a) || !only_asks(c, s)) continue;
            warn(step_node(c, s->index),
                 "'%s' reads nothing of '%s' before it: side by side, in a step of type parallel, "
                 "they take the time of one",
                 s->name, a->name);
        }
    }
}

/* --- steps that no run gets to --- */

static bool always_ends(const struct step_def *s)
{
    if (s->condition || s->catch_count || s->on_error != ON_ERROR_FAIL) return false;
    return s->kind == STEP_RETURN || s->kind == STEP_FAIL;
}

static void check_reached(struct compiler *c)
{
    for (uint32_t b = 0; b < c->block_count; b++) {
        const struct block_def *block = &c->d->blocks[b];
        for (uint32_t i = 1; i < block->count && !block->graph; i++) {
            const struct step_def *s = &c->steps[block->steps[i - 1]];
            if (!always_ends(s)) continue;
            warn(step_node(c, block->steps[i]), "'%s' never runs: '%s' before it always %s",
                 c->steps[block->steps[i]].name, s->name,
                 s->kind == STEP_RETURN ? "ends the run" : "fails");
            break;
        }
    }
}

/* --- times --- */

static const char *span(struct compiler *c, int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = { { 24 * 3600 * SECOND_MS, "d" },
                  { 3600 * SECOND_MS, "h" },
                  { 60 * SECOND_MS, "m" },
                  { SECOND_MS, "s" } };
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (ms % units[i].ms == 0)
            return scratch_text(c, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
    return scratch_text(c, "%lldms", (long long)ms);
}

static bool has_limit(struct compiler *c)
{
    return node_get(node_get(root_of(c), "limits"), "timeout").value;
}

/* The duration that stands under `key`, where there is one; times: how often it may pass. */
static void check_span(struct node n, const char *key, int64_t ms, unsigned times)
{
    struct compiler *c = n.c;
    struct node at = node_get(n, key);
    if (!at.value || ms * times < c->d->timeout_ms) return;
    warn(at, "'%s' of %s%s never passes: the run ends after %s%s", key, span(c, ms),
         times > 1 ? ", once more with 'escalate'," : "", span(c, c->d->timeout_ms),
         has_limit(c) ? " (limits.timeout)" : ", as no limits.timeout says otherwise");
}

static void check_asked(struct node n, const struct approval_def *a)
{
    check_span(n, "timeout", a->timeout_ms, a->on_timeout == ON_TIMEOUT_ESCALATE ? 2 : 1);
}

static void check_times(struct compiler *c, uint32_t step)
{
    const struct step_def *s = &c->steps[step];
    struct node n = step_node(c, step);
    int64_t wait_ms;
    if (s->kind == STEP_APPROVAL)
        check_asked(n, s->approval);
    else
        check_span(n, "timeout", s->timeout_ms, 1);
    check_span(n, "queue_timeout", s->queue_timeout_ms, 1);
    if (s->escalation) check_asked(node_get(node_get(n, "on_error"), "escalate"), s->escalation);
    if (s->wait_for && template_is_constant(s->wait_for) && read_duration(n, "for", &wait_ms))
        check_span(n, "for", wait_ms, 1);
    bool outside = s->kind == STEP_APPROVAL || s->signal;
    if (outside && !has_limit(c) && !node_get(n, "timeout").value)
        warn(n, "'%s' waits for %s, but the run ends after %s, as no limits.timeout says otherwise",
             s->name, s->signal ? "a signal" : "people", span(c, c->d->timeout_ms));
}

/* --- policies without an effect --- */

static void check_retry(struct compiler *c, uint32_t step)
{
    static const char *const waits[] = { "backoff", "initial", "max", "on" };
    const struct step_def *s = &c->steps[step];
    struct node retry = node_get(step_node(c, step), "retry");
    uint64_t retryable = 0;
    for (int type = 0; type < ERROR_TYPE_COUNT; type++)
        if (error_type_retryable((enum error_type)type)) retryable |= UINT64_C(1) << type;
    for (size_t i = 0; i < ARRAY_LEN(waits) && s->retry.max_attempts == 1; i++)
        if (node_get(retry, waits[i]).value)
            warn(node_get(retry, waits[i]), "'%s' has no effect: there is one attempt", waits[i]);
    /* A handler of somebody else, and some models, say themselves what is worth another try. */
    bool ours = s->kind == STEP_HTTP || s->kind == STEP_EXEC || s->kind == STEP_WEBHOOK ||
                s->kind == STEP_EMIT;
    if (ours && s->retry.max_attempts > 1 && s->retry.on && !(s->retry.on & retryable) &&
        node_get(retry, "on").value)
        warn(node_get(retry, "on"),
             "nothing is tried again: none of these errors can be other the next time");
}

static void check_rollback(struct compiler *c)
{
    uint32_t first = NO_INDEX;
    bool rolls = c->d->on_error == ON_ERROR_ROLLBACK;
    for (uint32_t i = 0; i < c->step_count; i++) {
        const struct step_def *s = &c->steps[i];
        if (s->compensate_block != NO_INDEX) return;
        if (first == NO_INDEX && (s->kind == STEP_ROLLBACK || s->on_error == ON_ERROR_ROLLBACK))
            first = i;
    }
    if (!rolls && first == NO_INDEX) return;
    struct node n = rolls ? root_of(c) : step_node(c, first);
    if (rolls || c->steps[first].kind != STEP_ROLLBACK) n = node_get(n, "on_error");
    warn(n, "there is nothing to roll back: no step has a 'compensate'");
}

/* --- templates of other languages --- */

static bool begins_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Whether the text behind p (a '{' or '$') is how another language writes a name of ours. */
static const char *foreign_name(const char *text, const char *p)
{
    static const char *const roots[] = { "secrets.", "input.", "steps.", "vars.", "run." };
    bool doubled = p[0] == '{' && p[1] == '{';
    const char *at = p + 1 + doubled;
    if (p > text && p[-1] == '$') return NULL; /* ours, or written so that it is none */
    while (*at == ' ') at++;
    /* Ordinary prose may hold {input.x}, but nobody's secret is meant as text. */
    for (size_t i = 0; i < (doubled ? ARRAY_LEN(roots) : 1); i++) {
        size_t len = strlen(roots[i]);
        bool named = strncmp(at, roots[i], len) == 0 && begins_name(at[len]);
        if (named) return roots[i];
    }
    return NULL;
}

static void check_text(struct node n)
{
    const char *text = json_string_value(n.value);
    for (const char *p = strpbrk(text, "{$"); p; p = strpbrk(p + 1, "{$")) {
        const char *root = foreign_name(text, p);
        if (!root) continue;
        warn(n, "this stays as it is written: a template has ${%sNAME}", root);
        return;
    }
}

/* Every text of a value, but not what describes it. */
static void check_texts(struct node n)
{
    const char *key;
    json_t *value;
    if (json_is_string(n.value)) check_text(n);
    for (size_t i = 0; i < json_array_size(n.value); i++) check_texts(node_at(n, i));
    if (!json_is_object(n.value)) return;
    json_object_foreach((json_t *)n.value, key, value)
        if (strcmp(key, "description") != 0) check_texts(node_get(n, key));
}

/* --- all of them --- */

void check_warnings(struct compiler *c)
{
    AUTO_FREE bool *steps = xcalloc((size_t)(c->step_count + 1) * c->step_count + 1, sizeof *steps);
    struct readers r = { .c = c, .steps = steps };
    for (size_t i = 0; i < c->use_count; i++)
        if (!walk_use(&r, &c->uses[i]) && c->uses[i].cel) check_constant(c, &c->uses[i]);
    mark_implied(&r);
    check_outputs(&r);
    check_order(&r);
    check_reached(c);
    check_rollback(c);
    check_span(node_get(root_of(c), "defaults"), "timeout", c->timeout_ms, 1);
    for (uint32_t i = 0; i < c->step_count; i++) {
        check_times(c, i);
        if (step_kind_is_task(c->steps[i].kind)) check_retry(c, i);
    }
    check_texts(node_get(root_of(c), "steps"));
    check_texts(node_get(root_of(c), "output"));
    map_done(&r.vars);
    faults_sort(c->warnings);
}
