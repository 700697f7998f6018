/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection to Redis at a time. The store goes round DOWN -> RESOLVING (names only) ->
 * CONNECTING -> HANDSHAKE -> READY and back to DOWN. Commands given while READY go to hiredis at
 * once; others wait in a queue of ours. Everything on a connection that dies is LOST, because
 * hiredis calls each pending callback with no reply.
 *
 * One write a turn: hiredis asks for a write event with every command; we answer with a timer that
 * is due now, so all commands of a turn leave in phase 4 by one write() and without a round
 * through epoll. Only a full socket makes us wait for EPOLLOUT. What hiredis could not write it
 * moves to the front of its buffer, so it is given no more than it may move; the rest is held. */
#include "common/io/store.h"

#include <async.h>
#include <fcntl.h>
#include <hiredis.h>
#include <sds.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/secret.h"
#include "common/io/resolve.h"
#include "common/io/sigpipe.h"
#include "common/io/store_wire.h"

#define COMMAND_TIMEOUT_MS   2000
#define RECONNECT_MS_FIRST   10
#define RECONNECT_MS_MAX     500
#define AUTH_RETRY_FACTOR    10 /* refused credentials are asked again this much more slowly */
#define WAITING_MAX          10000
#define UNSENT_BYTES_MAX     (256 * KIB)
#define SPARE_CALLS_MAX      4096
#define SPARE_CALL_BYTES_MAX (16 * 1024)
#define RUN_ID_HEX           40

enum store_state { DOWN, RESOLVING, CONNECTING, HANDSHAKE, READY };

struct call {
    struct call *next;
    struct store *store;
    store_fn done;
    void *user;
    bool internal;               /* part of the handshake: not counted as pending */
    bool sourced;                /* the script's source was sent, so NOSCRIPT is final */
    const struct script *script; /* NULL: a plain command */
    size_t words;                /* of the whole command, for scripts */
    uint64_t deadline_ms;        /* while it waits for a connection */
    struct buf bytes; /* script: from the key count on; plain: whole command while it waits */
};

struct call_list {
    struct call *head, *tail;
    size_t count;
};

/* What belongs to one hiredis context. Freed in phase 5, because events may still name its watch.
 */
struct link {
    struct store *store;
    redisAsyncContext *ac; /* NULL once hiredis has let go of it */
    struct loop_watch watch;
    bool connected, writing;
    size_t in_flight;
};

struct store {
    struct loop *loop;
    struct log log;
    char *host, *name, *username; /* name: for people */
    struct secret password;
    uint16_t port;
    uint32_t db, command_timeout_ms, reconnect_ms_max;
    void (*on_connect)(void *user, const char *run_id);
    void (*on_disconnect)(void *user);
    void *user;
    const struct script *scripts;
    size_t script_count;

    enum store_state state;
    struct link *link;         /* CONNECTING to READY */
    uint64_t links;            /* how many there were */
    struct resolve *resolving; /* RESOLVING */
    struct resolved addresses; /* of the last lookup */
    size_t address_next;       /* the first of them that was not tried yet */
    size_t handshake_left;     /* replies to come before READY */
    uint32_t backoff_ms;
    struct err error;   /* why it is not READY */
    enum err_kind told; /* what the log was told since it was last READY */
    char run_id[RUN_ID_HEX + 1];
    uint64_t heard_ms; /* when the server last replied, or owed nothing */

    struct call_list waiting; /* for a connection, in order of deadline */
    struct call_list held;    /* while the socket is behind */
    struct call_list lost;    /* never sent; LOST in the next timer phase */
    struct call_list spare;
    size_t pending, calling;
    bool closing;
    struct buf scratch;
    struct loop_timer connect_timer, flush_timer, silence_timer, expire_timer;
};

static void link_gone(struct link *link, const struct err *why);

/* --- calls --- */

static void list_add(struct call_list *list, struct call *call)
{
    call->next = NULL;
    if (list->tail)
        list->tail->next = call;
    else
        list->head = call;
    list->tail = call;
    list->count++;
}

