/* SPDX-License-Identifier: Apache-2.0
 *
 * What expressions refer to. All steps are known by now, so that a name which no run could resolve
 * is found here and not by the first run that gets there.
 */
#include <stdlib.h>

#include "common/definition/compile.h"

#define CYCLE_STEPS_SHOWN 8

static const char *const step_members[] = { "output", "status", "error", "attempts" };
static const char *const run_members[] = { "id", "workflow", "version", "started_at" };
static const char *const error_members[] = { "type",    "message",   "step",
                                             "attempt", "retryable", "details" };

/* One name in an expression. */
struct ref {
    struct compiler *c;
    const struct use *use;
    struct node at; /* the string */
    const char *const *names;
    size_t count;
    size_t offset; /* in the string */
};

#define ref_fault(r, ...) fault_in((r)->at, (r)->offset, __VA_ARGS__)

/* --- order and cycles --- */

/* Looks for the shortest way from one step to another along what steps read (breadth first), and
 * appends it to path, cut where it gets long. false: there is none. */
static bool find_path(const struct compiler *c, uint32_t from, uint32_t to, struct buf *path)
{
    uint32_t count = c->step_count, head = 0, tail = 0;
    AUTO_FREE uint32_t *queue = xcalloc(count, sizeof *queue);
    AUTO_FREE uint32_t *toward =
        xcalloc(count, sizeof *toward); /* the next step on the way to `to` */
    for (uint32_t i = 0; i < count; i++) toward[i] = NO_INDEX;
    toward[to] = to;
    queue[tail++] = to;
    while (head < tail && toward[from] == NO_INDEX) {
        uint32_t at = queue[head++];
        for (uint32_t i = 0; i < count; i++) {
            if (toward[i] != NO_INDEX || !c->reads[(size_t)i * count + at]) continue;
            toward[i] = at;
            queue[tail++] = i;
        }
    }
    if (toward[from] == NO_INDEX) return false;
    uint32_t at = from;
    for (int shown = 0; shown < CYCLE_STEPS_SHOWN && at != to; shown++, at = toward[at])
        buf_addf(path, " -> %s", c->steps[at].name);
    buf_addf(path, " -> %s%s", at == to ? "" : "... -> ", c->steps[to].name);
    return true;
}

static void fault_later(struct ref *r, uint32_t x)
{
    const struct compiler *c = r->c;
    const char *here = c->steps[r->use->step].name, *other = c->steps[x].name;
    CLEANUP(buf_done) struct buf path = { 0 };
    buf_add_text(&path, here);
    if (find_path(c, x, r->use->step, &path))
        ref_fault(r, "steps read each other in a cycle: %s", path.data);
    else
        ref_fault(r, "'%s' reads step '%s', which can only run after it", here, other);
}

static void fault_hidden(struct ref *r, uint32_t x, uint32_t owner)
{
    const char *name = r->c->steps[owner].name;
    ref_fault(
        r, "step '%s' is repeated inside '%s', so it has no one output here; read steps.%s.output",
        r->c->steps[x].name, name, name);
}

