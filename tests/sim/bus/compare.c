/* SPDX-License-Identifier: Apache-2.0
 *
 * Two programs, two lists of traces, line by line. */
#include "tests/sim/bus/compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct told {
    pid_t pid;
    FILE *out;
    char *line;
    size_t cap;
};

static bool begin(struct told *t, const char *program, const struct bus_compare_options *o,
                  const char *plant)
{
    char count[24], seed[24];
    snprintf(count, sizeof count, "%zu", o->sequences);
    snprintf(seed, sizeof seed, "%" PRIu64, o->seed);
    t->out = tmpfile();
    if (!t->out) return false;
    t->pid = fork();
    if (t->pid == 0) {
        dup2(fileno(t->out), STDOUT_FILENO);
        execl(program, program, count, seed, plant, (char *)NULL);
        _exit(127);
    }
    return t->pid > 0;
}

static bool ended_well(struct told *t, const char *program)
{
    int status = -1;
    if (t->pid > 0 && waitpid(t->pid, &status, 0) == t->pid && status == 0) {
        rewind(t->out);
        return true;
    }
    fprintf(stderr, "%s did not end well: status %d\n", program, status);
    return false;
}

static const char *next_line(struct told *t)
{
    return getline(&t->line, &t->cap, t->out) > 0 ? t->line : "nothing\n";
}

static void compare_lines(const struct bus_compare_options *o, struct told told[2],
                          struct bus_compare_result *ret)
{
    for (; ret->sequences < o->sequences; ret->sequences++) {
        const char *a = next_line(&told[0]), *b = next_line(&told[1]);
        if (strcmp(a, b) == 0 && !strchr(a, '!')) continue;
        ret->differences++;
        if (!o->quiet) fprintf(stderr, "%s: %s%s: %s", o->programs[0], a, o->programs[1], b);
    }
}

bool bus_compare(const struct bus_compare_options *o, struct bus_compare_result *ret)
{
    struct told told[2] = { 0 };
    bool ok = true;
    *ret = (struct bus_compare_result){ 0 };
    for (int i = 0; i < 2; i++) ok &= begin(&told[i], o->programs[i], o, o->plants[i]);
    for (int i = 0; i < 2; i++) ok &= ended_well(&told[i], o->programs[i]);
    if (ok) compare_lines(o, told, ret);
    for (int i = 0; i < 2; i++) {
        if (told[i].out) fclose(told[i].out);
        free(told[i].line);
    }
    return ok;
}
