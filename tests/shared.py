"""Artifacts that several tests only read: each is compiled once, whichever process asks first."""

import dataclasses
import fcntl
import hashlib
from pathlib import Path
from typing import Any

from edge_pipeline.artifact.store import Artifact

__all__ = ["SharedArtifacts"]


class SharedArtifacts:
    """Compiled artifacts by request, in a folder that the workers of pytest-xdist share.

    Args:
        folder: Folder for the artifacts of this run of the tests.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def __call__(self, **request: Any) -> Artifact:
        """The artifact of a `CompileRequest`, compiled unless it is there; do not change it.

        Args:
            request: Fields of the request except `output`. A checkpoint counts by its content.
        """
        from edge_pipeline.compiler.compile import CompileRequest, compile_model

        wanted = CompileRequest(output=self._folder, **request)
        folder = self._folder / self._key(wanted)
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():  # it appears at once, when it is complete
                compile_model(dataclasses.replace(wanted, output=folder))
        return Artifact.open(folder)

    @staticmethod
    def _key(request: Any) -> str:
        fields = {f.name: getattr(request, f.name) for f in dataclasses.fields(request)}
        source = Path(fields["source"])
        if source.is_file():
            fields["source"] = source.read_bytes()
        return hashlib.sha256(repr(sorted(fields.items())).encode()).hexdigest()[:16]
