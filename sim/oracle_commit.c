/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands in Redis: after every commit, the state at `off` must be the fold of the log below
 * it, everything that it caused must be in a log, and nobody else may own the partition. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/hash.h"
#include "common/proto/keys.h"
#include "sim/oracle_internal.h"
#include "tests/sim/redis.h"

struct bytes partition_key(struct buf *b, const struct shadow_part *part)
{
    buf_reset(b);
    key_partition(b, PREFIX, part->id);
    return buf_bytes(b);
}

static bool number_at(struct redis *r, struct bytes key, const char *field, int64_t *ret)
{
    struct bytes text;
    if (!redis_field(r, key, bytes_of(field), &text)) return false;
    *ret = strtoll(text.data, NULL, 10);
    return true;
}

bool redis_place(struct world *w, const struct shadow_part *part, int64_t *ret_epoch,
                 int64_t *ret_off)
{
    AUTO_BUF struct buf key = { 0 };
    (void)partition_key(&key, part);
    return number_at(w->redis, buf_bytes(&key), "epoch", ret_epoch) &&
           number_at(w->redis, buf_bytes(&key), "off", ret_off);
}

void commit_before(struct oracle *o, struct shadow_part *part)
{
    part->before_there = redis_place(o->world, part, &part->before_epoch, &part->before_off);
}

/* --- the fields of a run --- */

static uint64_t mixed(uint64_t h, uint64_t v)
{
    h ^= v + 0x9e3779b97f4a7c15 + (h << 6) + (h >> 2);
    return h * 0xff51afd7ed558ccd;
}

/* How far the first three values of a list reach, which has them one after the other. */
static size_t three_values(struct bytes text)
{
    size_t depth = 0, commas = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '\\' && quoted)
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && c == '[')
            depth++;
        else if (!quoted && c == ']')
            depth--;
        else if (!quoted && c == ',' && depth == 0 && ++commas == 3)
            return i;
    }
    return text.len;
}

/* Which transitions were written together is no part of the state: each counts as if alone. */
static void add_transitions(uint64_t *sum, struct bytes field, struct bytes value)
{
    uint64_t number = strtoull(field.data + 2, NULL, 10);
    struct bytes rest = { value.data + 1, value.len - 2 };
    while (rest.len > 0) {
        size_t len = three_values(rest);
        AUTO_BUF struct buf name = { 0 }, text = { 0 };
        buf_addf(&name, "t:%" PRIu64, number++);
        buf_addf(&text, "[%.*s]", (int)len, rest.data);
        *sum += mixed(hash_bytes(buf_bytes(&name)), hash_bytes(buf_bytes(&text)));
        len = MIN(len + 1, rest.len);
        rest = (struct bytes){ rest.data + len, rest.len - len };
    }
}

static void add_field(void *user, struct bytes field, struct bytes value)
{
    uint64_t *sum = user;
    if (field.len > 2 && memcmp(field.data, "t:", 2) == 0 && value.len > 2)
        add_transitions(sum, field, value);
    else
        *sum += mixed(hash_bytes(field), hash_bytes(value));
}

/* Amid a rebuild a run may stand where its snapshot does, which is ahead of the partition. */
static bool ahead(struct oracle *o, const struct shadow_run *run, int64_t off, bool there,
                  uint64_t digest)
{
    AUTO_BUF struct buf key = { 0 };
    struct bytes rebuild;
    (void)partition_key(&key, &o->parts[run->partition]);
    if (!redis_field(o->world->redis, buf_bytes(&key), BYTES_LIT("rebuild"), &rebuild))
        return false;
    for (size_t i = 0; i < run->moment_count; i++) {
        const struct moment *m = &run->moments[i];
        if (m->off > off && m->exists == there && (!there || m->digest == digest)) return true;
    }
    return false;
}

/* For the reader of a violation: which fields differ. Costs a fold of the whole log. */
static void name_difference(struct oracle *o, const struct shadow_run *run, int64_t off,
                            struct bytes key, struct buf *ret)
{
    struct oracle *again = shadow_again(o, run->partition, off);
    const struct shadow_run *other =
        again ? map_get(&again->parts[run->partition].runs, bytes_of(run->id)) : NULL;
    for (size_t i = 0; other && i < other->field_count; i++) {
        struct bytes name = bytes_of(other->fields[i].name), value;
        if (memcmp(name.data, "t:", 2) == 0) continue; /* perhaps in the field of another */
        if (!redis_field(o->world->redis, key, name, &value))
            buf_addf(ret, " %s is missing;", other->fields[i].name);
        else if (!bytes_is(value, other->fields[i].value))
            buf_addf(ret, " %s is %.150s, not %.150s;", other->fields[i].name, value.data,
                     other->fields[i].value);
    }
    if (other && redis_length(o->world->redis, key) > other->field_count)
        buf_addf(ret, " there are fields too many;");
    shadow_again_free(again);
}

