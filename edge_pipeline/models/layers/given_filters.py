"""Run one half of a network of HyperConvs: predict its filters, or apply given filters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from edge_pipeline.models.layers.hyperconv import Filters, HyperConv

__all__ = ["apply_filters", "predict_filters"]


def predict_filters(network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Return the filters that a network predicts for its input.

    Args:
        network: Network whose convolutions are HyperConvs.
        x: Input of the network.

    Returns:
        `LAYER.weight` [N, out, in, f, f] and `LAYER.bias` [N, out], in the order of the calls.
    """
    taken: dict[str, Tensor] = {}

    def recorded(name: str, layer: HyperConv) -> Callable[[Tensor], Filters]:
        def predict(feature_maps: Tensor) -> Filters:
            filters = HyperConv.predict(layer, feature_maps)
            taken.update(filters.named(name))
            return filters

        return predict

    with _replaced(network, recorded):
        network(x)
    return taken


def apply_filters(
    network: nn.Module,
    x: Tensor,
    filters: Mapping[str, Tensor],
    *,
    embeddings: Iterable[nn.Module] = (),
) -> Tensor:
    """Return the network's output for given filters.

    Args:
        network: Network whose convolutions are HyperConvs.
        x: Input of the network.
        filters: Output of `predict_filters` for as many samples.
        embeddings: Modules that only the filter predictors use; they do not run.
    """

    def given(name: str, _: HyperConv) -> Callable[[Tensor], Filters]:
        return lambda feature_maps: Filters.from_named(name, filters)

    with ExitStack() as stack:
        stack.enter_context(_replaced(network, given))
        for module in embeddings:
            stack.enter_context(_method(module, "forward", lambda maps: maps))
        result: Tensor = network(x)
        return result


@contextmanager
def _replaced(
    network: nn.Module, by: Callable[[str, HyperConv], Callable[[Tensor], Filters]]
) -> Iterator[None]:
    """Replace `predict` of every HyperConv within the context."""
    with ExitStack() as stack:
        for name, layer in network.named_modules():
            if isinstance(layer, HyperConv):
                stack.enter_context(_method(layer, "predict", by(name, layer)))
        yield


@contextmanager
def _method(module: nn.Module, name: str, function: Callable[[Tensor], object]) -> Iterator[None]:
    """Replace one method of one module within the context."""
    vars(module)[name] = function
    try:
        yield
    finally:
        del vars(module)[name]
