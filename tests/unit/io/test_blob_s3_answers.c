/* SPDX-License-Identifier: Apache-2.0
 *
 * What a real S3 server says on its bad days only: a server of this test's own that gives the
 * answers it was told, one a connection, and keeps the requests. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/io/blob_calls.h"

#define RUN "0123456789abcdef-0123456789abcdef01234567"

struct server {
    int fd;
    const char *const *answers; /* "503 Slow Down\n<body>"; NULL-ended */
    struct buf requests;
    pthread_t thread;
};

static void *serve(void *server)
{
    struct server *s = server;
    char request[8192];
    for (const char *const *answer = s->answers; *answer; answer++) {
        int fd = accept(s->fd, NULL, NULL);
        ssize_t n = recv(fd, request, sizeof request, 0);
        if (n > 0) buf_add(&s->requests, request, (size_t)n);
        const char *body = strchr(*answer, '\n') + 1;
        AUTO_FREE char *text =
            xasprintf("HTTP/1.1 %.*s\r\nContent-Length: %zu\r\nLocation: http://127.0.0.1:1/x\r\n"
                      "Connection: close\r\n\r\n%s",
                      (int)(body - 1 - *answer), *answer, strlen(body), body);
        (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
        close(fd);
    }
    return NULL;
}

static struct outcome ask(const char *const *answers, bool lists, uint32_t attempts,
                          struct buf *ret_requests)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    struct server s = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .answers = answers };
    cr_assert(bind(s.fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(s.fd, 10) == 0);
    cr_assert_eq(getsockname(s.fd, (struct sockaddr *)&a, &len), 0);
    cr_assert_eq(pthread_create(&s.thread, NULL, serve, &s), 0);
    AUTO_FREE char *endpoint = xasprintf("http://127.0.0.1:%u", ntohs(a.sin_port));
    struct err e;
    struct loop *loop = loop_new(&e);
    struct blob_store *store = blob_open(loop,
                                         &(struct blob_options){ .endpoint = endpoint,
                                                                 .http_allowed = true,
                                                                 .region = "r",
                                                                 .bucket = "bucket",
                                                                 .access_key = "k",
                                                                 .secret_key = "s",
                                                                 .session_token = "temporary",
                                                                 .attempts_max = attempts },
                                         &e);
    cr_assert(store);
    struct outcome o = lists ? list(loop, store, "") : put(loop, store, RUN, BYTES_LIT("x"));
    blob_close(store);
    loop_free(loop);
    pthread_join(s.thread, NULL);
    close(s.fd);
    if (ret_requests)
        *ret_requests = s.requests;
    else
        buf_done(&s.requests);
    return o;
}

#define SLOW "503 Slow Down\n<Error><Code>SlowDown</Code><Message>less</Message></Error>"

Test(blob_s3_answers, a_busy_store_is_asked_again)
{
    AUTO_BUF struct buf requests = { 0 };
    AUTO_OUTCOME o = ask((const char *const[]){ SLOW, "500 Oops\nno XML", "200 OK\n", NULL }, false,
                         5, &requests);
    cr_assert_eq(o.status, BLOB_OK, "%s", o.text);
    /* signed, with the session in it */
    cr_assert(strcasestr(requests.data, "x-amz-security-token: temporary"));
    cr_assert(strstr(requests.data, "SignedHeaders=content-type;host;x-amz-content-sha256;"
                                    "x-amz-date;x-amz-security-token,"));
}

Test(blob_s3_answers, a_store_that_stays_busy_is_unavailable_and_its_code_is_told)
{
    AUTO_OUTCOME o = ask((const char *const[]){ SLOW, SLOW, NULL }, false, 2, NULL);
    cr_assert_eq(o.status, BLOB_UNAVAILABLE);
    cr_assert(blob_status_retriable(o.status));
    cr_assert(strstr(o.text, "SlowDown: less"), "%s", o.text);
}

Test(blob_s3_answers, a_redirect_is_refused_and_not_followed)
{
    AUTO_OUTCOME o = ask((const char *const[]){ "301 Moved\n<Error><Code>PermanentRedirect</Code>"
                                                "<Message>m</Message></Error>",
                                                NULL },
                         false, 5, NULL);
    cr_assert_eq(o.status, BLOB_REFUSED);
    cr_assert(strstr(o.text, "PermanentRedirect"), "%s", o.text);
}

Test(blob_s3_answers, a_store_without_room_is_full)
{
    AUTO_OUTCOME o = ask((const char *const[]){ "507 No\n<Error><Code>Full</Code></Error>", NULL },
                         false, 5, NULL);
    cr_assert_eq(o.status, BLOB_FULL, "%s", o.text);
}

Test(blob_s3_answers, a_list_that_is_none_is_an_error_and_never_a_list_of_nothing)
{
    static const char *const lists[] = {
        "200 OK\n",
        "200 OK\nhello",
        "200 OK\n<html></html>",
        "200 OK\n<ListBucketResult><Contents><Key>run/",
        "200 OK\n<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult>&a;</ListBucketResult>",
        "200 OK\n<ListBucketResult><Contents><Key>else/where</Key></Contents></ListBucketResult>",
    };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        AUTO_OUTCOME o = ask((const char *const[]){ lists[i], NULL }, true, 1, NULL);
        cr_assert_eq(o.status, BLOB_UNAVAILABLE, "%s: %s", lists[i], o.text);
    }
}
