"""Faster exports in tests: work that torch repeats in every export is done once a process.

In each export, torch lists its composite operators and replaces their kernels. This takes two
thirds of the time of exporting a small network, as most tests of the compiler do. Every pass over
a graph compiles the graph's source, also if it is the source of the pass before. LiteRT's
converter has JAX lower each operator, also one that it has lowered for another network. The
exported programs and the converted files are the same. In a version of torch or of the converter
without these functions, nothing changes.
"""

import contextlib
import functools
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping

import torch._export.utils as export_utils
import torch._ops
import torch.export.exported_program as exported_program
import torch.fx.graph_module as graph_module
from torch._subclasses import fake_impls
from torch.onnx._internal import _lazy_import

__all__ = ["make_exports_quick"]

_COLLECT = "_collect_all_valid_cia_ops"
_OVERRIDE = "_override_composite_implicit_decomp"


def make_exports_quick() -> None:
    """Keep the lists and tables that are the same in every export of this process."""
    _keep_operators_of_onnx()
    _keep_overridden_kernels()
    _keep_composite_operators()
    _keep_materialised_operators()
    _keep_compiled_source()
    _keep_lowered_operators()


def _keep_composite_operators() -> None:
    """Collect torch's composite operators when there are new operators, not in each export."""
    collect = getattr(exported_program, _COLLECT, None)
    if collect is None or hasattr(collect, "of_torch"):
        return
    kept: dict[frozenset[str], frozenset[typing.Any]] = {}

    def collecting() -> set[typing.Any]:
        names = frozenset(torch._C._dispatch_get_all_op_names())
        if names not in kept:
            kept.clear()
            kept[names] = frozenset(collect())
        return set(kept[names])

    collecting.of_torch = collect  # type: ignore[attr-defined]
    setattr(exported_program, _COLLECT, collecting)


def _keep_operators_of_onnx() -> None:
    """Parse the source of ONNX Script's 500 functions once a process instead of once an export."""
    script = getattr(_lazy_import, "onnxscript_apis", None)
    name = "get_torchlib_ops"
    if not isinstance(script, getattr(_lazy_import, "_LazyModule", ())) or name in vars(script):
        return

    @functools.cache
    def operators() -> typing.Any:
        """The functions with their names; each export only reads them."""
        return script.__getattr__(name)()

    setattr(script, name, operators)


class _Overridden(typing.NamedTuple):
    """The kernels and the rule for fake tensors of an operator, before and during an override."""

    decomposition: typing.Any
    kernels: dict[typing.Any, typing.Any]
    rule: typing.Any
    kernels_during: dict[typing.Any, typing.Any]
    rule_during: typing.Any


def _keep_overridden_kernels() -> None:
    """Put the kernels of composite operators in place at once.

    Each decomposition of a program twice registers twenty kernels for each of 260 operators, one
    by one, and removes them at its end. They are the same each time.
    """
    override = getattr(exported_program, _OVERRIDE, None)
    rules = getattr(fake_impls, "op_implementations_dict", None)
    if override is None or rules is None or hasattr(override, "of_torch"):
        return
    kept: dict[typing.Any, _Overridden] = {}

    def is_kept(operator: typing.Any, decomposition: typing.Any) -> bool:
        known = kept.get(operator)
        return known is not None and (
            known.decomposition is decomposition
            and known.rule is rules.get(operator)
            and known.kernels == operator.py_kernels
        )

    def replace(operator: typing.Any, kernels: Mapping[typing.Any, typing.Any]) -> None:
        operator.py_kernels.clear()
        operator.py_kernels.update(kernels)
        operator._dispatch_cache.clear()

    @contextlib.contextmanager
    def overriding(decompositions: Mapping[typing.Any, typing.Any]) -> Iterator[None]:
        new = {op: to for op, to in decompositions.items() if not is_kept(op, to)}
        before = {op: (to, op.py_kernels.copy(), rules.get(op)) for op, to in new.items()}
        with override(new):
            for operator, values in before.items():
                during = (operator.py_kernels.copy(), rules.get(operator))
                kept[operator] = _Overridden(*values, *during)
            known = {op: kept[op] for op in decompositions if op not in new}
            try:
                for operator, one in known.items():
                    replace(operator, one.kernels_during)
                    rules[operator] = one.rule_during
                yield
            finally:
                for operator, one in known.items():
                    replace(operator, one.kernels)
                    rules.pop(operator, None)

    overriding.of_torch = override  # type: ignore[attr-defined]
    setattr(exported_program, _OVERRIDE, overriding)


def _keep_materialised_operators() -> None:
    """Look up all composite operators again only if there are other ones."""
    materialise = getattr(export_utils, "_materialize_cpp_cia_ops", None)
    if materialise is None or hasattr(materialise, "of_torch"):
        return
    done: list[list[str]] = []

    def materialising() -> None:
        key = "CompositeImplicitAutograd"
        names = torch._C._dispatch_get_registrations_for_dispatch_key(key)
        if names not in done:
            materialise()
            done[:] = [names]

    materialising.of_torch = materialise  # type: ignore[attr-defined]
    export_utils._materialize_cpp_cia_ops = materialising


def _keep_compiled_source() -> None:
    """Compile the source of a graph once, however many graphs have it."""
    execute = getattr(graph_module, "_exec_with_source", None)
    loader = getattr(graph_module, "_loader", None)
    if execute is None or loader is None or hasattr(execute, "of_torch"):
        return

    @functools.lru_cache(maxsize=2000)
    def compiled(source: str) -> types.CodeType:
        # The loader keeps the source under this name, for tracebacks.
        return compile(source, loader.cache(source, {}), "exec", dont_inherit=True)

    def executing(src: str, globals: dict[str, typing.Any], co_fields: typing.Any = None) -> None:
        if co_fields:
            execute(src, globals, co_fields)
        else:
            exec(compiled(src), globals)  # noqa: S102 - as torch does

    executing.of_torch = execute  # type: ignore[attr-defined]
    graph_module._exec_with_source = executing


def _keep_lowered_operators() -> None:
    """Let JAX lower an operator once for all networks, where LiteRT's converter does it for each.

    Nothing happens until the converter is imported.
    """
    bridge = sys.modules.get("litert_torch.backend.jax_bridge._wrap")
    lower = getattr(bridge, "_lower_to_ir_text", None)
    serialise = getattr(bridge, "_stablehlo_to_vhlo", None)
    fingerprint = getattr(bridge, "get_cache_fingerprint", None)
    if lower is None or serialise is None or fingerprint is None or hasattr(lower, "of_litert"):
        return
    kept: dict[typing.Any, str] = {}

    def lowering(
        function: Callable[..., typing.Any],
        args: typing.Any,
        kwargs: typing.Any,
        ir_input_names: list[str] | None = None,
    ) -> tuple[Callable[[], str], list[typing.Any]]:
        lowered, inputs = lower(function, args, kwargs, ir_input_names=ir_input_names)
        known = fingerprint((function, args, kwargs, ir_input_names))
        if known is None:
            return lowered, inputs

        def text() -> str:
            key = (known, repr(known))  # 1, 1.0 and True are equal, and other operators
            if key not in kept:
                kept[key] = lowered()
            return kept[key]

        return text, inputs

    lowering.of_litert = lower  # type: ignore[attr-defined]
    bridge._lower_to_ir_text = lowering  # type: ignore[union-attr]
    bridge._stablehlo_to_vhlo = functools.cache(serialise)  # type: ignore[union-attr]
