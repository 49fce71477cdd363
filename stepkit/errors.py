"""What a user can get wrong, one class a mistake, each a line that says what to do next.

The command line prints the lines and exits with code 2; in Python they are ordinary exceptions.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class UserError(Exception):
    """A mistake in what the user gave: one line a mistake, told all at once, exit code 2."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


class Mistakes(UserError):
    """All mistakes that one stage of checking found."""

    def __init__(self, found: Sequence[UserError]) -> None:
        self.found = tuple(found)
        # The same mistake seen from two sides (a choice and its option) is told once.
        super().__init__(*dict.fromkeys(line for error in found for line in error.lines))


class BadSyntax(UserError):
    """Text that does not parse: an override, a YAML file."""


class UnknownKey(UserError):
    """A key that nothing reads."""

    def __init__(self, key: str, known: Iterable[str], *, value: object = "", where: str = "", owner: str = "") -> None:
        what = f"{owner} has no option '{key.rpartition('.')[2]}'" if owner else f"no key '{key.rpartition('.')[2]}'"
        prefix = key.rpartition(".")[0]
        advice = nearest(key.rpartition(".")[2], known, prefix=f"{prefix}." if prefix else "")
        super().__init__(f"{given(key, value)}{at(where)}: {what}; {advice}")


class UnknownName(UserError):
    """A name that no plugin, file or run bears."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: str = "", elsewhere: str = "") -> None:
        advice = f"'{name}' is {a(elsewhere)}: {elsewhere}={name}" if elsewhere else nearest(name, known)
        super().__init__(f"no {kind} '{name}'{at(where)}; {advice}")


class WrongValue(UserError):
    """A value of the wrong type or out of range."""

    def __init__(self, key: str, value: object, wanted: str, *, where: str = "") -> None:
        super().__init__(f"{given(key, value)}{at(where)}: {wanted}")


class MissingValue(UserError):
    """A required value that nobody gave."""

    def __init__(self, key: str, owner: str) -> None:
        super().__init__(f"{key}: required by {owner}; give {key}=…")


class NotTrusted(UserError):
    """A _target_ that is neither a registered plugin nor below a module the user's own conf trusts."""

    def __init__(self, key: str, target: object, *, where: str = "") -> None:
        super().__init__(
            f"{given(key, target)}{at(where)}: not a registered plugin, nor below a module named in "
            "'trusted' of your own conf/config.yaml"
        )


class Refused(UserError):
    """A library's class that cannot serve here, with the reason."""


class BrokenPlugin(UserError):
    """A plugin whose import fails, or whose constructor refuses its options."""


class ClashingPlugin(UserError):
    """A name that two distributions claim, when it is chosen."""


class WrongData(UserError):
    """Data that cannot be trained on as it is."""


class WrongModel(UserError):
    """A model, loss and data that do not fit each other."""


class NoDevice(UserError):
    """An accelerator that this machine lacks."""


class NoSuchRun(UserError):
    """A run, or a file of it, that is not there."""


class BadPlace(UserError):
    """A folder or file that cannot be read or written."""


class Unsupported(UserError):
    """A combination that stepkit does not offer, with the way round it."""


class RunFailed(Exception):
    """Training itself failed: told in one line, exit code 1."""


def nearest(word: str, known: Iterable[str], *, prefix: str = "") -> str:
    """The nearest right word as advice, or the known ones when none is near."""
    names = sorted({str(name) for name in known})
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{prefix}{near[0]}'?"
    if not names:
        return "there are none"
    shown = ", ".join(names[:12])
    return f"known: {shown}" + (", …" if len(names) > 12 else "")


def given(key: str, value: object) -> str:
    """`key=value` as it was given, cut to a readable length."""
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    if text == "":
        return key
    return f"{key}={text if len(text) <= 80 else text[:77] + '…'}"


def at(where: str) -> str:
    """Where a value was set, in brackets."""
    return f" ({where})" if where else ""


def a(noun: str) -> str:
    """With its article: a model, an optimizer."""
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"


def printable(value: object) -> str:
    """On one line and without control characters: a terminal must not obey what a stranger's file says."""
    return "".join(c if c.isprintable() else "�" for c in " ".join(str(value).split()))
