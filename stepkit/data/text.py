"""The characters of any text file, for language modelling."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from stepkit import DataSpec
from stepkit.errors import BadPlace, WrongData

CHUNK = 256  # windows


class Text:
    """Windows x [N, context_length] of a text, and y of the same shape: the character after each one of x.

    Training, validation and test are contiguous cuts of the text (80, 10 and 10 %, in this order; with folds the
    test stays, and the rest is cut into folds), whatever the seed. No window crosses a cut. Training windows start
    anywhere, drawn anew for each batch; validation and test windows lie end to end. The vocabulary is that of the
    whole file.

    Args:
        path: a text file in UTF-8; without it CPython's own documentation of the language (0.46 million characters).
        context_length: characters in a window.
        samples_per_epoch: training windows an epoch; without it as many as would cover the training text once.
    """

    def __init__(self, path: str | None = None, context_length: int = 64, samples_per_epoch: int | None = None) -> None:
        if context_length < 1 or (samples_per_epoch is not None and samples_per_epoch < 1):
            raise ValueError("context_length and samples_per_epoch must be at least 1")
        self.path, self.context_length, self.samples_per_epoch = path, context_length, samples_per_epoch

    def setup(self, seed: int, fold: int | None = None, folds: int | None = None) -> None:
        """Read, number the characters, and cut; there is nothing random in it."""
        text = read(self.path) if self.path else documentation()
        self._use(sorted(set(text)))
        train, val, test = cuts(self._tokens(text), fold, folds)
        shortest = min(len(part) for part in (*train, val, test))
        if shortest <= self.context_length:
            where = f"data.path={self.path}: " if self.path else ""
            raise WrongData(
                f"{where}data.context_length={self.context_length}: too long for a text of {len(text)} characters, "
                f"cut into parts of which the shortest has {shortest}; give a shorter window or a longer text"
            )
        samples = self.samples_per_epoch or sum(len(piece) for piece in train) // self.context_length
        self.train = RandomWindows(train, self.context_length, samples)
        self.val, self.test = Windows(val, self.context_length), Windows(test, self.context_length)

    def _use(self, characters: list[str]) -> None:
        self.characters = characters
        self.number = torch.full((sys.maxunicode + 1,), -1, dtype=torch.int32)  # of each code point
        self.number[[ord(character) for character in characters]] = torch.arange(len(characters), dtype=torch.int32)
        self.spec = DataSpec(
            "language",
            out_features=len(characters),
            vocab_size=len(characters),
            context_length=self.context_length,
            class_names=tuple(characters),
        )

    def _tokens(self, text: str) -> Tensor:
        """The number of each character, int32 [len(text)], without a loop over them."""
        code_points = torch.frombuffer(bytearray(text.encode("utf-32-le", "surrogatepass")), dtype=torch.int32)
        tokens = self.number.index_select(0, code_points)
        if (unknown := tokens < 0).any():
            character = text[int(unknown.int().argmax())]
            raise WrongData(
                f"text: {character!r} is none of the {len(self.characters)} characters of the training text"
            )
        return tokens

    def prepare(self, raw: str | list[str]) -> Tensor:
        """Texts to x [N, T]: the last context_length characters of each, or of all as many as the shortest has."""
        texts = [raw] if isinstance(raw, str) else list(raw)
        length = min((self.context_length, *map(len, texts))) if texts else 0
        if length == 0:
            raise WrongData("text: empty; give at least one character to go on from")
        return torch.stack([self._tokens(text[-length:]) for text in texts]).long()

    def restore(self, output: Tensor) -> list[str]:
        """For each row of scores [N, T, vocab_size] the likeliest character after each place."""
        return ["".join(self.characters[number] for number in row) for row in output.argmax(dim=-1).tolist()]

    def rows(self, path: str) -> Iterator[tuple[list[int], Tensor]]:
        """Windows of a text file that lie end to end, numbered from 1; the last one may be shorter."""
        number = 1
        for text in read_chunks(path, CHUNK * self.context_length):
            tokens, whole = self._tokens(text).long(), len(text) // self.context_length
            if whole:
                yield list(range(number, number + whole)), tokens[: whole * self.context_length].view(whole, -1)
            if rest := len(text) - whole * self.context_length:
                yield [number + whole], tokens[-rest:][None]
            number += whole

    def state_dict(self) -> dict[str, Any]:
        """The vocabulary."""
        return {"characters": "".join(self.characters)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._use(list(state["characters"]))


class Windows:
    """The windows of a text that lie end to end; a rest shorter than a window is left out."""

    def __init__(self, tokens: Tensor, length: int) -> None:
        self.tokens, self.length = tokens, length

    def __len__(self) -> int:
        return (len(self.tokens) - 1) // self.length

    def batch(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The windows of these numbers: x and y, int64 [B, length]."""
        return windows(self.tokens, indices * self.length, self.length)


class RandomWindows:
    """Windows that start anywhere in a text of one or several pieces, and lie within one of them."""

    def __init__(self, pieces: list[Tensor], length: int, samples: int) -> None:
        self.tokens, self.length, self.samples = torch.cat(pieces), length, samples
        self.starts = torch.tensor([len(piece) - length for piece in pieces]).cumsum(0)  # in the pieces so far

    def __len__(self) -> int:
        return self.samples

    def batch(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """As many windows as indices, anywhere: x and y, int64 [B, length]."""
        drawn = torch.randint(int(self.starts[-1]), (len(indices),), generator=generator)
        piece = torch.searchsorted(self.starts, drawn, right=True)
        return windows(self.tokens, drawn + piece * self.length, self.length)  # the ends of pieces start no window


def windows(tokens: Tensor, starts: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """x and y [B, length]: y is x moved on by one character."""
    both = tokens[starts[:, None] + torch.arange(length + 1)].long()
    return both[:, :-1], both[:, 1:]


def cuts(tokens: Tensor, fold: int | None, folds: int | None) -> tuple[list[Tensor], Tensor, Tensor]:
    """The training pieces, the validation part and the test part."""
    held_out = len(tokens) // 10
    rest, test = tokens[: len(tokens) - held_out], tokens[len(tokens) - held_out :]
    if fold is None or folds is None:
        return [rest[: len(rest) - held_out]], rest[len(rest) - held_out :], test
    if folds < 2 or not 0 <= fold < folds:
        raise WrongData(f"fold={fold} of folds={folds}: give at least 2 folds, and fold from 0 to folds - 1")
    parts = rest.tensor_split(folds)
    before, after = torch.cat([rest[:0], *parts[:fold]]), torch.cat([rest[:0], *parts[fold + 1 :]])
    return [piece for piece in (before, after) if len(piece)], parts[fold], test


def documentation() -> str:
    """CPython's own documentation of the language, part of every Python."""
    from pydoc_data.topics import topics

    return "\n".join(topics[topic] for topic in sorted(topics))


def read(path: str) -> str:
    """The whole text of a file. Raises BadPlace, or WrongData for one that is empty or no UTF-8."""
    text = "".join(read_chunks(path, 1 << 20, key="data.path="))
    if not text:
        raise WrongData(f"data.path={path}: the file is empty; give a text to learn")
    return text


def read_chunks(path: str, size: int, key: str = "") -> Iterator[str]:
    """The text of a file in pieces of `size` characters; `key` stands before the path in messages."""
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            while chunk := file.read(size):
                yield chunk
    except UnicodeDecodeError as error:
        raise WrongData(f"{key}{path}: not UTF-8 text ({error.reason}); convert the file to UTF-8") from None
    except OSError as error:
        raise BadPlace(f"{key}{path}: {(error.strerror or str(error)).lower()}; give a text file") from None
