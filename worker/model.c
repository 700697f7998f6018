/* SPDX-License-Identifier: Apache-2.0
 *
 * Outcomes of model calls as data. */
#include "worker/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ERROR_COUNT ERROR_TYPE_COUNT /* of OK, which has none */

static const struct {
    enum error_type error;
    bool retryable;
    enum breaker_effect effect;
} outcomes[] = {
#define X(name, error_, retryable_, effect_)      \
    [MODEL_##name] = { .error = ERROR_##error_,   \
                       .retryable = (retryable_), \
                       .effect = BREAKER_##effect_ },
    MODEL_OUTCOMES(X)
#undef X
};

enum breaker_effect model_outcome_effect(enum model_outcome outcome)
{
    return outcomes[outcome].effect;
}

void model_fail(struct outcome *ret, enum model_outcome outcome, const char *fmt, ...)
{
    ASSERT(outcome != MODEL_OK);
    char text[1500];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    outcome_fail(ret, outcomes[outcome].error, "%s", text);
    ret->retryable = outcomes[outcome].retryable;
}

void model_call_done(struct model_call *c)
{
    free(c->name);
    schema_free(c->schema);
    *c = (struct model_call){ 0 };
}
