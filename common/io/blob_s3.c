/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects in an S3-compatible store. An operation is a few requests one after the other; each is
 * repeated with growing pauses where the store is busy or silent, which all of them bear. A prefix
 * is removed by one DELETE an object: the form for many at once needs a checksum over which stores
 * disagree, and a run has few objects. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/secret.h"
#include "common/io/blob_internal.h"
#include "common/io/blob_xml.h"
#include "common/io/http_pool.h"
#include "common/io/http_target.h"

#define CALLS_MAX            64 /* operations at once; the others wait */
#define ATTEMPT_MS           (30 * SECOND_MS)
#define REQUEST_ATTEMPTS_MAX 5
#define PAUSE_MS             100 /* before the second attempt; doubles */
#define PAUSE_MS_MAX         (5 * SECOND_MS)
#define ANSWER_BYTES_MAX     (2 * MIB) /* a list of 1,000 keys, or an error */
#define EMPTY_SHA256         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct blob_s3 {
    struct loop *loop;
    struct http_pool *pool;
    char *base; /* of all URLs, with the slash before the key */
    char *run;  /* what the keys begin with: "<prefix>/run/" */
    char *region, *access_key;
    struct secret secret_key, session_token;
    uint32_t attempt_ms, attempts_max;
    size_t calls;
    struct s3_call *running; /* in no order */
    struct blob_op *waiting, **waiting_end;
};

struct s3_call {
    struct s3_call *next, *previous;
    struct blob_s3 *s3;
    struct blob_op *op;
    struct loop_timer pause;
    uint32_t attempt;
    struct blob_xml list; /* age, remove_run: the page at hand */
    size_t removed;       /* of its keys */
    bool listed;          /* remove_run: there is a page; its keys are deleted one by one */
    char *after;          /* age: the last key of the page before; or NULL */
};

/* --- the way of an operation --- */

static void attempt(struct s3_call *c);

static void on_pause_over(struct loop_timer *t)
{
    attempt(t->user);
}

static void call_free(struct s3_call *c)
{
    struct blob_s3 *s3 = c->s3;
    loop_disarm(s3->loop, &c->pause);
    if (c->previous)
        c->previous->next = c->next;
    else
        s3->running = c->next;
    if (c->next) c->next->previous = c->previous;
    s3->calls--;
    blob_xml_done(&c->list);
    free(c->after);
    loop_defer_free(s3->loop, free, c);
}

static void call_begin(struct blob_s3 *s3, struct blob_op *op)
{
    struct s3_call *c = xcalloc(1, sizeof *c);
    c->s3 = s3;
    c->op = op;
    c->pause = (struct loop_timer){ .on_due = on_pause_over, .user = c };
    c->next = s3->running;
    if (c->next) c->next->previous = c;
    s3->running = c;
    s3->calls++;
    loop_arm(s3->loop, &c->pause, 0);
}

static void finish(struct s3_call *c)
{
    struct blob_s3 *s3 = c->s3;
    struct blob_op *op = c->op;
    call_free(c);
    struct blob_op *next = s3->waiting;
    if (next) {
        s3->waiting = next->next;
        if (!s3->waiting) s3->waiting_end = &s3->waiting;
        call_begin(s3, next);
    }
    blob_op_done(op);
}

/* The next request of the operation. */
static void proceed(struct s3_call *c)
{
    c->attempt = 0;
    attempt(c);
}

static uint64_t pause_ms(uint32_t attempt)
{
    uint32_t doublings = MIN(attempt - 1, 10u);
    return MIN((uint64_t)PAUSE_MS << doublings, (uint64_t)PAUSE_MS_MAX);
}

/* Half of the pause is drawn, so that those who were sent away together do not come back so. */
static void again(struct s3_call *c, const char *why)
{
    struct blob_s3 *s3 = c->s3;
    if (c->attempt >= s3->attempts_max) {
        (void)blob_op_fail(c->op, BLOB_UNAVAILABLE, "S3: %s (%u attempts)", why, c->attempt);
        finish(c);
        return;
    }
    uint16_t random;
    random_bytes(&random, sizeof random);
    uint64_t pause = pause_ms(c->attempt);
    loop_arm(s3->loop, &c->pause, pause / 2 + random % (pause / 2 + 1));
}

/* --- answers --- */

static bool is_one_of(const char *text, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(text, *list) == 0) return true;
    return false;
}

