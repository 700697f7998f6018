/* SPDX-License-Identifier: Apache-2.0
 *
 * Upstream records that start runs. Parts: a digit that picks the trigger;
 * "TOPIC/PARTITION/OFFSET"; headers, "name: value" a line; the value; the key. Whatever a trigger
 * sends can be folded. */
#include "orchestrator/trigger_start.h"
#include "tests/fuzz/fuzz.h"

#define HEADERS_MAX 16

static const char *const triggers[] = {
    "{ topic: orders }",
    "{ topic: orders, filter: 'event.data.amount > 1000', key: '${event.data.id}' }",
    ("{ topic: orders, filter: 'has(event.type) && event.type != \"\"', input: { id: "
     "'${event.id}', "
     "all: '${event.data}' }, key: '${event.data.id}-${event.key}' }"),
    "{ topic: orders, input: '${event}', key: '${event.data}' }",
    "{ topic: orders, input: { l: '${event.data.list.map(x, [x, x])}', t: 'a ${event.data.s} b' } "
    "}",
    "{ topic: orders, filter: 'event.offset % 2 == 1', input: '${[[[[event.data]]]]}' }",
};

struct definitions {
    struct definition *list[ARRAY_LEN(triggers)];
};

static const struct definition *definition_of(struct bytes digit)
{
    static struct definitions all; /* compiled once for all inputs */
    size_t i = digit.len ? (unsigned char)digit.data[0] % ARRAY_LEN(triggers) : 0;
    if (all.list[i]) return all.list[i];
    struct faults faults = { 0 };
    AUTO_FREE char *text = xasprintf("workflow: w%zu\nversion: '1'\ntriggers:\n  - %s\nsteps:\n"
                                     "  - { name: a, type: task, uses: noop }\n",
                                     i, triggers[i]);
    all.list[i] = definition_parse(bytes_of(text), &faults);
    FUZZ_CHECK(all.list[i], "trigger %zu: %s", i, faults.list[0].text);
    return all.list[i];
}

struct record {
    struct bus_record r;
    struct bus_extra_header extra[HEADERS_MAX];
    char *names[HEADERS_MAX];
};

static void record_done(struct record *r)
{
    for (size_t i = 0; i < r->r.extra_count; i++) free(r->names[i]);
}

static void record_of(const struct fuzz_input *in, struct record *ret)
{
    struct bytes rest = in->part[2], line;
    AUTO_FREE char *place = fuzz_text(in->part[1]);
    int partition = 0;
    long long offset = 0;
    *ret = (struct record){ .r = { .topic = "orders",
                                   .message = { .value = in->part[3],
                                                .key = in->count > 4 ? in->part[4]
                                                                     : (struct bytes){ 0 } },
                                   .extra = ret->extra } };
    if (sscanf(place, "orders/%6d/%17lld", &partition, &offset) == 2) {
        ret->r.partition = abs(partition);
        ret->r.offset = llabs(offset);
    }
    while (ret->r.extra_count < HEADERS_MAX && fuzz_line(&rest, &line)) {
        const char *colon = memmem(line.data, line.len, ": ", 2);
        if (!colon) continue;
        size_t i = ret->r.extra_count++, len = (size_t)(colon - line.data);
        ret->names[i] = fuzz_text((struct bytes){ line.data, len });
        ret->extra[i] = (struct bus_extra_header){
            .name = ret->names[i],
            .value = { line.data + len + 2, line.len - len - 2 },
        };
    }
}

static void check_start(const struct definition *def, const struct trigger_start *s)
{
    struct err e = { 0 };
    struct event ev = { 0 };
    struct message m = { .value = buf_bytes(&s->input), .key = run_id_route(bytes_of(s->run_id)) };
    trigger_start_headers(def, s, m.header);
    FUZZ_CHECK(event_decode(&m, &ev, &e) == EVENT_OK, "a start that nobody can fold: %s", e.text);
    FUZZ_CHECK(ev.type == EVENT_RUN_START && !ev.key.data == !s->key.len, "another start");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_INPUT in = fuzz_split(data, size);
    struct err e = { 0 };
    CLEANUP(record_done) struct record r;
    record_of(&in, &r);
    const struct definition *def = definition_of(in.part[0]);
    AUTO_JSON *event = trigger_event(&r.r, &e);
    if (!event) {
        fuzz_check_error(&e);
        return 0;
    }
    FUZZ_CHECK(json_is_object(event), "an event that is no object");
    for (int twice = 0; twice < 2; twice++) {
        CLEANUP(trigger_start_done) struct trigger_start start = { 0 };
        if (!trigger_start_make(def, &def->triggers[0], event, &r.r, &start, &e))
            fuzz_check_error(&e);
        else if (start.wanted)
            check_start(def, &start);
    }
    return 0;
}
