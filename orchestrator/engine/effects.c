/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of effects, and the effects that are no tasks: marks on tasks, and the CloudEvent of a
 * finished run. */
#include "orchestrator/engine/state.h"

#include <stdlib.h>

#include "common/base/clock.h"

struct effect *effect_new(struct effects *fx, enum effect_kind kind)
{
    if (fx->count == fx->cap) {
        fx->cap = fx->cap ? 2 * fx->cap : 16;
        fx->list = xrealloc(fx->list, fx->cap * sizeof *fx->list);
    }
    struct effect *effect = &fx->list[fx->count++];
    *effect = (struct effect){ .kind = kind };
    return effect;
}

void effects_reset(struct effects *fx)
{
    fx->count = 0;
    arena_reset(&fx->arena);
}

void effects_done(struct effects *fx)
{
    free(fx->list);
    arena_done(&fx->arena);
    for (size_t i = 0; i < ARRAY_LEN(fx->spare); i++) buf_done(&fx->spare[i]);
    *fx = (struct effects){ 0 };
}

/* Of a time that never changes: a run that rolls back gets a later deadline, and its marks stay
 * where they are. */
struct bytes marks_header(struct fold *f)
{
    int64_t ends_ms = f->run->started_ms + f->def->timeout_ms;
    return arena_int(&f->fx->arena, MAX(ends_ms, 0) / MARKS_SPAN_MS);
}

void effect_mark(struct fold *f, enum effect_kind kind, const char *task_id, int64_t until_ms)
{
    struct effect *effect = effect_new(f->fx, kind);
    memcpy(effect->task_id, task_id, TASK_ID_MAX);
    effect->header[HEADER_MARKS] = marks_header(f);
    effect->until_ms = until_ms;
}

static void add_text_member(struct buf *b, const char *name, const char *text)
{
    buf_add_char(b, ',');
    buf_add_json_string(b, name, strlen(name));
    buf_add_char(b, ':');
    buf_add_json_string(b, text, strlen(text));
}

static void add_time_member(struct buf *b, const char *name, int64_t wall_ms)
{
    char text[TIME_TEXT_MAX];
    time_format(wall_ms, text);
    add_text_member(b, name, text);
}

/* The value of the CloudEvent. Everything in it is stored, and a finished run does not change, so
 * that it is the same whenever it is made again. */
static void result_value(const struct run *run, struct buf *b, size_t *ret_payload_at)
{
    const char *status = run_state_name(run_state_of(run));
    buf_reserve(b, run->result_len + 512);
    buf_add_text(b, "{\"run\":");
    buf_add_json_string(b, run->id, strlen(run->id));
    add_text_member(b, "workflow", run->def->name);
    add_text_member(b, "version", run->def->version);
    add_text_member(b, "status", status);
    buf_add_text(b, run->state == RUN_COMPLETED ? ",\"output\":" : ",\"error\":");
    *ret_payload_at = b->len;
    if (run->result)
        buf_add(b, run->result, run->result_len);
    else
        buf_add_text(b, "null");
    buf_add_text(b, ",\"usage\":{\"tokens_in\":");
    buf_add_int(b, run->usage.tokens_in);
    buf_add_text(b, ",\"tokens_out\":");
    buf_add_int(b, run->usage.tokens_out);
    buf_add_text(b, ",\"micro_usd\":");
    buf_add_int(b, run->usage.micro_usd);
    buf_add_char(b, '}');
    add_time_member(b, "started_at", run->started_ms);
    add_time_member(b, "finished_at", run->finished_ms);
    buf_add_char(b, '}');
}

enum { CE_COUNT = 10 };

/* What tells one CloudEvent about a run from another. */
struct about {
    struct bytes id, sequence; /* behind the run's id and a slash; behind the event's offset */
    int64_t offset, at_ms;
};

/* Frees the text. */
static struct bytes arena_take(void **arena, char *text)
{
    struct bytes copy = arena_text(arena, text);
    free(text);
    return copy;
}

