"""Run one `.tflite` file with tflite-runtime, as a script of the Python that has it.

    python board_program.py MODEL INPUTS.npz OUTPUTS.npz

It imports nothing of this package: boards' Pythons have NumPy 1 and little else. Its exit status is
0 if OUTPUTS was written; otherwise the last line of standard error says why not.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

__all__ = ["main"]


def main(model: str, inputs: str, outputs: str) -> None:
    """Run the file's one signature.

    Args:
        model: the `.tflite` file.
        inputs: an `.npz` file with an array for each input, by name.
        outputs: where an array for each output is written.
    """
    from tflite_runtime.interpreter import Interpreter

    interpreter: Any = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    with np.load(inputs) as values:
        found = interpreter.get_signature_runner()(**{name: values[name] for name in values})
    np.savez(outputs, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
