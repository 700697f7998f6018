/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration as an administrator meets it: which source wins, and what a mistake is answered. */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io/options.h"

struct program_config {
    struct common_config common;
    char *name;
    uint32_t calls;
    uint64_t memory;
    bool drain;
    json_t *models;
};

static const struct option options[] = {
    { .name = "name",
      .short_flag = 'n',
      .type = OPTION_TEXT,
      .offset = offsetof(struct program_config, name),
      .help = "A name. 'Quoted', [bracketed] and 5:5." },
    COMMON_OPTIONS(struct program_config, common),
    { .name = "worker.calls",
      .short_flag = 'c',
      .type = OPTION_U32,
      .offset = offsetof(struct program_config, calls),
      .min = 1,
      .max = 4096,
      .fallback = "64",
      .help = "Model calls that are kept open at once.",
      .reloadable = true },
    { .name = "worker.memory",
      .type = OPTION_SIZE,
      .offset = offsetof(struct program_config, memory),
      .min = 1024,
      .max = 1LL << 40,
      .fallback = "64MiB",
      .help = "Memory for answers." },
    { .name = "worker.drain",
      .short_flag = 'd',
      .type = OPTION_BOOL,
      .offset = offsetof(struct program_config, drain),
      .help = "Finish what is open at the end." },
    { .name = "models",
      .type = OPTION_JSON,
      .offset = offsetof(struct program_config, models),
      .help = "The catalogue." },
};
static const struct option_table table = {
    .program = "tutti-x",
    .summary = "Does things to other things.",
    .description = "It does things.\n\nSee also:\n  one\n  .two 'three'",
    .options = options,
    .count = ARRAY_LEN(options),
    .config_bytes = sizeof(struct program_config),
};

static void release(struct program_config **config)
{
    config_free(&table, *config);
}
#define AUTO_CONFIG CLEANUP(release) struct program_config

#define LOAD(e, ...) \
    load((e), (char *[]){ (char *)"tutti-x", __VA_ARGS__ __VA_OPT__(, ) NULL }, NULL)

static struct program_config *load(struct err *e, char **argv, char ***ret_args)
{
    void *config = NULL;
    bool leave = false;
    int argc = 0;
    while (argv[argc]) argc++;
    *e = (struct err){ 0 };
    bool ok = config_load(&table, argc, argv, &config, ret_args, &leave, e);
    cr_assert_eq(ok, config != NULL);
    return config;
}

/* A file in a directory of the test's own, with this content; its name lives until the next call.
 */
static const char *file_with(const char *name, const char *content)
{
    static char path[200];
    snprintf(path, sizeof path, "/tmp/tutti-config-%d", (int)getpid());
    mkdir(path, 0700);
    snprintf(path, sizeof path, "/tmp/tutti-config-%d/%s", (int)getpid(), name);
    FILE *file = fopen(path, "w");
    fputs(content, file);
    fclose(file);
    return path;
}

static void remove_files(void)
{
    for (int i = 0; i < 4; i++) {
        char path[200];
        snprintf(path, sizeof path, "/tmp/tutti-config-%d/%s", (int)getpid(),
                 ((const char *[]){ "c.yaml", "secret", "script", "" })[i]);
        remove(path);
    }
}

static void refuses_file(const char *yaml, const char *words)
{
    struct err e;
    AUTO_CONFIG *c = LOAD(&e, (char *)"--config", (char *)file_with("c.yaml", yaml));
    cr_assert_null(c, "accepted: %s", yaml);
    cr_assert(strstr(e.text, words), "'%s' does not say '%s'", e.text, words);
    cr_assert(strstr(e.text, "c.yaml"), "%s", e.text);
}

static void refuses_flags(const char *words, char **argv)
{
    struct err e;
    AUTO_CONFIG *c = load(&e, argv, NULL);
    cr_assert_null(c);
    cr_assert(strstr(e.text, words), "'%s' does not say '%s'", e.text, words);
}
#define REFUSES(words, ...) refuses_flags(words, (char *[]){ "tutti-x", __VA_ARGS__, NULL })

TestSuite(config, .fini = remove_files);

