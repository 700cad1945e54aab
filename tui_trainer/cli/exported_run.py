"""A recorded run, and what several formats of an export need from it."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tui_trainer.cli.moved_paths import check_data_path, check_model_path
from tui_trainer.cli.saved import SavedRun, check_script_files
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, RunStarted
from tui_trainer.text.fmt import by_channel

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tui_trainer.models.input_spec import InputSize

MAX_VALUES = 1 << 26
"""The most values of images on which an exported model is compared: 256 MiB."""


@dataclass
class ExportedRun:
    """A recorded run up to a checkpoint, and what several formats need from it, created once.

    Attributes:
        found: The run.
        checkpoint: The name of the checkpoint.
        data_dir: The folder of the data if it is given, see ``MovedPaths``.
    """

    found: SavedRun
    checkpoint: str
    data_dir: str | None

    @property
    def events(self) -> tuple[Event, ...]:
        """The events up to the checkpoint; all events for the last checkpoint.

        A run can have diverged after its last checkpoint.
        """
        return self.found.recorded.events if self.checkpoint == "last" else self.found.past

    def model(self) -> nn.Module:
        """Return the checkpoint's model, built again: this makes its modules importable."""
        from tui_trainer.lab.saved_model import load_model

        check_script_files(self.found.metadata, self.found.folder)
        check_model_path(self.found.config)
        with redirect_stdout(sys.stderr):
            return load_model(self.found.checkpoint, self.found.config.model)

    @property
    def input_size(self) -> InputSize:
        """The input of the model."""
        from tui_trainer.models.input_spec import InputSpec

        return InputSpec.read(self.found.metadata)

    def custom_code(self) -> AbstractContextManager[None]:
        """Run the model's code: its modules are importable, its output goes to stderr."""
        from tui_trainer.models.build import is_custom
        from tui_trainer.models.custom.process_state import custom_code
        from tui_trainer.protocol.reference import parse_reference

        model = self.found.config.model
        reference = parse_reference(model) if is_custom(model) else None
        return nullcontext() if reference is None else custom_code(reference)

    def new_model(self) -> nn.Module:
        """Return the same model with other initial weights."""
        from tui_trainer.models.build import build_model
        from tui_trainer.models.rng import preserve_rng_state, seed_all

        check_model_path(self.found.config)
        metadata = self.found.metadata
        with preserve_rng_state():
            seed_all(metadata.get("seed", 0) + 1)
            return build_model(
                self.found.config.model,
                image_size=self.input_size,
                classes=metadata["classes"],
                dropout=metadata.get("built_dropout", metadata["dropout"]),
            )

    @cached_property
    def images(self) -> tuple[Tensor, str, str]:
        """The run's test images as model input, their kind, and why they are missing.

        Their labels are not used, so this is no test evaluation. If the dataset cannot be read,
        fixed noise images replace them. Of a script's run they are its recorded inputs.

        Raises:
            InputError: If the dataset cannot be read from the given folder.
        """
        import torch

        from tui_trainer.data.loading import load
        from tui_trainer.models.behavior import fixed_images

        try:
            check_data_path(self.found.config)
            loading = load(self.found.config, torch.device("cpu"))
            while True:
                next(loading)
        except StopIteration as done:
            data = done.value
            if self.found.is_of_script:
                split = data.val if len(data.val) else data.train
                return data.prepare(split.images), "recorded inputs", ""
            images = data.test.shown().images
            step = -(-images.numel() // MAX_VALUES)
            return data.prepare(images[::step]), "test images", ""
        except InputError as error:
            if self.data_dir is not None:
                raise
            noise = fixed_images(self.input_size)
            return noise, "noise images", f"test images cannot be read: {error}"

    @property
    def input_form(self) -> str:
        """The normalization of the model's input."""
        if self.found.is_of_script:
            from tui_trainer.models.input_spec import spec_of

            return f"input: {spec_of(self.input_size).words}, as the script prepares it"
        started = self.started
        mean, std = by_channel(started.mean, ".6g"), by_channel(started.std, ".6g")
        order = "red, green, blue, " if started.channels > 1 else ""
        return f"input: {order}(pixel / 255 - {mean}) / {std}"

    @property
    def started(self) -> RunStarted:
        """The start of the run."""
        return next(event for event in self.found.past if isinstance(event, RunStarted))

    @property
    def about(self) -> dict[str, str]:
        """What a program needs to know to use the model's file, as JSON by name; for its metadata.

        Empty for gray images of numbered classes: their files are as they always were.
        """
        started = self.started
        if self.found.is_of_script or (started.channels == 1 and not started.class_names):
            return {}
        size = started.image_size
        values: dict[str, Any] = {
            "input_shape": [started.channels, size, size],
            "channel_order": "RGB" if started.channels > 1 else "gray",
            "normalization": "(pixel / 255 - mean) / std",
            "mean": started.mean,
            "std": started.std,
            "fit": self.found.metadata.get("fit"),
            "class_names": started.class_names,
        }
        return {name: json.dumps(value) for name, value in values.items() if value}