static void check_order(struct ref *r, uint32_t x)
{
    const struct compiler *c = r->c;
    uint32_t y = r->use->step, both = 0;
    const char *other = c->steps[x].name;
    if (y == NO_INDEX) {
        if (c->steps[x].scope) fault_hidden(r, x, c->scopes[c->steps[x].scope].owner);
        return;
    }
    const char *here = c->steps[y].name;
    bool in_body = r->use->roots & ROOT_ITEM && c->steps[y].body_scope != NO_INDEX;
    uint32_t scope = in_body ? c->steps[y].body_scope : c->steps[y].scope;
    switch (step_order(c->d, y, scope, x, &both)) {
    case ORDER_BEFORE: return;
    case ORDER_SELF:
        if (r->use->roots & ROOT_OUTPUT)
            ref_fault(r, "'%s' reads its own result; in its 'output' mapping that is 'output'",
                      here);
        else
            ref_fault(r, "'%s' reads its own result, in a cycle: %s -> %s", here, here, here);
        return;
    case ORDER_LATER: fault_later(r, x); return;
    case ORDER_INSIDE:
        /* The mapping of a step runs when what is inside it has ended. */
        if (!(r->use->roots & ROOT_OUTPUT))
            ref_fault(r, "'%s' reads step '%s', which is inside it and runs later", here, other);
        return;
    case ORDER_AROUND:
        ref_fault(r, "'%s' reads step '%s', which it is a part of and which ends later", here,
                  other);
        return;
    case ORDER_HIDDEN: fault_hidden(r, x, both); return;
    case ORDER_BESIDE:
        if (c->d->blocks[c->steps[y].block].graph && c->steps[x].block == c->steps[y].block)
            ref_fault(r, "'%s' reads step '%s', which runs beside it; add it to its 'needs'", here,
                      other);
        else
            ref_fault(r,
                      "'%s' reads step '%s' of another %s of '%s'; only steps after '%s' can rely "
                      "on it",
                      here, other, c->steps[both].kind == STEP_PARALLEL ? "branch" : "case",
                      c->steps[both].name, c->steps[both].name);
        return;
    }
}

/* --- roots --- */

static void check_member(struct ref *r, const char *const *members, size_t count)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    for (size_t i = 0; r->count > 1 && i < count; i++)
        if (strcmp(members[i], r->names[1]) == 0) return;
    if (r->count < 2) return;
    for (size_t i = 0; i < count; i++) buf_addf(&b, "%s%s", i ? ", " : "", members[i]);
    ref_fault(r, "'%s' has no member '%s'%s; it has: %s", r->names[0], r->names[1],
              did_you_mean(r->c, r->names[1], members, count), b.data);
}

static uint32_t step_index(const struct compiler *c, const char *name)
{
    uintptr_t found = (uintptr_t)map_get(&c->names, bytes_of(name));
    return found ? (uint32_t)(found - 1) : NO_INDEX;
}

static void check_step(struct ref *r)
{
    struct compiler *c = r->c;
    if (r->count < 2) {
        ref_fault(r, "a step is named as steps.NAME, or steps.`a-b` where its name has a '-'");
        return;
    }
    uint32_t x = step_index(c, r->names[1]);
    if (x == NO_INDEX) {
        /* steps.a-b is a difference; who writes it has a step called a-b. */
        for (uint32_t i = 0; i < c->step_count; i++) {
            size_t len = strlen(r->names[1]);
            if (strncmp(c->steps[i].name, r->names[1], len) != 0 || c->steps[i].name[len] != '-')
                continue;
            ref_fault(r, "no step is called '%s'; a name with '-' is written steps.`%s`",
                      r->names[1], c->steps[i].name);
            return;
        }
        ref_fault(r, "no step is called '%s'%s", r->names[1],
                  did_you_mean(c, r->names[1], step_names(c), c->step_count));
        return;
    }
    for (size_t i = 0; r->count > 2 && i < ARRAY_LEN(step_members); i++)
        if (strcmp(step_members[i], r->names[2]) == 0) {
            check_order(r, x);
            return;
        }
    const char *hint =
        r->count > 2 ? did_you_mean(c, r->names[2], step_members, ARRAY_LEN(step_members)) : "";
    ref_fault(r, "'steps.%s' needs .output, .status, .error or .attempts behind it%s", r->names[1],
              hint);
}

static void check_var(struct ref *r)
{
    if (r->count < 2) return;
    for (size_t i = 0; i < r->c->var_count; i++)
        if (strcmp(r->c->vars[i], r->names[1]) == 0) return;
    ref_fault(r, "no 'set' step sets the variable '%s'%s", r->names[1],
              did_you_mean(r->c, r->names[1], r->c->vars, r->c->var_count));
}

/* The properties that the input schema knows; NULL where the input may be anything. */
static const json_t *input_properties(const struct compiler *c)
{
    return json_object_get(json_object_get(c->root, "input"), "properties");
}

