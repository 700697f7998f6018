"""What the suites share: their outcome, the data that npm brings, and a C program that answers case by case."""
import dataclasses
import json
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DATA = ROOT / "build" / "conformance"


@dataclasses.dataclass
class Outcome:
    """passed: a count a section; failed: lines that say which case and why; left_out: reason -> names of cases."""

    passed: dict = dataclasses.field(default_factory=dict)
    failed: list = dataclasses.field(default_factory=list)
    left_out: dict = dataclasses.field(default_factory=dict)

    def ok(self, section):
        self.passed[section] = self.passed.get(section, 0) + 1

    def wrong(self, name, why):
        self.failed.append(f"{name}: {why}")

    def leave_out(self, name, reason):
        self.left_out.setdefault(reason, []).append(name)

    def counts(self):
        return {
            "passed": sum(self.passed.values()),
            "failed": len(self.failed),
            "left_out": sum(len(names) for names in self.left_out.values()),
        }


def fetch():
    """Brings the packages of package.json, as its lock file pins them, into build/conformance; returns node_modules."""
    DATA.mkdir(parents=True, exist_ok=True)
    lock, done = HERE / "package-lock.json", DATA / "fetched.json"
    if not done.exists() or done.read_text() != lock.read_text():
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, DATA / name)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=DATA, check=True)
        done.write_text(lock.read_text())  # last: a fetch that broke off is done again
    return DATA / "node_modules"


def ask(program, questions):
    """Writes a JSON line a question to the program and returns its answers, None where it gave none any more."""
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    done = subprocess.run([str(program)], input=lines.encode(), stdout=subprocess.PIPE, timeout=600, check=False)
    answers = [json.loads(line) for line in done.stdout.decode().splitlines()]
    return answers + [None] * (len(questions) - len(answers))
