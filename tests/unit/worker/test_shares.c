/* SPDX-License-Identifier: Apache-2.0
 *
 * What tasks share: outputs that are kept for tasks alike, and the worker's calls by priority. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "fake_io.h"
#include "worker/worker.h"

struct bench {
    struct loop *loop;
    struct fake *fake;
    struct worker *worker;
    int64_t offset;
};

static struct bench open_worker(uint32_t inflight_max)
{
    static struct log log;
    struct bench b = { 0 };
    struct err e;
    setenv("TUTTI_SECRET_TOKEN", "t0ken-value", 1);
    setenv("TUTTI_SECRET_OTHER", "t0ken-value", 1);
    b.loop = loop_new(&e);
    b.fake = fake_new(b.loop);
    log = log_new("test", LOG_ERROR, 2);
    const char *queues[] = { "default" };
    b.worker = worker_open(b.loop, fake_bus(b.fake), fake_store(b.fake), fake_pool(b.fake),
                           &(struct worker_options){ .prefix = "tutti",
                                                     .name = "w1",
                                                     .queues = queues,
                                                     .queue_count = 1,
                                                     .inflight_max = inflight_max,
                                                     .commit_ms = 20,
                                                     .private_allowed = true,
                                                     .log = &log },
                           &e);
    cr_assert(b.worker != NULL, "%s", e.text);
    fake_assign(b.fake, "tutti.tasks.default", 0);
    fake_assign(b.fake, "tutti.tasks.default.HIGH", 0);
    fake_assign(b.fake, "tutti.tasks.default.LOW", 0);
    return b;
}

static void close_worker(struct bench *b)
{
    worker_stop(b->worker);
    fake_free(b->fake);
    worker_free(b->worker);
    loop_free(b->loop);
}

static void respond(struct bench *b, uint32_t status)
{
    struct http_header h = { "content-type", "application/json" };
    fake_respond(b->fake, &(struct http_response){ .outcome = HTTP_DONE,
                                                   .status = status,
                                                   .body = bytes_of("{\"n\":1}"),
                                                   .headers = &h,
                                                   .header_count = 1,
                                                   .sent = true });
    fake_turn(b->fake);
}

/* --- the cache --- */

#define ASK "{\"method\":\"GET\",\"url\":\"http://a/\",\"headers\":{\"x\":\"\"}}"

static void deliver_with(struct bench *b, char task, const char *value, const char *key,
                         const char *secrets)
{
    fake_deliver(b->fake, &(struct fake_task){ .task = task,
                                               .offset = ++b->offset,
                                               .kind = "http",
                                               .uses = "",
                                               .value = value,
                                               .cache_ttl_ms = "60000",
                                               .cache_key = key,
                                               .secrets = secrets });
    fake_turn(b->fake);
}

Test(cache, a_task_like_one_that_went_well_is_answered_without_a_call)
{
    struct bench b = open_worker(0);
    deliver_with(&b, 'a', ASK, NULL, NULL);
    respond(&b, 200);
    cr_assert(fake_until(b.fake, "done a", 2000));
    cr_assert_eq(fake_count(b.fake, "set 60000"), 1);
    cr_assert_null(fake_header(b.fake, 'a', HEADER_CACHED));
    cr_assert(strncmp(fake_stored_name(b.fake), "tutti:cache:", 12) == 0);
    cr_assert_eq(strlen(fake_stored_name(b.fake)), 12 + 64);
    deliver_with(&b, 'b', ASK, NULL, NULL);
    cr_assert(fake_until(b.fake, "done b", 2000));
    cr_assert_eq(fake_requests(b.fake), 1, "no second call");
    cr_assert_str_eq(fake_value(b.fake, 'b'), fake_value(b.fake, 'a'));
    cr_assert_str_eq(fake_header(b.fake, 'b', HEADER_CACHED), "true");
    cr_assert_null(fake_header(b.fake, 'b', HEADER_USAGE));
    cr_assert_eq(fake_count(b.fake, "set 60000"), 1, "its time does not begin anew");
    close_worker(&b);
}

