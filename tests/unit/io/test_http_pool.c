/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP pool against a tiny server in the same process: one thread that accepts on 127.0.0.1,
 * one per connection, and a path for each way to behave. */
#include "common/io/http_pool.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/io/http_target.h"

#define WAIT_MS         20000
#define CONNECTIONS_MAX 400

/* --- the server --- */

struct server {
    int fd, stop[2]; /* stop[0] is readable once the server has to end */
    uint16_t port;
    pthread_t acceptor, handlers[CONNECTIONS_MAX];
    size_t handler_count;
    atomic_size_t requests;
};

struct connection {
    struct server *server;
    int fd;
};

static void say(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n <= 0) return;
        text += n;
        len -= (size_t)n;
    }
}

static void answer(int fd, const char *status, const char *headers, struct bytes body)
{
    AUTO_BUF struct buf b = { 0 };
    buf_addf(&b, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", status, headers, body.len);
    buf_add(&b, body.data, body.len);
    say(fd, b.data, b.len);
}

/* Waits until the server stops or the client goes; false after ms milliseconds of neither. */
static bool over(const struct connection *c, int ms)
{
    struct pollfd fds[] = { { .fd = c->server->stop[0], .events = POLLIN },
                            { .fd = c->fd, .events = POLLRDHUP } };
    return poll(fds, 2, ms) != 0;
}

/* Returns whether the connection stays open. */
static bool behave(const struct connection *c, const char *request, const char *path)
{
    static const char part[] = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nsome";
    if (strncmp(path, "/echo", 5) == 0) {
        answer(c->fd, "200 OK", "X-Reply:  Spaced \r\nX-EMPTY:\r\nX-Bare: a\rb\r\n",
               bytes_of(request));
        return true;
    }
    if (strncmp(path, "/to/", 4) == 0) {
        char location[300];
        snprintf(location, sizeof location, "Location: %s\r\n", path + 4);
        answer(c->fd, "302 Found", location, BYTES_LIT("moved"));
        return true;
    }
    if (strcmp(path, "/loop") == 0) {
        answer(c->fd, "307 Temporary Redirect", "Location: /loop\r\n", BYTES_LIT(""));
        return true;
    }
    if (strcmp(path, "/fault") == 0) {
        answer(c->fd, "503 Service Unavailable", "Retry-After: 7\r\n", BYTES_LIT("later"));
        return true;
    }
    if (strcmp(path, "/big") == 0) {
        AUTO_FREE char *big = xcalloc(1, 3 << 20);
        memset(big, 'b', 3 << 20);
        answer(c->fd, "200 OK", "", (struct bytes){ big, 3 << 20 });
        return true;
    }
    if (strcmp(path, "/hang") == 0) {
        (void)over(c, -1);
    } else if (strcmp(path, "/stall") == 0) {
        say(c->fd, part, sizeof part - 1);
        (void)over(c, -1);
    } else if (strcmp(path, "/drip") == 0) {
        say(c->fd, part, sizeof part - 1);
        while (!over(c, 20)) say(c->fd, ".", 1);
    } else if (strcmp(path, "/cut") == 0) {
        say(c->fd, part, sizeof part - 1);
    } else if (strcmp(path, "/garbage") == 0) {
        say(c->fd, "SSH-2.0-no\r\n\r\n", 14);
    } /* "/vanish" and others: no answer */
    return false;
}

/* One request with its body into b; false at the end of the connection. */
static bool read_request(const struct connection *c, struct buf *b)
{
    size_t whole = SIZE_MAX;
    buf_reset(b);
    while (b->len < whole) {
        struct pollfd fds[] = { { .fd = c->server->stop[0], .events = POLLIN },
                                { .fd = c->fd, .events = POLLIN } };
        if (poll(fds, 2, -1) < 0 || fds[0].revents) return false;
        char piece[4096];
        ssize_t n = recv(c->fd, piece, sizeof piece, 0);
        if (n <= 0) return false;
        buf_add(b, piece, (size_t)n);
        const char *end = strstr(b->data, "\r\n\r\n"),
                   *length = strcasestr(b->data, "content-length: ");
        if (end)
            whole = (size_t)(end + 4 - b->data) +
                    (length && length < end ? strtoul(length + 16, NULL, 10) : 0);
    }
    return true;
}

static void *serve_connection(void *connection)
{
    struct connection *c = connection;
    AUTO_BUF struct buf b = { 0 };
    bool open = true;
    while (open && read_request(c, &b)) {
        char path[256] = "";
        cr_assert_eq(sscanf(b.data, "%*s %255s", path), 1);
        atomic_fetch_add(&c->server->requests, 1);
        open = behave(c, b.data, path);
    }
    close(c->fd);
    free(c);
    return NULL;
}

static void *serve(void *server)
{
    struct server *sv = server;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 * 1024);
    for (;;) {
        struct pollfd fds[] = { { .fd = sv->stop[0], .events = POLLIN },
                                { .fd = sv->fd, .events = POLLIN } };
        if (poll(fds, 2, -1) < 0 || fds[0].revents) break;
        struct connection *c = xcalloc(1, sizeof *c);
        *c = (struct connection){ .server = sv, .fd = accept(sv->fd, NULL, NULL) };
        ASSERT(c->fd >= 0 && sv->handler_count < CONNECTIONS_MAX);
        ASSERT(pthread_create(&sv->handlers[sv->handler_count++], &small, serve_connection, c) ==
               0);
    }
    pthread_attr_destroy(&small);
    return NULL;
}

