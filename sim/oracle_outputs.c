/* SPDX-License-Identifier: Apache-2.0
 *
 * What leaves the orchestrators: tasks, results, and what parents and children tell each other.
 * Each must have a cause in the fold, must leave with the same bytes whoever sends it, and must not
 * get lost (oracle_commit.c). And what leaves the workers for topics of others. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/hash.h"
#include "orchestrator/engine/state.h"
#include "sim/oracle_internal.h"

const char *output_kind_name(enum output_kind kind)
{
    static const char *const names[] = {
#define X(name, text) [OUTPUT_##name] = text,
        OUTPUT_KINDS(X)
#undef X
    };
    return names[kind];
}

const char *topic_own_name(const struct log_part *part)
{
    static const char prefix[] = PREFIX ".";
    size_t len = sizeof prefix - 1;
    return strncmp(part->topic->name, prefix, len) == 0 ? part->topic->name + len : NULL;
}

static uint64_t mixed(uint64_t h, uint64_t v)
{
    h ^= v + 0x9e3779b97f4a7c15 + (h << 6) + (h >> 2);
    return h * 0xff51afd7ed558ccd;
}

/* Which version a child is of is decided by whoever sends its start; and a generation is no part of
 * what is said. */
static bool header_counts(enum output_kind kind, int header)
{
    if (header == HEADER_GEN) return false;
    return kind != OUTPUT_CHILD_START || (header != HEADER_DEFINITION && header != HEADER_VERSION);
}

static uint64_t content_hash(enum output_kind kind, struct bytes key, struct bytes value,
                             const struct bytes *header)
{
    uint64_t h = hash_bytes(value);
    bool cloud_event = kind == OUTPUT_RESULT || kind == OUTPUT_LIFECYCLE;
    if (kind == OUTPUT_TASK || cloud_event) h = mixed(h, hash_bytes(key));
    for (int i = 0; !cloud_event && i < HEADER_COUNT; i++)
        if (header[i].data && header_counts(kind, i))
            h = mixed(h, hash_bytes(header[i]) + (uint64_t)i);
    return h;
}

static uint64_t extra_hash(uint64_t h, const char *name, struct bytes value)
{
    return mixed(h, hash_bytes(bytes_of(name)) ^ hash_bytes(value));
}

/* What an event between parent and child is, by its headers; OUTPUT_TASK: none. */
static enum output_kind kind_of_event(const struct bytes *header)
{
    struct bytes type = header[HEADER_TYPE], actor = header[HEADER_ACTOR];
    if (bytes_is(type, event_type_name(EVENT_RUN_START)) && header[HEADER_PARENT].data)
        return OUTPUT_CHILD_START;
    if (bytes_is(type, event_type_name(EVENT_RUN_CANCEL)) && actor.data &&
        bytes_is(actor, "parent"))
        return OUTPUT_CHILD_CANCEL;
    if (bytes_is(type, event_type_name(EVENT_CHILD_STARTED))) return OUTPUT_CHILD_BEGUN;
    if (bytes_is(type, event_type_name(EVENT_CHILD_FINISHED))) return OUTPUT_CHILD_ENDED;
    return OUTPUT_TASK;
}

/* All of them are about a child, once each. */
static void child_output_id(enum output_kind kind, const struct bytes *header,
                            char ret[OUTPUT_ID_MAX])
{
    bool told = kind == OUTPUT_CHILD_BEGUN || kind == OUTPUT_CHILD_ENDED;
    struct bytes child = header[told ? HEADER_CHILD : HEADER_RUN_ID];
    snprintf(ret, OUTPUT_ID_MAX, "%.*s%d", (int)MIN(child.len, (size_t)RUN_ID_MAX - 1), child.data,
             (int)kind);
}

/* CloudEvents of one run have ids of their own. */
static void lifecycle_id(struct bytes run, struct bytes id, char ret[OUTPUT_ID_MAX])
{
    snprintf(ret, OUTPUT_ID_MAX, "%.*s~%.*s", (int)MIN(run.len, (size_t)RUN_ID_MAX),
             run.data ? run.data : "", (int)MIN(id.len, (size_t)64), id.data ? id.data : "");
}

