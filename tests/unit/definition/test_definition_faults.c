/* SPDX-License-Identifier: Apache-2.0
 *
 * The broken files of tests/data/broken: each gives a clear fault at the right place, and none a
 * crash.
 */
#include "support.h"

#include <dirent.h>

/* What the first fault of each file must begin with: its position and text. */
static const struct {
    const char *file, *wanted;
} broken[] = {
    { "01-yaml-syntax.yaml",
      "7:9: did not find expected ',' or '}' (while parsing a flow mapping" },
    { "02-tab.yaml", "5:1: a tab in the indentation" },
    { "03-duplicate-key.yaml", "7:5: the key 'type' stands here again; it is in line 5" },
    { "04-unknown-field.yaml", "6:5: a step has no field 'promt'; did you mean 'prompt'?" },
    { "05-unknown-step-type.yaml",
      "5:11: there is no step type 'paralel'; did you mean 'parallel'?" },
    { "06-unsupported-step-type.yaml", "5:11: step type 'planner' is not supported by this "
                                       "version; supported: task (also sequential" },
    { "07-missing-name.yaml", "4:5: a step needs a 'name'" },
    { "08-duplicate-step-name.yaml", "11:17: the name 'check' is taken by the step in line 4" },
    { "09-bad-duration.yaml", "6:14: 'timeout' is no duration: write 250ms, 30s, 10m" },
    { "10-cel-syntax.yaml", "6:24: in the expression: " },
    { "11-unknown-step-reference.yaml",
      "9:28: no step is called 'extrct'; did you mean 'extract'?" },
    { "12-self-reference.yaml", "6:14: 'loop' reads its own result, in a cycle: loop -> loop" },
    { "13-cycle.yaml", "6:14: steps read each other in a cycle: a -> c -> b -> a" },
    { "14-steps-not-a-list.yaml", "4:3: steps: expected a list, found a mapping" },
    { "15-empty-steps.yaml", "3:8: a list of steps must not be empty" },
    { "16-negative-attempts.yaml", "6:28: 'max_attempts' must be from 1 to 100, not -1" },
    { "17-unknown-error-type.yaml",
      "8:21: 'ratelimited' is no error type; did you mean 'rate_limited'?" },
    { "18-schema-keyword.yaml", "8:7: 'pattern' '^(.+@.+$' cannot be used: missing closing" },
    { "19-secret-in-prompt.yaml", "6:27: secrets may stand only in 'url'" },
    { "20-two-documents.yaml", "6:1: a second document begins" },
    { "21-bad-queue.yaml", "3:20: a queue's name has lower-case letters" },
    { "22-branches-not-a-mapping.yaml",
      "7:7: 'branches' (name: steps): expected a mapping, found a list" },
    { "23-else-without-cases.yaml",
      "4:5: a step of type conditional needs 'cases', or 'conditions' with 'steps'; 'else' alone" },
    { "24-nul.yaml", "3:16: a NUL character" },
    { "25-invalid-utf8.yaml", "3:17: bytes that are not valid UTF-8" },
    { "26-too-deep.yaml", "6:137: more than 128 levels of nesting" },
    { "27-version-missing.yaml", "1:1: a workflow needs a 'version'" },
    { "28-empty-file.yaml", "1:1: the file is empty; a workflow begins with 'workflow: NAME'" },
    { "29-alias-bomb.yaml", "7:45: aliases expand to more than 100000 values" },
    { "30-unsupported-field.yaml", "8:5: 'resources' is not supported by this version" },
    { "31-field-of-another-kind.yaml",
      "7:5: a step of type set has no field 'url'; it belongs to: http" },
    { "32-reference-to-other-branch.yaml",
      "12:20: 'b' reads step 'a' of another branch of 'both'; only steps after 'both'" },
    { "33-schedule.yaml", "4:20: in the schedule: hour: expected a value from 0 to 23" },
    { "34-many-faults.yaml", "1:11: 'workflow' must be a name" },
    { "35-cel-types.yaml", "6:37: in the expression: no such overload: +(string, int)" },
};

static char *faults_of(const char *file, size_t *ret_count)
{
    size_t len;
    struct faults faults;
    AUTO_FREE char *path = xasprintf("tests/data/broken/%s", file);
    AUTO_FREE char *text = read_source(path, &len);
    AUTO_DEFINITION *d = definition_parse((struct bytes){ text, len }, &faults);
    cr_expect_null(d, "%s has no fault", file);
    char *found = faults_text(&faults);
    *ret_count = faults.count;
    faults_done(&faults);
    return found;
}

Test(broken, every_file_gives_its_fault_at_its_line_and_column)
{
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        size_t count;
        AUTO_FREE char *found = faults_of(broken[i].file, &count);
        cr_expect_eq(strncmp(found, broken[i].wanted, strlen(broken[i].wanted)), 0,
                     "%s: wanted '%s', found\n%s", broken[i].file, broken[i].wanted, found);
        /* A file with one mistake gives one fault; the last shows that all are collected. */
        cr_expect(count == 1 || strncmp(broken[i].file, "34", 2) == 0, "%s:\n%s", broken[i].file,
                  found);
    }
}

Test(broken, every_file_of_the_directory_is_expected_here)
{
    DIR *dir = opendir(TUTTI_SOURCE_DIR "/tests/data/broken");
    cr_assert_not_null(dir);
    size_t files = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(broken); i++)
            known |= strcmp(broken[i].file, entry->d_name) == 0;
        cr_expect(known, "%s", entry->d_name);
        files++;
    }
    closedir(dir);
    cr_expect_eq(files, ARRAY_LEN(broken));
}

Test(broken, all_faults_of_a_file_are_found_at_once_in_order_of_lines)
{
    static const char *const wanted[] = {
        "1:11: 'workflow' must be a name",
        "3:20: 'timeout' is no duration",
        "3:41: 'usd' must be a number",
        "5:11: a step's 'name' must be a name",
        "7:28: 'max_attempts' must be from 1 to 100, not 1000",
        "7:43: expected exponential or fixed, found 'linear'",
        "10:16: no 'set' step sets the variable 'nothing'",
        "11:18: 'temperature' must be a number from 0 to 2",
        "12:5: a step of type http needs a 'url'",
        "14:13: expected GET, POST,",
        "15:12: no step is called 'asks'; did you mean 'ask'?",
    };
    size_t count;
    AUTO_FREE char *found = faults_of("34-many-faults.yaml", &count);
    const char *at = found;
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        const char *hit = strstr(at, wanted[i]);
        cr_expect_not_null(hit, "'%s' is missing or out of order in\n%s", wanted[i], found);
        if (hit) at = hit;
    }
    cr_expect_eq(count, ARRAY_LEN(wanted), "%s", found);
}

Test(broken, no_more_than_fifty_faults_are_collected)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    buf_add_text(&b, "workflow: w\nversion: '1'\nsteps:\n");
    for (int i = 0; i < 200; i++) buf_addf(&b, "  - { name: n%d, type: nothing }\n", i);
    struct faults faults;
    cr_expect_null(definition_parse(buf_bytes(&b), &faults));
    cr_expect_eq(faults.count, 50);
    faults_done(&faults);
}

Test(faults, each_is_one_line_of_text_whatever_it_quotes)
{
    expect_step_fault("  - { name: a, type: \"co\\ndi\\u001b[31m\\u007f\" }\n",
                      "4:22: there is no step type 'co di [31m '");
}
