"""The same training as one plain PyTorch file, proven equal: leave whenever you like.

stepkit eject                                   digits.py, and its proof
stepkit eject optimizer=sgd --out mine.py       another optimizer, another file
stepkit eject --steps 500                       compare more steps
stepkit eject --check mine.py                   is the file, edited since, still the same training?
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..config.hydra import Composed
from ..config.prepare import prepare
from ..errors import BadPlace, WrongValue
from .arguments import parser


def main(arguments: Sequence[str]) -> int:
    options = parser("eject", __doc__ or "")
    options.add_argument("overrides", nargs="*")
    options.add_argument("--out", metavar="FILE", help="where to write; by default EXPERIMENT.py in this folder")
    options.add_argument("--steps", metavar="K", type=int, help="optimizer steps to compare")
    options.add_argument("--check", metavar="FILE", help="write nothing; compare this file, which eject wrote before")
    options.add_argument("--json", action="store_true", help="as JSON")
    given = options.parse(arguments)
    if given.steps is not None and given.steps < 1:
        raise WrongValue("--steps", given.steps, "give 1 or more")
    composed = prepare(given.overrides)
    file = _place(given.out, given.check, composed)

    from ..build import build, build_trainer  # after the checks: a typo is told before torch is imported
    from ..engine.quiet import hush
    from ..proof import eject

    hush()
    parts = build(composed)
    composed.cfg.logger = {}
    with tempfile.TemporaryDirectory() as folder:
        script = eject.write(composed, parts, build_trainer(composed, parts, Path(folder)), file.name)
    if not given.check:
        _write(file, script.text)
    facts = {"file": str(file), "lines": script.lines, "data_lines": script.data_lines}
    if not given.json and not given.check:
        print(f"wrote {file}: {script.lines} lines, {script.data_lines} of them the data's own source")
    steps, note = eject.steps_to_prove(script.training)
    verdict = eject.prove(given.overrides, file, given.steps or steps)
    if given.json:
        seen = {name: getattr(verdict, name) for name in ("steps", "tensors", "numbers", "equal", "different")}
        print(json.dumps({**facts, **seen}, indent=2))
    else:
        print(f"{file} and stepkit's own run: {verdict}")
        if note and not given.steps:
            print(f"note: {note}")
    return 0 if verdict.equal else 1


def _place(out: str | None, check: str | None, composed: Composed) -> Path:
    """The file to write, which must not be there yet, or the one to compare. Raises BadPlace."""
    if check:
        if not Path(check).is_file():
            raise BadPlace(f"{check}: no such file; stepkit eject --out {check} writes it")
        return Path(check)
    experiment = composed.choices.get("experiment") or "training"
    file = Path(os.path.expanduser(out or f"{experiment.rpartition('/')[2]}.py"))
    if file.suffix != ".py":
        raise BadPlace(f"{file}: a Python file is written; give a name that ends in .py")
    if file.stem in (*sys.stdlib_module_names, "torch", "torchmetrics", "numpy"):
        raise BadPlace(f"{file}: would hide the module '{file.stem}' that it imports; give --out another name")
    if file.exists():
        raise BadPlace(f"{file}: there is one already, perhaps with changes of yours; give --out another, or remove it")
    return file


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadPlace(f"{file}: cannot be written: {error.strerror}; give --out another place") from None
