# SPDX-License-Identifier: Apache-2.0
"""`tutti graph`, `fmt`, `init` and `schema`: what helps to write workflows. No server is needed."""
import json
import os
import re
import resource
import shutil
import stat
import subprocess

import jsonschema
import pytest
import yaml

from harness.base import ROOT
from harness.installation import run_program

EXAMPLES = sorted(p for p in (ROOT / "examples").glob("*.yaml") if not p.name.endswith(".test.yaml"))
EVERYTHING = ROOT / "tests/data/workflows/everything.yaml"
MERMAID = ROOT / "tests/mermaid"
NASTY = """workflow: nasty
version: 1.0.0
steps:
  - name: a
    type: conditional
    cases:
      - when: 'input.a == "x\\\\\\"y" || "]);}{|--> %% #" in input.c'
        steps: [{ name: b, type: task, uses: noop, description: x }]
      - when: '"`日本` <b>" == input.d'
        steps: []
"""


def tutti(*args, **more):
    return run_program("tutti", *args, seconds=60, **more)


# --- graph ---

@pytest.fixture(scope="session")
def mermaid():
    """Mermaid's own parser: from texts to the nodes and edges that it read."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    if not (MERMAID / "node_modules/mermaid").exists():
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=MERMAID, check=True, timeout=300)

    def read(*texts):
        done = subprocess.run(["node", "parse.mjs"], cwd=MERMAID, input=json.dumps(texts), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    return read


@pytest.fixture
def nasty(tmp_path):
    path = tmp_path / "nasty.yaml"
    path.write_text(NASTY)
    return path


def graph(path):
    done = tutti("graph", path, "--format", "json")
    assert done.code == 0, done
    return json.loads(done.out)


@pytest.mark.parametrize("path", [*EXAMPLES, EVERYTHING], ids=lambda p: p.stem)
def test_graphviz_draws_every_node_and_edge(path):
    drawn, wanted = subprocess.run(["dot", "-Tjson"], input=tutti("graph", path, "-f", "dot").out, capture_output=True,
                                   text=True, timeout=60, check=True), graph(path)
    assert drawn.stderr == ""
    said = json.loads(drawn.stdout)
    assert len(said["edges"]) == len(wanted["edges"])
    labels = [o["label"] for o in said["objects"] if not o["name"].startswith("cluster_")]
    assert sorted(x.replace("\\n", "\n") for x in labels) == sorted(n["label"] for n in wanted["nodes"])


def test_mermaid_reads_every_node_and_edge(mermaid, nasty):
    paths = [*EXAMPLES, EVERYTHING, nasty]
    for path, read in zip(paths, mermaid(*[tutti("graph", p).out for p in paths])):
        wanted = graph(path)
        assert read.get("error") is None, (path, read)
        assert (read["nodes"], read["edges"]) == (len(wanted["nodes"]), len(wanted["edges"])), path


def test_labels_may_hold_anything(nasty, mermaid):
    when = 'input.a == "x\\\\\\"y" || "]);}{|--> %% #" in input.c'
    assert [e["label"] for e in graph(nasty)["edges"] if e["label"]] == [when, '"`日本` <b>" == input.d', "else"]
    drawn = subprocess.run(["dot", "-Tjson"], input=tutti("graph", nasty, "-f", "dot").out, capture_output=True, text=True,
                           timeout=60, check=True)
    labels = [e.get("label", "") for e in json.loads(drawn.stdout)["edges"]]
    assert when in [x.replace("\\\\", "\\") for x in labels], labels


def test_every_step_is_in_the_picture_and_what_repeats_is_in_a_group():
    said = graph(EVERYTHING)
    steps = set(re.findall(r"- name: ([\w-]+)", EVERYTHING.read_text()))
    assert {n["step"] for n in said["nodes"] if n["step"]} == steps
    at = {n["step"]: n for n in said["nodes"] if n["step"]}
    assert said["groups"][at["ask"]["group"]]["parent"] == at["again"]["group"], "a loop in a map"
    kinds = {(said["nodes"][e["from"]]["step"], said["nodes"][e["to"]]["step"]): e["kind"] for e in said["edges"]}
    assert kinds[("call", "caught")] == kinds[("tell-them", "give-up")] == "error"
    assert kinds[("begin", "unbegin")] == kinds[("give-up", "begin")] == "undo"
    assert kinds[("ask", "again")] == "flow", "the way back"


def test_steps_with_needs_are_joined_as_they_need(tmp_path):
    path = tmp_path / "w.yaml"
    step = {"type": "task", "uses": "noop"}
    path.write_text(yaml.safe_dump({"workflow": "w", "version": "1.0.0", "steps": [
        {"name": "a", **step}, {"name": "b", **step}, {"name": "c", "needs": ["a"], **step},
        {"name": "d", "needs": ["b", "c"], **step}]}))
    said = graph(path)
    name = [n["step"] or n["label"].splitlines()[0] for n in said["nodes"]]
    edges = {(name[e["from"]], name[e["to"]]) for e in said["edges"]}
    assert edges == {("w", "a"), ("w", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "end")}


def test_a_faulty_workflow_has_no_picture(tmp_path):
    path = tmp_path / "w.yaml"
    path.write_text("workflow: w\n")
    done = tutti("graph", path)
    assert done.code == 2 and done.out == "" and f"{path}:1:" in done.err, done


# --- fmt ---

UGLY = """# head
workflow:   w   # name
version: 1.10
steps:
- {name: a,   type: task,
   uses: 'noop'} # last
"""
PRETTY = """# head
workflow: w # name
version: 1.10
steps:
  - name: a
    type: task
    uses: "noop" # last
