/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps that hold steps: parallel, conditional, map, loop.
 */
#include <stdlib.h>

#include "common/definition/kinds.h"

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **sorted_keys(struct node object, size_t *ret_count)
{
    size_t count = json_object_size(object.value), made = 0;
    const char **keys = memory_own(&object.c->scratch, xcalloc(count + 1, sizeof *keys), free);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object.value, key, value) keys[made++] = key;
    qsort(keys, count, sizeof *keys, by_text);
    *ret_count = count;
    return keys;
}

/* In the order of their names. */
static void compile_branches(struct node branches, struct step_def *s)
{
    size_t count;
    const char **keys = sorted_keys(branches, &count);
    uint32_t *blocks = memory_own(branches.c->memory, xcalloc(count + 1, sizeof *blocks), free);
    for (size_t i = 0; i < count; i++) {
        struct node branch = node_get(branches, keys[i]);
        struct node named = branch;
        named.value = scratch_json(branch.c, json_string(keys[i]));
        (void)check_name(named, "a branch's name");
        blocks[i] = compile_list(branch, keys[i], s->index, false);
    }
    s->branches = blocks;
    s->branch_count = (uint32_t)count;
}

static void read_join(struct node n, struct step_def *s)
{
    static const char *const words[] = { "all", "any" };
    static const char *const members[] = { "at_least" };
    s->join = JOIN_ALL;
    s->join_count = s->branch_count;
    if (!n.value) return;
    if (json_is_object(n.value)) {
        check_members(n, "'join'", members, 1, NULL, 0);
        s->join = JOIN_AT_LEAST;
        if (!json_object_get(n.value, "at_least"))
            fault(n, "'join' is all, any or {at_least: n}");
        else
            (void)read_u32(n, "at_least", 1, MAX(s->branch_count, 1u), &s->join_count);
    } else if (read_word(n, words, ARRAY_LEN(words)) == 1) {
        s->join = JOIN_ANY;
        s->join_count = 1;
    }
}

static void read_fail_fast(struct node n, struct step_def *s)
{
    static const char *const words[] = { "fail_fast", "collect" };
    s->fail_fast = !n.value || read_word(n, words, ARRAY_LEN(words)) == 0;
}

void compile_parallel(struct node n, struct step_def *s)
{
    struct node branches = node_get(n, "branches");
    if (!branches.value)
        fault(n, "a step of type parallel needs 'branches'");
    else if (is_object(branches, "'branches' (name: steps)")) {
        if (json_object_size(branches.value) == 0) fault(branches, "'branches' must not be empty");
        compile_branches(branches, s);
    }
    (void)read_u32(n, "max_concurrent", 1, DEFINITION_STEPS_MAX, &s->max_concurrent);
    read_join(node_get(n, "join"), s);
    read_fail_fast(node_get(n, "on_branch_error"), s);
}

/* One case of `cases`; false after a fault that leaves no case. */
static bool read_case(struct node n, struct step_def *s, struct case_def *ret)
{
    static const char *const members[] = { "when", "steps" };
    if (!is_object(n, "a case")) return false;
    check_members(n, "a case", members, ARRAY_LEN(members), NULL, 0);
    struct node when = node_get(n, "when"), steps = node_get(n, "steps");
    if (!when.value || !steps.value) fault(n, "a case needs 'when' and 'steps'");
    if (when.value) ret->when = read_cel(when, 0);
    if (steps.value) ret->block = compile_list(steps, NULL, s->index, true);
    return when.value && steps.value;
}

/* Appends "|| (condition)", in a line of its own, since it may end in a comment. */
static void read_condition(struct node n, struct buf *any)
{
    struct bytes source;
    if (!read_cel(n, 0)) return;
    (void)cel_source(&n, &source);
    buf_addf(any, "%s(%.*s\n)", any->len ? " || " : "", (int)source.len, source.data);
}

/* `conditions` are one case: any of them, as one expression. Each was compiled alone before, so
 * that its faults are its own. */
static bool read_conditions(struct node n, struct node conditions, struct step_def *s,
                            struct case_def *ret)
{
    struct node steps = node_get(n, "steps");
    size_t faults = n.c->faults->count;
    CLEANUP(buf_done) struct buf any = { 0 };
    if (!steps.value) {
        fault(n, "'conditions' need 'steps' to run when one of them holds");
        return false;
    }
    ret->block = compile_list(steps, NULL, s->index, true);
    for (size_t i = 0; i < json_array_size(conditions.value); i++)
        read_condition(node_at(conditions, i), &any);
    if (n.c->faults->count > faults || !any.len) return false;
    ret->when = build_cel(conditions, buf_bytes(&any));
    return ret->when;
}

