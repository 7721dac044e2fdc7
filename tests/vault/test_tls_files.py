"""Certificates and authorities that change on disk while the program runs (hazard C6), against a real OpenBao with TLS."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.errors import ServiceError, Unavailable
from rotator.sandbox.certificates import Authority
from rotator.sandbox.openbao import OpenBao
from rotator.sandbox.process import wait_until
from rotator.vault import CertAuth, KvStore
from tests.vault.conftest import Build, file_with
from tests.vault.test_login import ALLOW_ALL

LIFE = timedelta(seconds=8)
"""How long a client certificate is good."""

ROLE = {"allowed_common_names": ["rotator"], "token_policies": ["all"], "token_ttl": "1s", "token_max_ttl": "1s"}


class Issuer:
    """Renews a client certificate on disk, as an agent on the machine would: into new files that replace the old ones."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        self._authority = authority
        self.certificate, self.key = folder / "client.pem", folder / "client.key"
        self.renew()

    def renew(self, lifetime: timedelta = LIFE) -> None:
        made = self._authority.issue("rotator", lifetime)
        for fresh, place in zip(made, (self.certificate, self.key), strict=True):
            shutil.copy(fresh, place.with_suffix(".new"))
            place.with_suffix(".new").replace(place)


@pytest.fixture
def issuer(tls_bao: OpenBao, authority: Authority, tmp_path: Path) -> Issuer:
    tls_bao.policy("all", ALLOW_ALL)
    tls_bao.enable_auth("cert")
    tls_bao.admin("POST", "auth/cert/certs/short", {**ROLE, "certificate": authority.certificate.read_text()})
    return Issuer(authority, tmp_path)


def store_of(tls_bao: OpenBao, make: Build, issuer: Issuer) -> KvStore:
    return make(tls_bao, CertAuth("short"), client_cert=issuer.certificate, client_key=issuer.key)


def test_c6_work_goes_on_through_two_lives_of_a_client_certificate_that_is_renewed_on_disk(
    tls_bao: OpenBao, make: Build, issuer: Issuer
) -> None:
    store = store_of(tls_bao, make, issuer)
    end, renew_at = time.monotonic() + 2 * LIFE.total_seconds(), time.monotonic() + LIFE.total_seconds() / 2
    while time.monotonic() < end:
        assert store.read_ledger("billing") == (None, 0)
        if time.monotonic() > renew_at:
            issuer.renew()
            renew_at = time.monotonic() + LIFE.total_seconds() / 2
        time.sleep(0.1)
    assert store._connection.generation > 5


def test_c6_a_client_certificate_that_has_ended_is_named_and_a_new_one_is_taken_at_once(
    tls_bao: OpenBao, make: Build, issuer: Issuer
) -> None:
    issuer.renew(timedelta(seconds=-1))
    store = store_of(tls_bao, make, issuer)
    for _ in range(2):
        with pytest.raises(ServiceError) as caught:
            store.read_ledger("billing")
        assert str(issuer.certificate) in str(caught.value)
    issuer.renew()
    assert store.read_ledger("billing") == (None, 0)


def hang_up(store: KvStore) -> None:
    """Close the idle connections, as the other side does after a while."""
    for lane in store._connection._transport.http.pool.idle:
        lane.close()


def test_c6_an_authority_that_is_replaced_on_disk_is_trusted_without_a_restart(
    make: Build, authority: Authority, tmp_path: Path
) -> None:
    """The server's certificate is of another authority from one moment to the next, as when an internal CA is replaced."""
    trusted = file_with(tmp_path / "ca.pem", authority.certificate.read_text())
    other = Authority(tmp_path / "other")
    with OpenBao(authority=authority, name="moving") as moving:
        store = make(moving, ca_cert=trusted)
        assert store.read_ledger("billing") == (None, 0)
        assert moving._tls
        for fresh, place in zip(other.issue("moving"), moving._tls, strict=True):
            shutil.copy(fresh, place)
        moving._signal(signal.SIGHUP)

        def refused() -> bool:
            hang_up(store)
            try:
                store.read_ledger("billing")
            except Unavailable as error:
                return "TLS failed" in str(error) and str(trusted) in str(error)
            return False

        wait_until(refused, "the new certificate of the server is refused, and the message names the file", 30)
        shutil.copy(other.certificate, trusted)
        assert store.read_ledger("billing") == (None, 0)
        moving.ca_cert = other.certificate


def test_c6_files_that_cannot_be_used_leave_the_earlier_ones_in_use_and_are_told(
    tls_bao: OpenBao, make: Build, issuer: Issuer
) -> None:
    issuer.renew(timedelta(hours=1))
    store = store_of(tls_bao, make, issuer)
    assert store.read_ledger("billing") == (None, 0)
    assert not store.login_problem()
    issuer.certificate.write_text("half a certific")
    assert store.read_ledger("billing") == (None, 0)
    problem = store.login_problem()
    assert problem
    assert str(issuer.certificate) in problem.message
    issuer.renew(timedelta(hours=1))
    assert store.read_ledger("billing") == (None, 0)
    assert not store.login_problem()


def test_c6_many_threads_meet_the_change_of_a_certificate(tls_bao: OpenBao, make: Build, issuer: Issuer) -> None:
    issuer.renew(timedelta(hours=1))
    store = store_of(tls_bao, make, issuer)
    ended, failures = threading.Event(), list[str]()

    def work() -> None:
        while not ended.is_set():
            try:
                store.read_ledger("billing")
            except ServiceError as error:
                failures.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        issuer.renew(timedelta(hours=1))
        time.sleep(0.1)
    ended.set()
    for thread in threads:
        thread.join()
    assert failures == []
