"""Measure the algorithms of a convolution on a device, and fit the cost model that selects them.

    python -m tools.fit_cost_model --target NAME [--backend executorch ...] [--rounds 20] [--refit]

Run the tool on the device itself. Each algorithm is compiled for each layer of a grid by the
project's own passes and backend, and timed in its runtime on one thread. The algorithms of a layer
take turns, so that drift affects all of them equally. A pooling precedes the layer, so that a
runtime that transposes its feature maps pays for this as in a network; a program with the pooling
alone is also timed, and its time is subtracted. The tool writes the samples and the models to
`devices/NAME.costs.json`; with --refit it only fits the models to the samples in that file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import thread_time_ns
from typing import Any, cast

import numpy as np
import torch
from scipy.optimize import nnls  # type: ignore[import-untyped] # it has no types
from torch import Tensor, nn

from edge_pipeline.artifact.manifest import Delegation, ProgramSpec
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.compiler.backends.base import Backend, EmitOptions, Emitted
from edge_pipeline.compiler.lowering.choice import plans_of
from edge_pipeline.compiler.lowering.convolution import ConvGeometry, ConvPlan
from edge_pipeline.compiler.lowering.cost_model import (
    CONSTANT,
    COSTS_FILE,
    NATIVE,
    BackendCosts,
    Call,
    Coefficients,
    Costs,
    CostSample,
    Quality,
    load_costs,
    predict,
    work_of,
)
from edge_pipeline.compiler.lowering.padding import Padding
from edge_pipeline.compiler.passes.lower_convolution import LowerConvolution
from edge_pipeline.compiler.pipeline import passes_for, run_passes
from edge_pipeline.compiler.program import Pass
from edge_pipeline.device_profile import DEFAULT_TARGET, load_profile, profile_file
from edge_pipeline.errors import CompileError, EdgePipelineError
from edge_pipeline.files import atomic_file
from edge_pipeline.registry import BACKENDS, RUNTIMES

__all__ = ["LAYERS", "call_of", "fit", "main", "measure", "quality_of"]

# Output and input channels, kernel size, side: layers of the project's networks and similar ones.
LAYERS: tuple[tuple[int, int, int, int], ...] = (
    (16, 4, 3, 192),
    (16, 16, 3, 192),
    (3, 16, 3, 192),
    (8, 16, 3, 128),
    (16, 8, 3, 128),
    (8, 8, 3, 64),
    (12, 32, 3, 128),
    (32, 32, 3, 64),
    (32, 8, 3, 96),
    (64, 64, 3, 32),
    (16, 48, 3, 64),
    (4, 24, 3, 96),
    (16, 16, 1, 128),
    (8, 8, 5, 64),
    (16, 16, 3, 24),
    (3, 16, 3, 32),
)
_CACHES = tuple(1 << power for power in range(18, 25))
_LANES = (1, 4, 8, 16, 32)
_WARM_UP = 2


def call_of(layer: tuple[int, int, int, int]) -> Call:
    """Return the convolution of a layer: padded by reflection to keep its size, with a bias."""
    n_out, n_in, kernel, side = layer
    geometry = ConvGeometry(Padding(kernel // 2, kernel // 2, "reflect"))
    return Call((side, side), (n_out, n_in, kernel, kernel), geometry, bias=True)


class _Program(nn.Module):
    """A pooling, then the layer if `layer` is true; computed weights are inputs times two."""

    def __init__(self, call: Call, *, constant: bool, layer: bool) -> None:
        super().__init__()
        self.call, self.constant, self.layer = call, constant, layer
        rng = torch.Generator().manual_seed(0)
        self.register_buffer("weight", torch.randn(call.weight, generator=rng) / 8)
        self.register_buffer("bias", torch.randn(call.weight[0], generator=rng))

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(x, 3, 1, 1)
        if not self.layer:
            return x
        if self.constant:
            weight, bias = self.get_buffer("weight"), self.get_buffer("bias")
        else:
            weight, bias = weight * 2.0, bias * 2.0
        amount = self.call.geometry.padding.rows
        if amount:
            x = nn.functional.pad(x, (amount,) * 4, mode="reflect")
        return torch.conv2d(x, weight, bias)


def _session(backend: str, module: _Program, plan: ConvPlan | None, folder: Path) -> Any:
    """Compile a program and return a function without arguments that runs it in its runtime.

    Raises:
        CompileError: If the backend rejects the program, or its output is wrong.
    """
    writer = cast(Backend, BACKENDS.load(backend))
    call = module.call
    n_in = call.weight[1] * call.geometry.groups
    rng = torch.Generator().manual_seed(1)
    x = torch.rand(1, n_in, *call.size, generator=rng)
    # Copies, because torch would treat an input that is the buffer itself as the buffer.
    inputs = (x, module.get_buffer("weight").clone(), module.get_buffer("bias").clone())
    program = torch.export.export(module.eval(), inputs).run_decompositions({})
    program = run_passes(program, _passes(backend, plan), inputs)
    names = ("x", "weight", "bias")
    emitted = writer.emit(program, EmitOptions("forward", names, ("y",)))
    for name, content in emitted.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    with torch.no_grad():
        result = module(*inputs)
    spec = _spec(emitted, dict(zip(names, inputs, strict=True)), result)
    runtime = RUNTIMES.load(backend)
    session = runtime.open_session(folder / emitted.file, spec, 1)
    arrays = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
    found = session.run(arrays)["y"]
    off = float(np.abs(found - result.numpy()).max())
    if not off <= 1e-4 * max(1.0, float(result.abs().max())):
        raise CompileError(f"the result of {plan} on {backend} differs from eager by {off:.3g}")
    return lambda: session.run(arrays)


def _passes(backend: str, plan: ConvPlan | None) -> list[Pass]:
    """Return the backend's passes with `plan` instead of the choice by costs; None for no layer."""
    lowering = [] if plan in (CONSTANT, NATIVE, None) else [LowerConvolution(backend, plan=plan)]
    steps: list[Pass] = []
    for step in passes_for(backend):
        steps += lowering if isinstance(step, LowerConvolution) else [step]
    # A backend whose pipeline has no lowering is measured too, to find out whether it should have.
    return steps if any(step in lowering for step in steps) else [*steps[:2], *lowering, *steps[2:]]