void compile_conditional(struct node n, struct step_def *s)
{
    struct node list = node_get(n, "cases"), conditions = node_get(n, "conditions");
    struct node otherwise = node_get(n, "else"), steps = node_get(n, "steps");
    bool both = list.value && conditions.value, none = !list.value && !conditions.value;
    if (both) fault_key(conditions, "'conditions' and 'cases' exclude each other");
    if (none)
        fault(n, "a step of type conditional needs 'cases', or 'conditions' with 'steps'%s",
              otherwise.value ? "; 'else' alone decides nothing" : "");
    if (list.value && steps.value)
        fault_key(steps, "'steps' goes with 'conditions'; each case has steps of its own");
    if (both || none) return;
    struct node tests = list.value ? list : conditions;
    if (!is_array(tests, list.value ? "'cases'" : "'conditions'")) return;
    size_t count = json_array_size(tests.value);
    if (count == 0) fault(tests, "'%s' must not be empty", list.value ? "cases" : "conditions");
    struct case_def *cases = memory_own(n.c->memory, xcalloc(count + 1, sizeof *cases), free);
    uint32_t made = 0;
    if (list.value) {
        for (size_t i = 0; i < count; i++) made += read_case(node_at(list, i), s, &cases[made]);
    } else {
        made += read_conditions(n, conditions, s, &cases[0]);
    }
    if (otherwise.value)
        cases[made++] = (struct case_def){ .block = compile_list(otherwise, NULL, s->index, true) };
    s->cases = cases;
    s->case_count = made;
}

/* --- map and loop: their bodies are scopes --- */

/* What the item is called: a name of its own, and nothing that expressions read otherwise. */
static void read_as(struct node n, struct step_def *s)
{
    static const char *const taken[] = { "input",   "vars",  "steps",   "run",    "error", "output",
                                         "secrets", "event", "results", "signal", "index" };
    s->as = "item";
    (void)read_text(n, "as", &s->as);
    struct node as = node_get(n, "as");
    if (!is_identifier(s->as)) {
        fault(as, "'as' has letters, digits and _, so that expressions can use it");
        return;
    }
    size_t count = 0;
    struct err e;
    CLEANUP(cel_free_p) struct cel *name = cel_compile(bytes_of(s->as), NULL, &e);
    bool free_name = name && cel_as_path(name, &count);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        free_name = free_name && strcmp(taken[i], s->as) != 0;
    if (!free_name)
        fault(as, "'as' cannot be '%s', which means something else in expressions", s->as);
}

/* The list `steps` as the body of the step, which repeats it. */
static void compile_body(struct node n, struct step_def *s)
{
    struct compiler *c = n.c;
    struct node steps = node_get(n, "steps");
    read_as(n, s);
    if (!steps.value) {
        fault(n, "a step of type %s needs 'steps'", step_kind_name(s->kind));
        return;
    }
    uint32_t outer = c->now_scope;
    s->body_scope = scope_add(c, s->index);
    c->steps[s->index] = *s; /* what is inside looks at it */
    c->now_scope = s->body_scope;
    s->body_block = compile_list(steps, NULL, s->index, false);
    c->now_scope = outer;
}

void compile_map(struct node n, struct step_def *s)
{
    struct node over = node_get(n, "over"), reduce = node_get(n, "reduce");
    if (!over.value)
        fault(n, "a step of type map needs 'over', a list or a template of one");
    else
        s->over = read_list(over);
    (void)read_u32(n, "max_concurrent", 1, PARALLEL_MAX, &s->max_concurrent);
    (void)read_u32(n, "batch", 1, MAP_ITEMS_MAX, &s->batch);
    read_fail_fast(node_get(n, "on_item_error"), s);
    compile_body(n, s);
    if (reduce.value) s->reduce_block = compile_list(reduce, NULL, s->index, false);
}

void compile_loop(struct node n, struct step_def *s)
{
    struct node before = node_get(n, "while"), after = node_get(n, "until");
    if (before.value && after.value) fault_key(after, "'until' and 'while' exclude each other");
    if (!before.value && !after.value)
        fault(n, "a step of type loop needs 'until' (asked after each time) or 'while' (before)");
    if (!json_object_get(n.value, "max_iterations"))
        fault(n, "a step of type loop needs 'max_iterations', so that it ends");
    (void)read_u32(n, "max_iterations", 1, LOOP_ITERATIONS_MAX, &s->max_iterations);
    if (before.value) s->while_ = read_cel(before, ROOT_ITEM);
    if (after.value) s->until = read_cel(after, ROOT_ITEM);
    compile_body(n, s);
}
