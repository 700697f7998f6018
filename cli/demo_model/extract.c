/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_model/extract.h"

#include <ctype.h>
#include <stdlib.h>

#define SUMMARY_WORDS 150

/* --- the request --- */

static bool says(const char *text, const char *const *stems, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (find_word(text, stems[i])) return true;
    return false;
}
#define SAYS(text, ...)                                \
    says((text), (const char *const[]){ __VA_ARGS__ }, \
         sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

/* The number that stands before (or behind) a word, as in "300 words" and "top 3"; 0 if none. */
static size_t number_near(const char *text, const char *stem, bool before)
{
    const char *at = find_word(text, stem);
    if (!at) return 0;
    const char *p = at;
    if (before) {
        while (p > text && !isdigit((unsigned char)p[-1]) && p + 10 > at) p--;
        while (p > text && isdigit((unsigned char)p[-1])) p--;
    } else {
        while (isalpha((unsigned char)*p)) p++;
        while (*p == ' ') p++;
    }
    return isdigit((unsigned char)*p) ? (size_t)strtoul(p, NULL, 10) : 0;
}

/* Where the source begins: behind the first paragraph, else behind the first colon that is followed
 * by a blank, else behind the first sentence. */
static size_t instruction_length(struct bytes user)
{
    const char *paragraph = memmem(user.data, user.len, "\n\n", 2);
    if (paragraph && paragraph > user.data) return (size_t)(paragraph - user.data) + 2;
    for (size_t i = 0; i + 1 < user.len; i++)
        if (user.data[i] == ':' && isspace((unsigned char)user.data[i + 1])) return i + 1;
    for (size_t i = 0; i + 1 < user.len; i++)
        if (strchr(".?!", user.data[i]) && isspace((unsigned char)user.data[i + 1])) return i + 1;
    return user.len;
}

static bool is_instruction(struct bytes text)
{
    AUTO_FREE char *copy = xstrndup(text.data ? text.data : "", text.len);
    return SAYS(copy, "extract", "summar", "write", "list$", "find$", "give$", "name$", "trends in",
                "risks in", "words$", "what$", "which$", "classif", "answer");
}

/* Splits the prompt into instruction and source. The instruction stands in front, or, if only the
 * last paragraph sounds like one, at the end. */
static void split_prompt(struct bytes user, struct bytes *ret_instruction, struct bytes *ret_source)
{
    size_t len = user.len ? instruction_length(user) : 0;
    *ret_instruction = (struct bytes){ .data = user.data, .len = len };
    *ret_source = (struct bytes){ .data = user.data + len, .len = user.len - len };
    if (!user.len || is_instruction(*ret_instruction)) return;
    const char *last = NULL, *end = user.data + user.len;
    for (const char *p = user.data; (p = memmem(p, (size_t)(end - p), "\n\n", 2)); p += 2) last = p;
    struct bytes tail = { .data = last, .len = last ? (size_t)(end - last) : 0 };
    if (!last || !is_instruction(tail)) return;
    *ret_instruction = tail;
    *ret_source = (struct bytes){ .data = user.data, .len = (size_t)(last - user.data) };
}

struct request request_read(const char *system, struct bytes user)
{
    struct request r = { 0 };
    struct bytes head;
    split_prompt(user, &head, &r.source);
    AUTO_FREE char *instruction = xstrndup(head.data ? head.data : "", head.len);
    AUTO_FREE char *all = xasprintf("%s %s", system, instruction);
    r.json = find_word(all, "json") != NULL;
    r.words = number_near(all, "words$", true);
    r.top = number_near(instruction, "top$", false);
    bool trends = SAYS(instruction, "trend", "growth", "opportunit", "highlight");
    bool risks = SAYS(instruction, "risk", "challeng", "threat", "headwind");
    bool extract = SAYS(instruction, "extract", "statistic", "topic", "key facts");
    bool writing = SAYS(instruction, "write", "summar", "words$", "report$");
    if (extract && !writing && !(risks != trends))
        r.task = TASK_EXTRACT;
    else if (risks && !trends)
        r.task = TASK_RISKS;
    else if (trends && !risks)
        r.task = TASK_TRENDS;
    else if (extract && !writing)
        r.task = TASK_EXTRACT;
    /* A text that is asked for without a source is its own source. */
    if (!r.source.len) r.source = user;
    return r;
}

/* --- choosing --- */

static int rank_weight(const struct sentence *s, enum ranking ranking)
{
    int figures = (int)MIN(s->figures, (size_t)2);
    switch (ranking) {
    case RANK_GROWTH: return is_growth(s) ? s->growth + figures : 0;
    case RANK_RISK: return is_risk(s) ? s->risk : 0;
    case RANK_ANY: break;
    }
    return 1 + s->growth + s->risk + figures;
}

size_t rank_sentences(const struct facts *f, enum ranking ranking, size_t *ret, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < f->sentence_count; i++) {
        int weight = rank_weight(&f->sentences[i], ranking);
        if (weight <= 0) continue;
        /* Insertion into the short list; equals keep the order of the text. */
        size_t at = count;
        while (at && rank_weight(&f->sentences[ret[at - 1]], ranking) < weight) at--;
        if (at >= max) continue;
        if (count < max) count++;
        memmove(&ret[at + 1], &ret[at], (count - at - 1) * sizeof *ret);
        ret[at] = i;
    }
    return count;
}

