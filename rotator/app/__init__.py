"""The composition root: the only place that knows which objects implement the ports."""

from rotator.app.builder import RuntimeBuilder, open_runtime
from rotator.app.runtime import AppRuntime, UnknownApplication

__all__ = ["AppRuntime", "RuntimeBuilder", "UnknownApplication", "open_runtime"]
