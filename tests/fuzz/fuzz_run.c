/* SPDX-License-Identifier: Apache-2.0
 *
 * A run out of its stored fields, and what events make of it. Parts: a digit that picks the
 * definition; then fields (the name in the first line, the value behind it) and events ("!TYPE PATH
 * ATTEMPT" in the first line, the value behind it). Without a field the first event starts a run.
 * What is true of every fold is checked after each event. Or "snapshot"; the key of a record of
 * snapshots; its headers off and chunks, one a line; its value (none: a tombstone); what Redis
 * notes of it. */
#include <inttypes.h>

#include "orchestrator/engine/engine.h"
#include "orchestrator/snapshot.h"
#include "tests/fuzz/fuzz.h"

#define RUN_ID     "0123456789abcdef-0123456789abcdef01234567"
#define START_MS   1700000000000
#define EVENTS_MAX 16

static const char *const texts[] = {
    /* tasks with retries, a fallback, a mapping, variables */
    "workflow: a\nversion: '1'\nsteps:\n"
    "  - { name: extract, type: task, uses: f, retry: { max_attempts: 3, initial: 1s }, input: { "
    "d: "
    "'${input.d}' } }\n"
    "  - { name: keep, type: set, vars: { seen: '${steps.extract.output}', n: '${1 + 1}' } }\n"
    "  - { name: ask, type: llm, prompt: 'About ${vars.seen}', on_error: { fallback: [ { name: "
    "plan_b, type: set, vars: { seen: '${error.type}' } } ] } }\n"
    "output: { got: '${steps.ask.output}', seen: '${vars.seen}' }\n",
    /* branches and choices */
    "workflow: b\nversion: '1'\nsteps:\n"
    "  - name: both\n    type: parallel\n    join: { at_least: 1 }\n"
    "    on_branch_error: collect\n    branches:\n"
    "      l: [ { name: left, type: task, uses: f } ]\n"
    "      r: [ { name: right, type: task, uses: f }, { name: right2, type: task, uses: g } ]\n"
    "  - name: choose\n    type: conditional\n    cases:\n"
    "      - { when: 'steps.both.output.l == 1', steps: [ { name: one, type: task, uses: f } ] }\n"
    "    else: [ { name: other, type: set, vars: { x: 1 } } ]\n",
    /* a run that has a fallback, and limits */
    "workflow: c\nversion: '1'\nlimits: { timeout: 60s, budget: { tokens: 100 } }\n"
    "on_error: { fallback: [ { name: sorry, type: task, uses: f } ] }\nsteps:\n"
    "  - { name: extract, type: task, uses: f, timeout: 5s, on_error: continue }\n"
    "  - { name: last, type: http, url: 'http://h/${steps.extract.output}', if: "
    "'steps.extract.output != null' }\n",
    /* what repeats */
    "workflow: d\nversion: '1'\nlimits: { max_parallel: 2 }\nsteps:\n"
    "  - { name: keep, type: set, vars: { l: '${input}' } }\n"
    "  - name: m\n    type: map\n    over: '${vars.l}'\n    on_item_error: collect\n"
    "    max_concurrent: 3\n    steps:\n"
    "      - { name: a, type: task, uses: f, input: [ '${item}', '${index}' ] }\n"
    "      - name: l\n        type: loop\n        until: 'steps.t.output == 1'\n"
    "        max_iterations: 3\n        steps:\n"
    "          - { name: t, type: task, uses: f, input: '${item}' }\n"
    "    reduce: [ { name: r, type: task, uses: f, input: '${results}' } ]\n"
    "  - name: n\n    type: map\n    over: '${steps.m.output}'\n    batch: 2\n    steps:\n"
    "      - { name: b, type: task, uses: f }\n",
};

struct definitions {
    struct definition *list[ARRAY_LEN(texts)];
};

static const struct definition *definition_of(struct bytes digit)
{
    static struct definitions all; /* compiled once for all inputs */
    size_t i = digit.len ? (unsigned char)digit.data[0] % ARRAY_LEN(texts) : 0;
    struct faults faults = { 0 };
    if (!all.list[i]) all.list[i] = definition_parse(bytes_of(texts[i]), &faults);
    FUZZ_CHECK(all.list[i], "definition %zu: %u:%u: %s", i, faults.list[0].line,
               faults.list[0].column, faults.list[0].text);
    return all.list[i];
}

