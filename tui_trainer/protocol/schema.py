"""The schema of what is written to a run's folder, and how older records are read.

Version 0.1 wrote schema 1, without a number in its events. Schema 2 has one scale of severities,
and its design review has the fields of every other diagnosis.
"""

from __future__ import annotations

from typing import Any

SCHEMA = 2
"""It goes up when a field changes its name or its meaning, or goes."""

_SEVERITIES = {"wrong": "error", "look": "warning", "good": "ok"}
_VERDICT = {"rule": "code", "verdict": "severity"}


def upgraded(record: Any) -> dict[str, Any]:
    """Return the JSON object of an event as this version would have written it.

    Raises:
        ValueError: If a newer version wrote it.
        TypeError: If it is no event.
    """
    if not isinstance(record, dict):
        raise TypeError("no JSON object")
    schema = record.get("schema", 1)
    if schema > SCHEMA:
        raise ValueError(f"schema {schema}, this version reads up to {SCHEMA}; update mnist-tui")
    if record.get("event") == "FindingRaised":
        return _with_severity(record)
    if record.get("event") == "RunStarted" and "schema" not in record:
        return {**record, "review": [_verdict(verdict) for verdict in record.get("review", ())]}
    return record


def _verdict(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise TypeError(f"{record!r} is no verdict")
    fields: dict[str, Any] = record
    return _with_severity({_VERDICT.get(name, name): value for name, value in fields.items()})


def _with_severity(record: dict[str, Any]) -> dict[str, Any]:
    severity = record["severity"]
    return {**record, "severity": _SEVERITIES.get(severity, severity)}
