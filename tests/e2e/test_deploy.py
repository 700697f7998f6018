# SPDX-License-Identifier: Apache-2.0
"""What stands under deploy/ names only what there is: options, packages, programs, files. Of it only Redis is started."""
import re
import shutil
import subprocess

import pytest
import yaml

from harness.base import ROOT, clean_env, program, until

DEPLOY = ROOT / "deploy"
PROGRAMS = ["tutti", "tutti-orchestrator", "tutti-worker", "tutti-simulator"]
UNITS = sorted(DEPLOY.glob("systemd/*.service"))


def help_of(*words):
    return subprocess.run([program(words[0]), *words[1:]], capture_output=True, text=True,
                          env=clean_env(), check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def dockerfile():
    return (DEPLOY / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def installed(dockerfile):
    """The packages of each apt-get install, stage by stage."""
    text = dockerfile.replace("\\\n", " ")
    return [set(m.split()) for m in
            re.findall(r"apt-get install -y --no-install-recommends (.*?) &&", text)]


def test_every_variable_is_an_option_of_a_program():
    known = set(re.findall(r"\bTUTTI_[A-Z_]+[A-Z]\b",
                           help_of("tutti-orchestrator", "--help") + help_of("tutti-worker", "--help")))
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            for name in re.findall(r"\bTUTTI_[A-Z_]+[A-Z]\b", path.read_text()):
                assert name in known, f"{path.name}: no program has {name}"


@pytest.mark.parametrize("service,name", [("orchestrator", "tutti-orchestrator"),
                                          ("worker", "tutti-worker")])
def test_a_service_of_compose_sets_what_its_program_takes(compose, service, name):
    taken = help_of(name, "--help")
    environment = compose["services"][service]["environment"]
    assert compose["services"][service]["command"] == [name]
    for variable, value in environment.items():
        assert re.search(rf"\b{variable}\b", taken), variable
        assert isinstance(value, str), f"{variable}: quote it"
    values = {k: v for k, v in environment.items() if k.startswith("TUTTI_") and "${" not in v}
    # the environment is read before the flags: who complains about a flag has accepted it
    done = subprocess.run([program(name), "--log-level=loud"], capture_output=True, text=True,
                          env=clean_env(values), timeout=60)
    assert done.returncode == 2 and "--log-level" in done.stderr, done.stderr


def test_compose_waits_longer_than_its_worker_drains(compose):
    worker = compose["services"]["worker"]
    assert int(worker["stop_grace_period"].rstrip("s")) > \
        int(worker["environment"]["TUTTI_DRAIN"].rstrip("s"))
    assert worker["deploy"]["replicas"] == 2


def test_compose_names_only_services_volumes_and_files_that_there_are(compose):
    for name, service in compose["services"].items():
        assert set(service.get("depends_on", {})) <= set(compose["services"]), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).resolve().exists(), volume
        for needed in service.get("depends_on", {}):
            assert "healthcheck" in compose["services"][needed], needed
    build = compose["services"]["orchestrator"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    redis = compose["services"]["redis"]
    assert redis["command"][1] in [v.split(":")[1] for v in redis["volumes"]]


def test_redis_starts_with_the_settings_that_the_deployment_gives_it(tmp_path):
    socket = tmp_path / "redis.sock"
    server = subprocess.Popen(["redis-server", DEPLOY / "redis.conf", "--port", "0", "--unixsocket", socket, "--dir", tmp_path],
                              stdout=subprocess.DEVNULL)
    try:
        until(lambda: socket.exists() or server.poll() is not None, 20, "redis-server")
        for name, value in (("appendonly", "yes"), ("appendfsync", "everysec"), ("maxmemory-policy", "noeviction"), ("save", "")):
            answer = subprocess.run(["redis-cli", "-s", socket, "config", "get", name], capture_output=True, text=True, check=True)
            assert answer.stdout.splitlines() == [name, value]
    finally:
        server.kill()
        server.wait()


def test_the_build_stage_installs_what_run_installs(dockerfile):
    packages = re.search(r'^build_packages="(.*?)"', (ROOT / "run").read_text(), re.M | re.S)
    assert installed(dockerfile)[0] == set(packages.group(1).split())


def test_the_image_has_every_library_that_the_programs_link(dockerfile):
    """Each shared library that a program itself names belongs to a package of the runtime stage."""
    if not (shutil.which("dpkg-query") and shutil.which("readelf")):
        pytest.skip("only on Debian")
    packages = installed(dockerfile)[1] | {"libc6"}
    for name in PROGRAMS:
        dynamic = subprocess.run(["readelf", "-d", program(name)], capture_output=True, text=True,
                                 check=True).stdout
        for library in re.findall(r"\(NEEDED\).*\[(.*?)\]", dynamic):
            if re.match(r"lib(\w+san|gcc_s)\b", library):
                continue  # of a sanitizer build
            owner = subprocess.run(["dpkg-query", "-S", f"*/{library}"], capture_output=True,
                                   text=True).stdout
            owners = {line.split(":")[0] for line in owner.splitlines()}
            assert owners & packages, f"{name} needs {library} of {owners}"


def test_the_image_has_the_programs_and_runs_as_nobody_special(dockerfile):
    for name in PROGRAMS:
        program(name)
        assert f"/src/build/release/bin/{name}" in dockerfile
    assert re.search(r"^USER (?!0|root)\S+", dockerfile, re.M)
    assert "ENTRYPOINT" not in dockerfile
    for source in re.findall(r"^COPY (?!--from)(\S+) ", dockerfile, re.M):
        assert (ROOT / source).exists(), source


def settings(unit):
    return re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.M)


@pytest.mark.parametrize("unit", UNITS, ids=lambda u: u.stem)
def test_a_unit_is_one_that_systemd_accepts(unit, tmp_path):
    name = unit.stem
    assert ("ExecStart", f"/usr/local/bin/{name}") in settings(unit)
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace(f"/usr/local/bin/{name}", program(name)))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True,
                          text=True, timeout=60)
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert not complaints, done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda u: u.stem)
def test_a_unit_is_hardened_and_lets_its_program_drain(unit):
    has = dict(settings(unit))
    assert has["DynamicUser"] == has["NoNewPrivileges"] == "yes"
    assert has["ProtectSystem"] == "strict" and has["Restart"] == "on-failure"
    assert has["KillSignal"] == "SIGTERM"
    drain = re.search(r"Default: (\d+)s\. Environment: TUTTI_DRAIN",
                      help_of("tutti-worker", "--help"))
    assert int(has["TimeoutStopSec"]) > (int(drain[1]) if unit.stem == "tutti-worker" else 20)


def test_the_programs_of_the_readme_are_there():
    text = (DEPLOY / "README.md").read_text()
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (DEPLOY / link).exists(), link
    for path in re.findall(r"\bdeploy/[\w./-]+\w", text):
        assert (ROOT / path).exists(), path
