"""argv -> verb. An error of the user's -> a few lines, exit 2."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from .errors import RunFailed, UnknownName, UserError

# verb -> (module under stepkit.commands, what it does). The first is meant where no verb is given.
VERBS = {
    "train": ("train", "train what the config declares; -m sweeps"),
    "config": ("config", "what would run, and who set each value"),
    "plugins": ("plugins", "what is installed, from which package"),
    "board": ("board", "TensorBoard on outputs/, or on one run"),
}
HIDDEN = {"rank": ("rank", "one process of a run that has several")}  # stepkit's own use


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        verb = choose_verb(arguments)
        return int(importlib.import_module(f".commands.{ {**VERBS, **HIDDEN}[verb][0] }", __package__).main(arguments))
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


def printable(text: str) -> str:
    """Without control characters: a terminal must not obey what a stranger's file says; nor fail under LANG=C."""
    clean = "".join(c if c.isprintable() else "�" for c in text)
    encoding = sys.stderr.encoding or "utf-8"
    return clean.encode(encoding, "replace").decode(encoding)
