"""The commands and files that the pages show: parsed, and run in a temporary folder.

Here each training takes few images and one epoch, each window opens in a pseudo-terminal and is
closed with ``q``, and nothing is downloaded.
"""

from __future__ import annotations

import fcntl
import functools
import importlib.util
import itertools
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import typer

from tests.color_images import color_images
from tests.data.idx_files import write_dataset
from tests.data.pictures import write_tree
from tests.docs.pages import ROOT, Block, blocks, code_spans, name_of
from tui_trainer.cli import app
from tui_trainer.cli.train import compose_run
from tui_trainer.protocol.config_file import compose, read_config
from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.lock import Lock
from tui_trainer.ui.keys.keys_file import load_keymap
from tui_trainer.ui.theming.themes import load_theme

PROGRAM = "mnist-tui"
OTHERS = {
    *("python", "python3", "torchrun", "pytest", "ruff", "mypy", "lint-imports", "git", ".ci/run"),
    "pip",
}
"""Other programs that the pages name; of those, only the modules are looked for."""

FEW = {"--epochs": "1", "--train-size": "400", "--val-size": "100", "--threads": "1"}
"""What a new run gets unless the page gives it."""

WINDOWS = {"", "resume", "run", "seeds", "sweep", "attach", "replay", "inspect"}
"""The commands that open a window, unless they have ``--no-ui``."""

DOWNLOADS = {"--dataset", "cifar10"}
"""An option and a preset of commands that download data."""

FINE = {0, 3, 5, 6, 10, 13, 14}
"""Exit codes that a page may end with: what it shows may find something wrong.

10 is that of ``send``: nobody trains the runs of the playground. 13 is that of ``find-lr``, 14 that
of ``verify``.
"""

HOOK_INPUT = '{"folder": "runs/NAME", "step": 20, "finding": {"title": "plateau"}}'
"""Standard input of a program that a page shows, as of a hook: of all its fields, those in use."""

