/* SPDX-License-Identifier: Apache-2.0
 *
 * The store against a real redis-server, private to each test, on a unix socket, and on a free port
 * where TCP is meant. */
#include "common/io/store.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/redis/server.h"

#define WAIT_MS 20000

struct server {
    struct redis_server redis;
    char port_text[8];
    const char *password;
    uint16_t port;
};

static uint16_t free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(bind(fd, (struct sockaddr *)&a, len) == 0);
    cr_assert(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    close(fd);
    return ntohs(a.sin_port);
}

static void server_start(struct server *sv)
{
    if (!sv->port) {
        sv->port = free_port();
        snprintf(sv->port_text, sizeof sv->port_text, "%u", sv->port);
    }
    cr_assert(redis_server_start(&sv->redis,
                                 (const char *[]){ "--port", sv->port_text, "--bind", "127.0.0.1",
                                                   "--enable-debug-command", "yes", "--requirepass",
                                                   sv->password ? sv->password : "", NULL }));
}

/* What a test sees: a loop, a store and what its callbacks said. */
struct world {
    struct loop *loop;
    struct store *store;
    struct log log;
    struct server server;
    size_t connects, disconnects, ok, refused, lost;
    char run_id[41];
    size_t want; /* replies to wait for */
    int64_t last;
    bool out_of_order;
    char text[200];
    struct buf seen;
};

static void on_connect(void *user, const char *run_id)
{
    struct world *w = user;
    w->connects++;
    snprintf(w->run_id, sizeof w->run_id, "%s", run_id);
}

static void on_disconnect(void *user)
{
    ((struct world *)user)->disconnects++;
}

static void open_with(struct world *w, struct store_options o)
{
    struct err e;
    w->log = log_new("test", LOG_ERROR + 1, 2);
    w->loop = loop_new(&e);
    cr_assert_not_null(w->loop);
    o.log = &w->log;
    o.on_connect = on_connect;
    o.on_disconnect = on_disconnect;
    o.user = w;
    w->store = store_open(w->loop, &o, &e);
    cr_assert_not_null(w->store, "%s", e.text);
}

static void open_unix(struct world *w)
{
    server_start(&w->server);
    open_with(
        w, (struct store_options){ .host = w->server.redis.socket, .command_timeout_ms = 10000 });
}

static void world_done(struct world *w)
{
    w->store = store_close(w->store);
    w->loop = loop_free(w->loop);
    redis_server_done(&w->server.redis);
    buf_done(&w->seen);
}

static void note(void *user, enum store_status status, const struct store_reply *r)
{
    struct world *w = user;
    w->ok += status == STORE_OK;
    w->refused += status == STORE_ERROR;
    w->lost += status == STORE_LOST;
    cr_assert_eq(status == STORE_LOST, r == NULL);
    struct bytes s = store_string(r);
    snprintf(w->text, sizeof w->text, "%.*s", (int)s.len, s.data ? s.data : "");
    buf_reset(&w->seen);
    buf_add(&w->seen, s.data, s.len);
    w->last = r ? store_integer(r) : -1;
}

static bool all_came(void *user)
{
    struct world *w = user;
    return w->ok + w->refused + w->lost >= w->want;
}

static void await(struct world *w, size_t want)
{
    w->want = want;
    cr_assert(loop_run_until(w->loop, all_came, w, WAIT_MS), "%zu of %zu replies came",
              w->ok + w->refused + w->lost, want);
}

static bool connected(void *user)
{
    return store_connected(((struct world *)user)->store);
}

static bool disconnected(void *user)
{
    return !store_connected(((struct world *)user)->store);
}

#define UNTIL(w, cond) cr_assert(loop_run_until((w)->loop, cond, (w), WAIT_MS), #cond)

/* Words of a command, given as C strings. */
#define COMMAND(w, ...) command_of(w, (const char *[]){ __VA_ARGS__, NULL }, note)

static void command_of(struct world *w, const char *const *words, store_fn done)
{
    struct bytes argv[16];
    size_t argc = 0;
    for (; words[argc]; argc++) argv[argc] = bytes_of(words[argc]);
    store_command(w->store, argv, argc, done, w);
}