static int listen_somewhere(uint16_t *ret_port, int backlog)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, backlog) == 0);
    cr_assert(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static void server_start(struct server *sv)
{
    sv->fd = listen_somewhere(&sv->port, 512);
    cr_assert(pipe(sv->stop) == 0);
    cr_assert(pthread_create(&sv->acceptor, NULL, serve, sv) == 0);
}

static void server_stop(struct server *sv)
{
    cr_assert(write(sv->stop[1], "x", 1) == 1);
    pthread_join(sv->acceptor, NULL);
    for (size_t i = 0; i < sv->handler_count; i++) pthread_join(sv->handlers[i], NULL);
    close(sv->fd);
    close(sv->stop[0]);
    close(sv->stop[1]);
}

/* --- DNS --- */

/* Stands before the C library's for everything in this program, libcurl included: a name that ends
 * in .slow is looked up for two seconds, others as ever. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(
            RTLD_NEXT, "getaddrinfo");
    const char *end = node ? strstr(node, ".slow") : NULL;
    if (!end) return real(node, service, hints, ret);
    (void)poll(NULL, 0, 2000);
    return EAI_FAIL;
}

/* --- what a test sees --- */

struct world {
    struct loop *loop;
    struct http_pool *pool;
    struct server server;
    struct http_id id;
    size_t ended, want;
    struct http_response last; /* body and headers copied below */
    struct buf body, streamed;
    char header[100];
    const char *header_name;
    size_t pieces_left; /* on_data returns false after so many */
    bool abort_in_data;
};

static void start_world(struct world *w, uint32_t calls_max)
{
    struct err e;
    server_start(&w->server);
    w->loop = loop_new(&e);
    cr_assert_not_null(w->loop);
    w->pool = http_pool_open(w->loop, calls_max, &e);
    cr_assert_not_null(w->pool);
}

static void end_world(struct world *w)
{
    w->pool = http_pool_close(w->pool);
    w->loop = loop_free(w->loop);
    server_stop(&w->server);
    buf_done(&w->body);
    buf_done(&w->streamed);
}

static void on_done(void *user, const struct http_response *r)
{
    struct world *w = user;
    w->ended++;
    w->last = *r;
    buf_reset(&w->body);
    buf_add(&w->body, r->body.data, r->body.len);
    const char *value = w->header_name ? http_response_header(r, w->header_name) : NULL;
    snprintf(w->header, sizeof w->header, "%s", value ? value : "(none)");
}

static bool on_data(void *user, struct bytes data)
{
    struct world *w = user;
    buf_add(&w->streamed, data.data, data.len);
    if (w->abort_in_data) http_abort(w->pool, w->id);
    return w->pieces_left-- > 0;
}

static bool enough_ended(void *user)
{
    struct world *w = user;
    return w->ended >= w->want;
}

/* A GET of path on the world's server, to be changed at will. */
static struct http_request get(struct world *w, const char *path, char url[400])
{
    snprintf(url, 400, "http://127.0.0.1:%u%s", w->server.port, path);
    return (struct http_request){
        .method = "GET", .url = url, .private_allowed = true, .on_done = on_done, .user = w
    };
}

static void start(struct world *w, const struct http_request *request)
{
    struct err e;
    size_t before = w->ended;
    cr_assert(http_start(w->pool, request, &w->id, &e), "%s", e.text);
    cr_assert_eq(w->ended, before, "never inside http_start");
}

static void finish(struct world *w, size_t want)
{
    w->want = want;
    cr_assert(loop_run_until(w->loop, enough_ended, w, WAIT_MS), "%zu of %zu ended", w->ended,
              want);
}

static enum http_outcome run(struct world *w, const struct http_request *request)
{
    start(w, request);
    finish(w, w->ended + 1);
    return w->last.outcome;
}

#define EXPECT_OUTCOME(got, expected)                                                   \
    do {                                                                                \
        enum http_outcome got_ = (got);                                                 \
        cr_assert_eq(got_, (expected), "%s: %s", http_outcome_name(got_), w.last.text); \
    } while (0)

/* --- what works --- */

Test(http_pool, a_get_brings_status_headers_and_body)
{
    struct world w = { .header_name = "x-reply" };
    char url[400];
    start_world(&w, 10);
    struct http_request r = get(&w, "/echo?a=b", url);
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    cr_assert_eq(w.last.status, 200);
    cr_assert(strncmp(w.body.data, "GET /echo?a=b HTTP/1.1\r\n", 24) == 0, "%s", w.body.data);
    cr_assert_null(strcasestr(w.body.data, "content-type"));
    cr_assert_str_eq(w.header, "Spaced");
    cr_assert(w.last.sent);
    cr_assert_eq(http_open_calls(w.pool), 0);
    w.header_name = "x-empty";
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    cr_assert_str_eq(w.header, "");
    w.header_name = "x-bare";
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    cr_assert_str_eq(w.header, "a b", "a bare CR is no part of a value");
    w.header_name = "x-absent";
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    cr_assert_str_eq(w.header, "(none)");
    cr_assert_eq(w.server.handler_count, 1, "the connection is used again");
    end_world(&w);
}

Test(http_pool, a_post_carries_headers_and_body)
{
    struct world w = { 0 };
    char url[400];
    start_world(&w, 10);
    struct http_request r = get(&w, "/echo", url);
    struct http_header headers[] = { { "Content-Type", "application/json" },
                                     { "X-Trace", "abc" },
                                     { "X-Empty", "" } };
    r.method = "POST";
    r.headers = headers;
    r.header_count = 3;
    r.body = BYTES_LIT("{\"a\":1}");
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    cr_assert(strncmp(w.body.data, "POST /echo", 10) == 0);
    cr_assert_not_null(strstr(w.body.data, "\r\nContent-Type: application/json\r\n"));
    cr_assert_not_null(strstr(w.body.data, "\r\nX-Trace: abc\r\n"));
    cr_assert_not_null(strstr(w.body.data, "\r\nX-Empty:\r\n"));
    cr_assert_null(strcasestr(w.body.data, "expect"));
    cr_assert_not_null(strstr(w.body.data, "\r\n\r\n{\"a\":1}"));
    end_world(&w);
}

Test(http_pool, other_methods_and_refusals_of_the_server_are_whole_responses)
{
    struct world w = { .header_name = "retry-after" };
    char url[400];
    start_world(&w, 10);
    static const char *const methods[] = { "PUT", "PATCH", "DELETE", "OPTIONS" };
    struct http_request r = get(&w, "/echo", url);
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        r.method = methods[i];
        EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
        cr_assert(strncmp(w.body.data, methods[i], strlen(methods[i])) == 0, "%s", w.body.data);
    }
    r = get(&w, "/fault", url);
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    cr_assert_eq(w.last.status, 503);
    cr_assert_str_eq(w.header, "7");
    cr_assert_str_eq(w.body.data, "later");
    end_world(&w);
}