NET_PY = """\
from torch import nn


class Net(nn.Module):
    def __init__(self, in_channels, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, classes, 3, stride=2)

    def forward(self, x):
        return self.conv2(self.conv1(x).relu()).mean(dim=(2, 3))
"""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a page.

    Attributes:
        place: Its page and line.
        line: The line, without its comment.
    """

    place: str
    line: str

    @property
    def words(self) -> list[str]:
        """The words of its first program, without those of a pipe or a redirection."""
        return shlex.split(_split(self.line)[0])

    @property
    def name(self) -> str:
        """The command of ``mnist-tui``; empty for a new run."""
        words = self.words[1:]
        return words[0] if words and words[0] in command_names() else ""

    @property
    def opens_window(self) -> bool:
        """Whether it opens a window."""
        needs_none = {"--no-ui", "--print-config", "--help", "--version"}
        return self.name in WINDOWS and needs_none.isdisjoint(self.words)


@functools.cache
def command_names() -> set[str]:
    """Return the names of the commands, as they are typed."""
    return set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def commands_of(block: Block) -> Iterator[Command]:
    """Yield the commands of a block of shell code."""
    for number, line in enumerate(block.text.splitlines(), block.line):
        bare = re.sub(r"\s+#.*$", "", line).strip()
        if bare and not bare.startswith("#"):
            yield Command(f"{block.page}:{number}", bare)


def shown_commands(page: Path) -> Iterator[Command]:
    """Yield every ``mnist-tui`` command of a page, in its code blocks and its sentences."""
    for block in blocks(page):
        if block.language == "sh":
            yield from (each for each in commands_of(block) if each.words[0] == PROGRAM)
    for line, code in code_spans(page):
        if code.startswith(f"{PROGRAM} ") and "…" not in code:
            yield Command(f"{name_of(page)}:{line}", code)


def problem_of(command: Command) -> str:
    """Return why the command line does not take a command; empty if it does."""
    group = typer.main.get_command(app)
    try:
        context = group.make_context(PROGRAM, command.words[1:])
        words = [*context._protected_args, *context.args]
        if not words:
            compose_run(context.params).resolved()
            return ""
        name, found, rest = group.resolve_command(context, words)  # type: ignore[attr-defined]
        found.make_context(name, rest, parent=context)
    except InputError as error:
        return f"{command.place}: {command.line}: {error}"
    except typer.Exit:
        return ""
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return f"{command.place}: {command.line}: {error.format_message()}"
    return ""


def unknown_program(command: Command) -> str:
    """Return what is wrong with a command of another program; empty if nothing is."""
    words = [word.removeprefix(".venv/bin/") for word in command.words]
    where = f"{command.place}: {command.line}"
    if words[0] not in OTHERS and not (ROOT / words[0]).exists():
        return f"{where}: unknown program"
    if words[0] == "python" and words[1] == "-m" and words[2] != "pytest":
        return "" if importlib.util.find_spec(words[2]) else f"{where}: no such module"
    files = [word.split("::")[0] for word in words[1:] if word.startswith("tests/")]
    missing = [name for name in files if not (ROOT / name).exists()]
    return f"{where}: there is no {missing[0]}" if missing else ""


def problem_of_file(block: Block, folder: Path) -> str:
    """Return why a TOML file that a page shows cannot be used; empty if it can.

    Its first comment names it; a key file is known by its page as well.
    """
    name = block.file or ("keys.toml" if block.page.endswith("keys.md") else "")
    path = folder / (name or "block.toml")
    path.write_text(block.text, encoding="utf-8")
    try:
        if name == "keys.toml":
            load_keymap(path)
        elif "themes/" in block.text:
            load_theme(path)
        elif name == "run.toml":
            compose(read_config(path)).resolved()
        else:
            tomllib.loads(block.text)
    except (InputError, tomllib.TOMLDecodeError) as error:
        return f"{block.page}:{block.line}: {error}"
    return ""


class Playground:
    """A folder with the files that the pages use: recorded runs, a model, data, pictures.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _prepare(self, page: Path) -> None:
        (self.folder / "net.py").write_text(NET_PY, encoding="utf-8")
        (self.folder / "handed-in").mkdir()
        (self.folder / "handed-in" / "alice.py").write_text(NET_PY, encoding="utf-8")
        write_dataset(self.folder / "digits", train=600, test=100)
        write_tree(self.folder / "animals", each=300)
        x, y = (color := color_images(600)).pixels, color.labels
        np.savez(self.folder / "arrays.npz", x_train=x, y_train=y, x_test=x, y_test=y)
        self._draw_digits()
        (self.folder / "examples").mkdir()
        for path in (ROOT / "examples").glob("*.toml"):
            (self.folder / "examples" / path.name).write_text(_small_sweep(path.read_text()))
        if page.name.startswith("sweep"):  # there NAME is a sweep
            self._run(f"{PROGRAM} sweep examples/sweep.toml --no-ui --out runs/NAME")
            return
        self._run(f"{PROGRAM} --no-ui --model small --epochs 2 --out runs/NAME")
        self._interrupt(f"{PROGRAM} --no-ui --model small --epochs 999 --out runs/LAST")

    def _interrupt(self, line: str) -> None:
        """Train, and leave an unfinished run: interrupt it after its first epoch."""
        words = [sys.executable, "-m", "tui_trainer", *shlex.split(_small(line))[1:]]
        with subprocess.Popen(
            words,
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        ) as process:
            for text in process.stdout or ():
                if text.startswith("epoch "):
                    process.send_signal(signal.SIGINT)
                    break

    def play(self, page: Path) -> Iterator[str]:
        """Run the code of a page from its top, and yield what is wrong with it."""
        if any(PROGRAM in block.text for block in blocks(page) if block.language == "sh"):
            self._prepare(page)
        for block in blocks(page):
            yield from self._play(block)
        for lock in self.folder.glob("runs/*/.lock"):
            if Lock.is_held(lock):  # a trainer in the background
                self._run(f"{PROGRAM} send {lock.parent} stop")

    def _play(self, block: Block) -> Iterator[str]:
        if block.language == "python" and not block.is_excerpt:
            yield from self._execute(block)
        if block.language == "toml" and block.file:
            (self.folder / block.file).write_text(block.text, encoding="utf-8")
        if block.language == "sh":
            for command in commands_of(block):
                if command.words[0] == PROGRAM and DOWNLOADS.isdisjoint(command.words):
                    yield from self._try(command)

    def _try(self, command: Command) -> Iterator[str]:
        started = time.monotonic()
        if command.opens_window:
            code, output = self._open(command)
        else:
            code, output = self._run(command.line)
        print(f"{time.monotonic() - started:5.1f} s  exit {code:3}  {command.line}", flush=True)
        if code not in FINE:
            yield f"{command.place}: {command.line}: exit code {code}\n{output[-2000:]}"

    def _execute(self, block: Block) -> Iterator[str]:
        if block.file:
            (self.folder / block.file).write_text(block.text, encoding="utf-8")
        done = self._call([sys.executable, "-c", block.text], HOOK_INPUT)
        if done.returncode:
            yield f"{block.page}:{block.line}: {done.stderr[-2000:]}"

    def _run(self, line: str) -> tuple[int, str]:
        """Run a line of shell code, small if it trains."""
        first, mark, rest = _split(line)
        shell = f'{PROGRAM}() {{ "$PYTHON" -m tui_trainer "$@"; }}; {_small(first)}{mark}{rest}'
        done = self._call(["bash", "-o", "pipefail", "-c", shell])
        return done.returncode, done.stdout + done.stderr

    def _call(self, command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(),
            input=text,
            capture_output=True,
            encoding="utf-8",
            timeout=900,
            check=False,
        )

    def _environment(self) -> dict[str, str]:
        variables = {
            "XDG_CONFIG_HOME": "config",
            "XDG_CACHE_HOME": "cache",
            "PYTHON": sys.executable,
        }
        paths = {
            name: str(self.folder / path) for name, path in variables.items() if name != "PYTHON"
        }
        python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        return {
            **os.environ,
            **variables,
            **paths,
            "PYTHONPATH": python_path,
            "TERM": "xterm-256color",
        }

    def _open(self, command: Command) -> tuple[int, str]:
        """Open a window, and quit it with its keys."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        words = shlex.split(_small(command.line))[1:]
        process = subprocess.Popen(
            [sys.executable, "-m", "tui_trainer", *words],
            cwd=self.folder,
            env=self._environment(),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        shown: list[bytes] = []
        reader = threading.Thread(target=_drain, args=(master, shown), daemon=True)
        reader.start()
        end = time.monotonic() + 90
        keys = itertools.cycle("qy")  # what is typed before the window opens is lost
        while process.poll() is None and time.monotonic() < end:
            time.sleep(1.0)
            if b"mnist-tui" in b"".join(shown):
                with suppress(OSError):
                    os.write(master, next(keys).encode())
        code = process.poll()
        process.kill()
        process.wait()
        reader.join(2.0)
        os.close(master)
        return (-1 if code is None else code), b"".join(shown).decode(errors="replace")

    def _draw_digits(self) -> None:
        from PIL import Image, ImageDraw

        (self.folder / "scans").mkdir()
        for name in ("digit.png", "scans/one.png", "scans/two.png"):
            image = Image.new("L", (120, 120), 255)
            ImageDraw.Draw(image).line([(35, 30), (85, 30), (55, 95)], fill=0, width=10)
            image.save(self.folder / name)


def _drain(master: int, shown: list[bytes]) -> None:
    with suppress(OSError):
        while raw := os.read(master, 1 << 16):
            shown.append(raw)


def _split(line: str) -> tuple[str, str, str]:
    """Return a line before its first pipe or redirection, that mark, and the rest."""
    # An even number of quotes behind the mark: it is no part of a quoted word.
    found = re.search(r"\s[|>](?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", line)
    return (line[: found.start()], found[0], line[found.end() :]) if found else (line, "", "")


def _small_sweep(text: str) -> str:
    """Return a settings or sweep file whose trials, two of them, train little on digits."""
    if "[sweep]" not in text:
        return text
    text = re.sub(r"^dataset = .*\n", "", text, flags=re.MULTILINE)  # nothing is downloaded
    for name, value in FEW.items():
        key = name.removeprefix("--").replace("-", "_")
        text = re.sub(rf"^{key} = .*\n", "", text, flags=re.MULTILINE)
        text = f"{key} = {value}\n{text}"
    return re.sub(r"^trials = \d+", "trials = 2", text, flags=re.MULTILINE)


def _small(line: str) -> str:
    """Return a command that trains little."""
    command = Command("", line)
    if command.words[0] != PROGRAM or {"--help", "--print-config"} & set(command.words):
        return line
    given = command.words
    trains = command.name == "" or (command.name == "seeds" and "--resume" not in given)
    if trains or (command.name == "verify" and "--target-accuracy" in given):
        more = [f"{name} {value}" for name, value in FEW.items() if name not in given]
        return " ".join([line, *more])
    if command.name == "sweep":
        return re.sub(r"--trials \d+", "--trials 3", line)
    if command.name == "find-lr":
        few = {"--seeds": "2", "--steps": "20", "--threads": "1"}
        few |= {} if "--run" in given else {"--train-size": "400"}
        return " ".join([line, *(f"{name} {v}" for name, v in few.items() if name not in given)])
    return line
