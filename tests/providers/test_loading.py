"""Providers are found by name, through entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from rotator import providers
from rotator.errors import ConfigurationError
from rotator.providers.scaleway import ScalewayProvider, build
from tests.support.provider_building import MANAGEMENT, WallClock, settings


def test_the_scaleway_provider_is_found_and_built_without_contacting_anything() -> None:
    builder = providers.load("scaleway")
    assert builder is build
    provider = builder(settings("http://127.0.0.1:9"), clock=WallClock())
    assert isinstance(provider, ScalewayProvider)
    assert provider.name == "acme"
    provider.close()


@pytest.mark.parametrize(("name", "hint"), [("scalway", 'did you mean "scaleway"?'), ("aws", 'there is "scaleway"')])
def test_an_unknown_provider_is_answered_with_the_nearest_names(name: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        providers.load(name)
    assert str(caught.value).startswith(f'provider: there is no provider "{name}"; ')
    assert hint in str(caught.value)


def test_a_provider_that_is_broken_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("broken", "rotator.no_such_module:build", providers.GROUP)
    monkeypatch.setattr(providers, "entry_points", lambda **_: [broken])
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        providers.load("broken")


def test_a_provider_does_not_read_its_management_key_before_it_needs_it() -> None:
    def read() -> None:
        raise AssertionError

    build(settings("http://127.0.0.1:9", secret_key=read), clock=WallClock()).close()


def test_the_settings_do_not_show_a_secret() -> None:
    assert MANAGEMENT not in repr(settings("http://127.0.0.1:9"))
