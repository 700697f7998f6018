/* SPDX-License-Identifier: Apache-2.0
 *
 * A workflow as a picture: nodes, edges, and groups (what repeats), made from the definition's own
 * text, so that labels are what its author wrote. */
#ifndef TUTTI_CLI_GRAPH_H
#define TUTTI_CLI_GRAPH_H

#include "common/definition/definition.h"

enum graph_shape {
    GRAPH_TERMINAL, /* start and end */
    GRAPH_WORK,     /* a step that does something */
    GRAPH_CHOICE,   /* conditional, router */
    GRAPH_FORK,     /* where branches begin and end */
    GRAPH_REPEAT,   /* map, loop */
    GRAPH_PEOPLE,   /* human_approval */
    GRAPH_WAIT,
    GRAPH_CHILD, /* another workflow */
};
enum graph_line {
    GRAPH_FLOW,
    GRAPH_ERROR, /* after a failure: fallback, catch */
    GRAPH_UNDO,  /* compensations, rollback */
};

struct graph_node {
    enum graph_shape shape;
    const char *step, *type; /* borrowed from the definition; NULL: of no step */
    char *label;             /* owned; lines separated by \n */
    uint32_t group;          /* NO_INDEX: none */
};
struct graph_edge {
    uint32_t from, to;
    char *label; /* owned; NULL: none */
    enum graph_line line;
};
struct graph_group {
    char *label;     /* owned */
    uint32_t parent; /* NO_INDEX: none */
};
struct graph {
    const struct definition *def;
    json_t *text; /* the definition's JSON */
    struct graph_node *nodes;
    struct graph_edge *edges;
    struct graph_group *groups;
    uint32_t node_count, node_cap, edge_count, edge_cap, group_count, group_cap;
};

/* def must outlive the graph. Release with graph_done. */
struct graph graph_of(const struct definition *def);
void graph_done(struct graph *g);
void graph_mermaid(const struct graph *g, struct buf *ret);
void graph_dot(const struct graph *g, struct buf *ret);
json_t *graph_json(const struct graph *g);

#endif
