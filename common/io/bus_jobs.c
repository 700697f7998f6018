/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to the brokers that librdkafka only offers as blocking calls run in a few short-lived
 * threads, and handles are destroyed in threads too, because both may take seconds. Everything here
 * is shared under one lock and counted, so that bus_close never has to wait for a thread that
 * hangs. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/io/bus_internal.h"

#define THREADS_MAX 4

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_DONE, JOB_ABANDONED };

struct bus_jobs {
    pthread_mutex_t lock;
    pthread_cond_t changed;  /* a handle was destroyed or a thread ended */
    int wake_fd;             /* an eventfd of the bus; -1 once that is closed */
    struct bus_job *waiting; /* in order of submission */
    struct bus_job **waiting_end;
    struct bus_job *running, *done;
    int threads, clients, refs; /* refs: the bus, every thread, every client */
};

static void unlock_and_unref(struct bus_jobs *jobs)
{
    bool last = --jobs->refs == 0;
    (void)pthread_mutex_unlock(&jobs->lock);
    if (!last) return;
    (void)pthread_mutex_destroy(&jobs->lock);
    (void)pthread_cond_destroy(&jobs->changed);
    free(jobs);
}

struct bus_jobs *bus_jobs_new(int wake_fd)
{
    struct bus_jobs *jobs = xcalloc(1, sizeof *jobs);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&jobs->lock, NULL);
    (void)pthread_cond_init(&jobs->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    jobs->wake_fd = wake_fd;
    jobs->waiting_end = &jobs->waiting;
    jobs->refs = 1;
    return jobs;
}

/* A detached thread with all signals blocked: they belong to the loop. */
static bool start_thread(void *(*main)(void *), void *arg)
{
    sigset_t all, kept;
    pthread_attr_t attr;
    pthread_t thread;
    sigfillset(&all);
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_sigmask(SIG_SETMASK, &all, &kept);
    bool started = pthread_create(&thread, &attr, main, arg) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &kept, NULL);
    (void)pthread_attr_destroy(&attr);
    return started;
}

/* --- handles --- */

struct bus_client *bus_client_new(struct bus_jobs *jobs, rd_kafka_t *rk)
{
    struct bus_client *client = xcalloc(1, sizeof *client);
    client->rk = rk;
    client->jobs = jobs;
    client->refs = 1;
    (void)pthread_mutex_lock(&jobs->lock);
    jobs->clients++;
    jobs->refs++;
    (void)pthread_mutex_unlock(&jobs->lock);
    return client;
}

