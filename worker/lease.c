/* SPDX-License-Identifier: Apache-2.0
 *
 * Leases in Redis: one script for all tasks of a partition and turn. A reply that never came is
 * asked for again, which is safe: a lease that is ours already is taken again, unless it has run
 * out, for then another worker may have said so.
 *
 * What Redis pays for is words: those of a script become Lua strings. Tasks of a partition mostly
 * share one or two hashes of marks, so a hash is named once for all of its tasks, and done marks,
 * which nothing has to be decided for, are plain commands.
 *
 * A generation is compared on both sides. The script leases nothing unless `gen` is the one that
 * the worker holds to be current, and the worker leases only tasks of that generation; tasks of
 * another one ask for the generation alone, because it may be the worker's knowledge that is old.
 */
#include "worker/lease.h"

#include <stdlib.h>

#include "common/base/limits.h"
#include "common/base/mutant.h"
#include "worker/call.h"

#define NO_OWNER_MS 200               /* nobody owns the partition yet: ask again after */
#define PARK_MS_MAX 5000              /* a parked task looks for a done key this often */
#define REFUSED_MS  500               /* Redis answers with an error: ask again after */
#define MARK_TTL_MS (600 * SECOND_MS) /* a mark outlives its lease by this, or by the deadline */

/* Arguments of a command in one buffer. */
struct args {
    struct buf text;
    struct bytes *argv;
    size_t count, cap, start;
};

static void args_end(struct args *a)
{
    if (a->count == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 64;
        a->argv = xrealloc(a->argv, a->cap * sizeof *a->argv);
    }
    a->argv[a->count++].len = a->text.len - a->start;
    a->start = a->text.len;
}

static void args_text(struct args *a, const char *text)
{
    buf_add_text(&a->text, text);
    args_end(a);
}

static void args_int(struct args *a, int64_t value)
{
    buf_add_int(&a->text, value);
    args_end(a);
}

/* The buffer moves while it grows, so the views are made last. */
static void args_views(struct args *a)
{
    const char *at = a->text.data;
    for (size_t i = 0; i < a->count; i++) {
        a->argv[i].data = at;
        at += a->argv[i].len;
    }
}

static void args_done(struct args *a)
{
    buf_done(&a->text);
    free(a->argv);
}

static void args_bytes(struct args *a, struct bytes value)
{
    buf_add(&a->text, value.data, value.len);
    args_end(a);
}

/* One script under way, or the commands for one lot of done marks. */
struct batch {
    struct worker *w;
    struct part *part;
    bool learn;  /* asks for the generation alone */
    bool failed; /* done marks: of a command */
    uint64_t sent_ms;
    size_t replies; /* done marks: that are still to come */
    size_t count;
    struct batch_entry **order; /* by hash of marks; NULL before batch_sort */
    struct batch_entry {
        struct call *call;
        uint64_t serial;
        size_t place; /* in order */
    } entry[];
};

static struct batch *batch_new(struct worker *w, struct part *p, size_t max)
{
    struct batch *b = xmalloc(sizeof *b + max * sizeof b->entry[0]);
    *b = (struct batch){ .w = w, .part = p, .sent_ms = loop_now_ms(w->loop) };
    return b;
}

static void batch_free(struct batch *b)
{
    free(b->order);
    free(b);
}

static void batch_add(struct batch *b, struct call *c)
{
    b->entry[b->count++] = (struct batch_entry){ .call = c, .serial = c->serial };
}

static int by_marks(const void *a_, const void *b_)
{
    const struct batch_entry *a = *(const struct batch_entry *const *)a_;
    const struct batch_entry *b = *(const struct batch_entry *const *)b_;
    struct bytes left = a->call->task.marks, right = b->call->task.marks;
    if (left.len != right.len) return left.len < right.len ? -1 : 1;
    int differ = left.len ? memcmp(left.data, right.data, left.len) : 0;
    return differ ? differ : (a > b) - (a < b);
}

/* Tasks of one hash of marks come to stand beside each other in order. The entries stay: calls
 * begin in the order in which they had their turn. */
static void batch_sort(struct batch *b)
{
    b->order = xmalloc(b->count * sizeof *b->order);
    for (size_t i = 0; i < b->count; i++) b->order[i] = &b->entry[i];
    qsort(b->order, b->count, sizeof *b->order, by_marks);
    for (size_t i = 0; i < b->count; i++) b->order[i]->place = i;
}

