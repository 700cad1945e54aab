"""The source of a custom model: the definitions that it needs, as written in its files.

From the file of a model, and from the files next to it that it imports, come the class or function
of the model and every definition that it names, directly or not. What is imported from installed
packages stays an import.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from tui_trainer.export.source_code.formatting import literal
from tui_trainer.export.source_code.layers import NoSourceError
from tui_trainer.export.source_code.program import Import, ModelSource, bound_names, names_bound_by
from tui_trainer.models.custom import loading
from tui_trainer.models.custom.arguments import (
    ModelSpec,
    arguments_of,
    call_target,
    may_hide_classes,
)
from tui_trainer.models.custom.module_finder import CustomImports
from tui_trainer.models.custom.process_state import custom_code, imports_of
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.protocol.reference import Reference


def custom_source(
    reference: Reference, spec: ModelSpec, dropout: float | None, *, is_changed: bool = False
) -> ModelSource:
    """Return the source of a custom model.

    Args:
        reference: Its class or function; it is loaded.
        spec: The images and classes for which it is built.
        dropout: The probability of its dropout layers at the first step.
        is_changed: Whether that differs from the one with which it is built.

    Raises:
        NoSourceError: If it cannot be written.
    """
    with custom_code(reference):
        target = loading.last_loaded(reference)
        arguments = arguments_of(target, reference.short, spec)
        if may_hide_classes(target):
            with preserve_rng_state():  # built only to see what it accepts
                _, arguments = call_target(target, arguments, spec)
        definitions = _Definitions(imports_of(reference))
        definitions.add(_module_of(reference), reference.name)
        code, imports = definitions.code(), tuple(definitions.imports.values())
    given = ", ".join(f"{name}={literal(value)}" for name, value in arguments.items())
    build = f"{reference.name}({given})"
    is_set = is_changed or (spec.dropout is not None and "dropout" not in arguments)
    if dropout is not None and is_set:
        code, build = _with_dropout(code, build, dropout)
    used = [Path(file.name).name for file in definitions.files if file.needed]
    files = ", ".join(map(repr, used))
    remark = f"The model is as written in {files}." if files else ""
    return ModelSource(code, build, imports, remark)


def _with_dropout(code: str, build: str, dropout: float) -> tuple[str, str]:
    name = "build_model"
    while name in bound_names(code):
        name += "_"
    function = f'''\
def {name}():
    """Build the model with the dropout probability of the run."""
    model = {build}
    for module in model.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.p = {dropout!r}
    return model'''
    return "\n\n\n".join(filter(None, (code, function))), f"{name}()"


def _module_of(reference: Reference) -> ModuleType:
    if not reference.is_file:
        return sys.modules[reference.place]
    path = Path(reference.place).absolute()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file is not None and Path(file) == path:
            return module
    raise NoSourceError(f"{path.name} is not imported")


def local_modules(reference: Reference) -> list[str]:
    """Return the top-level names of the modules that are custom code."""
    with custom_code(reference):
        imports = imports_of(reference)
        found = [name for name in list(sys.modules) if _is_local(name, imports)]
    return sorted({name.partition(".")[0] for name in found})


def _is_local(name: str, imports: CustomImports) -> bool:
    file = getattr(sys.modules.get(name), "__file__", None)
    is_file = isinstance(file, str) and os.path.isabs(file)
    return is_file and imports.is_custom_file(file)


@dataclass
class _File:
    """A file of custom code, and which of its statements are needed."""

    name: str
    module: ModuleType
    lines: list[str]
    statements: list[ast.stmt]
    needed: set[int] = field(default_factory=set)
    aliases: dict[int, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, module: ModuleType) -> _File:
        """Read the file of a module."""
        name = module.__file__
        if name is None or not name.endswith(".py"):
            raise NoSourceError(f"{module.__name__} has no source file")
        text = importlib.util.decode_source(Path(name).read_bytes())
        return cls(name, module, text.split("\n"), ast.parse(text).body)

    def binding(self, name: str) -> list[int]:
        """Return the statements that bind a name."""
        return [i for i, s in enumerate(self.statements) if name in names_bound_by(s)]

    def text(self, index: int) -> str:
        """Return a statement as written, with its decorators and the comments above it."""
        statement = self.statements[index]
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(d.lineno for d in decorators)])
        end = statement.end_lineno or statement.lineno
        while first > 1 and self.lines[first - 2].startswith("#"):
            first -= 1
        if first == 1:  # not a shebang or an encoding
            while self.lines[first - 1].startswith("#"):
                first += 1
        return "\n".join(line.rstrip() for line in self.lines[first - 1 : end])


class _Definitions:
    """The definitions that a model needs, in an order in which they can be executed."""

    def __init__(self, custom: CustomImports) -> None:
        self._custom = custom
        self.imports: dict[str, Import] = {}
        self.files: list[_File] = []
        self._read: dict[str, _File] = {}
        self._owners: dict[str, str] = {}

    def add(self, module: ModuleType, name: str) -> None:
        """Add the definition of a name, and what that needs.

        Raises:
            NoSourceError: If it has none, or two files define the same name differently.
        """
        if not self._is_local(module.__name__):
            statement = f"from {module.__name__} import {name}"
            self._import(Import(statement, name, f"{module.__name__}.{name}"))
            return
        file = self._file(module)
        self._need(file, name, is_required=True)
        self._keep_order(file)

    def code(self) -> str:
        """Return the definitions."""
        return "\n\n\n".join(part for file in self.files if (part := _text_of(file)))

    def _is_local(self, name: str) -> bool:
        return _is_local(name, self._custom)

    def _file(self, module: ModuleType) -> _File:
        if module.__name__ not in self._read:
            self._read[module.__name__] = file = _File.of(module)
            for statement in file.statements:
                if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
                    for alias in statement.names:
                        line = f"from __future__ import {alias.name}"
                        self._import(Import(line, alias.name, f"__future__.{alias.name}"))
        return self._read[module.__name__]

    def _keep_order(self, file: _File) -> None:
        if file not in self.files:
            self.files.append(file)

    def _need(self, file: _File, name: str, *, is_required: bool = False) -> None:
        found = file.binding(name)
        if not found:
            self._need_star(file, name, is_required=is_required)
        for index in found:
            statement = file.statements[index]
            if isinstance(statement, ast.Import | ast.ImportFrom):
                self._need_import(file, index, name)
            elif index not in file.needed:
                self._claim(file, names_bound_by(statement))
                file.needed.add(index)
                self._need_names(file, statement)
                self._need_calls(file, name)

    def _need_names(self, file: _File, statement: ast.stmt) -> None:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self._need(file, node.id)

    def _need_calls(self, file: _File, name: str) -> None:
        """Add the calls at the top level that change a definition: ``BLOCKS.append(Block)``."""
        for index, statement in enumerate(file.statements):
            if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
                continue
            root: ast.expr = statement.value.func
            while isinstance(root, ast.Attribute | ast.Subscript | ast.Call):
                root = root.func if isinstance(root, ast.Call) else root.value
            is_method = root is not statement.value.func
            is_needed = is_method and isinstance(root, ast.Name) and root.id == name
            if is_needed and index not in file.needed:
                file.needed.add(index)
                self._need_names(file, statement)

    def _need_star(self, file: _File, name: str, *, is_required: bool) -> None:
        for statement in file.statements:
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                module = self._resolved(file, statement)
                if hasattr(module, name):
                    if self._is_local(module.__name__):
                        self.add(module, name)
                    else:
                        line = f"from {module.__name__} import *"
                        self._import(Import(line, f"* {module.__name__}", module.__name__))
                    return
        if is_required:
            raise NoSourceError(f"{Path(file.name).name} has no definition of {name}")

    def _need_import(self, file: _File, index: int, name: str) -> None:
        statement = file.statements[index]
        assert isinstance(statement, ast.Import | ast.ImportFrom)
        for alias in statement.names:
            if isinstance(statement, ast.Import):
                if (alias.asname or alias.name.partition(".")[0]) == name:
                    self._need_module(alias)
            elif (alias.asname or alias.name) == name and statement.module != "__future__":
                self._need_member(file, index, statement, alias)

    def _need_module(self, alias: ast.alias) -> None:
        if self._is_local(alias.name):
            raise _whole_module(alias.name, alias.name)
        top = alias.name.partition(".")[0]
        end = f" as {alias.asname}" if alias.asname else ""
        name, target = (alias.asname, alias.name) if alias.asname else (top, top)
        self._import(Import(f"import {alias.name}{end}", name, target))

    def _need_member(
        self, file: _File, index: int, statement: ast.ImportFrom, alias: ast.alias
    ) -> None:
        module = self._resolved(file, statement)
        name = alias.asname or alias.name
        whole = f"{module.__name__}.{alias.name}"
        if not self._is_local(module.__name__) and not self._is_local(whole):
            end = f" as {alias.asname}" if alias.asname else ""
            line = f"from {module.__name__} import {alias.name}{end}"
            self._import(Import(line, name, whole))
            return
        if whole in sys.modules and isinstance(getattr(module, alias.name, None), ModuleType):
            raise _whole_module(alias.name, whole)
        self.add(module, alias.name)
        if name != alias.name:
            line = f"{name} = {alias.name}"
            lines = file.aliases.setdefault(index, [])
            if line not in lines:
                self._claim(file, {name})
                lines.append(line)

    def _resolved(self, file: _File, statement: ast.ImportFrom) -> ModuleType:
        relative = "." * statement.level + (statement.module or "")
        package = file.module.__spec__.parent if file.module.__spec__ else None
        name = importlib.util.resolve_name(relative, package) if statement.level else relative
        try:
            return sys.modules[name]
        except KeyError:
            raise NoSourceError(f"{name} is not imported") from None

    def _import(self, found: Import) -> None:
        there = self.imports.setdefault(found.statement, found)
        for other in self.imports.values():
            if other.name == there.name and other.target != there.target:
                raise NoSourceError(f"its files import two different things as {other.name}")

    def _claim(self, file: _File, names: set[str]) -> None:
        for name in names:
            if self._owners.setdefault(name, file.name) != file.name:
                raise NoSourceError(f"two of its files define {name}")


def _whole_module(name: str, path: str) -> NoSourceError:
    return NoSourceError(f"it imports {name} as a whole; write `from {path} import NAMES`")


def _text_of(file: _File) -> str:
    """Return the needed statements of a file, in their order."""
    parts = ""
    end = 0
    for index, statement in enumerate(file.statements):
        if index in file.needed:
            text = file.text(index)
        elif index in file.aliases:
            text = "\n".join(file.aliases[index])
        else:
            continue
        is_adjacent = statement.lineno == end + 1 and not isinstance(
            statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef
        )
        parts += ("\n" if is_adjacent else "\n\n\n") * bool(parts) + text
        end = statement.end_lineno or statement.lineno
    return parts
