/* SPDX-License-Identifier: Apache-2.0 */
#include "common/io/guard.h"

#include <stdlib.h>

struct node {
    struct node *next;
    struct guarded g;
    struct buf key, text; /* text: of the values */
    struct bytes values[GUARDED_FIELDS_MAX];
    bool wanted;
    size_t first, count; /* of the commands of its group */
};

/* Those that go together. */
struct group {
    struct guards *guards;
    struct node *nodes[GUARDED_MAX];
    size_t count, missing;    /* replies to the look */
    size_t seen;              /* of the nodes: their values are there */
    uint64_t connection;      /* that watches; 0: none does */
    enum guard_result failed; /* GUARD_DONE: the look did not fail */
    struct buf why;
};

struct guards {
    struct store *store;
    struct node *first, *last; /* that wait for a look */
    struct group *looking;
    struct command_list commands; /* of the group that is being sent */
};

/* --- commands --- */

void command_list_word(struct command_list *l, struct bytes word)
{
    if (l->word_count == l->word_cap) {
        l->word_cap = l->word_cap ? 2 * l->word_cap : 256;
        l->words = xrealloc(l->words, l->word_cap * sizeof *l->words);
    }
    l->words[l->word_count++] = word;
    l->lengths[l->count - 1]++;
}

void command_list_begin(struct command_list *l, struct bytes verb, struct bytes key)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 64;
        l->lengths = xrealloc(l->lengths, l->cap * sizeof *l->lengths);
    }
    l->lengths[l->count++] = 0;
    command_list_word(l, verb);
    command_list_word(l, key);
}

void command_list_done(struct command_list *l)
{
    free(l->words);
    free(l->lengths);
    *l = (struct command_list){ 0 };
}

/* --- the end of one --- */

static void finish(struct node *n, enum guard_result result, struct bytes why)
{
    struct guarded g = n->g;
    buf_done(&n->key);
    buf_done(&n->text);
    free(n);
    g.done(g.user, result, why);
}

/* What Redis said to a command of its own that it could not execute; NULL: there was none. */
static const struct store_reply *refused_part(const struct node *n, const struct store_reply *r)
{
    for (size_t i = n->first; i < n->first + n->count; i++)
        if (store_type(store_at(r, i)) == STORE_ERROR_TEXT) return store_at(r, i);
    return NULL;
}

static void group_free(struct group *group)
{
    buf_done(&group->why);
    free(group);
}

static void on_exec(void *user, enum store_status status, const struct store_reply *reply)
{
    struct group *group = user;
    for (size_t i = 0; i < group->count; i++) {
        struct node *n = group->nodes[i];
        const struct store_reply *refused = refused_part(n, reply);
        if (status == STORE_LOST)
            finish(n, GUARD_LOST, (struct bytes){ 0 });
        else if (status == STORE_ERROR)
            finish(n, GUARD_REFUSED, store_string(reply));
        else if (store_type(reply) != STORE_ARRAY)
            finish(n, GUARD_CHANGED, (struct bytes){ 0 });
        else
            finish(n, refused ? GUARD_TORN : GUARD_DONE, store_string(refused));
    }
    group_free(group);
}

/* --- the look --- */

static void look(struct guards *g);

static void unwatch(struct guards *g)
{
    store_command(g->store, &(struct bytes){ "UNWATCH", 7 }, 1, NULL, NULL);
}

/* Sends what is wanted, and leaves in the group what waits for EXEC; the others are over. */
static void decide(struct guards *g, struct group *group)
{
    struct command_list *l = &g->commands;
    l->count = l->word_count = 0;
    for (size_t i = 0; i < group->count; i++) {
        struct node *n = group->nodes[i];
        n->first = l->count;
        n->wanted = n->g.decide(n->g.user, n->values, l);
        n->count = l->count - n->first;
        ASSERT(n->wanted == (n->count > 0));
    }
    if (l->count == 0) {
        unwatch(g);
        return;
    }
    struct group *sent = xcalloc(1, sizeof *sent);
    for (size_t i = 0; i < group->count; i++)
        if (group->nodes[i]->wanted) sent->nodes[sent->count++] = group->nodes[i];
    store_exec(
        g->store, group->connection,
        &(struct store_commands){ .words = l->words, .lengths = l->lengths, .count = l->count },
        on_exec, sent);
}

