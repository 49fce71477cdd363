"""stepkit's own sections of a config: what belongs to no plugin. Checked by their type hints, as plugins are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt


@dataclass(frozen=True)
class Monitor:
    """What counts as better; said once. Fills early stopping, ReduceLROnPlateau and `best`.

    Args:
        metric: a logged name, as `accuracy/val`; auto follows the data's task.
        mode: whether less or more of it is better; auto follows the metric.
    """

    metric: str = "auto"
    mode: Literal["auto", "min", "max"] = "auto"


@dataclass(frozen=True)
class StepSettings:
    """The one training step.

    Args:
        accumulate: micro-batches an optimizer step; the loss of each is divided by it.
        clip: largest gradient norm (or value); null clips nothing.
        clip_by: what is clipped: the norm of all gradients together, or each value.
        decay: weight decay on all parameters, or on matrices only (not on biases and norms).
        nonfinite: what a loss or gradient that is NaN or infinite does: end the run before the optimizer step, skip
            the step (parameters and optimizer state stay as they are), or nothing.
        nonfinite_limit: skipped steps in a row after which the run ends all the same.
        nonfinite_sync: on an accelerator, check before every step, which waits for the device; else the run ends
            within one observe.flush_every, naming the exact step.
        scheduler_interval: whether the scheduler steps by step or by epoch; auto: by step if it knows total_steps.
    """

    accumulate: Annotated[int, Ge(1)] = 1
    clip: Annotated[float, Gt(0)] | None = None
    clip_by: Literal["norm", "value"] = "norm"
    decay: Literal["all", "matrices"] = "all"
    nonfinite: Literal["raise", "skip", "ignore"] = "raise"
    nonfinite_limit: Annotated[int, Ge(1)] = 10
    nonfinite_sync: bool = False
    scheduler_interval: Literal["auto", "step", "epoch"] = "auto"


@dataclass(frozen=True)
class Observe:
    """What is read from the steps.

    Args:
        every: optimizer steps between two observations of loss, learning rate and gradient norms; 1 sees every step.
        statistics_every: optimizer steps between two looks at weights, updates, layers and activations; 0: never.
        histograms: how often at most the distributions of gradients, weights and updates are written, at steps
            1, 2, 4, 8, …; 0: never.
        whole_model_every: optimizer steps between two cards of all parameters' log2 norms; 0: never.
        activations: look at the shares of dead and saturated units.
        per_parameter: a scalar chart a parameter, instead of one a layer.
        flush_every: observed steps after which they are fetched from the device and written.
    """

    every: Annotated[int, Ge(1)] = 1
    statistics_every: Annotated[int, Ge(0)] = 10
    histograms: Annotated[int, Ge(0)] = 20
    whole_model_every: Annotated[int, Ge(0)] = 50
    activations: bool = True
    per_parameter: bool = False
    flush_every: Annotated[int, Ge(1)] = 100


@dataclass(frozen=True)
class DataSettings:
    """What stepkit itself reads in the `data` section, beside the plugin's options.

    Args:
        batch_size: samples a batch, in each process.
        num_workers: processes that load samples of a torch Dataset; 0 loads them in this one.
        pin_memory: keep batches in page-locked memory, for faster copies to a GPU.
        split_seed: seed of the split into train, val and test; apart from `seed`, so that runs compare.
    """

    batch_size: Annotated[int, Ge(1)] = 32
    num_workers: Annotated[int, Ge(0)] = 0
    pin_memory: bool = False
    split_seed: int = 0


SECTIONS: dict[str, type] = {"monitor": Monitor, "step": StepSettings, "observe": Observe}
PLAIN = ("experiment", "name", "tags", "notes", "seed", "trusted")
