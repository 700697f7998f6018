/* SPDX-License-Identifier: Apache-2.0
 *
 * `dlq`: dead letters. The topic is a log like any other, so what was done about a letter is a
 * record there too: type dlq.handled, with the letter's name and what was done in headers. It lives
 * as long as the letter or longer, and a wiped Redis does not bring handled letters back. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/client.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/limits.h"
#include "common/proto/keys.h"

#define HANDLED_TYPE  "dlq.handled"
#define LETTER_ID_MAX 40
#define OWN_HEADER    "dlq-"

struct letter {
    char id[LETTER_ID_MAX]; /* partition/offset in the topic dlq */
    struct bus_held *held;
    struct bus_record record; /* views under held */
    char *handled;            /* owned; NULL: by nobody yet */
};
struct letters {
    struct letter *list; /* owned */
    size_t count, cap;
};

static void letters_done(struct letters *l)
{
    for (size_t i = 0; i < l->count; i++) {
        bus_record_release(l->list[i].held);
        free(l->list[i].handled);
    }
    free(l->list);
}

static struct bytes extra_of(const struct bus_record *r, const char *name)
{
    for (size_t i = 0; i < r->extra_count; i++)
        if (strcmp(r->extra[i].name, name) == 0) return r->extra[i].value;
    return (struct bytes){ 0 };
}

static struct letter *letter_find(const struct letters *l, struct bytes id)
{
    for (size_t i = 0; i < l->count; i++)
        if (bytes_is(id, l->list[i].id)) return &l->list[i];
    return NULL;
}

static void on_record(void *user, const struct bus_record *r)
{
    struct letters *l = user;
    if (bytes_is(r->message.header[HEADER_TYPE], HANDLED_TYPE)) {
        struct letter *letter = letter_find(l, extra_of(r, "dlq-letter"));
        struct bytes action = extra_of(r, "dlq-action");
        if (letter && !letter->handled) letter->handled = xstrndup(action.data, action.len);
        return;
    }
    if (l->count == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 64;
        l->list = xrealloc(l->list, l->cap * sizeof *l->list);
    }
    struct letter *letter = &l->list[l->count++];
    *letter = (struct letter){ .held = bus_record_hold(r), .record = *r };
    snprintf(letter->id, sizeof letter->id, "%d/%" PRId64, (int)r->partition, r->offset);
}

/* A letter and what was done about it lie in one partition, in this order. */
static bool read_letters(struct client *c, struct letters *ret, struct err *e)
{
    int32_t partitions;
    if (!client_partitions(c, "dlq", &partitions, e)) return false;
    for (int32_t p = 0; p < partitions; p++)
        if (!client_read(c, "dlq", p, on_record, ret, e)) return false;
    return true;
}

/* --- shown --- */

static void set_text(json_t *object, const char *key, struct bytes text)
{
    if (!text.data) return;
    if (utf8_check(text.data, text.len) && !memchr(text.data, '\0', text.len)) {
        json_object_set_new(object, key, json_stringn(text.data, text.len));
        return;
    }
    AUTO_FREE char *name = xasprintf("%s_hex", key);
    AUTO_FREE char *hex = xmalloc(2 * text.len + 1);
    hex_encode((const unsigned char *)text.data, text.len, hex);
    json_object_set_new(object, name, json_string(hex));
}

static void set_number(json_t *object, const char *key, struct bytes text)
{
    if (!text.data || text.len > 18) return;
    AUTO_FREE char *copy = xstrndup(text.data, text.len);
    json_object_set_new(object, key, json_integer(strtoll(copy, NULL, 10)));
}

static json_t *letter_json(const struct letter *l)
{
    const struct bus_record *r = &l->record;
    json_t *o = json_object();
    char time[TIME_TEXT_MAX];
    time_format(r->timestamp_ms, time);
    json_object_set_new(o, "letter", json_string(l->id));
    json_object_set_new(o, "time", json_string(time));
    set_text(o, "reason", extra_of(r, "dlq-reason"));
    set_text(o, "error", extra_of(r, "dlq-error"));
    set_text(o, "topic", extra_of(r, "dlq-topic"));
    set_number(o, "partition", extra_of(r, "dlq-partition"));
    set_number(o, "offset", extra_of(r, "dlq-offset"));
    set_text(o, "run_id", r->message.header[HEADER_RUN_ID]);
    set_text(o, "type", r->message.header[HEADER_TYPE]);
    json_object_set_new(o, "handled", l->handled ? json_string(l->handled) : json_null());
    return o;
}

/* With everything that came with it, and what was added to it. */
static json_t *whole_json(const struct letter *l)
{
    const struct bus_record *r = &l->record;
    json_t *o = letter_json(l), *headers = json_object();
    for (int h = 0; h < HEADER_COUNT; h++)
        set_text(headers, message_header_name((enum message_header)h), r->message.header[h]);
    for (size_t i = 0; i < r->extra_count; i++)
        set_text(headers, r->extra[i].name, r->extra[i].value);
    set_text(o, "key", r->message.key);
    json_object_set_new(o, "headers", headers);
    set_text(o, "value", r->message.value);
    return o;
}