/* The end of the tasks in order that share the hash of this one. */
static size_t hash_end(const struct batch *b, size_t first)
{
    struct bytes marks = b->order[first]->call->task.marks;
    size_t end = first + 1;
    while (end < b->count && bytes_equal(b->order[end]->call->task.marks, marks)) end++;
    return end;
}

static void args_hash(struct args *a, const struct batch *b, size_t first)
{
    key_marks(&a->text, b->w->prefix, b->part->partition, b->order[first]->call->task.marks);
    args_end(a);
}

/* How long a hash must live for these of its tasks: past each deadline, and past the lease. */
static int64_t hash_ttl(const struct batch *b, size_t first, size_t end)
{
    int64_t left = MARK_TTL_MS, now = loop_wall_ms(b->w->loop);
    for (size_t i = first; i < end && !MUTANT(SHORT_MARKS); i++)
        left = MAX(left, b->order[i]->call->task.deadline_ms - now);
    return MIN(left, (int64_t)DURATION_MS_MAX) + b->w->lease_ms;
}

/* Keys of a script: each hash once. */
static void args_hashes(struct args *a, const struct batch *b)
{
    for (size_t i = 0; i < b->count; i = hash_end(b, i)) args_hash(a, b, i);
}

/* And its arguments: of each hash how many tasks it has, its TTL, and the tasks. */
static void args_tasks(struct args *a, const struct batch *b)
{
    for (size_t i = 0, end; i < b->count; i = end) {
        end = hash_end(b, i);
        args_int(a, (int64_t)(end - i));
        args_int(a, hash_ttl(b, i, end));
        for (size_t k = i; k < end; k++) args_bytes(a, b->order[k]->call->task.task_id);
    }
}

static void batch_send(struct batch *b, enum worker_script script, size_t keys, struct args *a,
                       store_fn done)
{
    args_views(a);
    store_script(b->w->store, &b->w->scripts[script], keys, a->argv, a->count, done, b);
    args_done(a);
}

/* Whether it is time for another line about Redis. */
static bool complains(struct worker *w)
{
    uint64_t now = loop_now_ms(w->loop);
    if (w->complained_ms && now - w->complained_ms < 10 * SECOND_MS) return false;
    w->complained_ms = now;
    return true;
}

/* Redis said no: the partition is left alone for a moment, and once in a while a line says why. */
static void refused(struct worker *w, struct part *p, const char *what,
                    const struct store_reply *reply)
{
    p->hold_ms = loop_now_ms(w->loop) + REFUSED_MS;
    if (!complains(w)) return;
    struct bytes text = store_string(reply);
    log_error(&w->log, "lease.refused", "%s of partition %d: %.*s; asking again in %d ms", what,
              (int)p->partition, (int)MIN(text.len, (size_t)300), text.data, REFUSED_MS);
}

/* --- taking --- */

bool lease_verdict_parse(struct bytes text, enum lease_verdict *ret, int64_t *ret_ms)
{
    *ret_ms = 0;
    if (!text.len) return false;
    switch (text.data[0]) {
    case 'T': *ret = LEASE_TAKEN; return true;
    case 'E': *ret = LEASE_ENDED; return true;
    case 'D':
    case 'F': *ret = LEASE_DONE; return true;
    case 'C': *ret = LEASE_CANCELLED; return true;
    case 'R': *ret = LEASE_RENEWED; return true;
    case 'O': *ret = LEASE_OTHER; return true;
    case 'H': *ret = LEASE_HELD; break;
    default: return false;
    }
    for (size_t i = 1; i < text.len && *ret_ms < DURATION_MS_MAX; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        *ret_ms = *ret_ms * 10 + (text.data[i] - '0');
    }
    return true;
}

/* No answer, or none that helps: the task asks again. A worker that stops lets go of it. */
static void unanswered(struct call *c)
{
    if (c->worker->phase == WORKER_OPEN)
        call_wait(c);
    else
        call_forget(c);
}

/* Whether the lease is too old to begin upon. Where Redis is that slow all the time nothing is
 * begun at all, so a line says why. */
