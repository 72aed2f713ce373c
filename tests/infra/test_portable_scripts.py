"""The scripts that an operator runs work on macOS, too: bash 3.2 and BSD's tools.

Neither can be had from Debian's packages, so each construct that differs is looked for in the text, and those of BSD's
tools whose output differs are imitated. Nothing was run on macOS itself.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEVELOPMENT = {"dev.sh", "test.sh", "demo.sh"}
SCRIPTS = [path for path in sorted(ROOT.glob("scripts/*.sh")) if path.name not in DEVELOPMENT]
# https://tiswww.case.edu/php/chet/bash/CHANGES has what each version of bash added.
NEWER_BASH = {
    "mapfile, readarray (4.0)": r"\b(mapfile|readarray)\b",
    "associative arrays (4.0), name references (4.3)": r"\b(declare|local|typeset) -[a-zA-Z]*[An]",
    "change of case (4.0)": r"\$\{\w+(\^|,)",
    "&>> and |& (4.0)": r"&>>|\|&",
    ";;& and ;& (4.0)": r";;&|;&(?!&)",
    "-v (4.2)": r"\[ -v |\[\[ -v ",
    "negative index (4.3)": r"\$\{\w+\[-\d",
    "${x@Q} (4.4)": r"\$\{\w+@[QEPAa]\}",
    "wait -n (4.3)": r"\bwait -n\b",
    "EPOCHSECONDS (5.0), SRANDOM (5.1)": r"\$\{?(EPOCH|SRANDOM)",
    "zero-padded {01..9} (4.0)": r"\{0\d+\.\.",
    "printf %(…)T (4.2)": r"%\([^)]*\)T",
}
ONLY_GNU = {
    "sed -i": r"\bsed -i",
    "sed { … p} without ; before }": r"\bsed [^|\n]*[a-z]\}'",
    "grep -P": r"\bgrep -[a-zA-Z]*P",
    "date -d": r"\bdate [^|\n]*(-d |--date)",
    "readlink -f, realpath": r"\b(readlink -f|realpath)\b",
    "stat -c": r"\bstat -c",
    "sort -V": r"\bsort -[a-zA-Z]*V",
    "head -n -N": r"\bhead -n -",
    "xargs -r": r"\bxargs -r",
    "base64 -w": r"\bbase64 -w",
    "sha256sum": r"\bsha256sum\b",
    "cp or mktemp with long options": r"\b(cp|mktemp|rm|mv|ln|tail|head|tr|cut|sort) --",
    "tac, timeout, nproc": r"(^|[|;&(]) *(tac|timeout|nproc)\b",
}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_uses_nothing_that_bash_3_2_or_bsd_lacks(script: Path) -> None:
    text = re.sub(r"^\s*#.*$", "", script.read_text(), flags=re.MULTILINE)
    for construct, pattern in {**NEWER_BASH, **ONLY_GNU}.items():
        found = re.search(pattern, text, re.MULTILINE)
        assert not found, f"{construct}: {found[0]!r}"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_an_array_that_can_be_empty_is_expanded_as_bash_3_2_needs_it(script: Path) -> None:
    """Before bash 4.4, "${a[@]}" of an empty array is an unbound variable under `set -u`."""
    text = script.read_text()
    plain = set(re.findall(r'(?<!\+)"\$\{(\w+)\[@\]\}"', text))
    for name in plain:
        starts = re.findall(rf"\b{name}=\(([^)]*)\)", text)
        filled = bool(starts) and all(start.strip() for start in starts)
        # `read -ra` of a word makes at least one element. `changes` has elements before it is expanded.
        assert filled or re.search(rf"read -ra {name}\b", text) or name == "changes", name
    assert 'changes+=("SecretVersions=' in (ROOT / "scripts/_change_set.sh").read_text()


def test_counts_are_compared_as_numbers(tmp_path: Path) -> None:
    """BSD's wc puts spaces in front."""
    for script in SCRIPTS:
        for line in script.read_text().splitlines():
            if "wc -" in line:
                assert re.search(r"wc -[a-z]\)\"? -(eq|lt|ge|gt|le) |\$\(\(\$\(wc", line), f"{script.name}: {line}"
    (tmp_path / "wc").write_text('#!/bin/sh\nprintf "%8s\\n" "$(/usr/bin/wc "$@")"\n')
    (tmp_path / "wc").chmod(0o755)
    commands = 'zones=a,b,c; [ "$(tr -cd , <<<"$zones" | wc -c)" -eq 2 ] && echo "terminating: $(($(wc -w <<<"a b")))"'
    done = subprocess.run(
        ["bash", "-c", commands],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "terminating: 2\n"


def test_no_pipe_ends_before_all_is_read() -> None:
    """`grep -q`, `head` and `sed q` end early. Under `pipefail`, the program before them then fails, sometimes."""
    for path in (*ROOT.glob("scripts/*.sh"), *ROOT.glob("infra/*/*.sh")):
        text = re.sub(r"^\s*#.*$", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
        assert not re.search(r"(?<!\|)\|\s*(grep -[a-zA-Z]*q|head\b|sed [^|]*q')", text), path.name
