/* SPDX-License-Identifier: Apache-2.0
 *
 * A model's answers. Parts: "STATUS", or "stream N" for an answer in pieces of about N bytes; the
 * task's value; the answer's headers, "name: value" a line; the body. */
#include "tests/fuzz/fuzz.h"
#include "worker/model_openai.h"

#define HEADERS_MAX 16
#define MODELS                                                                                    \
    "{\"default\":{\"base_url\":\"http://h/v1\",\"model\":\"m\",\"price_in_micro_usd_per_mtok\":" \
    "2500000,\"price_out_micro_usd_per_mtok\":10000000},\"plain\":{\"base_url\":\"http://h\","    \
    "\"model\":\"p\",\"json_schema\":false}}"

DEFINE_CLEANUP(struct catalogue *, models_free)

struct answer {
    struct http_response r;
    struct http_header header[HEADERS_MAX];
};

static void answer_done(struct answer *a)
{
    for (size_t i = 0; i < a->r.header_count; i++) {
        free((char *)(uintptr_t)a->header[i].name);
        free((char *)(uintptr_t)a->header[i].value);
    }
}

/* Headers as the pool hands them over: names in lower case, values without NUL or control. */
static void read_headers(struct answer *a, struct bytes text)
{
    struct bytes line;
    a->r.headers = a->header;
    while (a->r.header_count < HEADERS_MAX && fuzz_line(&text, &line)) {
        const char *colon = memmem(line.data, line.len, ": ", 2);
        if (!colon) continue;
        size_t len = (size_t)(colon - line.data);
        a->header[a->r.header_count++] = (struct http_header){
            .name = fuzz_text((struct bytes){ line.data, len }),
            .value = fuzz_text((struct bytes){ line.data + len + 2, line.len - len - 2 }),
        };
    }
}

static const char *text_of(const struct outcome *o)
{
    return o->text.data ? o->text.data : "";
}

static void check_outcome(const struct model_call *c, enum model_outcome kind,
                          const struct outcome *o)
{
    struct err e = { 0 };
    FUZZ_CHECK(kind < MODEL_OUTCOME_COUNT && o->ok == (kind == MODEL_OK), "outcome %d", kind);
    FUZZ_CHECK(o->retry_after_ms >= 0, "a wait of %lld ms", (long long)o->retry_after_ms);
    FUZZ_CHECK(!o->used ||
                   (o->usage.tokens_in >= 0 && o->usage.tokens_out >= 0 && o->usage.micro_usd >= 0),
               "usage below 0");
    if (!o->ok) {
        FUZZ_CHECK(o->text.len && utf8_check(o->text.data, o->text.len), "%s", text_of(o));
        AUTO_BUF struct buf value = { 0 };
        error_encode(&value, o->error, o->text.data, o->retryable, o->retry_after_ms, o->details);
        FUZZ_CHECK(json_check(buf_bytes(&value)), "an error that is no JSON: %s", value.data);
        return;
    }
    AUTO_JSON *value = json_parse(buf_bytes(&o->text), &e);
    FUZZ_CHECK(value && json_check(buf_bytes(&o->text)), "%s: %s", e.text, text_of(o));
    FUZZ_CHECK(!c->schema || schema_check(c->schema, value, &e), "%s: %s", e.text, text_of(o));
}

/* The outcome as text, to compare. */
static void outcome_text(enum model_outcome kind, const struct outcome *o, struct buf *ret)
{
    buf_addf(ret, "%d %d %lld %lld %lld %lld %s ", kind, o->retryable, (long long)o->retry_after_ms,
             (long long)o->usage.tokens_in, (long long)o->usage.tokens_out,
             (long long)o->usage.micro_usd, o->model);
    buf_add(ret, o->text.data, o->text.len);
}

/* The body in pieces whose lengths lie around `piece` (0: in one). */
static void stream(const struct model_call *c, const struct answer *a, struct bytes body,
                   size_t piece, struct buf *ret)
{
    AUTO_OUTCOME struct outcome o = { 0 };
    struct model_stream s;
    openai_stream_begin(&s);
    size_t at = 0, turn = 0;
    bool go_on = true;
    while (go_on && at < body.len) {
        size_t len = piece ? 1 + (piece * ++turn * 7) % (2 * piece) : body.len;
        len = MIN(len, body.len - at);
        char *copy = xmalloc(len); /* a piece ends where it ends */
        memcpy(copy, body.data + at, len);
        go_on = openai_stream_feed(&s, (struct bytes){ copy, len });
        free(copy);
        at += len;
    }
    enum model_outcome kind = openai_stream_decode(c, &s, &a->r, &o);
    check_outcome(c, kind, &o);
    outcome_text(kind, &o, ret);
    openai_stream_done(&s);
}

static void whole(const struct model_call *c, const struct answer *a, struct buf *ret)
{
    AUTO_OUTCOME struct outcome o = { 0 };
    enum model_outcome kind = openai_decode(c, &a->r, &o);
    check_outcome(c, kind, &o);
    outcome_text(kind, &o, ret);
}

static void answers(const struct fuzz_input *in, const struct model_call *c)
{
    CLEANUP(answer_done) struct answer a = { .r = { .outcome = HTTP_DONE, .status = 200 } };
    AUTO_FREE char *mode = fuzz_text(in->part[0]);
    AUTO_BUF struct buf first = { 0 }, second = { 0 };
    unsigned piece = 0;
    read_headers(&a, in->part[2]);
    if (sscanf(mode, "stream %3u", &piece) == 1) {
        stream(c, &a, in->part[3], 0, &first);
        stream(c, &a, in->part[3], MAX(piece, 1u), &second);
        fuzz_check_same("a stream as a whole and in pieces", buf_bytes(&first), buf_bytes(&second));
        return;
    }
    a.r.status = (uint32_t)MIN(strtoul(mode, NULL, 10), 999UL);
    a.r.body = in->part[3];
    whole(c, &a, &first);
    whole(c, &a, &second);
    fuzz_check_same("two readings of an answer", buf_bytes(&first), buf_bytes(&second));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_INPUT in = fuzz_split(data, size);
    struct err e = { 0 };
    AUTO_JSON *models = json_parse(BYTES_LIT(MODELS), &e);
    CLEANUP(models_free_p) struct catalogue *catalogue = models_open(models, &e);
    FUZZ_CHECK(catalogue, "%s", e.text);
    AUTO_JSON *value = json_check(in.part[1]) ? json_parse(in.part[1], NULL) : NULL;
    if (!value)
        value =
            json_parse(BYTES_LIT("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}"), NULL);
    const struct model *m = models_find(catalogue, json_text(value, "model"));
    if (!m) m = models_find(catalogue, NULL);
    AUTO_BUF struct buf request = { 0 };
    struct model_call call = { 0 };
    if (!openai_encode(m, value, &request, &call, &e)) {
        fuzz_check_error(&e);
        return 0;
    }
    FUZZ_CHECK(json_check(buf_bytes(&request)), "a request that is no JSON: %s", request.data);
    answers(&in, &call);
    model_call_done(&call);
    return 0;
}
