"""The functions that every file has: batches, evaluation, and the loop with its five lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .expressions import WIDTH, fitted
from .training import MIXED, PRECISIONS, Training

READERS = {"tensors": "batches", "source": "drawn_batches", "dataset": "loaded_batches"}


@dataclass
class Make:
    """The calls that make each part."""

    model: str
    loss: str
    optimizer: str
    scheduler: str | None


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


def _read(training: Training, split: str, more: str = "") -> str:
    given = f"{reader(training, split)}(data.{split}{more})"
    limit = training.limits[split]
    return given if limit is None else f"itertools.islice({given}, {limit})"


def _autocast(training: Training, indent: str) -> list[str]:
    if training.precision not in MIXED:
        return []
    dtype = MIXED[training.precision]
    return [f"{indent}with torch.autocast(DEVICE, torch.{dtype}, cache_enabled=False):"]


def _compared(training: Training) -> tuple[str, str]:
    """Prediction and target as the loss takes them."""
    # Sequences: each place counts as a sample.
    return ("prediction.flatten(0, -2)", "y.flatten()") if training.flattened else ("prediction", "y")


def evaluate(training: Training, metrics: Mapping[str, str]) -> list[str]:
    """Loss and metrics over one split."""
    output, target = _compared(training)
    seen = (f"{output}.squeeze(1)", f"{target}.squeeze(1)") if training.squeezed else (output, target)
    where = "" if training.device == '"cpu"' else ".to(DEVICE)"
    lines = ["", "", "@torch.no_grad()", "def evaluate(model, loss_fn, batches):"]
    lines += ['    """The mean loss and the metrics over the batches of a split."""']
    pairs = [f'"{name}": {made}{where}' for name, made in {"loss": "MeanMetric()", **metrics}.items()]
    one_line = f"    metrics = {{{', '.join(pairs)}}}"
    many = ["    metrics = {", *(f"        {pair}," for pair in pairs), "    }"]
    lines += [one_line] if len(one_line) <= WIDTH else many
    lines += ["    model.eval()  # no dropout; batch normalization uses what it has gathered"]
    lines += ["    for x, y in batches:", *_autocast(training, "        ")]
    inner = "            " if training.precision in MIXED else "        "
    lines += [f"{inner}prediction = model(x)"]
    lines += [f'{inner}metrics["loss"].update(loss_fn({output}, {target}), weight=len(y))']
    lines += [f'{inner}metrics["{name}"].update({seen[0]}, {seen[1]})' for name in metrics]
    lines += ["    model.train()", "    return {name: metric.compute().item() for name, metric in metrics.items()}"]
    return lines


def parameters(training: Training) -> str:
    """What the optimizer gets, as an expression."""
    if training.settings.decay == "matrices":
        return "groups"
    return "parameters" if training.frozen or training.loss_parameters else "model.parameters()"


def train(
    training: Training, make: Make, *, metric: str, mode: str, endless: bool, bounded: bool, every: int
) -> list[str]:
    """The functions `train` and `main`."""
    validates, tests = "val" in training.kinds, "test" in training.kinds
    default = "STEPS" if bounded else "None"
    lines = [
        "",
        "",
        f"def train(data, max_steps={default}):",
        '    """Returns the model and the loss after the last step',
    ]
    lines[-1] += ", and the best epoch's parameters." if validates else "."
    lines[-1] += '"""'
    lines += _made(training, make)
    best = [f'    best, score = model.state_dict(), float("{"" if mode == "min" else "-"}inf")'] if validates else []
    lines += [*best, "    step = 0"]
    lines += [
        "    for epoch in itertools.count():" if endless else "    for epoch in range(EPOCHS):",
        "        losses = []",
    ]
    lines += _loop(training, "return model, loss_fn, best" if validates else "return model, loss_fn, None")
    if training.scheduler == "epoch":
        lines += ["        scheduler.step()  # the next epoch's learning rate"]
    lines += ['        line = f"epoch {epoch + 1}  loss/train {sum(losses) / len(losses):.4f}"']
    if validates:
        lines += _validate(training, metric, mode, every)
    lines += ["        print(line)"]
    if not endless:
        lines += ["    return model, loss_fn, best" if validates else "    return model, loss_fn, None"]
    return [
        *lines,
        "",
        "",
        *_main(training, validates, tests, metric),
    ]


def _made(training: Training, make: Make) -> list[str]:
    dtype = PRECISIONS.get(training.precision)
    to = f".to(DEVICE, torch.{dtype})" if dtype else ".to(DEVICE)"
    lines = ["    random.seed(SEED)", "    np.random.seed(SEED)", "    torch.manual_seed(SEED)"]
    lines += fitted(f"    model = {make.model}{to}")
    lines += fitted(f"    loss_fn = {make.loss}{to if training.loss_tensors else ''}")
    every = "[*model.parameters(), *loss_fn.parameters()]" if training.loss_parameters else "model.parameters()"
    if training.frozen or training.settings.decay == "matrices" or training.loss_parameters:
        lines += [f"    parameters = [p for p in {every} if p.requires_grad]"]
    if training.settings.decay == "matrices":
        lines += [
            "    matrices = [p for p in parameters if p.ndim >= 2]",
            "    others = [p for p in parameters if p.ndim < 2]  # biases and norms: weight decay is not for them",
            '    groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]',
            '    groups = [group for group in groups if group["params"]]',
        ]
    lines += fitted(f"    optimizer = {make.optimizer}")
    if make.scheduler is not None:
        lines += fitted(f"    scheduler = {make.scheduler}")
    if training.precision == "16-mixed":
        lines += ["    scaler = torch.amp.GradScaler(DEVICE)  # float16 has no room for small gradients"]
    return lines


