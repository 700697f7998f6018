/* SPDX-License-Identifier: Apache-2.0
 *
 * The log folded once more, as it grows, by nobody's shell: what every run must look like at every
 * offset, and what must have left. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/hash.h"
#include "common/proto/keys.h"
#include "sim/mutants.h"
#include "sim/oracle_internal.h"

static uint64_t mixed(uint64_t h, uint64_t v)
{
    h ^= v + 0x9e3779b97f4a7c15 + (h << 6) + (h >> 2);
    return h * 0xff51afd7ed558ccd;
}

/* --- runs --- */

struct shadow_run *shadow_run_find(struct oracle *o, struct bytes id)
{
    if (!run_id_check(id)) return NULL;
    int32_t p = partition_of(run_id_route(id), (int32_t)o->part_count);
    return map_get(&o->parts[p].runs, id);
}

struct moment shadow_moment(const struct shadow_run *run, int64_t off)
{
    struct moment last = { 0 };
    for (size_t i = 0; i < run->moment_count && run->moments[i].off <= off; i++)
        last = run->moments[i];
    return last;
}

static void note_moment(struct shadow_part *part, struct shadow_run *run, int64_t off)
{
    if (run->moment_count == run->moment_cap) {
        run->moment_cap = run->moment_cap ? 2 * run->moment_cap : 16;
        run->moments = xrealloc(run->moments, run->moment_cap * sizeof *run->moments);
    }
    uint64_t digest = 0;
    for (size_t i = 0; i < run->sum_count; i++)
        digest += mixed(run->sums[i].name, run->sums[i].value);
    run->moments[run->moment_count++] =
        (struct moment){ .off = off, .digest = digest, .exists = run->run != NULL };
    if (part->change_count == part->change_cap) {
        part->change_cap = part->change_cap ? 2 * part->change_cap : 64;
        part->changes = xrealloc(part->changes, part->change_cap * sizeof *part->changes);
    }
    part->changes[part->change_count++] = (struct change){ .off = off, .run = run };
}

static void set_field(struct shadow_run *run, const struct field *field)
{
    uint64_t name = hash_bytes(field->name);
    for (size_t i = 0; i < run->sum_count; i++) {
        if (run->sums[i].name != name) continue;
        if (field->value.data)
            run->sums[i].value = hash_bytes(field->value);
        else
            run->sums[i] = run->sums[--run->sum_count];
        return;
    }
    if (!field->value.data) return;
    if (run->sum_count == run->sum_cap) {
        run->sum_cap = run->sum_cap ? 2 * run->sum_cap : 16;
        run->sums = xrealloc(run->sums, run->sum_cap * sizeof *run->sums);
    }
    run->sums[run->sum_count++] =
        (struct field_sum){ .name = name, .value = hash_bytes(field->value) };
}

static void keep_field(struct shadow_run *run, const struct field *field)
{
    AUTO_FREE char *name = xstrndup(field->name.data, field->name.len);
    size_t i = 0;
    while (i < run->field_count && strcmp(run->fields[i].name, name) != 0) i++;
    if (i == run->field_count) {
        if (!field->value.data) return;
        run->fields = xrealloc(run->fields, (i + 1) * sizeof *run->fields);
        run->fields[run->field_count++] = (struct field_text){ .name = TAKE(name) };
    } else {
        free(run->fields[i].value);
    }
    if (field->value.data) {
        run->fields[i].value = xstrndup(field->value.data, field->value.len);
        return;
    }
    free(run->fields[i].name);
    run->fields[i] = run->fields[--run->field_count];
}

/* --- events --- */

static struct key_of *key_find(struct shadow_part *part, struct bytes run_id)
{
    return map_get(&part->keys, run_id_route(run_id));
}

/* Whether the start begins a run, by its key. */
static enum turn take_key(struct oracle *o, struct shadow_part *part, const struct event *ev)
{
    struct key_of *key = key_find(part, ev->run_id);
    struct bytes holder = bytes_of(key ? key->run_id : "");
    if (!ev->key.data) return TURN_NOW;
    if (ev->policy != START_REJECT) return turns_start(&part->ledger, ev, holder, &o->fx);
    if (holder.len ? !bytes_equal(ev->run_id, holder) : turns_taken(&part->ledger, ev->run_id))
        return TURN_NONE;
    if (!key) {
        key = xcalloc(1, sizeof *key);
        memcpy(key->route, ev->run_id.data, ROUTE_HEX);
        map_put(&part->keys, (struct bytes){ key->route, ROUTE_HEX }, key);
    }
    memcpy(key->run_id, ev->run_id.data, RUN_ID_MAX - 1);
    return TURN_NOW;
}

