"""`python -m edge_pipeline` is `edge-pipeline`."""

from __future__ import annotations

import sys

from edge_pipeline.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
