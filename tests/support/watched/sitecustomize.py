"""Loaded by every Python process that the suite starts, and that these start: it notes what no process of rotator may leave behind.

That is an exception that nothing caught or retrieved, an unclosed resource, or a warning. ``tests.support.watch`` reads the notes.
What a process does is unchanged by it, and nothing is imported that the process does not import itself.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

NOTES = "ROTATOR_TEST_NOTES"
"""The variable that names the file of notes."""

HIDDEN = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""Warnings that Python does not show by default."""

HARMLESS = (
    "socket.send() raised exception.",  # written after a peer has hung up and before the loop has heard of it
    "'imghdr' is deprecated",  # apprise looks for it, and has its own where it is gone
)


def note(kind: str, text: str) -> None:
    """Write one line, if this is a process of rotator, and none that runs tests."""
    if "rotator" not in sys.modules or "pytest" in sys.modules or any(words in text for words in HARMLESS):
        return
    line = f"{' '.join(sys.orig_argv)[:200]} [{os.getpid()}]: {kind}: {text[:2000]}".replace("\n", " | ")
    descriptor = os.open(os.environ[NOTES], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, f"{line}\n".encode(errors="backslashreplace"))
    finally:
        os.close(descriptor)


def watched(environment: Any) -> dict[str, str]:
    """The environment for a child, which is watched too."""
    found = dict(os.environ if environment is None else environment)
    others = [place for place in found.get("PYTHONPATH", "").split(os.pathsep) if place and place != HERE]
    return {**found, NOTES: os.environ[NOTES], "PYTHONPATH": os.pathsep.join([HERE, *others])}


HERE = str(Path(__file__).parent)


def watch_children(subprocess: Any) -> None:
    """Every child gets the environment of one that is watched, whatever environment it is given."""
    start = subprocess.Popen.__init__

    def init(self: Any, args: Any, *more: Any, env: Any = None, **options: Any) -> None:
        start(self, args, *more, env=watched(env), **options)

    subprocess.Popen.__init__ = init


def _watch_threads(threading: Any) -> None:
    usual = threading.excepthook

    def hook(args: Any) -> None:
        note("an exception ended a thread", f"{args.exc_type.__name__} in {args.thread}")
        usual(args)

    threading.excepthook = hook


def _watch_logs(logging: Any) -> None:
    usual = logging.Logger.callHandlers

    def call(self: Any, record: Any) -> None:
        if record.levelno >= logging.WARNING and not record.name.startswith("rotator"):
            note(f"a warning of {record.name}", record.getMessage())
        usual(self, record)

    logging.Logger.callHandlers = call


WHEN_IMPORTED: dict[str, Callable[[Any], None]] = {
    "subprocess": watch_children,
    "threading": _watch_threads,
    "logging": _watch_logs,
}


class _Finder:
    """Acts after the first import of a module."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        act = WHEN_IMPORTED.pop(name, None)
        if act is None:
            return None
        spec = next(found for one in sys.meta_path if one is not self and (found := one.find_spec(name, path, target)))
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            act(module)

        loader.exec_module = exec_module
        return spec


def _watch_this_process() -> None:
    unraisable, uncaught, show = sys.unraisablehook, sys.excepthook, warnings.showwarning

    def unraisable_hook(args: Any) -> None:
        note("an exception was ignored", f"{args.exc_type.__name__}: {args.exc_value} in {args.object!r}")
        unraisable(args)

    def uncaught_hook(kind: Any, error: Any, trace: Any) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            note("a traceback", f"{kind.__name__}: {error}")
        uncaught(kind, error, trace)

    def show_warning(message: Any, category: Any, filename: Any, lineno: Any, *more: Any, **options: Any) -> None:
        note(category.__name__, f"{message} at {filename}:{lineno}")
        if not issubclass(category, HIDDEN):
            show(message, category, filename, lineno, *more, **options)

    sys.unraisablehook, sys.excepthook, warnings.showwarning = unraisable_hook, uncaught_hook, show_warning
    if not sys.warnoptions:
        warnings.simplefilter("default")
    for name in [name for name in WHEN_IMPORTED if name in sys.modules]:
        WHEN_IMPORTED.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, _Finder())
    import atexit
    import gc

    atexit.register(gc.collect)  # what nothing refers to any more is closed, or noted, while notes can still be written


if __name__ == "sitecustomize" and NOTES in os.environ:
    _watch_this_process()
