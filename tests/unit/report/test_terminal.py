"""Tables in a terminal, and the words for figures."""

import io

import pytest
from rich.console import Console

from edge_pipeline.record import Cost, CostRecord, LayerCost
from edge_pipeline.report.terminal import cost_table, latency_table
from edge_pipeline.report.words import count, mib, ms, setting_of, warnings_of
from tests.fakes.records import make_record


def _text(table):
    out = io.StringIO()
    Console(file=out, width=170).print(table)
    return out.getvalue()


def test_a_latency_table_has_every_figure_and_its_setting():
    text = _text(latency_table([make_record("one"), make_record("two")]))
    for word in ("one", "two", "4x256x256", "23.4", "34.5", "10.1", "12.2", "14.3", "9.40", "20.5"):
        assert word in text
    assert "Fake CPU, 1 thread, pinned to CPU 2; 30 runs" in text


def test_a_cost_table_sums_parts_apart():
    layers = [
        LayerCost(
            name=part,
            op="o",
            params=params,
            macs=10**9,
            flops=2 * 10**9,
            output_shape=(1,),
            part=part,
        )
        for part, params in (("predictor", 1234), ("path", 66))
    ]
    record = CostRecord.build(Cost.of(layers), model="m", options={"n": 1}, input=(4, 32, 32))
    text = _text(cost_table(record))
    assert "1,300" in text
    assert "4.00 G" in text
    assert text.index("computing the weights") < text.index("using them")


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "0.12"), (9.876, "9.88"), (12.34, "12.3"), (1234.5, "1234")]
)
def test_milliseconds(value, text):
    assert ms(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999, "999"), (1_734_788_096, "1.73 G"), (7.4e11, "740.00 G")]
)
def test_counts(value, text):
    assert count(int(value)) == text


def test_mebibytes():
    assert mib(3 * 2**19) == "1.5"


def test_an_unpinned_setting_says_so():
    record = make_record()
    free = record.model_copy(
        update={"environment": record.environment.model_copy(update={"pinned_cpus": None})}
    )
    assert "not pinned" in setting_of(free)


def test_a_warning_is_said_once():
    records = [make_record(warnings=["busy"], preempted_runs=1) for _ in range(2)]
    assert warnings_of(records) == [
        "busy",
        "2 of 60 timed runs were preempted by another process",
    ]