static struct call *list_take(struct call_list *list)
{
    struct call *call = list->head;
    if (!call) return NULL;
    list->head = call->next;
    if (!list->head) list->tail = NULL;
    list->count--;
    return call;
}

static struct call *call_new(struct store *s, store_fn done, void *user)
{
    struct call *call = list_take(&s->spare);
    if (!call) call = xcalloc(1, sizeof *call);
    struct buf bytes = call->bytes;
    *call = (struct call){ .store = s, .done = done, .user = user, .bytes = bytes };
    return call;
}

static void call_free(struct call *call)
{
    buf_done(&call->bytes);
    free(call);
}

static void call_recycle(struct store *s, struct call *call)
{
    if (s->spare.count >= SPARE_CALLS_MAX || call->bytes.cap > SPARE_CALL_BYTES_MAX) {
        call_free(call);
        return;
    }
    buf_reset(&call->bytes);
    list_add(&s->spare, call);
}

/* The one place where callbacks of commands are called. The call is gone before, so that whatever
 * the callback does finds a consistent store. */
static void finish(struct call *call, enum store_status status, const redisReply *reply)
{
    struct store *s = call->store;
    store_fn done = call->done;
    void *user = call->user;
    if (!call->internal) s->pending--;
    call_recycle(s, call);
    if (!done) return;
    s->calling++;
    done(user, status, (const struct store_reply *)(const void *)reply);
    s->calling--;
}

/* A call that could not be sent: its callback must not come inside the caller's call. */
static void lose_later(struct store *s, struct call *call)
{
    list_add(&s->lost, call);
    loop_arm(s->loop, &s->expire_timer, 0);
}

static void on_expire_due(struct loop_timer *t)
{
    struct store *s = t->user;
    uint64_t now = loop_now_ms(s->loop);
    for (size_t n = s->lost.count; n > 0; n--) finish(list_take(&s->lost), STORE_LOST, NULL);
    while (s->waiting.head && s->waiting.head->deadline_ms <= now)
        finish(list_take(&s->waiting), STORE_LOST, NULL);
    if (s->lost.head)
        loop_arm(s->loop, t, 0);
    else if (s->waiting.head)
        loop_arm(s->loop, t, s->waiting.head->deadline_ms - now);
}

static void wait_for_connection(struct store *s, struct call *call)
{
    if (s->waiting.count >= WAITING_MAX) {
        lose_later(s, call);
        return;
    }
    call->deadline_ms = clock_mono_ms() + s->command_timeout_ms; /* the loop may not be turning */
    list_add(&s->waiting, call);
    if (!loop_armed(&s->expire_timer)) loop_arm(s->loop, &s->expire_timer, s->command_timeout_ms);
}

/* --- sending --- */

static bool is_noscript(const redisReply *r)
{
    return r->type == REDIS_REPLY_ERROR && strncmp(r->str, "NOSCRIPT", 8) == 0;
}

static void send_call(struct store *s, struct call *call);

static void on_reply(redisAsyncContext *ac, void *reply, void *call_)
{
    const redisReply *r = reply;
    struct call *call = call_;
    struct store *s = call->store;
    struct link *link = ac->data;
    if (!r) {
        link_gone(link, NULL); /* first, so that callbacks see a store that is not connected */
        finish(call, STORE_LOST, NULL);
        return;
    }
    link->in_flight--;
    s->heard_ms = loop_now_ms(s->loop);
    if (call->script && !call->sourced && is_noscript(r)) {
        call->sourced = true;
        send_call(s, call);
        return;
    }
    finish(call, r->type == REDIS_REPLY_ERROR ? STORE_ERROR : STORE_OK, r);
}

static void send_bytes(struct store *s, struct call *call, const struct buf *bytes)
{
    struct link *link = s->link;
    if (!link ||
        redisAsyncFormattedCommand(link->ac, on_reply, call, bytes->data, bytes->len) != REDIS_OK) {
        lose_later(s, call);
        return;
    }
    if (link->in_flight++ == 0) s->heard_ms = clock_mono_ms();
    if (!loop_armed(&s->silence_timer)) loop_arm(s->loop, &s->silence_timer, s->command_timeout_ms);
}

