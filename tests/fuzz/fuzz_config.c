/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration. Parts: the file; the environment, NAME=VALUE a line; "w" or "o" for the table of
 * the worker or the orchestrator, and then a flag a line. */
#include <sys/mman.h>
#include <unistd.h>

#include "common/io/config_parts.h"
#include "orchestrator/options.h"
#include "tests/fuzz/fuzz.h"
#include "worker/catalogue.h"
#include "worker/config.h"

#define LINES_MAX 32

struct lines {
    char *line[LINES_MAX + 1]; /* owned, NULL-ended */
    int count;
};

static void lines_add(struct lines *l, char *text)
{
    l->line[l->count++] = text;
}

static void lines_done(struct lines *l)
{
    while (l->count) free(l->line[--l->count]);
}

/* The file under test; what it holds is replaced for every input. Returns its name. */
static const char *file_with(struct bytes text)
{
    static int fd = -1;
    static char name[40];
    if (fd < 0) {
        fd = memfd_create("config", MFD_CLOEXEC);
        FUZZ_CHECK(fd >= 0, "no memfd");
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    }
    FUZZ_CHECK(ftruncate(fd, 0) == 0, "ftruncate");
    FUZZ_CHECK(pwrite(fd, text.data, text.len, 0) == (ssize_t)text.len, "pwrite");
    return name;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    unsetenv("OPENAI_BASE_URL");
    unsetenv("OPENAI_API_KEY");
    return 0;
}

/* Inputs that name other files, or ask for help on the standard output, are none. */
static bool harmless(const struct fuzz_input *in, const struct lines *flags)
{
    for (size_t i = 0; i < in->count; i++)
        if (memmem(in->part[i].data, in->part[i].len, "_file", 5) ||
            memmem(in->part[i].data, in->part[i].len, "_FILE", 5) ||
            memmem(in->part[i].data, in->part[i].len, "-file", 5) ||
            memmem(in->part[i].data, in->part[i].len, "CONFIG", 6))
            return false;
    for (int i = 2; i < flags->count; i++) {
        const char *flag = flags->line[i];
        bool config = strncmp(flag, "--config", 8) == 0;
        if (config || strncmp(flag, "--help", 6) == 0 || strncmp(flag, "--vers", 6) == 0 ||
            strncmp(flag, "--docs", 6) == 0 || (flag[0] == '-' && flag[1] != '-'))
            return false;
    }
    return true;
}

/* Puts the part's variables into the environment, or takes them out again. */
static void environment(struct bytes text, bool there)
{
    struct bytes line;
    while (fuzz_line(&text, &line)) {
        AUTO_FREE char *name = fuzz_text(line);
        char *equals = strchr(name, '=');
        if (!equals || strncmp(name, "TUTTI_", 6) != 0) continue;
        *equals = '\0';
        if (there)
            setenv(name, equals + 1, 1);
        else
            unsetenv(name);
    }
}

/* Numbers are within their bounds, words are of the list. */
static void check_bounds(const struct option_table *table, const void *config)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct option *o = &table->options[i];
        const void *field = (const char *)config + o->offset;
        int64_t min, max;
        if (o->type == OPTION_U32 || o->type == OPTION_DURATION) {
            uint32_t n;
            memcpy(&n, field, sizeof n);
            option_bounds(o, &min, &max);
            FUZZ_CHECK(n >= min && n <= max, "%s is %u", o->name, n);
        } else if (o->type == OPTION_SIZE) {
            uint64_t n;
            memcpy(&n, field, sizeof n);
            option_bounds(o, &min, &max);
            FUZZ_CHECK(n >= (uint64_t)min && n <= (uint64_t)max, "%s is %llu", o->name,
                       (unsigned long long)n);
        } else if (o->type == OPTION_ENUM) {
            char *word;
            memcpy(&word, field, sizeof word);
            FUZZ_CHECK(!word || strstr(o->choices, word), "%s is %s", o->name, word);
        }
    }
}

static void check_worker(const struct worker_config *c)
{
    struct err e = { 0 };
    struct worker_options options;
    struct worker_lists lists;
    const struct log log = { 0 };
    struct catalogue *models = models_open(c->models, &e);
    if (!models) fuzz_check_error(&e);
    models_free(models);
    if (!worker_options_make(c, &log, &options, &lists, &e)) {
        fuzz_check_error(&e);
        return;
    }
    FUZZ_CHECK(options.queue_count >= 1 && options.name && options.prefix, "options without names");
    worker_lists_done(&lists);
}

static void check_common(const struct common_config *c)
{
    struct err e = { 0 };
    struct bus_options bus;
    struct store_options store;
    const struct log log = { 0 };
    if (!kafka_bus_options(&c->kafka, "fuzz", &log, &bus, &e)) fuzz_check_error(&e);
    if (!redis_store_options(&c->redis, &log, &store, &e)) fuzz_check_error(&e);
}

/* An error that is about the file says where in it. */
static void check_place(const struct err *e, const char *path, struct bytes file)
{
    unsigned line, column;
    size_t len = strlen(path);
    fuzz_check_error(e);
    if (strncmp(e->text, path, len) != 0) return;
    FUZZ_CHECK(sscanf(e->text + len, ":%u:%u: ", &line, &column) == 2, "no place: %s", e->text);
    fuzz_check_place(file, line, column, e->text);
}

static void load(const struct option_table *table, const struct fuzz_input *in, const char *path,
                 struct lines *flags)
{
    struct err e = { 0 }, again = { 0 };
    void *config = NULL, *other = NULL;
    bool ended = false;
    if (!config_load(table, flags->count, flags->line, &config, NULL, &ended, &e)) {
        FUZZ_CHECK(!config, "a configuration beside an error");
        check_place(&e, path, in->part[0]);
        bool ok = config_load(table, flags->count, flags->line, &other, NULL, &ended, &again);
        FUZZ_CHECK(!ok, "loaded at the second time");
        fuzz_check_same("errors", bytes_of(e.text), bytes_of(again.text));
        return;
    }
    FUZZ_CHECK(config && !ended, "nothing was loaded");
    check_bounds(table, config);
    if (table == &worker_option_table) {
        check_worker(config);
        check_common(&((struct worker_config *)config)->common);
    } else {
        check_common(&((struct orchestrator_config *)config)->common);
    }
    FUZZ_CHECK(config_reload(table, flags->count, flags->line, config, &other, &e), "%s", e.text);
    check_bounds(table, other);
    config_free(table, other);
    config_free(table, config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_INPUT in = fuzz_split(data, size);
    CLEANUP(lines_done) struct lines flags = { 0 };
    struct bytes rest = in.part[2], line;
    bool worker = fuzz_line(&rest, &line) ? bytes_is(line, "w") : true;
    const char *path = file_with(in.part[0]);
    lines_add(&flags, xstrdup("program"));
    lines_add(&flags, xasprintf("--config=%s", path));
    while (flags.count < LINES_MAX && fuzz_line(&rest, &line)) lines_add(&flags, fuzz_text(line));
    if (!harmless(&in, &flags)) return -1;
    environment(in.part[1], true);
    load(worker ? &worker_option_table : orchestrator_options(), &in, path, &flags);
    environment(in.part[1], false);
    return 0;
}
