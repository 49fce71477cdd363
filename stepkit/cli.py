"""argv -> verb. An error of the user's -> a few lines, exit 2."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

from .commands import HIDDEN, VERBS
from .errors import RunFailed, UnknownName, UserError, printable


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    # Under LANG=C Python hands over bytes it cannot read as letters: they are UTF-8 all the same.
    arguments = [os.fsencode(text).decode("utf-8", "replace") for text in (sys.argv[1:] if argv is None else argv)]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # LANG=C has no word for ─ or ü: better a ? than a traceback
    try:
        verb = choose_verb(arguments)
        return int(importlib.import_module(f".commands.{verb}", __package__).main(arguments))
    except UserError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        _say(*error.lines)
        return 2
    except RunFailed as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except BrokenPipeError:  # the reader of a pipe has gone: no one is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def choose_verb(arguments: list[str]) -> str:
    """Take the verb off the arguments; an override or an option in its place means train. Raises UnknownName."""
    if not arguments or arguments[0].startswith(("-", "+", "~")) or "=" in arguments[0]:
        return "train"
    if arguments[0] not in (*VERBS, *HIDDEN):
        raise UnknownName("command", arguments[0], VERBS)
    return arguments.pop(0)


def _say(*lines: str) -> None:
    for line in lines:
        print(f"error: {printable(line)}", file=sys.stderr)
