/* SPDX-License-Identifier: Apache-2.0
 *
 * The options of tutti-worker: one table for file, environment, flags, help and documentation. */
#include "worker/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/limits.h"

#define AT(member) offsetof(struct worker_config, member)

static const struct option options[] = {
    COMMON_OPTIONS(struct worker_config, common),
    PAYLOADS_OPTIONS(struct worker_config, payloads),
    { .name = "queues",
      .short_flag = 'q',
      .type = OPTION_TEXT,
      .offset = AT(queues),
      .fallback = "default",
      .value_name = "NAME,...",
      .help = "Queues to take tasks from." },
    { .name = "group",
      .type = OPTION_TEXT,
      .offset = AT(group),
      .value_name = "NAME",
      .help = "Consumer group; workers of one group share the tasks. Default: PREFIX-workers." },
    { .name = "name",
      .type = OPTION_TEXT,
      .offset = AT(name),
      .max = 100,
      .value_name = "NAME",
      .help = "Name of this worker in results and leases. Default: the host's name and the "
              "process id." },
    { .name = "inflight_max",
      .type = OPTION_U32,
      .offset = AT(inflight_max),
      .min = 1,
      .max = 20000,
      .fallback = "1000",
      .help = "Calls to keep open at the same time." },
    { .name = "lease",
      .type = OPTION_DURATION,
      .offset = AT(lease_ms),
      .min = 1000,
      .max = 600000,
      .fallback = "30s",
      .help = "Length of a lease on a task. The tasks of a worker that died wait for so long." },
    { .name = "commit",
      .type = OPTION_DURATION,
      .offset = AT(commit_ms),
      .min = 10,
      .max = 60000,
      .fallback = "1s",
      .help = "How often the offsets of finished tasks are committed." },
    { .name = "pace",
      .type = OPTION_U32,
      .offset = AT(pace_us),
      .min = 0,
      .max = 100000,
      .fallback = "1000",
      .value_name = "MICROSECONDS",
      .help = "Shortest turn of the loop while it is busy, in microseconds: what arrives within "
              "it is handled as one batch. A quiet loop answers at once." },
    { .name = "call_timeout",
      .type = OPTION_DURATION,
      .offset = AT(call_timeout_ms),
      .min = 100,
      .max = 86400000,
      .fallback = "600s",
      .help = "Longest time of one call where the step states none." },
    { .name = "drain",
      .type = OPTION_DURATION,
      .offset = AT(drain_ms),
      .min = 0,
      .max = 86400000,
      .fallback = "630s",
      .help = "How long calls that run may take to finish after SIGTERM." },
    { .name = "partitions",
      .type = OPTION_U32,
      .offset = AT(partitions),
      .min = 1,
      .max = PARTITIONS_MAX,
      .fallback = "16",
      .help = "Partitions of a queue's topic that has to be made." },
    { .name = "handlers",
      .type = OPTION_JSON,
      .offset = AT(handlers),
      .value_name = "JSON",
      .help = "What task steps do, by the name in `uses`: {\"resize\": {\"exec\": {\"command\": "
              "\"/usr/bin/x\"}}, \"score\": {\"http\": {\"url\": \"https://...\"}}}." },
    { .name = "commands",
      .type = OPTION_JSON,
      .offset = AT(commands),
      .value_name = "JSON",
      .help = "Programs that exec steps may run, by name: {\"name\": {\"command\": \"/abs/path\", "
              "\"args\": [], \"env\": {}, \"cwd\": \"/\", \"timeout\": \"30s\"}}. None by "
              "default." },
    { .name = "models",
      .type = OPTION_JSON,
      .offset = AT(models),
      .value_name = "JSON",
      .reloadable = true,
      .help = "Models by name: {\"default\": {\"base_url\", \"model\", \"api_key_env\" or "
              "\"api_key_file\", \"price_in_micro_usd_per_mtok\", "
              "\"price_out_micro_usd_per_mtok\"}}. Default: OPENAI_BASE_URL, OPENAI_API_KEY and "
              "TUTTI_MODEL of the environment." },
    { .name = "secrets.dir",
      .type = OPTION_TEXT,
      .offset = AT(secrets_dir),
      .value_name = "DIR",
      .reloadable = true,
      .help = "Directory with one file for each secret, named as the secret. Secrets may also come "
              "as TUTTI_SECRET_NAME in the environment." },
    { .name = "emit.topics",
      .type = OPTION_JSON,
      .offset = AT(emit_topics),
      .value_name = "JSON",
      .help = "Topics that emit steps may send to: a list of names, NAME* for all that begin so. "
              "Default: none. The installation's own topics are never allowed." },
    { .name = "http.allow_private",
      .type = OPTION_JSON,
      .offset = AT(hosts_private),
      .value_name = "JSON",
      .help = "Hosts that http steps and handlers may call although their addresses are private: a "
              "list of \"host\" or \"host:port\"." },
    { .name = "http.private",
      .type = OPTION_BOOL,
      .offset = AT(private_allowed),
      .fallback = "false",
      .help = "Allow calls to any private address. For development." },
    { .name = "http.body_max",
      .type = OPTION_SIZE,
      .offset = AT(http_body_bytes_max),
      .min = 1024,
      .max = 64 * MIB,
      .fallback = "1MiB",
      .help = "Largest response body that is read." },
    { .name = "http.connect_timeout",
      .type = OPTION_DURATION,
      .offset = AT(http_connect_ms),
      .min = 100,
      .max = 600000,
      .fallback = "10s",
      .help = "Longest time to connect to a server." },
    { .name = "breaker.window",
      .type = OPTION_U32,
      .offset = AT(breaker_window),
      .min = 1,
      .max = BREAKER_WINDOW_MAX,
      .fallback = "100",
      .help = "Calls to a dependency that its circuit breaker looks back on." },
    { .name = "breaker.calls_min",
      .type = OPTION_U32,
      .offset = AT(breaker_calls_min),
      .min = 1,
      .max = BREAKER_WINDOW_MAX,
      .fallback = "10",
      .help = "Calls before a failure rate means anything." },
    { .name = "breaker.failure_percent",
      .type = OPTION_U32,
      .offset = AT(breaker_failure_percent),
      .min = 1,
      .max = 100,
      .fallback = "50",
      .help = "Share of failed calls at which the breaker opens." },
    { .name = "breaker.open",
      .type = OPTION_DURATION,
      .offset = AT(breaker_open_ms),
      .min = 10,
      .max = 3600000,
      .fallback = "30s",
      .help = "How long an open breaker refuses calls before it lets some through to probe." },
    { .name = "breaker.permits",
      .type = OPTION_U32,
      .offset = AT(breaker_permits),
      .min = 1,
      .max = 100,
      .fallback = "3",
      .help = "Calls that probe a dependency after that." },
};

