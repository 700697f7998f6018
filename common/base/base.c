/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void assert_failed(const char *text, const char *file, int line)
{
    fprintf(stderr, "tutti: assertion failed: %s (%s:%d)\n", text, file, line);
    abort();
}

static void *checked(void *p)
{
    if (!p) {
        fputs("tutti: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *xmalloc(size_t bytes)
{
    return checked(malloc(bytes ? bytes : 1));
}

void *xcalloc(size_t count, size_t bytes)
{
    return checked(calloc(count ? count : 1, bytes ? bytes : 1));
}

void *xrealloc(void *p, size_t bytes)
{
    return checked(realloc(p, bytes ? bytes : 1));
}

char *xstrndup(const char *s, size_t len)
{
    char *copy = xmalloc(len + 1);
    if (len) memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *xstrdup(const char *s)
{
    return xstrndup(s, strlen(s));
}

char *xvasprintf(const char *fmt, va_list args)
{
    char *text = NULL;
    int n = vasprintf(&text, fmt, args);
    return checked(n < 0 ? NULL : text);
}

char *xasprintf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = xvasprintf(fmt, args);
    va_end(args);
    return text;
}
