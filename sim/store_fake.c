/* SPDX-License-Identifier: Apache-2.0
 *
 * One process's end of Redis, behind common/io/store.h. A command leaves the process, is executed
 * when it arrives, and its reply comes back: three times that a fault can come between. What was on
 * its way when a connection broke may still arrive and be executed, unheard. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/hash.h"
#include "orchestrator/engine/arena.h"
#include "sim/fakes.h"
#include "sim/mutants.h"
#include "sim/oracle.h"
#include "tests/sim/redis.h"

#define WATCHED_MAX 16

/* What Redis knows of a connection: the keys that it watches. */
struct session {
    unsigned refs;
    size_t count;
    struct watched {
        struct buf key;
        uint64_t content; /* of that key, when it began to watch */
    } watched[WATCHED_MAX];
};

struct request {
    struct request *next;
    struct session *session; /* of the connection that it was sent on */
    struct world *world;
    struct proc *proc;
    struct store *store;  /* NULL: nobody waits for the reply any more */
    struct script script; /* a copy: it may outlive its process; no source: a plain command */
    const char *name;
    size_t key_count, argc;
    struct bytes *argv; /* with the bytes behind it */
    size_t *lengths;    /* of MULTI … EXEC: the words of each command; NULL: one command */
    size_t command_count;
    store_fn done;
    void *user;
    uint64_t asked_us, wire_us, gone_us, reply_us;
    uint64_t epoch; /* of the server that it was sent to */
    bool sent, executed;
    bool copy;  /* nobody asked for it */
    bool fails; /* the connection is lost under it: it is never executed */
    void *arena;
    const struct store_reply *reply;
};

struct store {
    struct proc *proc;
    struct world *world;
    struct store_options options;
    uint64_t timeout_us;
    bool connected, connecting;
    uint64_t connect_us; /* of the attempt under way */
    uint64_t break_us;   /* the connection is broken, and the process hears of it then */
    uint64_t last_us;    /* arrival of what was sent last */
    uint64_t heard_us;   /* when the last reply came */
    uint64_t epoch;      /* of the server that it is connected to */
    uint64_t connection; /* its number */
    struct session *session;
    char run_id[41];
    struct request *first, *last; /* in order; those that were sent come first */
    size_t pending;
    const struct script *scripts;
    size_t script_count;
};

/* --- open and close --- */

static void connect_soon(struct store *s, uint64_t in_us)
{
    s->connecting = true;
    s->connect_us = s->world->now_us + in_us;
    proc_wake(s->proc, s->connect_us);
}

struct store *store_open(struct loop *loop, const struct store_options *options, struct err *e)
{
    (void)e;
    struct store *s = xcalloc(1, sizeof *s);
    s->proc = loop_proc(loop);
    s->world = s->proc->world;
    s->options = *options;
    s->timeout_us = options->command_timeout_ms * MS;
    s->break_us = NEVER;
    s->proc->store = s;
    connect_soon(s, world_delay(s->world));
    return s;
}

static void session_unref(struct session *session)
{
    if (!session || --session->refs > 0) return;
    for (size_t i = 0; i < WATCHED_MAX; i++) buf_done(&session->watched[i].key);
    free(session);
}

static void request_free(struct request *q)
{
    arena_done(&q->arena);
    session_unref(q->session);
    free(q->lengths);
    free(q->argv);
    free(q);
}

static struct request *take_first(struct store *s)
{
    struct request *q = s->first;
    s->first = q->next;
    if (!s->first) s->last = NULL;
    s->pending--;
    return q;
}

/* Its caller gets no answer; what is on the wire goes on alone. */
static void request_lost(struct request *q)
{
    store_fn done = q->done;
    void *user = q->user;
    q->store = NULL;
    q->gone_us = q->world->now_us;
    if (!q->sent || q->executed || q->fails) request_free(q);
    if (done) done(user, STORE_LOST, NULL);
}

struct store *store_close(struct store *s)
{
    if (!s) return NULL;
    s->connected = false;
    struct request *q;
    s->proc->store = NULL;
    while (s->first) {
        q = take_first(s);
        request_lost(q);
    }
    session_unref(s->session);
    free(s);
    return NULL;
}

uint64_t store_connection(const struct store *s)
{
    return s->connected ? s->connection : 0;
}

bool store_connected(const struct store *s)
{
    return s->connected;
}

const char *store_run_id(const struct store *s)
{
    return s->run_id;
}