static void *destroy_client(void *client_)
{
    struct bus_client *client = client_;
    struct bus_jobs *jobs = client->jobs;
    /* Groups were closed before; a second close inside destroy could only hang. */
    if (!client->abandon) {
        rd_kafka_destroy_flags(client->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        free(client->joining); /* the handle's threads look at it */
    }
    free(client);
    (void)pthread_mutex_lock(&jobs->lock);
    jobs->clients--;
    (void)pthread_cond_broadcast(&jobs->changed);
    unlock_and_unref(jobs);
    return NULL;
}

void bus_client_unref(struct bus_client *client)
{
    struct bus_jobs *jobs = client->jobs;
    (void)pthread_mutex_lock(&jobs->lock);
    bool last = --client->refs == 0;
    (void)pthread_mutex_unlock(&jobs->lock);
    if (last && !start_thread(destroy_client, client)) destroy_client(client);
}

/* --- jobs --- */

static void unlink_running(struct bus_jobs *jobs, struct bus_job *job)
{
    struct bus_job **at = &jobs->running;
    while (*at != job) at = &(*at)->next;
    *at = job->next;
}

static void dispose(struct bus_job *job)
{
    struct bus_client *client = job->client;
    job->release(job);
    bus_client_unref(client);
}

static void *work(void *jobs_)
{
    struct bus_jobs *jobs = jobs_;
    (void)pthread_mutex_lock(&jobs->lock);
    for (struct bus_job *job; (job = jobs->waiting);) {
        jobs->waiting = job->next;
        if (!jobs->waiting) jobs->waiting_end = &jobs->waiting;
        job->next = jobs->running;
        jobs->running = job;
        job->state = JOB_RUNNING;
        (void)pthread_mutex_unlock(&jobs->lock);
        job->run(job);
        (void)pthread_mutex_lock(&jobs->lock);
        unlink_running(jobs, job);
        if (job->state == JOB_ABANDONED) {
            while (job->pinned) (void)pthread_cond_wait(&jobs->changed, &jobs->lock);
            (void)pthread_mutex_unlock(&jobs->lock);
            dispose(job);
            (void)pthread_mutex_lock(&jobs->lock);
            continue;
        }
        job->state = JOB_DONE;
        job->next = jobs->done;
        jobs->done = job;
        static const uint64_t one = 1;
        (void)!write(jobs->wake_fd, &one, sizeof one); /* open: a closed bus has no job but lost */
    }
    jobs->threads--;
    (void)pthread_cond_broadcast(&jobs->changed);
    unlock_and_unref(jobs);
    return NULL;
}

void bus_job_submit(struct bus_jobs *jobs, struct bus_client *client, struct bus_job *job)
{
    (void)pthread_mutex_lock(&jobs->lock);
    job->client = client;
    client->refs++;
    job->next = NULL;
    job->state = JOB_WAITING;
    *jobs->waiting_end = job;
    jobs->waiting_end = &job->next;
    bool start = jobs->threads < THREADS_MAX;
    if (start) {
        jobs->threads++;
        jobs->refs++;
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    if (!start || start_thread(work, jobs)) return;
    (void)pthread_mutex_lock(&jobs->lock);
    jobs->threads--; /* out of threads: it waits for one that runs, or for the next submission */
    unlock_and_unref(jobs);
}

static void finish_list(struct bus_job *list, const struct err *failed)
{
    while (list) {
        struct bus_job *job = list;
        list = job->next;
        job->finish(job, failed ? failed : job->e.kind != ERR_NONE ? &job->e : NULL);
        dispose(job);
    }
}

void bus_jobs_finish(struct bus_jobs *jobs)
{
    (void)pthread_mutex_lock(&jobs->lock);
    struct bus_job *list = jobs->done;
    jobs->done = NULL;
    (void)pthread_mutex_unlock(&jobs->lock);
    finish_list(list, NULL);
}

/* What runs belongs to its thread, which throws it away at its end; only the caller is told now. */
static void abandon_running(struct bus_jobs *jobs, const struct err *failed)
{
    for (;;) {
        (void)pthread_mutex_lock(&jobs->lock);
        struct bus_job *job = jobs->running;
        while (job && job->state == JOB_ABANDONED) job = job->next;
        if (job) job->state = JOB_ABANDONED;
        if (job) job->pinned = true; /* the thread may end meanwhile: it must not free it yet */
        (void)pthread_mutex_unlock(&jobs->lock);
        if (!job) return;
        job->finish(job, failed);
        (void)pthread_mutex_lock(&jobs->lock);
        job->pinned = false;
        (void)pthread_cond_broadcast(&jobs->changed);
        (void)pthread_mutex_unlock(&jobs->lock);
    }
}

void bus_jobs_close(struct bus_jobs *jobs, uint32_t wait_ms)
{
    struct err closed;
    (void)err_fail(&closed, ERR_UNAVAILABLE, "the connection to Kafka is being closed");
    bus_jobs_finish(jobs);
    (void)pthread_mutex_lock(&jobs->lock);
    struct bus_job *waiting = jobs->waiting;
    jobs->waiting = NULL;
    jobs->waiting_end = &jobs->waiting;
    (void)pthread_mutex_unlock(&jobs->lock);
    finish_list(waiting, &closed);
    abandon_running(jobs, &closed);
    bus_jobs_finish(jobs);
    (void)pthread_mutex_lock(&jobs->lock);
    jobs->wake_fd = -1;
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    /* A question under way keeps its handle; there is no use in waiting for its time-out. */
    if (jobs->running && wait_ms > SECOND_MS) wait_ms = SECOND_MS;
    until.tv_sec += wait_ms / SECOND_MS;
    until.tv_nsec += (long)(wait_ms % SECOND_MS) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    while (jobs->clients > 0 || jobs->threads > 0)
        if (pthread_cond_timedwait(&jobs->changed, &jobs->lock, &until)) break;
    unlock_and_unref(jobs);
}