Test(http_pool, a_streamed_body_comes_in_pieces_and_is_not_collected)
{
    struct world w = { .pieces_left = SIZE_MAX };
    char url[400];
    start_world(&w, 10);
    struct http_request r = get(&w, "/big", url);
    r.on_data = on_data;
    r.body_bytes_max = 4 << 20;
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    cr_assert_eq(w.streamed.len, 3 << 20);
    cr_assert_eq(w.last.body.len, 0);
    end_world(&w);
}

Test(http_pool, three_hundred_calls_run_at_once)
{
    struct world w = { 0 };
    char url[400];
    start_world(&w, 300);
    struct http_request r = get(&w, "/echo", url);
    for (int i = 0; i < 300; i++) start(&w, &r);
    cr_assert_eq(http_open_calls(w.pool), 300);
    struct http_id id;
    struct err e;
    cr_assert_not(http_start(w.pool, &r, &id, &e));
    cr_assert_eq(e.kind, ERR_LIMIT);
    finish(&w, 300);
    EXPECT_OUTCOME(w.last.outcome, HTTP_DONE);
    cr_assert_eq(atomic_load(&w.server.requests), 300);
    end_world(&w);
}

/* --- deadlines --- */

Test(http_pool, a_server_that_says_nothing_runs_into_the_first_byte_timeout)
{
    struct world w = { 0 };
    char url[400];
    start_world(&w, 10);
    struct http_request r = get(&w, "/hang", url);
    r.first_byte_ms = 100;
    EXPECT_OUTCOME(run(&w, &r), HTTP_FIRST_BYTE_TIMEOUT);
    cr_assert(w.last.sent && w.last.elapsed_ms >= 100);
    cr_assert_eq(w.last.status, 0);
    end_world(&w);
}

