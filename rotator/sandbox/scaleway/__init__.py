"""A stand-in of Scaleway's IAM API that keeps state, answers as the real one does, and misbehaves
on command.

::

    with ScalewaySandbox() as scaleway:
        bearer = scaleway.create_application("billing")
        scaleway.configure(activation_delay=2.0, instances=3)
        scaleway.faults.add("reset", method="POST", path="*/api-keys", executed=True)
        ...  # point a client at scaleway.url with scaleway.management_secret
        assert [event.kind for event in scaleway.events()] == [...]

``ScalewaySandbox`` runs in a thread of this process; ``python -m rotator.sandbox.scaleway`` runs as
a process of its own, and ``SandboxClient(url)`` drives either from anywhere with the same methods.
Nothing is kept on disk.
"""

from rotator.sandbox.scaleway.client import SandboxClient
from rotator.sandbox.scaleway.entities import KeyView, RecordedEvent
from rotator.sandbox.scaleway.faults import Fault
from rotator.sandbox.scaleway.server import ScalewaySandbox
from rotator.sandbox.scaleway.settings import REAL_LATENCY, Settings

__all__ = ["REAL_LATENCY", "Fault", "KeyView", "RecordedEvent", "SandboxClient", "ScalewaySandbox", "Settings"]
