/* SPDX-License-Identifier: Apache-2.0
 *
 * The models a worker can call. An entry of the option `models`:
 *   base_url            with or without /v1 at its end; required
 *   model               the provider's name of it; required
 *   api_key_env         variable of the environment that holds the key, or
 *   api_key_file        file that holds it; neither: no Authorization header
 *   max_tokens_field    "max_tokens" or "max_completion_tokens" (default: by provider)
 *   json_schema         true: the server knows response_format json_schema (default); false: the
 *                       schema goes into the prompt
 *   strict_schema       true: ask for strict schema adherence (default false)
 *   stream_usage        true: ask for usage in streams (default)
 *   price_in_micro_usd_per_mtok, price_out_micro_usd_per_mtok    per million tokens; default 0
 *   connect_timeout, first_byte_timeout, idle_timeout            durations; a stream's idle
 *                       time is 120s unless stated
 * Where none is called "default" and OPENAI_BASE_URL or OPENAI_API_KEY is set in the environment,
 * one is made of these and TUTTI_MODEL; that one takes any name as the provider's. */
#ifndef TUTTI_CATALOGUE_H
#define TUTTI_CATALOGUE_H

#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/secret.h"
#include "common/proto/message.h"

struct model {
    char *name;       /* in the catalogue */
    char *url;        /* of chat completions */
    char *dependency; /* of its breaker: base_url|model */
    char *model;
    struct secret key; /* bytes NULL: none */
    char *max_tokens_field;
    bool json_schema, strict_schema, stream_usage, any_name;
    int64_t price_in, price_out;                 /* micro-dollars per million tokens */
    uint32_t connect_ms, first_byte_ms, idle_ms; /* 0: the pool's default */
};

struct catalogue;
/* Errors: ERR_INVALID and ERR_IO name the entry and the field. models may be NULL. */
MUST_CHECK struct catalogue *models_open(const json_t *models, struct err *e);
struct catalogue *models_free(struct catalogue *c); /* NULL is fine; returns NULL */
/* By name; NULL or "" means "default". NULL if there is none: catalogue_names says what there is.
 */
const struct model *models_find(const struct catalogue *c, const char *name);
void catalogue_names(const struct catalogue *c, struct buf *ret);
/* What a call costs, rounded up. */
int64_t model_price(const struct model *m, int64_t tokens_in, int64_t tokens_out);

#endif
