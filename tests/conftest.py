# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the integration and end-to-end tests.

TUTTI_BIN (default build/release/bin) has the programs; TUTTI_TEST_SLOW multiplies every deadline.
"""
import json
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import installation as installations  # noqa: E402
from harness.servers import FakeServer, Kafka, KafkaMissing, MockBroker, Redis  # noqa: E402

MISSING = []
MISSING_S3 = []
BACKENDS = ("mock", "kafka")


def pytest_terminal_summary(terminalreporter):
    if MISSING:
        terminalreporter.write_line(
            f"!!! Apache Kafka could not be fetched: the tests on a real broker did NOT run "
            f"({MISSING[0]})", red=True, bold=True)
    if MISSING_S3:
        terminalreporter.write_line(
            f"!!! the S3 server could not be made: payloads in S3 were NOT tested "
            f"({MISSING_S3[0]})", red=True, bold=True)


def pytest_collection_modifyitems(items):
    """Tests of one backend together, so that what they share is started once."""
    def rank(item):
        spec = getattr(item, "callspec", None)
        return BACKENDS.index(spec.params["backend"]) + 1 if spec and "backend" in spec.params \
            else 0
    items.sort(key=rank)


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request):
    return request.param


@pytest.fixture(scope="session")
def real_kafka():
    try:
        kafka = Kafka()
    except KafkaMissing as e:
        MISSING.append(str(e))
        yield None
        return
    yield kafka
    kafka.close()


@pytest.fixture(scope="session")
def session_broker(backend, request):
    """Shared by the tests that disturb nobody."""
    if backend == "kafka":
        kafka = request.getfixturevalue("real_kafka")
        if not kafka:
            pytest.skip("Apache Kafka could not be fetched (kafka.sh exited 3)")
        yield kafka
    else:
        broker = MockBroker()
        yield broker
        broker.close()


@pytest.fixture
def broker(backend, request):
    """A broker for a test of its own kind: the embedded one is private, the real one shared."""
    if backend == "kafka":
        yield request.getfixturevalue("session_broker")
    else:
        own = MockBroker()
        yield own
        own.close()


@pytest.fixture
def mock():
    own = MockBroker()
    yield own
    own.close()


@pytest.fixture(scope="session")
def shared_redis():
    redis = Redis()
    yield redis
    redis.close()


@pytest.fixture
def redis():
    own = Redis()
    yield own
    own.close()


@pytest.fixture(scope="session")
def shared_fake():
    server = FakeServer()
    yield server
    server.close()


@pytest.fixture
def fake():
    server = FakeServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def workspace():
    """Logs of every process; kept where a test failed."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="tutti-tests-"))
    yield path
    if not FAILED:
        shutil.rmtree(path, ignore_errors=True)


FAILED = []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        FAILED.append(item.nodeid)
        for name in ("installation", "steady"):
            shown = item.funcargs.get(name) if hasattr(item, "funcargs") else None
            for one in getattr(shown, "made", [shown] if shown else []):
                report.sections.append((f"logs of {one.prefix} in {one.directory}", one.tails()))


@pytest.fixture
def installation(broker, redis, workspace):
    """Makes installations: installation(...) -> Installation, closed and checked at the end."""
    def make(*args, **more):
        directory = workspace / f"i{len(list(workspace.iterdir()))}"
        one = installations.Installation(more.pop("broker", broker), more.pop("redis", redis),
                                         *args, directory=directory, **more)
        make.made.append(one)
        return one
    make.made = []
    yield make
    faults = []
    for one in make.made:
        try:
            one.close()
        except AssertionError as e:
            faults.append(str(e))
    assert not faults, "\n".join(faults)


COMMANDS = {
    "upper": {"command": "/usr/bin/python3", "args": [
        "-c", "import json,sys; print(json.dumps(json.load(sys.stdin)['text'].upper()))"]},
    "flood": {"command": "/usr/bin/python3", "args": ["-c", "print('x' * 3_000_000)"]},
    "prose": {"command": "/usr/bin/python3", "args": ["-c", "print('no json here')"]},
    "latin": {"command": "/usr/bin/python3", "args": [
        "-c", r"import sys; sys.stdout.buffer.write(b'\"\xe9\"')"]},
    "fails": {"command": "/usr/bin/python3", "args": [
        "-c", "import sys; sys.stderr.write('out of paper'); sys.exit(3)"]},
    "stuck": {"command": "/usr/bin/python3", "args": ["-c", "import signal; signal.pause()"]},
}
MODELS = ("default", "garbage", "broken", "limited", "silent", "empty", "prose")


def model_catalogue(fake, names=MODELS):
    return {name: {"base_url": f"{fake.url}/model/{name}/v1", "model": name,
                   "price_in_micro_usd_per_mtok": 1000000,
                   "price_out_micro_usd_per_mtok": 2000000} for name in names}


def worker_args(fake, **models):
    return ["--commands", json.dumps(COMMANDS), "--http-allow-private",
            json.dumps([f"127.0.0.1:{fake.port}"]),
            "--models", json.dumps({**model_catalogue(fake), **models})]


@pytest.fixture(scope="session")
def shared(session_broker, shared_redis, shared_fake, workspace):
    """One installation for all the tests that only start runs. Its breakers never open."""
    one = installations.Installation(session_broker, shared_redis,
                                     directory=workspace / f"shared-{session_broker.name}",
                                     queues=("default", "python"),
                                     triggers=("plain", "orders", "odd", "shop"))
    one.fake = shared_fake
    one.orchestrator("--lifecycle", "runs", wait=False)
    one.worker(*worker_args(shared_fake), "--breaker-calls-min", "600", "--breaker-window", "600",
               "--lease", "6s",  # renewed every 2 s: so soon a cancelled call is aborted
               queues=("default",))
    one.wait_running(one.orchestrators[0])
    yield one
    one.close()


@pytest.fixture
def steady(shared):
    """The shared installation; what a test wrote is checked at its end."""
    yield shared
    for process in shared.processes:
        assert process.running(), f"{process.name} ended\n{process.tail()}"
    shared.check_topics()
