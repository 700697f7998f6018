/* SPDX-License-Identifier: Apache-2.0
 *
 * What the terminal gets to see. Text from a model, a payload or a file is never written as it is:
 * what could move the cursor, change colours, hide text or turn its direction is shown escaped.
 * Colours and redrawing happen only on a terminal, and colours not under NO_COLOR (no-color.org).
 */
#ifndef TUTTI_CLI_TERM_H
#define TUTTI_CLI_TERM_H

#include "common/base/buf.h"
#include "common/base/json.h"

struct term {
    bool tty;               /* may be redrawn */
    bool color;             /* may be coloured */
    uint32_t width, height; /* columns and lines; 80 and 24 where they cannot be known */
};

/* What fd is. */
struct term term_of(int fd);

/* Appends text with everything dangerous escaped: C0 and C1 controls, DEL, bidi controls, line and
 * paragraph separators, byte order marks and tag characters as \xNN or \u{NNNN}, bytes that are no
 * UTF-8 as \xNN. lines: \n and \t stay (else they are escaped as well). */
void term_text(struct buf *ret, struct bytes text, bool lines);

/* Appends the line of the text and under it a ^ below the column (both from 1, the column in code
 * points), each as an indented line. Of a long line what is around the column; of a line that the
 * text does not have, nothing. */
void term_caret(struct buf *ret, struct bytes text, uint32_t line, uint32_t column);

enum term_style { TERM_PLAIN, TERM_BOLD, TERM_DIM, TERM_GREEN, TERM_RED, TERM_YELLOW, TERM_CYAN };
/* Appends text (trusted, or from term_text) in a style, if the terminal has colours. */
void term_styled(struct buf *ret, const struct term *t, enum term_style style, const char *text);

/* Columns that UTF-8 text takes, without escape sequences (wide characters count as one). */
size_t term_columns(struct bytes text);
/* Appends text, then spaces up to `columns`. */
void term_padded(struct buf *ret, const char *text, size_t columns);

/* Cuts what was appended since `from` to so many columns (escape sequences take none). */
void term_clip(struct buf *b, size_t from, size_t columns);
/* A bar of `columns` cells, done of total filled. */
void term_bar(struct buf *ret, size_t done, size_t total, size_t columns);
/* The frame of a spinner at a moment. Static. */
const char *term_spinner(uint64_t now_ms);
/* "850 ms", "2.4 s", "3 m 05 s", "2 h 10 m". */
void term_duration(struct buf *ret, int64_t ms);

/* A JSON value for people: a string as text, an object member by member, other things as indented
 * JSON. Ends with a newline. */
void term_value(struct buf *ret, const struct term *t, const json_t *value);

#endif
