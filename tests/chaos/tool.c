/* SPDX-License-Identifier: Apache-2.0
 *
 * The program that exec steps of the chaos test run: it has the ledger note the call, and does what
 * the ledger answers.
 *
 *   tutti-chaos-tool PORT WORKER        input as JSON on stdin; exit 3 where the ledger says no
 *
 * A program of C, because thousands are started while the machine has little to spare. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"

static int connect_to(unsigned long port)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((in_port_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static bool send_all(int fd, struct bytes data)
{
    while (data.len) {
        ssize_t n = send(fd, data.data, data.len, MSG_NOSIGNAL);
        if (n <= 0) return false;
        data = (struct bytes){ data.data + n, data.len - (size_t)n };
    }
    return true;
}

static bool read_all(int fd, struct buf *ret)
{
    char chunk[4096];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof chunk)) > 0) buf_add(ret, chunk, (size_t)n);
    return n == 0;
}

/* Asks, and takes the answer until the ledger closes the connection. */
static bool call(unsigned long port, const char *worker, struct buf *ret)
{
    AUTO_BUF struct buf input = { 0 }, request = { 0 };
    const char *key = getenv("TUTTI_IDEMPOTENCY_KEY");
    if (!key || !read_all(STDIN_FILENO, &input)) return false;
    AUTO_FREE char *head = xasprintf("POST /exec HTTP/1.1\r\nhost: ledger\r\nconnection: close\r\n"
                                     "idempotency-key: %s\r\nworker: %s\r\n"
                                     "content-length: %zu\r\n\r\n",
                                     key, worker, input.len);
    buf_add_text(&request, head);
    buf_add(&request, input.data, input.len);
    int fd = connect_to(port);
    if (fd < 0) return false;
    bool ok = send_all(fd, buf_bytes(&request)) && read_all(fd, ret);
    close(fd);
    return ok;
}

int main(int argc, char **argv)
{
    AUTO_BUF struct buf answer = { 0 };
    if (argc < 3) return 2;
    if (!call(strtoul(argv[1], NULL, 10), argv[2], &answer)) return 1;
    buf_add_char(&answer, '\0');
    const char *body = strstr(answer.data, "\r\n\r\n");
    if (!body) return 1;
    bool ok = strncmp(answer.data, "HTTP/1.1 200", 12) == 0;
    fputs(body + 4, ok ? stdout : stderr);
    return ok ? 0 : 3;
}
