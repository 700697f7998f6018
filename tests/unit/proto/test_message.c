/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding of what stands in Kafka, where anybody may have written it: each header missing, each
 * malformed, values that are no JSON. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/base/id.h"
#include "common/proto/message.h"

#define RUN "0123456789abcdef-0123456789abcdef01234567"
#define SHA "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static char task_id[TASK_ID_MAX];

static struct message message(const char *type, const char *value)
{
    struct message m = { .value = bytes_of(value) };
    m.header[HEADER_V] = BYTES_LIT(MESSAGE_VERSION);
    m.header[HEADER_TYPE] = bytes_of(type);
    m.header[HEADER_RUN_ID] = BYTES_LIT(RUN);
    return m;
}

static void identify(struct message *m)
{
    task_id_make(task_id, BYTES_LIT(RUN), BYTES_LIT("a/b"), 2);
    m->header[HEADER_PATH] = BYTES_LIT("a/b");
    m->header[HEADER_ATTEMPT] = BYTES_LIT("2");
    m->header[HEADER_TASK_ID] = bytes_of(task_id);
    m->header[HEADER_GEN] = BYTES_LIT("0123456789ab-aaaabbbbcccc");
}

static struct message start(void)
{
    struct message m = message("run.start", "{\"n\":1}");
    m.header[HEADER_DEFINITION] = BYTES_LIT(SHA);
    m.header[HEADER_WORKFLOW] = BYTES_LIT("flow");
    m.header[HEADER_VERSION] = BYTES_LIT("1.0.0");
    return m;
}

static struct message completed(const char *value)
{
    struct message m = message("task.completed", value);
    identify(&m);
    return m;
}

static struct message claim(void)
{
    struct message m = message("owner.claim", NULL);
    m.header[HEADER_RUN_ID] = (struct bytes){ 0 };
    m.header[HEADER_CLAIM] = BYTES_LIT("token");
    m.header[HEADER_GEN] = BYTES_LIT("0123456789ab-aaaabbbbcccc");
    m.header[HEADER_LOGIC] = BYTES_LIT("1");
    return m;
}

static struct message timer(void)
{
    struct message m = message("timer.fired", NULL);
    m.header[HEADER_DUE_MS] = BYTES_LIT("1700000000000");
    return m;
}

static struct message task(void)
{
    struct message m = message("task", "[1]");
    identify(&m);
    m.header[HEADER_REPLY_TO] = BYTES_LIT("tutti.events/7");
    m.header[HEADER_KIND] = BYTES_LIT("task");
    m.header[HEADER_USES] = BYTES_LIT("noop");
    m.header[HEADER_DEADLINE_MS] = BYTES_LIT("1700000000000");
    m.header[HEADER_TIMEOUT_MS] = BYTES_LIT("30000");
    return m;
}

/* --- names --- */

Test(names, every_header_and_event_type_is_found_by_its_name)
{
    for (enum message_header h = 0; h < HEADER_COUNT; h++)
        for (enum message_header from = 0; from <= HEADER_COUNT; from++)
            cr_expect_eq(message_header_find(bytes_of(message_header_name(h)), from), h);
    cr_expect_eq(message_header_find(BYTES_LIT("Type"), HEADER_TYPE), HEADER_COUNT);
    cr_expect_eq(message_header_find(BYTES_LIT(""), 0), HEADER_COUNT);
    cr_expect(event_type_is_result(EVENT_TASK_LOST));
    cr_expect_not(event_type_is_result(EVENT_RUN_START));
}

Test(names, every_error_type_is_found_by_its_name)
{
    for (enum error_type t = 0; t < ERROR_TYPE_COUNT; t++) {
        enum error_type found;
        cr_expect(error_type_find(bytes_of(error_type_name(t)), &found));
        cr_expect_eq(found, t);
    }
    enum error_type none;
    cr_expect_not(error_type_find(BYTES_LIT("no_such_error"), &none));
    cr_expect(error_type_retryable(ERROR_OVERLOADED));
    cr_expect_not(error_type_retryable(ERROR_AUTH));
}

/* --- events --- */

