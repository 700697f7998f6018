/* SPDX-License-Identifier: Apache-2.0
 *
 * Sentences by punctuation, figures by their shape, meaning by cue words. */
#include "cli/demo_model/facts.h"

#include <ctype.h>
#include <stdlib.h>

#include "common/base/limits.h"

/* Sentences are compared with one another, so their number is bounded. */
#define SENTENCES_MAX    400
#define SOURCE_BYTES_MAX (256 * KIB)

/* --- words --- */

static bool is_letter(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* Whether the word at p begins with stem. */
static bool word_is(const char *p, const char *stem)
{
    for (; *stem && *stem != '$'; stem++, p++)
        if (tolower((unsigned char)*p) != *stem) return false;
    return *stem == '\0' || !is_letter(*p);
}

const char *find_word(const char *text, const char *stem)
{
    for (const char *p = text; *p;) {
        if (word_is(p, stem)) return p;
        while (is_letter(*p)) p++;
        while (*p && !is_letter(*p)) p++;
    }
    return NULL;
}

struct cue {
    const char *stem;
    int weight;
};
static const struct cue growth_cues[] = {
    { "grew", 3 },    { "grow", 2 },    { "increas", 2 },    { "up$", 2 },     { "rose", 2 },
    { "rise", 2 },    { "rising", 2 },  { "improv", 2 },     { "onboard", 2 }, { "reached", 2 },
    { "gain", 2 },    { "record$", 2 }, { "expan", 2 },      { "doubl", 3 },   { "tripl", 3 },
    { "surpass", 2 }, { "exceed", 2 },  { "accelerat", 2 },  { "climb", 2 },   { "jump", 2 },
    { "won$", 2 },    { "higher", 1 },  { "strong", 1 },     { "launch", 1 },  { "opportunit", 1 },
    { "added", 1 },   { "advanc", 1 },  { "outperform", 2 }, { "recover", 2 }, { "profitab", 1 },
};
static const struct cue risk_cues[] = {
    { "challeng", 2 }, { "disrupt", 3 },   { "headwind", 3 },  { "competit", 2 }, { "reduc", 2 },
    { "declin", 3 },   { "intensif", 2 },  { "fell", 3 },      { "fall", 2 },     { "drop", 3 },
    { "loss", 2 },     { "lost$", 2 },     { "shortage", 3 },  { "delay", 3 },    { "risk", 3 },
    { "threat", 3 },   { "lawsuit", 3 },   { "litigat", 3 },   { "weak", 2 },     { "decreas", 3 },
    { "slow", 2 },     { "churn", 2 },     { "uncertain", 2 }, { "outage", 3 },   { "breach", 3 },
    { "recall", 2 },   { "fine$", 1 },     { "fined$", 3 },    { "penalt", 3 },   { "debt", 1 },
    { "pressure", 2 }, { "volatil", 2 },   { "inflation", 2 }, { "crisis", 3 },   { "down$", 2 },
    { "shrank", 3 },   { "lower", 1 },     { "strike", 2 },    { "default", 1 },  { "tariff", 2 },
    { "sanction", 2 }, { "attrition", 2 }, { "despite", 0 },   { "fraud", 3 },    { "bankrupt", 3 },
};
/* Things that are bad when they grow, and good when they shrink. */
static const char *const cost_words[] = { "expens", "cost",  "debt",      "churn",   "attrition",
                                          "wage",   "loss$", "inflation", "backlog", "complaint" };

static int weigh(const char *text, const struct cue *cues, size_t count, const char **ret_first)
{
    int weight = 0;
    for (size_t i = 0; i < count; i++) {
        const char *at = find_word(text, cues[i].stem);
        if (!at) continue;
        weight += cues[i].weight;
        if (!*ret_first || at < *ret_first) *ret_first = at;
    }
    return weight;
}

/* Whether what the sentence is about, its words before the first cue, is a cost. */
static bool is_about_cost(const char *text, const char *end)
{
    AUTO_FREE char *subject = xstrndup(text, (size_t)(end - text));
    for (size_t i = 0; i < ARRAY_LEN(cost_words); i++)
        if (find_word(subject, cost_words[i])) return true;
    return false;
}

static void judge(struct sentence *s)
{
    const char *up = NULL, *down = NULL;
    s->growth = weigh(s->text, growth_cues, ARRAY_LEN(growth_cues), &up);
    s->risk = weigh(s->text, risk_cues, ARRAY_LEN(risk_cues), &down);
    s->cued = s->growth + s->risk > 0;
    if (up && (!down || up < down) && is_about_cost(s->text, up)) {
        s->risk += s->growth;
        s->growth = 0;
    } else if (down && s->risk && is_about_cost(s->text, down)) {
        s->growth += s->risk;
        s->risk = 0;
    }
}

void sentence_subject(const struct sentence *s, struct buf *ret)
{
    const char *first = NULL;
    (void)weigh(s->text, growth_cues, ARRAY_LEN(growth_cues), &first);
    (void)weigh(s->text, risk_cues, ARRAY_LEN(risk_cues), &first);
    if (!first) return;
    const char *from = s->text;
    if (word_is(from, "the$")) from += 4;
    size_t len = first > from ? (size_t)(first - from) : 0, words = 1;
    while (len && !is_letter(from[len - 1])) len--;
    for (size_t i = 0; i < len; i++) {
        if (strchr(",;:.(", from[i])) return;
        words += from[i] == ' ';
    }
    if (len && words <= 5) buf_add(ret, from, len);
}

/* --- figures --- */

static const char *const currencies[] = { "\xE2\x82\xB9", "$",   "\xE2\x82\xAC", "\xC2\xA3",
                                          "\xC2\xA5",     "Rs ", "INR ",         "USD ",
                                          "EUR ",         "GBP " };
static const char *const scales[] = { "crore", "lakh", "million", "billion", "trillion", "thousand",
                                      "bn$",   "mn$",  "tn$",     "k$",      "m$" };
static const char *const shares[] = { "%", "percent$", "percentage points$", "per cent$", "bps$" };

/* Length of the currency that ends where the number at p begins, within text; 0 if there is none.
 */
static size_t currency_before(const char *text, const char *p)
{
    for (size_t i = 0; i < ARRAY_LEN(currencies); i++) {
        size_t len = strlen(currencies[i]);
        if ((size_t)(p - text) >= len && memcmp(p - len, currencies[i], len) == 0) return len;
    }
    return 0;
}

/* Behind the digits of a number such as 1,800 or 2.5, which begins at p; *ret: its value. */
static const char *number_end(const char *p, double *ret)
{
    AUTO_BUF struct buf digits = { 0 };
    while (isdigit((unsigned char)*p) ||
           ((*p == ',' || *p == '.') && isdigit((unsigned char)p[1]))) {
        if (*p != ',') buf_add_char(&digits, *p);
        p++;
    }
    ASSERT(digits.data); /* at p there was a digit */
    *ret = strtod(digits.data, NULL);
    return p;
}

static size_t word_length(const char *p)
{
    size_t n = 0;
    while (is_letter(p[n]) || (p[n] == '-' && is_letter(p[n + 1]))) n++;
    return n;
}

/* Length of one of the words at p, without the blank before it; 0 if none of them stands there. */
static size_t any_of(const char *p, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *w = words[i];
        size_t len = strcspn(w, "$");
        if (word_is(p, w) && (w[len] == '$' || !isalpha((unsigned char)w[0]))) return len;
        if (word_is(p, w)) return word_length(p);
    }
    return 0;
}

