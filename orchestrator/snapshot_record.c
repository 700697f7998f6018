/* SPDX-License-Identifier: Apache-2.0
 *
 * The records of the topic `snapshots` (docs/protocol.md). A record's key says what it is of:
 *
 *   <run id>/<epoch>                  a run, as the owner with that epoch saw it
 *   floor/<epoch>                     below its offset no run needs the log (its value is the list
 *                                     of the older snapshots that still count: the manifest)
 *   quarantine/<offset>               the event there is never folded
 *   .../<epoch>/<offset>/<chunk>      one of the chunks of a value that is too large for a message
 *
 * Headers: off (what it stands for: the next event to apply), chunks, and of a floor gen (that the
 * fold had reached) and claim (token of the owner's claim, which lies at offset epoch). A value in
 * chunks has keys of its own for each offset, because compaction would otherwise mix the chunks of
 * two snapshots. */
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/snapshot.h"

/* Decimal digits up to the end of the text, or up to a divider with something behind it. */
static bool take_number(struct bytes *text, char divider, int64_t *ret)
{
    size_t n = 0;
    int64_t value = 0;
    while (n < text->len && text->data[n] >= '0' && text->data[n] <= '9' && n < 18)
        value = value * 10 + (text->data[n++] - '0');
    bool all = n == text->len;
    if (n == 0 || (!all && (text->data[n] != divider || n + 1 == text->len))) return false;
    *ret = value;
    size_t skip = n + !all;
    *text = (struct bytes){ .data = text->data + skip, .len = text->len - skip };
    return true;
}

bool snapshot_key_parse(struct bytes key, struct snapshot_key *ret)
{
    size_t n = 0;
    while (n < key.len && key.data[n] != '/') n++;
    if (n == 0 || n + 1 >= key.len || n >= sizeof ret->id || key.data[key.len - 1] == '/')
        return false;
    *ret = (struct snapshot_key){ .off = -1 };
    memcpy(ret->id, key.data, n);
    struct bytes id = { key.data, n }, rest = { key.data + n + 1, key.len - n - 1 };
    if (!bytes_is(id, SNAPSHOT_FLOOR) && !bytes_is(id, SNAPSHOT_QUARANTINE) && !run_id_check(id))
        return false;
    if (!take_number(&rest, '/', &ret->epoch)) return false;
    if (rest.len == 0) return true;
    int64_t chunk;
    if (!take_number(&rest, '/', &ret->off) || !take_number(&rest, '/', &chunk) || rest.len)
        return false;
    ret->chunk = (uint32_t)MIN(chunk, (int64_t)UINT32_MAX);
    return true;
}

void snapshot_key_make(struct buf *b, const char *id, int64_t epoch, int64_t off, uint32_t chunks,
                       uint32_t chunk)
{
    buf_addf(b, "%s/%lld", id, (long long)epoch);
    if (chunks > 1) buf_addf(b, "/%lld/%u", (long long)off, chunk);
}

static int64_t extra_number(const struct bus_record *r, const char *name)
{
    for (size_t i = 0; i < r->extra_count; i++) {
        struct bytes text = r->extra[i].value;
        int64_t value;
        if (strcmp(r->extra[i].name, name) == 0 && take_number(&text, '/', &value) && !text.len)
            return value;
    }
    return -1;
}

bool snapshot_parse(const struct bus_record *r, struct snapshot_record *ret)
{
    *ret = (struct snapshot_record){ 0 };
    if (!snapshot_key_parse(r->message.key, &ret->key)) return false;
    ret->value = r->message.value;
    if (!r->message.value.data) return true; /* a tombstone */
    int64_t chunks = extra_number(r, "chunks");
    ret->off = extra_number(r, "off");
    ret->gen = r->message.header[HEADER_GEN];
    ret->claim = r->message.header[HEADER_CLAIM];
    if (ret->off < 0 || chunks < 1 || chunks > SNAPSHOT_CHUNKS_MAX) return false;
    ret->chunks = (uint32_t)chunks;
    return ret->chunks > 1 ? ret->key.off == ret->off && ret->key.chunk < ret->chunks
                           : ret->key.off < 0;
}

static bool send(struct partition *part, struct bytes key, struct bytes value,
                 const struct bytes *header, const struct bus_extra_header *extra, size_t count,
                 struct bus_waiter *w)
{
    struct err e;
    return bus_send(part->shard->bus,
                    &(struct bus_message){ .topic = part->shard->snapshots_topic,
                                           .partition = part->id,
                                           .key = key,
                                           .value = value,
                                           .header = header,
                                           .extra = extra,
                                           .extra_count = count },
                    w, &e);
}

uint32_t snapshot_chunks(struct bytes value)
{
    return (uint32_t)MAX((value.len + SNAPSHOT_CHUNK_BYTES - 1) / SNAPSHOT_CHUNK_BYTES, (size_t)1);
}