static void send_call(struct store *s, struct call *call)
{
    if (!call->script) {
        send_bytes(s, call, &call->bytes);
        buf_reset(&call->bytes);
        return;
    }
    const struct bytes verb[] = {
        call->sourced ? BYTES_LIT("EVAL") : BYTES_LIT("EVALSHA"),
        bytes_of(call->sourced ? call->script->source : call->script->sha1),
    };
    buf_reset(&s->scratch);
    wire_head(&s->scratch, call->words);
    wire_words(&s->scratch, verb, ARRAY_LEN(verb));
    buf_add(&s->scratch, call->bytes.data, call->bytes.len);
    send_bytes(s, call, &s->scratch);
}

static size_t unsent(const struct store *s)
{
    return s->link ? sdslen(s->link->ac->c.obuf) : 0;
}

static bool may_send(const struct store *s)
{
    return s->state == READY && !s->held.head && unsent(s) < UNSENT_BYTES_MAX;
}

static void send_later(struct store *s, struct call *call)
{
    if (s->state == READY)
        list_add(&s->held, call);
    else
        wait_for_connection(s, call);
}

static void send_held(struct store *s)
{
    while (s->held.head && s->link && unsent(s) < UNSENT_BYTES_MAX)
        send_call(s, list_take(&s->held));
}

static void format(struct buf *ret, const struct bytes *words, size_t count)
{
    buf_reset(ret);
    wire_head(ret, count);
    wire_words(ret, words, count);
}

void store_command(struct store *s, const struct bytes *argv, size_t argc, store_fn done,
                   void *user)
{
    ASSERT(argc >= 1);
    if (s->closing) return;
    struct call *call = call_new(s, done, user);
    s->pending++;
    bool ready = may_send(s);
    struct buf *bytes = ready ? &s->scratch : &call->bytes;
    format(bytes, argv, argc);
    if (ready)
        send_bytes(s, call, bytes);
    else
        send_later(s, call);
}

void store_script(struct store *s, const struct script *script, size_t key_count,
                  const struct bytes *argv, size_t argc, store_fn done, void *user)
{
    ASSERT(key_count <= argc);
    if (s->closing) return;
    struct call *call = call_new(s, done, user);
    s->pending++;
    call->script = script;
    call->words = 3 + argc;
    char keys[24];
    int digits = snprintf(keys, sizeof keys, "%zu", key_count);
    wire_words(&call->bytes, &(struct bytes){ .data = keys, .len = (size_t)digits }, 1);
    wire_words(&call->bytes, argv, argc);
    if (may_send(s))
        send_call(s, call);
    else
        send_later(s, call);
}

/* Not held back where the socket is behind: it was asked for by the reply before it, so there are
 * few of them. The replies of all but the last command are a word each, and nobody asks for them.
 */
void store_exec(struct store *s, uint64_t connection, const struct store_commands *commands,
                store_fn done, void *user)
{
    if (s->closing) return;
    struct call *call = call_new(s, done, user);
    s->pending++;
    if (connection == 0 || connection != store_connection(s)) {
        lose_later(s, call);
        return;
    }
    redisAsyncContext *ac = s->link->ac;
    ac->c.obuf = sdsMakeRoomFor(ac->c.obuf, wire_size(commands)); /* else it grows by and by */
    const struct bytes multi = BYTES_LIT("MULTI"), exec = BYTES_LIT("EXEC"), *at = &multi;
    for (size_t i = 0, words = 1; i <= commands->count; i++) {
        format(&s->scratch, at, words);
        (void)redisAsyncFormattedCommand(ac, NULL, NULL, s->scratch.data, s->scratch.len);
        at = i ? at + words : commands->words;
        words = i < commands->count ? commands->lengths[i] : 0;
    }
    format(&s->scratch, &exec, 1);
    send_bytes(s, call, &s->scratch);
}

/* --- handshake: AUTH, SELECT, INFO, SCRIPT LOAD in one go --- */

