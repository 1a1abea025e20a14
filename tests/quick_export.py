"""Faster exports in tests: work that torch repeats in every export is done once a process.

In each export, torch lists its composite operators and replaces their kernels. This takes two
thirds of the time of exporting a small network, as most tests of the compiler do. The exported
programs are the same. In a version of torch without these functions, nothing changes.
"""

import contextlib
import functools
import typing
from collections.abc import Iterator, Mapping

import torch._ops
import torch.export.exported_program as exported_program
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