Test(config, defaults_hold_where_nothing_is_said)
{
    struct err e;
    AUTO_CONFIG *c = LOAD(&e);
    cr_assert_not_null(c, "%s", e.text);
    cr_assert_str_eq(c->common.kafka.brokers, "127.0.0.1:9092");
    cr_assert_str_eq(c->common.prefix, "tutti");
    cr_assert_str_eq(c->common.log_level, "info");
    cr_assert_eq(c->common.kafka.fetch_wait_ms, 100);
    cr_assert_eq(c->common.redis.port, 6379);
    cr_assert_eq(c->common.redis.command_timeout_ms, 2000);
    cr_assert_eq(c->memory, 64u << 20);
    cr_assert(c->common.kafka.create_topics);
    cr_assert_null(c->name);
    cr_assert_null(c->common.kafka.sasl_mechanism);
    cr_assert_null(c->common.redis.password.bytes);
}

Test(config, a_flag_precedes_the_environment_which_precedes_the_file)
{
    struct err e;
    char *file = (char *)file_with("c.yaml", "prefix: from-file\nkafka: { brokers: 'f:1' }\n"
                                             "redis:\n  host: rf\n  port: 1\n");
    setenv("TUTTI_KAFKA_BROKERS", "e:1", 1);
    setenv("TUTTI_REDIS_HOST", "re", 1);
    setenv("TUTTI_SERVICE_HOST", "10.0.0.1", 1); /* a stranger's */
    setenv("TUTTI_PREFIX", "", 1);               /* as if it were not set */
    setenv("TUTTI_CONFIG", file, 1);
    AUTO_CONFIG *c = LOAD(&e, "--kafka-brokers", "flag:1");
    cr_assert_not_null(c, "%s", e.text);
    cr_assert_str_eq(c->common.kafka.brokers, "flag:1");
    cr_assert_str_eq(c->common.redis.host, "re");
    cr_assert_eq(c->common.redis.port, 1);
    cr_assert_str_eq(c->common.prefix, "from-file");
}

Test(config, flags_come_in_all_usual_forms)
{
    struct err e;
    char **args = NULL;
    AUTO_CONFIG *c =
        load(&e,
             (char *[]){ "tutti-x", "one", "-n", "a", "-c7", "--worker-memory=10MB",
                         "--worker-drain", "-", "--redis-password=p=q", "--", "--two", "-x", NULL },
             &args);
    cr_assert_not_null(c, "%s", e.text);
    cr_assert_str_eq(c->name, "a");
    cr_assert_eq(c->calls, 7);
    cr_assert_eq(c->memory, 10000000);
    cr_assert(c->drain);
    cr_assert_str_eq(c->common.redis.password.bytes, "p=q");
    const char *const expected[] = { "one", "-", "--two", "-x" };
    for (int i = 0; i < 4; i++) cr_assert_str_eq(args[i], expected[i]);
    cr_assert_null(args[4]);
    free(args);

    AUTO_CONFIG *d = LOAD(&e, "-dc", "9", "--no-kafka-create-topics", "--worker-drain=no");
    cr_assert_not_null(d, "%s", e.text);
    cr_assert_eq(d->calls, 9);
    cr_assert_not(d->common.kafka.create_topics);
    cr_assert_not(d->drain);
}

Test(config, wrong_flags_are_answered_with_what_is_right)
{
    REFUSES("unknown flag '--kafka-broker'; did you mean '--kafka-brokers'?", "--kafka-broker",
            "x");
    REFUSES("did you mean '--redis-password-file'?", "--redis-pasword-file", "x");
    REFUSES("did you mean '--config'?", "--confg=x");
    REFUSES("unknown flag '--zzzzzzzzzz'", "--zzzzzzzzzz");
    REFUSES("unknown flag '-z' in '-dz'", "-dz");
    REFUSES("--redis-port: '70000' is not allowed; it takes a whole number from 1 to 65535",
            "--redis-port", "70000");
    REFUSES("--redis-port: '-1' is not allowed", "--redis-port=-1");
    REFUSES("--redis-port: '' is not allowed", "--redis-port=");
    REFUSES("-c: '4097' is not allowed; it takes a whole number from 1 to 4096", "-c4097");
    REFUSES("a duration from 1ms to 10s, such as", "--kafka-fetch-wait", "11s");
    REFUSES("a size from 1KiB to 1TiB, such as", "--worker-memory", "9999999TiB");
    REFUSES("a size from", "--worker-memory", "12 parsecs");
    REFUSES("one of debug, info, warn, error", "--log-level", "inf");
    REFUSES("--kafka-compression: 'none|lz4' is not allowed", "--kafka-compression", "none|lz4");
    REFUSES("--kafka-create-topics: 'maybe' is not allowed; it takes true or false",
            "--kafka-create-topics=maybe");
    REFUSES("--no-worker-drain takes no value", "--no-worker-drain=1");
    REFUSES("--name needs a value: --name TEXT", "--name");
    REFUSES("--config needs a value: --config FILE", "--config");
    REFUSES("of the characters a-z0-9._-", "--prefix", "Tutti");
    REFUSES("text of 1 to 60 bytes", "--prefix", "");
    REFUSES("--models: it takes JSON", "--models", "{");
    REFUSES("unexpected argument 'stray'", "stray");
    REFUSES("/no/such/file: No such file", "--config", "/no/such/file");
}