/* What an answer other than 2xx means. */
static void refused(struct s3_call *c, const struct http_response *r)
{
    static const char *const busy[] = { "SlowDown",           "InternalError",
                                        "ServiceUnavailable", "RequestTimeout",
                                        "OperationAborted",   "Throttling",
                                        "TooManyRequests",    NULL };
    static const char *const full[] = { "QuotaExceeded", "XMinioStorageFull", "XAmzQuotaExceeded",
                                        NULL };
    CLEANUP(blob_xml_done) struct blob_xml x = { 0 };
    struct err e;
    if (!blob_xml_parse(r->body, &x, &e)) x.code[0] = x.message[0] = '\0';
    char why[300];
    snprintf(why, sizeof why, "HTTP %u %s: %s", r->status, x.code[0] ? x.code : "without a code",
             x.message);
    if (r->status >= 300 && r->status < 400) {
        (void)blob_op_fail(c->op, BLOB_REFUSED,
                           "S3: %s (redirects are not followed: are "
                           "endpoint and region those of the bucket?)",
                           why);
    } else if (r->status == 507 || is_one_of(x.code, full)) {
        (void)blob_op_fail(c->op, BLOB_FULL, "S3: %s", why);
    } else if (r->status >= 500 || r->status == 429 || r->status == 408 ||
               is_one_of(x.code, busy)) {
        again(c, why);
        return;
    } else if (c->op->verb == BLOB_GET && strcmp(x.code, "NoSuchKey") == 0) {
        (void)blob_op_fail(c->op, BLOB_LOST, "payload %s of run %s: there is none",
                           c->op->ref.sha256, c->op->run_id);
    } else {
        (void)blob_op_fail(c->op, BLOB_REFUSED, "S3: %s", why);
    }
    finish(c);
}

/* A page of keys that all lie where they were asked for: what would be deleted is looked at twice.
 */
static bool read_list(struct s3_call *c, struct bytes body)
{
    struct err e;
    blob_xml_done(&c->list);
    bool ok = blob_xml_parse(body, &c->list, &e);
    if (!ok || c->list.code[0])
        return blob_op_fail(c->op, BLOB_UNAVAILABLE, "S3: a list that cannot be read: %s",
                            ok ? c->list.code : e.text);
    bool one_run = c->op->verb != BLOB_LIST_RUNS;
    AUTO_FREE char *begin =
        xasprintf("%s%s%s", c->s3->run, one_run ? c->op->run_id : "", one_run ? "/" : "");
    for (size_t i = 0; i < c->list.key_count; i++)
        if (strncmp(c->list.keys[i], begin, strlen(begin)) != 0)
            return blob_op_fail(c->op, BLOB_UNAVAILABLE, "S3: a list of %s names another key",
                                begin);
    return true;
}

static void take_runs(struct s3_call *c)
{
    struct blob_op *op = c->op;
    for (size_t i = 0; i < c->list.key_count; i++) {
        struct bytes id = bytes_of(c->list.keys[i] + strlen(c->s3->run));
        if (id.len && id.data[id.len - 1] == '/') id.len--;
        if (id.len != RUN_ID_MAX - 1 || memcmp(id.data, op->run_id, id.len) > 0)
            blob_op_add_run(op, id);
    }
    op->more = c->list.truncated && op->run_count > 0;
}

/* Returns whether there is another request to make. */
static bool took_list(struct s3_call *c)
{
    struct blob_op *op = c->op;
    size_t count = c->list.key_count;
    if (op->verb == BLOB_LIST_RUNS) {
        take_runs(c);
        return false;
    }
    if (op->verb == BLOB_REMOVE_RUN) {
        c->listed = count > 0;
        c->removed = 0;
        return c->listed;
    }
    op->newest_ms = MAX(op->newest_ms, c->list.newest_ms);
    if (!c->list.truncated || count == 0) return false;
    free(c->after);
    c->after = xstrdup(c->list.keys[count - 1]);
    return true;
}

/* Behind the last key of a page there may be another page. */
static bool took_removal(struct s3_call *c)
{
    if (++c->removed < c->list.key_count) return true;
    c->listed = false;
    return c->list.truncated;
}

static bool is_list(const struct s3_call *c)
{
    return c->op->verb >= BLOB_REMOVE_RUN && !c->listed;
}

