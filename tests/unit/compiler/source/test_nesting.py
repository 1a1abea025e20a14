from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.source.nesting import (
    flat_inputs,
    flat_outputs,
    nested,
    rebuilt_inputs,
)
from edge_pipeline.errors import InputError

A, B, C = (torch.full((2,), float(value)) for value in range(3))
Pair = namedtuple("Pair", "left right")


@dataclass
class Result:
    logits: torch.Tensor
    hidden: torch.Tensor | None = None


@pytest.mark.parametrize(
    ("result", "names"),
    [
        (A, ["output_0"]),
        ((A, B), ["output_0", "output_1"]),
        ([A, (B, {"p": C})], ["output_0", "output_1", "output_1.1.p"]),
        ({"out": A, "aux": B}, ["out", "aux"]),
        (OrderedDict({"0": A, "my key/1": B}), ["output_0", "my_key_1"]),
        ({"a": {"b": A}, "c": [B, C]}, ["a.b", "c.0", "c.1"]),
        ({"a b": A, "a-b": B}, ["a_b", "output_a_b"]),
        (Pair(A, B), ["left", "right"]),
        (Result(A), ["logits"]),
        (Result(A, B), ["logits", "hidden"]),
        ((None, A), ["output_0"]),
        ({"x": A}, ["output_x"]),
    ],
)
def test_outputs_have_the_names_of_their_path(result, names):
    found = flat_outputs(result, inputs=["x"])
    assert list(found) == names
    assert len({id(value) for value in found.values()}) == len(names)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ((A, 3), r"the network's result\[1\] is int; return tensors"),
        ({"a": "b"}, r"the network's result\['a'\] is str; return tensors"),
        (None, "returns no tensor"),
        ((), "returns no tensor"),
    ],
)
def test_other_results_are_refused(result, message):
    with pytest.raises(InputError, match=message):
        flat_outputs(result)


def test_inputs_that_are_no_tensors_are_refused():
    with pytest.raises(InputError, match=r"the input batch\.gain is 2\.0; give a tensor, or fix"):
        flat_inputs({"batch": {"image": A, "gain": 2.0}})


TREES = st.recursive(
    st.integers().map(lambda value: torch.tensor(value % 100)),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), inner, min_size=1)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("xyz"), TREES, min_size=1))
def test_inputs_are_rebuilt_from_their_tensors_and_from_their_names(inputs):
    flat = flat_inputs(inputs)
    assert repr(rebuilt_inputs(inputs, iter(flat.values()))) == repr(inputs)
    assert repr(nested(flat)) == repr(inputs)


def test_tuples_keep_their_type():
    inputs = {"pair": Pair(A, B), "plain": (A, [B])}
    rebuilt = rebuilt_inputs(inputs, iter([A, B, A, B]))
    assert repr(rebuilt) == repr(inputs)
    assert isinstance(rebuilt["pair"], Pair)


@pytest.mark.parametrize("names", [["a", "a.b"], ["a.b", "a"], ["a.b.c", "a.b"]])
def test_a_name_is_that_of_a_tensor_or_of_a_container(names):
    with pytest.raises(InputError, match=r"is given, and a\.b.* inside it; give one of them"):
        nested(dict.fromkeys(names, A))
