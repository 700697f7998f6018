/* SPDX-License-Identifier: Apache-2.0 */
#include "common/io/blob_work.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREADS 4 /* as many fsyncs share one flush of the device's */

struct op_queue {
    struct blob_op *first, **end;
};

struct blob_work {
    struct loop *loop;
    struct loop_watch watch;
    void (*run)(void *context, struct blob_op *op);
    void *context;
    pthread_t threads[THREADS];
    size_t thread_count;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    struct op_queue waiting, done;
    bool closing;
};

static void push(struct op_queue *q, struct blob_op *op)
{
    op->next = NULL;
    *q->end = op;
    q->end = &op->next;
}

static struct blob_op *pop(struct op_queue *q)
{
    struct blob_op *op = q->first;
    if (!op) return NULL;
    q->first = op->next;
    if (!q->first) q->end = &q->first;
    return op;
}

static void *thread_main(void *work)
{
    struct blob_work *w = work;
    static const uint64_t one = 1;
    (void)pthread_mutex_lock(&w->lock);
    for (;;) {
        struct blob_op *op = w->closing ? NULL : pop(&w->waiting);
        if (op) {
            (void)pthread_mutex_unlock(&w->lock);
            w->run(w->context, op);
            (void)pthread_mutex_lock(&w->lock);
            push(&w->done, op);
            (void)!write(w->watch.fd, &one, sizeof one);
        } else if (w->closing) {
            break;
        } else {
            (void)pthread_cond_wait(&w->changed, &w->lock);
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* With all signals blocked: they belong to the loop, and SIGXFSZ is an EFBIG. */
static bool start_threads(struct blob_work *w, struct err *e)
{
    sigset_t all, kept;
    int failed = 0;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &kept);
    while (!failed && w->thread_count < THREADS) {
        failed = pthread_create(&w->threads[w->thread_count], NULL, thread_main, w);
        if (!failed) w->thread_count++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &kept, NULL);
    if (failed) return err_fail(e, ERR_IO, "thread for payload files: %s", strerror(failed));
    return true;
}

static struct blob_op *take_done(struct blob_work *w)
{
    (void)pthread_mutex_lock(&w->lock);
    struct blob_op *op = pop(&w->done);
    (void)pthread_mutex_unlock(&w->lock);
    return op;
}

static void on_done(struct loop_watch *watch, unsigned events)
{
    struct blob_work *w = watch->user;
    uint64_t count;
    (void)events;
    (void)!read(watch->fd, &count, sizeof count);
    for (struct blob_op *op; (op = take_done(w));) {
        loop_work(w->loop, 1);
        blob_op_done(op);
    }
}

struct blob_work *blob_work_open(struct loop *loop, void (*run)(void *context, struct blob_op *op),
                                 void *context, struct err *e)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
        (void)err_fail(e, ERR_IO, "eventfd for payload files: %s", strerror(errno));
        return NULL;
    }
    struct blob_work *w = xcalloc(1, sizeof *w);
    w->loop = loop;
    w->run = run;
    w->context = context;
    w->waiting.end = &w->waiting.first;
    w->done.end = &w->done.first;
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->changed, NULL);
    w->watch = (struct loop_watch){ .on_ready = on_done, .user = w, .fd = fd };
    loop_watch(loop, &w->watch, LOOP_READ);
    if (!start_threads(w, e)) {
        blob_work_close(w);
        return NULL;
    }
    return w;
}

void blob_work_submit(struct blob_work *w, struct blob_op *op)
{
    (void)pthread_mutex_lock(&w->lock);
    push(&w->waiting, op);
    (void)pthread_cond_signal(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
}

void blob_work_close(struct blob_work *w)
{
    (void)pthread_mutex_lock(&w->lock);
    w->closing = true;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; i < w->thread_count; i++) (void)pthread_join(w->threads[i], NULL);
    for (struct blob_op *op; (op = pop(&w->done));) blob_op_done(op);
    for (struct blob_op *op; (op = pop(&w->waiting));) blob_op_closed(op);
    loop_unwatch(w->loop, &w->watch);
    (void)close(w->watch.fd);
    (void)pthread_mutex_destroy(&w->lock);
    (void)pthread_cond_destroy(&w->changed);
    free(w);
}
