"""Rules about parameters: how many, in which layers, and whether they are used."""

from __future__ import annotations

from tui_trainer.anatomy.review.design import Design, map_size
from tui_trainer.anatomy.review.reporter import Reporter, share
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.layers import NO_LAYERS
from tui_trainer.text.fmt import listed


def fully_connected_share(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether fully connected layers take most of the parameters, or most of the budget."""
    rows = [
        design.rows[position]
        for position in design.positions("fully connected")
        if map_size(design.rows[position].output_shape)
        == (1, 1)  # on a map it is a 1×1 convolution
    ]
    if not rows:
        return None
    spent, total, budget = sum(row.parameters for row in rows), design.parameters, design.budget
    evidence = (
        f"{listed([f'{row.name} {row.parameters:,}' for row in rows])}: {share(spent, total)} of "
        f"all {total:,} parameters; the budget is {budget:,}"
    )
    if 2 * spent <= min(total, budget):
        return report.ok("fully connected layers are a small share", evidence, rows)
    return report.note(
        "fully connected layers take most of the parameters"
        if 2 * spent > total
        else "fully connected layers take most of the budget",
        evidence,
        "use global average pooling before the last layer: convolutions share weights, fully "
        "connected layers do not",
        rows,
    )


def budget(design: Design, report: Reporter) -> Diagnosis:
    """Judge the number of parameters against the budget."""
    total, limit = design.parameters, design.budget
    part = share(total, limit) if total < 10 * limit else f"{total / limit:,.0f} times as many"
    evidence = f"{total:,} of {limit:,} parameters, {part}"
    if total <= limit:
        return report.ok("within the parameter budget", evidence)
    used = [row for row in design.rows if row.kind not in NO_LAYERS and row.parameters]
    largest = sorted(used, key=lambda row: row.parameters, reverse=True)[:2]
    listing = listed([f"{row.name} {row.parameters:,}" for row in largest])
    advice = "use fewer kernels in the largest layers, or put a 1×1 convolution before them"
    evidence = f"{evidence}; most in {listing}" if listing else evidence
    return report.warning("over the parameter budget", evidence, advice, largest)


def unused_parameters(design: Design, report: Reporter) -> Diagnosis:
    """Judge whether every parameter is used, at least in training, like an auxiliary head."""
    rows = [row for row in design.rows if row.kind == "unused" and row.parameters]
    if not rows:
        evidence = f"{design.parameters:,} of {design.parameters:,} parameters"
        helping = sum(row.parameters for row in design.rows if row.kind == "training only")
        if helping:
            evidence += f", {helping:,} of them only in training mode"
        return report.ok("every parameter is used", evidence)
    spent = sum(row.parameters for row in rows)
    return report.note(
        "unused parameters",
        f"{listed([f'{row.name} {row.parameters:,}' for row in rows])}: "
        f"{share(spent, design.parameters)} of all parameters",
        "use these layers in forward(), or remove them",
        rows,
    )
