/* SPDX-License-Identifier: Apache-2.0
 *
 * Claim checks in a worker: an input is read before its call, and an output that is too large is in
 * the payload store before its result is in the log. */
#include <criterion/criterion.h>

#include "fake_blob.h"
#include "fake_io.h"
#include "worker/worker.h"

#define BODY_BYTES 3000

struct bench {
    struct loop *loop;
    struct fake *fake;
    struct worker *worker;
    struct log log;
};

static void open_worker(struct bench *b, bool with_store)
{
    struct err e;
    *b = (struct bench){ .loop = loop_new(&e), .log = log_new("test", LOG_ERROR + 1, 2) };
    b->fake = fake_new(b->loop);
    const char *queues[] = { "default" };
    const struct blob_options place = { .dir = "/nowhere" };
    b->worker = worker_open(
        b->loop, fake_bus(b->fake), fake_store(b->fake), fake_pool(b->fake),
        &(struct worker_options){
            .prefix = "tutti",
            .name = "w1",
            .queues = queues,
            .queue_count = 1,
            .lease_ms = 600,
            .commit_ms = 30,
            .private_allowed = true,
            .payloads = { .place = with_store ? &place : NULL, .inline_max = 1024, .max = 1000000 },
            .log = &b->log },
        &e);
    cr_assert(b->worker);
    fake_assign(b->fake, "tutti.tasks.default", 0);
}

static void close_worker(struct bench *b)
{
    worker_stop(b->worker);
    fake_free(b->fake);
    worker_free(b->worker);
    loop_free(b->loop);
}

static void call(struct bench *b, const char *value)
{
    fake_deliver(b->fake,
                 &(struct fake_task){
                     .task = 'a', .offset = 1, .kind = "http", .uses = "", .value = value });
}

static bool has_request(struct bench *b, uint32_t turns)
{
    for (uint32_t i = 0; i < turns && !fake_requests(b->fake); i++)
        (void)fake_until(b->fake, "no such line", 10);
    return fake_requests(b->fake) > 0;
}

static void respond(struct bench *b, size_t body_len)
{
    AUTO_BUF struct buf body = { 0 };
    buf_add_char(&body, '"');
    for (size_t i = 0; i < body_len; i++) buf_add_char(&body, 'x');
    buf_add_char(&body, '"');
    fake_respond(b->fake, &(struct http_response){
                              .outcome = HTTP_DONE, .status = 200, .body = buf_bytes(&body) });
}

#define REQUEST "{\"method\":\"GET\",\"url\":\"http://127.0.0.1/\"}"

Test(payloads, a_large_output_is_put_and_its_result_carries_the_claim_check)
{
    struct bench b;
    open_worker(&b, true);
    fake_blob_down(true);
    call(&b, REQUEST);
    cr_assert(has_request(&b, 200));
    respond(&b, BODY_BYTES);
    cr_assert_not(fake_until(b.fake, "send task.completed a", 300), "the store is down");
    cr_assert(fake_count(b.fake, "renew a") > 0, "its lease is kept");
    fake_blob_down(false);
    cr_assert(fake_until(b.fake, "send task.completed a", 5000));
    struct blob_ref ref;
    struct err e;
    cr_assert(blob_ref_parse(bytes_of(fake_value(b.fake, 'a')), &ref, &e), "%s", e.text);
    cr_assert(blob_ref_matches(&ref, bytes_of(fake_blob_last())));
    cr_assert_gt(ref.size, BODY_BYTES);
    cr_assert_eq(fake_blob_puts(), 1);
    cr_assert(fake_until(b.fake, "commit 2", 2000));
    close_worker(&b);
}

Test(payloads, a_small_output_travels_in_its_message)
{
    struct bench b;
    open_worker(&b, true);
    call(&b, REQUEST);
    cr_assert(has_request(&b, 200));
    respond(&b, 10);
    cr_assert(fake_until(b.fake, "send task.completed a", 2000));
    cr_assert(strstr(fake_value(b.fake, 'a'), "xxxxxxxxxx"));
    cr_assert_eq(fake_blob_puts(), 0);
    close_worker(&b);
}

/* The claim check of content, which lies there or does not. */
static void claim(struct buf *ret, const char *content, bool there)
{
    struct blob_ref ref = blob_ref_of(bytes_of(content));
    blob_ref_add(ret, &ref);
    if (there) fake_blob_add(bytes_of(content));
}

Test(payloads, an_input_is_read_before_the_call)
{
    struct bench b;
    open_worker(&b, true);
    AUTO_BUF struct buf value = { 0 };
    claim(&value, REQUEST, true);
    fake_blob_down(true);
    call(&b, value.data);
    cr_assert_not(has_request(&b, 20));
    fake_blob_down(false);
    cr_assert(has_request(&b, 500));
    cr_assert_str_eq(fake_request_url(b.fake), "http://127.0.0.1/");
    respond(&b, 10);
    cr_assert(fake_until(b.fake, "commit 2", 2000));
    close_worker(&b);
}

Test(payloads, an_input_that_is_lost_fails_its_step_for_good)
{
    struct bench b;
    open_worker(&b, true);
    AUTO_BUF struct buf value = { 0 };
    claim(&value, REQUEST, false);
    call(&b, value.data);
    cr_assert(fake_until(b.fake, "send task.failed a", 2000));
    cr_assert(strstr(fake_value(b.fake, 'a'), "\"retryable\":false"), "%s",
              fake_value(b.fake, 'a'));
    cr_assert(strstr(fake_value(b.fake, 'a'), "lost"));
    cr_assert_eq(fake_requests(b.fake), 0);
    close_worker(&b);
}

Test(payloads, an_input_is_waited_for_until_the_deadline)
{
    struct bench b;
    open_worker(&b, true);
    AUTO_BUF struct buf value = { 0 };
    claim(&value, REQUEST, true);
    fake_blob_down(true);
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a',
                                              .offset = 1,
                                              .kind = "http",
                                              .uses = "",
                                              .value = value.data,
                                              .deadline_ms = loop_wall_ms(b.loop) + 1000 });
    cr_assert(fake_until(b.fake, "send task.failed a", 5000));
    cr_assert(strstr(fake_value(b.fake, 'a'), "unreachable"), "%s", fake_value(b.fake, 'a'));
    cr_assert(strstr(fake_value(b.fake, 'a'), "\"retryable\":true"));
    close_worker(&b);
}

Test(payloads, a_step_that_does_nothing_hands_the_claim_check_on)
{
    struct bench b;
    open_worker(&b, true);
    AUTO_BUF struct buf value = { 0 };
    claim(&value, "[1,2,3]", false);
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1, .value = value.data });
    cr_assert(fake_until(b.fake, "send task.completed a", 2000));
    cr_assert_str_eq(fake_value(b.fake, 'a'), value.data);
    close_worker(&b);
}

Test(payloads, a_worker_that_stops_amid_both_leaves_nothing)
{
    struct bench b;
    open_worker(&b, true);
    AUTO_BUF struct buf value = { 0 };
    claim(&value, REQUEST, true);
    call(&b, REQUEST);
    cr_assert(has_request(&b, 200));
    fake_blob_down(true);
    respond(&b, BODY_BYTES);
    fake_deliver(b.fake,
                 &(struct fake_task){
                     .task = 'b', .offset = 2, .kind = "http", .uses = "", .value = value.data });
    cr_assert_not(fake_until(b.fake, "send task.completed a", 200));
    close_worker(&b); /* the sanitizer has the last word */
}
