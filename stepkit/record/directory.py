"""Where a run's directory lies, and how it is made: never shared by two runs, made only once all checks passed."""

from __future__ import annotations

import re
import secrets
import time
from pathlib import Path

from ..errors import BadPlace, WrongValue

_UNSAFE = re.compile(r"[\x00-\x1f/\\]")
_LONGEST = 120


def new_directory(outputs: Path, experiment: str) -> Path:
    """A path `outputs/<experiment>/<time>-<id>` that does not exist yet; nothing is made."""
    folder = outputs / safe_name("experiment", experiment)
    while True:
        now = time.time()
        within = int(now % 1 * 1e6)  # microseconds, so that names of one second sort by time, too
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
        path = folder / f"{stamp}-{within:05x}{secrets.token_hex(1)[0]}"
        if not path.exists():
            return path


def make(path: Path) -> None:
    """Make a run's directory. Raises BadPlace; FileExistsError if another run took it in this moment."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise BadPlace(f"{path}: exists already; start the command again") from None
    except OSError as error:
        raise BadPlace(f"{path}: cannot be made: {error.strerror}") from None


def safe_name(key: str, name: str) -> str:
    """A name that stays in its folder. Raises WrongValue."""
    if not name or name.startswith(".") or _UNSAFE.search(name) or len(name.encode()) > _LONGEST:
        raise WrongValue(
            key,
            name,
            f"a name without slashes, leading dots or control characters is wanted, of at most {_LONGEST} bytes",
        )
    return name
