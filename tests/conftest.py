"""What all tests share: a cache and a working folder of their own, and the rule about skipping."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CI = os.environ.get("STEPKIT_CI") == "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
MAY_NOT_SKIP = ("browser", "database", "process")


@pytest.fixture(autouse=True)
def own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Each test works in an empty folder; descriptions are cached once a session, never in the user's home."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield work


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """In CI a test that needs a browser, a database or processes must run: there everything is installed."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if CI and report.skipped and any(item.get_closest_marker(name) for name in MAY_NOT_SKIP):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def stepkit() -> Command:
    """Runs `stepkit` as a user does: a process of its own, its output in a pipe."""

    def run(
        *arguments: str, cwd: Path | None = None, timeout: float = 240, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stepkit", *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd,
            env={**os.environ, **environment},
        )

    return run
