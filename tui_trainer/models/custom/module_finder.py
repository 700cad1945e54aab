"""Custom code imported as Python itself would import it.

A file is imported under its own name, so that a module that imports it back gets the same module
object. A file in a package is imported as a submodule. An import that resolves neither from the
file's folder nor from installed packages is searched in the folders above, up to the repository.
Each file is executed once, even if it is imported under several names.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from tui_trainer.models.custom.source_files import holds, is_installed, roots_of
from tui_trainer.models.torchvision_compat import declare_operators

MOST_ATTEMPTS = 8
"""Import attempts for one file, each with another folder first in the path."""


class _Source(SourceFileLoader):
    """Compiles the source itself: cached bytecode can be older than an edit of the same second."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Alias(Loader):
    """Gives a loaded module a second name."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


class _LastResort(MetaPathFinder):
    """Finds a top-level module in the folders above, after all other finders have failed."""

    def __init__(self, imports: CustomImports) -> None:
        self.imports = imports

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None:
            return None
        for root in self.imports.roots:
            if str(root) not in sys.path and holds(root, fullname):
                sys.path.append(str(root))
                return self.imports.find_spec(fullname)
        return None


class CustomImports(MetaPathFinder):
    """Finds the modules of a custom model.

    Args:
        folder: The folder of its file; for a module, the current folder.

    Attributes:
        roots: The folders in which imports may resolve, nearest first.
    """

    def __init__(self, folder: Path) -> None:
        self.roots = roots_of(folder)
        self._path = [folder]  # what comes first in sys.path
        self._bases = {self.roots[-1]}
        self._places: dict[str, Path] = {}  # the file and its packages, by module name
        self._unexecuted: set[Path] = set()  # packages whose __init__.py fails
        self._imported: set[str] = set()
        self._names: dict[str, str] = {}  # the name that each file was first imported under
        self._hidden: dict[str, ModuleType] = {}  # custom modules with the name of a library
        self._evicted: dict[str, ModuleType] = {}  # libraries with the name of a custom module
        self._outer_path: list[str] = []
        self._is_declared = False

    # --- while custom code runs

    @contextmanager
    def active(self) -> Iterator[None]:
        """Let imports find custom modules; restore ``sys.path`` and libraries afterwards."""
        if self in sys.meta_path:
            yield
            return
        finders, writes_nothing = list(sys.meta_path), sys.dont_write_bytecode
        self._outer_path = list(sys.path)
        self._is_declared = "torchvision" in sys.modules
        for name in self._evicted:
            sys.modules.pop(name, None)
        sys.modules.update(self._hidden)
        self._hidden.clear()
        self._set_path()
        place = finders.index(PathFinder) if PathFinder in finders else len(finders)
        sys.meta_path[:] = [*finders[:place], self, *finders[place:], _LastResort(self)]
        sys.dont_write_bytecode = True
        importlib.invalidate_caches()
        try:
            yield
        finally:
            self._note_added()
            sys.path[:], sys.meta_path[:] = self._outer_path, finders
            sys.dont_write_bytecode = writes_nothing
            self._give_back()

    def forget(self) -> None:
        """Remove the custom modules, so that they are imported again."""
        for name in self._imported.difference(self._hidden):
            sys.modules.pop(name, None)
        for names in (self._imported, self._names, self._hidden):
            names.clear()

    def is_custom_file(self, file: str | None) -> bool:
        """Return whether a file is custom code: in the repository or a folder that it added."""
        path = Path(file or "")
        return any(path.is_relative_to(base) for base in self._bases) and not is_installed(path)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a custom module; None for any other."""
        if fullname == "torchvision" and not self._is_declared:
            self._is_declared = True
            with suppress(ImportError):  # the import of the custom code reports it, with the line
                declare_operators()
        self._note_added()
        spec = self._given(fullname) or PathFinder.find_spec(fullname, path, target)
        if spec is None or not (fullname in self._places or self.is_custom_file(_origin(spec))):
            return None
        self._imported.add(fullname)
        if spec.origin is None:
            return spec
        known = sys.modules.get(self._names.get(spec.origin, ""))
        if known is not None and known.__name__ != fullname:
            return importlib.util.spec_from_loader(fullname, _Alias(known))
        self._names[spec.origin] = fullname
        if type(spec.loader) is SourceFileLoader:
            spec.loader = _Source(fullname, spec.origin)
        return spec

    def _given(self, fullname: str) -> ModuleSpec | None:
        """Return the spec of the file or of one of its packages."""
        place = self._places.get(fullname)
        if place is None:
            return None
        if not place.is_dir():
            return importlib.util.spec_from_file_location(fullname, place)
        if (place / "__init__.py").is_file() and place not in self._unexecuted:
            return importlib.util.spec_from_file_location(
                fullname, place / "__init__.py", submodule_search_locations=[str(place)]
            )
        spec = ModuleSpec(fullname, None, is_package=True)
        spec.submodule_search_locations = [str(place)]
        return spec

    def _set_path(self) -> None:
        sys.path[:] = [*(str(folder) for folder in self._path), *self._outer_path]

    def _note_added(self) -> None:
        added = {*sys.path}.difference(self._outer_path)
        self._bases |= {Path(folder) for folder in added if os.path.isabs(folder)}

    def _give_back(self) -> None:
        """Restore libraries under their names; keep custom modules whose name no library has."""
        for name in self._imported:
            top = name.partition(".")[0]
            is_taken = top in self._evicted or top in sys.stdlib_module_names
            spec = None if is_taken else PathFinder.find_spec(top)
            is_taken = is_taken or (spec is not None and not self.is_custom_file(_origin(spec)))
            if is_taken and (module := sys.modules.pop(name, None)):
                self._hidden[name] = module
        sys.modules.update(self._evicted)

    # --- a file

    def import_file(self, path: Path, text: str) -> ModuleType:
        """Import a file under its own name, or as a submodule of its package.

        Raises:
            Exception: Any error of its code.
        """
        depth = _package_depth(path, text, self.roots[-1])
        first: Exception | None = None
        for _ in range(MOST_ATTEMPTS):
            try:
                return importlib.import_module(self._name(path, depth))
            except Exception as error:
                got_further = _came_through(error, path) and not isinstance(error, ImportError)
                first = first if first is not None and not got_further else error
                if depth and "beyond top-level package" in str(error):
                    depth += 1
                elif not (self._leave_out(error, path) or self._prefer_another(error)):
                    break
                self.forget()
        assert first is not None
        raise first

    def _name(self, path: Path, depth: int) -> str:
        """Return the module name of a file at a package depth; record the path of each package."""
        folders = [path.parent, *path.parent.parents][:depth][::-1]
        parts = [folder.name.replace(".", "_") for folder in folders]
        if not (folders and path.name == "__init__.py"):
            parts.append(path.stem.replace(".", "_"))
        places = [*folders, path][: len(parts)]
        if (taken := sys.modules.get(parts[0])) and not _is_at(taken, places[0]):
            digest = sha256(str(path).encode("utf-8", "replace")).hexdigest()[:12]
            parts[0] = f"_own_{parts[0]}_{digest}"
        names = [".".join(parts[: number + 1]) for number in range(len(parts))]
        self._places = dict(zip(names, places, strict=True))
        if folders and folders[0].parent not in self._path:
            # Its own folder comes last: a package can have a module called `types`.
            self._path = [folders[0].parent, *(f for f in self._path if f != path.parent)]
        self._set_path()
        return names[-1]

    def _leave_out(self, error: Exception, path: Path) -> bool:
        """Skip the ``__init__.py`` of packages that fail before the file itself is executed."""
        packages = {place for place in self._places.values() if place.is_dir()} - self._unexecuted
        if path.name == "__init__.py" or not packages or _came_through(error, path):
            return False
        self._unexecuted |= packages
        return True

    def _prefer_another(self, error: Exception) -> bool:
        """Put the folder first in the path whose module is probably meant.

        A module next to the file can have the name of an installed module or of one further up.
        """
        name = error.name if isinstance(error, ImportError) else None
        if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
            name = error.obj.__name__
        top = (name or "").partition(".")[0]
        found = sys.modules.get(top)
        if found is None or top in sys.builtin_module_names:
            return False
        for root in self.roots:
            if holds(root, top) and not _is_at(found, root / top):
                self._path = [root, *(folder for folder in self._path if folder != root)]
                for name in [name for name in sys.modules if name.partition(".")[0] == top]:
                    module = sys.modules.pop(name)
                    if name not in self._imported:
                        self._evicted[name] = module
                return True
        return False


