/* SPDX-License-Identifier: Apache-2.0 */
#include "common/io/options.h"

#include <stdio.h>

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

/* "s3://bucket/prefix", the prefix may be missing. */
static bool s3_place(const struct payloads_config *c, const char *place, struct payloads_place *ret,
                     struct err *e)
{
    size_t len = strcspn(place, "/");
    if (len == 0 || len >= sizeof ret->bucket)
        return err_fail(e, ERR_INVALID, "payloads.store: s3://%s names no bucket", place);
    if (!c->s3_access_key.bytes || !c->s3_secret_key.bytes)
        return err_fail(e, ERR_INVALID,
                        "payloads.store is in S3: payloads.s3.access_key and "
                        "payloads.s3.secret_key are needed");
    snprintf(ret->bucket, sizeof ret->bucket, "%.*s", (int)len, place);
    snprintf(ret->endpoint, sizeof ret->endpoint, "https://s3.%s.amazonaws.com", c->s3_region);
    ret->options = (struct blob_options){
        .endpoint = c->s3_endpoint ? c->s3_endpoint : ret->endpoint,
        .http_allowed = c->s3_allow_http,
        .region = c->s3_region,
        .bucket = ret->bucket,
        .prefix = place[len] ? place + len + 1 : "",
        .virtual_host = strcmp(c->s3_addressing, "virtual") == 0,
        .access_key = c->s3_access_key.bytes,
        .secret_key = c->s3_secret_key.bytes,
        .session_token = c->s3_session_token.bytes,
        .attempt_ms = c->s3_attempt_ms,
        .attempts_max = c->s3_attempts_max,
    };
    return true;
}

bool payloads_place_of(const struct payloads_config *c, struct payloads_place *ret, struct err *e)
{
    *ret = (struct payloads_place){ 0 };
    if (strcmp(c->store, "none") == 0) {
        ret->none = true;
        return true;
    }
    if (strncmp(c->store, "s3://", 5) == 0) return s3_place(c, c->store + 5, ret, e);
    if (strncmp(c->store, "dir:/", 5) == 0) {
        ret->options.dir = c->store + 4;
        return true;
    }
    return err_fail(e, ERR_INVALID,
                    "payloads.store is %s; it may be none, dir:/path or s3://bucket/prefix",
                    c->store);
}

bool payload_store_options_of(const struct payloads_config *c, const struct log *log,
                              struct payloads_place *place, struct payload_store_options *ret,
                              struct err *e)
{
    if (!payloads_place_of(c, place, e)) return false;
    *ret = (struct payload_store_options){ .place = place->none ? NULL : &place->options,
                                           .url = c->store,
                                           .inline_max = c->inline_max,
                                           .max = c->max,
                                           .log = log };
    return true;
}
