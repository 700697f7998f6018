/* SPDX-License-Identifier: Apache-2.0 */
#include "common/io/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What the thread and the loop's side share; the last of the two frees it, because getaddrinfo
 * cannot be cancelled and may outlive whoever asked. */
struct job {
    atomic_int owners;
    char *host;
    int done_fd; /* eventfd: the result is complete */
    struct resolved result;
};

struct resolve {
    struct loop *loop;
    struct loop_watch watch;
    struct job *job;
    void (*done)(void *user, const struct resolved *result);
    void *user;
};

static void job_release(struct job *job)
{
    if (atomic_fetch_sub(&job->owners, 1) > 1) return;
    (void)close(job->done_fd);
    free(job->host);
    free(job);
}

static void collect(struct resolved *result, const struct addrinfo *first)
{
    for (const struct addrinfo *a = first; a && result->count < RESOLVE_ADDRESSES_MAX;
         a = a->ai_next) {
        const void *raw = NULL;
        if (a->ai_family == AF_INET)
            raw = &((const struct sockaddr_in *)(const void *)a->ai_addr)->sin_addr;
        else if (a->ai_family == AF_INET6)
            raw = &((const struct sockaddr_in6 *)(const void *)a->ai_addr)->sin6_addr;
        char *text = result->addresses[result->count];
        if (raw && inet_ntop(a->ai_family, raw, text, INET6_ADDRSTRLEN)) result->count++;
    }
}

static void *job_run(void *job_)
{
    struct job *job = job_;
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(job->host, NULL, &hints, &found);
    if (failed)
        (void)err_fail(&job->result.error, ERR_UNAVAILABLE, "%s: %s", job->host,
                       gai_strerror(failed));
    else
        collect(&job->result, found);
    if (found) freeaddrinfo(found);
    if (!failed && job->result.count == 0)
        (void)err_fail(&job->result.error, ERR_UNAVAILABLE, "%s: no address", job->host);
    static const uint64_t one = 1;
    (void)!write(job->done_fd, &one, sizeof one);
    job_release(job);
    return NULL;
}

/* Detached, with all signals blocked: they belong to the loop's thread. */
static bool job_start(struct job *job, struct err *e)
{
    sigset_t all, kept;
    sigfillset(&all);
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &kept);
    int failed = pthread_create(&thread, &attr, job_run, job);
    pthread_sigmask(SIG_SETMASK, &kept, NULL);
    pthread_attr_destroy(&attr);
    if (failed) return err_fail(e, ERR_IO, "thread for a lookup: %s", strerror(failed));
    return true;
}

static void on_ready(struct loop_watch *w, unsigned events)
{
    (void)events;
    struct resolve *r = w->user;
    struct job *job = r->job;
    loop_unwatch(r->loop, &r->watch);
    loop_defer_free(r->loop, free, r);
    r->done(r->user, &job->result);
    job_release(job);
}

struct resolve *resolve_start(struct loop *loop, const char *host,
                              void (*done)(void *user, const struct resolved *result), void *user,
                              struct err *e)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
        (void)err_fail(e, ERR_IO, "eventfd for a lookup: %s", strerror(errno));
        return NULL;
    }
    struct job *job = xcalloc(1, sizeof *job);
    job->owners = 2;
    job->host = xstrdup(host);
    job->done_fd = fd;
    if (!job_start(job, e)) {
        job->owners = 1;
        job_release(job);
        return NULL;
    }
    struct resolve *r = xcalloc(1, sizeof *r);
    r->loop = loop;
    r->job = job;
    r->done = done;
    r->user = user;
    r->watch = (struct loop_watch){ .on_ready = on_ready, .user = r, .fd = fd };
    loop_watch(loop, &r->watch, LOOP_READ);
    return r;
}

struct resolve *resolve_cancel(struct resolve *r)
{
    if (!r) return NULL;
    loop_unwatch(r->loop, &r->watch);
    job_release(r->job);
    loop_defer_free(r->loop, free, r);
    return NULL;
}

bool resolve_is_address(const char *host)
{
    struct in6_addr any;
    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}
