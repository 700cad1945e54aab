"""The report: one HTML file, complete, well formed, and safe to open."""

from __future__ import annotations

import base64
import io
import math
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from PIL import Image

from tests.headless.fakes import started
from tests.protocol import facts
from tui_trainer.headless.evaluation_text import Evaluation
from tui_trainer.headless.html_report import report
from tui_trainer.headless.view_questions import Shown
from tui_trainer.protocol.diagnosis import Cause
from tui_trainer.protocol.exhibit import (
    Bar,
    Bars,
    Block,
    Control,
    Curve,
    Curves,
    Exhibit,
    Matrix,
    Picture,
    Pictures,
    Table,
    Words,
)
from tui_trainer.protocol.inspection import find_view
from tui_trainer.render.html.blocks import blocks_html
from tui_trainer.render.svg.pixels import NEGATIVE, POSITIVE, UNKNOWN, png

VOID = {"meta", "img", "br", "hr"}
BAD = "<script>alert('1')</script>&\""


class Page(HTMLParser):
    """Parses a page strictly: every element is closed in order; keeps its text and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.names: list[str] = []
        self.words: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def values(self, tag: str, attribute: str) -> list[str]:
        return [value for t, name, value in self.attributes if (t, name) == (tag, attribute)]


def picture(*values: float, width: int = 2, **more: object) -> Picture:
    fields: dict[str, object] = {
        "caption": "a map",
        "height": len(values) // width,
        "width": width,
        "values": values,
        "low": 0.0,
        "high": 1.0,
        **more,
    }
    return Picture(**fields)  # type: ignore[arg-type]


CURVES = Curves(
    caption="accuracy by angle",
    x_label="degrees",
    curves=(
        Curve(name="rotated", x=tuple(map(float, range(-30, 31))), y=(0.5,) * 61),
        Curve(name="lost", x=(0.0, 1.0), y=(math.nan, math.inf)),
        Curve(name="few", x=(-30.0, 0.0, 30.0), y=(0.2, 0.9, 0.3)),
    ),
)
MATRIX = Matrix(
    caption="images",
    row_label="true",
    column_label="predicted",
    heads=("0", "1"),
    texts=(("48", "·"), ("3", "52")),
    intensities=((0.0, 0.0), (1.0, 0.0)),
    cell=(1, 0),
    controls=("true", "predicted"),
)
BLOCKS: tuple[Block, ...] = (
    Words(text="one\n\ntwo", tone="error"),
    Words(text="  a\n  + b", is_preformatted=True),
    Table(caption="pairs", heads=("true", "what"), rows=(("3", "x"), ("12", "y")), marked=1),
    Pictures(caption="maps", items=(picture(0.0, 0.5, 1.0, math.nan, frame=(0, 1, 1, 1)),)),
    Pictures(caption="", items=(picture(-1.0, 0.0, low=-1.0, is_signed=True),)),
    CURVES,
    Bars(caption="bars", bars=(Bar(label="0", share=0.5, number="50.0 %", is_marked=True),)),
    MATRIX,
)
LAYERS = Control(name="layer", label="layer", value="conv1", steps=("conv1", "conv2"))


def found(*views: Shown, **changes: object) -> Evaluation:
    fields: dict[str, object] = {
        "run": "mine",
        "checkpoint": "last",
        "epoch": 2,
        "step": 20,
        "started": started(),
        "images": "validation",
        "total": 500,
        "correct": 490,
        "test_evaluations": 1,
        "views": views,
        **changes,
    }
    return Evaluation(**fields)  # type: ignore[arg-type]


def shown(name: str, *blocks: Block, result: str = "It is so.") -> Shown:
    return Shown(find_view(name), Exhibit(blocks=blocks, result=result, evidence="500 images."))


def page(*views: Shown, command: str = "mnist-tui evaluate mine", **changes: object) -> Page:
    return Page(report(found(*views, **changes), command))


# --- the page


def test_every_block_is_there_and_every_element_is_closed() -> None:
    read = page(shown("confusion", *BLOCKS), shown("kernels", *BLOCKS))

    assert read.names.count("table") == 2 * 3
    assert read.names.count("section") == 2
    for page_text in ("era-s6", "19,568", "98.00 %", "[96.36, 98.91]", "500 images.", "It is so."):
        assert page_text in read.text
    assert "mnist-tui evaluate mine" in read.text


def test_it_needs_nothing_else() -> None:
    text = report(found(shown("confusion", *BLOCKS)), "mnist-tui")
    read = Page(text)

    assert not {"script", "link", "iframe", "object"} & set(read.names)
    assert all(source.startswith("data:image/png;base64,") for source in read.values("img", "src"))
    assert all(link.startswith("#") for link in read.values("a", "href"))
    assert "http" not in text
    assert "url(" not in text
    assert "@import" not in text


def test_the_contents_lead_to_each_view_by_its_group() -> None:
    read = page(shown("confusion"), shown("kernels"), shown("robustness"))
    assert read.values("a", "href") == ["#confusion", "#kernels", "#robustness"]
    assert read.values("section", "id") == ["confusion", "kernels", "robustness"]
    for group in ("errors", "inside", "try it"):
        assert group in read.words


def test_every_text_is_escaped() -> None:
    curve = Curve(name=BAD, x=(0.0, 1.0), y=(0.0, 1.0))
    blocks: tuple[Block, ...] = (
        Words(text=BAD),
        Words(text=BAD, is_preformatted=True),
        Table(caption=BAD, heads=(BAD,), rows=((BAD,),)),
        Pictures(caption=BAD, items=(picture(1.0, 0.0, caption=BAD),)),
        Curves(caption=BAD, x_label=BAD, curves=(curve,)),
        Bars(caption=BAD, bars=(Bar(label=BAD, share=1.0, number=BAD),)),
        Matrix(
            caption=BAD,
            row_label=BAD,
            column_label=BAD,
            heads=(BAD,),
            texts=((BAD,),),
            intensities=((0.5,),),
            cell=(0, 0),
            controls=("a", "b"),
        ),
    )
    control = Control(name="c", label=BAD, value=BAD, steps=(BAD,))
    exhibit = Exhibit(blocks=blocks, controls=(control,), result=BAD, evidence=BAD)
    read = page(Shown(find_view("confusion"), exhibit), run=BAD, checkpoint=BAD, command=BAD)

    assert "script" not in read.names
    assert sum(words.count(BAD) for words in read.words) >= 20
    assert not any(name.startswith("on") for _, name, _ in read.attributes)


def test_on_the_test_set_the_evaluation_is_counted() -> None:
    assert "look" not in page(shown("confusion")).text
    html = page(shown("confusion"), images="test", test_evaluations=3).text
    assert html.count("test evaluations: 3, counted in the run: this result is no longer") == 2
    assert "no longer" not in page(images="test", test_evaluations=1).text


def test_the_findings_are_listed_with_their_causes() -> None:
    first = Cause(
        code="a", title="another title", likelihood="likely", evidence="93 images", advice="less"
    )
    stuck = facts.finding(title=BAD, causes=(first, Cause(code="b", title="noise")))
    read = page(shown("confusion"), findings=(stuck,))
    assert read.values("section", "id") == ["findings", "confusion"]
    assert read.names.count("li") == 1 + 2  # one view in the contents
    assert "likely cause: another title 93 images try: less possible cause: noise" in read.text
    assert "script" not in read.names
    assert "no active findings" in page(findings=()).text
    assert "findings" not in page().values("section", "id")


def test_of_other_layers_only_what_is_new_is_shown() -> None:
    def layer(name: str, place: int) -> Exhibit:
        control = Control(name="layer", label="layer", value=name, steps=LAYERS.steps)
        table = Table(caption="all", heads=("n",), rows=(("1",), ("2",)), marked=place)
        return Exhibit(
            blocks=(Words(text=f"about {name}"), table), controls=(control,), result=f"{name}!"
        )

    view = Shown(find_view("kernels"), layer("conv1", 0), (layer("conv2", 1),))
    read = page(view)

    assert read.names.count("h3") == 2
    assert read.names.count("table") == 1
    for page_text in (
        "layer conv1",
        "layer conv2",
        "about conv2",
        "conv2!",
        "shown with layer conv1",
    ):
        assert page_text in read.text


# --- blocks


def test_no_meaning_is_in_color_alone() -> None:
    text = blocks_html(BLOCKS)
    assert "<p class='error'>✗ one</p><p class='error'>two</p>" in text
    assert "<td class='mark'>▸</td>" in text
    assert "▸ 0" in text
    assert "red: NaN" in text
    assert "below 0, −1" in text
    assert len(set(re.findall(r"stroke-dasharray='([^']+)'", text))) == 2


def test_numbers_are_flush_right() -> None:
    text = blocks_html(BLOCKS[2:3])
    assert "<th scope='col' class='n'>true</th><th scope='col'>what</th>" in text
    assert "<td class='n'>12</td><td>y</td>" in text


def test_a_matrix_has_its_heat_where_it_is_wrong() -> None:
    text = blocks_html((MATRIX,))
    assert re.findall(r"<td style='--heat:([\d.]+)'>(\d+)</td>", text) == [("0.60", "3")]
    assert re.findall(r"<td class='diagonal'>(\d+)</td>", text) == ["48", "52"]


def test_a_bar_is_as_long_as_its_share() -> None:
    bars = tuple(Bar(label="b", share=share, number="") for share in (0.25, 7.0, math.nan))
    text = blocks_html((Bars(caption="", bars=bars),))
    assert re.findall(r"width:([\d.]+)%", text) == ["25.0", "100.0", "0.0"]


def test_curves_lie_within_their_plot_and_those_without_numbers_are_named() -> None:
    text = blocks_html((CURVES,))
    lines = re.findall(r"class='line'(?: stroke-dasharray='[^']+')? d='M([^']+)'", text)
    for line in lines[:2]:
        points = [tuple(map(float, pair.split())) for pair in line.split("L")]
        assert all(64 <= x <= 624 and 12 <= y <= 256 for x, y in points)
        assert all(one[0] < other[0] for one, other in pairwise(points))
    few = [float(pair.split()[1]) for pair in lines[1].split("L")]
    assert few[1] < few[2] < few[0], "what is larger stands higher"
    assert "degrees" in text
    assert "lost <span class='muted'>no points" in text
    assert {"−30", "−20", "−10", "0", "10", "20", "30"} == set(
        re.findall(r"class='x'>([^<]+)<", text)
    )


def test_curves_without_any_point_are_labeled() -> None:
    empty_curves = Curves(
        caption="c", x_label="x", curves=(Curve(name="l", x=(1.0,), y=(math.nan,)),)
    )
    assert "Nothing to draw." in blocks_html((empty_curves,))
    single = Curves(caption="c", x_label="x", curves=(Curve(name="l", x=(3.0,), y=(2.0,)),))
    assert Page(blocks_html((single,))).names.count("circle") == 2


def test_a_band_is_a_polygon_where_it_has_both_ends() -> None:
    x, nan = (0.0, 1.0, 2.0, 3.0, 4.0), math.nan
    curve = Curve(
        name="mean",
        x=x,
        y=(1.0, 2.0, 3.0, 4.0, 5.0),
        low=(0.8, 1.8, nan, 3.5, -90.0),
        high=(1.2, 2.2, nan, 4.5, 5.5),
    )
    text = blocks_html((Curves(caption="", x_label="x", curves=(curve,)),))
    (path,) = re.findall(r"class='band c0' d='([^']+)'", text)
    polygons = [
        [point.split() for point in part.split("L")] for part in re.findall("M(.+?)z", path)
    ]
    assert list(map(len, polygons)) == [4, 4]
    assert all(12 <= float(y) <= 256 for polygon in polygons for _, y in polygon)
    assert re.findall(r"class='y'>([^<]+)<", text)[0] == "6", (
        "the far end does not stretch the axis"
    )


def test_accuracies_have_an_axis_in_percent() -> None:
    curve = Curve(name="a", x=(1.0, 2.0), y=(0.9, 0.995))
    text = blocks_html((Curves(caption="", x_label="x", curves=(curve,), is_accuracy=True),))
    assert {"90", "99"} <= set(re.findall(r"class='y'>([^<]+)<", text))
    assert "90.00 % → 99.50 %" in text


def test_thirty_two_curves_differ_without_color() -> None:
    x = (0.0, 1.0)
    curves = tuple(Curve(name=str(n), x=x, y=(0.0, n)) for n in range(32))
    text = blocks_html((Curves(caption="", x_label="x", curves=curves),))
    legend = re.findall(r"<li><svg [^>]*>(.*?)</svg>", text)
    assert len(set(legend)) == 32


def test_a_long_curve_is_thinned_out_but_not_at_its_ends() -> None:
    x = tuple(map(float, range(10_000)))
    text = blocks_html((Curves(caption="", x_label="x", curves=(Curve(name="l", x=x, y=x),)),))
    assert len(text) < 20_000
    assert "624.0 12.0'" in text


# --- pixels


def pixels(shown: Picture) -> list[tuple[int, ...]]:
    with Image.open(io.BytesIO(png(shown))) as image:
        assert image.size == (shown.width, shown.height)
        whole = image.convert("RGBA")
    return [
        whole.getpixel((x, y))  # type: ignore[misc]
        for y in range(shown.height)
        for x in range(shown.width)
    ]


def test_a_picture_is_ink_on_paper() -> None:
    values = (0.0, 1.0, 0.5, -9.0, 9.0, math.nan)
    white, black, gray, below, above, empty_curves = pixels(picture(*values, width=3))
    assert white == below == (255, 255, 255, 255)
    assert black == above == (0, 0, 0, 255)
    assert gray[0] == gray[1] == gray[2] == pytest.approx(127, abs=4)
    assert empty_curves == (*UNKNOWN, 255)


def test_of_signed_numbers_nothing_is_transparent_and_either_sign_has_a_color() -> None:
    values = (-2.0, -1.0, 0.0, 2.0, 4.0, math.nan)
    seen = pixels(picture(*values, width=6, low=-1.0, high=4.0, is_signed=True))
    assert [pixel[:3] for pixel in (*seen[:2], *seen[3:])] == [
        *(NEGATIVE, NEGATIVE, POSITIVE, POSITIVE, UNKNOWN)
    ]
    alphas = [pixel[3] for pixel in seen]
    assert alphas == pytest.approx([127, 64, 0, 127, 255, 255], abs=4)


def test_flat_pictures_and_infinite_ones_can_be_drawn() -> None:
    assert len(set(pixels(picture(3.0, 3.0, low=3.0, high=3.0)))) == 1
    nothing = pixels(picture(0.0, 0.0, low=0.0, high=0.0, is_signed=True))
    assert [pixel[3] for pixel in nothing] == [0, 0]
    assert pixels(picture(math.inf, -math.inf)) == [(0, 0, 0, 255), (255, 255, 255, 255)]
    empty_curves = picture(math.inf, 1.0, low=-math.inf, high=math.inf, is_signed=True)
    assert len(pixels(empty_curves)) == 2
    assert len(pixels(picture(math.nan, 1.0, low=math.nan, high=math.nan))) == 2


def test_a_picture_in_the_page_has_its_caption_and_frame() -> None:
    framed = picture(*([0.0] * 8), width=4, frame=(1, 2, 1, 2), caption="a 4")
    text = blocks_html((Pictures(caption="", items=(framed,)),))
    read = Page(text)
    assert read.values("img", "alt")[0] == "a 4: 2×4, 0 to 1"
    assert read.values("i", "style") == ["top:50.00%;left:50.00%;height:50.00%;width:50.00%"]
    (source, *_) = read.values("img", "src")
    assert base64.b64decode(source.partition(",")[2]) == png(framed)
