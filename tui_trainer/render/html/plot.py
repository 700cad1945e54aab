"""A plot as a figure of a page: an SVG with a caption and a legend in HTML."""

from __future__ import annotations

from html import escape

from tui_trainer.protocol.exhibit import Curve, Curves
from tui_trainer.render.svg import plot
from tui_trainer.render.svg.paint import by_class


def curves_html(curves: Curves) -> str:
    """Return curves as a figure with a caption and a legend."""
    kept = plot.drawable_curves(curves)
    head = f"<figcaption>{escape(curves.caption)}</figcaption>" if curves.caption else ""
    if not any(curve.x for curve in kept):
        return f"<figure>{head}<p class='muted'>Nothing to draw.</p></figure>"
    names = escape(", ".join(curve.name for curve in kept), quote=True)
    legend = "".join(
        _legend(curve, index, is_accuracy=curves.is_accuracy) for index, curve in enumerate(kept)
    )
    return (
        f"<figure class='plot'>{head}<svg viewBox='0 0 {plot.WIDTH} {plot.HEIGHT}' role='img' "
        f"aria-label='{names}'>{plot.plot(curves, kept, by_class)}</svg>"
        f"<ul class='legend'>{legend}</ul></figure>"
    )


def _legend(curve: Curve, index: int, *, is_accuracy: bool) -> str:
    """Return a curve's legend entry: its line, its name, and its first and last value."""
    ends = escape(plot.ends(curve, is_accuracy=is_accuracy))
    sample = (
        f"<svg class='{plot.color_name(index)}' viewBox='0 0 40 12' aria-hidden='true'>"
        f"{plot.sample(index, by_class)}</svg>"
    )
    return f"<li>{sample}{escape(curve.name)} <span class='muted'>{ends}</span></li>"
