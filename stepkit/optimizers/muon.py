"""Muon for a whole model: matrices by Muon, all else by AdamW, in one optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import ParamsT


class Muon(torch.optim.Optimizer):
    """torch.optim.Muon takes matrices only; this gives it those and hands everything else to torch.optim.AdamW.

    A matrix is a parameter of two dimensions, embeddings included; biases, norms and convolutions go to AdamW.
    Each given parameter group becomes up to two, so that schedulers and groups with a weight decay of their own
    work as with any optimizer.

    Args:
        lr: learning rate of both.
        adamw_lr: learning rate of AdamW, where it shall be another one.
        weight_decay: decoupled weight decay of both.
        momentum, nesterov, ns_coefficients, ns_steps: as in torch.optim.Muon.
        adjust_lr_fn: "match_rms_adamw" scales a matrix's update to the size of AdamW's, so that one learning rate
            serves both (Liu et al. 2025, "Muon is Scalable for LLM Training", section 2.2); "original" is torch's
            own default (Jordan et al. 2024, "Muon: An optimizer for hidden layers").
        betas, fused: as in torch.optim.AdamW.

    Raises:
        ValueError: a value that torch's Muon or AdamW refuses.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        ns_steps: int = 5,
        adjust_lr_fn: str | None = "match_rms_adamw",
        adamw_lr: float | None = None,
        betas: tuple[float, float] = (0.9, 0.999),
        fused: bool | None = None,
    ) -> None:
        self._matrix_options: dict[str, Any] = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        self._other_options: dict[str, Any] = {
            "lr": lr if adamw_lr is None else adamw_lr,
            "weight_decay": weight_decay,
            "betas": betas,
            "fused": fused,
        }
        self._parts: list[torch.optim.Optimizer] = []
        # Schedulers that cycle the momentum look here whether there is one; all other defaults come from the parts.
        super().__init__(params, {"momentum": momentum})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group's matrices and its other parameters as a group each."""
        params = param_group["params"]
        params = [params] if isinstance(params, torch.Tensor) else list(params)
        for wanted in (True, False):
            part = [entry for entry in params if _is_matrix(entry) == wanted]
            if part:
                super().add_param_group({**param_group, "params": part})
        self._share()

    def _share(self) -> None:
        """Let torch's two optimizers work on this one's own groups and state: there is nothing to keep equal."""
        matrices = [group for group in self.param_groups if _is_matrix(group["params"][0])]
        others = [group for group in self.param_groups if not _is_matrix(group["params"][0])]
        # Each completes its groups with the options it is given; without any group it cannot be made.
        self._parts = [torch.optim.Muon(matrices, **self._matrix_options)] if matrices else []
        self._parts += [torch.optim.AdamW(others, **self._other_options)] if others else []
        for part in self._parts:
            part.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of both. Returns the closure's loss, if there is a closure."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss

    def __getstate__(self) -> dict[str, Any]:
        options = {"_matrix_options": self._matrix_options, "_other_options": self._other_options}
        return {**super().__getstate__(), **options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Loading a checkpoint, unpickling and copying all replace the groups and the state.
        super().__setstate__(state)
        self._share()


def _is_matrix(entry: Any) -> bool:
    """Whether a parameter, alone or as (name, parameter), has two dimensions."""
    return bool((entry[1] if isinstance(entry, tuple) else entry).ndim == 2)
