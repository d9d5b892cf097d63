"""The idea of a paper as a figure: boxes, arrows between them, and notes on what has to agree with what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from widgets import style

Point = tuple[float, float]


class Box(NamedTuple):
    """A box with a text; wide: half of its width, in the units of the axes."""

    x: float
    y: float
    text: str
    colour: str
    hover: str | None = None
    wide: float = 0.5


class Arrow(NamedTuple):
    """An arrow from start to end; both: with a head at each end, for two that have to agree."""

    start: Point
    end: Point
    colour: str = style.BLACK
    both: bool = False


class Note(NamedTuple):
    """A text beside an arrow; side: where x is, "left", "center" or "right"."""

    x: float
    y: float
    text: str
    colour: str
    side: str = "left"


def diagram(
    boxes: Sequence[Box],
    arrows: Sequence[Arrow],
    notes: Sequence[Note],
    *,
    title: str,
    alt: str,
    x: Point,
    y: Point,
    height: int = 420,
) -> go.Figure:
    """Boxes, arrows and notes, each in its place; x, y: what the axes show."""
    figure = go.Figure()
    for box in boxes:
        shape = {"x0": box.x - box.wide, "x1": box.x + box.wide, "y0": box.y - 0.27, "y1": box.y + 0.27}
        line = {"color": box.colour, "width": 2.5}
        figure.add_shape(type="rect", **shape, line=line, fillcolor="white", layer="above")
        figure.add_annotation(x=box.x, y=box.y, text=box.text, showarrow=False, font={"size": 13}, hovertext=box.hover)
    for arrow in arrows:
        _head(figure, arrow.start, arrow.end, arrow.colour)
        if arrow.both:
            _head(figure, arrow.end, arrow.start, arrow.colour)
    for note in notes:
        font = {"size": 12, "color": note.colour}
        figure.add_annotation(x=note.x, y=note.y, text=note.text, showarrow=False, xanchor=note.side, font=font)
    figure.update_xaxes(visible=False, range=x)
    figure.update_yaxes(visible=False, range=y)
    figure.update_layout(margin={"l": 10, "r": 10, "t": 50, "b": 10})
    return style.finish(figure, title=title, alt=alt, height=height, width=900)


def _head(figure: go.Figure, start: Point, end: Point, colour: str) -> None:
    tail = {"ax": start[0], "ay": start[1], "axref": "x", "ayref": "y", "xref": "x", "yref": "y"}
    head = {"showarrow": True, "arrowhead": 2, "arrowsize": 1.1, "arrowwidth": 2, "arrowcolor": colour}
    figure.add_annotation(x=end[0], y=end[1], text="", **tail, **head)


def mutual_consistency() -> go.Figure:
    """UG-MCL in one picture: two networks (student, teacher), two tasks (segmentation, distance), four agreements."""
    boxes = [
        Box(0.0, 1.0, "scan x", style.GREY, "labeled and unlabeled patches"),
        Box(1.25, 2.0, "<b>student</b><br>learns by gradient", style.BLUE, "two heads, one backbone"),
        Box(1.25, 0.0, "<b>teacher</b><br>moving average", style.PURPLE, "no gradient; sees noise, dropout on"),
        Box(2.75, 2.45, "segmentation p", style.SKY, "probabilities, softmax"),
        Box(2.75, 1.55, "distance map s", style.ORANGE, "in [-1, 1], tanh"),
        Box(2.75, 0.45, "segmentation p′", style.SKY, "the teacher's probabilities"),
        Box(2.75, -0.45, "distance map s′", style.ORANGE, "the teacher's distance map"),
        Box(4.6, 2.45, "label y: Dice + CE", style.GREEN, "labeled half only", wide=0.62),
        Box(4.6, 1.55, "signed distance of y: MSE", style.GREEN, "labeled half only", wide=0.62),
    ]
    arrows = [Arrow((0.5, 1.1), (0.75, 1.8)), Arrow((0.5, 0.9), (0.75, 0.2)), Arrow((1.25, 1.73), (1.25, 0.27))]
    answers = ((2.05, 2.45), (1.95, 1.55), (0.05, 0.45), (-0.05, -0.45))
    arrows += [Arrow((1.75, start), (2.25, end)) for start, end in answers]
    arrows += [Arrow((3.98, y), (3.25, y), style.GREEN) for y in (2.45, 1.55)]
    arrows += [Arrow((2.75, 2.18), (2.75, 1.82), style.VERMILLION, both=True)]
    between = ((3.42, 2.18, 0.72), (3.35, 1.28, -0.18))
    arrows += [Arrow((x, top), (x, bottom), style.BLUE, both=True) for x, top, bottom in between]
    notes = [
        Note(2.6, 2.0, "cross-task L_ctc", style.VERMILLION, "right"),
        Note(3.5, 1.0, "intra-task L_itc,<br>where the teacher is certain", style.BLUE),
        Note(1.2, 1.0, "EMA", style.BLACK, "right"),
        Note(0.12, 1.62, "as it is", style.BLACK, "center"),
        Note(0.12, 0.38, "+ noise", style.BLACK, "center"),
    ]
    alt = (
        "A student and its averaged teacher each give a segmentation and a distance map. The student is compared with "
        "the label, with the teacher where the teacher is certain, and its two answers with each other."
    )
    title = "UG-MCL: two tasks, two networks, and who has to agree with whom"
    return diagram(boxes, arrows, notes, title=title, alt=alt, x=(-0.65, 5.35), y=(-0.85, 2.85))


def translation_consistency() -> go.Figure:
    """TraCoCo in one picture: two crops, two networks; answers agree on the overlap, and each network teaches."""
    first, second = "answer to<br>the first crop", "answer to<br>the second crop"
    taught = "learns from labels, from the overlap and from network 2"
    boxes = [
        Box(0.0, 1.0, "one scan", style.GREY, "labeled or unlabeled", 0.52),
        Box(1.35, 1.75, "first crop", style.SKY, "every network sees it with noise; a teacher sees it clean", 0.52),
        Box(1.35, 0.25, "second crop", style.PURPLE, "starts at or before the first on every axis", 0.52),
        Box(2.85, 2.35, "<b>network 1</b>", style.BLUE, taught, 0.52),
        Box(2.85, -0.35, "<b>network 2</b>", style.ORANGE, "other first weights; sees pasted boxes", 0.52),
        Box(4.45, 1.75, first, style.SKY, "each network gives one", 0.52),
        Box(4.45, 0.25, second, style.PURPLE, "each network gives one", 0.52),
    ]
    arrows = [Arrow((0.52, 1.1), (0.83, 1.65)), Arrow((0.52, 0.9), (0.83, 0.35))]
    arrows += [Arrow((1.87, y), (2.33, z)) for y in (1.75, 0.25) for z in (2.3, -0.3)]
    arrows += [Arrow((3.37, z), (3.93, y)) for y in (1.75, 0.25) for z in (2.3, -0.3)]
    arrows += [Arrow((4.45, 1.47), (4.45, 0.53), style.VERMILLION, both=True)]
    arrows += [Arrow((2.85, 2.07), (2.85, -0.07), style.GREEN, both=True)]
    notes = [
        Note(4.55, 1.0, "L_tra: agree on<br>the shared voxels", style.VERMILLION),
        Note(2.92, 1.0, "L_crc: teach,<br>where sure", style.GREEN),
    ]
    alt = (
        "A scan is cropped twice. Two networks answer both crops. Each network's answers must agree on the voxels that "
        "the crops share, and each network teaches the other where it is sure."
    )
    title = "TraCoCo: two crops, two networks, and who has to agree with whom"
    return diagram(boxes, arrows, notes, title=title, alt=alt, x=(-0.65, 5.75), y=(-0.75, 2.75), height=400)


def smoothness_and_separation() -> go.Figure:
    """SS-Net in one picture: one network, a perturbed copy of the scan, and a memory of prototypes."""
    boxes = [
        Box(0.0, 1.0, "scan x", style.GREY),
        Box(0.0, -0.2, "x + ε d", style.VERMILLION),
        Box(1.5, 1.0, "<b>network</b>", style.BLUE),
        Box(1.5, -0.2, "<b>same network</b>", style.BLUE),
        Box(3.2, 1.0, "answer p", style.SKY),
        Box(3.2, -0.2, "answer to the noise", style.SKY, wide=0.55),
        Box(3.2, 2.2, "voxel features", style.PURPLE),
        Box(5.0, 2.2, "prototypes<br>of each class", style.PURPLE, wide=0.55),
        Box(5.0, 1.0, "label y: Dice", style.GREEN, wide=0.55),
    ]
    arrows = [Arrow((x, y), (x + step, y)) for y in (1.0, -0.2) for x, step in ((0.5, 0.5), (2.0, 0.65))]
    arrows += [Arrow((0.0, 0.73), (0.0, 0.07)), Arrow((1.8, 1.27), (2.7, 2.1)), Arrow((5.0, 1.27), (5.0, 1.93))]
    arrows += [Arrow((4.45, 1.0), (3.7, 1.0), style.GREEN)]
    arrows += [Arrow((3.2, 0.73), (3.2, 0.07), style.VERMILLION, both=True)]
    arrows += [Arrow((3.7, 2.2), (4.45, 2.2), style.PURPLE, both=True)]
    notes = [
        Note(3.3, 0.4, "smoothness L_lds:<br>the same answer", style.VERMILLION),
        Note(4.05, 2.52, "separation L_cs", style.PURPLE, "center"),
        Note(5.1, 1.6, "who enters: labeled<br>and predicted right", style.BLACK),
        Note(0.1, 0.4, "the noise that<br>moves p most", style.BLACK),
    ]
    alt = (
        "One network answers a scan and a perturbed copy of it; the two answers have to agree. Its voxel features are "
        "drawn to prototypes of their class, which come from labeled voxels that it predicts right."
    )
    title = "SS-Net: hold still, and keep together"
    return diagram(boxes, arrows, notes, title=title, alt=alt, x=(-0.65, 6.6), y=(-0.6, 2.8))
