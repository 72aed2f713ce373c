"""What commands print."""

import pytest

from workmanager.commands.output import print_fields, print_table


def test_the_name_of_a_queue_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["queue"], [["\x1b[31mred\x00"]])
    print_fields({"queue": "\x1b[31mred"})
    assert capsys.readouterr().out == "queue\n\\x1b[31mred\\x00\nqueue: \\x1b[31mred\n"