bool store_error(const struct store *s, struct err *ret)
{
    if (s->connected) return false;
    *ret = (struct err){ .kind = ERR_UNAVAILABLE, .text = "simulated: no connection" };
    return true;
}

void store_push(struct store *s)
{
    (void)s;
}

size_t store_pending(const struct store *s)
{
    return s->pending;
}

/* Processes start often and hash all of their scripts. */
struct script script_make(const char *name, const char *source)
{
    static _Thread_local struct script made[64];
    struct script *script = &made[(uintptr_t)source / 16 % ARRAY_LEN(made)];
    if (script->source == source) return *script;
    *script = (struct script){ .name = name, .source = source };
    sha1_hex(bytes_of(source), script->sha1);
    return *script;
}

void store_use_scripts(struct store *s, const struct script *scripts, size_t count)
{
    s->scripts = scripts;
    s->script_count = count;
}

static struct request *request_make(struct world *w, struct proc *p, const struct script *script,
                                    size_t key_count, const struct bytes *argv, size_t argc)
{
    size_t size = 0;
    for (size_t i = 0; i < argc; i++) size += argv[i].len + 1;
    struct request *q = xcalloc(1, sizeof *q);
    *q = (struct request){ .world = w,
                           .proc = p,
                           .script = script ? *script : (struct script){ 0 },
                           .name = script ? script->name : "command",
                           .key_count = key_count,
                           .argc = argc };
    q->argv = xmalloc(argc * sizeof *q->argv + size + 1);
    char *at = (char *)(q->argv + argc);
    for (size_t i = 0; i < argc; i++) {
        if (argv[i].len) memcpy(at, argv[i].data, argv[i].len);
        at[argv[i].len] = '\0';
        q->argv[i] = (struct bytes){ at, argv[i].len };
        at += argv[i].len + 1;
    }
    return q;
}

/* --- a request's way --- */

static void add_content(void *user, struct bytes field, struct bytes value)
{
    uint64_t *sum = user;
    *sum += (hash_bytes(field) | 1) * (hash_bytes(value) | 1);
}

static uint64_t content_of(const struct world *w, struct bytes key)
{
    uint64_t sum = 0;
    redis_each_field(w->redis, key, add_content, &sum);
    return sum;
}

static const struct store_reply *simple_reply(struct request *q, enum store_type type)
{
    struct store_reply *reply = arena_alloc(&q->arena, sizeof *reply);
    *reply = (struct store_reply){ .type = type };
    return reply;
}

/* WATCH and UNWATCH, which are about the connection and not the data; NULL: it is neither. */
static const struct store_reply *watch(struct request *q)
{
    struct session *session = q->session;
    if (bytes_is(q->argv[0], "WATCH")) {
        for (size_t i = 1; i < q->argc; i++) {
            ASSERT(session->count < WATCHED_MAX);
            struct watched *watched = &session->watched[session->count++];
            buf_reset(&watched->key);
            buf_add(&watched->key, q->argv[i].data, q->argv[i].len);
            watched->content = content_of(q->world, q->argv[i]);
        }
    } else if (bytes_is(q->argv[0], "UNWATCH")) {
        session->count = 0;
    } else {
        return NULL;
    }
    return simple_reply(q, STORE_STRING);
}

/* Now and then the key counts as changed though it is as it was, as if somebody had written to it
 * what it held. */
static bool watched_changed(struct request *q)
{
    const struct session *session = q->session;
    struct world *w = q->world;
    if (mutant_get() == MUTANT_NO_WATCH || mutant_get() == MUTANT_NO_FENCE) return false;
    for (size_t i = 0; i < session->count; i++)
        if (content_of(w, buf_bytes(&session->watched[i].key)) != session->watched[i].content)
            return true;
    return session->count && world_faulty(w) && prng_chance(&w->faults, w->options.watch_lost_ppm);
}

static void execute_all(struct request *q)
{
    struct world *w = q->world;
    struct store_commands commands = { q->argv, q->lengths, q->command_count };
    if (watched_changed(q))
        q->reply = simple_reply(q, STORE_NIL);
    else
        q->reply = redis_exec(w->redis, &commands, &q->arena);
    q->session->count = 0;
}

static void execute_one(struct request *q)
{
    struct world *w = q->world;
    struct script rewritten;
    const struct script *script = &q->script;
    if (mutant_get() != MUTANT_NONE && script->source) script = mutant_script(script, &rewritten);
    if (script->source)
        q->reply = redis_script(w->redis, script->sha1, script->source, q->key_count, q->argv,
                                q->argc, &q->arena);
    else if (!(q->reply = watch(q)))
        q->reply = redis_call(w->redis, q->argv, q->argc, &q->arena);
}

