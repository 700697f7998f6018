/* SPDX-License-Identifier: Apache-2.0
 *
 * tutti-demo-model over a socket: the wire of OpenAI, and the faults that tests ask it for. */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/demo_model/extract.h"
#include "cli/demo_model/serve.h"

DEFINE_CLEANUP(struct serve *, serve_stop)
#define AUTO_SERVE CLEANUP(serve_stop_p) struct serve

static struct serve *start(const struct serve_options *options)
{
    struct err e;
    struct serve *s = serve_start(options, &e);
    cr_assert_not_null(s, "%s", e.text);
    return s;
}

/* A connection over which the request has gone. */
static int send_request(const struct serve *s, const char *method, const char *path,
                        const char *body)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(serve_port(s)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    AUTO_FREE char *text = xasprintf("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                     "Content-Length: %zu\r\n\r\n%s",
                                     method, path, strlen(body), body);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

/* Everything that comes back, headers included. */
static char *request(const struct serve *s, const char *method, const char *path, const char *body)
{
    int fd = send_request(s, method, path, body);
    struct buf answer = { 0 };
    char piece[4096];
    for (ssize_t n; (n = read(fd, piece, sizeof piece)) > 0;) buf_add(&answer, piece, (size_t)n);
    close(fd);
    buf_add_text(&answer, "");
    return buf_take(&answer, NULL);
}

static const char *const chat =
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Summarise in 30 words:\\n\\n"
    "Sales rose by 4% to $9 million. A strike delayed two ships.\"}]}";

static char *post(const struct serve *s, const char *body)
{
    return request(s, "POST", "/v1/chat/completions", body);
}

static void has(const char *text, const char *part)
{
    cr_assert(strstr(text, part), "'%s' is not in: %s", part, text);
}

Test(demo_serve, an_answer_is_a_completion_that_says_what_made_it)
{
    AUTO_SERVE *s = start(&(struct serve_options){ .delay_ms = 1 });
    AUTO_FREE char *answer = post(s, chat);
    has(answer, "HTTP/1.1 200");
    const char *body = strstr(answer, "\r\n\r\n") + 4;
    struct err e;
    AUTO_JSON *v = json_parse(bytes_of(body), &e);
    cr_assert_not_null(v, "%s in %s", e.text, body);
    cr_assert_str_eq(json_text(v, "model"), DEMO_MODEL_NAME);
    const json_t *choice = json_array_get(json_object_get(v, "choices"), 0);
    has(json_text(json_object_get(choice, "message"), "content"),
        "Sales rose by 4% to $9 million.");
    cr_assert_str_eq(json_text(choice, "finish_reason"), "stop");
    const json_t *usage = json_object_get(v, "usage");
    cr_assert_gt(json_int(usage, "prompt_tokens", 0), 20);
    cr_assert_eq(json_int(usage, "total_tokens", 0),
                 json_int(usage, "prompt_tokens", 0) + json_int(usage, "completion_tokens", 0));
}

Test(demo_serve, a_stream_is_the_same_answer_in_pieces)
{
    AUTO_SERVE *s = start(&(struct serve_options){ 0 });
    AUTO_FREE char *body =
        xasprintf("{\"stream\":true,\"stream_options\":{\"include_usage\":true},%s", chat + 1);
    AUTO_FREE char *answer = post(s, body);
    has(answer, "text/event-stream");
    has(answer, "\"usage\":");
    has(answer, "data: [DONE]");
    size_t pieces = 0;
    for (const char *p = answer; (p = strstr(p, "chat.completion.chunk")); p++) pieces++;
    cr_assert_gt(pieces, 4);
}

Test(demo_serve, an_answer_beyond_max_tokens_is_cut_and_says_so)
{
    AUTO_SERVE *s = start(&(struct serve_options){ 0 });
    AUTO_FREE char *body = xasprintf("{\"max_tokens\":5,%s", chat + 1);
    AUTO_FREE char *answer = post(s, body);
    has(answer, "\"finish_reason\":\"length\"");
    has(answer, "\"completion_tokens\":5");
}

Test(demo_serve, faults_come_as_they_were_asked_for)
{
    AUTO_SERVE *s = start(&(struct serve_options){ .fail_status = 429, .fail_count = 2 });
    AUTO_FREE char *first = post(s, chat);
    has(first, "HTTP/1.1 429");
    has(first, "rate_limit_exceeded");
    AUTO_FREE char *second = post(s, chat);
    has(second, "HTTP/1.1 429");
    AUTO_FREE char *third = post(s, chat);
    has(third, "HTTP/1.1 200");
    AUTO_SERVE *garbage = start(&(struct serve_options){ .garbage = true });
    AUTO_FREE char *answer = post(garbage, chat);
    has(answer, "this is no JSON");
    AUTO_SERVE *prose = start(&(struct serve_options){ .prose = true });
    AUTO_FREE char *words = post(prose, chat);
    has(words, "it depends");
}

Test(demo_serve, a_hanging_server_says_nothing_and_still_ends)
{
    struct serve *s = start(&(struct serve_options){ .hang = true });
    int fd = send_request(s, "POST", "/v1/chat/completions", chat);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    cr_assert_eq(poll(&p, 1, 100), 0, "it answered");
    serve_stop(s);
    char c;
    cr_assert_leq(read(fd, &c, 1), 0);
    close(fd);
}

Test(demo_serve, wrong_requests_are_told_what_is_right)
{
    AUTO_SERVE *s = start(&(struct serve_options){ 0 });
    AUTO_FREE char *broken = post(s, "{");
    has(broken, "HTTP/1.1 400");
    AUTO_FREE char *empty = post(s, "{}");
    has(empty, "'messages' is not a list of messages");
    AUTO_FREE char *elsewhere = request(s, "GET", "/v1/nothing", "");
    has(elsewhere, "HTTP/1.1 404");
    AUTO_FREE char *got = request(s, "GET", "/v1/chat/completions", "");
    has(got, "HTTP/1.1 405");
    AUTO_FREE char *models = request(s, "GET", "/v1/models", "");
    has(models, "tutti-demo-model");
    AUTO_FREE char *health = request(s, "GET", "/health", "");
    has(health, "\"ok\"");
}

Test(demo_serve, a_port_that_is_taken_is_an_error)
{
    AUTO_SERVE *s = start(&(struct serve_options){ 0 });
    struct err e;
    struct serve *second = serve_start(&(struct serve_options){ .port = serve_port(s) }, &e);
    cr_assert_null(second);
    has(e.text, "cannot listen on 127.0.0.1");
}
