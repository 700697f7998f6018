/* SPDX-License-Identifier: Apache-2.0
 *
 * Names in Redis and Kafka are a public format: these are spelled out. */
#include <criterion/criterion.h>

#include "common/proto/keys.h"

#define RUN "0123456789abcdef-0123456789abcdef01234567"

Test(keys, names_are_what_the_documentation_says)
{
    AUTO_BUF struct buf b = { 0 };
    key_partition(&b, "tutti", 3);
    buf_add_char(&b, ' ');
    key_timers(&b, "tutti", 3);
    buf_add_char(&b, ' ');
    key_finished(&b, "tutti", 3);
    buf_add_char(&b, ' ');
    key_run(&b, "tutti", 3, BYTES_LIT(RUN));
    buf_add_char(&b, ' ');
    key_start(&b, "tutti", 3, BYTES_LIT("0123456789abcdef"));
    buf_add_char(&b, ' ');
    key_marks(&b, "tutti", 3, BYTES_LIT("00ff"));
    cr_assert_str_eq(b.data, "tutti:p:{3} tutti:tm:{3} tutti:fin:{3} tutti:run:{3}:" RUN
                             " tutti:key:{3}:0123456789abcdef tutti:tk:{3}:00ff");
    buf_reset(&b);
    key_breaker(&b, "acme.prod", BYTES_LIT("model:default"));
    buf_add_char(&b, ' ');
    key_sys(&b, "acme.prod");
    cr_assert_str_eq(b.data, "acme.prod:cb:model:default acme.prod:sys");
    buf_reset(&b);
    topic_name(&b, "tutti", "events");
    buf_add_char(&b, ' ');
    topic_tasks(&b, "tutti", "urgent", PRIORITY_NORMAL);
    cr_assert_str_eq(b.data, "tutti.events tutti.tasks.urgent");
    cr_assert_eq(topic_priority("tutti.tasks.urgent.high"), PRIORITY_NORMAL, "a queue's name");
    for (unsigned p = 0; p < PRIORITY_COUNT; p++) {
        buf_reset(&b);
        topic_tasks(&b, "tutti", "urgent", (enum priority)p);
        cr_assert_eq(topic_priority(b.data), (enum priority)p);
    }
}

Test(keys, a_generation_changes_with_the_server_and_with_its_partition)
{
    char g[GENERATION_MAX];
    generation_make(g, "0123456789abcdef0123456789abcdef01234567", BYTES_LIT("aaaabbbbcccc"));
    cr_assert_str_eq(g, "0123456789ab-aaaabbbbcccc");
    generation_make(g, "f123456789abcdef0123456789abcdef01234567", BYTES_LIT("aaaabbbbcccc"));
    cr_assert_str_eq(g, "f123456789ab-aaaabbbbcccc");
    generation_make(g, "0123456789abcdef0123456789abcdef01234567", BYTES_LIT("aaaabbbbcccd"));
    cr_assert_str_eq(g, "0123456789ab-aaaabbbbcccd");
}

Test(keys, a_generation_without_one_of_its_parts_still_fits)
{
    char g[GENERATION_MAX];
    generation_make(g, "", (struct bytes){ 0 });
    cr_assert_str_eq(g, "-");
    generation_make(g, "short", BYTES_LIT("a value that is longer than it may be"));
    cr_assert_str_eq(g, "short-a value that");
}