Test(http_pool, a_server_that_falls_silent_runs_into_the_idle_timeout)
{
    struct world w = { 0 };
    char url[400];
    start_world(&w, 10);
    struct http_request r = get(&w, "/stall", url);
    r.first_byte_ms = 10000;
    r.idle_ms = 100;
    EXPECT_OUTCOME(run(&w, &r), HTTP_IDLE_TIMEOUT);
    cr_assert_eq(w.last.status, 200);
    end_world(&w);
}

Test(http_pool, a_server_that_never_ends_runs_into_the_total_timeout)
{
    struct world w = { 0 };
    char url[400];
    start_world(&w, 10);
    struct http_request r = get(&w, "/drip", url);
    r.idle_ms = 5000;
    r.total_ms = 300;
    EXPECT_OUTCOME(run(&w, &r), HTTP_TOTAL_TIMEOUT);
    cr_assert_gt(w.body.len, 6, "pieces came until then");
    end_world(&w);
}

Test(http_pool, a_host_that_does_not_accept_runs_into_the_connect_timeout)
{
    struct world w = { 0 };
    char url[400];
    uint16_t port;
    int fillers[4], listener = listen_somewhere(&port, 0);
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    for (size_t i = 0; i < ARRAY_LEN(fillers); i++) { /* the queue of connections is full then */
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&a, sizeof a);
    }
    start_world(&w, 10);
    struct http_request r = get(&w, "/", url);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
    r.connect_ms = 100;
    EXPECT_OUTCOME(run(&w, &r), HTTP_CONNECT_TIMEOUT);
    cr_assert_not(w.last.sent);
    for (size_t i = 0; i < ARRAY_LEN(fillers); i++) close(fillers[i]);
    close(listener);
    end_world(&w);
}

