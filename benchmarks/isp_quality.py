"""Picture quality of the shipped model, compared with other demosaicing methods.

    python -m benchmarks.isp_quality [--rows noise,shift,...] [--artifact FOLDER] [--docs docs]

Prints the tables of docs/picture-quality.md. With --docs, the tables and the picture sheets are
written there. The pictures (Kodak 09 to 12 by default) are not training data. All methods develop
the same mosaics. The pictures of the other methods are cached in --cache, so only the first run is
slow.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.isp import measurements as measured
from benchmarks.isp import tables
from benchmarks.isp.cached import cached, default_cache
from benchmarks.isp.captures import Method, evaluated, real_take
from benchmarks.isp.denoised import stabilised_menon_bm3d
from benchmarks.isp.networks import shipped
from benchmarks.isp.peers import classical, peers
from benchmarks.isp.sheets import sheet
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.data.pictures import Pictures
from edge_pipeline.data.sets import find_set
from edge_pipeline.errors import EdgePipelineError
from edge_pipeline.files import atomic_file, packaged
from edge_pipeline.isp.develop import DEFAULT_MODEL
from edge_pipeline.isp.network import IspSession

__all__ = ["classical", "main", "shipped"]

OURS = ("isp_default", "isp_default, grain 0.2")
BM3D = "stabilised Menon, BM3D"
AHD = "LibRaw AHD"
FEW = ("Malvar", "Menon", "demosaicnet", AHD, "LibRaw DHT", *OURS)
# Methods by the titles of their columns, which must fit the width of a crop.
SHEET = {"Menon": "Menon", "BM3D": BM3D, "demosaicnet": "demosaicnet", "AHD": AHD, OURS[0]: OURS[0]}


@dataclass(frozen=True)
class Bench:
    """Methods and captures of the tables.

    Attributes:
        methods: Methods by name.
        pictures: Pictures of the synthetic captures.
        real: Files of real captures.
    """

    methods: Mapping[str, Method]
    pictures: Pictures
    real: tuple[Path, ...]

    def only(self, names: Iterable[str]) -> dict[str, Method]:
        """Return the methods with these names."""
        return {name: self.methods[name] for name in names}


def _real(bench: Bench) -> str:
    takes = {path.stem: real_take(path) for path in bench.real}
    return tables.real_table(measured.measure_real_zipper(bench.only(FEW), takes), AHD)


ROWS: Mapping[str, Callable[[Bench], str]] = {
    "noise": lambda bench: tables.noise_table(
        measured.measure_noise(bench.methods, bench.pictures.pictures)
    ),
    "shift": lambda bench: tables.shift_table(
        measured.measure_shift(bench.only(FEW), bench.pictures.pictures)
    ),
    "zipper": lambda bench: tables.zipper_table(
        measured.measure_zipper(bench.only(FEW), bench.pictures.pictures)
    ),
    "real": _real,
    "phases": lambda bench: tables.phases_table(measured.measure_phases(bench.only(FEW))),
    "flats": lambda bench: tables.flats_table(measured.measure_flats(bench.only(FEW))),
    "borders": lambda bench: tables.borders_table(
        measured.measure_borders(bench.only(FEW), bench.pictures.pictures)
    ),
    "exposure": lambda bench: tables.exposure_table(
        measured.measure_exposure(bench.only(FEW), bench.pictures.pictures)
    ),
}


def _methods(network: IspSession, cache: Path) -> dict[str, Method]:
    """Return all methods in the order of the tables, cached except those of the artifact."""
    others = {**peers(), BM3D: stabilised_menon_bm3d}
    kept = {name: cached(name, method, cache) for name, method in others.items()}
    return {**kept, OURS[0]: shipped(network), OURS[1]: shipped(network, 0.2)}


def _write_sheets(bench: Bench, docs: Path) -> None:
    methods = {title: bench.methods[name] for title, name in SHEET.items()}
    named = zip(bench.pictures.names, bench.pictures.pictures, strict=True)
    for index, (name, picture) in enumerate(named):
        with atomic_file(docs / f"quality-{Path(name).stem}.jpg") as temporary:
            sheet(methods, picture, index).save(temporary, quality=92)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "--pictures", type=Path, help="folder of pictures; default: the data set kodak_full"
    )
    parser.add_argument("--all", action="store_true", help="all pictures, not only Kodak 09 to 12")
    parser.add_argument(
        "--real", type=Path, help="folder of RAW files; the data set real_captures if not given"
    )
    parser.add_argument("--artifact", type=Path, default=packaged("calibration") / DEFAULT_MODEL)
    parser.add_argument("--cache", type=Path, default=default_cache(), help="folder of the cache")
    parser.add_argument("--docs", type=Path, help="output folder of tables and sheets")
    parser.add_argument(
        "--rows", default=",".join(ROWS), help="names of tables, separated by commas"
    )
    chosen = parser.parse_args()
    chosen.rows = chosen.rows.split(",")
    if unknown := set(chosen.rows) - set(ROWS):
        parser.error(
            f"unknown table {', '.join(sorted(unknown))}; expected one of {', '.join(ROWS)}"
        )
    return chosen


def _files(folder: Path | None) -> tuple[Path, ...]:
    place = folder or find_set("real_captures")
    return tuple(sorted(path for path in place.glob("*") if path.is_file()))


def main() -> None:
    """Measure, print the tables, and write them into the docs with --docs."""
    chosen = _arguments()
    try:
        pictures = evaluated(chosen.pictures, every=chosen.all)
        real = _files(chosen.real) if "real" in chosen.rows else ()
    except EdgePipelineError as error:
        sys.exit(f"error: {error}")
    with IspSession(Artifact.open(chosen.artifact), threads=1) as network:
        bench = Bench(_methods(network, chosen.cache), pictures, real)
        for row in chosen.rows:
            table = ROWS[row](bench)
            print(f"{row}\n\n{table}\n", flush=True)
            if chosen.docs:
                tables.put_table(chosen.docs / "picture-quality.md", row, table)
        if chosen.docs and "noise" in chosen.rows:
            _write_sheets(bench, chosen.docs)


if __name__ == "__main__":
    main()
