"""Write the table of a data set from a folder that holds it.

    python -m tools.list_data_set FOLDER --source PATTERN [--check look] [--glob '*.png']

Prints the rows `path,source,check` of `edge_pipeline/data/sets/NAME.csv`. In PATTERN, `{path}` is
the file's path in the folder, `{stem}` its name without the ending, and `{id}` the last eleven
characters of the stem, with which Unsplash ends the names of its files.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from edge_pipeline.data.fetch import check_of


def main() -> int:
    """Parse the command line and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", required=True, help="URL, or pattern of an archive's members")
    parser.add_argument("--check", choices=("sha256", "pixels", "look"), default="sha256")
    parser.add_argument("--glob", default="**/*")
    parser.add_argument("--suffix", help="ending of the fetched files, if it differs")
    arguments = parser.parse_args()
    rows = csv.writer(sys.stdout, lineterminator="\n")
    for file in sorted(arguments.folder.glob(arguments.glob)):
        if not file.is_file():
            continue
        path = file.relative_to(arguments.folder)
        if arguments.suffix:
            path = path.with_suffix(arguments.suffix)
        stem = path.stem
        source = arguments.source.format(path=path.as_posix(), stem=stem, id=stem[-11:])
        rows.writerow([path.as_posix(), source, check_of(file, arguments.check)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
