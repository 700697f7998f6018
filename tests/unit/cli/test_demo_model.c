/* SPDX-License-Identifier: Apache-2.0
 *
 * The extraction of tutti-demo-model on two reports with different figures: the answers must come
 * from the text, so each report's figures are in its answers and none of the other's. */
#include <criterion/criterion.h>

#include <stdlib.h>

#include "cli/demo_model/extract.h"

static const char techcorp[] =
    "Q3 2024 Financial Report — TechCorp India. Revenue grew by 22% year-over-year to ₹5,200 "
    "crore. "
    "Net profit increased to ₹820 crore, a 15% improvement. Operating expenses rose by 18% due to "
    "hiring and R&D investments. The company onboarded 45 new enterprise clients this quarter. "
    "Cloud segment revenue reached ₹1,800 crore — up 38% from last year. Challenges: global supply "
    "chain disruptions affected hardware delivery. Currency headwinds reduced dollar-denominated "
    "revenue by 3%. Competition from global tech firms intensified in the SaaS segment.";

static const char nordwind[] =
    "Annual Report 2025: Nordwind Logistik GmbH\n\n"
    "Turnover fell by 8% to €412 million. Operating costs dropped by 5% after the closure of two "
    "depots. Parcel volume climbed to 61.5 million parcels, up 12% on the year. Ms. A. Keller "
    "became CFO in May. The fleet now has 1,250 electric vans.\n"
    "Risks: A strike in Hamburg is likely. New tariffs of 10% threaten exports to the U.S. market.";

/* The answer to a prompt. */
static char *ask(const char *system, const char *user, const char *response_format)
{
    struct err e;
    AUTO_JSON *messages = json_pack("[{s:s, s:s}, {s:s, s:s}]", "role", "system", "content", system,
                                    "role", "user", "content", user);
    AUTO_JSON *format = response_format ? json_parse(bytes_of(response_format), &e) : NULL;
    struct buf answer = { 0 };
    demo_answer(messages, format, &answer);
    return buf_take(&answer, NULL);
}

#define EXTRACT_SCHEMA                                                                           \
    "{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{\"type\":\"object\",\"required\":"   \
    "[\"topic\",\"statistics\",\"conclusions\"],\"properties\":{\"topic\":{\"type\":\"string\"," \
    "\"minLength\":1},\"statistics\":{\"type\":\"array\",\"minItems\":3,\"items\":{\"type\":"    \
    "\"string\"}},\"conclusions\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":"       \
    "\"string\"}}}}}}"

/* The demo's flow, as examples/investor_summary.yaml asks it. */
struct flow {
    json_t *facts;
    char *trends, *risks, *summary;
};

static struct flow run_flow(const char *report)
{
    struct flow f;
    struct err e;
    AUTO_FREE char *prompt =
        xasprintf("Extract topic, statistics (at least 3) and conclusions.\n\n%s", report);
    AUTO_FREE char *facts =
        ask("You extract key facts from documents. Answer with JSON only.", prompt, EXTRACT_SCHEMA);
    f.facts = json_parse(bytes_of(facts), &e);
    cr_assert_not_null(f.facts, "%s", facts);
    AUTO_FREE char *for_trends = xasprintf("Growth trends in: %s", facts);
    f.trends = ask("", for_trends, NULL);
    AUTO_FREE char *for_risks = xasprintf("Top 3 risks in: %s", facts);
    f.risks = ask("", for_risks, NULL);
    AUTO_BUF struct buf write = { 0 };
    buf_addf(&write, "Write at most 300 words from:\n\nTopic: %s\nStatistics: ",
             json_text(f.facts, "topic"));
    json_write(&write, json_object_get(f.facts, "statistics"));
    buf_add_text(&write, "\nConclusions: ");
    json_write(&write, json_object_get(f.facts, "conclusions"));
    buf_addf(&write, "\nTrends: %s\nRisks: %s\n", f.trends, f.risks);
    f.summary = ask("", write.data, NULL);
    return f;
}

static void flow_done(struct flow *f)
{
    json_decref(f->facts);
    free(f->trends);
    free(f->risks);
    free(f->summary);
}

static void has(const char *text, const char *part)
{
    cr_assert(strstr(text, part), "'%s' is not in: %s", part, text);
}

static void has_not(const char *text, const char *part)
{
    cr_assert_not(strstr(text, part), "'%s' is in: %s", part, text);
}

static size_t count_words(const char *text)
{
    size_t words = 0;
    for (const char *p = text + strspn(text, " \n"); *p; words++) {
        p += strcspn(p, " \n");
        p += strspn(p, " \n");
    }
    return words;
}

