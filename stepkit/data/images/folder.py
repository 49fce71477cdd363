"""Finding the images of a folder: classes are its sub-folders, below train/ val/ test/ if it has them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stepkit.errors import BadPlace, WrongData, given, nearest

from .decoding import is_image_name, problem

PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


@dataclass
class Found:
    """Attributes:
    parts: for "train", "val" and "test" (or "train" alone) pairs of an image's path and its class name.
    notes: what was left out.
    """

    parts: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_images(path: str) -> Found:
    """Every readable image below `path`, with its class.

    Raises:
        BadPlace: no such folder, or a file.
        WrongData: no sub-folders, or no image in any.
    """
    root = place(path)
    inside = _subfolders(root)
    by_part = {part: folder for part, names in PARTS.items() for folder in inside if folder.name.lower() in names}
    folders = by_part if "train" in by_part and _subfolders(by_part["train"]) else {"train": root}
    if not _subfolders(folders["train"]):
        raise WrongData(
            f"{given('data.path', path)}: no folders in it; put the images of each class into a folder of its name"
        )
    found, left = Found(), Left(root)
    for part, folder in folders.items():
        found.parts[part] = [(image, each.name) for each in _subfolders(folder) for image in left.kept(each)]
    found.notes = left.notes()
    if not found.parts["train"]:
        raise WrongData(f"{given('data.path', path)}: no image in its folders{left.example()}")
    return found


def files_in(path: str) -> Iterator[str]:
    """A single image, or the images of a folder and all below it in the order of their paths."""
    where = Path(path).expanduser()
    if where.is_file():
        yield str(where)
        return
    yield from (str(file) for file in _files(place(path)) if is_image_name(file))


def place(path: str) -> Path:
    """The folder, or BadPlace."""
    if not path:
        raise BadPlace("data.path: give a folder that has a folder of images for each class")
    root = Path(path).expanduser()
    if root.is_dir():
        return root
    if root.exists():
        raise BadPlace(f"{given('data.path', path)}: a file; give the folder that has a folder for each class")
    beside = [entry.name for entry in root.parent.iterdir()] if root.parent.is_dir() else []
    raise BadPlace(f"{given('data.path', path)}: no such folder; in its parent {nearest(root.name, beside)}")


class Left:
    """What is left out on the way, to be told in a line each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.empty: list[str] = []
        self.other: list[str] = []
        self.broken: list[str] = []

    def kept(self, folder: Path) -> Iterator[str]:
        """The readable images of a class's folder and all below it."""
        count = 0
        for file in _files(folder):
            name = str(file.relative_to(self.root))
            if not is_image_name(file):
                self.other.append(name)
            elif reason := problem(str(file)):
                self.broken.append(f"{name} ({reason})")
            else:
                count += 1
                yield str(file)
        if not count:
            self.empty.append(str(folder.relative_to(self.root)))

    def notes(self) -> list[str]:
        told = {
            "left out, folders without an image": self.empty,
            "left out, files that are no images": self.other,
            "left out, images that cannot be read": self.broken,
        }
        return [f"{what}: {', '.join(names[:3])}{_more(names)}" for what, names in told.items() if names]

    def example(self) -> str:
        """What stands there instead of images."""
        names = self.broken or self.other
        return f", only {names[0]}{_more(names[2:])}" if names else ""


def _more(names: list[str]) -> str:
    return f", … and {len(names) - 3} more" if len(names) > 3 else ""


def _subfolders(folder: Path) -> list[Path]:
    """In the order of their names, without hidden ones and what macOS puts into archives."""
    try:
        inside = [entry for entry in folder.iterdir() if entry.is_dir()]
    except OSError as error:
        raise BadPlace(f"{folder}: cannot be read: {error.strerror}") from None
    return sorted(entry for entry in inside if not entry.name.startswith(".") and entry.name != "__MACOSX")


def _files(folder: Path) -> Iterator[Path]:
    """All files below, in the order of their paths, without hidden ones."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))
