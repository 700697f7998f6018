/* SPDX-License-Identifier: Apache-2.0
 *
 * The heap of due times against a plain array that is searched from end to end, and the lists of
 * script arguments. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/internal.h"
#include "tests/unit/base/prng.h"

#define IDS        300
#define OPERATIONS 20000

/* What the heap should hold: a due time for each id, -1 for none. */
struct model {
    struct timers timers;
    int64_t due_ms[IDS];
    size_t count;
};

/* timers_set reads all of the room that an id may take. */
static const char *id_of(size_t i)
{
    static char id[RUN_ID_MAX];
    memset(id, 0, sizeof id);
    snprintf(id, sizeof id, "run-%zu", i);
    return id;
}

static void model_set(struct model *m, size_t i, int64_t due_ms)
{
    struct due *due = timers_set(&m->timers, id_of(i), due_ms);
    cr_assert_str_eq(due->id, id_of(i));
    cr_assert_eq(due->due_ms, due_ms);
    m->count += m->due_ms[i] < 0;
    m->due_ms[i] = due_ms;
}

static void model_remove(struct model *m, size_t i)
{
    timers_remove(&m->timers, id_of(i));
    m->count -= m->due_ms[i] >= 0;
    m->due_ms[i] = -1;
}

/* The first is one of the earliest, whichever of equals. */
static void model_check_first(const struct model *m)
{
    const struct due *first = timers_first(&m->timers);
    cr_assert_eq(m->timers.count, m->count);
    cr_assert_eq(first == NULL, m->count == 0);
    if (!first) return;
    size_t named = IDS;
    for (size_t i = 0; i < IDS; i++) {
        if (strcmp(first->id, id_of(i)) == 0) named = i;
        cr_assert(m->due_ms[i] < 0 || m->due_ms[i] >= first->due_ms, "%zu is due earlier", i);
    }
    cr_assert(named < IDS);
    cr_assert_eq(m->due_ms[named], first->due_ms);
}

static void model_check_find(const struct model *m, size_t i)
{
    const struct due *due = timers_find(&m->timers, id_of(i));
    cr_assert_eq(due == NULL, m->due_ms[i] < 0);
    if (due) cr_assert_eq(due->due_ms, m->due_ms[i]);
}

static void model_init(struct model *m)
{
    *m = (struct model){ 0 };
    for (size_t i = 0; i < IDS; i++) m->due_ms[i] = -1;
}

Test(timers, the_first_is_the_earliest_after_any_mix_of_sets_moves_and_removals)
{
    struct model m;
    model_init(&m);
    uint64_t seed = 0x7e57;
    for (size_t n = 0; n < OPERATIONS; n++) {
        size_t i = prng_below(&seed, IDS);
        /* Times are few, so that many are equal; filling and emptying take turns. */
        if (prng_below(&seed, 10) < (n / 2000 % 2 ? 3U : 7U))
            model_set(&m, i, (int64_t)prng_below(&seed, 100));
        else
            model_remove(&m, i);
        model_check_first(&m);
        model_check_find(&m, prng_below(&seed, IDS));
    }
    timers_done(&m.timers);
}

Test(timers, taking_the_first_again_and_again_gives_all_of_them_in_order)
{
    struct model m;
    model_init(&m);
    uint64_t seed = 0xdead;
    for (size_t i = 0; i < IDS; i++) model_set(&m, i, (int64_t)prng_next(&seed) & INT64_MAX);
    int64_t before = 0;
    size_t taken = 0;
    for (struct due *first; (first = timers_first(&m.timers)); taken++) {
        cr_assert_geq(first->due_ms, before);
        before = first->due_ms;
        timers_remove(&m.timers, first->id);
    }
    cr_assert_eq(taken, IDS);
    timers_done(&m.timers);
}

Test(timers, a_move_keeps_what_is_known_of_the_index)
{
    struct timers t = { 0 };
    struct due *due = timers_set(&t, id_of(1), 50);
    due->stored = true;
    due->stored_ms = 50;
    timers_set(&t, id_of(2), 40);
    cr_assert_eq(timers_set(&t, id_of(1), 10), due);
    cr_assert_eq(timers_first(&t), due);
    cr_assert(due->stored && due->stored_ms == 50);
    timers_remove(&t, id_of(1));
    cr_assert_not(timers_set(&t, id_of(1), 10)->stored, "a new one is in no index");
    timers_done(&t);
}

