"""Splits: deterministic, disjoint, covering, in proportion; folds leave the test part alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stepkit import Split, split
from stepkit.errors import WrongData


def everything(parts: Split) -> list[int]:
    return sorted(torch.cat(list(parts)).tolist())


@given(n=st.integers(3, 300), seed=st.integers(0, 5), classes=st.integers(0, 4))
def test_the_parts_are_disjoint_and_cover_all(n: int, seed: int, classes: int) -> None:
    strata = torch.arange(n) % classes if classes else None
    parts = split(n, seed, strata=strata)
    assert everything(parts) == list(range(n))
    assert len(parts.val) == len(parts.test) == max(1, round(0.15 * n))
    assert all(torch.equal(a, b) for a, b in zip(parts, split(n, seed, strata=strata), strict=True))


def test_seeds_give_different_splits() -> None:
    assert len({tuple(split(100, seed).test.tolist()) for seed in range(20)}) == 20


@given(counts=st.lists(st.integers(10, 80), min_size=2, max_size=5), seed=st.integers(0, 9))
def test_strata_come_in_proportion(counts: list[int], seed: int) -> None:
    strata = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    n = len(strata)
    for part in split(n, seed, strata=strata):
        for number, count in enumerate(counts):
            found = int((strata[part] == number).sum())
            assert abs(found - count * len(part) / n) <= 2


def test_without_strata_the_proportion_is_left_to_chance() -> None:
    strata = torch.arange(200) % 2
    assert any(abs(int(strata[split(200, seed).val].sum()) - 15) > 2 for seed in range(20))


def test_a_class_of_one_sample_goes_to_training() -> None:
    strata = torch.tensor([0] * 40 + [1])
    assert all(40 in split(41, seed, strata=strata).train for seed in range(20))


@given(n=st.integers(10, 120), folds=st.integers(2, 6), stratified=st.booleans())
def test_folds_cover_all_but_the_test_part_once(n: int, folds: int, stratified: bool) -> None:
    strata = torch.arange(n) % 2 if stratified else None
    cut = [split(n, 4, fold=fold, folds=folds, strata=strata) for fold in range(folds)]
    test = split(n, 4, strata=strata).test
    assert all(torch.equal(parts.test, test) for parts in cut)
    assert sorted(torch.cat([parts.val for parts in cut]).tolist()) == sorted(set(range(n)) - set(test.tolist()))
    assert all(everything(parts) == list(range(n)) for parts in cut)


def test_a_part_may_be_left_out() -> None:
    parts = split(10, 0, test=0)
    assert len(parts.test) == 0
    assert everything(parts) == list(range(10))


@pytest.mark.parametrize(
    ("n", "how"),
    [
        (0, {}),
        (2, {}),
        (10, {"val": 0.5, "test": 0.5}),
        (10, {"val": -0.1}),
        (10, {"test": 1.5}),
        (10, {"fold": 0, "folds": 20}),
        (10, {"fold": 3, "folds": 3}),
        (10, {"fold": 0}),
        (10, {"fold": 0, "folds": 1}),
        (10, {"strata": torch.zeros(9)}),
    ],
)
def test_what_leaves_a_part_empty_is_refused_in_one_line(n: int, how: dict[str, float]) -> None:
    with pytest.raises(WrongData) as caught:
        split(n, 0, **how)  # type: ignore[arg-type]
    assert len(caught.value.lines) == 1
