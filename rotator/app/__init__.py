"""The composition root: the only place that knows which objects implement the ports."""

from rotator.app.app_runtime import AppRuntime, UnknownApplication
from rotator.app.builder import RuntimeBuilder, open_runtime

__all__ = ["AppRuntime", "RuntimeBuilder", "UnknownApplication", "open_runtime"]
