/* SPDX-License-Identifier: Apache-2.0 */
#include "common/proto/blob_ref.h"

#include <criterion/criterion.h>

#include "common/base/json.h"

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

Test(blob_ref, names_the_bytes_and_comes_back_from_its_text)
{
    struct blob_ref ref = blob_ref_of(BYTES_LIT("abc")), back;
    AUTO_BUF struct buf text = { 0 };
    blob_ref_add(&text, &ref);
    cr_assert_str_eq(text.data, "{\"$blob\":\"" ABC "\",\"size\":3}");
    struct err e;
    cr_assert(blob_ref_parse(buf_bytes(&text), &back, &e));
    cr_assert_str_eq(back.sha256, ABC);
    cr_assert_eq(back.size, 3);
    cr_assert(blob_ref_matches(&back, BYTES_LIT("abc")));
    cr_assert_not(blob_ref_matches(&back, BYTES_LIT("abd")));
    cr_assert_not(blob_ref_matches(&back, BYTES_LIT("abcd")));
}

Test(blob_ref, takes_nothing_but_the_exact_form)
{
    static const char *const broken[] = {
        "",
        "{\"$blob\":",
        "{\"$blob\":\"",
        "{\"$blob\":null}",
        "{\"$blob\":\"abc\",\"size\":3}",
        "{\"$blob\":\"" ABC "\"}",
        "{\"$blob\":\"" ABC "\",\"size\":}",
        "{\"$blob\":\"" ABC "\",\"size\":-3}",
        "{\"$blob\":\"" ABC "\",\"size\":03}",
        "{\"$blob\":\"" ABC "\",\"size\":3",
        "{\"$blob\":\"" ABC "\",\"size\":3,\"x\":1}",
        "{\"$blob\":\"" ABC "\",\"size\":3} ",
        "{\"$blob\": \"" ABC "\",\"size\":3}",
        "{\"$blob\":\"../../../../../../etc/passwd/"
        "5dae2223b00361a396177a9cb410ff61f2\",\"size\":3}",
        "{\"$blob\":\"" ABC "\",\"size\":99999999999999999999999999}",
    };
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        struct blob_ref ref;
        struct err e = { 0 };
        cr_assert_not(blob_ref_parse(bytes_of(broken[i]), &ref, &e), "%s", broken[i]);
        cr_assert_eq(e.kind, ERR_INVALID);
    }
}

Test(blob_ref, a_users_payload_that_looks_like_one_stays_the_users)
{
    struct bytes mine = BYTES_LIT("{\"$blob\":\"" ABC "\",\"size\":3}");
    AUTO_BUF struct buf stored = { 0 };
    payload_add(&stored, mine);
    cr_assert_not(payload_is_ref(buf_bytes(&stored)));
    struct err e;
    AUTO_JSON *was = json_parse(mine, &e), *is = json_parse(buf_bytes(&stored), &e);
    cr_assert(json_same(was, is));
    buf_reset(&stored);
    payload_add(&stored, BYTES_LIT("[1]"));
    cr_assert_str_eq(stored.data, "[1]");
}

Test(blob_ref, what_is_guarded_comes_back_as_the_very_bytes)
{
    const char *const payloads[] = { "{\"$blob\":\"" ABC "\",\"size\":3}",
                                     " {\"$blob\":1}",
                                     "   {\"$blob\":\"x",
                                     "{\"$blo",
                                     " 1",
                                     " {\"other\":1}",
                                     "",
                                     "\"$blob\"" };
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
        struct bytes mine = bytes_of(payloads[i]);
        AUTO_BUF struct buf stored = { 0 };
        if (payload_guarded(mine)) buf_add_char(&stored, ' ');
        buf_add(&stored, mine.data, mine.len);
        cr_assert_not(payload_is_ref(buf_bytes(&stored)), "%s", payloads[i]);
        cr_assert(bytes_equal(payload_unguard(buf_bytes(&stored)), mine), "%s", payloads[i]);
    }
}
