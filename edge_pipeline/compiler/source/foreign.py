"""Networks from a user's own code: any module that torch can export."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch._dynamo.eval_frame import OptimizedModule

from edge_pipeline.artifact.provenance import ModelCard, Source
from edge_pipeline.artifact.tensors import Dtype
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.compiler.source.naming import InputShape
from edge_pipeline.compiler.source.nesting import flat_inputs, nested
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.compiler.source.shapes import DTYPES
from edge_pipeline.errors import CheckpointError, InputError
from edge_pipeline.files import sha256_of
from edge_pipeline.models.network import Port, free_parameters

__all__ = ["drawn_inputs", "foreign_network", "open_factory"]

_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)
_NARROW = {"torch.float16", "torch.bfloat16"}
# Keys under which checkpoints of other projects store the weights.
_NESTED = ("state_dict", "model_state_dict", "model", "net", "params")


def open_factory(
    source: str,
    inputs: Mapping[str, InputShape],
    *,
    weights: Path | None = None,
    fixed: Mapping[str, object] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    seed: int = 0,
) -> SourceNetwork:
    """Call a user's factory, and load weights into the module that it returns.

    Args:
        source: `package.module:factory`; modules in the current folder are found too.
        inputs: Input shapes by the names of parameters of the module's `forward`; a dotted name
            such as `batch.image` or `maps.0` is an entry of a dictionary or a list.
        weights: Safetensors, `.pt` or `.pth` file; the latter are read without unpickling code.
        fixed: Values by name, for parameters of `forward` that become constants.
        ranges: Ranges of example inputs, by name; 0 to 1 by default.
        seed: Seed of fresh weights and of example inputs.

    Raises:
        InputError: If the factory does not exist or fails, or the inputs do not fit `forward`.
        CheckpointError: If the weights cannot be read, or belong to another network.
    """
    factory = _factory(source)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            module = factory if isinstance(factory, nn.Module) else factory()
        except Exception as error:
            raise InputError(f"{source} failed: {type(error).__name__}: {error}") from error
    if not isinstance(module, nn.Module):
        raise InputError(f"{source} returned {type(module).__name__}; return a torch.nn.Module")
    if weights is not None:
        _load(module, weights)
    digest = None if weights is None else sha256_of(weights)
    record = Source(
        model=source, options={}, checkpoint_sha256=digest, seed=None if weights else seed
    )
    drawn = nested(drawn_inputs(inputs, seed, ranges))
    return foreign_network(module, drawn, source=record, fixed=fixed)


def foreign_network(
    module: nn.Module,
    inputs: Mapping[str, Any] | Sequence[Any],
    *,
    source: Source | None = None,
    fixed: Mapping[str, object] | None = None,
) -> SourceNetwork:
    """Return a module and its example inputs as a source network.

    Args:
        module: Any module; it is put into eval mode.
        inputs: Tensors of the types in `DTYPES`, or dictionaries, lists and tuples of them, by the
            names of parameters of `forward` or in their order.
        source: Origin of the module; its class by default.
        fixed: Values by name, for parameters of `forward` that become constants.

    Raises:
        InputError: If the inputs do not fit `forward` or have another type, or the module is a
            ScriptModule or has weights in half precision.
    """
    module = _unwrapped(module)
    name = type(module).__name__
    fixed = fixed or {}
    taken = free_parameters(module, fixed)
    arguments = _named(name, taken, inputs)
    named = flat_inputs(arguments)
    for key, value in named.items():
        if value.dtype not in DTYPES:
            raise InputError(
                f"the input {key} is {str(value.dtype).removeprefix('torch.')}; for every backend, "
                f"give {', '.join(DTYPES.values())}"
            )
    ports = tuple(Port.of_unknown(key, tuple(value.shape)) for key, value in named.items())
    geometry = Geometry(
        inputs=ports,
        outputs=(),
        stride=1,
        minimum=1,
        scale=1,
        halo=None,
        default_size=(1, 1),
        free_sizes=False,
    )
    return SourceNetwork(
        module.eval(),
        geometry,
        source or Source(model=name, options={}),
        _card(name),
        example=tuple(value.detach().contiguous() for value in named.values()),
        arguments=arguments,
        fixed=fixed,
    )


def _factory(source: str) -> Any:
    module, _, name = source.partition(":")
    here = os.getcwd()  # noqa: PTH109 - sys.path holds strings
    sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise InputError(f"the module {module} has no {name!r}; give package.module:factory") from (
            error
        )
    except Exception as error:
        raise InputError(
            f"{module} cannot be imported: {type(error).__name__}: {error}; run from the folder "
            "that contains it, or install it"
        ) from error
    finally:
        sys.path.remove(here)


def _load(module: nn.Module, path: Path) -> None:
    """Load weights; a missing or an unexpected name is an error."""
    if not path.is_file():
        raise InputError(f"the weights {path} are not a file; give safetensors, .pt or .pth")
    try:
        state: Any = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
        module.load_state_dict(state)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as weights: {error}") from error
    except (RuntimeError, TypeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        detail = lines[1] if len(lines) > 1 else lines[0]
        raise CheckpointError(
            f"the weights in {path} do not fit {type(module).__name__}: {detail}"
        ) from error


def _unpickled(path: Path) -> Any:
    """Read tensors by name from torch's format; only tensors and plain containers are built."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be read without running code that it contains: "
            f"{str(error).splitlines()[0]}; save its state_dict as safetensors"
        ) from error
    for key in _NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    return content


