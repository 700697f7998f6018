/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines to a redis-server through the product's own store. */
#include "tests/redis/ask.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>

#define WAIT_MS   20000
#define WORDS_MAX 64

static bool connected(void *user)
{
    return store_connected(((struct redis *)user)->store);
}

struct redis redis_start(void)
{
    struct redis r = { 0 };
    struct err e;
    cr_assert(redis_server_start(&r.server, NULL));
    r.loop = loop_new(&e);
    cr_assert_not_null(r.loop);
    struct log log = log_new("test", LOG_ERROR + 1, 2);
    r.store =
        store_open(r.loop, &(struct store_options){ .host = r.server.socket, .log = &log }, &e);
    cr_assert(r.store != NULL, "%s", e.text);
    cr_assert(loop_run_until(r.loop, connected, &r, WAIT_MS));
    return r;
}

void redis_stop(struct redis *r)
{
    store_close(r->store);
    loop_free(r->loop);
    redis_server_done(&r->server);
}

static void print(struct buf *out, const struct store_reply *r)
{
    switch (store_type(r)) {
    case STORE_NIL: buf_add_text(out, "nil"); break;
    case STORE_INTEGER: buf_add_int(out, store_integer(r)); break;
    case STORE_ARRAY:
        for (size_t i = 0; i < store_count(r); i++) {
            const struct store_reply *at = store_at(r, i);
            bool inner = store_type(at) == STORE_ARRAY;
            if (i) buf_add_text(out, " ");
            if (inner) buf_add_text(out, "[");
            print(out, at);
            if (inner) buf_add_text(out, "]");
        }
        break;
    case STORE_STRING:
    case STORE_ERROR_TEXT: {
        struct bytes text = store_string(r);
        if (text.len == 0) buf_add_text(out, "-");
        buf_add(out, text.data, text.len);
        break;
    }
    }
}

static void on_reply(void *user, enum store_status status, const struct store_reply *reply)
{
    struct redis *r = user;
    AUTO_BUF struct buf out = { 0 };
    if (status == STORE_LOST)
        buf_add_text(&out, "LOST");
    else
        print(&out, reply);
    snprintf(r->answer, sizeof r->answer, "%.*s", (int)out.len, out.data);
    r->answered = true;
}

static bool answered(void *user)
{
    return ((struct redis *)user)->answered;
}

const char *redis_send(struct redis *r, const char *source, size_t keys, const struct bytes *argv,
                       size_t argc)
{
    r->answered = false;
    struct script script = source ? script_make("s", source) : (struct script){ 0 };
    if (source)
        store_script(r->store, &script, keys, argv, argc, on_reply, r);
    else
        store_command(r->store, argv, argc, on_reply, r);
    cr_assert(loop_run_until(r->loop, answered, r, WAIT_MS));
    return r->answer;
}

const char *ask(struct redis *r, const char *source, const char *fmt, ...)
{
    char line[1000];
    struct bytes argv[WORDS_MAX];
    size_t argc = 0, keys = 0;
    va_list args;
    va_start(args, fmt);
    cr_assert_lt(vsnprintf(line, sizeof line, fmt, args), (int)sizeof line);
    va_end(args);
    for (char *at = line; *at;) {
        size_t len = strcspn(at, " ");
        cr_assert_lt(argc, (size_t)WORDS_MAX);
        if (len == 1 && *at == '/')
            keys = argc;
        else
            argv[argc++] = (struct bytes){ at, len == 1 && *at == '-' ? 0 : len };
        at += len + (at[len] == ' ');
    }
    return redis_send(r, source, keys, argv, argc);
}
