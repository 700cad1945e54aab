from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import socket
import tarfile
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.data.binary_files import make_images, write_binary
from tests.data.idx_files import INT, idx_bytes, make_part, write_dataset
from tests.data.matlab_files import svhn_bytes
from tui_trainer.data import downloads, published_datasets
from tui_trainer.data.binary_files import (
    BINARY_FORMATS,
    CIFAR10,
    STL10,
    BinaryFormat,
    read_binary_folder,
)
from tui_trainer.data.idx import RawDataset, content_digest
from tui_trainer.data.image_store import ImageStore
from tui_trainer.data.published_datasets import plan_of
from tui_trainer.protocol.config import DATASETS
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import DownloadProgress

STORE = ImageStore(Path("no mapped files"))
FIRST = "train-images-idx3-ubyte"
FILES = (FIRST, "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@pytest.fixture(scope="module")
def published() -> Any:
    """torchvision's dataset classes."""
    from tui_trainer.models.torchvision_compat import import_torchvision

    return import_torchvision().datasets


class Server:
    """A web server on this machine: its files, its misbehavior, the requests it got."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.problem: str | None = None
        self.asked: list[str] = []
        self.stuck = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        body = self.files.get(request.path.lstrip("/"))
        if body is None or "missing" in request.path:
            request.send_error(404)
            return
        if self.problem == "silent":
            self.stuck.wait(10)
            return
        request.send_response(200)
        if self.problem != "no length":
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: len(body) // 2] if self.problem == "breaks off" else body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(
        target=server.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    )
    thread.start()
    yield server
    server.stuck.set()
    server.http.shutdown()
    server.http.server_close()
    thread.join()


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def kmnist(
    server: Server, published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Server:
    """A tiny KMNIST on the server."""
    folder = write_dataset(tmp_path / "published", size=8)
    server.files = {path.name: path.read_bytes() for path in folder.iterdir()}
    resources = [(f"{name}.gz", md5(server.files[f"{name}.gz"])) for name in FILES]
    monkeypatch.setattr(published.KMNIST, "mirrors", [server.url])
    monkeypatch.setattr(published.KMNIST, "resources", resources)
    return server


class Fetched(NamedTuple):
    events: list[DownloadProgress]
    data: RawDataset


def run(fetching: Generator[DownloadProgress, None, RawDataset]) -> Fetched:
    events = []
    while True:
        try:
            events.append(next(fetching))
        except StopIteration as stop:
            return Fetched(events, stop.value)


def complaint(dataset: str, cache: Path) -> str:
    """Return the message about a dataset that cannot be downloaded: one line with advice."""
    with pytest.raises(InputError) as caught:
        run(downloads.fetch(dataset, cache, STORE))
    text = str(caught.value)
    assert text.isprintable()
    assert dataset in text
    assert "--data-dir" in text
    return text


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# --- downloads that succeed


def test_a_download_reports_its_progress_and_prints_nothing(
    kmnist: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(downloads, "_CHUNK", 1000)
    monkeypatch.setattr(downloads, "PROGRESS_INTERVAL", 0.0)

    events, data = run(downloads.fetch("kmnist", tmp_path / "cache", STORE))

    assert capfd.readouterr() == ("", "")
    assert (data.name, data.size, data.classes) == ("kmnist", 8, 10)
    images, labels = make_part(60, size=8)
    assert (bytes(data.train_images), list(data.train_labels)) == (images, labels)
    assert data.test_total == 20
    assert names(tmp_path / "cache" / "KMNIST" / "raw") == {*FILES, *(f"{n}.gz" for n in FILES)}
    for name in FILES:
        done = [event.done_bytes for event in events if event.file == f"{name}.gz"]
        size = len(kmnist.files[f"{name}.gz"])
        assert done == sorted(set(done))
        assert done[-1] == size
        assert len(done) >= size / 1000
    assert {(e.dataset, e.total_bytes) for e in events if e.file == f"{FIRST}.gz"} == {
        ("kmnist", len(kmnist.files[f"{FIRST}.gz"]))
    }


def test_progress_comes_seldom_but_at_each_end(
    kmnist: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_CHUNK", 100)
    monkeypatch.setattr(downloads, "PROGRESS_INTERVAL", 3600.0)
    kmnist.problem = "no length"

    events, _ = run(downloads.fetch("kmnist", tmp_path, STORE))

    assert [event.done_bytes for event in events if event.file == f"{FIRST}.gz"] == [
        100,
        len(kmnist.files[f"{FIRST}.gz"]),
    ]
    assert {event.total_bytes for event in events} == {0}


def test_cached_files_need_no_connection(
    kmnist: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first = run(downloads.fetch("kmnist", tmp_path, STORE))
    kmnist.asked.clear()
    monkeypatch.setattr(Path, "mkdir", None)  # nor is anything written

    events, second = run(downloads.fetch("kmnist", tmp_path, STORE))

    assert (events, kmnist.asked) == ([], [])
    assert second == first


def test_an_archive_put_there_by_hand_is_used(kmnist: Server, tmp_path: Path) -> None:
    raw = tmp_path / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / f"{FIRST}.gz").write_bytes(kmnist.files[f"{FIRST}.gz"])
    (raw / f"{FILES[1]}.gz").write_bytes(b"something else")

    events, _ = run(downloads.fetch("kmnist", tmp_path, STORE))

    assert f"/{FIRST}.gz" not in kmnist.asked
    assert {event.file for event in events} == {f"{name}.gz" for name in FILES[1:]}


def test_the_second_mirror_helps_out(
    kmnist: Server, published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = [f"{kmnist.url}missing/", kmnist.url]
    monkeypatch.setattr(published.KMNIST, "mirrors", mirrors)

    _, data = run(downloads.fetch("kmnist", tmp_path, STORE))

    assert data.train_total == 60
    assert kmnist.asked[:2] == [f"/missing/{FIRST}.gz", f"/{FIRST}.gz"]


def test_a_file_url_works_too(
    kmnist: Server, published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published.KMNIST, "mirrors", [(tmp_path / "published").as_uri() + "/"])

    assert run(downloads.fetch("kmnist", tmp_path / "cache", STORE)).data.train_total == 60
    assert kmnist.asked == []


# --- the other datasets


def test_emnist_letters_are_upright_and_start_at_zero(
    server: Server, published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {"train": make_part(52, size=8, seed=1)[0], "test": make_part(3, size=8)[0]}
    labels = {"train": bytes([*range(1, 27)] * 2), "test": bytes([1, 26, 5])}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for split in ("train", "test"):
            start, total = f"gzip/emnist-letters-{split}", len(labels[split])
            lying = idx_bytes([total, 8, 8], images[split])
            archive.writestr(f"{start}-images-idx3-ubyte.gz", gzip.compress(lying))
            label_file = gzip.compress(idx_bytes([total], labels[split]))
            archive.writestr(f"{start}-labels-idx1-ubyte.gz", label_file)
        archive.writestr("gzip/emnist-digits-train-images-idx3-ubyte.gz", b"not ours")
    server.files["gzip.zip"] = buffer.getvalue()
    monkeypatch.setattr(published.EMNIST, "url", f"{server.url}gzip.zip")
    monkeypatch.setattr(published.EMNIST, "md5", md5(buffer.getvalue()))

    events, data = run(downloads.fetch("emnist-letters", tmp_path, STORE))

    assert events[-1].file == "gzip.zip"
    assert (data.name, data.classes) == ("emnist-letters", 26)
    assert list(data.train_labels) == [*range(26)] * 2
    assert list(data.test_labels) == [0, 25, 4]
    upright = bytes(images["train"][8 * column + row] for row in range(8) for column in range(8))
    assert bytes(data.train_images[:64]) == upright
    # Only the requested dataset is unpacked; another EMNIST comes from the same archive.
    assert len(names(tmp_path / "EMNIST" / "raw")) == 5
    assert "cannot unpack" in complaint("emnist-digits", tmp_path)
    assert server.asked == ["/gzip.zip"]


def test_qmnist_is_the_part_that_matches_mnist(
    server: Server, published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources: dict[str, list[tuple[str, str]]] = {}
    for split, total in (("train", 30), ("test", 10_005)):
        images, labels = make_part(total, size=8)
        rows = b"".join(label.to_bytes(4, "big") + bytes(28) for label in labels)
        for name, content in (
            (f"qmnist-{split}-images-idx3-ubyte.gz", idx_bytes([total, 8, 8], images)),
            (f"qmnist-{split}-labels-idx2-int.gz", idx_bytes([total, 8], rows, code=INT)),
        ):
            server.files[name] = gzip.compress(content, compresslevel=1)
            resources.setdefault(split, []).append((server.url + name, md5(server.files[name])))
    monkeypatch.setattr(published.QMNIST, "resources", resources)

    data = run(downloads.fetch("qmnist", tmp_path, STORE)).data

    assert (data.classes, data.train_total, data.test_total) == (10, 30, 10_000)
    assert list(data.train_labels) == make_part(30, size=8)[1]


def tar_of(files: dict[str, bytes | str]) -> bytes:
    """Return a tar archive, gzipped; a text is the target of a link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def publish(
    kind: BinaryFormat,
    server: Server,
    published: Any,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
) -> None:
    """Put an archive on the server as torchvision's or its author's."""
    server.files[kind.archive] = content
    name = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "stl10": "STL10"}[kind.name]
    monkeypatch.setattr(getattr(published, name), "url", f"{server.url}{kind.archive}")
    monkeypatch.setattr(getattr(published, name), "tgz_md5", md5(content))
    sums = {**published_datasets._CIFAR_MD5, kind.name: md5(content)}
    monkeypatch.setattr(published_datasets, "_CIFAR_MD5", sums if kind != STL10 else {})


