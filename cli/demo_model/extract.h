/* SPDX-License-Identifier: Apache-2.0
 *
 * The answers of tutti-demo-model. No language model: sentences and figures of the prompt itself,
 * chosen by rules and put together, so that a demo needs no key and no network, and yet another
 * text gives another answer. Pure. */
#ifndef TUTTI_DEMO_EXTRACT_H
#define TUTTI_DEMO_EXTRACT_H

#include "cli/demo_model/facts.h"

#define DEMO_MODEL_NAME "tutti-demo-model (no LLM: extraction by rules)"

/* Appends the answer to the messages of a chat request (an array, possibly malformed) under its
 * response_format (NULL: none). Never fails: what cannot be understood is answered in words. */
void demo_answer(const json_t *messages, const json_t *response_format, struct buf *ret);

/* What is asked for. */
enum task { TASK_SUMMARY, TASK_EXTRACT, TASK_TRENDS, TASK_RISKS };
struct request {
    enum task task;
    bool json;    /* the words ask for JSON */
    size_t words; /* limit of a text; 0: none is named */
    size_t top;   /* "top 3"; 0: none is named */
    struct bytes source;
};
/* Tells instruction and source apart and reads the instruction. Views into user. */
struct request request_read(const char *system, struct bytes user);

/* Sentences by their weight, heaviest first; at most max. Returns how many. */
enum ranking { RANK_GROWTH, RANK_RISK, RANK_ANY };
size_t rank_sentences(const struct facts *f, enum ranking ranking, size_t *ret, size_t max);
/* Lists of sentences as JSON strings. */
json_t *list_statistics(const struct facts *f);
json_t *list_conclusions(const struct facts *f);
json_t *list_ranked(const struct facts *f, enum ranking ranking, size_t max);
/* A summary of at most `words` words. */
void write_summary(const struct facts *f, size_t words, struct buf *ret);

/* A value that fits the schema, filled from the facts by the names of its properties (fill.c). */
json_t *fill_schema(const struct facts *f, const json_t *schema);

#endif