Test(event, a_start_is_decoded_with_all_it_carries)
{
    struct message m = start();
    m.header[HEADER_KEY] = BYTES_LIT("order-1");
    m.header[HEADER_ACTOR] = BYTES_LIT("ann");
    struct event ev;
    struct err e;
    cr_assert_eq(event_decode(&m, &ev, &e), EVENT_OK, "%s", e.text);
    cr_expect_eq(ev.type, EVENT_RUN_START);
    cr_expect(bytes_is(ev.run_id, RUN) && bytes_is(ev.definition, SHA));
    cr_expect(bytes_is(ev.workflow, "flow") && bytes_is(ev.version, "1.0.0"));
    cr_expect(bytes_is(ev.key, "order-1") && bytes_is(ev.actor, "ann"));
    cr_expect(bytes_is(ev.value, "{\"n\":1}"));
    m.value = (struct bytes){ 0 };
    m.header[HEADER_KEY] = (struct bytes){ 0 };
    cr_assert_eq(event_decode(&m, &ev, &e), EVENT_OK);
    cr_expect(bytes_is(ev.value, "null"), "no input is null");
    cr_expect_null(ev.key.data);
}

Test(event, a_start_says_of_which_run_it_is_a_fork)
{
    struct message m = start();
    m.header[HEADER_FORKED_FROM] = BYTES_LIT(RUN);
    struct event ev;
    struct err e;
    cr_assert_eq(event_decode(&m, &ev, &e), EVENT_OK, "%s", e.text);
    cr_expect(bytes_is(ev.forked_from, RUN));
    m.header[HEADER_FORKED_FROM] = BYTES_LIT("some run");
    cr_expect_eq(event_decode(&m, &ev, &e), EVENT_MALFORMED);
}

Test(event, an_expiry_may_name_the_end_that_it_is_about)
{
    struct message m = message("run.expired", NULL);
    struct event ev;
    struct err e;
    cr_assert_eq(event_decode(&m, &ev, &e), EVENT_OK, "%s", e.text);
    cr_expect_eq(ev.due_ms, 0);
    m.header[HEADER_DUE_MS] = BYTES_LIT("1700000000000");
    cr_assert_eq(event_decode(&m, &ev, &e), EVENT_OK, "%s", e.text);
    cr_expect_eq(ev.due_ms, 1700000000000);
    m.header[HEADER_DUE_MS] = BYTES_LIT("soon");
    cr_expect_eq(event_decode(&m, &ev, &e), EVENT_MALFORMED);
}

/* They go into the run's stored head as they are. */
Test(event, a_start_by_what_is_no_text_is_malformed)
{
    static const enum message_header headers[] = { HEADER_KEY, HEADER_ACTOR, HEADER_NAMESPACE,
                                                   HEADER_TRACEPARENT };
    static const struct bytes bad[] = { { "a\0b", 3 }, { "\xff", 1 }, { "a\xc3", 2 } };
    struct event ev;
    struct err e;
    for (size_t h = 0; h < ARRAY_LEN(headers); h++) {
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
            struct message m = start();
            m.header[headers[h]] = bad[i];
            cr_expect_eq(event_decode(&m, &ev, &e), EVENT_MALFORMED, "%zu %zu", h, i);
        }
    }
}

Test(event, a_result_is_decoded_with_what_it_cost)
{
    struct message m = completed("[1,2]");
    m.header[HEADER_USAGE] =
        BYTES_LIT("{\"model\":\"m\",\"tokens_in\":7,\"tokens_out\":5,\"micro_usd\":-3}");
    struct event ev;
    struct err e;
    cr_assert_eq(event_decode(&m, &ev, &e), EVENT_OK);
    cr_expect_eq(ev.type, EVENT_TASK_COMPLETED);
    cr_expect(bytes_is(ev.path, "a/b") && ev.attempt == 2 && bytes_is(ev.task_id, task_id));
    cr_expect(ev.usage.tokens_in == 7 && ev.usage.tokens_out == 5);
    cr_expect_eq(ev.usage.micro_usd, 0, "nobody gets money back");
    m.header[HEADER_USAGE] = BYTES_LIT("no JSON");
    cr_assert_eq(event_decode(&m, &ev, &e), EVENT_OK, "a result is never refused for its cost");
}

Test(event, a_claim_and_a_timer_are_decoded)
{
    struct message c = claim(), t = timer();
    struct event ev;
    struct err e;
    cr_assert_eq(event_decode(&c, &ev, &e), EVENT_OK, "%s", e.text);
    cr_expect(bytes_is(ev.claim, "token") && ev.logic == 1 && ev.run_id.len == 0);
    cr_assert_eq(event_decode(&t, &ev, &e), EVENT_OK);
    cr_expect_eq(ev.due_ms, 1700000000000);
}