Test(config, wrong_variables_are_named)
{
    setenv("TUTTI_KAFKA_FETCH_WAIT", "soon", 1);
    REFUSES("environment variable TUTTI_KAFKA_FETCH_WAIT: 'soon' is not allowed; it takes a "
            "duration from 1ms to 10s",
            "--no-worker-drain");
}

Test(config, wrong_files_are_answered_with_line_and_column)
{
    refuses_file("kafka:\n  broker: x\n",
                 ":2:3: unknown option 'kafka.broker'; did you mean 'kafka.brokers'?");
    refuses_file("kafkas: {}", ":1:1: unknown option 'kafkas'");
    refuses_file("kafka: 3", ":1:8: kafka is a group of options; it takes a mapping");
    refuses_file(
        "redis:\n  port: [1]\n",
        ":2:9: redis.port: a list is not allowed; it takes a whole number from 1 to 65535");
    refuses_file("redis:\n  port: x\n", ":2:9: redis.port: 'x' is not allowed");
    refuses_file("redis:\n  port: 1.5\n", ":2:9: redis.port: '1.5' is not allowed");
    refuses_file("kafka:\n\tbrokers: x", ":2:1: a tab in the indentation");
    refuses_file("kafka: [", ":1:");
    refuses_file("- a\n", ":1:1: a configuration is a mapping of options");
    refuses_file("redis: { password: a, password_file: b }",
                 ":1:23: give either redis.password or redis.password_file, not both");
    refuses_file("redis: { password_file: /no/such }",
                 ":1:25: redis.password_file: cannot read /no/such: No such file");
}

Test(config, a_file_may_leave_things_out_and_write_them_in_its_ways)
{
    struct err e;
    const char *yaml =
        "# a comment\nname: 1.10\nkafka:\nredis:\n  host:\nkafka.brokers: 'a:1,b:2'\n"
        "models: { fast: { url: x, tries: 3 } }\nworker: { drain: true, calls: 5, "
        "memory: 2048 }\n";
    AUTO_CONFIG *c = LOAD(&e, "--config", (char *)file_with("c.yaml", yaml));
    cr_assert_not_null(c, "%s", e.text);
    cr_assert_str_eq(c->name, "1.10");
    cr_assert_str_eq(c->common.redis.host, "127.0.0.1");
    cr_assert_str_eq(c->common.kafka.brokers, "a:1,b:2");
    cr_assert_eq(c->memory, 2048);
    cr_assert(c->drain);
    cr_assert_eq(json_int(json_object_get(c->models, "fast"), "tries", 0), 3);
    AUTO_CONFIG *d = LOAD(&e, "--config", (char *)file_with("c.yaml", "# nothing\n"));
    cr_assert_not_null(d, "%s", e.text);
}

Test(config, a_secret_may_come_from_a_file_without_its_last_newline)
{
    struct err e;
    char *path = (char *)file_with("secret", " top secret\n\n");
    AUTO_CONFIG *c = LOAD(&e, "--redis-password-file", path);
    cr_assert_not_null(c, "%s", e.text);
    cr_assert_str_eq(c->common.redis.password.bytes, " top secret\n");
    setenv("TUTTI_REDIS_PASSWORD_FILE", path, 1);
    AUTO_CONFIG *d = LOAD(&e);
    cr_assert_not_null(d, "%s", e.text);
    cr_assert_str_eq(d->common.redis.password.bytes, " top secret\n");
    setenv("TUTTI_REDIS_PASSWORD", "x", 1);
    REFUSES("give either TUTTI_REDIS_PASSWORD or TUTTI_REDIS_PASSWORD_FILE", "-d");
    unsetenv("TUTTI_REDIS_PASSWORD");
    file_with("secret", "\n");
    REFUSES("environment variable TUTTI_REDIS_PASSWORD_FILE: ", "-d");
    setenv("TUTTI_REDIS_PASSWORD_FILE", "/no/such", 1);
    REFUSES("cannot read /no/such: No such file or directory", "-d");
}

