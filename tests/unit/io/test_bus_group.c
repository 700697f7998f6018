/* SPDX-License-Identifier: Apache-2.0
 *
 * Consumer groups on the mock cluster: credit, positions, rebalances, commits. A first assignment
 * takes the mock three seconds, so each test claims several things that belong together. */
#include "bus_fixture.h"

#include <stdlib.h>

#define PARTS 8

/* What one member of a group has and saw. */
struct member {
    struct bus_group *group;
    bool mine[PARTS];
    int64_t next[PARTS]; /* offset that must come next; -1: not to be delivered at all */
    int64_t begin;       /* on_assign reads from here, with this credit, unless hold is set */
    uint32_t credit;
    bool hold;
    int assigned, revoked, count, errors, left;
    int counts[PARTS];
    int *seen; /* by number: how often; may be NULL */
    enum err_kind kind;
    bool commit; /* commits each record */
    bool lost;   /* a partition was lost instead of given back */
    bool topup;  /* one more credit for each record */
};

static void on_assign(void *user, const char *topic, int32_t p)
{
    struct member *m = user;
    cr_assert(p < PARTS && !m->mine[p]);
    m->mine[p] = true;
    m->assigned++;
    m->next[p] = m->begin >= 0 ? m->begin : m->begin == BUS_START ? 0 : -2;
    if (!m->hold) bus_read(m->group, topic, p, m->begin, m->credit);
}

static void on_revoke(void *user, const char *topic, int32_t p, bool lost)
{
    struct member *m = user;
    (void)topic;
    m->lost |= lost;
    cr_assert(m->mine[p]);
    m->mine[p] = false;
    m->revoked++;
}

static void on_record(void *user, const struct bus_record *r)
{
    struct member *m = user;
    int32_t p = r->partition;
    cr_assert(m->mine[p], "a record of a partition that is not ours");
    cr_assert_neq(m->next[p], -1, "a record of %d that was not asked for: %d", (int)p,
                  (int)r->offset);
    if (m->next[p] >= 0)
        cr_assert_eq(r->offset, m->next[p], "offset %d of %d where %d was due", (int)r->offset,
                     (int)p, (int)m->next[p]);
    m->next[p] = r->offset + 1;
    m->count++;
    m->counts[p]++;
    if (m->seen) m->seen[number_of(r)]++;
    if (m->commit) bus_commit(m->group, r->topic, p, r->offset + 1);
    if (m->topup) bus_credit(m->group, r->topic, p, 1);
}

static void on_error(void *user, const char *topic, int32_t p, const struct err *e)
{
    struct member *m = user;
    (void)topic;
    (void)p;
    m->errors++;
    m->kind = e->kind;
}

static void on_left(void *user)
{
    ((struct member *)user)->left++;
}

static void join_topic(struct fixture *f, struct bus *bus, struct member *m, const char *group,
                       const char *topic)
{
    struct err e;
    (void)f;
    m->group = bus_join(bus,
                        &(struct bus_group_options){ .group = group,
                                                     .topics = &topic,
                                                     .topic_count = 1,
                                                     .on_assign = on_assign,
                                                     .on_revoke = on_revoke,
                                                     .on_record = on_record,
                                                     .on_error = on_error,
                                                     .user = m },
                        &e);
    cr_assert(m->group, "%s", e.text);
}

static void fill(struct fixture *f, int partitions, int per_partition)
{
    struct counter c = new_counter();
    for (int p = 0; p < partitions; p++) {
        send_numbers(f, &c, p, p * per_partition, per_partition);
        AWAIT(f, c.done == (p + 1) * per_partition);
    }
    cr_assert_eq(c.failed, 0);
}

Test(bus_group,
     nothing_comes_without_a_position_or_credit_and_nothing_is_lost_or_doubled_by_waiting)
{
    struct fixture f = fixture_open(2);
    fill(&f, 2, 3000);
    struct member m = { .hold = true };
    join_topic(&f, f.bus, &m, "g", TOPIC);
    AWAIT(&f, m.assigned == 2);
    cr_assert(bus_group_joined(m.group));
    cr_assert_eq(bus_group_assigned(m.group), 2);
    idle(&f, 100);
    cr_assert_eq(m.count, 0, "read before the caller said from where");
    m.next[0] = 10;
    bus_read(m.group, TOPIC, 0, 10, 100);
    AWAIT(&f, m.count == 100);
    idle(&f, 100);
    cr_assert_eq(m.count, 100, "read without credit");
    bus_credit(m.group, TOPIC, 0, 50);
    AWAIT(&f, m.count == 150);
    /* The other partition goes on while this one waits. */
    m.next[1] = 0;
    m.topup = true;
    bus_read(m.group, TOPIC, 1, BUS_START, 5);
    AWAIT(&f, m.counts[1] == 3000);
    cr_assert_eq(m.counts[0], 150);
    bus_credit(m.group, TOPIC, 0, 5);
    AWAIT(&f, m.counts[0] == 2990);
    /* Out of range is an error of that partition, after which it can be read elsewhere. */
    bus_read(m.group, TOPIC, 0, 99999, 10);
    AWAIT(&f, m.errors == 1);
    cr_assert_eq(m.kind, ERR_NOT_FOUND);
    m.next[0] = 2999;
    bus_read(m.group, TOPIC, 0, 2999, 10);
    AWAIT(&f, m.counts[0] == 2991);
    bus_leave(m.group, on_left, &m);
    AWAIT(&f, m.left == 1);
    cr_assert_eq(m.revoked, 2);
    fixture_close(&f);
}

