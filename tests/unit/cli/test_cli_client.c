/* SPDX-License-Identifier: Apache-2.0
 *
 * Deploying and starting against an embedded broker: what is appended, and what is refused.
 */
#include <criterion/criterion.h>

#include "cli/runs.h"
#include "common/base/limits.h"

#define WORKFLOW(version, text)                                                          \
    "workflow: w\nversion: " version "\ninput: { type: object, required: [document] }\n" \
    "steps:\n  - { name: a, type: task, uses: noop, input: { text: \"" text "\" } }\n"

/* A broker with the topics of an installation, and a client of it. */
struct fixture {
    struct bus_mock *mock;
    struct cli cli;
    struct client client;
    void *config;
};

static void fixture_done(struct fixture *f)
{
    client_close(&f->client);
    bus_mock_stop(f->mock);
    config_free(&f->cli.command->table, f->config);
}

static void fixture_init(struct fixture *f)
{
    struct err e;
    bool exit;
    char **args;
    *f = (struct fixture){ .mock = bus_mock_start(1, &e) };
    cr_assert(f->mock, "%s", e.text);
    cr_assert(bus_mock_topic(f->mock, "tutti.events", 5, &e), "%s", e.text);
    cr_assert(bus_mock_topic(f->mock, "tutti.definitions", 1, &e), "%s", e.text);
    f->cli.command = command_find("start");
    char *argv[] = { (char *)"start",
                     (char *)"--kafka-brokers",
                     (char *)bus_mock_brokers(f->mock),
                     (char *)"--kafka-fetch-wait=2ms",
                     (char *)"--json",
                     NULL };
    cr_assert(config_load(&f->cli.command->table, 5, argv, &f->config, &args, &exit, &e), "%s",
              e.text);
    free(args);
    f->cli.config = f->config;
    f->cli.log = log_new("test", LOG_ERROR, 2);
    cr_assert(client_open(&f->client, &f->cli, NULL, &e), "%s", e.text);
}
#define AUTO_FIXTURE CLEANUP(fixture_done) struct fixture

static struct definition *parse(const char *text)
{
    CLEANUP(faults_done) struct faults faults = { 0 };
    struct definition *def = definition_parse(bytes_of(text), &faults);
    cr_assert(def, "%s", faults.count ? faults.list[0].text : "");
    return def;
}
#define AUTO_DEFINITION CLEANUP(definition_free_p) struct definition

static void deploy(struct fixture *f, const struct definition *def, bool wanted_new)
{
    struct err e;
    bool new;
    cr_assert(client_deploy(&f->client, def, &new, &e), "%s", e.text);
    cr_assert_eq(new, wanted_new);
}

Test(client, a_version_stands_for_one_content)
{
    AUTO_FIXTURE f;
    fixture_init(&f);
    AUTO_DEFINITION *one = parse(WORKFLOW("1.0.0", "x")), *other = parse(WORKFLOW("1.0.0", "y"));
    deploy(&f, one, true);
    deploy(&f, one, false);
    struct err e;
    bool new;
    cr_assert_not(client_deploy(&f.client, other, &new, &e));
    cr_assert_eq(e.kind, ERR_CONFLICT);
    cr_assert_eq(exit_code_of(&e), EXIT_FAILED);
    AUTO_FREE char *sha = xstrndup(one->sha256, 12);
    cr_assert(strstr(e.text, sha), "%s", e.text);
}

Test(client, a_name_stands_for_what_was_deployed_last)
{
    AUTO_FIXTURE f;
    fixture_init(&f);
    AUTO_DEFINITION *two = parse(WORKFLOW("2.0.0", "x")), *one = parse(WORKFLOW("1.0.0", "y"));
    AUTO_DEFINITION *last = NULL, *exact = NULL, *none = NULL;
    struct err e;
    deploy(&f, two, true);
    deploy(&f, one, true);
    cr_assert(client_resolve(&f.client, "w", &last, &e), "%s", e.text);
    cr_assert_str_eq(last->version, "1.0.0");
    cr_assert(client_resolve(&f.client, "w@2.0.0", &exact, &e), "%s", e.text);
    cr_assert_str_eq(exact->sha256, two->sha256);
    cr_assert_not(client_resolve(&f.client, "w@3.0.0", &none, &e));
    cr_assert_eq(e.kind, ERR_NOT_FOUND);
    cr_assert(strstr(e.text, "w@2.0.0"), "%s", e.text);
}

struct sent {
    struct bus_waiter waiter;
    bool done;
};

static void on_sent(struct bus_waiter *w, const struct bus_delivery *d)
{
    cr_assert_null(d->error);
    CONTAINER_OF(w, struct sent, waiter)->done = true;
}

static bool is_sent(void *user)
{
    return ((struct sent *)user)->done;
}

