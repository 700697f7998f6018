/* SPDX-License-Identifier: Apache-2.0
 *
 * Model and HTTP tasks through the whole worker over a fake pool: requests, retries of connections
 * that never arrived, breakers, cancellation, secrets. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "fake_io.h"
#include "worker/worker.h"

struct bench {
    struct loop *loop;
    struct fake *fake;
    struct worker *worker;
};

static struct bench open_worker(void)
{
    static struct log log;
    struct bench b = { 0 };
    struct err e;
    setenv("TEST_KEY", "sk-very-secret", 1);
    setenv("TUTTI_SECRET_TOKEN", "t0ken-value", 1);
    AUTO_JSON *models = json_parse(BYTES_LIT("{\"default\": {\"base_url\": \"http://models:1/v1\", "
                                             "\"model\": \"m\", \"api_key_env\": \"TEST_KEY\"}}"),
                                   &e);
    AUTO_JSON *handlers =
        json_parse(BYTES_LIT("{\"score\": {\"http\": {\"url\": \"http://score/run\", \"headers\": "
                             "{\"x-a\": \"b\"}}}}"),
                   &e);
    b.loop = loop_new(&e);
    b.fake = fake_new(b.loop);
    log = log_new("test", LOG_ERROR, 2);
    const char *queues[] = { "default" };
    b.worker =
        worker_open(b.loop, fake_bus(b.fake), fake_store(b.fake), fake_pool(b.fake),
                    &(struct worker_options){ .prefix = "tutti",
                                              .name = "w1",
                                              .queues = queues,
                                              .queue_count = 1,
                                              .lease_ms = 300,
                                              .commit_ms = 20,
                                              .log = &log,
                                              .models = models,
                                              .handlers = handlers,
                                              .breaker = { .calls_min = 3, .open_ms = 5000 } },
                    &e);
    cr_assert(b.worker != NULL, "%s", e.text);
    fake_assign(b.fake, "tutti.tasks.default", 0);
    return b;
}

static void close_worker(struct bench *b)
{
    worker_stop(b->worker);
    fake_free(b->fake);
    worker_free(b->worker);
    loop_free(b->loop);
}

#define LLM "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"

static void deliver(struct bench *b, char task, int64_t offset, const char *kind, const char *uses,
                    const char *value, const char *secrets)
{
    fake_deliver(b->fake, &(struct fake_task){ .task = task,
                                               .offset = offset,
                                               .kind = kind,
                                               .uses = uses,
                                               .value = value,
                                               .secrets = secrets });
    fake_turn(b->fake);
}

static void respond(struct bench *b, uint32_t status, const char *type, const char *body)
{
    struct http_header h = { "content-type", type };
    fake_respond(b->fake, &(struct http_response){ .outcome = HTTP_DONE,
                                                   .status = status,
                                                   .body = bytes_of(body),
                                                   .headers = &h,
                                                   .header_count = 1,
                                                   .sent = true });
    fake_turn(b->fake);
}

Test(tools, a_model_call_carries_key_and_idempotency_key_and_reports_usage)
{
    struct bench b = open_worker();
    deliver(&b, 'a', 1, "llm", "default", LLM, NULL);
    cr_assert_eq(fake_requests(b.fake), 1);
    cr_assert_str_eq(fake_request_url(b.fake), "http://models:1/v1/chat/completions");
    cr_assert_str_eq(fake_request_header(b.fake, "authorization"), "Bearer sk-very-secret");
    cr_assert_str_eq(fake_request_header(b.fake, "idempotency-key"), "once");
    respond(&b, 200, "application/json",
            "{\"choices\":[{\"message\":{\"content\":\"yes\"},\"finish_reason\":\"stop\"}],"
            "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}");
    cr_assert(fake_until(b.fake, "commit 2", 2000));
    cr_assert_str_eq(fake_value(b.fake, 'a'), "\"yes\"");
    cr_assert_not_null(strstr(fake_header(b.fake, 'a', HEADER_USAGE), "\"tokens_in\":5"));
    close_worker(&b);
}

Test(tools, a_redelivery_while_the_model_answers_is_no_second_call)
{
    struct bench b = open_worker();
    deliver(&b, 'a', 1, "llm", "default", LLM, NULL);
    deliver(&b, 'a', 2, "llm", "default", LLM, NULL);
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a',
                                              .offset = 3,
                                              .kind = "llm",
                                              .uses = "default",
                                              .value = LLM,
                                              .gen = "0123456789ab-bbbbbbbbbbbb" });
    fake_turn(b.fake);
    cr_assert_eq(fake_requests(b.fake), 1);
    respond(&b, 200, "application/json",
            "{\"choices\":[{\"message\":{\"content\":\"yes\"},\"finish_reason\":\"stop\"}]}");
    cr_assert(fake_until(b.fake, "commit 4", 2000), "all deliveries are done with it");
    cr_assert_eq(fake_count(b.fake, "send task.completed a"), 1);
    close_worker(&b);
}

Test(tools, a_running_call_renews_its_lease_and_a_cancelled_one_is_aborted)
{
    struct bench b = open_worker();
    deliver(&b, 'a', 1, "llm", "default", LLM, NULL);
    cr_assert(fake_until(b.fake, "renew a", 3000));
    fake_renew_verdict(b.fake, 'a', "C");
    cr_assert(fake_until(b.fake, "commit 2", 3000));
    cr_assert_eq(fake_aborts(b.fake), 1);
    cr_assert_eq(
        fake_count(b.fake, "send task.failed a") + fake_count(b.fake, "send task.completed a"), 0);
    close_worker(&b);
}

Test(tools, a_connection_that_never_arrived_is_tried_three_times_and_then_unreachable)
{
    struct bench b = open_worker();
    deliver(&b, 'a', 1, "llm", "default", LLM, NULL);
    for (size_t i = 1; i <= 3; i++) {
        cr_assert_eq(fake_requests(b.fake), i);
        fake_respond(b.fake, &(struct http_response){ .outcome = HTTP_CONNECT, .text = "refused" });
    }
    cr_assert_eq(fake_requests(b.fake), 3);
    cr_assert(fake_until(b.fake, "send task.failed a", 2000));
    cr_assert_not_null(strstr(fake_value(b.fake, 'a'), "\"unreachable\""));
    close_worker(&b);
}

Test(tools, a_connection_that_broke_after_the_request_is_not_tried_again_here)
{
    struct bench b = open_worker();
    deliver(&b, 'a', 1, "llm", "default", LLM, NULL);
    fake_respond(b.fake,
                 &(struct http_response){ .outcome = HTTP_BROKEN, .sent = true, .text = "reset" });
    cr_assert(fake_until(b.fake, "send task.failed a", 2000));
    cr_assert_eq(fake_requests(b.fake), 1);
    close_worker(&b);
}

Test(tools, an_open_breaker_fails_without_a_call)
{
    struct bench b = open_worker();
    for (int i = 0; i < 3; i++) {
        deliver(&b, (char)('a' + i), i + 1, "llm", "default", LLM, NULL);
        respond(&b, 500, "text/plain", "oops");
    }
    size_t calls = fake_requests(b.fake);
    deliver(&b, 'z', 9, "llm", "default", LLM, NULL);
    cr_assert(fake_until(b.fake, "send task.failed z", 2000));
    cr_assert_eq(fake_requests(b.fake), calls);
    cr_assert_not_null(strstr(fake_value(b.fake, 'z'), "\"unreachable\""), "%s",
                       fake_value(b.fake, 'z'));
    cr_assert_not_null(strstr(fake_value(b.fake, 'z'), "retry_after_ms"));
    close_worker(&b);
}

Test(tools, an_http_step_sends_what_it_says_and_keeps_its_secret)
{
    struct bench b = open_worker();
    deliver(&b, 'a', 1, "http", "",
            "{\"method\":\"put\",\"url\":\"http://api/x?q=1\",\"query\":{\"n\":[1,\"a "
            "b\"]},\"headers\":{\"Authorization\":\"Bearer \"},\"body\":{\"k\":1}}",
            "[[\"/headers/Authorization\",7,\"TOKEN\"]]");
    cr_assert_str_eq(fake_request_url(b.fake), "http://api/x?q=1&n=1&n=a%20b");
    cr_assert_str_eq(fake_request_header(b.fake, "authorization"), "Bearer t0ken-value");
    cr_assert_str_eq(fake_request_header(b.fake, "content-type"), "application/json");
    cr_assert_str_eq(fake_request_body(b.fake), "{\"k\":1}");
    cr_assert_not(fake_request(b.fake)->private_allowed);
    respond(&b, 200, "application/json; charset=utf-8", "{\"you\":\"t0ken-value\"}");
    cr_assert(fake_until(b.fake, "send task.completed a", 2000));
    cr_assert_str_eq(fake_value(b.fake, 'a'),
                     "{\"status\":200,\"headers\":{\"content-type\":\"application/json; "
                     "charset=utf-8\"},\"body\":{\"you\":\"[redacted:TOKEN]\"}}");
    close_worker(&b);
}

static const struct {
    uint32_t status;
    const char *error;
    bool retryable;
} statuses[] = { { 400, "tool_error", false }, { 404, "tool_error", false },
                 { 408, "tool_error", true },  { 425, "tool_error", true },
                 { 429, "tool_error", true },  { 500, "tool_error", true },
                 { 302, "tool_error", false } };

Test(tools, http_statuses_say_whether_to_try_again)
{
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        struct bench b = open_worker();
        deliver(&b, 'a', 1, "http", "", "{\"url\":\"http://api/\"}", NULL);
        respond(&b, statuses[i].status, "text/plain", "no");
        cr_assert(fake_until(b.fake, "send task.failed a", 2000));
        cr_assert_not_null(strstr(fake_value(b.fake, 'a'), statuses[i].error));
        cr_expect_not_null(strstr(fake_value(b.fake, 'a'), statuses[i].retryable
                                                               ? "\"retryable\":true"
                                                               : "\"retryable\":false"),
                           "%u: %s", statuses[i].status, fake_value(b.fake, 'a'));
        close_worker(&b);
    }
}

Test(tools, a_body_that_is_neither_json_nor_text_is_invalid_output)
{
    struct bench b = open_worker();
    deliver(&b, 'a', 1, "http", "", "{\"url\":\"http://api/\"}", NULL);
    respond(&b, 200, "image/png", "\x89PNG");
    cr_assert(fake_until(b.fake, "send task.failed a", 2000));
    cr_assert_not_null(strstr(fake_value(b.fake, 'a'), "invalid_output"));
    close_worker(&b);
}

Test(tools, a_bad_http_step_names_its_fault)
{
    static const char *const bad[][2] = {
        { "{\"url\":\"ftp://x\"}", "http://" },
        { "{}", "url" },
        { "{\"url\":\"http://x\",\"headers\":{\"a b\":\"c\"}}", "a b" },
        { "{\"url\":\"http://x\",\"headers\":{\"a\":\"c\\r\\nd: e\"}}", "control" },
        { "{\"url\":\"http://x y\"}", "space" },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct bench b = open_worker();
        deliver(&b, 'a', 1, "http", "", bad[i][0], NULL);
        cr_assert(fake_until(b.fake, "send task.failed a", 2000));
        cr_assert_eq(fake_requests(b.fake), 0);
        cr_expect_not_null(strstr(fake_value(b.fake, 'a'), bad[i][1]), "%s",
                           fake_value(b.fake, 'a'));
        cr_expect_not_null(strstr(fake_value(b.fake, 'a'), "bad_request"));
        close_worker(&b);
    }
}

Test(tools, a_handler_is_posted_to_with_the_tasks_names)
{
    struct bench b = open_worker();
    deliver(&b, 'a', 1, "task", "score", "{\"n\":1}", NULL);
    cr_assert_str_eq(fake_request_url(b.fake), "http://score/run");
    cr_assert_str_eq(fake_request_body(b.fake), "{\"n\":1}");
    cr_assert_str_eq(fake_request_header(b.fake, "x-a"), "b");
    cr_assert_str_eq(fake_request_header(b.fake, "tutti-path"), "a");
    cr_assert_str_eq(fake_request_header(b.fake, "tutti-attempt"), "1");
    respond(&b, 200, "application/json", "[1]");
    cr_assert(fake_until(b.fake, "send task.completed a", 2000));
    cr_assert_str_eq(fake_value(b.fake, 'a'), "[1]");
    close_worker(&b);
}

Test(tools, an_unknown_model_is_named_with_what_there_is)
{
    struct bench b = open_worker();
    deliver(&b, 'a', 1, "llm", "big", LLM, NULL);
    cr_assert(fake_until(b.fake, "send task.failed a", 2000));
    cr_assert_not_null(strstr(fake_value(b.fake, 'a'), "'big'"));
    cr_assert_not_null(strstr(fake_value(b.fake, 'a'), "default"));
    close_worker(&b);
}

Test(tools, reloaded_models_are_used_by_the_next_call)
{
    struct bench b = open_worker();
    struct err e;
    deliver(&b, 'a', 1, "llm", "default", LLM, NULL);
    AUTO_JSON *models = json_parse(
        BYTES_LIT("{\"default\": {\"base_url\": \"http://other\", \"model\": \"m\"}}"), &e);
    cr_assert(worker_reload(b.worker, models, NULL, &e));
    respond(&b, 200, "application/json", "{\"choices\":[{\"message\":{\"content\":\"x\"}}]}");
    deliver(&b, 'b', 2, "llm", "default", LLM, NULL);
    cr_assert_str_eq(fake_request_url(b.fake), "http://other/v1/chat/completions");
    AUTO_JSON *wrong = json_parse(BYTES_LIT("{\"default\": {}}"), &e);
    cr_assert_not(worker_reload(b.worker, wrong, NULL, &e));
    close_worker(&b);
}

/* --- webhook --- */

