/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading runs out of Redis.
 */
#include "cli/runs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/proto/keys.h"
#include "common/proto/ledger.h"

#define POLL_MS 50

/* --- fields --- */

void runs_fields_done(struct run_fields *f)
{
    for (size_t i = 0; i < f->count; i++) {
        free((char *)f->list[i].name.data);
        free((char *)f->list[i].value.data);
    }
    free(f->list);
    *f = (struct run_fields){ 0 };
}

struct fetching {
    const char *const *names; /* of an HMGET; NULL: the reply of an HGETALL */
    struct run_fields *ret;
};

static struct bytes copied(struct bytes text)
{
    return (struct bytes){ .data = xstrndup(text.data ? text.data : "", text.len),
                           .len = text.len };
}

static void on_fields(void *user, const struct store_reply *reply)
{
    struct fetching *f = user;
    size_t stride = f->names ? 1 : 2, count = store_count(reply) / stride;
    f->ret->list = xcalloc(count + 1, sizeof(*f->ret->list));
    for (size_t i = 0; i < count; i++) {
        const struct store_reply *value = store_at(reply, i * stride + stride - 1);
        if (store_type(value) == STORE_NIL) continue;
        struct bytes name =
            f->names ? bytes_of(f->names[i]) : store_string(store_at(reply, i * stride));
        f->ret->list[f->ret->count++] =
            (struct field){ .name = copied(name), .value = copied(store_string(value)) };
    }
}

#define NAMES_MAX 8

bool runs_fetch(struct client *c, const char *id, int32_t partition, const char *const *names,
                size_t name_count, struct run_fields *ret, struct err *e)
{
    AUTO_BUF struct buf key = { 0 };
    key_run(&key, c->cli->config->prefix, partition, bytes_of(id));
    struct bytes argv[2 + NAMES_MAX] = { names ? BYTES_LIT("HMGET") : BYTES_LIT("HGETALL"),
                                         buf_bytes(&key) };
    ASSERT(name_count <= NAMES_MAX);
    for (size_t i = 0; i < name_count; i++) argv[2 + i] = bytes_of(names[i]);
    struct fetching f = { .names = names, .ret = ret };
    return client_command(c, argv, 2 + name_count, on_fields, &f, e);
}

static void on_line(void *user, const struct store_reply *reply)
{
    struct buf *line = user;
    struct bytes text = store_string(reply);
    buf_add(line, text.data, text.len);
}

bool runs_line(struct client *c, const char *id, int32_t partition, json_t *ret, struct err *e)
{
    char name[LINE_NAME_LEN], run[RUN_ID_MAX];
    AUTO_BUF struct buf key = { 0 }, line = { 0 };
    key_ledger(&key, c->cli->config->prefix, partition);
    struct bytes argv[] = { BYTES_LIT("HGET"), buf_bytes(&key), line_name(bytes_of(id), name) };
    if (!client_command(c, argv, ARRAY_LEN(argv), on_line, &line, e)) return false;
    for (size_t i = 0; i < line_count(buf_bytes(&line)); i++) {
        place_run_id(bytes_of(id), line_place(buf_bytes(&line), i), run);
        json_array_append_new(ret, json_string(run));
    }
    return true;
}

static void on_off(void *user, const struct store_reply *reply)
{
    *(int64_t *)user = store_integer(reply);
}

static bool never(void *user)
{
    (void)user;
    return false;
}

bool runs_wait_folded(struct client *c, int32_t partition, uint32_t wait_ms, struct err *e)
{
    AUTO_BUF struct buf key = { 0 };
    key_partition(&key, c->cli->config->prefix, partition);
    struct bytes argv[] = { BYTES_LIT("HGET"), buf_bytes(&key), BYTES_LIT("off") };
    if (!client_store(c, e)) return false;
    uint64_t end_ms = loop_now_ms(c->loop) + wait_ms;
    while (loop_now_ms(c->loop) < end_ms && !(c->stop && *c->stop)) {
        int64_t off = 0;
        if (!client_command(c, argv, ARRAY_LEN(argv), on_off, &off, e)) return false;
        if (off > c->sent_offset) return true;
        client_wait(c, never, NULL, POLL_MS);
    }
    return err_fail(e, ERR_TIMEOUT,
                    "the event is in Kafka, but no orchestrator took it up within %u s; it will be "
                    "taken once one is up",
                    (unsigned)(wait_ms / SECOND_MS));
}

