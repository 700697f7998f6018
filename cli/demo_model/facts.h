/* SPDX-License-Identifier: Apache-2.0
 *
 * What a text says, found by rules: its sentences, the figures in them, and whether they speak of
 * growth or of risk. Pure: bytes in, a structure out. Nothing of any particular text is known here.
 */
#ifndef TUTTI_DEMO_FACTS_H
#define TUTTI_DEMO_FACTS_H

#include "common/base/buf.h"
#include "common/base/json.h"

struct sentence {
    char *text;       /* without label, bullet and final period */
    int growth, risk; /* weights of the cue words */
    bool cued;        /* words of its own say so, not only the heading it stands under */
    size_t figures;   /* numbers in it */
    double percent;   /* the largest, or -1 */
};

struct figure {
    char *text; /* as written, with currency, scale and unit: "₹5,200 crore", "22%" */
    char *unit; /* "%", "₹ crore", "new clients"; "" if there is none */
    double value;
    size_t sentence; /* index of the one it stands in */
};

struct facts {
    char *topic;       /* never NULL */
    const char *class; /* "financial report", "crisis", ... static; "" if none is seen */
    struct sentence *sentences;
    size_t sentence_count, sentence_cap;
    struct figure *figures;
    size_t figure_count, figure_cap;
};

/* Reads a source text, in which JSON values may be embedded: their strings are sentences too. */
void facts_read(struct facts *f, struct bytes source);
void facts_done(struct facts *f);

/* Whether text has a word that begins with stem (ASCII, any case); a stem that ends in $ must be
 * the whole word. NULL if not, else where. */
const char *find_word(const char *text, const char *stem);
/* What a sentence is about: its words before the first cue word; "" where that is no short name. */
void sentence_subject(const struct sentence *s, struct buf *ret);
static inline bool is_risk(const struct sentence *s)
{
    return s->risk > s->growth;
}
static inline bool is_growth(const struct sentence *s)
{
    return s->growth > 0 && !is_risk(s);
}

#endif
