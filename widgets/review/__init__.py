"""Judge a run's predictions case by case in napari, flag them, note what is wrong, and correct labels.

from widgets.review import review
review("runs/mine")

What is seen and written is made without a window (`Review`, `case_layers`, `view_layers`); napari and Qt are imported
where a window is opened, and nowhere else.
"""

from widgets.review.start import review

__all__ = ["review"]