"""


@pytest.fixture
def ugly(tmp_path):
    path = tmp_path / "w.yaml"
    path.write_text(UGLY)
    return path


def sha(path):
    return json.loads(tutti("validate", path, "--json").out)["files"][0]["sha256"]


def test_the_examples_and_the_templates_are_formatted():
    files = [*sorted((ROOT / "examples").glob("*.yaml")), EVERYTHING, *sorted((ROOT / "cli/templates").glob("*.yaml"))]
    done = tutti("fmt", "--check", *files)
    assert (done.code, done.out, done.err) == (0, "", ""), done


def test_a_file_is_formatted_once_and_keeps_its_hash_and_mode(ugly):
    ugly.chmod(0o640)
    before = sha(ugly)
    done = tutti("fmt", "--check", ugly)
    assert done.code == 1 and f"{ugly} is not formatted" in done.err and ugly.read_text() == UGLY, done
    done = tutti("fmt", ugly)
    assert (done.code, done.err) == (0, f"formatted {ugly}\n") and ugly.read_text() == PRETTY
    assert sha(ugly) == before and stat.S_IMODE(ugly.stat().st_mode) == 0o640
    inode = ugly.stat().st_ino
    done = tutti("fmt", ugly)
    assert (done.code, done.err) == (0, "") and ugly.stat().st_ino == inode, "what is formatted is not written again"
    assert os.listdir(ugly.parent) == ["w.yaml"]


def test_to_standard_output_and_from_standard_input(ugly):
    done = tutti("fmt", "--stdout", ugly)
    assert done.out == PRETTY and ugly.read_text() == UGLY
    done = tutti("fmt", "-", stdin=UGLY)
    assert (done.code, done.out, done.err) == (0, PRETTY, "")


def test_a_link_stays_a_link(ugly, tmp_path):
    link = tmp_path / "link.yaml"
    link.symlink_to(ugly)
    assert tutti("fmt", link).code == 0
    assert link.is_symlink() and ugly.read_text() == PRETTY


def test_a_full_disk_loses_nothing(ugly):
    big = "".join(f"- {{name: s{i},  type: task}}\n" for i in range(900))
    text = f"workflow: w\nversion: 1.0.0\nsteps:\n{big}"
    ugly.write_text(text)
    done = subprocess.run([shutil.which("tutti", path=os.environ.get("TUTTI_BIN", str(ROOT / "build/release/bin"))), "fmt", ugly],
                          capture_output=True, text=True, timeout=60,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    assert done.returncode == 1 and "as it was" in done.stderr, done
    assert ugly.read_text() == text and os.listdir(ugly.parent) == ["w.yaml"]


def test_json_is_indented_and_broken_files_are_named(tmp_path):
    good, bad = tmp_path / "w.json", tmp_path / "bad.yaml"
    good.write_text('{"workflow":"w","version":1.10,"steps":[{"name":"a","type":"task"}]}')
    bad.write_text("a: [1\nb: 2\n")
    before = sha(good)
    done = tutti("fmt", bad, good)
    assert done.code == 2 and f"{bad}:" in done.err, done
    assert sha(good) == before and '\n  "version": 1.10,\n' in good.read_text()
    done = tutti("fmt", tmp_path / "gone.yaml")
    assert done.code == 3, done
    said = json.loads(tutti("fmt", "--check", "--json", good).out)
    assert said == {"files": [{"file": str(good), "changed": False}]}


# --- init and schema ---

@pytest.mark.parametrize("template", ["hello", "llm", "pipeline", "approval", "map"])
def test_a_new_workflow_is_valid_and_its_tests_are_green(template, tmp_path):
    done = tutti("init", tmp_path / "my-flow", "--template", template)
    flow, test = tmp_path / "my-flow.yaml", tmp_path / "my-flow.test.yaml"
    assert done.code == 0 and f"tutti test {flow}" in done.out, done
    assert "workflow: my-flow\n" in flow.read_text()
    for path in (flow, test):
        assert path.read_text().startswith("# yaml-language-server: $schema=tutti")
    done = tutti("validate", flow, test)
    assert (done.code, done.out, done.err) == (0, "", ""), done
    done = tutti("test", flow, "--coverage")
    assert done.code == 0 and " 0 failed" in done.out and "never" not in done.out, done
    assert tutti("fmt", "--check", flow, test).code == 0
    for name, path in (("workflow", flow), ("workflow-test", test)):
        done = tutti("schema", "check", ROOT / f"schemas/{name}.schema.json", path)
        assert (done.code, done.err) == (0, ""), done


def test_nothing_is_overwritten(tmp_path):
    for name in ("a.yaml", "a.test.yaml"):
        path = tmp_path / name
        path.write_text("mine")
        done = tutti("init", tmp_path / "a")
        assert done.code == 1 and "exists already" in done.err, done
        assert path.read_text() == "mine" and os.listdir(tmp_path) == [name]
        path.unlink()


@pytest.mark.parametrize("name", ["1st", "a b", "a/..", "x.yml", ""])
def test_a_name_that_is_none_is_refused(name, tmp_path):
    done = tutti("init", f"{tmp_path}/{name}")
    assert done.code == 2 and "no name" in done.err and os.listdir(tmp_path) == [], done


@pytest.mark.parametrize("name", ["workflow", "workflow-test"])
def test_the_schemas_come_out_of_the_program(name):
    done = tutti("schema", name)
    assert done.code == 0 and done.out == (ROOT / f"schemas/{name}.schema.json").read_text()
    jsonschema.Draft202012Validator.check_schema(json.loads(done.out))