Test(demo_model, a_report_becomes_topic_statistics_and_conclusions)
{
    CLEANUP(flow_done) struct flow f = run_flow(techcorp);
    cr_assert_str_eq(json_text(f.facts, "topic"), "Q3 2024 Financial Report — TechCorp India");
    const json_t *statistics = json_object_get(f.facts, "statistics");
    cr_assert_eq(json_array_size(statistics), 6);
    cr_assert_str_eq(json_string_value(json_array_get(statistics, 0)),
                     "Revenue grew by 22% year-over-year to ₹5,200 crore");
    AUTO_FREE char *conclusions = json_dumps(json_object_get(f.facts, "conclusions"), 0);
    has(conclusions, "Cloud segment revenue (38%)");
    has(conclusions, "Competition from global tech firms");
}

Test(demo_model, trends_are_what_grew_and_risks_what_threatens)
{
    CLEANUP(flow_done) struct flow f = run_flow(techcorp);
    has(f.trends, "- Revenue grew by 22%");
    has(f.trends, "- Cloud segment revenue reached");
    has_not(f.trends, "expenses");
    has_not(f.trends, "headwinds");
    has(f.risks, "supply chain");
    has(f.risks, "headwinds");
    has(f.risks, "Competition");
    has_not(f.risks, "Net profit");
    size_t bullets = 0;
    for (const char *p = f.risks; (p = strstr(p, "- ")); p++) bullets++;
    cr_assert_eq(bullets, 3, "%s", f.risks);
}

Test(demo_model, the_summary_has_the_figures_once_each)
{
    CLEANUP(flow_done) struct flow f = run_flow(techcorp);
    has(f.summary, "Revenue grew by 22% year-over-year to ₹5,200 crore.");
    has(f.summary, "₹820 crore");
    has(f.summary, "45 new enterprise clients");
    has(f.summary, "\n\nRisks: ");
    cr_assert_null(strstr(strstr(f.summary, "22%") + 1, "22%"), "%s", f.summary);
    cr_assert_leq(count_words(f.summary), 300);
}

Test(demo_model, another_report_gives_its_own_figures)
{
    CLEANUP(flow_done) struct flow f = run_flow(nordwind);
    cr_assert_str_eq(json_text(f.facts, "topic"), "Annual Report 2025: Nordwind Logistik GmbH");
    has(f.summary, "Turnover fell by 8% to €412 million.");
    has(f.summary, "61.5 million parcels");
    has(f.summary, "(12%)");
    has_not(f.summary, "22%");
    has_not(f.summary, "crore");
    has(f.risks, "strike in Hamburg");
    has(f.risks, "U.S. market");
    has(f.trends, "Operating costs dropped by 5%"); /* costs that fall are no risk */
    has_not(f.risks, "costs");
}

Test(demo_model, figures_carry_currency_scale_and_unit)
{
    struct facts f;
    facts_read(&f, bytes_of("Title here\n\nIn Q3 of 2024 sales of $2.5 million rose 7 percent. "
                            "We hired 45 new people in May. Debt is Rs 1,20,000. FY24 was fine."));
    const struct {
        const char *text, *unit;
        double value;
    } expected[] = { { "$2.5 million", "$ million", 2.5 },
                     { "7 percent", "percent", 7 },
                     { "45 new people", "new people", 45 },
                     { "Rs 1,20,000", "Rs", 120000 } };
    cr_assert_eq(f.figure_count, ARRAY_LEN(expected));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        cr_assert_str_eq(f.figures[i].text, expected[i].text);
        cr_assert_str_eq(f.figures[i].unit, expected[i].unit);
        cr_assert_eq(f.figures[i].value, expected[i].value);
    }
    facts_done(&f);
}

Test(demo_model, a_crisis_is_called_one_and_a_report_with_challenges_is_not)
{
    CLEANUP(flow_done) struct flow calm = run_flow(techcorp);
    has_not(json_text(calm.facts, "topic"), "crisis");
    CLEANUP(flow_done)
    struct flow crisis =
        run_flow("Notice of 3 May. An outage of 14 hours hit 200 hospitals. A data "
                 "breach followed and 1.2 million records were lost.");
    has(json_text(crisis.facts, "topic"), "crisis");
}

Test(demo_model, a_word_limit_is_kept)
{
    AUTO_FREE char *prompt = xasprintf("Summarise this in 40 words.\n\n%s", techcorp);
    AUTO_FREE char *text = ask("", prompt, NULL);
    cr_assert_leq(count_words(text), 40, "%s", text);
    cr_assert_geq(count_words(text), 20, "%s", text);
}

