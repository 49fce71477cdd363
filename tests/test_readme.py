"""The README is true: console blocks are what the commands print, files are the files, links lead somewhere."""

from __future__ import annotations

import re

import pytest

from .readme import BLOCK, README, ROOT, made, same_shape

TEXT = README.read_text(encoding="utf-8")
BLOCKS = [match.groupdict() for match in BLOCK.finditer(TEXT)]


@pytest.mark.parametrize("block", BLOCKS, ids=[block["what"] for block in BLOCKS])
def test_a_block_shows_what_happens(block: dict[str, str]) -> None:
    now = made(block["kind"], block["what"])
    if block["kind"] == "file":
        assert block["body"] == now
    else:
        assert same_shape(block["body"]) == same_shape(now)


def test_the_two_commands_stand_word_for_word() -> None:
    install = "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e"
    assert f"    {install} . && .venv/bin/stepkit\n" in TEXT
    assert f"    {install} '.[test]' && .venv/bin/pytest\n" in TEXT


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", TEXT))))
def test_a_link_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_parity_table_is_what_the_matrix_counts() -> None:
    from .proof.table import expected

    assert expected().strip() in TEXT