/* A run in memory, and what Redis holds of it. */
struct world {
    const struct definition *def;
    struct run *run;
    struct field *store; /* owned, names and values too */
    size_t stored;
    int64_t now_ms, offset;
};

static struct bytes copy(struct bytes b)
{
    char *data = xmalloc(b.len);
    if (b.len) memcpy(data, b.data, b.len);
    return (struct bytes){ data, b.len };
}

static void store_put(struct world *w, struct bytes name, struct bytes value)
{
    for (size_t i = 0; i < w->stored; i++) {
        if (!bytes_equal(w->store[i].name, name)) continue;
        free((char *)(uintptr_t)w->store[i].name.data);
        free((char *)(uintptr_t)w->store[i].value.data);
        w->store[i] = w->store[--w->stored];
        break;
    }
    if (!value.data) return;
    w->store = xrealloc(w->store, (w->stored + 1) * sizeof *w->store);
    w->store[w->stored++] = (struct field){ .name = copy(name), .value = copy(value) };
}

static void world_done(struct world *w)
{
    for (size_t i = 0; i < w->stored; i++) {
        free((char *)(uintptr_t)w->store[i].name.data);
        free((char *)(uintptr_t)w->store[i].value.data);
    }
    free(w->store);
    run_free(w->run);
}

/* --- the fold's results as text, to compare --- */

static void add(struct buf *b, const char *name, struct bytes value)
{
    buf_addf(b, "%s=", name);
    buf_add(b, value.data, value.len);
    buf_add_char(b, '\n');
}

static void effects_text(const struct effects *fx, struct buf *ret)
{
    for (size_t i = 0; i < fx->count; i++) {
        const struct effect *f = &fx->list[i];
        buf_addf(ret, "%d %s %s %" PRId64 "\n", f->kind, f->task_id, f->queue ? f->queue : "-",
                 f->until_ms);
        for (int h = 0; h < HEADER_COUNT; h++)
            add(ret, message_header_name((enum message_header)h), f->header[h]);
        for (size_t h = 0; h < f->ce_count; h++) add(ret, f->ce[h].name, f->ce[h].value);
        add(ret, "value", f->value);
    }
}

/* Every task can be decoded by a worker, every payload is JSON of ours. */
static void check_effects(const struct effects *fx)
{
    struct err e = { 0 };
    struct task task;
    for (size_t i = 0; i < fx->count; i++) {
        const struct effect *f = &fx->list[i];
        if (f->kind == EFFECT_CANCEL || f->kind == EFFECT_SETTLE) continue;
        FUZZ_CHECK(json_check(f->value), "a payload that is no JSON: %.*s", (int)f->value.len,
                   f->value.data);
        if (f->kind == EFFECT_RESULT) continue;
        struct message m = { .value = f->value, .key = f->key };
        memcpy(m.header, f->header, sizeof m.header);
        FUZZ_CHECK(f->queue && task_decode(&m, &task, &e), "no worker can read it: %s", e.text);
    }
}

static void fields_text(const struct fields *f, struct buf *ret)
{
    for (size_t i = 0; i < f->count; i++) {
        add(ret, "field", f->list[i].name);
        add(ret, f->list[i].value.data ? "is" : "deleted", f->list[i].value);
    }
}

/* --- events --- */

/* A number out of the text behind *rest's next space. */
static int64_t number(struct bytes *rest)
{
    int64_t n = 0;
    while (rest->len && *rest->data == ' ') *rest = (struct bytes){ rest->data + 1, rest->len - 1 };
    while (rest->len && *rest->data >= '0' && *rest->data <= '9' && n < 1000000000) {
        n = n * 10 + (*rest->data - '0');
        *rest = (struct bytes){ rest->data + 1, rest->len - 1 };
    }
    return n;
}