static void expect_signed(struct bench *b, struct bytes key, const char *body)
{
    AUTO_BUF struct buf content = { 0 }, wanted = { 0 };
    unsigned char hash[SHA256_BYTES];
    buf_addf(&content, "%s.%s.%s", fake_request_header(b->fake, "webhook-id"),
             fake_request_header(b->fake, "webhook-timestamp"), body);
    hmac_sha256(key, buf_bytes(&content), hash);
    buf_add_text(&wanted, "v1,");
    base64_encode((struct bytes){ (const char *)hash, sizeof hash }, &wanted);
    cr_expect_str_eq(fake_request_header(b->fake, "webhook-signature"), wanted.data);
}

Test(webhook, is_signed_and_its_answer_is_the_output)
{
    struct bench b = open_worker();
    deliver(&b, 'a', 1, "webhook", "",
            "{\"method\":\"POST\",\"endpoint\":\"http://shop/"
            "hook\",\"body\":{\"n\":1},\"secret\":\"\"}",
            "[[\"/secret\",0,\"TOKEN\"]]");
    cr_assert_eq(fake_requests(b.fake), 1);
    cr_expect_str_eq(fake_request_url(b.fake), "http://shop/hook");
    cr_expect_str_eq(fake_request_header(b.fake, "content-type"), "application/json");
    cr_expect_str_eq(fake_request_header(b.fake, "webhook-id"), "once");
    expect_signed(&b, BYTES_LIT("t0ken-value"), "{\"n\":1}");
    respond(&b, 202, "text/plain", "got t0ken-value");
    cr_assert(fake_until(b.fake, "commit 2", 2000));
    cr_expect_str_eq(fake_value(b.fake, 'a'), "{\"status\":202,\"body\":\"got [redacted:TOKEN]\"}");
    close_worker(&b);
}

