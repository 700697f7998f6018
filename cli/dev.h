/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of `tutti dev`: an installation of its own, from a broker to a worker, and the watch
 * over it.
 */
#ifndef TUTTI_CLI_DEV_H
#define TUTTI_CLI_DEV_H

#include "cli/child.h"
#include "cli/client.h"

struct dev_alarm;

struct dev {
    struct cli *cli;
    struct loop *loop;
    struct client client;
    bool stop;          /* a signal came, or a child died: every wait ends */
    bool interrupted;   /* it was a signal */
    const char *reason; /* which child died; NULL: none */
    char *dir;          /* private; removed at the end */
    char *payloads;     /* payloads.store in it; NULL: none, for what an own Kafka keeps needs one
                           that stays */
    struct bus_mock *mock;
    struct child redis, orchestrator, worker, model;
    char *model_url; /* of tutti-demo-model */
    struct dev_alarm *alarm;
    struct definition **defs; /* of the files on the command line, --run's last */
    size_t def_count;
};

/* --- dev_servers.c --- */

/* Starts the embedded broker, unless --kafka names another, and makes its topics (it cannot be
 * asked for topics later). Writes the address into the configuration. */
MUST_CHECK bool dev_start_broker(struct dev *d, struct err *e);
/* Starts a private redis-server, unless --redis names another, and waits until it listens. */
MUST_CHECK bool dev_start_redis(struct dev *d, struct err *e);
/* Starts tutti-demo-model and waits for its address. */
MUST_CHECK bool dev_start_model(struct dev *d, struct err *e);
/* Starts tutti-orchestrator and tutti-worker. */
MUST_CHECK bool dev_start_programs(struct dev *d, struct err *e);
/* Ends all children in order within about 2 s, the broker, and removes the directory. */
void dev_stop_all(struct dev *d);
/* Sees which child has ended on its own; sets stop and reason. */
void dev_check_children(struct dev *d);

/* --- dev_alarm.c --- */

/* Looks every second whether the embedded broker dropped records, and says so once a partition. */
void dev_alarm_start(struct dev *d);
/* The bus must be closed: answers may come until then. */
void dev_alarm_free(struct dev *d);

/* The topics that the embedded broker gets: those of an installation, the task queues of d->defs,
 * and the topics of their triggers. */
struct dev_topic {
    char *name;  /* owned; as the broker knows it */
    char *queue; /* owned; of a task topic, else NULL */
    int32_t partitions;
};
struct dev_topics {
    struct dev_topic *list;
    size_t count;
};
struct dev_topics dev_topics_of(const struct dev *d);
void dev_topics_done(struct dev_topics *t);

#endif
