/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_blob.h"

#include <stdlib.h>

#define OBJECTS_MAX 8

struct op {
    struct loop_timer timer; /* first */
    struct op *next;
    bool put;
    struct blob_ref ref;
    struct buf content;
    blob_fn done;
    void *user;
};

struct blob_store {
    struct loop *loop;
    struct op *ops;
};

static struct {
    bool down;
    struct buf objects[OBJECTS_MAX];
    size_t count, puts;
    struct blob_store store;
} fake;

void fake_blob_down(bool down)
{
    fake.down = down;
}

void fake_blob_add(struct bytes content)
{
    ASSERT(fake.count < OBJECTS_MAX);
    buf_add(&fake.objects[fake.count++], content.data, content.len);
}

size_t fake_blob_puts(void)
{
    return fake.puts;
}

const char *fake_blob_last(void)
{
    return fake.count ? fake.objects[fake.count - 1].data : NULL;
}

const char *blob_status_name(enum blob_status status)
{
    (void)status;
    return "";
}

struct blob_store *blob_open(struct loop *loop, const struct blob_options *options, struct err *e)
{
    (void)options, (void)e;
    fake.store.loop = loop;
    return &fake.store;
}

static void op_end(struct op *op, const struct blob_result *r)
{
    struct op **at = &fake.store.ops;
    while (*at != op) at = &(*at)->next;
    *at = op->next;
    op->done(op->user, r);
    buf_done(&op->content);
    free(op);
}

struct blob_store *blob_close(struct blob_store *s)
{
    while (s && s->ops) {
        loop_disarm(s->loop, &s->ops->timer);
        op_end(s->ops, &(struct blob_result){ .status = BLOB_UNAVAILABLE, .text = "closed" });
    }
    while (fake.count) buf_done(&fake.objects[--fake.count]);
    return NULL;
}

static void on_due(struct loop_timer *t)
{
    struct op *op = (struct op *)t;
    struct blob_result r = { .status = BLOB_LOST, .text = "there is none" };
    if (op->put && !fake.down) {
        fake_blob_add(buf_bytes(&op->content));
        fake.puts++;
        r = (struct blob_result){ .status = BLOB_OK, .text = "" };
    }
    for (size_t i = 0; i < fake.count && !op->put; i++)
        if (blob_ref_matches(&op->ref, buf_bytes(&fake.objects[i])))
            r = (struct blob_result){ .status = BLOB_OK,
                                      .text = "",
                                      .data = buf_bytes(&fake.objects[i]) };
    if (fake.down) r = (struct blob_result){ .status = BLOB_UNAVAILABLE, .text = "it is down" };
    op_end(op, &r);
}

static void start(struct blob_store *s, bool put, const struct blob_ref *ref, struct bytes content,
                  blob_fn done, void *user)
{
    struct op *op = xcalloc(1, sizeof *op);
    *op = (struct op){ .timer = { .on_due = on_due, .user = op },
                       .next = s->ops,
                       .put = put,
                       .ref = *ref,
                       .done = done,
                       .user = user };
    buf_add(&op->content, content.data, content.len);
    s->ops = op;
    loop_arm(s->loop, &op->timer, 0);
}

void blob_put(struct blob_store *s, struct bytes run_id, const struct blob_ref *ref,
              struct bytes content, blob_fn done, void *user)
{
    (void)run_id;
    start(s, true, ref, content, done, user);
}

void blob_get(struct blob_store *s, struct bytes run_id, const struct blob_ref *ref, blob_fn done,
              void *user)
{
    (void)run_id;
    start(s, false, ref, (struct bytes){ .data = "" }, done, user);
}
