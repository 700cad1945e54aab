"""From a running session to a checkpoint and back, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from tui_trainer.engine.checkpoints import Checkpoint, read_checkpoint
from tui_trainer.engine.evaluation import Evaluation
from tui_trainer.engine.preflight import is_custom
from tui_trainer.engine.session import Session
from tui_trainer.models.behaviour import fingerprint, is_coarse, same_answers
from tui_trainer.models.build import build_network, dropout_of, set_dropout
from tui_trainer.models.outside import OutsideState
from tui_trainer.models.rng import preserve_rng_state, rng_tensors, seed_all, set_rng_tensors
from tui_trainer.models.state import load_state, state_tensors
from tui_trainer.protocol.errors import InputError, fault, reason
from tui_trainer.protocol.events import CheckpointSaved
from tui_trainer.protocol.reference import model_name
from tui_trainer.recording.attempts import RecordingNews
from tui_trainer.text.fmt import clip

COUNTERS = (
    *("step", "epoch", "epochs_done", "images", "epoch_images", "loss_sum", "hit_sum"),
    *("last_rate", "base_rate", "batch_size", "augmenting", "val_accuracy", "best_val_accuracy"),
    "epoch_began",
)
"""The fields of a session that are numbers and belong to its state."""

LONGEST_REASON = 400
"""The characters that are told of why weights do not fit: torch names every single one."""


def capture(session: Session, lines: int | None = None) -> Checkpoint:
    """Return the state between two batches, every figure read from the device.

    Args:
        session: The session.
        lines: How many lines of the run's record lie before this state.
    """
    facts = {
        **{name: getattr(session, name) for name in COUNTERS},
        "model": session.config.model,
        "classes": session.data.classes,
        "image_size": session.data.image_size,
        "data": session.data.fingerprint,
        "epochs": session.config.epochs,
        "dropout": session.dropout,
        "built_dropout": session.config.dropout,
        "threads": session.threads,
        "device": session.device.type,
        "cursor": session.stream.cursor,
        "test_looks": session.data.test.looks,
        "seconds": session.watch.seconds,
        "probed_images": session.probes.sampled_at,
        **session.assistant.facts(),
        "lines": lines,
        "seed": session.config.seed,
        "data_digest": session.data.digest,
    }
    if session.outside is not None:
        facts |= {"outside": session.outside.scalars(), **session.outside.flags()}
    return Checkpoint(facts, {name: _kept(tensor) for name, tensor in tensors_of(session)})


def tensors_of(session: Session) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor that belongs to a session's state, by its name in a checkpoint."""
    for name, tensor in state_tensors(session.network).items():
        yield f"network/{name}", tensor
    if session.outside is not None:
        for name, tensor in session.outside.tensors().items():
            yield f"outside/{name}", tensor
    if (logits := _fingerprint(session.network, session.data.image_size)) is not None:
        yield "fingerprint", logits
    for name, tensor in session.optimizer.memory().items():
        yield f"optimizer/{name}", tensor
    yield "random/order", session.stream.generator.get_state()
    yield "random/augmentation", session.chance.get_state()
    for name, tensor in rng_tensors().items():
        yield f"random/{name}", tensor
    if session.device.type == "cuda":
        yield "random/cuda", torch.cuda.get_rng_state(session.device)
    yield "order", session.stream.order.to(torch.int32)
    if session.probes.last_gradient is not None:
        yield "probe/gradient", session.probes.last_gradient
    yield from session.assistant.tensors().items()
    if session.best is not None:
        yield "best/losses", session.best.losses
        yield "best/hits", session.best.hits


def _fingerprint(network: nn.Module, image_size: int) -> Tensor | None:
    """Return the logits that tell a model from others; None where it does not take noise."""
    try:
        return fingerprint(network, image_size)
    except (
        Exception
    ):  # a custom model does what nobody has foreseen: the state is kept all the same
        return None


def _kept(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)


def restore(session: Session, state: Checkpoint) -> None:
    """Put a session back into a state of its own network and data; its clock goes on."""
    for name in COUNTERS:
        setattr(session, name, state.facts[name])
    session.config = replace(session.config, epochs=state.facts["epochs"])
    if session.dropout not in (None, state.facts["dropout"]):
        # Only then: one's own network can have layers of several shares, and no knob was turned.
        session.set_dropout(state.facts["dropout"])
    load_state(session.network, state.part("network"))
    if session.outside is not None:
        _restore_outside(session.outside, state)
    _copy(state.part("optimizer"), session.optimizer.memory())
    session.optimizer.clear()
    session.stream.resume(state.tensors["order"].to(torch.int64), state.facts["cursor"])
    session.stream.generator.set_state(state.tensors["random/order"])
    session.chance.set_state(state.tensors["random/augmentation"])
    set_rng_tensors(state.part("random"))
    if session.device.type == "cuda" and "random/cuda" in state.tensors:
        torch.cuda.set_rng_state(state.tensors["random/cuda"], session.device)
    best = state.part("best")
    labels = session.data.val.labels.cpu()
    session.best = Evaluation(best["losses"], best["hits"], labels) if best else None
    session.assistant.restore(state)
    session.probes.sampled_at = state.facts.get("probed_images", -1)
    gradient = state.tensors.get("probe/gradient")
    session.probes.last_gradient = None if gradient is None else gradient.to(session.device)
    session.pending.clear()


