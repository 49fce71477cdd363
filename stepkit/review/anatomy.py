"""A step taken apart, for people: the same tables on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .flow import flow, gradient_flow, milliseconds, size
from .page import Html, Page, element, paragraph, table
from .tables import number

if TYPE_CHECKING:
    from ..proof.findings import Anatomy, Check

MARKS = {True: ("held", "green", "good"), False: ("FAILED", "red", "bad"), None: ("–", "dim", "soft")}


@dataclass(frozen=True)
class Sheet:
    """A table with its heading and a line about it; the first `left` columns are words."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    left: int = 1


def sheets(a: Anatomy) -> list[Sheet]:
    """Everything that was measured but the graph's tree and the checks."""
    return [_forward(a), _operations(a), _backward(a), _step(a), _phases(a), _differences(a)]


def _forward(a: Anatomy) -> Sheet:
    rows = [(f"batch {place + 1}" if len(a.batches) > 1 else "batch", shape) for place, shape in enumerate(a.batches)]
    rows += [("Ŷ = f(X)", a.output or "–"), ("loss", f"{a.loss} ({a.kind}) = {', '.join(map(number, a.losses))}")]
    rows += [("precision", f"{a.precision} on {a.device}")]
    return Sheet("forward", ("", ""), rows, left=2)


def _operations(a: Anatomy) -> Sheet:
    rows = [(kind, str(count)) for kind, count in a.graph.operations.items()]
    total = sum(a.graph.operations.values())
    return Sheet("graph", ("operation", "number"), rows, f"{total} operations, {a.graph.depth} deep")


def _backward(a: Anatomy) -> Sheet:
    rows = [
        (
            p.name,
            str(list(p.shape)),
            number(p.norm),
            number(p.gradient) if p.gradient is not None else "none" if p.trainable else "frozen",
            "" if p.zeros is None else f"{p.zeros:.1%}",
            number(p.update),
            number(p.ratio),
        )
        for p in a.parameters
    ]
    clipped = "" if a.clipped_norm is None else f", clipped to {number(a.clipped_norm)}"
    note = f"all parameters together: |∇L| = {number(a.gradient_norm)}{clipped}, |Δθ| = {number(a.update_norm)}"
    headings = ("parameter", "shape", "|θ|", "|∇L|", "zeros", "|Δθ|", "|Δθ|/|θ|")
    return Sheet("backward and optimizer step", headings, rows, note, left=2)


def _step(a: Anatomy) -> Sheet:
    rows = [
        (f"{a.optimizer}, learning rate", ", ".join(dict.fromkeys(map(number, a.lr)))),
        ("largest difference from the step in plain PyTorch", number(a.by_hand)),
        ("cosine of Δθ and −∇L", number(a.descent)),
    ]
    if a.formula is not None:
        rows.append(("largest |θ′ − (θ − η∇L)|", number(a.formula)))
    rows.append(("|∇L| after a second backward without zero_grad", f"{number(a.without_zero_grad)} times"))
    if a.accumulation is not None:
        name = f"{a.accumulation.parts} micro-batches against one batch"
        rows.append((name, f"{a.accumulation.difference:.2g} relative"))
    return Sheet("optimizer step, zero_grad, accumulation", ("", ""), rows)


def _phases(a: Anatomy) -> Sheet:
    rows = [(p.name, milliseconds(p.seconds), "" if p.peak_bytes is None else size(p.peak_bytes)) for p in a.phases]
    return Sheet("time and memory", ("phase", "time", "peak"), rows, f"peak: {a.memory}")


def _differences(a: Anatomy) -> Sheet:
    rows = [
        (
            d.name,
            str(list(d.place)) if d.place else "",
            f"{d.by_autograd:.6g}",
            f"{d.by_difference:.6g}",
            "kink" if d.kink else "rounding" if not d.error else f"{d.error:.1g}",
        )
        for d in a.differences
    ]
    headings = ("parameter", "place", "by autograd", "by difference", "error")
    return Sheet("finite differences", headings, rows, "central differences in float64 at random places", left=2)


def show(console: Console, a: Anatomy) -> None:
    """The whole anatomy on a terminal; the verdict last."""
    console.print(f"one step of {a.experiment}: {a.model}, {a.loss}, {a.optimizer}", markup=False, highlight=False)
    for sheet in sheets(a):
        _print(console, sheet)
        if sheet.title == "graph":
            for line in a.graph.tree:
                console.print(f"  {line}", markup=False, highlight=False, style="dim")
    console.print("\n[bold]checks[/bold]")
    for check in a.checks:
        word, colour, _ = MARKS[check.held]
        console.print(f"  [{colour}]{word:7}[/{colour}]{escape(check.name)}: {escape(check.told)}", highlight=False)
    style = "bold red" if a.failed else "bold green"
    console.print(f"\n{a.verdict}", style=style, markup=False, highlight=False)


def _print(console: Console, sheet: Sheet) -> None:
    console.print(
        f"\n[bold]{escape(sheet.title)}[/bold]" + (f"  [dim]{escape(sheet.note)}[/dim]" if sheet.note else "")
    )
    shown = Table(box=box.SIMPLE_HEAD if any(sheet.headings) else None, pad_edge=False, show_header=any(sheet.headings))
    for place, heading in enumerate(sheet.headings):
        shown.add_column(heading, justify="right" if place >= sheet.left else "left", overflow="fold")
    for row in sheet.rows:
        shown.add_row(*map(escape, row))
    console.print(shown)


def page(a: Anatomy) -> Page:
    """The same with pictures, as a page that a teacher could show."""
    made = Page(f"One step of {a.experiment}", lead=_lead(a))
    made.section("The flow", flow(a))
    made.section("Checks", table(("", "check", "what was seen"), [_checked(check) for check in a.checks], left=3))
    made.section("Parameters, in forward order", gradient_flow(a.parameters))
    for sheet in sheets(a):
        tree = [element("pre", "\n".join(a.graph.tree))] if sheet.title == "graph" else []
        note = [paragraph(sheet.note, class_="soft")] if sheet.note else []
        made.section(sheet.title.capitalize(), *note, table(sheet.headings, sheet.rows, left=sheet.left), *tree)
    return made


def _lead(a: Anatomy) -> Html:
    parts = element("span", f"{a.model}, {a.loss}, {a.optimizer}. ", class_="soft")
    return element("span", parts, element("span", a.verdict, class_="bad" if a.failed else "good"))


def _checked(check: Check) -> tuple[Html, str, str]:
    word, _, kind = MARKS[check.held]
    return element("span", word, class_=kind), check.name, check.told