static void compare_run(struct oracle *o, const struct shadow_run *run, int64_t off)
{
    struct world *w = o->world;
    struct moment want = shadow_moment(run, off);
    AUTO_BUF struct buf key = { 0 };
    key_run(&key, PREFIX, run->partition, bytes_of(run->id));
    bool there = redis_type(w->redis, buf_bytes(&key)) != REDIS_NONE;
    uint64_t digest = 0;
    redis_each_field(w->redis, buf_bytes(&key), add_field, &digest);
    if ((there != want.exists || (there && digest != want.digest)) &&
        ahead(o, run, off, there, digest))
        return;
    if (there != want.exists) {
        world_violation(w, "state = fold",
                        "run %s %s in Redis at offset %" PRId64
                        " of partition %d, but the fold says that it %s",
                        run->id, there ? "is" : "is not", off, run->partition,
                        want.exists ? "exists" : "does not");
        return;
    }
    if (!there || digest == want.digest) return;
    AUTO_BUF struct buf difference = { 0 };
    name_difference(o, run, off, buf_bytes(&key), &difference);
    world_violation(w, "state = fold",
                    "the fields of run %s at offset %" PRId64
                    " of partition %d are not those of the fold:%s",
                    run->id, off, run->partition, difference.data ? difference.data : "");
}

/* The index entry of a run whose last change is below off. */
static void compare_index(struct oracle *o, const struct shadow_run *run, int64_t off)
{
    struct world *w = o->world;
    if (run->moment_count == 0 || run->moments[run->moment_count - 1].off > off) return;
    AUTO_BUF struct buf live = { 0 }, finished = { 0 };
    key_timers(&live, PREFIX, run->partition);
    key_finished(&finished, PREFIX, run->partition);
    double due = 0, expires = 0;
    bool in_live = redis_score(w->redis, buf_bytes(&live), bytes_of(run->id), &due);
    bool in_finished = redis_score(w->redis, buf_bytes(&finished), bytes_of(run->id), &expires);
    if (!run->ended && (!in_live || (int64_t)due > run_due_ms(run->run)))
        world_violation(w, "timers",
                        "run %s has %s in the index of partition %d at offset %" PRId64, run->id,
                        in_live ? "too late a due time" : "no due time", run->partition, off);
    else if (run->ended && (in_live || in_finished != (run->run != NULL)))
        world_violation(w, "timers", "run %s has ended, but stands in the index wrongly", run->id);
}

/* --- one commit --- */

static void judge_place(struct oracle *o, const struct proc *p, struct shadow_part *part,
                        int64_t epoch, int64_t to)
{
    struct world *w = o->world;
    if (!part->before_there || part->before_epoch != epoch)
        world_violation(w, "fence",
                        "%s commits partition %d under epoch %" PRId64 ", Redis stood at %" PRId64,
                        p->name, part->id, epoch, part->before_epoch);
    else if (part->before_off >= to)
        world_violation(w, "compare and set",
                        "%s commits partition %d to %" PRId64 ", Redis stood at %" PRId64, p->name,
                        part->id, to, part->before_off);
    for (size_t i = part->claim_count; i-- > 0 && part->claims[i].offset > epoch;)
        if (part->claims[i].offset < to)
            world_violation(w, "foreign claims",
                            "%s commits partition %d beyond the claim at %" PRId64
                            " under epoch %" PRId64,
                            p->name, part->id, part->claims[i].offset, epoch);
}

/* Below the doubt that Redis knows of nobody sends anything again: what is in no log then, and not
 * on its way, is lost. */
void judge_outputs(struct oracle *o, const struct proc *p, struct shadow_part *part)
{
    AUTO_BUF struct buf key = { 0 };
    int64_t from = 0;
    (void)partition_key(&key, part);
    if (!number_at(o->world->redis, buf_bytes(&key), "replay_from", &from) &&
        !number_at(o->world->redis, buf_bytes(&key), "off", &from))
        return;
    for (const struct output *out = part->open; out; out = out->next_open)
        if (out->issued_off < from && out->under_way == 0 && output_pending(out)) {
            world_violation(o->world, "no lost task",
                            "partition %d stands at %" PRId64 " (%s), but %s %s, issued at %" PRId64
                            ", is in no log",
                            part->id, from, p ? p->name : "", output_kind_name(out->kind), out->id,
                            out->issued_off);
            return;
        }
}

