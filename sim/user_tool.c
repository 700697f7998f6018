/* SPDX-License-Identifier: Apache-2.0
 *
 * What steps answer whose work is not done here. The worker is cut off where it would hand a task
 * to a tool (worker/tool.h; the linker sends its call here): models, HTTP endpoints and programs
 * answer what the mocks of a user's workflow say, or what the seed draws, after a while, fail or
 * say nothing, as the seed has it. Handlers and emit steps of our own workflows go the whole way.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sim/fakes.h"
#include "sim/tools_world.h"
#include "sim/user.h"
#include "worker/tool.h"

struct user_call {
    struct tool_call call; /* first */
    struct proc *proc;
    struct loop_timer timer;
    struct tool_input in;
    const struct step_def *step; /* of the user's workflow; NULL: of ours */
    struct tool_fate fate;
    size_t entry; /* of the ledger */
};

/* --- answers --- */

static void fail_as_mocked(struct bytes error, struct outcome *o)
{
    enum error_type type = ERROR_TOOL_ERROR;
    AUTO_JSON *value = json_parse(error, NULL);
    (void)!error_type_find(bytes_of(json_text(value, "type")), &type);
    outcome_fail(o, type, "%s", json_text(value, "message"));
    o->retryable = json_is_true(json_object_get(value, "retryable"));
    o->retry_after_ms = json_int(value, "retry_after_ms", 0);
}

static void answer_as_mocked(const struct mock *mock, const struct mock_call *call,
                             struct outcome *o)
{
    AUTO_BUF struct buf text = { 0 };
    struct err e;
    if (!mock_answer(mock, call, &text, &e)) {
        outcome_fail(o, ERROR_INTERNAL, "%s", e.text);
        o->retryable = false;
    } else if (!mock_reply_of(mock, call->attempt)->output) {
        fail_as_mocked(buf_bytes(&text), o);
    } else {
        buf_add(&o->text, text.data, text.len);
        o->ok = true;
    }
}

static void answer(const struct sim_user *u, const struct step_def *step, const struct task *task,
                   struct outcome *o)
{
    const struct mock *mock = mocks_find(&u->mocks, task->path);
    if (mock) {
        struct mock_call call = { task->path, task->value, task->attempt, task->attempt };
        answer_as_mocked(mock, &call, o);
        return;
    }
    json_write(&o->text, u->defaults[step->index]);
    o->ok = true;
}

/* A model gives a word, or one of a router's choices; the others what is usual. */
static void answer_as_drawn(struct prng *random, const struct task *task, struct outcome *o)
{
    o->ok = true;
    if (!bytes_is(task->kind, "llm")) {
        buf_add_text(&o->text, "{\"status\":200,\"headers\":{},\"body\":{}}");
        return;
    }
    AUTO_JSON *value = json_parse(task->value, NULL);
    const json_t *schema = json_object_get(value, "output_schema"),
                 *choice = json_object_get(json_object_get(schema, "properties"), "choice"),
                 *names = json_object_get(choice, "enum");
    if (!json_array_size(names)) {
        buf_add_text(&o->text, "\"word\"");
        return;
    }
    size_t at = prng_below(random, json_array_size(names));
    buf_addf(&o->text, "{\"choice\":\"%s\"}", json_string_value(json_array_get(names, at)));
}

/* As where a provider reports none: four bytes are taken for a token. */
static void count_tokens(const struct user_call *c, struct outcome *o)
{
    if (!bytes_is(c->in.task->kind, "llm")) return;
    o->used = true;
    o->usage = (struct usage){ .tokens_in = (int64_t)(c->in.task->value.len + 3) / 4,
                               .tokens_out = (int64_t)(o->text.len + 3) / 4 };
    snprintf(o->model, sizeof o->model, "simulated");
}

static void outcome_make(const struct user_call *c, struct outcome *o)
{
    static const enum error_type kinds[] = { ERROR_TOOL_ERROR, ERROR_UNREACHABLE, ERROR_OVERLOADED,
                                             ERROR_RATE_LIMITED };
    struct world *w = c->proc->world;
    if (c->fate.hangs) {
        outcome_fail(o, ERROR_TIMEOUT, "simulated fault: no answer within the step's time");
    } else if (c->fate.fails) {
        outcome_fail(o, kinds[prng_below(tools_random(w->tools), ARRAY_LEN(kinds))],
                     "simulated fault: the call fails");
    } else {
        if (c->step)
            answer(w->options.user, c->step, c->in.task, o);
        else
            answer_as_drawn(tools_random(w->tools), c->in.task, o);
        count_tokens(c, o);
    }
}

/* --- calls --- */

static void on_due(struct loop_timer *t)
{
    struct user_call *c = t->user;
    struct tool_input in = c->in;
    struct outcome o = { 0 };
    outcome_make(c, &o);
    tools_end(c->proc->world->tools, c->entry, o.ok);
    free(c);
    in.done(in.user, &o);
    outcome_done(&o);
}

static void on_abort(struct tool_call *call)
{
    struct user_call *c = (struct user_call *)call;
    loop_disarm(c->proc->loop, &c->timer);
    free(c);
}

struct tool_call *__real_tools_start(struct tools *t, const struct tool_input *in,
                                     struct outcome *ret_now);
struct tool_call *__wrap_tools_start(struct tools *t, const struct tool_input *in,
                                     struct outcome *ret_now);

struct tool_call *__wrap_tools_start(struct tools *t, const struct tool_input *in,
                                     struct outcome *ret_now)
{
    struct proc *p = proc_current();
    const struct sim_user *u = p->world->options.user;
    bool whole = bytes_is(in->task->kind, "task") || bytes_is(in->task->kind, "emit");
    if (!u && whole) return __real_tools_start(t, in, ret_now);
    struct user_call *c = xcalloc(1, sizeof *c);
    c->call.abort = on_abort;
    c->proc = p;
    c->in = *in;
    c->step = u ? mock_step(u->def, in->task->path) : NULL;
    ASSERT(c->step || !u);
    c->fate = tool_fate_draw(p->world, (uint64_t)in->timeout_ms);
    c->timer = (struct loop_timer){ .on_due = on_due, .user = c };
    loop_arm(p->loop, &c->timer, (c->fate.end_us - p->world->now_us) / MS);
    c->entry = tools_begin(p, in->task->run_id, in->task->path, in->task->attempt);
    return &c->call;
}
