"""The part of docs/conformance.md that is generated: for each suite a table of its sections and what is left out."""
import suite

PAGE = suite.ROOT / "docs" / "conformance.md"


def text(outcome):
    sections = {}
    for section, count in outcome.passed.items():
        sections.setdefault(section, [0, 0])[0] += count
    for names in outcome.left_out.values():
        for name in names:
            sections.setdefault(name.split("/")[0], [0, 0])[1] += 1
    lines = ["| section | pass | left out |", "| --- | ---: | ---: |"]
    lines += [f"| {section} | {passed} | {left} |" for section, (passed, left) in sorted(sections.items())]
    for reason, names in sorted(outcome.left_out.items()):
        lines += ["", f"Left out because {reason}:", ""]
        groups = {}
        for name in names:
            group, _, case = name.rpartition("/")
            groups.setdefault(group, []).append(f"`{case}`")
        lines += [f"- {group}: {', '.join(cases)}" for group, cases in sorted(groups.items())]
    return "\n".join(lines) + "\n"


def split(name):
    page = PAGE.read_text()
    begin, end = f"<!-- generated: {name} -->\n", f"<!-- end: {name} -->\n"
    before, _, rest = page.partition(begin)
    old, _, after = rest.partition(end)
    return before + begin, old, end + after


def is_current(name, outcome):
    return split(name)[1] == text(outcome)


def write(name, outcome):
    before, _, after = split(name)
    PAGE.write_text(before + text(outcome) + after)