Test(event, what_people_and_child_runs_say_names_a_step_and_carries_a_value)
{
    static const struct {
        const char *type;
        enum event_type means;
    } types[] = { { "approval", EVENT_APPROVAL },
                  { "step.skip", EVENT_STEP_SKIP },
                  { "run.rerun", EVENT_RUN_RERUN },
                  { "child.started", EVENT_CHILD_STARTED },
                  { "child.finished", EVENT_CHILD_FINISHED } };
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct message m = message(types[i].type, "{\"x\":1}");
        struct event ev;
        struct err e;
        m.header[HEADER_PATH] = BYTES_LIT("docs[17]/check");
        m.header[HEADER_ATTEMPT] = BYTES_LIT("1");
        m.header[HEADER_CHILD] = BYTES_LIT(RUN);
        cr_assert_eq(event_decode(&m, &ev, &e), EVENT_OK, "%s: %s", types[i].type, e.text);
        cr_expect_eq(ev.type, types[i].means);
        cr_expect(bytes_is(ev.path, "docs[17]/check") && bytes_is(ev.value, "{\"x\":1}"));
        m.header[HEADER_PATH] = (struct bytes){ 0 };
        cr_expect_eq(event_decode(&m, &ev, &e), EVENT_MALFORMED, "%s", types[i].type);
        cr_expect(strstr(e.text, "'path'"), "%s", e.text);
    }
}

Test(event, a_signal_needs_a_name_and_may_do_without_a_payload)
{
    struct message m = message("signal", NULL);
    struct event ev;
    struct err e;
    m.header[HEADER_SIGNAL] = BYTES_LIT("paid");
    cr_assert_eq(event_decode(&m, &ev, &e), EVENT_OK, "%s", e.text);
    cr_expect(bytes_is(ev.signal, "paid") && bytes_is(ev.value, "null"));
    m.value = BYTES_LIT("{");
    cr_expect_eq(event_decode(&m, &ev, &e), EVENT_MALFORMED);
    m.value = BYTES_LIT("1");
    m.header[HEADER_SIGNAL] = BYTES_LIT("");
    cr_expect_eq(event_decode(&m, &ev, &e), EVENT_MALFORMED);
}

Test(event, a_childs_start_names_its_parents_step_whole_or_not_at_all)
{
    struct message m = start();
    struct event ev;
    struct err e;
    m.header[HEADER_PARENT] = BYTES_LIT(RUN);
    cr_expect_eq(event_decode(&m, &ev, &e), EVENT_MALFORMED);
    m.header[HEADER_PATH] = BYTES_LIT("sub");
    cr_expect_eq(event_decode(&m, &ev, &e), EVENT_MALFORMED);
    m.header[HEADER_ATTEMPT] = BYTES_LIT("2");
    cr_assert_eq(event_decode(&m, &ev, &e), EVENT_OK, "%s", e.text);
    cr_expect(bytes_is(ev.parent, RUN) && bytes_is(ev.path, "sub"));
    cr_expect_eq(ev.attempt, 2);
}

