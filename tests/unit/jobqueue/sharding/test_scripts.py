"""The Lua scripts: their headers and includes, and that they build every key from the shard's prefix."""

import re
from pathlib import Path

import pytest

from jobqueue.sharding import scripts
from jobqueue.sharding.scripts import script

DIRECTORY = Path(scripts.__file__).parents[1] / "lua"
SCRIPTS = sorted(path.stem for path in DIRECTORY.glob("[!_]*.lua"))
SHARED = sorted(path.stem for path in DIRECTORY.glob("_*.lua"))


def _header(name: str) -> str:
    lines = (DIRECTORY / f"{name}.lua").read_text().splitlines()
    return "\n".join(lines[: next(n for n, line in enumerate(lines) if not line.startswith("--"))])


def test_there_are_scripts() -> None:
    assert {"enqueue", "claim", "finish", "extend", "reap", "pull", "ack"} <= set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_header_has_purpose_keys_arguments_and_return_value(name: str) -> None:
    assert re.match(r"-- [A-Z].+[\s\S]*^-- KEYS\[1\]  [\s\S]*^-- ARGV\[1[\s\S]*^-- Returns  ", _header(name), re.M)


@pytest.mark.parametrize("name", SHARED)
def test_every_function_of_an_include_is_documented(name: str) -> None:
    text = (DIRECTORY / f"{name}.lua").read_text()
    functions = re.findall(r"^local function (\w+)\(", text, re.M)
    assert functions
    for function in functions:
        assert re.search(rf"^-- {function}\(", text, re.M), function


@pytest.mark.parametrize("name", SCRIPTS)
def test_includes_are_resolved_and_define_what_is_called(name: str) -> None:
    text = script(name).text
    assert "-- include:" not in text
    shared = {function for part in SHARED for function in re.findall(r"^local function (\w+)\(", _text(part), re.M)}
    defined = set(re.findall(r"local function (\w+)\(", text))
    code = re.sub(r"--.*", "", text)
    called = {function for function in shared if re.search(rf"(?<![\w.:]){function}\(", code)}
    assert called <= defined


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_key_is_built_from_the_prefix(name: str) -> None:
    text = script(name).text
    assert text.count("KEYS[") - _header(name).count("KEYS[") == 1
    assert "local prefix = KEYS[1]" in text
    assert not re.search(r"redis\.p?call\('[A-Z]+', '(?!server)", re.sub(r"--.*", "", text))


def test_a_script_is_read_once_and_its_hash_is_of_its_text() -> None:
    assert script("claim") is script("claim")
    assert script("claim").sha != script("finish").sha
    with pytest.raises(FileNotFoundError):
        script("nonsense")


def _text(name: str) -> str:
    return (DIRECTORY / f"{name}.lua").read_text()