static void handshake_command(struct store *s, const struct bytes *argv, size_t argc, store_fn done)
{
    struct call *call = call_new(s, done, s);
    call->internal = true;
    format(&s->scratch, argv, argc);
    send_bytes(s, call, &s->scratch);
}

/* Ends the connection because of us. Its pending commands are LOST: now, or if hiredis is calling
 * us, as soon as it has control again. */
static void drop(struct store *s, const struct err *why)
{
    redisAsyncContext *ac = s->link->ac;
    link_gone(s->link, why);
    redisAsyncFree(ac);
}

static bool starts_with(struct bytes text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && memcmp(text.data, prefix, len) == 0;
}

/* auth: the refusal is one of credentials, unless the server speaks of something else. */
static void refused(struct store *s, bool auth, const char *what, const struct store_reply *reply)
{
    struct bytes text = store_string(reply);
    auth = auth ? !starts_with(text, "ERR max number of clients")
                : starts_with(text, "NOAUTH") || starts_with(text, "NOPERM");
    struct err why;
    (void)err_fail(&why, auth ? ERR_AUTH : ERR_UNAVAILABLE, "Redis at %s refused %s: %.*s", s->name,
                   what, (int)MIN(text.len, (size_t)200), text.data);
    drop(s, &why);
}

static void become_ready(struct store *s)
{
    s->state = READY;
    s->backoff_ms = RECONNECT_MS_FIRST;
    s->addresses.count = s->address_next = 0; /* the next connection looks the name up again */
    s->told = ERR_NONE;
    log_info(&s->log, "store.connected", "connected to Redis at %s, run_id %s", s->name, s->run_id);
    s->calling++;
    if (s->on_connect) s->on_connect(s->user, s->run_id);
    s->calling--;
    for (struct call *call; (call = list_take(&s->waiting));) send_call(s, call);
}

static void step_done(struct store *s)
{
    ASSERT(s->state == HANDSHAKE && s->handshake_left > 0);
    if (--s->handshake_left == 0) become_ready(s);
}

static void on_auth(void *store, enum store_status status, const struct store_reply *reply)
{
    struct store *s = store;
    if (status == STORE_ERROR)
        refused(s, true, "the credentials", reply);
    else if (status == STORE_OK)
        step_done(s);
}

static void on_select(void *store, enum store_status status, const struct store_reply *reply)
{
    struct store *s = store;
    if (status == STORE_ERROR)
        refused(s, false, "to select the database", reply);
    else if (status == STORE_OK)
        step_done(s);
}

static void on_info(void *store, enum store_status status, const struct store_reply *reply)
{
    struct store *s = store;
    if (status == STORE_LOST) return;
    struct bytes text = store_string(reply);
    static const char key[] = "run_id:";
    const char *at =
        status == STORE_OK && text.len ? memmem(text.data, text.len, key, sizeof key - 1) : NULL;
    if (!at || (size_t)(text.data + text.len - at) < sizeof key - 1 + RUN_ID_HEX) {
        refused(s, false, "to say its run_id", reply);
        return;
    }
    memcpy(s->run_id, at + sizeof key - 1, RUN_ID_HEX);
    s->run_id[RUN_ID_HEX] = '\0';
    step_done(s);
}

/* A refusal (LOADING, or a script that does not compile) will meet whoever calls the script. */
static void on_script_loaded(void *store, enum store_status status, const struct store_reply *reply)
{
    (void)reply;
    struct store *s = store;
    if (status != STORE_LOST && s->state == HANDSHAKE) step_done(s);
}

static void load_scripts(struct store *s)
{
    for (size_t i = 0; i < s->script_count; i++)
        handshake_command(s,
                          (struct bytes[]){ BYTES_LIT("SCRIPT"), BYTES_LIT("LOAD"),
                                            bytes_of(s->scripts[i].source) },
                          3, on_script_loaded);
}

