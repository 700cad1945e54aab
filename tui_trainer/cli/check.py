"""``mnist-tui check``: preflight checks on the first steps of a training."""

from __future__ import annotations

from typing import Any

import typer

from tui_trainer.cli import options as opt
from tui_trainer.cli.saved import answers
from tui_trainer.cli.train import compose_run
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.config import SETTINGS

CHECKED_SETTINGS = [name for name in SETTINGS if name != "model"]
"""All settings of a run, so that its options can be checked; the model is an argument."""


@opt.with_settings(CHECKED_SETTINGS, after="config")
def check(
    ctx: typer.Context,
    argument: opt.ModelArgument = None,
    model: opt.ModelOption = None,
    as_json: opt.JsonObject = False,
    preset: opt.PresetOption = None,
    config: opt.ConfigFile = None,
    debug: opt.Debug = False,
    **settings: Any,
) -> None:
    """Check before training that it will work (5 to 20 s).

    Exit code 6 if a check finds an error.
    """
    run = compose_run({**ctx.params, "model": opt.one_model(argument, model)})
    from tui_trainer.headless.check_report import print_check

    raise typer.Exit(print_check(answers(run, [Ask("check")], checks=True), as_json=as_json))
