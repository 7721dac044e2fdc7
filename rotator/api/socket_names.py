"""Names that client and server of the sockets share."""

from __future__ import annotations

READ, CONTROL = "read.sock", "control.sock"
"""The sockets for queries, and for queries and commands."""

LINES = "application/x-ndjson"
"""The media type of a stream: one JSON document a line, with empty lines as keep-alive."""
