"""`python -m infra.certificates --name NAME --region REGION --directory DIR`: create TLS certificates, in PEM files.

    authority.pem                 certificate and key of the cluster's own authority; an existing file is kept. While
                                  one authority replaces another, further trusted certificates follow
    ca.pem                        all certificates of authority.pem, for clients and servers to trust
    issuer.pem                    the first of these, which signs
    store.pem                     certificate and key of the Redis servers
    balancer.pem, balancer.key    certificate and key of the load balancer, whose name AWS chooses later

The authority can sign only for these names (RFC 5280, name constraints): clients need not trust it for the rest of the
internet. `--stale FILE --directory DIR` checks a certificate instead: exit code 0 if it must be renewed, because it
expires within `RENEW_DAYS` or another authority signed it; 1 if not.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
LEAF_DAYS = 397
"""The longest lifetime that clients such as browsers accept."""
RENEW_DAYS = 60
BACKDATED = timedelta(hours=1)
"""Start of validity before now, since clocks differ."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Create the files, or check a certificate with `--stale`; return the exit code."""
    parser = argparse.ArgumentParser(prog="infra.certificates", description="Create TLS certificates.")
    parser.add_argument("--name", help="name of the cluster")
    parser.add_argument("--region")
    parser.add_argument("--directory", type=Path, help="directory of the files")
    parser.add_argument("--stale", type=Path, metavar="FILE", help="check this certificate instead")
    options = parser.parse_args(arguments)
    now = datetime.now(UTC)
    if options.stale and options.directory:
        authority = (options.directory / "authority.pem").read_bytes()
        return 0 if is_stale(options.stale.read_bytes(), authority, now) else 1
    if None in (options.name, options.region, options.directory):
        parser.error("--name, --region and --directory are required")
    make_certificates(options.name, options.region, options.directory, now)
    return 0


def is_stale(certificate: bytes, authority: bytes, now: datetime) -> bool:
    """Return whether a certificate expires within `RENEW_DAYS`, or was not signed by this authority (both PEM)."""
    loaded = x509.load_pem_x509_certificate(certificate)
    try:
        loaded.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    except (InvalidSignature, ValueError):  # another key, another name
        return True
    return loaded.not_valid_after_utc - now < timedelta(days=RENEW_DAYS)


def make_certificates(name: str, region: str, directory: Path, now: datetime) -> None:
    """Write the files, readable only by their owner."""
    store_name, balancer_name = f"store.{name}.workmanager.internal", f"*.elb.{region}.amazonaws.com"
    authority_file = directory / "authority.pem"
    if authority_file.exists():
        key = serialization.load_pem_private_key(authority_file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey), f"{authority_file} does not have an elliptic-curve key"
        authority = x509.load_pem_x509_certificate(authority_file.read_bytes())
    else:
        key = ec.generate_private_key(ec.SECP256R1())
        authority = _authority(name, [store_name, f"elb.{region}.amazonaws.com"], key, now)
        _write(authority_file, authority.public_bytes(serialization.Encoding.PEM) + _pem(key))
    trusted = x509.load_pem_x509_certificates(authority_file.read_bytes())
    _write(
        directory / "ca.pem", b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in trusted)
    )
    _write(directory / "issuer.pem", authority.public_bytes(serialization.Encoding.PEM))
    store_key, store = _leaf(store_name, authority, key, now)
    _write(directory / "store.pem", store + store_key)
    balancer_key, balancer = _leaf(balancer_name, authority, key, now)
    _write(directory / "balancer.key", balancer_key)
    _write(directory / "balancer.pem", balancer)


def _authority(name: str, names: Sequence[str], key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"workmanager {name}")])
    everywhere = [x509.IPAddress(IPv4Network("0.0.0.0/0")), x509.IPAddress(IPv6Network("::/0"))]
    constraints = x509.NameConstraints(
        permitted_subtrees=[x509.DNSName(n) for n in names], excluded_subtrees=everywhere
    )
    return (
        _certificate(subject, subject, key.public_key(), key.public_key(), now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(constraints, critical=True)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    name: str, authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey, now: datetime
) -> tuple[bytes, bytes]:
    """Return a new key and its certificate, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    # The members of a Redis cluster are each other's clients.
    roles = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    days = min(LEAF_DAYS, (authority.not_valid_after_utc - now).days)
    certificate = (
        _certificate(subject, authority.subject, key.public_key(), authority_key.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(roles), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return _pem(key), certificate.public_bytes(serialization.Encoding.PEM)


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


if __name__ == "__main__":
    sys.exit(main())
