"""The README's blocks: `python -m tests.readme` writes them anew; test_readme.py holds them to what happens now.

`<!-- console: COMMAND -->` before a block runs COMMAND in an empty folder; `<!-- file: PATH -->` copies a file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"<!-- (?P<kind>console|file): (?P<what>.+?) -->\n```\w*\n(?P<body>.*?)```", re.DOTALL)


def made(kind: str, what: str) -> str:
    """What a block should hold now."""
    if kind == "file":
        return (ROOT / what).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        ran = subprocess.run(
            ["bash", "-c", what], cwd=folder, env={**os.environ, "PATH": path}, text=True, timeout=240,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    lines = [line.rstrip() for line in ran.stdout.strip("\n").splitlines()]
    return "\n".join([f"$ {what}", *lines]) + "\n"


def same_shape(text: str) -> str:
    """Without what differs from machine to machine: numbers, ids, the widths that follow from them."""
    text = re.sub(r"\d{8}-\d{6}-[0-9a-f]{6}", "ID", text)
    text = re.sub(r"board [0-9a-f]{6}", "board ID", text)
    text = re.sub(r"\d+(\.\d+)?(e-?\d+)?( min \d+)? ?(s|min)?\b", "N", text)
    return re.sub(r"[ ─]+", " ", text.replace(",", ""))


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    for block in list(BLOCK.finditer(text)):
        fence = block.group(0).partition("```")[2].partition("\n")[0]
        new = f"<!-- {block['kind']}: {block['what']} -->\n```{fence}\n{made(block['kind'], block['what'])}```"
        text = text.replace(block.group(0), new)
    README.write_text(text, encoding="utf-8")
