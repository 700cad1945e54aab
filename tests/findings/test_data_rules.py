"""The rules about images and labels, on real digits with known problems and on clean datasets."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.benchmarks.findings import hooks as common
from tests.benchmarks.findings.public import hooks
from tests.benchmarks.findings.public.hooks import SplitHook
from tests.benchmarks.findings.variants import VARIANTS
from tests.engine.conftest import mnist
from tests.protocol.facts import data_probe, epoch_done, evaluated, neighbors, sample, started
from tui_trainer.data.assembling import assemble
from tui_trainer.data.dataset import Data, Split
from tui_trainer.data.idx import RawDataset
from tui_trainer.data.neighbors import probe_data
from tui_trainer.findings import with_findings
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event, FindingCleared, FindingRaised
from tui_trainer.protocol.probed import DataProbed, NeighborLabels

__all__ = ["mnist"]

Change = Callable[[Data], Data]


_PROBED: dict[int, DataProbed] = {}
"""The probe of the digits, which most tests use unchanged, by their id."""


@pytest.fixture(scope="module")
def digits(mnist: RawDataset) -> Data:
    """MNIST with 5,000 training and 1,000 validation images."""
    config = RunConfig(train_size=5_000, val_size=1_000)
    data = assemble(mnist, config, torch.device("cpu"))
    _PROBED[id(data)] = probe_data(data)
    return data


def raised(data: Data, *later: Event) -> dict[str, FindingRaised]:
    """Return the findings that are raised on some data, and after some more events."""
    probe = _PROBED.get(id(data)) or probe_data(data)
    run = started(
        classes=data.classes, train_size=len(data.train), val_size=len(data.val), epochs=20
    )
    return active(run, probe, *later)


def active(*events: Event) -> dict[str, FindingRaised]:
    """Return the findings that are raised and not cleared."""
    found: dict[str, FindingRaised] = {}
    for event in with_findings(iter(events)):
        if isinstance(event, FindingRaised):
            found[event.code] = event
        elif isinstance(event, FindingCleared):
            found.pop(event.code, None)
    return found


def on_train(change: SplitHook) -> Change:
    return hooks.on_splits(change, 5)


def on_val(change: SplitHook) -> Change:
    return hooks.on_splits(change, 5, train=False, val=True)


def on_both(change: SplitHook) -> Change:
    return hooks.on_splits(change, 5, val=True)


def copied(share: float, change: Callable[[Tensor], Tensor]) -> Change:
    """Replace a share of the validation images by changed training images."""

    def hook(data: Data) -> Data:
        count = int(share * len(data.val))
        images = torch.cat([change(data.train.images[:count]), data.val.images[count:]])
        labels = torch.cat([data.train.labels[:count], data.val.labels[count:]])
        return replace(data, val=Split(images, labels))

    return hook


def _moved(images: Tensor) -> Tensor:
    return images.roll((-1, 1), (1, 2))


def _noisy(images: Tensor) -> Tensor:
    noise = 10 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    return (images + noise).clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Case:
    """A problem of the data, and the finding and its first cause that name it."""

    name: str
    change: Change
    code: str
    cause: str
    severity: str = "warning"
    likelihood: str = "shown"
    contains: str = ""


CASES = (
    Case("noise-5", on_train(hooks.wrong_labels(0.05)), "labels_noisy", "label_noise"),
    Case("noise-5-both", on_both(hooks.wrong_labels(0.05)), "labels_noisy", "label_noise"),
    Case("noise-10", on_train(hooks.wrong_labels(0.1)), "labels_noisy", "label_noise"),
    Case("noise-30", on_both(hooks.wrong_labels(0.3)), "labels_noisy", "label_noise"),
    Case("noise-50", on_train(hooks.wrong_labels(0.5)), "labels_noisy", "label_noise"),
    Case(
        "half-moved",
        on_train(hooks.relabel(7, 1, 0.5)),
        "label_confusion",
        "label_confusion",
        contains="labels of 7 and 1",
    ),
    Case(
        "half-moved-both",
        on_both(hooks.relabel(4, 0, 0.5)),
        "label_confusion",
        "label_confusion",
        likelihood="likely",
        contains="labels of 4 and 0",
    ),
    Case(
        "exchanged-in-part",
        on_both(hooks.exchange(4, 9, 0.3)),
        "label_confusion",
        "label_confusion",
        likelihood="likely",
    ),
    Case(
        "doubled",
        on_train(hooks.twice(3, 8)),
        "classes_overlap",
        "classes_overlap",
        contains="3 and 8",
    ),
    Case(
        "exchanged",
        on_train(hooks.exchange(3, 5, 1.0)),
        "validation_differs",
        "label_confusion",
        "error",
        contains="3 instead of 5",
    ),
    Case(
        "shuffled", on_train(hooks.shuffled_labels), "labels_shuffled", "labels_shuffled", "error"
    ),
    Case(
        "shuffled-both",
        on_both(hooks.shuffled_labels),
        "labels_shuffled",
        "labels_shuffled",
        likelihood="likely",
    ),
    Case(
        "shifted",
        on_both(hooks.shifted_labels),
        "labels_shuffled",
        "labels_shuffled",
        "error",
        contains="next image",
    ),
    Case(
        "val-shuffled",
        on_val(hooks.shuffled_labels),
        "validation_differs",
        "labels_shuffled",
        "error",
    ),
    Case(
        "val-numbered",
        on_val(hooks.off_by_one),
        "validation_differs",
        "validation_differs",
        "error",
    ),
    Case(
        "val-transposed",
        on_val(hooks.transposed),
        "validation_differs",
        "validation_differs",
        "error",
    ),
    Case(
        "val-inverted", on_val(hooks.inverted), "validation_differs", "validation_differs", "error"
    ),
    Case(
        "val-darker", on_val(hooks.halved(2)), "validation_differs", "validation_differs", "error"
    ),
    Case("constant", common.one_label(3), "constant_labels", "constant_labels", "error"),
    Case(
        "val-noisy", on_val(hooks.wrong_labels(0.15)), "validation_differs", "label_noise", "error"
    ),
    Case(
        "unbalanced",
        on_train(hooks.unbalanced({c: 0.6**c for c in range(10)})),
        "class_imbalance",
        "class_imbalance",
    ),
    Case(
        "rare",
        on_train(hooks.keep_of_class(8, 0.02)),
        "class_imbalance",
        "class_imbalance",
        contains="of class 8",
    ),
    Case(
        "missing",
        on_train(hooks.keep_of_class(8, 0.0)),
        "class_missing",
        "class_missing",
        "error",
        contains="no training images",
    ),
    Case("leaked", hooks.leaked, "leak", "leak", "error"),
    Case("leaked-moved", copied(0.3, _moved), "leak", "leak", "error", contains="moved"),
    Case("leaked-noisy", copied(0.3, _noisy), "leak", "leak", contains="near-duplicates"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.sampled(3)
def test_a_problem_of_the_data_is_named(digits: Data, case: Case) -> None:
    found = raised(case.change(digits))
    leading = max(found.values(), key=lambda finding: finding.severity == "error")
    assert (leading.code, leading.severity) == (case.code, case.severity)
    first = leading.causes[0]
    assert (first.code, first.likelihood) == (case.cause, case.likelihood)
    assert case.contains in f"{leading.title} {leading.evidence}"
    assert first.advice


def _pooled(images: Tensor, size: int) -> Tensor:
    pooled = functional.avg_pool2d(images.unsqueeze(1).float(), size)
    return pooled.squeeze(1).round().to(torch.uint8)


def _by_design(split: Split, rng: torch.Generator) -> Split:
    """Keep fewer and fewer images of the later classes."""
    shares = {label: 0.8**label for label in range(10)}
    return hooks.unbalanced(shares)(split, rng)


CLEAN: dict[str, Callable[[Split, torch.Generator], Split]] = {
    "two-classes": lambda s, rng: Split(s.images, s.labels % 2),
    "super-classes": lambda s, rng: Split(s.images, s.labels // 2),
    "a-hole": lambda s, rng: Split(s.images, s.labels + (s.labels > 4)),
    "7x7": lambda s, rng: Split(_pooled(s.images, 4), s.labels),
    "4x4": lambda s, rng: Split(_pooled(s.images, 7), s.labels),
    "few": lambda s, rng: Split(s.images[:300], s.labels[:300]),
    "very-few": lambda s, rng: Split(s.images[:40], s.labels[:40]),
    "imbalanced": _by_design,
    **{
        name: lambda s, rng, change=variant.change: Split(*change(s.images, s.labels))  # type: ignore[misc]
        for name, variant in VARIANTS.items()
    },
}


@pytest.mark.parametrize("name", CLEAN)
@pytest.mark.sampled(2)
def test_clean_data_have_no_finding(digits: Data, name: str) -> None:
    data = replace(on_both(CLEAN[name])(digits), classes=11)
    assert raised(data) == {}


def test_a_dataset_that_is_imbalanced_in_both_splits_gives_a_note(digits: Data) -> None:
    data = on_both(hooks.keep_of_class(8, 0.05))(digits)
    found = raised(data)
    assert {code: finding.severity for code, finding in found.items()} == {
        "class_imbalance": "note"
    }


def test_noisy_errors_of_a_model_are_no_label_noise_where_neighbors_agree(digits: Data) -> None:
    confusion = tuple(tuple(30 if k == c else 1 for c in range(10)) for k in range(10))
    slow = [
        replace(
            sample(step, confusion=confusion, confidence_p90=0.8), images=step * len(digits.train)
        )
        for step in (1, 2)
    ]
    assert "labels_noisy" not in raised(digits, *slow)


def test_a_class_that_is_not_learned_has_the_causes_that_are_measured(digits: Data) -> None:
    shares = tuple(0.0 if label == 8 else 0.95 for label in range(10))
    epochs = [epoch_done(n, val_class_accuracy=shares) for n in (1, 2, 3)]
    rare = raised(on_train(hooks.keep_of_class(8, 0.02))(digits), *epochs)
    assert rare["class_missing"].causes[0].code == "class_imbalance"
    bounded = raised(digits, sample(logit_min=0.0), *epochs)
    assert bounded["class_missing"].causes[0].code == "logits_bounded"
    unknown = raised(digits, *epochs)
    assert {cause.likelihood for cause in unknown["class_missing"].causes} == {"possible"}


def test_a_test_far_below_validation_is_reported_once_it_is_opened(digits: Data) -> None:
    trained = [
        epoch_done(
            1, val_accuracy=0.98, val_correct=980, val_total=1_000, val_interval=(0.97, 0.99)
        )
    ]
    test = evaluated(
        step=100,
        test_accuracy=0.9,
        test_correct=9_000,
        test_total=10_000,
        test_interval=(0.894, 0.906),
    )
    found = raised(digits, *trained, test)
    assert found["test_below_validation"].causes[0].code == "test_below_validation"
    assert "8.0 points" in found["test_below_validation"].evidence
    leaked = raised(hooks.leaked(digits), *trained, test)
    assert leaked["test_below_validation"].causes[0].code == "leak"
    near = replace(test, test_accuracy=0.975, test_correct=9_750)
    assert "test_below_validation" not in raised(digits, *trained, near)


def test_errors_that_concentrate_on_two_classes_are_a_note(digits: Data) -> None:
    rows = [[30 if k == c else 0 for c in range(10)] for k in range(10)]
    rows[4] = [0, 0, 0, 0, 20, 0, 0, 0, 0, 10]
    confused = [
        replace(sample(step, confusion=tuple(map(tuple, rows))), images=step * len(digits.train))
        for step in (1, 2)
    ]
    found = raised(digits, *confused)["label_confusion"]
    assert (found.severity, found.title) == ("note", "errors concentrate on 4 and 9")
    assert {cause.code for cause in found.causes} == {"label_confusion", "classes_overlap"}
    rows[7] = [0, 8, 0, 0, 0, 0, 0, 22, 0, 0]
    even = [replace(one, confusion=tuple(map(tuple, rows))) for one in confused]
    assert raised(digits, *even) == {}


# --- color images

PHOTOGRAPHS = neighbors(
    images=1_000,
    agreeing=630,
    unanimous=280,
    contradicted=26,
    linear_agreeing=650,
    votes=((1_640, 1_300, 420), (1_300, 1_700, 330), (160, 190, 2_960)),
    core_votes=((438, 322, 70), (318, 466, 46), (15, 19, 796)),
    references=4_125,
)
"""Measured on 4,125 photographs of cats, dogs and ships of CIFAR-10, all of them labeled correctly;
the votes outside of the cores are rounded."""


def codes(channels: int, near: NeighborLabels) -> set[str]:
    probe = data_probe(neighbors=near, train_counts=(1_375,) * 3, val_counts=(125,) * 3)
    run = started(classes=3, channels=channels, train_size=4_125)
    found = with_findings(iter([run, probe]))
    return {event.code for event in found if isinstance(event, FindingRaised)}


def test_similar_photographs_are_not_mixed_labels() -> None:
    assert "label_confusion" in codes(1, PHOTOGRAPHS)
    assert "label_confusion" not in codes(3, PHOTOGRAPHS)
    assert "label_confusion" in codes(3, replace(PHOTOGRAPHS, agreeing=850))


CATS_AND_DOGS = neighbors(images=1_000, agreeing=475, unanimous=10, linear_agreeing=505)
"""Of 2,000 photographs of cats and dogs at 32×32 pixels, all of them labeled correctly."""


REST = (0,) * 8
"""The images of the other classes, where there are two."""


def after_photographs(channels: int, *later: Event) -> dict[str, FindingRaised]:
    """Return the findings about photographs of two classes, after some more events."""
    counts = {"train_counts": (930, 930, *REST), "val_counts": (83, 83, *REST)}
    probe = data_probe(neighbors=CATS_AND_DOGS, val_within=None, **counts)
    run = started(classes=2, channels=channels, train_size=1_860, val_size=166, epochs=20)
    return active(run, probe, *later)


def test_photographs_of_similar_pixels_are_a_note() -> None:
    found = after_photographs(3)["labels_shuffled"]
    assert (found.severity, found.causes[0].likelihood) == ("note", "possible")
    assert "47.50 %" in found.evidence
    assert "of photographs that can be so" in found.evidence
    assert after_photographs(1)["labels_shuffled"].severity == "warning"


@pytest.mark.parametrize("channels", [1, 3])
def test_a_model_that_generalizes_shows_that_the_labels_match(channels: int) -> None:
    def done(correct: int) -> Event:
        return epoch_done(1, val_correct=correct, val_total=166, val_accuracy=correct / 166)

    assert "labels_shuffled" in after_photographs(channels, done(90))
    assert "labels_shuffled" not in after_photographs(channels, done(125))


def test_a_class_with_nearly_all_images_is_no_problem_of_the_labels() -> None:
    mostly = neighbors(images=1_000, agreeing=998, unanimous=990, linear_agreeing=996)
    shuffled = neighbors(images=1_000, agreeing=990, unanimous=990, linear_agreeing=990)
    counts = {"train_counts": (9_900, 100, *REST), "val_counts": (990, 10, *REST)}
    for near, expected in ((mostly, False), (shuffled, True)):
        found = active(started(train_size=10_000), data_probe(neighbors=near, **counts))
        assert ("labels_shuffled" in found) is expected


def colored(share: float) -> Data:
    """Return images of six colors, with noise; that share of the training labels is wrong."""
    rng = torch.Generator().manual_seed(3)
    labels = torch.arange(1_300) % 6
    colors = [[level >> bit & 1 for bit in range(3)] for level in range(1, 7)]
    noise = torch.randint(-20, 21, (1_300, 3, 16, 16), generator=rng)
    pixels = torch.tensor(colors)[labels].view(-1, 3, 1, 1) * 130 + 60 + noise
    wrong = torch.randperm(1_210, generator=rng)[: int(share * 1_210)]
    labels[wrong] = (labels[wrong] + 1 + torch.randint(5, (len(wrong),), generator=rng)) % 6
    train, test = (
        (bytearray(each.to(torch.uint8).numpy().tobytes()), array("i", chosen.tolist()))
        for each, chosen in ((pixels[:1_210], labels[:1_210]), (pixels[1_210:], labels[1_210:]))
    )
    raw = RawDataset("colors", 16, 6, *train, *test, 3)
    return assemble(raw, RunConfig(val_size=200), torch.device("cpu"))


@pytest.mark.parametrize("share", [0.0, 0.12])
def test_wrong_labels_of_separable_colors_are_found(share: float) -> None:
    data = colored(share)
    probe = probe_data(data)
    run = started(classes=6, channels=3, train_size=len(data.train), val_size=len(data.val))
    found = with_findings(iter([run, probe]))
    titles = {event.code for event in found if isinstance(event, FindingRaised)}
    assert ("labels_noisy" in titles) is (share > 0), probe
