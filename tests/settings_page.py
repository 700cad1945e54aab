"""Writes ``docs/settings.md`` from the table of settings.

python -m tests.settings_page
"""

from __future__ import annotations

from pathlib import Path

from tui_trainer.protocol.config import SETTINGS
from tui_trainer.protocol.settings import GROUPS, WANTED, Setting

PATH = Path(__file__).parent.parent / "docs" / "settings.md"

HEAD = """\
# Settings

*Which settings does a run have?* Each has a name in a TOML file (`--config`), and an option of the
same name with dashes: `batch_size` is `--batch-size`. `mnist-tui --print-config` prints the
resulting settings. Settings marked • can change during training. An augmentation strength that is
not set comes from the preset. [Configuration](configuration.md) says what overrides what.
"""


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for group in GROUPS:
        rows = [_row(row) for row in SETTINGS.values() if row.group == group]
        head = ["| setting | | default | values |", "| --- | --- | --- | --- |"]
        parts.append("\n".join([f"## {group}\n", *head, *rows, ""]))
    return "\n".join(parts)


def _row(row: Setting) -> str:
    knob = " •" if row.knob else ""
    default = "not set" if row.default is None else str(row.default)
    default = row.default_text or (default.lower() if row.kind is bool else default)
    return f"| `{row.name}`{knob} | {row.help} | {default} | {row.known or WANTED[row.kind]} |"


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
