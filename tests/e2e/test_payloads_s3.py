# SPDX-License-Identifier: Apache-2.0
"""Large payloads in an S3-compatible store that verifies signatures."""
import json
import os
import shutil
import socket
import subprocess
import tempfile

import pytest

from conftest import MISSING_S3, worker_args
from harness.base import ROOT, until

MB = 1_000_000


class S3:
    """versitygw over a directory; a directory in it is a bucket."""

    def __init__(self, program):
        self.program = program
        self.dir = tempfile.mkdtemp(prefix="ts3-", dir="/tmp")
        for name in ("served/payloads", "meta"):
            os.makedirs(f"{self.dir}/{name}")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % s.getsockname()[1]
        self.start()

    def start(self):
        self.popen = subprocess.Popen(
            [self.program, "--access", "key", "--secret", "right/secret+", "--port", self.address,
             "--quiet", "posix", "--sidecar", f"{self.dir}/meta", f"{self.dir}/served"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.answers, 20, "the S3 server answers")

    def answers(self):
        assert self.popen.poll() is None, "the S3 server ended"
        host, port = self.address.split(":")
        with socket.socket() as s:
            return s.connect_ex((host, int(port))) == 0

    def stop(self):
        self.popen.kill()
        self.popen.wait()

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture
def s3():
    made = subprocess.run([str(ROOT / "tests/s3/server.sh")], capture_output=True, text=True)
    if made.returncode == 3:
        MISSING_S3.append(made.stderr.strip())
        pytest.skip("the S3 server could not be made (server.sh exited 3)")
    assert made.returncode == 0, made.stderr
    server = S3(made.stdout.strip().splitlines()[-1])
    yield server
    server.close()


@pytest.mark.parametrize("backend", ["mock"], indirect=True)
def test_large_payloads_go_by_way_of_s3_and_wait_for_it_while_it_is_away(installation, fake, s3,
                                                                         tmp_path):
    (tmp_path / "secret").write_text("right/secret+\n")
    one = installation()
    one.env.update({"TUTTI_PAYLOADS_STORE": "s3://payloads/here",
                    "TUTTI_PAYLOADS_S3_ENDPOINT": f"http://{s3.address}",
                    "TUTTI_PAYLOADS_S3_ALLOW_HTTP": "true",
                    "TUTTI_PAYLOADS_S3_ACCESS_KEY": "key",
                    "TUTTI_PAYLOADS_S3_SECRET_KEY_FILE": str(tmp_path / "secret"),
                    "TUTTI_PAYLOADS_S3_ATTEMPTS": "1"})
    one.orchestrator(wait=False)
    worker = one.worker(*worker_args(fake), wait=False)
    one.wait_running(one.orchestrators[0])
    calls = []

    def answer(call):
        calls.append(call)
        return {"text": "x" * 2 * MB}
    url = fake.on("/big", answer)
    run = one.start(f"""
        steps:
          - {{name: wait, type: wait, signal: go}}
          - {{name: big, type: http, url: "{url}"}}
        output: ["${{steps.big.output.body.text.size()}}", "${{steps.big.output.body}}", "${{input.n}}"]
        """, {"pad": "p" * MB, "n": 7})
    one.wait_step(run, "wait", "waiting")
    s3.stop()
    assert one.tutti("signal", run, "go").code == 0
    worker.wait_event("payloads.waits", 20)
    s3.start()
    assert one.finish(run, 60)["status"] == "completed"
    result, = until(lambda: one.results(run), 10, "the result")
    value = result.json()
    name = value["output"]["$blob"]
    assert value["payload_url"] == f"s3://payloads/here/run/{run}/{name}"
    with open(f"{s3.dir}/served/payloads/here/run/{run}/{name}", "rb") as f:
        assert json.load(f) == [2 * MB, {"text": "x" * 2 * MB}, 7]
    assert len(calls) == 1
    one.check_once(run)
