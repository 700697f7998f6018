/* SPDX-License-Identifier: Apache-2.0
 *
 * Server-sent events, fed byte by byte and in one piece. */
#include <criterion/criterion.h>

#include "worker/sse.h"

static bool collect(void *user, struct bytes event, struct bytes data)
{
    struct buf *b = user;
    buf_addf(b, "[%.*s|%.*s]", (int)event.len, event.data ? event.data : "", (int)data.len,
             data.data ? data.data : "");
    return !bytes_is(data, "stop");
}

static const struct {
    const char *title, *stream, *events;
} rows[] = {
    { "one event", "data: a\n\n", "[|a]" },
    { "CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", "[|a][|b]" },
    { "CR alone", "data: a\r\rdata: b\r\r", "[|a][|b]" },
    { "no space after the colon", "data:a\n\n", "[|a]" },
    { "only one space is taken away", "data:  a\n\n", "[| a]" },
    { "several data lines are joined", "data: a\ndata: b\n\n", "[|a\nb]" },
    { "an empty data line is data", "data\n\n", "[|]" },
    { "a named event", "event: ping\ndata: a\n\ndata: b\n\n", "[ping|a][|b]" },
    { "comments are nothing", ": keep\n\n:\ndata: a\n: x\n\n", "[|a]" },
    { "unknown fields are nothing", "id: 3\nretry: 4\nfoo: bar\ndata: a\n\n", "[|a]" },
    { "an event without data is none", "event: ping\n\n", "" },
    { "a byte order mark",
      "\xEF\xBB\xBF"
      "data: a\n\n",
      "[|a]" },
    { "the last event without its empty line", "data: a\n\ndata: b\n", "[|a][|b]" },
    { "the last line without its end", "data: a\n\ndata: b", "[|a][|b]" },
    { "bytes of a character apart", "data: \xE2\x82\xAC\n\n", "[|\xE2\x82\xAC]" },
    { "nothing after a stop", "data: stop\n\ndata: b\n\n", "[|stop]" },
};

Test(sse, tolerates_what_servers_send_in_pieces_of_any_size)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t piece = 1; piece <= strlen(rows[i].stream); piece++) {
            AUTO_BUF struct buf got = { 0 };
            struct sse s = { .on_event = collect, .user = &got };
            bool go_on = true;
            for (size_t at = 0, len = strlen(rows[i].stream); go_on && at < len; at += piece)
                go_on = sse_feed(&s, (struct bytes){ rows[i].stream + at, MIN(piece, len - at) });
            (void)!sse_end(&s);
            cr_assert_str_eq(got.data ? got.data : "", rows[i].events, "%s, by %zu", rows[i].title,
                             piece);
            sse_done(&s);
        }
}
