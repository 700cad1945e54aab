"""The model of a checkpoint, rebuilt with its weights."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from tui_trainer.models.build import build_model, dropout_of, is_custom, set_dropout
from tui_trainer.models.checkpoints import Checkpoint, bytes_of, read_checkpoint
from tui_trainer.models.input_spec import InputSpec
from tui_trainer.models.rng import preserve_rng_state, seed_all
from tui_trainer.models.saved_state import check_same_model, restore_unregistered
from tui_trainer.models.state import load_state
from tui_trainer.models.unregistered_state import UnregisteredState
from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.text.fmt import clip

LONGEST_REASON = 400
"""Characters of a state dict error that are reported: torch lists every key."""


def load_model(path: Path, reference: str | None = None) -> nn.Module:
    """Return the model of a checkpoint with its weights, on the CPU.

    Args:
        path: The checkpoint.
        reference: The current location of a custom model, if it was moved.

    Raises:
        InputError: If the checkpoint cannot be used, this version has no such model, or the
            rebuilt model differs from the saved one.
    """
    state = read_checkpoint(path)
    metadata = state.metadata
    reference = metadata.get("model") if reference is None else reference
    try:
        with preserve_rng_state():
            seed_all(metadata.get("seed", 0))
            model = build_model(
                reference,  # type: ignore[arg-type]
                image_size=InputSpec.read(metadata),
                classes=metadata["classes"],
                # The value at construction, not that of the knob: a custom model can have other
                # layers without dropout.
                dropout=metadata.get("built_dropout", metadata["dropout"]),
            )
        unregistered = UnregisteredState(model) if is_custom(str(reference)) else None
        load_state(model, state.part("model"))
        if unregistered is not None:
            restore_unregistered(unregistered, metadata, state.part("outside"))
    except InputError as error:
        raise path_error(path, f"its model cannot be built: {error}") from None
    except (KeyError, RuntimeError, TypeError, ValueError, ArithmeticError) as error:
        message = clip(reason(error), LONGEST_REASON)
        raise path_error(path, f"its model cannot be built: {message}") from None
    if metadata["dropout"] not in (None, dropout_of(model)):
        set_dropout(model, metadata["dropout"])
    check_same_model(
        model, InputSpec.read(metadata), metadata, state.tensors.get("fingerprint"), path
    )
    return model


def differing_bits(one: Checkpoint, other: Checkpoint) -> tuple[int, int]:
    """Return how many bits of the model states differ, and how many bits ``one`` has.

    A tensor that is missing in the other, or differs in shape or dtype, counts in full.
    """
    differing = total = 0
    theirs = other.part("model")
    for name, tensor in one.part("model").items():
        mine, twin = bytes_of(tensor), theirs.get(name)
        total += 8 * len(mine)
        if twin is None or (twin.shape, twin.dtype) != (tensor.shape, tensor.dtype):
            differing += 8 * len(mine)
        elif (there := bytes_of(twin)) != mine:
            differing += sum((a ^ b).bit_count() for a, b in zip(mine, there, strict=True))
    return differing, total
