/* SPDX-License-Identifier: Apache-2.0
 *
 * One option table a program drives everything: the YAML file, the environment (TUTTI_...), the
 * flags,
 * --help, bounds, shell completion, man pages and docs/configuration.md. Precedence: flag >
 * environment > file > default. A secret option SECRET may also be given as SECRET_file (flag
 * --secret-file, environment TUTTI_SECRET_FILE): the name of a file that holds it. */
#ifndef TUTTI_CONFIG_H
#define TUTTI_CONFIG_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/secret.h"

enum option_type {
    OPTION_TEXT,     /* char * (owned by the config; NULL where unset and without default) */
    OPTION_U32,      /* uint32_t; min..max apply */
    OPTION_BOOL,     /* bool; true false yes no 1 0; a bare flag means true, --no-NAME false */
    OPTION_DURATION, /* uint32_t, milliseconds; "30s"; a bare number is seconds; min..max in ms */
    OPTION_SIZE,     /* uint64_t, bytes; "64MiB", "10MB", bare bytes */
    OPTION_ENUM,     /* char *; one of choices, separated by | */
    OPTION_SECRET,   /* struct secret */
    OPTION_JSON, /* json_t * (owned): any structure, from the file; as text from flag or environment
                    it is JSON */
};

struct option {
    const char *name; /* "kafka.brokers": file key kafka: {brokers: }, TUTTI_KAFKA_BROKERS,
                         --kafka-brokers */
    char short_flag;  /* 'k' for -k, or 0 */
    enum option_type type;
    size_t offset;          /* in the program's config struct */
    int64_t min, max;       /* U32, DURATION (ms), SIZE; bytes of a TEXT; both 0: unbounded */
    const char *fallback;   /* text of the default, or NULL */
    const char *choices;    /* ENUM */
    const char *value_name; /* shown in help: HOST:PORT */
    const char *help;       /* one or two sentences */
    bool reloadable;        /* read again on SIGHUP */
    const char *charset;    /* TEXT: the characters it may have; NULL: any */
};

struct option_table {
    const char *program;     /* "tutti-worker" */
    const char *summary;     /* one line */
    const char *positional;  /* "WORKFLOW.yaml [--input FILE]" or NULL */
    const char *description; /* paragraphs for the man page; may be NULL */
    const struct option *options;
    size_t count;
    size_t config_bytes; /* sizeof the program's struct */
};

/* Defaults, then the file (--config FILE or TUTTI_CONFIG), environment and flags. *ret_config:
 * xcalloc'd struct of config_bytes, release with config_free. Positional arguments go to *ret_args
 * (borrowed from argv, NULL-ended array to free()) if ret_args is not NULL, else they are an error.
 * Errors name the source (file:line:column, variable, or flag), what is wrong and what is allowed;
 * an unknown name suggests the nearest. --help and --version are reported by *ret_exit = true after
 * printing to stdout; *ret_config and *ret_args are then NULL. So are --docs, --docs=man and
 * --docs=schema (a program without commands prints its section of the documentation). Unknown keys
 * of the file are errors too, unknown variables are not (Kubernetes puts TUTTI_SERVICE_HOST and
 * such into containers). An empty variable counts as not set, and so does a key of the file without
 * a value. */
MUST_CHECK bool config_load(const struct option_table *table, int argc, char **argv,
                            void **ret_config, char ***ret_args, bool *ret_exit, struct err *e);
/* Reads file and environment again, and returns a new config with only the reloadable options
 * changed from old; what no option describes is zero. Release with config_free. */
MUST_CHECK bool config_reload(const struct option_table *table, int argc, char **argv,
                              const void *old, void **ret_config, struct err *e);
void config_free(const struct option_table *table, void *config);

/* Generated texts. */
void config_help(const struct option_table *table, struct buf *ret);
void config_man(const struct option_table *table, const char *date, struct buf *ret); /* troff */
void config_markdown(const struct option_table *table,
                     struct buf *ret); /* a section of docs/configuration.md */
/* JSON Schema 2020-12 of the program's file, without $schema: what may stand where, bounds,
 * defaults and help. A new reference. */
json_t *config_schema(const struct option_table *table);
/* Appends a completion script; false if shell is none of bash, zsh and fish. A table whose program
 * has a second word ("tutti start") is a command of the first. */
bool config_completion(const struct option_table *const *tables, size_t count, const char *shell,
                       struct buf *ret);

#endif