Test(store, commands_make_a_round_trip_over_a_unix_socket)
{
    struct world w = { 0 };
    open_unix(&w);
    COMMAND(&w, "SET", "greeting", "hello");
    COMMAND(&w, "GET", "greeting");
    cr_assert_eq(w.ok, 0, "no callback inside the call");
    cr_assert_eq(store_pending(w.store), 2);
    await(&w, 2);
    cr_assert_str_eq(w.text, "hello");
    cr_assert_eq(w.ok, 2);
    cr_assert_eq(store_pending(w.store), 0);
    cr_assert_eq(w.connects, 1);
    cr_assert_eq(strlen(w.run_id), 40);
    cr_assert_str_eq(store_run_id(w.store), w.run_id);
    struct err e;
    cr_assert_not(store_error(w.store, &e));
    world_done(&w);
}

Test(store, commands_make_a_round_trip_over_tcp_and_by_name)
{
    struct world w = { 0 };
    server_start(&w.server);
    open_with(&w, (struct store_options){ .host = "localhost", .port = w.server.port, .db = 3 });
    COMMAND(&w, "PING");
    await(&w, 1);
    cr_assert_str_eq(w.text, "PONG");
    COMMAND(&w, "CLIENT", "INFO");
    await(&w, 2);
    cr_assert_not_null(strstr(w.seen.data, " db=3 "), "%s", w.seen.data);
    world_done(&w);
}

static void check_types(void *user, enum store_status status, const struct store_reply *r)
{
    struct world *w = user;
    cr_assert_eq(status, STORE_OK);
    cr_assert_eq(store_type(r), STORE_ARRAY);
    cr_assert_eq(store_count(r), 4);
    cr_assert_null(store_at(r, store_count(r)), "what is not there is nil");
    cr_assert_null(store_at(NULL, 0));
    cr_assert_eq(store_type(store_at(r, 0)), STORE_INTEGER);
    cr_assert_eq(store_integer(store_at(r, 0)), 7);
    cr_assert_eq(store_type(store_at(r, 1)), STORE_STRING);
    cr_assert(bytes_is(store_string(store_at(r, 1)), "-42"));
    cr_assert_eq(store_integer(store_at(r, 1)), -42);
    cr_assert_eq(store_type(store_at(r, 2)), STORE_NIL);
    cr_assert_eq(store_count(store_at(r, 3)), 2);
    cr_assert(bytes_is(store_string(store_at(store_at(r, 3), 1)), "in"));
    cr_assert_eq(store_string(store_at(r, 0)).len, 0);
    cr_assert_eq(store_integer(store_at(store_at(r, 3), 1)), 0);
    cr_assert_eq(store_count(store_at(r, 0)), 0);
    w->ok++;
}

Test(store, replies_show_their_types)
{
    struct world w = { 0 };
    open_unix(&w);
    command_of(&w, (const char *[]){ "EVAL", "return {7,'-42',false,{1,'in'}}", "0", NULL },
               check_types);
    await(&w, 1);
    COMMAND(&w, "GET", "absent");
    await(&w, 2);
    COMMAND(&w, "INCR", "n");
    await(&w, 3);
    cr_assert_eq(w.last, 1);
    COMMAND(&w, "SET", "min", "-9223372036854775808");
    COMMAND(&w, "GET", "min");
    await(&w, 5);
    cr_assert_eq(w.last, INT64_MIN);
    COMMAND(&w, "SET", "far", "9223372036854775808");
    COMMAND(&w, "GET", "far");
    await(&w, 7);
    cr_assert_eq(w.last, 0, "beyond 64 bits is no integer");
    cr_assert_eq(w.refused, 0);
    COMMAND(&w, "HGET", "n", "field");
    await(&w, 8);
    cr_assert_eq(w.refused, 1);
    cr_assert(strncmp(w.text, "WRONGTYPE", 9) == 0, "%s", w.text);
    world_done(&w);
}

Test(store, arguments_are_binary_safe)
{
    struct world w = { 0 };
    open_unix(&w);
    static const char odd[] = "a\0b\r\n$3\r\n%s\xff";
    struct bytes value = { odd, sizeof odd };
    store_command(w.store, (struct bytes[]){ BYTES_LIT("SET"), BYTES_LIT("k\0k"), value }, 3, note,
                  &w);
    store_command(w.store, (struct bytes[]){ BYTES_LIT("GET"), BYTES_LIT("k\0k") }, 2, note, &w);
    await(&w, 2);
    cr_assert(bytes_equal(buf_bytes(&w.seen), value));
    store_command(w.store, (struct bytes[]){ BYTES_LIT("SET"), BYTES_LIT("e"), { NULL, 0 } }, 3,
                  note, &w);
    COMMAND(&w, "STRLEN", "e");
    await(&w, 4);
    cr_assert_eq(w.ok, 4);
    cr_assert_eq(w.last, 0);
    world_done(&w);
}

