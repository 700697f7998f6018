/* SPDX-License-Identifier: Apache-2.0
 *
 * The OpenAI codec from recorded answers: what each means, and what a stream is put together to. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "worker/http_retry.h"
#include "worker/model_openai.h"

static struct catalogue *catalogue(const char *models)
{
    struct err e;
    json_t *json = json_parse(bytes_of(models), &e);
    struct catalogue *c = models_open(json, &e);
    cr_assert(c != NULL, "%s", e.text);
    json_decref(json);
    return c;
}

#define MODELS                                                                                \
    "{\"default\": {\"base_url\": \"http://127.0.0.1:9/v1/\", \"model\": \"m\","              \
    " \"price_in_micro_usd_per_mtok\": 2500000, \"price_out_micro_usd_per_mtok\": 10000000}," \
    " \"plain\": {\"base_url\": \"http://127.0.0.1:9\", \"model\": \"p\", \"json_schema\": "  \
    "false}}"

#define VALUE                                                                              \
    "{\"model\": \"default\", \"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], " \
    "\"max_tokens\": 50}"
#define SCHEMA_VALUE                                                                             \
    "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \"output_schema\": {\"type\": " \
    "\"object\", \"required\": [\"a\"], \"properties\": {\"a\": {\"type\": \"integer\"}}}}"

static void encode(const struct model *m, const char *value, struct buf *body, struct model_call *c)
{
    struct err e;
    AUTO_JSON *json = json_parse(bytes_of(value), &e);
    cr_assert(openai_encode(m, json, body, c, &e), "%s", e.text);
}

struct answer {
    const char *title;
    const char *value;
    uint32_t status;
    const char *body;
    struct http_header header;
    enum model_outcome outcome;
    const char *text; /* of the output, or a part of the message */
    bool retryable;
    int64_t retry_after_ms;
};

#define CHOICE(message, reason)                                         \
    "{\"model\":\"m-2\",\"choices\":[{\"index\":0,\"message\":" message \
    ",\"finish_reason\":\"" reason "\"}],"                              \
    "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":4,\"total_tokens\":14}}"
#define ERROR(code, message) \
    "{\"error\":{\"message\":\"" message "\",\"type\":\"x\",\"code\":\"" code "\"}}"

