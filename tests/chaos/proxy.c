/* SPDX-License-Identifier: Apache-2.0
 *
 * The network of the chaos test: TCP links that can be cut, stalled and healed one by one.
 *
 *   tutti-chaos-proxy
 *
 * takes commands from standard input, answers each with a line, and ends with its input, so that it
 * never outlives a test that was killed.
 *
 *   link NAME           listens on a free port of 127.0.0.1; the answer is the port
 *   target NAME PORT    where the connections of a link go
 *   pass NAME           links whose names begin with NAME work
 *   cut NAME            their connections are reset, and new ones are too
 *   stall NAME          nothing moves on them, though they stay open
 *   mute NAME           what is asked arrives, what is answered does not */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/io/loop.h"

#define LINKS_MAX    256
#define CHUNK        (64 * 1024)
#define LINE_MAX_LEN 256

enum mode { PASS, CUT, STALL, MUTE };
static const char *const mode_names[] = { "pass", "cut", "stall", "mute" };

struct link {
    char name[64];
    struct loop_watch listener;
    in_port_t port, target;
    enum mode mode;
    struct proxy *proxy;
    struct pipe *pipes;
};

/* One side of a connection, and what was read from it and is not yet written to the other. */
struct side {
    struct loop_watch watch;
    struct pipe *pipe;
    struct side *other;
    size_t from, to;
    char data[CHUNK];
};

struct pipe {
    struct link *link;
    struct pipe *next, **at;
    struct side client, server;
};

struct proxy {
    struct loop *loop;
    struct link link[LINKS_MAX];
    size_t link_count;
    struct loop_watch input;
    char line[LINE_MAX_LEN];
    size_t line_len;
};

/* --- connections --- */

/* With a reset, as a dead host's network would do it, not with an orderly end. */
static void close_hard(int fd)
{
    struct linger now = { .l_onoff = 1 };
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static void pipe_close(struct pipe *p)
{
    struct loop *loop = p->link->proxy->loop;
    struct side *sides[] = { &p->client, &p->server };
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        if (sides[i]->watch.events) loop_unwatch(loop, &sides[i]->watch);
        close_hard(sides[i]->watch.fd);
    }
    *p->at = p->next;
    if (p->next) p->next->at = p->at;
    loop_defer_free(loop, free, p);
}

/* A side is read while its data may move and there is room for it, and written while there is some
 * for it. */
static void side_watch(struct side *s)
{
    struct link *link = s->pipe->link;
    bool answers = s == &s->pipe->server;
    bool may_read = link->mode == PASS || (link->mode == MUTE && !answers);
    bool may_write = link->mode == PASS || (link->mode == MUTE && answers);
    bool has_room = s->from == s->to, wanted = s->other->from < s->other->to;
    unsigned events =
        (may_read && has_room ? LOOP_READ : 0U) | (may_write && wanted ? LOOP_WRITE : 0U);
    if (events)
        loop_watch(link->proxy->loop, &s->watch, events);
    else if (s->watch.events)
        loop_unwatch(link->proxy->loop, &s->watch);
}

static void pipe_watch(struct pipe *p)
{
    side_watch(&p->client);
    side_watch(&p->server);
}

