/* SPDX-License-Identifier: Apache-2.0
 *
 * hiredis and curl (with CURLOPT_NOSIGNAL) write to sockets without MSG_NOSIGNAL. Private to
 * common/io. */
#ifndef TUTTI_SIGPIPE_H
#define TUTTI_SIGPIPE_H

#include <signal.h>
#include <stddef.h>

static inline void sigpipe_ignored(int signal)
{
    (void)signal;
}

/* A peer that closes must be an error of write(), not the end of the process. An empty handler
 * rather than SIG_IGN, because that would be inherited by programs we start. A disposition that
 * somebody chose is left alone. */
static inline void sigpipe_tame(void)
{
    struct sigaction now, empty = { .sa_handler = sigpipe_ignored, .sa_flags = SA_RESTART };
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        (void)sigaction(SIGPIPE, &empty, NULL);
}

#endif
