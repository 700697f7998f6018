/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/index/api.h"

#include <microhttpd.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/index/db.h"

#define THREADS         2
#define CONNECTIONS_MAX 200
#define IDLE_S          30
#define LIMIT           50 /* runs in a page where nobody says how many */

struct index_api {
    struct index_api_options options;
    struct MHD_Daemon *daemon;
};

/* --- answers --- */

/* Takes the reference to value. */
static enum MHD_Result send_json(struct MHD_Connection *c, unsigned status, json_t *value)
{
    AUTO_BUF struct buf body = { 0 };
    json_write(&body, value);
    json_decref(value);
    size_t len;
    char *data = buf_take(&body, &len);
    struct MHD_Response *r = MHD_create_response_from_buffer(len, data, MHD_RESPMEM_MUST_FREE);
    ASSERT(r);
    MHD_add_response_header(r, "Content-Type", "application/json");
    enum MHD_Result result = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return result;
}

static enum MHD_Result send_error(struct MHD_Connection *c, const struct err *e)
{
    unsigned status = e->kind == ERR_INVALID ? 400 : e->kind == ERR_NOT_FOUND ? 404 : 503;
    return send_json(
        c, status,
        json_pack("{s:{s:s, s:s}}", "error", "type", err_kind_name(e->kind), "message", e->text));
}

/* --- the query --- */

struct reading {
    struct index_query *query;
    struct err *e;
    bool ok;
};

static bool read_time(const char *name, const char *text, int64_t *ret, struct err *e)
{
    return time_parse(text, ret) ||
           err_fail(e, ERR_INVALID,
                    "%s: '%.40s' is no time (RFC 3339, such as 2026-11-22T00:00:00Z)", name, text);
}

static bool read_state(const char *text, const char **ret, struct err *e)
{
    *ret = text;
    for (int s = 0; s < RUN_STATE_COUNT; s++)
        if (strcmp(run_state_name((enum run_state)s), text) == 0) return true;
    return err_fail(e, ERR_INVALID, "state: '%.40s' is no state of a run", text);
}

static bool read_limit(const char *text, uint32_t *ret, struct err *e)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    *ret = (uint32_t)n;
    return (*text >= '0' && *text <= '9' && *end == '\0' && n >= 1 && n <= INDEX_PAGE_MAX) ||
           err_fail(e, ERR_INVALID, "limit: a page has 1 to %d runs", INDEX_PAGE_MAX);
}

static bool read_attribute(const char *name, const char *text, struct index_query *q, struct err *e)
{
    if (q->attribute_count == INDEX_ATTRIBUTES_MAX)
        return err_fail(e, ERR_LIMIT, "a query has at most %d attributes", INDEX_ATTRIBUTES_MAX);
    q->attributes[q->attribute_count].name = name;
    q->attributes[q->attribute_count++].value = text;
    return true;
}

static bool read_argument(struct index_query *q, const char *name, const char *text, struct err *e)
{
    if (strncmp(name, "attr.", 5) == 0) return read_attribute(name + 5, text, q, e);
    if (strcmp(name, "since") == 0) return read_time(name, text, &q->since_ms, e);
    if (strcmp(name, "until") == 0) return read_time(name, text, &q->until_ms, e);
    if (strcmp(name, "state") == 0) return read_state(text, &q->state, e);
    if (strcmp(name, "limit") == 0) return read_limit(text, &q->limit, e);
    const struct {
        const char *name, **place;
    } texts[] = { { "workflow", &q->workflow },
                  { "version", &q->version },
                  { "key", &q->key },
                  { "cursor", &q->cursor } };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (strcmp(name, texts[i].name) != 0) continue;
        *texts[i].place = text;
        return true;
    }
    return err_fail(
        e, ERR_INVALID,
        "there is no parameter '%.40s'; there are workflow, version, state, key, since, "
        "until, attr.NAME, limit and cursor",
        name);
}

static enum MHD_Result on_argument(void *user, enum MHD_ValueKind kind, const char *name,
                                   const char *text)
{
    struct reading *r = user;
    (void)kind;
    r->ok = read_argument(r->query, name, text ? text : "", r->e);
    return r->ok ? MHD_YES : MHD_NO;
}

