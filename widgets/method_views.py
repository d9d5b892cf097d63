"""Everything that a method saw of one sample in one figure, whatever the method: for those without an explorer."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from ssmis_core.errors import UserError
from ssmis_core.views import View, Views
from widgets import style
from widgets.replay import Example, array, foreground
from widgets.slices import Outline, Panel, panels

PLAIN = {"image": "image", "distance": "distance", "noise": "noise", "uncertainty": "uncertainty"}


def every_view(views: Views, example: Example, *, sample: int, title: str = "What did the method see?") -> go.Figure:
    """A panel for each view that lies on a sample of the batch: an image, a probability, a mask on the image, ...

    views: of `widgets.replay.look`; sample: number in the batch, labeled ones first. Features, and what lies on no
    patch, are left out. Raises UserError for a sample without a view that can be drawn.
    """
    found = {name: row for name, view in views.items() if (row := row_of(view, sample)) is not None}
    parts = []
    for name, row in sorted(found.items(), key=lambda item: item[0] != "image"):
        view, told, image = views[name], name.replace("_", " "), under(name, views, sample)
        if view.kind in PLAIN:
            parts.append(Panel(array(view, row)[0], told, kind=PLAIN[view.kind]))
        elif view.kind == "probability":
            parts.append(Panel(foreground(view, row), told, kind="probability"))
        elif view.kind == "mask" and image is not None:
            parts.append(Panel(image, told, tint=array(view, row)[0] > 0))
        elif view.kind == "label" and image is not None:
            label = array(view, row)[0]
            pens = style.class_colours(max(2, int(view.value.max()) + 1))
            outlines = [Outline(label == k, f"class {k}", colour) for k, colour in enumerate(pens, start=1)]
            parts.append(Panel(image, told, outlines=outlines))
    if not parts:
        raise UserError(f"every_view: nothing to draw lies on sample {sample} of {len(example.batch.image)}")
    alt = f"Views of one sample: {', '.join(part.title for part in parts)}."
    return panels(parts, title=title, alt=alt, spacing=example.spacing, columns=min(4, len(parts)), panel_height=190)


def under(name: str, views: Views, sample: int) -> np.ndarray | None:
    """The image that a mask or label lies on: that of its own name, else the sample's.

    Of "strong_1_label" that is "strong_1_image", of "target_l_u" it is "mix_l_u".
    """
    for image in (f"{name.rpartition('_')[0]}_image", f"mix_{name.partition('_')[2]}", "image"):
        row = row_of(views[image], sample) if image in views else None
        if row is not None:
            return array(views[image], row)[0]
    return None


def row_of(view: View, sample: int) -> int | None:
    """The row of a view that lies on a sample of the batch; None where it has none."""
    return view.rows.index(sample) if sample in view.rows else None
