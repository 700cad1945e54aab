"""From a run and a view of its network to what the panel of the Inspect screen shows."""

from __future__ import annotations

from tui_trainer.protocol.inspection import View
from tui_trainer.text.fmt import count
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.screens.exhibit_views import silence
from tui_trainer.ui.widgets.exhibit_head import ExhibitView


def inspected_view(run: LiveRun, view: View, control: int | None) -> ExhibitView:
    """Return a view as it stands, with a control chosen by its place.

    Args:
        run: The run.
        view: The view.
        control: The place; None for where the arrow keys do most: in a matrix, if there is one.
    """
    inspecting, quiet = run.inspecting, silence(run)
    exhibit = inspecting.exhibit if inspecting.view == view.name else None
    is_waiting = exhibit is None or inspecting.is_going
    shown = ExhibitView(
        title=view.title,
        exhibit=exhibit,
        controls=inspecting.controls if exhibit else (),
        trains="" if quiet or exhibit is None or inspecting.is_going else exhibit.trains,
        silence=quiet or inspecting.refusal or ("looking …" if is_waiting else ""),
        noun=f"after step {count(inspecting.step)}" if exhibit else view.about,
        verb="goes on",
    )
    return shown.with_matrix_chosen(control)