static const struct answer answers[] = {
    { "plain text is a JSON string",
      VALUE,
      200,
      CHOICE("{\"role\":\"assistant\",\"content\":\"a \\\"b\\\"\"}", "stop"),
      { 0 },
      MODEL_OK,
      "\"a \\\"b\\\"\"",
      false,
      0 },
    { "text in parts",
      VALUE,
      200,
      CHOICE(
          "{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}",
          "stop"),
      { 0 },
      MODEL_OK,
      "\"ab\"",
      false,
      0 },
    { "JSON that fits",
      SCHEMA_VALUE,
      200,
      CHOICE("{\"content\":\"{\\\"a\\\": 1}\"}", "stop"),
      { 0 },
      MODEL_OK,
      "{\"a\":1}",
      false,
      0 },
    { "JSON in code fences",
      SCHEMA_VALUE,
      200,
      CHOICE("{\"content\":\"```json\\n{\\\"a\\\": 1}\\n```\\n\"}", "stop"),
      { 0 },
      MODEL_OK,
      "{\"a\":1}",
      false,
      0 },
    { "JSON that does not fit",
      SCHEMA_VALUE,
      200,
      CHOICE("{\"content\":\"{\\\"a\\\": \\\"x\\\"}\"}", "stop"),
      { 0 },
      MODEL_INVALID_OUTPUT,
      "output_schema",
      true,
      0 },
    { "no JSON at all",
      SCHEMA_VALUE,
      200,
      CHOICE("{\"content\":\"Sure! Here is it\"}", "stop"),
      { 0 },
      MODEL_INVALID_OUTPUT,
      "not JSON",
      true,
      0 },
    { "a tool nobody offered",
      VALUE,
      200,
      CHOICE("{\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":"
             "{\"name\":\"rm\",\"arguments\":\"{oops\"}}]}",
             "tool_calls"),
      { 0 },
      MODEL_INVALID_OUTPUT,
      "tool",
      true,
      0 },
    { "cut by length, though valid JSON",
      SCHEMA_VALUE,
      200,
      CHOICE("{\"content\":\"{\\\"a\\\": 1}\"}", "length"),
      { 0 },
      MODEL_TRUNCATED,
      "max_tokens",
      false,
      0 },
    { "refusal",
      VALUE,
      200,
      CHOICE("{\"content\":null,\"refusal\":\"no\"}", "stop"),
      { 0 },
      MODEL_REFUSED,
      "no",
      false,
      0 },
    { "content filter",
      VALUE,
      200,
      CHOICE("{\"content\":\"\"}", "content_filter"),
      { 0 },
      MODEL_FILTERED,
      "filter",
      false,
      0 },
    { "an error after 200",
      VALUE,
      200,
      ERROR("server_overloaded", "busy"),
      { 0 },
      MODEL_OVERLOADED,
      "busy",
      true,
      0 },
    { "a proxy's page", VALUE, 200, "<html>", { 0 }, MODEL_PROVIDER_ERROR, "JSON", true, 0 },
    { "no choices",
      VALUE,
      200,
      "{\"choices\":[]}",
      { 0 },
      MODEL_PROVIDER_ERROR,
      "choices",
      true,
      0 },
    { "429, wait",
      VALUE,
      429,
      ERROR("rate_limit_exceeded", "slow down"),
      { "retry-after", "7" },
      MODEL_RATE_LIMITED,
      "slow down",
      true,
      7000 },
    { "429 in milliseconds",
      VALUE,
      429,
      ERROR("rate_limit_exceeded", "slow"),
      { "retry-after-ms", "250" },
      MODEL_RATE_LIMITED,
      "slow",
      true,
      250 },
    { "429, pay",
      VALUE,
      429,
      ERROR("insufficient_quota", "no money"),
      { "retry-after", "7" },
      MODEL_SPEND_CAPPED,
      "no money",
      false,
      0 },
    { "429, pay, and the server says retry",
      VALUE,
      429,
      ERROR("insufficient_quota", "no money"),
      { "x-should-retry", "true" },
      MODEL_SPEND_CAPPED,
      "no money",
      false,
      0 },
    { "402", VALUE, 402, "{}", { 0 }, MODEL_SPEND_CAPPED, "402", false, 0 },
    { "400, too long",
      VALUE,
      400,
      ERROR("context_length_exceeded", "too long"),
      { 0 },
      MODEL_CONTEXT_OVERFLOW,
      "too long",
      false,
      0 },
    { "400", VALUE, 400, ERROR("bad", "what"), { 0 }, MODEL_BAD_REQUEST, "what", false, 0 },
    { "413", VALUE, 413, "", { 0 }, MODEL_CONTEXT_OVERFLOW, "413", false, 0 },
    { "401", VALUE, 401, ERROR("invalid_api_key", "key"), { 0 }, MODEL_AUTH, "key", false, 0 },
    { "404",
      VALUE,
      404,
      "{\"detail\":\"no such model\"}",
      { 0 },
      MODEL_BAD_REQUEST,
      "no such model",
      false,
      0 },
    { "500", VALUE, 500, "oops", { 0 }, MODEL_PROVIDER_ERROR, "500", true, 0 },
    { "500 that is not to be retried",
      VALUE,
      500,
      "{}",
      { "x-should-retry", "false" },
      MODEL_PROVIDER_ERROR,
      "500",
      false,
      0 },
    { "503", VALUE, 503, "{\"error\":\"loading\"}", { 0 }, MODEL_OVERLOADED, "loading", true, 0 },
    { "503 that says when",
      VALUE,
      503,
      "{}",
      { "retry-after", "3" },
      MODEL_RATE_LIMITED,
      "503",
      true,
      3000 },
    { "529", VALUE, 529, "{}", { 0 }, MODEL_OVERLOADED, "529", true, 0 },
};

Test(model, every_recorded_answer_means_what_the_table_says)
{
    struct catalogue *all = catalogue(MODELS);
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        const struct answer *a = &answers[i];
        AUTO_BUF struct buf body = { 0 };
        AUTO_OUTCOME struct outcome o = { 0 };
        struct model_call c;
        encode(models_find(all, NULL), a->value, &body, &c);
        struct http_response r = { .status = a->status,
                                   .body = bytes_of(a->body),
                                   .headers = &a->header,
                                   .header_count = a->header.name != NULL };
        cr_expect_eq(openai_decode(&c, &r, &o), a->outcome, "%s", a->title);
        cr_expect(o.ok == (a->outcome == MODEL_OK), "%s", a->title);
        cr_expect(o.retryable == a->retryable, "%s", a->title);
        cr_expect_eq(o.retry_after_ms, a->retry_after_ms, "%s", a->title);
        if (o.ok)
            cr_expect_str_eq(o.text.data, a->text, "%s", a->title);
        else
            cr_expect(strstr(o.text.data, a->text) != NULL, "%s: %s", a->title, o.text.data);
        model_call_done(&c);
    }
    models_free(all);
}

