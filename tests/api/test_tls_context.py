"""The TLS of the webhook from its files, and what tells one state of the files from another."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from rotator.api.webhook_tls import UnusableKey, file_states, tls_context
from rotator.config import Listener, Webhook
from rotator.config.secret_reference import Reference
from rotator.sandbox.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    pytest.importorskip("cryptography", reason="certificates are made with it")
    return Authority(tmp_path / "authority")


def settings_of(certificate: Path | None, key: Path | None, client_ca: Path | None = None) -> Webhook:
    return Webhook(
        Listener("127.0.0.1", 8443),
        signing_key=Reference("file", "/signing-key"),
        certificate=Reference("file", str(certificate)) if certificate else None,
        key=Reference("file", str(key)) if key else None,
        client_ca=client_ca,
    )


def test_without_a_certificate_and_its_key_there_is_no_tls(authority: Authority) -> None:
    certificate, key = authority.issue("127.0.0.1")
    assert tls_context(settings_of(None, None)) is None
    assert tls_context(settings_of(certificate, None)) is None
    assert tls_context(settings_of(None, key)) is None


def test_callers_need_a_certificate_only_where_an_authority_for_them_is_named(authority: Authority) -> None:
    certificate, key = authority.issue("127.0.0.1")
    for client_ca, mode, authorities in ((None, ssl.CERT_NONE, 0), (authority.certificate, ssl.CERT_REQUIRED, 1)):
        context = tls_context(settings_of(certificate, key, client_ca))
        assert context is not None
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.verify_mode is mode
        assert len(context.get_ca_certs()) == authorities
        assert context.keylog_filename is None


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> int:
    """The version of TLS of a handshake in memory between the two, as a serial number of the certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = server.wrap_bio(to_server, to_client, server_side=True)
    other = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    for _ in range(4):
        for side in (other, one):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = other.getpeercert()
    assert found
    return int(str(found["serialNumber"]), 16)


def test_the_certificate_of_the_files_is_served(authority: Authority) -> None:
    client = ssl.create_default_context(cafile=str(authority.certificate))
    seen = []
    for _ in range(2):
        context = tls_context(settings_of(*authority.issue("127.0.0.1")))
        assert context is not None
        seen.append(handshake(context, client))
    assert len(set(seen)) == 2


def test_a_key_with_a_pass_phrase_is_refused_with_what_to_do(authority: Authority) -> None:
    from cryptography.hazmat.primitives import serialization

    certificate, key = authority.issue("127.0.0.1")
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a phrase"),
        )
    )
    with pytest.raises(UnusableKey) as caught:
        tls_context(settings_of(certificate, key))
    assert caught.value.strerror == (
        "the key has a pass phrase, which a service cannot type in; store it without one: openssl pkey -in KEY -out NEW"
    )


def test_a_renewed_file_has_another_state_and_a_missing_one_has_none(tmp_path: Path) -> None:
    certificate, key, client_ca = (tmp_path / name for name in ("cert", "key", "ca"))
    settings = settings_of(certificate, key, client_ca)
    nothing = (0, 0, 0)
    assert file_states(settings) == (nothing,) * 3
    assert file_states(settings_of(None, None)) == ()
    for file in (certificate, key, client_ca):
        file.write_text(file.name)
    states = file_states(settings)
    assert states == tuple(
        (status.st_mtime_ns, status.st_ino, status.st_size)
        for status in (one.stat() for one in (certificate, key, client_ca))
    )
    assert file_states(settings_of(certificate, key)) == states[:2]
    key.unlink()
    assert file_states(settings) == (states[0], nothing, states[2])
