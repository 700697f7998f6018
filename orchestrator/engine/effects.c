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

/* CloudEvents 1.0, Kafka protocol binding, binary mode. */
static void result_headers(const struct run *run, void **arena, struct ce_header ce[CE_COUNT])
{
    const char *status = run_state_name(run_state_of(run));
    char time[TIME_TEXT_MAX];
    time_format(run->finished_ms, time);
    AUTO_BUF struct buf b = { 0 };
    buf_addf(&b, "%s/%s", run->id, status);
    struct bytes id = arena_copy(arena, buf_bytes(&b));
    buf_reset(&b);
    buf_addf(&b, "/tutti/%s", run->def->name);
    struct bytes source = arena_copy(arena, buf_bytes(&b));
    buf_reset(&b);
    buf_addf(&b, "io.tutti.run.%s", status);
    struct bytes type = arena_copy(arena, buf_bytes(&b));
    buf_reset(&b);
    buf_addf(&b, "%020lld", (long long)run->finished_off);
    struct bytes sequence = arena_copy(arena, buf_bytes(&b));
    const struct ce_header all[CE_COUNT] = {
        { "ce_specversion", BYTES_LIT("1.0") },
        { "ce_id", id },
        { "ce_source", source },
        { "ce_type", type },
        { "ce_subject", arena_text(arena, run->id) },
        { "ce_time", arena_text(arena, time) },
        { "ce_workflow", arena_text(arena, run->def->name) },
        { "ce_version", arena_text(arena, run->def->version) },
        { "ce_sequence", sequence }, /* of what is told about one run */
        { "content-type", BYTES_LIT("application/json") },
    };
    memcpy(ce, all, sizeof all);
}

void effect_result(struct fold *f)
{
    const struct run *run = f->run;
    void **arena = &f->fx->arena;
    struct ce_header *ce = arena_alloc(arena, CE_COUNT * sizeof *ce);
    result_headers(run, arena, ce);
    AUTO_BUF struct buf value = { 0 };
    size_t payload_at;
    result_value(run, &value, &payload_at);
    struct effect *effect = effect_new(f->fx, EFFECT_RESULT);
    effect->ce = ce;
    effect->ce_count = CE_COUNT;
    effect->key = arena_text(arena, run->id);
    effect->value = arena_copy(arena, buf_bytes(&value));
    if (run->result)
        effect->payload =
            (struct bytes){ .data = effect->value.data + payload_at, .len = run->result_len };
}
