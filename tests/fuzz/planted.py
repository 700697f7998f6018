#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The bug that is planted for each fuzz target: a mistake as people make it, in a copy of a source file.

usage: planted.py TARGET --file           prints the source file that holds the bug
       planted.py TARGET OUTPUT           writes that file, with the bug

The copy is linked to planted_TARGET in place of the file, so that the product has no line of it. A bug that no
longer fits its file, because that was changed, stops the build: plant another one.
"""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# target: (file, what is wrong with it, a text that stands there once, what stands there instead)
BUGS = {
    "cel": ("common/cel/lex.c", "two quotes end the text that three began",
            "at(l, 1) == quote && at(l, 2) == quote))", "at(l, 1) == quote))"),
    "config": ("common/io/config.c", "a flag that ends the command line has its value behind the end",
               "if (*i + 1 >= argc)", "if (*i >= argc)"),
    "definition": ("common/yaml/yaml.c", "the line of an error is read beyond the end of the file",
                   "while (p < end && *p == ' ') p++;", "while (*p == ' ') p++;"),
    "http": ("worker/http_retry.c", "a date that has passed is a wait below zero",
             "wait < 0 ? 0 : wait > ", "wait > "),
    "layout": ("common/yaml/layout_read.c", "white space behind an anchor goes on beyond the text",
               "while (at < end && strchr(\" \\t\\n\", text.data[at])) at++;",
               "while (strchr(\" \\t\\n\", text.data[at])) at++;"),
    "message": ("common/proto/message.c", "there is an attempt 0",
                "    if (n == 0) return missing(e, HEADER_ATTEMPT);\n    if (!hex_of", "    if (!hex_of"),
    "openai": ("worker/sse.c", "CR and LF of one line end come in two pieces",
               "if (c == '\\n' && s->after_cr) {", "if (c == '\\n' && i && bytes.data[i - 1] == '\\r') {"),
    "run": ("orchestrator/snapshot_record.c", "a value may be longer by its name than what is left",
            "len > value.len - name", "len > value.len"),
    "schema": ("common/base/json.c", "one control character too few is refused",
               "c < 0x20", "c < 0x1F"),
    "template": ("common/cel/template.c", "a failure drops the places of secrets, but not their names",
                 "        free(ref->name);\n", ""),
    "trigger": ("orchestrator/trigger_start.c", "a header is as long as what it is compared with",
                " && type->value.len >= 23", ""),
}


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in BUGS:
        sys.exit(__doc__)
    file, _, old, new = BUGS[sys.argv[1]]
    if sys.argv[2] == "--file":
        print(file)
        return
    text = (ROOT / file).read_text()
    if text.count(old) != 1:
        sys.exit(f"{__file__}: {file} has {text.count(old)} times what the bug of {sys.argv[1]} replaces: {old!r}")
    line = text[:text.index(old)].count("\n") + 1
    pathlib.Path(sys.argv[2]).write_text(text.replace(old, new))
    print(f"{sys.argv[1]}: {file}:{line}: {BUGS[sys.argv[1]][1]}")


if __name__ == "__main__":
    main()
