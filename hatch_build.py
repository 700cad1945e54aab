"""Make the README fit for PyPI while a package is built: PyPI has no files to link to.

Its pictures and links get absolute addresses below ``Repository`` in ``[project.urls]`` of
pyproject.toml, the only place that names the address. Without it the README stays as it is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(?P<start>(?P<picture>!?)\[[^\]]*\]\()(?P<target>[^)\s]+)(?=\))")


def absolute(readme: str, repository: str) -> str:
    """Return a README whose relative pictures and links lead into a repository on the web.

    Args:
        readme: The Markdown text, with targets relative to the top of the repository.
        repository: Its address, whose ``/raw/HEAD/PATH`` and ``/blob/HEAD/PATH`` are the latest
            version of a file, as on GitHub.
    """

    def replaced(found: re.Match[str]) -> str:
        target = found["target"]
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        kind = "raw" if found["picture"] else "blob"
        # GitHub serves an SVG as a picture when it is asked to sanitize it.
        query = "?sanitize=true" if found["picture"] and target.endswith(".svg") else ""
        return f"{found['start']}{repository.rstrip('/')}/{kind}/HEAD/{target}{query}"

    return _LINK.sub(replaced, readme)


class PypiReadme(MetadataHookInterface):
    """Sets the README of the package."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Put the README into the metadata."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        repository = metadata.get("urls", {}).get("Repository")
        if repository:
            text = absolute(text, repository)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
