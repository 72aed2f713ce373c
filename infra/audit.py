"""`python -m infra.audit`: ask PyPI's advisory database about all packages but those that develop and test.

Exit code 1 if one of them has a known vulnerability. If the database cannot be asked, it says so, and the exit code is
0: a build must not fail because the network does.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ("requirements-deploy.txt", "requirements-otel.txt")
"""All that runs, what setup.sh needs, and the extra `otel`."""
ANSWER_SECONDS = 5
TOTAL_SECONDS = 180


def main() -> int:
    """Print what the database says and return the exit code."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    command += ["--disable-pip", "--no-deps", "--timeout", str(ANSWER_SECONDS)]
    command += [argument for file in REQUIREMENTS for argument in ("--requirement", file)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TOTAL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        code, message = 0, _not_audited(f"no answer within {TOTAL_SECONDS} s")
    else:
        code, message = judge(done.stdout, done.stderr)
    sys.stdout.write(f"audit: {message}\n")
    return code


def judge(report: str, errors: str) -> tuple[int, str]:
    """Return the exit code and the message for the output of pip-audit.

    Its own exit code is the same for a vulnerability and for a network that is down, and it is 0 if the database knows
    none of the packages.
    """
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        return 0, _not_audited(errors.strip().rpartition("\n")[2] or "no answer")
    known = [package for package in packages if "skip_reason" not in package]
    found = [
        f"{package['name']} {package['version']}: {each['id']}, fixed in {_versions(each['fix_versions'])}"
        for package in known
        for each in package["vulns"]
    ]
    if found:
        return 1, "\n  ".join(("known vulnerabilities:", *found))
    if not known:
        return 0, _not_audited("it knows none of the packages")
    unknown = len(packages) - len(known)
    return 0, f"no known vulnerability in {len(known)} packages" + (f"; {unknown} are not known" if unknown else "")


def _versions(versions: list[str]) -> str:
    return ", ".join(versions) or "no version"


def _not_audited(reason: str) -> str:
    return f"nothing was audited: the advisory database does not answer ({reason[:200]})"


if __name__ == "__main__":
    sys.exit(main())
