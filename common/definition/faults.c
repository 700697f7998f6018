/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults with their positions, and suggestions for misspelt names.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "common/base/limits.h"
#include "common/base/nearest.h"
#include "common/definition/compile.h"

void *memory_own(struct memory *m, void *object, void (*release)(void *object))
{
    if (m->count == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 32;
        m->list = xrealloc(m->list, m->cap * sizeof *m->list);
    }
    m->list[m->count++] = (struct owned){ .object = object, .release = release };
    return object;
}

void memory_done(struct memory *m)
{
    while (m->count > 0) {
        struct owned *last = &m->list[--m->count];
        last->release(last->object);
    }
    free(m->list);
    *m = (struct memory){ 0 };
}

const char *scratch_text(struct compiler *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = xvasprintf(fmt, args);
    va_end(args);
    return memory_own(&c->scratch, text, free);
}

void faults_done(struct faults *f)
{
    for (size_t i = 0; i < f->count; i++) {
        free(f->list[i].pointer);
        free(f->list[i].text);
    }
    free(f->list);
    *f = (struct faults){ 0 };
}

void fault_add(struct faults *faults, uint32_t line, uint32_t column, const char *pointer,
               char *text)
{
    if (faults->count == FAULTS_MAX) {
        free(text);
        return;
    }
    text_one_line(text); /* it may quote the file */
    if (!faults->list) faults->list = xcalloc(FAULTS_MAX, sizeof *faults->list);
    faults->list[faults->count++] =
        (struct fault){ .line = line, .column = column, .pointer = xstrdup(pointer), .text = text };
}

/* Insertion sort: few, nearly in order, and stable, so that faults at one place stay in the order
 * in which they were found. */
void faults_sort(struct faults *faults)
{
    for (size_t i = 1; i < faults->count; i++) {
        struct fault moving = faults->list[i];
        size_t j = i;
        for (; j > 0; j--) {
            const struct fault *before = &faults->list[j - 1];
            if (before->line < moving.line ||
                (before->line == moving.line && before->column <= moving.column))
                break;
            faults->list[j] = *before;
        }
        faults->list[j] = moving;
    }
}

/* The text from line and column (from 1, in code points) on. */
static struct bytes text_from(struct bytes text, uint32_t line, uint32_t column)
{
    const char *p = text.data, *end = text.data + text.len;
    while (p < end && line > 1)
        if (*p++ == '\n') line--;
    for (; p < end && column > 1 && *p != '\n'; column--) {
        p++;
        while (p < end && ((unsigned char)*p & 0xC0) == 0x80) p++;
    }
    return (struct bytes){ .data = p, .len = (size_t)(end - p) };
}

/* Moves the column from the start of a scalar to a byte offset of its value, where the file holds
 * the value as it is up to there: plain and quoted scalars in one line, without escapes. */
static bool advance(struct node n, size_t offset, uint32_t line, uint32_t *column)
{
    if (!line || !json_is_string(n.value) || offset > json_string_length(n.value)) return false;
    struct bytes source = text_from(n.c->text, line, *column);
    const char *value = json_string_value(n.value);
    size_t quote = source.len && (source.data[0] == '"' || source.data[0] == '\'');
    if (source.len < quote + offset || memchr(value, '\n', offset)) return false;
    if (offset && memcmp(source.data + quote, value, offset) != 0) return false;
    *column += (uint32_t)(quote + utf8_count(value, offset));
    return true;
}

void fault(struct node n, const char *fmt, ...)
{
    uint32_t line, column;
    va_list args;
    va_start(args, fmt);
    positions_find(n.c->positions, n.pointer, &line, &column);
    fault_add(n.c->faults, line, column, n.pointer, xvasprintf(fmt, args));
    va_end(args);
}

void fault_key(struct node n, const char *fmt, ...)
{
    uint32_t line, column;
    va_list args;
    va_start(args, fmt);
    positions_find_key(n.c->positions, n.pointer, &line, &column);
    fault_add(n.c->faults, line, column, n.pointer, xvasprintf(fmt, args));
    va_end(args);
}

void fault_in(struct node n, size_t offset, const char *fmt, ...)
{
    uint32_t line, column;
    va_list args;
    va_start(args, fmt);
    positions_find(n.c->positions, n.pointer, &line, &column);
    (void)advance(n, offset, line, &column);
    fault_add(n.c->faults, line, column, n.pointer, xvasprintf(fmt, args));
    va_end(args);
}

/* --- suggestions --- */

const char *did_you_mean(struct compiler *c, const char *name, const char *const *names,
                         size_t count)
{
    if (c->faults->count == FAULTS_MAX) return ""; /* nobody will see it */
    const char *nearest = nearest_name(name, names, count);
    return nearest ? scratch_text(c, "; did you mean '%s'?", nearest) : "";
}