def _loop(training: Training, leave: str) -> list[str]:
    read = _read(training, "train", ", epoch, shuffle=True")
    if training.settings.accumulate > 1:
        head = f"        for number, (x, y) in enumerate({read}, start=1):"
    else:
        head = f"        for x, y in {read}:"
    body = _with_closure(training) if training.closure else _five_lines(training)
    if not training.closure and training.settings.accumulate == 1:
        body += ["            losses.append(loss.item())"]
    if training.scheduler == "step":
        body += ["            scheduler.step()  # the next step's learning rate"]
    return [head, *body, "            step += 1", "            if step == max_steps:", f"                {leave}"]


def _forward(training: Training, indent: str) -> list[str]:
    output, target = _compared(training)
    inner = f"{indent}    " if training.precision in MIXED else indent
    lines = _autocast(training, indent)
    lines += [f"{inner}prediction = model(x)  # forward"]
    return [*lines, f"{inner}loss = loss_fn({output}, {target})  # how wrong that is: one number"]


def _five_lines(training: Training) -> list[str]:
    k, scaled = training.settings.accumulate, training.precision == "16-mixed"
    indent = "            "
    loss = "loss" if k == 1 else f"(loss / {k})"
    backward = f"scaler.scale({loss.strip('()')}).backward()" if scaled else f"{loss}.backward()"
    lines = []
    if k > 1:  # at the first of the micro-batches
        lines += [
            f"{indent}if number % {k} == 1:  # a step's first batch: forget the last step's gradient",
            f"{indent}    optimizer.zero_grad()",
        ]
    else:
        lines += [f"{indent}optimizer.zero_grad()  # forget the gradient of the step before"]
    lines += [*_forward(training, indent), f"{indent}{backward}  # .grad of each parameter: which way the loss grows"]
    lines += [f"{indent}losses.append(loss.item())"] if k > 1 else []
    if k > 1:
        lines += [f"{indent}if number % {k} and number < BATCHES:  # the gradients of {k} batches add up to a step's"]
        lines += [f"{indent}    continue"]
    if scaled and (training.settings.clip is not None):
        lines += [f"{indent}scaler.unscale_(optimizer)"]
    if training.settings.nonfinite == "skip" and not scaled:
        lines += [
            f"{indent}norm = nn.utils.get_total_norm([p.grad for p in {_held(training)} if p.grad is not None])",
            f"{indent}if not (norm.isfinite() and loss.isfinite()):",
            f"{indent}    optimizer.zero_grad()  # without gradients the step changes nothing",
        ]
    lines += [f"{indent}{line}" for line in _clip(training)]
    if scaled:
        return [*lines, f"{indent}scaler.step(optimizer)", f"{indent}scaler.update()"]
    return [*lines, f"{indent}optimizer.step()  # each parameter goes a little the other way"]


def _with_closure(training: Training) -> list[str]:
    """An optimizer that evaluates the loss several times a step is handed a function that does it."""
    outer, indent = "            ", "                "
    return [
        f"{outer}def closure(x=x, y=y):",
        f"{indent}optimizer.zero_grad()",
        *_forward(training, indent),
        f"{indent}loss.backward()",
        *(f"{indent}{line}" for line in _clip(training)),
        f"{indent}return loss",
        "",
        f"{outer}losses.append(optimizer.step(closure).item())",
    ]


def _held(training: Training) -> str:
    """The parameters that the optimizer holds, in its order."""
    if training.clipped == "groups":  # a norm is a sum, and a sum's last bit depends on its order
        return '[p for group in optimizer.param_groups for p in group["params"]]'
    return "model.parameters()" if parameters(training) == "model.parameters()" else "parameters"


def _clip(training: Training) -> list[str]:
    settings = training.settings
    clip = f"nn.utils.clip_grad_{settings.clip_by}_({_held(training)}, {settings.clip!r})"
    return [clip] if settings.clip is not None else []


def _validate(training: Training, metric: str, mode: str, every: int) -> list[str]:
    indent = "        "
    lines = []
    if every > 1:
        lines += [f"{indent}if (epoch + 1) % {every} == 0:"]
        indent += "    "
    better = "<" if mode == "min" else ">"
    lines += [f"{indent}val = evaluate(model, loss_fn, {_read(training, 'val')})"]
    if training.scheduler == "plateau":
        lines += [f'{indent}scheduler.step(val["{metric}"])']
    return [
        *lines,
        f'{indent}if val["{metric}"] {better} score:',
        f'{indent}    best, score = copy.deepcopy(model.state_dict()), val["{metric}"]',
        f'{indent}line += "".join(f"  {{name}}/val {{value:.4f}}" for name, value in val.items())',
    ]


def _main(training: Training, validates: bool, tests: bool, metric: str) -> list[str]:
    lines = ["def main():", "    data = load_data()"]
    lines += [
        "    model, loss_fn, best = train(data)" if validates and tests else "    model, loss_fn, _ = train(data)"
    ]
    if validates and tests:
        lines += [f"    model.load_state_dict(best)  # of the epoch with the best {metric}/val"]
    if tests:
        lines += [f"    test = evaluate(model, loss_fn, {_read(training, 'test')})"]
        lines += ['    print(*(f"{name}/test {value:.4f}" for name, value in test.items()), sep="  ")']
    return lines
