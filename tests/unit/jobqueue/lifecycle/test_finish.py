"""Tracebacks as RQ stores them."""

import zlib
from base64 import b64decode

from rq.results import Result

from jobqueue.lifecycle.finish import encode_traceback

TRACEBACK = "Traceback\nValueError: ü"


def test_a_traceback_is_encoded_as_rq_decodes_it() -> None:
    encoded = encode_traceback(TRACEBACK)
    assert zlib.decompress(b64decode(encoded)).decode() == TRACEBACK
    payload = {b"type": b"2", b"exc_string": encoded}
    result = Result.restore("a", "1-0", payload, connection=None)  # type: ignore[arg-type]  # it makes no connection
    assert result.exc_string == TRACEBACK
