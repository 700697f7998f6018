/* SPDX-License-Identifier: Apache-2.0
 *
 * Every change of the fake Redis' data, each with what undoes it. Undoing goes strictly backwards,
 * so a record may hold the very entry that was there. */
#include <stdlib.h>

#include "tests/sim/redis_internal.h"

enum undo_kind {
    CREATED,
    REMOVED,
    STRING_WAS,
    EXPIRE_WAS,
    FIELD_CREATED,
    FIELD_REMOVED,
    VALUE_WAS,
    SCORE_WAS,
    ALL_WAS,
};

struct undo {
    enum undo_kind kind;
    struct entry *entry;
    union {
        struct text *text; /* STRING_WAS */
        int64_t expire_ms;
        struct field field; /* FIELD_*: its references are ours where it was removed */
        struct keyspace all;
    };
};

/* --- records --- */

/* What only the record still held. */
static void undo_release(struct undo *u)
{
    switch (u->kind) {
    case REMOVED: entry_free(u->entry); break;
    case STRING_WAS: text_unref(u->text); break;
    case FIELD_REMOVED:
    case VALUE_WAS:
    case FIELD_CREATED:
    case SCORE_WAS:
        text_unref(u->field.name);
        text_unref(u->field.value);
        break;
    case ALL_WAS: keyspace_done(&u->all); break;
    case CREATED:
    case EXPIRE_WAS: break;
    }
}

static void note(struct redis *r, struct undo u)
{
    if (!r->options.journal) {
        undo_release(&u);
        return;
    }
    struct journal *j = &r->journal;
    if (j->used == j->cap) {
        if (j->head > j->cap / 2) {
            memmove(j->list, j->list + j->head, (j->used - j->head) * sizeof *j->list);
            j->used -= j->head;
            j->head = 0;
        } else {
            j->cap = j->cap ? 2 * j->cap : 256;
            j->list = xrealloc(j->list, j->cap * sizeof *j->list);
        }
    }
    j->list[j->used++] = u;
}

/* A record of a field that stays where it is keeps its own reference of the name. */
static struct text *also(const struct redis *r, struct text *name)
{
    return r->options.journal ? text_ref(name) : NULL;
}

/* --- changes --- */

struct entry *data_create(struct redis *r, struct bytes key, enum redis_type type)
{
    struct entry *e = entry_new(text_make(r, key), type);
    keyspace_add(&r->keys, e);
    note(r, (struct undo){ .kind = CREATED, .entry = e });
    return e;
}

void data_remove(struct redis *r, struct entry *e)
{
    keyspace_remove(&r->keys, e);
    note(r, (struct undo){ .kind = REMOVED, .entry = e });
}

void data_set_string(struct redis *r, struct entry *e, struct bytes value)
{
    struct text *was = e->string;
    e->string = text_new(value, 0);
    note(r, (struct undo){ .kind = STRING_WAS, .entry = e, .text = was });
}

void data_set_expire(struct redis *r, struct entry *e, int64_t expire_ms)
{
    if (e->expire_ms == expire_ms) return;
    note(r, (struct undo){ .kind = EXPIRE_WAS, .entry = e, .expire_ms = e->expire_ms });
    e->expire_ms = expire_ms;
}

void data_set_field(struct redis *r, struct entry *e, struct field *at, struct bytes name,
                    uint32_t hash, struct bytes value)
{
    struct text *text = text_new(value, 0);
    if (at) {
        struct field was = { .name = also(r, at->name), .value = at->value };
        at->value = text;
        note(r, (struct undo){ .kind = VALUE_WAS, .entry = e, .field = was });
    } else {
        at = fields_add(e->map, text_new(name, hash), text, 0);
        note(r, (struct undo){
                    .kind = FIELD_CREATED, .entry = e, .field = { .name = also(r, at->name) } });
    }
}

void data_set_score(struct redis *r, struct entry *e, struct field *at, struct bytes member,
                    uint32_t hash, double score)
{
    score += 0.0; /* a small sorted set of Redis keeps no -0 */
    if (at) {
        struct field was = { .name = also(r, at->name), .score = at->score };
        zset_rescore(e->zset, at, score);
        note(r, (struct undo){ .kind = SCORE_WAS, .entry = e, .field = was });
    } else {
        at = zset_add(e->zset, text_new(member, hash), score);
        note(r, (struct undo){
                    .kind = FIELD_CREATED, .entry = e, .field = { .name = also(r, at->name) } });
    }
}