static void execute(struct request *q)
{
    struct world *w = q->world;
    redis_set_time(w->redis, world_wall_ms(w));
    oracle_before(w, q->proc, q->name, q->argv, q->argc);
    if (q->lengths)
        execute_all(q);
    else
        execute_one(q);
    q->executed = true;
    if (!q->copy) oracle_executed(w, q->proc, q->name, q->argv, q->argc, q->key_count, q->reply);
}

static void copy_arrives(void *user)
{
    struct request *q = user;
    struct world *w = q->world;
    if (!w->closing && q->epoch == w->redis_epoch && w->redis_down_us <= w->now_us) {
        trace(w, q->proc, "%s comes a second time", q->name);
        q->copy = true;
        execute(q);
    }
    request_free(q);
}

/* What a client or a proxy that asks again would do. */
static void send_copy(const struct request *q)
{
    struct world *w = q->world;
    if (!world_faulty(w) || strcmp(q->name, "takeover") != 0 ||
        !prng_chance(&w->faults, w->options.takeover_copy_ppm))
        return;
    struct request *copy = request_make(w, q->proc, &q->script, q->key_count, q->argv, q->argc);
    copy->epoch = q->epoch;
    world_fault(w, "a takeover of %s will come a second time", q->proc->name);
    world_in(w, prng_range(&w->faults, MS, 3 * SECOND), copy_arrives, copy);
}

static void request_arrives(void *user)
{
    struct request *q = user;
    struct world *w = q->world;
    const struct proc *p = q->proc;
    bool gone = !q->store;
    if (w->closing || q->fails || (gone && q->wire_us > q->gone_us)) {
        if (gone)
            request_free(q);
        else
            q->fails = true; /* freed when it is given up */
        return;
    }
    if (!gone && p->state == PROC_STOPPED && q->wire_us > p->stopped_us) {
        q->wire_us += p->resume_us - p->stopped_us;
        q->store->last_us = MAX(q->store->last_us + 1, p->resume_us + world_delay(w));
        world_at(w, q->store->last_us, request_arrives, q);
        return;
    }
    if (w->redis_down_us > w->now_us || q->epoch != w->redis_epoch ||
        (!gone && p->store_cut_us > w->now_us)) {
        if (gone)
            request_free(q);
        else
            q->fails = true;
        return;
    }
    send_copy(q);
    execute(q);
    if (gone) {
        trace(w, p, "%s of a dead connection is executed all the same", q->name);
        request_free(q);
        return;
    }
    q->reply_us = w->now_us + world_delay(w);
    proc_wake(q->store->proc, q->reply_us);
}

static void request_send(struct request *q)
{
    struct store *s = q->store;
    struct world *w = s->world;
    q->sent = true;
    if (proc_silent(s->proc)) {
        q->fails = true; /* nothing leaves a dead process */
        return;
    }
    q->epoch = s->epoch;
    q->session = s->session;
    q->session->refs++;
    q->wire_us = w->now_us + prng_below(&w->net, 200);
    s->last_us = MAX(s->last_us + 1, q->wire_us + world_delay(w));
    world_at(w, s->last_us, request_arrives, q);
    proc_output(s->proc);
}

static void request_new(struct store *s, struct request *q, store_fn done, void *user)
{
    q->store = s;
    q->done = done;
    q->user = user;
    q->asked_us = s->world->now_us;
    if (s->last)
        s->last->next = q;
    else
        s->first = q;
    s->last = q;
    s->pending++;
    if (s->connected)
        request_send(q);
    else
        proc_wake(s->proc, q->asked_us + s->timeout_us);
    if (s->connected) proc_wake(s->proc, q->asked_us + s->timeout_us);
}

void store_command(struct store *s, const struct bytes *argv, size_t argc, store_fn done,
                   void *user)
{
    if (s->proc->store == s)
        request_new(s, request_make(s->world, s->proc, NULL, 0, argv, argc), done, user);
}

void store_script(struct store *s, const struct script *script, size_t key_count,
                  const struct bytes *argv, size_t argc, store_fn done, void *user)
{
    if (s->proc->store == s)
        request_new(s, request_make(s->world, s->proc, script, key_count, argv, argc), done, user);
}

