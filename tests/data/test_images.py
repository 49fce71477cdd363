"""Data plugin `images`: any folder of pictures is read, split and prepared, or told in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from stepkit.data.images import Images
from stepkit.errors import BadPlace, UserError, WrongData, WrongValue

RED, BLUE = (200, 30, 30), (30, 30, 200)


def picture(path: Path, colour: Any = RED, size: tuple[int, int] = (40, 30), mode: str = "RGB", **save: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(path, **save)


def fill(root: Path, count: int = 20, classes: tuple[str, ...] = ("blue", "red")) -> Path:
    for name in classes:
        for i in range(count):
            picture(root / name / f"{i}.png", RED if name == "red" else BLUE)
    return root


def made(root: Path, **options: Any) -> Images:
    images = Images(str(root), **{"size": 16, **options})
    images.setup(seed=0)
    return images


def told(error: pytest.ExceptionInfo[UserError]) -> str:
    assert len(error.value.lines) == 1 and "\n" not in str(error.value)
    return str(error.value)


def test_classes_are_the_folders_and_parts_hold_each_in_proportion(tmp_path: Path) -> None:
    images = made(fill(tmp_path))
    assert images.spec.class_names == ("blue", "red") and images.spec.image_size == (16, 16)
    assert [len(part) for part in (images.train, images.val, images.test)] == [28, 6, 6]
    for part in (images.train, images.val, images.test):
        assert part.numbers.bincount().tolist() == [len(part) / 2] * 2
    x, y = next(iter(DataLoader(images.train, batch_size=4)))
    assert x.shape == (4, 3, 16, 16) and x.dtype == torch.float32 and y.dtype == torch.int64


def test_colours_have_mean_0_and_deviation_1_on_the_training_part_alone(tmp_path: Path) -> None:
    images = made(fill(tmp_path))
    x = torch.stack([images.train[i][0] for i in range(len(images.train))])
    torch.testing.assert_close(x.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(x[:, 0].std(correction=0), torch.ones(()), atol=1e-4, rtol=0)
    before = images.mean
    for path in images.test.paths:
        Image.new("RGB", (40, 30), "white").save(path)
    assert made(tmp_path).mean == before
    Image.new("RGB", (40, 30), "white").save(images.train.paths[0])
    assert made(tmp_path).mean != before


def test_folders_for_the_parts_are_kept_and_what_is_missing_is_split_off(tmp_path: Path) -> None:
    fill(tmp_path / "train"), fill(tmp_path / "Validation", 3)
    images = made(tmp_path)
    assert [len(part) for part in (images.train, images.val, images.test)] == [34, 6, 6]
    assert all("Validation" in path for path in images.val.paths)
    fill(tmp_path / "test", 2)
    assert [len(part) for part in (made(tmp_path).train, made(tmp_path).test)] == [40, 4]
    folded = Images(str(tmp_path), size=8)
    folded.setup(seed=0, fold=1, folds=2)
    assert [len(part) for part in (folded.train, folded.val, folded.test)] == [23, 23, 4]


def test_only_training_images_are_flipped_and_cropped_from_the_global_random_numbers(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for i in range(10):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(np.random.default_rng(i).integers(0, 255, (32, 48, 3), np.uint8)).save(
                tmp_path / name / f"{i}.png"
            )
    plain, both = made(tmp_path), made(tmp_path, flip=True, crop=0.5)
    assert torch.equal(both.test[0][0], both.test[0][0]) and torch.equal(both.test[0][0], plain.test[0][0])
    assert torch.equal(plain.train[0][0], plain.train[0][0])
    torch.manual_seed(1)
    first, second = both.train[0][0], both.train[0][0]
    torch.manual_seed(1)
    assert torch.equal(both.train[0][0], first) and not torch.equal(first, second)
    flipped = made(tmp_path, flip=True)
    seen = {tuple(flipped.train[0][0][0, 0].tolist()) for _ in range(20)}
    row = plain.train[0][0][0, 0]
    assert seen == {tuple(row.tolist()), tuple(row.flip(-1).tolist())}


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA", "I;16", "F"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_of_an_image_becomes_the_same_kind_of_x(tmp_path: Path, mode: str, channels: Any) -> None:
    images = made(fill(tmp_path), channels=channels)
    grey = Image.new("L", (20, 20), 200)
    if mode == "I;16":
        image = Image.fromarray(np.full((20, 20), 200 * 257, np.uint16))
    elif mode == "F":
        image = Image.fromarray(np.full((20, 20), 200 / 255, np.float32))
    else:
        image = (grey.convert("RGB") if mode in ("RGBA", "CMYK") else grey).convert(mode)
    wanted = images.prepare(Image.new("L", (20, 20), 255) if mode == "1" else grey)
    found = images.prepare(image)
    if mode == "1":  # a dithered grey
        assert found.shape == wanted.shape
    else:
        torch.testing.assert_close(found, wanted, atol=0.02, rtol=0)


def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    images = made(fill(tmp_path))
    hidden = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
    assert torch.equal(images.prepare(hidden), images.prepare(Image.new("RGB", (10, 10), "white")))


def test_a_photo_taken_sideways_is_set_upright(tmp_path: Path) -> None:
    images = made(fill(tmp_path))
    array = np.zeros((24, 24, 3), np.uint8)
    array[:12] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(array).save(tmp_path / "side.png", exif=exif)
    upright = Image.fromarray(np.rot90(array, -1).copy())
    torch.testing.assert_close(images.prepare(tmp_path / "side.png"), images.prepare(upright))


def test_prepare_takes_a_path_an_image_an_array_a_tensor_or_many_of_them(tmp_path: Path) -> None:
    images = made(fill(tmp_path))
    path = tmp_path / "red" / "0.png"
    array = np.asarray(Image.open(path))
    x = images.prepare(str(path))
    assert x.shape == (1, 3, 16, 16)
    tensor = torch.tensor(array).permute(2, 0, 1)
    for raw in (path, Image.open(path), array, array / 255, tensor, [path], array[None], tensor[None]):
        torch.testing.assert_close(images.prepare(raw), x)
    assert images.prepare([path, array, Image.open(path)]).shape == (3, 3, 16, 16)
    index = images.test.paths.index(next(p for p in images.test.paths if "red" in p))
    assert torch.equal(images.test[index][0], images.prepare(images.test.paths[index])[0])


@pytest.mark.parametrize("raw", [[], None, 3, np.zeros(4), np.zeros((4, 4, 7)), np.array([["a"]]), "nothing.png"])
def test_what_is_no_image_is_told(tmp_path: Path, raw: Any) -> None:
    images = made(fill(tmp_path))
    with pytest.raises(WrongData) as error:
        images.prepare(raw)
    assert told(error)


def test_restore_gives_class_names_and_the_state_makes_a_fresh_object_equal(tmp_path: Path) -> None:
    images = made(fill(tmp_path))
    fresh = Images(str(tmp_path), size=16)
    fresh.load_state_dict(images.state_dict())
    assert fresh.restore(torch.tensor([[0.0, 1.0], [1.0, 0.0]])) == ["red", "blue"]
    path = images.train.paths[0]
    assert torch.equal(fresh.prepare(path), images.prepare(path)) and fresh.spec == images.spec


def test_rows_of_a_folder_come_in_chunks_equal_to_the_whole(tmp_path: Path) -> None:
    images = made(fill(tmp_path, 40))
    chunks = list(images.rows(str(tmp_path)))
    assert [len(numbers) for numbers, _ in chunks] == [64, 16]
    assert [number for numbers, _ in chunks for number in numbers] == list(range(1, 81))
    whole = images.prepare(sorted(str(p) for p in tmp_path.rglob("*.png")))
    assert torch.equal(torch.cat([x for _, x in chunks]), whole)
    ((numbers, x),) = images.rows(str(tmp_path / "red" / "0.png"))
    assert numbers == [1] and len(x) == 1


def test_a_loaded_model_is_evaluated_on_another_folder_with_its_own_classes(tmp_path: Path) -> None:
    images = made(fill(tmp_path / "a"))
    fill(tmp_path / "b", 3, ("red",))
    other = Images(str(tmp_path / "b"), size=16, val=0, test=1)
    other.load_state_dict(images.state_dict())
    other.setup(seed=0)
    assert len(other.test) == 3 and other.test.numbers.tolist() == [1, 1, 1]
    fill(tmp_path / "b", 3, ("reed",))
    with pytest.raises(WrongData, match="'reed' is no class of this model; did you mean 'red'") as error:
        other.setup(seed=0)
    assert told(error)


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "red" / "notes.txt").write_text("x")
    (tmp_path / "red" / ".hidden.png").write_text("x")
    (tmp_path / "red" / "fake.png").write_text("no image")
    picture(tmp_path / "red" / "cut.jpg", size=(200, 200))
    whole = (tmp_path / "red" / "cut.jpg").read_bytes()
    (tmp_path / "red" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    images = made(tmp_path)
    notes = "\n".join(images.notes)
    assert "folders without an image: empty" in notes and "no images: red/notes.txt" in notes
    assert "red/cut.jpg (" in notes and "red/fake.png (no image format that is known)" in notes
    assert "hidden" not in notes and images.spec.num_classes == 2
    assert len(images.train) + len(images.val) + len(images.test) == 40


def test_an_image_that_breaks_after_the_start_is_told_with_its_path(tmp_path: Path) -> None:
    images = made(fill(tmp_path))
    path = Path(images.train.paths[0])
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(WrongData) as error:
        images.train[0]
    assert str(path) in told(error)


def test_names_that_are_not_ascii_and_ends_in_capitals(tmp_path: Path) -> None:
    fill(tmp_path, classes=("größe", "名前 mit Leerzeichen"))
    picture(tmp_path / "größe" / "Ä ö.JPG")
    images = made(tmp_path)
    assert images.spec.class_names == ("größe", "名前 mit Leerzeichen")
    assert sum(map(len, (images.train, images.val, images.test))) == 41


def test_folders_that_cannot_be_learnt_from_are_told(tmp_path: Path) -> None:
    flat, single, bare = tmp_path / "flat", tmp_path / "single", tmp_path / "bare"
    picture(flat / "a.png"), fill(single, 3, ("red",)), (bare / "red").mkdir(parents=True)
    (bare / "red" / "a.txt").write_text("x")
    cases: dict[str, tuple[type[UserError], str]] = {
        "": (BadPlace, "give a folder"),
        str(tmp_path / "flaat"): (BadPlace, "did you mean 'flat'"),
        str(flat / "a.png"): (BadPlace, "a file; give the folder"),
        str(flat): (WrongData, "no folders in it"),
        str(single): (WrongData, "all images are of one class, 'red'"),
        str(bare): (WrongData, "only red/a.txt"),
    }
    for path, (kind, words) in cases.items():
        with pytest.raises(kind) as error:
            Images(path).setup(seed=0)
        assert words in told(error)
    for options in ({"size": 0}, {"crop": 1.0}):
        with pytest.raises(WrongValue):
            Images(str(flat), **options)
