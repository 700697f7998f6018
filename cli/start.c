/* SPDX-License-Identifier: Apache-2.0
 *
 * Starting a run: its input from the flags, its identity, its first event.
 */
#include <stdlib.h>

#include "cli/runs.h"
#include "common/base/clock.h"
#include "common/base/limits.h"

#define INPUT_BYTES_MAX (64 * MIB) /* what is read at all; what may be sent is much less */

/* {"NAME": the file's text} */
static bool text_input(const char *name, size_t name_len, const char *path, struct buf *ret,
                       struct err *e)
{
    AUTO_BUF struct buf text = { 0 };
    if (!cli_read(path, INPUT_BYTES_MAX, &text, e)) return false;
    if (!utf8_check(text.data, text.len) || memchr(text.data ? text.data : "", '\0', text.len))
        return err_fail(e, ERR_INVALID, "%s: is no UTF-8 text", path);
    buf_add_char(ret, '{');
    buf_add_json_string(ret, name, name_len);
    buf_add_char(ret, ':');
    buf_add_json_string(ret, text.data ? text.data : "", text.len);
    buf_add_char(ret, '}');
    return true;
}

bool runs_input(const struct cli *cli, struct buf *ret, struct err *e)
{
    const struct cli_config *o = cli->config;
    int given = (o->input != NULL) + (o->input_json != NULL) + (o->input_text != NULL) +
                (o->document != NULL);
    if (given > 1)
        return err_fail(e, ERR_INVALID,
                        "only one of --input, --input-json, --input-text and --document can be the "
                        "input");
    if (o->input && o->input[0] == '{') { /* nobody names a file so, and many try this first */
        buf_add_text(ret, o->input);
        return true;
    }
    if (o->input) return cli_read(o->input, INPUT_BYTES_MAX, ret, e);
    if (o->document) return text_input("document", strlen("document"), o->document, ret, e);
    if (o->input_text) {
        const char *equals = strchr(o->input_text, '=');
        if (!equals || equals == o->input_text)
            return err_fail(e, ERR_INVALID, "--input-text %s: wants NAME=FILE", o->input_text);
        return text_input(o->input_text, (size_t)(equals - o->input_text), equals + 1, ret, e);
    }
    buf_add_text(ret, o->input_json ? o->input_json : "{}");
    return true;
}

static bool check_input(const struct definition *def, struct bytes input, struct err *e)
{
    if (input.len > PAYLOAD_BYTES_MAX)
        return err_fail(e, ERR_LIMIT,
                        "the input has %zu bytes, more than the limit of %d bytes for a payload: "
                        "put the data where the steps can fetch it, and pass its address",
                        input.len, PAYLOAD_BYTES_MAX);
    AUTO_JSON *value = json_parse(input, e);
    if (!value) return err_prefix(e, "the input");
    /* json_parse and the engine's scanner agree; asked all the same, for a start event that cannot
     * be decoded would end as a dead letter. */
    if (!json_check(input)) return err_fail(e, ERR_INVALID, "the input is no JSON");
    if (def->input_schema && !schema_check(def->input_schema, value, e))
        return err_prefix(e, "the input does not fit the input schema of %s@%s", def->name,
                          def->version);
    return true;
}

/* W3C trace context, level 1: version 00, random trace and parent ids, sampled. */
static void make_traceparent(char ret[56])
{
    unsigned char random[24];
    random_bytes(random, sizeof(random));
    memcpy(ret, "00-", 3);
    hex_encode(random, 16, ret + 3);
    ret[35] = '-';
    hex_encode(random + 16, 8, ret + 36);
    memcpy(ret + 52, "-01", 4);
}

bool runs_start(struct client *c, const struct definition *def, struct bytes input, const char *key,
                const char *policy, char ret_id[RUN_ID_MAX], int32_t *ret_partition, struct err *e)
{
    if (!check_input(def, input, e)) return false;
    if (key &&
        (strlen(key) == 0 || strlen(key) > START_KEY_BYTES_MAX || !utf8_check(key, strlen(key))))
        return err_fail(e, ERR_INVALID, "--key: wants 1 to %d bytes of UTF-8", START_KEY_BYTES_MAX);
    if (policy && !key)
        return err_fail(e, ERR_INVALID,
                        "--on-conflict is about runs with the same key: it needs --key");
    int32_t partitions;
    if (!client_partitions(c, "events", &partitions, e)) return false;

    char id[RUN_ID_MAX], traceparent[56];
    unsigned char random[6];
    random_bytes(random, sizeof(random));
    run_id_random(id, clock_wall_ms(), random);
    if (key) run_id_route_by_key(id, bytes_of(def->name), bytes_of(key));
    make_traceparent(traceparent);
    const char *user = getenv("USER");
    struct bytes header[HEADER_COUNT] = {
        [HEADER_DEFINITION] = bytes_of(def->sha256),  [HEADER_WORKFLOW] = bytes_of(def->name),
        [HEADER_VERSION] = bytes_of(def->version),    [HEADER_KEY] = bytes_of(key),
        [HEADER_TRACEPARENT] = bytes_of(traceparent), [HEADER_POLICY] = bytes_of(policy),
    };
    if (user && *user && strlen(user) <= NAME_BYTES_MAX && utf8_check(user, strlen(user)))
        header[HEADER_ACTOR] = bytes_of(user);
    if (!client_append(c, EVENT_RUN_START, id, partitions, header, input, e)) return false;
    memcpy(ret_id, id, sizeof(id));
    *ret_partition = partition_of(run_id_route(bytes_of(id)), partitions);
    return true;
}
