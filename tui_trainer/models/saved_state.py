"""Whether a custom model built again is the one that was saved, and its state in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tui_trainer.models import zoo
from tui_trainer.models.behaviour import fingerprint, is_coarse, same_logits
from tui_trainer.models.unregistered_state import UnregisteredState
from tui_trainer.protocol.errors import fault
from tui_trainer.protocol.reference import model_name


def fingerprint_of(model: nn.Module, image_size: int) -> Tensor | None:
    """Return the logits that tell a model from others; None where it does not take noise."""
    try:
        return fingerprint(model, image_size)
    except Exception:  # whatever a custom model raises: its state is kept all the same
        return None


def restore_unregistered(
    unregistered: UnregisteredState, metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Restore what a custom model keeps outside its ``state_dict``.

    Raises:
        ValueError: If the checkpoint is corrupted.
    """
    flags = {name: metadata[name] for name in ("evaluating", "frozen") if name in metadata}
    scalars = metadata.get("outside", {})
    if not isinstance(scalars, dict) or not all(_are_names(names) for names in flags.values()):
        raise ValueError("what it keeps outside the state_dict is damaged")
    unregistered.restore(tensors, scalars, flags)


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def check_same_model(
    model: nn.Module, image_size: int, metadata: Mapping[str, Any], saved: Tensor | None, path: Path
) -> None:
    """Make sure that a model built again answers as the one that was saved.

    Its state can be the same and the model another one: its code has changed, or it uses tensors
    that are neither in its state nor kept beside it.

    Args:
        model: On the CPU or an accelerator.
        image_size: The height and width of its images.
        metadata: The plain values of the checkpoint.
        saved: The fingerprint in the checkpoint; None in those of older versions.
        path: The checkpoint, for messages.

    Raises:
        InputError: If it answers differently.
    """
    if saved is None:
        _check_older(model, metadata, path)
        return
    now = fingerprint_of(model, image_size)
    is_elsewhere = metadata.get("device") != "cpu" or next(model.parameters()).device.type != "cpu"
    if now is None or not same_logits(saved, now, coarse=is_coarse(model) or is_elsewhere):
        raise fault(
            path,
            f"{model_name(metadata['model'])} now answers differently from the model that was "
            "saved: its code has changed, or it uses values that are neither parameters nor "
            "buffers (register_buffer keeps them); use the code that it was trained with "
            "(--model FILE.py:CLASS)",
        )


def _check_older(model: nn.Module, metadata: Mapping[str, Any], path: Path) -> None:
    """Refuse a model that an older version saved in part.

    Raises:
        InputError: If it uses tensors that the checkpoint does not have.
    """
    if metadata["model"] not in zoo.REGISTRY and (
        unregistered := UnregisteredState(model).tensors()
    ):
        raise fault(
            path,
            f"{next(iter(unregistered))} of {model_name(metadata['model'])} is neither a parameter "
            "nor a buffer, and this older checkpoint does not contain it; train the model again, "
            "or resume the run to save a complete checkpoint",
        )
