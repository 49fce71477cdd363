"""One self-contained HTML page: sections of words, tables and pictures. No script, nothing from elsewhere.

Every page is built by `element`, which escapes whatever is not itself an element: text of a stranger's plugin or file
cannot become markup.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

STYLE = """
:root { color-scheme: light dark; --ink: #1c2128; --soft: #656d76; --line: #d8dee4; --paper: #ffffff; --shade: #f6f8fa;
  --blue: #2f6fde; --purple: #8250df; --amber: #b35900; --green: #1a7f37; --grey: #57606a; --red: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #8d96a0; --line: #30363d; --paper: #0d1117;
  --shade: #161b22; --blue: #58a6ff; --purple: #bc8cff; --amber: #e3963e; --green: #3fb950; --grey: #8b949e;
  --red: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1160px; padding: 40px 24px 64px; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 26px; font-weight: 600; letter-spacing: -.01em; margin: 0 0 4px; }
h2 { font-size: 17px; font-weight: 600; margin: 36px 0 8px; }
p { margin: 4px 0 10px; max-width: 80ch; } .soft { color: var(--soft); }
.good { color: var(--green); font-weight: 600; } .bad { color: var(--red); font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: var(--soft); border-bottom: 1px solid var(--line); }
td { border-bottom: 1px solid var(--line); } tr:last-child td { border-bottom: 0; }
th, td { padding: 5px 18px 5px 0; vertical-align: top; } .number { text-align: right; white-space: nowrap; }
pre { background: var(--shade); border-radius: 8px; padding: 12px 16px; overflow-x: auto; margin: 8px 0;
  font: 13px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
svg { display: block; width: 100%; height: auto; margin: 12px 0; } svg text { font-family: inherit; fill: var(--ink); }
svg .soft { fill: var(--soft); } svg .mono { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
@media print { body { padding: 0; } h2 { break-after: avoid; } }
"""
# An element without its end tag; all others get one.
VOID = ("meta", "br", "line", "rect", "path", "circle", "polyline")
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")
# What XML and HTML cannot hold at all, escaped or not.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


class Html(str):
    """Markup that `element` made: the only text that is not escaped again."""


def element(tag: str, /, *children: object, **attributes: object) -> Html:
    """`<tag attributes>children</tag>`; children that are not Html, and all values, are escaped.

    An attribute's underscore at the end is dropped (`class_`), others become hyphens (`stroke_width`); one that is
    None is left out. Raises ValueError for a tag or attribute that is no name.
    """
    names = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items() if value is not None}
    for name in (tag, *names):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of an element or attribute")
    given = "".join(f' {name}="{escaped(value)}"' for name, value in names.items())
    if tag in VOID:
        return Html(f"<{tag}{given}/>")
    return Html(f"<{tag}{given}>{''.join(map(escaped, children))}</{tag}>")


def escaped(child: object) -> str:
    return child if isinstance(child, Html) else html.escape(_CONTROL.sub("\ufffd", str(child)))


def joined(parts: Iterable[Html]) -> Html:
    """Elements one after the other."""
    return Html("".join(parts))


def paragraph(*children: object, class_: str | None = None) -> Html:
    return element("p", *children, class_=class_)


def table(headings: Sequence[object], rows: Iterable[Sequence[object]], *, left: int = 1) -> Html:
    """A table whose first `left` columns are words; the others are numbers, set flush right."""
    place = ["number" if number >= left else None for number in range(len(headings))]
    head = element("tr", *(element("th", text, class_=c) for text, c in zip(headings, place, strict=True)))
    body = [element("tr", *(element("td", cell, class_=c) for cell, c in zip(row, place, strict=True))) for row in rows]
    return element("div", element("table", element("thead", head), element("tbody", *body)), class_="scroll")


def picture(width: float, height: float, *shapes: Html, label: str) -> Html:
    """An inline SVG that fills the page's width; `label` says in words what it shows."""
    return element("svg", *shapes, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label)


@dataclass
class Page:
    """A page with a title, one line below it, and sections."""

    title: str
    lead: Html | str = ""
    sections: list[Html] = field(default_factory=list)

    def section(self, heading: str, *blocks: Html) -> Page:
        """Add one; returns the page."""
        self.sections.append(element("section", element("h2", heading), *blocks))
        return self

    def html(self) -> str:
        """The whole document."""
        head = element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("title", self.title),
            element("style", Html(STYLE)),
        )
        body = element("body", element("h1", self.title), paragraph(self.lead), *self.sections)
        return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"
