"""How the demo is shown: a picture on a terminal, lines in a pipe, nothing for machines; and the
summary after it."""

from __future__ import annotations

import contextlib
import signal
import sys
import textwrap
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live
from rich.text import Text

from rotator.sandbox.demo.environment import World
from rotator.sandbox.demo.live_view import Picture
from rotator.sandbox.demo.observer import DemoObserver
from rotator.sandbox.demo.recording import Chronicle, Line
from rotator.sandbox.demo.scenario import Story, Stuck
from rotator.sandbox.demo.verdict import Verdict, judge, summary
from rotator.util.terminal import styled

WORD = 14
"""Columns of the words in front of the sentences of the summary."""


class Stage:
    """Where the demo is shown; this one shows nothing but the summary."""

    def __init__(self) -> None:
        self.console = Console(file=styled(sys.stdout), highlight=False, soft_wrap=True)

    def hear(self, line: Line) -> None:
        """Take notice of one line."""

    @contextlib.contextmanager
    # ARG002: what other presentations need
    def showing(self, chronicle: Chronicle, world: World) -> Iterator[None]:  # noqa: ARG002
        """Show what happens while the scenario runs."""
        yield

    def conclude(self, verdict: Verdict) -> None:
        """Print the summary."""
        width = min(max(self.console.width if self.console.is_terminal else 100, 60), 110)
        self.console.print()
        self.console.print(Text(f"What happened in {verdict.seconds:.0f} seconds", style="bold"))
        for word, sentence in summary(verdict):
            self._paragraph(word, sentence, width)
        if verdict.good:
            self.console.print(Text("\nNothing was refused and nothing is left over.", style="bold green"))
            return
        self.console.print(Text("\nThis is not how it should have gone:", style="bold red"))
        for problem in verdict.problems:
            self._paragraph("", problem, width)
        for text in verdict.log_tail:
            self.console.print(Text(f"  {text}", style="bright_black"))

    def _paragraph(self, word: str, sentence: str, width: int) -> None:
        lines = textwrap.wrap(sentence, width - WORD - 2) or [""]
        for number, line in enumerate(lines):
            text = Text(f"  {word if number == 0 else '':<{WORD}}", style="cyan")
            self.console.print(text.append(line, style="default"))


class Lines(Stage):
    """Plain lines, as things happen."""

    def hear(self, line: Line) -> None:
        """Print it. When the reader of the pipe is gone, the demo ends as if it had been
        interrupted."""
        who = f"{line.who:<8}  " if line.who else ""
        try:
            self.console.print(Text(f"{line.at:5.1f} s  {who}{line.text}"))
        except SystemExit:  # rich's answer to a broken pipe, which would end only the thread that is speaking
            signal.raise_signal(signal.SIGINT)


class Screen(Stage):
    """A live picture on the whole terminal, whose last moment stays."""

    @contextlib.contextmanager
    def showing(self, chronicle: Chronicle, world: World) -> Iterator[None]:
        """Draw until the scenario ends."""
        picture = Picture(chronicle, world.consumers)
        with Live(picture, console=self.console, screen=True, refresh_per_second=8):
            yield
        picture.freeze()
        self.console.print(picture)


def stage(*, as_json: bool) -> Stage:
    """Where to show it: for machines, on this terminal if it can draw, or as lines."""
    if as_json:
        return Stage()
    console = Console(file=styled(sys.stdout))
    return (
        Screen()
        if console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf")
        else Lines()
    )


def perform(world: World, where: Stage, chronicle: Chronicle, limit: float) -> Verdict:
    """Run the scenario in a world that is ready, and judge it."""
    observer = DemoObserver(world, chronicle)
    story = Story(world, chronicle, observer, limit)
    trouble = ""
    observer.look()
    with where.showing(chronicle, world):
        world.run_thread(observer.work, world.stop)
        for consumer in world.consumers:
            world.run_thread(consumer.work, world.stop)
        try:
            story.run()
        except Stuck as stuck:
            trouble = str(stuck)
        world.freeze()
    return judge(world, chronicle, story, trouble)
