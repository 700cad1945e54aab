"""What a watched run adds to its folder, so that the model can be examined without the script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from tui_trainer.data.recorded_inputs import InputCollector, packed
from tui_trainer.models.build import dropout_of
from tui_trainer.models.custom.script_model import MODEL_FILE, write_script_model
from tui_trainer.watching.script import script_path

INPUTS = "inputs"
"""The folder of the recorded inputs in the folder of a run."""


class RunFiles:
    """Writes the structure of the model, and the inputs that were kept.

    Attributes:
        problem: Why the model cannot be built without the script; empty if it can.
    """

    def __init__(self, folder: Path, model: nn.Module, collector: InputCollector) -> None:
        self._folder, self._model, self._collector = folder, model, collector
        self._saved = 0
        self._input: dict[str, Any] = {"image_size": 0, "input": None}
        self.problem = ""

    def write_model(self, inputs: tuple[tuple[Any, ...], dict[str, Any]] | None) -> None:
        """Write the structure of the model; after its first forward pass, with these arguments."""
        args, kwargs = inputs or ((), {})
        _, names, _ = packed(kwargs or args)
        self.problem = write_script_model(self._folder, self._model, script_path(), names)

    @property
    def settings(self) -> dict[str, str]:
        """The settings that name the files."""
        model = f"{self._folder.absolute() / MODEL_FILE}:{type(self._model).__name__}"
        return {"model": model, "data_dir": str(self._folder.absolute() / INPUTS)}

    def metadata(self) -> dict[str, Any]:
        """Return what a checkpoint needs to know; write the inputs if there are new ones."""
        if self._collector.size > self._saved and (recorded := self._collector.recorded()):
            recorded.save(self._folder / INPUTS)
            self._saved = self._collector.size
            self._input = {"image_size": recorded.image_size, "input": recorded.spec.plain}
        return {
            "inputs": self._saved,
            **self._input,
            "dropout": dropout_of(self._model),
            "built_dropout": None,
            "no_model": self.problem,
            "no_inputs": self._collector.unavailable,
        }
