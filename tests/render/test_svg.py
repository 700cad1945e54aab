"""Blocks as a standalone SVG document: complete, safe to open, and nothing is cut."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image, ImageFont

from tests.headless.test_html_report import BAD, BLOCKS, picture
from tui_trainer.export.svg_picture import write_png
from tui_trainer.protocol.exhibit import (
    Bar,
    Bars,
    Block,
    Curve,
    Curves,
    Exhibit,
    Matrix,
    Pictures,
    Table,
    Words,
)
from tui_trainer.render.exhibit_lines import exhibit_lines
from tui_trainer.render.html.blocks import blocks_html
from tui_trainer.render.medium import PLAIN
from tui_trainer.render.svg import paint
from tui_trainer.render.svg.document import exhibit_svg
from tui_trainer.render.svg.pixels import png
from tui_trainer.render.svg.text import mono_width, text_width, wrapped
from tui_trainer.text.escaping import xml_escape
from tui_trainer.text.lines import plain
from tui_trainer.ui.widgets.exhibit_head import ExhibitView

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
NAMES = ("", "T-shirt/top", "WWWWWWWWWWWWWWWWWWWWWW", "a" * 300, "漢字カナ", BAD)


def parsed(*blocks: Block, title: str = "a title") -> ElementTree.Element:
    return ElementTree.fromstring(exhibit_svg(title, blocks, description="what it shows"))


def words_of(root: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in root.iter(f"{SVG}text")]


def matrix_of(heads: tuple[str, ...]) -> Matrix:
    row = ("1,234",) * len(heads)
    return Matrix(
        caption="images",
        row_label="true",
        column_label="predicted",
        heads=heads,
        texts=(row,) * len(heads),
        intensities=((0.5,) * len(heads),) * len(heads),
        cell=(0, 0),
        controls=("true", "predicted"),
    )


def extents(element: ElementTree.Element, x: float = 0, y: float = 0) -> list[tuple[float, ...]]:
    """Return left, top, right and bottom of each text and rectangle, in pixels of the document."""
    found: list[tuple[float, ...]] = []
    shift = re.match(r"translate\((\S+) (\S+)\)(.*)", element.get("transform", ""))
    if shift:
        x, y = x + float(shift[1]), y + float(shift[2])
    at_x, at_y = x + float(element.get("x", 0)), y + float(element.get("y", 0))
    if element.tag == f"{SVG}text":
        size = float(element.get("font-size", 15))
        measure = mono_width if element.get("font-family") else text_width
        wide = measure(element.text or "", size)
        left = at_x - {"end": wide, "middle": wide / 2}.get(element.get("text-anchor", ""), 0)
        found.append((left, at_y - size, left + wide, at_y))
    elif element.tag in (f"{SVG}rect", f"{SVG}image"):
        across, down = float(element.get("width", 0)), float(element.get("height", 0))
        found.append((at_x, at_y, at_x + across, at_y + down))
    if shift and shift[3]:
        return []  # a name on its side: its width is its height
    return found + [each for child in element for each in extents(child, x, y)]


def assert_nothing_is_cut(root: ElementTree.Element) -> None:
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for left, top, right, bottom in extents(root):
        assert left >= -0.5
        assert top >= -0.5
        assert right <= width + 0.5
        assert bottom <= height + 0.5


def test_every_kind_of_block_is_drawn_and_nothing_is_cut() -> None:
    root = parsed(*BLOCKS)
    words = " ".join(words_of(root))

    for part in ("a title", "✗ one", "two", "pairs", "▸", "red: NaN", "degrees", "50.0 %"):
        assert part in words
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert [each.text for each in (*root.iter(f"{SVG}title"), *root.iter(f"{SVG}desc"))] == [
        *("a title", "what it shows")
    ]
    assert_nothing_is_cut(root)


@pytest.mark.parametrize("name", NAMES)
def test_long_names_are_wrapped_or_make_room(name: str) -> None:
    names = (name, *map(str, range(46)))
    curves = tuple(Curve(name=each, x=(0.0, 12345.0), y=(-0.00012, 123456.0)) for each in names[:8])
    root = parsed(
        Words(text=name),
        Words(text=f"{name} = 1", is_preformatted=True),
        Table(caption=name, heads=(name, "x"), rows=((name, "1"), ("2", name)), marked=0),
        Pictures(caption=name, items=tuple(picture(0.0, 1.0, caption=each) for each in names[:9])),
        Curves(caption=name, x_label="step", curves=curves),
        Bars(caption=name, bars=(Bar(label=name, share=0.5, number="50.0 %", is_marked=True),)),
        title=name,
    )
    assert_nothing_is_cut(root)
    for heads in (names, names[:10], names[:1]):
        assert_nothing_is_cut(parsed(matrix_of(heads)))


def test_it_needs_nothing_else_and_every_text_is_escaped() -> None:
    hostile = f"{BAD}\x00\x1b[31m\u202e\ud800 & ' < ]]>"
    root = parsed(
        Words(text=hostile),
        Words(text=hostile, is_preformatted=True),
        Table(caption=hostile, heads=(hostile,), rows=((hostile,),)),
        Pictures(caption=hostile, items=(picture(1.0, 0.0, caption=hostile),)),
        Curves(
            caption=hostile,
            x_label=hostile,
            curves=(Curve(name=hostile, x=(0.0, 1.0), y=(0.0, 1.0)),),
        ),
        Bars(caption=hostile, bars=(Bar(label=hostile, share=1.0, number=hostile),)),
        matrix_of((hostile,)),
        title=hostile,
    )
    names = {each.tag.removeprefix(SVG) for each in root.iter()}
    assert names <= {"svg", "title", "desc", "g", "path", "rect", "circle", "text", "image"}
    for each in root.iter():
        assert not any(name.startswith("on") or name == "href" for name in each.attrib)
        assert each.get(HREF, "data:image/png;base64,").startswith("data:image/png;base64,")
    assert "\u202e" not in "".join(words_of(root))


def test_every_character_is_one_that_xml_allows() -> None:
    every = "".join(map(chr, range(0x3000))) + "\ud800\uffff\U000e0001"
    assert ElementTree.fromstring(f"<a>{xml_escape(every)}</a>").text
    assert xml_escape("a\nb\tc") == "a b c"


def test_colors_are_those_of_the_report() -> None:
    import tui_trainer.headless.html_page as page

    light = page.STYLE.partition("@media")[0]
    colors = dict(re.findall(r"--([a-z0-9]+): (#\w+);", light))
    names = ("ink", "paper", "quiet", "line", "panel", "title", "ok", "warning", "error")
    for name in names:
        assert getattr(paint, name.upper()) == colors[name]
    assert tuple(colors[f"c{index}"] for index in range(8)) == paint.CURVES


@pytest.mark.parametrize("font", ["DejaVuSans", "DejaVuSans-Bold"])
def test_text_is_never_wider_than_its_place(font: str) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{font}.ttf")
    real = ImageFont.truetype(str(path), 1000)
    texts = (
        "confusion matrix of net.py:Net, 5,000 validation images",
        "#4242 true 4, predicted 9 61 % since epoch 12",
        "layer features.3.block2.conv1 → −0.0012 × 10 = 12.34 %",
        "The quick brown fox jumps over the lazy dog",
        "ILLICIT illicit fill",
    )
    for text in texts:
        drawn = real.getlength(text) / 1000 * 15
        assert drawn <= text_width(text, is_bold="Bold" in font) <= 1.35 * drawn, text


def test_wrapped_text_fits_and_loses_nothing() -> None:
    text = "a few words and oneverylongwordwithoutanyblankinit at the end"
    for width in (20, 60, 200, 2000):
        lines = wrapped(text, width)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert all(text_width(line) <= max(width, 15) for line in lines)


def test_a_picture_in_a_file_has_every_pixel_enlarged() -> None:
    with Image.open(io.BytesIO(png(picture(0.0, 1.0, 1.0, 0.0, math.nan, 0.0), 3))) as image:
        assert image.size == (6, 9)
        gray = image.convert("RGBA").convert("RGB")
    assert [gray.getpixel((x, y)) for x, y in ((0, 0), (2, 2), (3, 2), (2, 3), (5, 5))] == [
        *((255,) * 3, (255,) * 3, (0,) * 3, (0,) * 3, (255,) * 3)
    ]


def test_the_png_file_has_twice_the_size_and_all_of_its_text(tmp_path: Path) -> None:
    svg = exhibit_svg("a title", BLOCKS)
    write_png(svg, tmp_path / "a.png")
    root = ElementTree.fromstring(svg)
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (2 * int(root.get("width", 0)), 2 * int(root.get("height", 0)))
        title = image.convert("L").crop((0, 0, image.width, 80))
    darkest, lightest = title.getextrema()
    assert darkest == pytest.approx(40, abs=10)
    assert lightest == 255


def test_a_matrix_that_fits_no_screen_is_on_the_page_alone() -> None:
    for total, is_text in ((16, True), (17, False)):
        matrix = matrix_of(tuple(f"c{index}" for index in range(total)))
        text = "\n".join(plain(exhibit_lines((matrix,), 80, 10, PLAIN)))
        assert ("1,234" in text) is is_text
        assert ("--out" in text) is not is_text
        assert len(words_of(parsed(matrix))) == 1 + 1 + 2 + 2 * total + total**2
        assert blocks_html((matrix,)).count("1,234") == total**2
        view = ExhibitView(exhibit=Exhibit(blocks=(matrix,)))
        assert (view.matrix is not None) is is_text
