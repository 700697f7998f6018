/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP steps. Parts: the task's value, or "live"; then responses. Of a value: one response,
 * "STATUS", headers, an empty line and the body, for what an answer means. Live: the bytes that a
 * server sends on each connection, for the pool itself with curl and redirects. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/io/http_target.h"
#include "tests/fuzz/fuzz.h"
#include "worker/http_retry.h"
#include "worker/tool_http.h"

#define HEADERS_MAX     16
#define CONNECTIONS_MAX 8
#define BODY_BYTES_MAX  2048

/* --- answers as values --- */

struct answer {
    struct http_response r;
    struct http_header header[HEADERS_MAX];
};

static void answer_done(struct answer *a)
{
    for (size_t i = 0; i < a->r.header_count; i++) {
        free((char *)(uintptr_t)a->header[i].name);
        free((char *)(uintptr_t)a->header[i].value);
    }
}

static void read_answer(struct answer *a, struct bytes text)
{
    struct bytes line;
    AUTO_FREE char *status = fuzz_line(&text, &line) ? fuzz_text(line) : xstrdup("");
    a->r.status = (uint32_t)MIN(strtoul(status, NULL, 10), 999UL);
    a->r.headers = a->header;
    while (a->r.header_count < HEADERS_MAX && fuzz_line(&text, &line) && line.len) {
        const char *colon = memmem(line.data, line.len, ": ", 2);
        if (!colon) continue;
        size_t len = (size_t)(colon - line.data);
        a->header[a->r.header_count++] = (struct http_header){
            .name = fuzz_text((struct bytes){ line.data, len }),
            .value = fuzz_text((struct bytes){ line.data + len + 2, line.len - len - 2 }),
        };
    }
    a->r.body = text;
}

static void check_outcome(const struct http_step *c, const struct outcome *o)
{
    struct err e = { 0 };
    FUZZ_CHECK(o->retry_after_ms >= 0 && o->retry_after_ms <= RETRY_AFTER_MS_MAX, "a wait of %lld",
               (long long)o->retry_after_ms);
    if (!o->ok) {
        AUTO_BUF struct buf value = { 0 };
        FUZZ_CHECK(o->text.len && utf8_check(o->text.data, o->text.len), "%s",
                   o->text.data ? o->text.data : "");
        error_encode(&value, o->error, o->text.data, o->retryable, o->retry_after_ms, o->details);
        FUZZ_CHECK(json_check(buf_bytes(&value)), "an error that is no JSON: %s", value.data);
        return;
    }
    AUTO_JSON *value = json_parse(buf_bytes(&o->text), &e);
    FUZZ_CHECK(value && json_check(buf_bytes(&o->text)), "%s: %s", e.text, o->text.data);
    FUZZ_CHECK(c->bare || json_is_integer(json_object_get(value, "status")), "%s", o->text.data);
}