static int newest_first(const void *a_, const void *b_)
{
    const struct letter *a = *(struct letter *const *)a_, *b = *(struct letter *const *)b_;
    int64_t x = a->record.timestamp_ms, y = b->record.timestamp_ms;
    if (x != y) return x > y ? -1 : 1;
    return a->record.offset > b->record.offset ? -1 : a->record.offset < b->record.offset;
}

static void add_line(struct buf *text, const struct letter *l, int64_t now_ms)
{
    AUTO_BUF struct buf age = { 0 }, reason = { 0 }, where = { 0 };
    const struct bus_record *r = &l->record;
    struct bytes topic = extra_of(r, "dlq-topic"), partition = extra_of(r, "dlq-partition"),
                 offset = extra_of(r, "dlq-offset"), run = r->message.header[HEADER_RUN_ID];
    term_duration(&age, now_ms - r->timestamp_ms);
    term_text(&reason, extra_of(r, "dlq-reason"), false);
    term_text(&where, topic, false);
    buf_add_char(&where, '/');
    term_text(&where, partition, false);
    buf_add_char(&where, '@');
    term_text(&where, offset, false);
    term_padded(text, l->id, 12);
    buf_add_char(text, ' ');
    term_padded(text, age.data, 11);
    buf_add_char(text, ' ');
    term_padded(text, reason.len ? reason.data : "?", 12);
    buf_add_char(text, ' ');
    buf_add_text(text, where.data);
    if (run.len) buf_add_text(text, " run ");
    term_text(text, run, false);
    if (l->handled) buf_addf(text, " (%s)", l->handled);
    buf_add_char(text, '\n');
}

static int list(const struct cli *cli, const struct letters *l)
{
    AUTO_FREE struct letter **shown = xcalloc(l->count + 1, sizeof(struct letter *));
    size_t count = 0;
    for (size_t i = 0; i < l->count; i++)
        if (cli->config->all || !l->list[i].handled) shown[count++] = &l->list[i];
    qsort(shown, count, sizeof *shown, newest_first);
    AUTO_BUF struct buf text = { 0 };
    AUTO_JSON *array = json_array();
    int64_t now_ms = clock_wall_ms();
    for (size_t i = 0; i < MIN(count, (size_t)cli->config->limit); i++) {
        json_array_append_new(array, letter_json(shown[i]));
        add_line(&text, shown[i], now_ms);
    }
    if (cli->config->json) {
        AUTO_JSON *report = json_pack("{s:O}", "letters", array);
        return cli_print_json(cli, report) ? EXIT_OK : EXIT_FAILED;
    }
    if (count == 0) cli_note(cli, "no dead letters");
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}

static int show(const struct cli *cli, const struct letter *l)
{
    AUTO_JSON *whole = whole_json(l);
    if (cli->config->json) return cli_print_json(cli, whole) ? EXIT_OK : EXIT_FAILED;
    AUTO_BUF struct buf text = { 0 };
    term_value(&text, &cli->out, whole);
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}

/* --- sent again, or dropped --- */

static bool mark_handled(struct client *c, const struct letter *l, const char *action,
                         struct err *e)
{
    AUTO_BUF struct buf topic = { 0 };
    topic_name(&topic, c->cli->config->prefix, "dlq");
    struct bytes header[HEADER_COUNT] = {
        [HEADER_V] = BYTES_LIT(MESSAGE_VERSION), [HEADER_TYPE] = BYTES_LIT(HANDLED_TYPE)
    };
    const struct bus_extra_header extra[] = { { "dlq-letter", bytes_of(l->id) },
                                              { "dlq-action", bytes_of(action) } };
    struct bus_message m = { .topic = topic.data,
                             .partition = l->record.partition,
                             .key = bytes_of(l->id),
                             .header = header,
                             .extra = extra,
                             .extra_count = ARRAY_LEN(extra) };
    return client_send(c, &m, e);
}

/* The run of a quarantined event is paused: it goes on, and finds the event behind it. */
static bool resume_run(struct client *c, const struct bus_record *r, struct err *e)
{
    struct bytes id = r->message.header[HEADER_RUN_ID], header[HEADER_COUNT] = { 0 };
    int32_t partitions;
    if (!run_id_check(id) || bytes_is(r->message.header[HEADER_TYPE], "run.start")) return true;
    if (!client_partitions(c, "events", &partitions, e)) return false;
    AUTO_FREE char *text = xstrndup(id.data, id.len);
    const char *user = getenv("USER");
    if (user && *user && strlen(user) <= NAME_BYTES_MAX && utf8_check(user, strlen(user)))
        header[HEADER_ACTOR] = bytes_of(user);
    return client_append(c, EVENT_RUN_RESUME, text, partitions, header, (struct bytes){ 0 }, e);
}

