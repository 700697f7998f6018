# SPDX-License-Identifier: Apache-2.0
"""Every command of the README, and of pages that are made of commands, runs as it is written.

A fenced block marked ```sh is run from the root of the repository, in the order of the page, by one
`sh -e` per block with the built programs on the PATH. A block behind a line `<!-- no-test -->` is
not run: it needs a cluster, root, or a key."""
import os
import re
import signal
import subprocess

import pytest

from harness.base import BIN, ROOT, SLOW, clean_env

PAGES = [ROOT / "README.md", ROOT / "docs/clients.md"]
# `./run test` would start this very test again, and the benches have a time of their own.
ELSEWHERE = ("./run test", "./run bench")


def blocks():
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in re.finditer(r"^```sh\n(.*?)^```$", text, re.M | re.S):
            before = text[:match.start()].rstrip().splitlines()
            if before and before[-1].strip() == "<!-- no-test -->":
                continue
            line = text.count("\n", 0, match.start()) + 2
            found.append(pytest.param(match.group(1), id=f"{page.stem}-line-{line}"))
    return found


@pytest.mark.parametrize("block", blocks())
def test_a_block_of_a_page_runs_as_written(block, tmp_path):
    lines = [x for x in block.splitlines() if not x.strip().startswith(ELSEWHERE)]
    if not "".join(lines).strip():
        pytest.skip("tested elsewhere")
    env = clean_env({"TUTTI_BIN": str(BIN), "TMPDIR": str(tmp_path)})
    process = subprocess.Popen(["sh", "-e", "-c", "\n".join(lines)], cwd=ROOT, env=env, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    try:
        out, _ = process.communicate(timeout=180 * SLOW)
    finally:
        try:  # what the block left in the background
            os.killpg(process.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
    assert process.returncode == 0, f"{block}\n--- said\n{out[-4000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_files_that_a_page_names_are_there(page):
    for name in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / name).exists(), name