static void start(struct oracle *o, struct shadow_part *part, const struct event *ev,
                  const struct fold_context *cx)
{
    char sha[SHA256_HEX];
    snprintf(sha, sizeof sha, "%.*s", (int)ev->definition.len, ev->definition.data);
    const struct definition *def = map_get(&o->definitions, bytes_of(sha));
    ASSERT(def);
    struct shadow_run *run = map_get(&part->runs, ev->run_id);
    if (run && run->run) return;
    enum turn turn = take_key(o, part, ev);
    effects_reset(&o->fx); /* its events are in the log, or will be */
    if (turn == TURN_NONE) return;
    ASSERT(turn != TURN_FULL);
    if (!run) {
        run = xcalloc(1, sizeof *run);
        memcpy(run->id, ev->run_id.data, RUN_ID_MAX - 1);
        run->partition = part->id;
        map_put(&part->runs, bytes_of(run->id), run);
    } else if (ev->parent.data) {
        world_violation(o->world, "children", "child %s is started again after it has left",
                        run->id);
    }
    run->run = turn == TURN_WAIT ? engine_start_waiting(def, ev, cx, &o->fx)
                                 : engine_start(def, ev, cx, &o->fx);
    run->ended = false;
    o->live++;
    o->world->counters.runs++;
}

static void forget_settled(struct shadow_run *run, struct bytes path)
{
    for (struct settled **link = &run->settled; *link;) {
        struct settled *s = *link;
        if (!bytes_is(path, s->path)) {
            link = &s->next;
            continue;
        }
        *link = s->next;
        free(s);
    }
}

static void apply(struct oracle *o, struct shadow_part *part, struct shadow_run *run,
                  const struct event *ev, const struct fold_context *cx)
{
    int64_t due_ms = run_due_ms(run->run);
    language_before(o, run, ev);
    enum engine_verdict verdict = engine_apply(run->run, ev, cx, &o->fx);
    if (ev->type == EVENT_TIMER_FIRED && verdict == ENGINE_APPLIED && cx->record_ms < due_ms)
        world_violation(o->world, "timers", "run %s: a timer due at %lld took effect at %lld",
                        run->id, (long long)due_ms, (long long)cx->record_ms);
    if (verdict == ENGINE_DELETED) {
        if (!run->ended)
            world_violation(o->world, "terminal states", "run %s expired before it ended", run->id);
        struct key_of *key = key_find(part, bytes_of(run->id));
        if (run_key(run->run).data && run_policy(run->run) == START_REJECT && key)
            key->run_id[0] = '\0';
        run->run = run_free(run->run);
        run->sum_count = 0;
    }
    /* Who has a step that failed tried again knows that it is a new request. */
    if (ev->type == EVENT_APPROVAL && verdict == ENGINE_APPLIED) forget_settled(run, ev->path);
    if (ev->type == EVENT_RUN_RESUME) {
        run->resumes = xrealloc(run->resumes, (run->resume_count + 1) * sizeof *run->resumes);
        run->resumes[run->resume_count++] = cx->offset;
    }
    if (ev->type == EVENT_TASK_COMPLETED && verdict == ENGINE_APPLIED) {
        struct settled *s = xcalloc(1, sizeof *s);
        snprintf(s->path, sizeof s->path, "%.*s", (int)ev->path.len, ev->path.data);
        s->offset = cx->offset;
        s->next = run->settled;
        run->settled = s;
    }
}

static void after(struct oracle *o, struct shadow_part *part, struct shadow_run *run,
                  const struct event *ev, int64_t offset)
{
    outputs_take(o, run, ev->type, offset);
    bool ended = !run->run || run_state_terminal(run_state_of(run->run));
    if (run->ended && !ended)
        world_violation(o->world, "terminal states", "run %s goes on after its end", run->id);
    if (ended && !run->ended) {
        run->ended = true;
        run->ended_off = offset;
        o->live--;
        o->world->counters.runs_ended++;
        if (run->run) judge_children(o, run);
        trace(o->world, NULL, "run %s has ended: %s", run->id,
              run->run ? run_state_name(run_state_of(run->run)) : "expired");
    }
    fields_reset(&o->fields);
    if (run->run && !run_changed(run->run)) {
        language_after(o, run, ev);
        return;
    }
    if (run->run) run_changes(run->run, &o->fields);
    for (size_t i = 0; i < o->fields.count; i++) {
        set_field(run, &o->fields.list[i]);
        if (o->keeps_fields) keep_field(run, &o->fields.list[i]);
    }
    language_after(o, run, ev);
    note_moment(part, run, offset + 1);
}