static struct bytes effect_header(const struct effect *fx, const char *name)
{
    for (size_t i = 0; i < fx->ce_count; i++)
        if (strcmp(fx->ce[i].name, name) == 0) return fx->ce[i].value;
    return (struct bytes){ 0 };
}

static struct bytes record_header(const struct record *r, const char *name)
{
    for (size_t i = 0; i < r->extra_count; i++)
        if (strcmp(r->extra[i].name, name) == 0) return r->extra[i].value;
    return (struct bytes){ 0 };
}

/* --- issued --- */

/* false: it is none that leaves. */
static bool describe(const struct effect *fx, struct output *ret)
{
    switch (fx->kind) {
    case EFFECT_TASK:
        ret->kind = OUTPUT_TASK;
        snprintf(ret->id, sizeof ret->id, "%s", fx->task_id);
        break;
    case EFFECT_RESULT:
        ret->kind = OUTPUT_RESULT;
        snprintf(ret->id, sizeof ret->id, "%.*s", (int)fx->key.len, fx->key.data);
        break;
    case EFFECT_LIFECYCLE:
        ret->kind = OUTPUT_LIFECYCLE;
        lifecycle_id(effect_header(fx, "ce_subject"), effect_header(fx, "ce_id"), ret->id);
        break;
    case EFFECT_START:
    case EFFECT_EVENT:
        ret->kind = kind_of_event(fx->header);
        if (ret->kind == OUTPUT_TASK) return false; /* of no family */
        child_output_id(ret->kind, fx->header, ret->id);
        break;
    case EFFECT_CANCEL:
    case EFFECT_SETTLE: return false;
    }
    ret->hash = content_hash(ret->kind, fx->key, fx->value, fx->header);
    for (size_t i = 0; i < fx->ce_count; i++)
        ret->hash = extra_hash(ret->hash, fx->ce[i].name, fx->ce[i].value);
    if (ret->kind != OUTPUT_TASK && ret->kind != OUTPUT_CHILD_START) return true;
    struct bytes path = fx->header[HEADER_PATH];
    snprintf(ret->path, sizeof ret->path, "%.*s", (int)path.len, path.data);
    AUTO_FREE char *attempt =
        xstrndup(fx->header[HEADER_ATTEMPT].data, fx->header[HEADER_ATTEMPT].len);
    ret->attempt = (uint32_t)strtoul(attempt, NULL, 10);
    return true;
}

static void open_output(struct shadow_part *part, struct output *out)
{
    out->next_open = part->open;
    part->open = out;
}

/* A run that is resumed issues once more what was out: who recovered meanwhile has kept it back. A
 * task that is there under the present generation may be with a worker. */
static void issue_again(struct oracle *o, struct output *out, const struct output *now)
{
    struct shadow_part *part = &o->parts[out->run->partition];
    if (out->hash != now->hash)
        world_violation(o->world, "same bytes", "%s is issued again with other content", out->id);
    out->issued_off = now->issued_off;
    if (!out->appended || out->kind != OUTPUT_TASK ||
        out->gen == hash_bytes(bytes_of(part->fold_gen)))
        return;
    open_output(part, out);
    out->appended = 0;
}

void outputs_take(struct oracle *o, struct shadow_run *run, enum event_type cause, int64_t offset)
{
    for (size_t i = 0; i < o->fx.count; i++) {
        struct output now = { .run = run, .issued_off = offset };
        if (!describe(&o->fx.list[i], &now)) continue;
        struct output *out = map_get(&o->outputs, bytes_of(now.id));
        if (out && cause == EVENT_RUN_RESUME) {
            issue_again(o, out, &now);
            continue;
        }
        if (out)
            world_violation(o->world, "one id, one output",
                            "%s %s is issued twice, the second time at %lld",
                            output_kind_name(now.kind), now.id, (long long)offset);
        if (out) continue;
        run->parent |= now.kind == OUTPUT_CHILD_START;
        out = xmalloc(sizeof *out);
        *out = now;
        open_output(&o->parts[run->partition], out);
        map_put(&o->outputs, bytes_of(out->id), out);
    }
    effects_reset(&o->fx);
}

