/* SPDX-License-Identifier: Apache-2.0 */
#include "common/io/options.h"

static bool uses_sasl(const struct kafka_config *c)
{
    return strncmp(c->security_protocol, "sasl_", 5) == 0;
}

static bool uses_ssl(const struct kafka_config *c)
{
    return strstr(c->security_protocol, "ssl") != NULL;
}

/* What would otherwise only show as a broker that never answers. */
static bool check_kafka(const struct kafka_config *c, struct err *e)
{
    if (!c->brokers || !*c->brokers)
        return err_fail(e, ERR_INVALID, "kafka.brokers is empty; it needs HOST:PORT");
    bool credentials = c->sasl_mechanism || c->sasl_username || c->sasl_password.bytes;
    if (credentials && !uses_sasl(c))
        return err_fail(e, ERR_INVALID,
                        "kafka.sasl_* is set, but kafka.security_protocol is %s; use "
                        "sasl_plaintext or sasl_ssl",
                        c->security_protocol);
    if (uses_sasl(c) && (!c->sasl_mechanism || !c->sasl_username || !c->sasl_password.bytes))
        return err_fail(e, ERR_INVALID,
                        "kafka.security_protocol is %s: kafka.sasl_mechanism, kafka.sasl_username "
                        "and kafka.sasl_password are needed",
                        c->security_protocol);
    if ((c->ssl_ca || c->ssl_certificate || c->ssl_key) && !uses_ssl(c))
        return err_fail(
            e, ERR_INVALID,
            "kafka.ssl_* is set, but kafka.security_protocol is %s; use ssl or sasl_ssl",
            c->security_protocol);
    if (!c->ssl_certificate != !c->ssl_key)
        return err_fail(e, ERR_INVALID,
                        "kafka.ssl_certificate and kafka.ssl_key are only of use together");
    return true;
}

bool kafka_bus_options(const struct kafka_config *c, const char *client_id, const struct log *log,
                       struct bus_options *ret, struct err *e)
{
    if (!check_kafka(c, e)) return false;
    *ret = (struct bus_options){
        .brokers = c->brokers,
        .client_id = client_id,
        .security_protocol = c->security_protocol,
        .sasl_mechanism = c->sasl_mechanism,
        .sasl_username = c->sasl_username,
        .sasl_password = c->sasl_password.bytes,
        .ssl_ca_location = c->ssl_ca,
        .ssl_certificate_location = c->ssl_certificate,
        .ssl_key_location = c->ssl_key,
        .fetch_wait_ms = c->fetch_wait_ms,
        .message_timeout_ms = c->message_timeout_ms,
        .session_timeout_ms = c->session_timeout_ms,
        .compression = c->compression,
        .log = log,
    };
    return true;
}

bool redis_store_options(const struct redis_config *c, const struct log *log,
                         struct store_options *ret, struct err *e)
{
    if (!c->host || !*c->host) return err_fail(e, ERR_INVALID, "redis.host is empty");
    if (c->username && !c->password.bytes)
        return err_fail(e, ERR_INVALID, "redis.username is set, but redis.password is not");
    *ret = (struct store_options){
        .host = c->host,
        .port = (uint16_t)c->port,
        .username = c->username,
        .password = c->password.bytes,
        .db = c->db,
        .command_timeout_ms = c->command_timeout_ms,
        .log = log,
    };
    return true;
}
