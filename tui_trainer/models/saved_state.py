"""The state of a custom model in a checkpoint, and a check that the rebuilt model is the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tui_trainer.models import zoo
from tui_trainer.models.behavior import fingerprint, is_coarse, same_logits
from tui_trainer.models.input_spec import InputSize
from tui_trainer.models.unregistered_state import UnregisteredState
from tui_trainer.protocol.errors import path_error
from tui_trainer.protocol.reference import model_name


def fingerprint_of(model: nn.Module, image_size: InputSize) -> Tensor | None:
    """Return the logits that identify a model; None if it fails on noise."""
    try:
        return fingerprint(model, image_size)
    except Exception:  # a custom model can raise anything; its state is saved all the same
        return None


def restore_unregistered(
    unregistered: UnregisteredState, metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Restore the state of a custom model that its ``state_dict`` does not contain.

    Raises:
        ValueError: If the checkpoint is corrupted.
    """
    flags = {name: metadata[name] for name in ("evaluating", "frozen") if name in metadata}
    scalars = metadata.get("outside", {})
    if not isinstance(scalars, dict) or not all(_are_names(names) for names in flags.values()):
        raise ValueError("its state outside the state_dict is corrupted")
    unregistered.restore(tensors, scalars, flags)


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def check_same_model(
    model: nn.Module,
    image_size: InputSize,
    metadata: Mapping[str, Any],
    saved: Tensor | None,
    path: Path,
) -> None:
    """Check that a rebuilt model returns the same logits as the saved one.

    The same state does not guarantee that: its code may have changed, or it uses tensors that are
    neither in its ``state_dict`` nor in its unregistered state.

    Args:
        model: On the CPU or an accelerator.
        image_size: Its input.
        metadata: The metadata of the checkpoint.
        saved: The fingerprint in the checkpoint; None in a checkpoint of an older version.
        path: The checkpoint, for messages.

    Raises:
        InputError: If the logits differ.
    """
    if saved is None:
        _check_older(model, metadata, path)
        return
    now = fingerprint_of(model, image_size)
    is_elsewhere = metadata.get("device") != "cpu" or next(model.parameters()).device.type != "cpu"
    if now is None or not same_logits(saved, now, coarse=is_coarse(model) or is_elsewhere):
        raise path_error(
            path,
            f"{model_name(metadata['model'])} no longer computes the logits of the saved "
            "model: its code has changed, or it uses values that are neither parameters nor "
            "buffers (register them with register_buffer); use the code it was trained with "
            "(--model FILE.py:CLASS)",
        )


def _check_older(model: nn.Module, metadata: Mapping[str, Any], path: Path) -> None:
    """Refuse a model that an older version saved incompletely.

    Raises:
        InputError: If the model has tensors that the checkpoint does not contain.
    """
    # A script's model comes with them: models/custom/script_model.py.
    if (
        metadata["model"] not in zoo.REGISTRY
        and not metadata.get("script")
        and (unregistered := UnregisteredState(model).tensors())
    ):
        raise path_error(
            path,
            f"{next(iter(unregistered))} of {model_name(metadata['model'])} is neither a parameter "
            "nor a buffer, and this older checkpoint does not contain it; train the model again, "
            "or resume the run to save a complete checkpoint",
        )
