/* SPDX-License-Identifier: Apache-2.0
 *
 * C11 threads for ThreadSanitizer. librdkafka makes its threads and locks with thrd_create,
 * mtx_lock and cnd_wait, which gcc 12's ThreadSanitizer does not know: it crashes in the first
 * thread that was made behind its back, and would see no lock that librdkafka takes. So the program
 * brings these functions itself, over pthreads, which it does know; the dynamic linker prefers a
 * program's own. glibc's mtx_t and cnd_t are its pthread types under another name
 * (nptl/thrd_priv.h). */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

#include "common/base/base.h"

static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "a mutex is a mutex");
static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "a condition is a condition");
static_assert(sizeof(thrd_t) == sizeof(pthread_t), "a thread is a thread");

struct start {
    thrd_start_t fn;
    void *arg;
};

static int verdict(int code)
{
    switch (code) {
    case 0: return thrd_success;
    case ENOMEM: return thrd_nomem;
    case ETIMEDOUT: return thrd_timedout;
    case EBUSY: return thrd_busy;
    default: return thrd_error;
    }
}

static void *begin(void *user)
{
    AUTO_FREE struct start *start = user;
    return (void *)(intptr_t)start->fn(start->arg);
}

int thrd_create(thrd_t *thread, thrd_start_t fn, void *arg)
{
    struct start *start = xcalloc(1, sizeof *start);
    *start = (struct start){ .fn = fn, .arg = arg };
    int code = pthread_create(thread, NULL, begin, start);
    if (code) free(start);
    return verdict(code);
}

int thrd_join(thrd_t thread, int *ret)
{
    void *value = NULL;
    int code = pthread_join(thread, &value);
    if (!code && ret) *ret = (int)(intptr_t)value;
    return verdict(code);
}

int thrd_detach(thrd_t thread)
{
    return verdict(pthread_detach(thread));
}

int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE
                                                                : PTHREAD_MUTEX_NORMAL);
    int code = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return verdict(code);
}

void mtx_destroy(mtx_t *mutex)
{
    pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

int mtx_lock(mtx_t *mutex)
{
    return verdict(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

int mtx_trylock(mtx_t *mutex)
{
    return verdict(pthread_mutex_trylock((pthread_mutex_t *)mutex));
}

int mtx_unlock(mtx_t *mutex)
{
    return verdict(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

int cnd_init(cnd_t *condition)
{
    return verdict(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

void cnd_destroy(cnd_t *condition)
{
    pthread_cond_destroy((pthread_cond_t *)condition);
}

int cnd_signal(cnd_t *condition)
{
    return verdict(pthread_cond_signal((pthread_cond_t *)condition));
}

int cnd_broadcast(cnd_t *condition)
{
    return verdict(pthread_cond_broadcast((pthread_cond_t *)condition));
}

int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return verdict(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until)
{
    return verdict(
        pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until));
}
