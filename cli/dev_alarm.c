/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded broker drops the oldest records of a partition beyond 5 MiB or 100,000 batches, and
 * tells nobody. A log whose start has moved is the sign of it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/dev.h"

#define ALARM_EVERY_MS 1000

struct slot {
    struct dev_alarm *alarm;
    char *topic; /* owned */
    int32_t partition;
    bool asked; /* the answer is still under way */
    bool told;
};

struct dev_alarm {
    struct dev *dev;
    struct loop_timer timer;
    struct slot *slots;
    size_t count;
};

static void on_offsets(void *user, int64_t start, int64_t end, const struct err *e)
{
    struct slot *s = user;
    (void)end;
    s->asked = false;
    if (e || start <= 0 || s->told) return;
    s->told = true;
    const struct cli *cli = s->alarm->dev->cli;
    AUTO_BUF struct buf text = { 0 };
    buf_addf(&text,
             "tutti dev: the embedded broker dropped %" PRId64 " records of %s/%d: it keeps 5 MiB "
             "or 100,000 batches a partition; use --kafka",
             start, s->topic, s->partition);
    if (cli->config->json) {
        struct err lost;
        err_fail(&lost, ERR_LIMIT, "%s", text.data);
        (void)cli_fail(cli, "dev", &lost);
        return;
    }
    AUTO_BUF struct buf loud = { 0 };
    term_styled(&loud, &cli->err, TERM_RED, text.data);
    dprintf(STDERR_FILENO, "%s\n", loud.data);
}

static void on_alarm(struct loop_timer *t)
{
    struct dev_alarm *a = t->user;
    loop_arm(a->dev->loop, t, ALARM_EVERY_MS);
    if (!a->dev->client.bus) return;
    for (size_t i = 0; i < a->count; i++) {
        struct slot *s = &a->slots[i];
        if (s->asked || s->told) continue;
        s->asked = true;
        bus_offsets(a->dev->client.bus, s->topic, s->partition, on_offsets, s);
    }
}

void dev_alarm_start(struct dev *d)
{
    if (!d->mock) return;
    struct dev_alarm *a = d->alarm = xcalloc(1, sizeof(*a));
    a->dev = d;
    CLEANUP(dev_topics_done) struct dev_topics topics = dev_topics_of(d);
    for (size_t i = 0; i < topics.count; i++) {
        for (int32_t p = 0; p < topics.list[i].partitions; p++) {
            a->slots = xrealloc(a->slots, (a->count + 1) * sizeof(*a->slots));
            a->slots[a->count++] =
                (struct slot){ .alarm = a, .topic = xstrdup(topics.list[i].name), .partition = p };
        }
    }
    a->timer = (struct loop_timer){ .on_due = on_alarm, .user = a };
    loop_arm(d->loop, &a->timer, ALARM_EVERY_MS);
}

void dev_alarm_free(struct dev *d)
{
    struct dev_alarm *a = TAKE(d->alarm);
    if (!a) return;
    loop_disarm(d->loop, &a->timer);
    for (size_t i = 0; i < a->count; i++) free(a->slots[i].topic);
    free(a->slots);
    free(a);
}
