"""Requests for several values that no backend could serve are refused before any work."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

from edge_pipeline.artifact.manifest import Constant, ProgramSpec
from edge_pipeline.compiler.analysis.exchange import LostMarker
from edge_pipeline.compiler.request import CompileRequest
from edge_pipeline.compiler.several import _check_apart, check_several
from edge_pipeline.errors import InputError


class Able:
    emit_several = None


class Movable:
    MOVABLE = True


def request(**changes):
    given = {"several": {"phi": (0.2, 0.5)}} | changes
    return CompileRequest("a_network", Path("a"), "litert", **given)


def test_several_ascending_values_are_accepted():
    check_several(request(), Able())
    check_several(request(several={}, filters="folded"), Movable())


@pytest.mark.parametrize(
    ("backend", "changes", "message"),
    [
        (Movable(), {}, "one litert artifact serves every phi; give one value instead of 0.2, 0.5"),
        (object(), {}, "a program of litert has one phi, not 0.2, 0.5; give one value"),
        (Able(), {"several": {"phi": (0.5, 0.2)}}, "in ascending order, got 0.5, 0.2"),
        (Able(), {"several": {"phi": (0.5, 0.5)}}, "in ascending order, got 0.5, 0.5"),
        (Able(), {"several": {"phi": (0.5, float("nan"))}}, "in ascending order, got 0.5, nan"),
        (Able(), {"several": {"phi": (0.5,)}}, "two or more values of phi in ascending order"),
        (Able(), {"several": {"phi": ()}}, "in ascending order, got none"),
        (Able(), {"several": {"a": (1, 2), "b": (1, 2)}}, "several values of one number"),
        (Able(), {"filters": "split"}, "--filters split cannot be combined with several values"),
        (Able(), {"fixed": {"phi": 0.3}}, "phi is fixed twice; give it one value"),
    ],
)
def test_other_requests_are_refused(backend, changes, message):
    with pytest.raises(InputError, match=message):
        check_several(request(**changes), backend)


def _program(name, offset):
    constant = Constant(
        name="weight", shape=(4,), axes=(0,), dtype="float32", file="m", offsets=(offset,)
    )
    return ProgramSpec.model_construct(name=name, constants=(constant,))


def test_weights_of_two_programs_never_share_a_place():
    _check_apart([_program("forward_1", 0), _program("forward_2", 16)])
    with pytest.raises(LostMarker, match="weight of forward_1 and weight of forward_2"):
        _check_apart([_program("forward_1", 0), _program("forward_2", 12)])
