"""Any network by its name: one of the zoo, or a person's own.

One's own is a subclass of ``nn.Module`` or a function that returns one. It is called with those of
these that its signature names; nothing goes through ``**kwargs``:

- ``image_size`` or ``img_size``: the side of the square images in pixels;
- ``input_shape`` or ``in_shape``: channels, height and width;
- ``in_channels``, ``in_chans``, ``in_channel``, ``input_channels``, or ``channels`` if it has no
  default, which may well mean something else;
- ``num_classes``, ``classes``, ``n_classes``, ``num_class``, ``n_class`` or ``nb_classes``;
- ``dropout``, if it is set, or 0 if the signature cannot do without.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tui_trainer.models import zoo
from tui_trainer.models.copies import copy_model, shared_storages, uncompile
from tui_trainer.models.custom import loading
from tui_trainer.models.custom.arguments import Wanted, arguments_of, class_hint, input_hint
from tui_trainer.models.inputs import clone_inputs, contain
from tui_trainer.models.modes import begin_training, evaluating
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.models.state import materialize, state_tensors
from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.protocol.reference import HOW, Reference, advice_on, parse_reference
from tui_trainer.text.fmt import clip, one_line, printable

DROPOUT_LAYERS = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)

_MISFITS = (RuntimeError, ValueError, AssertionError)
"""What a model raises where the images have other sizes than it was made for."""

_USUAL_BATCHES = (8, 10, 16, 20, 32, 50, 64, 100, 128, 256)
"""Sizes that a model may be written for."""

LONGEST_ABOUT = 200
"""The characters of a docstring that are told."""


def is_custom(model: str) -> bool:
    """Say whether a model is custom code, not one of the zoo."""
    return model not in zoo.REGISTRY


def build_network(
    model: str,
    *,
    image_size: int,
    classes: int,
    dropout: float | None = None,
    channels: int = 1,
    is_adjustable: bool = False,
) -> nn.Module:
    """Build a network with fresh weights, drawn from the global generators, in training mode.

    A custom model is imported again, and a copy of it is tried on two images before it is returned.
    What ``torch.compile`` has wrapped is unwrapped, and its input is a copy of what it is given:
    some models write into their input.

    Args:
        model: A name of the zoo, ``path/to/file.py:ClassName`` or ``package.module:factory``.
        image_size: Side of the square input, in pixels.
        classes: Number of scores.
        dropout: Share of features its dropout layers hide; None for the network's own.
        channels: Channels of the images; those of the zoo take 1.
        is_adjustable: Whether the command has options for the images and classes: advice for it.

    Raises:
        InputError: If there is no such network, it cannot be built, or does not give a score for
            each class; for one's own the line says where in it.
    """
    check_dropout(model, dropout)
    if model in zoo.REGISTRY:
        return zoo.build(model, image_size=image_size, classes=classes, dropout=dropout)
    reference = _reference(model)
    wanted = Wanted(image_size, classes, channels, dropout, is_adjustable)
    target = loading.load(reference)
    network, given = _built(target, reference, wanted)
    network = contain(clone_inputs(uncompile(network)))
    if dropout is not None and "dropout" not in given:
        if dropout_of(network) is None:
            raise InputError(
                f"--dropout {dropout:g}: {_name(reference)} has no dropout layer, nor an argument "
                "called dropout"
            )
        set_dropout(network, dropout)
    _check_scores(network, target, reference, wanted)
    with loading.guest(reference):
        begin_training(network)
    materialize(network)
    return network


def check_dropout(model: str, dropout: float | None) -> None:
    """Make sure that a network of the zoo has dropout layers if they are to be set.

    Raises:
        InputError: If it has none.
    """
    if dropout is not None and model in zoo.REGISTRY and zoo.REGISTRY[model].dropout is None:
        raise InputError(
            f"--dropout {dropout:g}: {model} has no dropout layer; --model era-s6-dropout has"
        )


def about(model: str) -> str:
    """Return what a network is, in a sentence: of one's own, the first line of its docstring.

    Raises:
        InputError: If there is no such network.
    """
    if model in zoo.REGISTRY:
        return zoo.REGISTRY[model].summary
    target = loading.latest(_reference(model))
    while isinstance(target, functools.partial):
        target = target.func
    lines = (target.__doc__ or "").strip().splitlines()
    return clip(one_line(lines[0]), LONGEST_ABOUT) if lines else ""


def fault_of_own(error: Exception, model: str) -> loading.NetworkError | None:
    """Return an error that came while a network was trained, told with the line it came from.

    None if it did not come from a line of one's own network.
    """
    reference = parse_reference(model) if model not in zoo.REGISTRY else None
    if reference is None or not (place := loading.line_of(error, reference)):
        return None
    return loading.NetworkError(loading.told(error, place, reference))


@contextmanager
def own_faults_told(model: str) -> Iterator[None]:
    """Let what a network of one's own raises be told as its fault; anything else as it is.

    Raises:
        NetworkError: In place of what the network raised; it says where.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if fault := fault_of_own(error, model):
            raise fault from error
        raise


def dropout_of(network: nn.Module) -> float | None:
    """Return the share of features that a network's dropout layers hide, None without any."""
    shares = [m.p for m in network.modules() if isinstance(m, DROPOUT_LAYERS)]
    return shares[0] if shares else None


def set_dropout(network: nn.Module, share: float) -> None:
    """Let every dropout layer hide that share of its features."""
    for module in network.modules():
        if isinstance(module, DROPOUT_LAYERS):
            module.p = share


