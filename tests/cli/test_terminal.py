"""The standard streams of the process, and the modules it does not load."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.idx_files import write_dataset
from tests.faults.forked_programs import ForkedProgram

PATIENCE = 60.0
ROOT = str(Path(__file__).parents[2])

CALL = "import sys; from tui_trainer.cli import main; sys.argv = ['mnist-tui', *sys.argv[1:]]; "
REPORT = (
    "import sys; from tui_trainer.cli import main\n"
    "for words in sys.argv[1:]:\n"
    "    sys.argv = ['mnist-tui', *words.split()]\n"
    "    try:\n        main()\n    except SystemExit:\n        pass\n"
    "    heavy = {'torch', 'torchvision', 'numpy', 'textual', 'plotext', 'rich'}\n"
    "    print('heavy', words, *sorted(heavy & set(sys.modules)), file=sys.stderr)"
)
WORDS = ("--version", "--help", "--print-config", "--lr -1", "--no-ui --json x")


def call(*arguments: str, code: str = CALL + "main()", **more: object) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
        **more,  # type: ignore[call-overload]
    )
    return done.returncode, done.stdout, done.stderr


def test_nothing_heavy_is_loaded_for_a_word() -> None:
    """One process per command: loaded modules would be reported for all later commands."""
    _, _, err = call(*WORDS, code=REPORT)
    output = [line for line in err.splitlines() if line.startswith("heavy ")]
    assert output == [f"heavy {words}" for words in WORDS]


def shell(words: str, **environment: str) -> tuple[int, str, str]:
    """Run ``mnist-tui`` with the redirections of a shell."""
    done = subprocess.run(
        ["/bin/sh", "-c", words.replace("mnist-tui", f'"{sys.executable}" -m tui_trainer')],
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout, done.stderr


def test_closed_streams() -> None:
    assert shell("mnist-tui --lr -1 2>&-") == (2, "", "")
    assert shell("mnist-tui --print-config >&-") == (0, "", "")
    code, out, err = shell("mnist-tui <&-")
    assert (code, out) == (2, "")
    assert err.startswith("mnist-tui: error: the window needs a terminal")


WORDS_WITH_OUTPUT = [
    pytest.param("--version", marks=pytest.mark.slow),
    *("--help", "--print-config"),
]


@pytest.mark.parametrize("word", WORDS_WITH_OUTPUT)
def test_a_reader_that_has_gone(word: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "tui_trainer", word],
            stdout=pipe,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device here")
@pytest.mark.parametrize("word", WORDS_WITH_OUTPUT)
def test_a_full_disk_behind_stdout(word: str) -> None:
    code, _, err = shell(f"mnist-tui {word} >/dev/full")
    assert code == 1
    assert err == "mnist-tui: error: OSError: [Errno 28] No space left on device\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device here")
def test_a_full_disk_behind_stderr() -> None:
    assert shell("mnist-tui --lr -1 2>/dev/full") == (2, "", "")


@pytest.mark.slow
def test_a_locale_without_letters() -> None:
    plain = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    code, out, err = shell("mnist-tui --data-dir números --print-config", **plain)
    assert (code, err) == (0, "")
    assert f'data_dir = "{Path.cwd()}/números" ' in out
    code, out, err = shell("mnist-tui --model números", **plain)
    assert (code, out) == (2, "")
    assert "unknown model 'n?meros'" in err
    assert shell("mnist-tui --help", **plain)[0] == 0


def in_terminal(columns: int, lines: int, *arguments: str) -> tuple[int, str]:
    """Run the command in a pseudo-terminal of that size; return its exit code and its screen."""
    fcntl = pytest.importorskip("fcntl")
    pty = pytest.importorskip("pty")
    termios = pytest.importorskip("termios")
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        code = ForkedProgram(
            [sys.executable, "-m", "tui_trainer", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "200", "LINES": "60"},
        ).wait(PATIENCE)
        os.set_blocking(ours, False)
        shown = os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    return code, " ".join(shown.split())


@pytest.mark.parametrize(("columns", "lines"), [(59, 24), (80, 15)])
def test_a_window_needs_room(columns: int, lines: int) -> None:
    code, shown = in_terminal(columns, lines)
    assert code == 2
    assert shown == (
        f"mnist-tui: error: the terminal has {columns}×{lines} cells, the window needs 60×16; "
        "enlarge it, or add --no-ui"
    )


def test_bad_input_comes_before_the_window() -> None:
    code, shown = in_terminal(80, 24, "--theme", "none-of-that-name")
    assert code == 2
    assert "\x1b" not in shown
    assert "unknown theme 'none-of-that-name'" in shown


@pytest.mark.parametrize("closed", ["stdin", "stderr"])
def test_a_window_needs_a_terminal_on_both_sides(closed: str) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    streams: dict[str, int] = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    streams[closed] = subprocess.DEVNULL
    try:
        words = [sys.executable, "-m", "tui_trainer"]
        code = ForkedProgram(
            words, stdin=streams["stdin"], stdout=streams["stdout"], stderr=streams["stderr"]
        ).wait(PATIENCE)
    finally:
        os.close(ours)
        os.close(theirs)
    assert code == 2


def test_a_folder_that_was_deleted(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code, out, err = shell(f'cd "{gone}" && rmdir "{gone}" && mnist-tui model', PYTHONPATH=ROOT)
    assert (code, out) == (2, "")
    assert err.startswith("mnist-tui: error: the current folder cannot be used: ")


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_run_with_closed_streams(tmp_path: Path, closed: str) -> None:
    write_dataset(tmp_path / "images", gzip=False)
    words = (
        f'cd "{tmp_path}" && mnist-tui mlp --no-ui --json --epochs 1 --data-dir images --no-save'
    )
    code, out, _ = shell(f"{words} {closed}", PYTHONPATH=ROOT)
    assert code == 0
    assert all(json.loads(line) for line in out.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoding",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["ascii", "latin-1", "cp1252", "a bare C locale"],
)
@pytest.mark.parametrize("words", ["model era-s6", "review mlp", "learn backpropagation", "runs"])
def test_every_encoding_will_do(tmp_path: Path, encoding: dict[str, str], words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tui_trainer", *words.split()],
        cwd=tmp_path,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, **encoding, "PYTHONPATH": ROOT},
    )
    assert done.returncode in (0, 5)
    assert b"Traceback" not in done.stderr
    if words == "model era-s6":
        name = encoding.get("PYTHONIOENCODING", "ascii")
        assert ("28x28" if name == "ascii" else "28×28").encode(name) in done.stdout
