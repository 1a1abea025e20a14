from edge_pipeline.compiler.analysis.refusals import Refused, refusal

FIRST = Refused("block.0", "net.py:12", "gt has no rule", "write it with relu")
OTHER = Refused("the function net.py:30", "net.py:30", "index has no rule", "take slices")


def test_one_operator_is_one_line():
    expected = "block.0 (net.py:12): gt has no rule; write it with relu"
    assert refusal("2 operators", [FIRST]) == expected


def test_every_operator_has_a_line_and_equal_ones_are_counted():
    first, *rest = refusal("3 operators stay outside", [FIRST, OTHER, FIRST]).splitlines()
    assert first == "3 operators stay outside:"
    assert [line.strip() for line in rest] == [
        "block.0 (net.py:12): gt has no rule; write it with relu (2 times)",
        "the function net.py:30: index has no rule; take slices",
    ]
