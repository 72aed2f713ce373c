"""Values as RQ reads them."""

import zlib
from base64 import b64decode

from rq.results import Result

from jobqueue.lifecycle.finish import encode_traceback
from jobqueue.model import Status


def test_a_trace_is_packed_as_rq_reads_it() -> None:
    packed = encode_traceback("Traceback\nValueError: ü")
    assert zlib.decompress(b64decode(packed)).decode() == "Traceback\nValueError: ü"
    payload = {"type": "2", "exc_string": packed.decode()}
    result = Result.restore("a", "1-0", {k.encode(): v.encode() for k, v in payload.items()}, connection=None)  # type: ignore[arg-type]
    assert result.exc_string == "Traceback\nValueError: ü"


def test_four_statuses_are_ends() -> None:
    ended = {status.value for status in Status if status.ended}
    assert ended == {"finished", "failed", "stopped", "canceled"}