/* The nouns behind a bare number, at most three lower-case words: "new enterprise clients". */
static size_t nouns_length(const char *p)
{
    static const char *const stops[] = { "in$",     "from$",     "to$",  "by$",   "of$",
                                         "this$",   "last$",     "and$", "or$",   "for$",
                                         "per$",    "on$",       "at$",  "with$", "after$",
                                         "during$", "compared$", "a$",   "the$",  "year-" };
    const char *from = p, *end = p;
    for (int words = 0; words < 3; words++) {
        const char *word = p + (words > 0);
        if (words && *p != ' ') break;
        if (!islower((unsigned char)*word) || any_of(word, stops, ARRAY_LEN(stops))) break;
        p = end = word + word_length(word);
    }
    return (size_t)(end - from);
}

static void add_figure(struct facts *f, size_t sentence, const char *text, const char *p,
                       const char **ret_end)
{
    double value;
    const char *end = number_end(p, &value);
    *ret_end = end;
    size_t currency = currency_before(text, p);
    AUTO_BUF struct buf unit = { 0 };
    buf_add(&unit, p - currency, currency);
    const char *next = end + (*end == ' ');
    size_t share = any_of(next, shares, ARRAY_LEN(shares));
    size_t scale = any_of(next, scales, ARRAY_LEN(scales));
    bool bare = !share && !scale && !currency;
    if (bare && end - p == 4 && value >= 1900 && value <= 2100) return; /* a year */
    while (unit.len && unit.data[unit.len - 1] == ' ') unit.data[--unit.len] = '\0';
    if (scale && unit.len) buf_add_char(&unit, ' ');
    size_t n = share ? share : scale;
    if (bare && *end == ' ') n = nouns_length(next);
    if (n) {
        buf_add(&unit, next, n);
        end = next + n;
    }
    *ret_end = end;
    if (f->figure_count == f->figure_cap) {
        f->figure_cap = f->figure_cap ? 2 * f->figure_cap : 16;
        f->figures = xrealloc(f->figures, f->figure_cap * sizeof *f->figures);
    }
    f->figures[f->figure_count++] =
        (struct figure){ .text = xstrndup(p - currency, (size_t)(end - p) + currency),
                         .unit = unit.data ? buf_take(&unit, NULL) : xstrdup(""),
                         .value = value,
                         .sentence = sentence };
    struct sentence *s = &f->sentences[sentence];
    s->figures++;
    if (share && value > s->percent) s->percent = value;
}

