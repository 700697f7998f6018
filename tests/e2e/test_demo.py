# SPDX-License-Identifier: Apache-2.0
"""`tutti dev`: everything in one command, and the demo."""
import signal
import subprocess

import pytest

from harness.base import ROOT, clean_env, program, until
from harness.installation import run_program
from harness.servers import FakeServer, free_port

DEMO = ROOT / "examples/investor_summary.yaml"
REPORT = ROOT / "examples/data/techcorp_q3_2024.txt"
OTHER = """Q1 2031 Annual Letter - Nordlys Shipping. Turnover fell by 7% year-over-year to €912 million.
Operating profit declined to €61 million, a 12% decrease. The fleet grew by 14 vessels, and container
volumes rose 29% on northern routes. Challenges: fuel costs climbed by 33%, and port strikes delayed
deliveries. Competition from state-owned carriers intensified in the Baltic."""


def dev(*args, **more):
    return run_program("tutti", "dev", *args, **{"seconds": 90, **more})


def test_the_demo_prints_a_summary_with_the_reports_figures():
    done = dev("--demo-model", "--run", DEMO, "--input-text", f"document={REPORT}")
    assert done.code == 0, done
    for figure in ("22%", "₹5,200 crore", "38%"):
        assert figure in done.out, f"{figure} is missing\n{done}"


def test_another_report_gives_its_own_figures(tmp_path):
    path = tmp_path / "report.txt"
    path.write_text(OTHER)
    done = dev("--demo-model", "--run", DEMO, "--document", path, "--json")
    assert done.code == 0, done
    for figure in ("7%", "€912 million", "29%"):
        assert figure in done.out, f"{figure} is missing\n{done}"
    assert "22%" not in done.out and "crore" not in done.out


def test_the_demo_model_contains_no_sentence_of_the_report():
    binary = (ROOT / "cli/demo_model").glob("*.[ch]")
    source = "".join(p.read_text() for p in binary)
    for sentence in REPORT.read_text().replace("—", ".").split(". "):
        assert sentence.strip()[:40] not in source, sentence


def test_a_model_that_cannot_be_reached_fails_the_run_and_is_named(tmp_path):
    flow = tmp_path / "ask.yaml"
    flow.write_text("workflow: ask\nversion: 1.0.0\nsteps:\n  - {name: ask, type: llm, prompt: hi, "
                    "retry: {max_attempts: 2, initial: 10ms}}\n")
    url = f"http://127.0.0.1:{free_port()}/v1"
    done = dev("--run", flow, env={"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-secret-1"})
    assert done.code == 1, done
    text = done.out + done.err
    assert "ask" in text and "unreachable" in text and "sk-secret-1" not in text, done


def test_a_model_that_refuses_the_key_fails_the_run_without_a_second_call(tmp_path):
    fake = FakeServer()
    fake.on("/", lambda c: (401, {}, {"error": {"message": "bad key sk-secret-1"}}))
    flow = tmp_path / "ask.yaml"
    flow.write_text("workflow: ask\nversion: 1.0.0\nsteps:\n  - {name: ask, type: llm, prompt: hi}\n")
    done = dev("--run", flow, env={"OPENAI_BASE_URL": f"{fake.url}/v1",
                                   "OPENAI_API_KEY": "sk-secret-1"})
    fake.close()
    assert done.code == 1 and "auth" in done.out + done.err, done
    assert "sk-secret-1" not in done.out + done.err and len(fake.calls) == 1


@pytest.fixture
def served(tmp_path):
    """A `tutti dev` that serves; the environment it wrote."""
    path = tmp_path / "env"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([program("tutti"), "dev", "--env-file", str(path)],
                                   stdout=log, stderr=log, env=clean_env())

    def written():
        assert process.poll() is None, (tmp_path / "log").read_text()
        return path.exists()
    until(written, 60, "tutti dev is ready")
    lines = [x.removeprefix("export ").split("=", 1) for x in path.read_text().splitlines()]
    yield process, {name: value.strip("'") for name, value in lines}, tmp_path / "log"
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def test_dev_serves_other_terminals_and_keeps_nothing(served):
    process, env, log = served
    done = run_program("tutti", "start", ROOT / "examples/hello.yaml", "--input-json",
                       '{"name": "you"}', "--wait", "--json", env=env)
    assert done.code == 0 and "Hello, you!" in done.out, done
    assert "KEEPS NOTHING" in log.read_text()
    done = run_program("tutti", "list", env=env)
    assert done.code == 0 and "hello" in done.out, done
    children = subprocess.run(["ps", "--ppid", str(process.pid), "-o", "pid="],
                              capture_output=True, text=True).stdout.split()
    assert len(children) >= 3, children
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    for child in children:
        with pytest.raises(OSError):
            import os
            os.kill(int(child), 0)


def test_two_devs_run_side_by_side(served):
    done = dev("--run", ROOT / "examples/hello.yaml", "--input-json", '{"name": "two"}')
    assert done.code == 0 and "Hello, two!" in done.out, done