static void note_applied(struct oracle *o, struct shadow_run *run, int64_t to)
{
    for (struct settled *s = run->settled; s; s = s->next)
        if (s->offset < to && !s->applied_us) s->applied_us = o->world->now_us;
}

/* A recovery that has ended leaves no doubt behind, nor does anything that follows it. */
static void judge_doubt(struct oracle *o, const struct proc *p, struct shadow_part *part,
                        int64_t epoch, bool recovered)
{
    AUTO_BUF struct buf key = { 0 };
    int64_t from;
    (void)partition_key(&key, part);
    if (recovered) part->recovered_epoch = epoch;
    if (part->recovered_epoch == epoch &&
        number_at(o->world->redis, buf_bytes(&key), "replay_from", &from))
        world_violation(o->world, "the doubt ends",
                        "%s commits partition %d under epoch %" PRId64
                        ", whose recovery is over, and the doubt from %" PRId64 " stays",
                        p->name, part->id, epoch, from);
}

void commit_judge(struct oracle *o, const struct proc *p, struct shadow_part *part,
                  const struct bytes *argv, const struct bytes *place)
{
    int64_t epoch = strtoll(place[3].data, NULL, 10), to = strtoll(place[5].data, NULL, 10);
    /* HDEL p:{p} replay_from replay_until rebuild */
    bool ends_replay = place - argv >= 5 && bytes_is(place[-3], "replay_from");
    judge_place(o, p, part, epoch, to);
    judge_outputs(o, p, part);
    judge_doubt(o, p, part, epoch, ends_replay);
    size_t i = part->change_count;
    while (i > 0 && part->changes[i - 1].off > part->before_off) i--;
    for (; i < part->change_count && part->changes[i].off <= to && !o->world->violated; i++) {
        compare_run(o, part->changes[i].run, to);
        compare_index(o, part->changes[i].run, to);
        note_applied(o, part->changes[i].run, to);
    }
}

/* --- a whole partition --- */

struct census {
    struct oracle *o;
    size_t runs;
};

static void count_run(void *user, struct bytes key)
{
    (void)key;
    ((struct census *)user)->runs++;
}

static void compare_ledger(struct oracle *o, const struct shadow_part *part)
{
    struct world *w = o->world;
    AUTO_BUF struct buf key = { 0 };
    key_ledger(&key, PREFIX, part->id);
    size_t pos = 0, found = redis_length(w->redis, buf_bytes(&key));
    for (struct ledger_item *e; (e = map_next(&part->ledger.entries, &pos)) && !w->violated;) {
        struct bytes value = { 0 };
        (void)redis_field(w->redis, buf_bytes(&key), bytes_of(e->name), &value);
        if (!bytes_equal(value, buf_bytes(&e->value)))
            world_violation(w, "state = fold", "%s of the ledger of partition %d is %.*s, not %.*s",
                            e->name, part->id, (int)value.len, value.data ? value.data : "",
                            (int)e->value.len, e->value.data);
    }
    if (found != part->ledger.entries.count)
        world_violation(w, "state = fold", "the ledger of partition %d has %zu entries, not %zu",
                        part->id, found, part->ledger.entries.count);
}

void place_compare(struct oracle *o, struct shadow_part *part)
{
    struct world *w = o->world;
    int64_t epoch, off;
    if (!redis_place(w, part, &epoch, &off)) {
        if (part->change_count)
            world_violation(w, "state = fold", "partition %d is not in Redis", part->id);
        return;
    }
    size_t exist = 0, pos = 0;
    for (struct shadow_run *run; (run = map_next(&part->runs, &pos)) && !w->violated;) {
        compare_run(o, run, off);
        compare_index(o, run, off);
        exist += shadow_moment(run, off).exists;
    }
    struct census census = { .o = o };
    AUTO_FREE char *prefix = xasprintf("%s:run:{%d}:", PREFIX, part->id);
    redis_each_key(w->redis, bytes_of(prefix), count_run, &census);
    if (census.runs != exist)
        world_violation(w, "state = fold", "partition %d has %zu runs in Redis, the fold has %zu",
                        part->id, census.runs, exist);
    compare_ledger(o, part);
    pos = 0;
    for (struct key_of *key; (key = map_next(&part->keys, &pos)) && !w->violated;) {
        AUTO_BUF struct buf name = { 0 };
        struct bytes value = { 0 };
        key_start(&name, PREFIX, part->id, bytes_of(key->route));
        (void)redis_string(w->redis, buf_bytes(&name), &value);
        if (!bytes_is(value, key->run_id))
            world_violation(w, "state = fold", "start key %s stands for %.*s, not %s", key->route,
                            (int)value.len, value.data ? value.data : "", key->run_id);
    }
}
