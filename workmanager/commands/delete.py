"""`workmanager delete`: delete jobs and everything that is stored about them."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from workmanager.commands.arguments import CommandParser, client_parser, open_client
from workmanager.commands.confirm import add_confirmation, confirm
from workmanager.commands.ids import add_ids, change_each, read_ids
from workmanager.commands.output import print_error, print_one
from workmanager.errors import ClientError

if TYPE_CHECKING:
    from workmanager.client import Client


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    ids = read_ids(options.id)
    with open_client(options) as client:
        if options.dry_run:
            missing = [each for each in ids if not _exists(client, each)]
            for each in missing:
                print_error(f"workmanager: there is no job {each}")
            print_one(options, {"would_delete": len(ids) - len(missing)})
            return 0
        confirm(options, f"delete {len(ids)} jobs" if len(ids) != 1 else f"delete job {ids[0]}")

        def delete(job_id: str) -> Mapping[str, Any]:
            client.delete(job_id)
            return {"id": job_id, "deleted": True}

        return change_each(options, ids, delete, "delete")


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("delete", __doc__)
    add_ids(parser)
    add_confirmation(parser, dry_run="only count the jobs that there are")
    return parser


def _exists(client: "Client", job_id: str) -> bool:
    try:
        client.job(job_id)
    except ClientError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return False
    return True
