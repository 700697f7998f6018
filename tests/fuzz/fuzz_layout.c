/* SPDX-License-Identifier: Apache-2.0
 *
 * The canonical layout of YAML and JSON files. One part: the file. */
#include "common/yaml/yaml.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_INPUT in = fuzz_split(data, size);
    AUTO_BUF struct buf once = { 0 }, twice = { 0 }, before = { 0 }, after = { 0 };
    struct err e = { 0 };
    if (!yaml_format(in.part[0], &once, &e)) {
        fuzz_check_error(&e);
        return 0;
    }
    AUTO_JSON *x = yaml_parse(in.part[0], NULL, NULL, NULL, &e);
    AUTO_JSON *y = yaml_parse(buf_bytes(&once), NULL, NULL, NULL, &e);
    FUZZ_CHECK(x && y, "what was laid out cannot be read: %s\n%s", e.text, once.data);
    json_write(&before, x);
    json_write(&after, y);
    fuzz_check_same("values", buf_bytes(&before), buf_bytes(&after));
    FUZZ_CHECK(yaml_format(buf_bytes(&once), &twice, &e), "not again: %s\n%s", e.text, once.data);
    fuzz_check_same("layouts", buf_bytes(&once), buf_bytes(&twice));
    return 0;
}
