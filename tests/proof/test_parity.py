"""The parity matrix: parameters after 20 steps of stepkit equal a hand-written loop's, to the last bit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest
import torch

from stepkit import plugins

from .cells import CLIP, PRECISION, REFUSED, ROWS, SCHEDULER, Cell, Row, cells, refusal
from .compare import differences, outcome
from .problems import PROBLEMS
from .sides import Trained, by_hand, fit


@pytest.mark.slow  # all together: three minutes
@pytest.mark.parametrize("cell", list(cells()), ids=str)
def test_stepkit_trains_what_the_loop_by_hand_trains_or_both_refuse(cell: Cell) -> None:
    result = outcome(cell)
    assert result.kind == ("refused" if refusal(cell) else "equal"), result.told


def test_the_matrix_is_as_large_as_the_table_says() -> None:
    reasons = Counter(found.reason if (found := refusal(cell)) else "equal" for cell in cells())
    assert reasons.pop("equal") == 855
    assert [reasons[found.reason] for found in REFUSED] == [54, 54, 18, 18, 27]
    assert len(set(cells())) == len(list(cells())) == 1026


def test_every_optimizer_that_stepkit_registers_has_a_row() -> None:
    registered = {p.name for p in plugins.everything() if p.group == "optimizer" and p.builtin}
    assert registered == {row.optimizer for row in ROWS} - {"Muon"}
    torchs = {name for name in dir(torch.optim) if isinstance(getattr(torch.optim, name), type)} - {"Optimizer"}
    references = {p.reference.partition(":")[2] for p in plugins.everything() if p.group == "optimizer" and p.builtin}
    assert torchs <= references


@pytest.mark.parametrize("row", [row for row in ROWS if not refusal(Cell(row))], ids=str)
def test_every_setting_of_a_cell_changes_what_is_trained(row: Row) -> None:
    """A setting without effect would make its cells copies of others.

    It is so for Rprop: it reads the gradient's signs, which clipping keeps, and lr at its first step alone.
    """
    plain = Cell(row)
    changed = [plain, *(replace(plain, precision=name) for name in PRECISION[1:])]
    if row.optimizer != "lbfgs":
        changed.append(replace(plain, accumulate=4))
    if row.optimizer != "rprop":
        changed += [replace(plain, scheduler=name) for name in SCHEDULER[1:]]
    if row.optimizer != "rprop" and row.problem != "sparse":
        changed += [replace(plain, clip=name) for name in CLIP[1:]]
    results = {str(cell): by_hand(cell) for cell in changed}
    for (one, first), (other, second) in combinations(results.items(), 2):
        assert parameters_differ(first, second), f"{one} and {other} train the same"


def parameters_differ(first: Trained, second: Trained) -> bool:
    return any(not torch.equal(first.state[name].double(), second.state[name].double()) for name in first.state)


@pytest.mark.parametrize("how", [["logger=tensorboard"], ["observe.every=7", "observe.flush_every=2"], ["logger=csv"]])
def test_a_run_is_the_same_however_it_is_observed(how: list[str]) -> None:
    cell = Cell(ROWS[3], accumulate=4, clip="norm")
    typed = [*PROBLEMS["net"].overrides(), *cell.overrides(), "trainer.max_epochs=-1", "trainer.max_steps=20"]
    parts, _ = fit([*typed, *how])
    expected = by_hand(cell).state
    assert all(torch.equal(tensor, expected[name]) for name, tensor in parts.module.network.state_dict().items())  # type: ignore[union-attr]


def test_clipping_and_decay_by_dimensions_leave_the_order_of_the_norm_s_sum_as_by_hand() -> None:
    """With step.decay=matrices the optimizer's groups are in another order than the model's parameters."""
    row = next(row for row in ROWS if row.optimizer == "sgd")
    cell = Cell(Row("sgd", options={**row.options, "weight_decay": 0.0}), clip="norm", precision="64-true")
    typed = [*PROBLEMS["net"].overrides(), *cell.overrides(), "trainer.max_epochs=-1", "trainer.max_steps=20"]
    parts, _ = fit([*typed, "step.decay=matrices", "logger=null"])
    got = {name: tensor.detach() for name, tensor in parts.module.network.state_dict().items()}  # type: ignore[union-attr]
    expected = by_hand(cell)
    assert differences(Trained(got, expected.losses, expected.rates), expected) == []
