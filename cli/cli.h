/* SPDX-License-Identifier: Apache-2.0
 *
 * What every command of `tutti` has at hand: its configuration, its arguments, where it may write,
 * and how it says that something went wrong. One table (commands.c) names all commands; dispatch,
 * --help, completion and man pages are made from it.
 */
#ifndef TUTTI_CLI_H
#define TUTTI_CLI_H

#include "cli/term.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/definition/definition.h"
#include "common/io/config.h"
#include "common/io/options.h"

/* Exit codes; exit_codes_help() is what --help and the man page say. */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,      /* the run failed, or the operation was refused */
    EXIT_USAGE = 2,       /* bad usage, an invalid file or expression */
    EXIT_NOT_FOUND = 3,   /* no such run, workflow or file */
    EXIT_UNREACHABLE = 4, /* Kafka or Redis does not answer or refuses the credentials */
    EXIT_TIMEOUT = 5,     /* waited for as long as allowed */
};
const char *exit_codes_help(void);

/* One struct for all commands; each command's option table fills the members it knows. */
struct cli_config {
    struct kafka_config kafka;
    struct redis_config redis;
    struct payloads_config payloads; /* start; store NULL: not asked for, there is none */
    char *prefix, *log_level;
    bool json;
    uint32_t connect_timeout_ms; /* for a server to answer */
    uint32_t timeout_ms;         /* for a run to end; 0: as long as it takes */
    /* start, dev */
    char *input, *input_json, *input_text, *document, *key;
    bool wait, watch;
    bool strict;                             /* validate */
    bool all;                                /* dlq */
    char *on_conflict;                       /* start */
    char *to;                                /* schedule */
    char *status, *workflow, *reason, *data; /* list, cancel, eval */
    uint32_t limit;
    char *test_case; /* test */
    bool coverage;
    char *picture;         /* graph */
    bool check, to_stdout; /* fmt */
    char *template_name;   /* init */
    char *ref;             /* schema */
    bool format;
    char *as, *role, *comment, *values, *output, *json_data; /* answer, signal, skip */
    bool compensate;                                         /* cancel */
    char *from, *at, *outputs;                               /* rerun, schedule; fork */
    bool cancel;                                             /* restart */
    char *where;                                             /* of all runs that it finds */
    bool dry_run, yes;
    char *index_url, *of_version, *since, *until, *attr, *cursor; /* list */
    /* simulate */
    uint32_t seed, seeds, runs;
    char *faults, *mocks;
    bool trace, approve;
    /* dev */
    char *use_kafka, *use_redis, *env_file, *run, *worker_config;
    bool demo_model, verbose;
};

struct cli {
    const struct command *command;
    struct cli_config *config;
    char **args; /* positional arguments, NULL-ended */
    size_t arg_count;
    struct term out, err; /* stdout and stderr */
    struct log log;       /* of the libraries: warnings, on stderr */
};

struct command {
    struct option_table table; /* program: "tutti NAME" */
    const char *name;
    size_t args_min, args_max; /* positional arguments */
    bool many;                 /* the first is a run, and left out where --where says which */
    const char *const *words;  /* all that the first argument may be, NULL-ended; NULL: anything */
    int (*run)(struct cli *cli);
};

/* All commands in the order of --help. */
const struct command *commands(size_t *ret_count);
/* The command of that name, or NULL. */
const struct command *command_find(const char *name);
/* The command whose name is nearest to a mistyped one, or NULL where none is near. */
const char *command_suggest(const char *name);

/* The commands' own files. */
int cmd_validate(struct cli *cli);
int cmd_eval(struct cli *cli);
int cmd_schema(struct cli *cli);
int cmd_simulate(struct cli *cli);
int cmd_fmt(struct cli *cli);
int cmd_init(struct cli *cli);
int cmd_graph(struct cli *cli);
int cmd_test(struct cli *cli);
int cmd_deploy(struct cli *cli);
int cmd_start(struct cli *cli);
int cmd_status(struct cli *cli);
int cmd_history(struct cli *cli);
int cmd_watch(struct cli *cli);
int cmd_list(struct cli *cli);
int cmd_cancel(struct cli *cli);
int cmd_pause(struct cli *cli);
int cmd_resume(struct cli *cli);
int cmd_terminate(struct cli *cli);
int cmd_answer(struct cli *cli);
int cmd_signal(struct cli *cli);
int cmd_skip(struct cli *cli);
int cmd_retry(struct cli *cli);
int cmd_rerun(struct cli *cli);
int cmd_fork(struct cli *cli);
int cmd_restart(struct cli *cli);
int cmd_set(struct cli *cli);
int cmd_schedule(struct cli *cli);
int cmd_dlq(struct cli *cli);
int cmd_dev(struct cli *cli);
int cmd_completion(struct cli *cli);
int cmd_man(struct cli *cli);
int cmd_docs(struct cli *cli);
int cmd_version(struct cli *cli);
int cmd_help(struct cli *cli);

/* Runs the command line; returns the exit code. */
int cli_main(int argc, char **argv);

/* The exit code of an error. */
int exit_code_of(const struct err *e);
/* Says "tutti: WHAT: text" on stderr (an object with --json); returns the exit code. */
int cli_fail(const struct cli *cli, const char *what, const struct err *e);
/* The same without a struct cli, for what happens before there is one. */
int cli_fail_early(bool json, const char *what, const struct err *e);
/* A remark for people on stderr; nothing with --json. */
void cli_note(const struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Writes to stdout; false if that fails (a full disk, a closed pipe). */
bool cli_print(const struct buf *text);
/* Writes a value as JSON and a newline to stdout: indented on a terminal, else on one line. */
bool cli_print_json(const struct cli *cli, const json_t *value);

/* Who says so: --as, else the user's name; empty where that is not known. */
MUST_CHECK bool cli_actor(const struct cli *cli, struct bytes *ret, struct err *e);

/* Reads a file, or stdin if path is "-"; at most bytes_max. Errors name the file. */
MUST_CHECK bool cli_read(const char *path, size_t bytes_max, struct buf *ret, struct err *e);
/* FILE:LINE:COLUMN: text on stderr, and under it the line of the source (NULL: not at hand) with a
 * ^ at the column; and the same as a JSON list. */
void cli_faults_print(const char *path, const struct buf *source, const struct faults *faults);
json_t *cli_faults_json(const char *path, const struct faults *faults);
/* Writes a file so that it is whole or as it was before, whatever happens: next to it, then
 * renamed. A link stays one; permissions stay. exclusive: it must not exist yet (ERR_CONFLICT). */
MUST_CHECK bool cli_write(const char *path, struct bytes content, bool exclusive, struct err *e);
/* Reads and parses a definition. NULL: faults and errors are reported, *ret_exit is the code. */
MUST_CHECK struct definition *cli_definition(const struct cli *cli, const char *path,
                                             int *ret_exit);

#endif
