"""Signatures, checked by another implementation of Standard Webhooks."""

from base64 import b64encode
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from manager.callbacks.signature import parse_secrets, sign


def secret(byte: int, length: int = 32) -> str:
    return "whsec_" + b64encode(bytes([byte]) * length).decode()


def sent(secrets: list[str], body: bytes) -> dict[str, str]:
    now = int(datetime.now(UTC).timestamp())
    return {
        "webhook-id": "job-7_1764316000123_finished",
        "webhook-timestamp": str(now),
        "webhook-signature": sign(parse_secrets(secrets), "job-7_1764316000123_finished", now, body),
    }


def test_a_receiver_accepts_the_new_secret_and_the_old_one_while_they_are_rolled() -> None:
    body = '{"type":"job.finished","text":"é"}'.encode()
    headers = sent([secret(1), secret(2)], body)
    for known in (secret(1), secret(2)):
        assert Webhook(known).verify(body, headers)["type"] == "job.finished"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret(3)).verify(body, headers)


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "body"])
def test_a_receiver_refuses_what_was_changed(changed: str) -> None:
    body = b'{"type":"job.finished"}'
    headers = sent([secret(1)], body)
    if changed == "body":
        body = b'{"type":"job.failed"}'
    elif changed == "webhook-id":
        headers["webhook-id"] = "job-8_1764316000123_finished"
    else:
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) - 1)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret(1)).verify(body, headers)


@pytest.mark.parametrize(
    "wrong",
    [secret(1).removeprefix("whsec_"), "whsec_", "whsec_!!!", secret(1, 23), secret(1, 65), "whsk_" + secret(1)[6:]],
)
def test_what_is_no_secret_is_refused_without_its_text(wrong: str) -> None:
    with pytest.raises(ValueError, match="secret 2 must be whsec_ and 24 to 64 bytes in base64") as caught:
        parse_secrets([secret(1), wrong])
    assert wrong == "whsec_" or wrong not in str(caught.value)
