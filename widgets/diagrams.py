"""Diagrams: boxes and arrows as a figure, with a text for every box."""

from __future__ import annotations

import plotly.graph_objects as go

from widgets import style

Box = tuple[float, float, str, str, str]  # x, y of the centre, text, colour, hover


BOXES: tuple[Box, ...] = (
    (0.0, 1.0, "scan x", style.GREY, "labeled and unlabeled patches"),
    (1.25, 2.0, "<b>student</b><br>learns by gradient", style.BLUE, "two heads, one backbone"),
    (1.25, 0.0, "<b>teacher</b><br>moving average", style.PURPLE, "no gradient; sees noise, dropout on"),
    (2.75, 2.45, "segmentation p", style.SKY, "probabilities, softmax"),
    (2.75, 1.55, "distance map s", style.ORANGE, "in [-1, 1], tanh"),
    (2.75, 0.45, "segmentation p′", style.SKY, "the teacher's probabilities"),
    (2.75, -0.45, "distance map s′", style.ORANGE, "the teacher's distance map"),
    (4.6, 2.45, "label y: Dice + CE", style.GREEN, "labeled half only"),
    (4.6, 1.55, "signed distance of y: MSE", style.GREEN, "labeled half only"),
)
NOTES = (
    (2.6, 2.0, "cross-task L_ctc", style.VERMILLION, "right"),
    (3.5, 1.0, "intra-task L_itc,<br>where the teacher is certain", style.BLUE, "left"),
    (1.2, 1.0, "EMA", style.BLACK, "right"),
    (0.12, 1.62, "as it is", style.BLACK, "center"),
    (0.12, 0.38, "+ noise", style.BLACK, "center"),
)


def mutual_consistency() -> go.Figure:
    """UG-MCL in one picture: two networks (student, teacher), two tasks (segmentation, distance), four agreements."""
    figure = go.Figure()
    for x, y, text, colour, hover in BOXES:
        wide = 0.62 if x > 4 else 0.5
        shape = {"type": "rect", "x0": x - wide, "x1": x + wide, "y0": y - 0.27, "y1": y + 0.27}
        figure.add_shape(**shape, line={"color": colour, "width": 2.5}, fillcolor="white", layer="above")
        figure.add_annotation(x=x, y=y, text=text, showarrow=False, font={"size": 13}, hovertext=hover)
    plain = [((0.5, 1.1), (0.75, 1.8)), ((0.5, 0.9), (0.75, 0.2)), ((1.25, 1.73), (1.25, 0.27))]
    plain += [((1.75, y0), (2.25, y1)) for y0, y1 in ((2.05, 2.45), (1.95, 1.55), (0.05, 0.45), (-0.05, -0.45))]
    for start, end in plain:
        arrow(figure, start, end, style.BLACK)
    for y in (2.45, 1.55):
        arrow(figure, (3.98, y), (3.25, y), style.GREEN)
    _agreement(figure, (2.75, 2.18), (2.75, 1.82), style.VERMILLION)
    for x, (top, bottom) in ((3.12, (2.18, 0.72)), (3.05, (1.28, -0.18))):
        _agreement(figure, (x + 0.3, top), (x + 0.3, bottom), style.BLUE)
    for x, y, text, colour, side in NOTES:
        figure.add_annotation(x=x, y=y, text=text, showarrow=False, xanchor=side, font={"size": 12, "color": colour})
    figure.update_xaxes(visible=False, range=[-0.65, 5.35])
    figure.update_yaxes(visible=False, range=[-0.85, 2.85])
    figure.update_layout(margin={"l": 10, "r": 10, "t": 50, "b": 10})
    alt = (
        "A student and its averaged teacher each give a segmentation and a distance map. The student is compared with "
        "the label, with the teacher where the teacher is certain, and its two answers with each other."
    )
    title = "UG-MCL: two tasks, two networks, and who has to agree with whom"
    return style.finish(figure, title=title, alt=alt, height=420, width=900)


def arrow(figure: go.Figure, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    """An arrow from start to end, in the units of the axes."""
    tail = {"ax": start[0], "ay": start[1], "axref": "x", "ayref": "y", "xref": "x", "yref": "y"}
    head = {"showarrow": True, "arrowhead": 2, "arrowsize": 1.1, "arrowwidth": 2, "arrowcolor": colour}
    figure.add_annotation(x=end[0], y=end[1], text="", **tail, **head)


def _agreement(figure: go.Figure, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    """An arrow with two heads."""
    arrow(figure, start, end, colour)
    arrow(figure, end, start, colour)


CROP_BOXES: tuple[Box, ...] = (
    (0.0, 1.0, "one scan", style.GREY, "labeled or unlabeled"),
    (1.35, 1.75, "first crop", style.SKY, "every network sees it with noise; a teacher sees it clean"),
    (1.35, 0.25, "second crop", style.PURPLE, "starts at or before the first on every axis"),
    (2.85, 2.35, "<b>network 1</b>", style.BLUE, "learns from labels, from the overlap and from network 2"),
    (2.85, -0.35, "<b>network 2</b>", style.ORANGE, "other first weights; sees pasted boxes"),
    (4.45, 1.75, "answer to<br>the first crop", style.SKY, "each network gives one"),
    (4.45, 0.25, "answer to<br>the second crop", style.PURPLE, "each network gives one"),
)


def translation_consistency() -> go.Figure:
    """TraCoCo in one picture: two crops, two networks; answers agree on the overlap, and each network teaches."""
    figure = go.Figure()
    for x, y, text, colour, hover in CROP_BOXES:
        shape = {"type": "rect", "x0": x - 0.52, "x1": x + 0.52, "y0": y - 0.28, "y1": y + 0.28}
        figure.add_shape(**shape, line={"color": colour, "width": 2.5}, fillcolor="white", layer="above")
        figure.add_annotation(x=x, y=y, text=text, showarrow=False, font={"size": 13}, hovertext=hover)
    lines = [((0.52, 1.1), (0.83, 1.65)), ((0.52, 0.9), (0.83, 0.35))]
    lines += [((1.87, y), (2.33, z)) for y in (1.75, 0.25) for z in (2.3, -0.3)]
    lines += [((3.37, z), (3.93, y)) for y in (1.75, 0.25) for z in (2.3, -0.3)]
    for start, end in lines:
        arrow(figure, start, end, style.BLACK)
    _agreement(figure, (4.45, 1.47), (4.45, 0.53), style.VERMILLION)
    _agreement(figure, (2.85, 2.07), (2.85, -0.07), style.GREEN)
    notes = (
        (4.55, 1.0, "L_tra: agree on<br>the shared voxels", style.VERMILLION, "left"),
        (2.92, 1.0, "L_crc: teach,<br>where sure", style.GREEN, "left"),
    )
    for x, y, text, colour, side in notes:
        figure.add_annotation(x=x, y=y, text=text, showarrow=False, xanchor=side, font={"size": 12, "color": colour})
    figure.update_xaxes(visible=False, range=[-0.65, 5.75])
    figure.update_yaxes(visible=False, range=[-0.75, 2.75])
    figure.update_layout(margin={"l": 10, "r": 10, "t": 50, "b": 10})
    alt = (
        "A scan is cropped twice. Two networks answer both crops. Each network's answers must agree on the voxels that "
        "the crops share, and each network teaches the other where it is sure."
    )
    title = "TraCoCo: two crops, two networks, and who has to agree with whom"
    return style.finish(figure, title=title, alt=alt, height=400, width=900)