const struct option_table worker_option_table = {
    .program = "tutti-worker",
    .summary = "runs the tasks of workflows: model calls, HTTP calls, programs",
    .description =
        "Takes tasks from the queues in Kafka, calls, and publishes the results. Stateless: start "
        "as many as you like.\n\nSIGTERM finishes what runs and leaves; a second one stops at "
        "once. SIGHUP reads models and secrets again.",
    .options = options,
    .count = ARRAY_LEN(options),
    .config_bytes = sizeof(struct worker_config),
};

static char *default_name(void)
{
    char host[80] = "worker";
    (void)gethostname(host, sizeof host - 1);
    host[sizeof host - 1] = '\0';
    return xasprintf("%s-%ld", host, (long)getpid());
}

/* The names between commas, in place. */
static bool split_queues(struct worker_lists *l, size_t *ret_count, struct err *e)
{
    size_t count = 0, max = 1;
    for (const char *at = l->queue_text; *at; at++) max += *at == ',';
    l->queues = xcalloc(max, sizeof *l->queues);
    for (char *at = l->queue_text, *next; at; at = next) {
        next = strchr(at, ',');
        if (next) *next++ = '\0';
        at += strspn(at, " ");
        at[strcspn(at, " ")] = '\0';
        if (!*at) continue;
        /* As in a definition. Capitals would be the topics of another queue's priorities. */
        if (strlen(at) > NAME_BYTES_MAX ||
            at[strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789._-")])
            return err_fail(
                e, ERR_INVALID,
                "queues: '%.64s' is no queue: its name has lower-case letters, digits, '.', "
                "'_' and '-'; at most %d",
                at, NAME_BYTES_MAX);
        l->queues[count++] = at;
    }
    if (!count) return err_fail(e, ERR_INVALID, "queues: at least one name is needed");
    *ret_count = count;
    return true;
}

static bool private_hosts(const json_t *list, struct worker_lists *l, struct err *e)
{
    size_t count = json_array_size(list);
    if (list && !json_is_null(list) && !json_is_array(list))
        return err_fail(e, ERR_INVALID, "http.allow_private: a list of hosts is needed");
    l->hosts = xcalloc(count + 1, sizeof *l->hosts);
    for (size_t i = 0; i < count; i++) {
        l->hosts[i] = json_string_value(json_array_get(list, i));
        if (!l->hosts[i])
            return err_fail(e, ERR_INVALID, "http.allow_private: entry %zu is no string", i + 1);
    }
    return true;
}

bool worker_options_make(const struct worker_config *c, const struct log *log,
                         struct worker_options *ret, struct worker_lists *l, struct err *e)
{
    *l = (struct worker_lists){ .name = c->name ? xstrdup(c->name) : default_name(),
                                .queue_text = xstrdup(c->queues ? c->queues : "") };
    size_t count = 0;
    struct payload_store_options payloads;
    if (!split_queues(l, &count, e) || !private_hosts(c->hosts_private, l, e) ||
        !payload_store_options_of(&c->payloads, log, &l->place, &payloads, e)) {
        worker_lists_done(l);
        return false;
    }
    *ret = (struct worker_options){
        .prefix = c->common.prefix,
        .name = l->name,
        .queues = l->queues,
        .queue_count = count,
        .group = c->group,
        .inflight_max = c->inflight_max,
        .lease_ms = c->lease_ms,
        .commit_ms = c->commit_ms,
        .call_timeout_ms = c->call_timeout_ms,
        .log = log,
        .handlers = c->handlers,
        .commands = c->commands,
        .models = c->models,
        .emit_topics = c->emit_topics,
        .secrets_dir = c->secrets_dir,
        .hosts_private = l->hosts,
        .private_allowed = c->private_allowed,
        .http_body_bytes_max = (size_t)c->http_body_bytes_max,
        .http_connect_ms = c->http_connect_ms,
        .payloads = payloads,
        .breaker = { .window = c->breaker_window,
                     .calls_min = c->breaker_calls_min,
                     .failure_percent = c->breaker_failure_percent,
                     .open_ms = c->breaker_open_ms,
                     .permits = c->breaker_permits },
    };
    return true;
}

void worker_lists_done(struct worker_lists *l)
{
    free(l->name);
    free(l->queue_text);
    free(l->queues);
    free(l->hosts);
    *l = (struct worker_lists){ 0 };
}
