/* SPDX-License-Identifier: Apache-2.0 */
#include "common/proto/blob_ref.h"

#define PREFIX   "{\"$blob\":"
#define DIGEST   (SHA256_HEX - 1)
#define SIZE_KEY "\",\"size\":"

struct blob_ref blob_ref_of(struct bytes content)
{
    struct blob_ref ref = { .size = content.len };
    sha256_hex(content, ref.sha256);
    return ref;
}

bool blob_ref_matches(const struct blob_ref *ref, struct bytes content)
{
    if (content.len != ref->size) return false;
    struct blob_ref found = blob_ref_of(content);
    return memcmp(found.sha256, ref->sha256, SHA256_HEX) == 0;
}

static bool begins(struct bytes text, const char *with)
{
    size_t len = strlen(with);
    return text.len >= len && memcmp(text.data, with, len) == 0;
}

static void skip(struct bytes *text, size_t len)
{
    text->data += len;
    text->len -= len;
}

bool payload_is_ref(struct bytes payload)
{
    return begins(payload, PREFIX);
}

void blob_ref_add(struct buf *ret, const struct blob_ref *ref)
{
    buf_addf(ret, PREFIX "\"%s" SIZE_KEY "%llu}", ref->sha256, (unsigned long long)ref->size);
}

static bool take_digest(struct bytes *text, char ret[SHA256_HEX])
{
    if (text->len < DIGEST) return false;
    for (size_t i = 0; i < DIGEST; i++) {
        char c = text->data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
        ret[i] = c;
    }
    ret[DIGEST] = '\0';
    skip(text, DIGEST);
    return true;
}

static bool take_size(struct bytes *text, uint64_t *ret)
{
    if (text->len == 0 || (text->data[0] == '0' && text->len > 1 && text->data[1] != '}'))
        return false;
    size_t digits = 0;
    for (*ret = 0; digits < text->len && *ret <= BLOB_BYTES_MAX; digits++) {
        char c = text->data[digits];
        if (c < '0' || c > '9') break;
        *ret = *ret * 10 + (uint64_t)(c - '0');
    }
    skip(text, digits);
    return digits > 0 && *ret <= BLOB_BYTES_MAX;
}

bool blob_ref_parse(struct bytes payload, struct blob_ref *ret, struct err *e)
{
    struct bytes rest = payload;
    struct blob_ref ref;
    if (!begins(rest, PREFIX "\""))
        return err_fail(e, ERR_INVALID, "claim check: does not begin with " PREFIX "\"");
    skip(&rest, strlen(PREFIX "\""));
    if (!take_digest(&rest, ref.sha256) || !begins(rest, SIZE_KEY))
        return err_fail(e, ERR_INVALID, "claim check: $blob is not 64 digits of lower-case hex");
    skip(&rest, strlen(SIZE_KEY));
    if (!take_size(&rest, &ref.size))
        return err_fail(e, ERR_INVALID, "claim check: size is not a number up to %d",
                        BLOB_BYTES_MAX);
    if (!bytes_is(rest, "}"))
        return err_fail(e, ERR_INVALID, "claim check: something stands behind the size");
    *ret = ref;
    return true;
}

void payload_add(struct buf *ret, struct bytes payload)
{
    if (payload_is_ref(payload)) buf_add_char(ret, ' ');
    buf_add(ret, payload.data, payload.len);
}

bool payload_guarded(struct bytes payload)
{
    if (payload.len == 0 || (payload.data[0] != ' ' && payload.data[0] != '{')) return false;
    while (payload.len && payload.data[0] == ' ') skip(&payload, 1);
    return payload_is_ref(payload);
}

struct bytes payload_unguard(struct bytes stored)
{
    if (stored.len == 0 || stored.data[0] != ' ' || !payload_guarded(stored)) return stored;
    skip(&stored, 1);
    return stored;
}
