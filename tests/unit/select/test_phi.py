"""The text of phi states each factor exactly, and a network reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_pipeline.select.phi import phi_text, phi_value
from edge_pipeline.select.record import Sweep
from tests.fakes.sweeps import make_point, make_setting, make_sweep

FACTOR = st.floats(1e-9, 1)


@given(st.lists(FACTOR, min_size=2, max_size=5).map(tuple))
def test_the_text_has_each_factor_exactly(phi):
    assert tuple(map(float, phi_text(phi).split("-"))) == phi
    assert phi_value(phi) == phi_text(phi)


@given(FACTOR)
def test_one_factor_is_a_number(phi):
    assert float(phi_text(phi)) == phi
    assert phi_value(phi) == phi


def test_short_numbers_stay_short():
    assert [phi_text(x) for x in (0.35, 1.0, 0.1, 1e-5)] == ["0.35", "1", "0.1", "0.00001"]


def test_records_of_separate_factors_are_read_as_they_were_written():
    setting = make_setting(factors=2)
    sweep = Sweep(setting=setting).with_point(make_point((0.5, 0.2), 0.8, 10))
    sweep = sweep.with_point(make_point((0.3, 0.9), 0.7, 5))
    assert [point.phi for point in sweep.points] == [(0.3, 0.9), (0.5, 0.2)]
    assert Sweep.model_validate_json(sweep.model_dump_json()) == sweep


@pytest.mark.parametrize("phi", [(0.3, 0.4), (0.3, 0.4, 0.5)])
def test_points_with_another_number_of_factors_are_refused(phi):
    with pytest.raises(ValidationError, match="not each point has the setting's 1 factors"):
        make_sweep(make_point(phi, 0.5, 3))
