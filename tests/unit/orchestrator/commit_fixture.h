/* SPDX-License-Identifier: Apache-2.0
 *
 * Commits to a Redis of the test's own, put together by hand. */
#ifndef TUTTI_TEST_COMMIT_FIXTURE_H
#define TUTTI_TEST_COMMIT_FIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>

#include "orchestrator/internal.h"
#include "tests/redis/ask.h"

extern const char script_mark[];

struct commit {
    struct shard shard;
    struct partition part;
    struct batch *b;
    char answer[40];
    bool answered;
};

/* Adds the words of a line. */
static inline void words(struct args *args, const char *line)
{
    for (const char *at = line; *at; at += at[strcspn(at, " ")] == ' ') {
        size_t len = strcspn(at, " ");
        args_add(args, (struct bytes){ at, len });
        at += len;
    }
}

/* One that moves the place from one offset to another; recovered: and ends a replay. */
static inline void commit_begin(struct commit *c, int64_t epoch, int64_t from, int64_t to,
                                bool recovered)
{
    *c = (struct commit){ .part = { .epoch = epoch } };
    struct err e;
    c->shard.scripts[SCRIPT_MARK].source = script_mark;
    c->shard.loop = loop_new(&e);
    cr_assert_not_null(c->shard.loop);
    c->part.shard = &c->shard;
    struct batch *b = c->b = batch_new(&c->part, from);
    c->part.batches = b;
    b->to = to;
    b->ends_replay = recovered;
    words(&b->fixed_keys, "p tm fin");
    words(&b->place, "epoch");
    args_add_int(&b->place, epoch);
    words(&b->place, "off");
    args_add_int(&b->place, to);
}

/* What becomes of a run: names and values, then names that are deleted. */
static inline void commit_run(struct commit *c, const char *key, size_t sets, size_t deletes,
                              const char *line)
{
    struct batch *b = c->b;
    b->writes = xrealloc(b->writes, (b->run_keys.count + 1) * sizeof *b->writes);
    b->write_cap = b->run_keys.count + 1;
    b->writes[b->run_keys.count] =
        (struct run_write){ .sets = sets, .deletes = deletes, .gone = !line };
    words(&b->run_keys, key);
    if (line) words(&b->run_values, line);
}

static inline void commit_answered(void *user, enum guard_result result, struct bytes why)
{
    static const char *const results[] = { "OK", "", "changed", "refused", "torn", "lost" };
    static const char *const verdicts[] = { "OK", "DUP", "RELOAD", "FENCED" };
    struct commit *c = user;
    (void)why;
    if (result == GUARD_DECLINED)
        snprintf(c->answer, sizeof c->answer, "%s %lld", verdicts[c->b->verdict],
                 (long long)c->b->found_epoch);
    else
        snprintf(c->answer, sizeof c->answer, "%s", results[result]);
    c->answered = true;
}

static inline bool commit_decide(void *user, const struct bytes *values,
                                 struct command_list *commands)
{
    return batch_decide(((struct commit *)user)->b, values, commands);
}

static inline bool commit_is_answered(void *user)
{
    return ((struct commit *)user)->answered;
}

/* Asks; it can be asked again. -> OK, or DUP | RELOAD | FENCED and the epoch that Redis holds. */
static inline const char *commit_ask(struct commit *c, struct redis *r)
{
    static const struct bytes fields[] = {
        { "epoch", 5 }, { "off", 3 }, { "replay_until", 12 }, { "rebuild", 7 }
    };
    struct batch *b = c->b;
    struct guards *guards = guards_new(r->store);
    c->answered = false;
    args_done(&b->mark_count);
    args_done(&b->fin_delta);
    args_add_int(&b->mark_count, (int64_t)b->mark_keys.count);
    args_add_int(&b->fin_delta, b->fin_bytes);
    guard_submit(guards, &(struct guarded){ .key = BYTES_LIT("p"),
                                            .fields = fields,
                                            .field_count = ARRAY_LEN(fields),
                                            .decide = commit_decide,
                                            .done = commit_answered,
                                            .user = c });
    cr_assert(loop_run_until(r->loop, commit_is_answered, c, 20000));
    guards_free(guards);
    return c->answer;
}

static inline void commit_end(struct commit *c)
{
    c->b->key_count = 0;
    batch_free(c->b);
    loop_free(c->shard.loop);
}

/* One that changes nothing but the place. */
static inline const char *commit_place(struct redis *r, int64_t epoch, int64_t from, int64_t to,
                                       bool recovered)
{
    static char answer[40];
    struct commit c;
    commit_begin(&c, epoch, from, to, recovered);
    snprintf(answer, sizeof answer, "%s", commit_ask(&c, r));
    commit_end(&c);
    return answer;
}

#endif
