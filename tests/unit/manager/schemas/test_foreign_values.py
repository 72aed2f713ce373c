"""What other programs have written into records spoils no answer: those records alone are shown in part."""

import json

import orjson

from jobqueue.callbacks.entry import entry_of
from jobqueue.inspection.callback_listing import CallbackStatus, CallbackView
from jobqueue.inspection.changes import Change
from manager.callbacks.message import message
from manager.events.subscriptions import status_event
from manager.schemas.callbacks import details_document


def test_attempts_that_no_encoder_can_write_are_left_out_of_a_callback() -> None:
    good = {"at": "2026-01-01T00:00:00Z", "milliseconds": 5, "status": 200, "answer": "ok"}
    lines = [json.dumps(good), json.dumps({**good, "answer": "\ud800"}), "no JSON"]
    entry = entry_of("a_1_finished", [b"log", "\n".join(lines).encode()])
    shown = orjson.loads(orjson.dumps(details_document(CallbackView(entry, CallbackStatus.DEAD, None))))
    assert [attempt["answer"] for attempt in shown["attempts"]] == ["ok"]


def test_a_callback_of_a_job_whose_id_is_not_utf_8_is_shown_and_sent() -> None:
    entry = entry_of("a\udcff_1_finished", [b"job", b"a\xff"])
    shown = details_document(CallbackView(entry, CallbackStatus.WAITING, None))
    assert (shown["id"], shown["job_id"]) == ("a\ufffd_1_finished", "a\ufffd")
    assert orjson.loads(message(entry))["data"]["id"] == "a\ufffd"


def test_a_change_from_the_end_of_time_is_an_event() -> None:
    assert b"9999-12-31" in status_event(Change(f"{2**63}-1", "a", "queued", "default"), "1-1")