/* --- a view --- */

void view_done(struct view *v)
{
    v->def = definition_free(v->def);
    runs_fields_done(&v->fields);
    json_decref(v->run);
    v->run = NULL;
}

bool view_open(struct client *c, const char *id, struct view *ret, struct err *e)
{
    if (!run_id_check(bytes_of(id)))
        return err_fail(e, ERR_INVALID, "%.100s is no run id; tutti list shows those there are",
                        id);
    int32_t partitions;
    if (!client_stored_partitions(c, &partitions, e)) return false;
    *ret = (struct view){ .partition = partition_of(run_id_route(bytes_of(id)), partitions) };
    memcpy(ret->id, id, strlen(id) + 1);
    return true;
}

/* The definition gives names and order to the steps. Without Kafka the run can still be shown. */
static void load_definition(struct client *c, struct view *v)
{
    char sha[SHA256_HEX];
    if (v->def || v->def_asked || !fields_definition(v->fields.list, v->fields.count, sha)) return;
    v->def_asked = true;
    struct err e;
    struct deployed_query query = { .sha256 = sha };
    CLEANUP(deployments_done) struct deployments found = { 0 };
    if (!client_deployments(c, &query, &found, &e)) {
        cli_note(c->cli, "steps are shown without their order: %s", e.text);
        return;
    }
    if (found.count == 0) return;
    const struct deployed *d = &found.list[0];
    v->def =
        definition_load((struct bytes){ .data = d->canonical, .len = d->canonical_len }, sha, &e);
}

bool view_read(struct client *c, struct view *v, uint32_t grace_ms, struct err *e)
{
    uint64_t end_ms = clock_mono_ms() + grace_ms;
    for (;;) {
        struct run_fields fields = { 0 };
        if (!runs_fetch(c, v->id, v->partition, NULL, 0, &fields, e)) return false;
        runs_fields_done(&v->fields);
        v->fields = fields;
        if (fields.count > 0) break;
        if (clock_mono_ms() >= end_ms || (c->stop && *c->stop))
            return err_fail(e, ERR_NOT_FOUND,
                            "run %s: there is no such run, or it ended so long ago that it was "
                            "removed; tutti list shows those there are",
                            v->id);
        client_wait(c, never, NULL, POLL_MS);
    }
    load_definition(c, v);
    json_t *run = run_describe(v->def, v->id, v->fields.list, v->fields.count, e);
    if (!run) return err_prefix(e, "run %s", v->id);
    json_decref(v->run);
    v->run = run;
    return true;
}

/* --- reading a description --- */

const char *runs_status(const json_t *run)
{
    const char *status = json_text(run, "status");
    return status ? status : "unknown";
}

bool runs_ended(const json_t *run)
{
    for (int s = 0; s < RUN_STATE_COUNT; s++)
        if (strcmp(run_state_name((enum run_state)s), runs_status(run)) == 0)
            return run_state_terminal((enum run_state)s);
    return false;
}

int64_t runs_started_ms(const json_t *run)
{
    const char *text = json_text(run, "started_at");
    struct tm tm = { 0 };
    const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    if (!end) return 0;
    int64_t ms = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
    return (int64_t)timegm(&tm) * SECOND_MS + ms;
}

int runs_exit_code(const json_t *run)
{
    return strcmp(runs_status(run), run_state_name(RUN_COMPLETED)) == 0 ? EXIT_OK : EXIT_FAILED;
}

