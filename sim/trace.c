/* SPDX-License-Identifier: Apache-2.0
 *
 * What happened, in order of time, for people. */
#include <stdarg.h>
#include <stdio.h>

#include "sim/world.h"

void trace(const struct world *w, const struct proc *p, const char *fmt, ...)
{
    if (!w->options.trace) return;
    char text[500];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fprintf(stderr, "%12.6f %-8s %s\n", (double)w->now_us / 1e6, p ? p->name : "world", text);
}
