/* SPDX-License-Identifier: Apache-2.0
 *
 * The options that every program shares: where Kafka and Redis are, the prefix of all names, and
 * the log level. A program embeds struct common_config (or single parts of it) and puts
 *
 *     static const struct option options[] = {
 *         COMMON_OPTIONS(struct worker_config, common),
 *         { .name = "worker.calls", ... },
 *     };
 *
 * into its table, so that all of them have the same names, defaults and help. */
#ifndef TUTTI_OPTIONS_H
#define TUTTI_OPTIONS_H

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/secret.h"
#include "common/io/bus.h"
#include "common/io/config.h"
#include "common/io/payload_store.h"
#include "common/io/store.h"

struct kafka_config {
    char *brokers;
    char *security_protocol; /* plaintext ssl sasl_plaintext sasl_ssl */
    char *sasl_mechanism;    /* NULL: none */
    char *sasl_username;
    struct secret sasl_password;
    char *ssl_ca, *ssl_certificate, *ssl_key; /* file names or NULL */
    uint32_t fetch_wait_ms, message_timeout_ms, session_timeout_ms;
    char *compression;
    uint32_t replication; /* of topics that are made; 0: the broker's default */
    bool create_topics;
};

struct redis_config {
    char *host;
    uint32_t port;
    char *username; /* NULL: none */
    struct secret password;
    uint32_t db;
    uint32_t command_timeout_ms;
};

struct common_config {
    struct kafka_config kafka;
    struct redis_config redis;
    char *prefix;
    char *log_level; /* see log_level_parse */
};

/* The payload store; docs/payloads.md. */
struct payloads_config {
    char *store; /* "none", "dir:/path" or "s3://bucket/prefix" */
    uint64_t inline_max, max;
    char *s3_endpoint; /* NULL: Amazon's of the region */
    char *s3_region;
    char *s3_addressing; /* path virtual */
    struct secret s3_access_key, s3_secret_key, s3_session_token;
    bool s3_allow_http;
    uint32_t s3_attempt_ms, s3_attempts_max;
};

/* The connection settings, borrowing all text from c, which must live until bus_open has copied it.
 * client_id may be NULL; log is required. false: settings that contradict each other (ERR_INVALID),
 * such as SASL without a user name. */
MUST_CHECK bool kafka_bus_options(const struct kafka_config *c, const char *client_id,
                                  const struct log *log, struct bus_options *ret, struct err *e);
/* The same for Redis, borrowing from c as long as the store lives; the caller fills in on_connect,
 * on_disconnect and user. */
MUST_CHECK bool redis_store_options(const struct redis_config *c, const struct log *log,
                                    struct store_options *ret, struct err *e);

/* What payloads.store says, taken apart. */
struct payloads_place {
    bool none;                   /* no store: what is too large is refused */
    struct blob_options options; /* borrows from here and from the configuration */
    char bucket[64], endpoint[128];
};
/* ERR_INVALID: no place that can be, or settings that contradict each other. *ret must not move
 * while its options are in use. */
MUST_CHECK bool payloads_place_of(const struct payloads_config *c, struct payloads_place *ret,
                                  struct err *e);
/* All of it for payload_store_open, borrowing from c, place and log. */
MUST_CHECK bool payload_store_options_of(const struct payloads_config *c, const struct log *log,
                                         struct payloads_place *place,
                                         struct payload_store_options *ret, struct err *e);

/* clang-format off */
/* Rows of an option table for the struct kafka_config, redis_config or common_config that is the
 * `member` of the program's config type `struct_`. */
