"""Plugins of strangers: found by metadata, broken ones break themselves alone, a clash is an error only when chosen."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stepkit import plugins
from stepkit.cli import main
from stepkit.errors import BrokenPlugin, ClashingPlugin, UnknownName

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution on the path, as pip would: metadata, and a module of its own."""

    def put(name: str, entries: dict[str, dict[str, str]], module: str = "", source: str = "") -> None:
        site = tmp_path / "site"
        info = site / f"{name.replace('-', '_')}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        lines = []
        for group, names in entries.items():
            lines += [f"[stepkit.{group}]", *(f"{key} = {value}" for key, value in names.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        if module:
            (site / f"{module}.py").write_text(source)
        if str(site) not in sys.path:
            monkeypatch.syspath_prepend(str(site))
        plugins.forget()

    yield put
    monkeypatch.undo()
    plugins.forget()


GOOD = "from torch import nn\nclass Loss(nn.CrossEntropyLoss):\n    pass\n"


def test_a_strangers_plugin_is_found_under_its_name_and_its_qualified_one(install: Install) -> None:
    install("stranger", {"loss": {"ours": "stranger_mod:Loss"}}, "stranger_mod", GOOD)
    plain, qualified = plugins.find("loss", "ours"), plugins.find("loss", "stranger.ours")
    assert plain == qualified
    assert (plain.distribution, plain.version, plain.builtin) == ("stranger", "1.2", False)
    assert plain.load().__name__ == "Loss"


def test_one_line_of_metadata_trains(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("stranger", {"loss": {"ours": "stranger_mod2:Loss"}}, "stranger_mod2", GOOD)
    assert main(["loss=ours", "loss.label_smoothing=0.1", "trainer.max_epochs=1"]) == 0
    assert main(["loss=ours", "loss.label_smothing=0.1"]) == 2
    assert "did you mean 'loss.label_smoothing'?" in capsys.readouterr().err


BROKEN = {
    "a module that is missing": ("nowhere_at_all:Loss", "", "No module named 'nowhere_at_all'"),
    "a package it needs is missing": ("broken_a:Loss", "import not_installed_here\n", "pip install not_installed_here"),
    "an error while it is imported": ("broken_b:Loss", "x = 1\n1 / 0\n", "ZeroDivisionError: division by zero"),
    "a syntax error": ("broken_c:Loss", "def f(:\n", "SyntaxError"),
    "a name that is not there": ("broken_d:Lost", "Loss = 1\n", "has no 'Lost'"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_breaks_itself_alone(
    case: str, install: Install, capsys: pytest.CaptureFixture[str], own_folder: Path
) -> None:
    reference, source, said = BROKEN[case]
    module = reference.partition(":")[0] if source else ""
    install(f"broken-{list(BROKEN).index(case)}", {"loss": {"bad": reference}}, module, source)
    assert main(["plugins", "loss"]) == 0
    assert main(["loss=bad"]) == 2
    err = capsys.readouterr().err
    assert said in err and "loss 'bad' of broken-" in err and len(err.strip().splitlines()) == 1
    assert not (own_folder / "outputs").exists()
    assert main(["config"]) == 0


def test_the_line_of_the_author_s_own_code_is_named(install: Install) -> None:
    install(
        "stranger", {"loss": {"bad": "stranger_bad:Loss"}}, "stranger_bad", "x = 1\n\nraise RuntimeError('no GPU')\n"
    )
    with pytest.raises(BrokenPlugin, match=r"RuntimeError: no GPU \(.*stranger_bad\.py, line 3\)"):
        plugins.find("loss", "bad").load()


def test_a_name_that_two_claim_is_an_error_only_when_chosen(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("one", {"loss": {"twice": "clash_one:Loss"}}, "clash_one", GOOD)
    install("two", {"loss": {"twice": "clash_two:Loss"}}, "clash_two", GOOD)
    assert main(["config"]) == 0
    with pytest.raises(ClashingPlugin, match=r"loss=one\.twice or loss=two\.twice|loss=two\.twice or loss=one\.twice"):
        plugins.find("loss", "twice")
    assert main(["loss=twice"]) == 2
    assert "claimed by 2 packages" in capsys.readouterr().err
    assert plugins.find("loss", "two.twice").reference == "clash_two:Loss"
    assert main(["config", "loss=two.twice"]) == 0


def test_stepkit_s_own_name_wins_over_a_stranger_s(install: Install) -> None:
    install("greedy", {"optimizer": {"adamw": "greedy_mod:AdamW"}})
    assert plugins.find("optimizer", "adamw").builtin
    assert plugins.find("optimizer", "greedy.adamw").distribution == "greedy"


def test_a_plugin_package_s_yaml_is_found_without_importing_it(install: Install, tmp_path: Path) -> None:
    install("withconf", {"conf": {"withconf": "withconf_pkg.conf"}})
    folder = tmp_path / "site" / "withconf_pkg"
    (folder / "conf" / "experiment").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "conf" / "experiment" / "theirs.yaml").write_text("seed: 77\n")
    from stepkit.config.prepare import prepare

    composed = prepare(["experiment=theirs"])
    assert composed.cfg.seed == 77
    assert composed.where("seed") == "withconf: experiment/theirs.yaml"


def test_an_unknown_name_tells_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'cross_entropy'"):
        plugins.find("loss", "cross_entrpy")


def test_every_group_lists_its_plugins_in_order() -> None:
    for group in plugins.GROUPS:
        names = plugins.available(group)
        assert names == sorted(names) and names
