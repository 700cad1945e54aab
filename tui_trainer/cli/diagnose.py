"""``mnist-tui diagnose``: the findings of the current rules in a recorded run."""

from __future__ import annotations

from tui_trainer.cli.options import JsonObject
from tui_trainer.cli.saved import RunName
from tui_trainer.headless.streams import standard_output


def diagnose(run: RunName = None, as_json: JsonObject = False) -> None:
    """List the findings of a recorded run, with all causes.

    The most likely cause comes first. The current rules are evaluated on the
    recorded events. The exit code is 0, even if there are findings.
    """
    from tui_trainer.headless import diagnosis_text as front
    from tui_trainer.recording.folder import find_run

    folder = find_run(run)
    found = front.diagnose(folder.name, folder.read_events().events)
    if as_json:
        record = front.as_record(found)
        record["run"]["folder"] = str(folder.path)
        standard_output().record(record)
    else:
        front.print_diagnosis(found)