Test(http_pool, a_slow_lookup_holds_up_neither_its_own_timeout_nor_other_calls)
{
    struct world w = { 0 };
    char url[400];
    start_world(&w, 10);
    struct http_request r = get(&w, "/echo", url), slow = r;
    slow.url = "http://very.slow/";
    slow.connect_ms = 100;
    start(&w, &slow);
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    finish(&w, 2);
    EXPECT_OUTCOME(w.last.outcome, HTTP_CONNECT_TIMEOUT);
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    cr_assert_lt(w.last.elapsed_ms, 1500);
    start(&w, &slow);
    uint64_t before = clock_mono_ms();
    while (loop_now_ms(w.loop) < before + 20) loop_turn(w.loop, 10);
    http_abort(w.pool, w.id);
    finish(&w, 4);
    EXPECT_OUTCOME(w.last.outcome, HTTP_ABORTED);
    cr_assert_lt(clock_mono_ms() - before, 1500);
    end_world(&w);
}

/* --- failures --- */

Test(http_pool, a_closed_port_and_an_unknown_name_never_saw_the_request)
{
    struct world w = { 0 };
    char url[400];
    uint16_t port;
    close(listen_somewhere(&port, 1));
    start_world(&w, 10);
    struct http_request r = get(&w, "/", url);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
    EXPECT_OUTCOME(run(&w, &r), HTTP_CONNECT);
    cr_assert_not(w.last.sent);
    r.url = "http://no-such-host.invalid/";
    EXPECT_OUTCOME(run(&w, &r), HTTP_CONNECT);
    cr_assert_not(w.last.sent);
    end_world(&w);
}

Test(http_pool, a_connection_that_breaks_after_the_request_is_broken)
{
    struct world w = { 0 };
    char url[400];
    start_world(&w, 10);
    struct http_request r = get(&w, "/cut", url);
    EXPECT_OUTCOME(run(&w, &r), HTTP_BROKEN);
    cr_assert(w.last.sent);
    cr_assert_eq(w.last.status, 200);
    r = get(&w, "/vanish", url);
    EXPECT_OUTCOME(run(&w, &r), HTTP_BROKEN);
    r = get(&w, "/garbage", url);
    EXPECT_OUTCOME(run(&w, &r), HTTP_BROKEN);
    end_world(&w);
}

Test(http_pool, a_post_is_not_repeated_when_a_kept_connection_dies)
{
    struct world w = { 0 };
    char url[400];
    start_world(&w, 10);
    struct http_request r = get(&w, "/echo", url);
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    r = get(&w, "/vanish", url);
    r.method = "POST";
    r.body = BYTES_LIT("pay once");
    EXPECT_OUTCOME(run(&w, &r), HTTP_BROKEN);
    cr_assert(w.last.sent);
    cr_assert_eq(atomic_load(&w.server.requests), 2);
    end_world(&w);
}

Test(http_pool, a_body_beyond_its_limit_is_too_large)
{
    struct world w = { .pieces_left = SIZE_MAX };
    char url[400];
    start_world(&w, 10);
    struct http_request r = get(&w, "/big", url); /* 3 MiB, and the limit is 1 MiB by itself */
    EXPECT_OUTCOME(run(&w, &r), HTTP_TOO_LARGE);
    cr_assert_leq(w.body.len, 1 << 20);
    r.body_bytes_max = 1000;
    r.on_data = on_data;
    EXPECT_OUTCOME(run(&w, &r), HTTP_TOO_LARGE);
    end_world(&w);
}

