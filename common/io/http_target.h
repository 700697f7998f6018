/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a request may go: URLs taken apart, and addresses that are not of the public internet.
 * Private to common/io. */
#ifndef TUTTI_HTTP_TARGET_H
#define TUTTI_HTTP_TARGET_H

#include <sys/socket.h>

#include "common/base/err.h"

struct http_target {
    char *url;    /* normalized; all owned */
    char *host;   /* an IPv6 address has its brackets */
    char *port;   /* also where it is the scheme's own */
    char *origin; /* scheme://host:port */
};

/* Takes an absolute http or https URL apart. ERR_INVALID otherwise. */
MUST_CHECK bool http_target_parse(const char *url, struct http_target *ret, struct err *e);
void http_target_done(struct http_target *t);

/* Whether an entry of the NULL-ended list (may be NULL) names the target as host or host:port. */
bool http_target_listed(const struct http_target *t, const char *const *hosts);

/* Whether the address is of the public internet: not loopback, private, link-local, shared,
 * multicast, reserved or unspecified, also not behind a form of IPv6 that carries such an IPv4
 * address (RFC 6890 and the registries it names). */
bool http_address_public(const struct sockaddr *address);
/* The same of an address in text; false for what is none. */
bool http_address_text_public(const char *address);

#endif
