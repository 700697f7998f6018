/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread a connection, which may therefore wait; an eventfd wakes all of them at the end. */
#include "cli/demo_model/serve.h"

#include <microhttpd.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cli/demo_model/extract.h"
#include "common/base/clock.h"
#include "common/base/limits.h"

#define BODY_BYTES_MAX     (8 * MIB)
#define PIECE_BYTES        24  /* of text in one event of a stream */
#define STREAM_PIECE_BYTES 100 /* of a stream in one write */
#define THREAD_STACK_BYTES (1 * MIB)

struct serve {
    struct serve_options options;
    struct MHD_Daemon *daemon;
    int stop_fd;
    uint32_t failures_left; /* atomic */
    uint64_t answers;       /* atomic; numbers their ids */
};

/* A request while its body arrives. */
struct exchange {
    struct buf body;
    bool too_large;
};

/* --- what is sent --- */

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, const char *type,
                                 struct buf *body)
{
    size_t len;
    char *data = buf_take(body, &len);
    struct MHD_Response *r = MHD_create_response_from_buffer(len, data, MHD_RESPMEM_MUST_FREE);
    ASSERT(r);
    MHD_add_response_header(r, "Content-Type", type);
    enum MHD_Result result = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return result;
}

/* Takes the reference to value. */
static enum MHD_Result send_json(struct MHD_Connection *c, unsigned status, json_t *value)
{
    AUTO_BUF struct buf body = { 0 };
    ASSERT(value);
    json_write(&body, value);
    json_decref(value);
    return send_text(c, status, "application/json", &body);
}

static enum MHD_Result send_error(struct MHD_Connection *c, unsigned status, const char *message)
{
    const char *type = status == 429   ? "rate_limit_exceeded"
                       : status >= 500 ? "server_error"
                                       : "invalid_request_error";
    return send_json(c, status,
                     json_pack("{s:{s:s, s:s, s:n, s:s}}", "error", "message", message, "type",
                               type, "param", "code", type));
}

/* An answer with what belongs to it. */
struct completion {
    char id[40];
    int64_t created;
    struct buf content;
    const char *finish_reason;
    int64_t tokens_in, tokens_out;
};

static json_t *usage_of(const struct completion *a)
{
    return json_pack("{s:I, s:I, s:I}", "prompt_tokens", (json_int_t)a->tokens_in,
                     "completion_tokens", (json_int_t)a->tokens_out, "total_tokens",
                     (json_int_t)a->tokens_in + (json_int_t)a->tokens_out);
}

static json_t *completion_json(const struct completion *a)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:[{s:i, s:{s:s, s:s, s:n}, s:n, s:s}], s:o}", "id",
                     a->id, "object", "chat.completion", "created", (json_int_t)a->created, "model",
                     DEMO_MODEL_NAME, "choices", "index", 0, "message", "role", "assistant",
                     "content", a->content.data, "refusal", "logprobs", "finish_reason",
                     a->finish_reason, "usage", usage_of(a));
}

/* One server-sent event; takes choices. */
static void add_chunk(const struct completion *a, json_t *choices, json_t *usage, struct buf *ret)
{
    AUTO_JSON *chunk =
        json_pack("{s:s, s:s, s:I, s:s, s:o}", "id", a->id, "object", "chat.completion.chunk",
                  "created", (json_int_t)a->created, "model", DEMO_MODEL_NAME, "choices", choices);
    ASSERT(chunk);
    if (usage) json_object_set_new(chunk, "usage", usage);
    buf_add_text(ret, "data: ");
    json_write(ret, chunk);
    buf_add_text(ret, "\n\n");
}

/* Length of the next piece of text: some words, never half a character. */
static size_t piece_length(const char *text)
{
    size_t len = strnlen(text, PIECE_BYTES);
    while (text[len] && (text[len] & 0xC0) == 0x80) len++;
    return len;
}