Test(config, a_reload_changes_only_what_may_change)
{
    struct err e;
    char *argv[] = { "tutti-x", "--config",
                     (char *)file_with("c.yaml", "name: old\nworker: { calls: 1 }\n"
                                                 "redis: { password: s }\nmodels: [1]"),
                     "pos", NULL };
    char **args;
    AUTO_CONFIG *old = load(&e, argv, &args);
    cr_assert_not_null(old, "%s", e.text);
    free(args);
    file_with("c.yaml", "name: new\nlog: { level: debug }\nworker: { calls: 2 }\n");
    void *loaded = NULL;
    cr_assert(config_reload(&table, 4, argv, old, &loaded, &e), "%s", e.text);
    AUTO_CONFIG *c = loaded;
    cr_assert_str_eq(c->name, "old");
    cr_assert_str_eq(c->common.log_level, "info"); /* only read at start */
    cr_assert_str_eq(c->common.redis.password.bytes, "s");
    cr_assert_eq(c->calls, 2);
    cr_assert_eq(json_array_size(c->models), 1);
    file_with("c.yaml", "name: [");
    cr_assert_not(config_reload(&table, 4, argv, old, &loaded, &e));
}

Test(config, contradictions_of_kafka_and_redis_are_refused)
{
    struct err e;
    struct log log = log_new("test", LOG_ERROR, 2);
    struct bus_options bus;
    struct store_options store;
    AUTO_CONFIG *plain = LOAD(&e);
    cr_assert(kafka_bus_options(&plain->common.kafka, "id", &log, &bus, &e), "%s", e.text);
    cr_assert_str_eq(bus.brokers, "127.0.0.1:9092");
    cr_assert_eq(bus.session_timeout_ms, 10000);
    cr_assert_null(bus.sasl_password);
    cr_assert(redis_store_options(&plain->common.redis, &log, &store, &e), "%s", e.text);
    cr_assert_eq(store.port, 6379);

    AUTO_CONFIG *sasl = LOAD(&e, "--kafka-security-protocol=sasl_ssl", "--kafka-sasl-username=u");
    cr_assert_not(kafka_bus_options(&sasl->common.kafka, "id", &log, &bus, &e));
    cr_assert(strstr(e.text, "kafka.sasl_password are needed"), "%s", e.text);
    AUTO_CONFIG *user = LOAD(&e, "--kafka-sasl-username=u", "--redis-username=u");
    cr_assert_not(kafka_bus_options(&user->common.kafka, "id", &log, &bus, &e));
    cr_assert(strstr(e.text, "use sasl_plaintext or sasl_ssl"), "%s", e.text);
    cr_assert_not(redis_store_options(&user->common.redis, &log, &store, &e));
    AUTO_CONFIG *ssl = LOAD(&e, "--kafka-security-protocol=ssl", "--kafka-ssl-key=k");
    cr_assert_not(kafka_bus_options(&ssl->common.kafka, "id", &log, &bus, &e));
}

Test(config, help_names_every_option_its_default_and_variable_in_80_columns)
{
    AUTO_BUF struct buf help = { 0 };
    config_help(&table, &help);
    for (const char *p = help.data; *p;) {
        size_t len = strcspn(p, "\n");
        cr_assert_leq(len, 80, "%.*s", (int)len, p);
        p += len + (p[len] == '\n');
    }
    cr_assert(strstr(help.data, "Usage: tutti-x [OPTION]...\n"));
    cr_assert(strstr(help.data, "--redis-password-file FILE"));
    cr_assert(strstr(help.data, "TUTTI_REDIS_PASSWORD_FILE"));
    cr_assert(strstr(help.data, "Default: 6379. Environment: TUTTI_REDIS_PORT."));
    cr_assert(strstr(help.data, "\nKafka:\n"));
    cr_assert(strstr(help.data, "  -d, --[no-]worker-drain\n"));
}

/* Runs a program of the machine and collects what it says; its exit status, 127 if there is none.
 */
