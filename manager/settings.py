"""The manager's settings, read from environment variables."""

import os
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from jobqueue.settings import CommaSeparated, QueueSettings, split_at_commas
from manager.callbacks.signature import parse_secrets
from manager.callbacks.verdict import RETRY_INTERVALS
from manager.min_workers_schedule import parse_schedule
from outgoing.allow_list import AllowList
from outgoing.guard import Guard
from scaler.fleets.ec2.capacity_pools import Ec2Plan
from scaler.policy import ScheduledMinimum

MEBIBYTE = 1024 * 1024
MIN_KEY_CHARACTERS = 16
"""Of the keys that an operator chooses. Shorter ones can be guessed."""


def _checked_allow_list(text: str) -> str:
    AllowList.parse(text)
    return text


def _checked_secrets(texts: tuple[str, ...]) -> tuple[str, ...]:
    parse_secrets(texts)
    return texts


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None):
        raise ValueError("it must begin with http:// or https:// and a host, without a user")
    return url


def _with_openid(scopes: str) -> str:
    if "openid" not in scopes.split():
        raise ValueError("must have openid among the scopes: without it, the issuer does not say who signs in")
    return scopes


AlertKind = Literal[
    "dead_letters",
    "no_leader",
    "wait_target_missed",
    "breaker_open",
    "shard_away",
    "backup_failed",
    "budget_reached",
]
RetryInterval = Annotated[int, Field(ge=1, le=2 * 86_400)]


class ManagerSettings(QueueSettings):
    """The value of `WORKMANAGER_<NAME>` for each field. The README lists them."""

    model_config = ConfigDict(allow_inf_nan=False)

    api_keys: CommaSeparated = Field(default=(), repr=False)
    oidc_issuer: str = ""
    """URL of the issuer whose tokens are taken beside API keys, see `manager.jwt.issuer`; '' for none."""
    oidc_audience: str = ""
    oidc_scope_claim: str = Field(default="scope", min_length=1)
    oidc_queues_claim: str = ""
    oidc_client_id: str = ""
    """What managers are called at the issuer, so that people can sign in there; '' if they cannot."""
    oidc_client_secret: str = Field(default="", repr=False)
    oidc_request_scopes: Annotated[str, AfterValidator(_with_openid)] = "openid"
    """What the issuer is asked for when somebody signs in."""
    allowed_hosts: CommaSeparated = ()
    """Hosts that clients may ask for, see `manager.http.host_check`."""
    root_path: str = Field(
        default="",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="a path such as /queue, that begins with / and does not end with it, of A-Z, a-z, 0-9, '.', '_',"
        " '~' and '-'",
    )
    """Prefix of all paths, under which a proxy makes the manager available."""
    trusted_proxies: CommaSeparated = ()
    """Networks of proxies that are believed whom they forward a request for, see `manager.http.request_origin`."""
    processes: int = Field(default=1, ge=1, le=64)
    """Processes that serve requests on the manager's port, see `manager.siblings`."""
    max_connections: int = Field(default=16_000, ge=10)
    max_payload_bytes: int = Field(default=MEBIBYTE, ge=1, le=64 * MEBIBYTE)
    """Limit of a job's binary data, before base64."""
    access_log: bool = True
    hide_arguments: CommaSeparated = ()
    """Functions, by name or pattern (`billing.*`), whose arguments `GET /jobs/{id}` does not show."""
    callback_allow: Annotated[str, AfterValidator(_checked_allow_list)] = ""
    """What callbacks may be sent to besides public addresses, see `outgoing.allow_list`."""
    callback_secrets: Annotated[CommaSeparated, AfterValidator(_checked_secrets)] = Field(default=(), repr=False)
    """They sign callbacks, the newest first, see `manager.callbacks.signature`."""
    callback_retry_intervals: Annotated[
        tuple[RetryInterval, ...], BeforeValidator(split_at_commas), Field(min_length=1, max_length=20)
    ] = RETRY_INTERVALS
    """Seconds between the attempts to deliver a callback."""
    callback_timeout_seconds: float = Field(default=30.0, ge=1.0, le=60.0)
    """How long an attempt may take."""
    alert_url: Annotated[str, AfterValidator(_checked_url)] = Field(default="", repr=False)
    """Where alerts are sent, see `manager.alerts`; '' for nowhere. It can be secret."""
    alert_topic: str = Field(
        default="",
        pattern=r"^(arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]{1,256})?$",
        description="the ARN of a topic, such as arn:aws:sns:eu-central-1:123456789012:alerts",
    )
    """ARN of the topic of Amazon SNS to which alerts are published."""
    alert_kinds: Annotated[tuple[AlertKind, ...], BeforeValidator(split_at_commas)] = ()
    """The kinds of alerts that are sent; none named: all."""
    backup_marker: str = ""
    """A file that each backup of this host touches; '' if it makes none."""
    cluster_hosts: CommaSeparated = ()
    """Hosts of the Redis Cluster that the managers administer, see `manager.cluster.slot_ranges.parse_hosts`."""
    cluster_url: str | None = Field(default=None, repr=False)
    """Like `redis_url`, with the user that administers the cluster; None if the queue's own user does."""

    worker_redis_url: str | None = Field(default=None, repr=False)
    """Like `redis_url`, for the workers that the local fleet starts; None if they have the manager's own."""

    min_workers: int = Field(default=0, ge=0)
    max_workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    worker_slots: int = Field(default=1, ge=1)
    """Jobs that one worker runs at the same time; usually the cores of an instance."""
    wait_weight: float = Field(default=1.0, gt=0)
    wait_target_seconds: float | None = Field(default=None, gt=0)
    budget_per_hour: float | None = Field(default=None, ge=0)
    price_per_hour: float = Field(default=0.0, ge=0)
    min_workers_schedule: Annotated[tuple[ScheduledMinimum, ...], BeforeValidator(parse_schedule)] = ()

    cluster_name: str = Field(
        default="workmanager",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="a name of up to 64 characters: A-Z, a-z, 0-9, '.', '_' and '-'",
    )
    launch_template: str = ""
    subnets: CommaSeparated = ()
    instance_types: CommaSeparated = ()
    use_spot: bool = True
    on_demand_base: int = Field(default=0, ge=0)
    on_demand_max: int | None = Field(default=None, ge=0)
    boot_timeout_seconds: float = Field(default=300.0, gt=0)

    def ec2_plan(self) -> Ec2Plan:
        """Return the EC2 fleet's launch configuration."""
        return Ec2Plan(
            cluster=self.cluster_name,
            launch_template=self.launch_template,
            subnets=self.subnets,
            types=self.instance_types,
            spot=self.use_spot,
            on_demand_base=self.on_demand_base,
            on_demand_max=self.on_demand_max,
            slots=self.worker_slots,
            boot_timeout_seconds=self.boot_timeout_seconds,
        )


def callback_guard(settings: ManagerSettings) -> Guard:
    """Return what judges the addresses of callbacks."""
    return Guard.from_setting("WORKMANAGER_CALLBACK_ALLOW", settings.callback_allow)
