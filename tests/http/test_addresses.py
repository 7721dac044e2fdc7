"""Addresses and headers are read as the library reads them, only cheaper."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.http.client import ResponseHeaders, address_of
from rotator.http.connection import Origin

HOSTS = ("127.0.0.1:8200", "vault.example", "[::1]:8200", "VAULT.example:443", "bücher.example")
PATHS = st.lists(st.text(st.sampled_from("aZ09._~-/%?#:@ é\u2028"), max_size=6), max_size=4).map("/".join)


@given(st.sampled_from(("http", "https")), st.sampled_from(HOSTS), PATHS)
def test_the_target_of_an_address_is_that_of_the_library(scheme: str, host: str, path: str) -> None:
    url = f"{scheme}://{host}/{path}"
    try:
        wanted = httpx.URL(url)
    except httpx.InvalidURL:
        return
    origin, target = address_of(url)
    assert target == wanted.raw_path
    secure = scheme == "https"
    assert origin == Origin(secure, wanted.raw_host.decode(), wanted.port or (443 if secure else 80))


@pytest.mark.parametrize("url", ["ftp://vault.example/v1/a", "vault.example/v1/a", "https:///v1/a", "/v1/a"])
def test_an_address_that_is_not_of_the_web_is_refused(url: str) -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        address_of(url)


def test_headers_are_found_in_any_case_and_several_of_one_name_are_joined_in_their_order() -> None:
    pairs = [(b"date", b"today"), (b"x-note", b"a"), (b"X-Note", b"caf\xe9")]
    headers, library = ResponseHeaders(pairs), httpx.Headers(pairs)
    assert headers["Date"] == headers["date"] == "today"
    assert headers["x-NOTE"] == library["x-note"] == "a, café"
    assert headers.get("absent") is None
    assert (list(headers), len(headers)) == (["date", "x-note"], 2)
