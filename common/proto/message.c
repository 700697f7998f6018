/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding of events and tasks: every field is checked here, so that nothing behind it meets a
 * malformed one.
 */
#include "common/proto/message.h"

#include <assert.h>

#include "common/base/hash.h"
#include "common/base/id.h"
#include "common/proto/blob_ref.h"

static const struct {
    const char *text;
    uint8_t len;
} header_info[] = {
#define X(name, text_) [HEADER_##name] = { .text = text_, .len = sizeof(text_) - 1 },
    MESSAGE_HEADERS(X)
#undef X
};
static_assert(ARRAY_LEN(header_info) == HEADER_COUNT, "every header has a name");

static const struct {
    const char *text;
    uint8_t len;
    bool result;
} event_info[] = {
#define X(name, text_, result_) \
    [EVENT_##name] = { .text = text_, .len = sizeof(text_) - 1, .result = result_ },
    EVENT_TYPES(X)
#undef X
};
static_assert(ARRAY_LEN(event_info) == EVENT_TYPE_COUNT, "every event type has a name");

const char *message_header_name(enum message_header header)
{
    ASSERT(header < HEADER_COUNT);
    return header_info[header].text;
}

size_t message_header_name_len(enum message_header header)
{
    ASSERT(header < HEADER_COUNT);
    return header_info[header].len;
}

enum message_header message_header_find(struct bytes name, enum message_header first)
{
    size_t at = first;
    for (size_t left = HEADER_COUNT; left; left--, at++) {
        if (at == HEADER_COUNT) at = 0;
        if (header_info[at].len == name.len &&
            memcmp(header_info[at].text, name.data, name.len) == 0)
            return (enum message_header)at;
    }
    return HEADER_COUNT;
}

static bool event_type_find(struct bytes name, enum event_type *ret)
{
    for (size_t i = 0; i < EVENT_TYPE_COUNT; i++) {
        if (event_info[i].len != name.len || memcmp(event_info[i].text, name.data, name.len) != 0)
            continue;
        *ret = (enum event_type)i;
        return true;
    }
    return false;
}

const char *event_type_name(enum event_type type)
{
    ASSERT(type < EVENT_TYPE_COUNT);
    return event_info[type].text;
}

bool event_type_is_result(enum event_type type)
{
    ASSERT(type < EVENT_TYPE_COUNT);
    return event_info[type].result;
}

static const char *const policy_names[] = {
#define X(name, text) [START_##name] = text,
    START_POLICIES(X)
#undef X
};

const char *start_policy_name(enum start_policy policy)
{
    ASSERT(policy < START_POLICY_COUNT);
    return policy_names[policy];
}

bool start_policy_find(struct bytes text, enum start_policy *ret)
{
    for (size_t i = 0; i < START_POLICY_COUNT; i++) {
        if (!bytes_is(text, policy_names[i])) continue;
        *ret = (enum start_policy)i;
        return true;
    }
    return false;
}

/* Decimal digits only; false if empty, anything else, or above max. */
static bool parse_number(struct bytes text, int64_t max, int64_t *ret)
{
    if (text.len == 0 || text.len > 18) return false;
    int64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *ret = value;
    return value <= max;
}

static bool missing(struct err *e, enum message_header h)
{
    return err_fail(e, ERR_INVALID, "header '%s' is missing or malformed", header_info[h].text);
}

static bool need_number(const struct message *m, enum message_header h, int64_t max, int64_t *ret,
                        struct err *e)
{
    return parse_number(m->header[h], max, ret) || missing(e, h);
}

static bool hex_of(struct bytes text, size_t len)
{
    return text.len == len && hex_check(text);
}

static bool short_text(struct bytes text, size_t max)
{
    return text.data && text.len > 0 && text.len <= max && !memchr(text.data, '\0', text.len) &&
           utf8_check(text.data, text.len);
}

/* What a run's stored head takes over as it is: text, or nothing. */
static bool optional_text(struct bytes text)
{
    return text.len == 0 || short_text(text, START_KEY_BYTES_MAX);
}

/* What identifies an attempt: path, attempt (from 1), task id. The engine knows which ids it
 * issued. */
static bool decode_identity(const struct message *m, struct bytes *path, uint32_t *attempt,
                            struct bytes *task_id, struct err *e)
{
    int64_t n;
    if (!short_text(m->header[HEADER_PATH], PATH_BYTES_MAX)) return missing(e, HEADER_PATH);
    if (!need_number(m, HEADER_ATTEMPT, UINT32_MAX, &n, e)) return false;
    if (n == 0) return missing(e, HEADER_ATTEMPT);
    if (!hex_of(m->header[HEADER_TASK_ID], TASK_ID_HEX)) return missing(e, HEADER_TASK_ID);
    *path = m->header[HEADER_PATH];
    *attempt = (uint32_t)n;
    *task_id = m->header[HEADER_TASK_ID];
    return true;
}

static void decode_usage(struct bytes header, struct usage *ret)
{
    if (!header.data) return;
    AUTO_JSON *usage = json_parse(header, NULL);
    if (!json_is_object(usage)) return; /* cost is advisory: a result is never refused for it */
    ret->tokens_in = MAX(json_int(usage, "tokens_in", 0), (int64_t)0);
    ret->tokens_out = MAX(json_int(usage, "tokens_out", 0), (int64_t)0);
    ret->micro_usd = MAX(json_int(usage, "micro_usd", 0), (int64_t)0);
}

#define STATIC_ERROR(type, text) \
    BYTES_LIT("{\"type\":\"" type "\",\"message\":\"" text "\",\"retryable\":true}")

/* A result that is no JSON is a failure of its task. */
static void check_result(struct event *ev)
{
    if (json_check(ev->value)) return;
    ev->type = EVENT_TASK_FAILED;
    ev->value = STATIC_ERROR("invalid_output",
                             "the result is not well-formed JSON (UTF-8, 64-bit integers, no NUL)");
}

/* Whether the value is a claim check. false: it begins as one and is none. */
static bool decode_claim_check(struct event *ev, struct err *e)
{
    struct blob_ref ref;
    ev->claim_check = payload_is_ref(ev->value);
    return !ev->claim_check || blob_ref_parse(ev->value, &ref, e);
}

static bool decode_result(const struct message *m, struct event *ev, struct err *e)
{
    if (!decode_identity(m, &ev->path, &ev->attempt, &ev->task_id, e)) return false;
    if (!m->header[HEADER_GEN].data) return missing(e, HEADER_GEN);
    ev->gen = m->header[HEADER_GEN];
    ev->worker = m->header[HEADER_WORKER];
    decode_usage(m->header[HEADER_USAGE], &ev->usage);
    if (ev->type == EVENT_TASK_LOST) {
        ev->value = (struct bytes){ 0 };
        return true;
    }
    struct bytes bad = { 0 };
    if (ev->value.len > PAYLOAD_BYTES_MAX)
        bad = STATIC_ERROR("invalid_output", "the result is larger than the limit of 900000 bytes");
    else if (!decode_claim_check(ev, e))
        bad = STATIC_ERROR("invalid_output",
                           "the result begins as a claim check ($blob) and is none");
    if (bad.data) {
        ev->type = EVENT_TASK_FAILED;
        ev->value = bad;
        ev->claim_check = false;
    }
    check_result(ev);
    return true;
}
static_assert(PAYLOAD_BYTES_MAX == 900000, "the text above names the limit");

/* A value that is JSON, or nothing, which is null. */
static bool decode_value(struct event *ev, const char *what, struct err *e)
{
    if (ev->value.len > PAYLOAD_BYTES_MAX)
        return err_fail(e, ERR_LIMIT, "the %s has %zu bytes, the limit is %d", what, ev->value.len,
                        PAYLOAD_BYTES_MAX);
    if (ev->value.len == 0) ev->value = BYTES_LIT("null");
    if (!decode_claim_check(ev, e)) return err_prefix(e, "the %s", what);
    return json_check(ev->value) ||
           err_fail(e, ERR_INVALID, "the %s is not well-formed JSON", what);
}

static bool need_path(const struct message *m, struct event *ev, struct err *e)
{
    ev->path = m->header[HEADER_PATH];
    return short_text(ev->path, PATH_BYTES_MAX) || missing(e, HEADER_PATH);
}

static bool need_attempt(const struct message *m, struct event *ev, struct err *e)
{
    int64_t n;
    if (!need_number(m, HEADER_ATTEMPT, UINT32_MAX, &n, e)) return false;
    if (n == 0) return missing(e, HEADER_ATTEMPT);
    ev->attempt = (uint32_t)n;
    return true;
}

static bool need_run_id(const struct message *m, enum message_header h, struct bytes *ret,
                        struct err *e)
{
    *ret = m->header[h];
    return (ret->data && run_id_check(*ret)) || missing(e, h);
}

static bool decode_child(const struct message *m, struct event *ev, struct err *e)
{
    decode_usage(m->header[HEADER_USAGE], &ev->usage);
    return need_path(m, ev, e) && need_attempt(m, ev, e) &&
           need_run_id(m, HEADER_CHILD, &ev->child, e) && decode_value(ev, "child's result", e);
}

/* That it is a child, and whose. */
static bool decode_parent(const struct message *m, struct event *ev, struct err *e)
{
    if (!m->header[HEADER_PARENT].data) return true;
    ev->child = m->header[HEADER_CHILD];
    if (ev->child.data && !short_text(ev->child, 32)) return missing(e, HEADER_CHILD);
    return need_run_id(m, HEADER_PARENT, &ev->parent, e) && need_path(m, ev, e) &&
           need_attempt(m, ev, e);
}

static bool decode_policy(const struct message *m, struct event *ev, struct err *e)
{
    struct bytes text = m->header[HEADER_POLICY];
    if (!text.data) return true;
    if (!start_policy_find(text, &ev->policy))
        return err_fail(e, ERR_INVALID,
                        "header 'policy' is '%.*s': expected reject, queue, replace or allow",
                        (int)MIN(text.len, (size_t)32), text.data);
    return ev->key.data || ev->policy == START_REJECT ||
           err_fail(e, ERR_INVALID,
                    "header 'policy' is about runs with the same key: it needs "
                    "the header 'key'");
}

/* The id of a schedule stands in texts that blanks and newlines divide. */
static bool need_schedule(const struct message *m, struct event *ev, struct err *e)
{
    ev->schedule = m->header[HEADER_SCHEDULE];
    bool good = short_text(ev->schedule, 2 * NAME_BYTES_MAX + 1);
    for (size_t i = 0; good && i < ev->schedule.len; i++)
        good = (unsigned char)ev->schedule.data[i] > ' ';
    return good || missing(e, HEADER_SCHEDULE);
}

static bool decode_firing(const struct message *m, struct event *ev, struct err *e)
{
    ev->refused = m->header[HEADER_REFUSED];
    if (ev->refused.data && !short_text(ev->refused, KIB)) return missing(e, HEADER_REFUSED);
    if (!m->header[HEADER_SCHEDULE].data) return true;
    return need_schedule(m, ev, e) && need_number(m, HEADER_DUE_MS, INT64_MAX, &ev->due_ms, e);
}

static bool decode_start(const struct message *m, struct event *ev, struct err *e)
{
    ev->definition = m->header[HEADER_DEFINITION];
    ev->workflow = m->header[HEADER_WORKFLOW];
    ev->version = m->header[HEADER_VERSION];
    ev->key = m->header[HEADER_KEY];
    if (!hex_of(ev->definition, SHA256_HEX - 1)) return missing(e, HEADER_DEFINITION);
    if (!short_text(ev->workflow, NAME_BYTES_MAX)) return missing(e, HEADER_WORKFLOW);
    if (ev->key.data && !short_text(ev->key, START_KEY_BYTES_MAX)) return missing(e, HEADER_KEY);
    if (!optional_text(ev->namespace_)) return missing(e, HEADER_NAMESPACE);
    if (!optional_text(ev->actor)) return missing(e, HEADER_ACTOR);
    if (!optional_text(ev->traceparent)) return missing(e, HEADER_TRACEPARENT);
    ev->forked_from = m->header[HEADER_FORKED_FROM];
    if (ev->forked_from.data && !run_id_check(ev->forked_from))
        return missing(e, HEADER_FORKED_FROM);
    return decode_policy(m, ev, e) && decode_firing(m, ev, e) && decode_parent(m, ev, e) &&
           decode_value(ev, "input", e);
}

static bool decode_by_type(const struct message *m, struct event *ev, struct err *e)
{
    int64_t n;
    switch (ev->type) {
    case EVENT_RUN_START: return decode_start(m, ev, e);
    case EVENT_RUN_CANCEL:
    case EVENT_RUN_TERMINATE:
    case EVENT_RUN_PAUSE:
    case EVENT_RUN_SET_VARS: return decode_value(ev, "value", e);
    case EVENT_RUN_RERUN: return need_path(m, ev, e);
    case EVENT_STEP_SKIP:
    case EVENT_APPROVAL: return need_path(m, ev, e) && decode_value(ev, "value", e);
    case EVENT_SIGNAL:
        ev->signal = m->header[HEADER_SIGNAL];
        if (!short_text(ev->signal, NAME_BYTES_MAX)) return missing(e, HEADER_SIGNAL);
        return decode_value(ev, "payload", e);
    case EVENT_CHILD_STARTED:
    case EVENT_CHILD_FINISHED: return decode_child(m, ev, e);
    case EVENT_TIMER_FIRED: return need_number(m, HEADER_DUE_MS, INT64_MAX, &ev->due_ms, e);
    case EVENT_OWNER_CLAIM:
        if (!short_text(m->header[HEADER_CLAIM], 128)) return missing(e, HEADER_CLAIM);
        if (!m->header[HEADER_GEN].data) return missing(e, HEADER_GEN);
        if (!need_number(m, HEADER_LOGIC, UINT32_MAX, &n, e)) return false;
        if (m->header[HEADER_PAYLOAD_MAX].data &&
            !need_number(m, HEADER_PAYLOAD_MAX, BLOB_BYTES_MAX, &ev->payload_max, e))
            return false;
        ev->claim = m->header[HEADER_CLAIM];
        ev->gen = m->header[HEADER_GEN];
        ev->logic = (uint32_t)n;
        return true;
    case EVENT_TASK_COMPLETED:
    case EVENT_TASK_FAILED:
    case EVENT_TASK_LOST: return decode_result(m, ev, e);
    case EVENT_SCHEDULE_PAUSED:
    case EVENT_SCHEDULE_RESUMED: return need_schedule(m, ev, e);
    case EVENT_RUN_EXPIRED:
        return !m->header[HEADER_DUE_MS].data ||
               need_number(m, HEADER_DUE_MS, INT64_MAX, &ev->due_ms, e);
    case EVENT_RUN_RESUME:
    case EVENT_RUN_RETRY:
    case EVENT_RUN_BEGIN:
    case EVENT_KEY_ASKED:
    case EVENT_KEY_RELEASED:
    case EVENT_RUN_SKIPPED:
    case EVENT_TYPE_COUNT: break;
    }
    return true;
}

static enum event_verdict decode(const struct message *m, struct event *ev, struct err *e)
{
    struct bytes v = m->header[HEADER_V], type = m->header[HEADER_TYPE];
    *ev = (struct event){ .value = m->value };
    if (!v.data || !type.data) {
        err_fail(e, ERR_INVALID, "headers 'v' and 'type' are missing: not an event of ours");
        return EVENT_MALFORMED;
    }
    if (!bytes_is(v, MESSAGE_VERSION)) {
        err_fail(e, ERR_UNSUPPORTED, "format version '%.*s', this program knows " MESSAGE_VERSION,
                 (int)MIN(v.len, (size_t)20), v.data);
        return EVENT_NEWER;
    }
    if (!event_type_find(type, &ev->type)) {
        err_fail(e, ERR_UNSUPPORTED, "event type '%.*s' is not known to this program",
                 (int)MIN(type.len, (size_t)40), type.data);
        return EVENT_NEWER;
    }
    if (ev->type != EVENT_OWNER_CLAIM && !need_run_id(m, HEADER_RUN_ID, &ev->run_id, e))
        return EVENT_MALFORMED;
    ev->namespace_ = m->header[HEADER_NAMESPACE];
    ev->actor = m->header[HEADER_ACTOR];
    ev->traceparent = m->header[HEADER_TRACEPARENT];
    return decode_by_type(m, ev, e) ? EVENT_OK : EVENT_MALFORMED;
}

enum event_verdict event_decode(const struct message *m, struct event *ret, struct err *e)
{
    enum event_verdict verdict = decode(m, ret, e);
    if (verdict != EVENT_OK) *ret = (struct event){ 0 };
    return verdict;
}

enum event_verdict event_load(struct event *ev, struct bytes content, struct err *e)
{
    ASSERT(ev->claim_check);
    ev->claim_check = false;
    ev->value = content;
    /* An error travels on in messages that have no claim checks. */
    if (ev->type == EVENT_TASK_FAILED && content.len > PAYLOAD_BYTES_MAX)
        ev->value = STATIC_ERROR("invalid_output", "the error is larger than 900000 bytes");
    if (event_type_is_result(ev->type)) {
        check_result(ev);
    } else if (!json_check(content)) {
        err_fail(e, ERR_INVALID, "what the claim check names is not well-formed JSON");
        return EVENT_MALFORMED;
    }
    return EVENT_OK;
}

/* "topic/partition": the last slash divides. */
static bool split_reply_to(struct task *t)
{
    size_t slash = t->reply_to.len;
    while (slash > 0 && t->reply_to.data[slash - 1] != '/') slash--;
    int64_t partition;
    if (slash < 2 ||
        !parse_number((struct bytes){ t->reply_to.data + slash, t->reply_to.len - slash },
                      INT32_MAX, &partition))
        return false;
    t->reply_topic = (struct bytes){ t->reply_to.data, slash - 1 };
    t->reply_partition = (int32_t)partition;
    return true;
}

bool task_decode(const struct message *m, struct task *ret, struct err *e)
{
    *ret = (struct task){ .value = m->value };
    if (!bytes_is(m->header[HEADER_V], MESSAGE_VERSION)) return missing(e, HEADER_V);
    if (!bytes_is(m->header[HEADER_TYPE], "task")) return missing(e, HEADER_TYPE);
    if (!need_run_id(m, HEADER_RUN_ID, &ret->run_id, e)) return false;
    if (!decode_identity(m, &ret->path, &ret->attempt, &ret->task_id, e)) return false;
    ret->reply_to = m->header[HEADER_REPLY_TO];
    if (!ret->reply_to.data || !split_reply_to(ret)) return missing(e, HEADER_REPLY_TO);
    if (!m->header[HEADER_GEN].data) return missing(e, HEADER_GEN);
    if (!short_text(m->header[HEADER_KIND], 32)) return missing(e, HEADER_KIND);
    ret->gen = m->header[HEADER_GEN];
    ret->kind = m->header[HEADER_KIND];
    ret->uses = m->header[HEADER_USES];
    ret->idempotency_key = m->header[HEADER_IDEMPOTENCY_KEY];
    ret->workflow = m->header[HEADER_WORKFLOW];
    ret->namespace_ = m->header[HEADER_NAMESPACE];
    ret->actor = m->header[HEADER_ACTOR];
    ret->traceparent = m->header[HEADER_TRACEPARENT];
    ret->secrets = m->header[HEADER_SECRETS];
    if (m->header[HEADER_DEADLINE_MS].data &&
        !need_number(m, HEADER_DEADLINE_MS, INT64_MAX, &ret->deadline_ms, e))
        return false;
    if (m->header[HEADER_TIMEOUT_MS].data &&
        !need_number(m, HEADER_TIMEOUT_MS, DURATION_MS_MAX, &ret->timeout_ms, e))
        return false;
    ret->cache_key = m->header[HEADER_CACHE_KEY];
    if (m->header[HEADER_CACHE_TTL_MS].data &&
        !need_number(m, HEADER_CACHE_TTL_MS, DURATION_MS_MAX, &ret->cache_ttl_ms, e))
        return false;
    int64_t digits; /* it goes into the name of a key */
    ret->marks = m->header[HEADER_MARKS];
    if (ret->marks.data && !need_number(m, HEADER_MARKS, INT64_MAX, &digits, e)) return false;
    return true;
}
