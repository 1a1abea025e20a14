import torch

from edge_pipeline.compiler.precision.like_example import METHOD, NEARER, samples_like


def test_samples_span_what_the_example_spans():
    example = (torch.linspace(2, 6, 24).reshape(1, 2, 3, 4), torch.tensor(3.0))
    samples, record = samples_like(example)
    assert record.files == ()
    assert all([x.shape for x in one] == [x.shape for x in example] for one in samples)
    assert all(x.is_contiguous() for one in samples for x in one)
    assert torch.equal(samples[0][0], example[0])
    for first, _ in samples:
        assert 2 / 8 <= float(first.min()) <= float(first.max()) <= 6
    drawn = samples[-1][0]
    assert float(drawn.std()) > 0.5
    again, _ = samples_like(example)
    for one, other in zip(samples, again, strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_whole_numbers_and_booleans_keep_their_type():
    example = (torch.tensor([[3, 9, 5]]), torch.tensor([[True, False, True]]))
    samples, _ = samples_like(example)
    for tokens, counts in samples:
        assert tokens.dtype == torch.int64
        assert counts.dtype == torch.bool
        assert 3 <= int(tokens.min()) <= int(tokens.max()) <= 9
    assert len({tuple(tokens.flatten().tolist()) for tokens, _ in samples}) > 2


def test_unscaled_samples_are_the_others_and_say_so():
    example = (torch.linspace(2, 6, 24).reshape(1, 2, 3, 4),)
    nearer, record = samples_like(example, scaled=False)
    every, other = samples_like(example)
    assert (record.method, other.method) == (NEARER, METHOD)
    assert len(nearer) == len(every) - 2
    assert all(float(x.min()) >= 2 for (x,) in nearer)
    assert torch.equal(nearer[0][0], example[0])
    assert "scaled" not in NEARER
