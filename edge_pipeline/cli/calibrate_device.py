"""`edge-pipeline calibrate-device`: measure a device's peaks and the compiler's costs on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_pipeline.device_profile import load_profile, profile_names
from edge_pipeline.errors import InputError
from edge_pipeline.harness.devices.base import Options
from edge_pipeline.harness.devices.named import open_named
from edge_pipeline.harness.gate import Gate
from edge_pipeline.optional import require
from edge_pipeline.registry import DEVICES
from edge_pipeline.report.terminal import console

if TYPE_CHECKING:
    from edge_pipeline.calibrate.result import Result

__all__ = ["command"]

_SUFFIX = ".toml"


def command(
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="NAME.toml", help="File of the profile to write."),
    ],
    device: Annotated[
        str, typer.Option(help="Device to measure, as for `bench`; it should do nothing else.")
    ] = "host",
    backend: Annotated[
        list[str] | None,
        typer.Option(help="Backend to measure; by default all that are installed."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure few small layers, to try a device.")
    ] = False,
    refit: Annotated[
        bool, typer.Option("--refit", help="Only fit the models of NAME.toml to its samples anew.")
    ] = False,
    cores: Annotated[
        str | None,
        typer.Option(metavar="big|little|0,1", help="Processors to pin to; by default the idlest."),
    ] = None,
    runner: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Program that runs artifacts on an attached device."),
    ] = None,
    max_temperature: Annotated[
        float | None,
        typer.Option(metavar="CELSIUS", help="Wait until the device is not warmer than this."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing profile.")] = False,
) -> None:
    """Measure a device, and write a profile that `compile --target NAME.toml` uses.

    The programs of the measurement are compiled here and run on the device: a convolution by each
    algorithm of the compiler for each layer of a grid. Measurements are kept in NAME.samples.jsonl
    until the profile is written, so that the same command continues an interrupted calibration.
    """
    require("torch", "onnx,executorch,litert", "calibrating a device")
    require("scipy.optimize", "train", "calibrating a device")
    from edge_pipeline.calibrate import result as result_module
    from edge_pipeline.calibrate import running
    from edge_pipeline.calibrate.grid import LAYERS, QUICK_LAYERS

    out = console()
    path = _named(output)
    if refit:
        _show(result_module.refit(path), path)
        return
    for name in backend or ():
        if name not in running.BACKENDS_OF_COSTS:
            raise InputError(
                f"the backend {name!r} has no costs; choose from "
                f"{', '.join(running.BACKENDS_OF_COSTS)}"
            )
    request = running.Request(
        device=device,
        address=_address(device),
        output=path,
        backends=tuple(dict.fromkeys(backend or ())),
        layers=QUICK_LAYERS if quick else LAYERS,
        cores=cores,
        gate=Gate(max_temperature),
        force=force,
    )
    opened = open_named(device, Options(runner=runner))
    with console(stderr=True).status("opening") as status:
        result = running.calibrate(
            request,
            opened,
            on_step=status.update,
            on_done=lambda line: out.print(line, markup=False, highlight=False, soft_wrap=True),
        )
    _show(result, path)


def _named(output: Path) -> Path:
    """Return the file of a profile; a name without an ending gets one."""
    if not output.suffix:
        return output.with_name(output.name + _SUFFIX)
    if output.suffix != _SUFFIX:
        raise InputError(f"a profile is a file with the ending .toml, got {output.name}")
    return output


def _address(device: str) -> tuple[str, str]:
    """Return the kind of a device and its address; a profile's name has those of the profile."""
    kind, _, address = device.partition(":")
    if not address and kind not in DEVICES and kind in profile_names():
        profile = load_profile(kind)
        return profile.transport, profile.address
    return kind, address


def _show(result: Result, path: Path) -> None:
    out = console()
    lines = list(result.refused)
    if result.peaks is not None:
        lines.append(
            f"peaks: {result.peaks.gflops:.4g} GFLOP/s, copies {result.peaks.copy_gb_s:.3g} GB/s"
        )
    for name, model in result.models.items():
        q = model.quality
        lines.append(
            f"{name}: median error {q.median_error:.0%}, p90 {q.p90_error:.0%}; on held-out layers "
            f"the best algorithm {q.best_found} of {q.held_out_layers} times, within 10 % of it "
            f"{q.within_10_percent} times; near up to {model.cache_bytes >> 10} KiB, "
            f"{model.lanes} lanes"
        )
    lines.append(f"wrote {path} and its costs, fitted to {result.samples} samples")
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
