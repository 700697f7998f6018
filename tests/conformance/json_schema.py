"""The official JSON-Schema-Test-Suite, draft2020-12, against common/schema, through the program conformance-schema.

The suite is the folder json/ of the source distribution that requirements.txt names."""
import json
import shutil
import subprocess
import sys
import tarfile

import suite

REMOTES = "http://localhost:1234/"  # where the suite's cases believe the documents of remotes/ to be
BATCH = 50  # schemas asked of one process
# Optional cases that cannot pass, and why.
REASONS = {
    "bignum": "our JSON has integers of 64 bits; the reader refuses larger ones",
    "cross-draft": "schemas of other drafts are refused",
    "format/idn-hostname": "an annotation only",
}


def fetch():
    """Brings the suite into build/conformance; returns its folder."""
    wanted = suite.HERE / "requirements.txt"
    done, folder = suite.DATA / "fetched-requirements.txt", suite.DATA / "json-schema"
    if done.exists() and done.read_text() == wanted.read_text():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "venv", suite.DATA / "venv"], check=True)
    subprocess.run([suite.DATA / "venv/bin/python", "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                    "--no-deps", "--no-binary", "jsonschema", "--dest", folder, "-r", wanted], check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            top, _, name = member.name.partition("/")
            if member.isfile() and name.startswith("json/") and ".." not in name:
                member.name = name.removeprefix("json/")
                tar.extract(member, folder)
    done.write_text(wanted.read_text())  # last: a fetch that broke off is done again
    return folder


def documents(folder):
    files = sorted((folder / "remotes").rglob("*.json"))
    return {REMOTES + path.relative_to(folder / "remotes").as_posix(): path.read_text() for path in files}


def groups(folder):
    """(section, group of cases) for each schema of the suite; optional ones have a section of optional/..."""
    tests = folder / "tests/draft2020-12"
    for path in sorted(tests.rglob("*.json")):
        section = path.relative_to(tests).as_posix().removesuffix(".json")
        for group in json.loads(path.read_text()):
            yield section, group


def question(section, group, remotes):
    return {
        "schema": json.dumps(group["schema"]),
        "data": [json.dumps(case["data"]) for case in group["tests"]],
        "documents": remotes if "localhost:1234" in json.dumps(group["schema"]) else {},
        "format": section.startswith("optional/format/"),
    }


def judge(outcome, section, group, answers):
    for case, answer in zip(group["tests"], answers or [None] * len(group["tests"])):
        want = "valid" if case["valid"] else "invalid"
        name = f"{section}/{group['description']}/{case['description']}"
        if not section.startswith("optional/"):
            if answer == want:
                outcome.ok(section)
            else:
                outcome.wrong(name, f"wanted {want}, got {answer}")
            continue
        section_name = section.removeprefix("optional/")
        passed, others = outcome.optional.setdefault(section_name, (0, []))
        if answer == want:
            outcome.optional[section_name] = (passed + 1, others)
        else:
            others.append(f"{section_name}: {case['description']} ({REASONS.get(section_name, answer)})")


def run(_, programs):
    outcome = suite.Outcome()
    folder = fetch()
    remotes, asked = documents(folder), list(groups(folder))
    for i in range(0, len(asked), BATCH):
        part = asked[i:i + BATCH]
        answers = suite.ask(programs / "conformance-schema", [question(*item, remotes) for item in part])
        for (section, group), answer in zip(part, answers):
            judge(outcome, section, group, answer)
    return outcome
