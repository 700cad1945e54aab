"""The frame of a report: one self-contained HTML file, for light and dark screens."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from tui_trainer.version import __version__

STYLE = files("tui_trainer.render.html").joinpath("report.css").read_text(encoding="utf-8")


def html_page(title: str, body: str) -> str:
    """Return an HTML document.

    Args:
        title: Its title, as plain text.
        body: Its content, as HTML.
    """
    return (
        "<!DOCTYPE html>\n"
        f"<html lang='en'>\n<head>\n<meta charset='utf-8'>\n<title>{escape(title)}</title>\n"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<meta name='generator' content='mnist-tui {__version__}'>\n"
        f"<style>\n{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
