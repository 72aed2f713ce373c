"""The environment variables that jobs see: those that programs need, and those that the operator names.

Everything else of the agent's environment is kept from them: credentials of the cloud and of other programs.
"""

from collections.abc import Iterable, Mapping, Sequence

from processes.settings_file import PREFIX
from worker_node.functions import HTTP_ALLOW

PASSED = (
    # Where programs, their user and their files are.
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TMP", "TEMP"),
    # Language, encoding and time.
    *("LANG", "LANGUAGE", "LC_*", "TZ", "TZDIR"),
    # The interpreter: where modules are, its hash seed, its memory allocator.
    *("PYTHON*", "VIRTUAL_ENV"),
    # Shared libraries. A preloaded allocator is one of them, and its options are below.
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "MALLOC_*", "GLIBC_TUNABLES"),
    # Whom TLS trusts. Without them, calls inside an organization fail.
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    # How many threads numerical libraries start, and on which device. Without them nothing fails: it becomes slow.
    *("OMP_*", "OPENBLAS_*", "MKL_*", "NUMEXPR_*", "CUDA_*"),
    # Where AWS clients work, and how patient they are. Functions that use the role of their instance need no more.
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS"),
)
"""Names, and beginnings of names followed by `*`. Proxies are not among them: their URLs can contain passwords."""


def parse_names(text: str) -> tuple[str, ...]:
    """Return the names and patterns of a setting, in which commas separate them.

    Raises:
        ValueError: one is neither a name nor the beginning of names followed by `*`, or names a setting of this system.
    """
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        beginning = name.removesuffix("*")
        if name.startswith(PREFIX):
            raise ValueError(f"{name!r}: jobs never see {PREFIX}…")
        if "=" in name:
            # The value is likely to be a secret.
            raise ValueError(f"{name.partition('=')[0]!r} has a value here: give its name alone")
        if not beginning.isidentifier() and name != "*":
            raise ValueError(f"{name!r} is neither a variable's name nor the beginning of names followed by '*'")
    return names


def job_environment(environ: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return what jobs see of the agent's environment, with the names and patterns of the operator.

    Settings of this system are never among it, except the one that the function `http` reads.
    """
    exact = {HTTP_ALLOW, *PASSED, *names}
    beginnings = tuple(name.removesuffix("*") for name in (*PASSED, *names) if name.endswith("*"))
    return {
        name: value
        for name, value in environ.items()
        if name in exact or (name.startswith(beginnings) and not name.startswith(PREFIX))
    }


def kept_from_jobs(environ: Iterable[str], passed: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that jobs do not see, sorted; without the settings of this system."""
    return sorted(name for name in environ if name not in passed and not name.startswith(PREFIX))