json_t *list_ranked(const struct facts *f, enum ranking ranking, size_t max)
{
    size_t chosen[64];
    size_t count = rank_sentences(f, ranking, chosen, MIN(max, ARRAY_LEN(chosen)));
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(f->sentences[chosen[i]].text));
    return list;
}

json_t *list_statistics(const struct facts *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->sentence_count; i++)
        if (f->sentences[i].figures) json_array_append_new(list, json_string(f->sentences[i].text));
    return list;
}

/* "The strongest growth is in X (38%)", if a percentage says so. */
static void add_strongest(const struct facts *f, struct buf *ret)
{
    const struct sentence *best = NULL;
    for (size_t i = 0; i < f->sentence_count; i++) {
        const struct sentence *s = &f->sentences[i];
        AUTO_BUF struct buf subject = { 0 };
        sentence_subject(s, &subject);
        if (is_growth(s) && subject.len && s->percent >= 0 && (!best || s->percent > best->percent))
            best = s;
    }
    if (!best) return;
    buf_add_text(ret, "The strongest growth is in ");
    sentence_subject(best, ret);
    buf_addf(ret, " (%g%%)", best->percent);
}

json_t *list_conclusions(const struct facts *f)
{
    json_t *list = json_array();
    AUTO_BUF struct buf strongest = { 0 };
    add_strongest(f, &strongest);
    if (strongest.len) json_array_append_new(list, json_string(strongest.data));
    for (size_t i = 0; i < f->sentence_count && json_array_size(list) < 8; i++) {
        const struct sentence *s = &f->sentences[i];
        if (s->figures || (!is_growth(s) && !is_risk(s))) continue;
        /* What only its heading makes a risk must not lose it. */
        AUTO_FREE char *text = xasprintf("%s%s", is_risk(s) && !s->cued ? "Risk: " : "", s->text);
        json_array_append_new(list, json_string(text));
    }
    if (!json_array_size(list)) {
        json_decref(list);
        list = list_ranked(f, RANK_ANY, 2);
    }
    return list;
}

/* --- writing --- */

static size_t words_of(const char *text)
{
    size_t words = 0;
    for (const char *p = text + strspn(text, " \n"); *p; words++) {
        p += strcspn(p, " \n");
        p += strspn(p, " \n");
    }
    return words;
}

/* Marks the heaviest sentences that fit into the words that are left. */
static void choose(const struct facts *f, enum ranking ranking, size_t max, size_t *left,
                   bool *chosen)
{
    size_t ranked[16];
    size_t count = rank_sentences(f, ranking, ranked, MIN(max, ARRAY_LEN(ranked)));
    for (size_t i = 0; i < count; i++) {
        size_t words = words_of(f->sentences[ranked[i]].text);
        if (chosen[ranked[i]] || words > *left) continue;
        *left -= words;
        chosen[ranked[i]] = true;
    }
}

/* The chosen sentences in the order of the text. */
static void write_chosen(const struct facts *f, const bool *chosen, bool risks, struct buf *ret)
{
    for (size_t i = 0; i < f->sentence_count; i++) {
        const struct sentence *s = &f->sentences[i];
        if (!chosen[i] || is_risk(s) != risks) continue;
        if (ret->len && !strchr(" \n", ret->data[ret->len - 1])) buf_add_char(ret, ' ');
        buf_add_text(ret, s->text);
        if (!strchr("!?:", s->text[strlen(s->text) - 1])) buf_add_char(ret, '.');
    }
}

static void take_words(size_t *left, size_t words)
{
    *left = *left > words ? *left - words : 0;
}

