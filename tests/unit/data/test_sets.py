"""Data sets: tables, the data root, and fetching from a server on loopback."""

import http.server
import threading
import zipfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_pipeline.data import sets
from edge_pipeline.data.fetch import check_of, fetch, is_right
from edge_pipeline.data.photographs import Options, load
from edge_pipeline.data.sets import data_root, find_set, load_set, set_names
from edge_pipeline.errors import InputError, JobError
from edge_pipeline.train.recipe import load_recipe, settings_of

FETCHED = [name for name in set_names() if load_set(name).files]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def served(folder):
    """The URL of a server on loopback that serves a folder."""
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=folder)
    ) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def picture(seed, size=(90, 120), channels=3):
    """A smooth picture of its own, so that scaling and JPEG leave it what it is."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 4, channels), np.uint8).squeeze()
    return Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC)


@pytest.fixture
def own_set(tmp_path, monkeypatch):
    """Registers a set in tables of its own, with an empty data root; returns a function."""
    tables = tmp_path / "tables"
    tables.mkdir()
    monkeypatch.setattr(sets, "_TABLES", tables)
    monkeypatch.setenv("EDGE_PIPELINE_DATA", str(tmp_path / "root"))

    def register(rows, **fields):
        header = {"title": "t", "licence": "CC0", "terms": "none", "home": "h", "folder": "own"}
        lines = [f"{key} = {value!r}" for key, value in (header | fields).items()]
        (tables / "own.toml").write_text("\n".join(lines))
        listed = [",".join(row) for row in [("path", "source", "check"), *rows]]
        (tables / "own.csv").write_text("\n".join(listed) + "\n")
        return load_set("own")

    return register


@pytest.mark.parametrize("name", set_names())
def test_every_table_is_complete(name):
    known = load_set(name)
    assert known.terms.strip()
    assert known.home
    paths = [file.path for file in known.files]
    assert len(set(paths)) == len(paths)
    for file in known.files:
        assert not Path(file.path).is_absolute()
        assert ".." not in Path(file.path).parts
        assert file.check.partition(":")[0] in {"sha256", "pixels", "look"}
        assert file.source.startswith("https://" if known.archive is None else "*/")


def test_the_root_is_the_variable_or_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGE_PIPELINE_DATA", "~/sets")
    assert data_root() == Path.home() / "sets"
    monkeypatch.delenv("EDGE_PIPELINE_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_root() == tmp_path / "edge-pipeline/data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_root() == Path.home() / ".cache/edge-pipeline/data"


def test_a_missing_set_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGE_PIPELINE_DATA", str(tmp_path))
    with pytest.raises(InputError, match="edge-pipeline data fetch photos"):
        find_set("photos")
    with pytest.raises(InputError, match="get it from"):
        find_set("real_captures")
    with pytest.raises(InputError, match="no data set is called 'kodac'; choose from camvid"):
        find_set("kodac")
    (tmp_path / "photos").mkdir()
    assert find_set("photos") == tmp_path / "photos"


@pytest.mark.parametrize("name", ["isp_default", "isp_large"])
def test_recipes_name_sets_that_can_be_fetched(name):
    settings = settings_of(load_recipe(name))
    parts = (*settings.data, settings.validation)
    named = [part.options["set"] for part in parts if "set" in part.options]
    assert set(named) == {"photos", "kodak_full"}
    assert set(named) <= set(FETCHED)


def test_photographs_of_a_set_carry_its_licence(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGE_PIPELINE_DATA", str(tmp_path))
    (tmp_path / "photos").mkdir()
    picture(0).save(tmp_path / "photos/a.png")
    pictures = load(Options(set="photos"))
    assert (pictures.name, pictures.licence) == ("photos", "Unsplash licence")
    for wrong in ({}, {"folder": tmp_path}, {"set": "photos", "folder": tmp_path, "licence": "x"}):
        with pytest.raises(ValueError, match="either folder and licence, or set"):
            Options(**wrong)


def test_files_are_fetched_once_checked_and_repaired(tmp_path, own_set):
    home = tmp_path / "home"
    home.mkdir()
    for name in "ab":
        (home / f"{name}.bin").write_bytes(name.encode() * 1000)
    with served(home) as url:
        rows = [(f"{n}.bin", f"{url}/{n}.bin", check_of(home / f"{n}.bin", "sha256")) for n in "ab"]
        known = own_set(rows)
        seen = []
        assert fetch(known, on_file=seen.append) == 2
        assert seen == ["a.bin", "b.bin"]
        assert fetch(known) == 0
        (known.place / "a.bin").write_bytes(b"damaged")
        assert fetch(known) == 1
        (home / "b.bin").write_bytes(b"another file")
        (known.place / "b.bin").unlink()
        with pytest.raises(JobError, match="is not the expected file"):
            fetch(known)
        with pytest.raises(JobError, match="cannot be fetched"):
            fetch(known, source=f"{url}/elsewhere")
    assert sorted(path.name for path in known.place.iterdir()) == ["a.bin"]


def test_photographs_are_scaled_down_and_recognised(tmp_path, own_set):
    home = tmp_path / "home"
    home.mkdir()
    large = picture(1, (300, 400))
    large.save(home / "a.jpg", quality=85)
    large.resize((160, 120)).save(tmp_path / "a.png")
    look = check_of(tmp_path / "a.png", "look")
    with served(home) as url:
        known = own_set([("a.png", f"{url}/a.jpg", look)], short_side=120)
        assert fetch(known) == 1
        with Image.open(known.place / "a.png") as fetched:
            assert fetched.size == (160, 120)
        other = own_set([("a.png", f"{url}/a.jpg", check_of_picture(tmp_path, 2))], short_side=120)
        (other.place / "a.png").unlink()
        with pytest.raises(JobError, match="differs from the file that the table of own lists"):
            fetch(other)
        assert list(other.place.iterdir()) == []


def check_of_picture(folder, seed):
    picture(seed).save(folder / f"{seed}.png")
    return check_of(folder / f"{seed}.png", "look")


def test_an_archive_gives_pictures_and_merged_masks(tmp_path, own_set):
    masks = np.zeros((2, 20, 30), np.uint8)
    masks[0, :5], masks[1, 10:, :7] = 255, 255
    home = tmp_path / "home"
    home.mkdir()
    with zipfile.ZipFile(home / "all.zip", "w") as archive:
        for name, image in [
            ("top/1f/images/1f.png", picture(3)),
            ("top/1f/masks/a.png", Image.fromarray(masks[0])),
            ("top/1f/masks/b.png", Image.fromarray(masks[1])),
        ]:
            image.save(tmp_path / "member.png")
            archive.write(tmp_path / "member.png", name)
    picture(3).save(tmp_path / "image.png")
    Image.fromarray(masks.max(0)).save(tmp_path / "mask.png")
    rows = [
        ("images/1.png", "*/1*/images/*.png", check_of(tmp_path / "image.png", "pixels")),
        ("masks/1.png", "*/1*/masks/*.png", check_of(tmp_path / "mask.png", "pixels")),
    ]
    with served(home) as url:
        known = own_set(rows, archive=f"{url}/all.zip")
        assert fetch(known) == 2
        assert is_right(known.place / "masks/1.png", rows[1][2])
        (home / "all.zip").write_bytes(b"no archive")
        (known.place / "masks/1.png").unlink()
        with pytest.raises(JobError, match="not a ZIP file"):
            fetch(known)


def test_a_set_without_a_home_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_PIPELINE_DATA", str(tmp_path))
    with pytest.raises(InputError, match="cannot be fetched; get it from"):
        fetch(load_set("real_captures"))


@pytest.mark.parametrize("name", FETCHED)
def test_the_tables_describe_the_sets_that_are_here(name):
    try:
        place = find_set(name)
    except InputError as error:
        pytest.skip(str(error))
    files = [file for file in load_set(name).files if (place / file.path).exists()]
    if not files:
        pytest.skip(f"{place} has its files in another encoding")
    assert [file.path for file in files[:20] if not is_right(place / file.path, file.check)] == []
