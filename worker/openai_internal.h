/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of the OpenAI codec. */
#ifndef TUTTI_OPENAI_INTERNAL_H
#define TUTTI_OPENAI_INTERNAL_H

#include "worker/model_openai.h"

/* What an error body says: {"error": {"message","type","param","code"}} and its relatives. */
struct openai_error {
    const char *message, *type, *code; /* never NULL; views of the body */
};
struct openai_error openai_error_read(const json_t *body);
/* The outcome of an error; status 0: inside a stream. r may be NULL then. */
enum model_outcome openai_error_decode(const struct model_call *c, uint32_t status,
                                       const json_t *body, const struct http_response *r,
                                       struct outcome *ret);
/* The outcome of a completion object. */
enum model_outcome openai_completion_decode(const struct model_call *c, const json_t *body,
                                            struct outcome *ret);

#endif