static void find_figures(struct facts *f, size_t sentence)
{
    const char *text = f->sentences[sentence].text;
    for (const char *p = text; *p;) {
        bool begins = isdigit((unsigned char)*p) &&
                      (p == text || !isalnum((unsigned char)p[-1]) || currency_before(text, p));
        if (begins) {
            add_figure(f, sentence, text, p, &p);
        } else if (is_letter(*p) && !currency_before(text, p + 1) && isalpha((unsigned char)*p)) {
            while (isalnum((unsigned char)*p)) p++; /* Q3 and FY24 are names */
        } else {
            p++;
        }
    }
}

/* --- sentences --- */

enum section { SECTION_NONE, SECTION_GROWTH, SECTION_RISK, SECTION_TOPIC };

/* The heading that a text may begin with, such as "Risks:"; returns behind it. */
static const char *skip_label(const char *text, enum section *section)
{
    static const struct {
        const char *label;
        enum section section;
    } labels[] = {
        { "topic", SECTION_TOPIC },       { "title", SECTION_TOPIC },
        { "statistics", SECTION_NONE },   { "conclusions", SECTION_NONE },
        { "summary", SECTION_NONE },      { "key figures", SECTION_NONE },
        { "document", SECTION_NONE },     { "growth trends", SECTION_GROWTH },
        { "trends", SECTION_GROWTH },     { "growth", SECTION_GROWTH },
        { "highlights", SECTION_GROWTH }, { "opportunities", SECTION_GROWTH },
        { "challenges", SECTION_RISK },   { "challenge", SECTION_RISK },
        { "risks", SECTION_RISK },        { "risk factors", SECTION_RISK },
        { "risk", SECTION_RISK },         { "top risks", SECTION_RISK },
        { "headwinds", SECTION_RISK },    { "threats", SECTION_RISK },
    };
    for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
        size_t len = strlen(labels[i].label);
        if (!word_is(text, labels[i].label) || text[len] != ':') continue;
        *section = labels[i].section;
        text += len + 1;
        return text + strspn(text, " \t");
    }
    return text;
}

static const char *skip_bullet(const char *p)
{
    p += strspn(p, " \t#");
    if ((*p == '-' || *p == '*') && p[1] == ' ') p += 2;
    if (strncmp(p, "\xE2\x80\xA2", 3) == 0) p += 3;
    size_t digits = strspn(p, "0123456789");
    if (digits && digits < 3 && (p[digits] == '.' || p[digits] == ')') && p[digits + 1] == ' ')
        p += digits + 2;
    return p + strspn(p, " \t");
}

/* Whether a and b say the same, letters and digits only; or a is a part of b. */
static bool is_within(const char *a, const char *b)
{
    for (const char *from = b; *from; from++) {
        const char *p = a, *q = from;
        for (;;) {
            while (*p && !is_letter(*p)) p++;
            while (*q && !is_letter(*q)) q++;
            if (!*p || tolower((unsigned char)*p) != tolower((unsigned char)*q)) break;
            p++;
            q++;
        }
        if (!*p) return true;
    }
    return false;
}

static bool is_known(const struct facts *f, const char *text)
{
    for (size_t i = 0; i < f->sentence_count; i++)
        if (is_within(text, f->sentences[i].text)) return true;
    return f->topic && is_within(text, f->topic);
}