void store_exec(struct store *s, uint64_t connection, const struct store_commands *commands,
                store_fn done, void *user)
{
    if (s->proc->store != s) return;
    ASSERT(connection && connection == store_connection(s)); /* it is asked for by a reply */
    size_t words = 0;
    for (size_t i = 0; i < commands->count; i++) words += commands->lengths[i];
    struct request *q = request_make(s->world, s->proc, NULL, 0, commands->words, words);
    q->name = "commit";
    q->command_count = commands->count;
    q->lengths = xmalloc(commands->count * sizeof *q->lengths);
    memcpy(q->lengths, commands->lengths, commands->count * sizeof *q->lengths);
    request_new(s, q, done, user);
}

/* --- what the process hears, in its turn --- */

static void connection_lost(struct store *s)
{
    s->connected = false;
    s->break_us = NEVER;
    if (s->options.on_disconnect) s->options.on_disconnect(s->options.user);
    /* What is asked meanwhile waits behind, for the next connection. */
    size_t sent = 0;
    for (struct request *q = s->first; q && q->sent; q = q->next) sent++;
    while (sent-- && s->proc->store) request_lost(take_first(s));
    if (s->proc->store) connect_soon(s, prng_range(&s->world->net, 20 * MS, 500 * MS));
}

static void try_connect(struct store *s)
{
    struct world *w = s->world;
    s->connecting = false;
    if (w->redis_down_us > w->now_us || s->proc->store_cut_us > w->now_us) {
        connect_soon(s, prng_range(&w->net, 50 * MS, 500 * MS));
        return;
    }
    s->connected = true;
    s->connection++;
    session_unref(s->session);
    s->session = xcalloc(1, sizeof *s->session);
    s->session->refs = 1;
    s->heard_us = w->now_us;
    s->epoch = w->redis_epoch;
    s->last_us = 0; /* order is kept within a connection only */
    snprintf(s->run_id, sizeof s->run_id, "%s", redis_run_id(w->redis));
    trace(w, s->proc, "is connected to Redis %.8s", s->run_id);
    if (s->options.on_connect) s->options.on_connect(s->options.user, s->run_id);
    for (struct request *q = s->first; q; q = q->next)
        if (!q->sent) request_send(q);
}

/* What waits for a connection has the command time-out, too. */
static void expire_waiting(struct store *s)
{
    while (s->first && !s->first->sent && s->world->now_us >= s->first->asked_us + s->timeout_us &&
           s->proc->store == s)
        request_lost(take_first(s));
}

static bool reply_first(struct store *s)
{
    struct request *q = s->first;
    if (!q || !q->executed || q->reply_us > s->world->now_us || !s->connected) return false;
    (void)take_first(s);
    s->heard_us = s->world->now_us;
    s->world->counters.steps++;
    bool error = store_type(q->reply) == STORE_ERROR_TEXT;
    if (q->done) q->done(q->user, error ? STORE_ERROR : STORE_OK, q->reply);
    request_free(q);
    return true;
}

void store_fake_break(struct store *s)
{
    if (!s->connected) return;
    s->break_us = MIN(s->break_us, s->world->now_us + world_delay(s->world));
    proc_wake(s->proc, s->break_us);
}

void store_fake_deliver(struct store *s)
{
    struct world *w = s->world;
    struct proc *p = s->proc;
    if (s->connecting && s->connect_us <= w->now_us) try_connect(s);
    if (p->store_cut_us <= w->now_us)
        for (int i = 0; i < 512 && p->store == s && w->now_us < s->break_us && reply_first(s);) i++;
    if (p->store != s) return;
    if (s->connected && s->break_us <= w->now_us) connection_lost(s);
    if (s->connected && s->first && s->first->sent) {
        uint64_t since = MAX(s->first->asked_us, s->heard_us);
        if (w->now_us >= since + s->timeout_us) connection_lost(s);
    }
    expire_waiting(s);
    store_fake_wake(s);
}

void store_fake_wake(struct store *s)
{
    if (s->connecting) proc_wake(s->proc, s->connect_us);
    if (s->break_us != NEVER) proc_wake(s->proc, s->break_us);
    const struct request *q = s->first;
    if (!q) return;
    if (q->executed && s->connected) proc_wake(s->proc, MAX(q->reply_us, s->proc->store_cut_us));
    uint64_t since = q->sent ? MAX(q->asked_us, s->heard_us) : q->asked_us;
    proc_wake(s->proc, since + s->timeout_us);
}
