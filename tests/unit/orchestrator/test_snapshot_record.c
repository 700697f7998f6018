/* SPDX-License-Identifier: Apache-2.0
 *
 * The records of the topic `snapshots`: what a key names, and what is none of ours. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "orchestrator/snapshot.h"

#define RUN "0123456789abcdef-0123456789abcdef01234567"

static struct snapshot_key parsed(const char *text)
{
    struct snapshot_key key;
    cr_assert(snapshot_key_parse(bytes_of(text), &key), "%s", text);
    return key;
}

Test(snapshot_key, it_names_a_run_and_its_writer)
{
    struct snapshot_key key = parsed(RUN "/17");
    cr_assert_str_eq(key.id, RUN);
    cr_assert(key.epoch == 17 && key.off == -1 && key.chunk == 0);
}

Test(snapshot_key, a_chunk_names_its_offset_and_number_too)
{
    struct snapshot_key key = parsed(RUN "/17/4000000000/3");
    cr_assert(key.epoch == 17 && key.off == 4000000000 && key.chunk == 3);
}

Test(snapshot_key, floors_and_quarantines_have_names_of_their_own)
{
    cr_assert_str_eq(parsed("floor/5").id, SNAPSHOT_FLOOR);
    cr_assert_eq(parsed("quarantine/99").epoch, 99);
}

Test(snapshot_key, what_is_made_is_read_again)
{
    AUTO_BUF struct buf b = { 0 };
    snapshot_key_make(&b, RUN, 7, 90, 1, 0);
    cr_assert_str_eq(b.data, RUN "/7");
    buf_reset(&b);
    snapshot_key_make(&b, RUN, 7, 90, 3, 2);
    struct snapshot_key key = parsed(b.data);
    cr_assert(key.epoch == 7 && key.off == 90 && key.chunk == 2);
}

Test(snapshot_key, nothing_else_is_a_key)
{
    static const char *const others[] = { "",        "/",          RUN,          RUN "/",
                                          RUN "/x",  RUN "/1/",    RUN "/1/2",   RUN "/1/2/3/4",
                                          "run/1",   RUN "/-1",    "floor/1/2/", "floors/1",
                                          RUN "0/1", RUN "/1/2/3x" };
    struct snapshot_key key;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        cr_assert_not(snapshot_key_parse(bytes_of(others[i]), &key), "%s", others[i]);
}

static struct bus_record record(const char *key, const char *value,
                                const struct bus_extra_header *extra, size_t count)
{
    return (struct bus_record){
        .message = { .key = bytes_of(key), .value = value ? bytes_of(value) : (struct bytes){ 0 } },
        .extra = extra,
        .extra_count = count
    };
}

Test(snapshot_record, a_null_is_a_tombstone)
{
    struct snapshot_record rec;
    struct bus_record r = record(RUN "/3", NULL, NULL, 0);
    cr_assert(snapshot_parse(&r, &rec));
    cr_assert(rec.chunks == 0 && rec.key.epoch == 3);
}

Test(snapshot_record, it_says_what_it_stands_for_and_whether_it_is_whole)
{
    const struct bus_extra_header whole[] = { { "off", BYTES_LIT("40") },
                                              { "chunks", BYTES_LIT("1") } };
    const struct bus_extra_header piece[] = { { "off", BYTES_LIT("40") },
                                              { "chunks", BYTES_LIT("2") } };
    struct snapshot_record rec;
    struct bus_record r = record(RUN "/3", "x", whole, 2);
    cr_assert(snapshot_parse(&r, &rec) && rec.off == 40 && rec.chunks == 1);
    r = record(RUN "/3/40/1", "x", piece, 2);
    cr_assert(snapshot_parse(&r, &rec) && rec.chunks == 2 && rec.key.chunk == 1);
    r = record(RUN "/3/41/1", "x", piece, 2);
    cr_assert_not(snapshot_parse(&r, &rec), "its key is of another offset");
    r = record(RUN "/3/40/2", "x", piece, 2);
    cr_assert_not(snapshot_parse(&r, &rec), "there is no third chunk");
    r = record(RUN "/3", "x", piece, 2);
    cr_assert_not(snapshot_parse(&r, &rec), "a piece under the key of a whole");
    const struct bus_extra_header odd[] = { { "off", BYTES_LIT("40/1") },
                                            { "chunks", BYTES_LIT("1") } };
    r = record(RUN "/3", "x", odd, 2);
    cr_assert_not(snapshot_parse(&r, &rec), "its offset is no number");
    r = record(RUN "/3", "x", whole, 1);
    cr_assert_not(snapshot_parse(&r, &rec), "of how many is not said");
}

Test(snapshot_value, fields_come_back_as_they_were)
{
    AUTO_BUF struct buf b = { 0 };
    snapshot_encode_field(&b, BYTES_LIT("s"), BYTES_LIT("[1,\n2]"));
    snapshot_encode_field(&b, BYTES_LIT("o:a b"), BYTES_LIT(""));
    snapshot_encode_field(&b, BYTES_LIT("i"), (struct bytes){ "a\0b", 3 });
    AUTO_FREE struct field *fields = NULL;
    size_t count;
    cr_assert(snapshot_decode(buf_bytes(&b), &fields, &count));
    cr_assert_eq(count, 3);
    cr_assert(bytes_is(fields[0].value, "[1,\n2]") && bytes_is(fields[1].name, "o:a b"));
    cr_assert(fields[1].value.data && fields[1].value.len == 0);
    cr_assert(fields[2].value.len == 3 && memcmp(fields[2].value.data, "a\0b", 3) == 0);
}

Test(snapshot_value, damage_is_refused)
{
    static const char *const damaged[] = {
        "1", "1 1", "1 1\n", "1 1\na", "x 1\nab", "1 9\nab", "99999999999999 1\nab", "1 1\nab1 1\na"
    };
    for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
        struct field *fields = NULL;
        size_t count;
        cr_assert_not(snapshot_decode(bytes_of(damaged[i]), &fields, &count), "%s", damaged[i]);
    }
}

Test(snapshot_entry, it_is_read_again_and_tells_one_skeleton_from_another)
{
    char text[SNAPSHOT_ENTRY_MAX], other[SNAPSHOT_ENTRY_MAX];
    struct snapshot_entry entry, changed;
    snapshot_entry_make(text, 9, 1234567890123, 4, BYTES_LIT("[1,2]"));
    snapshot_entry_make(other, 9, 1234567890123, 4, BYTES_LIT("[1,3]"));
    cr_assert(snapshot_entry_parse(bytes_of(text), &entry));
    cr_assert(entry.epoch == 9 && entry.off == 1234567890123 && entry.chunks == 4);
    cr_assert(snapshot_entry_parse(bytes_of(other), &changed));
    cr_assert_str_neq(entry.hash, changed.hash);
    cr_assert_not(snapshot_entry_parse(BYTES_LIT(""), &entry));
}

/* Tombstones are sent for as many chunks as an entry says that there are. */
Test(snapshot_entry, damage_is_refused)
{
    static const char *const damaged[] = { "",
                                           "1 2",
                                           "1 2 3",
                                           "1 2 3 ",
                                           "1 2 3 ab",
                                           "1 2 0 0123456789abcdef",
                                           "1 2 -1 0123456789abcdef",
                                           "-1 2 3 0123456789abcdef",
                                           "1 2 4000000000 0123456789abcdef",
                                           "1 2 3 0123456789abcdef0",
                                           " 1 2 3 0123456789abcdef",
                                           "1 99999999999999999999 3 0123456789abcdef" };
    struct snapshot_entry entry;
    cr_assert(snapshot_entry_parse(BYTES_LIT("1 2 3 0123456789abcdef"), &entry));
    for (size_t i = 0; i < ARRAY_LEN(damaged); i++)
        cr_assert_not(snapshot_entry_parse(bytes_of(damaged[i]), &entry), "%s", damaged[i]);
}