def files_of(kind: BinaryFormat, folder: Path) -> dict[str, bytes | str]:
    """Return the files of a small dataset as they are in its archive, with others around them."""
    write_binary(folder, kind)
    inside = {f"{kind.folder}/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}
    return {
        "../outside": b"no",
        f"{kind.folder}/readme.html": b"hi",
        **inside,
        f"{kind.folder}/unlabeled_X.bin": b"1",
    }


@pytest.mark.parametrize("kind", BINARY_FORMATS, ids=lambda kind: kind.name)
def test_binary_files_come_from_their_archive(
    kind: BinaryFormat,
    server: Server,
    published: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = tar_of(files_of(kind, tmp_path / "files"))
    publish(kind, server, published, monkeypatch, content)

    events, data = run(downloads.fetch(kind.name, tmp_path / "cache", STORE))
    again, same = run(downloads.fetch(kind.name, tmp_path / "cache", STORE))

    assert server.asked == [f"/{kind.archive}"]
    assert (events[-1].file, events[-1].done_bytes) == (kind.archive, len(content))
    assert (again, same) == ([], data)
    assert data.class_names == kind.class_names
    expected = read_binary_folder(tmp_path / "files", name=kind.name, store=STORE)
    assert content_digest(data) == content_digest(expected)
    (place,) = (tmp_path / "cache").iterdir()
    assert names(place) == {kind.archive, kind.folder}
    assert names(place / kind.folder) == {*kind.files, kind.names_file}
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"data_batch_1.bin": "/etc/passwd"}, "data_batch_1.bin is no file"),
        ({"data_batch_1.bin": None}, "data_batch_1.bin not found in it"),
    ],
    ids=["link", "missing"],
)
def test_a_strange_archive_is_not_unpacked(
    server: Server,
    published: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str | None],
    expected: str,
) -> None:
    files = files_of(CIFAR10, tmp_path / "files")
    for name, content in change.items():
        files.pop(f"{CIFAR10.folder}/{name}")
        if content is not None:
            files[f"{CIFAR10.folder}/{name}"] = content
    publish(CIFAR10, server, published, monkeypatch, tar_of(files))

    assert expected in complaint("cifar10", tmp_path / "cache")
    assert not (tmp_path / "cache" / "CIFAR10" / CIFAR10.folder / "data_batch_1.bin").exists()


