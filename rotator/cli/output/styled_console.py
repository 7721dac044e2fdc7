"""Rich on a terminal, with texts of others made visible."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from rotator.util.terminal import styled, visible


class StyledConsole(Console):
    """A console of rich that shows its styles, and shows of texts what is visible."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(file=styled(sys.stderr if stderr else sys.stdout))

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of the renderable; only text is filtered, never a style or a movement of the
        cursor."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text), style, control)
