"""An executor of `concurrent.futures` whose calls are jobs.

    with Client(["http://127.0.0.1:5000", "http://127.0.0.1:5001"]) as client, JobExecutor(client) as executor:
        for value in executor.map("sleep", [0.1, 0.2]):
            print(value)

Whatever works with futures works with jobs then: `concurrent.futures.wait`, `loop.run_in_executor` of asyncio, and
libraries that take an executor.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, Unpack

from workmanager.client import FINAL_STATUSES, Client, ClientError, Conflict, JobFailed, Unavailable
from workmanager.functions import call_fields, function_name
from workmanager.http.submission import JobOptions

MAX_WATCHED = 1_000
"""How many jobs one request waits for. Further ones are watched as these end."""
SHORTEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.05, 1.0
"""How long a request waits for jobs to end; a job that is submitted meanwhile is not among them."""
OUTAGE_SECONDS = 1.0


class JobFuture(Future[Any]):
    """The outcome of a job: its result, or `JobFailed` if it did not finish.

    Attributes:
        job_id: the job's id.
    """

    def __init__(self, client: Client, job_id: str) -> None:
        super().__init__()
        self.job_id = job_id
        self._client = client
        self._is_cancel_requested = False
        self._ending = threading.RLock()  # its callbacks may cancel

    def cancel(self) -> bool:
        """Cancel the job if it waits, or kill it if it runs; return False if it has ended.

        Raises:
            ClientError: no manager could do it.
        """
        if self.done():
            return self.cancelled()
        self._is_cancel_requested = True
        try:
            self._client.cancel(self.job_id)
        except Conflict:
            return False
        return self._end_canceled()

    def _end_canceled(self) -> bool:
        with self._ending:
            if not self.done() and super().cancel():
                self.set_running_or_notify_cancel()
            return self.cancelled()

    def _end(self, error: Exception | None, result: Any = None) -> None:
        if isinstance(error, JobFailed) and self._was_canceled(error):
            self._end_canceled()
            return
        with self._ending:
            if self.done():
                return
            if error is not None:
                self.set_exception(error)
            else:
                self.set_result(result)

    def _was_canceled(self, error: JobFailed) -> bool:
        """Return whether somebody canceled the job, or `cancel` killed it; not whether a parent of it failed."""
        killed = self._is_cancel_requested and error.status == "stopped"
        return killed or (error.status == "canceled" and error.reason is None)


class JobExecutor(Executor):
    """Submits a job for each call, and learns of their ends in a thread of its own. Thread-safe.

    Args:
        client: it is left open by `shutdown`.
        options: of all jobs, such as `queue`, `timeout` and `retry`. The results do not enter the feed of `pull`,
            unless `feed` is true.
    """

    def __init__(self, client: Client, **options: Unpack[JobOptions]) -> None:
        self._client = client
        self._options: dict[str, Any] = {"feed": False, **options}
        self._pending: dict[str, JobFuture] = {}
        self._changed = threading.Condition()
        self._submitted_at = 0.0
        self._is_shut_down = False
        self._watcher = threading.Thread(target=self._watch, name="workmanager-executor", daemon=True)
        self._watcher.start()

    def submit(self, fn: str | Callable[..., Any], /, *args: Any, **kwargs: Any) -> JobFuture:
        """Submit a job that calls a function with these arguments, which must be JSON values.

        Args:
            fn: a registered function's name, or the function itself, which is not run here. If it is marked binary, its
                keyword argument `data` takes bytes.

        Raises:
            ClientError: the job was refused.
            RuntimeError: after `shutdown`.
            UsageError: the function has no name under which workers can import it, or an argument is not JSON.
        """
        job = {**self._options, **call_fields(args, kwargs)}
        if self._is_shut_down:
            raise RuntimeError("the executor was shut down")
        future = JobFuture(self._client, self._client.submit(fn if isinstance(fn, str) else function_name(fn), **job))
        with self._changed:
            self._pending[future.job_id] = future
            self._submitted_at = time.monotonic()
            self._changed.notify_all()
        return future

    def map(
        self, fn: str | Callable[..., Any], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[Any]:
        """Submit a job for each item, and yield the results in their order; as `Executor.map`.

        `Client.map` needs fewer requests, and takes any number of items.
        """
        return super().map(fn, *iterables, timeout=timeout, chunksize=chunksize)  # type: ignore[arg-type]  # a name, too

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs. With `wait`, return when all have ended; with `cancel_futures`, cancel or kill them."""
        with self._changed:
            self._is_shut_down = True
            self._changed.notify_all()
            pending = [*self._pending.values()]
        if cancel_futures:
            for future in pending:
                future.cancel()
        if wait:
            self._watcher.join()

    def _watch(self) -> None:
        """Complete the futures of jobs that have ended, until the executor is shut down and all have."""
        while watched := self._next_watched():
            wait_seconds = min(max(time.monotonic() - self._submitted_at, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)
            try:
                statuses = self._client.wait_for_jobs(watched, wait_for="any", timeout_seconds=wait_seconds)
                for job_id, status in statuses.items():
                    if status is None or status in FINAL_STATUSES:
                        self._complete(watched[job_id])
            except Unavailable:
                time.sleep(OUTAGE_SECONDS)  # after the client's own attempts; the jobs are safe
            except (ClientError, RuntimeError) as error:  # such as a revoked API key, and a client that was closed
                for future in watched.values():
                    self._end(future, error)

    def _next_watched(self) -> dict[str, JobFuture]:
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._is_shut_down)
            return dict([*self._pending.items()][:MAX_WATCHED])

    def _complete(self, future: JobFuture) -> None:
        try:
            result = self._client.handle(future.job_id).result()
        except Unavailable:
            raise
        except (ClientError, JobFailed) as error:
            self._end(future, error)
        else:
            self._end(future, None, result)

    def _end(self, future: JobFuture, error: Exception | None, result: Any = None) -> None:
        with self._changed:
            self._pending.pop(future.job_id, None)
        future._end(error, result)
