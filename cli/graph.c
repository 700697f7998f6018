/* SPDX-License-Identifier: Apache-2.0
 *
 * From a definition to nodes and edges. A list of steps is entered from the open ends of what is
 * before it and leaves open ends behind: pairs of a node and the label of the edge that will leave
 * it. */
#include "cli/graph.h"

#include <stdlib.h>

#define LABEL_BYTES_MAX 60 /* of an expression */

/* --- growing --- */

static uint32_t add_node(struct graph *g, enum graph_shape shape, uint32_t group, char *label)
{
    if (g->node_count == g->node_cap) {
        g->node_cap = g->node_cap ? 2 * g->node_cap : 32;
        g->nodes = xrealloc(g->nodes, g->node_cap * sizeof *g->nodes);
    }
    g->nodes[g->node_count] = (struct graph_node){ .shape = shape, .label = label, .group = group };
    return g->node_count++;
}

static void add_edge(struct graph *g, uint32_t from, uint32_t to, const char *label,
                     enum graph_line line)
{
    if (g->edge_count == g->edge_cap) {
        g->edge_cap = g->edge_cap ? 2 * g->edge_cap : 32;
        g->edges = xrealloc(g->edges, g->edge_cap * sizeof *g->edges);
    }
    g->edges[g->edge_count++] = (struct graph_edge){
        .from = from, .to = to, .label = label ? xstrdup(label) : NULL, .line = line
    };
}

static uint32_t add_group(struct graph *g, char *label, uint32_t parent)
{
    if (g->group_count == g->group_cap) {
        g->group_cap = g->group_cap ? 2 * g->group_cap : 8;
        g->groups = xrealloc(g->groups, g->group_cap * sizeof *g->groups);
    }
    g->groups[g->group_count] = (struct graph_group){ .label = label, .parent = parent };
    return g->group_count++;
}

struct end {
    uint32_t node;
    char *label; /* owned; NULL: none */
    enum graph_line line;
};
struct ends {
    struct end *list;
    size_t count;
};

static void ends_done(struct ends *ends)
{
    for (size_t i = 0; i < ends->count; i++) free(ends->list[i].label);
    free(ends->list);
    *ends = (struct ends){ 0 };
}
#define AUTO_ENDS CLEANUP(ends_done) struct ends

static void end_add(struct ends *ends, uint32_t node, const char *label, enum graph_line line)
{
    ends->list = xrealloc(ends->list, (ends->count + 1) * sizeof *ends->list);
    ends->list[ends->count++] =
        (struct end){ .node = node, .label = label ? xstrdup(label) : NULL, .line = line };
}

static void ends_add(struct ends *ends, const struct ends *more)
{
    for (size_t i = 0; i < more->count; i++)
        end_add(ends, more->list[i].node, more->list[i].label, more->list[i].line);
}

static void ends_join(struct graph *g, const struct ends *ends, uint32_t node)
{
    for (size_t i = 0; i < ends->count; i++)
        add_edge(g, ends->list[i].node, node, ends->list[i].label, ends->list[i].line);
}

/* --- labels --- */

/* Texts as they are, lists of texts with commas, other values as JSON. */
static void add_plain(struct buf *b, const json_t *value)
{
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) {
        if (i) buf_add_text(b, ", ");
        add_plain(b, item);
    }
    if (json_is_string(value))
        buf_add_text(b, json_string_value(value));
    else if (value && !json_is_array(value))
        json_write(b, value);
}

/* A value of the file in one line, cut where it is long. */
static void add_short(struct buf *b, const json_t *value)
{
    AUTO_BUF struct buf text = { 0 };
    add_plain(&text, value);
    size_t cut = text.len;
    if (cut > LABEL_BYTES_MAX) {
        cut = LABEL_BYTES_MAX;
        while (cut > 0 && ((unsigned char)text.data[cut] & 0xC0) == 0x80) cut--;
    }
    for (size_t i = 0; i < cut; i++)
        buf_add_char(b, (unsigned char)text.data[i] < ' ' ? ' ' : text.data[i]);
    if (cut < text.len) buf_add_text(b, "…");
}

static char *short_text(const char *before, const json_t *value)
{
    AUTO_BUF struct buf b = { 0 };
    buf_add_text(&b, before);
    add_short(&b, value);
    return buf_take(&b, NULL);
}

static void add_line(struct buf *b, const char *before, const json_t *value)
{
    if (!value) return;
    buf_addf(b, "\n%s", before);
    add_short(b, value);
}

