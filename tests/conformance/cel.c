/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers cases of cel-spec's conformance data: a JSON line each, {"expr": ...}, is answered by a
 * line {"value": ...} or {"error": ...}. Values have the JSON form of cel.expr.Value. */
#include <stdio.h>
#include <stdlib.h>

#include "common/cel/cel.h"

static json_t *value_json(const json_t *value)
{
    if (json_is_boolean(value)) return json_pack("{s:b}", "boolValue", json_is_true(value));
    if (json_is_string(value)) return json_pack("{s:O}", "stringValue", value);
    return json_pack("{s:o}", "nullValue", json_null());
}

static json_t *answer(const json_t *question)
{
    struct err e = { 0 };
    AUTO_JSON *value = NULL;
    struct cel_env env = { 0 };
    CLEANUP(cel_free_p)
    struct cel *c = cel_compile(bytes_of(json_text(question, "expr")), NULL, &e);
    if (!c || !cel_eval(c, &env, &value, &e)) return json_pack("{s:s}", "error", e.text);
    return json_pack("{s:o}", "value", value_json(value));
}

int main(void)
{
    AUTO_FREE char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, stdin) > 0) {
        AUTO_JSON *question = json_loads(line, JSON_ALLOW_NUL, NULL);
        AUTO_JSON *reply = question ? answer(question) : json_pack("{s:s}", "error", "no JSON");
        json_dumpf(reply, stdout, JSON_COMPACT);
        putchar('\n');
    }
    return 0;
}
