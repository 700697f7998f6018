/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenAI's chat completions, and what calls itself compatible. Pure. */
#ifndef TUTTI_MODEL_OPENAI_H
#define TUTTI_MODEL_OPENAI_H

#include "worker/model.h"

/* The request of a task's value {"model","system","messages","output_schema","temperature",
 * "max_tokens","stream", ...}; other fields go to the server as they are. ret_call is released with
 * model_call_done. Errors: ERR_INVALID and ERR_UNSUPPORTED (the schema) say what is wrong. */
MUST_CHECK bool openai_encode(const struct model *m, const json_t *value, struct buf *ret_body,
                              struct model_call *ret_call, struct err *e);

/* A whole answer: status, headers and body of r. */
enum model_outcome openai_decode(const struct model_call *c, const struct http_response *r,
                                 struct outcome *ret);

/* A streamed answer: begin, feed what comes, then decode. */
void openai_stream_begin(struct model_stream *s);
MUST_CHECK bool openai_stream_feed(struct model_stream *s, struct bytes bytes);
enum model_outcome openai_stream_decode(const struct model_call *c, struct model_stream *s,
                                        const struct http_response *r, struct outcome *ret);
void openai_stream_done(struct model_stream *s);

#endif
