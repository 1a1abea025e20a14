"""Script that runs one `.tflite` file in a Python that has tflite-runtime.

    python board_program.py MODEL INPUTS.npz OUTPUTS.npz [SIGNATURE]

It imports nothing from this package, since the Python of a board has few packages besides NumPy 1.
The exit code is 0 if OUTPUTS was written; otherwise the last line of standard error is the reason.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

__all__ = ["main"]


def main(model: str, inputs: str, outputs: str, *signature: str) -> None:
    """Run a signature of the file.

    Args:
        model: Path of the `.tflite` file.
        inputs: Path of an `.npz` file with an array for each input, by name.
        outputs: Path of the `.npz` file to write, with an array for each output, by name.
        signature: Name of the signature; none for the file's only one.
    """
    from tflite_runtime.interpreter import Interpreter

    interpreter: Any = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    with np.load(inputs) as values:
        found = interpreter.get_signature_runner(*signature)(
            **{name: values[name] for name in values}
        )
    np.savez(outputs, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