def _spec(emitted: Emitted, inputs: dict[str, Tensor], output: Tensor) -> ProgramSpec:
    def tensor(name: str, value: Tensor) -> TensorSpec:
        layout = {4: "NCHW", 1: "N"}[value.dim()]
        return TensorSpec(name=name, shape=tuple(value.shape), layout=layout, meaning="a probe")

    return ProgramSpec(
        name="forward",
        file=emitted.file,
        extra=tuple(f for f in emitted.files if f != emitted.file),
        inputs=tuple(itertools.starmap(tensor, inputs.items())),
        outputs=(tensor("y", output),),
        macs=0,
        flops=0,
        delegation=Delegation(delegate="", delegated={}, outside={}),
        reference="none.safetensors",
    )


def measure(
    backend: str, layers: Iterable[tuple[int, int, int, int]], rounds: int
) -> list[CostSample]:
    """Time every algorithm of every layer that the backend supports.

    Args:
        backend: Name of the backend in the registry.
        layers: Layers, as in `LAYERS`.
        rounds: Number of timed runs of each program, after two warm-up runs.
    """
    samples = []
    for layer in layers:
        call = call_of(layer)
        own = [CONSTANT, NATIVE]
        plans = own + [p for p in plans_of(call, constant=True) if p not in own]
        with tempfile.TemporaryDirectory() as folder:
            sessions = {}
            for number, plan in enumerate([None, *plans]):
                module = _Program(call, constant=plan == CONSTANT, layer=plan is not None)
                place = Path(folder, str(number))
                place.mkdir()
                try:
                    sessions[plan] = _session(backend, module, plan, place)
                except CompileError as error:
                    print(f"{backend} {layer} {plan}: {str(error)[:80]}", file=sys.stderr)
            samples += _timed(backend, call, sessions, rounds)
        print(f"{backend} {layer}: {len(sessions)} programs", file=sys.stderr, flush=True)
    return samples