def use_innermost_channels(network: nn.Module, image_size: int, channels: int = 1) -> nn.Module:
    """Lay a network's weights out with the channels innermost, if it then says the same.

    Convolutions on the CPU are 1.6 times as fast so. A network that takes its maps apart with
    ``view``, as many do, fails on maps that lie so; one that keeps views of its kernels would go on
    with the old ones.
    """
    if any(tensor.ndim > 3 for group in shared_storages(network) for tensor in group):
        return network
    images = Wanted(image_size, 2, channels).images()
    try:
        twin = copy_model(network)
        before = _scores(twin, images)
        twin = twin.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if torch.allclose(_scores(twin, images), before, rtol=1e-3, atol=1e-4):
            with preserve_rng_state():
                twin(images)  # in training mode it may take other ways
            return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
    except Exception:  # whatever it is, the network can do without
        pass
    return network


def _reference(model: object) -> Reference:
    reference = parse_reference(model) if isinstance(model, str) else None
    if reference is None:
        advice = (isinstance(model, str) and advice_on(model)) or f"write {HOW}"
        raise InputError(f"there is no network {clip(printable(model), 80)}; {advice}")
    return reference


def _name(reference: Reference) -> str:
    return f"{loading.place_of(reference)}:{reference.name}"


def _built(target: Any, reference: Reference, wanted: Wanted) -> tuple[nn.Module, set[str]]:
    """Call a class or a function with what it names; return its network and the names."""
    name = _name(reference)
    if isinstance(target, nn.Module):
        raise InputError(f"{name}: is a network already; name its class, or a function that builds")
    if isinstance(target, type) and not loading.is_network_class(target):
        raise InputError(f"{name}: is a class, but no subclass of nn.Module")
    if not loading.is_python(target):
        kind = type(target).__name__
        raise InputError(f"{name}: is no class and no function written in Python (type {kind})")
    arguments = arguments_of(target, name, wanted)
    with loading.guest(reference):
        try:
            network = target(**arguments)
        except (Exception, SystemExit) as error:
            words = loading.told(error, loading.place_of(reference), reference)
            raise InputError(f"{words}; {reference.name} could not be built") from None
    if not isinstance(network, nn.Module):
        raise InputError(f"{name}: gives no nn.Module (type {type(network).__name__})")
    return network, set(arguments)


def _check_scores(network: nn.Module, target: Any, reference: Reference, wanted: Wanted) -> None:
    """Make sure that a network gives two images a score for each class, and can be trained.

    Raises:
        InputError: If not.
    """
    name = _name(reference)
    with loading.guest(reference):
        try:
            if any(map(is_lazy, _tensors(network))):
                _scores(network, wanted.images())  # lazy layers learn their shapes
            twin = _copy_of(network, name)
            scores = _scores(twin, wanted.images())
            if len(_tensors(twin)) != len(_tensors(network)):
                _scores(network, wanted.images())  # it makes layers when it sees its first images
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            words = loading.told(error, name, reference)
            is_misfit = type(error) in _MISFITS and "memory" not in words
            hint = ""
            if is_misfit:
                hint = _batch_hint(network, wanted) or input_hint(network, target, wanted)
            raise InputError(f"{words}; {reference.name} could not score images{hint}") from None
    if not isinstance(scores, Tensor):
        raise InputError(f"{name}: gives no tensor of scores (type {type(scores).__name__})")
    due = (2, wanted.classes)
    if tuple(scores.shape) != due:
        shape = tuple(scores.shape)
        hint = class_hint(network, target, shape, wanted)
        raise InputError(f"{name}: gives {shape} for two images; scores must be {due}{hint}")
    if not scores.is_floating_point() or not bool(torch.isfinite(scores).all()):
        raise InputError(f"{name}: gives scores that are no finite numbers: {_some(scores)}")
    if not any(p.requires_grad for p in network.parameters()):
        raise InputError(f"{name}: has no parameters to train")
    if not scores.requires_grad and not _has_gradient(twin, wanted.images()):
        raise InputError(f"{name}: its scores have no gradient; do they come from its parameters?")
    try:
        state_tensors(network)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: its extra state cannot be saved: {reason(error)}") from None


def _batch_hint(network: nn.Module, wanted: Wanted) -> str:
    """Return what to do where a model takes batches of one size alone."""
    image = wanted.images()[:1]
    for count in _USUAL_BATCHES:
        with suppress(Exception), torch.no_grad():
            _scores(copy_model(network), image.expand(count, -1, -1, -1))
            return f"; it takes {count} images at a time alone: write x.shape[0] for {count}"
    return ""


def _has_gradient(twin: nn.Module, images: Tensor) -> bool:
    """Say whether the logits have a gradient in training mode: some models stop it in the other."""
    with suppress(Exception), preserve_rng_state(), torch.enable_grad():
        logits = twin(images)
        return not isinstance(logits, Tensor) or logits.requires_grad
    return True  # what is wrong in training mode is told by the trial of the first steps


def _copy_of(network: nn.Module, name: str) -> nn.Module:
    """Return a copy.

    Raises:
        InputError: If none can be made: views and checks work on copies.
    """
    try:
        return copy_model(network)
    except Exception as error:
        raise InputError(
            f"{name}: cannot be copied: {type(error).__name__}: {reason(error)}; leave out of the "
            "model what cannot be copied, or give it a __deepcopy__"
        ) from None


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _scores(network: nn.Module, images: Tensor) -> Any:
    """Return its logits in evaluation mode, with gradient; modes and generators are put back."""
    with preserve_rng_state(), evaluating(network):
        return network(images.clone())


def _some(scores: Tensor) -> str:
    return f"{scores.dtype}".removeprefix("torch.") + f" {scores.flatten()[:3].tolist()}"
