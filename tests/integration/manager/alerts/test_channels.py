"""Messages arrive at a webhook and at a topic of SNS, or it is said why they do not."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sns import sns_backends

from manager.alerts.channels import SnsTopic, Webhook
from manager.alerts.message import Message
from manager.callbacks.signature import parse_secrets
from tests.acceptance.manager.callback_receiver import SECRET, Receiver, Reply

MESSAGE = Message("id-1", "test: a subject", "test: began: a text", b'{"type":"alerts"}')


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one


async def test_a_webhook_gets_a_signed_message(receiver: Receiver) -> None:
    webhook = Webhook(f"http://127.0.0.1:{receiver.port}/hook?key=secret", parse_secrets([SECRET]))
    assert await webhook.try_to_send(MESSAGE) == ""
    receiver.answer = lambda _: Reply(500)
    assert await webhook.try_to_send(MESSAGE) == "status 500"
    await webhook.close()
    first, _ = receiver.requests
    assert (first.path, first.id) == ("/hook?key=secret", "id-1")
    assert first.verified() == {"type": "alerts"}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/hook-secret", "ConnectError"),
        ("http://169.254.169.254/latest", "'169.254.169.254' is a link-local or cloud metadata address"),
    ],
)
async def test_it_is_said_why_a_message_does_not_arrive_without_the_url(url: str, reason: str) -> None:
    webhook = Webhook(url, ())
    answer = await webhook.try_to_send(MESSAGE)
    assert answer.startswith(reason)
    assert "secret" not in answer
    await webhook.close()


async def test_a_topic_of_sns_gets_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        arn = boto3.client("sns", region_name="eu-central-1").create_topic(Name="alerts")["TopicArn"]
        assert await SnsTopic(arn).try_to_send(MESSAGE) == ""
        ((_, text, subject, *_),) = sns_backends[DEFAULT_ACCOUNT_ID]["eu-central-1"].topics[arn].sent_notifications
        assert (text, subject) == (MESSAGE.text, MESSAGE.subject)
        assert "NotFound" in await SnsTopic(f"{arn}-gone").try_to_send(MESSAGE)