Test(event, a_header_that_is_missing_or_wrong_is_malformed_and_named)
{
    struct message results[] = { completed("1"), start(), claim(), timer() };
    static const struct {
        int of;
        enum message_header header;
        const char *value; /* NULL: missing */
    } table[] = {
        { 0, HEADER_RUN_ID, NULL },
        { 0, HEADER_RUN_ID, "x" },
        { 0, HEADER_PATH, NULL },
        { 0, HEADER_PATH, "" },
        { 0, HEADER_PATH, "\xff" },
        { 0, HEADER_ATTEMPT, NULL },
        { 0, HEADER_ATTEMPT, "" },
        { 0, HEADER_ATTEMPT, "-1" },
        { 0, HEADER_ATTEMPT, "1x" },
        { 0, HEADER_ATTEMPT, "4294967296" },
        { 0, HEADER_TASK_ID, NULL },
        { 0, HEADER_TASK_ID, "0123" },
        { 0, HEADER_TASK_ID, "0123456789ABCDEF0123456789ABCDEF" },
        { 0, HEADER_GEN, NULL },
        { 1, HEADER_DEFINITION, NULL },
        { 1, HEADER_DEFINITION, "abc" },
        { 1, HEADER_WORKFLOW, NULL },
        { 1, HEADER_WORKFLOW, "" },
        { 1, HEADER_KEY, "" },
        { 1, HEADER_KEY, "\xc3" },
        { 1, HEADER_ACTOR, "\xff" },
        { 1, HEADER_NAMESPACE, "a\xc3" },
        { 1, HEADER_TRACEPARENT, "\xed\xa0\x80" },
        { 2, HEADER_CLAIM, NULL },
        { 2, HEADER_GEN, NULL },
        { 2, HEADER_LOGIC, NULL },
        { 2, HEADER_LOGIC, "one" },
        { 3, HEADER_DUE_MS, NULL },
        { 3, HEADER_DUE_MS, "tomorrow" },
        { 3, HEADER_DUE_MS, "9999999999999999999" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct message m = results[table[i].of];
        struct event ev;
        struct err e;
        m.header[table[i].header] = bytes_of(table[i].value);
        cr_expect_eq(event_decode(&m, &ev, &e), EVENT_MALFORMED, "row %zu", i);
        cr_expect(strstr(e.text, message_header_name(table[i].header)), "row %zu: %s", i, e.text);
    }
}

/* Such a start would make a head that nobody can read again, and take its owner down with it. */
Test(event, a_start_with_a_nul_in_what_its_run_would_keep_is_malformed)
{
    static const enum message_header kept[] = { HEADER_KEY, HEADER_ACTOR, HEADER_NAMESPACE,
                                                HEADER_TRACEPARENT, HEADER_WORKFLOW };
    struct event ev;
    struct err e;
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        struct message m = start();
        m.header[kept[i]] = BYTES_LIT("a\0b");
        cr_expect_eq(event_decode(&m, &ev, &e), EVENT_MALFORMED, "%zu", i);
        cr_expect(strstr(e.text, message_header_name(kept[i])), "%s", e.text);
    }
    struct message m = start(), result = completed("1");
    m.header[HEADER_ACTOR] = BYTES_LIT("");
    cr_expect_eq(event_decode(&m, &ev, &e), EVENT_OK);
    result.header[HEADER_ACTOR] = BYTES_LIT("\xff"); /* not kept: no result is lost for it */
    cr_expect_eq(event_decode(&result, &ev, &e), EVENT_OK);
}

Test(event, what_is_not_ours_is_malformed_and_what_is_newer_is_not)
{
    struct message none = { .value = BYTES_LIT("{}") }, newer = start(), unknown = start();
    struct event ev;
    struct err e;
    cr_expect_eq(event_decode(&none, &ev, &e), EVENT_MALFORMED);
    newer.header[HEADER_V] = BYTES_LIT("2");
    cr_expect_eq(event_decode(&newer, &ev, &e), EVENT_NEWER, "give the partition back");
    cr_expect_eq(e.kind, ERR_UNSUPPORTED);
    unknown.header[HEADER_TYPE] = BYTES_LIT("run.teleported");
    cr_expect_eq(event_decode(&unknown, &ev, &e), EVENT_NEWER);
    cr_expect(strstr(e.text, "run.teleported"), "%s", e.text);
}

Test(event, a_result_that_is_no_json_becomes_a_failure)
{
    static const char *const bad[] = { "",         "{",           "nul",
                                       "\"\xff\"", "\"\\u0000\"", "9223372036854775808" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct message m = completed(bad[i]);
        struct event ev;
        struct err e;
        cr_assert_eq(event_decode(&m, &ev, &e), EVENT_OK);
        cr_expect_eq(ev.type, EVENT_TASK_FAILED, "%s", bad[i]);
        AUTO_JSON *error = json_parse(ev.value, NULL);
        cr_expect_str_eq(json_text(error, "type"), "invalid_output");
        cr_expect(json_is_true(json_object_get(error, "retryable")));
    }
}

#define CLAIM_CHECK                                                                    \
    "{\"$blob\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"," \
    "\"size\":3}"

Test(event, a_claim_check_stands_for_its_content)
{
    struct message result = completed(CLAIM_CHECK), input = start();
    struct event ev;
    struct err e;
    cr_assert_eq(event_decode(&result, &ev, &e), EVENT_OK);
    cr_expect(ev.claim_check);
    cr_assert_eq(event_load(&ev, BYTES_LIT("[1]"), &e), EVENT_OK);
    cr_expect(bytes_is(ev.value, "[1]") && !ev.claim_check);
    cr_assert_eq(event_decode(&result, &ev, &e), EVENT_OK);
    cr_assert_eq(event_load(&ev, BYTES_LIT("[1"), &e), EVENT_OK);
    cr_expect_eq(ev.type, EVENT_TASK_FAILED, "what is no JSON is a failure of its task");
    input.value = BYTES_LIT(CLAIM_CHECK);
    cr_assert_eq(event_decode(&input, &ev, &e), EVENT_OK);
    cr_expect(ev.claim_check);
    cr_assert_eq(event_load(&ev, BYTES_LIT("abc"), &e), EVENT_MALFORMED);
    cr_expect(strstr(e.text, "JSON"), "%s", e.text);
}

