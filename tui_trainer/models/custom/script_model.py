"""The model of a training script in the folder of its run, so that it can be built without it.

``network.pickle`` has the structure of the model: its modules with their attributes, the shapes of
its parameters, and the values of all other tensors. The weights come from a checkpoint.
``code/`` has copies of the files that define its classes, and ``network.py`` is an ordinary custom
model that puts them together.

Building it executes that code, as for any custom model. The unpickler itself only finds classes and
functions of the code in the folder and of installed packages, and of the standard library those
that data is made of.
"""

from __future__ import annotations

import functools
import importlib
import io
import linecache
import marshal
import os
import pickle
import sys
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import ScriptFunction, ScriptModule
from torch.nn.utils import parametrize

from tui_trainer.models.custom.script_definitions import local_definition, module_of_script
from tui_trainer.models.custom.source_files import is_installed
from tui_trainer.models.input_spec import unpack_inputs
from tui_trainer.models.tensors import logits_of
from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.recording.atomic import read_at_most, write_atomically

MODEL_FILE = "network.py"
"""The file in a run's folder that builds its model: ``network.py:Net``, after its class."""

STRUCTURE = "network.pickle"
"""The structure of the model."""

CODE = "code"
"""The folder with the code that defines its classes."""

MOST_BYTES = 64 << 20
"""The largest structure that is written, in bytes."""

MOST_CODE = 4 << 20
"""The bytes of code that are copied; what is left out is looked for where it was."""

MOST_VALUE = 1 << 16
"""The bytes of a global tensor that is kept."""

_FORMAT = 1
_MAIN = "__main__"
_PYTHON = list(sys.version_info[:2])

_SOURCE = '''"""The model that {script} trained, for mnist-tui.

Executes the code in {code}/, which is a copy of what the script used.
"""

from pathlib import Path

from tui_trainer.models.custom.script_model import read_script_model


def {name}():
    """The model that {script} trained."""
    return read_script_model(Path(__file__).parent)
'''

_DATA_TYPES = {
    "builtins": {
        *("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list"),
        *("object", "range", "set", "slice", "str", "tuple", "type"),
    },
    "argparse": {"Namespace"},
    "functools": {"partial"},
    "copyreg": {"_reconstructor", "__newobj__", "__newobj_ex__"},
    "random": {"Random"},
    "types": {"SimpleNamespace", "MappingProxyType", "GenericAlias"},
    "_codecs": {"encode"},
}
"""What the unpickler finds in the standard library …"""

_DATA_MODULES = frozenset(
    {"collections", "datetime", "decimal", "enum", "fractions", "math", "operator", "pathlib"}
    | {"pathlib._local", "_operator", "_random", "uuid"}
)
"""… and the modules of which it finds everything."""

_LOADERS = frozenset({"load", "_load_from_bytes", "load_state_dict_from_url", "unpickle"})
"""Names in installed packages that read other pickles."""


# --- write


def write_script_model(
    folder: Path, model: nn.Module, script: str = "", names: tuple[str, ...] = ()
) -> str:
    """Write the model of a script to the folder of its run; return why it cannot, or nothing.

    The model is unchanged, and none of its weights is copied. Call it after the first forward, for
    some layers have no shape before it. It may be called again.

    Args:
        folder: The folder of the run.
        model: The model, without wrappers for several processes.
        script: The file of the script, for its name.
        names: The arguments of the model, if it takes several: see :class:`InputSpec`.
    """
    try:
        pickler = _Pickler(model)
        content = pickler.content(names)
        _write_code(folder / CODE, pickler.modules)
        name = Path(script).name or "the script"
        name = name.replace("\\", "").replace('"', "")
        source = _SOURCE.format(script=name, code=CODE, name=type(model).__name__)
        write_atomically(folder / STRUCTURE, content)
        write_atomically(folder / MODEL_FILE, source.encode())
    except Exception as error:  # a model of somebody else can raise anything
        return reason(error) if isinstance(error, InputError) else _why(error)
    return ""


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {reason(error)}"


