"""Explorers in JupyterLab: each control by mouse and keyboard, pictures and numbers follow, nothing leaves the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch

from ssmis_core import open_dataset
from widgets.adversarial_explorer import explore_adversarial
from widgets.copy_paste_explorer import explore_copy_paste
from widgets.distance_explorer import explore_distance
from widgets.explorer import Explorer, told
from widgets.metric_explorer import explore_metrics
from widgets.scene import Scene
from widgets.separation_explorer import explore_separation
from widgets.translation_explorer import explore_translation
from widgets.uncertainty_explorer import explore_uncertainty

pytestmark = pytest.mark.browser

SMALL: dict[str, Any] = {"patch": (32, 32, 32), "stride": (32, 32, 32), "factor": 1, "filters": 4, "iterations": 20}
SETTINGS = {"labeled": 4, "dataset_options": {"size": 32}, **SMALL}
CASE = "phantom-090"
SECONDS = 200


@dataclass(frozen=True)
class Subject:
    """An explorer: its function, the method that it looks at, its viewers, and what an arrow key makes of each slider.

    method: None for one that looks at the data alone. overlay: a map of its first viewer; charts: how many it has;
    still: sliders that leave all slices as they are. settings: of the method, beside those that all have.
    """

    function: Callable[..., Explorer]
    method: str | None
    viewers: int
    sliders: dict[str, float]
    overlay: str
    charts: int = 0
    still: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def all_settings(self) -> dict[str, Any]:
        return {**SETTINGS, **self.settings}

    def subject(self) -> str:
        """Python for what the explorer is given first."""
        if self.method is None:
            return f"open_dataset('phantom', **{self.all_settings['dataset_options']!r})"
        return f"Scene.untrained({self.method!r}, **{self.all_settings!r})"

    def cells(self) -> list[str]:
        name = self.function.__name__
        return [
            f"from {self.function.__module__} import {name}",
            "from ssmis_core import open_dataset\nfrom widgets.scene import Scene",
            f"shown = {name}({self.subject()}, {CASE!r})\nshown",
            "print([one.cursor for one in shown.viewers], shown.viewers[0].window)",
        ]

    def direct(self) -> Explorer:
        """The same explorer here, without a browser."""
        given = eval(self.subject(), {"Scene": Scene, "open_dataset": open_dataset})  # the text that the notebook runs
        return self.function(given, CASE)


SUBJECTS = {
    "noise": Subject(
        explore_adversarial, "ssnet", 2, {"epsilon": 10.5, "xi": 10**1.25, "power_iterations": 2, "seed": 1}, "noise"
    ),
    "certainty": Subject(explore_uncertainty, "ugmcl", 1, {"passes": 3, "noise": 0.15, "t": 18, "seed": 1}, "entropy"),
    "separation": Subject(
        explore_separation,
        "ssnet",
        1,
        {"voxels": 1100, "seed": 1},
        "distance",
        charts=1,
        still=("voxels",),
    ),
    "distance": Subject(explore_distance, "ugmcl", 2, {"level": 0.02, "k": 2000.0}, "distance", charts=2, still=("k",)),
    "overlap": Subject(
        explore_translation,
        "tracoco",
        2,
        {
            **{"first_x": 8, "first_y": 7, "first_z": 8, "second_x": 5, "second_y": 3, "second_z": 8},
            **{"positive": 0.66, "negative": 0.11, "noise": 0.1, "seed": 1},
        },
        "KL",
        charts=1,
        still=("negative",),
        settings={"patch": (16, 16, 16), "stride": (16, 16, 16), "min_overlap": 4},
    ),
    "mixes": Subject(
        explore_copy_paste,
        "cpam_trcm",
        2,
        {"share": 0.7, "box_x": 9, "box_y": 5, "box_z": 8, "gamma": 0.55, "threshold": 0.51, "seed": 1},
        "box",
        still=("gamma", "threshold"),
        settings={"box": 0.65},
    ),
    "metrics": Subject(
        explore_metrics,
        None,
        1,
        {
            **{"shift_x": 1, "shift_y": 1, "shift_z": 1, "grow": 1, "blob": 3},
            **{"place_x": 95, "place_y": 95, "place_z": 55, "hole": 1, "branches": 1, "cut": 5},
            **{"spacing_x": 2.625, "spacing_y": 2.625, "spacing_z": 2.625},
        },
        "error",
        charts=1,
    ),
}
# Where the first point of a chart lies on the page, and what all points say.
POINT = """plot => {
  const { xaxis, yaxis } = plot._fullLayout;
  const { x, y } = plot.calcdata.find((points, trace) => plot.data[trace].text && Number.isFinite(points[0].x))[0];
  const texts = plot.data.flatMap(trace => trace.text ?? []);
  return [xaxis._offset + xaxis.d2p(x), yaxis._offset + yaxis.d2p(y), texts];
}"""
CANVASES = "canvases => canvases.map(canvas => canvas.toDataURL())"


@pytest.fixture(scope="module", params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Subject:
    return SUBJECTS[request.param]


@pytest.fixture(scope="module")
def opened(
    subject: Subject, open_notebook: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, artifacts: Path
) -> Iterator[Any]:
    """A notebook with the explorer in it, every cell run."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in subject.cells()])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    name = subject.function.__name__
    path = tmp_path_factory.mktemp("made") / "explorer.ipynb"
    nbformat.write(notebook, path)
    opened = open_notebook(path, name)
    opened.menu("Run", "Run All Cells")
    opened.wait_for(lambda: opened.ran(opened.code()), 2 * SECONDS, "all cells to run")
    opened.wait_for(lambda: len(pictures(opened)) == 3 * subject.viewers, SECONDS, "the planes")
    opened.wait_for(lambda: len(charts(opened)) == subject.charts, SECONDS, "the charts")
    settled(opened)
    yield opened
    opened.page.screenshot(path=artifacts / f"{name}.png")