static struct bytes word(struct bytes *rest)
{
    while (rest->len && *rest->data == ' ') *rest = (struct bytes){ rest->data + 1, rest->len - 1 };
    const char *end = rest->len ? memchr(rest->data, ' ', rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    struct bytes got = { rest->data, len };
    *rest = (struct bytes){ rest->data + len, rest->len - len };
    return got;
}

/* The event of a part, decoded from a message as every event is. false: it is none. */
static bool event_of(struct bytes part, struct world *w, char id[TASK_ID_MAX], struct event *ret)
{
    static const struct {
        const char *name, *type;
    } names[] = {
        { "start", "run.start" },   { "cancel", "run.cancel" },        { "expired", "run.expired" },
        { "timer", "timer.fired" }, { "completed", "task.completed" }, { "failed", "task.failed" },
        { "lost", "task.lost" },    { "resume", "run.resume" },        { "pause", "run.pause" },
        { "retry", "run.retry" },   { "rerun", "run.rerun" },          { "fork", "run.start" },
        { "skip", "step.skip" },    { "vars", "run.set_variables" },   { "end", "run.terminate" },
    };
    struct bytes line, rest = part;
    if (!fuzz_line(&rest, &line)) return false;
    struct bytes name = word(&line), type = { 0 }, path = word(&line);
    name = (struct bytes){ name.data + 1, name.len - 1 };
    if (bytes_is(name, "wait")) w->now_ms += number(&path);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (bytes_is(name, names[i].name)) type = bytes_of(names[i].type);
    if (!type.data) return false;
    AUTO_FREE char *attempt = xasprintf("%" PRId64, number(&line) % 1000);
    AUTO_FREE char *due = xasprintf("%" PRId64, w->run ? run_due_ms(w->run) : w->now_ms);
    if (bytes_is(name, "timer") && w->run) w->now_ms = MAX(w->now_ms, run_due_ms(w->run));
    task_id_make(id, BYTES_LIT(RUN_ID), path, (uint32_t)strtoul(attempt, NULL, 10));
    struct bytes origin = { 0 };
    if (bytes_is(name, "fork")) origin = BYTES_LIT("fedcba9876543210-fedcba9876543210fedcba98");
    struct message m = { .value = rest,
                         .header = {
                             [HEADER_V] = BYTES_LIT(MESSAGE_VERSION),
                             [HEADER_TYPE] = type,
                             [HEADER_RUN_ID] = BYTES_LIT(RUN_ID),
                             [HEADER_PATH] = path,
                             [HEADER_ATTEMPT] = bytes_of(attempt),
                             [HEADER_TASK_ID] = bytes_of(id),
                             [HEADER_KEY] = path,
                             [HEADER_ACTOR] = path,
                             [HEADER_NAMESPACE] = line,
                             [HEADER_GEN] = BYTES_LIT("g1"),
                             [HEADER_DUE_MS] = due[0] == '-' ? BYTES_LIT("0") : bytes_of(due),
                             [HEADER_DEFINITION] = bytes_of(w->def->sha256),
                             [HEADER_WORKFLOW] = bytes_of(w->def->name),
                             [HEADER_FORKED_FROM] = origin,
                             [HEADER_USAGE] = BYTES_LIT("{\"tokens_in\":30,\"tokens_out\":7}") } };
    struct err e = { 0 };
    if (path.len == 0) m.header[HEADER_KEY] = (struct bytes){ 0 };
    if (event_decode(&m, ret, &e) != EVENT_OK) return false;
    ret->attempt = ret->attempt % 256;
    ret->due_ms = bytes_is(name, "timer") && w->run ? run_due_ms(w->run) : ret->due_ms;
    return true;
}

static struct fold_context context(const struct world *w)
{
    return (struct fold_context){ .record_ms = w->now_ms,
                                  .offset = w->offset,
                                  .topic = "tutti.events",
                                  .partition = 3,
                                  .gen = "g1" };
}

/* The stored run, by way of a snapshot. */
static struct run *load(const struct world *w, const char *when)
{
    struct err e = { 0 };
    size_t count;
    AUTO_FREE struct field *fields = NULL;
    AUTO_BUF struct buf snapshot = { 0 };
    for (size_t i = 0; i < w->stored; i++)
        snapshot_encode_field(&snapshot, w->store[i].name, w->store[i].value);
    FUZZ_CHECK(snapshot_decode(buf_bytes(&snapshot), &fields, &count) && count == w->stored,
               "a snapshot of it is none");
    struct run *run = run_load(w->def, RUN_ID, fields, count, &e);
    FUZZ_CHECK(run, "the stored fields do not load %s: %s", when, e.text);
    return run;
}

static void apply(struct run *run, const struct event *ev, const struct fold_context *cx,
                  struct fields *fields, struct buf *ret)
{
    CLEANUP(effects_done) struct effects fx = { 0 };
    enum engine_verdict verdict = engine_apply(run, ev, cx, &fx);
    FUZZ_CHECK((verdict == ENGINE_APPLIED) == run_changed(run), "verdict %d", verdict);
    check_effects(&fx);
    run_changes(run, fields);
    buf_addf(ret, "%d due %" PRId64 "\n", verdict, run_due_ms(run));
    effects_text(&fx, ret);
    fields_text(fields, ret);
}

/* What is pending comes out the same, from memory and from the store. */
static void check_reissue(const struct world *w)
{
    CLEANUP(run_free_p) struct run *run = load(w, "to issue again");
    CLEANUP(effects_done) struct effects a = { 0 }, b = { 0 };
    AUTO_BUF struct buf x = { 0 }, y = { 0 };
    struct fold_context cx = context(w);
    engine_reissue(w->run, 0, &cx, &a);
    engine_reissue(run, 0, &cx, &b);
    check_effects(&a);
    effects_text(&a, &x);
    effects_text(&b, &y);
    fuzz_check_same("what is issued again", buf_bytes(&x), buf_bytes(&y));
}

static void on_event(struct world *w, const struct event *ev)
{
    struct fold_context cx = context(w);
    CLEANUP(fields_done) struct fields fields = { 0 }, others = { 0 };
    AUTO_BUF struct buf a = { 0 }, b = { 0 };
    w->offset++;
    if (!w->run) {
        if (ev->type != EVENT_RUN_START) return;
        CLEANUP(effects_done) struct effects fx = { 0 };
        w->run = engine_start(w->def, ev, &cx, &fx);
        check_effects(&fx);
        run_changes(w->run, &fields);
    } else {
        CLEANUP(run_free_p) struct run *other = load(w, "before an event");
        apply(w->run, ev, &cx, &fields, &a);
        apply(other, ev, &cx, &others, &b);
        fuzz_check_same("in memory and loaded", buf_bytes(&a), buf_bytes(&b));
    }
    for (size_t i = 0; i < fields.count; i++)
        store_put(w, fields.list[i].name, fields.list[i].value);
    check_reissue(w);
}

static void describe(const struct world *w)
{
    struct err e = { 0 };
    AUTO_BUF struct buf text = { 0 };
    for (int with = 0; with < 2; with++) {
        AUTO_JSON *shown = run_describe(with ? w->def : NULL, RUN_ID, w->store, w->stored, &e);
        if (!shown) fuzz_check_error(&e);
        buf_reset(&text);
        if (shown) json_write(&text, shown);
    }
}

/* --- records of snapshots, and what Redis says of them --- */

static void check_key(struct bytes text)
{
    struct snapshot_key key, again;
    AUTO_BUF struct buf made = { 0 };
    if (!snapshot_key_parse(text, &key)) return;
    snapshot_key_make(&made, key.id, key.epoch, key.off, key.off < 0 ? 1 : 2, key.chunk);
    FUZZ_CHECK(snapshot_key_parse(buf_bytes(&made), &again), "its key is none: %s", made.data);
    FUZZ_CHECK(strcmp(key.id, again.id) == 0 && key.epoch == again.epoch && key.off == again.off &&
                   key.chunk == again.chunk,
               "its key is another: %s", made.data);
}

static void check_record(const struct fuzz_input *in)
{
    struct bus_extra_header extra[2] = { { .name = "off" }, { .name = "chunks" } };
    struct bytes rest = in->part[2];
    struct snapshot_record rec;
    (void)(fuzz_line(&rest, &extra[0].value) && fuzz_line(&rest, &extra[1].value));
    struct bus_record r = { .message = { .key = in->part[1], .value = in->part[3] },
                            .extra = extra,
                            .extra_count = ARRAY_LEN(extra) };
    if (in->count < 4) r.message.value = (struct bytes){ 0 };
    if (!snapshot_parse(&r, &rec)) return;
    FUZZ_CHECK(!r.message.value.data == !rec.chunks && rec.chunks <= SNAPSHOT_CHUNKS_MAX,
               "%u chunks", rec.chunks);
    FUZZ_CHECK(!rec.chunks || (rec.off >= 0 && rec.key.chunk < rec.chunks), "chunk %u of %u",
               rec.key.chunk, rec.chunks);
}

static void check_value(struct bytes value)
{
    size_t count, count_again;
    AUTO_FREE struct field *fields = NULL, *again = NULL;
    AUTO_BUF struct buf made = { 0 };
    char sha[SHA256_HEX];
    if (!snapshot_decode(value, &fields, &count)) return;
    for (size_t i = 0; i < count; i++)
        snapshot_encode_field(&made, fields[i].name, fields[i].value);
    FUZZ_CHECK(snapshot_decode(buf_bytes(&made), &again, &count_again) && count_again == count,
               "written again it is none");
    for (size_t i = 0; i < count; i++) {
        fuzz_check_same("names", fields[i].name, again[i].name);
        fuzz_check_same("values", fields[i].value, again[i].value);
    }
    (void)fields_definition(fields, count, sha);
}

static void check_entry(struct bytes text)
{
    struct snapshot_entry entry, again;
    char made[SNAPSHOT_ENTRY_MAX];
    if (!snapshot_entry_parse(text, &entry)) return;
    snprintf(made, sizeof made, "%lld %lld %u ", (long long)entry.epoch, (long long)entry.off,
             entry.chunks);
    size_t len = strlen(made);
    FUZZ_CHECK(len + sizeof entry.hash <= sizeof made, "an entry of %zu bytes", len);
    memcpy(made + len, entry.hash, sizeof entry.hash - 1);
    struct bytes whole = { made, len + sizeof entry.hash - 1 };
    FUZZ_CHECK(snapshot_entry_parse(whole, &again), "its entry is none: %s", made);
    FUZZ_CHECK(entry.epoch == again.epoch && entry.off == again.off &&
                   entry.chunks == again.chunks && strcmp(entry.hash, again.hash) == 0,
               "its entry is another: %s", made);
}

static void snapshots(const struct fuzz_input *in)
{
    check_key(in->part[1]);
    check_record(in);
    check_value(in->part[3]);
    check_entry(in->part[4]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_INPUT in = fuzz_split(data, size);
    if (bytes_is(in.part[0], "snapshot")) {
        snapshots(&in);
        return 0;
    }
    CLEANUP(world_done)
    struct world w = { .def = definition_of(in.part[0]), .now_ms = START_MS, .offset = 100 };
    size_t next = 1;
    for (; next < in.count && in.part[next].len && in.part[next].data[0] != '!'; next++) {
        struct bytes rest = in.part[next], name;
        if (!fuzz_line(&rest, &name)) break;
        if (bytes_is(name, "h")) { /* nobody guesses a hash */
            AUTO_FREE char *head = xasprintf("{\"definition\":\"%s\",\"workflow\":\"w\",%.*s}",
                                             w.def->sha256, (int)rest.len, rest.data);
            store_put(&w, name, bytes_of(head));
        } else {
            /* Payloads are opaque, and none gets into Redis that is no JSON. */
            if (!bytes_is(name, "s") && !json_check(rest)) return -1;
            store_put(&w, name, rest);
        }
    }
    struct err e = { 0 };
    if (w.stored) {
        describe(&w);
        w.run = run_load(w.def, RUN_ID, w.store, w.stored, &e);
        if (!w.run) {
            fuzz_check_error(&e);
            return 0;
        }
        check_reissue(&w);
    }
    for (size_t n = 0; next < in.count && n < EVENTS_MAX; next++, n++) {
        char id[TASK_ID_MAX];
        struct event ev;
        if (event_of(in.part[next], &w, id, &ev)) on_event(&w, &ev);
    }
    describe(&w);
    return 0;
}