Test(bus_group, moving_back_and_forth_under_load_never_delivers_a_record_of_the_old_position)
{
    struct fixture f = fixture_open(4);
    fill(&f, 4, 2000);
    struct member m = { .begin = BUS_START, .credit = 100, .topup = true };
    join_topic(&f, f.bus, &m, "g", TOPIC);
    AWAIT(&f, m.count > 500);
    struct counter c = new_counter();
    uint32_t state = 7;
    for (int round = 0; round < 300; round++) {
        state = state * 1664525U + 1013904223U;
        int32_t p = (int32_t)(state >> 30);
        int64_t offset = (state >> 8) % 2000;
        m.next[p] = offset; /* checked by on_record */
        bus_read(m.group, TOPIC, p, offset, 1 + (state >> 20) % 200);
        if (round % 10 == 0) send_numbers(&f, &c, p, 0, 5);
        if (round % 3 == 0) loop_turn(f.loop, 1);
        if (round % 50 == 0) idle(&f, 30);
    }
    /* At the end every partition is read to its end from where it stands. */
    AWAIT(&f, c.done == 150);
    for (int32_t p = 0; p < 4; p++) {
        m.next[p] = 1990;
        m.counts[p] = 0;
        bus_read(m.group, TOPIC, p, 1990, 10);
    }
    AWAIT(&f, m.counts[0] + m.counts[1] + m.counts[2] + m.counts[3] == 40 + 150);
    cr_assert_eq(m.errors, 0);
    fixture_close(&f);
}

Test(bus_group, commits_are_where_the_next_member_goes_on_and_none_means_the_start)
{
    struct fixture f = fixture_open(2);
    fill(&f, 1, 100);
    struct member a = { .begin = BUS_COMMITTED, .credit = 40, .commit = true };
    join_topic(&f, f.bus, &a, "g", TOPIC);
    AWAIT(&f, a.count == 40);
    cr_assert_eq(a.next[0], 40, "no committed offset: from the start");
    bus_leave(a.group, on_left, &a);
    AWAIT(&f, a.left == 1);
    struct member b = { .begin = BUS_COMMITTED, .credit = 1000, .commit = true };
    join_topic(&f, f.bus, &b, "g", TOPIC);
    AWAIT(&f, b.count == 60);
    cr_assert_eq(b.next[0], 100);
    idle(&f, 600); /* committed by the tick */
    f.bus = bus_close(f.bus);
    f.bus = open_bus(&f, 5000);
    struct counter c = new_counter();
    struct member d = { .begin = BUS_COMMITTED, .credit = 1000 };
    join_topic(&f, f.bus, &d, "g", TOPIC);
    AWAIT(&f, d.assigned == 2);
    send_numbers(&f, &c, 0, 100, 1);
    AWAIT(&f, d.count == 1);
    cr_assert_eq(d.next[0], 101);
    fixture_close(&f);
}

static int count_seen(const int *seen, int count)
{
    int sum = 0;
    for (int i = 0; i < count; i++) sum += seen[i] > 0;
    return sum;
}

Test(bus_group, two_members_share_the_partitions_without_losing_or_doubling_a_record)
{
    enum { TOTAL = 4000 };
    struct fixture f = fixture_open(4);
    int *seen = xcalloc(TOTAL, sizeof *seen);
    struct member a = { .begin = BUS_COMMITTED, .credit = 50, .topup = true, .commit = true };
    struct member b = a;
    a.seen = b.seen = seen;
    struct counter c = new_counter();
    join_topic(&f, f.bus, &a, "g", TOPIC);
    AWAIT(&f, a.assigned == 4);
    struct bus *other = open_bus(&f, 5000);
    join_topic(&f, other, &b, "g", TOPIC);
    int sent = 0;
    while (b.assigned < 2 || sent < TOTAL / 2) { /* load while the partitions move */
        if (sent < TOTAL / 2) send_numbers(&f, &c, sent % 4, sent, 1), sent++;
        loop_turn(f.loop, 2);
    }
    AWAIT(&f, a.assigned - a.revoked == 2 && b.assigned - b.revoked == 2);
    for (int p = 0; p < 4; p++) cr_assert(a.mine[p] != b.mine[p]);
    for (; sent < TOTAL; sent++) send_numbers(&f, &c, sent % 4, sent, 1);
    AWAIT(&f, c.done == TOTAL);
    AWAIT(&f, count_seen(seen, TOTAL) == TOTAL);
    cr_assert_gt(b.count, 0);
    /* What a member commits while a partition is taken from it is where the next one begins. */
    cr_assert_eq(a.count + b.count, TOTAL, "%d records came twice", a.count + b.count - TOTAL);
    cr_assert_not(a.lost || b.lost);
    /* One leaves: the other gets everything. */
    bus_leave(b.group, on_left, &b);
    AWAIT(&f, b.left == 1);
    AWAIT(&f, a.assigned - a.revoked == 4);
    send_numbers(&f, &c, 0, 0, 1);
    send_numbers(&f, &c, 3, 0, 1);
    int before = a.count;
    AWAIT(&f, a.count >= before + 2);
    bus_close(other);
    fixture_close(&f);
    free(seen);
}

