"""Latency of the deployment forms of a network with computed weights, compared with eager.

    python -m benchmarks.forms [--size 256x256] [--runs 40] [--keep FOLDER] [--check]

Prints tables of docs/speed.md: first each form of the HyperConv UNet (16, 16, 64) on each runtime,
on one pinned thread, in rounds, so that drift affects all equally; then ratios and their goals.
`predict_filters` uses the whole input here. With --check the script fails if a goal is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.interleaved import RUNTIMES, Case, Eager, Figures, compiled, run_all
from edge_pipeline.cli.options import parse_size
from edge_pipeline.harness.protocol import Plan

NETWORK: dict[str, str | int | float | bool] = {"n_fwd": 16, "n_embed": 16, "n_hid": 64}
MODEL = "hyperconv_unet"
EAGERS = tuple(
    Eager(f"eager, {form}{how}", MODEL, NETWORK, tuned=tuned, folded=form == "folded")
    for form in ("dynamic", "folded")
    for how, tuned in (("", False), (", channels-last, huge pages", True))
)
TUNED = "eager, folded, channels-last, huge pages"
# Largest ratio of apply to folded; ONNX Runtime's convolution accepts computed weights.
APPLY = {"ExecuTorch": 1.25, "ONNX Runtime": 1.05, "LiteRT": 1.25}


def cases_for(size: tuple[int, int]) -> list[Case]:
    """Return every form on every runtime; the last is an ordinary UNet with the same layers."""
    cases = []
    for backend, runtime in RUNTIMES.items():
        split = {"filters": "split", "window": max(size)}
        for name, options, form, program in (
            ("dynamic", NETWORK, {"filters": "dynamic"}, "forward"),
            ("folded", NETWORK, {"filters": "folded"}, "forward"),
            ("predict_filters", NETWORK, split, "predict_filters"),
            ("apply_filters", NETWORK, split, "apply_filters"),
            ("ordinary UNet", NETWORK | {"hyper": False}, {"filters": "dynamic"}, "forward"),
        ):
            cases.append(Case(f"{runtime}, {name}", backend, MODEL, options, form, program))
    return cases


def ratios(figures: dict[str, Figures]) -> list[tuple[str, float, float]]:
    """Return the goals: the name, the ratio of medians, and the largest allowed ratio."""
    goals = []
    for runtime in RUNTIMES.values():
        ms = {name: figures[f"{runtime}, {name}"].median for name in _NAMES}
        both = ms["predict_filters"] + ms["apply_filters"]
        goals += [
            (f"{runtime}: apply / folded", ms["apply_filters"] / ms["folded"], APPLY[runtime]),
            (f"{runtime}: dynamic / folded", ms["dynamic"] / ms["folded"], 1.75),
            (f"{runtime}: dynamic / (predict + apply)", ms["dynamic"] / both, 1.05),
            (f"{runtime}: folded / ordinary UNet", ms["folded"] / ms["ordinary UNet"], 1.10),
            (f"{runtime}: folded / tuned eager", ms["folded"] / figures[TUNED].median, 1.00),
        ]
    return goals


_NAMES = ("dynamic", "folded", "predict_filters", "apply_filters", "ordinary UNet")


def main() -> int:
    """Parse the command line, measure, and print the tables; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--keep", type=Path, help="folder of artifacts to reuse")
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    arguments = parser.parse_args()
    height, width = parse_size(arguments.size, "HxW")
    size, cases = (height, width), cases_for((height, width))
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        seconds = compiled(folder, cases, size)
        figures, peak, where = run_all(
            folder, cases, EAGERS, size, Plan(runs=arguments.runs, seconds=0)
        )
    print(f"{where}\n\n| form | median ms | p10 to p90 | min | GFLOP | floor ms |")
    print("|---|---|---|---|---|---|")
    for name, row in figures.items():
        gflop = 2 * row.macs / 1e9
        counted = f"{gflop:.2f} | {1e3 * gflop / peak:.1f}" if row.macs else " | "
        print(f"| {name} | {row.cells()} | {counted} |")
    print("\n| ratio of medians | measured | goal, at most | |\n|---|---|---|---|")
    goals = ratios(figures)
    for name, ratio, most in goals:
        print(f"| {name} | {ratio:.2f} | {most:.2f} | {'' if ratio <= most else 'missed'} |")
    if seconds:
        print("\n| compiled | seconds |\n|---|---|")
        for name, value in seconds.items():
            print(f"| {name} | {value:.1f} |")
    missed = any(ratio > most for _, ratio, most in goals)
    return int(missed and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
