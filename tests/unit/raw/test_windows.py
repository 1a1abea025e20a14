from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.raw.windows import spread_starts

STRIDE = 16


@given(
    size=st.integers(1, 4000),
    window=st.integers(1, 4000),
    most=st.integers(1, 6),
)
def test_spread_windows_lie_inside_on_the_grid_and_reach_both_ends(size, window, most):
    window = min(size, window)
    starts = spread_starts(size, window, most=most, stride=STRIDE)
    assert 1 <= len(starts) <= most
    assert all(start % STRIDE == 0 and 0 <= start <= size - window for start in starts)
    if len(starts) > 1:
        assert starts[0] == 0
        assert size - window - starts[-1] < STRIDE
