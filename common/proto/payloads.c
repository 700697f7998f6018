/* SPDX-License-Identifier: Apache-2.0
 *
 * The small JSON structures that travel beside payloads: errors, usage, places of secrets.
 */
#include <assert.h>
#include <stdlib.h>

#include "common/proto/message.h"

static const struct {
    const char *text;
    bool retryable;
} error_info[] = {
#define X(name, text_, retryable_) [ERROR_##name] = { .text = text_, .retryable = retryable_ },
    ERROR_TYPES(X)
#undef X
};
static_assert(ARRAY_LEN(error_info) == ERROR_TYPE_COUNT, "every error type has a name");
static_assert(ERROR_TYPE_COUNT <= 64, "retry_policy.on is a set of bits");

const char *error_type_name(enum error_type type)
{
    ASSERT(type < ERROR_TYPE_COUNT);
    return error_info[type].text;
}

bool error_type_retryable(enum error_type type)
{
    ASSERT(type < ERROR_TYPE_COUNT);
    return error_info[type].retryable;
}

bool error_type_find(struct bytes text, enum error_type *ret)
{
    for (size_t i = 0; i < ERROR_TYPE_COUNT; i++) {
        if (bytes_is(text, error_info[i].text)) {
            *ret = (enum error_type)i;
            return true;
        }
    }
    return false;
}

void error_encode(struct buf *ret, enum error_type type, const char *message, bool retryable,
                  int64_t retry_after_ms, const json_t *details)
{
    buf_addf(ret, "{\"type\":\"%s\",\"message\":", error_type_name(type));
    buf_add_json_string(ret, message, strlen(message));
    buf_add_text(ret, retryable ? ",\"retryable\":true" : ",\"retryable\":false");
    if (retry_after_ms > 0) buf_addf(ret, ",\"retry_after_ms\":%lld", (long long)retry_after_ms);
    if (details) {
        buf_add_text(ret, ",\"details\":");
        json_write(ret, details);
    }
    buf_add_char(ret, '}');
}

void usage_encode(struct buf *ret, const char *model, const struct usage *usage)
{
    buf_add_text(ret, "{\"model\":");
    buf_add_json_string(ret, model, strlen(model));
    buf_addf(ret, ",\"tokens_in\":%lld,\"tokens_out\":%lld,\"micro_usd\":%lld}",
             (long long)usage->tokens_in, (long long)usage->tokens_out,
             (long long)usage->micro_usd);
}

void secret_refs_done(struct secret_refs *refs)
{
    for (size_t i = 0; i < refs->count; i++) {
        free(refs->refs[i].pointer);
        free(refs->refs[i].name);
    }
    free(refs->refs);
    *refs = (struct secret_refs){ 0 };
}

void secret_refs_encode(const struct secret_refs *refs, struct buf *ret)
{
    buf_add_char(ret, '[');
    for (size_t i = 0; i < refs->count; i++) {
        const struct secret_ref *ref = &refs->refs[i];
        buf_add_text(ret, i ? ",[" : "[");
        buf_add_json_string(ret, ref->pointer, strlen(ref->pointer));
        buf_addf(ret, ",%u,", ref->offset);
        buf_add_json_string(ret, ref->name, strlen(ref->name));
        buf_add_char(ret, ']');
    }
    buf_add_char(ret, ']');
}

bool secret_refs_decode(struct bytes header, struct secret_refs *ret, struct err *e)
{
    AUTO_JSON *list = json_parse(header, e);
    if (!list) return err_prefix(e, "header 'secrets'");
    if (!json_is_array(list)) return err_fail(e, ERR_INVALID, "header 'secrets' is not a list");
    struct secret_refs refs = { .refs = xcalloc(json_array_size(list), sizeof *refs.refs) };
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        const char *pointer = json_string_value(json_array_get(entry, 0));
        const json_t *offset = json_array_get(entry, 1);
        const char *name = json_string_value(json_array_get(entry, 2));
        if (!pointer || !name || !json_is_integer(offset) || json_integer_value(offset) < 0 ||
            json_integer_value(offset) > PAYLOAD_BYTES_MAX) {
            secret_refs_done(&refs);
            return err_fail(e, ERR_INVALID,
                            "header 'secrets': entry %zu is not [pointer, offset, name]", i);
        }
        refs.refs[refs.count++] =
            (struct secret_ref){ .pointer = xstrdup(pointer),
                                 .offset = (uint32_t)json_integer_value(offset),
                                 .name = xstrdup(name) };
    }
    *ret = refs;
    return true;
}
