"""Charts read back: the position of everything drawn."""

from __future__ import annotations

from dataclasses import dataclass

from tui_trainer.render.plots import Row

BRAILLE = 0x2800
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


@dataclass(frozen=True)
class Reading:
    """A chart as a grid of characters and their roles."""

    texts: list[str]
    roles: list[list[str]]

    @property
    def left(self) -> int:
        """The first column right of the y axis."""
        return self.texts[-2].index("└") + 1

    @property
    def y_ticks(self) -> dict[str, int]:
        """The row of each label of the y axis."""
        body = enumerate(text[: self.left] for text in self.texts[:-2])
        return {edge.rstrip("┤").strip(): row for row, edge in body if edge.endswith("┤")}

    @property
    def x_ticks(self) -> dict[str, int]:
        """The column of the tick of each label of the x axis."""
        columns = [column for column, character in enumerate(self.texts[-2]) if character == "┬"]
        return dict(zip(self.texts[-1].split(), columns, strict=True))

    def cells(self, role: str) -> set[tuple[int, int]]:
        """Row and column of everything drawn in a role."""
        return {
            (row, column)
            for row, (text, roles) in enumerate(zip(self.texts, self.roles, strict=True))
            for column, (character, its_role) in enumerate(zip(text, roles, strict=True))
            if its_role == role and character not in " " + chr(BRAILLE)
        }

    def dots(self, role: str) -> set[tuple[int, int]]:
        """Row and column of every braille dot of a role; (0, 0) is at the top of the y axis."""
        return {
            (4 * row + y, 2 * (column - self.left) + x)
            for row, column in self.cells(role)
            for y, bits in enumerate(DOTS)
            for x, bit in enumerate(bits)
            if BRAILLE < ord(self.texts[row][column]) <= BRAILLE + 255
            and (ord(self.texts[row][column]) - BRAILLE) & bit
        }


def read(rows: list[Row]) -> Reading:
    """Parse a chart."""
    texts = ["".join(run.text for run in row) for row in rows]
    return Reading(texts, [[run.role for run in row for _ in run.text] for row in rows])