def explorer(opened: Any) -> Any:
    return opened.page.locator(".ssmis-explorer")


def pictures(opened: Any) -> list[str]:
    """What the planes show: those of the first viewer, then those of the second."""
    return explorer(opened).locator("canvas.ssmis-canvas").evaluate_all(CANVASES)


def settled(opened: Any) -> list[str]:
    """The pictures once they have stopped changing: layers come one after the other."""
    seen: list[list[str]] = [pictures(opened)]

    def still() -> bool:
        opened.page.wait_for_timeout(500)
        seen.append(pictures(opened))
        return seen[-1] == seen[-2]

    opened.wait_for(still, SECONDS, "the pictures to settle")
    return seen[-1]


def numbers(opened: Any) -> dict[str, str]:
    cells = explorer(opened).locator("td[data-name]")
    return {cell.get_attribute("data-name"): cell.inner_text() for cell in cells.all()}


def ask(opened: Any) -> str:
    """What the kernel knows of crosshairs and window."""
    number = opened.code()[-1]
    opened.select(number)
    before = opened.prompt(number)
    opened.page.keyboard.press("Control+Enter")
    opened.wait_for(lambda: opened.prompt(number) not in (before, "[*]"), SECONDS, "the answer of the kernel")
    return str(opened.cell(number).locator(".jp-OutputArea-output").inner_text()).strip()


def charts(opened: Any) -> list[int]:
    """How often each chart was drawn."""
    drawn = (
        explorer(opened).locator(".ssmis-chart[data-drawn]").evaluate_all("all => all.map(one => one.dataset.drawn)")
    )
    return [int(count) for count in drawn]


def readouts(opened: Any) -> list[str]:
    return [re.sub(r";.*", "", text) for text in explorer(opened).locator(".ssmis-readout").all_inner_texts()]


def test_numbers_are_those_of_the_core_and_each_slider_moves_them_by_keyboard(opened: Any, subject: Subject) -> None:
    torch.set_num_threads(1)  # as in the kernel: the order of sums decides about single voxels
    direct = subject.direct()
    assert numbers(opened) == {name: told(value) for name, value in direct.numbers.items()}
    for position, (name, value) in enumerate(subject.sliders.items()):
        before, shown, drawn = numbers(opened), settled(opened), charts(opened)
        explorer(opened).locator(".widget-slider .noUi-handle").nth(position).focus()
        opened.page.keyboard.press("ArrowRight" if value > direct.controls[name].value else "ArrowLeft")
        direct.controls[name].value = value
        wanted = {key: told(number) for key, number in direct.numbers.items()}
        assert wanted != before
        opened.wait_for(lambda wanted=wanted: numbers(opened) == wanted, SECONDS, f"the numbers after {name} moved")
        redrawn = [count + 1 for count in drawn]
        opened.wait_for(lambda redrawn=redrawn: charts(opened) == redrawn, SECONDS, f"the charts after {name} moved")
        if name not in subject.still:
            opened.wait_for(lambda shown=shown: pictures(opened) != shown, SECONDS, f"the pictures after {name} moved")
    direct.close()


def test_another_case_is_shown(opened: Any) -> None:
    shown = settled(opened)
    explorer(opened).locator("select").first.select_option("phantom-085")
    opened.wait_for(lambda: all(a != b for a, b in zip(pictures(opened), shown, strict=True)), SECONDS, "another case")