Test(model, usage_is_reported_with_its_price_and_estimated_where_the_server_is_silent)
{
    struct catalogue *all = catalogue(MODELS);
    AUTO_BUF struct buf body = { 0 };
    AUTO_OUTCOME struct outcome o = { 0 };
    struct model_call c;
    encode(models_find(all, "default"), VALUE, &body, &c);
    struct http_response r = { .status = 200,
                               .body = bytes_of(CHOICE("{\"content\":\"x\"}", "stop")) };
    cr_assert_eq(openai_decode(&c, &r, &o), MODEL_OK);
    cr_assert(o.used);
    cr_assert_eq(o.usage.tokens_in, 10);
    cr_assert_eq(o.usage.tokens_out, 4);
    cr_assert_eq(o.usage.micro_usd, 65, "10 * 2.5 + 4 * 10");
    cr_assert_str_eq(o.model, "m-2");
    r.body = bytes_of(
        "{\"choices\":[{\"message\":{\"content\":\"12345678\"},\"finish_reason\":\"stop\"}]}");
    cr_assert_eq(openai_decode(&c, &r, &o), MODEL_OK);
    cr_assert_eq(o.usage.tokens_out, 2);
    cr_assert_eq(o.usage.tokens_in, (int64_t)(body.len + 3) / 4);
    model_call_done(&c);
    models_free(all);
}

Test(model, request_has_what_the_server_needs)
{
    struct catalogue *all = catalogue(MODELS);
    AUTO_BUF struct buf body = { 0 };
    struct model_call c;
    const struct model *m = models_find(all, NULL);
    cr_assert_str_eq(m->url, "http://127.0.0.1:9/v1/chat/completions");
    cr_assert_str_eq(models_find(all, "plain")->url, "http://127.0.0.1:9/v1/chat/completions");
    encode(m,
           "{\"system\":\"s\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
           "\"temperature\":0.5,"
           "\"max_tokens\":9,\"stream\":true,\"seed\":3}",
           &body, &c);
    cr_assert(c.stream);
    cr_assert_str_eq(
        body.data,
        "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
        "\"content\":\"hi\"}],\"temperature\":0.5,\"max_tokens\":9,\"stream\":true,"
        "\"stream_options\":{\"include_usage\":true},\"seed\":3}");
    model_call_done(&c);
    buf_reset(&body);
    encode(m, SCHEMA_VALUE, &body, &c);
    cr_assert_not_null(strstr(body.data, "\"response_format\":{\"type\":\"json_schema\""));
    model_call_done(&c);
    buf_reset(&body);
    encode(models_find(all, "plain"), SCHEMA_VALUE, &body, &c);
    cr_assert_null(strstr(body.data, "response_format"), "this server rejects it");
    cr_assert_not_null(strstr(body.data, "JSON Schema"), "so the prompt says it");
    model_call_done(&c);
    models_free(all);
}

/* The answer of a stream, fed in pieces of `piece` bytes. */
static enum model_outcome stream(const char *text, size_t piece, struct outcome *o)
{
    struct catalogue *all = catalogue(MODELS);
    AUTO_BUF struct buf body = { 0 };
    struct model_call c;
    encode(models_find(all, NULL),
           "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"stream\":true}", &body, &c);
    struct model_stream s;
    openai_stream_begin(&s);
    for (size_t at = 0, len = strlen(text); at < len; at += piece)
        if (!openai_stream_feed(&s, (struct bytes){ text + at, MIN(piece, len - at) })) break;
    struct http_response r = { .status = 200 };
    enum model_outcome outcome = openai_stream_decode(&c, &s, &r, o);
    openai_stream_done(&s);
    model_call_done(&c);
    models_free(all);
    return outcome;
}

#define DELTA(x) "data: {\"choices\":[{\"index\":0,\"delta\":" x "}]}\n\n"

