"""Run some steps of a written file, in a process of its own, in which stepkit cannot be imported.

Arguments: the file, optimizer steps, where to leave the parameters, threads, and folders to import from.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch


class NoStepkit(importlib.abc.MetaPathFinder):
    """A finder that refuses: a file that leaves stepkit behind must run without it."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] == "stepkit":
            raise ImportError(f"{name}: a plain file does without")


def main(file: str, steps: str, left: str, threads: str, *folders: str) -> None:
    sys.meta_path.insert(0, NoStepkit())
    sys.path[:0] = [str(Path(file).parent), *folders]
    torch.set_num_threads(int(threads))
    spec = importlib.util.spec_from_file_location("ejected", file)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules["ejected"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    model, loss, _ = module.train(module.load_data(), max_steps=int(steps))
    state = {f"network.{name}": tensor for name, tensor in model.state_dict().items()}
    if isinstance(loss, torch.nn.Module):
        state |= {f"loss.{name}": tensor for name, tensor in loss.state_dict().items()}
    torch.save({name: tensor.cpu() for name, tensor in state.items()}, left)


if __name__ == "__main__":
    main(*sys.argv[1:])