static void on_answer(void *call, const struct http_response *r)
{
    struct s3_call *c = call;
    bool more = false;
    loop_work(c->s3->loop, 1);
    if (r->outcome == HTTP_TOO_LARGE && r->status < 300) {
        (void)blob_op_fail(c->op, c->op->verb == BLOB_GET ? BLOB_LOST : BLOB_UNAVAILABLE, "S3: %s",
                           r->text);
    } else if (r->outcome != HTTP_DONE) {
        again(c, r->text);
        return;
    } else if (r->status < 200 || r->status >= 300) {
        refused(c, r);
        return;
    } else if (c->op->verb == BLOB_GET) {
        buf_add(&c->op->content, r->body.data, r->body.len);
    } else if (is_list(c)) {
        more = read_list(c, r->body) && took_list(c);
    } else if (c->listed) {
        more = took_removal(c);
    }
    if (more)
        proceed(c);
    else
        finish(c);
}

/* --- requests --- */

/* Everything but the unreserved characters of RFC 3986, as a canonical query has it. */
static void add_encoded(struct buf *url, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (isalnum(*p) || strchr("-._~", *p))
            buf_add_char(url, (char)*p);
        else
            buf_addf(url, "%%%02X", *p);
}

/* The parameters in order of their names. */
static void add_list_query(struct buf *url, const struct s3_call *c)
{
    const struct blob_op *op = c->op;
    bool runs = op->verb == BLOB_LIST_RUNS;
    buf_add_text(url, runs ? "?delimiter=%2F&list-type=2" : "?list-type=2");
    buf_addf(url, "&max-keys=%d&prefix=", BLOB_PAGE_MAX);
    add_encoded(url, c->s3->run);
    if (!runs) buf_addf(url, "%s%%2F", op->run_id);
    if (runs && op->run_id[0]) {
        buf_add_text(url, "&start-after=");
        add_encoded(url, c->s3->run);
        buf_addf(url, "%s0", op->run_id); /* 0 comes next to the slash: behind all of its keys */
    } else if (c->after) {
        buf_add_text(url, "&start-after=");
        add_encoded(url, c->after);
    }
}

static void add_url(struct buf *url, const struct s3_call *c)
{
    const struct blob_op *op = c->op;
    buf_add_text(url, c->s3->base);
    if (is_list(c))
        add_list_query(url, c);
    else if (c->listed)
        buf_add_text(url, c->list.keys[c->removed]);
    else
        buf_addf(url, "%s%s/%s", c->s3->run, op->run_id, op->ref.sha256);
}

static void attempt(struct s3_call *c)
{
    struct blob_s3 *s3 = c->s3;
    const struct blob_op *op = c->op;
    bool put = op->verb == BLOB_PUT;
    AUTO_BUF struct buf url = { 0 };
    add_url(&url, c);
    const struct http_header headers[] = {
        { "x-amz-content-sha256", put ? op->ref.sha256 : EMPTY_SHA256 },
        { "content-type", "application/octet-stream" },
        { "x-amz-security-token", s3->session_token.bytes },
    };
    const struct http_sigv4 sigv4 = { .region = s3->region,
                                      .service = "s3",
                                      .access_key = s3->access_key,
                                      .secret_key = s3->secret_key.bytes };
    const struct http_request request = {
        .method = put         ? "PUT"
                  : c->listed ? "DELETE"
                              : "GET",
        .url = url.data,
        .headers = headers,
        .header_count = s3->session_token.bytes ? 3 : 2,
        .body = put ? buf_bytes(&op->content) : (struct bytes){ 0 },
        .total_ms = s3->attempt_ms,
        .body_bytes_max =
            op->verb == BLOB_GET ? MAX((size_t)op->ref.size, (size_t)(64 * KIB)) : ANSWER_BYTES_MAX,
        .private_allowed = true, /* the administrator has named it */
        .sigv4 = &sigv4,
        .on_done = on_answer,
        .user = c,
    };
    struct http_id id;
    struct err e;
    c->attempt++;
    if (http_start(s3->pool, &request, &id, &e)) return;
    (void)blob_op_fail(c->op, BLOB_REFUSED, "S3: %s", e.text);
    finish(c);
}

/* --- open and close --- */

static bool only(const char *text, const char *extra, size_t min, size_t max)
{
    size_t len = text ? strlen(text) : 0;
    if (len < min || len > max) return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr(extra, text[i])) return false;
    return true;
}

/* A prefix goes into URLs as it is: nothing in it may need an escape or mean another place. */
static bool prefix_fits(const char *prefix)
{
    size_t len = strlen(prefix);
    return len == 0 || (only(prefix, "._-/", 1, 500) && prefix[0] != '/' &&
                        prefix[len - 1] != '/' && !strstr(prefix, "//") && !strstr(prefix, ".."));
}

