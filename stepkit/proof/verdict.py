"""What must hold in any step, each with the fault it names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from .findings import Accumulation, Check, Difference, few

Tensors = Mapping[str, Tensor]
DIFFERENCE = 1e-5  # relative error of a gradient in float64 against finite differences


def finite(losses: Iterable[float], gradients: Tensors) -> Check:
    bad = [name for name, gradient in gradients.items() if not torch.isfinite(gradient).all()]
    losses = list(losses)
    wrong = [] if all(torch.isfinite(torch.tensor(losses))) else [f"the loss ({', '.join(f'{v:g}' for v in losses)})"]
    if bad:
        wrong.append(f"the gradient of {few(bad)}")
    return Check(
        "finite", not wrong, f"not finite: {' and '.join(wrong)}" if wrong else "loss and gradients are finite"
    )


def gradient_reaches(module: nn.Module, gradients: Tensors) -> Check:
    """Each trainable parameter gets a gradient."""
    trainable = [name for name, p in module.named_parameters() if p.requires_grad]
    without = [name for name in trainable if name not in gradients]
    told = f"{len(trainable)} of {len(trainable)} trainable parameters get one"
    if without:
        told = f"none reaches {few(without)}, though trainable: detached, or not used in the forward pass"
    return Check("gradient", not without, told)


def given_to_optimizer(module: nn.Module, optimizer: torch.optim.Optimizer) -> Check:
    """Each trainable parameter is the optimizer's."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    left_out = [name for name, p in module.named_parameters() if p.requires_grad and id(p) not in held]
    told = f"{type(optimizer).__name__} holds all trainable parameters"
    if left_out:
        told = f"{few(left_out)} not given to {type(optimizer).__name__}, which would never move it"
    return Check("optimizer", not left_out, told)


def moves(
    module: nn.Module, optimizer: torch.optim.Optimizer, gradients: Tensors, changes: Tensors, steps: int
) -> Check:
    """Each parameter that the optimizer holds and that has a gradient is changed.

    Args:
        changes: Δθ after `steps` steps: some optimizers use their first ones to warm up.
    """
    rates = {id(p): group.get("lr", 1.0) for group in optimizer.param_groups for p in group["params"]}
    if rates and not any(float(rate) for rate in rates.values()):
        return Check("moves", None, "the learning rate is 0 at the first step")
    named = [(name, p) for name, p in module.named_parameters() if name in gradients and float(rates.get(id(p), 0.0))]
    still = [name for name, _ in named if gradients[name].any() and not changes[name].any()]
    if still and len(still) == len([name for name, _ in named if gradients[name].any()]):
        return Check("moves", False, f"{type(optimizer).__name__} changes no parameter: it does not use its gradient")
    if still:
        return Check("moves", False, f"{few(still)} not changed by {type(optimizer).__name__}, in spite of a gradient")
    late = f", after {steps} steps (the first ones change nothing)" if steps > 1 else ""
    return Check("moves", True, f"every parameter with a gradient changes{late}")


def downhill(name: str, cosine: float | None) -> Check:
    """The step goes against the gradient: the first step of an optimizer that has no history yet."""
    if cosine is None:
        return Check("direction", None, "no gradient or no change to compare")
    if cosine < 0:
        told = f"{name} climbs: Δθ points along +∇L (cosine {-cosine:.3g}), the loss rises; is a sign wrong?"
        return Check("direction", False, told)
    return Check("direction", cosine > 0, f"Δθ goes downhill, cosine with −∇L {cosine:.3g}")


def equal_by_hand(difference: float, device: str) -> Check:
    """What stepkit's run did is what plain PyTorch does."""
    told = "stepkit's step equals the one in plain PyTorch to the last bit"
    if difference:
        told = f"stepkit's step differs from the one in plain PyTorch by up to {difference:.3g} ({device})"
    return Check("by hand", difference == 0.0, told)


def formula(largest: float | None, allowed: float) -> Check:
    """θ' = θ − η ∇L, for plain SGD."""
    if largest is None:
        return Check("formula", None, "written out for plain SGD only")
    return Check("formula", largest <= allowed, f"|θ' − (θ − η∇L)| is at most {largest:.3g} (rounding: {allowed:.1g})")


def zeroed(module: nn.Module) -> Check:
    """After zero_grad no gradient is left."""
    left = [name for name, p in module.named_parameters() if p.grad is not None and bool(p.grad.to_dense().any())]
    told = (
        f"{few(left)} keeps its gradient, which adds to the next step's" if left else "every gradient is None or zero"
    )
    return Check("zero_grad", not left, told)


def doubles(ratio: float | None, largest: float, allowed: float) -> Check:
    """Without zero_grad the same batch once more gives twice the gradient: the model is the same after a pass."""
    if ratio is None:
        return Check("twice", None, "no gradient to double")
    if largest <= allowed:
        return Check("twice", True, f"without zero_grad a second backward gives {ratio:.4g} times the gradient")
    told = f"a second backward on the same batch gives {ratio:.4g} times the gradient, not 2: the model keeps state"
    return Check("twice", False, f"{told} between passes that is no buffer, or draws random numbers outside torch")


def accumulated(found: Accumulation | None, accumulate: int, allowed: float) -> Check:
    """k micro-batches give the gradient of one batch of them all, where loss and model treat samples one by one."""
    if found is None:
        return Check("accumulation", None, "the batches cannot be joined or cut")
    which = f"{found.parts} micro-batches" if accumulate > 1 else f"the batch in {found.parts} halves"
    told = f"{which} against one batch: relative difference {found.difference:.2g}"
    if found.difference <= allowed:
        return Check("accumulation", True, told)
    if found.reasons or accumulate == 1:
        why = "; ".join(found.reasons) or "the loss or the model mixes the samples of a batch"
        return Check("accumulation", None, f"{told}, not exact: {why}")
    return Check("accumulation", False, f"{told}; the loss or the model mixes the samples of a batch")


def agrees(differences: list[Difference], refused: str) -> Check:
    """Autograd's gradient is that of the loss."""
    if refused:
        return Check("finite differences", None, refused)
    judged = [d for d in differences if not d.kink]
    kinks = len(differences) - len(judged)
    skipped = f", {kinks} at kinks skipped" if kinks else ""
    if not judged:
        return Check("finite differences", None, f"all {kinks} places are at kinks of the loss")
    wrong = [d for d in judged if not d.error <= DIFFERENCE]
    if not wrong:
        worst = max(d.error for d in judged)
        return Check("finite differences", True, f"{len(judged)} places agree to {max(worst, DIFFERENCE):.0e}{skipped}")
    names = few(list(dict.fromkeys(d.name for d in wrong)))
    first = max(wrong, key=lambda d: d.error)
    seen = f"by autograd {first.by_autograd:.6g}, by difference {first.by_difference:.6g}"
    told = f"the gradient of {names} is wrong: {seen}"
    return Check("finite differences", False, told + skipped)
