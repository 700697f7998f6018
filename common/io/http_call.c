/* SPDX-License-Identifier: Apache-2.0
 *
 * Redirects are followed here and not by curl, because the exemption of a host from the address
 * check holds for that host only. Addresses are checked twice: when a socket is opened (so that a
 * forbidden address does not even see a SYN) and before a request goes out (so that a connection
 * which another call was allowed to open cannot be borrowed). */
#include "common/io/http_call.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/limits.h"

#define CONNECT_MS            (10 * SECOND_MS)
#define TOTAL_MS              (600 * SECOND_MS)
#define BODY_BYTES_MAX        MIB
#define HEADER_TEXT_BYTES_MAX (256 * KIB)

/* curl's setters are checked macros that take any type; none of these can fail but for memory. */
#define SET(call, option, value)                                            \
    do {                                                                    \
        CURLcode set_code_ = curl_easy_setopt((call)->easy, option, value); \
        ASSERT(set_code_ == CURLE_OK);                                      \
    } while (0)

static uint64_t after(const struct http_call *call, uint32_t ms)
{
    return ms ? loop_now_ms(call->loop) + ms : UINT64_MAX;
}

/* The timer is brought forward only; one that comes early finds the later deadline and waits on.
 * So a stream of small pieces costs no heap operation a piece. */
static void enter(struct http_call *call, enum call_phase phase, uint32_t ms)
{
    call->phase = phase;
    call->phase_end_ms = after(call, ms);
    uint64_t due = MIN(call->phase_end_ms, call->end_ms), now = loop_now_ms(call->loop);
    if (!loop_armed(&call->timer) || due < call->timer.due_ms)
        loop_arm(call->loop, &call->timer, due > now ? due - now : 0);
}

bool http_call_overdue(struct http_call *call, enum http_outcome *ret_outcome)
{
    static const enum http_outcome outcomes[] = {
        [CALL_STARTING] = HTTP_TOTAL_TIMEOUT,
        [CALL_CONNECTING] = HTTP_CONNECT_TIMEOUT,
        [CALL_WAITING] = HTTP_FIRST_BYTE_TIMEOUT,
        [CALL_READING] = HTTP_IDLE_TIMEOUT,
    };
    uint64_t now = loop_now_ms(call->loop);
    if (now < call->end_ms && now < call->phase_end_ms) {
        loop_arm(call->loop, &call->timer, MIN(call->phase_end_ms, call->end_ms) - now);
        return false;
    }
    *ret_outcome = now >= call->end_ms ? HTTP_TOTAL_TIMEOUT : outcomes[call->phase];
    return true;
}

/* --- curl's callbacks: they take note and never act on a multi --- */

