/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts and gets with patience, over a directory that is broken and mended. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/limits.h"
#include "common/io/payload_store.h"

#define RUN     "abcdef0123456789-00000000000000000000abcd"
#define WAIT_MS 60000

struct answer {
    bool over;
    enum blob_status status;
    struct buf data;
    char text[300];
};

static void on_answer(void *user, const struct payload_answer *a)
{
    struct answer *answer = user;
    cr_assert_not(answer->over, "a second answer");
    answer->over = true;
    answer->status = a->status;
    snprintf(answer->text, sizeof answer->text, "%s", a->text);
    if (a->data.len) buf_add(&answer->data, a->data.data, a->data.len);
}

static bool is_over(void *user)
{
    return ((struct answer *)user)->over;
}

struct bench {
    struct loop *loop;
    struct payload_store *store;
    struct log log;
    char dir[64], fan[96], gone[96];
};

static void open_bench(struct bench *b, bool there)
{
    struct err e;
    b->log = log_new("test", LOG_ERROR, open("/dev/null", O_WRONLY));
    snprintf(b->dir, sizeof b->dir, "%s", "/tmp/tutti-payloads-XXXXXX");
    cr_assert(mkdtemp(b->dir));
    snprintf(b->fan, sizeof b->fan, "%s/run/ab", b->dir);
    snprintf(b->gone, sizeof b->gone, "%s/gone", b->dir);
    b->loop = loop_new(&e);
    char url[80];
    snprintf(url, sizeof url, "dir:%s/", b->dir);
    struct blob_options place = { .dir = b->dir };
    b->store = payload_store_open(b->loop,
                                  &(struct payload_store_options){ .place = there ? &place : NULL,
                                                                   .url = url,
                                                                   .inline_max = 10,
                                                                   .max = 2 * MIB,
                                                                   .log = &b->log },
                                  &e);
    cr_assert(b->store, "%s", e.text);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *place)
{
    (void)st, (void)type, (void)place;
    return remove(path);
}

static void close_bench(struct bench *b)
{
    payload_store_close(b->store);
    loop_free(b->loop);
    close(b->log.fd);
    cr_assert_eq(nftw(b->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* Every read and write of the run fails. */
static void break_place(const struct bench *b)
{
    (void)rename(b->fan, b->gone);
    int fd = open(b->fan, O_CREAT | O_WRONLY, 0600);
    cr_assert(fd >= 0 && close(fd) == 0);
}

static void mend_place(const struct bench *b)
{
    cr_assert_eq(unlink(b->fan), 0);
    (void)rename(b->gone, b->fan);
}

static void put(struct bench *b, const char *text, uint64_t wait_ms, struct answer *ret)
{
    struct blob_ref ref = blob_ref_of(bytes_of(text));
    payload_store_put(b->store, BYTES_LIT(RUN), &ref, bytes_of(text), wait_ms, on_answer, ret);
}

static void get(struct bench *b, const char *text, uint64_t wait_ms, struct answer *ret)
{
    struct blob_ref ref = blob_ref_of(bytes_of(text));
    payload_store_get(b->store, BYTES_LIT(RUN), &ref, wait_ms, on_answer, ret);
}

static void wait_for(struct bench *b, struct answer *a)
{
    cr_assert(loop_run_until(b->loop, is_over, a, WAIT_MS), "no answer");
}

Test(payload_store, what_is_larger_than_inline_max_belongs_there_and_comes_back)
{
    struct bench b;
    open_bench(&b, true);
    cr_assert(payload_store_takes(b.store, 11) && !payload_store_takes(b.store, 10));
    cr_assert_eq(payload_store_max(b.store), 2 * MIB);
    struct answer stored = { 0 }, read = { 0 };
    put(&b, "hello payloads", 0, &stored);
    cr_assert_not(stored.over, "never inside the call");
    wait_for(&b, &stored);
    cr_assert_eq(stored.status, BLOB_OK, "%s", stored.text);
    get(&b, "hello payloads", 0, &read);
    wait_for(&b, &read);
    cr_assert_eq(read.status, BLOB_OK, "%s", read.text);
    cr_assert_str_eq(read.data.data, "hello payloads");
    buf_done(&read.data);
    struct blob_ref ref = blob_ref_of(BYTES_LIT("hello payloads"));
    AUTO_BUF struct buf url = { 0 };
    payload_store_url(b.store, BYTES_LIT(RUN), &ref, &url);
    AUTO_FREE char *expected = xasprintf("dir:%s/" RUN "/%s", b.fan, ref.sha256);
    cr_assert_str_eq(url.data, expected);
    cr_assert_eq(access(url.data + 4, R_OK), 0, "an address at which it lies");
    close_bench(&b);
}

Test(payload_store, a_store_in_trouble_is_waited_for)
{
    struct bench b;
    open_bench(&b, true);
    break_place(&b);
    struct answer first = { 0 }, second = { 0 }, given_up = { 0 };
    put(&b, "the first one", 0, &first);
    put(&b, "the second one", 0, &second);
    put(&b, "not for long", 100, &given_up);
    wait_for(&b, &given_up);
    cr_assert_eq(given_up.status, BLOB_UNAVAILABLE);
    cr_assert(given_up.text[0]);
    cr_assert(!first.over && !second.over);
    mend_place(&b);
    wait_for(&b, &first);
    wait_for(&b, &second);
    cr_assert(first.status == BLOB_OK && second.status == BLOB_OK);
    close_bench(&b);
}

Test(payload_store, what_is_lost_is_no_trouble_of_the_store)
{
    struct bench b;
    open_bench(&b, true);
    struct answer lost = { 0 };
    get(&b, "never put there", 0, &lost);
    wait_for(&b, &lost);
    cr_assert_eq(lost.status, BLOB_LOST);
    cr_assert(strstr(lost.text, RUN), "%s", lost.text);
    close_bench(&b);
}

Test(payload_store, what_is_cancelled_never_calls_back_and_the_end_ends_the_rest)
{
    struct bench b;
    open_bench(&b, true);
    struct answer cancelled = { 0 }, other = { 0 }, waits = { 0 };
    struct blob_ref ref = blob_ref_of(BYTES_LIT("cancelled one"));
    struct payload_op *op =
        payload_store_get(b.store, BYTES_LIT(RUN), &ref, 0, on_answer, &cancelled);
    payload_op_cancel(op);
    put(&b, "another one", 0, &other);
    wait_for(&b, &other);
    cr_assert_not(cancelled.over);
    break_place(&b);
    put(&b, "waits for ever", 0, &waits);
    b.store = payload_store_close(b.store);
    cr_assert(waits.over);
    cr_assert_eq(waits.status, BLOB_UNAVAILABLE);
    close_bench(&b);
}

Test(payload_store, without_a_store_nothing_belongs_there_and_a_read_waits)
{
    struct bench b;
    open_bench(&b, false);
    cr_assert_not(payload_store_there(b.store));
    cr_assert_not(payload_store_takes(b.store, SIZE_MAX));
    cr_assert_eq(payload_store_max(b.store), PAYLOAD_BYTES_MAX);
    struct answer a = { 0 };
    get(&b, "somewhere else", 50, &a);
    wait_for(&b, &a);
    cr_assert_eq(a.status, BLOB_UNAVAILABLE);
    close_bench(&b);
}
