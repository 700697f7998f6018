/* SPDX-License-Identifier: Apache-2.0
 *
 * The compilers of the kinds of steps: each reads the fields that belong to its kind from the step
 * at n into s. A step's list, name, condition and handlers are there already or come afterwards
 * (steps.c). */
#ifndef TUTTI_DEFINITION_KINDS_H
#define TUTTI_DEFINITION_KINDS_H

#include <assert.h>

#include "common/base/limits.h"
#include "common/definition/compile.h"

/* --- kinds_worker.c: what a worker gets is put together once, as one template of an object --- */
void compile_task(struct node n, struct step_def *s);
void compile_http(struct node n, struct step_def *s);
void compile_exec(struct node n, struct step_def *s);
void compile_webhook(struct node n, struct step_def *s);
void compile_emit(struct node n, struct step_def *s);
/* The member of the step, checked as a template; NULL if it is absent or at fault. */
json_t *part(struct node step, const char *key, unsigned roots);
/* The same for a member that must be a text. */
json_t *text_part(struct node step, const char *key, unsigned roots);
void set_part(json_t *object, const char *key, json_t *value);

/* --- kinds_model.c --- */
/* A copy of a value whose strings are no templates, for use inside of one: ${ becomes $${. A new
 * reference. */
json_t *literal(const json_t *value);
void compile_llm(struct node n, struct step_def *s);
void compile_router(struct node n, struct step_def *s);

/* --- kinds_flow.c --- */
void compile_parallel(struct node n, struct step_def *s);
void compile_conditional(struct node n, struct step_def *s);
void compile_map(struct node n, struct step_def *s);
void compile_loop(struct node n, struct step_def *s);
/* The keys of an object in the order of their bytes, as scratch memory: the canonical form of a
 * definition sorts members, so there is no other order that all who load it could agree on. */
const char **sorted_keys(struct node object, size_t *ret_count);

/* --- kinds_value.c --- */
/* Whether expressions can use the text as a name. */
bool is_identifier(const char *text);
void compile_set(struct node n, struct step_def *s);
void compile_transform(struct node n, struct step_def *s);
void compile_workflow_step(struct node n, struct step_def *s);
void compile_rollback(struct node n, struct step_def *s);
void compile_return(struct node n, struct step_def *s);
void compile_fail(struct node n, struct step_def *s);

/* --- kinds_people.c --- */
void compile_approval(struct node n, struct step_def *s);
void compile_wait(struct node n, struct step_def *s);

#endif
