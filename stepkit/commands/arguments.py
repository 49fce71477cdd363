"""What the commands' arguments have in common."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from ..errors import BadSyntax, nearest


class Parser(argparse.ArgumentParser):
    """argparse that raises errors for people, and takes overrides and options in any order."""

    def error(self, message: str) -> NoReturn:
        raise BadSyntax(f"{self.prog}: {message}; see {self.prog} --help")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Raises BadSyntax, naming the nearest option of this command."""
        known, unknown = self.parse_known_args(list(arguments))
        options = [name for action in self._actions for name in action.option_strings]
        rest = getattr(known, "overrides", None)
        for text in unknown:
            if text.startswith("--") or rest is None or (text.startswith("-") and not text.startswith("-=")):
                raise BadSyntax(f"{self.prog}: no option '{text}'; {nearest(text, options)}")
            rest.append(text)
        return known


def parser(verb: str, description: str) -> Parser:
    """A parser that prints its help with the module's own words."""
    prog = "stepkit" if verb == "train" else f"stepkit {verb}"
    return Parser(
        prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
