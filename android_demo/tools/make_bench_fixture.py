"""Write the figures with which the app's statistics, protocol and comparison must agree.

Run from the root of the repository: `python android_demo/tools/make_bench_fixture.py`. The
tests of the app read the file that this command writes; `tests/unit/harness/test_app_figures.py`
fails if the harness computes other figures than those in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from edge_pipeline.compare import TOLERANCES, compare
from edge_pipeline.harness.protocol import Loaded, Plan, TimedRun, measure
from edge_pipeline.harness.statistics import summarise

__all__ = ["FIXTURE", "comparison", "latency", "protocol"]

ROOT = Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "android_demo/app/src/test/resources/fixtures/bench.json"

Case = dict[str, Any]


class _Scripted:
    """A program whose times are given, and which notes its turns."""

    block = 1

    def __init__(self, index: int, times: list[int], turns: list[int]) -> None:
        self._index = index
        self._times = times
        self._turns = turns
        self._done = 0

    def load(self) -> Loaded:
        return Loaded(1_000_000 * (self._index + 1), 2_000_000)

    def run(self, count: int) -> list[TimedRun]:
        found = []
        for _ in range(count):
            self._turns.append(self._index)
            elapsed = self._times[self._done % len(self._times)]
            found.append(TimedRun(elapsed, elapsed % 7 // 6))
            self._done += 1
        return found


def latency(samples_ms: list[float]) -> Case:
    """Return the statistics of samples."""
    return summarise(samples_ms).model_dump()


def protocol(case: Case) -> Case:
    """Return the results of the protocol for scripted times."""
    turns: list[int] = []
    subjects = [_Scripted(i, times, turns) for i, times in enumerate(case["times_ns"])]
    timings = measure(subjects, Plan(case["runs"], case["seconds"], case["warmup"]))
    return {
        "turns": turns,
        "num_warmup_runs": timings[0].num_warmup_runs,
        "warmup_stable": timings[0].warmup_stable,
        "first_ms": [timing.first_inference_ms for timing in timings],
        "import_ms": [timing.import_ms for timing in timings],
        "samples_ms": [list(timing.samples_ms) for timing in timings],
        "preempted_runs": [timing.preempted_runs for timing in timings],
    }


def comparison(case: Case) -> Case:
    """Return the differences of an output from its reference, and whether they are allowed."""
    expected, found = (np.array(case[name], np.float32) for name in ("expected", "found"))
    (difference,) = compare(
        {"output": expected},
        {"output": found},
        ranges={} if case["range"] is None else {"output": tuple(case["range"])},
        pictures={"output": case["space"]},
        variations={} if case["variation"] is None else {"output": case["variation"]},
    ).values()
    return {
        "max_abs": difference.max_abs,
        "max_rel": difference.max_rel,
        "psnr_db": difference.psnr_db,
        "passed": TOLERANCES[case["precision"]].complaint(difference) is None,
    }


def _statistics_cases(generator: np.random.Generator) -> list[Case]:
    samples = [[3.25], [1.0, 2.0], [5.0] * 30]
    samples += [np.exp(generator.normal(1, s, n)).tolist() for s, n in ((0.05, 31), (0.5, 50))]
    samples.append(np.round(generator.gamma(2, 3, 203), 6).tolist())
    return [{"samples_ms": one, "latency": latency(one)} for one in samples]


def _protocol_cases(generator: np.random.Generator) -> list[Case]:
    cases: list[Case] = []
    for count, spread, slope, plan in (
        (1, 0.01, 0.0, (30, 0.0, 0)),
        (2, 0.02, 0.0, (30, 0.0, 3)),
        (3, 0.3, 0.05, (40, 0.0, 4)),
        (4, 0.02, 0.01, (30, 0.9, 12)),
    ):
        steps = np.exp(-slope * np.arange(40))
        noise = np.exp(generator.normal(0, spread, (count, 40)))
        times = (5e6 * noise * steps).astype(int).tolist()
        runs, seconds, warmup = plan
        case = {"times_ns": times, "runs": runs, "seconds": seconds, "warmup": warmup}
        cases.append({**case, **protocol(case)})
    return cases


def _comparison_cases(generator: np.random.Generator) -> list[Case]:
    cases: list[Case] = []
    for precision, space, size, error, variation in (
        ("fp32", "logits", 64, 1e-7, 2.0),
        ("fp32", "logits", 64, 0.0, None),
        ("fp32", "logits", 64, 1e-3, 2.0),
        ("fp32", "camera_linear", 64, 2e-5, None),
        ("fp32", "srgb", 64, 2e-5, None),
        ("fp32", "logits", 64, 3e-5, 1e-3),
        ("fp16", "logits", 64, 3e-4, None),
        ("fp16", "logits", 64, 4e-3, None),
        ("fp16", "logits", 1, 1.5e-3, None),
        ("int8", "logits", 64, 1e-2, None),
        ("int8", "logits", 64, 2e-1, None),
    ):
        expected = generator.uniform(-0.2, 1, size).astype(np.float32)
        found = expected + (error * generator.uniform(-1, 1, size)).astype(np.float32)
        case = {
            "precision": precision, "space": space, "variation": variation,
            "range": [0.0, 1.0] if space != "logits" else None,
            "expected": expected.tolist(), "found": found.tolist(),
        }  # fmt: skip
        cases.append({**case, **comparison(case)})
    return cases


def main() -> None:
    """Write the file."""
    generator = np.random.default_rng(50)
    cases = {
        "statistics": _statistics_cases(generator),
        "protocol": _protocol_cases(generator),
        "comparison": _comparison_cases(generator),
    }
    FIXTURE.write_text(json.dumps(cases) + "\n")
    print(f"wrote {FIXTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