def _timed(backend: str, call: Call, sessions: dict[Any, Any], rounds: int) -> list[CostSample]:
    taken: dict[Any, list[float]] = {plan: [] for plan in sessions}
    for _ in range(rounds + _WARM_UP):
        for plan, run in sessions.items():
            # Only this thread computes; its own time excludes that of other processes.
            start = thread_time_ns()
            run()
            taken[plan].append((thread_time_ns() - start) / 1e6)
    around = taken.pop(None)[_WARM_UP:]
    return [
        CostSample(
            backend=backend,
            form=plan.algorithm,
            strip_bytes=plan.strip_bytes,
            size=call.size,
            weight=call.weight,
            ms=tuple(round(a - b, 4) for a, b in zip(ms[_WARM_UP:], around, strict=True)),
        )
        for plan, ms in taken.items()
    ]


def _time(sample: CostSample) -> float:
    """Return the median time in ms, at least 0.001, because a time of 0 cannot be fitted."""
    return max(1e-3, float(np.median(sample.ms)))


def _call(sample: CostSample) -> Call:
    n_out, n_in, kernel, _ = sample.weight
    return call_of((n_out, n_in, kernel, sample.size[0]))


def _coefficients(
    samples: Sequence[CostSample], cache_bytes: int, lanes: int, peak_gflops: float
) -> Coefficients:
    """Fit the model of one algorithm by non-negative least squares on relative errors.

    A GFLOP costs at least as much as at the device's peak, and a far byte at least as much as a
    near one. Without these bounds, a fit to few samples can predict no cost for large maps.
    """
    rows = np.array(
        [
            work_of(_call(s), ConvPlan(s.form, s.strip_bytes), cache_bytes, lanes).units()
            for s in samples
        ]
    )
    rows[:, 1] += rows[:, 2]  # the coefficient of far bytes is their cost above that of near ones
    times = np.array([_time(s) for s in samples])
    floor = 1e3 / peak_gflops  # ms per GFLOP
    left = 1 - floor * rows[:, 0] / times
    (flops, near, beyond, operators), _ = nnls(rows / times[:, None], left)
    values = (floor + flops, near, near + beyond, operators)
    rounded = (float(f"{value:.6g}") for value in values)
    return Coefficients.model_validate(dict(zip(Coefficients.model_fields, rounded, strict=True)))


def _model(
    samples: Sequence[CostSample], cache_bytes: int, lanes: int, peak_gflops: float
) -> BackendCosts:
    algorithms = {
        name: _coefficients([s for s in samples if s.form == name], cache_bytes, lanes, peak_gflops)
        for name in sorted({s.form for s in samples})
    }
    unknown = Quality(
        median_error=0, p90_error=0, held_out_layers=1, best_found=0, within_10_percent=0
    )
    return BackendCosts(
        cache_bytes=cache_bytes, lanes=lanes, forms=algorithms, quality=unknown, tools={}
    )


def _errors(model: BackendCosts, samples: Iterable[CostSample]) -> list[float]:
    return [
        abs(predict(model, _call(s), ConvPlan(s.form, s.strip_bytes)) / _time(s) - 1)
        for s in samples
    ]


def _regret(model: BackendCosts, samples: Sequence[CostSample]) -> float:
    """Return the mean relative excess time of the chosen algorithms over the fastest ones.

    Each layer counts once with computed weights and once with constant weights.
    """
    lost = []
    groups = itertools.groupby(samples, key=lambda s: (s.weight, s.size))
    for group, other in itertools.product([list(g) for _, g in groups], (CONSTANT, NATIVE)):
        held = [s for s in group if s.form != other.algorithm]
        chosen = min(held, key=lambda s: predict(model, _call(s), ConvPlan(s.form, s.strip_bytes)))
        lost.append(_time(chosen) / min(map(_time, held)) - 1)
    return float(np.mean(lost))