Test(event, what_begins_as_a_claim_check_and_is_none_is_refused)
{
    struct message result = completed("{\"$blob\":\"x\",\"size\":1}"), input = start();
    struct event ev;
    struct err e;
    cr_assert_eq(event_decode(&result, &ev, &e), EVENT_OK);
    cr_expect_eq(ev.type, EVENT_TASK_FAILED);
    cr_expect_not(ev.claim_check);
    AUTO_JSON *error = json_parse(ev.value, NULL);
    cr_expect_str_eq(json_text(error, "type"), "invalid_output");
    input.value = BYTES_LIT("{\"$blob\":1}");
    cr_assert_eq(event_decode(&input, &ev, &e), EVENT_MALFORMED);
    cr_expect(strstr(e.text, "input"), "%s", e.text);
    input.value = BYTES_LIT(" {\"$blob\":1}");
    cr_assert_eq(event_decode(&input, &ev, &e), EVENT_OK, "a user's own begins with a space");
    cr_expect_not(ev.claim_check);
}

Test(event, a_payload_beyond_the_limit_is_refused_with_the_limit_named)
{
    AUTO_FREE char *big = xmalloc(PAYLOAD_BYTES_MAX + 1);
    memset(big, ' ', PAYLOAD_BYTES_MAX + 1);
    big[0] = '1';
    struct message result = completed("1"), input = start();
    struct event ev;
    struct err e;
    result.value = input.value = (struct bytes){ big, PAYLOAD_BYTES_MAX };
    cr_assert_eq(event_decode(&result, &ev, &e), EVENT_OK);
    cr_expect_eq(ev.type, EVENT_TASK_COMPLETED);
    cr_assert_eq(event_decode(&input, &ev, &e), EVENT_OK);
    result.value.len = input.value.len = PAYLOAD_BYTES_MAX + 1;
    cr_assert_eq(event_decode(&result, &ev, &e), EVENT_OK);
    cr_expect_eq(ev.type, EVENT_TASK_FAILED);
    AUTO_JSON *error = json_parse(ev.value, NULL);
    cr_expect(strstr(json_text(error, "message"), "900000"));
    cr_assert_eq(event_decode(&input, &ev, &e), EVENT_MALFORMED);
    cr_expect_eq(e.kind, ERR_LIMIT);
    cr_expect(strstr(e.text, "900000"), "%s", e.text);
}

/* --- tasks --- */

Test(task, is_decoded_with_the_place_to_answer_to)
{
    struct message m = task();
    struct task t;
    struct err e;
    cr_assert(task_decode(&m, &t, &e), "%s", e.text);
    cr_expect(bytes_is(t.reply_topic, "tutti.events") && t.reply_partition == 7);
    cr_expect(t.deadline_ms == 1700000000000 && t.timeout_ms == 30000 && t.attempt == 2);
    cr_expect(bytes_is(t.kind, "task") && bytes_is(t.uses, "noop") && bytes_is(t.value, "[1]"));
    m.header[HEADER_DEADLINE_MS] = m.header[HEADER_TIMEOUT_MS] = (struct bytes){ 0 };
    m.header[HEADER_REPLY_TO] = BYTES_LIT("a/b/0");
    cr_assert(task_decode(&m, &t, &e), "%s", e.text);
    cr_expect(bytes_is(t.reply_topic, "a/b") && t.reply_partition == 0);
    cr_expect(t.deadline_ms == 0 && t.timeout_ms == 0, "none are stated");
}

