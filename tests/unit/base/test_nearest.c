/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/nearest.h"

#include <criterion/criterion.h>

static void expect_hint(const char *wanted, const char *const *names, const char *want)
{
    char text[NEAREST_TEXT_MAX];
    struct nearest n = { .wanted = wanted };
    for (; *names; names++) nearest_offer(&n, *names);
    nearest_text(&n, text);
    cr_expect_str_eq(text, want, "%s:%s", wanted, text);
}

Test(nearest, the_nearest_comes_first_and_three_are_shown)
{
    static const char *const names[] = { "topics", "tropic", "optic", "topic", "other", NULL };
    expect_hint("topic", names, " (did you mean topic, topics, tropic?)");
    expect_hint("input", names, "");
    static const char *const none[] = { NULL };
    expect_hint("a", none, "");
}

Test(nearest, what_shares_no_letter_is_not_near)
{
    static const char *const names[] = { "xy", "z", NULL };
    expect_hint("ab", names, "");
    expect_hint("a", names, "");
}

Test(nearest, long_names_are_no_hint)
{
    static const char *const names[] = {
        "a0123456789012345678901234567890123456789012345678901234567890123456789", NULL
    };
    expect_hint("b0123456789012345678901234567890123456789012345678901234567890123456789", names,
                "");
}
