/* SPDX-License-Identifier: Apache-2.0
 *
 * Server-sent events, incrementally. */
#include "worker/sse.h"

static bool dispatch(struct sse *s)
{
    bool go_on = true;
    if (s->has_data) go_on = s->on_event(s->user, buf_bytes(&s->event), buf_bytes(&s->data));
    buf_reset(&s->event);
    buf_reset(&s->data);
    s->has_data = false;
    return go_on;
}

static void field(struct sse *s, struct bytes name, struct bytes value)
{
    if (bytes_is(name, "data")) {
        if (s->has_data) buf_add_char(&s->data, '\n');
        buf_add(&s->data, value.data, value.len);
        s->has_data = true;
    } else if (bytes_is(name, "event")) {
        buf_reset(&s->event);
        buf_add(&s->event, value.data, value.len);
    }
}

static bool line_end(struct sse *s)
{
    struct bytes line = buf_bytes(&s->line);
    if (!s->begun && line.len >= 3 && memcmp(line.data, "\xEF\xBB\xBF", 3) == 0) {
        line.data += 3;
        line.len -= 3;
    }
    s->begun = true;
    bool go_on = true;
    if (line.len == 0) {
        go_on = dispatch(s);
    } else if (line.data[0] != ':') {
        const char *colon = memchr(line.data, ':', line.len);
        struct bytes name = line, value = { 0 };
        if (colon) {
            name.len = (size_t)(colon - line.data);
            value.data = colon + 1;
            value.len = line.len - name.len - 1;
            if (value.len && value.data[0] == ' ') {
                value.data++;
                value.len--;
            }
        }
        field(s, name, value);
    }
    buf_reset(&s->line);
    return go_on && s->data.len <= SSE_EVENT_BYTES_MAX;
}

bool sse_feed(struct sse *s, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len && !s->stopped;) {
        char c = bytes.data[i];
        if (c == '\n' && s->after_cr) { /* the second half of CRLF */
            s->after_cr = false;
            i++;
            continue;
        }
        s->after_cr = c == '\r';
        if (c == '\n' || c == '\r') {
            s->stopped = !line_end(s);
            i++;
            continue;
        }
        size_t from = i;
        while (i < bytes.len && bytes.data[i] != '\n' && bytes.data[i] != '\r') i++;
        buf_add(&s->line, bytes.data + from, i - from);
        if (s->line.len > SSE_EVENT_BYTES_MAX) s->stopped = true;
    }
    return !s->stopped;
}

bool sse_end(struct sse *s)
{
    if (!s->stopped && s->line.len) s->stopped = !line_end(s);
    if (!s->stopped) s->stopped = !dispatch(s);
    return !s->stopped;
}

void sse_done(struct sse *s)
{
    buf_done(&s->line);
    buf_done(&s->event);
    buf_done(&s->data);
}
