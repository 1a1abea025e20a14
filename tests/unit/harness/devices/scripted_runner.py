"""A runner for the ADB test bed: a shell script with known times that speaks the protocol."""

from __future__ import annotations

from pathlib import Path

import safetensors.numpy

from edge_pipeline.artifact.store import Artifact

__all__ = ["OUTPUTS", "write_outputs", "write_runner"]

OUTPUTS = "bed/outputs.safetensors"
"""Path of the outputs that the script copies, below the root of the bed."""

# Times in ns are those of its runs: 2 ms each. `pid` is that of the shell itself.
_SCRIPT = """#!/system/bin/sh
read -r request
echo "{\\"ready\\": true, \\"process_id\\": $$}"
while read -r word rest; do
  case "$word" in
    load) echo '{"import_ns": 1000, "init_ns": 5000000, "versions": {"script": "1"}}' ;;
    run)
      runs='[2000000, 0]'
      count=1
      while [ "$count" -lt "$rest" ]; do runs="$runs, [2000000, 0]"; count=$((count + 1)); done
      echo "{\\"runs\\": [$runs]}" ;;
    outputs) cp /bed/outputs.safetensors "$rest" && echo '{"outputs": ""}' ;;
    memory) echo '{"memory": {"baseline_bytes": 1, "runtime_bytes": 2, "program_bytes": 3, \
"peak_rss_bytes": 6, "method": "script"}}' ;;
  esac
done
"""


def write_runner(folder: Path) -> Path:
    """Write the script into a folder of this machine, and return its path."""
    path = folder / "scripted_runner"
    path.write_text(_SCRIPT)
    return path


def write_outputs(root: Path, artifact: Artifact, program: str = "forward") -> None:
    """Let the script answer with the artifact's reference outputs.

    Args:
        root: The root of the bed.
        artifact: The artifact.
        program: Its program.
    """
    _, outputs = artifact.reference(program)
    safetensors.numpy.save_file(outputs, root / OUTPUTS)
