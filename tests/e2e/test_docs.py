# SPDX-License-Identifier: Apache-2.0
"""What is made from the option tables: the committed pages are up to date, the rest is well formed."""
import json
import re
import subprocess

import jsonschema
import pytest
import yaml

from harness.base import ROOT, clean_env, program

PROGRAMS = ["tutti-orchestrator", "tutti-worker"]
MADE = {"configuration": "docs/configuration.md", "schema": "schemas/config.schema.json"}


def tutti(*args):
    done = subprocess.run([program("tutti"), *args], capture_output=True, text=True,
                          env=clean_env(), timeout=60)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


def commands():
    text = tutti("help")
    section = text[text.index("\nCommands:"):].split("\n\n")[0]
    return re.findall(r"^  (\w+) {2,}\S", section, re.M)


def flags(name):
    """The flags of a program or command, as its --help shows them."""
    words = [program("tutti"), name.split()[1]] if " " in name else [program(name)]
    text = subprocess.run([*words, "--help"], capture_output=True, text=True, env=clean_env(),
                          timeout=60, check=True).stdout
    text = text[:text.index("\nGeneral:")]
    return set(re.findall(r"^ {2,6}(?:-\w, )? *--(?:\[no-\])?([\w-]+)", text, re.M))


def leaves(schema, prefix=""):
    for name, value in schema["properties"].items():
        if "properties" in value:
            yield from leaves(value, f"{prefix}{name}.")
        if "string" in value.get("type", []) or "properties" not in value:
            yield prefix + name, value


@pytest.fixture(scope="module")
def schema():
    return json.loads((ROOT / MADE["schema"]).read_text())


@pytest.mark.parametrize("what", MADE)
def test_the_committed_page_is_what_the_programs_say(what):
    committed = (ROOT / MADE[what]).read_text()
    assert committed == tutti("docs", what), \
        f"{MADE[what]} is not up to date: ninja -C build/release docs"


def test_every_option_is_in_the_page_and_in_the_schema(schema):
    page = (ROOT / MADE["configuration"]).read_text()
    tutti_flags = set().union(*(flags(f"tutti {c}") for c in commands()))
    for name, expected in [*((p, flags(p)) for p in PROGRAMS), ("tutti", tutti_flags)]:
        named = {o.replace(".", "-").replace("_", "-") for o, _ in leaves(schema["$defs"][name])}
        assert named == expected, name
        for option in leaves(schema["$defs"][name]):
            if not option[0].endswith("_file") or option[0] == "env_file":
                assert f"`{option[0]}`" in page, option[0]


def test_every_option_has_a_description_and_a_default_that_fits_it(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    for name, part in schema["$defs"].items():
        for option, value in leaves(part):
            assert value["description"], f"{name}: {option}"
            validator = jsonschema.Draft202012Validator(value)
            if "default" in value:
                validator.validate(value["default"])
            if "minimum" in value:
                assert value["minimum"] <= value["maximum"]
                with pytest.raises(jsonschema.ValidationError):
                    validator.validate(value["maximum"] + 1)


@pytest.mark.parametrize("program_name,text,good", [
    ("tutti-worker", "queues: default,urgent\ninflight_max: 50\nlease: 45s\nkafka: {brokers: 'a:1'}", 1),
    ("tutti-worker", "http: {body_max: 2MiB, private: true}\nmodels: {default: {model: m}}", 1),
    ("tutti-worker", "redis: {password_file: SECRET, port: }", 1),
    ("tutti-orchestrator", "threads: 2\npartitions: 8\ncache: {bytes: 67108864}", 1),
    ("tutti-orchestrator", "threads: 0", 0),
    ("tutti-orchestrator", "threads: many", 0),
    ("tutti-orchestrator", "thread: 1", 0),
    ("tutti-orchestrator", "log: {level: loud}", 0),
    ("tutti-orchestrator", "prefix: No Such Prefix", 0),
    ("tutti-worker", "lease: 30 parsecs", 0),
    ("tutti-worker", "kafka: {broker: 'a:1'}", 0),
])
def test_the_schema_and_the_program_agree_about_a_file(schema, tmp_path, program_name, text, good):
    part = {**schema["$defs"][program_name], "$schema": schema["$schema"]}
    secret = tmp_path / "secret"
    secret.write_text("hush")
    text = text.replace("SECRET", str(secret))
    fits = jsonschema.Draft202012Validator(part).is_valid(yaml.safe_load(text))
    assert fits == bool(good)
    if good:  # it would start: what the program accepts is seen by what it says about another fault
        text += "\nno_such_option: 1"
    path = tmp_path / "config.yaml"
    path.write_text(text)
    done = subprocess.run([program(program_name), "--config", str(path)], capture_output=True,
                          text=True, env=clean_env(), timeout=60)
    assert done.returncode == 2
    assert ("no_such_option" in done.stderr) == bool(good), done.stderr


@pytest.mark.parametrize("shell", ["bash"])
def test_the_completion_script_is_one_that_the_shell_reads(shell, tmp_path):
    path = tmp_path / "completion"
    path.write_text(tutti("completion", shell))
    done = subprocess.run([shell, "-n", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == ""


def test_every_man_page_is_formatted_without_a_warning(tmp_path):
    for page in [[], *([c] for c in commands()), *([p] for p in PROGRAMS)]:
        path = tmp_path / "page.1"
        path.write_text(tutti("man", *page))
        done = subprocess.run(["man", "-l", "--warnings", str(path)], capture_output=True,
                              text=True, timeout=60,
                              env=clean_env({"LC_ALL": "C.UTF-8", "MANPAGER": "cat",
                                             "MANWIDTH": "80"}))
        assert done.returncode == 0 and done.stderr == "", f"{page}: {done.stderr}"
        assert "NAME" in done.stdout