static void set_topic(struct facts *f, const char *text)
{
    if (!f->topic && *text) f->topic = xstrdup(text);
}

static size_t count_words(const char *text)
{
    size_t words = 0;
    for (const char *p = text; *p; words++) {
        while (*p && !is_letter(*p)) p++;
        if (!*p) break;
        while (is_letter(*p)) p++;
    }
    return words;
}

/* The first thing that a text says is its title if it is short and nothing happens in it. */
static bool is_title(const struct facts *f, const struct sentence *s)
{
    return !f->topic && !f->sentence_count && !s->growth && !s->risk && count_words(s->text) <= 12;
}

/* Adds one sentence, whose text it takes; *section is the heading that it stands under. */
static void add_sentence(struct facts *f, struct bytes raw, enum section *section)
{
    if (f->sentence_count >= SENTENCES_MAX) return;
    AUTO_FREE char *copy = xstrndup(raw.data, raw.len);
    enum section label = SECTION_NONE;
    const char *bare = skip_bullet(copy), *text = skip_bullet(skip_label(bare, &label));
    if (text != bare) *section = label;
    size_t len = strlen(text);
    while (len && strchr(" \t\r.;", text[len - 1])) len--;
    struct sentence s = { .text = xstrndup(text, len), .percent = -1 };
    s.text[0] = (char)toupper((unsigned char)s.text[0]);
    judge(&s);
    bool topic = *section == SECTION_TOPIC || is_title(f, &s);
    if (len < 2 || !count_words(s.text) || topic || is_known(f, s.text)) {
        if (topic) set_topic(f, s.text);
        if (*section == SECTION_TOPIC) *section = SECTION_NONE;
        free(s.text);
        return;
    }
    int weight = text != bare ? 3 : 1;
    if (*section == SECTION_RISK) s.risk += weight;
    if (*section == SECTION_GROWTH) s.growth += weight;
    if (f->sentence_count == f->sentence_cap) {
        f->sentence_cap = f->sentence_cap ? 2 * f->sentence_cap : 16;
        f->sentences = xrealloc(f->sentences, f->sentence_cap * sizeof *f->sentences);
    }
    f->sentences[f->sentence_count] = s;
    find_figures(f, f->sentence_count++);
}

/* Whether the period at p (within text) ends a sentence: not in 2.5, "Inc." and initials. */
static bool ends_sentence(const char *text, const char *p, const char *end)
{
    if (p + 1 < end && !isspace((unsigned char)p[1]) && p[1] != '"') return false;
    const char *next = p + 1;
    while (next < end && isspace((unsigned char)*next)) next++;
    if (next < end && islower((unsigned char)*next)) return false;
    if (*p != '.') return true;
    static const char *const short_forms[] = { "Inc", "Ltd", "Co", "Corp",   "Mr", "Ms",
                                               "Mrs", "Dr",  "vs", "approx", "No", "St" };
    const char *word = p;
    while (word > text && is_letter(word[-1])) word--;
    size_t len = (size_t)(p - word);
    if (next >= end) return true;
    if (len == 1 && isupper((unsigned char)*word)) return false;
    for (size_t i = 0; i < ARRAY_LEN(short_forms); i++)
        if (len == strlen(short_forms[i]) && memcmp(word, short_forms[i], len) == 0) return false;
    return true;
}

/* Text without JSON and without newlines. */
static void add_text(struct facts *f, const char *text, const char *end, enum section *section)
{
    const char *from = text;
    for (const char *p = text; p < end; p++) {
        if (!strchr(".!?", *p) || !ends_sentence(text, p, end)) continue;
        add_sentence(f, (struct bytes){ .data = from, .len = (size_t)(p - from) }, section);
        from = p + 1;
    }
    if (from < end)
        add_sentence(f, (struct bytes){ .data = from, .len = (size_t)(end - from) }, section);
}

static void add_lines(struct facts *f, const char *text, const char *end, enum section *section);

/* The strings of an embedded JSON value. */
static void add_json(struct facts *f, const json_t *value, enum section *section)
{
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_string(value)) {
        const char *text = json_string_value(value);
        add_lines(f, text, text + strlen(text), section);
    }
    json_array_foreach((json_t *)value, i, member) add_json(f, member, section);
    json_object_foreach((json_t *)value, key, member) {
        AUTO_FREE char *label = xasprintf("%s:", key);
        enum section inner = SECTION_NONE;
        (void)skip_label(label, &inner);
        if (json_is_number(member)) {
            AUTO_BUF struct buf text = { 0 };
            buf_addf(&text, "%s: ", key);
            json_write(&text, member);
            add_sentence(f, buf_bytes(&text), &inner);
        } else {
            add_json(f, member, &inner);
        }
    }
}

