/* SPDX-License-Identifier: Apache-2.0
 *
 * Hashes: SHA-256 for content and identities, Kafka's murmur2 for partitions, FNV-1a for tables in
 * memory.
 */
#ifndef TUTTI_HASH_H
#define TUTTI_HASH_H

#include "common/base/buf.h"

#define SHA256_BYTES 32
#define SHA256_HEX   65 /* with the NUL */
#define SHA1_HEX     41

void sha256(struct bytes data, unsigned char ret[SHA256_BYTES]);
void sha256_hex(struct bytes data, char ret[SHA256_HEX]);
void sha1_hex(struct bytes data, char ret[SHA1_HEX]); /* EVALSHA only */

void hmac_sha256(struct bytes key, struct bytes data, unsigned char ret[SHA256_BYTES]);

/* Kafka's default partitioner: murmur2 of the key with the sign bit cleared, modulo count. */
uint32_t murmur2(struct bytes key);
int32_t partition_of(struct bytes key, int32_t count);

/* For tables in memory, 64 bit. Not for untrusted keys that an attacker could choose to collide in
 * bulk. */
uint64_t hash_bytes(struct bytes data);

/* Lower-case hex of len bytes into ret, which holds 2 * len + 1. */
void hex_encode(const unsigned char *data, size_t len, char *ret);
/* Whether all of it is lower-case hex. */
bool hex_check(struct bytes text);
/* Base64 with padding (RFC 4648, 4): appended to ret. Decoding is false for what is none. */
void base64_encode(struct bytes data, struct buf *ret);
MUST_CHECK bool base64_decode(struct bytes text, struct buf *ret);

#endif
