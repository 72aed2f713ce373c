"""The fault harness' checker: it must catch what it is there for, and nothing else."""

from __future__ import annotations

import pytest

from tests.acceptance.faults.delivery_ledger import Delivery, DeliveryLedger, check_deliveries


def _plain(value: str = "va", begun: float = 10.0, ended: float = 11.0) -> Delivery:
    return Delivery(value, begun, ended, leased=False)


def _leased(value: str = "va", begun: float = 10.0, ended: float = 11.0, confirmed: float | None = None) -> Delivery:
    return Delivery(value, begun, ended, leased=True, acked_at=confirmed)


def _ledger(*hand_outs: Delivery) -> DeliveryLedger:
    """One acknowledged job `a` of value `va`, handed out as told."""
    ledger = DeliveryLedger()
    ledger.acknowledge("a", "va", 5.0)
    for hand_out in hand_outs:
        ledger.deliver("a", hand_out)
    return ledger


def test_a_job_handed_out_once_with_its_value_is_well() -> None:
    assert check_deliveries(_ledger(_plain()), {}).is_clean
    assert check_deliveries(_ledger(_leased(confirmed=12.0)), {}).is_clean


def test_a_job_that_nobody_was_given_is_lost() -> None:
    verdict = check_deliveries(_ledger(), {})
    assert verdict.lost == ("a",)
    assert not verdict.is_clean


def test_a_job_that_is_found_by_its_id_is_not_lost() -> None:
    verdict = check_deliveries(_ledger(), {"a": "va"})
    assert (verdict.only_by_id, verdict.is_clean) == (("a",), True)


def test_a_wrong_value_is_caught_wherever_it_stands() -> None:
    assert check_deliveries(_ledger(), {"a": "other"}).wrong == ("a",)
    assert check_deliveries(_ledger(_plain("other")), {}).wrong == ("a",)
    assert check_deliveries(_ledger(_leased(), _plain("other", 20, 21)), {}).wrong == ("a",)


def test_a_job_that_nobody_sent_is_wrong() -> None:
    ledger = _ledger(_plain())
    ledger.deliver("b", _plain())
    assert check_deliveries(ledger, {}).wrong == ("b",)


def test_a_job_that_was_sent_but_never_acknowledged_may_run() -> None:
    ledger = _ledger(_plain())
    ledger.unacknowledged["b"] = "vb"
    ledger.values_without_id.add("vc")
    ledger.deliver("b", _plain("vb"))
    ledger.deliver("c", _plain("vc"))
    assert check_deliveries(ledger, {}).is_clean
    ledger.deliver("b", _plain("vc", 20, 21))
    assert check_deliveries(ledger, {}).wrong == ("b",)


@pytest.mark.parametrize(
    ("hand_outs", "doubled"),
    [
        ((_plain(), _plain(begun=12, ended=13)), True),
        ((_plain(), _plain()), True),  # at the same time
        ((_plain(), _leased(begun=12, ended=13)), True),
        ((_leased(confirmed=12.0), _plain(begun=13, ended=14)), True),
        ((_leased(confirmed=12.0), _leased(begun=13, ended=14)), True),
        ((_leased(), _leased(begun=30, ended=31, confirmed=32.0)), False),  # the first lease ran out
        ((_leased(), _plain(begun=30, ended=31)), False),
        ((_leased(confirmed=40.0), _leased(begun=30, ended=31)), False),  # confirmed too late, and nobody knew
    ],
)
def test_what_was_handed_out_for_good_is_not_handed_out_again(hand_outs: tuple[Delivery, ...], doubled: bool) -> None:
    assert check_deliveries(_ledger(*hand_outs), {}).doubled == (("a",) if doubled else ())


def test_a_power_cut_excuses_what_was_acknowledged_in_its_last_moments_and_no_more() -> None:
    ledger = _ledger()
    ledger.acknowledge("b", "vb", 9.0)
    ledger.acknowledge("c", "vc", 20.0)
    verdict = check_deliveries(ledger, {}, excused=[(1.0, 2.0), (8.0, 10.0)])
    assert (verdict.lost, verdict.missing) == (("a", "c"), ("b",))


def test_a_power_cut_excuses_what_was_handed_out_in_its_last_moments_and_no_more() -> None:
    ledger = _ledger(_plain(), _plain(begun=20, ended=21))
    verdict = check_deliveries(ledger, {}, excused=[(10.5, 12.0)])
    assert (verdict.doubled, verdict.missing) == ((), ("a",))
    assert check_deliveries(ledger, {}, excused=[(11.5, 13.0)]).doubled == ("a",)
    assert check_deliveries(ledger, {}, excused=[(8.0, 10.5)]).doubled == ("a",)


def test_an_acknowledged_job_is_no_longer_an_unknown_one() -> None:
    ledger = DeliveryLedger()
    ledger.unacknowledged["a"] = "va"
    ledger.acknowledge("a", "va", 5.0)
    assert check_deliveries(ledger, {}).lost == ("a",)
    assert ledger.unacknowledged == {}