Test(bus_group, a_regular_expression_takes_topics_that_match_and_topics_can_change)
{
    struct fixture f = fixture_open(1);
    struct err e;
    struct counter c = new_counter();
    cr_assert(bus_mock_topic(f.mock, "t.other", 1, &e));
    struct member m = { .begin = BUS_START, .credit = 10, .hold = true };
    join_topic(&f, f.bus, &m, "g", "^t\\.ev.*");
    AWAIT(&f, m.assigned == 1);
    send_numbers(&f, &c, 0, 0, 3);
    bus_read(m.group, TOPIC, 0, BUS_START, 10);
    AWAIT(&f, m.count == 3);
    const char *other = "t.other";
    cr_assert(bus_group_topics(m.group, &other, 1, &e));
    m.begin = -1;
    AWAIT(&f, m.revoked == 1 && m.assigned == 2);
    fixture_close(&f);
}

Test(bus_group, leaving_before_the_first_assignment_ends_well)
{
    struct fixture f = fixture_open(1);
    struct member m = { .begin = BUS_START, .credit = 10 }, n = m, o = m;
    join_topic(&f, f.bus, &m, "g", TOPIC);
    bus_leave(m.group, on_left, &m); /* at once */
    join_topic(&f, f.bus, &n, "h", TOPIC);
    idle(&f, 500); /* in the middle of joining */
    bus_leave(n.group, on_left, &n);
    AWAIT(&f, m.left == 1 && n.left == 1);
    cr_assert_eq(m.assigned + n.assigned, 0);
    join_topic(&f, f.bus, &o, "i", TOPIC);
    idle(&f, 500);
    uint64_t start = clock_mono_ms();
    f.bus = bus_close(f.bus);
    cr_assert_lt(clock_mono_ms() - start, 11000);
    fixture_close(&f);
}

Test(bus_group, brokers_that_go_and_come_back_leave_no_gap)
{
    struct fixture f = fixture_open(2);
    fill(&f, 2, 100);
    struct member m = { .begin = BUS_START, .credit = 10, .topup = true };
    join_topic(&f, f.bus, &m, "g", TOPIC);
    AWAIT(&f, m.count == 200);
    bus_mock_down(f.mock, true);
    idle(&f, 300);
    bus_mock_down(f.mock, false);
    struct counter c = new_counter();
    send_numbers(&f, &c, 0, 0, 10);
    send_numbers(&f, &c, 1, 0, 10);
    AWAIT(&f, c.done == 20);
    AWAIT(&f, m.count == 220);
    bus_mock_fail(f.mock, 1, 4, (const int[]){ 6, -195, 7, 3 });
    send_numbers(&f, &c, 0, 0, 10);
    AWAIT(&f, m.count == 230);
    cr_assert_eq(m.errors, 0);
    fixture_close(&f);
}

struct place {
    int64_t offset;
    char note[BUS_NOTE_MAX];
    int answers;
};

static void on_place(void *user, int64_t offset, const char *note, const struct err *e)
{
    struct place *place = user;
    cr_assert(e == NULL);
    place->offset = offset;
    memcpy(place->note, note, strlen(note) + 1);
    place->answers++;
}

Test(bus_group, a_commit_is_found_again_with_its_note)
{
    struct fixture f = fixture_open(2);
    fill(&f, 2, 10);
    struct member m = { .hold = true };
    join_topic(&f, f.bus, &m, "g", TOPIC);
    AWAIT(&f, m.assigned == 2);
    struct place place = { 0 };
    bus_committed(m.group, TOPIC, 0, on_place, &place);
    cr_assert_eq(place.answers, 0, "never inside the call");
    AWAIT(&f, place.answers == 1);
    cr_assert_eq(place.offset, -1);
    cr_assert_str_eq(place.note, "");
    bus_commit_noted(m.group, TOPIC, 0, 7, "results 3 17");
    bus_commit(m.group, TOPIC, 1, 8);
    uint64_t end = clock_mono_ms() + SOON_MS; /* commits are collected for a while */
    for (int asked = 1; place.offset != 7 && clock_mono_ms() < end; asked++) {
        bus_committed(m.group, TOPIC, 0, on_place, &place);
        AWAIT(&f, place.answers == 1 + asked);
    }
    cr_assert_eq(place.offset, 7);
    cr_assert_str_eq(place.note, "results 3 17");
    int before = place.answers;
    bus_committed(m.group, TOPIC, 1, on_place, &place);
    AWAIT(&f, place.answers > before);
    cr_assert_eq(place.offset, 8);
    cr_assert_str_eq(place.note, "");
    bus_leave(m.group, on_left, &m);
    AWAIT(&f, m.left == 1);
    fixture_close(&f);
}
