/* SPDX-License-Identifier: Apache-2.0
 *
 * Producing, reading and asking, on the mock cluster. */
#include "bus_fixture.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* --- a reader that keeps what it saw --- */

struct seen {
    int count, ends, errors;
    int64_t next; /* offset that must come next; -1: any */
    int64_t end;
    enum err_kind kind;
    struct buf text;
    struct bus_held *held;
    struct bus_record kept;
    bool hold;
};

static void on_record(void *user, const struct bus_record *r)
{
    struct seen *s = user;
    if (s->next >= 0) cr_assert_eq(r->offset, s->next);
    s->next = r->offset + 1;
    s->count++;
    if (s->hold && !s->held) {
        s->kept = *r;
        s->held = bus_record_hold(r);
    }
    buf_addf(&s->text, "%d", (int)r->partition);
    buf_add_char(&s->text, ':');
    if (r->message.key.data) buf_add(&s->text, r->message.key.data, r->message.key.len);
    buf_add_char(&s->text, '=');
    if (!r->message.value.data)
        buf_add_text(&s->text, "null");
    else
        buf_add(&s->text, r->message.value.data, r->message.value.len);
    for (int h = 0; h < HEADER_COUNT; h++)
        if (r->message.header[h].data)
            buf_addf(&s->text, " %s=%.*s", message_header_name((enum message_header)h),
                     (int)r->message.header[h].len, r->message.header[h].data);
    for (size_t i = 0; i < r->extra_count; i++)
        buf_addf(&s->text, " +%s=%.*s", r->extra[i].name, (int)r->extra[i].value.len,
                 r->extra[i].value.data);
    buf_add_char(&s->text, '\n');
}

static void on_end(void *user, int64_t next_offset)
{
    struct seen *s = user;
    s->ends++;
    s->end = next_offset;
}

static void on_error(void *user, const struct err *e)
{
    struct seen *s = user;
    s->errors++;
    s->kind = e->kind;
}

static struct bus_reader *read_from(struct fixture *f, struct seen *s, const char *topic,
                                    int32_t partition, int64_t offset)
{
    struct err e;
    struct bus_reader *r = bus_reader_open(f->bus,
                                           &(struct bus_reader_options){ .topic = topic,
                                                                         .partition = partition,
                                                                         .offset = offset,
                                                                         .on_record = on_record,
                                                                         .on_end = on_end,
                                                                         .on_error = on_error,
                                                                         .user = s },
                                           &e);
    cr_assert(r, "%s", e.text);
    return r;
}

/* --- producing --- */

Test(bus, deliveries_come_in_order_with_the_offsets_of_the_log)
{
    struct fixture f = fixture_open(2);
    struct counter c = new_counter();
    send_numbers(&f, &c, 1, 0, 1000);
    cr_assert_eq(bus_pending(f.bus), 1000);
    AWAIT(&f, c.done == 1000);
    cr_assert_eq(c.failed, 0);
    cr_assert_eq(c.last, 999);
    cr_assert_eq(bus_pending(f.bus), 0);
    struct seen s = { .next = 0 };
    struct bus_reader *r = read_from(&f, &s, TOPIC, 1, BUS_START);
    AWAIT(&f, s.ends == 1);
    cr_assert_eq(s.count, 1000);
    cr_assert_eq(s.end, 1000);
    cr_assert(strncmp(s.text.data, "1:=0\n1:=1\n", 10) == 0);
    bus_reader_close(r);
    fixture_close(&f);
    buf_done(&s.text);
}

/* More of a partition than librdkafka sends at once is kept from it: it would poll without a pause
 * until the acknowledgement comes, a core of its own if brokers replicate for milliseconds. */
