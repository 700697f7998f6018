/* SPDX-License-Identifier: Apache-2.0
 *
 * Which fields each kind of step has, and who compiles it.
 */
#include <stdlib.h>

#include "common/definition/kinds.h"

#define K(name)   (1u << STEP_##name)
#define K_ALL     ((1u << STEP_KIND_COUNT) - 1)
#define K_CALLS   (K(TASK) | K(LLM) | K(HTTP) | K(EXEC) | K(ROUTER)) /* whose answer can be kept */
#define K_WORKERS (K_CALLS | K(WEBHOOK) | K(EMIT))
/* What holds steps, or waits. */
#define K_LASTING \
    (K(PARALLEL) | K(MAP) | K(CONDITIONAL) | K(LOOP) | K(APPROVAL) | K(WAIT) | K(WORKFLOW))
#define K_ENDS (K(ROLLBACK) | K(RETURN) | K(FAIL)) /* what leaves nothing behind */

/* X(field, kinds that have it) */
#define STEP_FIELDS(X)                            \
    X("name", K_ALL)                              \
    X("type", K_ALL)                              \
    X("description", K_ALL)                       \
    X("if", K_ALL)                                \
    X("needs", K_ALL)                             \
    X("on_error", K_ALL)                          \
    X("catch", K_ALL)                             \
    X("output", K_ALL & ~(K(ROLLBACK) | K(FAIL))) \
    X("compensate", K_ALL & ~K_ENDS)              \
    X("timeout", K_WORKERS | K_LASTING)           \
    X("queue_timeout", K_WORKERS)                 \
    X("retry", K_WORKERS)                         \
    X("queue", K_WORKERS)                         \
    X("priority", K_WORKERS)                      \
    X("idempotency_key", K_WORKERS)               \
    X("cache", K_CALLS)                           \
    X("uses", K(TASK))                            \
    X("input", K(TASK) | K(WORKFLOW))             \
    X("output_schema", K(TASK) | K(LLM))          \
    X("model", K(LLM) | K(ROUTER))                \
    X("system", K(LLM) | K(ROUTER))               \
    X("prompt", K(LLM) | K(ROUTER))               \
    X("messages", K(LLM))                         \
    X("temperature", K(LLM) | K(ROUTER))          \
    X("max_tokens", K(LLM) | K(ROUTER))           \
    X("stream", K(LLM))                           \
    X("choices", K(ROUTER))                       \
    X("default", K(ROUTER))                       \
    X("method", K(HTTP) | K(WEBHOOK))             \
    X("url", K(HTTP))                             \
    X("endpoint", K(WEBHOOK))                     \
    X("secret", K(WEBHOOK))                       \
    X("headers", K(HTTP) | K(WEBHOOK))            \
    X("query", K(HTTP))                           \
    X("body", K(HTTP) | K(WEBHOOK))               \
    X("command", K(EXEC))                         \
    X("args", K(EXEC))                            \
    X("stdin", K(EXEC))                           \
    X("topic", K(EMIT))                           \
    X("event_type", K(EMIT))                      \
    X("data", K(EMIT))                            \
    X("key", K(EMIT))                             \
    X("vars", K(SET))                             \
    X("value", K(TRANSFORM))                      \
    X("branches", K(PARALLEL))                    \
    X("max_concurrent", K(PARALLEL) | K(MAP))     \
    X("join", K(PARALLEL))                        \
    X("on_branch_error", K(PARALLEL))             \
    X("over", K(MAP))                             \
    X("as", K(MAP) | K(LOOP))                     \
    X("batch", K(MAP))                            \
    X("on_item_error", K(MAP))                    \
    X("reduce", K(MAP))                           \
    X("while", K(LOOP))                           \
    X("until", K(LOOP) | K(WAIT))                 \
    X("max_iterations", K(LOOP))                  \
    X("cases", K(CONDITIONAL))                    \
    X("else", K(CONDITIONAL))                     \
    X("conditions", K(CONDITIONAL))               \
    X("steps", K(CONDITIONAL) | K(MAP) | K(LOOP)) \
    X("approvers", K(APPROVAL))                   \
    X("quorum", K(APPROVAL))                      \
    X("show", K(APPROVAL))                        \
    X("editable", K(APPROVAL))                    \
    X("on_timeout", K(APPROVAL))                  \
    X("escalate_to", K(APPROVAL))                 \
    X("for", K(WAIT))                             \
    X("signal", K(WAIT))                          \
    X("match", K(WAIT))                           \
    X("workflow", K(WORKFLOW))                    \
    X("version", K(WORKFLOW))                     \
    X("wait", K(WORKFLOW))                        \
    X("on_parent_close", K(WORKFLOW))             \
    X("to", K(ROLLBACK))                          \
    X("error", K(FAIL))

static const char *const names[] = {
#define X(name, kinds) name,
    STEP_FIELDS(X)
#undef X
};
static const unsigned kinds_of[] = {
#define X(name, kinds) kinds,
    STEP_FIELDS(X)
#undef X
};

unsigned field_kinds(const char *field)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], field) == 0) return kinds_of[i];
    return 0;
}

const char *const *field_names(size_t *ret_count)
{
    *ret_count = ARRAY_LEN(names);
    return names;
}

void compile_kind(struct node n, struct step_def *s)
{
    static void (*const compile[])(struct node, struct step_def *) = {
        [STEP_TASK] = compile_task,
        [STEP_LLM] = compile_llm,
        [STEP_HTTP] = compile_http,
        [STEP_EXEC] = compile_exec,
        [STEP_WEBHOOK] = compile_webhook,
        [STEP_EMIT] = compile_emit,
        [STEP_ROUTER] = compile_router,
        [STEP_SET] = compile_set,
        [STEP_TRANSFORM] = compile_transform,
        [STEP_PARALLEL] = compile_parallel,
        [STEP_MAP] = compile_map,
        [STEP_CONDITIONAL] = compile_conditional,
        [STEP_LOOP] = compile_loop,
        [STEP_APPROVAL] = compile_approval,
        [STEP_WAIT] = compile_wait,
        [STEP_WORKFLOW] = compile_workflow_step,
        [STEP_ROLLBACK] = compile_rollback,
        [STEP_RETURN] = compile_return,
        [STEP_FAIL] = compile_fail,
    };
    static_assert(ARRAY_LEN(compile) == STEP_KIND_COUNT, "every kind is compiled");
    compile[s->kind](n, s);
}
