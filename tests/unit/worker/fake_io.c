/* SPDX-License-Identifier: Apache-2.0
 *
 * The fake bus, store and pool. See fake_io.h. */
#include "fake_io.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/id.h"

#define TASKS 128 /* task ids by letter */
#define QUEUE 4096

struct sent {
    struct bus_waiter *waiter;
    char task;
};

struct asked {
    const char *script;
    size_t keys, argc;
    struct buf *argv;
    store_fn done;
    void *user;
};

struct record {
    struct bytes header[HEADER_COUNT];
    struct buf text[HEADER_COUNT];
    struct buf value;
    int refs; /* the delivery's, and the worker's while it holds the record */
};

struct fake {
    struct loop *loop;
    struct bus_group_options group;
    bool joined, up, hold, hold_replies;
    int lose; /* replies of the store that do not come */
    int fail;
    struct buf journal;
    struct sent sent[QUEUE];
    size_t sent_count;
    struct asked asked[QUEUE];
    size_t asked_count;
    char lease[TASKS][16], renew[TASKS][16], mark[TASKS][64], gen[32];
    int64_t log_end;                /* of the log that results go to */
    struct buf stored_name, stored; /* one plain key of the store */
    struct buf value[TASKS], header[TASKS][HEADER_COUNT];
    void (*left)(void *user);
    void *left_user;
    /* http */
    struct http_request request;
    struct buf url, body, names[40], values[40];
    uint32_t calls;
    size_t aborts;
    bool open;
};

/* The io headers name no instance but their own; all of them are this one. */
#define FAKE(p) ((struct fake *)(void *)(p))

struct fake *fake_new(struct loop *loop)
{
    struct fake *f = xcalloc(1, sizeof *f);
    f->loop = loop;
    f->up = true;
    fake_gen(f, FAKE_GEN);
    return f;
}

struct bus *fake_bus(struct fake *f)
{
    return (struct bus *)(void *)f;
}
struct store *fake_store(struct fake *f)
{
    return (struct store *)(void *)f;
}
struct http_pool *fake_pool(struct fake *f)
{
    return (struct http_pool *)(void *)f;
}

