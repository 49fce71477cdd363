"""The same in Python: run, load, runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import plugins
from .errors import UnknownKey, WrongValue
from .record.files import read_json
from .record.find import all_runs, find_run

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from .config.project import Project
    from .diagnosis import Finding
    from .spec import DataSpec


class Run:
    """A run's directory, read.

    Attributes:
        path: its directory.
        status: running, finished, failed, pruned or interrupted.
        metrics: the last value of each metric by its tag, as `accuracy/test`.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @property
    def record(self) -> dict[str, Any]:
        """All of run.json, as it stands now. Raises BadPlace."""
        return read_json(self.path / "run.json")

    @property
    def status(self) -> str:
        return str(self.record["status"])

    @property
    def metrics(self) -> dict[str, float]:
        return dict(self.record["metrics"])

    @property
    def config(self) -> DictConfig:
        """What ran; values from the environment are still `${oc.env:…}`."""
        from omegaconf import OmegaConf

        return OmegaConf.load(self.path / "config.yaml")  # type: ignore[return-value]

    def doctor(self) -> list[Finding]:
        """What is wrong with the training: what and where, why it matters, one thing to try."""
        from .diagnosis import findings

        return findings(self.path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, status={self.status!r})"

    def _repr_html_(self) -> str:
        from .review.tables import run_html

        return run_html(self.record, self.path)


def run(*overrides: str, **parts: str | Callable[..., Any] | None) -> Run:
    """Train, as `stepkit` with the same overrides does.

    Args:
        overrides: as on the command line, `"optimizer.lr=0.01"`.
        parts: a group's plugin by name, or a class or factory at hand: `model=MyNet`.

    Raises:
        UserError: something given is wrong; nothing was written.
        RunFailed: training itself failed; its directory says why.
    """
    from . import training
    from .config.prepare import prepare

    typed = [*overrides, *(_choice(group, part) for group, part in parts.items())]
    result = training.run(prepare(typed))
    return Run(result.directory.path)


def _choice(group: str, part: str | Callable[..., Any] | None) -> str:
    if group not in (*plugins.GROUPS, "experiment", "trainer"):
        raise UnknownKey(group, (*plugins.GROUPS, "experiment", "trainer"))
    if part is None or isinstance(part, str):
        return f"{group}={'null' if part is None else part}"
    if group not in plugins.GROUPS or not callable(part) or not hasattr(part, "__name__"):
        raise WrongValue(group, type(part).__name__, "a name, a class or a function that makes the object is wanted")
    return f"{group}={plugins.hand_over(group, part)}"


def load(run: Run | str | Path) -> Trained:
    """The best model of a run, ready to use: a Run, a path, the start of an id, or `last`."""
    return Trained(Run(run.path if isinstance(run, Run) else find_run(run, _outputs())))


def runs() -> list[Run]:
    """All runs below `outputs/`, newest first."""
    return [Run(path) for path in all_runs(_outputs())]


def _outputs() -> Path:
    project: Project
    from .config.project import find_project

    project = find_project()
    return project.outputs


class Trained:
    """A trained model with the run's own preparation.

    Attributes:
        module: the network in eval mode; takes prepared tensors.
        spec: what the data knew.
    """

    def __init__(self, run: Run, checkpoint: str = "best") -> None:
        from .restore import restore

        self.run = run
        self.module, self.data, self.spec = restore(run.path, checkpoint)

    spec: DataSpec | None

    def predict(self, raw: Any) -> Any:
        """Labels, numbers in the target's unit, or text, for raw inputs; prepared as the run prepared its own."""
        import torch

        with torch.inference_mode():
            return self.data.restore(self.module(self.data.prepare(raw)))