Test(timers, an_empty_heap_has_no_first_and_removing_nothing_is_harmless)
{
    struct timers t = { 0 };
    cr_assert_null(timers_first(&t));
    cr_assert_null(timers_find(&t, id_of(1)));
    timers_remove(&t, id_of(1));
    timers_set(&t, id_of(1), 1);
    timers_remove(&t, id_of(2));
    cr_assert_not_null(timers_first(&t));
    timers_done(&t);
    cr_assert_null(timers_first(&t));
    timers_done(&t);
}

/* --- arguments of scripts --- */

static void check_views(const struct args *a, const char *const *expected, size_t count)
{
    AUTO_FREE struct bytes *views = args_views(a);
    cr_assert_eq(a->count, count);
    for (size_t i = 0; i < count; i++)
        cr_assert(bytes_is(views[i], expected[i]), "%zu: %.*s, not %s", i, (int)views[i].len,
                  views[i].data, expected[i]);
}
#define CHECK_VIEWS(a, ...)                                             \
    do {                                                                \
        static const char *const expected[] = { __VA_ARGS__ };          \
        check_views((a), expected, sizeof expected / sizeof *expected); \
    } while (0)

Test(args, empty_values_keep_their_places)
{
    struct args a = { 0 };
    args_add(&a, bytes_of(""));
    args_add(&a, bytes_of("one"));
    args_add(&a, (struct bytes){ 0 });
    args_add(&a, bytes_of(""));
    args_add_int(&a, -17);
    args_add(&a, bytes_of(""));
    CHECK_VIEWS(&a, "", "one", "", "", "-17", "");
    args_done(&a);
}

Test(args, a_list_of_nothing_but_empty_values_is_as_long_as_it_is)
{
    struct args a = { 0 };
    args_add(&a, bytes_of(""));
    args_add(&a, (struct bytes){ 0 });
    CHECK_VIEWS(&a, "", "");
    args_done(&a);
}

Test(args, values_are_binary)
{
    struct args a = { 0 };
    static const char raw[] = { 'a', '\0', '\xff', '\r', '\n' };
    args_add(&a, (struct bytes){ raw, sizeof raw });
    args_add(&a, bytes_of("b"));
    AUTO_FREE struct bytes *views = args_views(&a);
    cr_assert(bytes_equal(views[0], (struct bytes){ raw, sizeof raw }));
    cr_assert(bytes_is(views[1], "b"));
    args_done(&a);
}

Test(args, an_appended_list_follows_and_stays_as_it_was)
{
    struct args a = { 0 }, more = { 0 }, none = { 0 };
    args_append(&a, &none);
    cr_assert_eq(a.count, 0);
    args_add(&more, bytes_of("x"));
    args_add(&more, bytes_of(""));
    args_append(&a, &more);
    CHECK_VIEWS(&a, "x", "");
    args_add(&a, bytes_of("between"));
    args_append(&a, &none);
    args_append(&a, &more);
    CHECK_VIEWS(&a, "x", "", "between", "x", "");
    CHECK_VIEWS(&more, "x", "");
    args_done(&a);
    args_done(&more);
}

Test(args, a_list_that_is_done_is_empty_and_usable)
{
    struct args a = { 0 };
    args_add(&a, bytes_of("old"));
    args_done(&a);
    cr_assert_eq(a.count, 0);
    args_add(&a, bytes_of("new"));
    CHECK_VIEWS(&a, "new");
    args_done(&a);
}

Test(args, many_entries_survive_growth_and_repeated_appending)
{
    enum { EACH = 5000, TIMES = 7 };
    struct args part = { 0 }, whole = { 0 };
    for (int64_t i = 0; i < EACH; i++) {
        if (i % 3 == 0)
            args_add(&part, bytes_of(""));
        else
            args_add_int(&part, i);
    }
    for (size_t i = 0; i < TIMES; i++) {
        args_append(&whole, &part);
        args_add(&whole, bytes_of("end"));
    }
    AUTO_FREE struct bytes *views = args_views(&whole);
    cr_assert_eq(whole.count, (EACH + 1) * TIMES);
    for (size_t i = 0; i < whole.count; i++) {
        size_t at = i % (EACH + 1);
        char expected[24] = "";
        if (at == EACH)
            snprintf(expected, sizeof expected, "end");
        else if (at % 3)
            snprintf(expected, sizeof expected, "%zu", at);
        cr_assert(bytes_is(views[i], expected), "entry %zu", i);
    }
    args_done(&whole);
    args_done(&part);
}