static char *step_label(const struct step_def *step, const json_t *text)
{
    AUTO_BUF struct buf b = { 0 };
    buf_addf(&b, "%s\n%s", step->name, step_kind_name(step->kind));
    if (step->uses && *step->uses) buf_addf(&b, ": %s", step->uses);
    add_line(&b, "if ", json_object_get(text, "if"));
    add_line(&b, "over ", json_object_get(text, "over"));
    add_line(&b, "signal ", json_object_get(text, "signal"));
    add_line(&b, "until ", json_object_get(text, "until"));
    add_line(&b, "for ", json_object_get(text, "for"));
    add_line(&b, "asks ", json_object_get(text, "approvers"));
    add_line(&b, "topic ", json_object_get(text, "topic"));
    add_line(&b, "runs ", json_object_get(text, "workflow"));
    const json_t *on_error = json_object_get(text, "on_error");
    const json_t *escalate = json_object_get(on_error, "escalate");
    if (json_is_string(on_error) && step->on_error != ON_ERROR_FAIL)
        add_line(&b, "on error: ", on_error);
    add_line(&b, "on error ask ", escalate);
    return buf_take(&b, NULL);
}

static enum graph_shape shape_of(enum step_kind kind)
{
    switch (kind) {
    case STEP_CONDITIONAL:
    case STEP_ROUTER: return GRAPH_CHOICE;
    case STEP_PARALLEL: return GRAPH_FORK;
    case STEP_MAP:
    case STEP_LOOP: return GRAPH_REPEAT;
    case STEP_APPROVAL: return GRAPH_PEOPLE;
    case STEP_WAIT: return GRAPH_WAIT;
    case STEP_WORKFLOW: return GRAPH_CHILD;
    case STEP_RETURN:
    case STEP_FAIL: return GRAPH_TERMINAL;
    default: return GRAPH_WORK;
    }
}

/* --- steps --- */

/* Draws a list of steps entered from `in`; its open ends are added to ret. */
static void draw_list(struct graph *g, const json_t *list, const struct ends *in, uint32_t group,
                      struct ends *ret);

/* A list entered from one node. */
static void draw_from(struct graph *g, const json_t *list, uint32_t from, const char *label,
                      enum graph_line line, uint32_t group, struct ends *ret)
{
    AUTO_ENDS in = { 0 };
    end_add(&in, from, label, line);
    draw_list(g, list, &in, group, ret);
}

static uint32_t draw_parallel(struct graph *g, const json_t *text, uint32_t node, uint32_t group)
{
    AUTO_ENDS ends = { 0 };
    const char *name;
    json_t *branch;
    json_object_foreach(json_object_get(text, "branches"), name, branch) {
        draw_from(g, branch, node, name, GRAPH_FLOW, group, &ends);
    }
    const json_t *join = json_object_get(text, "join");
    const json_t *least = json_object_get(join, "at_least");
    char *label = least  ? short_text("join: at least ", least)
                  : join ? short_text("join: ", join)
                         : xstrdup("join: all");
    uint32_t end = add_node(g, GRAPH_FORK, group, label);
    ends_join(g, &ends, end);
    return end;
}

static void draw_conditional(struct graph *g, const json_t *text, uint32_t node, uint32_t group,
                             struct ends *ret)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(text, "cases"), i, item) {
        AUTO_FREE char *when = short_text("", json_object_get(item, "when"));
        draw_from(g, json_object_get(item, "steps"), node, when, GRAPH_FLOW, group, ret);
    }
    const json_t *conditions = json_object_get(text, "conditions");
    if (conditions) {
        AUTO_BUF struct buf any = { 0 };
        json_array_foreach(conditions, i, item) {
            if (i) buf_add_text(&any, " or ");
            add_short(&any, item);
        }
        draw_from(g, json_object_get(text, "steps"), node, any.data, GRAPH_FLOW, group, ret);
    }
    draw_from(g, json_object_get(text, "else"), node, "else", GRAPH_FLOW, group, ret);
}

static void draw_router(struct graph *g, const json_t *text, uint32_t node, uint32_t group,
                        struct ends *ret)
{
    const char *name, *fallback = json_text(text, "default");
    json_t *choice;
    json_object_foreach(json_object_get(text, "choices"), name, choice) {
        bool is_default = fallback && strcmp(fallback, name) == 0;
        AUTO_FREE char *label = xasprintf("%s%s", name, is_default ? " (default)" : "");
        draw_from(g, json_object_get(choice, "steps"), node, label, GRAPH_FLOW, group, ret);
    }
}