Test(client, of_two_contents_under_one_version_the_first_counts)
{
    AUTO_FIXTURE f;
    fixture_init(&f);
    AUTO_DEFINITION *first = parse(WORKFLOW("1.0.0", "x")), *second = parse(WORKFLOW("1.0.0", "y"));
    AUTO_DEFINITION *found = NULL;
    struct err e;
    deploy(&f, first, true);
    /* Someone who looked before the first was there. */
    AUTO_FREE char *key = xasprintf("w@1.0.0/%s", second->sha256);
    struct bus_message m = { .topic = "tutti.definitions",
                             .key = bytes_of(key),
                             .value = { .data = second->canonical, .len = second->canonical_len } };
    struct sent sent = { .waiter.done = on_sent };
    cr_assert(bus_send(f.client.bus, &m, &sent.waiter, &e), "%s", e.text);
    cr_assert(client_wait(&f.client, is_sent, &sent, 10000));
    cr_assert(client_resolve(&f.client, "w", &found, &e), "%s", e.text);
    cr_assert_str_eq(found->sha256, first->sha256);
}

/* --- starting --- */

struct seen {
    struct fixture *fixture;
    const char *id;
    const struct definition *def;
    bool done;
};

static void check_header(const struct message *m, enum message_header which, const char *wanted)
{
    cr_assert(bytes_is(m->header[which], wanted), "%s", message_header_name(which));
}

static void on_start(void *user, const struct bus_record *r)
{
    struct seen *s = user;
    struct event ev;
    struct err e;
    cr_assert_eq(event_decode(&r->message, &ev, &e), EVENT_OK, "%s", e.text);
    cr_assert_eq(ev.type, EVENT_RUN_START);
    cr_assert(bytes_is(ev.run_id, s->id));
    cr_assert(bytes_equal(r->message.key, run_id_route(bytes_of(s->id))));
    check_header(&r->message, HEADER_V, MESSAGE_VERSION);
    check_header(&r->message, HEADER_DEFINITION, s->def->sha256);
    check_header(&r->message, HEADER_WORKFLOW, "w");
    check_header(&r->message, HEADER_VERSION, "1.0.0");
    check_header(&r->message, HEADER_KEY, "order-7");
    cr_assert_eq(ev.traceparent.len, 55);
    cr_assert(bytes_is(ev.value, "{\"document\": 1.50}"));
    s->done = true;
}

static bool is_seen(void *user)
{
    return ((struct seen *)user)->done;
}

Test(client, a_start_is_an_event_on_the_partition_of_its_route_with_the_input_as_it_was)
{
    AUTO_FIXTURE f;
    fixture_init(&f);
    AUTO_DEFINITION *def = parse(WORKFLOW("1.0.0", "x"));
    char id[RUN_ID_MAX], again[RUN_ID_MAX];
    int32_t partition;
    struct err e;
    struct bytes input = BYTES_LIT("{\"document\": 1.50}");
    cr_assert(runs_start(&f.client, def, input, "order-7", NULL, id, &partition, &e), "%s", e.text);
    cr_assert(run_id_check(bytes_of(id)));
    cr_assert_eq(partition, partition_of(run_id_route(bytes_of(id)), 5));
    struct seen seen = { .fixture = &f, .id = id, .def = def };
    struct bus_reader_options options = { .topic = "tutti.events",
                                          .partition = partition,
                                          .offset = BUS_START,
                                          .on_record = on_start,
                                          .user = &seen };
    struct bus_reader *reader = bus_reader_open(f.client.bus, &options, &e);
    cr_assert(reader, "%s", e.text);
    cr_assert(client_wait(&f.client, is_seen, &seen, 10000));
    bus_reader_close(reader);
    cr_assert(runs_start(&f.client, def, input, "order-7", NULL, again, &partition, &e), "%s",
              e.text);
    cr_assert_eq(strncmp(id, again, ROUTE_HEX), 0);
    cr_assert_str_neq(id, again);
}

Test(client, a_bad_input_starts_nothing)
{
    AUTO_FIXTURE f;
    fixture_init(&f);
    AUTO_DEFINITION *def = parse(WORKFLOW("1.0.0", "x"));
    char id[RUN_ID_MAX];
    int32_t partition;
    struct err e;
    cr_assert_not(runs_start(&f.client, def, BYTES_LIT("{}"), NULL, NULL, id, &partition, &e));
    cr_assert_eq(e.kind, ERR_INVALID);
    cr_assert(strstr(e.text, "document"), "%s", e.text);
    cr_assert_not(runs_start(&f.client, def, BYTES_LIT("{\"a\""), NULL, NULL, id, &partition, &e));
    cr_assert_eq(e.kind, ERR_INVALID);
    AUTO_BUF struct buf large = { 0 };
    buf_add_text(&large, "{\"document\":\"");
    for (size_t i = 0; i < PAYLOAD_BYTES_MAX; i++) buf_add_char(&large, 'a');
    buf_add_text(&large, "\"}");
    cr_assert_not(runs_start(&f.client, def, buf_bytes(&large), NULL, NULL, id, &partition, &e));
    cr_assert_eq(e.kind, ERR_LIMIT);
    cr_assert(strstr(e.text, "900000"), "%s", e.text);
    cr_assert_not(
        runs_start(&f.client, def, BYTES_LIT("{\"document\":1}"), "", NULL, id, &partition, &e));
    cr_assert_eq(e.kind, ERR_INVALID);
}
