/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded broker: librdkafka's mock cluster in this process, on loopback ports that the system
 * chooses, in memory. For `tutti dev` and tests; it keeps at most 5 MiB a partition. */
#include "common/io/bus_internal.h"

#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

struct bus_mock {
    rd_kafka_t *rk; /* a handle that only carries the cluster */
    rd_kafka_mock_cluster_t *cluster;
    int brokers;
};

struct bus_mock *bus_mock_start(int brokers, struct err *e)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    /* It has no brokers to connect to, and would say so. */
    if (!bus_conf_set(conf, "log_level", "3", e)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_t *rk = bus_handle(RD_KAFKA_PRODUCER, conf, e);
    if (!rk) return NULL;
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(rk, brokers);
    if (!cluster) {
        rd_kafka_destroy(rk);
        (void)err_fail(e, ERR_UNAVAILABLE, "the embedded broker does not start");
        return NULL;
    }
    struct bus_mock *m = xcalloc(1, sizeof *m);
    *m = (struct bus_mock){ .rk = rk, .cluster = cluster, .brokers = brokers };
    return m;
}

struct bus_mock *bus_mock_stop(struct bus_mock *m)
{
    if (!m) return NULL;
    rd_kafka_mock_cluster_destroy(m->cluster);
    rd_kafka_destroy(m->rk);
    free(m);
    return NULL;
}

const char *bus_mock_brokers(const struct bus_mock *m)
{
    return rd_kafka_mock_cluster_bootstraps(m->cluster);
}

bool bus_mock_topic(struct bus_mock *m, const char *topic, int32_t partitions, struct err *e)
{
    rd_kafka_resp_err_t code =
        rd_kafka_mock_topic_create(m->cluster, topic, partitions, m->brokers);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || bus_err(e, code, topic);
}

void bus_mock_fail(struct bus_mock *m, int16_t api_key, size_t count, const int *codes)
{
    rd_kafka_resp_err_t errors[64];
    ASSERT(count <= ARRAY_LEN(errors));
    for (size_t i = 0; i < count; i++) errors[i] = (rd_kafka_resp_err_t)codes[i];
    rd_kafka_mock_push_request_errors_array(m->cluster, api_key, count, errors);
}

void bus_mock_down(struct bus_mock *m, bool down)
{
    if (down)
        (void)rd_kafka_mock_broker_set_down(m->cluster, -1);
    else
        (void)rd_kafka_mock_broker_set_up(m->cluster, -1);
}

void bus_mock_slow(struct bus_mock *m, int ms)
{
    (void)rd_kafka_mock_broker_set_rtt(m->cluster, -1, ms);
}
