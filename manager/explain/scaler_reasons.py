"""What a decision of the scaler means, in plain words, beside the line with which it can be checked. Pure."""

import re
from functools import lru_cache

from scaler.decide.actions import HELD_BACK

_UNDER_WAY = (
    (r"^PAUSED", "The scaler is paused: it launches and drains nothing."),
    (rf"{HELD_BACK} to (\d+)[^:]*: ([^;]*[^;.])", r"Launches are held back to \1, because one has failed: \2."),
    (r"LAUNCH (\d+): (\d+) needed workers are being reclaimed", r"\2 instances are about to be taken away: replaced."),
    (r"UPDATE: drain (\d+), replace (\d+) of (\d+)", r"\3 workers are of an earlier version: \2 replaced, \1 drained."),
    (r"^KEEP (\d+), because a job has come", r"\1 of them stay: a job has come that they could run."),
)
"""What changes or limits a decision, and stands before it."""
_BATCH = r"a batch of (\d+ jobs?) comes every (\d+)s, next in (\d+)s(?: \(the last did not come\))?"
_BATCH_WORDS = r"A batch of \1 comes every \2 s, the next one in \3 s"
_DECIDED = (
    (r"(LAUNCH|KEEP) \d+: the minimum is (\d+)", r"No fewer than \2 are kept, whatever waits."),
    (
        r"LAUNCH \d+: wait (\d+) -> (\d+) job-seconds",
        r"The waiting jobs would wait \1 s in all without more workers, and \2 s with them: that is worth their price.",
    ),
    (
        r"LAUNCH \d+: waited in vain for a busy slot: w \* (\d+)s",
        r"Long jobs have waited for a busy worker for \1 s, and none became free: each gets a worker of its own.",
    ),
    (
        rf"LAUNCH \d+: {_BATCH}, and a new worker takes (\d+)s",
        rf"{_BATCH_WORDS}, and a new worker takes \4 s: they are launched to be there in time.",
    ),
    (rf"{_BATCH}; idling until then <= launch", rf"{_BATCH_WORDS}: to keep workers for it is cheaper than new ones."),
    (rf"{_BATCH}; idling until then > launch", rf"{_BATCH_WORDS}: new workers for it are cheaper than idle ones."),
    (rf"{_BATCH}; (\d+) workers cost least", rf"{_BATCH_WORDS}: \4 workers are enough for it."),
    (r"LAUNCH \d+: worker \d+ would recently", "Recent demand has shown that more workers save more than they cost."),
    (r"no launch saves its price", "Jobs wait too briefly: one more worker would cost more than the waiting."),
    (
        r"a slot can become free within (\d+)s",
        r"A worker will probably be free within \1 s: waiting for that is cheaper than another worker.",
    ),
    (r"the maximum of (\d+) is reached", r"More workers would help, but there may be no more than \1."),
    (r"some numbers are stale", "Some numbers could not be read: until they are, no worker is drained."),
    (r"there is a free slot for each queued job", "A free worker takes each job that waits."),
    (
        r"there are no workers, and no job waits",
        "No job waits that workers of the scaler could run, so there are none.",
    ),
    (r"KEEP \d+: (\d+) above the maximum of (\d+)", r"\1 more than the \2 allowed: they go once they have booted."),
    (r"DRAIN \d+: (\d+) above the maximum of (\d+)", r"\1 more than the \2 allowed."),
    (r"DRAIN \d+: level \d+ unused for (\d+)s", r"Not needed for \1 s: keeping them costs more than launching anew."),
    (
        r"KEEP \d+: level \d+ unused for (\d+)s.* = launch (\d+)s",
        r"The last of them was needed \1 s ago, and a new one costs \2 s before it works: too early to drain it.",
    ),
)


@lru_cache(maxsize=1000)
def in_plain_words(reason: str, *, tells_breaker: bool = True) -> str:
    """Return what a decision's reason means; '' for a form that is not known here.

    Args:
        tells_breaker: say that launches are held back.
    """
    forms = [form for form in _UNDER_WAY if tells_breaker or HELD_BACK not in form[0]]
    said = [sentence for form in forms if (sentence := _say(form, reason))]
    if not reason.startswith("PAUSED"):
        said += [sentence for form in _DECIDED if (sentence := _say(form, reason))][:1]
    return " ".join(said)


def _say(form: tuple[str, str], reason: str) -> str:
    pattern, sentence = form
    match = re.search(pattern, reason)
    return match.expand(sentence) if match else ""
