/* SPDX-License-Identifier: Apache-2.0
 *
 * Claim checks: what stands in place of a payload that lies in the payload store
 * (docs/payloads.md).
 *
 *     {"$blob":"<sha256 of the bytes, 64 hex>","size":<bytes>}
 *
 * A reference is a form of bytes, not of JSON: exactly these, without a space, in place of a whole
 * payload. What begins with {"$blob": and is no reference is an error. So a user's payload that
 * happens to begin so needs one space in front to be itself: the same JSON, and nothing has to take
 * the space away again. Whoever writes a user's payload where a reference may stand does it by
 * payload_add; a `$blob` deeper inside a payload is never looked at. */
#ifndef TUTTI_BLOB_REF_H
#define TUTTI_BLOB_REF_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/hash.h"

#define BLOB_BYTES_MAX (64 * 1024 * 1024) /* of one object */

struct blob_ref {
    char sha256[SHA256_HEX];
    uint64_t size;
};

/* The reference of these bytes. */
struct blob_ref blob_ref_of(struct bytes content);
/* Whether content is what the reference names. */
bool blob_ref_matches(const struct blob_ref *ref, struct bytes content);

/* Whether a stored payload is a reference (or means to be one: parse it). */
bool payload_is_ref(struct bytes payload);
/* Appends the reference's text. */
void blob_ref_add(struct buf *ret, const struct blob_ref *ref);
/* ERR_INVALID: not exactly the form above, or a size above BLOB_BYTES_MAX. */
MUST_CHECK bool blob_ref_parse(struct bytes payload, struct blob_ref *ret, struct err *e);
/* Appends a user's payload so that it cannot be taken for a reference. */
void payload_add(struct buf *ret, struct bytes payload);
/* A place that holds references and payloads and gives back the very bytes: what looks like a
 * reference behind any number of spaces is stored with one space more (payload_guarded says whether
 * it has to be), and payload_unguard takes that one off. */
bool payload_guarded(struct bytes payload);
struct bytes payload_unguard(struct bytes stored);

#endif