static void write_stream(const struct completion *a, bool with_usage, struct buf *ret)
{
    add_chunk(a,
              json_pack("[{s:i, s:{s:s, s:s}, s:n}]", "index", 0, "delta", "role", "assistant",
                        "content", "", "finish_reason"),
              NULL, ret);
    for (const char *p = a->content.data; *p;) {
        size_t len = piece_length(p);
        add_chunk(a,
                  json_pack("[{s:i, s:{s:s%}, s:n}]", "index", 0, "delta", "content", p, len,
                            "finish_reason"),
                  NULL, ret);
        p += len;
    }
    add_chunk(
        a, json_pack("[{s:i, s:{}, s:s}]", "index", 0, "delta", "finish_reason", a->finish_reason),
        NULL, ret);
    if (with_usage) add_chunk(a, json_array(), usage_of(a), ret);
    buf_add_text(ret, "data: [DONE]\n\n");
}

/* A stream is sent in pieces that do not care for the borders of events, as networks do. */
struct stream {
    char *data;
    size_t len;
};

static ssize_t read_stream(void *stream_, uint64_t at, char *ret, size_t max)
{
    const struct stream *s = stream_;
    if (at >= s->len) return MHD_CONTENT_READER_END_OF_STREAM;
    size_t left = s->len - (size_t)at, n = MIN(left, max);
    if (n > STREAM_PIECE_BYTES) n = STREAM_PIECE_BYTES;
    memcpy(ret, s->data + at, n);
    return (ssize_t)n;
}

static void free_stream(void *stream_)
{
    struct stream *s = stream_;
    free(s->data);
    free(s);
}

static enum MHD_Result send_stream(struct MHD_Connection *c, struct buf *events)
{
    struct stream *s = xcalloc(1, sizeof *s);
    s->data = buf_take(events, &s->len);
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_stream, s, free_stream);
    ASSERT(r);
    MHD_add_response_header(r, "Content-Type", "text/event-stream");
    enum MHD_Result result = MHD_queue_response(c, 200, r);
    MHD_destroy_response(r);
    return result;
}

/* --- faults --- */

/* Waits for the end of the server, of the connection, or of the time (-1: no limit). Returns
 * whether the time is over. */
static bool wait_here(const struct serve *s, struct MHD_Connection *c, int ms)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd fds[] = { { .fd = s->stop_fd, .events = POLLIN },
                            { .fd = info ? info->connect_fd : -1, .events = POLLRDHUP } };
    return poll(fds, ARRAY_LEN(fds), ms) == 0;
}