/* --- aborting --- */

Test(http_pool, an_aborted_call_ends_once_in_a_later_turn)
{
    struct world w = { 0 };
    char url[400];
    start_world(&w, 10);
    struct http_request r = get(&w, "/hang", url);
    start(&w, &r);
    http_abort(w.pool, w.id); /* before it was begun */
    cr_assert_eq(w.ended, 0);
    finish(&w, 1);
    EXPECT_OUTCOME(w.last.outcome, HTTP_ABORTED);
    cr_assert_not(w.last.sent);
    http_abort(w.pool, w.id); /* nobody of that name any more */
    http_abort(w.pool, (struct http_id){ 0 });
    http_abort(w.pool, (struct http_id){ .slot = 99, .generation = 1 });
    start(&w, &r);
    struct http_id second = w.id;
    http_abort(w.pool, (struct http_id){ second.slot, second.generation - 1 });
    while (atomic_load(&w.server.requests) == 0) loop_turn(w.loop, 10);
    cr_assert_eq(w.ended, 1, "the name of an earlier call in the slot aborts nobody");
    http_abort(w.pool, second);
    http_abort(w.pool, second);
    finish(&w, 2);
    EXPECT_OUTCOME(w.last.outcome, HTTP_ABORTED);
    cr_assert(w.last.sent);
    cr_assert_eq(http_open_calls(w.pool), 0);
    end_world(&w);
}

Test(http_pool, the_reader_of_a_stream_can_end_it)
{
    struct world w = { .pieces_left = 1 };
    char url[400];
    start_world(&w, 10);
    struct http_request r = get(&w, "/drip", url);
    r.on_data = on_data;
    EXPECT_OUTCOME(run(&w, &r), HTTP_ABORTED);
    w.pieces_left = SIZE_MAX;
    w.abort_in_data = true;
    EXPECT_OUTCOME(run(&w, &r), HTTP_ABORTED);
    cr_assert_eq(w.ended, 2);
    end_world(&w);
}

Test(http_pool, closing_the_pool_ends_calls_without_a_word)
{
    struct world w = { 0 };
    char url[400];
    start_world(&w, 10);
    struct http_request r = get(&w, "/hang", url);
    for (int i = 0; i < 3; i++) start(&w, &r);
    while (atomic_load(&w.server.requests) < 2) loop_turn(w.loop, 10);
    start(&w, &r);
    end_world(&w);
    cr_assert_eq(w.ended, 0);
}

/* --- where a request may go --- */

Test(http_pool, loopback_is_refused_unless_allowed)
{
    struct world w = { 0 };
    char url[400], host_port[40];
    start_world(&w, 10);
    struct http_request r = get(&w, "/echo", url);
    r.private_allowed = false;
    EXPECT_OUTCOME(run(&w, &r), HTTP_REFUSED_ADDRESS);
    cr_assert_not_null(strstr(w.last.text, "127.0.0.1"), "%s", w.last.text);
    cr_assert_not(w.last.sent);
    r.hosts_allowed = (const char *const[]){ "elsewhere", "127.0.0.1:1", NULL };
    EXPECT_OUTCOME(run(&w, &r), HTTP_REFUSED_ADDRESS);
    r.hosts_allowed = (const char *const[]){ "elsewhere", "127.0.0.1", NULL };
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    snprintf(host_port, sizeof host_port, "127.0.0.1:%u", w.server.port);
    r.hosts_allowed = (const char *const[]){ host_port, NULL };
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    end_world(&w);
}