static int run(char **argv, char *ret, size_t len)
{
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 1);
        dup2(fds[1], 2);
        close(fds[0]);
        execvp(argv[0], argv);
        _exit(127);
    }
    close(fds[1]);
    size_t have = 0;
    for (ssize_t n; (n = read(fds[0], ret + have, len - 1 - have)) > 0;) have += (size_t)n;
    ret[have] = '\0';
    close(fds[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

/* Asserts that a checker, where the machine has it, has nothing to say about a file. */
static void accepted_by(char **argv)
{
    char said[500];
    int status = run(argv, said, sizeof said);
    if (status == 127) return;
    cr_assert(status == 0 && !*said, "%s says: %s", argv[0], said);
}

static const struct option_table command_tables[] = {
    { .program = "tutti start",
      .summary = "Starts a run: [it's] quick.",
      .options = options,
      .count = ARRAY_LEN(options),
      .config_bytes = sizeof(struct program_config) },
    { .program = "tutti status", .summary = "Shows a run." },
};
static const struct option_table *const tables[] = { &command_tables[0], &command_tables[1],
                                                     &table };

Test(config, completions_are_valid_for_their_shells)
{
    AUTO_BUF struct buf bash = { 0 }, zsh = { 0 }, fish = { 0 };
    cr_assert(config_completion(tables, 3, "bash", &bash));
    char *path = (char *)file_with("script", bash.data);
    accepted_by((char *[]){ "bash", "-n", path, NULL });
    cr_assert(config_completion(tables, 3, "zsh", &zsh));
    file_with("script", zsh.data);
    accepted_by((char *[]){ "zsh", "-n", path, NULL });
    cr_assert(config_completion(tables, 3, "fish", &fish));
    file_with("script", fish.data);
    accepted_by((char *[]){ "fish", "--no-execute", path, NULL });
    cr_assert_not(config_completion(tables, 3, "tcsh", &fish));
}

/* Completes the last of the words as bash would. */
static void completes(const char *words, int last, const char *function, const char *expected)
{
    AUTO_BUF struct buf bash = { 0 };
    cr_assert(config_completion(tables, 3, "bash", &bash));
    buf_addf(&bash, "COMP_WORDS=(%s); COMP_CWORD=%d; %s; echo -n \"${COMPREPLY[*]}\"\n", words,
             last, function);
    char *path = (char *)file_with("script", bash.data);
    char said[2000];
    int status = run((char *[]){ "bash", path, NULL }, said, sizeof said);
    cr_assert_eq(status, 0, "%s", said);
    cr_assert_str_eq(said, expected);
}

Test(config, bash_completes_commands_flags_and_choices)
{
    completes("tutti sta", 1, "_tutti", "start status");
    completes("tutti start --redis-p", 2, "_tutti",
              "--redis-port --redis-password --redis-password-file");
    completes("tutti start --log-level de", 3, "_tutti", "debug");
    completes("tutti-x --no-w", 1, "_tutti_x", "--no-worker-drain");
}

Test(config, manual_pages_are_valid_troff)
{
    AUTO_BUF struct buf man = { 0 };
    config_man(&table, "2026-11-22", &man);
    char *path = (char *)file_with("script", man.data);
    char said[20000];
    setenv("MANWIDTH", "100", 1);
    setenv("MANPAGER", "cat", 1);
    int status = run((char *[]){ "man", "--warnings", "-l", path, NULL }, said, sizeof said);
    if (status == 127) return;
    cr_assert(strstr(said, "tutti-x - Does things to other things."), "%s", said);
    cr_assert(strstr(said, ".two 'three'"), "%s", said);
    cr_assert(strstr(said, "--redis-password-file FILE"), "%s", said);
    cr_assert_not(strstr(said, "warning"), "%s", said);
}

Test(config, the_reference_has_a_row_for_every_option)
{
    AUTO_BUF struct buf markdown = { 0 };
    config_markdown(&table, &markdown);
    cr_assert(strstr(markdown.data, "## tutti-x\n"));
    cr_assert(strstr(markdown.data, "\n### Kafka\n"));
    cr_assert(strstr(markdown.data, "| `redis.port` | a whole number from 1 to 65535 | `6379` | "
                                    "`TUTTI_REDIS_PORT` | Port of the Redis server. |\n"));
    for (size_t i = 0; i < table.count; i++) {
        AUTO_FREE char *row = xasprintf("\n| `%s`", options[i].name);
        cr_assert(strstr(markdown.data, row), "%s", row);
    }
}
