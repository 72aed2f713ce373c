"""The stored form of intents and instances, which managers of neighbouring versions read."""

import json
from dataclasses import fields

from scaler.fleets.instances import Instance, Intent, LaunchRequest

INSTANCE = Instance(
    "i-1",
    launched_at=1.0,
    token="t",
    kind="m7i.large",
    subnet="s",
    zone="z",
    market="spot",
    version=2,
    arrived_at=3.0,
    lost_at=4.0,
    undescribed_at=5.0,
    terminating_at=6.0,
    fenced_at=7.0,
    drained_at=8.0,
    reason="idle",
    replacement_token="u",
    process="p",
)
"""Every field differs from its default."""


def test_an_instance_is_restored_from_its_stored_form() -> None:
    assert all(getattr(INSTANCE, each.name) != each.default for each in fields(Instance))
    assert Instance.from_json("i-1", INSTANCE.to_json()) == INSTANCE


def test_the_stored_names_of_an_instance_belong_to_the_record_format() -> None:
    times = {"launched_at", "arrived_at", "lost_at", "missed_at", "closing_at", "cut_off_at", "empty_at"}
    others = {"token", "kind", "subnet", "zone", "market", "version", "reason", "replaced", "process"}
    assert json.loads(INSTANCE.to_json()).keys() == times | others


def test_fields_of_a_later_version_are_ignored() -> None:
    stored = json.dumps({"launched_at": 1.0, "zone": "z", "added_later": True})
    assert Instance.from_json("i-1", stored) == Instance("i-1", launched_at=1.0, zone="z")


def test_the_stored_names_of_an_intent_belong_to_the_record_format() -> None:
    intent = Intent("t", 1.0, 2, LaunchRequest(3, "pool", {"InstanceType": "m7i.large"}))
    assert json.loads(intent.to_json()).keys() == {"at", "epoch", "count", "offering", "arguments"}
    assert Intent.from_json("t", intent.to_json()) == intent
