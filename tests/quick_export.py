"""What torch does dozens of times in every export, for each of its operators, is done less often.

It is half of the time of exporting a small network, as most tests of the compiler do. What an
export gives does not change. In a version of torch without these functions, nothing changes.
"""

import functools
import typing

import torch._export.utils as utils
import torch._ops
import torch.export.exported_program as exported_program
from torch.onnx._internal import _lazy_import

__all__ = ["make_exports_quick"]

_COLLECT, _MATERIALISE = "_collect_all_valid_cia_ops", "_materialize_cpp_cia_ops"


def make_exports_quick() -> None:
    """List torch's composite operators once an export, and keep what never changes."""
    _keep_operators_of_onnx()
    # `py_impl` has a function with annotations inside, which are evaluated ten thousand times an
    # export; the types of `typing` are cached, those of `collections.abc` are not.
    if hasattr(torch._ops, "Callable"):
        torch._ops.Callable = typing.Callable
    collect = getattr(exported_program, _COLLECT, None)
    materialise = getattr(utils, _MATERIALISE, None)
    if collect is None or materialise is None or hasattr(collect, "__wrapped__"):
        return
    listed = [True]  # False from the beginning of a collection to its first listing

    def collecting() -> typing.Any:
        """Collect the operators of all namespaces, each of which lists them all."""
        listed[0] = False
        setattr(utils, _MATERIALISE, once)
        try:
            return collect()
        finally:
            setattr(utils, _MATERIALISE, materialise)

    def once() -> None:
        if not listed[0]:
            listed[0] = True
            materialise()

    collecting.__wrapped__ = collect  # type: ignore[attr-defined]
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
