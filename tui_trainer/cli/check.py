"""``mnist-tui check``: would a training with these settings go well?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from tui_trainer.cli.options import (
    ConfigFile,
    Debug,
    JsonObject,
    NetworkArgument,
    NetworkOption,
    PresetOption,
    one_network,
    with_settings,
)
from tui_trainer.cli.train import compose_run
from tui_trainer.protocol.config import SETTINGS
from tui_trainer.protocol.settings import RECORD

if TYPE_CHECKING:
    from tui_trainer.protocol.events import Event

CHECKED = [
    name
    for name, row in SETTINGS.items()
    if row.group != RECORD and name not in ("model", "budget")
]
"""The settings that the first steps of a training depend on; the network is an argument."""


@with_settings(CHECKED, after="config")
def check(
    ctx: typer.Context,
    network: NetworkArgument = None,
    model: NetworkOption = None,
    as_json: JsonObject = False,
    preset: PresetOption = None,
    config: ConfigFile = None,
    debug: Debug = False,
    **settings: Any,
) -> None:
    """Try the first steps of a training, in about 20 seconds; exit code 6 if it would fail."""
    run = compose_run({**ctx.params, "model": one_network(network, model)})
    from tui_trainer.headless.check_report import print_check

    def begin() -> Iterator[Event]:
        from tui_trainer.lab.standalone import check_run

        yield from check_run(run)

    raise typer.Exit(print_check(begin(), as_json=as_json))
