"""An item of the check with the cause that it names."""

from __future__ import annotations

from typing import Any

from tui_trainer.protocol.diagnosis import Cause, CheckItem, Likelihood


def check_item(*, cause: str = "", likelihood: Likelihood = "likely", **fields: Any) -> CheckItem:
    """Return an item; unless it is ok, it has one cause with that code.

    Args:
        cause: The code of the cause; empty if the item names none.
        likelihood: How likely it is.
        fields: The fields of the item.
    """
    item = CheckItem(**fields)
    if not cause or item.severity == "ok":
        return item
    only = Cause(
        code=cause,
        title=item.title,
        likelihood=likelihood,
        evidence=item.evidence,
        advice=item.advice,
    )
    return CheckItem(**{**fields, "causes": (only,)})
