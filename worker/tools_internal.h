/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the registry and the tools. */
#ifndef TUTTI_TOOLS_INTERNAL_H
#define TUTTI_TOOLS_INTERNAL_H

#include "worker/breaker_share.h"
#include "worker/catalogue.h"
#include "worker/secrets.h"
#include "worker/tools.h"

/* What SIGHUP replaces. Calls keep the one that they began with. */
struct tool_config {
    size_t refs;
    struct catalogue *catalogue;
    struct secrets *secrets;
};
struct tool_config *tool_config_ref(struct tool_config *c);
struct tool_config *tool_config_unref(struct tool_config *c); /* NULL is fine; returns NULL */

/* A running call, as the registry sees it. */
struct tool_job {
    struct tool_call call; /* first: what the executor holds */
    struct tool_job *prev, *next;
    struct tools *t;
    struct tool_input in;
    struct tool_config *config;
    struct used_secrets used;
    void (*free)(struct tool_job *job); /* the tool's own part and the memory */
};

/* A program that may be run. */
struct command {
    char *name, *path, *cwd;
    json_t *args, *env; /* owned; array of strings, object of strings; may be NULL */
    int64_t timeout_ms; /* 0: the task's */
};

/* What a task step's `uses` leads to. */
struct handler {
    char *name;
    struct command *command; /* owned; or */
    json_t *http;            /* owned: {"url", "headers", "timeout"} */
};

struct tools {
    struct loop *loop;
    struct http_pool *pool;
    struct bus *bus;     /* NULL: emit steps fail */
    char *prefix;        /* of the installation */
    json_t *emit_topics; /* where emit steps may send to: a list of names, or NULL */
    const struct log *log;
    struct breaker_share *breakers;
    struct tool_config *config;
    struct handler *handlers;
    size_t handler_count;
    struct command *commands;
    size_t command_count;
    char **hosts_private; /* NULL-ended */
    bool private_allowed;
    size_t http_body_bytes_max;
    size_t exec_output_bytes_max;
    uint32_t http_connect_ms;
    struct tool_job *jobs;
};

/* Puts a job into the list, and takes it out and frees it. */
void tool_job_begin(struct tools *t, struct tool_job *job, const struct tool_input *in);
void tool_job_end(struct tool_job *job);
/* Redacts, ends the job and hands the outcome to whom it belongs. */
void tool_job_done(struct tool_job *job, struct outcome *o);
void tool_redact(const struct used_secrets *used, struct outcome *o);
/* The task's value as JSON with its secrets in place. NULL: *ret_now says why not. */
MUST_CHECK json_t *tool_value(struct tools *t, const struct task *task, struct used_secrets *used,
                              struct outcome *ret_now);

struct tool_call *tool_model_start(struct tools *t, const struct tool_input *in,
                                   struct outcome *ret_now);
struct tool_call *tool_http_start(struct tools *t, const struct tool_input *in,
                                  struct outcome *ret_now);
struct tool_call *tool_http_handler_start(struct tools *t, const struct handler *h,
                                          const struct tool_input *in, struct outcome *ret_now);
struct tool_call *tool_webhook_start(struct tools *t, const struct tool_input *in,
                                     struct outcome *ret_now);
struct tool_call *tool_emit_start(struct tools *t, const struct tool_input *in,
                                  struct outcome *ret_now);
/* A program that closes its stdin must be an error of write(), not our end: where SIGPIPE is at its
 * default, an empty handler takes it. */
void tool_exec_prepare(void);
/* kind exec; and a handler's command. */
struct tool_call *tool_exec_start(struct tools *t, const struct tool_input *in,
                                  struct outcome *ret_now);
struct tool_call *tool_exec_handler_start(struct tools *t, const struct command *c,
                                          const struct tool_input *in, struct outcome *ret_now);

#endif
