"""What a user can get wrong: a few lines, once, that name key, value, place and the nearest right word; exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stepkit.cli import main

# (arguments, what the lines must say)
MISTAKES: list[tuple[list[str], list[str]]] = [
    (["optimizer.lrr=0.1"], ["optimizer.lrr=0.1", "AdamW has no option 'lrr'", "did you mean 'optimizer.lr'?"]),
    (["optimzer.lr=0.1"], ["no key 'optimzer'", "did you mean 'optimizer'?"]),
    (["optimzer=sgd"], ["did you mean 'optimizer'?"]),
    (["optimizer=adamm"], ["no optimizer 'adamm'", "did you mean 'adam"]),
    (["experiment=digit"], ["no experiment 'digit'", "did you mean 'digits'?"]),
    (["loss=adam"], ["no loss 'adam'", "'adam' is an optimizer: optimizer=adam"]),
    (["optimizer.lr=abc"], ["optimizer.lr=abc", "command line", "number"]),
    (["optimizer.lr=true"], ["optimizer.lr=true", "number"]),
    (["optimizer.lr='0.1'"], ["optimizer.lr=0.1", "number"]),
    (["optimizer.lr=nan"], ["optimizer.lr=nan"]),
    (["optimizer.lr=-1"], ["optimizer.lr=-1", "command line", "Invalid learning rate"]),
    (["trainer.max_epochs=three"], ["trainer.max_epochs=three", "whole number"]),
    (["trainer.max_epoch=3"], ["no key 'max_epoch'", "did you mean 'trainer.max_epochs'?"]),
    (["trainer.callbacks=[]"], ["said elsewhere", "callback="]),
    (["data.batch_size=-1"], ["data.batch_size=-1", "at least 1"]),
    (["data.batch_size=0"], ["data.batch_size=0", "at least 1"]),
    (["data.batch_size=100000"], ["data.batch_size=100000", "larger than the training split"]),
    (["data.batchsize=3"], ["did you mean 'data.batch_size'?"]),
    (["scheduler=step"], ["scheduler.step_size", "required"]),
    (["monitor.metric=acuracy/val"], ["monitor.metric=acuracy/val", "nothing logs it", "did you mean 'accuracy/val'?"]),
    (["monitor.mode=lowest"], ["monitor.mode=lowest", "min", "max"]),
    (["step.clip=-1"], ["step.clip=-1", "above 0"]),
    (["step.clipp=1"], ["did you mean 'step.clip'?"]),
    (["step.accumulate=2", "trainer.accumulate_grad_batches=2"], ["the same as step.accumulate"]),
    (["seed=abc"], ["seed=abc", "whole number"]),
    (["model=null"], ["model=null"]),
    (["optimizer=null"], ["optimizer=null", "choose optimizer="]),
    (["loss=ctc"], ["loss=ctc", "cannot serve"]),
    (["scheduler=lambda_lr"], ["scheduler=lambda_lr"]),
    (["optimizer=sgd,adam"], ["add -m"]),
    (["optimizer={_target_: os.system}"], ["the name of an optimizer is wanted"]),
    (["optimizer._target_=os.system"], ["optimizer._target_=os.system", "not a registered plugin"]),
    (["+model.hidden={_target_: os.system}"], ["model.hidden"]),
    (["trusted=[os]"], ["trusted"]),
    (["callback.ema.decay=0.9"], ["callback.ema.decay=0.9", "add callback=ema"]),
    (["hydra.run.dir=/tmp"], ["hydra.run.dir=/tmp"]),
    (["seed=1", "a b"], ["not an override"]),
    (["--multi"], ["no option '--multi'"]),
    (["optimizer.lr=[1,"], ["does not parse"]),
    (["trian"], ["no command 'trian'", "did you mean 'train'?"]),
    (["-m"], ["nothing to sweep over"]),
    (["-m", "optimizer.lr=0.1,abc"], ["optimizer.lr=abc"]),
    (["plugins", "optimiser"], ["did you mean 'optimizer'?"]),
    (["model=linear", "model.in_features=63"], ["63"]),
    (["loss=mse"], ["would broadcast"]),
    (["trainer=gpu"], ["trainer.accelerator=gpu"]),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_a_mistake_is_told_in_a_few_lines_and_leaves_nothing(
    arguments: list[str], said: list[str], capsys: pytest.CaptureFixture[str], own_folder: Path
) -> None:
    code = main(arguments)
    out, err = capsys.readouterr()
    assert code == 2
    for words in said:
        assert words in err
    assert "Traceback" not in out + err
    assert "append" not in err and "use +" not in err
    assert 1 <= len(err.strip().splitlines()) <= 4
    assert not (own_folder / "outputs").exists()


def test_several_mistakes_of_one_stage_are_told_in_one_go(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["optimzer=sgd", "model=mpl", "trainer.max_epoch=3"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 3
    assert main(["optimizer.lr=abc", "model.dropot=0.1", "data.batch_size=-1", "step.accumulate=0"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 4


YAML_MISTAKES = {
    "a misspelt key": (
        "optimizr:\n  lr: 1\n",
        ["no key 'optimizr'", "conf/experiment/mine.yaml", "did you mean 'optimizer'?"],
    ),
    "a misspelt option": ("optimizer:\n  lrr: 1\n", ["optimizer.lrr=1", "conf/experiment/mine.yaml", "optimizer.lr"]),
    "a misspelt trainer option": (
        "trainer:\n  max_epoch: 1\n",
        ["trainer.max_epoch=1", "conf/experiment/mine.yaml", "trainer.max_epochs"],
    ),
    "a value of the wrong type": (
        "optimizer:\n  lr: fast\n",
        ["optimizer.lr=fast", "conf/experiment/mine.yaml", "number"],
    ),
    "YAML that does not parse": ("optimizer: [1,\n", ["conf/experiment/mine.yaml", "line", "not YAML"]),
    "a list at the top": ("- 1\n- 2\n", ["conf/experiment/mine.yaml"]),
    "an unknown plugin": ("defaults:\n  - override /optimizer: adamm\n", ["adamm", "did you mean 'adam"]),
    "a class that nobody trusts": (
        "model:\n  _target_: os.system\n",
        ["model._target_=os.system", "conf/experiment/mine.yaml", "trusted"],
    ),
    "an interpolation of nothing": ("optimizer:\n  lr: ${nowhere}\n", ["optimizer.lr", "nowhere"]),
    "options of a plugin that is not a mapping": ("optimizer: 3\n", ["optimizer"]),
}


@pytest.mark.parametrize("case", YAML_MISTAKES)
def test_a_mistake_in_a_file_names_the_file(case: str, capsys: pytest.CaptureFixture[str], own_folder: Path) -> None:
    text, said = YAML_MISTAKES[case]
    (own_folder / "conf" / "experiment").mkdir(parents=True)
    (own_folder / "conf" / "experiment" / "mine.yaml").write_text(text)
    assert main(["experiment=mine"]) == 2
    err = capsys.readouterr().err
    for words in said:
        assert words in err
    assert "Traceback" not in err and len(err.strip().splitlines()) <= 3
    assert not (own_folder / "outputs").exists()


LIGHT = {
    "the front page": ["--help"],
    "the list of plugins": ["plugins"],
    "an unknown name": ["optimizer=adamm"],
    "an unknown group": ["optimzer=sgd"],
    "an unknown trainer key": ["trainer.max_epoch=1"],
}


@pytest.mark.parametrize("case", LIGHT)
def test_what_metadata_can_answer_imports_neither_torch_nor_lightning(case: str) -> None:
    program = (
        f"import sys; from stepkit.cli import main; main({LIGHT[case]!r}); "
        "sys.exit(3 if {'torch', 'pytorch_lightning', 'lightning_fabric'} & set(sys.modules) else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
