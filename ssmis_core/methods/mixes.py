"""The mixes of the copy-paste methods: which images a batch has, and what each mix shows on the two sides of a box."""

from __future__ import annotations

from torch import Tensor

from ssmis_core.batches import Batch
from ssmis_core.errors import UserError
from ssmis_core.losses import probabilities
from ssmis_core.views import Views

# The four images of a batch, labeled (l) and unlabeled (u) ones, and what each mix shows (outside, inside) the box.
# BCP has the first two, and the third as its first stage; CPAM has all.
PARTS = ("l_a", "l_b", "u_a", "u_b")
MIXES = {"l_u": ("l_a", "u_a"), "u_l": ("u_b", "l_b"), "l_l": ("l_a", "l_b"), "u_u": ("u_a", "u_b")}
ByName = dict[str, Tensor]  # of an image, a target or an answer, by its part or mix


def check_halves(labeled: int, unlabeled: int) -> None:
    """Raise UserError unless both kinds of samples can be halved into a and b that pair up."""
    if labeled != unlabeled or labeled < 2 or labeled % 2:
        raise UserError(
            f"labeled_per_batch={labeled}, unlabeled_per_batch={unlabeled}: copy-paste pairs half of each with the "
            "other, expected the same even number of both, 2 or more"
        )


def keep_mix(views: Views, batch: Batch, name: str, x: Tensor, target: Tensor, logits: Tensor, weight: Tensor) -> None:
    """A mix as views, placed like its outside image: what is seen, asked for and answered, and what counts."""
    first = PARTS.index(MIXES[name][0]) * len(x)
    rows = range(first, first + len(x))
    views.keep("image", batch, 0, rows, **{f"mix_{name}": x})
    views.keep("label", batch, 0, rows, **{f"target_{name}": target[:, None]})
    views.keep("probability", batch, 0, rows, **{f"probability_{name}": probabilities(logits)})
    views.keep("mask", batch, 0, rows, **{f"weight_{name}": weight})
