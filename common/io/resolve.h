/* SPDX-License-Identifier: Apache-2.0
 *
 * Host names to addresses without stopping the loop: getaddrinfo runs in a short-lived detached
 * thread that reports by an eventfd. Private to common/io. */
#ifndef TUTTI_RESOLVE_H
#define TUTTI_RESOLVE_H

#include <netinet/in.h>

#include "common/base/err.h"
#include "common/io/loop.h"

#define RESOLVE_ADDRESSES_MAX 8

struct resolved {
    size_t count; /* 0: failed, error says why */
    char addresses[RESOLVE_ADDRESSES_MAX][INET6_ADDRSTRLEN];
    struct err error;
};

struct resolve;
/* Starts a lookup. done comes once, in a later turn and never inside the call, with a result that
 * dies with it; the lookup is then over and its pointer dead. NULL with e (ERR_IO) if no thread
 * could be had. */
MUST_CHECK struct resolve *resolve_start(struct loop *loop, const char *host,
                                         void (*done)(void *user, const struct resolved *result),
                                         void *user, struct err *e);
/* done will not come. The thread ends by itself and touches nothing of the loop's. NULL is fine;
 * returns NULL. */
struct resolve *resolve_cancel(struct resolve *r);

/* Whether the text is an IPv4 or IPv6 address, which needs no lookup. */
bool resolve_is_address(const char *host);

#endif