bool output_pending(const struct output *out)
{
    if (out->kind == OUTPUT_RESULT || out->kind == OUTPUT_LIFECYCLE) return true;
    if (!out->run->run) return false;
    struct fold_context cx = { .topic = PREFIX ".events",
                               .partition = out->run->partition,
                               .gen = "" };
    struct effects fx = { 0 };
    engine_reissue(out->run->run, 0, &cx, &fx);
    bool found = false;
    for (size_t i = 0; i < fx.count && !found; i++) {
        struct output other = { 0 };
        found = describe(&fx.list[i], &other) && strcmp(other.id, out->id) == 0;
    }
    effects_done(&fx);
    return found;
}

/* --- sent --- */

/* That there is no such workflow stands for the start of a child. */
static struct output *refused_start(struct oracle *o, const struct bytes *header)
{
    char id[OUTPUT_ID_MAX];
    const struct bytes as_start[HEADER_COUNT] = { [HEADER_RUN_ID] = header[HEADER_CHILD] };
    child_output_id(OUTPUT_CHILD_START, as_start, id);
    return map_get(&o->outputs, bytes_of(id));
}

struct output *output_of(struct oracle *o, const struct log_part *part, const struct record *r)
{
    const struct bytes *header = r->message.header;
    const char *topic = topic_own_name(part);
    if (!topic) return NULL;
    if (strncmp(topic, "tasks.", 6) == 0) return map_get(&o->outputs, header[HEADER_TASK_ID]);
    if (strcmp(topic, "results") == 0) return map_get(&o->outputs, r->message.key);
    char id[OUTPUT_ID_MAX];
    if (strcmp(topic, "lifecycle") == 0) {
        lifecycle_id(record_header(r, "ce_subject"), record_header(r, "ce_id"), id);
        return map_get(&o->outputs, bytes_of(id));
    }
    enum output_kind kind = strcmp(topic, "events") == 0 ? kind_of_event(header) : OUTPUT_TASK;
    if (kind == OUTPUT_TASK) return NULL;
    child_output_id(kind, header, id);
    struct output *out = map_get(&o->outputs, bytes_of(id));
    return !out && kind == OUTPUT_CHILD_ENDED ? refused_start(o, header) : out;
}

static void judge_doubtful(struct oracle *o, const struct proc *p, const struct output *out)
{
    const struct takeover *t = &o->parts[out->run->partition].takeover[p->index];
    if (t->epoch < 0 || t->life != p->life) {
        world_violation(o->world, "doubt", "%s sends %s without having taken the partition over",
                        p->name, out->id);
        return;
    }
    /* That it has begun a detached child says whenever it is recovered. */
    if (out->issued_off < t->from && !t->reissue_all && out->kind != OUTPUT_CHILD_BEGUN)
        world_violation(o->world, "doubt",
                        "%s sends %s %s again, which was issued at %" PRId64
                        ", below its doubtful range %" PRId64 "..%" PRId64,
                        p->name, output_kind_name(out->kind), out->id, out->issued_off, t->from,
                        t->epoch);
    if (out->kind != OUTPUT_TASK || out->issued_off >= t->epoch) return;
    if (out->asked[p->index].epoch != t->epoch || !out->asked[p->index].unclaimed)
        world_violation(o->world, "leases at re-emission",
                        "%s sends task %s again without having seen that nobody has it", p->name,
                        out->id);
}

void output_sent(struct oracle *o, const struct proc *p, struct output *out)
{
    out->under_way++;
    judge_doubtful(o, p, out);
}

static void close_output(struct oracle *o, struct output *out)
{
    struct output **link = &o->parts[out->run->partition].open;
    while (*link && *link != out) link = &(*link)->next_open;
    if (*link) *link = out->next_open;
}

/* Whether a record of an orchestrator must be an output. */
static bool is_output(const struct log_part *part, const struct record *r)
{
    const char *topic = topic_own_name(part);
    if (!topic) return false;
    if (strcmp(topic, "events") == 0) return kind_of_event(r->message.header) != OUTPUT_TASK;
    return strncmp(topic, "tasks.", 6) == 0 || strcmp(topic, "lifecycle") == 0 ||
           (strcmp(topic, "results") == 0 && !record_is_claim(r));
}