@pytest.mark.parametrize("place", [0, 30], ids=["start", "data"])
def test_a_damaged_archive_is_not_unpacked(
    server: Server, published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    content = bytearray(tar_of(files_of(CIFAR10, tmp_path / "files")))
    content[place] ^= 255
    publish(CIFAR10, server, published, monkeypatch, bytes(content))

    assert "cannot unpack" in complaint("cifar10", tmp_path / "cache")


def test_the_author_of_cifar_publishes_it_next_to_the_pickles(published: Any) -> None:
    (archive,) = plan_of("cifar10", Path("cache")).archives

    assert archive.urls == ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",)
    assert published.CIFAR10.url.endswith("/cifar-10-python.tar.gz")


def test_svhn_calls_its_digit_ten_zero(
    server: Server, published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, Any] = {}
    splits = {}
    for split, total in (("train", 30), ("test", 10)):
        name = f"{split}_32x32.mat"
        images, labels = make_images(total, seed=total)
        found[split] = images, labels
        server.files[name] = svhn_bytes(images, labels)
        splits[split] = [server.url + name, name, md5(server.files[name])]
    monkeypatch.setattr(published.SVHN, "split_list", splits)

    events, data = run(downloads.fetch("svhn", tmp_path, STORE))

    assert {event.file for event in events} == {"train_32x32.mat", "test_32x32.mat"}
    assert names(tmp_path / "SVHN") == {"train_32x32.mat", "test_32x32.mat"}
    assert (bytes(data.train_images), list(data.train_labels)) == found["train"]
    assert (bytes(data.test_images), list(data.test_labels)) == found["test"]
    assert (data.channels, data.classes, data.class_names) == (3, 10, ())


@pytest.mark.parametrize("dataset", [name for name in DATASETS if name != "mnist"])
def test_every_dataset_has_an_address_and_a_checksum(published: Any, dataset: str) -> None:
    plan = plan_of(dataset, Path("cache"))

    files = {"svhn": 2, "cifar10": 7, "cifar100": 3, "stl10": 5}.get(dataset, 4)
    assert sum(len(archive.holds) for archive in plan.archives) == files
    assert not any("python" in archive.name for archive in plan.archives)
    for archive in plan.archives:
        assert len(archive.md5) == 32
        assert archive.urls
        assert all(url.startswith("http") and url.endswith(archive.name) for url in archive.urls)


@pytest.mark.parametrize("dataset", ["mnist", "cifar1000"])
def test_other_names_are_a_mistake_in_the_code(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no dataset to download"):
        next(downloads.fetch(dataset, tmp_path, STORE))


# --- downloads that fail


def test_a_missing_file_on_every_mirror(
    kmnist: Server, published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = [f"{kmnist.url}missing/", f"{kmnist.url}missing/too/"]
    monkeypatch.setattr(published.KMNIST, "mirrors", mirrors)

    text = complaint("kmnist", tmp_path)

    assert f"{mirrors[0]}{FIRST}.gz: HTTP 404 Not Found" in text
    assert f"{mirrors[1]}{FIRST}.gz: HTTP 404 Not Found" in text
    assert str(tmp_path / "KMNIST" / "raw") in text


@pytest.mark.parametrize(
    ("problem", "expected"),
    [("breaks off", "the connection ended after"), ("silent", "no answer within 0.2 seconds")],
)
def test_a_server_that_stops_leaves_nothing(
    kmnist: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str, expected: str
) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT", 0.2)
    kmnist.problem = problem

    assert expected in complaint("kmnist", tmp_path)
    assert names(tmp_path / "KMNIST" / "raw") == set()


def test_half_a_file_without_a_length_is_not_taken_for_a_whole_one(
    kmnist: Server, tmp_path: Path
) -> None:
    whole = kmnist.files[f"{FIRST}.gz"]
    kmnist.files[f"{FIRST}.gz"] = whole[: len(whole) // 2]
    kmnist.problem = "no length"

    assert "MD5 differs" in complaint("kmnist", tmp_path)
    assert names(tmp_path / "KMNIST" / "raw") == set()


def test_a_server_that_never_ends(
    kmnist: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MOST_ARCHIVE", 1000)

    assert "more than 1,000 bytes" in complaint("kmnist", tmp_path)


@pytest.mark.parametrize(
    ("mirror", "expected"),
    [
        ("http://127.0.0.1:1/", "Connection refused"),
        ("nonsense://x/", "unknown url type"),
        ("http://127.0.0.1:port/", "nonnumeric port"),
    ],
)
def test_no_way_to_a_server(
    kmnist: Server,
    published: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mirror: str,
    expected: str,
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(published.KMNIST, "mirrors", [mirror])

    assert expected in complaint("kmnist", tmp_path)


def test_a_download_that_is_left_leaves_nothing(
    kmnist: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_CHUNK", 100)
    fetching = downloads.fetch("kmnist", tmp_path, STORE)
    next(fetching)
    (part,) = names(tmp_path / "KMNIST" / "raw")
    assert part.endswith(".part")

    fetching.close()

    assert names(tmp_path / "KMNIST" / "raw") == set()


def test_a_cache_that_cannot_be_made(kmnist: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    assert "cannot store kmnist" in complaint("kmnist", tmp_path / "file" / "cache")
    assert kmnist.asked == []


def test_a_full_disk_leaves_nothing(
    kmnist: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)

    assert "No space left on device" in complaint("kmnist", tmp_path)
    assert names(tmp_path / "KMNIST" / "raw") == set()


def test_an_archive_that_does_not_unpack(
    kmnist: Server, published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = kmnist.files[f"{FIRST}.gz"][:-20]
    kmnist.files[f"{FIRST}.gz"] = broken
    resources = [(f"{FIRST}.gz", md5(broken)), *published.KMNIST.resources[1:]]
    monkeypatch.setattr(published.KMNIST, "resources", resources)

    assert "cannot unpack" in complaint("kmnist", tmp_path)
    assert names(tmp_path / "KMNIST" / "raw") == {f"{FIRST}.gz"}


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", idx_bytes([60, 8, 8], bytes(3000)), idx_bytes([59, 8, 8], bytes(59 * 64))],
    ids=["empty", "no IDX file", "cut short", "fewer images"],
)
def test_a_damaged_file_in_the_cache(kmnist: Server, tmp_path: Path, content: bytes) -> None:
    run(downloads.fetch("kmnist", tmp_path, STORE))
    (tmp_path / "KMNIST" / "raw" / FIRST).write_bytes(content)

    text = complaint("kmnist", tmp_path)

    assert "cannot read kmnist" in text
    assert "delete its files there to fetch them again" in text


def test_a_server_is_asked_with_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []

    def urlopen(request: object, timeout: float) -> None:
        limits.append(timeout)
        raise TimeoutError

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)

    with pytest.raises(downloads._UnavailableError, match="no answer within 20 seconds"):
        downloads._connected("http://127.0.0.1/")
    assert limits == [downloads.TIMEOUT]


def test_an_unknown_host_is_reported_in_the_systems_words() -> None:
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    assert downloads._why(urllib.error.URLError(unknown)) == "Name or service not known"
    assert downloads._why(urllib.error.URLError(TimeoutError())).startswith("no answer within")