static void check_input(struct ref *r)
{
    const json_t *schema = json_object_get(r->c->root, "input");
    const json_t *known = input_properties(r->c);
    if (r->count < 2 || !known || json_object_get(known, r->names[1])) return;
    if (json_is_false(json_object_get(schema, "additionalProperties")))
        ref_fault(r, "the input has no property '%s'", r->names[1]);
}

/* That a secret is all of an expression, template_compile has seen to. */
static void check_secret(struct ref *r)
{
    if (r->use->roots & ROOT_SECRETS) return;
    ref_fault(r, "secrets may stand only in 'url', 'headers', 'query' and 'body' of http steps, in "
                 "'args' and 'stdin' of exec steps, and in 'endpoint', 'headers' and 'body' of "
                 "webhook steps");
}

/* A name that is no root: of vars, of the output of the step before, or of the input. */
static void check_bare(struct ref *r)
{
    struct compiler *c = r->c;
    const char *name = r->names[0];
    static const char *const cel_types[] = { "bool",  "int",  "uint", "double",    "string",
                                             "bytes", "list", "map",  "null_type", "type" };
    for (size_t i = 0; i < ARRAY_LEN(cel_types); i++)
        if (strcmp(cel_types[i], name) == 0) return;
    const json_t *known = input_properties(c);
    if (!known || json_object_get(known, name)) return;
    if (r->use->step == NO_INDEX || definition_before(c->d, r->use->step)) return;
    for (size_t i = 0; i < c->var_count; i++)
        if (strcmp(c->vars[i], name) == 0) return;
    size_t count = c->var_count;
    AUTO_FREE const char **names = xcalloc(count + json_object_size(known) + 5, sizeof *names);
    if (count) memcpy(names, c->vars, count * sizeof *names);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)known, key, value) names[count++] = key;
    names[count++] = "input";
    names[count++] = "vars";
    names[count++] = "steps";
    names[count++] = "run";
    const char *hint = did_you_mean(c, name, names, count);
    ref_fault(r, "the name '%s' is neither a variable nor a property of the input%s", name, hint);
}

static void check_trigger(struct ref *r)
{
    if (strcmp(r->names[0], "event") != 0)
        ref_fault(r, "a trigger knows only 'event', and not '%s'", r->names[0]);
}

static void check_output(struct ref *r)
{
    if (!(r->use->roots & ROOT_OUTPUT))
        ref_fault(r, "'output' is known only in the 'output' mapping of a step; another step's "
                     "is steps.NAME.output");
}

static void check_error(struct ref *r)
{
    if (r->use->step != NO_INDEX && step_after_error(r->c->d, r->use->step))
        check_member(r, error_members, ARRAY_LEN(error_members));
    else
        ref_fault(r, "'error' is known only inside a fallback or a catch; a step's error is "
                     "steps.NAME.error");
}

static void check_event(struct ref *r)
{
    ref_fault(r, "'event' is known only in triggers; a trigger's 'input' hands it to the run");
}

static void check_run(struct ref *r)
{
    check_member(r, run_members, ARRAY_LEN(run_members));
}

/* The map or loop in whose body the name is an item or a number; NULL: it is none here. */
static bool names_item(const struct ref *r)
{
    const struct compiler *c = r->c;
    if (r->use->step == NO_INDEX) return false;
    const struct step_def *s = &c->steps[r->use->step];
    bool in_body = r->use->roots & ROOT_ITEM && s->body_scope != NO_INDEX;
    for (uint32_t scope = in_body ? s->body_scope : s->scope; scope != 0;
         scope = c->scopes[scope].parent) {
        const struct step_def *owner = &c->steps[c->scopes[scope].owner];
        if (strcmp(r->names[0], owner->as) == 0 || strcmp(r->names[0], "index") == 0) return true;
    }
    return false;
}

/* Names that stand for something at some places only, and otherwise for what a bare name does. */
static bool names_special(const struct ref *r)
{
    const struct compiler *c = r->c;
    if (names_item(r)) return true;
    if (strcmp(r->names[0], "signal") == 0) return r->use->roots & ROOT_SIGNAL || c->signals;
    return strcmp(r->names[0], "results") == 0 && r->use->step != NO_INDEX &&
           step_reduces(c->d, r->use->step) != NO_INDEX;
}