static void handshake_start(struct store *s)
{
    s->state = HANDSHAKE;
    s->handshake_left = 1 + s->script_count;
    if (s->password.bytes) {
        struct bytes argv[3] = { BYTES_LIT("AUTH") };
        size_t argc = 1;
        if (s->username) argv[argc++] = bytes_of(s->username);
        argv[argc++] = (struct bytes){ .data = s->password.bytes, .len = s->password.len };
        s->handshake_left++;
        handshake_command(s, argv, argc, on_auth);
        explicit_bzero(s->scratch.data, s->scratch.len);
    }
    if (s->db) {
        AUTO_BUF struct buf db = { 0 };
        buf_add_int(&db, s->db);
        s->handshake_left++;
        handshake_command(s, (struct bytes[]){ BYTES_LIT("SELECT"), buf_bytes(&db) }, 2, on_select);
    }
    handshake_command(s, (struct bytes[]){ BYTES_LIT("INFO"), BYTES_LIT("server") }, 2, on_info);
    load_scripts(s);
}

void store_use_scripts(struct store *s, const struct script *scripts, size_t count)
{
    s->scripts = scripts;
    s->script_count = count;
    if (s->state == READY) load_scripts(s); /* during a handshake NOSCRIPT does it */
}

/* --- the connection's life --- */

static void reconnect_later(struct store *s)
{
    if (s->closing) return;
    uint32_t delay_ms = s->backoff_ms;
    if (s->error.kind == ERR_AUTH)
        delay_ms = AUTH_RETRY_FACTOR * s->reconnect_ms_max;
    else if (s->address_next < s->addresses.count)
        delay_ms = 0;
    else
        s->backoff_ms = MIN(2 * s->backoff_ms, s->reconnect_ms_max);
    loop_arm(s->loop, &s->connect_timer, delay_ms);
}

/* Notes why there is no connection, logs it where it is news, and tries again. */
static void went_down(struct store *s, const struct err *why)
{
    bool was_ready = s->state == READY;
    s->state = DOWN;
    s->error = *why;
    if (s->closing) return;
    if (s->told != why->kind) {
        if (was_ready)
            log_warn(&s->log, "store.lost", "%s; reconnecting", why->text);
        else
            log_error(&s->log, why->kind == ERR_AUTH ? "store.refused" : "store.unreachable",
                      "%s; trying again", why->text);
        s->told = why->kind;
    }
    reconnect_later(s);
    s->calling++;
    if (was_ready && s->on_disconnect) s->on_disconnect(s->user);
    s->calling--;
}

/* The store lets go of a connection, whoever ended it; why NULL: as hiredis says. */
static void link_gone(struct link *link, const struct err *why)
{
    struct store *s = link->store;
    if (s->link != link) return;
    s->link = NULL;
    loop_disarm(s->loop, &s->flush_timer);
    loop_disarm(s->loop, &s->silence_timer);
    for (struct call *call; (call = list_take(&s->held));) lose_later(s, call);
    struct err from_hiredis;
    if (!why) {
        const redisContext *c = &link->ac->c;
        (void)err_fail(&from_hiredis, ERR_UNAVAILABLE, "Redis at %s: %s", s->name,
                       c->err ? c->errstr : "connection closed");
        why = &from_hiredis;
    }
    went_down(s, why);
}

static void on_silence_due(struct loop_timer *t)
{
    struct store *s = t->user;
    ASSERT(s->link);
    if (s->link->connected && s->link->in_flight == 0) return;
    uint64_t now = loop_now_ms(s->loop), due = s->heard_ms + s->command_timeout_ms;
    if (now < due) {
        loop_arm(s->loop, t, due - now);
        return;
    }
    struct err why;
    (void)err_fail(&why, ERR_UNAVAILABLE, "Redis at %s: no %s for %u ms", s->name,
                   s->link->connected ? "reply" : "connection", s->command_timeout_ms);
    drop(s, &why);
}

/* As much as the socket takes. */
static void write_out(struct link *link)
{
    struct store *s = link->store;
    bool more = true;
    link->writing = true;
    while (more) {
        redisAsyncHandleWrite(link->ac); /* may end the link; its memory lives until phase 5 */
        if (s->link != link) break;
        more = unsent(s) == 0 && s->held.head;
        send_held(s);
    }
    link->writing = false;
}