Test(bus, waiting_for_acknowledgements_costs_no_cpu)
{
    struct fixture f = fixture_open(1);
    struct counter c = new_counter();
    send_numbers(&f, &c, 0, 0, 1);
    AWAIT(&f, c.done == 1);
    bus_mock_slow(f.mock, 100);
    struct timespec before, after;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    uint64_t start = clock_mono_ms();
    int sent = 1;
    while (clock_mono_ms() - start < 1000) {
        send_numbers(&f, &c, 0, sent, 10);
        sent += 10;
        loop_turn(f.loop, 10);
    }
    AWAIT(&f, c.done == sent);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    uint64_t took_ms = clock_mono_ms() - start;
    int64_t cpu_ms =
        (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
    cr_assert_eq(c.failed, 0);
    cr_assert_lt(cpu_ms, (int64_t)took_ms / 2, "%d ms of CPU in %d ms", (int)cpu_ms, (int)took_ms);
    fixture_close(&f);
}

Test(bus, what_waits_for_a_partition_keeps_its_order_and_holds_up_no_other)
{
    struct fixture f = fixture_open(2);
    struct counter c = new_counter(), other = new_counter();
    struct seen s = { .next = 0 };
    send_numbers(&f, &c, 0, 0, 1);
    send_numbers(&f, &other, 1, 0, 1);
    AWAIT(&f, c.done == 1 && other.done == 1);
    bus_mock_slow(f.mock, 20);
    for (int sent = 1; sent < 200; sent += 10) {
        send_numbers(&f, &c, 0, sent, 10);
        loop_turn(f.loop, 2);
    }
    send_numbers(&f, &other, 1, 1, 1);
    AWAIT(&f, other.done == 2);
    AWAIT(&f, c.done == 201);
    cr_assert_eq(c.failed, 0);
    struct bus_reader *r = read_from(&f, &s, TOPIC, 0, BUS_START);
    AWAIT(&f, s.count == 201);
    struct buf all = { 0 };
    for (int i = 0; i < 201; i++) buf_addf(&all, "0:=%d\n", i);
    cr_assert_str_eq(s.text.data, all.data);
    bus_reader_close(r);
    fixture_close(&f);
    buf_done(&s.text);
    buf_done(&all);
}

Test(bus, headers_keys_null_and_empty_values_come_back_as_they_were_sent)
{
    struct fixture f = fixture_open(1);
    struct counter c = new_counter();
    struct err e;
    send_numbers(&f, &c, 0, 7, 1);
    AWAIT(&f, c.done == 1);
    struct bytes header[HEADER_COUNT] = { [HEADER_V] = BYTES_LIT("1"),
                                          [HEADER_TYPE] = BYTES_LIT("run.start"),
                                          [HEADER_RUN_ID] = BYTES_LIT("r-1"),
                                          [HEADER_SIG] = BYTES_LIT("") };
    const struct bus_extra_header extra[] = { { "ce_id", BYTES_LIT("42") },
                                              { "typo", BYTES_LIT("x") },
                                              { "", BYTES_LIT("y") } };
    struct bus_message m = { .topic = TOPIC,
                             .key = BYTES_LIT("k"),
                             .value = BYTES_LIT("{}"),
                             .header = header,
                             .extra = extra,
                             .extra_count = 3 };
    cr_assert(bus_send(f.bus, &m, &c.waiter, &e));
    m = (struct bus_message){ .topic = TOPIC, .key = BYTES_LIT("gone") };
    cr_assert(bus_send(f.bus, &m, &c.waiter, &e));
    m = (struct bus_message){ .topic = TOPIC, .value = BYTES_LIT("") };
    cr_assert(bus_send(f.bus, &m, &c.waiter, &e));
    for (int h = 0; h < HEADER_COUNT; h++)
        header[h] = bytes_of(message_header_name((enum message_header)h));
    m = (struct bus_message){ .topic = TOPIC, .header = header };
    cr_assert(bus_send(f.bus, &m, &c.waiter, &e));
    struct seen s = { .next = 0 };
    struct bus_reader *r = read_from(&f, &s, TOPIC, 0, BUS_START);
    AWAIT(&f, s.count == 5);
    struct buf all = { 0 };
    buf_add_text(&all, "0:=7\n"
                       "0:k={} v=1 type=run.start run-id=r-1 sig= +ce_id=42 +typo=x +=y\n"
                       "0:gone=null\n"
                       "0:=\n"
                       "0:=null");
    for (int h = 0; h < HEADER_COUNT; h++) {
        const char *name = message_header_name((enum message_header)h);
        buf_addf(&all, " %s=%s", name, name);
    }
    buf_add_char(&all, '\n');
    cr_assert_str_eq(s.text.data, all.data);
    bus_reader_close(r);
    fixture_close(&f);
    buf_done(&s.text);
    buf_done(&all);
}

Test(bus, a_message_above_the_limit_is_refused_and_the_limit_is_named)
{
    struct fixture f = fixture_open(1);
    struct counter c = new_counter();
    struct err e;
    char *big = xcalloc(1, 1000 * 1000 + 1);
    cr_assert_not(try_send(&f, &c, 0, (struct bytes){ big, 1000 * 1000 + 1 }, &e));
    cr_assert_eq(e.kind, ERR_LIMIT);
    cr_assert(strstr(e.text, "1000000"), "%s", e.text);
    cr_assert_not(e.retriable);
    idle(&f, 20);
    cr_assert_eq(c.done, 0);
    fixture_close(&f);
    free(big);
}

Test(bus, a_full_queue_refuses_retriably_and_takes_again_later)
{
    struct fixture f = fixture_open(1);
    struct counter c = new_counter();
    struct err e = { 0 };
    int sent = 1;
    send_numbers(&f, &c, 0, 0, 1);
    AWAIT(&f, c.done == 1);
    while (sent < 200000 && try_send(&f, &c, 0, BYTES_LIT("x"), &e)) sent++;
    cr_assert_eq(e.kind, ERR_UNAVAILABLE);
    cr_assert(e.retriable);
    AWAIT(&f, c.done == sent);
    cr_assert_eq(c.failed, 0);
    cr_assert(try_send(&f, &c, 0, BYTES_LIT("x"), &e));
    AWAIT(&f, c.done == sent + 1);
    fixture_close(&f);
}

Test(bus, an_unknown_partition_fails_one_way_or_the_other)
{
    struct fixture f = fixture_open(1);
    struct counter c = new_counter();
    struct err e;
    if (try_send(&f, &c, 77, BYTES_LIT("x"), &e)) { /* before the metadata is there */
        AWAIT(&f, c.done == 1);
        cr_assert_eq(c.failed, 1);
    }
    cr_assert_not(try_send(&f, &c, 77, BYTES_LIT("x"), &e));
    cr_assert_eq(e.kind, ERR_NOT_FOUND);
    fixture_close(&f);
}

Test(bus, with_every_broker_down_sends_fail_in_time_and_work_again_afterwards)
{
    struct fixture f = fixture_open(1);
    f.bus = bus_close(f.bus);
    f.bus = open_bus(&f, 1000);
    struct counter c = new_counter();
    send_numbers(&f, &c, 0, 0, 1);
    AWAIT(&f, c.done == 1);
    bus_mock_down(f.mock, true);
    uint64_t start = clock_mono_ms();
    send_numbers(&f, &c, 0, 1, 10);
    AWAIT(&f, c.done == 11);
    cr_assert_eq(c.failed, 10);
    cr_assert_lt(clock_mono_ms() - start, 4000);
    bus_mock_down(f.mock, false);
    send_numbers(&f, &c, 0, 11, 1);
    AWAIT(&f, c.done == 12);
    cr_assert_eq(c.failed, 10, "a message sent after the brokers came back is delivered");
    cr_assert_neq(bus_producer_epoch(f.bus), 0, "what timed out is not sent again behind our back");
    fixture_close(&f);
}

Test(bus, a_lost_reply_and_a_moved_leader_do_not_show)
{
    struct fixture f = fixture_open(1);
    struct counter c = new_counter();
    send_numbers(&f, &c, 0, 0, 1);
    AWAIT(&f, c.done == 1);
    bus_mock_fail(f.mock, 0, 3, (const int[]){ 6 /* NOT_LEADER */, -195, 7 /* TIMED_OUT */ });
    send_numbers(&f, &c, 0, 1, 20);
    AWAIT(&f, c.done == 21);
    cr_assert_eq(c.failed, 0);
    fixture_close(&f);
}

Test(bus, closing_fails_every_pending_send_exactly_once)
{
    struct fixture f = fixture_open(1);
    struct counter c = new_counter(), d = new_counter();
    send_numbers(&f, &c, 0, 0, 1);
    AWAIT(&f, c.done == 1);
    bus_mock_down(f.mock, true);
    send_numbers(&f, &c, 0, 1, 500);
    loop_turn(f.loop, 50);
    send_numbers(&f, &d, 0, 501, 500);
    f.bus = bus_close(f.bus);
    cr_assert_eq(c.done, 501);
    cr_assert_eq(c.failed, 500);
    cr_assert_eq(d.done, 500);
    cr_assert_eq(d.failed, 500);
    fixture_close(&f);
}

/* Whether the log, a file, has an event of that name. */
static bool logged(int fd, const char *event)
{
    char text[8192];
    ssize_t len = pread(fd, text, sizeof text, 0);
    return len > 0 && memmem(text, (size_t)len, event, strlen(event));
}

Test(bus, a_purge_fails_what_was_not_sent_and_leaves_the_producer_working)
{
    struct fixture f = fixture_open(1);
    struct counter c = new_counter();
    int fd = memfd_create("log", MFD_CLOEXEC);
    f.bus = bus_close(f.bus);
    f.log = log_new("test", LOG_WARN, fd);
    f.bus = open_bus(&f, 60000); /* a busy machine connects again after seconds */
    send_numbers(&f, &c, 0, 0, 1);
    AWAIT(&f, c.done == 1);
    bus_mock_down(f.mock, true);
    AWAIT(&f, logged(fd, "kafka.down")); /* until then it would send them */
    send_numbers(&f, &c, 0, 1, 100);
    bus_purge(f.bus);
    AWAIT_WITHIN(&f, 3000, c.done == 101);
    cr_assert_eq(c.failed, 100);
    bus_mock_down(f.mock, false);
    send_numbers(&f, &c, 0, 101, 5);
    AWAIT(&f, c.done == 106);
    cr_assert_eq(c.failed, 100);
    fixture_close(&f);
    close(fd);
}

Test(bus, a_fatal_producer_error_fails_what_is_pending_and_a_new_producer_goes_on)
{
    struct fixture f = fixture_open(1);
    struct counter c = new_counter();
    bus_mock_fail(f.mock, 22, 1, (const int[]){ 31 }); /* InitProducerId: not authorized: fatal */
    cr_assert_eq(bus_producer_epoch(f.bus), 0);
    send_numbers(&f, &c, 0, 0, 10);
    AWAIT(&f, bus_producer_epoch(f.bus) == 1);
    cr_assert_eq(c.done, 10);
    cr_assert_eq(c.failed, 10);
    send_numbers(&f, &c, 0, 10, 10);
    AWAIT(&f, c.done == 20);
    cr_assert_eq(c.failed, 10);
    fixture_close(&f);
}

/* --- reading --- */

Test(bus, a_reader_reads_to_the_end_says_so_and_follows)
{
    struct fixture f = fixture_open(1);
    struct counter c = new_counter();
    struct seen s = { .next = 0 }, late = { .next = 7 }, tail = { .next = 10 };
    send_numbers(&f, &c, 0, 0, 10);
    AWAIT(&f, c.done == 10);
    struct bus_reader *all = read_from(&f, &s, TOPIC, 0, BUS_START);
    /* A second and third look at the same partition do not disturb the first. */
    struct bus_reader *some = read_from(&f, &late, TOPIC, 0, 7);
    struct bus_reader *end = read_from(&f, &tail, TOPIC, 0, BUS_END);
    AWAIT(&f, s.ends == 1 && late.ends == 1 && tail.ends == 1);
    cr_assert_eq(s.count, 10);
    cr_assert_eq(late.count, 3);
    cr_assert_eq(tail.count, 0);
    send_numbers(&f, &c, 0, 10, 5);
    AWAIT(&f, s.count == 15 && late.count == 8 && tail.count == 5);
    AWAIT(&f, s.ends >= 2 && s.end == 15);
    bus_reader_close(some);
    send_numbers(&f, &c, 0, 15, 1);
    AWAIT(&f, s.count == 16 && tail.count == 6);
    cr_assert_eq(late.count, 8);
    bus_reader_close(all);
    fixture_close(&f);
    bus_reader_close(end); /* after the bus is fine, too */
    buf_done(&s.text);
    buf_done(&late.text);
    buf_done(&tail.text);
}

Test(bus, an_offset_out_of_range_is_not_found_and_is_told_once)
{
    struct fixture f = fixture_open(1);
    struct seen far = { .next = -1 };
    struct bus_reader *r = read_from(&f, &far, TOPIC, 0, 12345);
    AWAIT(&f, far.errors == 1);
    cr_assert_eq(far.kind, ERR_NOT_FOUND);
    idle(&f, 100);
    cr_assert_eq(far.errors, 1);
    bus_reader_close(r);
    fixture_close(&f);
}

Test(bus, a_held_record_outlives_its_callback_and_its_bus)
{
    struct fixture f = fixture_open(1);
    struct counter c = new_counter();
    struct seen s = { .next = 0, .hold = true };
    struct err e;
    const struct bus_extra_header extra = { "ce_id", BYTES_LIT("42") };
    struct bytes header[HEADER_COUNT] = { [HEADER_TYPE] = BYTES_LIT("run.start") };
    cr_assert(bus_send(f.bus,
                       &(struct bus_message){ .topic = TOPIC,
                                              .value = BYTES_LIT("kept"),
                                              .header = header,
                                              .extra = &extra,
                                              .extra_count = 1 },
                       &c.waiter, &e));
    send_numbers(&f, &c, 0, 1, 100);
    struct bus_reader *r = read_from(&f, &s, TOPIC, 0, BUS_START);
    AWAIT(&f, s.count == 101);
    bus_reader_close(r);
    loop_turn(f.loop, 0);
    cr_assert(bytes_is(s.kept.message.value, "kept"));
    cr_assert(bytes_is(s.kept.message.header[HEADER_TYPE], "run.start"));
    cr_assert_str_eq(s.kept.topic, TOPIC);
    cr_assert_str_eq(s.kept.extra[0].name, "ce_id");
    cr_assert(bytes_is(s.kept.extra[0].value, "42"));
    struct bus_record again = bus_held_record(s.held);
    cr_assert(bytes_is(again.message.value, "kept"));
    cr_assert(bytes_is(again.message.header[HEADER_TYPE], "run.start"));
    cr_assert_str_eq(again.topic, TOPIC);
    cr_assert_eq(again.offset, s.kept.offset);
    cr_assert_eq(again.timestamp_ms, s.kept.timestamp_ms);
    cr_assert_eq(again.extra_count, 1);
    cr_assert(bytes_is(again.extra[0].value, "42"));
    bus_record_release(s.held);
    fixture_close(&f);
    buf_done(&s.text);
}

struct closing {
    struct bus_reader *reader;
    int count;
};

static void close_at_once(void *user, const struct bus_record *r)
{
    struct closing *c = user;
    (void)r;
    c->count++;
    c->reader = bus_reader_close(c->reader);
}

Test(bus, a_reader_closed_by_its_callback_delivers_nothing_more)
{
    struct fixture f = fixture_open(1);
    struct counter c = new_counter();
    struct closing closing = { 0 };
    struct err e;
    send_numbers(&f, &c, 0, 0, 100);
    AWAIT(&f, c.done == 100);
    closing.reader = bus_reader_open(f.bus,
                                     &(struct bus_reader_options){ .topic = TOPIC,
                                                                   .partition = 0,
                                                                   .offset = BUS_START,
                                                                   .on_record = close_at_once,
                                                                   .user = &closing },
                                     &e);
    cr_assert(closing.reader, "%s", e.text);
    AWAIT(&f, closing.count > 0);
    idle(&f, 100);
    cr_assert_eq(closing.count, 1);
    fixture_close(&f);
}

/* --- asking --- */

struct answer {
    int count;
    int32_t partitions;
    int64_t start, end;
    bool cluster, failed;
    enum err_kind kind;
};

static void on_info(void *user, int32_t partitions, const char *cluster_id, const struct err *e)
{
    struct answer *a = user;
    a->count++;
    a->partitions = partitions;
    a->cluster = cluster_id && cluster_id[0];
    a->failed = e;
    if (e) a->kind = e->kind;
}

static void on_offsets(void *user, int64_t start, int64_t end, const struct err *e)
{
    struct answer *a = user;
    a->count++;
    a->start = start;
    a->end = end;
    a->failed = e;
    if (e) a->kind = e->kind;
}

static void on_created(void *user, const struct err *e)
{
    struct answer *a = user;
    a->count++;
    a->failed = e;
    if (e) cr_log_error("%s", e->text);
}

Test(bus, topics_are_described_created_and_measured)
{
    struct fixture f = fixture_open(3);
    struct counter c = new_counter();
    struct answer info = { 0 }, none = { 0 }, offsets = { 0 }, made = { 0 }, missing = { 0 };
    send_numbers(&f, &c, 2, 0, 7);
    AWAIT(&f, c.done == 7);
    bus_topic_info(f.bus, TOPIC, on_info, &info);
    bus_topic_info(f.bus, "t.none", on_info, &none);
    bus_offsets(f.bus, TOPIC, 2, on_offsets, &offsets);
    bus_offsets(f.bus, TOPIC, 99, on_offsets, &missing);
    AWAIT(&f, info.count == 1 && none.count == 1 && offsets.count == 1 && missing.count == 1);
    cr_assert(!info.failed && info.partitions == 3 && info.cluster);
    cr_assert_not(none.failed); /* 0 partitions, but the mock makes every topic it hears of */
    cr_assert(!offsets.failed && offsets.start == 0 && offsets.end == 7);
    cr_assert(missing.failed && missing.kind == ERR_NOT_FOUND);
    static const char *const config[][2] = { { "retention.ms", "1000" }, { NULL, NULL } };
    const struct bus_topic_spec specs[] = {
        { .name = TOPIC, .partitions = 3 }, { .name = "t.new", .partitions = 4, .config = config }
    };
    bus_create_topics(f.bus, specs, 2, on_created, &made);
    AWAIT(&f, made.count == 1);
    cr_assert_not(made.failed);
    bus_topic_info(f.bus, "t.new", on_info, &none);
    AWAIT(&f, none.count == 2);
    cr_assert_gt(none.partitions, 0);
    fixture_close(&f);
}

Test(bus, closing_answers_every_question_once)
{
    struct fixture f = fixture_open(1);
    struct answer a = { 0 };
    bus_mock_down(f.mock, true);
    for (int i = 0; i < 4; i++) {
        bus_topic_info(f.bus, TOPIC, on_info, &a);
        bus_offsets(f.bus, TOPIC, 0, on_offsets, &a);
    }
    idle(&f, 50);
    cr_assert_eq(a.count, 0);
    uint64_t start = clock_mono_ms();
    f.bus = bus_close(f.bus);
    cr_assert_eq(a.count, 8);
    cr_assert(a.failed);
    cr_assert_lt(clock_mono_ms() - start, 5000);
    fixture_close(&f);
}

Test(bus, settings_that_cannot_be_are_refused_in_words)
{
    struct fixture f = fixture_open(1);
    struct err e;
    struct bus_options o = { .brokers = "127.0.0.1:1", .log = &f.log };
    o.security_protocol = "carrier-pigeon";
    cr_assert_null(bus_open(f.loop, &o, &e));
    cr_assert_eq(e.kind, ERR_INVALID);
    cr_assert(strstr(e.text, "security.protocol"), "%s", e.text);
    o.security_protocol = "ssl";
    o.ssl_ca_location = "/nonexistent/ca.pem";
    cr_assert_null(bus_open(f.loop, &o, &e));
    cr_assert(e.kind == ERR_INVALID || e.kind == ERR_UNSUPPORTED);
    cr_assert_null(bus_open(f.loop, &(struct bus_options){ .log = &f.log }, &e));
    cr_assert_eq(e.kind, ERR_INVALID);
    fixture_close(&f);
}

Test(bus, a_reader_with_a_credit_reads_no_further_until_it_is_given_more)
{
    struct fixture f = fixture_open(1);
    struct counter c = new_counter();
    send_numbers(&f, &c, 0, 0, 10);
    AWAIT(&f, c.done == 10);
    struct seen s = { .next = 0 };
    struct err e;
    struct bus_reader *r = bus_reader_open(f.bus,
                                           &(struct bus_reader_options){ .topic = TOPIC,
                                                                         .offset = BUS_START,
                                                                         .credit = 3,
                                                                         .on_record = on_record,
                                                                         .on_end = on_end,
                                                                         .on_error = on_error,
                                                                         .user = &s },
                                           &e);
    cr_assert(r, "%s", e.text);
    AWAIT(&f, s.count == 3);
    idle(&f, 100);
    cr_assert_eq(s.count, 3, "read without credit");
    bus_reader_credit(r, 100);
    AWAIT(&f, s.count == 10 && s.ends > 0);
    cr_assert_eq(s.end, 10);
    bus_reader_close(r);
    buf_done(&s.text);
    fixture_close(&f);
}