static void claim(struct shadow_part *part, const struct event *ev, int64_t offset)
{
    snprintf(part->fold_gen, sizeof part->fold_gen, "%.*s",
             (int)MIN(ev->gen.len, (size_t)GENERATION_MAX - 1), ev->gen.data);
    if (part->claim_count == part->claim_cap) {
        part->claim_cap = part->claim_cap ? 2 * part->claim_cap : 32;
        part->claims = xrealloc(part->claims, part->claim_cap * sizeof *part->claims);
    }
    part->claims[part->claim_count++] =
        (struct claim_at){ .offset = offset, .gen = hash_bytes(ev->gen) };
}

/* What a commit would write; it lets go what is empty. */
static void forget_changes(struct ledger *ledger)
{
    struct args sets = { 0 }, deletes = { 0 };
    ledger_changes(ledger, &sets, &deletes);
    args_done(&sets);
    args_done(&deletes);
}

void shadow_fold(struct oracle *o, struct shadow_part *part, const struct record *r)
{
    struct event ev;
    struct err e;
    o->world->counters.events++;
    if (event_decode(&r->message, &ev, &e) != EVENT_OK) {
        part->malformed =
            xrealloc(part->malformed, (part->malformed_count + 1) * sizeof *part->malformed);
        part->malformed[part->malformed_count++] = r->offset;
        return;
    }
    if (ev.type == EVENT_OWNER_CLAIM) {
        claim(part, &ev, r->offset);
        return;
    }
    struct fold_context cx = { .record_ms = r->timestamp_ms,
                               .offset = r->offset,
                               .topic = PREFIX ".events",
                               .partition = part->id,
                               .gen = part->fold_gen,
                               .lifecycle = o->world->options.lifecycle };
    enum mutant mutant = mutant_get();
    if (!mutant_shared(mutant)) mutant_set(MUTANT_NONE); /* the judge has none */
    struct shadow_run *run = map_get(&part->runs, ev.run_id);
    if (ev.type == EVENT_RUN_BEGIN) turns_begun(&part->ledger, ev.run_id);
    if (ev.type == EVENT_KEY_RELEASED) turns_released(&part->ledger, ev.run_id, &o->fx);
    effects_reset(&o->fx);
    if (ev.type == EVENT_RUN_START)
        start(o, part, &ev, &cx);
    else if (run && run->run)
        apply(o, part, run, &ev, &cx);
    run = map_get(&part->runs, ev.run_id);
    if (run) after(o, part, run, &ev, r->offset);
    forget_changes(&part->ledger);
    mutant_set(mutant);
}

static void run_done(struct shadow_run *run)
{
    run_free(run->run);
    language_free(run);
    while (run->settled) {
        struct settled *s = run->settled;
        run->settled = s->next;
        free(s);
    }
    for (size_t i = 0; i < run->field_count; i++) {
        free(run->fields[i].name);
        free(run->fields[i].value);
    }
    free(run->fields);
    free(run->moments);
    free(run->resumes);
    free(run->sums);
    free(run);
}

struct oracle *shadow_again(struct oracle *o, int32_t partition, int64_t off)
{
    const struct log_part *log = cluster_part(o->world->cluster, PREFIX ".events", partition);
    if (!log || log->start > 0) return NULL;
    struct world *nobody = xcalloc(1, sizeof *nobody); /* hears the complaints */
    nobody->options = o->world->options;
    nobody->options.trace = false;
    struct oracle *again = oracle_new(nobody);
    size_t pos = 0;
    for (struct definition *def; (def = map_next(&o->definitions, &pos));)
        map_put(&again->definitions, bytes_of(def->sha256), def);
    again->keeps_fields = true;
    for (int64_t i = 0; i < off && i < log->end; i++)
        shadow_fold(again, &again->parts[partition], log->records[i]);
    return again;
}

void shadow_again_free(struct oracle *again)
{
    if (!again) return;
    free(again->world);
    (void)oracle_free(again);
}

void shadow_free(struct oracle *o)
{
    outputs_free(o);
    for (size_t i = 0; i < o->part_count; i++) {
        struct shadow_part *part = &o->parts[i];
        size_t pos = 0;
        for (struct shadow_run *run; (run = map_next(&part->runs, &pos));) run_done(run);
        map_done(&part->runs);
        pos = 0;
        for (struct key_of *key; (key = map_next(&part->keys, &pos));) free(key);
        map_done(&part->keys);
        ledger_done(&part->ledger);
        free(part->claims);
        free(part->trials);
        free(part->malformed);
        free(part->changes);
    }
    free(o->parts);
    effects_done(&o->fx);
    fields_done(&o->fields);
    map_done(&o->definitions);
}
