"""A library that would import another one does without it."""

from __future__ import annotations

import importlib
import sys

import pytest

from rotator.util.absent import absent


def test_a_module_is_absent_inside_and_can_be_imported_afterwards() -> None:
    sys.modules.pop("antigravity", None)
    with absent("antigravity"), pytest.raises(ImportError):
        importlib.import_module("antigravity")
    assert "antigravity" not in sys.modules
    assert importlib.util.find_spec("antigravity") is not None


def test_a_module_that_is_there_already_stays() -> None:
    with absent("json"):
        assert importlib.import_module("json") is sys.modules["json"]
    assert "json" in sys.modules
