"""The definitions of a training script, without its training.

A script is parsed, and its imports, its functions, its classes and its assignments of constants
are executed one by one; nothing else is. Classes and functions that a function of the script
defines are found by their qualified name. Names that the script computed while it ran, such as
``args``, get the values that they had.
"""

from __future__ import annotations
import __future__

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from tui_trainer.protocol.errors import InputError, reason

_TYPE_MAKERS = frozenset({"TypeVar", "ParamSpec", "NewType", "NamedTuple", "namedtuple", "Enum"})
"""Calls that define a type."""

_DEFINITIONS = (
    *(ast.Import, ast.ImportFrom),
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
)


def module_of_script(text: str, path: Path, package: str, values: Mapping[str, Any]) -> ModuleType:
    """Execute the definitions of a script as a new module; return it.

    Args:
        text: The source of the script.
        path: Its file, for messages.
        package: The package in which it ran (``python -m package.train``); empty without one.
        values: Names whose values are known; they are not computed again.

    Raises:
        InputError: If it is not valid Python.
    """
    module = ModuleType(f"_script_{path.stem}")
    module.__file__, module.__package__ = str(path), package
    sys.modules[module.__name__] = module  # dataclasses look their module up there
    namespace = vars(module)
    namespace.update(values)
    try:
        tree = ast.parse(text, str(path))
    except SyntaxError as error:
        raise InputError(f"{path}:{error.lineno}: {reason(error)}") from None
    for statement in _definitions(tree.body, values):
        try:
            _execute(statement, tree, path, namespace)
        except Exception:  # it may need what is not defined here; the model may not need it
            continue
    return module


def local_definition(module: ModuleType, qualified: str, text: str) -> Any:
    """Return a class or function that a function of a module defines: ``main.<locals>.Net``.

    Raises:
        InputError: If the module has none of that name, or it needs variables of the function.
    """
    path = Path(str(module.__file__))
    tree = ast.parse(text, str(path))
    body: list[ast.stmt] = tree.body
    found: ast.stmt | None = None
    for name in qualified.replace("<locals>.", "").split("."):
        found = next((node for node in _nested(body) if getattr(node, "name", "") == name), None)
        if found is None:
            raise InputError(f"{path}: has no {qualified}")
        body = found.body  # type: ignore[attr-defined]
    assert found is not None
    namespace = dict(vars(module))
    try:
        _execute(found, tree, path, namespace)
    except Exception as error:
        raise InputError(
            f"{path}:{found.lineno}: {qualified} needs variables of the function around it "
            f"({type(error).__name__}: {reason(error)}); move it to the top level of the script"
        ) from None
    return namespace[found.name]  # type: ignore[attr-defined]


def _execute(statement: ast.stmt, tree: ast.Module, path: Path, namespace: dict[str, Any]) -> None:
    flags = 0
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for alias in node.names:
                flags |= getattr(__future__, alias.name).compiler_flag
    code = compile(ast.Module([statement], []), str(path), "exec", flags, dont_inherit=True)
    exec(code, namespace)


def _definitions(body: list[ast.stmt], values: Mapping[str, Any]) -> Iterator[ast.stmt]:
    """Yield the statements that define something, also those in ``try`` and ``if``."""
    for node in body:
        if isinstance(node, _DEFINITIONS) or _is_constant(node, values):
            yield node
        elif isinstance(node, ast.Try):
            kept = ast.Try(
                _filtered(node.body, values),
                [
                    ast.ExceptHandler(h.type, h.name, _filtered(h.body, values))
                    for h in node.handlers
                ],
                list(_definitions(node.orelse, values)),
                _filtered(node.finalbody, values) if node.finalbody else [],
            )
            yield ast.fix_missing_locations(ast.copy_location(kept, node))
        elif isinstance(node, ast.If) and not _calls(node.test):
            branch = ast.If(
                node.test, _filtered(node.body, values), list(_definitions(node.orelse, values))
            )
            yield ast.fix_missing_locations(ast.copy_location(branch, node))


def _filtered(body: list[ast.stmt], values: Mapping[str, Any]) -> list[ast.stmt]:
    return list(_definitions(body, values)) or [ast.Pass()]


def _is_constant(node: ast.stmt, values: Mapping[str, Any]) -> bool:
    """Return whether a statement assigns an expression without calls to names without a value."""
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign | ast.AugAssign):
        targets = [node.target]
    else:
        return False
    names = [part.id for t in targets for part in ast.walk(t) if isinstance(part, ast.Name)]
    is_known = any(name in values for name in names)
    return not is_known and node.value is not None and not _calls(node.value)


def _calls(expression: ast.expr) -> bool:
    """Return whether an expression calls something other than a maker of types."""
    for node in ast.walk(expression):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name not in _TYPE_MAKERS:
                return True
        elif isinstance(node, ast.Await | ast.Yield | ast.YieldFrom):
            return True
    return False


def _nested(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the classes and functions in a body, in any block, but not inside of each other."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node
            continue
        for part in ("body", "orelse", "finalbody"):
            yield from _nested(getattr(node, part, []))
        for handler in getattr(node, "handlers", []):
            yield from _nested(handler.body)