/* What is sent has the form of a request, whatever the value held. */
static void check_request(const struct http_step *c)
{
    struct err e = { 0 };
    struct http_target t;
    FUZZ_CHECK(c->method && *c->method && c->url && c->host && *c->host, "half a request");
    for (const char *p = c->url; *p; p++)
        FUZZ_CHECK((unsigned char)*p > 0x20 && *p != 0x7F, "a space in the URL %s", c->url);
    for (size_t i = 0; i < c->header_count; i++)
        FUZZ_CHECK(!strpbrk(c->header[i].name, ": \r\n") && !strpbrk(c->header[i].value, "\r\n"),
                   "a header inside of a header: %s", c->header[i].name);
    if (!http_target_parse(c->url, &t, &e)) {
        fuzz_check_error(&e);
        return;
    }
    /* A host that is a plain name is the one that curl goes to; addresses and escapes it rewrites.
     */
    size_t len = strcspn(c->host, ":");
    if (strspn(c->host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") == len)
        FUZZ_CHECK(strlen(t.host) == len && strncasecmp(t.host, c->host, len) == 0,
                   "it goes to %s, its breaker is that of %s", t.host, c->host);
    http_target_done(&t);
}

static void decode(const struct fuzz_input *in)
{
    struct err e = { 0 };
    struct http_step step;
    CLEANUP(answer_done) struct answer a = { .r = { .outcome = HTTP_DONE } };
    AUTO_JSON *value = json_check(in->part[0]) ? json_parse(in->part[0], NULL) : NULL;
    if (!value) return;
    if (!http_step_encode(value, &step, &e)) {
        fuzz_check_error(&e);
        return;
    }
    check_request(&step);
    read_answer(&a, in->part[1]);
    for (int bare = 0; bare < 2; bare++) {
        AUTO_OUTCOME struct outcome o = { 0 };
        step.bare = bare;
        FUZZ_CHECK(http_step_decode(&step, &a.r, &o) <= BREAKER_IGNORE, "no effect");
        check_outcome(&step, &o);
    }
    http_step_done(&step);
}

/* --- a server that says what the input says --- */

struct peer {
    struct loop_watch watch;
    bool answered;
};

struct server {
    struct loop *loop;
    struct http_pool *pool;
    struct loop_watch listener;
    char url[64], allowed[32];
    struct peer peers[CONNECTIONS_MAX];
    const struct fuzz_input *in;
    size_t connections;
    bool done;
};

static void peer_close(struct server *s, struct peer *p)
{
    loop_unwatch(s->loop, &p->watch);
    close(p->watch.fd);
    *p = (struct peer){ .watch = { .fd = -1 } };
}

/* The request is read, the answer is written whatever it was, and that is the end of it. */
static void on_request(struct loop_watch *w, unsigned events)
{
    (void)events;
    char request[4096];
    struct peer *p = CONTAINER_OF(w, struct peer, watch);
    struct server *s = w->user;
    ssize_t n = recv(w->fd, request, sizeof request, MSG_DONTWAIT);
    if (n <= 0) {
        peer_close(s, p);
        return;
    }
    if (p->answered) return;
    p->answered = true;
    struct bytes answer = s->in->part[MIN(s->connections++, s->in->count - 1)];
    if (answer.len) (void)!send(w->fd, answer.data, answer.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(w->fd, SHUT_WR);
}

static void on_connection(struct loop_watch *w, unsigned events)
{
    (void)events;
    struct server *s = w->user;
    int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct peer *p = &s->peers[i];
        if (p->watch.events) continue;
        *p = (struct peer){ .watch = { .on_ready = on_request, .user = s, .fd = fd } };
        loop_watch(s->loop, &p->watch, LOOP_READ);
        return;
    }
    close(fd);
}

static struct server *server_open(void)
{
    static struct server s; /* one for all inputs */
    if (s.loop) return &s;
    struct err e = { 0 };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    FUZZ_CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 64) == 0 &&
                   getsockname(fd, (struct sockaddr *)&address, &len) == 0,
               "no server");
    s.loop = loop_new(&e);
    FUZZ_CHECK(s.loop, "%s", e.text);
    s.pool = http_pool_open(s.loop, 8, &e);
    FUZZ_CHECK(s.pool, "%s", e.text);
    snprintf(s.allowed, sizeof s.allowed, "127.0.0.1:%u", ntohs(address.sin_port));
    snprintf(s.url, sizeof s.url, "http://%s/a/b?c=d", s.allowed);
    s.listener = (struct loop_watch){ .on_ready = on_connection, .user = &s, .fd = fd };
    loop_watch(s.loop, &s.listener, LOOP_READ);
    return &s;
}

static bool is_done(void *user)
{
    return ((struct server *)user)->done;
}

static void on_done(void *user, const struct http_response *r)
{
    struct server *s = user;
    FUZZ_CHECK(!s->done, "two ends of one call");
    FUZZ_CHECK(strnlen(r->text, sizeof r->text) < sizeof r->text, "a text that does not end");
    FUZZ_CHECK(r->body.len <= BODY_BYTES_MAX, "%zu bytes", r->body.len);
    for (size_t i = 0; i < r->header_count; i++) {
        FUZZ_CHECK(!strpbrk(r->headers[i].value, "\r\n"), "a line end in a header");
        for (const char *p = r->headers[i].name; *p; p++)
            FUZZ_CHECK(*p < 'A' || *p > 'Z', "upper case in %s", r->headers[i].name);
    }
    AUTO_OUTCOME struct outcome o = { 0 };
    struct http_step step = { .host = s->allowed };
    (void)http_step_decode(&step, r, &o);
    check_outcome(&step, &o);
    s->done = true;
}

/* Redirects to other servers would leave this machine: such inputs are none. */
static bool stays_here(const struct fuzz_input *in)
{
    for (size_t i = 1; i < in->count; i++) {
        const struct bytes *b = &in->part[i];
        if (b->len && (memmem(b->data, b->len, "//", 2) || memmem(b->data, b->len, ":/", 2) ||
                       memchr(b->data, '\\', b->len)))
            return false;
    }
    return true;
}

static void live(const struct fuzz_input *in)
{
    struct err e = { 0 };
    struct http_id id;
    struct server *s = server_open();
    const char *const allowed[] = { s->allowed, NULL };
    s->in = in;
    s->connections = 1; /* part 0 is the word "live" */
    s->done = false;
    struct http_request request = { .method = "GET",
                                    .url = s->url,
                                    .total_ms = 2000,
                                    .body_bytes_max = BODY_BYTES_MAX,
                                    .redirects_max = 3,
                                    .hosts_allowed = allowed,
                                    .on_done = on_done,
                                    .user = s };
    FUZZ_CHECK(http_start(s->pool, &request, &id, &e), "%s", e.text);
    FUZZ_CHECK(loop_run_until(s->loop, is_done, s, 5000), "a call without an end");
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        if (s->peers[i].watch.events) peer_close(s, &s->peers[i]);
    FUZZ_CHECK(http_open_calls(s->pool) == 0, "a call is left");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_INPUT in = fuzz_split(data, size);
    if (!bytes_is(in.part[0], "live"))
        decode(&in);
    else if (in.count < 2 || !stays_here(&in))
        return -1;
    else
        live(&in);
    return 0;
}