static bool again(ssize_t n)
{
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

/* Writes what s has read to the other side; false if the connection is over. */
static bool side_forward(struct side *s)
{
    while (s->from < s->to) {
        ssize_t n = send(s->other->watch.fd, s->data + s->from, s->to - s->from, MSG_NOSIGNAL);
        if (again(n)) return true;
        if (n <= 0) return false;
        s->from += (size_t)n;
    }
    s->from = s->to = 0;
    return true;
}

static bool side_read(struct side *s)
{
    if (s->from != s->to) return true;
    ssize_t n = read(s->watch.fd, s->data, CHUNK);
    if (again(n)) return true;
    if (n <= 0) return false;
    s->to = (size_t)n;
    return side_forward(s);
}

static void on_side(struct loop_watch *w, unsigned events)
{
    struct side *s = w->user;
    if ((events & LOOP_WRITE && !side_forward(s->other)) || (events & LOOP_READ && !side_read(s)))
        pipe_close(s->pipe);
    else
        pipe_watch(s->pipe);
}

static struct sockaddr_in loopback(in_port_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int connect_to(in_port_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = loopback(port);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
        fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
        return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static void side_init(struct pipe *p, struct side *s, struct side *other, int fd)
{
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    s->pipe = p;
    s->other = other;
    s->watch = (struct loop_watch){ .fd = fd, .user = s, .on_ready = on_side };
}

static void on_connection(struct loop_watch *w, unsigned events)
{
    struct link *link = w->user;
    (void)events;
    int client = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) return;
    int server = link->mode == CUT || !link->target ? -1 : connect_to(link->target);
    if (server < 0) { /* as the server itself would refuse it */
        close_hard(client);
        return;
    }
    struct pipe *p = xcalloc(1, sizeof *p);
    p->link = link;
    p->at = &link->pipes;
    p->next = link->pipes;
    if (p->next) p->next->at = &p->next;
    link->pipes = p;
    side_init(p, &p->client, &p->server, client);
    side_init(p, &p->server, &p->client, server);
    pipe_watch(p);
}

/* --- commands --- */

static struct link *link_find(struct proxy *x, const char *name)
{
    for (size_t i = 0; i < x->link_count; i++)
        if (strcmp(x->link[i].name, name) == 0) return &x->link[i];
    return NULL;
}

static bool link_open(struct proxy *x, const char *name)
{
    if (x->link_count == LINKS_MAX || strlen(name) >= sizeof x->link[0].name) return false;
    struct link *link = &x->link[x->link_count];
    struct sockaddr_in at = loopback(0);
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return false;
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
        close(fd);
        return false;
    }
    *link = (struct link){ .proxy = x, .port = ntohs(at.sin_port) };
    memcpy(link->name, name, strlen(name));
    link->listener = (struct loop_watch){ .fd = fd, .user = link, .on_ready = on_connection };
    loop_watch(x->loop, &link->listener, LOOP_READ);
    x->link_count++;
    printf("%u\n", (unsigned)link->port);
    return true;
}

static void link_mode(struct link *link, enum mode mode)
{
    link->mode = mode;
    for (struct pipe *p = link->pipes, *next; p; p = next) {
        next = p->next;
        if (mode == CUT)
            pipe_close(p);
        else
            pipe_watch(p);
    }
}

static bool links_mode(struct proxy *x, const char *word, const char *prefix)
{
    for (size_t mode = 0; mode < ARRAY_LEN(mode_names); mode++) {
        if (strcmp(mode_names[mode], word) != 0) continue;
        size_t found = 0;
        for (size_t i = 0; i < x->link_count; i++) {
            if (strncmp(x->link[i].name, prefix, strlen(prefix)) != 0) continue;
            link_mode(&x->link[i], (enum mode)mode);
            found++;
        }
        if (found) printf("%zu\n", found);
        return found > 0;
    }
    return false;
}

static bool obey(struct proxy *x, char *line)
{
    char *rest = NULL, *word = strtok_r(line, " ", &rest), *name = strtok_r(NULL, " ", &rest),
         *port = strtok_r(NULL, " ", &rest);
    if (!word || !name) return false;
    if (strcmp(word, "link") == 0) return link_open(x, name);
    if (strcmp(word, "target") != 0) return links_mode(x, word, name);
    struct link *link = link_find(x, name);
    unsigned long number = port ? strtoul(port, NULL, 10) : 0;
    if (!link || number == 0 || number > UINT16_MAX) return false;
    link->target = (in_port_t)number;
    puts("ok");
    return true;
}

static void on_input(struct loop_watch *w, unsigned events)
{
    struct proxy *x = w->user;
    (void)events;
    ssize_t n = read(w->fd, x->line + x->line_len, sizeof x->line - 1 - x->line_len);
    if (again(n)) return;
    if (n <= 0) {
        loop_stop(x->loop);
        return;
    }
    x->line_len += (size_t)n;
    x->line[x->line_len] = '\0';
    for (char *end; (end = strchr(x->line, '\n')) != NULL;) {
        *end = '\0';
        if (!obey(x, x->line)) puts("error");
        fflush(stdout);
        x->line_len -= (size_t)(end + 1 - x->line);
        memmove(x->line, end + 1, x->line_len + 1);
    }
    if (x->line_len == sizeof x->line - 1) x->line_len = 0; /* no command is that long */
}

int main(void)
{
    struct err e;
    struct proxy *x = xcalloc(1, sizeof *x);
    x->loop = loop_new(&e);
    if (!x->loop) {
        fprintf(stderr, "tutti-chaos-proxy: %s\n", e.text);
        return 1;
    }
    x->input = (struct loop_watch){ .fd = STDIN_FILENO, .user = x, .on_ready = on_input };
    loop_watch(x->loop, &x->input, LOOP_READ);
    loop_run(x->loop);
    for (size_t i = 0; i < x->link_count; i++) {
        while (x->link[i].pipes) pipe_close(x->link[i].pipes);
        loop_unwatch(x->loop, &x->link[i].listener);
        close(x->link[i].listener.fd);
    }
    loop_unwatch(x->loop, &x->input);
    loop_turn(x->loop, 0); /* buries the connections */
    loop_free(x->loop);
    free(x);
    return 0;
}