def _restore_outside(outside: OutsideState, state: Checkpoint) -> None:
    flags = {name: state.facts[name] for name in ("evaluating", "frozen") if name in state.facts}
    scalars = state.facts.get("outside", {})
    if not isinstance(scalars, dict) or not all(_are_names(names) for names in flags.values()):
        raise ValueError("what it keeps outside the state_dict is damaged")
    outside.restore(state.part("outside"), scalars, flags)


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def check_answers(network: nn.Module, image_size: int, state: Checkpoint, path: Path) -> None:
    """Make sure that a model built again answers as the one that was saved.

    Its state can be the same and the model another one: its code has changed, or it uses tensors
    that are neither in its state nor kept beside it.

    Raises:
        InputError: If it answers differently.
    """
    saved = state.tensors.get("fingerprint")
    if saved is None:
        _check_older(network, state, path)
        return
    now = _fingerprint(network, image_size)
    is_elsewhere = (
        state.facts.get("device") != "cpu" or next(network.parameters()).device.type != "cpu"
    )
    if now is None or not same_answers(saved, now, coarse=is_coarse(network) or is_elsewhere):
        raise fault(
            path,
            f"{model_name(state.facts['model'])} now answers differently from the model that was "
            "saved: its code has changed, or it uses values that are neither parameters nor "
            "buffers (register_buffer keeps them); use the code that it was trained with "
            "(--model FILE.py:CLASS)",
        )


def _check_older(network: nn.Module, state: Checkpoint, path: Path) -> None:
    """Refuse a model that an older version saved in part.

    Raises:
        InputError: If it uses tensors that the checkpoint does not have.
    """
    if is_custom(state.facts["model"]) and (outside := OutsideState(network).tensors()):
        raise fault(
            path,
            f"{next(iter(outside))} of {model_name(state.facts['model'])} is neither parameter nor "
            "buffer, and this older checkpoint does not keep it; train it again, or resume the run "
            "to save it anew",
        )


def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, tensor in target.items():
            tensor.copy_(source[name])


def network_of(path: Path, model: str | None = None) -> nn.Module:
    """Return the network of a checkpoint, with its weights, on the CPU.

    Args:
        path: The checkpoint.
        model: Where the model is now, if it is not where it was.

    Raises:
        InputError: If the checkpoint cannot be used, this version has no such network, or the
            model that is built now is another one.
    """
    state = read_checkpoint(path)
    facts = state.facts
    model = facts.get("model") if model is None else model
    try:
        with preserve_rng_state():
            seed_all(facts.get("seed", 0))
            network = build_network(
                model,  # type: ignore[arg-type]
                image_size=facts["image_size"],
                classes=facts["classes"],
                # As it was built, not as its knob stood: one's own can have other layers without.
                dropout=facts.get("built_dropout", facts["dropout"]),
            )
        outside = OutsideState(network) if is_custom(str(model)) else None
        load_state(network, state.part("network"))
        if outside is not None:
            _restore_outside(outside, state)
    except InputError as error:
        raise fault(path, f"its network cannot be built: {error}") from None
    except (KeyError, RuntimeError, TypeError, ValueError, ArithmeticError) as error:
        told = clip(reason(error), LONGEST_REASON)
        raise fault(path, f"its network cannot be built: {told}") from None
    if facts["dropout"] not in (None, dropout_of(network)):
        set_dropout(network, facts["dropout"])
    check_answers(network, facts["image_size"], state, path)
    return network


def save(
    session: Session, *names: str, told: bool = False
) -> Iterator[RecordingNews | CheckpointSaved]:
    """Keep the present state, in files of these names if the run is saved.

    Args:
        session: The session, every figure of which has been read from the device.
        names: Of the files, without their suffix.
        told: Whether to tell that it is saved: where the clock does not decide.

    Raises:
        DivergedError: If a weight is not finite; nothing is kept then.
    """
    session.check_weights()
    keeper = session.keeper
    state = capture(session, keeper.lines())
    yield from keeper.keep(state, names, session.watch.seconds, told=told)
