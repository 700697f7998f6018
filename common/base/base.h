/* SPDX-License-Identifier: Apache-2.0
 *
 * The few macros that the whole tree is written with: scoped cleanup, ownership transfer, checked
 * results and assertions that stay on in release builds.
 */
#ifndef TUTTI_BASE_H
#define TUTTI_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLEANUP(fn)                     __attribute__((cleanup(fn)))
#define MUST_CHECK                      __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, arg)           __attribute__((format(printf, fmt, arg)))
#define UNUSED                          __attribute__((unused))
#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* fn##_p for CLEANUP(): calls fn on a pointer that is not NULL. */
#define DEFINE_CLEANUP(type, fn)       \
    static inline void fn##_p(type *p) \
    {                                  \
        if (*p) (void)fn(*p);          \
    }

/* The value of ptr; ptr becomes NULL, so that its CLEANUP leaves the object alone. */
#define TAKE(ptr)                       \
    ({                                  \
        __typeof__(ptr) taken_ = (ptr); \
        (ptr) = NULL;                   \
        taken_;                         \
    })

#define MIN(a, b)               \
    ({                          \
        __typeof__(a) a_ = (a); \
        __typeof__(b) b_ = (b); \
        a_ < b_ ? a_ : b_;      \
    })
#define MAX(a, b)               \
    ({                          \
        __typeof__(a) a_ = (a); \
        __typeof__(b) b_ = (b); \
        a_ > b_ ? a_ : b_;      \
    })

/* A broken invariant is a bug of ours: say where and stop, in every build. */
_Noreturn void assert_failed(const char *text, const char *file, int line);
#define ASSERT(cond) ((cond) ? (void)0 : assert_failed(#cond, __FILE__, __LINE__))

/* Memory or the end: an allocation of bounded size that fails leaves nothing sensible to do.
 * Input-sized allocations are bounded by limits.h before they get here. Release with free(). */
void *xmalloc(size_t bytes);
void *xcalloc(size_t count, size_t bytes);
void *xrealloc(void *p, size_t bytes);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t len);
/* A new string formatted as by printf; release with free(). */
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2);
char *xvasprintf(const char *fmt, va_list args) PRINTF_LIKE(1, 0);

/* CLEANUP(free_p): frees the pointer variable it stands on. */
static inline void free_p(void *p)
{
    extern void free(void *);
    free(*(void **)p);
}
#define AUTO_FREE CLEANUP(free_p)

#endif
