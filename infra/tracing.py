"""What traces need on hosts: the packages of the extra `otel`, and a way to the collector (docs/tracing.md)."""

from collections.abc import Mapping
from urllib.parse import urlsplit

PREFIX, OTEL_PREFIX = "WORKMANAGER_", "OTEL_"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""The first one that is set counts."""
HTTPS_PORT, HTTP_PORT = 443, 80
"""Hosts reach the first one in any case."""


def variable_of(setting: str) -> str:
    """Return the environment variable of a setting: OpenTelemetry's keep their names."""
    return setting if setting.startswith(OTEL_PREFIX) else f"{PREFIX}{setting}"


def setting_of(variable: str) -> str:
    """Return the name of the setting that an environment variable holds."""
    return variable.removeprefix(PREFIX)


def are_on(settings: Mapping[str, str]) -> bool:
    """Whether managers and workers with these settings send traces."""
    return settings.get("TRACES", "off") not in ("", "off")


def collector_port(settings: Mapping[str, str]) -> int:
    """Return the port of the collector; that of HTTPS if there are no traces.

    Raises:
        ValueError: there are traces, and no URL of a collector.
    """
    if not are_on(settings):
        return HTTPS_PORT
    name, url = next(((name, settings[name]) for name in ENDPOINTS if settings.get(name)), (ENDPOINTS[1], ""))
    try:
        parts = urlsplit(url)
        port = parts.port or (HTTPS_PORT if parts.scheme == "https" else HTTP_PORT)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        reason = f"TRACES={settings['TRACES']} needs {name}=http[s]://HOST:PORT of a collector"
        raise ValueError(f"{reason}; give --set {name}=…")
    return port