void store_push(struct store *s)
{
    if (s->state == READY && unsent(s) > 0) write_out(s->link);
}

static void on_flush_due(struct loop_timer *t)
{
    struct store *s = t->user;
    struct link *link = s->link;
    ASSERT(link && link->connected);
    write_out(link);
}

static void on_ready(struct loop_watch *w, unsigned events)
{
    struct link *link = w->user;
    if (events & LOOP_READ) redisAsyncHandleRead(link->ac);
    if (link->ac && (events & LOOP_WRITE)) write_out(link);
}

static void hook_add_read(void *link_)
{
    struct link *link = link_;
    loop_watch(link->store->loop, &link->watch, link->watch.events | LOOP_READ);
}

static void hook_del_read(void *link_)
{
    struct link *link = link_;
    loop_watch(link->store->loop, &link->watch, link->watch.events & ~(unsigned)LOOP_READ);
}

static void hook_add_write(void *link_)
{
    struct link *link = link_;
    struct store *s = link->store;
    /* hiredis would take a socket that is still connecting for connected if it wrote before the
     * first write event, so that one is always waited for. */
    if (!link->connected || link->writing)
        loop_watch(s->loop, &link->watch, link->watch.events | LOOP_WRITE);
    else if (!(link->watch.events & LOOP_WRITE) && !loop_armed(&s->flush_timer))
        loop_arm(s->loop, &s->flush_timer, 0);
}

static void hook_del_write(void *link_)
{
    struct link *link = link_;
    loop_watch(link->store->loop, &link->watch, link->watch.events & ~(unsigned)LOOP_WRITE);
}

static void hook_cleanup(void *link_)
{
    struct link *link = link_;
    link_gone(link, NULL);
    loop_unwatch(link->store->loop, &link->watch);
    link->ac = NULL;
    loop_defer_free(link->store->loop, free, link);
}

static void on_connected(const redisAsyncContext *ac, int status)
{
    struct link *link = ac->data;
    if (status != REDIS_OK || !link->store->link) return;
    link->connected = true;
    handshake_start(link->store);
}

/* address: an IP address, or a path for a unix socket. */
static void link_open(struct store *s, const char *address)
{
    redisAsyncContext *ac =
        address[0] == '/' ? redisAsyncConnectUnix(address) : redisAsyncConnect(address, s->port);
    ASSERT(ac);
    if (ac->err) {
        struct err why;
        (void)err_fail(&why, ERR_UNAVAILABLE, "Redis at %s: %s", s->name, ac->errstr);
        redisAsyncFree(ac);
        went_down(s, &why);
        return;
    }
    (void)fcntl(ac->c.fd, F_SETFD, FD_CLOEXEC);
    /* The kernel sizes that of a TCP connection itself, better than we could. */
    if (address[0] == '/')
        (void)setsockopt(ac->c.fd, SOL_SOCKET, SO_SNDBUF, &(int){ MIB }, sizeof(int));
    struct link *link = xcalloc(1, sizeof *link);
    link->store = s;
    link->ac = ac;
    link->watch = (struct loop_watch){ .on_ready = on_ready, .user = link, .fd = ac->c.fd };
    s->link = link;
    s->links++;
    s->state = CONNECTING;
    s->heard_ms = loop_now_ms(s->loop);
    loop_arm(s->loop, &s->silence_timer, s->command_timeout_ms);
    ac->data = ac->ev.data = link;
    ac->ev.addRead = hook_add_read;
    ac->ev.delRead = hook_del_read;
    ac->ev.addWrite = hook_add_write;
    ac->ev.delWrite = hook_del_write;
    ac->ev.cleanup = hook_cleanup;
    (void)redisAsyncSetConnectCallback(ac, on_connected); /* asks for the first write event */
}

static void on_resolved(void *store, const struct resolved *result)
{
    struct store *s = store;
    s->resolving = NULL;
    s->addresses = *result;
    s->address_next = 0;
    if (result->count == 0) {
        struct err why = result->error;
        (void)err_prefix(&why, "Redis");
        went_down(s, &why);
        return;
    }
    link_open(s, s->addresses.addresses[s->address_next++]);
}

