"""The exports of the tests are those of torch, and change nothing that the next one reads."""

import pytest

pytest.importorskip("torch", reason="exports are torch's")

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch._subclasses import fake_impls
from torch.export import exported_program

from tests.programs import exported

OVERRIDE = "_override_composite_implicit_decomp"


class Composite(nn.Module):
    """Operators that torch composes of others: layers, norms, padding, an upsampling."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.ReLU6())
        self.mixed = nn.Linear(4, 3)

    def forward(self, x):
        y = self.layers(F.pad(x, (1, 1, 1, 1), mode="reflect"))
        y = self.mixed(y.movedim(1, -1)).softmax(-1).chunk(3, -1)[0]
        y = y.matmul(y.mT).flatten(1).view(1, 1, -1, y.shape[1])
        return F.interpolate(y, scale_factor=2.0, mode="bilinear").clamp(0, 1)


def tables():
    """The kernels of all operators that exports change, and the rules for fake tensors."""
    operators = exported_program._collect_all_valid_cia_ops()
    return {op: dict(op.py_kernels) for op in operators}, dict(fake_impls.op_implementations_dict)


def export():
    torch.manual_seed(0)
    return exported(Composite(), torch.rand(1, 3, 6, 8))


def test_a_quick_export_is_that_of_torch(monkeypatch):
    for _ in range(2):  # the second one takes kept kernels
        quick = export()
    monkeypatch.setattr(
        exported_program, OVERRIDE, exported_program._override_composite_implicit_decomp.of_torch
    )
    plain = export()
    assert str(quick.graph) == str(plain.graph)
    assert quick.graph_signature == plain.graph_signature
    values = ([str(node.meta.get("val")) for node in one.graph.nodes] for one in (quick, plain))
    assert next(values) == next(values)


def test_the_collected_operators_are_those_of_torch():
    collect = exported_program._collect_all_valid_cia_ops
    assert collect() == collect() == collect.of_torch() != set()
    with torch.library._scoped_library("quick_export", "DEF") as library:
        library.define("halved(Tensor x) -> Tensor")
        library.impl("halved", lambda x: x / 2, "CompositeImplicitAutograd")
        added = torch.ops.quick_export.halved.default
        assert collect() == collect.of_torch()
        assert added in collect()
    assert added not in collect()


def test_the_operators_are_during_and_after_it_as_torch_leaves_them(monkeypatch):
    """Read within the override and after it, with a decomposition of its own for one operator."""
    first = next(iter(sorted(exported_program._collect_all_valid_cia_ops(), key=str)))
    decompositions = exported_program._split_decomp_table_to_cia_and_python_decomp({})[0]
    quick = exported_program._override_composite_implicit_decomp

    def names(override, changed):
        with override(decompositions | changed):
            during = {
                op: [(k, v is changed.get(op)) for k, v in t.items()]
                for op, t in tables()[0].items()
            }
            rules = set(tables()[1])
        return during, rules

    own = {first: lambda *_: NotImplemented}
    with quick(decompositions):
        pass
    before = tables()
    for changed in ({}, own, {}):
        assert names(quick, changed) == names(quick.of_torch, changed)
        assert tables() == before


def test_kernels_of_an_operator_that_changed_are_made_anew(monkeypatch):
    """A planted fault: another package registers a kernel between two exports."""
    decompositions = exported_program._split_decomp_table_to_cia_and_python_decomp({})[0]
    operator = next(iter(decompositions))
    quick = exported_program._override_composite_implicit_decomp
    with quick(decompositions):
        pass
    key = torch._C.DispatchKey.PrivateUse2
    added = dict(operator.py_kernels) | {key: None}
    monkeypatch.setattr(operator, "py_kernels", added)
    with quick(decompositions):
        assert key in operator.py_kernels
    assert operator.py_kernels == {**added}
