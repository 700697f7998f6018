/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of `config` share: one option's value and names (config_value.c), seen by the
 * loader (config.c) and by the generators of help, manuals and completions. */
#ifndef TUTTI_CONFIG_PARTS_H
#define TUTTI_CONFIG_PARTS_H

#include "common/io/config.h"

#define OPTION_NAME_MAX 100

/* Sets the option's field from text, releasing what was there; empty text unsets a TEXT, an ENUM
 * and a SECRET. e says what is wrong and what is allowed, not where. */
MUST_CHECK bool option_set(const struct option *o, void *config, const char *text, struct err *e);
/* The same from the content of the file at path, without one trailing newline. SECRET only. */
MUST_CHECK bool option_set_from_file(const struct option *o, void *config, const char *path,
                                     struct err *e);
void option_release(const struct option *o, void *config);
/* A deep copy of the field; that of `to` must be released. */
void option_copy(const struct option *o, void *to, const void *from);

/* "a duration from 1ms to 10s, such as 250ms, 30s or 5m" */
void option_allowed(const struct option *o, struct buf *ret);
/* The least and the greatest value of a U32, DURATION (ms) or SIZE. */
void option_bounds(const struct option *o, int64_t *ret_min, int64_t *ret_max);
/* What stands for the value in help: HOST:PORT, N, debug|info. */
const char *option_value_name(const struct option *o);

/* kafka.ssl_ca -> TUTTI_KAFKA_SSL_CA, kafka-ssl-ca. suffix ("_file" or "") is appended first. */
void option_variable(const struct option *o, const char *suffix, char ret[OPTION_NAME_MAX]);
void option_flag(const struct option *o, const char *suffix, char ret[OPTION_NAME_MAX]);

/* The option's group: the part of its name before the first dot; empty where there is none. */
struct bytes option_group(const struct option *o);
/* Visits the options group by group: those without one first, then in order of appearance.
 * begin is called before the first of each group. */
struct option_visitor {
    void (*begin)(void *user, struct bytes group);
    void (*option)(void *user, const struct option *o);
    void *user;
};
void option_visit(const struct option_table *table, const struct option_visitor *v);

/* The first word of table->program, and what follows it ("" for a program without commands). */
struct bytes table_program(const struct option_table *table);
const char *table_command(const struct option_table *table);
/* Whether the table has an option of its own with this flag. */
bool table_has_flag(const struct option_table *table, const char *flag);

#endif