class _Pickler(pickle.Pickler):
    """Writes a model without the values of its parameters.

    Attributes:
        modules: The Python modules that its classes need, by name, ours and installed ones aside.
    """

    def __init__(self, model: nn.Module) -> None:
        self._buffer = io.BytesIO()
        super().__init__(self._buffer, protocol=4)
        self._model = model
        self._parameters = {id(parameter) for parameter in model.parameters()}
        self._seen: dict[int, int] = {}
        self.modules: dict[str, ModuleType] = {}

    def content(self, names: tuple[str, ...] = ()) -> bytes:
        """Return the head, the values of the script's names, and the model, in this order.

        Raises:
            Exception: If the model cannot be written.
        """
        self.dump(self._model)
        model = self._buffer.getvalue()
        needed = _closure(self.modules)
        values = pickle.dumps({})
        if main := needed.get(_MAIN):
            with suppress(Exception):  # the model may not need them
                pickler = _Pickler(nn.Module())
                pickler.dump(_plain_values(main))
                values = pickler._buffer.getvalue()
        self.modules = needed
        head = {
            "format": _FORMAT,
            "python": _PYTHON,
            "main": _file_of(main).name if main else "",
            "package": (getattr(main, "__package__", None) or "") if main else "",
            "names": list(names),
            "folders": sorted({str(_root_of(module)) for module in needed.values()}),
        }
        content = pickle.dumps(head) + values + model
        if len(content) > MOST_BYTES:
            raise InputError(f"its structure has {len(content) >> 20} MiB")
        return content

    def persistent_id(self, value: Any) -> Any:
        """Write a tensor: of a parameter its shape alone."""
        if not isinstance(value, Tensor):
            return None
        if id(value) in self._seen:
            return (self._seen[id(value)],)
        kind = type(value)
        if kind not in (Tensor, nn.Parameter, nn.Buffer):
            raise InputError(f"it has a {kind.__name__}, which has no fixed shape")
        if value.layout != torch.strided or value.is_quantized:
            raise InputError("it has a sparse or quantized tensor")
        self._seen[id(value)] = len(self._seen)
        is_parameter = isinstance(value, nn.Parameter)
        dtype = str(value.dtype).removeprefix("torch.")
        content = None if id(value) in self._parameters else _bytes(value)
        number = self._seen[id(value)]
        shape = tuple(value.shape)
        return number, shape, dtype, is_parameter, value.requires_grad and value.is_leaf, content

    def reducer_override(self, value: Any) -> Any:
        """Write modules without hooks of ours, and functions and classes by their place."""
        if isinstance(value, ScriptModule | ScriptFunction):
            raise InputError("it has a part that torch.jit compiled")
        if isinstance(value, ModuleType):
            return importlib.import_module, (value.__name__,)
        if isinstance(value, type):
            return self._by_name(value)
        if isinstance(value, FunctionType):
            return self._by_name(value) if _is_named(value) else _taken_apart(value)
        if isinstance(value, nn.Module):
            if parametrize.is_parametrized(value):
                # torch refuses to pickle the class that it makes for such a module.
                base = type(value).__bases__[0]
                state = self._without_hooks(value, vars(value))
                return _bare, (base,), state, None, None, _parametrize
            make, arguments, state, *rest = tuple(value.__reduce_ex__(4))
            return make, arguments, self._without_hooks(value, state), *rest
        return NotImplemented

    def _by_name(self, value: Any) -> Any:
        name, qualified = value.__module__, value.__qualname__
        self._note(name)
        if "<locals>" not in qualified and _found(name, qualified) is value:
            return NotImplemented
        return _named, (name, qualified)

    def _note(self, name: str) -> None:
        module = sys.modules.get(name)
        if module is not None and (name == _MAIN or _is_custom(module)):
            self.modules[name] = module

    def _without_hooks(self, module: nn.Module, state: Any) -> Any:
        """Return the state of a module without the hooks of scripts, and what cannot be pickled."""
        if not isinstance(state, dict):
            return state
        kept = dict(state)
        kept.pop("_compiled_call_impl", None)
        for name, value in state.items():
            if name.endswith("_hooks") and isinstance(value, Mapping):
                kept[name] = OrderedDict(
                    (number, hook) for number, hook in value.items() if _is_of_library(hook)
                )
            elif "_hooks_" in name:
                kept[name] = OrderedDict()
            elif name not in ("_parameters", "_buffers", "_modules") and not self._can_dump(value):
                kept[name] = None
        return kept

    def _can_dump(self, value: Any) -> bool:
        if value is None or isinstance(value, bool | int | float | str | Tensor | nn.Module):
            return True
        try:
            _Probe().dump(value)
        except Exception:  # any error means that it cannot be pickled
            return False
        return True


