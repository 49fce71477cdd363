"""A headless Chromium, a real run of one experiment and a real grid of six runs, and TensorBoard over both."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the README's user has: a run of digits, and a sweep of optimizers and rates."""
    folder = tmp_path_factory.mktemp("browser")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for arguments in (
        ["experiment=digits", "trainer.max_epochs=6", "step.clip=1.0"],
        ["-m", "optimizer=sgd,adam", "optimizer.lr=0.1,0.01,0.001", "trainer.max_epochs=2"],
    ):
        command = [sys.executable, "-m", "stepkit", *arguments]
        subprocess.run(command, cwd=folder, check=True, env=environment, stdout=subprocess.DEVNULL)
    return folder / "outputs"


@pytest.fixture(scope="session")
def board(outputs: Path) -> Iterator[str]:
    """`stepkit board` on all of it; yields its address."""
    port = _free_port()
    command = [sys.executable, "-m", "stepkit", "board", "--no-browser", "--port", str(port)]
    process = subprocess.Popen(command, cwd=outputs.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}data/runs", timeout=5).read()
                break
            except OSError:
                time.sleep(0.5)
        time.sleep(6)  # the loader reads anew every five seconds
        yield address
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    binary, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    profile = tmp_path_factory.mktemp("profile")
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--window-size=1400,1000", f"--user-data-dir={profile}",
    ):  # fmt: skip
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    browser.set_page_load_timeout(60)
    yield browser
    browser.quit()
