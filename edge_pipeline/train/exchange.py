"""The exchange between the processes of a training: means, and errors that end all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
import torch.distributed
from lightning_fabric import Fabric
from torch import Tensor, nn

from edge_pipeline.errors import EdgePipelineError, InputError, JobError
from edge_pipeline.train.task import Share

__all__ = ["Exchange"]

T = TypeVar("T")


class Exchange:
    """The exchange of one process with the others; with one process, it does nothing.

    All processes have to call the same methods in the same order.

    Args:
        fabric: The launched Fabric of the training.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self.share = Share(fabric.global_rank, fabric.world_size)

    @property
    def is_first(self) -> bool:
        """Whether this is the first process, which validates and writes files."""
        return self.share.rank == 0

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes.

        Raises:
            JobError: If another process has ended.
        """
        if self.share.world == 1:
            return value
        with _collective():
            return cast(Tensor, self._fabric.all_reduce(value, reduce_op="mean"))

    def share_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace all gradients by their mean over all processes, in one exchange.

        Raises:
            JobError: If another process has ended.
        """
        if self.share.world == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def any(self, value: bool) -> bool:  # noqa: FBT001 - the function of the built-in `any`
        """Return whether the value is true in any process, so that all of them do the same.

        Raises:
            JobError: If another process has ended.
        """
        if self.share.world == 1:
            return value
        flag = torch.tensor(float(value), device=self._fabric.device)
        return float(self.mean(flag)) > 0

    def broadcast(self, value: T) -> T:
        """Return the first process's value.

        Raises:
            JobError: If another process has ended.
        """
        if self.share.world == 1:
            return value
        with _collective():
            return self._fabric.broadcast(value)

    def together(self, work: Callable[[], T]) -> T:
        """Do work that may fail in one process only; if it fails in any, it fails in all.

        Args:
            work: Function without an exchange of its own.

        Returns:
            The result of the work in this process.

        Raises:
            EdgePipelineError: The error of the first process in which the work failed.
        """
        error: EdgePipelineError | None = None
        result: Any = None
        try:
            result = work()
        except EdgePipelineError as raised:
            error = raised
        if self.any(error is not None):
            raise self._first_error(error)
        return cast(T, result)

    def _first_error(self, error: EdgePipelineError | None) -> EdgePipelineError:
        """Return the error of the first process that has one."""
        if self.share.world == 1 and error is not None:
            return error
        found: list[Any] = [None] * self.share.world
        own = None if error is None else (error.exit_code, str(error))
        with _collective():
            torch.distributed.all_gather_object(found, own)
        code, text = next(each for each in found if each is not None)
        return InputError(text) if code == InputError.exit_code else JobError(text)


@contextmanager
def _collective() -> Iterator[None]:
    """Turn the error of torch after the loss of a process into a JobError."""
    try:
        yield
    except RuntimeError as error:
        raise JobError(
            "another process of the training has ended or cannot be reached; see its message, and "
            "give --resume to continue from the last saved state"
        ) from error