Test(model, stream_in_pieces_of_any_size_is_the_whole_answer)
{
    const char *text =
        ": keep-alive\r\n\r\nevent: message\r\ndata: {\"model\":\"m-3\",\"choices\":[{\"delta\":"
        "{\"role\":\"assistant\",\"content\":null},\"finish_reason\":null}],\"usage\":null}"
        "\r\n\r\n" DELTA("{\"content\":\"gr\xC3\xBC\"}") DELTA(
            "{\"content\":\"n\"},\"obfuscation\":1") "data: "
                                                     "{\"choices\":[{\"delta\":{},\"finish_"
                                                     "reason\":\"stop\"}]}\n\n"
                                                     "data: "
                                                     "{\"choices\":[],\"usage\":{\"prompt_tokens\":"
                                                     "3,\"completion_tokens\":2}}\n\n"
                                                     "data: [DONE]\n\n";
    for (size_t piece = 1; piece < 40; piece++) {
        AUTO_OUTCOME struct outcome o = { 0 };
        cr_assert_eq(stream(text, piece, &o), MODEL_OK, "%s", o.text.data);
        cr_assert_str_eq(o.text.data, "\"gr\xC3\xBCn\"");
        cr_assert_eq(o.usage.tokens_in, 3);
        cr_assert_eq(o.usage.tokens_out, 2);
        cr_assert_str_eq(o.model, "m-3");
    }
}

Test(model, stream_without_done_counts_when_it_gave_a_reason)
{
    AUTO_OUTCOME struct outcome o = { 0 };
    cr_assert_eq(stream(DELTA("{\"content\":\"a\"},\"finish_reason\":\"stop\""), 7, &o), MODEL_OK);
}

Test(model, stream_that_breaks_off_is_no_answer)
{
    AUTO_OUTCOME struct outcome o = { 0 };
    cr_assert_eq(stream(DELTA("{\"content\":\"a\"}"), 7, &o), MODEL_PROVIDER_ERROR);
    cr_assert_eq(stream("", 7, &o), MODEL_PROVIDER_ERROR);
}

Test(model, error_inside_a_stream_is_an_error_after_200)
{
    AUTO_OUTCOME struct outcome o = { 0 };
    cr_assert_eq(stream(DELTA("{\"content\":\"a\"}") "data: "
                                                     "{\"error\":{\"message\":\"busy\",\"type\":"
                                                     "\"overloaded_error\"}}\n\n",
                        5, &o),
                 MODEL_OVERLOADED);
    cr_assert(o.retryable);
}

Test(model, retry_after_may_be_a_date)
{
    struct http_header h[] = { { "retry-after", "Sun, 06 Nov 1994 08:49:47 GMT" },
                               { "date", "Sun, 06 Nov 1994 08:49:37 GMT" } };
    int64_t ms;
    cr_assert(http_retry_after(&(struct http_response){ .headers = h, .header_count = 2 }, &ms));
    cr_assert_eq(ms, 10000);
    h[0].value = "soon";
    cr_assert_not(
        http_retry_after(&(struct http_response){ .headers = h, .header_count = 2 }, &ms));
}

Test(model, a_wrong_entry_of_the_catalogue_is_named)
{
    struct err e;
    AUTO_JSON *json =
        json_parse(BYTES_LIT("{\"fast\":{\"base_url\":\"http://x\",\"modell\":\"m\"}}"), &e);
    cr_assert_null(models_open(json, &e));
    cr_assert_not_null(strstr(e.text, "models.fast"), "%s", e.text);
    cr_assert_not_null(strstr(e.text, "modell"), "%s", e.text);
}

Test(model, the_environment_makes_a_default_that_takes_any_name)
{
    setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1", 1);
    setenv("OPENAI_API_KEY", "sk-test", 1);
    setenv("TUTTI_MODEL", "tiny", 1);
    struct catalogue *all = catalogue("{}");
    AUTO_BUF struct buf body = { 0 };
    struct model_call c;
    encode(models_find(all, "gpt-x"),
           "{\"model\":\"gpt-x\",\"messages\":[{\"role\":\"user\",\"content\":\"\"}]}", &body, &c);
    cr_assert_str_eq(c.name, "gpt-x");
    model_call_done(&c);
    encode(models_find(all, "default"),
           "{\"model\":\"default\",\"messages\":[{\"role\":\"user\",\"content\":\"\"}]}", &body,
           &c);
    cr_assert_str_eq(c.name, "tiny");
    model_call_done(&c);
    models_free(all);
}