def _package_depth(path: Path, text: str, repository: Path) -> int:
    """Return how many packages enclose a file: by ``__init__.py`` and by its relative imports.

    Raises:
        SyntaxError: If it is not valid Python.
    """
    nodes = ast.walk(ast.parse(text, str(path)))
    levels = [node.level for node in nodes if isinstance(node, ast.ImportFrom)]
    depth = 0
    for folder in (path.parent, *path.parent.parents):
        if folder == repository or not (folder / "__init__.py").is_file():
            break
        depth += 1
    return max([depth, *levels])


def _came_through(error: BaseException, path: Path) -> bool:
    """Return whether a traceback contains code of a file."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            return True
        trace = trace.tb_next
    return isinstance(error, SyntaxError) and error.filename == str(path)


def _is_at(module: ModuleType, place: Path) -> bool:
    """Return whether a module is loaded from a file, or from a folder if it is a package."""
    file = getattr(module, "__file__", None) or next(iter(_paths(module)), None)
    if not isinstance(file, str):
        return False
    found = Path(file)
    return place in (found, found.with_suffix(""), found.parent if _paths(module) else found)


def _paths(module: ModuleType) -> list[str]:
    return [str(folder) for folder in getattr(module, "__path__", ())]


def _origin(spec: ModuleSpec) -> str | None:
    return spec.origin or next(iter(spec.submodule_search_locations or ()), None)
