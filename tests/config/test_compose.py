"""Who set what, what is dropped when a plugin is changed, and what a user's own conf adds."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepkit.config.hydra import Composed
from stepkit.config.prepare import prepare
from stepkit.errors import UserError


def write(folder: Path, name: str, text: str) -> None:
    file = folder / "conf" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_each_value_names_who_set_it(own_folder: Path) -> None:
    write(own_folder, "config.yaml", "seed: 7\n")
    write(
        own_folder,
        "experiment/mine.yaml",
        "defaults:\n  - digits\n  - override /optimizer: sgd\noptimizer:\n  lr: 0.5\n",
    )
    composed = prepare(["experiment=mine", "model.hidden=[8]"])
    assert composed.where("seed") == "conf/config.yaml"
    assert composed.where("optimizer._target_") == "conf/experiment/mine.yaml"
    assert composed.where("optimizer.lr") == "conf/experiment/mine.yaml"
    assert composed.where("optimizer.momentum") == "default of SGD"
    assert composed.where("model.hidden") == "command line"
    assert composed.where("model.dropout") == "stepkit: experiment/digits.yaml"
    assert composed.where("trainer.accelerator") == "stepkit: trainer/default.yaml"


def test_a_users_config_adds_to_the_packaged_one_and_is_found_from_below(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(own_folder, "config.yaml", "defaults:\n  - optimizer: sgd\nseed: 3\n")
    below = own_folder / "notebooks" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    composed = prepare(["experiment=null", "optimizer.lr=0.1"])
    assert composed.cfg.seed == 3
    assert composed.cfg.optimizer._target_ == "torch.optim:SGD"
    assert composed.cfg.model._target_ == "stepkit.models.mlp:MLP"
    assert composed.project.outputs == own_folder / "outputs"


def dropped(composed: Composed) -> str:
    return "\n".join(composed.notes)


def test_changing_the_optimizer_drops_the_options_written_for_the_old_one_and_says_so() -> None:
    composed = prepare(["optimizer=lbfgs"])
    assert "fused" not in composed.cfg.optimizer
    assert "optimizer.lr, optimizer.fused of stepkit: experiment/digits.yaml dropped" in dropped(composed)
    assert "optimizer=adamw" in dropped(composed) and "optimizer=lbfgs" in dropped(composed)


def test_options_typed_for_the_new_plugin_stay_and_are_checked() -> None:
    assert prepare(["optimizer=sgd", "optimizer.lr=0.25"]).cfg.optimizer.lr == 0.25
    with pytest.raises(UserError, match=r"optimizer\.fused=true.*LBFGS has no option 'fused'"):
        prepare(["optimizer=lbfgs", "optimizer.fused=true"])


def test_a_file_s_options_belong_to_what_it_includes_chose(own_folder: Path) -> None:
    """`mine` includes digits (adamw) and sets an lr without naming an optimizer: the lr is meant for adamw."""
    write(own_folder, "experiment/mine.yaml", "defaults:\n  - digits\noptimizer:\n  lr: 0.125\n")
    assert prepare(["experiment=mine"]).cfg.optimizer.lr == 0.125
    composed = prepare(["experiment=mine", "optimizer=sgd"])
    assert composed.cfg.optimizer.lr == 0.001
    assert "optimizer.lr of conf/experiment/mine.yaml dropped" in dropped(composed)


def test_a_file_s_options_belong_to_the_primary_choice_when_it_names_none(own_folder: Path) -> None:
    write(own_folder, "experiment/bare.yaml", "optimizer:\n  weight_decay: 0.5\n")
    assert prepare(["experiment=bare"]).cfg.optimizer.weight_decay == 0.5
    composed = prepare(["experiment=bare", "optimizer=rprop"])
    assert "weight_decay" not in composed.cfg.optimizer
    assert "optimizer.weight_decay" in dropped(composed)


def test_the_same_plugin_typed_again_drops_nothing() -> None:
    composed = prepare(["optimizer=adamw"])
    assert composed.cfg.optimizer.lr == 0.003 and not composed.notes


@pytest.mark.parametrize("text", ["optimizer=null", "~optimizer"])
def test_null_deselects_a_plugin_and_drops_its_options(text: str) -> None:
    composed = prepare([text])
    assert composed.cfg.optimizer is None
    assert "dropped" in dropped(composed)


def test_several_callbacks_metrics_and_loggers_compose_as_written() -> None:
    composed = prepare(
        ["callback=[early_stopping,ema]", "logger=[tensorboard,csv]", "metric=[accuracy,f1]", "callback.ema.decay=0.5"]
    )
    assert list(composed.cfg.callback) == ["early_stopping", "ema"]
    assert list(composed.cfg.logger) == ["tensorboard", "csv"]
    assert set(composed.cfg.metric) == {"accuracy", "f1"}
    assert composed.cfg.callback.ema.decay == 0.5


def test_one_more_callback_can_stand_under_a_name_of_its_own() -> None:
    composed = prepare(["+callback@callback.slow=ema", "callback.slow.decay=0.5"])
    assert composed.cfg.callback.slow.decay == 0.5


def test_options_in_a_file_for_a_callback_that_is_not_chosen_are_dropped_and_told(own_folder: Path) -> None:
    write(own_folder, "experiment/mine.yaml", "callback:\n  ema:\n    decay: 0.5\n")
    composed = prepare(["experiment=mine"])
    assert not composed.cfg.callback
    assert "callback.ema.decay" in dropped(composed)


def test_a_name_qualified_by_its_distribution_is_the_same_plugin() -> None:
    assert prepare(["optimizer=stepkit.sgd"]).cfg.optimizer._target_ == "torch.optim:SGD"


def test_lightning_s_names_for_the_step_are_accepted() -> None:
    composed = prepare(["trainer.accumulate_grad_batches=4", "trainer.gradient_clip_val=0.5"])
    assert composed.cfg.step.accumulate == 4 and composed.cfg.step.clip == 0.5
    assert composed.where("step.accumulate") == "command line"


def test_a_trusted_module_s_class_serves_without_packaging_it(own_folder: Path) -> None:
    (own_folder / "my_project").mkdir()
    (own_folder / "my_project" / "net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Linear):\n"
        "    def __init__(self, in_features: int, num_classes: int, bias: bool = True):\n"
        "        super().__init__(in_features, num_classes, bias)\n"
    )
    write(own_folder, "config.yaml", "trusted: [my_project]\n")
    write(own_folder, "experiment/mine.yaml", "model:\n  _target_: my_project.net.Net\n  bias: false\n")
    composed = prepare(["experiment=mine"])
    assert composed.plugins["model"].reference == "my_project.net:Net"
    with pytest.raises(UserError, match="Net has no option 'bais'"):
        prepare(["experiment=mine", "model.bais=true"])


@pytest.mark.parametrize("typed", [True, False])
def test_naming_a_class_drops_what_was_written_for_the_plugin_in_its_place(own_folder: Path, typed: bool) -> None:
    (own_folder / "mine_too").mkdir()
    (own_folder / "mine_too" / "net.py").write_text("from torch.nn import Linear as Net\n")
    write(own_folder, "config.yaml", "trusted: [mine_too]\n")
    line = "model:\n  _target_: mine_too.net.Net\n  in_features: 64\n  out_features: 10\n"
    write(own_folder, "experiment/mine.yaml", "defaults:\n  - digits\n" + ("" if typed else line))
    given = ["model._target_=mine_too.net.Net", "model.in_features=64", "model.out_features=10"] if typed else []
    composed = prepare(["experiment=mine", *given])
    assert composed.cfg.model == {
        "_target_": "mine_too.net.Net",
        "in_features": 64,
        "out_features": 10,
        "bias": True,
        "device": None,
        "dtype": None,
    }
    assert "model.hidden, model.dropout of stepkit: experiment/digits.yaml dropped" in dropped(composed)


ATTACKS = [
    "optimizer._target_=os.system",
    "model._target_=logging.os.system",
    "model._target_=builtins.eval",
    "+optimizer.nested={_target_: os.system}",
    "+model.hidden=[{_target_: os.system}]",
    "+callback.x={_target_: subprocess.Popen}",
    "+callback.x._target_=os.system",
    "+trainer.strategy={_target_: os.system}",
    "hydra.launcher._target_=os.system",
    "hydra.searchpath=[file:///tmp]",
    "+hydra.job_logging.formatters={a: {'()': os.system}}",
    "trusted=[os]",
    "+trusted=[os]",
    "model._target_=stepkit.models.mlp:MLP.__init__",
    "model._target_=my_project_evil.net.Net",
    "notes={_target_: os.system}",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_no_override_makes_an_object_of_what_is_not_registered(text: str, own_folder: Path) -> None:
    write(own_folder, "config.yaml", "trusted: [my_project]\n")
    with pytest.raises(UserError):
        prepare([text])


def test_an_interpolated_target_is_judged_by_what_it_resolves_to(own_folder: Path) -> None:
    write(own_folder, "experiment/mine.yaml", "notes: os.system\nmodel:\n  _target_: ${notes}\n")
    with pytest.raises(UserError, match=r"model\._target_"):
        prepare(["experiment=mine"])