static void note(struct fake *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void note(struct fake *f, const char *fmt, ...)
{
    char line[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    buf_add_text(&f->journal, line);
    buf_add_char(&f->journal, '\n');
}

const char *fake_journal(const struct fake *f)
{
    return f->journal.data ? f->journal.data : "";
}

size_t fake_count(const struct fake *f, const char *line)
{
    size_t n = 0, len = strlen(line);
    for (const char *at = fake_journal(f); *at;) {
        const char *end = strchr(at, '\n');
        if ((size_t)(end - at) == len && !memcmp(at, line, len)) n++;
        at = end + 1;
    }
    return n;
}

/* A task id of ours is 32 times its letter's hex pair; the letter is found from the path. */
static void task_id_of(char letter, char ret[TASK_ID_MAX])
{
    const char run[] = "0123456789abcdef-0123456789abcdef01234567";
    char path[2] = { letter, 0 };
    task_id_make(ret, bytes_of(run), bytes_of(path), 1);
}

static char letter_of(struct bytes id)
{
    for (char c = 'A'; c <= 'z'; c++) {
        char at[TASK_ID_MAX];
        task_id_of(c, at);
        if (bytes_is(id, at)) return c;
    }
    return '?';
}

/* --- store --- */

struct store_reply {
    enum store_type type;
    int64_t integer;
    struct bytes string;
    size_t count;
    struct store_reply *at;
};

bool store_connected(const struct store *s)
{
    return FAKE(s)->up;
}
const char *store_run_id(const struct store *s)
{
    (void)s;
    return FAKE_RUN_ID;
}
enum store_type store_type(const struct store_reply *r)
{
    return r ? r->type : STORE_NIL;
}
int64_t store_integer(const struct store_reply *r)
{
    return r ? r->integer : 0;
}
struct bytes store_string(const struct store_reply *r)
{
    return r ? r->string : (struct bytes){ 0 };
}
size_t store_count(const struct store_reply *r)
{
    return r ? r->count : 0;
}
const struct store_reply *store_at(const struct store_reply *r, size_t i)
{
    cr_assert(i < store_count(r), "there is no such element");
    return &r->at[i];
}
void store_use_scripts(struct store *s, const struct script *scripts, size_t count)
{
    (void)s, (void)scripts, (void)count;
}
struct script script_make(const char *name, const char *source)
{
    return (struct script){ .name = name, .source = source };
}
void store_command(struct store *s, const struct bytes *argv, size_t argc, store_fn done,
                   void *user)
{
    struct fake *f = FAKE(s);
    if (bytes_is(argv[0], "SET")) {
        cr_assert(argc == 5 && !done && bytes_is(argv[3], "PX"));
        note(f, "set %.*s", (int)argv[4].len, argv[4].data);
        buf_reset(&f->stored_name);
        buf_reset(&f->stored);
        buf_add(&f->stored_name, argv[1].data, argv[1].len);
        buf_add(&f->stored, argv[2].data, argv[2].len);
        return;
    }
    static const char *const names[] = { "GET", "HSET", "PEXPIRE" };
    const char *name = NULL;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (bytes_is(argv[0], names[i])) name = names[i];
    cr_assert_not_null(name, "%s", argv[0].data);
    store_script(s, &(struct script){ .name = name }, 1, argv + 1, argc - 1, done, user);
}
void store_script(struct store *s, const struct script *script, size_t key_count,
                  const struct bytes *argv, size_t argc, store_fn done, void *user)
{
    struct fake *f = FAKE(s);
    struct asked *a = &f->asked[f->asked_count++];
    cr_assert(f->asked_count < QUEUE);
    *a = (struct asked){
        .script = script->name, .keys = key_count, .argc = argc, .done = done, .user = user
    };
    a->argv = xcalloc(argc, sizeof *a->argv);
    for (size_t i = 0; i < argc; i++) buf_add(&a->argv[i], argv[i].data, argv[i].len);
}

static struct store_reply text_reply(const char *text)
{
    return (struct store_reply){ .type = STORE_STRING, .string = bytes_of(text) };
}

/* Of each hash how many tasks it has, its TTL, and the tasks: a verdict for each. */
static void answer_tasks(struct fake *f, struct asked *a, size_t first, const char *line,
                         char verdicts[TASKS][16], const char *otherwise, struct store_reply *r)
{
    for (size_t i = first; i < a->argc;) {
        size_t end = i + 2 + strtoul(a->argv[i].data, NULL, 10);
        for (i += 2; i < end; i++) {
            char c = letter_of(buf_bytes(&a->argv[i]));
            note(f, "%s %c", line, c);
            r->at[r->count++] = text_reply(verdicts[(int)c][0] ? verdicts[(int)c] : otherwise);
        }
    }
}

static void answer_marks(struct fake *f, struct asked *a)
{
    for (size_t i = 1; i < a->argc; i += 2) {
        char c = letter_of(buf_bytes(&a->argv[i]));
        note(f, "done %c", c);
        snprintf(f->mark[(int)c], sizeof f->mark[0], "%s %s", a->argv[0].data, a->argv[i + 1].data);
    }
}

/* What Redis would answer, and the journal's line for each task. */
static void answer(struct fake *f, struct asked *a)
{
    struct store_reply at[600] = { 0 }, r = { .type = STORE_ARRAY, .at = at };
    if (!strcmp(a->script, "lease")) {
        at[r.count++] = text_reply(f->gen);
        if (f->gen[0] && bytes_is(buf_bytes(&a->argv[a->keys]), f->gen))
            answer_tasks(f, a, a->keys + 3, "ask", f->lease, "T", &r);
    } else if (!strcmp(a->script, "renew")) {
        answer_tasks(f, a, a->keys + 2, "renew", f->renew, "R", &r);
    } else if (!strcmp(a->script, "HSET")) {
        answer_marks(f, a);
        r = (struct store_reply){ .type = STORE_INTEGER };
    } else if (!strcmp(a->script, "PEXPIRE")) {
        note(f, "keep %s", a->argv[2].data);
        r = (struct store_reply){ .type = STORE_INTEGER };
    } else if (!strcmp(a->script, "GET")) {
        note(f, "get");
        if (bytes_equal(buf_bytes(&a->argv[0]), buf_bytes(&f->stored_name)))
            r = (struct store_reply){ .type = STORE_STRING, .string = buf_bytes(&f->stored) };
    } else if (!strcmp(a->script, "breaker")) {
        at[0] = text_reply("closed");
        at[1] = at[2] = at[3] = (struct store_reply){ .type = STORE_INTEGER };
        r.count = 4;
    } else {
        for (size_t i = 0; i < a->keys; i++)
            note(f, "%s %c", a->script, letter_of(buf_bytes(&a->argv[a->keys + 1 + i])));
    }
    bool lost = !f->up || f->lose > 0;
    f->lose -= f->lose > 0;
    a->done(a->user, lost ? STORE_LOST : STORE_OK, lost ? NULL : &r);
}

static bool answer_all(struct fake *f)
{
    if (f->hold_replies || !f->asked_count) return false;
    size_t count = f->asked_count;
    struct asked *all = xmalloc(count * sizeof *all);
    memcpy(all, f->asked, count * sizeof *all);
    f->asked_count = 0;
    for (size_t i = 0; i < count; i++) {
        answer(f, &all[i]);
        for (size_t k = 0; k < all[i].argc; k++) buf_done(&all[i].argv[k]);
        free(all[i].argv);
    }
    free(all);
    return true;
}

void fake_lease_verdict(struct fake *f, char task, const char *verdict)
{
    snprintf(f->lease[(int)task], sizeof f->lease[0], "%s", verdict);
}
const char *fake_mark(const struct fake *f, char task)
{
    return f->mark[(int)task];
}
void fake_renew_verdict(struct fake *f, char task, const char *verdict)
{
    snprintf(f->renew[(int)task], sizeof f->renew[0], "%s", verdict);
}
void fake_gen(struct fake *f, const char *gen)
{
    snprintf(f->gen, sizeof f->gen, "%s", gen);
}
void fake_lose_replies(struct fake *f, int count)
{
    f->lose = count;
}
void fake_hold_replies(struct fake *f, bool hold)
{
    f->hold_replies = hold;
}
const char *fake_stored(const struct fake *f)
{
    return f->stored.data;
}
const char *fake_stored_name(const struct fake *f)
{
    return f->stored_name.data ? f->stored_name.data : "";
}
void fake_store_up(struct fake *f, bool up)
{
    f->up = up;
}

/* --- bus --- */

bool bus_send(struct bus *bus, const struct bus_message *m, struct bus_waiter *w, struct err *e)
{
    (void)e;
    struct fake *f = FAKE(bus);
    char c =
        m->header && m->header[HEADER_TASK_ID].data ? letter_of(m->header[HEADER_TASK_ID]) : '?';
    if (strstr(m->topic, ".dlq"))
        note(f, "dead %.*s", (int)m->value.len, m->value.data);
    else
        note(f, "send %.*s %c", (int)m->header[HEADER_TYPE].len, m->header[HEADER_TYPE].data, c);
    buf_reset(&f->value[(int)c]);
    buf_add(&f->value[(int)c], m->value.data, m->value.len);
    for (int h = 0; h < HEADER_COUNT; h++) {
        buf_reset(&f->header[(int)c][h]);
        if (m->header[h].data) buf_add(&f->header[(int)c][h], m->header[h].data, m->header[h].len);
    }
    f->sent[f->sent_count++] = (struct sent){ .waiter = w, .task = c };
    cr_assert(f->sent_count < QUEUE);
    return true;
}

static bool ack_all(struct fake *f)
{
    if (f->hold || !f->sent_count) return false;
    size_t count = f->sent_count;
    struct sent *all = xmalloc(count * sizeof *all);
    memcpy(all, f->sent, count * sizeof *all);
    f->sent_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct bus_delivery d = { .offset = ++f->log_end };
        if (f->fail > 0) {
            f->fail--;
            d.error = "made to fail";
        } else
            note(f, "ack %c", all[i].task);
        all[i].waiter->done(all[i].waiter, &d);
    }
    free(all);
    return true;
}

struct bus_group *bus_join(struct bus *bus, const struct bus_group_options *o, struct err *e)
{
    (void)e;
    FAKE(bus)->group = *o;
    FAKE(bus)->joined = true;
    return (struct bus_group *)(void *)bus;
}
void bus_read(struct bus_group *g, const char *topic, int32_t partition, int64_t offset,
              uint32_t credit)
{
    (void)g, (void)topic, (void)partition, (void)credit;
    cr_assert(offset == BUS_COMMITTED || offset == BUS_START);
}
void bus_credit(struct bus_group *g, const char *topic, int32_t partition, uint32_t more)
{
    (void)g, (void)topic, (void)partition, (void)more;
}
void bus_commit(struct bus_group *g, const char *topic, int32_t partition, int64_t offset)
{
    (void)topic, (void)partition;
    note(FAKE(g), "commit %ld", (long)offset);
}
void bus_leave(struct bus_group *g, void (*done)(void *user), void *user)
{
    note(FAKE(g), "leave");
    FAKE(g)->left = done;
    FAKE(g)->left_user = user;
}
void bus_topic_info(struct bus *bus, const char *topic,
                    void (*done)(void *, int32_t, const char *, const struct err *), void *user)
{
    (void)bus, (void)topic, (void)done, (void)user;
}
void fake_assign(struct fake *f, const char *topic, int32_t partition)
{
    f->group.on_assign(f->group.user, topic, partition);
}
void fake_revoke(struct fake *f, const char *topic, int32_t partition)
{
    f->group.on_revoke(f->group.user, topic, partition, false);
}
struct bus_held *bus_record_hold(const struct bus_record *r)
{
    ((struct record *)r->owner)->refs++;
    return r->owner;
}
void bus_record_release(struct bus_held *h)
{
    struct record *r = (struct record *)(void *)h;
    if (--r->refs > 0) return;
    for (int i = 0; i < HEADER_COUNT; i++) buf_done(&r->text[i]);
    buf_done(&r->value);
    free(r);
}

static void put(struct record *r, enum message_header h, const char *text)
{
    buf_add_text(&r->text[h], text);
    r->header[h] = buf_bytes(&r->text[h]);
}
static void put_int(struct record *r, enum message_header h, int64_t v)
{
    buf_add_int(&r->text[h], v);
    r->header[h] = buf_bytes(&r->text[h]);
}

void fake_deliver(struct fake *f, const struct fake_task *t)
{
    struct record *r = xcalloc(1, sizeof *r);
    r->refs = 1;
    char id[TASK_ID_MAX], path[2] = { t->task, 0 };
    task_id_of(t->task, id);
    put(r, HEADER_V, MESSAGE_VERSION);
    put(r, HEADER_TYPE, "task");
    put(r, HEADER_RUN_ID, "0123456789abcdef-0123456789abcdef01234567");
    put(r, HEADER_PATH, path);
    put(r, HEADER_ATTEMPT, "1");
    put(r, HEADER_TASK_ID, id);
    put(r, HEADER_REPLY_TO, "tutti.events/3");
    put(r, HEADER_GEN, t->gen ? t->gen : FAKE_GENERATION);
    if (!t->broken) put(r, HEADER_KIND, t->kind ? t->kind : "task");
    put(r, HEADER_USES, t->uses ? t->uses : "noop");
    put(r, HEADER_IDEMPOTENCY_KEY, "once");
    if (t->secrets) put(r, HEADER_SECRETS, t->secrets);
    if (t->deadline_ms) put_int(r, HEADER_DEADLINE_MS, t->deadline_ms);
    if (t->timeout_ms) put_int(r, HEADER_TIMEOUT_MS, t->timeout_ms);
    if (t->cache_ttl_ms) put(r, HEADER_CACHE_TTL_MS, t->cache_ttl_ms);
    if (t->cache_key) put(r, HEADER_CACHE_KEY, t->cache_key);
    if (t->marks) put(r, HEADER_MARKS, t->marks);
    buf_add_text(&r->value, t->value ? t->value : "{\"x\":1}");
    struct bus_record record = { .topic = t->topic ? t->topic : "tutti.tasks.default",
                                 .partition = t->partition,
                                 .offset = t->offset,
                                 .owner = r,
                                 .message = { .key = buf_bytes(&r->text[HEADER_TASK_ID]),
                                              .value = buf_bytes(&r->value) } };
    memcpy(record.message.header, r->header, sizeof r->header);
    f->group.on_record(f->group.user, &record);
    bus_record_release((struct bus_held *)(void *)r);
}

void fake_hold_acks(struct fake *f, bool hold)
{
    f->hold = hold;
}
void fake_fail_acks(struct fake *f, int count)
{
    f->fail = count;
}
const char *fake_value(const struct fake *f, char task)
{
    return f->value[(int)task].data;
}
const char *fake_header(const struct fake *f, char task, enum message_header h)
{
    return f->header[(int)task][h].data;
}

/* --- http --- */

bool http_start(struct http_pool *pool, const struct http_request *q, struct http_id *ret,
                struct err *e)
{
    (void)e;
    struct fake *f = FAKE(pool);
    f->request = *q;
    buf_reset(&f->url);
    buf_add_text(&f->url, q->url);
    buf_reset(&f->body);
    buf_add(&f->body, q->body.data, q->body.len);
    cr_assert(q->header_count < ARRAY_LEN(f->names));
    for (size_t i = 0; i < q->header_count; i++) {
        buf_reset(&f->names[i]);
        buf_add_text(&f->names[i], q->headers[i].name);
        buf_reset(&f->values[i]);
        buf_add_text(&f->values[i], q->headers[i].value);
    }
    f->open = true;
    f->calls++;
    *ret = (struct http_id){ .slot = 1, .generation = f->calls };
    return true;
}
void http_abort(struct http_pool *pool, struct http_id id)
{
    (void)id;
    FAKE(pool)->aborts++;
    if (FAKE(pool)->open) FAKE(pool)->open = false;
}
const char *http_response_header(const struct http_response *r, const char *name)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (!strcmp(r->headers[i].name, name)) return r->headers[i].value;
    return NULL;
}
const char *http_outcome_name(enum http_outcome outcome)
{
    return outcome == HTTP_DONE ? "done" : "failed";
}
size_t fake_requests(const struct fake *f)
{
    return f->calls;
}
const struct http_request *fake_request(const struct fake *f)
{
    return &f->request;
}
const char *fake_request_body(const struct fake *f)
{
    return f->body.data ? f->body.data : "";
}
const char *fake_request_url(const struct fake *f)
{
    return f->url.data ? f->url.data : "";
}
const char *fake_request_header(const struct fake *f, const char *name)
{
    for (size_t i = 0; i < f->request.header_count; i++)
        if (!strcasecmp(f->names[i].data, name)) return f->values[i].data;
    return NULL;
}
void fake_respond(struct fake *f, const struct http_response *r)
{
    cr_assert(f->open);
    f->open = false;
    f->request.on_done(f->request.user, r);
}
size_t fake_aborts(const struct fake *f)
{
    return f->aborts;
}

