"""The names of Lightning's Trainer options, read from its source: a misspelt one is told without importing torch."""

from __future__ import annotations

import ast
import importlib.util
from functools import lru_cache
from pathlib import Path

TARGET = "pytorch_lightning:Trainer"
# What stepkit says elsewhere, once, or fills itself: {Trainer option: what to write instead}.
ELSEWHERE = {
    "callbacks": "callback=[…]",
    "logger": "logger=…",
    "default_root_dir": "experiment and name; outputs/ holds the runs",
    "enable_checkpointing": "nothing: best.ckpt and last.ckpt are always written",
    "enable_model_summary": "nothing: the final table counts the parameters",
    "enable_progress_bar": "nothing: a plain line an epoch is printed where there is no terminal",
    "use_distributed_sampler": "nothing: stepkit's loaders share the data themselves",
}
SAME_AS = {"accumulate_grad_batches": "accumulate", "gradient_clip_val": "clip", "gradient_clip_algorithm": "clip_by"}


@lru_cache(maxsize=1)
def option_names() -> tuple[str, ...]:
    """The keyword arguments of `Trainer.__init__`."""
    spec = importlib.util.find_spec("pytorch_lightning")
    assert spec is not None and spec.origin is not None
    source = Path(spec.origin).parent / "trainer" / "trainer.py"
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == "Trainer":
            init = next(f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__")
            names = [argument.arg for argument in (*init.args.args[1:], *init.args.kwonlyargs)]
            return tuple(name for name in names if name not in ELSEWHERE)
    return ()