static bool stale(struct worker *w, uint64_t sent_ms)
{
    uint64_t now = loop_now_ms(w->loop);
    if (now - sent_ms < MIN((uint64_t)w->lease_ms / 3, (uint64_t)LEASE_ANSWER_MS_MAX)) return false;
    if (complains(w))
        log_warn(&w->log, "lease.late",
                 "Redis took %llu ms to answer for a lease: nothing is begun upon it, asking again",
                 (unsigned long long)(now - sent_ms));
    return true;
}

static void taken(struct call *c, uint64_t sent_ms)
{
    struct worker *w = c->worker;
    if (w->phase != WORKER_OPEN) {
        lease_release(c);
        call_forget(c);
        return;
    }
    c->leased_ms = sent_ms;
    struct call *other = call_of_task(w, c->task.task_id);
    if (other && other != c && other->started) {
        call_ride(c, other);
        return;
    }
    if (stale(w, sent_ms)) {
        unanswered(c);
        return;
    }
    if (other != c) call_map(c);
    call_start(c);
}

static void verdict(struct call *c, uint64_t sent_ms, struct bytes text)
{
    enum lease_verdict v;
    int64_t ms;
    if (!lease_verdict_parse(text, &v, &ms)) v = LEASE_OTHER;
    switch (v) {
    case LEASE_TAKEN: taken(c, sent_ms); break;
    case LEASE_HELD: call_park(c, (uint64_t)MIN(ms + 10, (int64_t)PARK_MS_MAX)); break;
    case LEASE_ENDED:
        if (MUTANT(NO_LOST))
            taken(c, sent_ms);
        else
            call_lost(c);
        break;
    case LEASE_DONE:
    case LEASE_CANCELLED: call_drop(c); break;
    case LEASE_RENEWED:
    case LEASE_OTHER: call_park(c, REFUSED_MS); break; /* a key that is none of ours */
    }
}

/* The reply names another generation than was assumed, or the one that was asked for. */
static void learned(struct batch *b, struct bytes gen)
{
    struct part *p = b->part;
    ASSERT(p);
    size_t len = gen.len < sizeof p->gen ? gen.len : 0; /* a longer one is none of ours */
    if (len) memcpy(p->gen, gen.data, len);
    p->gen[len] = '\0';
    char today[GENERATION_MAX];
    generation_make(today, store_run_id(b->w->store), bytes_of(p->gen));
    for (size_t i = 0; i < b->count; i++) {
        struct call *c = b->entry[i].call;
        if (!len)
            call_park(c, NO_OWNER_MS);
        else if (bytes_is(c->task.gen, today))
            unanswered(c);
        else
            call_drop(c);
    }
}

static void on_asked(void *user, enum store_status status, const struct store_reply *reply)
{
    struct batch *b = user;
    struct worker *w = b->w;
    w->asking -= b->count;
    if (w->phase == WORKER_LEFT) {
        batch_free(b);
        return;
    }
    if (status != STORE_OK || store_count(reply) == 0) {
        if (status != STORE_LOST) refused(w, b->part, "the lease", reply);
        for (size_t i = 0; i < b->count; i++) unanswered(b->entry[i].call);
        batch_free(b);
        return;
    }
    struct bytes gen = store_string(store_at(reply, 0));
    if (!b->learn && bytes_is(gen, b->part->gen) && store_count(reply) == b->count + 1)
        for (size_t i = 0; i < b->count; i++)
            verdict(b->entry[i].call, b->sent_ms,
                    store_string(store_at(reply, 1 + b->entry[i].place)));
    else
        learned(b, gen);
    batch_free(b);
}

static void ask(struct batch *b)
{
    b->w->asking += b->count;
    struct args a = { 0 };
    key_partition(&a.text, b->w->prefix, b->part->partition);
    args_end(&a);
    if (!b->learn) {
        batch_sort(b);
        args_hashes(&a, b);
    }
    size_t keys = a.count;
    args_text(&a, b->learn ? "" : b->part->gen);
    args_text(&a, b->w->lease_name);
    args_int(&a, b->w->lease_ms);
    if (!b->learn) args_tasks(&a, b);
    batch_send(b, SCRIPT_LEASE, keys, &a, on_asked);
}

/* --- whose turn it is --- */

#define PASSED_OVER_MAX 9 /* after so many more urgent calls a less urgent one has its turn */

