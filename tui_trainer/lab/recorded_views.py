"""Views of the model of a script: what its inputs do not allow, and what to know of the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tui_trainer.anatomy.review.design import CONVOLUTIONS
from tui_trainer.data.recorded_inputs import RecordedInputs
from tui_trainer.lab.context import Context
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exhibit import Bars, Exhibit, Pictures, Words
from tui_trainer.protocol.layers import COMPANIONS
from tui_trainer.text.fmt import clip

LONGEST_LIST = 80
"""Characters of a list of layers."""

OF_WEIGHTS = ("kernels", "histograms")
"""The views that draw weights."""


def unavailable_reason(data: RecordedInputs, question: Ask) -> str:
    """Return why a question about recorded inputs has no answer; empty if it has one."""
    words = f"the inputs of this model are {data.spec.words}"
    if question.kind == "lesson":
        return (
            "experiments train on a dataset of mnist-tui, and a script trains this run; "
            f"run it with mnist-tui learn {question.name}"
        )
    if question.kind == "race":
        return "a script trains this run, and only its own loop could go on from here"
    if question.kind == "find-lr":
        return "it trains with mnist-tui's own loop, and a script trains this run"
    if question.kind == "check":
        return "it trains with mnist-tui's own loop; call run.check() in the script"
    if question.kind == "field":
        is_square = data.is_image and data.shape[0] == data.shape[1]
        return "" if is_square else f"a receptive field is drawn on square images, and {words}"
    if question.name in ("draw", "robustness"):
        return "the script prepares its own images, and how it does is not recorded"
    if question.name == "forgetting":
        return "the prediction of each example is not recorded while a script trains"
    if question.name in ("attribution", "activation") and not data.is_image:
        return f"it needs images, and {words}"
    return ""


def check_recorded(data: RecordedInputs, question: Ask) -> None:
    """Check that a question about recorded inputs has an answer.

    Raises:
        InputError: If it has none, with the reason; a view shows its reason itself.
    """
    if question.kind != "view" and (why := unavailable_reason(data, question)):
        raise InputError(why)


def with_notes(
    context: Context, question: Ask, exhibits: Iterator[Exhibit | None]
) -> Iterator[Exhibit | None]:
    """Yield the exhibits of a view, with a note on what they show of recorded inputs.

    A view without an answer shows the reason.
    """
    assert isinstance(context.data, RecordedInputs)
    if why := unavailable_reason(context.data, question):
        text = f"Not available for the run of a script: {why}."
        yield Exhibit(blocks=(Words(text=text, tone="warning"),))
        return
    note = _not_drawn(context) if question.name in OF_WEIGHTS else context.data.about_pictures
    for exhibit in exhibits:
        draws = exhibit is not None and any(isinstance(b, Pictures | Bars) for b in exhibit.blocks)
        if exhibit is not None and note and draws:
            yield replace(exhibit, blocks=(*exhibit.blocks, Words(text=note, tone="muted")))
        else:
            yield exhibit


def _not_drawn(context: Context) -> str:
    """Return which layers have weights that no view draws; empty if there are none."""
    kinds = (*CONVOLUTIONS, "fully connected", *COMPANIONS)
    names = [row.name for row in context.layers if row.parameters and row.kind not in kinds]
    if not names:
        return ""
    listed = clip(", ".join(names), LONGEST_LIST)
    return f"Only weights of convolutions and fully connected layers are drawn, not of {listed}."