void data_add_member(struct redis *r, struct entry *e, struct bytes member, uint32_t hash)
{
    struct field *at = fields_add(e->map, text_new(member, hash), NULL, 0);
    note(r, (struct undo){
                .kind = FIELD_CREATED, .entry = e, .field = { .name = also(r, at->name) } });
}

bool data_remove_field(struct redis *r, struct entry *e, struct field *at)
{
    struct field was = e->type == REDIS_ZSET ? zset_remove(e->zset, at) : fields_remove(e->map, at);
    note(r, (struct undo){ .kind = FIELD_REMOVED, .entry = e, .field = was });
    if (entry_fields(e)->count || r->options.bug == REDIS_BUG_HDEL_KEEPS_EMPTY) return false;
    data_remove(r, e);
    return true;
}

void data_replace_all(struct redis *r, struct keyspace keys)
{
    struct keyspace was = r->keys;
    r->keys = keys;
    note(r, (struct undo){ .kind = ALL_WAS, .all = was });
}

/* --- back --- */

static struct field *created_field(const struct undo *u)
{
    struct text *name = u->field.name;
    struct field *at = fields_find(entry_fields(u->entry), text_bytes(name), name->hash);
    ASSERT(at);
    return at;
}

static void undo_field_created(struct undo *u)
{
    struct field *at = created_field(u);
    struct field was = u->entry->type == REDIS_ZSET ? zset_remove(u->entry->zset, at)
                                                    : fields_remove(u->entry->map, at);
    text_unref(was.name);
    text_unref(was.value);
    text_unref(u->field.name);
}

static void undo(struct redis *r, struct undo *u)
{
    struct entry *e = u->entry;
    switch (u->kind) {
    case CREATED:
        keyspace_remove(&r->keys, e);
        entry_free(e);
        break;
    case REMOVED: keyspace_add(&r->keys, e); break;
    case STRING_WAS:
        text_unref(e->string);
        e->string = u->text;
        break;
    case EXPIRE_WAS: e->expire_ms = u->expire_ms; break;
    case FIELD_CREATED: undo_field_created(u); break;
    case FIELD_REMOVED:
        if (e->type == REDIS_ZSET)
            zset_put_back(e->zset, &u->field);
        else
            fields_put_back(e->map, &u->field);
        break;
    case VALUE_WAS: {
        struct field *at = created_field(u);
        text_unref(at->value);
        at->value = u->field.value;
        text_unref(u->field.name);
        break;
    }
    case SCORE_WAS:
        zset_rescore(e->zset, created_field(u), u->field.score);
        text_unref(u->field.name);
        break;
    case ALL_WAS:
        keyspace_done(&r->keys);
        r->keys = u->all;
        break;
    }
}

uint64_t redis_mark(const struct redis *r)
{
    ASSERT(r->options.journal && !r->in_script);
    const struct journal *j = &r->journal;
    return j->dropped + (j->used - j->head);
}

void redis_rewind(struct redis *r, uint64_t mark, bool new_process)
{
    struct journal *j = &r->journal;
    ASSERT(mark >= j->dropped && mark <= redis_mark(r));
    while (redis_mark(r) > mark) undo(r, &j->list[--j->used]);
    if (new_process) redis_restart(r);
}

void redis_forget(struct redis *r, uint64_t mark)
{
    struct journal *j = &r->journal;
    ASSERT(mark <= redis_mark(r));
    for (; j->dropped < mark; j->dropped++) undo_release(&j->list[j->head++]);
}

void journal_done(struct redis *r)
{
    while (r->journal.head < r->journal.used) undo_release(&r->journal.list[r->journal.head++]);
    free(r->journal.list);
    r->journal = (struct journal){ 0 };
}

/* --- copies of everything --- */

struct redis_dump {
    struct keyspace keys;
};

struct redis_dump *redis_dump(const struct redis *r)
{
    struct redis_dump *dump = xcalloc(1, sizeof *dump);
    dump->keys = keyspace_copy(&r->keys);
    return dump;
}

void redis_load(struct redis *r, const struct redis_dump *dump)
{
    data_replace_all(r, keyspace_copy(&dump->keys));
}

struct redis_dump *redis_dump_free(struct redis_dump *dump)
{
    if (!dump) return NULL;
    keyspace_done(&dump->keys);
    free(dump);
    return NULL;
}
