"""The functions that read and look: the batches of an epoch, and the evaluation of a split."""

from __future__ import annotations

from collections.abc import Mapping

from .expressions import WIDTH
from .training import MIXED, PRECISIONS, Training

READERS = {"tensors": "batches", "source": "drawn_batches", "dataset": "loaded_batches"}


def reader(training: Training, split: str) -> str:
    """The name of the function that gives a split's batches."""
    kinds = set(training.kinds.values())
    return "batches" if len(kinds) == 1 else READERS[training.kinds[split]]


def batches(training: Training) -> list[str]:
    """The function, or functions, that give the batches of an epoch."""
    lines: list[str] = []
    for kind in dict.fromkeys(training.kinds.values()):
        split = next(split for split in training.kinds if training.kinds[split] == kind)
        lines += ["", "", f"def {reader(training, split)}(split, epoch=0, shuffle=False):", *_READ[kind]]
        lines += [f"        yield {_placed('x', training, 0)}, {_placed('y', training, 1)}"]
    return lines


_ORDER = ["    order = torch.randperm(n, generator=generator_from(SEED, epoch)) if shuffle else torch.arange(n)"]
_READ = {
    "tensors": [
        '    """The batches (x, y) of an epoch."""',
        "    n = len(split[0])",
        *_ORDER,
        "    for rows in order.split(BATCH_SIZE):",
        "        x, y = split[0][rows], split[1][rows]",
    ],
    "source": [
        '    """The batches (x, y) of an epoch; what is random in one is drawn from a generator of its own."""',
        "    n = len(split)",
        *_ORDER,
        "    for number, rows in enumerate(order.split(BATCH_SIZE)):",
        "        x, y = split.batch(rows, generator_from(SEED, epoch, number))",
    ],
    "dataset": [
        '    """The batches (x, y) of an epoch. Each item has random numbers of its own, whoever loads it and when."""',
        "    n = len(split)",
        *_ORDER,
        "    for first in range(0, n, BATCH_SIZE):",
        "        before = random.getstate(), np.random.get_state(), torch.get_rng_state()",
        "        items = []",
        "        for position in range(first, min(first + BATCH_SIZE, n)):",
        "            seed = seed_from(SEED, epoch, position)",
        "            random.seed(seed)",
        "            np.random.seed(seed & 0xFFFFFFFF)",
        "            torch.default_generator.manual_seed(seed)",
        "            items.append(split[int(order[position])])",
        "        random.setstate(before[0])",
        "        np.random.set_state(before[1])",
        "        torch.set_rng_state(before[2])",
        "        x, y = default_collate(items)",
    ],
}


def _placed(name: str, training: Training, position: int) -> str:
    dtype = PRECISIONS.get(training.precision)
    return f"{name}.to(DEVICE, torch.{dtype})" if dtype and training.floats[position] else f"{name}.to(DEVICE)"


def read(training: Training, split: str, more: str = "") -> str:
    """An expression for the batches of a split that are used."""
    given = f"{reader(training, split)}(data.{split}{more})"
    limit = training.limits[split]
    return given if limit is None else f"itertools.islice({given}, {limit})"


def autocast(training: Training, indent: str) -> list[str]:
    """The context of a mixed precision, if there is one."""
    if training.precision not in MIXED:
        return []
    dtype = MIXED[training.precision]
    return [f"{indent}with torch.autocast(DEVICE, torch.{dtype}, cache_enabled=False):"]


def compared(training: Training) -> tuple[str, str]:
    """Prediction and target as the loss takes them."""
    # Sequences: each place counts as a sample.
    return ("prediction.flatten(0, -2)", "y.flatten()") if training.flattened else ("prediction", "y")


def evaluate(training: Training, metrics: Mapping[str, str]) -> list[str]:
    """Loss and metrics over one split."""
    output, target = compared(training)
    seen = (f"{output}.squeeze(1)", f"{target}.squeeze(1)") if training.squeezed else (output, target)
    where = "" if training.device == '"cpu"' else ".to(DEVICE)"
    lines = ["", "", "@torch.no_grad()", "def evaluate(model, loss_fn, batches):"]
    lines += ['    """The mean loss and the metrics over the batches of a split."""']
    pairs = [f'"{name}": {made}{where}' for name, made in {"loss": "MeanMetric()", **metrics}.items()]
    one_line = f"    metrics = {{{', '.join(pairs)}}}"
    many = ["    metrics = {", *(f"        {pair}," for pair in pairs), "    }"]
    lines += [one_line] if len(one_line) <= WIDTH else many
    lines += ["    model.eval()  # no dropout; batch normalization uses what it has gathered"]
    lines += ["    for x, y in batches:", *autocast(training, "        ")]
    inner = "            " if training.precision in MIXED else "        "
    lines += [f"{inner}prediction = model(x)"]
    lines += [f'{inner}metrics["loss"].update(loss_fn({output}, {target}), weight=len(y))']
    lines += [f'{inner}metrics["{name}"].update({seen[0]}, {seen[1]})' for name in metrics]
    lines += ["    model.train()", "    return {name: metric.compute().item() for name, metric in metrics.items()}"]
    return lines