Test(cache, failures_are_not_kept)
{
    struct bench b = open_worker(0);
    deliver_with(&b, 'a', ASK, NULL, NULL);
    respond(&b, 400);
    cr_assert(fake_until(b.fake, "send task.failed a", 2000));
    cr_assert_null(fake_stored(b.fake));
    close_worker(&b);
}

Test(cache, a_key_of_the_definition_stands_for_the_value)
{
    struct bench b = open_worker(0);
    deliver_with(&b, 'a', ASK, "k", NULL);
    respond(&b, 200);
    deliver_with(&b, 'b', "{\"method\":\"GET\",\"url\":\"http://b/\"}", "k", NULL);
    cr_assert(fake_until(b.fake, "done b", 2000));
    cr_assert_eq(fake_requests(b.fake), 1);
    deliver_with(&b, 'c', ASK, "other", NULL);
    cr_assert_eq(fake_requests(b.fake), 2);
    close_worker(&b);
}

Test(cache, another_secret_in_the_same_place_is_another_task)
{
    struct bench b = open_worker(0);
    deliver_with(&b, 'a', ASK, NULL, "[[\"/headers/x\",0,\"TOKEN\"]]");
    respond(&b, 200);
    cr_assert_not_null(fake_stored(b.fake));
    deliver_with(&b, 'b', ASK, NULL, "[[\"/headers/x\",0,\"OTHER\"]]");
    cr_assert_eq(fake_requests(b.fake), 2);
    close_worker(&b);
}

Test(cache, what_redis_does_not_answer_is_a_miss)
{
    struct bench b = open_worker(0);
    deliver_with(&b, 'a', ASK, NULL, NULL);
    respond(&b, 200);
    cr_assert(fake_until(b.fake, "done a", 2000));
    fake_lose_replies(b.fake, 1); /* the lease's answer comes */
    deliver_with(&b, 'b', ASK, NULL, NULL);
    cr_assert_eq(fake_requests(b.fake), 2);
    close_worker(&b);
}

/* --- priorities --- */

static void deliver_to(struct bench *b, char task, const char *topic)
{
    char value[80];
    snprintf(value, sizeof value, "{\"method\":\"GET\",\"url\":\"http://%c/\"}", task);
    fake_deliver(b->fake, &(struct fake_task){ .task = task,
                                               .offset = ++b->offset,
                                               .kind = "http",
                                               .uses = "",
                                               .value = value,
                                               .topic = topic });
    fake_turn(b->fake);
}

static void expect_call(struct bench *b, char task)
{
    char url[20];
    snprintf(url, sizeof url, "http://%c/", task);
    cr_assert_str_eq(fake_request_url(b->fake), url);
}

Test(priority, the_more_urgent_task_is_called_first)
{
    struct bench b = open_worker(1);
    deliver_to(&b, 'a', NULL);
    expect_call(&b, 'a');
    deliver_to(&b, 'b', "tutti.tasks.default.LOW");
    deliver_to(&b, 'c', NULL);
    deliver_to(&b, 'd', "tutti.tasks.default.HIGH");
    cr_assert_eq(fake_requests(b.fake), 1);
    for (const char *next = "dcb"; *next; next++) {
        respond(&b, 200);
        expect_call(&b, *next);
    }
    close_worker(&b);
}

Test(priority, what_is_passed_over_has_its_turn_after_nine_calls)
{
    struct bench b = open_worker(1);
    deliver_to(&b, 'a', "tutti.tasks.default.HIGH");
    deliver_to(&b, 'y', NULL);
    deliver_to(&b, 'z', "tutti.tasks.default.LOW");
    for (char task = 'b'; task <= 'x'; task++) deliver_to(&b, task, "tutti.tasks.default.HIGH");
    size_t calls_y = 0, calls_z = 0;
    for (size_t calls = 1; calls <= 21; calls++) {
        if (strstr(fake_request_url(b.fake), "//y/")) calls_y = calls;
        if (strstr(fake_request_url(b.fake), "//z/")) calls_z = calls;
        respond(&b, 200);
    }
    cr_assert(calls_y > 9 && calls_z > 9, "%zu, %zu: the urgent go first", calls_y, calls_z);
    close_worker(&b);
}
