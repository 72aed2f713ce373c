"""What the scaler does about a waiting job, in a sentence and in numbers. Pure."""

from collections.abc import Iterator
from typing import Any

from manager.explain.facts import ScalerFacts
from manager.explain.scaler_reasons import in_plain_words
from manager.explain.wording import as_sentence
from processes.wording import counted


def tell_scaler(scaler: ScalerFacts | None) -> tuple[str, dict[str, Any]]:
    """Return both; they are empty if nothing is known of the scaler."""
    if scaler is None:
        return "", {}
    numbers = {
        "scaler_leader": scaler.leader,
        "scaler_decision": scaler.reason or None,
        "scaler_paused": scaler.is_paused,
        "instances": scaler.instances,
        "booting": len(scaler.boot_etas),
        "first_boot_seconds": round(min(scaler.boot_etas), 1) if scaler.boot_etas else None,
        "pending_launches": scaler.pending_launches,
        "max_workers": scaler.max_workers,
        "budget_per_hour": scaler.budget_per_hour,
        "allowed_workers": scaler.allowed_workers,
        "launches_held_back": scaler.held_back or None,
    }
    if scaler.leader is None:
        return "No manager launches workers.", numbers
    parts = []
    if scaler.boot_etas:
        eta = min(scaler.boot_etas)
        ready = f"is ready in about {eta:.0f} s" if eta else "takes longer than others did"
        are = "is" if len(scaler.boot_etas) == 1 else "are"
        parts.append(f"{counted(len(scaler.boot_etas), 'instance')} {are} booting, the first one {ready}")
    if scaler.is_paused:
        parts.append("the scaler is paused")
    if scaler.held_back:
        parts.append(_held_back(scaler))
    plain_words = in_plain_words(scaler.reason, tells_breaker=False)
    if scaler.instances >= scaler.allowed_workers:
        parts += _limits(scaler, plain_words)
    if scaler.reason and not plain_words:
        parts.append(f"the scaler's last decision: {scaler.reason}")
    if not parts and not plain_words:
        parts.append("the scaler has decided nothing yet")
    return " ".join(filter(None, (as_sentence("; ".join(parts)) if parts else "", plain_words))), numbers


def _held_back(scaler: ScalerFacts) -> str:
    seconds = f"{scaler.held_back_seconds:.0f} s" if scaler.held_back_seconds else ""
    if scaler.probes:
        next_one = f", the next one in {seconds}" if seconds and not scaler.boot_etas else ""
        return f"launches are held back ({scaler.held_back}): one instance at a time is tried{next_one}"
    return f"launches are held back{seconds and f' for {seconds} more'} ({scaler.held_back})"


def _limits(scaler: ScalerFacts, plain_words: str) -> Iterator[str]:
    """Yield which limit is reached, unless the plain words say so."""
    allowed = scaler.allowed_workers
    if allowed < scaler.max_workers and scaler.budget_per_hour is not None:
        yield f"the budget of {scaler.budget_per_hour:g} per hour allows {counted(allowed, 'worker')}"
    elif f"no more than {allowed}." not in plain_words:
        yield f"the limit of {counted(allowed, 'worker')} is reached"
