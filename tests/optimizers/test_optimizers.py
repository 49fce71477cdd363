"""Every optimizer trains, every scheduler steers it, and Muon is torch's Muon and AdamW together."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stepkit import plugins
from stepkit.optimizers.muon import Muon


def builtin(group: str) -> list[str]:
    """The names that stepkit itself registers in a group."""
    return sorted(p.name for p in plugins.everything() if p.group == group and p.builtin)


def problem() -> nn.Module:
    """A small network with matrices, vectors and a convolution's four dimensions."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 3))


def squared_output(model: nn.Module, seed: int = 1) -> Tensor:
    out: Tensor = model(torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(seed)))
    return (out - 1).square().mean()


def descend(model: nn.Module, *optimizers: torch.optim.Optimizer, steps: int = 5, first: int = 0) -> list[float]:
    """The losses of some steps that all given optimizers take together."""
    losses = []
    for step in range(first, first + steps):
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = squared_output(model, step)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", sorted(set(builtin("optimizer")) - {"lbfgs", "sparse_adam"}))
def test_an_optimizer_with_its_defaults_moves_every_parameter(name: str) -> None:
    model = problem()
    before = copy.deepcopy(model)
    descend(model, plugins.find("optimizer", name).load()(model.parameters()))
    assert all(not torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True))


def test_lbfgs_lowers_the_loss_through_its_closure() -> None:
    model = problem()
    optimizer = plugins.find("optimizer", "lbfgs").load()(model.parameters(), lr=0.1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = squared_output(model)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    before = squared_output(model).item()
    optimizer.step(closure)
    assert squared_output(model).item() < before


def test_sparse_adam_trains_an_embedding_with_sparse_gradients() -> None:
    embedding = nn.Embedding(5, 2, sparse=True)
    before = embedding.weight.detach().clone()
    optimizer = plugins.find("optimizer", "sparse_adam").load()(embedding.parameters())
    embedding(torch.tensor([1, 3])).sum().backward()
    optimizer.step()
    assert (embedding.weight != before).any(dim=1).tolist() == [False, True, False, True, False]


SCHEDULER_OPTIONS: dict[str, dict[str, Any]] = {
    "constant": {"total_iters": 2},
    "cosine_annealing": {"T_max": 6},
    "cosine_annealing_warm_restarts": {"T_0": 4},
    "cyclic": {"base_lr": 0.01, "max_lr": 0.2},
    "exponential": {"gamma": 0.9},
    "linear": {},
    "multi_step": {"milestones": [2, 4]},
    "one_cycle": {"max_lr": 0.2, "total_steps": 6},
    "polynomial": {},
    "reduce_lr_on_plateau": {"patience": 1},
    "step": {"step_size": 2},
    "warmup_cosine": {"total_steps": 6, "warmup_steps": 2},
}


@pytest.mark.parametrize("optimizer_class", [torch.optim.SGD, Muon])
@pytest.mark.parametrize("name", builtin("scheduler"))
def test_a_scheduler_changes_the_learning_rate_of_every_group(
    name: str, optimizer_class: type[torch.optim.Optimizer]
) -> None:
    model = problem()
    optimizer = optimizer_class(model.parameters(), lr=0.1, momentum=0.9)  # type: ignore[call-arg]
    scheduler = plugins.find("scheduler", name).load()(optimizer, **SCHEDULER_OPTIONS[name])
    rates = []
    for _ in range(6):
        rates.append([group["lr"] for group in optimizer.param_groups])
        descend(model, optimizer, steps=1)
        scheduler.step(*([1.0] if name == "reduce_lr_on_plateau" else []))
    for of_group in zip(*rates, strict=True):
        assert len({round(rate, 12) for rate in of_group}) > 1
        assert all(math.isfinite(rate) and rate >= 0 for rate in of_group)


# Muon


def parts(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    params = list(model.parameters())
    return [p for p in params if p.ndim == 2], [p for p in params if p.ndim != 2]


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
def test_muon_equals_torchs_muon_on_the_matrices_and_adamw_on_the_rest_bit_for_bit(adjust: str) -> None:
    ours, reference = problem(), problem()
    start = copy.deepcopy(ours)
    matrices, others = parts(reference)
    assert len(matrices) == 2 and len(others) == 6
    losses = descend(ours, Muon(ours.parameters(), lr=0.02, weight_decay=0.05, adjust_lr_fn=adjust, adamw_lr=0.003))
    wanted = descend(
        reference,
        torch.optim.Muon(matrices, lr=0.02, weight_decay=0.05, adjust_lr_fn=adjust),
        torch.optim.AdamW(others, lr=0.003, weight_decay=0.05),
    )
    assert losses == wanted and len(set(losses)) == 5
    assert same(ours, reference) and not same(ours, start)


def test_muon_goes_on_from_its_state_to_the_same_bit() -> None:
    whole, broken = problem(), problem()
    descend(whole, Muon(whole.parameters(), lr=0.02), steps=6)
    first = Muon(broken.parameters(), lr=0.02)
    descend(broken, first, steps=3)
    saved = copy.deepcopy(first.state_dict())
    resumed = Muon(broken.parameters(), lr=0.5)
    resumed.load_state_dict(saved)
    descend(broken, resumed, steps=3, first=3)
    assert same(whole, broken)


def test_without_its_state_muon_would_go_another_way() -> None:
    whole, broken = problem(), problem()
    descend(whole, Muon(whole.parameters(), lr=0.02), steps=6)
    descend(broken, Muon(broken.parameters(), lr=0.02), steps=3)
    descend(broken, Muon(broken.parameters(), lr=0.02), steps=3, first=3)
    assert not same(whole, broken)


def test_a_copied_muon_keeps_its_options_and_steps_its_own_parameters() -> None:
    model = problem()
    descend(model, optimizer := Muon(model.parameters(), lr=0.02, adamw_lr=0.003))
    twin, twins_optimizer = copy.deepcopy((model, optimizer))
    extra = nn.Linear(2, 2)
    twins_optimizer.add_param_group({"params": list(extra.parameters())})
    assert [group["lr"] for group in twins_optimizer.param_groups] == [0.02, 0.003, 0.02, 0.003]
    descend(model, optimizer, steps=2)
    assert not same(model, twin)
    descend(twin, twins_optimizer, steps=2)
    assert same(model, twin)


def test_muon_keeps_a_groups_own_options_and_names() -> None:
    model = problem()
    named = list(model.named_parameters())
    groups: list[dict[str, Any]] = [{"params": named[:4], "weight_decay": 0.0}, {"params": named[4:]}]
    optimizer = Muon(groups, weight_decay=0.2)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0, 0.0, 0.2, 0.2]
    assert [group["param_names"] for group in optimizer.param_groups] == [
        ["2.weight"],
        ["0.weight", "0.bias", "2.bias"],
        ["5.weight"],
        ["3.weight", "3.bias", "5.bias"],
    ]


@pytest.mark.parametrize("params", [[(4, 3)], [(3,)]], ids=["matrices only", "vectors only"])
def test_muon_takes_parameters_of_one_kind(params: list[tuple[int, ...]]) -> None:
    values = [nn.Parameter(torch.ones(shape)) for shape in params]
    optimizer = Muon(values)
    values[0].grad = torch.rand_like(values[0])
    optimizer.step()
    assert not torch.equal(values[0], torch.ones_like(values[0]))


def test_muon_refuses_what_torch_refuses() -> None:
    with pytest.raises(ValueError, match="nan"):
        Muon(problem().parameters(), lr=math.nan)
    with pytest.raises(ValueError, match="nonsense"):
        Muon(problem().parameters(), adjust_lr_fn="nonsense")