static curl_socket_t on_open_socket(void *call_, curlsocktype purpose,
                                    struct curl_sockaddr *address)
{
    struct http_call *call = call_;
    (void)purpose;
    if (!call->exempt && !http_address_public(&address->addr)) {
        const void *raw = &((const struct sockaddr_in *)(const void *)&address->addr)->sin_addr;
        if (address->family == AF_INET6)
            raw = &((const struct sockaddr_in6 *)(const void *)&address->addr)->sin6_addr;
        if (!inet_ntop(address->family, raw, call->refused, sizeof call->refused))
            snprintf(call->refused, sizeof call->refused, "family %d", address->family);
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static bool is_repeatable(const char *method)
{
    static const char *const safe[] = { "GET", "HEAD", "PUT", "DELETE", "OPTIONS" };
    for (size_t i = 0; i < ARRAY_LEN(safe); i++)
        if (strcmp(method, safe[i]) == 0) return true;
    return false;
}

/* The connection stands, maybe as one that was used before; the request has not left. */
static int on_request(void *call_, char *address, char *local, int port, int local_port)
{
    struct http_call *call = call_;
    (void)local, (void)port, (void)local_port;
    if (!call->exempt && !http_address_text_public(address)) {
        snprintf(call->refused, sizeof call->refused, "%s", address);
        return CURL_PREREQFUNC_ABORT;
    }
    call->refused[0] = '\0'; /* another of the host's addresses was refused, this one is fine */
    /* curl asks again by itself when a kept connection dies without an answer. That the first
     * request had no effect is not known, so only methods that bear it may be repeated. */
    if (call->request_begun && !is_repeatable(call->method)) return CURL_PREREQFUNC_ABORT;
    call->request_begun = call->sent = true;
    enter(call, CALL_WAITING, call->first_byte_ms);
    return CURL_PREREQFUNC_OK;
}

static bool is_redirect(uint32_t status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void response_begins(struct http_call *call)
{
    call->header_count = 0;
    buf_reset(&call->header_text);
}

static void add_header(struct http_call *call, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (!colon || colon == line || line[0] == ' ' || line[0] == '\t') return;
    const char *value = colon + 1, *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t')) value++;
    while (end > value && isspace((unsigned char)end[-1])) end--;
    if (call->header_count == call->header_cap) {
        call->header_cap = call->header_cap ? 2 * call->header_cap : 16;
        call->headers = xrealloc(call->headers, call->header_cap * sizeof *call->headers);
    }
    struct call_header *h = &call->headers[call->header_count++];
    h->name = call->header_text.len;
    for (const char *p = line; p < colon; p++)
        buf_add_char(&call->header_text, (char)tolower((unsigned char)*p));
    buf_add_char(&call->header_text, '\0');
    h->value = call->header_text.len;
    for (const char *p = value; p < end; p++) /* RFC 9112, 2.2: a bare CR is a space */
        buf_add_char(&call->header_text, *p == '\r' ? ' ' : *p);
    buf_add_char(&call->header_text, '\0');
}

static size_t on_header(char *line, size_t one, size_t len, void *call_)
{
    struct http_call *call = call_;
    (void)one;
    enter(call, CALL_READING, call->idle_ms);
    long status = 0;
    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    call->status = (uint32_t)status;
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        response_begins(call);
        return len;
    }
    if (call->header_text.len + len > HEADER_TEXT_BYTES_MAX) {
        call->too_large = true;
        return 0;
    }
    add_header(call, line, len);
    return len;
}

static const char *header_of(const struct http_call *call, const char *name)
{
    for (size_t i = 0; i < call->header_count; i++)
        if (strcmp(call->header_text.data + call->headers[i].name, name) == 0)
            return call->header_text.data + call->headers[i].value;
    return NULL;
}

static bool will_follow(const struct http_call *call)
{
    return call->redirects_max > 0 && is_redirect(call->status) && header_of(call, "location");
}

static size_t on_body(char *data, size_t one, size_t len, void *call_)
{
    struct http_call *call = call_;
    (void)one;
    if (call->abort) return 0;
    enter(call, CALL_READING, call->idle_ms);
    call->body_bytes += len;
    if (call->body_bytes > call->body_bytes_max) {
        call->too_large = true;
        return 0;
    }
    if (will_follow(call)) return len; /* nobody asked for the page that says "moved" */
    if (!call->on_data) {
        buf_add(&call->body, data, len);
        return len;
    }
    if (call->on_data(call->user, (struct bytes){ .data = data, .len = len })) return len;
    call->stopped = true;
    return 0;
}

/* --- what is asked --- */

static bool is_token(const char *text)
{
    if (!text || !text[0]) return false;
    for (const char *p = text; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("!#$%&'*+-.^_`|~", *p)) return false;
    return true;
}

static void push_header(struct http_call *call, const char *line)
{
    struct curl_slist *longer = curl_slist_append(call->request_headers, line);
    ASSERT(longer);
    call->request_headers = longer;
}

/* Text from outside becomes a header line: a line break in it would be another header. */
static bool add_request_headers(struct http_call *call, const struct http_request *request,
                                struct err *e)
{
    bool typed = false;
    /* No waiting for "100 Continue". libcurl 7.88 would sign a line that only takes a header away,
     * and no server could verify that. */
    if (!request->sigv4) push_header(call, "Expect:");
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *h = &request->headers[i];
        if (!is_token(h->name)) return err_fail(e, ERR_INVALID, "header %zu: not a name", i + 1);
        for (const char *p = h->value; *p; p++)
            if ((unsigned char)*p < ' ' && *p != '\t')
                return err_fail(e, ERR_INVALID, "header %s: a control character", h->name);
        if (strcasecmp(h->name, "content-length") == 0 ||
            strcasecmp(h->name, "transfer-encoding") == 0)
            return err_fail(e, ERR_INVALID, "header %s follows from the body", h->name);
        if (strcasecmp(h->name, "content-type") == 0) typed = true;
        /* "Name;" is curl's way to say an empty value; "Name:" would remove the header. */
        AUTO_FREE char *line =
            h->value[0] ? xasprintf("%s: %s", h->name, h->value) : xasprintf("%s;", h->name);
        push_header(call, line);
    }
    if (request->sigv4 && !typed && request->body.len > 0)
        return err_fail(e, ERR_INVALID, "a body that is signed needs a Content-Type");
    if (!typed && !request->sigv4)
        push_header(call, "Content-Type:"); /* else curl says it was a form */
    return true;
}

static char **copy_list(const char *const *list)
{
    size_t count = 0;
    while (list && list[count]) count++;
    char **copy = xcalloc(count + 1, sizeof *copy);
    for (size_t i = 0; i < count; i++) copy[i] = xstrdup(list[i]);
    return copy;
}

static void set_options(struct http_call *call)
{
    SET(call, CURLOPT_PRIVATE, (void *)call);
    SET(call, CURLOPT_ERRORBUFFER, call->curl_error);
    SET(call, CURLOPT_NOSIGNAL, 1L);
    /* Without it, removing a handle waits for its lookup's thread, and the loop with it. */
    SET(call, CURLOPT_QUICK_EXIT, 1L);
    SET(call, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(call, CURLOPT_FOLLOWLOCATION, 0L);
    SET(call, CURLOPT_PROXY, ""); /* none from the environment: it would see every address */
    SET(call, CURLOPT_NOPROXY, "*");
    SET(call, CURLOPT_TCP_KEEPALIVE, 1L);
    /* Ours is the deadline that counts; curl's own default of 300 s must not come before it. */
    SET(call, CURLOPT_CONNECTTIMEOUT_MS, (long)call->connect_ms + 10L * SECOND_MS);
    SET(call, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(call, CURLOPT_OPENSOCKETDATA, (void *)call);
    SET(call, CURLOPT_PREREQFUNCTION, on_request);
    SET(call, CURLOPT_PREREQDATA, (void *)call);
    SET(call, CURLOPT_HEADERFUNCTION, on_header);
    SET(call, CURLOPT_HEADERDATA, (void *)call);
    SET(call, CURLOPT_WRITEFUNCTION, on_body);
    SET(call, CURLOPT_WRITEDATA, (void *)call);
}

static bool is_scope(const char *text)
{
    return text && text[0] && strlen(text) <= 64 && !strpbrk(text, ": \t\r\n");
}

static bool sign(struct http_call *call, const struct http_request *request, struct err *e)
{
    const struct http_sigv4 *s = request->sigv4;
    if (!s) return true;
    if (request->redirects_max > 0)
        return err_fail(e, ERR_INVALID, "a signed request follows no redirect");
    if (!is_scope(s->region) || !is_scope(s->service) || !s->access_key || !s->secret_key)
        return err_fail(e, ERR_INVALID, "a signature needs region, service and keys");
    AUTO_FREE char *scope = xasprintf("aws:amz:%s:%s", s->region, s->service);
    SET(call, CURLOPT_AWS_SIGV4, scope); /* curl copies all three */
    SET(call, CURLOPT_USERNAME, s->access_key);
    SET(call, CURLOPT_PASSWORD, s->secret_key);
    return true;
}

struct http_call *http_call_new(struct loop *loop, const struct http_request *request,
                                void (*on_due)(struct loop_timer *t), struct err *e)
{
    ASSERT(request->on_done);
    struct http_call *call = xcalloc(1, sizeof *call);
    call->easy = curl_easy_init();
    ASSERT(call->easy);
    if (!is_token(request->method)) {
        (void)err_fail(e, ERR_INVALID, "HTTP method: not a name");
        http_call_free(call);
        return NULL;
    }
    if (!http_target_parse(request->url, &call->target, e) ||
        !add_request_headers(call, request, e) || !sign(call, request, e)) {
        http_call_free(call);
        return NULL;
    }
    call->loop = loop;
    call->timer = (struct loop_timer){ .on_due = on_due, .user = call };
    call->method = xstrdup(request->method);
    buf_add(&call->request_body, request->body.data, request->body.len);
    call->redirects_max = request->redirects_max;
    call->private_allowed = request->private_allowed;
    call->hosts_allowed = copy_list(request->hosts_allowed);
    call->connect_ms = request->connect_ms ? request->connect_ms : CONNECT_MS;
    call->first_byte_ms = request->first_byte_ms;
    call->idle_ms = request->idle_ms;
    call->body_bytes_max = request->body_bytes_max ? request->body_bytes_max : BODY_BYTES_MAX;
    call->on_data = request->on_data;
    call->on_done = request->on_done;
    call->user = request->user;
    set_options(call);
    loop_arm(loop, &call->timer, 0);    /* the pool begins the first hop in the timer phase */
    call->start_ms = loop_now_ms(loop); /* arming has brought it up to date */
    call->phase_end_ms = UINT64_MAX;
    call->end_ms = after(call, request->total_ms ? request->total_ms : TOTAL_MS);
    return call;
}

void http_call_free(struct http_call *call)
{
    if (call->loop) loop_disarm(call->loop, &call->timer);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->request_headers);
    http_target_done(&call->target);
    for (char **host = call->hosts_allowed; host && *host; host++) free(*host);
    free(call->hosts_allowed);
    free(call->method);
    buf_done(&call->request_body);
    buf_done(&call->body);
    buf_done(&call->header_text);
    free(call->headers);
    free(call);
}

/* --- hops --- */

static void set_method(struct http_call *call)
{
    if (strcmp(call->method, "HEAD") == 0) {
        SET(call, CURLOPT_NOBODY, 1L);
        return;
    }
    bool bodiless = strcmp(call->method, "GET") == 0 || strcmp(call->method, "DELETE") == 0 ||
                    strcmp(call->method, "OPTIONS") == 0;
    SET(call, CURLOPT_HTTPGET, 1L);
    if (call->request_body.len > 0 || !bodiless) {
        SET(call, CURLOPT_POST, 1L);
        SET(call, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->request_body.len);
        SET(call, CURLOPT_POSTFIELDS, call->request_body.data ? call->request_body.data : "");
    }
    SET(call, CURLOPT_CUSTOMREQUEST, call->method);
}

void http_call_begin_hop(struct http_call *call)
{
    call->exempt = call->private_allowed ||
                   http_target_listed(&call->target, (const char *const *)call->hosts_allowed);
    call->request_begun = false;
    call->refused[0] = call->curl_error[0] = '\0';
    call->status = 0;
    call->body_bytes = 0;
    response_begins(call);
    SET(call, CURLOPT_URL, call->target.url);
    SET(call, CURLOPT_HTTPHEADER, call->request_headers);
    set_method(call);
    enter(call, CALL_CONNECTING, call->connect_ms);
}

/* Whether a header given for one origin may be shown to another. Any other may be a credential. */
static bool is_harmless(const char *line)
{
    static const char *const names[] = { "expect:", "accept:", "accept-language:", "content-type:",
                                         "user-agent:" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strncasecmp(line, names[i], strlen(names[i])) == 0) return true;
    return false;
}

static bool is_not_of_a_body(const char *line)
{
    return strncasecmp(line, "content-", 8) != 0;
}

static void keep_headers(struct http_call *call, bool (*keep)(const char *line))
{
    struct curl_slist *all = call->request_headers;
    call->request_headers = NULL;
    for (struct curl_slist *h = all; h; h = h->next)
        if (keep(h->data)) push_header(call, h->data);
    SET(call, CURLOPT_HTTPHEADER, call->request_headers);
    curl_slist_free_all(all);
}

/* Takes the call to where the response points. Method and body change as browsers and curl do it
 * (RFC 9110, 15.4): 303 asks with GET, and so do 301 and 302 after a POST. */
static bool follow(struct http_call *call, char *text, size_t text_size)
{
    char *location = NULL;
    (void)curl_easy_getinfo(call->easy, CURLINFO_REDIRECT_URL, &location);
    if (call->hops >= call->redirects_max) {
        snprintf(text, text_size, "more than %u redirects", call->redirects_max);
        return false;
    }
    struct err e;
    struct http_target next;
    if (!location || !http_target_parse(location, &next, &e)) {
        snprintf(text, text_size, "redirect: %s", location ? e.text : "no URL");
        return false;
    }
    call->hops++;
    /* A handle that is used again keeps a pointer to the last header of the answer before, and
     * reads it after it was freed if the next answer begins with a folded line (libcurl 7.88). */
    curl_easy_cleanup(call->easy);
    call->easy = curl_easy_init();
    ASSERT(call->easy);
    set_options(call);
    if (strcmp(next.origin, call->target.origin) != 0) keep_headers(call, is_harmless);
    http_target_done(&call->target);
    call->target = next;
    bool post = strcmp(call->method, "POST") == 0;
    if ((call->status == 303 && strcmp(call->method, "HEAD") != 0) ||
        ((call->status == 301 || call->status == 302) && post)) {
        free(call->method);
        call->method = xstrdup("GET");
        buf_reset(&call->request_body);
        keep_headers(call, is_not_of_a_body);
    }
    return true;
}

bool http_call_ended(struct http_call *call, CURLcode code, enum http_outcome *ret_outcome,
                     char *text, size_t text_size)
{
    const char *why = call->curl_error[0] ? call->curl_error : curl_easy_strerror(code);
    text[0] = '\0';
    if (call->abort || call->stopped) {
        *ret_outcome = HTTP_ABORTED;
        snprintf(text, text_size, "aborted by the caller");
    } else if (call->too_large) {
        *ret_outcome = HTTP_TOO_LARGE;
        snprintf(text, text_size, "the response passed its limit of %zu bytes",
                 call->body_bytes_max);
    } else if (code == CURLE_OK && will_follow(call)) {
        if (follow(call, text, text_size)) return true;
        *ret_outcome = HTTP_BAD_REDIRECT;
    } else if (code == CURLE_OK) {
        *ret_outcome = HTTP_DONE;
    } else if (call->refused[0]) {
        *ret_outcome = call->hops ? HTTP_BAD_REDIRECT : HTTP_REFUSED_ADDRESS;
        snprintf(text, text_size, "%s: address %s is not allowed", call->target.host,
                 call->refused);
    } else if (call->request_begun) {
        *ret_outcome = HTTP_BROKEN;
        snprintf(text, text_size, "%s: %s", call->target.host, why);
    } else {
        *ret_outcome = code == CURLE_OPERATION_TIMEDOUT ? HTTP_CONNECT_TIMEOUT : HTTP_CONNECT;
        snprintf(text, text_size, "%s: %s", call->target.host, why);
    }
    return false;
}

void http_call_report(struct http_call *call, enum http_outcome outcome, const char *text)
{
    AUTO_FREE struct http_header *headers = xcalloc(call->header_count + 1, sizeof *headers);
    for (size_t i = 0; i < call->header_count; i++)
        headers[i] = (struct http_header){
            .name = call->header_text.data + call->headers[i].name,
            .value = call->header_text.data + call->headers[i].value,
        };
    struct http_response response = {
        .outcome = outcome,
        .status = call->status,
        .body = buf_bytes(&call->body),
        .headers = headers,
        .header_count = call->header_count,
        .sent = call->sent,
        .elapsed_ms = loop_now_ms(call->loop) - call->start_ms,
    };
    snprintf(response.text, sizeof response.text, "%s", text);
    call->on_done(call->user, &response);
}