class _Probe(_Pickler):
    """Tries to pickle an attribute, without the modules in it."""

    def __init__(self) -> None:
        super().__init__(nn.Module())

    def persistent_id(self, value: Any) -> Any:
        """Write neither tensors nor modules."""
        return 0 if isinstance(value, Tensor | nn.Module) else None


def _bytes(value: Tensor) -> bytes:
    plain = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
    return plain.view(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b""


def _is_of_library(hook: Any) -> bool:
    """Return whether a hook is of PyTorch or another installed package, as weight norm's."""
    kind = hook if isinstance(hook, FunctionType) else type(hook)
    module = sys.modules.get(getattr(kind, "__module__", ""))
    file = getattr(module, "__file__", None)
    is_ours = str(getattr(module, "__name__", "")).startswith("tui_trainer")
    is_named = not isinstance(hook, FunctionType) or _is_named(hook)
    return file is not None and not is_ours and is_named and is_installed(Path(file))


def _is_named(function: FunctionType) -> bool:
    """Return whether a function can be found by its name, perhaps in another function."""
    return "<lambda>" not in function.__qualname__ and not function.__closure__


def _taken_apart(function: FunctionType) -> Any:
    """Return a function without a name as its parts."""
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    parts = marshal.dumps(function.__code__), function.__module__, function.__name__, len(cells)
    state = cells, function.__defaults__, function.__kwdefaults__
    return _put_together, (_PYTHON, *parts), state, None, None, _fill


def _found(module: str, qualified: str) -> Any:
    value: Any = sys.modules.get(module)
    for name in qualified.split("."):
        value = getattr(value, name, None)
    return value


def _is_custom(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and file.endswith(".py") and not is_installed(Path(file))


def _closure(modules: Mapping[str, ModuleType]) -> dict[str, ModuleType]:
    """Return the modules, and those that they use, where they are custom code."""
    found: dict[str, ModuleType] = {}
    left = [*modules]
    while left:
        name = left.pop()
        module = sys.modules.get(name)
        if module is None or name in found or not (name == _MAIN or _is_custom(module)):
            continue
        found[name] = module
        left += [name.rpartition(".")[0]]
        for value in list(vars(module).values()):
            is_module = isinstance(value, ModuleType)
            used = value.__name__ if is_module else getattr(value, "__module__", None)
            left += [used] if isinstance(used, str) else []
    return found


def _plain_values(module: ModuleType) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("__") and _is_plain(value, 3)
    }


def _is_plain(value: Any, depth: int) -> bool:
    """Return whether a value of a script is data that its model may use."""
    if isinstance(value, Tensor):
        return value.nbytes <= MOST_VALUE and value.is_leaf and type(value) is Tensor
    if value is None or type(value) in (bool, int, float, complex, torch.dtype, torch.device):
        return True
    if type(value) in (str, bytes):
        return len(value) <= MOST_VALUE
    if isinstance(value, Path):
        return True
    if isinstance(value, Namespace):
        value = vars(value)
    if not depth or type(value) not in (dict, list, tuple, set) or len(value) > 1_000:
        return False
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    return all(_is_plain(part, depth - 1) for part in parts)


def _file_of(module: ModuleType) -> Path:
    return Path(getattr(module, "__file__", None) or "notebook.py")


def _root_of(module: ModuleType) -> Path:
    """Return the folder from which a module is imported."""
    file = Path(os.path.abspath(_file_of(module)))
    if module.__name__ == _MAIN:
        package = getattr(module, "__package__", None) or ""
        depth = package.count(".") + 1 if package else 0
    else:
        depth = module.__name__.count(".") + (file.name == "__init__.py")
    return file.parents[depth]


def _write_code(folder: Path, modules: Mapping[str, ModuleType]) -> None:
    """Copy the files of modules to a folder, each where an import finds it.

    Raises:
        InputError: If the script's code is not known.
    """
    left = MOST_CODE
    for module in sorted(modules.values(), key=lambda module: module.__name__ != _MAIN):
        text = _main_text(module) if module.__name__ == _MAIN else source_of(module)
        if len(text) > left:
            continue
        left -= len(text)
        file = Path(os.path.abspath(_file_of(module)))
        path = folder / file.relative_to(_root_of(module))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode("utf-8", "surrogatepass"))


def source_of(module: ModuleType) -> str:
    """Return the source of a module as it was when it was imported, if that is still known."""
    lines = linecache.getlines(str(_file_of(module)), vars(module))
    return "".join(lines)