static const enum priority by_urgency[] = { PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW };

/* A walk through the lists of all parts: the first part that may have one, for each priority. */
struct walk {
    struct worker *w;
    struct part *at[PRIORITY_COUNT];
};

static struct part *walk_to(struct walk *walk, enum priority priority)
{
    struct part **at = &walk->at[priority];
    uint64_t now = loop_now_ms(walk->w->loop);
    while (*at && !((*at)->due && (*at)->fresh[priority].head && now >= (*at)->hold_ms))
        *at = (*at)->next;
    return *at;
}

/* The most urgent; but what is passed over again and again has a tenth of the calls, by turns. */
static struct call *next_call(struct walk *walk)
{
    struct worker *w = walk->w;
    struct part *found = NULL;
    enum priority best = PRIORITY_NORMAL, less[PRIORITY_COUNT];
    size_t less_count = 0;
    for (size_t i = 0; i < ARRAY_LEN(by_urgency); i++) {
        if (!walk_to(walk, by_urgency[i])) continue;
        if (found)
            less[less_count++] = by_urgency[i];
        else
            found = walk->at[best = by_urgency[i]];
    }
    if (!found) return NULL;
    if (less_count == 0 || w->passed_over < PASSED_OVER_MAX) {
        w->passed_over = less_count ? w->passed_over + 1 : 0;
        return call_unwait(found, best);
    }
    w->passed_over = 0;
    w->low_turn = !w->low_turn;
    enum priority turn = less[less_count > 1 && w->low_turn];
    return call_unwait(walk->at[turn], turn);
}

/* The call goes into its part's next script, unless there is nothing to ask. */
static void gather(struct worker *w, struct call *c)
{
    struct part *p = c->part;
    char today[GENERATION_MAX] = "";
    if (c->first.source->gone && !c->first.next) {
        call_forget(c); /* the new owner of the queue's partition has it */
        return;
    }
    if (call_past_deadline(c)) {
        call_fail(c, ERROR_TIMEOUT, "the task's deadline passed before a worker could start it");
        return;
    }
    if (p->gen[0]) generation_make(today, store_run_id(w->store), bytes_of(p->gen));
    bool learn = !bytes_is(c->task.gen, today) && !(MUTANT(NO_GENERATION) && today[0]);
    struct batch **batch = &p->asking[learn];
    if (!*batch) {
        *batch = batch_new(w, p, ASK_TASKS_MAX);
        (*batch)->learn = learn;
    }
    batch_add(*batch, c);
    if (!learn) cache_look(c);
    if ((*batch)->count == ASK_TASKS_MAX) ask(TAKE(*batch));
}

void lease_ask(struct worker *w)
{
    if (!store_connected(w->store)) return;
    struct walk walk = { .w = w };
    for (size_t i = 0; i < PRIORITY_COUNT; i++) walk.at[i] = w->parts;
    size_t open = w->stats.running + w->asking;
    size_t room = open < w->inflight_max ? w->inflight_max - open : 0;
    for (struct call *c; room && (c = next_call(&walk)); room--) gather(w, c);
    for (struct part *p = w->parts; p; p = p->next)
        for (size_t i = 0; i < ARRAY_LEN(p->asking); i++)
            if (p->asking[i]) ask(TAKE(p->asking[i]));
}

/* --- done --- */

/* A task is done when all commands of its lot are answered. If one failed all are given again: a
 * mark that stands there already is written over by itself. */
static void on_marked(void *user, enum store_status status, const struct store_reply *reply)
{
    struct batch *b = user;
    struct worker *w = b->w;
    if (status == STORE_ERROR && w->phase != WORKER_LEFT)
        refused(w, b->part, "the done mark", reply);
    b->failed |= status != STORE_OK;
    if (--b->replies > 0) return;
    for (size_t i = 0; i < b->count && w->phase != WORKER_LEFT; i++) {
        struct call *c = b->entry[i].call;
        if (!b->failed)
            call_finish(c);
        else if (w->phase == WORKER_OPEN)
            call_push(&b->part->acked, c);
        else
            call_forget(c); /* its lease runs out, and the lost of the next worker is too late */
    }
    batch_free(b);
}

static void mark_send(struct batch *b, struct args *a)
{
    b->replies++;
    args_views(a);
    store_command(b->w->store, a->argv, a->count, on_marked, b);
    args_done(a);
}