static bool redrive(struct client *c, const struct letter *l, struct err *e)
{
    const struct bus_record *r = &l->record;
    struct bytes topic = extra_of(r, "dlq-topic"), partition = extra_of(r, "dlq-partition");
    if (!topic.len || topic.len > 249 || !partition.len || partition.len > 9)
        return err_fail(e, ERR_INVALID, "letter %s does not say where it came from", l->id);
    AUTO_FREE char *name = xstrndup(topic.data, topic.len);
    AUTO_FREE char *number = xstrndup(partition.data, partition.len);
    AUTO_FREE struct bus_extra_header *extra = xcalloc(r->extra_count + 1, sizeof *extra);
    size_t count = 0;
    for (size_t i = 0; i < r->extra_count; i++)
        if (strncmp(r->extra[i].name, OWN_HEADER, strlen(OWN_HEADER)) != 0)
            extra[count++] = r->extra[i];
    struct bus_message m = { .topic = name,
                             .partition = (int32_t)strtol(number, NULL, 10),
                             .key = r->message.key,
                             .value = r->message.value,
                             .header = r->message.header,
                             .extra = extra,
                             .extra_count = count };
    if (!client_send(c, &m, e)) return err_prefix(e, "letter %s", l->id);
    AUTO_BUF struct buf events = { 0 };
    topic_name(&events, c->cli->config->prefix, "events");
    bool paused = bytes_is(extra_of(r, "dlq-reason"), "quarantined");
    return !paused || strcmp(name, events.data) != 0 || resume_run(c, r, e);
}

/* All letters are looked up before the first is handled. */
static bool handle(struct client *c, struct letters *all, bool again, struct err *e)
{
    const struct cli *cli = c->cli;
    for (size_t i = 1; i < cli->arg_count; i++) {
        const struct letter *l = letter_find(all, bytes_of(cli->args[i]));
        if (!l) return err_fail(e, ERR_NOT_FOUND, "there is no letter %s", cli->args[i]);
        if (l->handled)
            return err_fail(e, ERR_CONFLICT, "letter %s was %s already", l->id, l->handled);
    }
    for (size_t i = 1; i < cli->arg_count; i++) {
        struct letter *l = letter_find(all, bytes_of(cli->args[i]));
        if (l->handled) continue; /* named twice */
        if (again && !redrive(c, l, e)) return false;
        const char *action = again ? "redriven" : "dropped";
        if (!mark_handled(c, l, action, e)) return false;
        l->handled = xstrdup(action);
    }
    return true;
}

static int report(const struct cli *cli, bool again)
{
    const char *action = again ? "redriven" : "dropped";
    AUTO_JSON *ids = json_array();
    AUTO_BUF struct buf text = { 0 };
    for (size_t i = 1; i < cli->arg_count; i++) {
        json_array_append_new(ids, json_string(cli->args[i]));
        buf_addf(&text, "letter %s is %s\n", cli->args[i], action);
    }
    AUTO_JSON *object = json_pack("{s:O}", action, ids);
    if (cli->config->json) return cli_print_json(cli, object) ? EXIT_OK : EXIT_FAILED;
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}

static bool id_valid(const char *id)
{
    size_t digits = strspn(id, "0123456789");
    return digits > 0 && id[digits] == '/' && id[digits + 1] &&
           id[digits + 1 + strspn(id + digits + 1, "0123456789")] == '\0' &&
           strlen(id) < LETTER_ID_MAX;
}

static bool check_args(const struct cli *cli, struct err *e)
{
    const char *verb = cli->args[0];
    bool lists = strcmp(verb, "list") == 0, one = strcmp(verb, "show") == 0;
    if (lists && cli->arg_count > 1)
        return err_fail(e, ERR_INVALID, "list takes no letter; tutti dlq show LETTER shows one");
    if (!lists && cli->arg_count < 2)
        return err_fail(e, ERR_INVALID, "%s wants a letter, as tutti dlq list names it", verb);
    if (one && cli->arg_count > 2) return err_fail(e, ERR_INVALID, "show wants one letter only");
    for (size_t i = 1; i < cli->arg_count; i++)
        if (!id_valid(cli->args[i]))
            return err_fail(e, ERR_INVALID, "'%.60s' is no letter: PARTITION/OFFSET", cli->args[i]);
    return true;
}

int cmd_dlq(struct cli *cli)
{
    struct err e;
    CLEANUP(client_close) struct client client = { 0 };
    CLEANUP(letters_done) struct letters all = { 0 }; /* goes first: Kafka waits for its records */
    const char *verb = cli->args[0];
    bool again = strcmp(verb, "redrive") == 0;
    if (!check_args(cli, &e) || !client_open(&client, cli, NULL, &e) ||
        !read_letters(&client, &all, &e))
        return cli_fail(cli, "dlq", &e);
    if (strcmp(verb, "list") == 0) return list(cli, &all);
    if (strcmp(verb, "show") == 0) {
        const struct letter *l = letter_find(&all, bytes_of(cli->args[1]));
        if (l) return show(cli, l);
        err_fail(&e, ERR_NOT_FOUND, "there is no letter %s", cli->args[1]);
        return cli_fail(cli, "dlq", &e);
    }
    if (!handle(&client, &all, again, &e)) return cli_fail(cli, "dlq", &e);
    return report(cli, again);
}