static void draw_map(struct graph *g, const struct step_def *step, const json_t *text,
                     uint32_t node, uint32_t group, struct ends *ret)
{
    AUTO_ENDS body = { 0 };
    uint32_t inner = add_group(g, xasprintf("%s: each item", step->name), group);
    draw_from(g, json_object_get(text, "steps"), node, "each item", GRAPH_FLOW, inner, &body);
    const json_t *reduce = json_object_get(text, "reduce");
    uint32_t end = add_node(g, GRAPH_REPEAT, group, xasprintf("%s\nall items", step->name));
    ends_join(g, &body, end);
    if (reduce)
        draw_from(g, reduce, end, "reduce", GRAPH_FLOW, group, ret);
    else
        end_add(ret, end, NULL, GRAPH_FLOW);
}

static void draw_loop(struct graph *g, const struct step_def *step, const json_t *text,
                      uint32_t node, uint32_t group, struct ends *ret)
{
    AUTO_ENDS body = { 0 };
    uint32_t inner = add_group(g, xasprintf("%s: each iteration", step->name), group);
    const json_t *condition = json_object_get(text, "while");
    AUTO_FREE char *enter = condition ? short_text("while ", condition) : xstrdup("begin");
    draw_from(g, json_object_get(text, "steps"), node, enter, GRAPH_FLOW, inner, &body);
    AUTO_FREE char *again = xasprintf("again, at most %u times", step->max_iterations);
    for (size_t i = 0; i < body.count; i++) add_edge(g, body.list[i].node, node, again, GRAPH_FLOW);
    end_add(ret, node, condition ? "else" : "done", GRAPH_FLOW);
}

/* What may follow a failure of the step: catches, a fallback. They end where the step ends. */
static void draw_errors(struct graph *g, const json_t *text, uint32_t node, uint32_t group,
                        struct ends *ret)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(text, "catch"), i, item) {
        AUTO_FREE char *label = short_text("catch ", json_object_get(item, "on"));
        draw_from(g, json_object_get(item, "steps"), node, label, GRAPH_ERROR, group, ret);
    }
    const json_t *fallback = json_object_get(json_object_get(text, "on_error"), "fallback");
    if (fallback) draw_from(g, fallback, node, "on error", GRAPH_ERROR, group, ret);
}

static void draw_undo(struct graph *g, const json_t *text, uint32_t node, uint32_t group)
{
    const json_t *undo = json_object_get(text, "compensate");
    if (!undo) return;
    AUTO_ENDS ends = { 0 };
    AUTO_JSON *list =
        json_is_array(undo) ? json_copy((json_t *)(uintptr_t)undo) : json_pack("[O]", undo);
    draw_from(g, list, node, "undone by", GRAPH_UNDO, group, &ends);
}

/* *ret_first: the node that is entered. */
static void draw_step(struct graph *g, const json_t *text, uint32_t group, uint32_t *ret_first,
                      struct ends *ret)
{
    const char *name = json_text(text, "name");
    const struct step_def *step = definition_step(g->def, bytes_of(name ? name : ""));
    if (!step) return;
    uint32_t node = add_node(g, shape_of(step->kind), group, step_label(step, text));
    g->nodes[node].step = step->name;
    g->nodes[node].type = step_kind_name(step->kind);
    *ret_first = node;
    switch (step->kind) {
    case STEP_PARALLEL: end_add(ret, draw_parallel(g, text, node, group), NULL, GRAPH_FLOW); break;
    case STEP_CONDITIONAL: draw_conditional(g, text, node, group, ret); break;
    case STEP_ROUTER: draw_router(g, text, node, group, ret); break;
    case STEP_MAP: draw_map(g, step, text, node, group, ret); break;
    case STEP_LOOP: draw_loop(g, step, text, node, group, ret); break;
    case STEP_RETURN:
    case STEP_FAIL: break; /* nothing comes behind it */
    default: end_add(ret, node, NULL, GRAPH_FLOW);
    }
    draw_errors(g, text, node, group, ret);
    draw_undo(g, text, node, group);
}

/* --- lists --- */

static bool needed(const json_t *list, const char *name)
{
    size_t i, k;
    json_t *step, *need;
    json_array_foreach(list, i, step) {
        json_array_foreach(json_object_get(step, "needs"), k, need) {
            const char *other = json_string_value(need);
            if (other && strcmp(other, name) == 0) return true;
        }
    }
    return false;
}