Test(store, a_value_of_megabytes_passes)
{
    struct world w = { 0 };
    open_unix(&w);
    size_t len = 8 << 20;
    char *big = xcalloc(1, len);
    memset(big, 'x', len);
    store_command(w.store, (struct bytes[]){ BYTES_LIT("SET"), BYTES_LIT("big"), { big, len } }, 3,
                  note, &w);
    COMMAND(&w, "GET", "big");
    await(&w, 2);
    cr_assert(bytes_equal(buf_bytes(&w.seen), (struct bytes){ big, len }));
    free(big);
    world_done(&w);
}

static const char add_source[] = "return redis.call('INCRBY', KEYS[1], ARGV[1])";

Test(store, a_script_runs_also_where_it_was_never_loaded_or_was_flushed)
{
    struct world w = { 0 };
    struct script add = script_make("add", add_source);
    struct bytes argv[] = { BYTES_LIT("sum"), BYTES_LIT("5") };
    open_unix(&w);
    UNTIL(&w, connected);
    store_script(w.store, &add, 1, argv, 2, note, &w);
    await(&w, 1);
    cr_assert_eq(w.last, 5);
    COMMAND(&w, "SCRIPT", "FLUSH");
    for (int i = 0; i < 100; i++) store_script(w.store, &add, 1, argv, 2, note, &w);
    await(&w, 102);
    cr_assert_eq(w.last, 505);
    cr_assert_eq(w.ok, 102);
    world_done(&w);
}

Test(store, used_scripts_are_there_after_every_connect)
{
    struct world w = { 0 };
    struct script add = script_make("add", add_source);
    struct bytes argv[] = { BYTES_LIT("sum"), BYTES_LIT("5") };
    open_unix(&w);
    store_use_scripts(w.store, &add, 1);
    store_script(w.store, &add, 1, argv, 2, note, &w); /* waits for the connection */
    await(&w, 1);
    cr_assert_eq(w.last, 5);
    redis_server_kill(&w.server.redis);
    UNTIL(&w, disconnected);
    server_start(&w.server);
    UNTIL(&w, connected);
    COMMAND(&w, "EVALSHA", add.sha1, "1", "sum", "2");
    await(&w, 2);
    cr_assert_eq(w.last, 2);
    cr_assert_eq(w.refused, 0);
    world_done(&w);
}

Test(store, a_script_that_does_not_compile_is_refused_to_its_caller)
{
    struct world w = { 0 };
    struct script bad = script_make("bad", "this is no Lua");
    open_unix(&w);
    store_use_scripts(w.store, &bad, 1);
    store_script(w.store, &bad, 0, NULL, 0, note, &w);
    await(&w, 1);
    cr_assert_eq(w.refused, 1);
    cr_assert_not_null(strstr(w.text, "compiling"), "%s", w.text);
    world_done(&w);
}

static void in_order(void *user, enum store_status status, const struct store_reply *r)
{
    struct world *w = user;
    cr_assert_eq(status, STORE_OK);
    if (store_integer(r) != w->last + 1) w->out_of_order = true;
    w->last = store_integer(r);
    w->ok++;
}

Test(store, ten_thousand_commands_of_one_turn_are_answered_in_order)
{
    struct world w = { 0 };
    open_unix(&w);
    UNTIL(&w, connected);
    for (int i = 0; i < 10000; i++) command_of(&w, (const char *[]){ "INCR", "n", NULL }, in_order);
    await(&w, 10000);
    cr_assert_not(w.out_of_order);
    cr_assert_eq(w.last, 10000);
    world_done(&w);
}

Test(store, pushing_keeps_the_order_and_does_nothing_without_a_connection)
{
    struct world w = { 0 };
    open_unix(&w);
    command_of(&w, (const char *[]){ "INCR", "n", NULL }, in_order);
    store_push(w.store);
    UNTIL(&w, connected);
    for (int i = 0; i < 100; i++) {
        command_of(&w, (const char *[]){ "INCR", "n", NULL }, in_order);
        if (i % 3 == 0) store_push(w.store);
    }
    await(&w, 101);
    cr_assert_not(w.out_of_order);
    world_done(&w);
}

