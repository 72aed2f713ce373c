"""The spans of a job: that of its submission, which its record names, and one for each run."""

from hashlib import blake2b

from jobqueue.stored_values import sent_name
from processes.tracing.context import TraceContext


def run_context(job_id: str, token: str, submission: TraceContext | None, *, joins: bool) -> TraceContext:
    """Return where the span of a run stands, computed from the lease, so that nobody has to write it.

    Args:
        token: of the lease, which is another one for each run.
        submission: the span of the submission; None if there is none.
        joins: whether the run is part of the submission's trace, as far as there is one.
    """
    digest = blake2b(sent_name(f"{job_id}:{token}"), digest_size=24).hexdigest()
    if joins and submission is not None:
        return TraceContext(submission.trace_id, digest[32:], submission.sampled, submission.state)
    return TraceContext(digest[:32], digest[32:], sampled=True)
