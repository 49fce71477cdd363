"""All checks of one experiment, in the order in which a reader wants them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache, partial

import pytorch_lightning as pl

from ...build import build
from ...config.hydra import Composed
from ...engine.quiet import hush
from ..replay import Randomness
from . import chance, checkpoint, data, determinism, evaluation, mixing, modes, movement, overfit
from .result import CannotTell, Check
from .subject import Subject, first_line


def check(composed: Composed) -> tuple[list[Check], list[str]]:
    """The checks of what a config declares, and the data's notes. Nothing is written; random numbers stay as they are.

    Raises UserError for what training would refuse as well, by the same code.
    """
    hush()
    before = Randomness.now()
    try:
        parts = build(composed)
        return look(Subject(composed, parts)), list(getattr(parts.data, "notes", ()))
    finally:
        before.put_back()


def look(subject: Subject) -> list[Check]:
    """Every check's answer. The subject's own module is left as it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what training warns of, it will say itself
        return [_told(subject, name, run) for name, run in _checks(subject)]


def _checks(subject: Subject) -> list[tuple[str, Callable[[], Check]]]:
    trained = cache(partial(movement.train_a_little, subject))
    evaluated = cache(partial(evaluation.evaluate, subject))
    return [
        (data.NAME, lambda: data.data(subject)),
        (determinism.NAME, lambda: determinism.same_seed_same_loss(subject)),
        (chance.NAME, lambda: chance.loss_at_initialisation(subject)),
        (mixing.NAME, lambda: mixing.samples_are_independent(subject)),
        (modes.NAME, lambda: modes.modes_agree(subject)),
        (movement.NAME, lambda: movement.parameters_move(subject, trained())),
        (overfit.NAME, lambda: overfit.a_few_samples_are_learnt(subject)),
        (evaluation.NAMES["val"], lambda: evaluation.split_runs(subject, "val", evaluated("val"))),
        (evaluation.NAMES["test"], lambda: evaluation.split_runs(subject, "test", evaluated("test"))),
        (
            evaluation.MONITOR,
            lambda: evaluation.monitor_is_logged(subject, evaluated("val"), _logged(subject, trained)),
        ),
        (checkpoint.NAME, lambda: checkpoint.checkpoint_round_trip(subject, trained())),
    ]


def _logged(subject: Subject, trained: Callable[[], movement.Moved]) -> list[str]:
    try:
        return list(trained().done.callback_metrics)
    except CannotTell:  # told by the check that trains
        return []


def _told(subject: Subject, name: str, run: Callable[[], Check]) -> Check:
    """A check's answer; each starts from the run's seed, so that none depends on those before it."""
    pl.seed_everything(int(subject.composed.cfg.seed), verbose=False)
    try:
        return run()
    except CannotTell as reason:
        return Check(name, None, str(reason), "not judged")
    except Exception as error:  # the model's own code may raise anything, anywhere
        return Check(name, False, f"raised {first_line(error)}", "the model or its data cannot go through this")
