"""cel-spec's conformance data (npm: @bufbuild/cel-spec) against common/cel, through the program conformance-cel."""
import json
import math
import re
import subprocess

import suite

# Forms of a value on the wire that are CEL's own types, though protobuf has a message for them.
PLAIN_MESSAGES = {"google.protobuf.Timestamp", "google.protobuf.Duration"}
STRING = re.compile(
    r"""[rRbB]{0,2}('''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")"""
)


def load(data):
    """The cases as (name, case): the data file is a module of JavaScript, so node reads it out as JSON."""
    module = data / "@bufbuild/cel-spec/dist/esm/testdata/conformance.js"
    script = "const m = await import(process.argv[1]); console.log(JSON.stringify(m.tests))"
    done = subprocess.run(["node", "--input-type=module", "-e", script, str(module)], stdout=subprocess.PIPE, check=True)

    def walk(node, path):
        for inner in node.get("suites", []):
            yield from walk(inner, path + [inner["name"]])
        for case in node.get("tests", []):
            yield "/".join(path + [case["original"]["name"]]), case["original"]

    return list(walk(json.loads(done.stdout), []))


def reason_to_leave_out(case):
    """Why a case cannot be asked of an engine without protobuf, or None."""
    code = STRING.sub("''", re.sub(r"//[^\n]*", "", case["expr"]))
    if any(word != "in" for word in re.findall(r"([\w.`]+)\s*\{", code)):  # Name{...}, but not: x in {...}
        return "the expression builds a protobuf message"
    around = json.dumps({key: case[key] for key in ("typeEnv", "bindings", "value", "typedResult") if key in case})
    if set(re.findall(r"type\.googleapis\.com/([\w.]+)", around)) - PLAIN_MESSAGES:
        return "its values are protobuf messages"
    if "enumValue" in around or re.search(r"\b(GlobalEnum|NestedEnum)\b", code):
        return "it is about protobuf enums"
    if set(re.findall(r'"messageType": "([\w.]+)"', around)) - PLAIN_MESSAGES:
        return "its variables are protobuf messages"
    return None


def number(value):
    return float(value.replace("Infinity", "inf")) if isinstance(value, str) else float(value)


def same(want, got):
    """Whether two values of cel.expr.Value are equal: type by type, maps in any order."""
    if set(want) != set(got):
        return False
    (kind,) = want
    a, b = want[kind], got[kind]
    if kind == "doubleValue":
        return number(a) == number(b) or (math.isnan(number(a)) and math.isnan(number(b)))
    if kind == "listValue":
        a, b = a.get("values", []), b.get("values", [])
        return len(a) == len(b) and all(map(same, a, b))
    if kind == "mapValue":
        a, b = a.get("entries", []), list(b.get("entries", []))
        for entry in a:
            hits = [other for other in b if same(entry["key"], other["key"]) and same(entry["value"], other["value"])]
            if not hits:
                return False
            b.remove(hits[0])
        return not b
    return a == b


def question(case):
    return {
        "expr": case["expr"],
        "container": case.get("container", ""),
        "bindings": {name: bound["value"] for name, bound in case.get("bindings", {}).items()},
        "types": case.get("typeEnv", []),
        "deduce": "typedResult" in case,
        "evaluate": not case.get("checkOnly", False),
        "checked": not case.get("disableCheck", False),
    }


def fault(case, answer):
    """What is wrong with the answer, or None. Texts of errors are not compared: the data say that they are examples."""
    if answer is None:
        return "the program ended"
    if "evalError" in case:
        return None if "error" in answer else f"wanted an error, got {json.dumps(answer)}"
    typed = case.get("typedResult", {})
    want = case.get("value", typed.get("result"))
    if want is None and "typedResult" not in case:
        want = {"boolValue": True}  # what the data's format says for a case without a matcher
    if want is not None and ("value" not in answer or not same(want, answer["value"])):
        return f"{case['expr']}: wanted {json.dumps(want)}, got {json.dumps(answer)}"
    if "deducedType" in typed and answer.get("type") != typed["deducedType"]:
        return f"{case['expr']}: wanted the type {json.dumps(typed['deducedType'])}, got {json.dumps(answer)}"
    return None


def run(data, programs):
    outcome = suite.Outcome()
    asked = []
    for name, case in load(data):
        reason = reason_to_leave_out(case)
        if reason:
            outcome.leave_out(name, reason)
        else:
            asked.append((name, case))
    answers = suite.ask(programs / "conformance-cel", [question(case) for _, case in asked])
    for (name, case), answer in zip(asked, answers):
        why = fault(case, answer)
        if why:
            outcome.wrong(name, why)
        else:
            outcome.ok(name.split("/")[0])
    return outcome
