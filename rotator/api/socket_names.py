"""The names that both ends of the sockets know."""

from __future__ import annotations

READ, CONTROL = "read.sock", "control.sock"
"""The sockets for queries, and for queries and commands."""

LINES = "application/x-ndjson"
"""The media type of a stream: one JSON document a line, and empty lines as keep-alive."""
