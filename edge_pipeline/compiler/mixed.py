"""Int8 with some layers in float32, if the outputs with int8 in all layers are not exact enough."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from torch.export import ExportedProgram

from edge_pipeline.compiler.backends.base import EmitOptions
from edge_pipeline.compiler.precision.sensitivity import float_layers
from edge_pipeline.compiler.preparing import Prepared

__all__ = ["mixtures", "resolved"]

# Estimated PSNR, in dB, that layers in float32 must lead to. The check demands 30 dB; estimate and
# measurement differ by a few dB.
_ESTIMATES = (32.0, 36.0)


def mixtures(ready: Prepared) -> Iterator[Prepared]:
    """Yield programs to build, in order, if int8 in all layers is not exact enough.

    Each keeps more layers in float32 than the one before. Ranges are observed on inputs of the
    example's own scale only: in a network that normalises, inputs scaled by 1/8 can have outputs 90
    times as large, so that int8 has too few steps for the others.

    Args:
        ready: The prepared programs; nothing is yielded for precisions other than int8.
    """
    if ready.options.precision != "int8":
        return
    if ready.nearer is not None:
        samples, observed = ready.nearer
        ready = replace(ready, samples=samples, observed=observed)
    for least_db in _ESTIMATES:
        yield replace(ready, options=replace(ready.options, least_db=least_db))


def resolved(
    name: str, program: ExportedProgram, options: EmitOptions
) -> tuple[EmitOptions, tuple[str, ...]]:
    """Return the options with the layers that stay in float32, and notes for the manifest.

    Args:
        name: Name of the program, for the notes.
        program: Program after all passes.
        options: Options whose `least_db` states how exact the outputs must be; if that is None, the
            options are returned unchanged.

    Raises:
        TooManyInFloatError: If more than half of the constant weights would stay in float32.
    """
    if options.least_db is None:
        return options, ()
    found = float_layers(program, options.samples, options.least_db)
    notes = (f"{name}: {found.note()}",) if found.keys else ()
    return replace(options, in_float=found.keys), notes