/* CloudEvents 1.0, Kafka protocol binding, binary mode. */
static struct ce_header *run_headers(const struct run *run, const struct about *about, void **arena)
{
    const char *state = run_state_name(run_state_of(run));
    char time[TIME_TEXT_MAX];
    time_format(about->at_ms, time);
    const struct ce_header all[CE_COUNT] = {
        { "ce_specversion", BYTES_LIT("1.0") },
        { "ce_id",
          arena_take(arena, xasprintf("%s/%.*s", run->id, (int)about->id.len, about->id.data)) },
        { "ce_source", arena_take(arena, xasprintf("/tutti/%s", run->def->name)) },
        { "ce_type", arena_take(arena, xasprintf("io.tutti.run.%s", state)) },
        { "ce_subject", arena_text(arena, run->id) },
        { "ce_time", arena_text(arena, time) },
        { "ce_workflow", arena_text(arena, run->def->name) },
        { "ce_version", arena_text(arena, run->def->version) },
        /* of what is told about one run */
        { "ce_sequence",
          arena_take(arena, xasprintf("%020lld%.*s", (long long)about->offset,
                                      (int)about->sequence.len, about->sequence.data)) },
        { "content-type", BYTES_LIT("application/json") },
    };
    struct ce_header *ce = arena_alloc(arena, sizeof all);
    memcpy(ce, all, sizeof all);
    return ce;
}

void effect_result(struct fold *f)
{
    const struct run *run = f->run;
    void **arena = &f->fx->arena;
    AUTO_BUF struct buf id = { 0 };
    buf_add_text(&id, run_state_name(run_state_of(run)));
    /* Another end, that nobody takes for the first. */
    if (run_lives(run)) buf_addf(&id, "/%u", run_lives(run));
    const struct about about = { .id = buf_bytes(&id),
                                 .sequence = BYTES_LIT(""),
                                 .offset = run->finished_off,
                                 .at_ms = run->finished_ms };
    AUTO_BUF struct buf value = { 0 };
    size_t payload_at;
    result_value(run, &value, &payload_at);
    struct effect *effect = effect_new(f->fx, EFFECT_RESULT);
    effect->ce = run_headers(run, &about, arena);
    effect->ce_count = CE_COUNT;
    effect->key = arena_text(arena, run->id);
    effect->value = arena_copy(arena, buf_bytes(&value));
    if (run->result)
        effect->payload =
            (struct bytes){ .data = effect->value.data + payload_at, .len = run->result_len };
}

static void lifecycle_value(const struct fold *f, enum run_state from, bool tells_error,
                            struct buf *b)
{
    const struct run *run = f->run;
    buf_add_text(b, "{\"run_id\":");
    buf_add_json_string(b, run->id, strlen(run->id));
    add_text_member(b, "workflow", run->def->name);
    add_text_member(b, "version", run->def->version);
    add_text_member(b, "from", run_state_name(from));
    add_text_member(b, "state", run_state_name(run_state_of(run)));
    if (tells_error && run->result) {
        buf_add_text(b, ",\"error\":");
        buf_add(b, run->result, run->result_len);
    }
    add_time_member(b, "at", f->now_ms);
    buf_add_char(b, '}');
}

void effect_lifecycle(struct fold *f, enum run_state from, const char *why)
{
    struct run *run = f->run;
    void **arena = &f->fx->arena;
    /* A fold of the same log numbers transitions, and the moves of each, the same way again. */
    char id[32], sequence[16];
    snprintf(id, sizeof id, "%u.%u", run->transitions, f->told);
    snprintf(sequence, sizeof sequence, ".%03u", f->told++);
    const struct about about = { .id = bytes_of(id),
                                 .sequence = bytes_of(sequence),
                                 .offset = f->cx->offset,
                                 .at_ms = f->now_ms };
    AUTO_BUF struct buf value = { 0 };
    lifecycle_value(f, from, why || (run->state == RUN_ROLLING_BACK && run_rolls(run)), &value);
    struct effect *effect = effect_new(f->fx, EFFECT_LIFECYCLE);
    effect->ce = run_headers(run, &about, arena);
    effect->ce_count = CE_COUNT;
    effect->key = arena_copy(arena, run_id_route(bytes_of(run->id)));
    effect->value = arena_copy(arena, buf_bytes(&value));
}
