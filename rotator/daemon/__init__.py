"""The daemon: schedules the passes of every application in one process, reports its state, and
shuts down in order."""

from rotator.daemon.composition import run

__all__ = ["run"]
