"""What a person sees: TensorBoard in a real Chromium, on a real run and on a real grid of six runs.

With STEPKIT_PICTURES=docs the pages are kept as pictures there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stepkit.commands.board import deep_link

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Everything that is shown, shadow roots and frames' documents included, as text.
TEXT = """
const seen = [];
function walk(node) {
  if (node.nodeType === Node.TEXT_NODE && node.textContent.trim()) seen.push(node.textContent.trim());
  if (node.shadowRoot) walk(node.shadowRoot);
  if (node.tagName === 'IFRAME') { try { walk(node.contentDocument); } catch (e) {} }
  for (const child of node.childNodes) walk(child);
}
walk(document.body);
return seen.join('\\n');
"""


def text(browser: Any) -> str:
    return str(browser.execute_script(TEXT))


def until(browser: Any, holds: Callable[[str], bool], seconds: float = 40) -> str:
    """What is shown as soon as it holds."""
    limit = time.monotonic() + seconds
    shown = ""
    while time.monotonic() < limit:
        shown = text(browser)
        if holds(shown):
            return shown
        time.sleep(0.5)
    raise AssertionError(f"not shown within {seconds} s; the page says:\n{shown[:3000]}")


def joined(shown: str) -> str:
    """TensorBoard breaks a long tag in parts."""
    return shown.replace("\n", "")


def keep(browser: Any, name: str) -> None:
    if folder := os.environ.get("STEPKIT_PICTURES"):
        time.sleep(2)
        browser.save_screenshot(str(Path(folder, f"{name}.png")))


def rows(shown: str) -> int:
    """The runs that a page names."""
    return len({line for line in shown.splitlines() if line.startswith("digits/")})


def test_the_deep_link_opens_the_charts_that_tell_how_training_goes(chromium: Any, board: str) -> None:
    chromium.get(board + deep_link())
    shown = until(
        chromium, lambda page: all(tag in joined(page) for tag in ("loss/train", "gradient/norm", "update/ratio"))
    )
    assert "Pinned4 cards" in joined(shown)
    keep(chromium, "timeseries")


def test_the_scalars_page_shows_gradients_by_name_and_few_charts(chromium: Any, board: str) -> None:
    chromium.get(board + "?tagFilter=gradient%2Fnorm&smoothing=0#timeseries")
    until(chromium, lambda page: all(f"gradient/norm/layers.{n}" in joined(page) for n in (0, 3)))
    keep(chromium, "gradients")


def test_the_prepared_page_puts_together_what_belongs_together(chromium: Any, board: str) -> None:
    chromium.get(board + "#custom_scalars")
    until(
        chromium, lambda page: "gradient norm by layer" in page and "update ratio, and the band it should be in" in page
    )
    keep(chromium, "custom_scalars")


def test_the_flow_of_gradients_is_a_picture(chromium: Any, board: str) -> None:
    chromium.get(board + "?tagFilter=gradient%2Fflow#timeseries")
    until(chromium, lambda page: "gradient/flow" in joined(page))
    keep(chromium, "flow")


def test_histograms_and_distributions_show_gradients_weights_and_updates(chromium: Any, board: str) -> None:
    chromium.get(board + "#histograms")
    until(chromium, lambda page: "gradient" in page and "weight" in page and "update" in page)
    keep(chromium, "histograms")


def test_the_whole_grid_is_in_hparams_with_its_metrics(chromium: Any, board: str) -> None:
    chromium.get(board + "#hparams")
    values = ("optimizer.lr", "accuracy/test", "sgd", "adamw", "0.10000", "0.010000", "0.0010000")
    shown = until(chromium, lambda page: all(value in page for value in values) and rows(page) >= 7)
    assert "hp_metric" not in shown
    keep(chromium, "hparams")


def test_the_text_page_holds_the_config(chromium: Any, board: str) -> None:
    chromium.get(board + "#text")
    until(chromium, lambda page: "torch.optim:AdamW" in page)
    keep(chromium, "text")


def test_the_graph_of_the_model_is_drawn(chromium: Any, board: str) -> None:
    chromium.get(board + "#graphs")
    until(chromium, lambda page: "network" in page or "layers" in page)
    keep(chromium, "graph")
