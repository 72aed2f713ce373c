"""Settings in a YAML file, `name: value`, which `--config` or `WORKMANAGER_CONFIG` names. The environment wins.

The names are those of the variables, without `WORKMANAGER_` and in lower case. One file can serve all programs, so each
takes what is for it; but a name that none of them knows is refused.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PREFIX = "WORKMANAGER_"
CONFIG = "WORKMANAGER_CONFIG"
"""The variable that names the file."""
_NAMES = """
access_log alert_kinds alert_topic alert_url allow_pickle allowed_hosts api_key api_keys backup_marker
boot_timeout_seconds budget_per_hour callback_allow callback_retry_intervals callback_secrets callback_timeout_seconds
cluster_hosts cluster_name cluster_url drain_grace_seconds executor_max_growth_files executor_max_growth_mib
executor_max_jobs executor_user functions hide_arguments http_allow instance_types isolation job_environment
job_limits job_log_level keep_output launch_template lease_seconds log_format log_redact log_to
manager_timeout_seconds max_connections max_payload_bytes max_workers metrics_listen min_workers min_workers_schedule
nice oidc_audience oidc_client_id oidc_client_secret oidc_issuer oidc_queues_claim oidc_request_scopes
oidc_scope_claim on_demand_base on_demand_max price_per_hour processes queues
redis_url reload_functions root_path subnets traces trusted_proxies url use_spot wait_target_seconds wait_weight
worker_redis_url worker_slots
"""
NAMES = frozenset(_NAMES.split())
"""Every setting of every program. A test compares them with the programs'."""
SECRETS = frozenset(
    {
        *("alert_url", "api_key", "api_keys", "callback_secrets", "cluster_url", "oidc_client_secret", "redis_url"),
        "worker_redis_url",
    }
)
"""Those that can be given as a file, or as a secret of AWS, by their name with `_file` or `_secret` behind it."""
SUFFIXES = ("_file", "_secret")
OF_CLIENTS = frozenset({"api_key_command", "context", "contexts"})
"""What only the file has, for client commands."""
_SERVICE_HOST = "_SERVICE_HOST"
"""How the name of a variable ends that Kubernetes gives the pods for each service."""


_KNOWN = NAMES | {f"{name}{suffix}" for name in SECRETS for suffix in SUFFIXES} | OF_CLIENTS


class SettingsFileError(Exception):
    """The file cannot be used; the message is one line that names it, and what is wrong in it."""


def read_settings_file(path: str) -> Mapping[str, Any]:
    """Return the entries of a file.

    Raises:
        SettingsFileError: it cannot be read, is not valid, or has a name that no program knows.
    """
    from processes.yaml_text import parse_yaml  # Here, because most programs run without a file.

    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
        document = parse_yaml(text)
    except OSError as error:
        raise SettingsFileError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SettingsFileError(f"{path} is not valid YAML: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SettingsFileError(f"{path} has no settings, one `name: value` a line")
    for name in document:
        if name not in _KNOWN:
            raise SettingsFileError(f"{path}: there is no setting {name!r}{_meant(str(name), _KNOWN)}")
    return document


def unknown_settings(environ: Mapping[str, str]) -> list[str]:
    """Return the names of variables that look like settings, and that no program knows.

    Those of Kubernetes services are not among them: a service `workmanager` gives each pod beside it a dozen.
    """
    known = {CONFIG, *(PREFIX + name.upper() for name in _KNOWN)}
    services = [name.removesuffix(_SERVICE_HOST) for name in environ if name.endswith(_SERVICE_HOST)]
    linked = tuple(f"{service}_{part}" for service in services for part in ("SERVICE_", "PORT"))
    return sorted(
        name for name in environ if name.startswith(PREFIX) and name not in known and not name.startswith(linked)
    )


def with_settings_file(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment with what the file that `WORKMANAGER_CONFIG` names has besides.

    Raises:
        SettingsFileError: the file cannot be used.
    """
    path = environ.get(CONFIG)
    if not path:
        return environ
    merged = dict(environ)
    for name, value in read_settings_file(path).items():
        variable = PREFIX + name.upper()
        plain = variable.removesuffix("_FILE").removesuffix("_SECRET")
        if name not in OF_CLIENTS and not any(environ.get(plain + suffix) for suffix in ("", "_FILE", "_SECRET")):
            merged[variable] = setting_text(path, name, value)
    return merged


def setting_text(path: str, name: str, value: Any) -> str:
    """Return a value as a variable would have it: a list is separated by commas.

    Raises:
        SettingsFileError: it is a mapping, or a list of other than simple values.
    """
    if isinstance(value, list) and not any(isinstance(each, list) for each in value):
        return ",".join(setting_text(path, name, each) for each in value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise SettingsFileError(f"{path}: {name} is neither a simple value nor a list of them")


def _meant(name: str, known: frozenset[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name.lower().removeprefix(PREFIX.lower()), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
