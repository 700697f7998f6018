/* SPDX-License-Identifier: Apache-2.0
 *
 * A reader: one partition read without a group, with or without a limit of credit. */
#include <stdlib.h>

#include "common/io/bus_internal.h"

struct bus_reader {
    struct bus *bus; /* NULL once that is closed */
    struct bus_reader *next;
    struct bus_reader_options options;
    char *topic;
    struct bus_stream *stream;
};

static void on_record(void *user, const struct bus_record *record)
{
    struct bus_reader *r = user;
    bus_is_up(r->bus);
    r->options.on_record(r->options.user, record);
}

static void on_end(void *user, int64_t next_offset)
{
    struct bus_reader *r = user;
    if (r->options.on_end) r->options.on_end(r->options.user, next_offset);
}

static void on_error(void *user, const struct err *e)
{
    struct bus_reader *r = user;
    if (r->options.on_error) r->options.on_error(r->options.user, e);
}

struct bus_reader *bus_reader_open(struct bus *bus, const struct bus_reader_options *options,
                                   struct err *e)
{
    CLEANUP(bus_reader_close_p) struct bus_reader *r = xcalloc(1, sizeof *r);
    r->options = *options;
    r->topic = xstrdup(options->topic);
    r->options.topic = r->topic;
    r->bus = bus;
    r->next = bus->readers;
    bus->readers = r;
    r->stream = bus_stream_new(bus, &(struct bus_stream_options){
                                        .topic = r->topic,
                                        .partition = options->partition,
                                        .ends = true,
                                        .on_record = on_record,
                                        .on_end = on_end,
                                        .on_error = on_error,
                                        .user = r,
                                    });
    if (!bus_stream_read(r->stream, options->offset, options->credit ? options->credit : UINT32_MAX,
                         e))
        return NULL;
    return TAKE(r);
}

void bus_reader_credit(struct bus_reader *r, uint32_t more)
{
    if (r->bus) bus_stream_credit(r->stream, more);
}

static void bury(void *reader)
{
    struct bus_reader *r = reader;
    free(r->topic);
    free(r);
}

struct bus_reader *bus_reader_close(struct bus_reader *r)
{
    if (!r) return NULL;
    if (!r->bus) {
        bury(r);
        return NULL;
    }
    struct bus_reader **at = &r->bus->readers;
    while (*at != r) at = &(*at)->next;
    *at = r->next;
    bus_stream_free(r->stream);
    loop_defer_free(r->bus->loop, bury, r); /* it may be closed by its own callback */
    return NULL;
}

void bus_readers_close(struct bus *bus)
{
    for (struct bus_reader *r; (r = bus->readers);) {
        bus->readers = r->next;
        bus_stream_free(r->stream);
        r->bus = NULL;
    }
}
