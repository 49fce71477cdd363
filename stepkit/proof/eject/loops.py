"""The function that trains: the parts are made, then the loop with its five lines."""

from __future__ import annotations

from dataclasses import dataclass

from .expressions import fitted
from .reading import autocast, compared, read
from .training import MIXED, PRECISIONS, Training


@dataclass
class Make:
    """The calls that make each part."""

    model: str
    loss: str
    optimizer: str
    scheduler: str | None


def parameters(training: Training) -> str:
    """What the optimizer gets, as an expression."""
    return "groups" if training.settings.decay == "matrices" else _trained(training)


def _trained(training: Training) -> str:
    """The parameters that are trained, as an expression."""
    chosen = training.frozen or training.loss_parameters or training.settings.decay == "matrices"
    return "parameters" if chosen else "model.parameters()"


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
    if _trained(training) == "parameters":
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
    taken = read(training, "train", ", epoch, shuffle=True")
    if training.settings.accumulate > 1:
        head = f"        for number, (x, y) in enumerate({taken}, start=1):"
    else:
        head = f"        for x, y in {taken}:"
    body = _with_closure(training) if training.closure else _five_lines(training)
    if not training.closure and training.settings.accumulate == 1:
        body += ["            losses.append(loss.item())"]
    if training.scheduler == "step":
        body += ["            scheduler.step()  # the next step's learning rate"]
    return [head, *body, "            step += 1", "            if step == max_steps:", f"                {leave}"]


def _forward(training: Training, indent: str) -> list[str]:
    output, target = compared(training)
    inner = f"{indent}    " if training.precision in MIXED else indent
    lines = autocast(training, indent)
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
            f"{indent}norm = nn.utils.get_total_norm([p.grad for p in {_trained(training)} if p.grad is not None])",
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


def _clip(training: Training) -> list[str]:
    settings = training.settings
    clip = f"nn.utils.clip_grad_{settings.clip_by}_({_trained(training)}, {settings.clip!r})"
    return [clip] if settings.clip is not None else []


def _validate(training: Training, metric: str, mode: str, every: int) -> list[str]:
    indent = "        "
    lines = []
    if every > 1:
        lines += [f"{indent}if (epoch + 1) % {every} == 0:"]
        indent += "    "
    better = "<" if mode == "min" else ">"
    lines += [f"{indent}val = evaluate(model, loss_fn, {read(training, 'val')})"]
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
        lines += [f"    test = evaluate(model, loss_fn, {read(training, 'test')})"]
        lines += ['    print(*(f"{name}/test {value:.4f}" for name, value in test.items()), sep="  ")']
    return lines