void runs_error_text(struct buf *ret, const json_t *run)
{
    const json_t *error = json_object_get(run, "error");
    if (!json_is_object(error)) return;
    const char *type = json_text(error, "type"), *message = json_text(error, "message"),
               *step = json_text(error, "step");
    if (step) {
        buf_add_text(ret, "step ");
        term_text(ret, bytes_of(step), false);
        buf_add_text(ret, ": ");
    }
    term_text(ret, bytes_of(type ? type : "error"), false);
    if (!message) return;
    buf_add_text(ret, ": ");
    term_text(ret, bytes_of(message), false);
}

int runs_print_result(const struct cli *cli, const json_t *run)
{
    int code = runs_exit_code(run);
    if (cli->config->json) return cli_print_json(cli, run) ? code : EXIT_FAILED;
    AUTO_BUF struct buf text = { 0 };
    if (code == EXIT_OK) {
        const json_t *output = json_object_get(run, "output");
        if (output) term_value(&text, &cli->out, output);
        return cli_print(&text) ? code : EXIT_FAILED;
    }
    runs_error_text(&text, run);
    const char *id = json_text(run, "id");
    cli_note(cli, "tutti: run %s: %s%s%s", id ? id : "", runs_status(run), text.len ? ": " : "",
             text.len ? text.data : "");
    return code;
}

/* --- transitions --- */

struct numbered {
    uint64_t number;
    const struct field *field;
};

static int by_number(const void *a_, const void *b_)
{
    const struct numbered *a = a_, *b = b_;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* A time is a string of digits or a number. */
static int64_t integer_of(const json_t *value)
{
    if (json_is_string(value)) return strtoll(json_string_value(value), NULL, 10);
    return json_is_integer(value) ? json_integer_value(value) : 0;
}

/* [record ms, offset, [[path, state, attempt, why?], ...]] of transition `number`, which begins at
 * `at`. */
static void report(const json_t *together, size_t at, uint64_t number,
                   void (*fn)(void *user, const struct change *t), void *user)
{
    const json_t *moves = json_array_get(together, at + 2), *move;
    size_t i;
    json_array_foreach(moves, i, move) {
        struct change t = { .number = number,
                            .record_ms = integer_of(json_array_get(together, at)),
                            .offset = integer_of(json_array_get(together, at + 1)),
                            .path = json_string_value(json_array_get(move, 0)),
                            .state = json_string_value(json_array_get(move, 1)),
                            .attempt = integer_of(json_array_get(move, 2)),
                            .why = json_string_value(json_array_get(move, 3)) };
        if (t.path && t.state) fn(user, &t);
    }
}

/* The field of one transition, or of several that were written together; returns the number of the
 * next. */
static uint64_t report_field(const struct numbered *n, uint64_t from,
                             void (*fn)(void *user, const struct change *t), void *user)
{
    struct err e;
    AUTO_JSON *together = json_parse(n->field->value, &e);
    size_t count = MAX(json_array_size(together) / 3, (size_t)1);
    for (size_t i = 0; i < count; i++)
        if (n->number + i >= from) report(together, 3 * i, n->number + i, fn, user);
    return n->number + count;
}

uint64_t runs_transitions(const struct run_fields *fields, uint64_t from,
                          void (*fn)(void *user, const struct change *t), void *user)
{
    AUTO_FREE struct numbered *list = xcalloc(fields->count + 1, sizeof(*list));
    size_t count = 0;
    for (size_t i = 0; i < fields->count; i++) {
        struct bytes name = fields->list[i].name;
        if (name.len < 3 || memcmp(name.data, "t:", 2) != 0) continue;
        list[count++] = (struct numbered){ .number = strtoull(name.data + 2, NULL, 10),
                                           .field = &fields->list[i] };
    }
    qsort(list, count, sizeof(*list), by_number);
    uint64_t next = from;
    for (size_t i = 0; i < count; i++) /* Those of a field end where the next begins. */
        if (i + 1 == count || list[i + 1].number > from)
            next = MAX(next, report_field(&list[i], from, fn, user));
    return next;
}
