/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists that are graphs: `needs` instead of the order of the list.
 */
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/definition/compile.h"

/* The step that an entry of `needs` of s names, or NO_INDEX after a fault. */
static uint32_t read_need(struct node n, const struct step_def *s)
{
    struct compiler *c = n.c;
    const char *name = json_string_value(n.value);
    if (!name) {
        fault(n, "'needs' names steps of the same list");
        return NO_INDEX;
    }
    uintptr_t found = (uintptr_t)map_get(&c->names, bytes_of(name));
    if (!found)
        fault(n, "no step is called '%.100s'%s", name,
              did_you_mean(c, name, step_names(c), c->step_count));
    else if (found - 1 == s->index)
        fault(n, "step '%s' needs itself", s->name);
    else if (c->steps[found - 1].block != s->block)
        fault(n, "'%s' is a step of another list; 'needs' names steps of the same list", name);
    else
        return (uint32_t)(found - 1);
    return NO_INDEX;
}

static void read_needs(struct node n, struct step_def *s)
{
    if (!is_array(n, "'needs'")) return;
    size_t count = json_array_size(n.value);
    uint32_t *needs = memory_own(n.c->memory, xcalloc(count + 1, sizeof *needs), free);
    uint32_t made = 0;
    for (size_t i = 0; i < count && n.c->faults->count < FAULTS_MAX; i++) {
        uint32_t need = read_need(node_at(n, i), s);
        bool twice = false;
        for (uint32_t k = 0; k < made; k++) twice = twice || needs[k] == need;
        if (need != NO_INDEX && !twice) needs[made++] = need;
    }
    s->needs = needs;
    s->need_count = made;
}

/* --- cycles --- */

struct search {
    const struct compiler *c;
    uint8_t *seen; /* by step: 1: on the way here, 2: done */
    uint32_t *way;
    uint32_t depth;
};

/* Depth first; false where the way comes back to itself (then it is way[..depth]). The depth is
 * that of the graph, at most the steps of a definition. */
static bool visit(struct search *s, uint32_t step)
{
    const struct step_def *d = &s->c->steps[step];
    s->way[s->depth++] = step;
    if (s->seen[step] == 1) return false;
    if (s->seen[step] == 0) {
        s->seen[step] = 1;
        for (uint32_t i = 0; i < d->need_count; i++)
            if (!visit(s, d->needs[i])) return false;
        s->seen[step] = 2;
    }
    s->depth--;
    return true;
}

static void check_cycles(struct node list, const struct block_def *b)
{
    struct compiler *c = list.c;
    AUTO_FREE uint8_t *seen = xcalloc(c->step_count + 1, sizeof *seen);
    AUTO_FREE uint32_t *way = xcalloc(c->step_count + 2, sizeof *way);
    struct search s = { .c = c, .seen = seen, .way = way };
    for (uint32_t i = 0; i < b->count; i++) {
        if (visit(&s, b->steps[i])) continue;
        uint32_t last = way[s.depth - 1], from = 0;
        while (way[from] != last) from++;
        CLEANUP(buf_done) struct buf text = { 0 };
        for (uint32_t k = from; k < s.depth; k++)
            buf_addf(&text, "%s%s", k > from ? " -> " : "", c->steps[way[k]].name);
        struct node n = { .c = c,
                          .value = c->root,
                          .pointer = scratch_text(c, "%s/needs", c->step_pointers[last]) };
        fault(n, "steps need each other in a cycle: %s", text.data);
        return;
    }
}

void compile_needs(struct node list, uint32_t block)
{
    struct compiler *c = list.c;
    struct block_def *b = &c->blocks[block];
    for (uint32_t i = 0; i < b->count; i++) {
        struct node needs = node_get(node_at(list, i), "needs");
        if (!needs.value) continue;
        b->graph = true;
        read_needs(needs, &c->steps[b->steps[i]]);
    }
    if (b->graph) check_cycles(list, b);
}

bool step_needs(const struct step_def *steps, uint32_t step, uint32_t other)
{
    bool seen[DEFINITION_STEPS_MAX] = { false };
    uint32_t queue[DEFINITION_STEPS_MAX + 1], head = 0, tail = 0;
    queue[tail++] = step;
    while (head < tail) {
        const struct step_def *d = &steps[queue[head++]];
        for (uint32_t i = 0; i < d->need_count; i++) {
            uint32_t need = d->needs[i];
            if (need == other) return true;
            if (!seen[need]) queue[tail++] = need;
            seen[need] = true;
        }
    }
    return false;
}