#define KAFKA_OPTIONS(struct_, member)                                                            \
    { .name = "kafka.brokers", .type = OPTION_TEXT, .offset = offsetof(struct_, member.brokers),  \
      .fallback = "127.0.0.1:9092", .value_name = "HOST:PORT,...",                                \
      .help = "Kafka brokers to begin with; the others are found through them." },                \
    { .name = "kafka.security_protocol", .type = OPTION_ENUM,                                     \
      .offset = offsetof(struct_, member.security_protocol), .fallback = "plaintext",             \
      .choices = "plaintext|ssl|sasl_plaintext|sasl_ssl",                                         \
      .help = "How to talk to the brokers: encrypted (ssl), with a user name (sasl), or both." }, \
    { .name = "kafka.sasl_mechanism", .type = OPTION_ENUM,                                        \
      .offset = offsetof(struct_, member.sasl_mechanism),                                         \
      .choices = "PLAIN|SCRAM-SHA-256|SCRAM-SHA-512",                                             \
      .help = "How the user name and password are proved to the brokers." },                      \
    { .name = "kafka.sasl_username", .type = OPTION_TEXT,                                         \
      .offset = offsetof(struct_, member.sasl_username), .value_name = "NAME",                    \
      .help = "User name for SASL." },                                                            \
    { .name = "kafka.sasl_password", .type = OPTION_SECRET,                                       \
      .offset = offsetof(struct_, member.sasl_password), .help = "Password for SASL." },          \
    { .name = "kafka.ssl_ca", .type = OPTION_TEXT, .offset = offsetof(struct_, member.ssl_ca),    \
      .value_name = "FILE",                                                                       \
      .help = "Certificates of the authorities that brokers are checked against (PEM). "          \
              "Default: the system's." },                                                         \
    { .name = "kafka.ssl_certificate", .type = OPTION_TEXT,                                       \
      .offset = offsetof(struct_, member.ssl_certificate), .value_name = "FILE",                  \
      .help = "Client certificate (PEM), where brokers ask for one." },                           \
    { .name = "kafka.ssl_key", .type = OPTION_TEXT, .offset = offsetof(struct_, member.ssl_key),  \
      .value_name = "FILE", .help = "Private key of the client certificate (PEM)." },             \
    { .name = "kafka.fetch_wait", .type = OPTION_DURATION,                                        \
      .offset = offsetof(struct_, member.fetch_wait_ms), .min = 1, .max = 10000,                  \
      .fallback = "100ms",                                                                        \
      .help = "Longest time a broker holds back an answer while there are no new records." },     \
    { .name = "kafka.message_timeout", .type = OPTION_DURATION,                                   \
      .offset = offsetof(struct_, member.message_timeout_ms), .min = 1000, .max = 900000,         \
      .fallback = "30s", .help = "After this a record that could not be written has failed." },   \
    { .name = "kafka.session_timeout", .type = OPTION_DURATION,                                   \
      .offset = offsetof(struct_, member.session_timeout_ms), .min = 1000, .max = 300000,         \
      .fallback = "10s",                                                                          \
      .help = "A process that is silent for this long loses its partitions to others." },         \
    { .name = "kafka.compression", .type = OPTION_ENUM,                                           \
      .offset = offsetof(struct_, member.compression), .fallback = "none",                        \
      .choices = "none|lz4|zstd|gzip|snappy",                                                     \
      .help = "Compression of what is written. It pays where the network is slow." },             \
    { .name = "kafka.replication", .type = OPTION_U32,                                            \
      .offset = offsetof(struct_, member.replication), .min = 0, .max = 9, .fallback = "0",       \
      .help = "Replicas of the topics that are made; 0 is the broker's default." },               \
    { .name = "kafka.create_topics", .type = OPTION_BOOL,                                         \
      .offset = offsetof(struct_, member.create_topics), .fallback = "true",                      \
      .help = "Make the topics that are missing. Turn it off where an administrator does." }

#define REDIS_OPTIONS(struct_, member)                                                            \
    { .name = "redis.host", .type = OPTION_TEXT, .offset = offsetof(struct_, member.host),        \
      .fallback = "127.0.0.1", .value_name = "HOST",                                              \
      .help = "Name or address of the Redis server, or the path of its Unix socket." },           \
    { .name = "redis.port", .type = OPTION_U32, .offset = offsetof(struct_, member.port),         \
      .min = 1, .max = 65535, .fallback = "6379", .value_name = "PORT",                           \
      .help = "Port of the Redis server." },                                                      \
    { .name = "redis.username", .type = OPTION_TEXT, .offset = offsetof(struct_, member.username), \
      .value_name = "NAME", .help = "User name for AUTH, where Redis has users (ACL)." },         \
    { .name = "redis.password", .type = OPTION_SECRET,                                            \
      .offset = offsetof(struct_, member.password), .help = "Password for AUTH." },               \
    { .name = "redis.db", .type = OPTION_U32, .offset = offsetof(struct_, member.db), .min = 0,   \
      .max = 65535, .fallback = "0", .help = "Number of the database to select." },               \
    { .name = "redis.command_timeout", .type = OPTION_DURATION,                                   \
      .offset = offsetof(struct_, member.command_timeout_ms), .min = 10, .max = 60000,            \
      .fallback = "2s",                                                                           \
      .help = "After this without an answer the connection is given up and made anew." }

