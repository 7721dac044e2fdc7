"""A certificate authority for one afternoon: TLS for servers on this machine, certificates for
clients of them.

It needs the ``cryptography`` package, which only tests install; the demo speaks plain HTTP to its
own machine.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

LIFETIME = timedelta(days=2)


class Authority:
    """An authority whose certificate is the file ``certificate``; ``issue`` makes server and client
    certificates."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self.certificate = directory / "ca.pem"
        self._key = _new_key()
        self._name = _name("rotator sandbox")
        self._own = self._sign("rotator sandbox", self._key, authority=True)
        _write(self.certificate, _pem(self._own))

    def issue(self, name: str, lifetime: timedelta = LIFETIME) -> tuple[Path, Path]:
        """The files of a new certificate and its key, good for servers on 127.0.0.1 and for clients
        called ``name``."""
        key = _new_key()
        certificate, private = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        _write(certificate, _pem(self._sign(name, key, authority=False, lifetime=lifetime)))
        _write(private, _private_pem(key))
        return certificate, private

    def _sign(
        self, name: str, key: ec.EllipticCurvePrivateKey, *, authority: bool, lifetime: timedelta = LIFETIME
    ) -> x509.Certificate:
        from cryptography import x509  # noqa: PLC0415 - an optional package, met only when TLS is wanted
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - same
        from cryptography.x509.oid import ExtendedKeyUsageOID  # noqa: PLC0415 - same

        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + lifetime)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(authority=authority), critical=True)
        )
        if not authority:
            names = [x509.DNSName("localhost"), x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False).add_extension(
                x509.ExtendedKeyUsage(usages), critical=False
            )
        return builder.sign(self._key, hashes.SHA256())


def _new_key() -> ec.EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - an optional package

    return ec.generate_private_key(ec.SECP256R1())


def _name(text: str) -> x509.Name:
    from cryptography import x509  # noqa: PLC0415 - an optional package
    from cryptography.x509.oid import NameOID  # noqa: PLC0415 - same

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, authority: bool) -> x509.KeyUsage:
    from cryptography import x509  # noqa: PLC0415 - an optional package

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - an optional package

    return certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - an optional package

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
