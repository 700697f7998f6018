/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fuzz targets share. An input is text in parts, divided by lines of two percent signs, so
 * that a seed can be read and written by people. Each part is a block of its own without a NUL
 * behind it: a decoder that reads past its end is seen by AddressSanitizer. */
#ifndef TUTTI_FUZZ_H
#define TUTTI_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/json.h"

#define FUZZ_PARTS_MAX 24

/* libFuzzer's entry points. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_input {
    struct bytes part[FUZZ_PARTS_MAX]; /* the last takes all that is left */
    size_t count;                      /* at least 1; the parts beyond are empty */
};
/* Copies; release with fuzz_input_done. */
struct fuzz_input fuzz_split(const uint8_t *data, size_t size);
void fuzz_input_done(struct fuzz_input *in);
#define AUTO_INPUT CLEANUP(fuzz_input_done) struct fuzz_input

/* The next line of *rest, without its line feed; false at the end. */
bool fuzz_line(struct bytes *rest, struct bytes *ret);
/* A text with a NUL at its end, to free(); what lies behind a NUL of the bytes is left out. */
char *fuzz_text(struct bytes b);
/* A number from the bytes, the same for the same bytes: for choices that need no meaning. */
uint32_t fuzz_number(struct bytes b);

/* What holds for every input: anything else is a finding. */
#define FUZZ_CHECK(cond, ...)                                          \
    do {                                                               \
        if (!(cond)) {                                                 \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond); \
            fprintf(stderr, __VA_ARGS__);                              \
            fputc('\n', stderr);                                       \
            abort();                                                   \
        }                                                              \
    } while (0)

/* A failure's text: one line of valid UTF-8, ended, and not empty. */
void fuzz_check_error(const struct err *e);
/* Two bytes that must be the same. */
void fuzz_check_same(const char *what, struct bytes a, struct bytes b);
/* "LINE:COLUMN" at the front of text lies within the source (columns count code points; one past
 * the end of a line and one line past the end are within). */
void fuzz_check_place(struct bytes source, uint32_t line, uint32_t column, const char *text);

#endif
