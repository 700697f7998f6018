/* SPDX-License-Identifier: Apache-2.0
 *
 * The hashes of OpenSSL by the functions that version 3 calls deprecated: its new ones look for the
 * algorithm by name each time, which costs several times the hash of an id. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "common/base/hash.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

static_assert(SHA256_BYTES == SHA256_DIGEST_LENGTH, "one size of SHA-256");

void sha256(struct bytes data, unsigned char ret[SHA256_BYTES])
{
    SHA256_CTX c;
    (void)SHA256_Init(&c);
    (void)SHA256_Update(&c, data.data, data.len);
    (void)SHA256_Final(ret, &c);
}

void hex_encode(const unsigned char *data, size_t len, char *ret)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        ret[2 * i] = digits[data[i] >> 4];
        ret[2 * i + 1] = digits[data[i] & 15];
    }
    ret[2 * len] = '\0';
}

/* Without a branch on a digit: in a hash nobody can foresee which it is. */
bool hex_check(struct bytes text)
{
    unsigned bad = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned c = (unsigned char)text.data[i];
        bad |= (c - '0' > 9U) & (c - 'a' > 5U);
    }
    return !bad;
}

void sha256_hex(struct bytes data, char ret[SHA256_HEX])
{
    unsigned char sum[SHA256_BYTES];
    sha256(data, sum);
    hex_encode(sum, sizeof sum, ret);
}

void sha1_hex(struct bytes data, char ret[SHA1_HEX])
{
    unsigned char sum[SHA_DIGEST_LENGTH];
    SHA_CTX c;
    (void)SHA1_Init(&c);
    (void)SHA1_Update(&c, data.data, data.len);
    (void)SHA1_Final(sum, &c);
    hex_encode(sum, sizeof sum, ret);
}

/* After org.apache.kafka.common.utils.Utils.murmur2: Austin Appleby's MurmurHash2, seed 0x9747b28c.
 */
uint32_t murmur2(struct bytes key)
{
    const uint32_t m = 0x5bd1e995;
    const unsigned char *p = (const unsigned char *)key.data;
    size_t left = key.len;
    uint32_t h = 0x9747b28c ^ (uint32_t)key.len;
    for (; left >= 4; p += 4, left -= 4) {
        uint32_t k =
            (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        k *= m;
        k ^= k >> 24;
        h = h * m ^ k * m;
    }
    if (left == 3) h ^= (uint32_t)p[2] << 16;
    if (left >= 2) h ^= (uint32_t)p[1] << 8;
    if (left >= 1) h = (h ^ p[0]) * m;
    h ^= h >> 13;
    h *= m;
    return h ^ h >> 15;
}

int32_t partition_of(struct bytes key, int32_t count)
{
    ASSERT(count > 0);
    return (int32_t)((murmur2(key) & 0x7fffffff) % (uint32_t)count);
}

/* The finalizer of Austin Appleby's MurmurHash3 (fmix64). */
static uint64_t mix(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccd;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53;
    return h ^ h >> 33;
}

/* Eight bytes at a time by a multiplication and a shift, all of it through mix. */
uint64_t hash_bytes(struct bytes data)
{
    uint64_t h = data.len * 0x9e3779b97f4a7c15;
    size_t i = 0;
    for (uint64_t word; i + sizeof word <= data.len; i += sizeof word) {
        memcpy(&word, data.data + i, sizeof word);
        h = (h ^ word) * 0x9e3779b97f4a7c15;
        h ^= h >> 32;
    }
    uint64_t tail = 0;
    for (; i < data.len; i++) tail = tail << 8 | (unsigned char)data.data[i];
    return mix(h ^ tail);
}

void hmac_sha256(struct bytes key, struct bytes data, unsigned char ret[SHA256_BYTES])
{
    unsigned len = SHA256_BYTES;
    const unsigned char *done = HMAC(EVP_sha256(), key.data ? key.data : "", (int)key.len,
                                     (const unsigned char *)data.data, data.len, ret, &len);
    ASSERT(done && len == SHA256_BYTES);
}

void base64_encode(struct bytes data, struct buf *ret)
{
    size_t before = ret->len;
    buf_reserve(ret, (data.len + 2) / 3 * 4 + 1);
    int len = EVP_EncodeBlock((unsigned char *)ret->data + before, (const unsigned char *)data.data,
                              (int)data.len);
    ret->len = before + (size_t)len;
}

bool base64_decode(struct bytes text, struct buf *ret)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t padding = 0;
    if (text.len % 4 != 0 || text.len > INT_MAX) return false;
    while (padding < 2 && padding < text.len && text.data[text.len - 1 - padding] == '=') padding++;
    for (size_t i = 0; i < text.len - padding; i++)
        if (text.data[i] == '\0' || !strchr(letters, text.data[i])) return false;
    buf_reserve(ret, text.len / 4 * 3 + 1);
    int len = EVP_DecodeBlock((unsigned char *)ret->data + ret->len,
                              (const unsigned char *)text.data, (int)text.len);
    if (len < 0) return false;
    ret->len += (size_t)len - padding;
    ret->data[ret->len] = '\0';
    return true;
}
