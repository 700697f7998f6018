/* SPDX-License-Identifier: Apache-2.0
 *
 * Definitions, from YAML or JSON to the compiled form or to faults. One part: the file. */
#include "common/definition/definition.h"
#include "tests/fuzz/fuzz.h"

static void faults_text(const struct faults *f, struct buf *ret)
{
    for (size_t i = 0; i < f->count; i++)
        buf_addf(ret, "%u:%u %s: %s\n", f->list[i].line, f->list[i].column,
                 f->list[i].pointer ? f->list[i].pointer : "-", f->list[i].text);
}

/* Each fault has its place in the file and says something; they come in order of lines. */
static void check_faults(struct bytes file, const struct faults *f)
{
    FUZZ_CHECK(f->count >= 1 && f->count <= 50, "%zu faults", f->count);
    for (size_t i = 0; i < f->count; i++) {
        const struct fault *fault = &f->list[i];
        FUZZ_CHECK(fault->text && *fault->text, "a fault without a text");
        FUZZ_CHECK(utf8_check(fault->text, strlen(fault->text)), "no UTF-8: %s", fault->text);
        FUZZ_CHECK(!strchr(fault->text, '\n'), "a fault of several lines: %s", fault->text);
        fuzz_check_place(file, fault->line, fault->column, fault->text);
        FUZZ_CHECK(i == 0 || f->list[i - 1].line <= fault->line, "out of order: %s", fault->text);
    }
}

static void check_blocks(const struct definition *d)
{
    FUZZ_CHECK(d->step_count >= 1 && d->block_count >= 1, "an empty definition");
    size_t seen = 0;
    for (uint32_t b = 0; b < d->block_count; b++) {
        const struct block_def *block = &d->blocks[b];
        bool of_run = b == 0 || b == d->fallback_block;
        FUZZ_CHECK(of_run == (block->parent_step == NO_INDEX), "block %u", b);
        FUZZ_CHECK(of_run || block->parent_step < d->step_count, "block %u has no parent", b);
        for (uint32_t i = 0; i < block->count; i++) {
            FUZZ_CHECK(block->steps[i] < d->step_count, "block %u names no step", b);
            const struct step_def *s = &d->steps[block->steps[i]];
            FUZZ_CHECK(definition_step(d, bytes_of(s->name)) == s, "%s is not found", s->name);
            const struct step_def *before = definition_before(d, block->steps[i]);
            FUZZ_CHECK(before != s, "%s stands before itself", s->name);
            seen++;
        }
    }
    FUZZ_CHECK(seen == d->step_count, "%zu of %u steps are in blocks", seen, d->step_count);
}

/* A run pins the definition by the hash of its canonical form: that must compile to the same. */
static void check_canonical(const struct definition *d)
{
    struct err e;
    struct bytes canonical = { d->canonical, d->canonical_len };
    CLEANUP(definition_free_p) struct definition *again = definition_load(canonical, d->sha256, &e);
    FUZZ_CHECK(again, "the canonical form does not load: %s\n%s", e.text, d->canonical);
    fuzz_check_same("hashes", bytes_of(d->sha256), bytes_of(again->sha256));
    fuzz_check_same("canonical forms", canonical,
                    (struct bytes){ again->canonical, again->canonical_len });
    FUZZ_CHECK(d->step_count == again->step_count && d->block_count == again->block_count &&
                   d->trigger_count == again->trigger_count,
               "the canonical form has other steps");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_INPUT in = fuzz_split(data, size);
    struct bytes file = in.part[0];
    struct faults faults = { 0 }, warnings = { 0 }, again = { 0 };
    CLEANUP(definition_free_p) struct definition *d = definition_lint(file, &faults, &warnings);
    if (d) {
        if (warnings.count > 0) check_faults(file, &warnings);
        faults_done(&warnings);
        FUZZ_CHECK(faults.count == 0, "faults of a good file");
        check_blocks(d);
        check_canonical(d);
        faults_done(&faults);
        return 0;
    }
    FUZZ_CHECK(warnings.count == 0, "warnings of a file with faults");
    check_faults(file, &faults);
    FUZZ_CHECK(!definition_parse(file, &again), "a file with faults has none");
    AUTO_BUF struct buf a = { 0 }, b = { 0 };
    faults_text(&faults, &a);
    faults_text(&again, &b);
    fuzz_check_same("faults of one file", buf_bytes(&a), buf_bytes(&b));
    faults_done(&faults);
    faults_done(&again);
    return 0;
}
