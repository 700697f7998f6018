/* SPDX-License-Identifier: Apache-2.0
 *
 * Events and tasks as they come from Kafka. Parts: headers, "name: value" a line; the value; the
 * key. A task goes on to its secrets and to what is redacted. */
#include "common/base/id.h"
#include "common/proto/message.h"
#include "tests/fuzz/fuzz.h"
#include "worker/secrets.h"

#define SECRET         "s3cr3t-Value\"\n"
#define ESCAPED_SECRET "s3cr3t-Value\\\"\\n"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    setenv("TUTTI_SECRET_TOKEN", SECRET, 1);
    return 0;
}

static struct message message_of(const struct fuzz_input *in)
{
    struct message m = { .value = in->part[1], .key = in->part[2] };
    struct bytes rest = in->part[0], line;
    while (fuzz_line(&rest, &line)) {
        const char *colon = memmem(line.data, line.len, ": ", 2);
        if (!colon) continue;
        size_t len = (size_t)(colon - line.data);
        enum message_header h = message_header_find((struct bytes){ line.data, len }, 0);
        if (h < HEADER_COUNT)
            m.header[h] = (struct bytes){ line.data + len + 2, line.len - len - 2 };
    }
    return m;
}

static void check_identity(struct bytes run_id, uint32_t attempt, struct bytes task_id)
{
    FUZZ_CHECK(run_id_check(run_id), "no run id: %.*s", (int)run_id.len, run_id.data);
    FUZZ_CHECK(attempt >= 1 && task_id.len == TASK_ID_HEX, "attempt %u", attempt);
}

/* Types whose value means nothing, so that nobody looks at it. */
static bool value_is_null(enum event_type type)
{
    static const enum event_type types[] = {
        EVENT_TASK_LOST,   EVENT_TIMER_FIRED,  EVENT_RUN_EXPIRED,     EVENT_RUN_RESUME,
        EVENT_RUN_RETRY,   EVENT_RUN_RERUN,    EVENT_RUN_BEGIN,       EVENT_RUN_SKIPPED,
        EVENT_KEY_ASKED,   EVENT_KEY_RELEASED, EVENT_SCHEDULE_PAUSED, EVENT_SCHEDULE_RESUMED,
        EVENT_OWNER_CLAIM,
    };
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (types[i] == type) return true;
    return false;
}

/* An event that was accepted can be written again from what was decoded, and means the same. */
static void check_event(const struct message *m, const struct event *ev)
{
    char number[24];
    struct err e = { 0 };
    struct event again;
    struct message written = { .value = m->value };
    memcpy(written.header, m->header, sizeof written.header);
    if (event_type_is_result(ev->type)) {
        check_identity(ev->run_id, ev->attempt, ev->task_id);
        snprintf(number, sizeof number, "%u", ev->attempt);
        written.header[HEADER_ATTEMPT] = bytes_of(number);
        FUZZ_CHECK(ev->usage.tokens_in >= 0 && ev->usage.tokens_out >= 0 &&
                       ev->usage.micro_usd >= 0,
                   "usage below 0");
    }
    FUZZ_CHECK(ev->value.len == 0 || value_is_null(ev->type) || json_check(ev->value),
               "a value that is no JSON: %.*s", (int)ev->value.len, ev->value.data);
    written.header[HEADER_TYPE] = bytes_of(event_type_name(ev->type));
    if (ev->type == EVENT_TASK_FAILED) written.value = ev->value;
    FUZZ_CHECK(event_decode(&written, &again, &e) == EVENT_OK, "written again: %s", e.text);
    FUZZ_CHECK(again.type == ev->type && again.attempt == ev->attempt &&
                   again.due_ms == ev->due_ms && again.logic == ev->logic,
               "written again it is another");
    fuzz_check_same("values", again.value, ev->value);
}

/* Whatever the value: what was put in does not come out. */
static void check_secrets(const struct task *t)
{
    struct err e = { 0 };
    CLEANUP(secret_refs_done) struct secret_refs refs = { 0 }, again = { 0 };
    if (!secret_refs_decode(t->secrets, &refs, &e)) {
        fuzz_check_error(&e);
        return;
    }
    AUTO_BUF struct buf a = { 0 }, b = { 0 }, text = { 0 };
    secret_refs_encode(&refs, &a);
    FUZZ_CHECK(secret_refs_decode(buf_bytes(&a), &again, &e), "%s", e.text);
    secret_refs_encode(&again, &b);
    fuzz_check_same("places of secrets", buf_bytes(&a), buf_bytes(&b));
    CLEANUP(secrets_free_p) struct secrets *secrets = secrets_open(NULL, &e);
    FUZZ_CHECK(secrets && secrets_find(secrets, "TOKEN"), "%s", e.text);
    AUTO_JSON *value = json_check(t->value) ? json_parse(t->value, NULL) : NULL;
    if (!value) return;
    CLEANUP(used_secrets_done) struct used_secrets used = { 0 };
    if (!secrets_apply(secrets, &refs, value, &used, &e)) fuzz_check_error(&e);
    if (!used.count) return;
    AUTO_JSON *clean = redact_json(&used, value);
    json_write(&text, clean);
    FUZZ_CHECK(!strstr(text.data, ESCAPED_SECRET), "a secret came out: %s", text.data);
    FUZZ_CHECK(json_check(buf_bytes(&text)), "redacted, it is no JSON: %s", text.data);
}

static void check_task(const struct task *t)
{
    check_identity(t->run_id, t->attempt, t->task_id);
    FUZZ_CHECK(t->reply_partition >= 0 && t->reply_topic.len > 0, "a reply to nowhere");
    FUZZ_CHECK(t->reply_topic.len < t->reply_to.len, "the topic is longer than reply-to");
    FUZZ_CHECK(t->deadline_ms >= 0 && t->timeout_ms >= 0, "a time below 0");
    if (t->secrets.len) check_secrets(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_INPUT in = fuzz_split(data, size);
    struct message m = message_of(&in);
    struct err e = { 0 };
    struct event ev = { 0 };
    struct task task = { 0 };
    enum event_verdict verdict = event_decode(&m, &ev, &e);
    if (verdict == EVENT_OK)
        check_event(&m, &ev);
    else
        FUZZ_CHECK(e.kind != ERR_NONE && e.text[0], "refused without a reason");
    if (task_decode(&m, &task, &e)) check_task(&task);
    return 0;
}
