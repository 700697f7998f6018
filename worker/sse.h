/* SPDX-License-Identifier: Apache-2.0
 *
 * An incremental parser of server-sent events (WHATWG HTML, "Server-sent events"), without I/O. It
 * takes bytes in pieces of any size and tolerates what servers do: CR, LF or CRLF, a byte order
 * mark, comments as keep-alives, several data lines, fields nobody knows, and a last event without
 * the empty line behind it. */
#ifndef TUTTI_SSE_H
#define TUTTI_SSE_H

#include "common/base/buf.h"

#define SSE_EVENT_BYTES_MAX (4 * 1024 * 1024)

struct sse {
    /* One event: its data lines joined by line feeds. false stops the parser. */
    bool (*on_event)(void *user, struct bytes event, struct bytes data);
    void *user;
    /* private */
    struct buf line, event, data;
    bool has_data, after_cr, begun, stopped;
};

/* Takes the next bytes. false: on_event stopped it, or an event is larger than the limit. */
MUST_CHECK bool sse_feed(struct sse *s, struct bytes bytes);
/* The stream has ended: an event that is complete but for its empty line is delivered. */
MUST_CHECK bool sse_end(struct sse *s);
void sse_done(struct sse *s);

#endif