void write_summary(const struct facts *f, size_t words, struct buf *ret)
{
    size_t left = words ? words : SUMMARY_WORDS;
    AUTO_FREE bool *chosen = xcalloc(f->sentence_count + 1, sizeof *chosen);
    AUTO_BUF struct buf strongest = { 0 };
    add_strongest(f, &strongest);
    bool titled = words_of(f->topic) < left;
    if (titled) take_words(&left, words_of(f->topic));
    size_t before = left;
    size_t half = left - left / 3; /* growth may take two thirds before risks had their turn */
    choose(f, RANK_GROWTH, 6, &half, chosen);
    for (size_t i = 0; i < f->sentence_count; i++)
        if (chosen[i]) take_words(&left, words_of(f->sentences[i].text));
    take_words(&left, 1); /* "Risks:" */
    choose(f, RANK_RISK, 5, &left, chosen);
    choose(f, RANK_GROWTH, 8, &left, chosen);
    bool closing = strongest.len && words_of(strongest.data) <= left && before > 40;
    for (size_t i = 0; closing && i < f->sentence_count; i++)
        if (strcmp(f->sentences[i].text, strongest.data) == 0) chosen[i] = false;
    AUTO_BUF struct buf rest = { 0 };
    write_chosen(f, chosen, false, &rest);
    if (!rest.len) choose(f, RANK_ANY, 5, &left, chosen);

    if (titled) buf_addf(ret, "%s.", f->topic);
    write_chosen(f, chosen, false, ret);
    AUTO_BUF struct buf risks = { 0 };
    write_chosen(f, chosen, true, &risks);
    if (risks.len) buf_addf(ret, "%sRisks: %s", ret->len ? "\n\n" : "", risks.data);
    if (closing) buf_addf(ret, "\n\n%s.", strongest.data);
}

static void write_bullets(json_t *list, const char *if_none, struct buf *ret)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
        buf_addf(ret, "%s- %s.", i ? "\n" : "", json_string_value(item));
    if (!json_array_size(list)) buf_add_text(ret, if_none);
    json_decref(list);
}

static void write_extract(const struct facts *f, bool json, struct buf *ret)
{
    if (json) {
        AUTO_JSON *value = json_pack("{s:s, s:o, s:o}", "topic", f->topic, "statistics",
                                     list_statistics(f), "conclusions", list_conclusions(f));
        ASSERT(value);
        json_write(ret, value);
        return;
    }
    buf_addf(ret, "Topic: %s\n\nStatistics:\n", f->topic);
    write_bullets(list_statistics(f), "The text has no figures.", ret);
    buf_add_text(ret, "\n\nConclusions:\n");
    write_bullets(list_conclusions(f), "The text draws none.", ret);
}

/* --- the answer --- */

/* The text of a message's content: a string, or parts of which some are text. */
static void add_content(const json_t *content, struct buf *ret)
{
    size_t i;
    json_t *part;
    if (json_is_string(content)) buf_add_text(ret, json_string_value(content));
    json_array_foreach((json_t *)content, i, part) {
        const char *text = json_text(part, "text");
        if (text) buf_add_text(ret, text);
    }
}

static void read_messages(const json_t *messages, struct buf *system, struct buf *user)
{
    size_t i;
    json_t *message;
    buf_add_text(system, "");
    buf_add_text(user, "");
    json_array_foreach((json_t *)messages, i, message) {
        const char *role = json_text(message, "role");
        bool by_system = role && (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0);
        if (!by_system && (!role || strcmp(role, "user") != 0)) continue;
        struct buf *to = by_system ? system : user;
        if (to->len) buf_add_text(to, "\n\n");
        add_content(json_object_get(message, "content"), to);
    }
}

void demo_answer(const json_t *messages, const json_t *response_format, struct buf *ret)
{
    AUTO_BUF struct buf system = { 0 };
    AUTO_BUF struct buf user = { 0 };
    read_messages(messages, &system, &user);
    struct request r = request_read(system.data, buf_bytes(&user));
    struct facts f;
    facts_read(&f, r.source);
    const char *format = json_text(response_format, "type");
    const json_t *schema =
        json_object_get(json_object_get(response_format, "json_schema"), "schema");
    if (format && strcmp(format, "json_schema") == 0 && schema) {
        AUTO_JSON *value = fill_schema(&f, schema);
        json_write(ret, value);
    } else if (format && strcmp(format, "text") != 0) {
        write_extract(&f, true, ret);
    } else if (r.task == TASK_EXTRACT) {
        write_extract(&f, r.json, ret);
    } else if (r.task == TASK_TRENDS) {
        write_bullets(list_ranked(&f, RANK_GROWTH, r.top ? r.top : 5),
                      "The text speaks of no growth.", ret);
    } else if (r.task == TASK_RISKS) {
        write_bullets(list_ranked(&f, RANK_RISK, r.top ? r.top : 5), "The text speaks of no risk.",
                      ret);
    } else {
        write_summary(&f, r.words, ret);
    }
    facts_done(&f);
}
