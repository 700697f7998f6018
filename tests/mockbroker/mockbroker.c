/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded broker as a process of its own, for tests.
 *
 *   tutti-mockbroker [NAME:PARTITIONS]...
 *
 * Makes the topics, prints the brokers (host:port,...) on one line, and runs until SIGTERM or until
 * its standard input ends, so that it never outlives a test that was killed. More topics may come
 * as lines of standard input; each is answered by a line `ok NAME`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io/bus.h"

/* text is NAME:PARTITIONS and is cut in two. */
static bool make_topic(struct bus_mock *mock, char *text, struct err *e)
{
    char *colon = strrchr(text, ':'), *end = NULL;
    long partitions = colon ? strtol(colon + 1, &end, 10) : 0;
    if (!colon || colon == text || *end || partitions < 1 || partitions > 1024)
        return err_fail(e, ERR_INVALID, "%s: wants NAME:PARTITIONS", text);
    *colon = '\0';
    return bus_mock_topic(mock, text, (int32_t)partitions, e);
}

static bool serve(struct bus_mock *mock, int argc, char **argv, struct err *e)
{
    for (int i = 1; i < argc; i++)
        if (!make_topic(mock, argv[i], e)) return false;
    printf("%s\n", bus_mock_brokers(mock));
    fflush(stdout);
    char line[512];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (!make_topic(mock, line, e)) return false;
        printf("ok %s\n", line);
        fflush(stdout);
    }
    return true;
}

int main(int argc, char **argv)
{
    struct err e;
    struct bus_mock *mock = bus_mock_start(1, &e);
    bool ok = mock && serve(mock, argc, argv, &e);
    if (!ok) fprintf(stderr, "tutti-mockbroker: %s\n", e.text);
    if (mock) bus_mock_stop(mock);
    return ok ? 0 : 1;
}
