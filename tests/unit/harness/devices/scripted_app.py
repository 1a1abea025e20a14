"""The Android app for the ADB test bed: a shell script that answers orders."""

from __future__ import annotations

from pathlib import Path

import safetensors.numpy

from edge_pipeline.artifact.store import Artifact

__all__ = ["DESCRIBED", "FILES", "install_app", "orders"]

PACKAGE = "org.edgepipeline.app"
FILES = f"data/media/0/Android/data/{PACKAGE}/files/bench"
"""Folder of the app's files below the root of the bed."""

DESCRIBED = '{"protocol": 1, "app": "0.1", "backends": {"litert": "2.16.1", "onnx": "1.23.0"}}'

# As `am instrument -r` prints results. Times in ns: 8 ms for the first run, then 2 ms each.
_SCRIPT = """
give() {
    echo "INSTRUMENTATION_STATUS: step=working"
    echo "INSTRUMENTATION_STATUS_CODE: 0"
    echo "INSTRUMENTATION_RESULT: answer=$1"
    echo "INSTRUMENTATION_RESULT: stream="
    echo "done"
    echo "INSTRUMENTATION_CODE: -1"
    exit 0
}
fail() {
    echo "INSTRUMENTATION_RESULT: error=$1"
    echo "INSTRUMENTATION_CODE: 1"
    exit 0
}
echo "$order $runs $warmup $threads" >> /bed/orders
case $order in describe | clean) ;; *)
    [ -r "$artifact/manifest.json" ] || fail "$artifact is not a folder that the app can read."
esac
@HOOK@
case $order in
    describe) give '@DESCRIBED@' ;;
    load) give '{"import_ns": 1000, "init_ns": 5000000, \
"versions": {"edge-pipeline app": "0.1"}}' ;;
    run)
        ns=2000000
        [ "$warmup" = 0 ] && ns=8000000
        times="[$ns, 0]"
        count=1
        while [ "$count" -lt "$runs" ]; do times="$times, [$ns, 1]"; count=$((count + 1)); done
        give "{\\"runs\\": [$times], \\"thermal_status\\": \\"none\\"}" ;;
    memory) give '{"memory": {"baseline_bytes": 1, "runtime_bytes": 2, "program_bytes": 3, \
"peak_rss_bytes": 6, "method": "script"}}' ;;
    outputs)
        mkdir -p "/@FILES@/$output"
        cp /bed/app_outputs "/@FILES@/$output/1.safetensors"
        give "{\\"outputs\\": \\"/@FILES@/$output/1.safetensors\\"}" ;;
    clean) rm -rf "/@FILES@/$output" && give '{}' ;;
esac
"""


def install_app(
    root: Path, sensors: object, artifact: Artifact, *, described: str = DESCRIBED, hook: str = ""
) -> None:
    """Install the app, which answers with the artifact's reference outputs.

    Args:
        root: The root of the bed.
        sensors: The bed's sensors.
        artifact: The artifact.
        described: Answer to `describe`.
        hook: Shell commands that run before each order.
    """
    _, outputs = artifact.reference("forward")
    safetensors.numpy.save_file(outputs, root / "bed/app_outputs")
    script = _SCRIPT.replace("@DESCRIBED@", described).replace("@FILES@", FILES)
    script = script.replace("@HOOK@", hook)
    sensors.install(PACKAGE, ".bench.BenchInstrumentation", script)  # type: ignore[attr-defined]


def orders(root: Path) -> list[str]:
    """Return the orders that the app got: name, runs, warm-up, threads."""
    return [" ".join(line.split()) for line in (root / "bed/orders").read_text().splitlines()]