Test(demo_model, the_instruction_may_stand_behind_the_text)
{
    AUTO_FREE char *prompt = xasprintf("%s\n\nList the top 2 risks.", techcorp);
    AUTO_FREE char *text = ask("", prompt, NULL);
    has(text, "- ");
    has_not(text, "Revenue grew");
    has_not(text, "List the");
}

Test(demo_model, json_fits_any_schema_that_is_asked_for)
{
    AUTO_FREE char *prompt = xasprintf("Find the figures.\n\n%s", techcorp);
    AUTO_FREE char *text = ask(
        "", prompt,
        "{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{\"type\":\"object\",\"required\":"
        "[\"metrics\",\"sentiment\",\"score\",\"crisis\",\"short\",\"extra_items\",\"v\"],"
        "\"properties\":{\"metrics\":{\"type\":\"array\",\"maxItems\":2,\"items\":{\"$ref\":"
        "\"#/$defs/metric\"}},\"sentiment\":{\"enum\":[\"negative\",\"neutral\"]},\"score\":"
        "{\"type\":\"number\",\"maximum\":0.5},\"crisis\":{\"type\":[\"null\",\"boolean\"]},"
        "\"short\":{\"type\":\"string\",\"maxLength\":5},\"v\":{\"const\":1}},\"$defs\":"
        "{\"metric\":{\"type\":\"object\",\"properties\":{\"value\":{\"type\":\"integer\"},"
        "\"unit\":{\"type\":\"string\"},\"context\":{\"type\":\"string\"}}}}}}}");
    struct err e;
    AUTO_JSON *v = json_parse(bytes_of(text), &e);
    cr_assert_not_null(v, "%s", text);
    const json_t *metrics = json_object_get(v, "metrics");
    cr_assert_eq(json_array_size(metrics), 2);
    cr_assert_eq(json_int(json_array_get(metrics, 0), "value", 0), 22);
    cr_assert_str_eq(json_text(json_array_get(metrics, 0), "unit"), "%");
    cr_assert_str_eq(json_text(v, "sentiment"), "neutral");
    cr_assert_leq(json_real_value(json_object_get(v, "score")), 0.5);
    cr_assert(json_is_false(json_object_get(v, "crisis")));
    cr_assert_eq(strlen(json_text(v, "short")), 5);
    cr_assert(json_is_array(json_object_get(v, "extra_items")));
    cr_assert_eq(json_int(v, "v", 0), 1);
}

Test(demo_model, too_few_sentences_still_fill_a_list_of_three)
{
    CLEANUP(flow_done) struct flow f = run_flow("Hello there.");
    cr_assert_eq(json_array_size(json_object_get(f.facts, "statistics")), 3);
    cr_assert_geq(json_array_size(json_object_get(f.facts, "conclusions")), 1);
    cr_assert(*f.summary);
}

Test(demo_model, strange_requests_are_survived)
{
    const char *const messages[] = { "[]",
                                     "null",
                                     "[1, {}, {\"role\": \"user\"}, {\"role\": \"user\", "
                                     "\"content\": null}]",
                                     "[{\"role\":\"user\",\"content\":\"\"}]",
                                     "[{\"role\":\"user\",\"content\":\": {[{[ 1% - . ₹ \\n\\n\"}]",
                                     "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
                                     "\"Top 9999999999 risks: ...\"}]}]" };
    const char *const formats[] = {
        "null", "{\"type\":\"json_object\"}",
        "{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{\"$ref\":"
        "\"#/$defs/a\",\"$defs\":{\"a\":{\"properties\":{\"a\":{\"$ref\":"
        "\"#/$defs/a\"}}}}}}}",
        "{\"type\":\"json_schema\",\"json_schema\":{\"schema\":true}}"
    };
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        for (size_t k = 0; k < ARRAY_LEN(formats); k++) {
            struct err e;
            AUTO_JSON *m = json_parse(bytes_of(messages[i]), &e);
            AUTO_JSON *format = json_parse(bytes_of(formats[k]), &e);
            AUTO_BUF struct buf answer = { 0 };
            demo_answer(m, format, &answer);
            cr_assert(!k || json_check(buf_bytes(&answer)), "%s", answer.data);
        }
    }
}

Test(demo_model, a_huge_prompt_is_answered_too)
{
    AUTO_BUF struct buf prompt = { 0 };
    buf_add_text(&prompt, "Summarise:\n\n");
    for (int i = 0; i < 20000; i++) buf_addf(&prompt, "Sales of shop %d rose by ₹%d. [", i, i);
    AUTO_FREE char *text = ask("", prompt.data, NULL);
    has(text, "rose by ₹");
    cr_assert(utf8_check(text, strlen(text)));
}
