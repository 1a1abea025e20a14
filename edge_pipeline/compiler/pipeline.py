"""The passes that each backend runs, in order, each with the reason for its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

from torch import Tensor
from torch.export import ExportedProgram

from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compiler.passes.approximate_gelu import ApproximateGelu
from edge_pipeline.compiler.passes.constant_scalars import ConstantScalars
from edge_pipeline.compiler.passes.copy_outputs import CopyOutputs
from edge_pipeline.compiler.passes.decompose_activations import ACTIVATIONS, DecomposeActivations
from edge_pipeline.compiler.passes.decompose_arithmetic import DecomposeArithmetic
from edge_pipeline.compiler.passes.decompose_attention import DecomposeAttention
from edge_pipeline.compiler.passes.decompose_einsum import DecomposeEinsum
from edge_pipeline.compiler.passes.decompose_norms import DecomposeNorms
from edge_pipeline.compiler.passes.decompose_recurrence import DecomposeRecurrence
from edge_pipeline.compiler.passes.decompose_scatter import DecomposeScatter
from edge_pipeline.compiler.passes.decompose_softmax import DecomposeSoftmax
from edge_pipeline.compiler.passes.decompose_statistics import DecomposeStatistics
from edge_pipeline.compiler.passes.decompose_unfold import DecomposeUnfold
from edge_pipeline.compiler.passes.drop_noops import DropNoops
from edge_pipeline.compiler.passes.drop_sample_groups import DropSampleGroups
from edge_pipeline.compiler.passes.float_scalars import FloatScalars
from edge_pipeline.compiler.passes.fold_batch_norm import FoldBatchNorm
from edge_pipeline.compiler.passes.fold_bias import FoldBias
from edge_pipeline.compiler.passes.fold_constants import FoldConstants
from edge_pipeline.compiler.passes.fold_sourceless import FoldSourceless
from edge_pipeline.compiler.passes.keep_blocks import KeepBlocks
from edge_pipeline.compiler.passes.lower_clamp import LowerClamp
from edge_pipeline.compiler.passes.lower_convolution import LowerConvolution
from edge_pipeline.compiler.passes.lower_expansion import LowerExpansion
from edge_pipeline.compiler.passes.lower_padding import LowerPadding
from edge_pipeline.compiler.passes.lower_patchwise import LowerPatchwise
from edge_pipeline.compiler.passes.lower_pooling import LowerPooling
from edge_pipeline.compiler.passes.lower_products import LowerProducts
from edge_pipeline.compiler.passes.lower_rank import LowerRank
from edge_pipeline.compiler.passes.lower_reductions import LowerReductions
from edge_pipeline.compiler.passes.lower_repetition import LowerRepetition
from edge_pipeline.compiler.passes.lower_resize import LowerResize
from edge_pipeline.compiler.passes.lower_slices import LowerSlices
from edge_pipeline.compiler.passes.lower_sums import LowerSums
from edge_pipeline.compiler.passes.lower_views import LowerViews
from edge_pipeline.compiler.passes.merge_duplicates import MergeDuplicates
from edge_pipeline.compiler.passes.narrow_before_resize import NarrowBeforeResize
from edge_pipeline.compiler.passes.own_constants import OwnConstants
from edge_pipeline.compiler.passes.raise_convolution import RaiseConvolution
from edge_pipeline.compiler.passes.raise_products import RaiseProducts
from edge_pipeline.compiler.passes.relax_views import RelaxViews
from edge_pipeline.compiler.passes.separate_constants import SeparateConstants
from edge_pipeline.compiler.passes.spread_channels import SpreadChannels
from edge_pipeline.compiler.passes.state_axes import StateAxes
from edge_pipeline.compiler.passes.state_biases import StateBiases
from edge_pipeline.compiler.passes.state_layouts import StateLayouts
from edge_pipeline.compiler.passes.state_sizes import StateSizes
from edge_pipeline.compiler.passes.state_strides import StateStrides
from edge_pipeline.compiler.passes.take_in_bias import TakeInBias
from edge_pipeline.compiler.passes.take_in_gain import TakeInGain
from edge_pipeline.compiler.program import Pass, Result, approximation_of, run_program
from edge_pipeline.compiler.rounding import check_outputs, rounding_errors
from edge_pipeline.device_profile import DEFAULT_TARGET
from edge_pipeline.errors import UnknownNameError

__all__ = ["PIPELINES", "TOLERANCE", "passes_for", "run_passes"]


# Normalise graphs from any source; first in every pipeline, since all other passes look for
# operators that compute. Constants of more bytes than the limit stay operators.
def _normalising(limit_bytes: int) -> tuple[Pass, ...]:
    return (
        RelaxViews(),  # first: without copies, strides may not suit a view
        DropNoops(),  # early: a copy hides that one operator feeds another
        StateAxes(),  # anywhere
        FoldSourceless(limit_bytes),  # before folding: its constants may make others foldable
    )


# For runtimes that have an operator which fills a tensor, so that no constant must replace it.
_SMALL = 64 << 10
# For XNNPACK, which has no such operator.
_LARGE = 64 << 20

# For Core ML, whether as a package or as ExecuTorch's delegate.
_FOR_COREML: tuple[Pass, ...] = (
    *_normalising(_SMALL),
    TakeInGain(),  # before batch norm, which must directly follow its convolution
    FoldBatchNorm(),  # before views are dropped: it looks for convolutions as written
    LowerPatchwise("taps"),  # before views are dropped: they define the patches
    DropSampleGroups(),  # before folding: computed weights allow no groups of samples
    DecomposeArithmetic(),  # before folding: Core ML adds 1e-4 to the operand of a reciprocal
    FoldConstants(),  # after reshapes are dropped: folded filters become constants
    FoldBias(),  # after constants: it looks for constant addends
    RaiseConvolution(),  # after folding: only constant weights may be transposed
    LowerRank(5),  # after all passes that write views
    StateStrides(),  # anywhere: no other pass here creates poolings
    StateSizes(),  # anywhere: it drops resizes to the same size
    FloatScalars(),  # anywhere: no other pass here writes scalars
    MergeDuplicates(),  # last: the passes above may create equal operators
)


def _for_packed_weights(
    costs: str,
    *more: Pass,
    before: tuple[Pass, ...] = (),
    constants: bool = True,
    ones: bool = True,
) -> tuple[Pass, ...]:
    """Return the passes for runtimes that pack weights ahead of time: those of XNNPACK and Vulkan.

    Args:
        costs: Backend whose measured costs decide how convolutions are lowered.
        more: Additional passes of the backend, before the passes that tidy up.
        before: Additional passes of the backend, before convolutions are lowered.
        constants: Whether convolutions with constant weights may be lowered, which requires costs
            measured on this backend.
        ones: Whether products with ones repeat pixels, see `LowerResize`.
    """
    return (
        *_normalising(_LARGE),
        TakeInGain(),  # before batch norm, which must directly follow its convolution
        FoldBatchNorm(),  # before views are dropped: it looks for convolutions as written
        LowerPatchwise("taps"),  # before views are dropped: they define the patches
        DropSampleGroups(),  # so that no convolution has groups of samples
        FoldConstants(),  # before lowering: a folded weight is not computed
        FoldBias(),  # after constants: it looks for constant addends
        *before,
        RaiseConvolution(volumes=True),  # before lowering, which supports conv2d only
        TakeInBias(),  # before lowering: a matrix product adds a bias for free
        LowerConvolution(costs, constants=constants),  # before padding, which it absorbs
        FoldConstants(),  # again: the rearranged constant weights of matrix products
        StateSizes(),  # before resizes are lowered: it replaces most factors by sizes
        LowerResize(ones=ones),  # the rest: XNNPACK would sample by the ratio of sizes
        LowerPadding(),  # the rest: the padding of constant convolutions
        LowerReductions(),  # after folding: a folded predictor has no reductions
        *more,
        FloatScalars(),  # after all passes that write scalars
        StateLayouts(),  # after all passes that create constants
        MergeDuplicates(),  # last: lowerings of the same map use the same slices
    )


# Replace operators that XNNPACK's partitioner for ExecuTorch rejects.
_FOR_EXECUTORCH_FIRST: tuple[Pass, ...] = (
    DecomposeScatter(),  # anywhere
    DecomposeRecurrence(),  # anywhere
    DecomposeUnfold(),  # before slices: it writes slices with steps
    DecomposeNorms(),  # before means are lowered: it writes them
    DecomposeEinsum(),  # anywhere
    DecomposeAttention(),  # before softmax: it writes one
    DecomposeSoftmax(),  # before sums are lowered: it writes them
    DecomposeActivations(*(name for name in ACTIVATIONS if name != "hardswish")),  # anywhere
    DecomposeArithmetic(),  # before folding: it writes constants that fold
    DecomposeStatistics(),  # before sums are lowered: it writes them
)
_FOR_EXECUTORCH_LAST: tuple[Pass, ...] = (
    LowerProducts(),  # after folding: a folded weight is not computed
    LowerPooling(),  # before sums: it writes means
    LowerSums(),  # after `lower_reductions`, which is faster where it applies
    LowerSlices(),  # before views, since it writes none
    LowerViews(),  # after all passes that write views
    LowerExpansion(),  # after views: it depends on the shapes that users read
)

# Replace operators that LiteRT's converter writes as ones that XNNPACK's delegate rejects.
_FOR_LITERT_FIRST: tuple[Pass, ...] = (
    DecomposeScatter(),  # anywhere
    DecomposeRecurrence(),  # anywhere
    DecomposeUnfold(),  # before slices: it writes slices with steps
    DecomposeNorms(layers=False),  # anywhere; the converter decomposes layer norms
    DecomposeEinsum(),  # before products: it writes one
    DecomposeAttention(),  # anywhere
    DecomposeActivations("mish", "softplus", "elu", "celu", "selu"),  # anywhere
    DecomposeArithmetic(),  # before folding: it writes constants that fold
)
_FOR_LITERT_LAST: tuple[Pass, ...] = (
    LowerProducts(),  # after folding: a folded weight is not computed
    LowerPooling(edges=True),  # before slices, since it writes none with steps
    LowerSlices(),  # anywhere
    LowerExpansion(ones=False),  # after all passes that write views
    LowerClamp(),  # anywhere: RELU_0_TO_1 is not delegated
)

PIPELINES: dict[str, tuple[Pass, ...]] = {
    "onnx": (
        *_normalising(_SMALL),
        TakeInGain(),  # before batch norm, which must directly follow its convolution
        FoldBatchNorm(),  # before views are dropped: it looks for convolutions as written
        LowerPatchwise("convolution"),  # before views are dropped: they define the patches
        DropSampleGroups(),  # so that no convolution has groups of samples
        NarrowBeforeResize(),  # before folding: it writes rearrangements of weights
        FoldConstants(),  # after reshapes are dropped: folded filters become constants
        FoldBias(),  # after constants: it looks for constant addends
        StateSizes(),  # anywhere: it drops resizes to the same size
        FloatScalars(),  # before blocks, which look for float factors
        StateBiases(),  # anywhere
        SpreadChannels(),  # after folding: it looks for convolutions with constant weights
        KeepBlocks(),  # likewise
        MergeDuplicates(),  # after the passes above, which may create equal operators
        CopyOutputs(),  # last: no-ops would be dropped
    ),
    "coreml": _FOR_COREML,
    "executorch": (
        *_for_packed_weights("executorch", *_FOR_EXECUTORCH_LAST, before=_FOR_EXECUTORCH_FIRST),
        LowerRepetition(),  # after duplicates are merged, which may create repetitions
        SeparateConstants(),  # after all passes that may use a constant twice
    ),
    "executorch_coreml": _FOR_COREML,
    # The costs of Vulkan are not measured, so it keeps convolutions with constant weights.
    "executorch_vulkan": _for_packed_weights("executorch", constants=False),
    "litert": _for_packed_weights(
        "litert",
        *_FOR_LITERT_LAST,
        before=_FOR_LITERT_FIRST,
        ones=False,
    ),
}

# Additional passes of a precision, after those of the backend.
_NARROW: dict[tuple[str, Precision], tuple[Pass, ...]] = {
    ("executorch", "fp16"): (
        ApproximateGelu(),  # before scalars: it writes them
        ConstantScalars(),  # last: `to_half` then changes the types of all constants
    ),
    ("onnx", "int8"): (
        RaiseProducts(),  # anywhere: no other pass here writes or looks for linear layers
    ),
    ("litert", "int8"): (
        RaiseProducts(),  # after `lower_products`, which leaves products with constants
    ),
    ("executorch", "int8"): (
        RaiseProducts(),  # likewise
        OwnConstants(),  # last: it copies what `merge_duplicates` merged
    ),
}

# Every pass except an approximation computes the same function, so outputs may only differ by
# rounding: about 50 units in the last place of the largest value, after eleven layers of sums in
# another order.
TOLERANCE = 2e-5


def passes_for(
    backend: str, target: str = DEFAULT_TARGET, precision: Precision = "fp32"
) -> tuple[Pass, ...]:
    """Return the passes of a backend, in order.

    Args:
        backend: Name of the backend, a key of `PIPELINES`.
        target: Device profile whose measured costs decide how convolutions are lowered.
        precision: Precision of the program. In int8, all convolutions with constant weights are
            left to the runtime: its integer convolution is faster than any lowering, and the costs
            were measured in float32.

    Raises:
        UnknownNameError: If no pipeline is listed for the backend.
    """
    if backend not in PIPELINES:
        raise UnknownNameError(
            f"no passes are listed for {backend!r}; the backends are {', '.join(sorted(PIPELINES))}"
        )
    return tuple(
        step.on(target, constants=step.constants and precision != "int8")
        if isinstance(step, LowerConvolution)
        else step
        for step in (*PIPELINES[backend], *_NARROW.get((backend, precision), ()))
    )


def run_passes(
    program: ExportedProgram,
    passes: Sequence[Pass],
    inputs: Sequence[Tensor],
    *,
    on_result: Callable[[Pass, Result], None] | None = None,
) -> ExportedProgram:
    """Run passes in order, and check after each change that the outputs are the same.

    Args:
        program: Exported program.
        passes: Passes to run, in order.
        inputs: Example inputs, on which outputs are compared.
        on_result: Function that is called with each pass and its result, after the check.

    Raises:
        CompileError: If a pass changed the program's outputs or failed; the pass is named.
    """
    expected = run_program(program, inputs)
    own = cache(partial(rounding_errors, program, inputs, expected))
    for step in passes:
        result = step.run(program)
        if result.modified:
            found = run_program(result.program, inputs)
            share = approximation_of(step)
            check_outputs(step, found, expected, own, share or TOLERANCE)
            if share:
                expected = found
        program = result.program
        if on_result is not None:
            on_result(step, result)
    return program
