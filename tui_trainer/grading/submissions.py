"""The submissions of a folder: a Python file each, or a subfolder with one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.text.fmt import listed, printable

PREFERRED = "model.py"
"""The file of a subfolder with several."""

_NO_MODELS = ("__init__.py", "__main__.py", "conftest.py", "setup.py")


@dataclass(frozen=True, slots=True)
class Submission:
    """A submitted model.

    Attributes:
        name: Its name for display: that of its file or subfolder.
        model: A model as for ``--model``: ``FILE.py:CLASS``, or a file alone.
        problem: Why it has no model; empty if it has one.
        origin: The name of the file, if it is one of several models in it.
    """

    name: str
    model: str = ""
    problem: str = ""
    origin: str = ""

    @property
    def file_name(self) -> str:
        """The name of its file, which several models can share."""
        return self.origin or self.name

    def with_model(self, name: str) -> Submission:
        """Return the submission of one of the models in its file."""
        return Submission(f"{self.name}:{name}", f"{self.model}:{name}", origin=self.name)


def submissions_in(folder: Path, model: str = "") -> list[Submission]:
    """Return the submissions of a folder, sorted by name. No code is run.

    Args:
        folder: The folder.
        model: The name of the class or function in each file; empty to find it later.

    Raises:
        InputError: If the folder cannot be read, or has no submission.
    """
    try:
        paths = sorted(folder.iterdir())
        found = [
            submission
            for path in paths
            if not path.name.startswith((".", "__pycache__"))
            if (submission := _submission(path, model)) is not None
        ]
    except OSError as error:
        raise path_error(folder, f"cannot be read: {reason(error)}") from None
    if not found:
        raise path_error(folder, "contains no submission: a Python file, or a subfolder with one")
    return found


def _submission(path: Path, model: str) -> Submission | None:
    """Return the submission of a file or a subfolder; None if it is none."""
    name = printable(path.name)
    if path.is_file():
        return _of_file(name, path, model) if _is_code(path) else None
    if not path.is_dir():
        return None
    try:
        files = sorted(file for file in path.iterdir() if file.is_file() and _is_code(file))
    except OSError as error:
        return Submission(name, problem=f"cannot be read: {reason(error)}")
    if preferred := [file for file in files if file.name == PREFERRED]:
        files = preferred
    if len(files) == 1:
        return _of_file(f"{name}/{printable(files[0].name)}", files[0], model)
    if not files:
        return Submission(name, problem="contains no Python file")
    names = listed([printable(file.name) for file in files])
    return Submission(
        name, problem=f"{len(files)} Python files ({names}); call the model's {PREFERRED}"
    )


def _of_file(name: str, path: Path, model: str) -> Submission:
    try:
        str(path).encode()
    except UnicodeEncodeError:  # undecodable bytes, which no setting can hold
        return Submission(name, problem="its name is not valid UTF-8; rename it")
    return Submission(name, f"{path}:{model}" if model else str(path))


def _is_code(path: Path) -> bool:
    return path.suffix == ".py" and path.name not in _NO_MODELS and path.name[:5] != "test_"


def check_model_name(name: str) -> None:
    """Check the name of a class or function.

    Raises:
        InputError: If it is none.
    """
    if not name.isidentifier():
        raise InputError(f"--model {printable(name)}: is not the name of a class or function")