Test(webhook, a_secret_may_be_base64_behind_its_prefix)
{
    setenv("TUTTI_SECRET_HOOK", "whsec_a2V5IQ==", 1);
    setenv("TUTTI_SECRET_BAD", "whsec_%%%", 1);
    struct bench b = open_worker();
    const char *value = "{\"endpoint\":\"http://shop/hook\",\"body\":null,\"secret\":\"\"}";
    deliver(&b, 'a', 1, "webhook", "", value, "[[\"/secret\",0,\"HOOK\"]]");
    expect_signed(&b, BYTES_LIT("key!"), "null");
    respond(&b, 500, "text/plain", "later");
    cr_assert(fake_until(b.fake, "commit 2", 2000));
    cr_expect_not_null(strstr(fake_value(b.fake, 'a'), "\"retryable\":true"), "%s",
                       fake_value(b.fake, 'a'));
    deliver(&b, 'b', 2, "webhook", "", value, "[[\"/secret\",0,\"BAD\"]]");
    cr_assert(fake_until(b.fake, "commit 3", 2000));
    cr_expect_not_null(strstr(fake_value(b.fake, 'b'), "not base64"), "%s",
                       fake_value(b.fake, 'b'));
    cr_expect_eq(fake_requests(b.fake), 1, "what cannot be signed is not sent");
    close_worker(&b);
}
