/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions that depend on a hash, against a real redis-server. */
#include "common/io/guard.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/redis/ask.h"

#define WAIT_MS 20000

/* Adds one to the field n of a hash if that has the number that it is told to expect. */
struct counter {
    struct redis *r;
    const char *key;
    const char *expected;  /* of its field n; NULL: whatever it is */
    const char *meanwhile; /* what another client says between look and write; NULL: nothing */
    bool kills;            /* the server dies there */
    int decided, done;
    enum guard_result result;
    char why[80];
};

/* One command by a connection of its own, and its answer. */
static void say(struct redis *r, const char *line)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    char answer[100];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", r->server.socket);
    cr_assert(connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    cr_assert(write(fd, line, strlen(line)) == (ssize_t)strlen(line));
    cr_assert(read(fd, answer, sizeof answer) > 0);
    close(fd);
}

static bool decide(void *user, const struct bytes *values, struct command_list *commands)
{
    struct counter *c = user;
    c->decided++;
    if (c->expected && !bytes_is(values[0], c->expected)) return false;
    if (c->meanwhile) say(c->r, c->meanwhile);
    if (c->kills) redis_server_kill(&c->r->server);
    command_list_begin(commands, BYTES_LIT("HINCRBY"), bytes_of(c->key));
    command_list_word(commands, BYTES_LIT("n"));
    command_list_word(commands, BYTES_LIT("1"));
    return true;
}

static void done(void *user, enum guard_result result, struct bytes why)
{
    struct counter *c = user;
    c->done++;
    c->result = result;
    snprintf(c->why, sizeof c->why, "%.*s", (int)why.len, why.len ? why.data : "");
}

static void submit(struct guards *g, struct counter *c)
{
    static const struct bytes field = { "n", 1 };
    guard_submit(g, &(struct guarded){ .key = bytes_of(c->key),
                                       .fields = &field,
                                       .field_count = 1,
                                       .decide = decide,
                                       .done = done,
                                       .user = c });
    cr_assert_eq(c->done, 0, "never inside the call");
}

static bool is_done(void *user)
{
    return ((struct counter *)user)->done > 0;
}

static void await(struct redis *r, struct counter *c)
{
    cr_assert(loop_run_until(r->loop, is_done, c, WAIT_MS));
    cr_assert_eq(c->done, 1);
}

#define START                       \
    struct redis r = redis_start(); \
    struct guards *g = guards_new(r.store)

static void stop(struct redis *r, struct guards *g)
{
    r->store = store_close(r->store);
    guards_free(g);
    redis_stop(r);
}

Test(guard, what_was_decided_upon_a_look_is_done)
{
    START;
    struct counter c = { .r = &r, .key = "h", .expected = "5" };
    COMMAND(&r, "HSET h n 5");
    submit(g, &c);
    await(&r, &c);
    cr_assert_eq(c.result, GUARD_DONE);
    cr_assert_str_eq(COMMAND(&r, "HGET h n"), "6");
    stop(&r, g);
}

Test(guard, nothing_is_done_if_the_hash_changes_between_look_and_write)
{
    START;
    struct counter c = { .r = &r, .key = "h", .expected = "5", .meanwhile = "HSET h other 1\r\n" };
    COMMAND(&r, "HSET h n 5");
    submit(g, &c);
    await(&r, &c);
    cr_assert_eq(c.result, GUARD_CHANGED);
    cr_assert_str_eq(COMMAND(&r, "HGET h n"), "5");
    stop(&r, g);
}

/* More than go together, each of its own hash, and some decline. */
Test(guard, many_at_once_are_each_judged_by_their_own_hash)
{
    enum { COUNT = 3 * GUARDED_MAX };
    START;
    struct counter c[COUNT];
    char keys[COUNT][16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(keys[i], sizeof keys[i], "h%d", i);
        COMMAND(&r, "HSET h%d n %d", i, i % 2);
        c[i] = (struct counter){ .r = &r, .key = keys[i], .expected = "1" };
        submit(g, &c[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        await(&r, &c[i]);
        cr_assert_eq(c[i].result, i % 2 ? GUARD_DONE : GUARD_DECLINED);
        cr_assert_str_eq(COMMAND(&r, "HGET h%d n", i), i % 2 ? "2" : "0");
    }
    stop(&r, g);
}

Test(guard, one_that_was_declined_leaves_no_watch_behind)
{
    START;
    struct counter no = { .r = &r, .key = "h", .expected = "7" };
    struct counter yes = { .r = &r, .key = "i", .meanwhile = "HSET h other 1\r\n" };
    submit(g, &no);
    await(&r, &no);
    cr_assert_eq(no.result, GUARD_DECLINED);
    submit(g, &yes);
    await(&r, &yes);
    cr_assert_eq(yes.result, GUARD_DONE);
    stop(&r, g);
}

Test(guard, a_redis_that_takes_no_writes_does_nothing_and_says_why)
{
    START;
    struct counter c = { .r = &r, .key = "h" };
    COMMAND(&r, "CONFIG SET maxmemory 1");
    submit(g, &c);
    await(&r, &c);
    cr_assert_eq(c.result, GUARD_REFUSED);
    cr_assert(strstr(c.why, "EXECABORT"), "%s", c.why);
    COMMAND(&r, "CONFIG SET maxmemory 0");
    cr_assert_str_eq(COMMAND(&r, "EXISTS h"), "0");
    stop(&r, g);
}

Test(guard, a_command_that_fails_is_told_to_who_gave_it)
{
    START;
    struct counter first = { .r = &r, .key = "a" }, bad = { .r = &r, .key = "h" },
                   last = { .r = &r, .key = "z" };
    COMMAND(&r, "HSET h n word");
    submit(g, &first); /* has the connection for itself; the other two go together */
    submit(g, &bad);
    submit(g, &last);
    await(&r, &first);
    await(&r, &bad);
    await(&r, &last);
    cr_assert_eq(bad.result, GUARD_TORN);
    cr_assert(strstr(bad.why, "not an integer"), "%s", bad.why);
    cr_assert(first.result == GUARD_DONE && last.result == GUARD_DONE);
    stop(&r, g);
}

Test(guard, a_server_that_dies_between_look_and_write_is_a_loss_and_the_next_one_goes_on)
{
    START;
    struct counter lost = { .r = &r, .key = "h", .kills = true }, next = { .r = &r, .key = "h" };
    submit(g, &lost);
    submit(g, &next);
    await(&r, &lost);
    cr_assert_eq(lost.result, GUARD_LOST);
    cr_assert(redis_server_start(&r.server, NULL));
    await(&r, &next);
    if (next.result == GUARD_LOST) { /* it had asked the old one */
        next = (struct counter){ .r = &r, .key = "h" };
        submit(g, &next);
        await(&r, &next);
    }
    cr_assert_eq(next.result, GUARD_DONE);
    cr_assert_str_eq(COMMAND(&r, "HGET h n"), "1");
    stop(&r, g);
}

Test(guard, what_waits_when_it_ends_is_a_loss)
{
    START;
    struct counter c[2] = { { .r = &r, .key = "h" }, { .r = &r, .key = "h" } };
    submit(g, &c[0]);
    submit(g, &c[1]);
    stop(&r, g);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(c[i].done, 1);
        cr_assert_eq(c[i].result, GUARD_LOST);
    }
}
