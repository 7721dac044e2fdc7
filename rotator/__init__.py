"""rotator: rotates API keys into Vault and never breaks anybody."""

from __future__ import annotations

__version__ = "0.1.0"
