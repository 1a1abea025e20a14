"""Which passes a backend's programs go through, in order, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

from torch import Tensor
from torch.export import ExportedProgram

from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compiler.passes.approximate_gelu import ApproximateGelu
from edge_pipeline.compiler.passes.constant_scalars import ConstantScalars
from edge_pipeline.compiler.passes.decompose_activations import ACTIVATIONS, DecomposeActivations
from edge_pipeline.compiler.passes.decompose_arithmetic import DecomposeArithmetic
from edge_pipeline.compiler.passes.decompose_attention import DecomposeAttention
from edge_pipeline.compiler.passes.decompose_einsum import DecomposeEinsum
from edge_pipeline.compiler.passes.decompose_norms import DecomposeNorms
from edge_pipeline.compiler.passes.decompose_recurrence import DecomposeRecurrence
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
from edge_pipeline.compiler.passes.raise_convolution import RaiseConvolution
from edge_pipeline.compiler.passes.relax_views import RelaxViews
from edge_pipeline.compiler.passes.separate_constants import SeparateConstants
from edge_pipeline.compiler.passes.state_layouts import StateLayouts
from edge_pipeline.compiler.passes.state_sizes import StateSizes
from edge_pipeline.compiler.passes.state_strides import StateStrides
from edge_pipeline.compiler.passes.take_in_bias import TakeInBias
from edge_pipeline.compiler.passes.take_in_gain import TakeInGain
from edge_pipeline.compiler.program import Pass, Result, approximation_of, run_program
from edge_pipeline.compiler.rounding import rounding_errors
from edge_pipeline.device_profile import DEFAULT_DEVICE
from edge_pipeline.errors import CompileError, UnknownNameError

__all__ = ["PIPELINES", "TOLERANCE", "passes_for", "run_passes"]


# What makes foreign graphs ours, first in every pipeline: all other passes look for operators that
# compute. Constants of more bytes than the limit stay operators.
def _normalising(limit_bytes: int) -> tuple[Pass, ...]:
    return (
        RelaxViews(),  # first: dropping a copy can leave values in another order than a view asks
        DropNoops(),  # early: a copy between two operators hides what they are to each other
        FoldSourceless(limit_bytes),  # before folding: what depends on constants then folds too
    )


# Runtimes that have a filling operator need no constant in its place.
_SMALL = 64 << 10
# XNNPACK has none.
_LARGE = 64 << 20

# For Core ML, whether as a package or as ExecuTorch's delegate.
_FOR_COREML: tuple[Pass, ...] = (
    *_normalising(_SMALL),
    TakeInGain(),  # before batch norm, which then finds the convolution before it
    FoldBatchNorm(),  # before views are dropped: it looks for convolutions as they were written
    LowerPatchwise("taps"),  # before views are dropped: it reads what they do to patches
    DropSampleGroups(),  # before folding: weights of run time allow no groups of samples
    DecomposeArithmetic(),  # before folding: Core ML adds 1e-4 to the operand of a reciprocal
    FoldConstants(),  # after the reshapes are gone: folded filters become constants
    FoldBias(),  # after constants are: it looks for constant addends
    RaiseConvolution(),  # after folding: Core ML transposes convolutions of constant weights alone
    LowerRank(5),  # after all that may write views
    StateStrides(),  # anywhere: no other pass here makes poolings
    StateSizes(),  # anywhere: it drops resizes to the same size
    FloatScalars(),  # anywhere: no other pass here writes scalars
    MergeDuplicates(),  # last: passes above may make equal operators
)


def _for_packed_weights(
    costs: str,
    *more: Pass,
    before: tuple[Pass, ...] = (),
    constants: bool = True,
    ones: bool = True,
) -> tuple[Pass, ...]:
    """For runtimes that pack convolutions' weights ahead of time: XNNPACK's, and Vulkan's.

    Args:
        costs: the backend by whose measured costs convolutions are lowered.
        more: what the backend needs besides, before what makes things tidy.
        before: what the backend needs before convolutions are lowered.
        constants: whether the costs were measured on the very target, so that convolutions with
            constant weights may be lowered by them.
        ones: whether products with ones repeat pixels, see `LowerResize`.
    """
    return (
        *_normalising(_LARGE),
        TakeInGain(),  # before batch norm, which then finds the convolution before it
        FoldBatchNorm(),  # before views are dropped: it looks for convolutions as written
        LowerPatchwise("taps"),  # before views are dropped: it reads what they do to patches
        DropSampleGroups(),  # so that each convolution is a plain one
        FoldConstants(),  # before lowering: a weight that folds is not dynamic
        FoldBias(),  # after constants are: it looks for constant addends
        *before,
        RaiseConvolution(),  # before lowering, which takes conv2d alone
        TakeInBias(),  # before lowering: a matrix product adds a bias for free
        LowerConvolution(costs, constants=constants),  # before padding: it takes the padding in
        FoldConstants(),  # again: the arranging of constant weights for matrix products
        StateSizes(),  # before lowering: it leaves few factors
        LowerResize(ones=ones),  # what is left: XNNPACK would sample by the ratio of sizes
        LowerPadding(),  # what is left: constant convolutions'
        LowerReductions(),  # after folding: a folded predictor has no reductions left
        *more,
        FloatScalars(),  # after all that may write scalars
        StateLayouts(),  # after all that may make constants
        MergeDuplicates(),  # last: lowerings of one map slice it alike
    )


# What XNNPACK's partitioner for ExecuTorch lacks, into what it takes.
_FOR_EXECUTORCH_FIRST: tuple[Pass, ...] = (
    DecomposeRecurrence(),  # anywhere
    DecomposeUnfold(),  # anywhere before slices: it writes slices with steps
    DecomposeNorms(),  # before means are lowered: it writes them
    DecomposeEinsum(),  # anywhere
    DecomposeAttention(),  # before softmax: it writes one
    DecomposeSoftmax(),  # before sums are lowered: it writes them
    DecomposeActivations(*(name for name in ACTIVATIONS if name != "hardswish")),  # anywhere
    DecomposeArithmetic(),  # before folding: constants that it writes fold
    DecomposeStatistics(),  # before sums are lowered: it writes them
)
_FOR_EXECUTORCH_LAST: tuple[Pass, ...] = (
    LowerProducts(),  # after folding: a weight that folds is not computed
    LowerPooling(),  # before sums: it writes means
    LowerSums(),  # after `lower_reductions`, whose forms are faster where they hold
    LowerSlices(),  # before views, since it writes none
    LowerViews(),  # after all that may write views
    LowerExpansion(),  # after views: it asks for the shapes that users see
)

# What LiteRT's converter writes in operators that XNNPACK's delegate lacks.
_FOR_LITERT_FIRST: tuple[Pass, ...] = (
    DecomposeRecurrence(),  # anywhere
    DecomposeUnfold(),  # anywhere before slices: it writes slices with steps
    DecomposeNorms(layers=False),  # anywhere; layer norms are taken apart by the converter
    DecomposeEinsum(),  # before products: it writes one
    DecomposeAttention(),  # anywhere
    DecomposeActivations("mish", "softplus", "elu", "celu", "selu"),  # anywhere
    DecomposeArithmetic(),  # before folding: constants that it writes fold
)
_FOR_LITERT_LAST: tuple[Pass, ...] = (
    LowerProducts(),  # after folding: a weight that folds is not computed
    LowerPooling(edges=True),  # before slices, since it writes none with steps
    LowerSlices(),  # anywhere
    LowerExpansion(ones=False),  # after all that may write views
    LowerClamp(),  # anywhere: RELU_0_TO_1 is not delegated
)

PIPELINES: dict[str, tuple[Pass, ...]] = {
    "onnx": (
        *_normalising(_SMALL),
        TakeInGain(),  # before batch norm, which then finds the convolution before it
        FoldBatchNorm(),  # before views are dropped: it looks for convolutions as written
        LowerPatchwise("convolution"),  # before views are dropped: it reads what they do to patches
        DropSampleGroups(),  # so that each convolution is a plain one
        NarrowBeforeResize(),  # before folding: it arranges weights, which folding then does once
        FoldConstants(),  # after the reshapes are gone: folded filters become constants
        FoldBias(),  # after constants are: it looks for constant addends
        StateSizes(),  # anywhere: it drops resizes to the same size
        FloatScalars(),  # before blocks: they look for float factors
        KeepBlocks(),  # after folding: it looks for convolutions with constant weights
        MergeDuplicates(),  # last: passes above may make equal operators
    ),
    "coreml": _FOR_COREML,
    "executorch": (
        *_for_packed_weights("executorch", *_FOR_EXECUTORCH_LAST, before=_FOR_EXECUTORCH_FIRST),
        LowerRepetition(),  # after duplicates are merged, which can make such ones
        SeparateConstants(),  # after all that may use a constant twice
    ),
    "executorch_coreml": _FOR_COREML,
    # Its own costs are not measured, so constant convolutions stay its own.
    "executorch_vulkan": _for_packed_weights("executorch", constants=False),
    "litert": _for_packed_weights(
        "litert",
        *_FOR_LITERT_LAST,
        before=_FOR_LITERT_FIRST,
        ones=False,
    ),
}

# After a backend's passes, what a precision needs besides.
_NARROW: dict[tuple[str, Precision], tuple[Pass, ...]] = {
    ("executorch", "fp16"): (
        ApproximateGelu(),  # before scalars: it writes some
        ConstantScalars(),  # last: the types of all constants are then changed at once
    ),
}

# Every pass but an approximation computes the same function, so outputs may differ by rounding
# alone: about 50 units in the last place of the largest value, after eleven layers of sums in
# another order.
TOLERANCE = 2e-5

# A program that enlarges rounding errors has larger ones itself: its outputs differ from those in
# float64. Another order of operators may differ by so many times as much.
_TIMES_ITS_OWN = 10


def passes_for(
    backend: str, device: str = DEFAULT_DEVICE, precision: Precision = "fp32"
) -> tuple[Pass, ...]:
    """The passes of a backend, in order.

    Args:
        backend: as in `PIPELINES`.
        device: by whose measured costs convolutions are lowered.
        precision: of the program. In int8 all convolutions with constant weights are left to the
            runtime: its integer convolution beats products of any form, whose costs were measured
            in float32.

    Raises:
        UnknownNameError: no pipeline is listed for it.
    """
    if backend not in PIPELINES:
        raise UnknownNameError(
            f"no passes are listed for {backend!r}; there are for {', '.join(sorted(PIPELINES))}"
        )
    return tuple(
        step.on(device, constants=step.constants and precision != "int8")
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
    """Run passes in order; after each that changed anything, check that the outputs are the same.

    Args:
        program: as exported.
        passes: in order.
        inputs: an example, on which outputs are compared.
        on_result: called after each pass, once its result has been checked.

    Raises:
        CompileError: a pass changed what the program computes, or could not do its work; the
            pass is named.
    """
    expected = run_program(program, inputs)
    own = cache(partial(rounding_errors, program, inputs, expected))
    for step in passes:
        result = step.run(program)
        if result.modified:
            found = run_program(result.program, inputs)
            share = approximation_of(step)
            _check(step, found, expected, own, share or TOLERANCE)
            if share:
                expected = found
        program = result.program
        if on_result is not None:
            on_result(step, result)
    return program


def _check(
    step: Pass,
    found: Sequence[Tensor],
    expected: Sequence[Tensor],
    own: Callable[[], list[float]],
    tolerance: float,
) -> None:
    """Raise if outputs differ by more than `tolerance` or rounding, whose errors `own` gives."""
    if len(found) != len(expected):
        raise CompileError(f"the pass {step.name} made {len(found)} outputs of {len(expected)}")
    for i, (new, old) in enumerate(zip(found, expected, strict=True)):
        if new.shape != old.shape:
            raise CompileError(
                f"the pass {step.name} made output {i} {tuple(new.shape)} from {tuple(old.shape)}"
            )
        scale = max(1.0, float(old.abs().max()))
        error = float((new - old).abs().max())
        # Written so that a value that is no number fails too.
        if error <= tolerance * scale:
            continue
        allowed = max(tolerance * scale, _TIMES_ITS_OWN * own()[i])
        if not error <= allowed:
            raise CompileError(
                f"the pass {step.name} changed output {i} by {error:.3g}, and at most "
                f"{allowed:.3g} is allowed; this is a fault of the compiler"
            )