uint32_t snapshot_send(struct partition *part, const char *id, int64_t epoch, int64_t off,
                       const char *gen, struct bytes value, struct bus_waiter *w)
{
    char off_text[24], chunks_text[12];
    uint32_t chunks = snapshot_chunks(value), sent = 0;
    snprintf(off_text, sizeof off_text, "%lld", (long long)off);
    snprintf(chunks_text, sizeof chunks_text, "%u", chunks);
    const struct bus_extra_header extra[] = { { "off", bytes_of(off_text) },
                                              { "chunks", bytes_of(chunks_text) } };
    struct bytes header[HEADER_COUNT] = {
        [HEADER_V] = BYTES_LIT(MESSAGE_VERSION), [HEADER_TYPE] = BYTES_LIT("snapshot")
    };
    if (gen) {
        header[HEADER_GEN] = bytes_of(gen);
        header[HEADER_CLAIM] = bytes_of(part->token);
    }
    AUTO_BUF struct buf key = { 0 };
    for (; sent < chunks; sent++) {
        size_t from = (size_t)sent * SNAPSHOT_CHUNK_BYTES;
        struct bytes piece = { value.len ? value.data + from : "",
                               MIN(value.len - from, (size_t)SNAPSHOT_CHUNK_BYTES) };
        buf_reset(&key);
        snapshot_key_make(&key, id, epoch, off, chunks, sent);
        if (!send(part, buf_bytes(&key), piece, header, extra, ARRAY_LEN(extra), w)) break;
    }
    return sent;
}

uint32_t snapshot_erase(struct partition *part, const char *id, int64_t epoch, int64_t off,
                        uint32_t chunks, struct bus_waiter *w)
{
    AUTO_BUF struct buf key = { 0 };
    uint32_t sent = 0;
    for (; sent < chunks; sent++) {
        buf_reset(&key);
        snapshot_key_make(&key, id, epoch, off, chunks, sent);
        if (!send(part, buf_bytes(&key), (struct bytes){ 0 }, NULL, NULL, 0, w)) break;
    }
    return sent;
}

/* --- the value of a run: for each field "<length of its name> <length of its value>\n", name,
 * value --- */

void snapshot_encode_field(struct buf *b, struct bytes name, struct bytes value)
{
    buf_add_int(b, (int64_t)name.len);
    buf_add_char(b, ' ');
    buf_add_int(b, (int64_t)value.len);
    buf_add_char(b, '\n');
    buf_add(b, name.data, name.len);
    buf_add(b, value.data, value.len);
}

static bool take_length(struct bytes *text, char end, size_t *ret)
{
    size_t n = 0, value = 0;
    while (n < text->len && text->data[n] >= '0' && text->data[n] <= '9' && n < 12)
        value = value * 10 + (size_t)(text->data[n++] - '0');
    if (n == 0 || n >= text->len || text->data[n] != end) return false;
    *text = (struct bytes){ .data = text->data + n + 1, .len = text->len - n - 1 };
    *ret = value;
    return true;
}

bool snapshot_decode(struct bytes value, struct field **ret, size_t *ret_count)
{
    size_t cap = 0, count = 0;
    struct field *list = NULL;
    while (value.len) {
        size_t name, len;
        if (!take_length(&value, ' ', &name) || !take_length(&value, '\n', &len) ||
            name > value.len || len > value.len - name) {
            free(list);
            return false;
        }
        if (count == cap) {
            cap = cap ? 2 * cap : 32;
            list = xrealloc(list, cap * sizeof *list);
        }
        list[count++] =
            (struct field){ .name = { value.data, name }, .value = { value.data + name, len } };
        value = (struct bytes){ value.data + name + len, value.len - name - len };
    }
    *ret = list;
    *ret_count = count;
    return true;
}

/* --- what snap:{p} says of a run: "<epoch> <offset> <chunks> <hash of the skeleton>" --- */

void snapshot_entry_make(char ret[SNAPSHOT_ENTRY_MAX], int64_t epoch, int64_t off, uint32_t chunks,
                         struct bytes skeleton)
{
    unsigned char hash[SHA256_BYTES];
    char hex[SHA256_HEX];
    sha256(skeleton, hash);
    hex_encode(hash, 8, hex);
    snprintf(ret, SNAPSHOT_ENTRY_MAX, "%lld %lld %u %s", (long long)epoch, (long long)off, chunks,
             hex);
}

bool snapshot_entry_parse(struct bytes text, struct snapshot_entry *ret)
{
    int64_t epoch, off, chunks;
    *ret = (struct snapshot_entry){ 0 };
    if (!take_number(&text, ' ', &epoch) || !take_number(&text, ' ', &off) ||
        !take_number(&text, ' ', &chunks) || text.len != sizeof ret->hash - 1)
        return false;
    if (chunks < 1 || chunks > SNAPSHOT_CHUNKS_MAX) return false;
    ret->epoch = epoch;
    ret->off = off;
    ret->chunks = (uint32_t)chunks;
    memcpy(ret->hash, text.data, text.len);
    return true;
}