static bool check_options(const struct blob_options *o, const char *prefix, struct err *e)
{
    if (!only(o->bucket, ".-", 3, 63))
        return err_fail(e, ERR_INVALID, "S3: the bucket has 3 to 63 of a-z 0-9 . -");
    if (!only(o->region, "-", 1, 64))
        return err_fail(e, ERR_INVALID, "S3: a region is needed, such as us-east-1");
    if (!prefix_fits(prefix))
        return err_fail(e, ERR_INVALID,
                        "S3: the prefix may have a-z A-Z 0-9 . _ - and single slashes within");
    if (!o->access_key || !o->access_key[0] || !o->secret_key || !o->secret_key[0])
        return err_fail(e, ERR_INVALID, "S3: access key and secret key are needed");
    if (!o->endpoint) return err_fail(e, ERR_INVALID, "S3: an endpoint is needed");
    return true;
}

/* scheme://[bucket.]host:port/[bucket/] */
static char *make_base(const struct blob_options *o, struct err *e)
{
    CLEANUP(http_target_done) struct http_target t = { 0 };
    if (!http_target_parse(o->endpoint, &t, e)) {
        (void)err_prefix(e, "S3 endpoint");
        return NULL;
    }
    bool secure = strncmp(t.url, "https:", 6) == 0;
    const char *path = strchr(t.url + (secure ? 8 : 7), '/');
    if (path && path[1]) {
        (void)err_fail(e, ERR_INVALID, "S3 endpoint: %s has more than scheme, host and port",
                       o->endpoint);
        return NULL;
    }
    if (!secure && !o->http_allowed) {
        (void)err_fail(e, ERR_INVALID,
                       "S3 endpoint: %s is not encrypted; payloads.s3.allow_http permits it",
                       o->endpoint);
        return NULL;
    }
    const char *standard = secure ? "443" : "80"; /* must not stand in the Host that is signed */
    bool plain = strcmp(t.port, standard) == 0;
    return xasprintf("%s%s%s%s%s%s/%s%s", secure ? "https://" : "http://",
                     o->virtual_host ? o->bucket : "", o->virtual_host ? "." : "", t.host,
                     plain ? "" : ":", plain ? "" : t.port, o->virtual_host ? "" : o->bucket,
                     o->virtual_host ? "" : "/");
}

void *blob_s3_open(struct loop *loop, const struct blob_options *o, struct err *e)
{
    const char *prefix = o->prefix ? o->prefix : "";
    if (!check_options(o, prefix, e)) return NULL;
    AUTO_FREE char *base = make_base(o, e);
    if (!base) return NULL;
    struct http_pool *pool = http_pool_open(loop, CALLS_MAX, e);
    if (!pool) return NULL;
    struct blob_s3 *s3 = xcalloc(1, sizeof *s3);
    s3->loop = loop;
    s3->pool = pool;
    s3->base = TAKE(base);
    s3->run = xasprintf("%s%srun/", prefix, prefix[0] ? "/" : "");
    s3->region = xstrdup(o->region);
    s3->access_key = xstrdup(o->access_key);
    s3->secret_key = secret_new(o->secret_key, strlen(o->secret_key));
    if (o->session_token && o->session_token[0])
        s3->session_token = secret_new(o->session_token, strlen(o->session_token));
    s3->attempt_ms = o->attempt_ms ? o->attempt_ms : ATTEMPT_MS;
    s3->attempts_max = o->attempts_max ? o->attempts_max : REQUEST_ATTEMPTS_MAX;
    s3->waiting_end = &s3->waiting;
    return s3;
}

static void s3_start(void *backend, struct blob_op *op)
{
    struct blob_s3 *s3 = backend;
    if (s3->calls < CALLS_MAX) {
        call_begin(s3, op);
        return;
    }
    *s3->waiting_end = op;
    s3->waiting_end = &op->next;
}

static void s3_close(void *backend)
{
    struct blob_s3 *s3 = backend;
    (void)http_pool_close(s3->pool);
    while (s3->running) {
        struct blob_op *op = s3->running->op;
        call_free(s3->running);
        blob_op_closed(op);
    }
    for (struct blob_op *op; (op = s3->waiting);) {
        s3->waiting = op->next;
        blob_op_closed(op);
    }
    secret_done(&s3->secret_key);
    secret_done(&s3->session_token);
    free(s3->base);
    free(s3->run);
    free(s3->region);
    free(s3->access_key);
    free(s3);
}

const struct blob_backend blob_s3_backend = { .start = s3_start, .close = s3_close };