void output_appended(struct oracle *o, const struct log_part *part, const struct record *r,
                     const struct proc *by)
{
    if (!is_output(part, r)) return;
    struct output *out = output_of(o, part, r);
    if (!out) {
        world_violation(
            o->world, "no output without a cause", "%.*s %s is sent by %s, but no run issued it",
            (int)r->message.header[HEADER_TYPE].len,
            r->message.header[HEADER_TYPE].data ? r->message.header[HEADER_TYPE].data : "",
            r->message.key.data, by->name);
        return;
    }
    enum output_kind kind = out->kind;
    bool refused =
        kind == OUTPUT_CHILD_START && kind_of_event(r->message.header) == OUTPUT_CHILD_ENDED;
    uint64_t hash = content_hash(kind, r->message.key, r->message.value, r->message.header);
    for (size_t i = 0; i < r->extra_count; i++)
        hash = extra_hash(hash, r->extra[i].name, r->extra[i].value);
    if (hash != out->hash && !refused)
        world_violation(o->world, "same bytes",
                        "%s %s is sent with other content than the fold says",
                        output_kind_name(kind), out->id);
    out->under_way--;
    out->refused |= refused;
    out->gen = hash_bytes(r->message.header[HEADER_GEN]);
    if (out->appended++ == 0)
        close_output(o, out);
    else if (kind == OUTPUT_RESULT)
        o->world->counters.results_doubled++;
}

static bool child_has(const struct oracle *o, const struct output *start, enum output_kind kind)
{
    char id[OUTPUT_ID_MAX];
    snprintf(id, sizeof id, "%.*s%d", RUN_ID_MAX - 1, start->id, (int)kind);
    return map_get(&o->outputs, bytes_of(id)) != NULL;
}

void judge_children(struct oracle *o, const struct shadow_run *run)
{
    size_t pos = 0;
    if (!run->parent) return;
    for (struct output *out; (out = map_next(&o->outputs, &pos));) {
        if (out->kind != OUTPUT_CHILD_START || out->run != run || out->refused) continue;
        const char *name = strrchr(out->path, '/');
        const struct step_def *d =
            definition_step(run->run->def, bytes_of(name ? name + 1 : out->path));
        if (d->child_abandoned || child_has(o, out, OUTPUT_CHILD_CANCEL) ||
            child_has(o, out, d->child_detached ? OUTPUT_CHILD_BEGUN : OUTPUT_CHILD_ENDED))
            continue;
        world_violation(o->world, "children", "run %s has ended and left its child of %s", run->id,
                        out->path);
    }
}

/* --- events of emit steps --- */

void emitted_judge(struct oracle *o, const struct record *r)
{
    struct bytes id = record_header(r, "ce_id");
    if (!id.data) {
        world_violation(o->world, "emitted events", "a record has no ce_id");
        return;
    }
    void *hash = (void *)(uintptr_t)(hash_bytes(r->message.value) | 1);
    void *before = map_get(&o->emitted, id);
    if (before && before != hash)
        world_violation(o->world, "emitted events", "%.*s is sent again with other content",
                        (int)id.len, id.data);
    if (before) return;
    o->emitted_ids = xrealloc(o->emitted_ids, (o->emitted_count + 1) * sizeof(char *));
    char *copy = o->emitted_ids[o->emitted_count++] = xstrndup(id.data, id.len);
    map_put(&o->emitted, bytes_of(copy), hash);
}

/* --- the end --- */

void outputs_end(struct oracle *o)
{
    size_t pos = 0;
    for (struct output *out; (out = map_next(&o->outputs, &pos)) && !o->world->violated;) {
        /* A task may have been settled, and a child's step given up, before it was sent again. */
        if (out->kind == OUTPUT_TASK || out->kind == OUTPUT_CHILD_START || out->appended) continue;
        world_violation(o->world, "results", "%s %s, issued at %" PRId64 ", is in no log",
                        output_kind_name(out->kind), out->id, out->issued_off);
    }
}

void outputs_free(struct oracle *o)
{
    size_t pos = 0;
    for (struct output *out; (out = map_next(&o->outputs, &pos));) free(out);
    map_done(&o->outputs);
    for (size_t i = 0; i < o->emitted_count; i++) free(o->emitted_ids[i]);
    free(o->emitted_ids);
    map_done(&o->emitted);
}