/* --- requests --- */

static enum MHD_Result answer_runs(struct MHD_Connection *c, struct index_db *db)
{
    struct err e;
    struct index_query query = { .limit = LIMIT };
    struct reading reading = { .query = &query, .e = &e, .ok = true };
    MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, on_argument, &reading);
    json_t *page;
    if (!reading.ok || !index_db_page(db, &query, &page, &e)) return send_error(c, &e);
    return send_json(c, 200, page);
}

static enum MHD_Result answer_counts(struct MHD_Connection *c, struct index_db *db)
{
    struct err e;
    json_t *counts;
    if (!index_db_counts(db, &counts, &e)) return send_error(c, &e);
    return send_json(c, 200, json_pack("{s:o}", "runs", counts));
}

static enum MHD_Result answer(const struct index_api *a, struct MHD_Connection *c, const char *url)
{
    struct err e;
    if (strcmp(url, "/health") == 0)
        return send_json(
            c, 200,
            json_pack("{s:s, s:b}", "status", "ok", "at_end", (int)atomic_load(a->options.at_end)));
    bool runs = strcmp(url, "/v1/runs") == 0;
    if (!runs && strcmp(url, "/v1/counts") != 0) {
        err_fail(&e, ERR_NOT_FOUND, "there are /v1/runs, /v1/counts and /health");
        return send_error(c, &e);
    }
    CLEANUP(index_db_close_p)
    struct index_db *db = index_db_open_reader(a->options.path, &e);
    if (!db) return send_error(c, &e);
    return runs ? answer_runs(c, db) : answer_counts(c, db);
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **seen)
{
    static const char begun;
    (void)version;
    (void)data;
    if (!*seen) {
        *seen = (void *)(uintptr_t)&begun;
        return MHD_YES;
    }
    if (*len) { /* a body is of no use here */
        *len = 0;
        return MHD_YES;
    }
    if (strcmp(method, "GET") != 0)
        return send_json(c, 405,
                         json_pack("{s:{s:s, s:s}}", "error", "type", "invalid", "message",
                                   "the index is for reading: use GET"));
    return answer(user, c, url);
}

/* --- life --- */

/* ADDRESS:PORT, [ADDRESS]:PORT. */
static struct addrinfo *resolve(const char *listen, struct err *e)
{
    AUTO_FREE char *host = xstrdup(listen);
    char *port = strrchr(host, ':'), *name = host;
    struct addrinfo *found = NULL;
    if (port) {
        *port++ = '\0';
        size_t len = strlen(name);
        if (len > 2 && name[0] == '[' && name[len - 1] == ']') {
            name[len - 1] = '\0';
            name++;
        }
        const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                        .ai_socktype = SOCK_STREAM };
        if (getaddrinfo(name, port, &hints, &found) == 0) return found;
    }
    err_fail(e, ERR_INVALID, "'%.80s' is no address to listen on, such as 127.0.0.1:7780", listen);
    return NULL;
}

struct index_api *index_api_start(const struct index_api_options *options, struct err *e)
{
    struct addrinfo *address = resolve(options->listen, e);
    if (!address) return NULL;
    struct index_api *a = xcalloc(1, sizeof *a);
    a->options = *options;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL |
                     (address->ai_family == AF_INET6 ? (unsigned)MHD_USE_IPv6 : 0);
    a->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, a, MHD_OPTION_SOCK_ADDR,
                                 address->ai_addr, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                                 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_END);
    int cause = errno;
    freeaddrinfo(address);
    if (a->daemon) return a;
    err_fail(e, ERR_UNAVAILABLE, "cannot listen on %s: %s", options->listen, strerror(cause));
    return index_api_stop(a);
}

uint16_t index_api_port(const struct index_api *a)
{
    return MHD_get_daemon_info(a->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

struct index_api *index_api_stop(struct index_api *a)
{
    if (!a) return NULL;
    if (a->daemon) MHD_stop_daemon(a->daemon);
    free(a);
    return NULL;
}