/* --- turning --- */

void fake_turn(struct fake *f)
{
    for (bool busy = true; busy;) {
        loop_turn(f->loop, 0);
        busy = answer_all(f);
        busy = ack_all(f) || busy;
        if (f->left) {
            void (*left)(void *) = TAKE(f->left);
            left(f->left_user);
        }
    }
}

bool fake_until(struct fake *f, const char *line, uint32_t wait_ms)
{
    uint64_t end = clock_mono_ms() + wait_ms;
    for (;;) {
        fake_turn(f);
        if (fake_count(f, line)) return true;
        if (clock_mono_ms() >= end) return false;
        loop_turn(f->loop, 10);
    }
}

void fake_free(struct fake *f)
{
    f->up = f->hold_replies = false;
    answer_all(f);
    for (size_t i = 0; i < f->sent_count; i++)
        f->sent[i].waiter->done(f->sent[i].waiter, &(struct bus_delivery){ .error = "closed" });
    for (int c = 0; c < TASKS; c++) {
        buf_done(&f->value[c]);
        for (int h = 0; h < HEADER_COUNT; h++) buf_done(&f->header[c][h]);
    }
    for (size_t i = 0; i < ARRAY_LEN(f->names); i++) {
        buf_done(&f->names[i]);
        buf_done(&f->values[i]);
    }
    buf_done(&f->journal);
    buf_done(&f->stored);
    buf_done(&f->stored_name);
    buf_done(&f->url);
    buf_done(&f->body);
    free(f);
}
