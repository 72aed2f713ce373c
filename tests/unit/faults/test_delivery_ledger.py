"""The fault run's checker finds lost, wrong and doubled results, and reports nothing else."""

import pytest

from tests.acceptance.faults.delivery_ledger import Delivery, DeliveryLedger, check_deliveries


def _plain(value: str = "va", started: float = 10.0, ended: float = 11.0) -> Delivery:
    return Delivery(value, started, ended, leased=False)


def _leased(value: str = "va", started: float = 10.0, ended: float = 11.0, acked: float | None = None) -> Delivery:
    return Delivery(value, started, ended, leased=True, acked_at=acked)


def _ledger(*deliveries: Delivery) -> DeliveryLedger:
    """A ledger with one acknowledged job `a` of value `va` and these deliveries of it."""
    ledger = DeliveryLedger()
    ledger.acknowledge("a", "va", 5.0)
    for delivery in deliveries:
        ledger.deliver("a", delivery)
    return ledger


def test_a_job_delivered_once_with_its_value_is_fine() -> None:
    assert check_deliveries(_ledger(_plain()), {}).is_clean
    assert check_deliveries(_ledger(_leased(acked=12.0)), {}).is_clean


def test_an_undelivered_job_is_lost() -> None:
    verdict = check_deliveries(_ledger(), {})
    assert verdict.lost == ("a",)
    assert not verdict.is_clean


def test_a_job_found_by_its_id_is_not_lost() -> None:
    verdict = check_deliveries(_ledger(), {"a": "va"})
    assert (verdict.only_by_id, verdict.is_clean) == (("a",), True)


def test_a_wrong_value_is_found_in_any_delivery() -> None:
    assert check_deliveries(_ledger(), {"a": "other"}).wrong == ("a",)
    assert check_deliveries(_ledger(_plain("other")), {}).wrong == ("a",)
    assert check_deliveries(_ledger(_leased(), _plain("other", 20, 21)), {}).wrong == ("a",)


def test_a_job_that_no_client_sent_is_wrong() -> None:
    ledger = _ledger(_plain())
    ledger.deliver("b", _plain())
    assert check_deliveries(ledger, {}).wrong == ("b",)


def test_an_unacknowledged_job_may_run() -> None:
    ledger = _ledger(_plain())
    ledger.unacknowledged["b"] = "vb"
    ledger.values_without_id.add("vc")
    ledger.deliver("b", _plain("vb"))
    ledger.deliver("c", _plain("vc"))
    assert check_deliveries(ledger, {}).is_clean
    ledger.deliver("b", _plain("vc", 20, 21))
    assert check_deliveries(ledger, {}).wrong == ("b",)


@pytest.mark.parametrize(
    ("deliveries", "doubled"),
    [
        ((_plain(), _plain(started=12, ended=13)), True),
        ((_plain(), _plain()), True),  # at the same time
        ((_plain(), _leased(started=12, ended=13)), True),
        ((_leased(acked=12.0), _plain(started=13, ended=14)), True),
        ((_leased(acked=12.0), _leased(started=13, ended=14)), True),
        ((_leased(), _leased(started=30, ended=31, acked=32.0)), False),  # the first lease expired
        ((_leased(), _plain(started=30, ended=31)), False),
        (
            (_leased(acked=40.0), _leased(started=30, ended=31)),
            False,
        ),  # acked too late, and the second pull could not know
    ],
)
def test_a_delivery_after_a_final_one_is_doubled(deliveries: tuple[Delivery, ...], doubled: bool) -> None:
    assert check_deliveries(_ledger(*deliveries), {}).doubled == (("a",) if doubled else ())


def test_a_power_cut_excuses_only_jobs_acknowledged_just_before_it() -> None:
    ledger = _ledger()
    ledger.acknowledge("b", "vb", 9.0)
    ledger.acknowledge("c", "vc", 20.0)
    verdict = check_deliveries(ledger, {}, excused=[(1.0, 2.0), (8.0, 10.0)])
    assert (verdict.lost, verdict.missing) == (("a", "c"), ("b",))


def test_a_power_cut_excuses_only_deliveries_just_before_it() -> None:
    ledger = _ledger(_plain(), _plain(started=20, ended=21))
    verdict = check_deliveries(ledger, {}, excused=[(10.5, 12.0)])
    assert (verdict.doubled, verdict.missing) == ((), ("a",))
    assert check_deliveries(ledger, {}, excused=[(11.5, 13.0)]).doubled == ("a",)
    assert check_deliveries(ledger, {}, excused=[(8.0, 10.5)]).doubled == ("a",)


def test_an_acknowledged_job_is_not_unacknowledged_any_more() -> None:
    ledger = DeliveryLedger()
    ledger.unacknowledged["a"] = "va"
    ledger.acknowledge("a", "va", 5.0)
    assert check_deliveries(ledger, {}).lost == ("a",)
    assert ledger.unacknowledged == {}