static void on_connect_due(struct loop_timer *t)
{
    struct store *s = t->user;
    ASSERT(s->state == DOWN && !s->link);
    if (s->host[0] == '/' || resolve_is_address(s->host)) {
        link_open(s, s->host);
        return;
    }
    if (s->address_next < s->addresses.count) {
        link_open(s, s->addresses.addresses[s->address_next++]);
        return;
    }
    struct err why;
    s->state = RESOLVING;
    s->resolving = resolve_start(s->loop, s->host, on_resolved, s, &why);
    if (!s->resolving) went_down(s, &why);
}

struct store *store_open(struct loop *loop, const struct store_options *o, struct err *e)
{
    ASSERT(o->log);
    if (!o->host || !o->host[0] || (o->host[0] != '/' && o->port == 0)) {
        (void)err_fail(e, ERR_INVALID, "Redis: a host with a port, or a socket's path, is needed");
        return NULL;
    }
    sigpipe_tame();
    struct store *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->log = *o->log;
    s->host = xstrdup(o->host);
    s->port = o->port;
    s->name = o->host[0] == '/' ? xstrdup(o->host) : xasprintf("%s:%u", o->host, o->port);
    if (o->username) s->username = xstrdup(o->username);
    if (o->password) s->password = secret_new(o->password, strlen(o->password));
    s->db = o->db;
    s->command_timeout_ms = o->command_timeout_ms ? o->command_timeout_ms : COMMAND_TIMEOUT_MS;
    s->reconnect_ms_max = o->reconnect_ms_max ? o->reconnect_ms_max : RECONNECT_MS_MAX;
    s->backoff_ms = MIN((uint32_t)RECONNECT_MS_FIRST, s->reconnect_ms_max);
    s->on_connect = o->on_connect;
    s->on_disconnect = o->on_disconnect;
    s->user = o->user;
    (void)err_fail(&s->error, ERR_UNAVAILABLE, "Redis at %s: not connected yet", s->name);
    s->connect_timer = (struct loop_timer){ .on_due = on_connect_due, .user = s };
    s->flush_timer = (struct loop_timer){ .on_due = on_flush_due, .user = s };
    s->silence_timer = (struct loop_timer){ .on_due = on_silence_due, .user = s };
    s->expire_timer = (struct loop_timer){ .on_due = on_expire_due, .user = s };
    loop_arm(loop, &s->connect_timer, 0);
    return s;
}

static void free_calls(struct call_list *list)
{
    for (struct call *call; (call = list_take(list));) call_free(call);
}

struct store *store_close(struct store *s)
{
    if (!s) return NULL;
    ASSERT(s->calling == 0);
    s->closing = true;
    s->resolving = resolve_cancel(s->resolving);
    if (s->link) redisAsyncFree(s->link->ac);
    while (s->waiting.head) finish(list_take(&s->waiting), STORE_LOST, NULL);
    while (s->lost.head) finish(list_take(&s->lost), STORE_LOST, NULL);
    ASSERT(s->pending == 0);
    loop_disarm(s->loop, &s->connect_timer);
    loop_disarm(s->loop, &s->flush_timer);
    loop_disarm(s->loop, &s->silence_timer);
    loop_disarm(s->loop, &s->expire_timer);
    free_calls(&s->spare);
    buf_done(&s->scratch);
    secret_done(&s->password);
    free(s->host);
    free(s->name);
    free(s->username);
    free(s);
    return NULL;
}

/* --- what is known --- */

uint64_t store_connection(const struct store *s)
{
    return s->state == READY ? s->links : 0;
}

bool store_connected(const struct store *s)
{
    return s->state == READY;
}

const char *store_run_id(const struct store *s)
{
    return s->run_id;
}

bool store_error(const struct store *s, struct err *ret)
{
    if (s->state == READY) return false;
    *ret = s->error;
    return true;
}

size_t store_pending(const struct store *s)
{
    return s->pending;
}
