/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors of OpenAI-compatible servers. The status alone does not tell the kind: a 429 may mean
 * "wait" or "pay", a 400 may be the request's fault or its length. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "worker/http_retry.h"
#include "worker/openai_internal.h"

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

struct openai_error openai_error_read(const json_t *body)
{
    const json_t *error = json_object_get(body, "error");
    if (json_is_string(error)) return (struct openai_error){ json_string_value(error), "", "" };
    if (!json_is_object(error)) error = body;
    const char *message = json_text(error, "message");
    if (!message) message = json_text(error, "detail");
    return (struct openai_error){ or_empty(message), or_empty(json_text(error, "type")),
                                  or_empty(json_text(error, "code")) };
}

static bool one_of(const struct openai_error *x, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(x->code, words[i]) == 0 || strcmp(x->type, words[i]) == 0) return true;
    return false;
}

static bool is_money(const struct openai_error *x)
{
    static const char *const words[] = { "insufficient_quota",           "credit_balance_exhausted",
                                         "enforced_spend_limit_reached", "ramp_limit_exceeded",
                                         "billing_hard_limit_reached",   "billing_not_active" };
    return one_of(x, words, ARRAY_LEN(words));
}

static bool is_context(const struct openai_error *x)
{
    static const char *const words[] = { "context_length_exceeded", "exceed_context_size_error",
                                         "model_context_window_exceeded" };
    return one_of(x, words, ARRAY_LEN(words)) || strcasestr(x->message, "context length") ||
           strcasestr(x->message, "maximum context");
}

static bool is_filter(const struct openai_error *x)
{
    static const char *const words[] = { "content_filter", "content_policy_violation" };
    return one_of(x, words, ARRAY_LEN(words));
}

static enum model_outcome in_stream(const struct openai_error *x)
{
    if (is_money(x)) return MODEL_SPEND_CAPPED;
    if (is_context(x)) return MODEL_CONTEXT_OVERFLOW;
    if (is_filter(x)) return MODEL_FILTERED;
    if (strstr(x->type, "rate_limit") || strstr(x->code, "rate_limit")) return MODEL_RATE_LIMITED;
    if (strstr(x->type, "overloaded") || strstr(x->code, "overloaded")) return MODEL_OVERLOADED;
    if (strcmp(x->type, "invalid_request_error") == 0) return MODEL_BAD_REQUEST;
    return MODEL_PROVIDER_ERROR;
}

static enum model_outcome classify(uint32_t status, const struct openai_error *x, bool retry_after)
{
    switch (status) {
    case 0: return in_stream(x);
    case 401:
    case 403: return MODEL_AUTH;
    case 402: return MODEL_SPEND_CAPPED;
    case 408:
    case 409: return MODEL_PROVIDER_ERROR;
    case 413: return MODEL_CONTEXT_OVERFLOW;
    case 429: return is_money(x) ? MODEL_SPEND_CAPPED : MODEL_RATE_LIMITED;
    case 503: return retry_after ? MODEL_RATE_LIMITED : MODEL_OVERLOADED;
    case 529: return MODEL_OVERLOADED;
    default: break;
    }
    if (status >= 500) return MODEL_PROVIDER_ERROR;
    if (is_context(x)) return MODEL_CONTEXT_OVERFLOW;
    if (is_filter(x)) return MODEL_FILTERED;
    return MODEL_BAD_REQUEST;
}

enum model_outcome openai_error_decode(const struct model_call *c, uint32_t status,
                                       const json_t *body, const struct http_response *r,
                                       struct outcome *ret)
{
    struct openai_error x = openai_error_read(body);
    int64_t wait_ms = 0;
    bool stated = r && http_retry_after(r, &wait_ms);
    enum model_outcome outcome = classify(status, &x, stated);
    const char *said = *x.message ? x.message : body ? "no message" : "an answer that is no JSON";
    const char *code = *x.code ? x.code : x.type;
    if (status)
        model_fail(ret, outcome, "%s answered %u%s%s: %.800s", c->name, status, *code ? " " : "",
                   code, said);
    else
        model_fail(ret, outcome, "%s sent an error in its answer%s%s: %.800s", c->name,
                   *code ? " " : "", code, said);
    if (stated && ret->retryable) ret->retry_after_ms = wait_ms;
    /* The server may know better; what was not to be retried for the money's sake stays so. */
    const char *should = r ? http_response_header(r, "x-should-retry") : NULL;
    if (should && strcmp(should, "false") == 0) ret->retryable = false;
    if (should && strcmp(should, "true") == 0 && outcome != MODEL_SPEND_CAPPED)
        ret->retryable = true;
    return outcome;
}