#define PAYLOADS_OPTIONS(struct_, member)                                                         \
    { .name = "payloads.store", .type = OPTION_TEXT, .offset = offsetof(struct_, member.store),   \
      .fallback = "none", .value_name = "PLACE",                                                  \
      .help = "Where payloads above payloads.inline_max lie: none, dir:/path (shared by all "     \
              "processes), or s3://bucket/prefix." },                                             \
    { .name = "payloads.inline_max", .type = OPTION_SIZE,                                         \
      .offset = offsetof(struct_, member.inline_max), .min = 1024, .max = PAYLOAD_BYTES_MAX,      \
      .fallback = "32KiB", .help = "Largest payload that travels in messages and Redis." },       \
    { .name = "payloads.max", .type = OPTION_SIZE, .offset = offsetof(struct_, member.max),       \
      .min = PAYLOAD_BYTES_MAX, .max = BLOB_BYTES_MAX, .fallback = "16MiB",                       \
      .help = "Largest payload where there is a store; without one it is 900,000 bytes." },       \
    { .name = "payloads.s3.endpoint", .type = OPTION_TEXT,                                        \
      .offset = offsetof(struct_, member.s3_endpoint), .value_name = "URL",                       \
      .help = "Scheme, host and port of the S3 store. Default: Amazon's of the region." },        \
    { .name = "payloads.s3.region", .type = OPTION_TEXT,                                          \
      .offset = offsetof(struct_, member.s3_region), .fallback = "us-east-1",                     \
      .value_name = "NAME", .help = "Region of the bucket." },                                    \
    { .name = "payloads.s3.addressing", .type = OPTION_ENUM,                                      \
      .offset = offsetof(struct_, member.s3_addressing), .fallback = "path",                      \
      .choices = "path|virtual",                                                                  \
      .help = "Whether the bucket stands in the path or in the name of the host." },              \
    { .name = "payloads.s3.access_key", .type = OPTION_SECRET,                                    \
      .offset = offsetof(struct_, member.s3_access_key), .help = "Access key id." },              \
    { .name = "payloads.s3.secret_key", .type = OPTION_SECRET,                                    \
      .offset = offsetof(struct_, member.s3_secret_key), .help = "Secret access key." },          \
    { .name = "payloads.s3.session_token", .type = OPTION_SECRET,                                 \
      .offset = offsetof(struct_, member.s3_session_token),                                       \
      .help = "Session token, where the keys are temporary ones." },                              \
    { .name = "payloads.s3.allow_http", .type = OPTION_BOOL,                                      \
      .offset = offsetof(struct_, member.s3_allow_http), .fallback = "false",                     \
      .help = "Permit an endpoint that is not encrypted." },                                      \
    { .name = "payloads.s3.timeout", .type = OPTION_DURATION,                                     \
      .offset = offsetof(struct_, member.s3_attempt_ms), .min = 100, .max = 600000,               \
      .fallback = "30s", .help = "Longest time of one request." },                                \
    { .name = "payloads.s3.attempts", .type = OPTION_U32,                                         \
      .offset = offsetof(struct_, member.s3_attempts_max), .min = 1, .max = 20, .fallback = "5",  \
      .help = "Attempts of one request while the store is busy or silent." }

#define PREFIX_OPTION(struct_, member)                                                            \
    { .name = "prefix", .type = OPTION_TEXT, .offset = offsetof(struct_, member),                 \
      .fallback = "tutti", .value_name = "NAME",                                                  \
      .charset = "abcdefghijklmnopqrstuvwxyz0123456789._-", .min = 1, .max = 60,                  \
      .help = "What all topics and Redis keys begin with; one for each installation." }

#define LOG_LEVEL_OPTION(struct_, member)                                                         \
    { .name = "log.level", .type = OPTION_ENUM, .offset = offsetof(struct_, member),              \
      .fallback = "info", .choices = "debug|info|warn|error",                                     \
      .help = "Least important lines to log." }

#define COMMON_OPTIONS(struct_, member)                                                           \
    PREFIX_OPTION(struct_, member.prefix), LOG_LEVEL_OPTION(struct_, member.log_level),           \
    KAFKA_OPTIONS(struct_, member.kafka), REDIS_OPTIONS(struct_, member.redis)
/* clang-format on */

#endif