def _main_text(module: ModuleType) -> str:
    """Return the source of the script, or of all cells of a notebook.

    Raises:
        InputError: If there is none.
    """
    cells = getattr(module, "In", None)
    if getattr(module, "__file__", None) is None and isinstance(cells, list):
        return "\n".join(_cell(str(cell)) for cell in cells)
    if text := source_of(module):
        return text
    raise InputError(
        "its class is defined in an interactive session; write it to a file and import it"
    )


def _cell(text: str) -> str:
    """Return a cell of a notebook without the commands of IPython; none if it is not Python."""
    lines = ["" if line.lstrip().startswith(("%", "!")) else line for line in text.splitlines()]
    cell = "\n".join(lines)
    try:
        compile(cell, "cell", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return ""
    return cell


# --- read


def read_script_model(folder: Path) -> nn.Module:
    """Build the model in the folder of a run, on the CPU.

    Its layers have the initial weights that PyTorch gives them, drawn by the global rng.

    Raises:
        InputError: If it cannot be built.
    """
    content = io.BytesIO(read_at_most(folder / STRUCTURE, MOST_BYTES))
    try:
        head = _Unpickler(content, None).load()
        if head["format"] != _FORMAT:
            raise InputError(f"{STRUCTURE} is of a newer version of mnist-tui; update it")
        code = _Code(folder, head)
        code.values = _Unpickler(content, code).load()
        unpickler = _Unpickler(content, code)
        model = unpickler.load()
    except (InputError, ImportError, AttributeError, SyntaxError):
        raise
    except Exception as error:
        raise InputError(f"{STRUCTURE} cannot be read: {_why(error)}") from error
    if not isinstance(model, nn.Module):
        raise InputError(f"{STRUCTURE} holds no model")
    for module in model.modules():
        _draw_weights(module)
    if names := tuple(head["names"]):
        unpack_inputs(model, names)
    return returning_logits(model)


def _draw_weights(module: nn.Module) -> None:
    """Draw the initial weights of a layer; the shape decides where the layer itself does not."""
    with torch.no_grad():
        for parameter in module._parameters.values():
            if parameter is not None and parameter.is_floating_point():
                parameter.normal_(std=0.02)
        for name in ("reset_parameters", "_reset_parameters"):
            reset = getattr(module, name, None)
            if callable(reset) and type(module).__module__.startswith("torch.nn"):
                with suppress(Exception):  # the layer has parts that it does not expect
                    reset()


class _Code:
    """The code of a script: its definitions, and the modules that it imported."""

    def __init__(self, folder: Path, head: Mapping[str, Any]) -> None:
        self._folder, self._head = folder / CODE, head
        self.values: dict[str, Any] = {}
        self._main: ModuleType | None = None
        # Where the copies are incomplete, the files of the script itself are left.
        folders = [str(self._folder), *map(str, head["folders"])]
        sys.path[:0] = [path for path in folders if path not in sys.path and os.path.isdir(path)]

    def find(self, name: str, qualified: str) -> Any:
        """Return a class or function of a module."""
        module = self._module(name)
        if "<locals>" in qualified:
            text = source_of(module) if name != _MAIN else self._text()
            return local_definition(module, qualified, text)
        value: Any = module
        for part in qualified.split("."):
            try:
                value = getattr(value, part)
            except AttributeError:
                place = self._head["main"] if name == _MAIN else name
                raise InputError(f"{place} does not define {qualified}") from None
        return value

    def _module(self, name: str) -> ModuleType:
        if name != _MAIN:
            return importlib.import_module(name)
        if self._main is None:
            self._main = module_of_script(
                self._text(), self._path, self._head["package"], self.values
            )
        return self._main

    @property
    def _path(self) -> Path:
        parts = self._head["package"].split(".") if self._head["package"] else []
        return self._folder.joinpath(*parts, self._head["main"])

    def _text(self) -> str:
        return read_at_most(self._path, MOST_CODE).decode("utf-8", "replace")


class _Unpickler(pickle.Unpickler):
    """Reads what :class:`_Pickler` wrote."""

    def __init__(self, content: io.BytesIO, code: _Code | None) -> None:
        super().__init__(content)
        self._code = code
        self._tensors: list[Tensor] = []

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Find a class or function; see the module's docstring."""
        top = module_name.partition(".")[0]
        if module_name == __name__:
            return functools.partial(_CALLED[global_name], self._code)
        if self._code is not None and module_name == _MAIN:
            return self._code.find(module_name, global_name)
        if (module_name, global_name) == ("torch", "device"):
            return _on_cpu
        if (module_name, global_name) == ("importlib", "import_module"):
            return _imported
        if (module_name, global_name) == ("builtins", "getattr"):
            return _method
        if top in sys.stdlib_module_names:
            is_data = global_name in _DATA_TYPES.get(module_name, ())
            if not (is_data or module_name in _DATA_MODULES):
                raise InputError(
                    f"{STRUCTURE} names {module_name}.{global_name}, which is not data"
                )
        elif self._code is None or global_name in _LOADERS:
            raise InputError(f"{STRUCTURE} names {module_name}.{global_name}, which is not data")
        return super().find_class(module_name, global_name)

    def persistent_load(self, pid: Any) -> Tensor:
        """Read a tensor; a parameter has no values yet."""
        if len(pid) == 1:
            known: Tensor = self._tensors[pid[0]]
            return known
        _, shape, dtype, is_parameter, requires_grad, content = pid
        kind = getattr(torch, dtype)
        tensor: Tensor = torch.zeros(shape, dtype=kind)
        if content:
            tensor = torch.frombuffer(bytearray(content), dtype=kind).view(shape)
        if is_parameter:
            tensor = nn.Parameter(tensor, requires_grad=requires_grad)
        elif requires_grad:
            tensor.requires_grad_()
        self._tensors.append(tensor)
        return tensor


def _on_cpu(*_: Any) -> torch.device:
    return torch.device("cpu")


def _imported(name: str) -> ModuleType:
    if name.partition(".")[0] in sys.stdlib_module_names and name not in ("math", "random"):
        raise InputError(f"{STRUCTURE} names the module {name}, which is not data")
    return importlib.import_module(name)


def _method(owner: Any, name: str) -> Any:
    """Return a method of a module, for an attribute that is one."""
    if not isinstance(owner, nn.Module | type):
        raise InputError(f"{STRUCTURE} names an attribute of {type(owner).__name__}")
    return getattr(owner, name)


def _named(code: _Code, module: str, qualified: str) -> Any:
    """Return a class or function by its name, perhaps one in a function."""
    return code.find(module, qualified)


def _put_together(
    code: _Code, python: list[int], content: bytes, module: str, name: str, cells: int
) -> FunctionType:
    """Return a function without a name; its cells are filled later, for they may hold the model."""
    if python != _PYTHON:
        version = ".".join(map(str, python))
        raise InputError(f"the function {name} of the model needs Python {version}")
    compiled: CodeType = marshal.loads(content)
    from types import CellType

    closure = tuple(CellType() for _ in range(cells))
    return FunctionType(compiled, vars(code._module(module)), name, None, closure)


def _fill(code: _Code, function: FunctionType, state: Any) -> None:
    """Set the variables and the defaults of a function."""
    contents, function.__defaults__, function.__kwdefaults__ = state
    for cell, content in zip(function.__closure__ or (), contents, strict=True):
        cell.cell_contents = content


def _bare(code: _Code, kind: type[nn.Module]) -> nn.Module:
    return kind.__new__(kind)


def _parametrize(code: _Code, module: nn.Module, state: dict[str, Any]) -> None:
    """Restore a module with parametrized tensors, as ``register_parametrization`` leaves it."""
    vars(module).update(state)
    parametrize._inject_new_class(module)
    for name in module.parametrizations:  # type: ignore[union-attr]
        parametrize._inject_property(module, name)


_CALLED: dict[str, Callable[..., Any]] = {
    "_named": _named,
    "_put_together": _put_together,
    "_fill": _fill,
    "_bare": _bare,
    "_parametrize": _parametrize,
}


# --- the output


def returning_logits(model: nn.Module) -> nn.Module:
    """Add a hook that turns a model's output into logits (N, classes); return the model.

    Of a mapping, a tuple or a list, it takes the logits, or else the first tensor. A single logit z
    becomes (0, z): softmax of the two is sigmoid of the one.
    """
    model.register_forward_hook(_logits_hook)
    return model


def _logits_hook(module: nn.Module, arguments: Any, output: Any) -> Any:
    logits = logits_of(output)
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        return output
    if logits.dim() > 2 and logits[0, 0].numel() == 1:
        logits = logits.flatten(1)
    if logits.dim() == 1:
        logits = logits.unsqueeze(1)
    if logits.dim() == 2 and logits.shape[1] == 1:
        return torch.cat((torch.zeros_like(logits), logits), dim=1)
    return logits