/* More than the socket takes at once. */
static char large[200 * 1024 + 1];

static void counted(void *user, enum store_status status, const struct store_reply *r)
{
    struct world *w = user;
    (void)r;
    w->ok += status == STORE_OK;
    w->lost += status == STORE_LOST;
}

static void send_large(struct world *w, int count, store_fn done)
{
    memset(large, 'x', sizeof large - 1);
    for (int i = 0; i < count; i++) {
        command_of(w, (const char *[]){ "SET", "large", large, NULL }, counted);
        command_of(w, (const char *[]){ "INCR", "n", NULL }, done);
    }
}

/* A server that has stopped reading, and more than its socket takes. */
static void behind_a_stopped_server(struct world *w, store_fn done)
{
    open_unix(w);
    UNTIL(w, connected);
    kill(w->server.redis.pid, SIGSTOP);
    send_large(w, 20, done);
    loop_turn(w->loop, 0);
}

Test(store, what_the_socket_does_not_take_at_once_is_answered_in_order)
{
    struct world w = { 0 };
    open_unix(&w);
    UNTIL(&w, connected);
    send_large(&w, 50, in_order);
    await(&w, 100);
    cr_assert_not(w.out_of_order);
    cr_assert_eq(w.ok, 100);
    world_done(&w);
}

/* Asks again as soon as something is lost, as callers do. */
static void ask_again(void *user, enum store_status status, const struct store_reply *r)
{
    struct world *w = user;
    if (status == STORE_LOST) command_of(w, (const char *[]){ "INCR", "again", NULL }, note);
    note(user, status, r);
}

Test(store, a_killed_server_loses_each_pending_command_once_and_another_run_id_follows)
{
    struct world w = { 0 };
    open_unix(&w);
    UNTIL(&w, connected);
    char first[41];
    snprintf(first, sizeof first, "%s", w.run_id);
    kill(w.server.redis.pid, SIGSTOP);
    for (int i = 0; i < 1000; i++) command_of(&w, (const char *[]){ "INCR", "n", NULL }, ask_again);
    redis_server_kill(&w.server.redis);
    await(&w, 1000);
    cr_assert_eq(w.lost, 1000);
    cr_assert_eq(w.disconnects, 1);
    cr_assert_not(store_connected(w.store));
    struct err e;
    cr_assert(store_error(w.store, &e));
    cr_assert_eq(e.kind, ERR_UNAVAILABLE);
    cr_assert_eq(store_pending(w.store), 1000);
    server_start(&w.server);
    await(&w, 2000);
    cr_assert_eq(w.ok, 1000);
    cr_assert_eq(w.lost, 1000);
    cr_assert_eq(w.last, 1000);
    cr_assert_eq(w.connects, 2);
    cr_assert_str_neq(first, w.run_id);
    world_done(&w);
}

Test(store, what_the_socket_never_took_is_lost_with_the_server)
{
    struct world w = { 0 };
    behind_a_stopped_server(&w, ask_again);
    redis_server_kill(&w.server.redis);
    await(&w, 40);
    cr_assert_eq(w.lost, 40);
    cr_assert_eq(store_pending(w.store), 20);
    server_start(&w.server);
    await(&w, 60);
    cr_assert_eq(w.ok, 20);
    cr_assert_eq(w.lost, 40);
    world_done(&w);
}

Test(store, a_silent_server_is_given_up_after_the_command_timeout)
{
    struct world w = { 0 };
    server_start(&w.server);
    open_with(&w,
              (struct store_options){ .host = w.server.redis.socket, .command_timeout_ms = 300 });
    COMMAND(&w, "PING");
    await(&w, 1);
    kill(w.server.redis.pid, SIGSTOP);
    COMMAND(&w, "INCR", "n");
    COMMAND(&w, "INCR", "n");
    await(&w, 3);
    cr_assert_eq(w.lost, 2);
    cr_assert_eq(w.disconnects, 1);
    struct err e;
    cr_assert(store_error(w.store, &e));
    cr_assert_not_null(strstr(e.text, "no reply for 300 ms"), "%s", e.text);
    kill(w.server.redis.pid, SIGCONT);
    UNTIL(&w, connected);
    COMMAND(&w, "PING");
    await(&w, 4);
    cr_assert_str_eq(w.text, "PONG");
    world_done(&w);
}