/* The mark of a failure names its place: it counts only if the fold comes to it under its
 * generation, and a recovery can tell by the place whether the fold was there. */
static void args_mark(struct args *a, const struct call *c)
{
    args_bytes(a, c->task.task_id);
    if (c->type == EVENT_TASK_COMPLETED) {
        args_text(a, "D");
    } else {
        buf_add_text(&a->text, "F|");
        args_int(a, c->result_off);
    }
}

/* The lease has seen to it that the hash lives long enough, unless Redis has lost both since. Then
 * the hash may be new (NX), or be another task's that needs it for a shorter time (GT, which takes
 * one without an end for the longer). */
static void hash_keep(struct batch *b, size_t first, size_t end, const char *condition)
{
    struct args a = { 0 };
    args_text(&a, "PEXPIRE");
    args_hash(&a, b, first);
    args_int(&a, hash_ttl(b, first, end));
    args_text(&a, condition);
    mark_send(b, &a);
}

static void hash_mark(struct batch *b, size_t first, size_t end)
{
    struct args a = { 0 };
    args_text(&a, "HSET");
    args_hash(&a, b, first);
    for (size_t i = first; i < end; i++) args_mark(&a, b->order[i]->call);
    mark_send(b, &a);
    hash_keep(b, first, end, "NX");
    hash_keep(b, first, end, "GT");
}

static void batch_mark(struct batch *b)
{
    batch_sort(b);
    for (size_t i = 0, end; i < b->count; i = end) {
        end = hash_end(b, i);
        hash_mark(b, i, end);
    }
}

/* A failure counts only under the generation of its time. If Redis has another one by now, the task
 * was issued again and is still to be answered: its key must not say that it is done. Here the
 * failure goes out once more, if the new task has come to this worker; else the lease goes. */
static void settle_failure(struct call *c, const char *today)
{
    bool sent_today =
        c->again_gen[0] ? strcmp(c->again_gen, today) == 0 : bytes_is(c->task.gen, today);
    const struct rider *rider = c->first.next; /* they come in any order */
    while (rider && strcmp(rider->gen, today) != 0) rider = rider->next;
    if (sent_today) {
        c->sure = true;
        call_push(&c->part->acked, c);
    } else if (rider) {
        memcpy(c->again_gen, rider->gen, sizeof c->again_gen);
        c->state = CALL_SENDING;
        call_push(&c->part->results, c);
    } else {
        lease_release(c);
        call_finish(c);
    }
}

static void on_learned(void *user, enum store_status status, const struct store_reply *reply)
{
    struct batch *b = user;
    struct worker *w = b->w;
    struct part *p = b->part;
    char today[GENERATION_MAX];
    p->learning = false;
    if (status == STORE_ERROR && w->phase != WORKER_LEFT) refused(w, p, "the generation", reply);
    struct bytes gen = { 0 };
    if (status == STORE_OK) gen = store_string(store_at(reply, 0));
    bool known = gen.len > 0;
    generation_make(today, store_run_id(w->store), gen);
    if (status == STORE_OK && !known) p->hold_ms = loop_now_ms(w->loop) + NO_OWNER_MS;
    for (size_t i = 0; i < b->count && w->phase != WORKER_LEFT; i++) {
        struct call *c = b->entry[i].call;
        if (known)
            settle_failure(c, today);
        else if (w->phase == WORKER_OPEN)
            call_push(&p->acked, c);
        else
            call_forget(c);
    }
    batch_free(b);
}

/* Takes the failures out of what is acknowledged, and asks for the generation of today. */
static void learn_for_failures(struct worker *w, struct part *p)
{
    struct call_list rest = { 0 };
    struct batch *b = NULL;
    if (p->learning) return;
    for (struct call *c; (c = call_pop(&p->acked));) {
        bool settled =
            c->type == EVENT_TASK_COMPLETED || c->sure || (b && b->count == ASK_TASKS_MAX);
        if (settled) {
            call_push(&rest, c);
            continue;
        }
        if (!b) b = batch_new(w, p, ASK_TASKS_MAX);
        batch_add(b, c);
    }
    p->acked = rest;
    if (!b) return;
    p->learning = true;
    struct args a = { 0 };
    key_partition(&a.text, w->prefix, p->partition);
    args_end(&a);
    args_text(&a, "");
    args_text(&a, w->lease_name);
    args_int(&a, w->lease_ms);
    batch_send(b, SCRIPT_LEASE, 1, &a, on_learned);
}

