from edge_pipeline.compiler.notes import summarised


def test_notes_that_differ_in_the_layer_alone_become_one_line():
    notes = ["a.0: x became y", "b: z stays, since it is: free", "a.1: x became y"]
    assert summarised(notes) == ("a.0, a.1: x became y", "b: z stays, since it is: free")


def test_the_first_layers_are_named_and_a_layer_once():
    notes = [f"a.{i // 2}: x became y" for i in range(14)]
    assert summarised(notes) == ("a.0, a.1, a.2 and 4 more: x became y",)


def test_nothing_is_nothing():
    assert summarised([]) == ()
