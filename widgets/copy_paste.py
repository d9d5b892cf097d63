"""Figures of copy-paste: the four mixes and their box, pseudo-labels, reliable regions, and what counts in the loss.

They draw the views that the method gave out (see `widgets.replay.look`), in the frame of the patch, as the network saw
them: a mix belongs to two volumes, each with a turn of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import plotly.graph_objects as go
import torch

from ssmis_core.configuration import Configuration
from ssmis_core.datasets import Dataset
from ssmis_core.methods.mixes import MIXES, PARTS
from ssmis_core.perturbations import box_mask, box_places, copy_paste
from ssmis_core.pseudo_labels import hard_label
from ssmis_core.quality import truth_of
from ssmis_core.views import Views
from ssmis_core.volume_bank import VolumeBank
from widgets import style
from widgets.replay import Example
from widgets.slices import Outline, Panel, panels

WORDS = {"l_a": "labeled a", "l_b": "labeled b", "u_a": "unlabeled a", "u_b": "unlabeled b"}
COLOURS = {"l_a": style.BLUE, "l_b": style.SKY, "u_a": style.VERMILLION, "u_b": style.ORANGE}
BOX_STEPS = 7


def seen(views: Views, name: str, number: int) -> np.ndarray:
    """[C, *patch] of one row of a view, as the network saw it."""
    return views[name].value[number].float().cpu().numpy()


def mix_diagram() -> go.Figure:
    """The four mixes as coloured squares: what is outside the box, what inside, and which of it has a label."""
    figure = go.Figure()
    for column, (name, (outside, inside)) in enumerate(MIXES.items()):
        x = 1.6 * column
        _square(figure, (x, x + 1.2), (0.0, 1.2), COLOURS[outside])
        _square(figure, (x + 0.3, x + 1.1), (0.15, 0.95), COLOURS[inside])
        figure.add_annotation(x=x + 0.6, y=1.42, text=f"<b>{name.replace('_', '–').upper()}</b>", showarrow=False)
        for part, y in ((outside, 1.08), (inside, 0.55)):
            note = "label" if part.startswith("l") else "pseudo-label × γ"
            text = f"{WORDS[part]}<br>{note}" if part == inside else f"{WORDS[part]}: {note}"
            figure.add_annotation(x=x + (0.6 if part == outside else 0.7), y=y, text=text, showarrow=False)
    figure.update_annotations(font={"size": 12})
    figure.update_xaxes(visible=False, range=[-0.1, 6.1])
    figure.update_yaxes(visible=False, range=[-0.1, 1.6])
    figure.update_layout(margin={"l": 10, "r": 10, "t": 50, "b": 10})
    alt = "Four squares with a box each: " + "; ".join(
        f"{WORDS[a]} with a box of {WORDS[b]}" for a, b in MIXES.values()
    )
    return style.finish(figure, title="CPAM: who is pasted into whom?", alt=alt + ".", height=300, width=940)


def moving_box(views: Views, example: Example, *, share: float, frame: Sequence[int] = ()) -> go.Figure:
    """One mix for several places of the box, from one corner of the patch to the other; a slider moves it.

    share, frame: the method's options `box` and `box_frame`.
    """
    outside, inside = (views["image"].value[number, 0] for number in (0, len(views["image"].value) // 2))
    index = inside.shape[-1] // 2 if inside.ndim == 3 else 0
    places = box_places(inside.shape, tuple(frame)[: inside.ndim] or inside.shape, share)
    parts, names = [], []
    for step in np.linspace(0.0, 1.0, BOX_STEPS):
        corner = [round(step * (n - 1)) for n in places]
        mask = box_mask(inside.shape, corner, share)
        image = copy_paste(outside, inside, mask)
        flat = (image[..., index], mask[..., index]) if inside.ndim == 3 else (image, mask)
        parts.append(tuple(one.cpu().numpy() for one in flat))
        names.append(" x ".join(str(c) for c in corner))
    volume, box = (np.stack(one, axis=-1) for one in zip(*parts, strict=True))
    outline = [Outline(box == 0, "edge of the box", style.GREEN)]
    picture = Panel(volume, "labeled a, with a box of unlabeled a", outlines=outline)
    alt = "One slice of a mix for several places of the box."
    figure = panels(
        [picture], title="Where may the box lie?", alt=alt, spacing=example.spacing, slices=range(BOX_STEPS),
        panel_height=330,
    )  # fmt: skip
    slider = figure.layout.sliders[0]
    slider.currentvalue.prefix = "corner of the box at voxel "
    for step, name in zip(slider.steps, names, strict=True):
        step.label = name
    return figure


def four_mixes(views: Views, example: Example, *, pair: int = 0) -> go.Figure:
    """The mixes that the student sees, with the edge of the box and the outline that each is to be given."""
    parts = []
    for name, outside, inside in _mixes(views):
        outlines = [
            Outline(_box(views) == 0, "edge of the box", style.GREEN),
            Outline(seen(views, f"target_{name}", pair)[0] > 0, "label or pseudo-label", style.REFERENCE, "dot"),
        ]
        image = seen(views, f"mix_{name}", pair)[0]
        parts.append(Panel(image, f"{WORDS[outside]}<br>with a box of {WORDS[inside]}", outlines=outlines))
    alt = "The mixed images of one batch with the edge of the box and the outline that each is to be given."
    title = "What does the student see, and what is it asked for?"
    return panels(parts, title=title, alt=alt, spacing=example.spacing, panel_height=220)


def pseudo_labels(views: Views, example: Example, *, pair: int = 0) -> go.Figure:
    """An unlabeled patch, the teacher's answer to it, that answer above the threshold, and its largest component."""
    count = example.batch.num_labeled
    image, p = seen(views, "image", count + pair)[0], seen(views, "teacher_probability", pair)
    answer, kept = (seen(views, name, pair)[0] > 0 for name in ("teacher_label", "pseudo_label"))
    focus = answer if answer.any() else None
    parts = [
        Panel(image, "unlabeled a", focus=focus),
        Panel(1.0 - p[0], "teacher's foreground", kind="probability"),
        Panel(image, "above the threshold", outlines=[Outline(answer, "teacher's answer", style.PREDICTION, "dot")]),
        Panel(image, "pseudo-label", outlines=[Outline(kept, "largest component", style.REFERENCE)]),
    ]
    title = f"What does the teacher make of a scan without a label?<br>{_dropped(answer, kept)}"
    alt = "An unlabeled patch, the teacher's probability, its thresholded answer, and the largest component of that."
    return panels(parts, title=title, alt=alt, spacing=example.spacing, columns=4, panel_height=220)


