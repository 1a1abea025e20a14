"""Run the command line `edge-pipeline` as `python -m edge_pipeline`."""

from __future__ import annotations

import sys

from edge_pipeline.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
