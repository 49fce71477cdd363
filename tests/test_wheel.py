"""The wheel in a clean venv, away from the sources, with a stranger's distribution beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def wheel(project: Path, folder: Path) -> Path:
    """Build a wheel from a copy of what git tracks or would track, with the tools installed here."""
    copy = folder / f"copy-{project.name}"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=project, capture_output=True, check=True
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (project / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((project / name).read_bytes())
    out = folder / "wheels"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(copy)]
    subprocess.run(build, check=True, capture_output=True)
    return max(out.glob("*.whl"), key=lambda path: path.stat().st_mtime_ns)


@pytest.fixture(scope="module")
def clean_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv that has the dependencies (through a .pth to this one's packages) but of stepkit only the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    target = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )
    here = Path(sysconfig.get_path("purelib"))
    shared = folder / "shared"
    shared.mkdir()
    for entry in here.iterdir():  # all packages but stepkit itself, which is installed here as editable
        if "stepkit" not in entry.name and not entry.name.endswith(".pth"):
            (shared / entry.name).symlink_to(entry)
    (target / "shared.pth").write_text(f"{shared}\n")
    for project in (ROOT, ROOT / "plugins" / "stepkit-focal-loss"):
        install = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(wheel(project, folder))]
        subprocess.run(install, check=True, capture_output=True)
    return python


def test_a_wheel_finds_its_conf_and_a_stranger_s_plugin_trains(clean_python: Path, own_folder: Path) -> None:
    command = [str(clean_python.parent / "stepkit"), "loss=focal", "loss.gamma=1.5", "trainer.max_epochs=2"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert ran.returncode == 0, ran.stderr
    (file,) = own_folder.glob("outputs/digits/*/run.json")
    record = json.loads(file.read_text())
    assert record["plugins"]["loss"]["distribution"] == "stepkit-focal-loss"
    assert record["metrics"]["accuracy/test"] > 0.5
    where = [str(clean_python), "-c", "import stepkit; print(stepkit.__file__)"]
    assert "site-packages" in subprocess.run(where, capture_output=True, text=True, env=environment).stdout


def test_a_stranger_s_plugin_is_listed_with_its_package(clean_python: Path) -> None:
    ran = subprocess.run([clean_python.parent / "stepkit", "plugins", "loss"], capture_output=True, text=True)
    assert any(line.split() == ["focal", "stepkit-focal-loss", "0.1.0"] for line in ran.stdout.splitlines())