static bool takes_failure(struct serve *s)
{
    uint32_t left = __atomic_load_n(&s->failures_left, __ATOMIC_RELAXED);
    while (left && !__atomic_compare_exchange_n(&s->failures_left, &left, left - 1, false,
                                                __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
    return left > 0;
}

/* --- chat --- */

static size_t content_bytes(const json_t *messages)
{
    size_t i, k, bytes = 0;
    json_t *message, *part;
    json_array_foreach((json_t *)messages, i, message) {
        json_t *content = json_object_get(message, "content");
        bytes += json_string_length(content);
        json_array_foreach(content, k, part)
            bytes += json_string_length(json_object_get(part, "text"));
    }
    return bytes;
}

/* Cuts the content to the tokens that were allowed. */
static void limit_tokens(struct completion *a, const json_t *request)
{
    int64_t max = json_int(request, "max_completion_tokens", json_int(request, "max_tokens", 0));
    a->finish_reason = "stop";
    if (max > 0 && max < (int64_t)(a->content.len / 4)) {
        size_t len = (size_t)max * 4;
        while (len && (a->content.data[len] & 0xC0) == 0x80) len--;
        a->content.data[len] = '\0';
        a->content.len = len;
        a->finish_reason = "length";
    }
    a->tokens_out = (int64_t)(a->content.len + 3) / 4;
}

static enum MHD_Result chat(struct serve *s, struct MHD_Connection *c, struct bytes body)
{
    struct err e;
    AUTO_JSON *request = json_parse(body, &e);
    if (!request) return send_error(c, 400, e.text);
    const json_t *messages = json_object_get(request, "messages");
    if (!json_array_size(messages))
        return send_error(c, 400, "'messages' is not a list of messages");
    if (s->options.delay_ms && !wait_here(s, c, (int)s->options.delay_ms)) return MHD_NO;

    struct completion a = { .created = clock_wall_ms() / 1000 };
    uint64_t number = __atomic_add_fetch(&s->answers, 1, __ATOMIC_RELAXED);
    snprintf(a.id, sizeof a.id, "chatcmpl-demo-%llu", (unsigned long long)number);
    a.tokens_in = (int64_t)(content_bytes(messages) + 3) / 4;
    if (s->options.prose)
        buf_add_text(&a.content, "Certainly! I would say that it depends.");
    else
        demo_answer(messages, json_object_get(request, "response_format"), &a.content);
    buf_add_text(&a.content, "");
    limit_tokens(&a, request);

    enum MHD_Result result;
    if (json_is_true(json_object_get(request, "stream"))) {
        AUTO_BUF struct buf events = { 0 };
        const json_t *options = json_object_get(request, "stream_options");
        write_stream(&a, json_is_true(json_object_get(options, "include_usage")), &events);
        result = send_stream(c, &events);
    } else {
        result = send_json(c, 200, completion_json(&a));
    }
    buf_done(&a.content);
    return result;
}

/* --- requests --- */

static enum MHD_Result answer(struct serve *s, struct MHD_Connection *c, const char *url,
                              const char *method, const struct exchange *x)
{
    bool get = strcmp(method, "GET") == 0, post = strcmp(method, "POST") == 0;
    if (get && strcmp(url, "/health") == 0)
        return send_json(c, 200, json_pack("{s:s}", "status", "ok"));
    if (get && strcmp(url, "/v1/models") == 0)
        return send_json(c, 200,
                         json_pack("{s:s, s:[{s:s, s:s, s:s}]}", "object", "list", "data", "id",
                                   "tutti-demo-model", "object", "model", "owned_by", "tutti"));
    if (strcmp(url, "/v1/chat/completions") != 0)
        return send_error(c, 404, "there are /v1/chat/completions, /v1/models and /health");
    if (!post) return send_error(c, 405, "use POST");
    if (x->too_large) return send_error(c, 413, "the request is larger than 8 MiB");
    if (s->options.hang) {
        (void)wait_here(s, c, -1);
        return MHD_NO;
    }
    if (takes_failure(s))
        return send_error(c, s->options.fail_status, "a failure that was asked for");
    if (s->options.garbage) {
        AUTO_BUF struct buf body = { 0 };
        buf_add_text(&body, "%%% this is no JSON {{{");
        return send_text(c, 200, "application/json", &body);
    }
    return chat(s, c, buf_bytes(&x->body));
}

static enum MHD_Result on_request(void *serve, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **exchange)
{
    (void)version;
    struct exchange *x = *exchange;
    if (!x) {
        *exchange = xcalloc(1, sizeof *x);
        return MHD_YES;
    }
    if (!*len) return answer(serve, c, url, method, x);
    x->too_large = x->too_large || x->body.len + *len > BODY_BYTES_MAX;
    if (!x->too_large) buf_add(&x->body, data, *len);
    *len = 0;
    return MHD_YES;
}

static void on_done(void *serve, struct MHD_Connection *c, void **exchange,
                    enum MHD_RequestTerminationCode why)
{
    (void)serve;
    (void)c;
    (void)why;
    struct exchange *x = *exchange;
    if (!x) return;
    buf_done(&x->body);
    free(x);
    *exchange = NULL;
}

/* --- life --- */

struct serve *serve_start(const struct serve_options *options, struct err *e)
{
    struct serve *s = xcalloc(1, sizeof *s);
    s->options = *options;
    s->failures_left = options->fail_count;
    s->stop_fd = eventfd(0, EFD_CLOEXEC);
    ASSERT(s->stop_fd >= 0);
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(options->port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    s->daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                             MHD_USE_POLL | MHD_USE_ITC,
                         options->port, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR,
                         (const struct sockaddr *)&address, MHD_OPTION_NOTIFY_COMPLETED, on_done,
                         NULL, MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK_BYTES,
                         MHD_OPTION_CONNECTION_LIMIT, 1000u, MHD_OPTION_END);
    if (s->daemon) return s;
    err_fail(e, ERR_UNAVAILABLE, "cannot listen on 127.0.0.1:%u: %s", options->port,
             strerror(errno));
    return serve_stop(s);
}

uint16_t serve_port(const struct serve *s)
{
    return MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

struct serve *serve_stop(struct serve *s)
{
    if (!s) return NULL;
    (void)!eventfd_write(s->stop_fd, 1);
    if (s->daemon) MHD_stop_daemon(s->daemon);
    close(s->stop_fd);
    free(s);
    return NULL;
}
