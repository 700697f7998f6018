/* SPDX-License-Identifier: Apache-2.0
 *
 * A model provider is a few pure functions: bytes in, bytes out, no sockets. So every provider can
 * be tested from recorded answers. */
#ifndef TUTTI_MODEL_H
#define TUTTI_MODEL_H

#include "common/io/http_pool.h"
#include "common/schema/schema.h"
#include "worker/breaker.h"
#include "worker/catalogue.h"
#include "worker/sse.h"
#include "worker/tool.h"

/* How a model call ends. X(enumerator, error type, retryable, what its breaker records); OK has no
 * error. The table is the one of the design: what retries and what opens a breaker is data. */
#define MODEL_OUTCOMES(X)                            \
    X(OK, COUNT, 0, SUCCESS)                         \
    X(TRUNCATED, TRUNCATED, 0, SUCCESS)              \
    X(REFUSED, REFUSED, 0, SUCCESS)                  \
    X(FILTERED, FILTERED, 0, SUCCESS)                \
    X(INVALID_OUTPUT, INVALID_OUTPUT, 1, SUCCESS)    \
    X(CONTEXT_OVERFLOW, CONTEXT_OVERFLOW, 0, IGNORE) \
    X(RATE_LIMITED, RATE_LIMITED, 1, IGNORE)         \
    X(SPEND_CAPPED, SPEND_CAPPED, 0, IGNORE)         \
    X(OVERLOADED, OVERLOADED, 1, FAILURE)            \
    X(PROVIDER_ERROR, PROVIDER_ERROR, 1, FAILURE)    \
    X(TIMEOUT_CONNECT, TIMEOUT, 1, FAILURE)          \
    X(TIMEOUT_HEADERS, TIMEOUT, 1, FAILURE)          \
    X(TIMEOUT_IDLE, TIMEOUT, 1, FAILURE)             \
    X(TIMEOUT_TOTAL, TIMEOUT, 1, FAILURE)            \
    X(TRANSPORT, UNREACHABLE, 1, FAILURE)            \
    X(AUTH, AUTH, 0, IGNORE)                         \
    X(BAD_REQUEST, BAD_REQUEST, 0, IGNORE)
enum model_outcome {
#define X(name, error, retryable, effect) MODEL_##name,
    MODEL_OUTCOMES(X)
#undef X
        MODEL_OUTCOME_COUNT
};
enum breaker_effect model_outcome_effect(enum model_outcome outcome);
/* Makes ret the failure that the outcome stands for (not OK). */
void model_fail(struct outcome *ret, enum model_outcome outcome, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* One call: what the decoder must know of the request. */
struct model_call {
    const struct model *model;
    char *name;            /* the provider's name of the model; owned */
    struct schema *schema; /* of the output; owned; NULL: none */
    bool stream;
    int64_t max_tokens;   /* 0: none stated */
    size_t request_bytes; /* for the estimate of tokens where no usage comes */
};
void model_call_done(struct model_call *c);

/* The parts of a stream, put together. */
struct model_stream {
    struct sse sse;
    struct buf content, refusal;
    char *finish;   /* owned; NULL: none yet */
    json_t *usage;  /* owned; NULL: none */
    json_t *error;  /* owned; an error inside the stream */
    json_t *tools;  /* owned; array of {"name", "arguments"} by index */
    bool done, any; /* [DONE] came; any event came */
    char *model;    /* owned */
};

#endif
