"""The text plugin by the data contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from stepkit.data.text import Text, documentation
from stepkit.errors import BadPlace, WrongData
from stepkit.loading.loader import loader

TEXT = "".join(chr(97 + (i * i + i // 7) % 26) for i in range(5000)) + "é\n"


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    return str(tmp_path / "a.txt")


def ready(path: str | None, fold: int | None = None, folds: int | None = None, **how: Any) -> Text:
    data = Text(path, **{"context_length": 20, **how})
    data.setup(0, fold=fold, folds=folds)
    return data


def drawn(source: Any, times: int = 30) -> list[str]:
    """Windows with the one character after each, as text."""
    characters = "".join(sorted(set(TEXT)))
    got = []
    for number in range(times):
        indices = torch.arange(len(source))
        x, y = source.batch(indices, torch.Generator().manual_seed(number))
        assert x.dtype == y.dtype == torch.int64
        assert torch.equal(x[:, 1:], y[:, :-1])
        got += [
            "".join(characters[token] for token in [*a, b[-1]]) for a, b in zip(x.tolist(), y.tolist(), strict=True)
        ]
    return got


def test_no_window_crosses_a_cut(path: str) -> None:
    data = ready(path)
    train, val, test = TEXT[:4002], TEXT[4002:4502], TEXT[4502:]
    for source, part in ((data.train, train), (data.val, val), (data.test, test)):
        assert all(window in part for window in drawn(source))


def test_training_windows_reach_both_ends_of_the_text(path: str) -> None:
    windows = set(drawn(ready(path).train, 300))
    train = TEXT[:4002]
    assert train[:21] in windows
    assert train[-21:] in windows


def test_evaluation_windows_lie_end_to_end(path: str) -> None:
    windows = drawn(ready(path).val, 1)
    assert "".join(window[:-1] for window in windows) == TEXT[4002 : 4002 + 20 * len(windows)]
    assert len(windows) == 499 // 20


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_folds_are_contiguous_and_leave_the_test_part_alone(path: str, fold: int) -> None:
    data = ready(path, fold, 3)
    val = TEXT[fold * 1501 : (fold + 1) * 1501][:1501]
    val = val[: len(TEXT[:4502]) - fold * 1501]
    pieces = TEXT[:4502].split(val)
    assert all(window in val for window in drawn(data.val))
    assert all(any(window in piece for piece in pieces) for window in drawn(data.train, 100))
    assert drawn(data.test, 1) == drawn(ready(path).test, 1)


def test_an_epoch_s_windows_follow_from_seed_and_epoch(path: str) -> None:
    batches = loader(ready(path, samples_per_epoch=64).train, "train", batch_size=16, seed=1, shuffle=True)

    def epoch(number: int) -> list[Any]:
        batches.set_epoch(number)  # type: ignore[attr-defined]
        return [x.tolist() for x, _ in batches]

    assert len(epoch(0)) == 4
    assert epoch(0) == epoch(0) != epoch(1)


def test_an_epoch_covers_the_text_about_once_by_default(path: str) -> None:
    assert len(ready(path).train) == 4002 // 20
    assert len(ready(path, samples_per_epoch=7).train) == 7


def test_the_spec_knows_the_vocabulary(path: str) -> None:
    spec = ready(path).spec
    assert (spec.task, spec.vocab_size, spec.context_length) == ("language", len(set(TEXT)), 20)
    assert "".join(spec.class_names or ()) == "".join(sorted(set(TEXT)))


def test_prepare_and_restore_work_from_the_state_alone(path: str) -> None:
    data, other = ready(path), Text(context_length=20)
    other.load_state_dict(data.state_dict())
    x = other.prepare("abcé")
    assert x.shape == (1, 4)
    assert other.restore(torch.eye(data.spec.vocab_size or 0)[x]) == ["abcé"]
    assert other.prepare(["abcd", "xy"]).tolist() == [other.prepare("cd")[0].tolist(), other.prepare("xy")[0].tolist()]
    assert other.prepare("a" * 50).shape == (1, 20)
    assert other.spec == data.spec


def test_rows_of_a_file_are_its_windows(path: str) -> None:
    data = ready(path, context_length=3)
    chunks = list(data.rows(path))
    numbers = [number for some, _ in chunks for number in some]
    text = "".join(data.spec.class_names[token] for _, x in chunks for token in x.flatten().tolist())  # type: ignore[index]
    assert text == TEXT
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_default_text_is_cpython_s_documentation() -> None:
    data = ready(None, context_length=64)
    assert len(data.train.tokens) + len(data.val.tokens) + len(data.test.tokens) == len(documentation())
    assert len(data.train) > 4000
    assert 90 < (data.spec.vocab_size or 0) < 200


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"too short", "data.context_length=20: too long for a text of 9 characters"),
        (b"caf\xe9" * 100, "not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_learnt_is_told_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(WrongData, match=words) as caught:
        ready(str(path))
    assert str(caught.value).startswith(f"data.path={path}: ")
    assert len(caught.value.lines) == 1


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(BadPlace, match=r"data\.path=.*no such file"):
        ready(str(tmp_path / "nothing.txt"))
    with pytest.raises(BadPlace, match=r"data\.path=.*is a directory"):
        ready(str(tmp_path))


def test_wrong_options_and_unknown_characters_are_told(path: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Text(context_length=0)
    with pytest.raises(WrongData, match="fold=3 of folds=3"):
        ready(path, 3, 3)
    with pytest.raises(WrongData, match="'Ω' is none of the"):
        ready(path).prepare("abΩ")
    with pytest.raises(WrongData, match="empty"):
        ready(path).prepare("")
    with pytest.raises(WrongData, match="empty"):
        ready(path).prepare([])