Test(http_pool, a_name_that_leads_to_loopback_is_refused)
{
    struct world w = { 0 };
    char url[400];
    start_world(&w, 10);
    struct http_request r = get(&w, "/echo", url);
    snprintf(url, sizeof url, "http://LocalHost:%u/echo", w.server.port);
    r.private_allowed = false;
    EXPECT_OUTCOME(run(&w, &r), HTTP_REFUSED_ADDRESS);
    r.hosts_allowed = (const char *const[]){ "localhost", NULL };
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    end_world(&w);
}

Test(http_pool, a_connection_that_another_call_was_allowed_cannot_be_borrowed)
{
    struct world w = { 0 };
    char url[400];
    start_world(&w, 10);
    struct http_request r = get(&w, "/echo", url);
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    r.private_allowed = false;
    EXPECT_OUTCOME(run(&w, &r), HTTP_REFUSED_ADDRESS);
    cr_assert_eq(atomic_load(&w.server.requests), 1);
    end_world(&w);
}

Test(http_pool, other_schemes_and_malformed_requests_are_refused_at_once)
{
    struct world w = { 0 };
    char url[400];
    start_world(&w, 10);
    struct err e;
    struct http_id id;
    static const char *const urls[] = {
        "ftp://example.com/", "file:///etc/passwd", "/echo", "example.com", "http://", "",
        "gopher://a/",        "http://a b/"
    };
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct http_request r = { .method = "GET", .url = urls[i], .on_done = on_done, .user = &w };
        cr_assert_not(http_start(w.pool, &r, &id, &e), "%s", urls[i]);
        cr_assert_eq(e.kind, ERR_INVALID);
    }
    struct http_request r = get(&w, "/echo", url);
    r.method = "GET / HTTP/1.1\r\nX: y";
    cr_assert_not(http_start(w.pool, &r, &id, &e));
    r.method = "GET";
    static const struct http_header bad[] = { { "X", "a\r\nEvil: yes" },
                                              { "X: y\r\nEvil", "yes" },
                                              { "Content-Length", "3" },
                                              { "transfer-encoding", "chunked" } };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        r.headers = &bad[i];
        r.header_count = 1;
        cr_assert_not(http_start(w.pool, &r, &id, &e));
        cr_assert_eq(e.kind, ERR_INVALID);
    }
    cr_assert_eq(http_open_calls(w.pool), 0);
    end_world(&w);
}

Test(http_pool, addresses_are_public_or_not)
{
    static const char *const closed[] = {
        "127.0.0.1",
        "127.255.0.9",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.127.255.255",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "::127.0.0.1",
        "2002:7f00:1::",
        "64:ff9b:1::1",
        "2001:0:1::1",
        "2001:db8::1",
        "fec0::1",
        "not an address",
        "",
    };
    static const char *const open[] = {
        "1.1.1.1",        "8.8.8.8",          "172.15.0.1",      "172.32.0.1", "100.63.0.1",
        "100.128.0.1",    "223.255.255.255",  "169.253.0.1",     "11.0.0.1",   "2606:4700::1111",
        "::ffff:8.8.8.8", "64:ff9b::808:808", "2a00:1450::200e",
    };
    for (size_t i = 0; i < ARRAY_LEN(closed); i++)
        cr_assert_not(http_address_text_public(closed[i]), "%s", closed[i]);
    for (size_t i = 0; i < ARRAY_LEN(open); i++)
        cr_assert(http_address_text_public(open[i]), "%s", open[i]);
}

/* --- redirects --- */

static struct http_request redirect(struct world *w, const char *to, char url[400])
{
    char path[300];
    snprintf(path, sizeof path, "/to/%s", to);
    struct http_request r = get(w, path, url);
    r.redirects_max = 3;
    return r;
}

