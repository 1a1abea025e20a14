"""The front has the points that no other dominates, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.select.front import Variant, cost_of, curves_of, front_of
from tests.fakes.sweeps import make_measurement, make_point, make_sweep

FEW = st.integers(0, 6)  # few values, so that equal ones occur


def _dominates(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and one != other


@given(st.lists(st.tuples(FEW, FEW), max_size=12))
def test_points_of_the_front_are_not_dominated_and_all_others_are(points):
    front = front_of([cost for cost, _ in points], [score for _, score in points])
    for k, point in enumerate(points):
        dominated = any(_dominates(other, point) for other in points)
        assert (k in front) != dominated
    assert len(set(front)) == len(front)


@given(st.lists(st.tuples(FEW, FEW), max_size=12))
def test_the_front_is_in_the_order_of_the_cost(points):
    front = front_of([cost for cost, _ in points], [score for _, score in points])
    assert [points[k] for k in front] == sorted(points[k] for k in front)


def test_an_empty_set_has_an_empty_front():
    assert front_of([], []) == []


def test_curves_keep_backends_and_devices_apart():
    fast, slow = make_measurement(5.0, 900), make_measurement(8.0, 950)
    phone = make_measurement(50.0, 900, device="phone")
    other = make_measurement(7.0, 500, backend="litert")
    sweep = make_sweep(
        make_point(0.2, 0.7, 10, measurements=[fast, phone]),
        make_point(0.4, 0.8, 20, measurements=[slow, other]),
        make_point(0.5, 0.6, 30, memory=90),
    )
    curves = {(c.cost, c.backend, c.device): c for c in curves_of(sweep, "dice")}
    assert set(curves) == {
        ("macs", None, None),
        ("memory", None, None),
        ("size", "onnx", None),
        ("size", "litert", None),
        ("latency", "onnx", "host"),
        ("latency", "onnx", "phone"),
        ("latency", "litert", "host"),
    }

    def phis(key):
        return [curves[key].variants[k].point.phi for k in curves[key].front]

    assert phis(("macs", None, None)) == [0.2, 0.4]
    assert phis(("memory", None, None)) == [0.5, 0.4]
    assert phis(("latency", "onnx", "host")) == [0.2, 0.4]
    assert phis(("latency", "litert", "host")) == [0.4]
    # An artifact measured on two devices has one size.
    assert len(curves["size", "onnx", None].variants) == 2


def test_the_score_decides_the_front():
    sweep = make_sweep(make_point(0.2, 0.7, 10, iou=0.6), make_point(0.4, 0.8, 20, iou=0.5))
    assert len(curves_of(sweep, "dice")[0].front) == 2
    assert len(curves_of(sweep, "iou")[0].front) == 1


def test_costs_have_their_units():
    variant = Variant(make_point(0.2, 0.7, 10, memory=77), make_measurement(5.0, 900))
    assert [cost_of(variant, c) for c in ("macs", "memory", "size", "latency")] == [10, 77, 900, 5]