/* A list whose steps say what they need. */
static void draw_graph(struct graph *g, const json_t *list, const struct ends *in, uint32_t group,
                       struct ends *ret)
{
    size_t count = json_array_size(list), i, k, n;
    AUTO_FREE struct ends *ends = xcalloc(count + 1, sizeof *ends);
    AUTO_FREE uint32_t *first = xcalloc(count + 1, sizeof *first);
    json_t *step, *need, *other;
    json_array_foreach(list, i, step) {
        draw_step(g, step, group, &first[i], &ends[i]);
    }
    json_array_foreach(list, i, step) {
        const json_t *needs = json_object_get(step, "needs");
        if (!json_array_size(needs)) ends_join(g, in, first[i]);
        json_array_foreach(needs, k, need) {
            json_array_foreach(list, n, other) {
                const char *name = json_text(other, "name");
                if (name && strcmp(name, json_string_value(need)) == 0)
                    ends_join(g, &ends[n], first[i]);
            }
        }
        const char *name = json_text(step, "name");
        if (name && !needed(list, name)) ends_add(ret, &ends[i]);
    }
    for (i = 0; i < count; i++) ends_done(&ends[i]);
}

static void draw_list(struct graph *g, const json_t *list, const struct ends *in, uint32_t group,
                      struct ends *ret)
{
    size_t i;
    json_t *step;
    bool graph = false;
    json_array_foreach(list, i, step) {
        graph |= json_object_get(step, "needs") != NULL;
    }
    if (graph) {
        draw_graph(g, list, in, group, ret);
        return;
    }
    AUTO_ENDS open = { 0 };
    ends_add(&open, in);
    json_array_foreach(list, i, step) {
        uint32_t first = NO_INDEX;
        AUTO_ENDS next = { 0 };
        draw_step(g, step, group, &first, &next);
        if (first == NO_INDEX) continue;
        ends_join(g, &open, first);
        ends_done(&open);
        open = next;
        next = (struct ends){ 0 };
    }
    ends_add(ret, &open);
}

/* --- the whole --- */

/* Steps that end the run, and rollbacks, lead elsewhere. */
static void draw_leaps(struct graph *g, uint32_t end)
{
    for (uint32_t i = 0; i < g->node_count; i++) {
        const char *name = g->nodes[i].step;
        const struct step_def *step = name ? definition_step(g->def, bytes_of(name)) : NULL;
        if (step && step->kind == STEP_RETURN) add_edge(g, i, end, NULL, GRAPH_FLOW);
        if (!step || step->kind != STEP_ROLLBACK || step->rollback_to == NO_INDEX) continue;
        const char *to = g->def->steps[step->rollback_to].name;
        for (uint32_t k = 0; k < g->node_count; k++)
            if (g->nodes[k].step && strcmp(g->nodes[k].step, to) == 0)
                add_edge(g, i, k, "undoes back to", GRAPH_UNDO);
    }
}

struct graph graph_of(const struct definition *def)
{
    struct graph g = { .def = def };
    AUTO_ENDS ends = { 0 };
    g.text = json_parse((struct bytes){ def->canonical, def->canonical_len }, NULL);
    ASSERT(g.text);
    uint32_t start =
        add_node(&g, GRAPH_TERMINAL, NO_INDEX, xasprintf("%s\n%s", def->name, def->version));
    draw_from(&g, json_object_get(g.text, "steps"), start, NULL, GRAPH_FLOW, NO_INDEX, &ends);
    const json_t *on_error = json_object_get(g.text, "on_error");
    const json_t *fallback = json_object_get(on_error, "fallback");
    if (fallback)
        draw_from(&g, fallback, start, "on error of the run", GRAPH_ERROR, NO_INDEX, &ends);
    uint32_t end = add_node(&g, GRAPH_TERMINAL, NO_INDEX, xstrdup("end"));
    ends_join(&g, &ends, end);
    draw_leaps(&g, end);
    return g;
}

void graph_done(struct graph *g)
{
    for (uint32_t i = 0; i < g->node_count; i++) free(g->nodes[i].label);
    for (uint32_t i = 0; i < g->edge_count; i++) free(g->edges[i].label);
    for (uint32_t i = 0; i < g->group_count; i++) free(g->groups[i].label);
    free(g->nodes);
    free(g->edges);
    free(g->groups);
    json_decref(g->text);
}
