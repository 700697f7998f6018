/* SPDX-License-Identifier: Apache-2.0
 *
 * A graph as Mermaid, as DOT, and as JSON. Labels hold anything that a workflow may hold. */
#include <ctype.h>

#include "cli/graph.h"

#define PER_SHAPE                                                                     \
    {                                                                                 \
        [GRAPH_TERMINAL] = { "([", "])", "box\", style=\"rounded,bold", "terminal" }, \
        [GRAPH_WORK] = { "[", "]", "box", "work" },                                   \
        [GRAPH_CHOICE] = { "{", "}", "diamond", "choice" },                           \
        [GRAPH_FORK] = { "[/", "/]", "parallelogram", "fork" },                       \
        [GRAPH_REPEAT] = { "[[", "]]", "box3d", "repeat" },                           \
        [GRAPH_PEOPLE] = { "{{", "}}", "octagon", "people" },                         \
        [GRAPH_WAIT] = { "(", ")", "ellipse", "wait" },                               \
        [GRAPH_CHILD] = { "[[", "]]", "component", "child" },                         \
    }
static const struct {
    const char *open, *close; /* Mermaid */
    const char *dot, *name;
} shapes[] = PER_SHAPE;
static const struct {
    const char *arrow; /* Mermaid */
    const char *dot, *name;
} lines[] = {
    [GRAPH_FLOW] = { "-->", "solid", "flow" },
    [GRAPH_ERROR] = { "-.->", "dashed", "error" },
    [GRAPH_UNDO] = { "-.->", "dotted", "undo" },
};

/* --- Mermaid --- */

/* Within quotes, whatever Mermaid, Markdown or HTML could take for their own is written as its
 * number (#35; is the number sign). */
static void add_mermaid(struct buf *b, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '\n')
            buf_add_text(b, "<br/>");
        else if (c >= 0x80 || isalnum(c) || strchr(" .,:=!?()+-/'$_", c))
            buf_add_char(b, *text);
        else
            buf_addf(b, "#%d;", c);
    }
}

static void mermaid_group(const struct graph *g, uint32_t group, int depth, struct buf *b)
{
    for (uint32_t i = 0; i < g->node_count; i++) {
        const struct graph_node *node = &g->nodes[i];
        if (node->group != group) continue;
        buf_addf(b, "%*sn%u%s\"", depth * 2, "", i, shapes[node->shape].open);
        add_mermaid(b, node->label);
        buf_addf(b, "\"%s\n", shapes[node->shape].close);
    }
    for (uint32_t i = 0; i < g->group_count; i++) {
        if (g->groups[i].parent != group) continue;
        buf_addf(b, "%*ssubgraph g%u [\"", depth * 2, "", i);
        add_mermaid(b, g->groups[i].label);
        buf_add_text(b, "\"]\n");
        mermaid_group(g, i, depth + 1, b);
        buf_addf(b, "%*send\n", depth * 2, "");
    }
}

void graph_mermaid(const struct graph *g, struct buf *ret)
{
    buf_add_text(ret, "flowchart TD\n");
    mermaid_group(g, NO_INDEX, 1, ret);
    for (uint32_t i = 0; i < g->edge_count; i++) {
        const struct graph_edge *edge = &g->edges[i];
        buf_addf(ret, "  n%u %s", edge->from, lines[edge->line].arrow);
        if (edge->label && *edge->label) {
            buf_add_text(ret, "|\"");
            add_mermaid(ret, edge->label);
            buf_add_text(ret, "\"|");
        }
        buf_addf(ret, " n%u\n", edge->to);
    }
}

/* --- DOT --- */

static void add_dot(struct buf *b, const char *text)
{
    buf_add_char(b, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') buf_add_char(b, '\\');
        if (*text == '\n')
            buf_add_text(b, "\\n");
        else
            buf_add_char(b, *text);
    }
    buf_add_char(b, '"');
}

static void dot_group(const struct graph *g, uint32_t group, int depth, struct buf *b)
{
    for (uint32_t i = 0; i < g->node_count; i++) {
        const struct graph_node *node = &g->nodes[i];
        if (node->group != group) continue;
        buf_addf(b, "%*sn%u [shape=\"%s\", label=", depth * 2, "", i, shapes[node->shape].dot);
        add_dot(b, node->label);
        buf_add_text(b, "];\n");
    }
    for (uint32_t i = 0; i < g->group_count; i++) {
        if (g->groups[i].parent != group) continue;
        buf_addf(b, "%*ssubgraph cluster_%u {\n%*slabel=", depth * 2, "", i, depth * 2 + 2, "");
        add_dot(b, g->groups[i].label);
        buf_add_text(b, ";\n");
        dot_group(g, i, depth + 1, b);
        buf_addf(b, "%*s}\n", depth * 2, "");
    }
}

void graph_dot(const struct graph *g, struct buf *ret)
{
    buf_add_text(ret, "digraph ");
    add_dot(ret, g->def->name);
    buf_add_text(ret, " {\n  node [fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\"];\n");
    dot_group(g, NO_INDEX, 1, ret);
    for (uint32_t i = 0; i < g->edge_count; i++) {
        const struct graph_edge *edge = &g->edges[i];
        buf_addf(ret, "  n%u -> n%u [style=%s", edge->from, edge->to, lines[edge->line].dot);
        if (edge->label && *edge->label) {
            buf_add_text(ret, ", label=");
            add_dot(ret, edge->label);
        }
        buf_add_text(ret, "];\n");
    }
    buf_add_text(ret, "}\n");
}

/* --- JSON --- */

static json_t *index_or_null(uint32_t index)
{
    return index == NO_INDEX ? json_null() : json_integer(index);
}

json_t *graph_json(const struct graph *g)
{
    json_t *nodes = json_array(), *edges = json_array(), *groups = json_array();
    for (uint32_t i = 0; i < g->node_count; i++) {
        const struct graph_node *node = &g->nodes[i];
        json_array_append_new(nodes, json_pack("{s:i, s:s, s:s?, s:s?, s:s, s:o}", "id", (int)i,
                                               "shape", shapes[node->shape].name, "step",
                                               node->step, "type", node->type, "label", node->label,
                                               "group", index_or_null(node->group)));
    }
    for (uint32_t i = 0; i < g->edge_count; i++) {
        const struct graph_edge *edge = &g->edges[i];
        json_array_append_new(edges, json_pack("{s:i, s:i, s:s?, s:s}", "from", (int)edge->from,
                                               "to", (int)edge->to, "label", edge->label, "kind",
                                               lines[edge->line].name));
    }
    for (uint32_t i = 0; i < g->group_count; i++)
        json_array_append_new(groups, json_pack("{s:i, s:s, s:o}", "id", (int)i, "label",
                                                g->groups[i].label, "parent",
                                                index_or_null(g->groups[i].parent)));
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "workflow", g->def->name, "version",
                     g->def->version, "nodes", nodes, "edges", edges, "groups", groups);
}