Test(http_pool, redirects_are_followed_only_on_request)
{
    struct world w = { .header_name = "location", .pieces_left = SIZE_MAX };
    char url[400];
    start_world(&w, 10);
    struct http_request r = redirect(&w, "/echo", url);
    r.redirects_max = 0;
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    cr_assert_eq(w.last.status, 302);
    cr_assert_str_eq(w.header, "/echo");
    cr_assert_str_eq(w.body.data, "moved");
    r.redirects_max = 1;
    r.on_data = on_data;
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    cr_assert_eq(w.last.status, 200);
    cr_assert_str_eq(w.header, "(none)", "headers are the last response's");
    cr_assert(strncmp(w.streamed.data, "GET /echo ", 10) == 0, "%s", w.streamed.data);
    end_world(&w);
}

Test(http_pool, a_redirected_post_becomes_a_get_without_body)
{
    struct world w = { 0 };
    char url[400];
    start_world(&w, 10);
    struct http_request r = redirect(&w, "/echo", url);
    struct http_header headers[] = { { "Content-Type", "text/plain" }, { "Authorization", "x" } };
    r.method = "POST";
    r.body = BYTES_LIT("body");
    r.headers = headers;
    r.header_count = 2;
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    cr_assert(strncmp(w.body.data, "GET /echo ", 10) == 0, "%s", w.body.data);
    cr_assert_null(strcasestr(w.body.data, "content-"));
    cr_assert_not_null(strstr(w.body.data, "Authorization: x"), "the origin is the same");
    end_world(&w);
}

Test(http_pool, credentials_stay_with_their_origin)
{
    struct world w = { 0 };
    struct server other = { 0 };
    char url[400], to[100];
    start_world(&w, 10);
    server_start(&other);
    snprintf(to, sizeof to, "http://127.0.0.1:%u/echo", other.port);
    struct http_request r = redirect(&w, to, url);
    struct http_header headers[] = { { "Authorization", "secret" },
                                     { "X-Api-Key", "secret" },
                                     { "Accept", "text/plain" } };
    r.headers = headers;
    r.header_count = 3;
    EXPECT_OUTCOME(run(&w, &r), HTTP_DONE);
    cr_assert_eq(atomic_load(&other.requests), 1);
    cr_assert_null(strstr(w.body.data, "secret"), "%s", w.body.data);
    cr_assert_not_null(strstr(w.body.data, "Accept: text/plain"));
    end_world(&w);
    server_stop(&other);
}

Test(http_pool, an_exemption_does_not_travel_with_a_redirect)
{
    struct world w = { 0 };
    struct server other = { 0 };
    char url[400], to[100], host_port[40];
    start_world(&w, 10);
    server_start(&other);
    snprintf(to, sizeof to, "http://127.0.0.1:%u/echo", other.port);
    snprintf(host_port, sizeof host_port, "127.0.0.1:%u", w.server.port);
    struct http_request r = redirect(&w, to, url);
    r.private_allowed = false;
    r.hosts_allowed = (const char *const[]){ host_port, NULL };
    EXPECT_OUTCOME(run(&w, &r), HTTP_BAD_REDIRECT);
    cr_assert_eq(atomic_load(&other.requests), 0);
    cr_assert_not_null(strstr(w.last.text, "not allowed"), "%s", w.last.text);
    end_world(&w);
    server_stop(&other);
}

Test(http_pool, endless_redirects_and_forbidden_schemes_are_bad_redirects)
{
    struct world w = { 0 };
    char url[400];
    start_world(&w, 10);
    struct http_request r = get(&w, "/loop", url);
    r.redirects_max = 3;
    EXPECT_OUTCOME(run(&w, &r), HTTP_BAD_REDIRECT);
    cr_assert_eq(atomic_load(&w.server.requests), 4);
    cr_assert_not_null(strstr(w.last.text, "more than 3"), "%s", w.last.text);
    r = redirect(&w, "ftp://127.0.0.1/file", url);
    EXPECT_OUTCOME(run(&w, &r), HTTP_BAD_REDIRECT);
    r = redirect(&w, "file:///etc/passwd", url);
    EXPECT_OUTCOME(run(&w, &r), HTTP_BAD_REDIRECT);
    end_world(&w);
}
