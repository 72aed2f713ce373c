"""Access log: one line per request, in the format of all other log lines.

With the logging module and a write for each line, logging would cost half as much as the rest of a request. So lines
are formatted here and written in batches.

Hot path: see benchmarks/README.md#http_enqueue.
"""

import asyncio
import logging
import time
from json import dumps
from typing import TextIO

from processes.log_collector import Line, LogCollector

FLUSH_SECONDS = 0.05
"""Maximum delay before a line is written."""
MAX_BUFFERED_LINES = 512
"""This many lines are written without delay."""


class AccessLog:
    """Buffers access log lines and writes them in batches.

    Args:
        stream: usually stderr.
        as_json: whether lines are JSON.
        collector: also gets all lines.
    """

    def __init__(self, stream: TextIO, *, as_json: bool = False, collector: LogCollector | None = None) -> None:
        self._stream = stream
        self._as_json = as_json
        self._collector = collector
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._second = -1
        self._stamp = ""

    def add(
        self,
        method: str,
        path: str,
        status: int,
        seconds: float,
        now: float,
        client: str,
        request_id: str,
        key_id: str | None = None,
        job_id: str | None = None,
        trace_id: str | None = None,
    ) -> None:
        """Add the line of a request that was answered at `now` (Unix time) within `seconds`.

        Args:
            client: its address.
            key_id: public id of the API key that it was sent with.
            job_id: of the job that it has submitted.
            trace_id: of the trace that it belongs to.
        """
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        stamp = f"{self._stamp}.{int((now - second) * 1000):03d}Z"
        if self._as_json:
            job = "" if job_id is None else f', "job_id": {dumps(job_id)}'
            key = "" if key_id is None else f', "key": {dumps(key_id)}'
            trace = "" if trace_id is None else f', "trace_id": "{trace_id}"'
            line = (
                f'{{"ts": "{stamp}", "level": "info", "logger": "manager.access", "event": "request_completed",'
                f' "method": {dumps(method)}, "path": {dumps(path)}, "status": {status}, "ms": {seconds * 1000:.2f},'
                f' "client": {dumps(client)}, "request": {dumps(request_id)}{key}{job}{trace}}}\n'
            )
        else:
            job = "" if job_id is None else f" job_id={job_id}"
            key = "" if key_id is None else f" key={key_id}"
            trace = "" if trace_id is None else f" trace_id={trace_id}"
            line = (
                f"{stamp} INFO manager.access"
                f" event=request_completed method={method} path={path} status={status} ms={seconds * 1000:.2f}"
                f" client={client} request={request_id}{key}{job}{trace}\n"
            )
        self._lines.append(line)
        if len(self._lines) >= MAX_BUFFERED_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write the buffered lines."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        self._stream.write("".join(lines))
        self._stream.flush()
        if self._collector is not None:
            self._collector.add([Line(logging.INFO, line[:-1]) for line in lines])
