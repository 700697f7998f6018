/* SPDX-License-Identifier: Apache-2.0
 *
 * What a trigger makes of an upstream record: the event, the input, the start key; and that nothing
 * is sent that the fold would refuse. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "orchestrator/trigger_start.h"

static struct definition *define(const char *trigger)
{
    struct faults faults = { 0 };
    AUTO_FREE char *text = xasprintf("workflow: w\nversion: '1'\ntriggers:\n  - %s\nsteps:\n"
                                     "  - { name: a, type: task, uses: noop }\n",
                                     trigger);
    struct definition *d = definition_parse(bytes_of(text), &faults);
    cr_assert(d, "%s", faults.count ? faults.list[0].text : text);
    return d;
}

static struct bus_record record(struct bytes value)
{
    return (struct bus_record){
        .topic = "orders", .partition = 2, .offset = 17, .message = { .value = value }
    };
}

/* "KEY|INPUT", "-" where the filter does not hold, or "!" and the error. */
static char *outcome(const char *trigger, const struct bus_record *r)
{
    struct err e;
    CLEANUP(definition_free_p) struct definition *d = define(trigger);
    AUTO_JSON *event = trigger_event(r, &e);
    CLEANUP(trigger_start_done) struct trigger_start s = { 0 };
    if (!event || !trigger_start_make(d, &d->triggers[0], event, r, &s, &e))
        return xasprintf("!%s", e.text);
    if (!s.wanted) return xstrdup("-");
    struct event ev;
    struct message m = { .value = buf_bytes(&s.input) };
    trigger_start_headers(d, &s, m.header);
    cr_expect_eq(event_decode(&m, &ev, &e), EVENT_OK, "nobody can fold it: %s", e.text);
    return xasprintf("%.*s|%s", (int)s.key.len, s.key.data ? s.key.data : "", s.input.data);
}

static void expect(const char *trigger, const struct bus_record *r, const char *wanted)
{
    AUTO_FREE char *got = outcome(trigger, r);
    bool ok = wanted[0] == '!' ? strstr(got, wanted + 1) != NULL : strcmp(got, wanted) == 0;
    cr_expect(ok, "%s\n  wanted %s\n  got    %s", trigger, wanted, got);
}

Test(trigger, a_record_becomes_an_event_and_the_event_a_start)
{
    struct bus_extra_header binary[] = { { "CE_type", BYTES_LIT("order.created") },
                                         { "content-type", BYTES_LIT("application/json") } };
    struct bus_extra_header structured[] = {
        { "content-type", BYTES_LIT("application/cloudevents+json; charset=UTF-8") }
    };
    struct bus_record r = record(BYTES_LIT("{\"id\":\"o-1\",\"amount\":5}"));
    r.message.key = BYTES_LIT("k");
    expect("{ topic: orders }", &r, "|{\"id\":\"o-1\",\"amount\":5}");
    expect("{ topic: orders, filter: 'event.data.amount > 9' }", &r, "-");
    expect("{ topic: orders, filter: 'event.data.x > 9' }", &r, "!filter of workflow w: ");
    expect("{ topic: orders, key: '${event.data.id}', input: '${event.offset}' }", &r, "o-1|17");
    r.extra = binary;
    r.extra_count = ARRAY_LEN(binary);
    expect("{ topic: orders, key: '${event.key}', input: '${event.type}' }", &r,
           "k|\"order.created\"");
    r = record(BYTES_LIT("{\"type\":\"t\",\"data\":[1]}"));
    r.extra = structured;
    r.extra_count = ARRAY_LEN(structured);
    expect("{ topic: orders, key: '${event.type}' }", &r, "t|[1]");
    r.message.key = BYTES_LIT("k");
    expect("{ topic: orders, key: '${event.key}', input: '${event.topic}/${event.offset}' }", &r,
           "k|\"orders/17\"");
    r.message.value = BYTES_LIT("[1]");
    expect("{ topic: orders }", &r, "!a structured CloudEvent is an object");
}

Test(trigger, a_header_without_a_value_is_no_attribute)
{
    struct bus_extra_header headers[] = { { "ce_subject", BYTES_LIT("") },
                                          { "ce_id", BYTES_LIT("1") } };
    struct bus_record r = record(BYTES_LIT("1"));
    r.extra = headers;
    r.extra_count = ARRAY_LEN(headers);
    expect("{ topic: orders, input: ['${has(event.subject)}', '${has(event.id)}'] }", &r,
           "|[false,true]");
}

Test(trigger, a_key_that_is_a_binary_number_is_no_text)
{
    struct bus_extra_header headers[] = { { "ce_subject", BYTES_LIT("a\0b") },
                                          { "ce_id", BYTES_LIT("\xff") } };
    struct bus_record r = record(BYTES_LIT("1"));
    r.message.key = (struct bytes){ "\0\0\0\0\0\0\0\5", 8 };
    r.extra = headers;
    r.extra_count = ARRAY_LEN(headers);
    expect("{ topic: orders, key: '${event.key}', input: ['${event.subject}', '${event.id}'] }", &r,
           "|[null,null]");
    expect("{ topic: orders, key: '${event.key}', input: '${event.key}' }", &r, "|null");
}

Test(trigger, an_input_deeper_than_the_fold_takes_is_the_records_fault)
{
    AUTO_BUF struct buf deep = { 0 };
    for (int i = 0; i < JSON_DEPTH_MAX; i++) buf_add_char(&deep, '[');
    for (int i = 0; i < JSON_DEPTH_MAX; i++) buf_add_char(&deep, ']');
    struct bus_record r = record(buf_bytes(&deep));
    AUTO_FREE char *fits = outcome("{ topic: orders }", &r);
    cr_expect_eq(fits[0], '|', "%s", fits);
    expect("{ topic: orders, input: { all: '${event.data}' } }", &r, "!deeper than 128");
    AUTO_FREE char *deeper = xasprintf("[%s]", deep.data);
    r.message.value = bytes_of(deeper);
    expect("{ topic: orders }", &r, "!the input nests deeper than 128 levels");
}
