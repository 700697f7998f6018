/* SPDX-License-Identifier: Apache-2.0
 *
 * The payload store in S3, on a real server that verifies signatures (tests/s3/server.sh makes it).
 * Without one these tests are skipped, and say so. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/io/blob_cases.h"

#define SERVER TUTTI_SOURCE_DIR "/build/s3/versitygw"

static struct loop *loop;
static struct blob_store *store;
static char dir[64], endpoint[64];
static pid_t server;
static struct blob_options options;

static uint16_t free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

/* A directory in the server's root is a bucket. */
static void start_server(void)
{
    snprintf(dir, sizeof dir, "%s", "/tmp/tutti-s3-XXXXXX");
    cr_assert(mkdtemp(dir));
    AUTO_FREE char *root = xasprintf("%s/served", dir), *meta = xasprintf("%s/meta", dir),
                   *bucket = xasprintf("%s/served/payloads", dir), *log = xasprintf("%s/log", dir);
    cr_assert(mkdir(root, 0700) == 0 && mkdir(meta, 0700) == 0 && mkdir(bucket, 0700) == 0);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", free_port());
    server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!freopen(log, "w", stdout) || !freopen(log, "a", stderr)) _exit(126);
        execl(SERVER, SERVER, "--access", "key", "--secret", "right/secret+", "--port",
              endpoint + strlen("http://"), "--virtual-domain", "localhost", "--quiet",
              "--keep-alive", "posix", "--sidecar", meta, root, (char *)NULL);
        _exit(127);
    }
}

static struct blob_store *open_with(struct blob_options o)
{
    struct err e;
    struct blob_store *s = blob_open(loop, &o, &e);
    cr_assert(s, "%s", s ? "" : e.text);
    return s;
}

