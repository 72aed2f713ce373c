"""Certificates of the deployment: which names they prove, and how they are renewed and replaced."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from infra.certificates import LEAF_DAYS, RENEW_DAYS, is_stale, make_certificates

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_authority_vouches_for_any_name_that_aws_gives_the_load_balancer(tmp_path: Path) -> None:
    make_certificates("wm", "eu-west-1", tmp_path, NOW)
    leaf = x509.load_pem_x509_certificate((tmp_path / "balancer.pem").read_bytes())
    _verifier(tmp_path, "wm-load-0a1b.elb.eu-west-1.amazonaws.com").verify(leaf, [])
    with pytest.raises(VerificationError):
        _verifier(tmp_path, "wm-load-0a1b.elb.us-east-1.amazonaws.com").verify(leaf, [])


def test_the_authority_is_kept_when_its_certificates_are_renewed(tmp_path: Path) -> None:
    make_certificates("wm", "eu-west-1", tmp_path, NOW)
    before = {name: (tmp_path / name).read_bytes() for name in ("ca.pem", "store.pem", "balancer.pem")}
    make_certificates("wm", "eu-west-1", tmp_path, NOW + timedelta(days=300))
    assert (tmp_path / "ca.pem").read_bytes() == before["ca.pem"]
    assert (tmp_path / "store.pem").read_bytes() != before["store.pem"]
    assert (tmp_path / "balancer.pem").read_bytes() != before["balancer.pem"]


def test_renewal_is_due_before_a_certificate_expires(tmp_path: Path) -> None:
    make_certificates("wm", "eu-west-1", tmp_path, NOW)
    store, authority = ((tmp_path / name).read_bytes() for name in ("store.pem", "authority.pem"))
    assert not is_stale(store, authority, NOW + timedelta(days=LEAF_DAYS - RENEW_DAYS - 1))
    assert is_stale(store, authority, NOW + timedelta(days=LEAF_DAYS - RENEW_DAYS + 1))


def test_while_the_authority_is_replaced_old_and_new_servers_trust_each_other(tmp_path: Path) -> None:
    old, new, cluster = tmp_path / "old", tmp_path / "new", tmp_path / "cluster"
    for directory in (old, new, cluster):
        directory.mkdir()
    make_certificates("wm", "eu-west-1", old, NOW)
    make_certificates("wm", "eu-west-1", new, NOW)
    trusts, shows = [(old / "ca.pem").read_bytes()], [(old / "store.pem").read_bytes()]
    # The values that the secret has during the replacement.
    for authority in (
        (old / "authority.pem").read_bytes() + (new / "ca.pem").read_bytes(),
        (new / "authority.pem").read_bytes() + (old / "ca.pem").read_bytes(),
        (new / "authority.pem").read_bytes(),
    ):
        (cluster / "authority.pem").write_bytes(authority)
        if is_stale(shows[-1], authority, NOW):
            make_certificates("wm", "eu-west-1", cluster, NOW)
            shows.append((cluster / "store.pem").read_bytes())
        else:
            shows.append(shows[-1])
        assert (cluster / "authority.pem").read_bytes() == authority
        trusts.append(b"".join(_certificates(authority)))
    assert len(set(shows)) == 2  # signed again once, in the second step
    assert (cluster / "ca.pem").read_bytes() == trusts[2]
    for step, shown in enumerate(shows):
        for neighbour in (step - 1, step, step + 1):
            if 0 <= neighbour < len(trusts):
                _verify_store(shown, trusts[neighbour])
    with pytest.raises(VerificationError):
        _verify_store(shows[0], trusts[-1])


def test_files_are_private_to_their_owner_and_ca_pem_has_no_key(tmp_path: Path) -> None:
    make_certificates("wm", "eu-west-1", tmp_path, NOW)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert b"PRIVATE" not in (tmp_path / "ca.pem").read_bytes()
    # A Redis server has certificate and key in one file.
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(tmp_path / "store.pem")


def _verifier(directory: Path, name: str) -> x509.verification.ServerVerifier:
    authority = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
    return PolicyBuilder().store(Store([authority])).time(NOW).build_server_verifier(x509.DNSName(name))


def _certificates(pem: bytes) -> list[bytes]:
    return [one.public_bytes(serialization.Encoding.PEM) for one in x509.load_pem_x509_certificates(pem)]


def _verify_store(shown: bytes, trusted: bytes) -> None:
    store = PolicyBuilder().store(Store(x509.load_pem_x509_certificates(trusted))).time(NOW)
    name = x509.DNSName("store.wm.workmanager.internal")
    store.build_server_verifier(name).verify(x509.load_pem_x509_certificate(shown), [])