static void check_start_only(struct ref *r)
{
    if (strcmp(r->names[0], "steps") == 0 || strcmp(r->names[0], "vars") == 0)
        ref_fault(r, "'%s' is not known at the start; attributes are made of the input and the run",
                  r->names[0]);
}

static void check_ref(struct ref *r)
{
    static const struct {
        const char *root;
        void (*check)(struct ref *r);
    } checks[] = { { "steps", check_step },     { "vars", check_var },
                   { "input", check_input },    { "run", check_run },
                   { "secrets", check_secret }, { "event", check_event },
                   { "output", check_output },  { "error", check_error } };
    if (r->use->roots & ROOT_EVENT) {
        check_trigger(r);
        return;
    }
    if (r->use->roots & ROOT_START) check_start_only(r);
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if (strcmp(r->names[0], checks[i].root) != 0) continue;
        checks[i].check(r);
        return;
    }
    if (!names_special(r)) check_bare(r);
}

/* --- walking the expressions --- */

struct walk {
    struct compiler *c;
    const struct use *use;
    bool check; /* the second pass; the first notes who reads whom */
};

static void note_read(struct walk *w, const char *const *names, size_t count)
{
    struct compiler *c = w->c;
    if (w->use->step == NO_INDEX || count < 2 || strcmp(names[0], "steps") != 0) return;
    uint32_t to = step_index(c, names[1]);
    if (to != NO_INDEX) c->reads[(size_t)w->use->step * c->step_count + to] = true;
}

static void on_template_path(void *walk, const char *pointer, const char *const *names,
                             size_t count, size_t offset)
{
    struct walk *w = walk;
    if (!w->check) {
        note_read(w, names, count);
        return;
    }
    if (w->c->faults->count == FAULTS_MAX) return;
    struct node n = { .c = w->c, .value = w->use->value, .pointer = w->use->pointer };
    struct ref r = { .c = w->c,
                     .use = w->use,
                     .at = node_descend(n, pointer),
                     .names = names,
                     .count = count,
                     .offset = offset };
    check_ref(&r);
}

static void on_cel_path(void *walk, const char *const *names, size_t count, size_t offset)
{
    struct walk *w = walk;
    on_template_path(w, "", names, count, w->use->offset + offset);
}

static void walk_uses(struct compiler *c, bool check)
{
    for (size_t i = 0; i < c->use_count; i++) {
        struct walk w = { .c = c, .use = &c->uses[i], .check = check };
        if (w.use->cel)
            cel_paths(w.use->cel, on_cel_path, &w);
        else
            template_paths(w.use->template, on_template_path, &w);
    }
}

/* `to` of the steps that roll back: a step of the same scope that can have run before. */
static void check_rollbacks(struct compiler *c)
{
    struct node root = { .c = c, .value = c->root, .pointer = "" };
    for (uint32_t i = 0; i < c->step_count; i++) {
        struct step_def *s = &c->steps[i];
        struct node to = node_get(node_descend(root, c->step_pointers[i]), "to");
        uint32_t both;
        if (s->kind != STEP_ROLLBACK || !json_is_string(to.value)) continue;
        uint32_t x = step_index(c, json_string_value(to.value));
        if (x == NO_INDEX)
            fault(to, "no step is called '%.100s'%s", json_string_value(to.value),
                  did_you_mean(c, json_string_value(to.value), step_names(c), c->step_count));
        else if (step_order(c->d, i, s->scope, x, &both) != ORDER_BEFORE)
            fault(to, "'%s' rolls back to step '%s', which does not run before it", s->name,
                  c->steps[x].name);
        else
            s->rollback_to = x;
    }
}

void check_uses(struct compiler *c)
{
    AUTO_FREE bool *reads = xcalloc((size_t)c->step_count * c->step_count + 1, sizeof *reads);
    c->reads = reads;
    walk_uses(c, false);
    walk_uses(c, true);
    c->reads = NULL;
    check_rollbacks(c);
}