/* The first JSON object or array that begins in [p, end); NULL if there is none. *ret_from and
 * *ret_behind are where it stands. limit is the end of the whole text: it may span lines. */
static json_t *find_json(const char *p, const char *end, const char *limit, const char **ret_from,
                         const char **ret_behind)
{
    for (int tries = 0; p < end && tries < 50; p++) {
        if (*p != '{' && *p != '[') continue;
        tries++;
        json_error_t error;
        json_t *value = json_loadb(p, (size_t)(limit - p), JSON_DISABLE_EOF_CHECK, &error);
        if (!value) continue;
        *ret_from = p;
        *ret_behind = p + error.position;
        return value;
    }
    return NULL;
}

static void add_lines(struct facts *f, const char *text, const char *end, enum section *section)
{
    for (const char *p = text; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *line_end = newline ? newline : end;
        const char *from, *behind;
        AUTO_JSON *value = find_json(p, line_end, end, &from, &behind);
        if (value) {
            AUTO_FREE char *before = xstrndup(p, (size_t)(from - p));
            const char *rest = skip_label(skip_bullet(before), section);
            if (*rest) add_text(f, p, from, section);
            add_json(f, value, section);
            p = behind;
            continue;
        }
        if (line_end == p + strspn(p, " \t\r")) *section = SECTION_NONE; /* an empty line */
        add_text(f, p, line_end, section);
        p = line_end + 1;
    }
}

/* --- the whole --- */

/* How often the words of a class stand in the text; the topic counts for two. */
static int hits(const struct facts *f, const char *const *words, size_t count)
{
    int n = 0;
    for (size_t w = 0; w < count && words[w]; w++) {
        n += find_word(f->topic, words[w]) ? 2 : 0;
        for (size_t i = 0; i < f->sentence_count; i++)
            n += find_word(f->sentences[i].text, words[w]) != NULL;
    }
    return n;
}

static const char *classify(const struct facts *f)
{
    static const struct {
        const char *class;
        int least; /* hits; one word about a breach makes no crisis */
        const char *words[8];
    } classes[] = {
        { "crisis",
          2,
          { "crisis", "bankrupt", "insolven", "outage", "breach", "emergency", "fraud" } },
        { "financial report",
          1,
          { "revenue", "profit", "earnings", "turnover", "quarter", "margin" } },
        { "incident report", 1, { "incident", "root$", "downtime", "postmortem" } },
        { "research", 1, { "study", "experiment", "hypothesis", "survey" } },
        { "product news", 1, { "launch", "feature", "product", "version" } },
    };
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (hits(f, classes[i].words, ARRAY_LEN(classes[i].words)) >= classes[i].least)
            return classes[i].class;
    return "";
}

void facts_read(struct facts *f, struct bytes source)
{
    enum section section = SECTION_NONE;
    *f = (struct facts){ 0 };
    if (source.len > SOURCE_BYTES_MAX) {
        source.len = SOURCE_BYTES_MAX;
        while (source.len && (source.data[source.len] & 0xC0) == 0x80) source.len--;
    }
    if (source.len) add_lines(f, source.data, source.data + source.len, &section);
    if (!f->topic && f->sentence_count) {
        const char *text = f->sentences[0].text;
        size_t clause = strcspn(text, ",;:(");
        f->topic = xstrndup(text, clause ? clause : strlen(text));
    }
    set_topic(f, "Untitled");
    f->class = classify(f);
    if (strcmp(f->class, "crisis") == 0 && !find_word(f->topic, "crisis")) {
        char *topic = xasprintf("%s (crisis)", f->topic);
        free(f->topic);
        f->topic = topic;
    }
}

void facts_done(struct facts *f)
{
    for (size_t i = 0; i < f->sentence_count; i++) free(f->sentences[i].text);
    for (size_t i = 0; i < f->figure_count; i++) {
        free(f->figures[i].text);
        free(f->figures[i].unit);
    }
    free(f->sentences);
    free(f->figures);
    free(f->topic);
    *f = (struct facts){ 0 };
}