Test(task, a_header_that_is_missing_or_wrong_is_refused_and_named)
{
    static const struct {
        enum message_header header;
        const char *value;
    } table[] = {
        { HEADER_V, NULL },
        { HEADER_V, "2" },
        { HEADER_TYPE, NULL },
        { HEADER_TYPE, "task.completed" },
        { HEADER_RUN_ID, NULL },
        { HEADER_RUN_ID, "run" },
        { HEADER_PATH, NULL },
        { HEADER_ATTEMPT, NULL },
        { HEADER_TASK_ID, NULL },
        { HEADER_GEN, NULL },
        { HEADER_KIND, NULL },
        { HEADER_KIND, "" },
        { HEADER_REPLY_TO, NULL },
        { HEADER_REPLY_TO, "" },
        { HEADER_REPLY_TO, "/" },
        { HEADER_REPLY_TO, "topic" },
        { HEADER_REPLY_TO, "topic/" },
        { HEADER_REPLY_TO, "/1" },
        { HEADER_REPLY_TO, "t/-1" },
        { HEADER_REPLY_TO, "t/2147483648" },
        { HEADER_DEADLINE_MS, "soon" },
        { HEADER_MARKS, "1:{2}" },
        { HEADER_TIMEOUT_MS, "1.5" },
        { HEADER_TIMEOUT_MS, "999999999999999999" },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct message m = task();
        struct task t;
        struct err e;
        m.header[table[i].header] = bytes_of(table[i].value);
        cr_expect_not(task_decode(&m, &t, &e), "row %zu", i);
        cr_expect(strstr(e.text, message_header_name(table[i].header)), "row %zu: %s", i, e.text);
    }
}

/* --- what travels beside payloads --- */

Test(payload, places_of_secrets_survive_the_way)
{
    struct secret_ref list[] = { { (char *)"/headers/authorization", 7, (char *)"TOKEN" },
                                 { (char *)"/a~1b/é\"", 0, (char *)"OTHER" } };
    struct secret_refs refs = { list, ARRAY_LEN(list) };
    CLEANUP(secret_refs_done) struct secret_refs back = { 0 };
    AUTO_BUF struct buf header = { 0 };
    struct err e;
    secret_refs_encode(&refs, &header);
    cr_assert(secret_refs_decode(buf_bytes(&header), &back, &e), "%s", e.text);
    cr_assert_eq(back.count, refs.count);
    for (size_t i = 0; i < back.count; i++) {
        cr_expect_str_eq(back.refs[i].pointer, list[i].pointer);
        cr_expect_str_eq(back.refs[i].name, list[i].name);
        cr_expect_eq(back.refs[i].offset, list[i].offset);
    }
}

Test(payload, places_of_secrets_that_are_malformed_are_refused)
{
    static const char *const bad[] = { "",
                                       "{}",
                                       "[1]",
                                       "[[]]",
                                       "[[\"/a\",0]]",
                                       "[[\"/a\",-1,\"N\"]]",
                                       "[[\"/a\",1.5,\"N\"]]",
                                       "[[\"/a\",900001,\"N\"]]",
                                       "[[\"/a\",0,\"N\"],[1,2,3]]",
                                       "[[\"/a\",0,\"N\"" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct secret_refs refs = { 0 };
        struct err e;
        cr_expect_not(secret_refs_decode(bytes_of(bad[i]), &refs, &e), "%s", bad[i]);
        cr_expect_null(refs.refs);
        cr_expect(strstr(e.text, "secrets"), "%s", e.text);
    }
}

Test(payload, an_error_reads_back_as_it_was_written)
{
    AUTO_BUF struct buf b = { 0 };
    AUTO_JSON *details = json_pack("{s:i}", "status", 503);
    error_encode(&b, ERROR_OVERLOADED, "try \"later\"\n", true, 1500, details);
    AUTO_JSON *error = json_parse(buf_bytes(&b), NULL);
    cr_assert_not_null(error, "%s", b.data);
    cr_expect_str_eq(json_text(error, "type"), "overloaded");
    cr_expect_str_eq(json_text(error, "message"), "try \"later\"\n");
    cr_expect_eq(json_int(error, "retry_after_ms", 0), 1500);
    cr_expect_eq(json_int(json_object_get(error, "details"), "status", 0), 503);
    buf_reset(&b);
    error_encode(&b, ERROR_AUTH, "", false, 0, NULL);
    cr_expect_str_eq(b.data, "{\"type\":\"auth\",\"message\":\"\",\"retryable\":false}");
}

Test(payload, usage_reads_back_in_an_event)
{
    AUTO_BUF struct buf b = { 0 };
    usage_encode(&b, "gpt \"x\"", &(struct usage){ 10, 20, INT64_MAX });
    struct message m = completed("1");
    struct event ev;
    struct err e;
    m.header[HEADER_USAGE] = buf_bytes(&b);
    cr_assert_eq(event_decode(&m, &ev, &e), EVENT_OK);
    cr_expect(ev.usage.tokens_in == 10 && ev.usage.tokens_out == 20);
    cr_expect_eq(ev.usage.micro_usd, INT64_MAX);
}