def fit(samples: Sequence[CostSample], peak_gflops: float) -> BackendCosts:
    """Return the backend's model with the smallest error and regret over cache sizes and lanes.

    Args:
        samples: Samples of one backend; those of a layer must be adjacent.
        peak_gflops: Peak of the device, in GFLOP/s.
    """
    models = (_model(samples, *which, peak_gflops) for which in itertools.product(_CACHES, _LANES))
    return min(
        models, key=lambda model: float(np.mean(_errors(model, samples))) + _regret(model, samples)
    )


def quality_of(samples: Sequence[CostSample], model: BackendCosts, peak_gflops: float) -> Quality:
    """Return how well the model predicts times, and ranks the algorithms of held-out layers.

    Each layer is held out in turn. A model with the same cache size and lanes is fitted to the
    others, and ranks the held-out layer's algorithms with computed weights.
    """
    errors = _errors(model, samples)
    layers = sorted({(s.weight, s.size) for s in samples})
    tried = best = near = 0
    for layer in layers:
        others = [s for s in samples if (s.weight, s.size) != layer]
        blind = _model(others, model.cache_bytes, model.lanes, peak_gflops)
        known = set(blind.forms) - {CONSTANT.algorithm}
        held = [s for s in samples if (s.weight, s.size) == layer and s.form in known]
        if not held:  # no other layer has these algorithms
            continue
        chosen = min(held, key=lambda s: predict(blind, _call(s), ConvPlan(s.form, s.strip_bytes)))
        fastest = min(held, key=_time)
        tried += 1
        best += chosen.form == fastest.form
        near += _time(chosen) <= 1.1 * _time(fastest)
    return Quality(
        median_error=round(float(np.median(errors)), 4),
        p90_error=round(float(np.percentile(errors, 90)), 4),
        held_out_layers=max(1, tried),
        best_found=best,
        within_10_percent=near,
    )


def _report(backend: str, model: BackendCosts) -> None:
    q = model.quality
    print(
        f"{backend}: median error {q.median_error:.0%}, p90 {q.p90_error:.0%}; on held-out layers "
        f"the best algorithm {q.best_found} of {q.held_out_layers} times, within 10 % of it "
        f"{q.within_10_percent} times; near up to {model.cache_bytes >> 10} KiB, "
        f"{model.lanes} lanes"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, fit and write the costs; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", default=DEFAULT_TARGET)
    parser.add_argument("--backend", action="append", choices=BACKENDS.names())
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--refit", action="store_true")
    given = parser.parse_args(arguments)
    try:
        profile = load_profile(given.target)
        path = profile_file(given.target, COSTS_FILE)
        old = load_costs(given.target) if path.exists() else None
        backends = given.backend or [b for b in profile.runtimes if b in BACKENDS.names()]
        kept = [s for s in (old.samples if old else ()) if given.refit or s.backend not in backends]
        models = dict(old.backends) if old else {}
        for backend in backends:
            new = [] if given.refit else measure(backend, LAYERS, given.rounds)
            kept += new
            own = [s for s in kept if s.backend == backend]
            tools = cast(Backend, BACKENDS.load(backend)).require()
            model = fit(own, profile.peaks.gflops)
            models[backend] = model.model_copy(
                update={"quality": quality_of(own, model, profile.peaks.gflops), "tools": tools}
            )
            _report(backend, models[backend])
            costs = Costs(device=given.target, backends=models, samples=tuple(kept))
            with atomic_file(path) as temporary:
                temporary.write_text(_text(costs), encoding="utf-8")
    except EdgePipelineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _text(costs: Costs) -> str:
    """Return the costs as JSON with one sample per line, so that diffs of new samples are short."""
    fields = costs.model_dump(mode="json")
    lines = ",\n".join("  " + json.dumps(sample) for sample in fields.pop("samples"))
    head = json.dumps(fields, indent=1, sort_keys=True).removesuffix("\n}")
    return f'{head},\n "samples": [\n{lines}\n ]\n}}\n'


if __name__ == "__main__":
    sys.exit(main())
