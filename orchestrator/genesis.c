/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the log is the one that Redis (or a snapshot) speaks of: the last claim that is known to
 * have been made stands where it was acknowledged. A topic that was recreated, or that lost its end
 * in an unclean election, has something else there. */
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/internal.h"

struct genesis {
    struct partition *part;
    struct bus_reader *reader;
    int64_t epoch;
    char token[CLAIM_TOKEN_MAX];
    void (*done)(struct partition *part);
};

void genesis_abandon(struct partition *part)
{
    struct genesis *g = TAKE(part->genesis);
    if (!g) return;
    bus_reader_close(g->reader);
    free(g);
}

static void refuse(struct partition *part, int64_t epoch)
{
    struct err e;
    genesis_abandon(part);
    err_fail(&e, ERR_CONFLICT,
             "%s/%d: the claim at offset %lld, by which its state is known, is not in the log: the "
             "topic was made anew or lost records. Use another prefix, or bring the topic back",
             part->shard->events_topic, part->id, (long long)epoch);
    shard_fail(part->shard, &e);
}

static void on_record(void *user, const struct bus_record *r)
{
    struct genesis *g = user;
    struct partition *part = g->part;
    struct bytes type = r->message.header[HEADER_TYPE], claim = r->message.header[HEADER_CLAIM];
    if (r->offset != g->epoch || !bytes_is(type, event_type_name(EVENT_OWNER_CLAIM)) ||
        !bytes_is(claim, g->token)) {
        refuse(part, g->epoch);
        return;
    }
    void (*done)(struct partition *) = g->done;
    genesis_abandon(part);
    done(part);
}

static void on_end(void *user, int64_t next_offset)
{
    struct genesis *g = user;
    if (next_offset > g->epoch) refuse(g->part, g->epoch);
}

static void on_error(void *user, const struct err *e)
{
    struct genesis *g = user;
    struct partition *part = g->part;
    /* The log has begun to be deleted there meanwhile, or the broker refuses: look again. */
    partition_reload(part, 5 * RETRY_MS, e->text);
}

void genesis_check(struct partition *part, int64_t epoch, const char *token,
                   void (*done)(struct partition *part))
{
    struct genesis *g = xcalloc(1, sizeof *g);
    struct err e;
    *g = (struct genesis){ .part = part, .epoch = epoch, .done = done };
    snprintf(g->token, sizeof g->token, "%s", token);
    part->genesis = g;
    g->reader = bus_reader_open(part->shard->bus,
                                &(struct bus_reader_options){ .topic = part->shard->events_topic,
                                                              .partition = part->id,
                                                              .offset = epoch,
                                                              .credit = 1,
                                                              .on_record = on_record,
                                                              .on_end = on_end,
                                                              .on_error = on_error,
                                                              .user = g },
                                &e);
    if (!g->reader) partition_reload(part, 5 * RETRY_MS, e.text);
}
