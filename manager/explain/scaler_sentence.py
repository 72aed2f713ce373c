"""What the scaler does about a waiting job, in a sentence and in numbers. Pure."""

from typing import Any

from manager.explain.facts import ScalerFacts
from manager.explain.scaler_reasons import in_plain_words
from manager.explain.wording import as_sentence, counted


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
        "launches_held_back": scaler.held_back or None,
    }
    if scaler.leader is None:
        return "No manager launches workers.", numbers
    parts = []
    if scaler.boot_etas:
        eta = f"in about {min(scaler.boot_etas):.0f} s" if min(scaler.boot_etas) else "any moment"
        are = "is" if len(scaler.boot_etas) == 1 else "are"
        parts.append(f"{counted(len(scaler.boot_etas), 'instance')} {are} booting, the first one is ready {eta}")
    if scaler.is_paused:
        parts.append("the scaler is paused")
    if scaler.held_back:
        more = f" for {scaler.held_back_seconds:.0f} s more" if scaler.held_back_seconds else ""
        parts.append(f"launches are held back{more} ({scaler.held_back})")
    if scaler.instances >= scaler.max_workers:
        parts.append(f"the limit of {counted(scaler.max_workers, 'worker')} is reached")
    plain_words = in_plain_words(scaler.reason)
    if scaler.reason and not plain_words:
        parts.append(f"the scaler's last decision: {scaler.reason}")
    if not parts and not plain_words:
        parts.append("the scaler has decided nothing yet")
    return " ".join(filter(None, (as_sentence("; ".join(parts)) if parts else "", plain_words))), numbers