static void open_store(void)
{
    if (access(SERVER, X_OK) != 0) {
        fprintf(stderr, "!!! the payload store was NOT tested on S3: run tests/s3/server.sh\n");
        cr_skip_test("no S3 server");
    }
    struct err e;
    start_server();
    loop = loop_new(&e);
    options = (struct blob_options){ .endpoint = endpoint,
                                     .http_allowed = true,
                                     .region = "us-east-1",
                                     .bucket = "payloads",
                                     .prefix = "tutti/test",
                                     .access_key = "key",
                                     .secret_key = "right/secret+",
                                     .attempts_max = 12 };
    store = open_with(options);
    AUTO_OUTCOME o = list(loop, store, ""); /* waits for the server, too */
    cr_assert_eq(o.status, BLOB_OK, "%s", o.text);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void stop_server(void)
{
    if (server <= 0) return;
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    server = 0;
}

static void close_store(void)
{
    store = blob_close(store);
    loop = loop_free(loop);
    stop_server();
    if (dir[0]) cr_assert_eq(nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

TestSuite(blob_s3, .init = open_store, .fini = close_store);
BLOB_CASES(blob_s3)

static char *path_of(struct bytes content)
{
    return xasprintf("%s/served/payloads/tutti/test/run/" RUN "/%s", dir,
                     blob_ref_of(content).sha256);
}

Test(blob_s3, an_object_stands_under_the_prefix_its_run_and_its_hash)
{
    AUTO_OUTCOME wrote = put(loop, store, RUN, BYTES_LIT("x"));
    AUTO_FREE char *path = path_of(BYTES_LIT("x"));
    cr_assert_eq(wrote.status, BLOB_OK, "%s", wrote.text);
    cr_assert_eq(access(path, R_OK), 0, "%s", path);
}

Test(blob_s3, a_wrong_secret_is_refused)
{
    struct blob_options wrong = options;
    wrong.secret_key = "wrong/secret+";
    struct blob_store *s = open_with(wrong);
    AUTO_OUTCOME o = put(loop, s, RUN, BYTES_LIT("x")), l = list(loop, s, "");
    cr_assert_eq(o.status, BLOB_REFUSED, "%s", o.text);
    cr_assert(strstr(o.text, "SignatureDoesNotMatch"), "%s", o.text);
    cr_assert_eq(l.status, BLOB_REFUSED, "%s", l.text);
    blob_close(s);
    wrong = options;
    wrong.access_key = "nobody";
    s = open_with(wrong);
    AUTO_OUTCOME k = put(loop, s, RUN, BYTES_LIT("x")), g = get(loop, s, RUN, BYTES_LIT("x"));
    cr_assert_eq(k.status, BLOB_REFUSED, "%s", k.text);
    cr_assert_eq(g.status, BLOB_REFUSED, "not lost, though this server says 404: %s", g.text);
    blob_close(s);
}

Test(blob_s3, a_bucket_that_is_not_there_is_refused_by_its_name)
{
    struct blob_options wrong = options;
    wrong.bucket = "nowhere";
    struct blob_store *s = open_with(wrong);
    AUTO_OUTCOME o = put(loop, s, RUN, BYTES_LIT("x")), g = get(loop, s, RUN, BYTES_LIT("x"));
    cr_assert_eq(o.status, BLOB_REFUSED);
    cr_assert(strstr(o.text, "NoSuchBucket"), "%s", o.text);
    cr_assert_eq(g.status, BLOB_REFUSED, "not lost: %s", g.text);
    blob_close(s);
}

Test(blob_s3, what_is_damaged_is_lost)
{
    AUTO_OUTCOME wrote = put(loop, store, RUN, BYTES_LIT("content"));
    AUTO_FREE char *path = path_of(BYTES_LIT("content"));
    FILE *f = fopen(path, "w");
    fputs("contend", f);
    fclose(f);
    AUTO_OUTCOME damaged = get(loop, store, RUN, BYTES_LIT("content"));
    cr_assert_eq(damaged.status, BLOB_LOST, "%s", damaged.text);
}

Test(blob_s3, a_server_that_is_gone_is_unavailable)
{
    stop_server();
    struct blob_options few = options;
    few.attempts_max = 2;
    struct blob_store *s = open_with(few);
    AUTO_OUTCOME o = put(loop, s, RUN, BYTES_LIT("x"));
    cr_assert_eq(o.status, BLOB_UNAVAILABLE);
    cr_assert(strstr(o.text, "2 attempts"), "%s", o.text);
    blob_close(s);
}

Test(blob_s3, the_bucket_may_be_in_the_name_of_the_host)
{
    struct blob_options o = options;
    AUTO_FREE char *local = xasprintf("http://localhost:%s", strrchr(endpoint, ':') + 1);
    o.endpoint = local;
    o.virtual_host = true;
    struct blob_store *s = open_with(o);
    AUTO_OUTCOME wrote = put(loop, s, RUN, BYTES_LIT("x"));
    cr_assert_eq(wrote.status, BLOB_OK, "%s", wrote.text);
    AUTO_OUTCOME read = get(loop, store, RUN, BYTES_LIT("x"));
    cr_assert_eq(read.status, BLOB_OK, "%s", read.text);
    blob_close(s);
}

Test(blob_s3_options, what_cannot_be_is_refused_at_the_start)
{
    struct err e;
    struct loop *l = loop_new(&e);
    const struct blob_options good = { .endpoint = "https://s3.example.org",
                                       .region = "eu-1",
                                       .bucket = "bucket",
                                       .access_key = "k",
                                       .secret_key = "s" };
    blob_close(blob_open(l, &good, &e));
    struct blob_options bad[] = { good, good, good, good, good, good, good };
    bad[0].endpoint = "http://s3.example.org";
    bad[1].endpoint = "https://s3.example.org/path";
    bad[2].bucket = "a/../b";
    bad[3].prefix = "a/../b";
    bad[4].region = "eu:1";
    bad[5].secret_key = NULL;
    bad[6].endpoint = NULL;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        cr_assert_null(blob_open(l, &bad[i], &e), "%zu", i);
        cr_assert_eq(e.kind, ERR_INVALID, "%zu: %s", i, e.text);
    }
    loop_free(l);
}
