"""Completion of commands, subcommands, options and their values, asked of the shells themselves."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BASH = """
source "$0"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_workmanager; printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = 'source $argv[1]; complete -C "$argv[2..]"'


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("completion")
    paths = {shell: folder / shell for shell in ("bash", "zsh", "fish")}
    for shell, path in paths.items():
        with path.open("w") as file:
            subprocess.run([sys.executable, "-m", "workmanager", "completion", shell], stdout=file, check=True)
    return paths


@pytest.mark.parametrize("shell", ["bash", "fish"])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["workmanager", "del"], {"delete"}),
        (["workmanager", "keys", "r"], {"roll", "revoke"}),
        (["workmanager", "jobs", "--st"], {"--status"}),
        (["workmanager", "schedule", "put", "--overlap", "r"], {"replace"}),
        (["workmanager", "completion", "f"], {"fish"}),
    ],
)
def test_a_shell_completes(scripts: dict[str, Path], shell: str, words: list[str], expected: set[str]) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    script = str(scripts[shell])
    command = (
        [program, "-c", BASH, script, *words] if shell == "bash" else [program, "-c", FISH, script, " ".join(words)]
    )
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} == expected


def test_zsh_can_read_its_script(scripts: dict[str, Path]) -> None:
    zsh = shutil.which("zsh")
    if zsh is None:
        pytest.skip("zsh is not installed")
    subprocess.run([zsh, "-n", str(scripts["zsh"])], check=True)


def test_without_its_package_it_is_told_what_to_install() -> None:
    code = (
        "import sys; sys.modules['shtab'] = None; from workmanager.__main__ import main;"
        "sys.argv = ['workmanager', 'completion', 'bash']; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "pip install shtab" in done.stderr
