"""Fuzzing of our own parsers, guided by coverage: `./scripts/dev.sh fuzz --seconds 3600 [NAME...]`.

Runs the properties of all `test_fuzz*.py` one after another, each in a process of its own, with atheris (libFuzzer). An
exception, a run of more than 10 s and more than 2 GiB of memory are faults. What is worth trying again is kept below
`.hypothesis/corpus`, so a later run goes on from there. The exit code is 1 if something was found.
"""

import argparse
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / ".hypothesis" / "corpus"
INSTRUMENTED = ["jobqueue", "manager", "outgoing", "processes", "worker_node", "workmanager"]
LONGEST_RUN_SECONDS = 10
MEMORY_MIB = 2048
START_SECONDS = 180
"""How long a process may take to start and to end, on a busy machine."""

Property = Callable[[bytes], object]


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.sh fuzz", description="Fuzz our own parsers, guided by coverage.")
    parser.add_argument("--seconds", type=int, default=600, help="for all properties together (600)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only properties whose name contains one of these")
    options = parser.parse_args()
    if options.one:
        _fuzz(options.one, options.seconds)
    found = [name for name in properties() if not options.names or any(part in name for part in options.names)]
    if not found:
        parser.error("no property has such a name")
    seconds = max(1, options.seconds // len(found))
    failed = [name for name in found if not _is_sound(name, seconds)]
    _say(f"{len(found)} properties, {seconds} s each: {len(failed)} failed", *failed)
    return 1 if failed else 0


def properties() -> list[str]:
    """Return the names of all properties, `MODULE:FUNCTION`."""
    names = []
    for path in sorted(ROOT.glob("tests/unit/**/test_fuzz*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        names += [f"{module}:{name}" for name, value in vars(_load(module)).items() if hasattr(value, "hypothesis")]
    return names


def _is_sound(name: str, seconds: int) -> bool:
    command = [sys.executable, "-m", "tests.fuzz", "--one", name, "--seconds", str(seconds)]
    try:
        ended = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=seconds + START_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        _say(f"{name}: FAILED, it does not end", *str(error.stderr).splitlines()[-3:])
        return False
    lines = [line for line in ended.stderr.splitlines() if not line.startswith(("INFO:", "WARNING:", "#"))]
    runs = next((line.split()[-1] for line in lines if "number_of_executed_units" in line), "?")
    is_sound = ended.returncode == 0
    _say(f"{name}: {runs} runs", *(() if is_sound else ("FAILED", ended.stdout, *lines)))
    return is_sound


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _fuzz(name: str, seconds: int) -> None:
    """Fuzz one property, and end this process."""
    import atheris

    module, _, function = name.partition(":")
    with atheris.instrument_imports(include=INSTRUMENTED):
        loaded = _load(module)
    run: Property = vars(loaded)[function].hypothesis.fuzz_one_input
    corpus = CORPUS / name.replace(":", ".")
    corpus.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={seconds}", f"-timeout={LONGEST_RUN_SECONDS}", f"-rss_limit_mb={MEMORY_MIB}"]
    atheris.Setup([sys.argv[0], str(corpus), *limits, "-print_final_stats=1", f"-artifact_prefix={corpus}."], run)
    atheris.Fuzz()


def _load(module: str) -> object:
    # Examples that nobody has chosen, and those that failed before.
    os.environ["WORKMANAGER_TEST_FUZZ_EXAMPLES"] = "1000000"
    return importlib.import_module(module)


if __name__ == "__main__":
    sys.exit(main())
