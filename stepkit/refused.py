"""What a library exports and a config cannot use, with the reason: every other class of it is registered.

Names are as they would be registered: in snake case, without "LR" or "Loss".
"""

from __future__ import annotations

_OBJECTS = "needs other schedulers as objects, which a config does not hold"
_THREE_INPUTS = "needs three inputs (anchor, positive, negative), not a prediction and a target; override training_step"
_OWN_BAR = "stepkit draws its own progress bar"
_BASE = "a base class that does nothing by itself; register your subclass of it"

REFUSED: dict[str, dict[str, str]] = {
    "scheduler": {
        "chained": f"{_OBJECTS}; write a scheduler of your own that multiplies the factors",
        "lambda": "needs a function of the step; use scheduler=warmup_cosine, or register a scheduler of your own",
        "multiplicative": "needs a function of the step; use scheduler=exponential for a constant factor",
        "sequential": f"{_OBJECTS}; for a warm-up use scheduler=warmup_cosine or scheduler=one_cycle",
    },
    "loss": {
        "adaptive_log_softmax_with": "returns a tuple (output, loss), not a loss; use loss=cross_entropy",
        "cosine_embedding": "needs two inputs and a label, not a prediction and a target; override training_step",
        "ctc": "needs the lengths of inputs and targets as well; override training_step",
        "gaussian_nll": "needs a variance as well as a prediction; use loss=mse, or override training_step",
        "margin_ranking": "needs two inputs and a label, not a prediction and a target; override training_step",
        "triplet_margin": _THREE_INPUTS,
        "triplet_margin_with_distance": _THREE_INPUTS,
    },
    "callback": {
        "base_finetuning": f"{_BASE}, or use callback=backbone_finetuning",
        "base_prediction_writer": _BASE,
        "batch_size_finder": "changes an attribute of the model that stepkit does not read; set data.batch_size",
        "lambda": "needs functions; register a callback of your own",
        "learning_rate_finder": "changes an attribute of the model that stepkit does not read; use -m optimizer.lr=…",
        "progress_bar": _OWN_BAR,
        "rich_progress_bar": _OWN_BAR,
        "throughput_monitor": "needs a function of the batch; the table at a run's end shows samples a second",
        "tqdm_progress_bar": _OWN_BAR,
    },
}


def reason(group: str, name: str) -> str | None:
    """Why a class of torch or Lightning cannot be chosen, in one line; None for any other name."""
    plain = name.removesuffix("_scheduler").removesuffix("_lr").removesuffix("_loss").removesuffix("_callback")
    return REFUSED.get(group, {}).get(plain)
