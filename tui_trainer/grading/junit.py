"""Outcomes as JUnit XML, which CI servers show as tests.

A suite is a submission, a case one requirement. A requirement that is not met is a failure, a
submission without a result an error. The elements and attributes are those that the schemas of
Apache Ant (Windy Road) and Jenkins (xUnit plugin) have in common.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import datetime

from tui_trainer.grading.outcome import Outcome, Status
from tui_trainer.text.escaping import xml_text

NAME = "mnist-tui verify"
BUILT = "builds and returns logits"
"""The case of each suite that asks for nothing but a model."""


def junit_xml(outcomes: Sequence[Outcome], started: datetime) -> str:
    """Return the outcomes as an XML document.

    Args:
        outcomes: The outcomes.
        started: When the command was started.
    """
    suites = [_suite(each, number, started) for number, each in enumerate(outcomes)]
    root = ET.Element("testsuites")  # the schema of Ant has no attributes for it
    root.extend(suites)
    ET.indent(root)
    body = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _suite(outcome: Outcome, number: int, started: datetime) -> ET.Element:
    cases = _cases(outcome)
    suite = ET.Element(
        "testsuite",
        name=xml_text(outcome.name),
        package=NAME,
        id=str(number),
        timestamp=started.strftime("%Y-%m-%dT%H:%M:%S"),
        hostname="localhost",
        time=f"{outcome.seconds:.3f}",
        tests=str(len(cases)),
    )
    for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(count, str(sum(case.find(tag) is not None for case in cases)))
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(outcome):
        ET.SubElement(properties, "property", name=name, value=xml_text(value))
    suite.extend(cases)
    ET.SubElement(suite, "system-out").text = xml_text(outcome.folder)
    ET.SubElement(suite, "system-err").text = xml_text(outcome.problem)
    return suite


def _cases(outcome: Outcome) -> list[ET.Element]:
    built = _case(outcome, BUILT)
    built.set("time", f"{outcome.seconds:.3f}")
    if outcome.status is Status.NOT_VERIFIED:
        ET.SubElement(built, "skipped", message=xml_text(outcome.problem))
    elif outcome.status.is_failure:
        kind = outcome.status.value
        error = ET.SubElement(built, "error", message=xml_text(outcome.problem), type=kind)
        error.text = xml_text(outcome.problem)
    cases = [built]
    for check in outcome.checks:
        case = _case(outcome, f"{check.name}: {check.wanted}")
        if not check.is_met:
            failure = ET.SubElement(case, "failure", message=xml_text(check.figure), type="not met")
            failure.text = xml_text(check.line)
        cases.append(case)
    return cases


def _case(outcome: Outcome, name: str) -> ET.Element:
    return ET.Element(
        "testcase", classname=xml_text(outcome.title), name=xml_text(name), time="0.000"
    )


def _properties(outcome: Outcome) -> list[tuple[str, str]]:
    figures = outcome.figures
    if figures is None:
        return [("model", outcome.model)]
    return [
        ("model", outcome.model),
        ("parameters", str(figures.parameters)),
        ("multiply_adds", str(figures.multiply_adds)),
    ]
