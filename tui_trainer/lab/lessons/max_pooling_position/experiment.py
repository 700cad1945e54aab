"""Position of max pooling: the same model pooled early or late."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tui_trainer.anatomy.review.design import CONVOLUTIONS
from tui_trainer.lab.compare import arm, compare
from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.model_variants import layers_of, zoo_model
from tui_trainer.protocol.exhibit import Exhibit, Table, Words
from tui_trainer.protocol.layers import LayerRow, totals
from tui_trainer.text.fmt import count, field, short_count

EARLY, LATE = "pool-early", "pool-late"

EQUAL = word_control("equal", ("images", "time"))


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show both models layer by layer, or train both for equal images or equal time."""
    equal = controls.word(EQUAL)
    data = context.data
    early, late = (
        layers_of(*(zoo_model, data.shape, name, data.image_size, data.classes, data.channels))
        for name in (EARLY, LATE)
    )
    blocks = (_table(early, late), _sums(early, late))
    if not confirmed:
        yield Exhibit(
            blocks=blocks, trains=f"train {EARLY} and {LATE} for equal {equal}: about 15 s"
        )
        return
    arms = [arm(context, name, context.fresh(name)) for name in (EARLY, LATE)]
    yield from compare(context, arms, setup=blocks, by_time=equal == "time")


def _table(early: Sequence[LayerRow], late: Sequence[LayerRow]) -> Table:
    """Return the convolutions of both models side by side."""
    pairs = zip(_convolutions(early), _convolutions(late), strict=True)
    rows = [(early[one].name, *_cells(early, one), *_cells(late, other)) for one, other in pairs]
    return Table(
        caption="the same convolutions, pooled early and late",
        heads=("layer", "early: map", "field", "mult-adds", "late: map", "field", "mult-adds"),
        rows=tuple(rows),
    )


def _convolutions(rows: Sequence[LayerRow]) -> list[int]:
    return [place for place, row in enumerate(rows) if row.kind in CONVOLUTIONS]


def _cells(rows: Sequence[LayerRow], place: int) -> tuple[str, str, str]:
    """Return the map size of a convolution, its receptive field, and its multiply-adds."""
    row, side = rows[place], str(rows[place].output_shape[0])
    for later in rows[place + 1 :]:
        if later.kind in CONVOLUTIONS:
            break
        if later.kind == "max pool":
            side = f"{side} → {later.output_shape[0]}"
    return side, field(row.receptive_field), short_count(row.multiply_adds)


def _sums(early: Sequence[LayerRow], late: Sequence[LayerRow]) -> Words:
    """Return the total cost of both."""
    one, other = totals(early), totals(late)
    times = other.multiply_adds / one.multiply_adds
    return Words(
        text=f"Both have {count(one.parameters)} parameters. Pooled late, an image takes "
        f"{short_count(other.multiply_adds)} multiply-adds, pooled early "
        f"{short_count(one.multiply_adds)}: {times:.1f} times as many. The kernels after an early "
        "pool see more of the image; those before a late pool keep its detail longer."
    )
