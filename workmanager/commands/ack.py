"""`workmanager ack`: acknowledge results that were pulled with a lease, so that they are not delivered again."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from workmanager.commands.arguments import CommandParser, client_parser, open_client
from workmanager.commands.ids import add_ids, read_ids
from workmanager.errors import ClientError, WorkManagerError

if TYPE_CHECKING:
    from workmanager.client import Client

MAX_SHOWN_IDS = 10


def main(arguments: Sequence[str]) -> int:
    """Fail if a result was not waiting for it: the others are acknowledged all the same."""
    options = make_parser().parse_args(arguments)
    ids = read_ids(options.id)
    with open_client(options) as client:
        missing = len(ids) - client.ack(ids)
        if missing > 0:
            raise WorkManagerError(_describe(missing, ids, [id_ for id_ in ids if not _exists(client, id_)]))
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("ack", __doc__)
    add_ids(parser)
    return parser


def _describe(missing: int, ids: Sequence[str], unknown: Sequence[str]) -> str:
    message = f"{missing} of {len(ids)} results did not wait for an acknowledgement"
    if unknown:
        more = f" and {len(unknown) - MAX_SHOWN_IDS} more" if len(unknown) > MAX_SHOWN_IDS else ""
        message += f"; there is no job {', '.join(unknown[:MAX_SHOWN_IDS])}{more}"
    if missing > len(unknown):
        message += f"; {missing - len(unknown)} acknowledged before, or not pulled with a lease"
    return message


def _exists(client: "Client", job_id: str) -> bool:
    try:
        client.job(job_id)
    except ClientError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return False
        raise
    return True