Test(store, without_a_server_commands_wait_until_their_deadline)
{
    struct world w = { 0 };
    open_with(
        &w, (struct store_options){ .host = "/nonexistent/redis.sock", .command_timeout_ms = 100 });
    for (int i = 0; i < 5; i++) COMMAND(&w, "PING");
    await(&w, 5);
    cr_assert_eq(w.lost, 5);
    cr_assert_eq(w.connects, 0);
    struct err e;
    cr_assert(store_error(w.store, &e));
    cr_assert_eq(e.kind, ERR_UNAVAILABLE);
    cr_assert_str_eq(store_run_id(w.store), "");
    world_done(&w);
}

Test(store, a_full_queue_loses_the_newest_in_the_next_turn)
{
    struct world w = { 0 };
    open_with(&w, (struct store_options){ .host = "/nonexistent/redis.sock",
                                          .command_timeout_ms = 60000 });
    for (int i = 0; i < 10003; i++) COMMAND(&w, "PING");
    cr_assert_eq(w.lost, 0, "no callback inside the call");
    await(&w, 3);
    cr_assert_eq(w.lost, 3);
    cr_assert_eq(store_pending(w.store), 10000);
    w.store = store_close(w.store);
    cr_assert_eq(w.lost, 10003, "closing loses what waits");
    world_done(&w);
}

Test(store, closing_loses_what_is_under_way)
{
    struct world w = { 0 };
    open_unix(&w);
    UNTIL(&w, connected);
    kill(w.server.redis.pid, SIGSTOP);
    for (int i = 0; i < 10; i++) command_of(&w, (const char *[]){ "PING", NULL }, ask_again);
    loop_turn(w.loop, 0);
    w.store = store_close(w.store);
    cr_assert_eq(w.lost, 10);
    world_done(&w);
}

Test(store, closing_loses_what_the_socket_did_not_take)
{
    struct world w = { 0 };
    behind_a_stopped_server(&w, counted);
    w.store = store_close(w.store);
    cr_assert_eq(w.lost, 40);
    world_done(&w);
}

Test(store, the_right_password_connects)
{
    struct world w = { .server.password = "open sesame" };
    server_start(&w.server);
    open_with(&w, (struct store_options){ .host = w.server.redis.socket,
                                          .username = "default",
                                          .password = "open sesame" });
    COMMAND(&w, "PING");
    await(&w, 1);
    cr_assert_str_eq(w.text, "PONG");
    world_done(&w);
}

static bool auth_failed(void *user)
{
    struct err e;
    return store_error(((struct world *)user)->store, &e) && e.kind == ERR_AUTH;
}

Test(store, a_wrong_password_is_said_and_does_not_connect)
{
    struct world w = { .server.password = "open sesame" };
    server_start(&w.server);
    open_with(&w, (struct store_options){ .host = w.server.redis.socket,
                                          .password = "open barley",
                                          .command_timeout_ms = 200 });
    COMMAND(&w, "PING");
    UNTIL(&w, auth_failed);
    struct err e;
    cr_assert(store_error(w.store, &e));
    cr_assert_not_null(strstr(e.text, "refused the credentials: WRONGPASS"), "%s", e.text);
    await(&w, 1);
    cr_assert_eq(w.lost, 1);
    cr_assert_eq(w.connects, 0);
    world_done(&w);
}

Test(store, a_missing_password_is_said)
{
    struct world w = { .server.password = "open sesame" };
    server_start(&w.server);
    open_with(&w, (struct store_options){ .host = w.server.redis.socket });
    UNTIL(&w, auth_failed);
    world_done(&w);
}

Test(store, a_host_without_an_address_is_said)
{
    struct world w = { 0 };
    open_with(&w, (struct store_options){
                      .host = "no-such-host.invalid", .port = 6379, .command_timeout_ms = 100 });
    COMMAND(&w, "PING");
    await(&w, 1);
    cr_assert_eq(w.lost, 1);
    world_done(&w);
    struct err e;
    struct log log = log_new("test", LOG_ERROR + 1, 2);
    cr_assert_null(store_open(NULL, &(struct store_options){ .log = &log }, &e));
    cr_assert_eq(e.kind, ERR_INVALID);
}