def _named(
    name: str,
    taken: Sequence[inspect.Parameter],
    inputs: Mapping[str, Any] | Sequence[Any],
) -> dict[str, Any]:
    """Return the inputs by the names of parameters, in the order of `forward`."""
    single = [p.name for p in taken if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    star = next((p.name for p in taken if p.kind is p.VAR_POSITIONAL), None)
    has_keywords = any(p.kind is p.VAR_KEYWORD for p in taken)
    if isinstance(inputs, Mapping):
        named = dict(inputs)
    else:
        # Parameters after `*args` cannot be given by place.
        places = [
            p.name for p in taken if p.name in single and not (star and p.kind is p.KEYWORD_ONLY)
        ]
        named, rest = dict(zip(places, inputs, strict=False)), tuple(inputs[len(places) :])
        if rest and star is None:
            raise InputError(f"{name}.forward expects {len(single)} inputs, not {len(inputs)}")
        if rest and star is not None:
            named[star] = rest
    known = single if star is None else [*single, star]
    unknown = [key for key in named if key not in known]
    required = [p.name for p in taken if p.name in single and p.default is p.empty]
    missing = [key for key in required if key not in named]
    if (unknown and not has_keywords) or missing or not named:
        problem = f"has no input {unknown[0]!r}" if unknown else f"requires {', '.join(missing)}"
        raise InputError(
            f"{name}.forward {problem}; its inputs are {', '.join(known)}, and each is given by "
            f"its shape, such as --input {known[0] if known else 'image'}=1x3x256x256"
        )
    return {key: named[key] for key in [*known, *unknown] if key in named}


def _unwrapped(module: nn.Module) -> nn.Module:
    """Return the network inside the wrappers of `torch.compile` and of data parallelism.

    Raises:
        InputError: If the network is a ScriptModule.
    """
    while isinstance(module, (*_PARALLEL, OptimizedModule)):
        module = module._orig_mod if isinstance(module, OptimizedModule) else module.module
    if isinstance(module, torch.jit.ScriptModule):
        raise InputError(
            "the network is a ScriptModule, which torch.export cannot trace; give the Python "
            "module from which it was made"
        )
    narrow = {str(p.dtype) for p in module.parameters() if p.is_floating_point()} & _NARROW
    if narrow:
        raise InputError(
            f"the weights are {min(narrow)}; convert the network with .float(), and choose the "
            "precision of the artifact with --precision"
        )
    return module


def _card(name: str) -> ModelCard:
    return ModelCard(
        name=name,
        description="A network from a user's own code, without a description by its author.",
        input_space="features",
        output_space="features",
        training_data=(),
        licence="not stated",
    )


def drawn_inputs(
    shapes: Mapping[str, InputShape],
    seed: int = 0,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, Tensor]:
    """Draw example inputs of the given shapes and types, uniformly from their ranges.

    Args:
        shapes: Shapes and types by name; integers include both ends of their range.
        seed: Seed; two draws with the same seed are equal.
        ranges: Ranges by name; by default all values of uint8 and int8, and 0 to 1 otherwise.

    Raises:
        InputError: If a range contains values that an 8-bit input cannot have.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = {}
    for name, (sizes, dtype) in shapes.items():
        low, high = _range_of(name, dtype, ranges or {})
        if dtype == "float32":
            drawn[name] = low + (high - low) * torch.rand(sizes, generator=generator)
        else:
            whole = torch.randint(int(low), int(high) + 1, sizes, generator=generator)
            drawn[name] = whole.to(getattr(torch, dtype))
    return drawn


def _range_of(
    name: str, dtype: Dtype, ranges: Mapping[str, tuple[float, float]]
) -> tuple[float, float]:
    """Return the range of an input, within the limits of its type."""
    if dtype not in ("uint8", "int8"):
        return ranges.get(name, (0.0, 1.0))
    limits = torch.iinfo(getattr(torch, dtype))
    low, high = ranges.get(name, (limits.min, limits.max))
    if low < limits.min or high > limits.max:
        raise InputError(
            f"the range of {name} is {low:g} to {high:g}; {dtype} has values from {limits.min} to "
            f"{limits.max}"
        )
    return low, high