def reliable_regions(views: Views, example: Example, *, pair: int = 0) -> go.Figure:
    """Where labeled a (outside the box) and b (inside) are predicted wrong in a mix, and what is reliable after both.

    Orange: in the mixes, wrong voxels of the labeled side; in the last picture of a row, what is not reliable there.
    """
    parts = []
    box = _box(views)
    edge = Outline(box == 0, "edge of the box", style.GREEN)
    for half, own, side in (("a", "l_a", box), ("b", "l_b", 1 - box)):
        row = PARTS.index(own) * (example.batch.num_labeled // 2) + pair
        image, label = seen(views, "image", row)[0], seen(views, "label", row)[0]
        outlines = [Outline(label > 0, "label", style.REFERENCE, "dot"), edge]
        parts.append(Panel(image, WORDS[own], outlines=outlines))
        for name, *shown in _mixes(views):
            if own in shown:
                answer = hard_label(views[f"probability_{name}"].value[pair : pair + 1])[0].cpu().numpy()
                wrong = (answer != label) * side
                heading = f"wrong in {WORDS[shown[0]]}<br>with a box of {WORDS[shown[1]]}"
                parts.append(Panel(seen(views, f"mix_{name}", pair)[0], heading, outlines=outlines[:1], tint=wrong))
        reliable = seen(views, f"reliable_{half}", pair)[0]
        share = reliable.sum() / max(side.sum(), 1.0)
        heading = f"not reliable {'outside' if half == 'a' else 'inside'} the box<br>({100 * share:.1f} % reliable)"
        parts.append(Panel(image, heading, outlines=outlines[1:], tint=side - reliable))
    alt = "Wrong voxels of the labeled side of each mix, and the voxels that are not reliable after both mixes."
    title = "Where is the student right in every mix that shows a labeled voxel?"
    columns = len(parts) // 2
    return panels(parts, title=title, alt=alt, spacing=example.spacing, columns=columns, panel_height=220)


def what_counts(views: Views, example: Example, *, pair: int = 0) -> go.Figure:
    """The weight of every voxel of each mix in the loss: 1 on labeled sides, gamma or 0 on the others."""
    parts = [
        Panel(
            seen(views, f"weight_{name}", pair)[0],
            f"{WORDS[outside]}<br>with a box of {WORDS[inside]}",
            kind="weight",
            focus=_focus(seen(views, f"target_{name}", pair)[0] > 0),
        )
        for name, outside, inside in _mixes(views)
    ]
    alt = "Maps of the weight that each voxel of the four mixes has in the loss."
    title = "Which voxels does the student learn from, and how much?"
    return panels(parts, title=title, alt=alt, spacing=example.spacing, panel_height=220)


def trusted_and_true(views: Views, example: Example, dataset: Dataset, config: Configuration) -> dict[str, float]:
    """How many pseudo-labeled voxels are wrong, in % of the trusted voxels and of the others.

    The truth comes from the data set, by case and corner: no batch has it, so no method can use it. NaN where there
    are no such voxels or the data set keeps no label.
    """
    trusted = (views["reliable_a"].value + views["reliable_b"].value)[:, 0].cpu().numpy() > 0
    wrong: dict[bool, list[np.ndarray]] = {True: [], False: []}
    view = views["pseudo_label"]
    for row, name in enumerate(view.case):
        case = dataset.load(config.grid.case_of(name))
        if case.label is None:
            continue
        bank = VolumeBank([case], num_classes=dataset.num_classes, **vars(config.grid))
        mistakes = (view.value[row, 0].cpu() != truth_of(view, row, bank).long()).numpy()
        for which in (True, False):
            wrong[which].append(mistakes[trusted[row % len(trusted)] == which])
    parts = {which: np.concatenate(found) if found else np.zeros(0) for which, found in wrong.items()}
    share = {which: 100 * float(found.mean()) if found.size else float("nan") for which, found in parts.items()}
    return {"trusted": share[True], "others": share[False]}


def pair_with_most(views: Views) -> int:
    """The number of the pair whose pseudo-labels and labels have the most foreground in the mixes."""
    targets = [views[f"target_{name}"].value for name, *_ in _mixes(views)]
    return int(torch.stack([(one > 0).flatten(1).float().mean(1) for one in targets]).sum(0).argmax())


def _mixes(views: Views) -> Iterator[tuple[str, str, str]]:
    """(name, outside, inside) of the mixes that were made."""
    return ((name, *pair) for name, pair in MIXES.items() if f"mix_{name}" in views)


def _box(views: Views) -> np.ndarray:
    """M, the same for every sample: 0 inside the box."""
    return seen(views, "box", 0)[0]


def _focus(mask: np.ndarray) -> np.ndarray | None:
    return mask if mask.any() else None


def _dropped(answer: np.ndarray, kept: np.ndarray) -> str:
    count = int(answer.sum() - kept.sum())
    return f"the largest component leaves out {count} of {int(answer.sum())} foreground voxels"


def _square(figure: go.Figure, x: tuple[float, float], y: tuple[float, float], colour: str) -> None:
    """A pale square that hides what is under it."""
    shape = {"type": "rect", "x0": x[0], "x1": x[1], "y0": y[0], "y1": y[1], "layer": "below"}
    figure.add_shape(**shape, line={"color": "white", "width": 3}, fillcolor="white")
    figure.add_shape(**shape, line={"width": 0}, fillcolor=colour, opacity=0.5)