def test_charts_say_what_they_show_and_a_click_on_a_voxel_goes_there(opened: Any, subject: Subject) -> None:
    shown = explorer(opened).locator(".ssmis-chart")
    assert shown.count() == subject.charts
    for chart in shown.all():
        assert chart.get_attribute("aria-label") and chart.locator(".main-svg").count()
    if subject.function is not explore_separation:
        return
    plot, before = shown.locator(".js-plotly-plot"), readouts(opened)
    plot.scroll_into_view_if_needed()
    x, y, texts = plot.evaluate(POINT)
    plot.click(position={"x": x, "y": y})
    opened.wait_for(lambda: readouts(opened) != before, SECONDS, "another crosshair")
    (told_of,) = re.findall(r"voxel \(.*?\)", readouts(opened)[0])
    assert any(text.startswith(told_of) for text in texts)


def test_the_wheel_scrolls_linked_viewers_and_the_kernel_hears_of_it(opened: Any, subject: Subject) -> None:
    shown, before = settled(opened), readouts(opened)
    assert len(before) == subject.viewers and len(set(before)) == 1
    opened.page.locator("canvas[data-plane=axial]").first.hover()
    opened.page.mouse.wheel(0, -100)
    opened.wait_for(lambda: not set(readouts(opened)) & set(before), 5, "another slice")
    changed = [a != b for a, b in zip(settled(opened), shown, strict=True)]
    assert changed == [True, False, False] * subject.viewers
    (told_of,) = {place for text in readouts(opened) for place in re.findall(r"voxel \((.*?)\)", text)}
    assert ask(opened).startswith(f"[{', '.join([f'[{told_of}]'] * subject.viewers)}]")


def test_a_click_sets_the_crosshair_and_keys_move_it(opened: Any) -> None:
    canvas = explorer(opened).locator("canvas[data-plane=axial]").first
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 0.27, "y": box["height"] * 0.27})
    opened.wait_for(lambda: "voxel (8, 23," in readouts(opened)[0], 5, "the crosshair where the click was")
    for key, wanted in (("ArrowRight", "voxel (9, 23,"), ("ArrowDown", "voxel (9, 22,")):
        opened.page.keyboard.press(key)
        opened.wait_for(lambda wanted=wanted: wanted in readouts(opened)[0], 5, f"the crosshair after {key}")
    before = readouts(opened)[0]
    opened.page.keyboard.press("PageUp")
    opened.wait_for(lambda: readouts(opened)[0] != before, 5, "another slice after PageUp")


def test_overlays_and_window_change_the_picture_without_the_kernel(opened: Any, subject: Subject) -> None:
    viewer = explorer(opened).locator(".ssmis-viewer").first
    row = f'[data-layer="{subject.overlay}"]'
    canvas = viewer.locator("canvas[data-plane=axial]")

    def picture() -> str:
        return str(canvas.evaluate("canvas => canvas.toDataURL()"))

    for what, change in {
        "hidden overlays": lambda: (canvas.focus(), opened.page.keyboard.press("o")),
        "overlays again": lambda: (canvas.focus(), opened.page.keyboard.press("o")),
        "a map taken away": lambda: viewer.locator(f"{row} .ssmis-visible").click(),
        "the map again": lambda: viewer.locator(f"{row} .ssmis-visible").click(),
        "its opacity": lambda: viewer.locator(f"{row} .ssmis-opacity").fill("0.1"),
        "the level": lambda: viewer.locator(".ssmis-level").fill("0"),
        "the width": lambda: viewer.locator(".ssmis-width").fill("1"),
    }.items():
        before = picture()
        change()
        opened.wait_for(lambda before=before: picture() != before, 5, f"another picture: {what}")
    opened.page.wait_for_timeout(300)
    low, high = (float(v) for v in ask(opened).rsplit("[", 1)[1].rstrip("]").split(","))
    assert high - low == pytest.approx(1.0, abs=0.1) and (low + high) / 2 == pytest.approx(0.0, abs=0.1)


def test_planes_have_names_for_readers_who_do_not_see_them(opened: Any) -> None:
    for canvas in explorer(opened).locator("canvas.ssmis-canvas").all():
        assert re.match(r".+: (axial|coronal|sagittal), [xyz] = \d+ of \d+", canvas.get_attribute("aria-label"))
    for slider in explorer(opened).locator("input[type=range]").all():
        assert slider.get_attribute("aria-label")


def test_nothing_is_asked_of_another_machine_and_the_console_is_quiet(opened: Any) -> None:
    assert opened.traffic.outside() == [] and opened.traffic.ours() == []