/* Failures that are not sure yet stay in the list. */
static struct call *pop_sure(struct part *p)
{
    for (size_t left = p->acked.count; left; left--) {
        struct call *c = call_pop(&p->acked);
        if (c->type == EVENT_TASK_COMPLETED || c->sure) return c;
        call_push(&p->acked, c);
    }
    return NULL;
}

void lease_mark_done(struct worker *w, struct part *p)
{
    if (!p->acked.head || loop_now_ms(w->loop) < p->hold_ms) return;
    if (!store_connected(w->store) && w->phase == WORKER_OPEN) return;
    learn_for_failures(w, p);
    for (struct call *c; (c = pop_sure(p));) {
        struct batch *b = batch_new(w, p, ASK_TASKS_MAX);
        for (; c; c = b->count < ASK_TASKS_MAX ? pop_sure(p) : NULL) batch_add(b, c);
        batch_mark(b);
    }
}

/* --- renewal --- */

static void on_renewed(void *user, enum store_status status, const struct store_reply *reply)
{
    struct batch *b = user;
    struct worker *w = b->w;
    if (status == STORE_ERROR && w->phase != WORKER_LEFT) refused(w, b->part, "the renewal", reply);
    bool answered = status == STORE_OK && store_count(reply) == b->count;
    for (size_t i = 0; i < b->count && answered && w->phase != WORKER_LEFT; i++) {
        struct call *c = b->entry[i].call;
        enum lease_verdict v;
        int64_t ms;
        if (c->state == CALL_FREE || c->serial != b->entry[i].serial) continue;
        if (!lease_verdict_parse(store_string(store_at(reply, b->entry[i].place)), &v, &ms))
            continue;
        c->leased_ms = b->sent_ms;
        if (v == LEASE_CANCELLED) call_cancel(c);
    }
    batch_free(b);
}

static void renew_send(struct batch *b)
{
    struct args a = { 0 };
    batch_sort(b);
    args_hashes(&a, b);
    size_t keys = a.count;
    args_text(&a, b->w->lease_name);
    args_int(&a, b->w->lease_ms);
    args_tasks(&a, b);
    batch_send(b, SCRIPT_RENEW, keys, &a, on_renewed);
}

static bool wants_renewal(const struct call *c, const struct part *p)
{
    if (c->state != CALL_RUNNING && c->state != CALL_SENDING) return false;
    return c->part == p && c->leased_ms &&
           loop_now_ms(c->worker->loop) - c->leased_ms >= c->worker->lease_ms / 3;
}

static void renew_part(struct worker *w, struct part *p)
{
    struct batch *b = NULL;
    for (size_t i = 0; i < w->chunk_count * CALLS_PER_CHUNK; i++) {
        struct call *c = &w->chunks[i / CALLS_PER_CHUNK][i % CALLS_PER_CHUNK];
        if (!wants_renewal(c, p)) continue;
        if (!b) b = batch_new(w, p, ASK_TASKS_MAX);
        batch_add(b, c);
        if (b->count == ASK_TASKS_MAX) renew_send(TAKE(b));
    }
    if (b) renew_send(b);
}

void lease_renew(struct worker *w)
{
    if (!w->held || !store_connected(w->store)) return;
    for (struct part *p = w->parts; p; p = p->next)
        if (loop_now_ms(w->loop) >= p->hold_ms) renew_part(w, p);
}

static void on_released(void *user, enum store_status status, const struct store_reply *reply)
{
    (void)user, (void)status, (void)reply; /* a lease that is not given back runs out */
}

void lease_release(struct call *c)
{
    struct worker *w = c->worker;
    struct args a = { 0 };
    key_marks(&a.text, w->prefix, c->part->partition, c->task.marks);
    args_end(&a);
    args_text(&a, w->lease_name);
    args_bytes(&a, c->task.task_id);
    args_views(&a);
    store_script(w->store, &w->scripts[SCRIPT_RELEASE], 1, a.argv, a.count, on_released, NULL);
    args_done(&a);
}