static void looked(struct group *group)
{
    struct guards *g = group->guards;
    g->looking = NULL;
    if (group->failed == GUARD_DONE && group->connection != store_connection(g->store))
        group->failed = GUARD_LOST;
    bool good = group->failed == GUARD_DONE;
    if (good)
        decide(g, group);
    else if (group->connection)
        unwatch(g);
    look(g);
    for (size_t i = 0; i < group->count; i++) {
        struct node *n = group->nodes[i];
        if (!good)
            finish(n, group->failed, buf_bytes(&group->why));
        else if (!n->wanted)
            finish(n, GUARD_DECLINED, (struct bytes){ 0 });
    }
    group_free(group);
}

/* One reply of the look, to WATCH or to the HMGET of a node. */
static void replied(struct group *group, enum store_status status, const struct store_reply *reply)
{
    if (status != STORE_OK && group->failed == GUARD_DONE) {
        struct bytes why = store_string(reply);
        group->failed = status == STORE_LOST ? GUARD_LOST : GUARD_REFUSED;
        buf_add(&group->why, why.data, why.len);
    }
    if (--group->missing == 0) looked(group);
}

static void on_watch(void *user, enum store_status status, const struct store_reply *reply)
{
    struct group *group = user;
    if (status == STORE_OK) group->connection = store_connection(group->guards->store);
    replied(group, status, reply);
}

/* Replies come in order, or some of them are losses. */
static void on_values(void *user, enum store_status status, const struct store_reply *reply)
{
    struct group *group = user;
    struct node *n = group->nodes[group->seen++];
    size_t starts[GUARDED_FIELDS_MAX + 1] = { 0 };
    for (size_t i = 0; i < n->g.field_count; i++) {
        struct bytes value = store_string(store_at(reply, i));
        buf_add(&n->text, value.data, value.len);
        buf_add_char(&n->text, '\0');
        starts[i + 1] = n->text.len;
    }
    for (size_t i = 0; i < n->g.field_count; i++)
        if (store_type(store_at(reply, i)) != STORE_NIL)
            n->values[i] =
                (struct bytes){ n->text.data + starts[i], starts[i + 1] - starts[i] - 1 };
    replied(group, status, reply);
}

static void ask(struct guards *g, struct group *group)
{
    struct bytes argv[2 + GUARDED_MAX + GUARDED_FIELDS_MAX] = { BYTES_LIT("WATCH") };
    for (size_t i = 0; i < group->count; i++) argv[1 + i] = buf_bytes(&group->nodes[i]->key);
    store_command(g->store, argv, 1 + group->count, on_watch, group);
    for (size_t k = 0; k < group->count; k++) {
        const struct node *n = group->nodes[k];
        argv[0] = BYTES_LIT("HMGET");
        argv[1] = buf_bytes(&n->key);
        for (size_t i = 0; i < n->g.field_count; i++) argv[2 + i] = n->g.fields[i];
        store_command(g->store, argv, 2 + n->g.field_count, on_values, group);
    }
}

static void look(struct guards *g)
{
    if (g->looking || !g->first) return;
    struct group *group = g->looking = xcalloc(1, sizeof *group);
    group->guards = g;
    while (g->first && group->count < GUARDED_MAX) {
        group->nodes[group->count++] = g->first;
        g->first = g->first->next;
    }
    if (!g->first) g->last = NULL;
    group->missing = 1 + group->count;
    ask(g, group);
}

void guard_submit(struct guards *g, const struct guarded *guarded)
{
    ASSERT(guarded->field_count <= GUARDED_FIELDS_MAX);
    struct node *n = xcalloc(1, sizeof *n);
    n->g = *guarded;
    buf_add(&n->key, guarded->key.data, guarded->key.len);
    if (g->last)
        g->last->next = n;
    else
        g->first = n;
    g->last = n;
    look(g);
}

/* --- life --- */

struct guards *guards_new(struct store *store)
{
    struct guards *g = xcalloc(1, sizeof *g);
    g->store = store;
    return g;
}

/* The store drops what it is asked while it closes: a look may have had some of its replies. */
struct guards *guards_free(struct guards *g)
{
    if (!g) return NULL;
    struct group *group = g->looking;
    g->looking = NULL;
    for (size_t i = 0; group && i < group->count; i++)
        finish(group->nodes[i], GUARD_LOST, (struct bytes){ 0 });
    if (group) group_free(group);
    while (g->first) {
        struct node *n = g->first;
        g->first = n->next;
        finish(n, GUARD_LOST, (struct bytes){ 0 });
    }
    command_list_done(&g->commands);
    free(g);
    return NULL;
}
