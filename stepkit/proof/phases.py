"""Time and peak memory of each phase of a step, by the clock and by torch's own account of its memory."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from .by_hand import During, Hand, no_watch
from .findings import Phase

NAMES = ("forward", "backward", "clip", "step", "zero_grad")
MOST, LONGEST = 7, 2.0  # repetitions, and seconds after which there are no more
MARK = "stepkit."
ON_CPU = "tensors that torch allocated on the CPU beyond what stood before the step (torch.profiler)"
ON_CUDA = "tensors that torch allocated on the GPU beyond what stood before the step (torch.cuda.max_memory_allocated)"
NOT_KNOWN = "not measured on this device"


def measure(hand: Hand) -> tuple[list[Phase], str]:
    """The phases of a step by hand, and what their memory counts.

    Time is the median of some repetitions after a first one; forward and backward are the sums over micro-batches.
    """
    device = hand.taken.device
    _once(hand, no_watch)
    times: dict[str, list[float]] = defaultdict(list)
    began = time.perf_counter()
    while len(times["step"]) < MOST and (not times["step"] or time.perf_counter() - began < LONGEST):
        seconds: dict[str, float] = defaultdict(float)
        _once(hand, _timed(seconds, device))
        for name in NAMES:
            times[name].append(seconds[name])
    peaks, counted = _peaks(hand, device)
    names = [name for name in NAMES if name != "clip" or hand.settings.clip is not None]
    return [Phase(name, statistics.median(times[name]), peaks.get(name)) for name in names], counted


def _once(hand: Hand, during: During) -> None:
    hand.reset()
    hand.forward_backward(during)
    with during("clip"):
        hand.clip()
    with during("step"):
        hand.update()
    with during("zero_grad"):
        hand.optimizer.zero_grad()


def _timed(seconds: dict[str, float], device: torch.device) -> During:
    @contextmanager
    def during(phase: str) -> Iterator[None]:
        _wait(device)
        started = time.perf_counter()
        yield
        _wait(device)
        seconds[phase] += time.perf_counter() - started

    return during


def _wait(device: torch.device) -> None:
    """An accelerator works on by itself: the clock is read when it is done."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _peaks(hand: Hand, device: torch.device) -> tuple[dict[str, int], str]:
    if device.type == "cuda":
        return _peaks_on_cuda(hand, device), ON_CUDA
    return (_peaks_on_cpu(hand), ON_CPU) if device.type == "cpu" else ({}, NOT_KNOWN)


def _peaks_on_cuda(hand: Hand, device: torch.device) -> dict[str, int]:
    hand.reset()
    before = torch.cuda.memory_allocated(device)
    peaks: dict[str, int] = {}

    @contextmanager
    def during(phase: str) -> Iterator[None]:
        torch.cuda.reset_peak_memory_stats(device)
        yield
        peaks[phase] = max(peaks.get(phase, 0), torch.cuda.max_memory_allocated(device) - before)

    _once(hand, during)
    return peaks


def _peaks_on_cpu(hand: Hand) -> dict[str, int]:
    hand.reset()
    with _silent_profiler(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        _once(hand, lambda phase: record_function(MARK + phase))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        seen.export_chrome_trace(str(path))
        return peaks_of(json.loads(path.read_text(encoding="utf-8"))["traceEvents"])


@contextmanager
def _silent_profiler() -> Iterator[None]:
    """The profiler's library otherwise writes lines of its own to stderr when it starts and stops."""
    before = os.environ.get("KINETO_LOG_LEVEL")
    os.environ["KINETO_LOG_LEVEL"] = "6"
    try:
        yield
    finally:
        if before is None:
            del os.environ["KINETO_LOG_LEVEL"]
        else:
            os.environ["KINETO_LOG_LEVEL"] = before


def peaks_of(trace: list[dict[str, Any]]) -> dict[str, int]:
    """The most bytes allocated within each phase of a profiler's trace, counted from the first phase's start."""
    phases = [e for e in trace if e.get("cat") == "user_annotation" and e["name"].startswith(MARK)]
    began = min(event["ts"] for event in phases)
    live, peaks = 0, {event["name"].removeprefix(MARK): 0 for event in phases}
    for event in sorted((e for e in trace if e["name"] == "[memory]" and e["ts"] >= began), key=lambda e: e["ts"]):
        live += event["args"]["Bytes"]
        for phase in phases:
            if phase["ts"] <= event["ts"] <= phase["ts"] + phase["dur"]:
                name = phase["name"].removeprefix(MARK)
                peaks[name] = max(peaks[name], live)
    return peaks
