"""Explorers in JupyterLab: each control by mouse and keyboard, pictures and numbers follow, nothing leaves the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch

from tests.browser.explorer_subjects import SUBJECTS, Subject
from widgets.explorer import Explorer, told
from widgets.separation_explorer import explore_separation

pytestmark = pytest.mark.browser

SECONDS = 200
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


def ask(opened: Any, cell: int = -1) -> str:
    """What the kernel knows of crosshairs and window; cell -2: of the controls."""
    number = opened.code()[cell]
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


def room_above(opened: Any) -> bool:
    """Whether there is a slice above the axial one that is shown."""
    slider = explorer(opened).locator(".ssmis-slice").first
    return bool(slider.evaluate("slider => Number(slider.value) < Number(slider.max)"))


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


def take_over(direct: Explorer, controls: dict[str, Any]) -> None:
    """Set the controls of an explorer beside the page to those of the page's."""
    for _ in range(2):  # how far some sliders go follows others
        for name, value in controls.items():
            direct.controls[name].value = value


def shows(opened: Any, direct: Explorer) -> bool:
    """Whether the page has the numbers of an explorer beside it."""
    return numbers(opened) == {name: told(value) for name, value in direct.numbers.items()}


def drag(opened: Any, slider: Any) -> None:
    """Drag a slider to the other half of its rail."""
    slider.scroll_into_view_if_needed()
    handle, rail = (slider.locator(part).bounding_box() for part in (".noUi-handle", ".noUi-target"))
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    share = 0.3 if x > rail["x"] + rail["width"] / 2 else 0.7
    opened.page.mouse.move(x, y)
    opened.page.mouse.down()
    opened.page.mouse.move(rail["x"] + share * rail["width"], y, steps=4)
    opened.page.mouse.up()


def test_every_slider_is_dragged_and_all_else_is_chosen_and_ticked(opened: Any, subject: Subject) -> None:
    part, first, direct = explorer(opened), json.loads(ask(opened, -2)), subject.direct()
    take_over(direct, first)
    for position, name in enumerate(subject.sliders):
        drag(opened, part.locator(".widget-slider").nth(position))
        opened.wait_for(
            lambda name=name: json.loads(ask(opened, -2))[name] != first[name], SECONDS, f"{name} to be dragged"
        )
        take_over(direct, json.loads(ask(opened, -2)))
        opened.wait_for(lambda: shows(opened, direct), SECONDS, f"the numbers after {name} was dragged")
    for one in part.locator("select").all()[1:]:  # the first one is the case
        if one.locator("option").count() == 1:
            continue
        at = one.evaluate("select => select.selectedIndex")
        one.select_option(index=at - 1 if at else 1)
    for one in part.locator(".widget-checkbox input").all():
        was = one.is_checked()
        one.click()
        one.press("Space")
        one.press("Space")
        assert one.is_checked() != was
    opened.page.wait_for_timeout(500)
    opened.wait_idle(SECONDS)
    now = json.loads(ask(opened, -2))
    left = {name for name, one in direct.controls.items() if name == "case" or len(getattr(one, "options", "--")) == 1}
    assert [name for name in first if name not in left and now[name] == first[name]] == []
    take_over(direct, now)
    opened.wait_for(lambda: shows(opened, direct), SECONDS, "the numbers of all controls together")
    direct.close()


def test_another_case_is_shown(opened: Any) -> None:
    shown = settled(opened)
    explorer(opened).locator("select").first.select_option("phantom-085")
    # A mix need not show the case itself, so one plane that changed is enough.
    opened.wait_for(lambda: pictures(opened) != shown, SECONDS, "another case")
    assert json.loads(ask(opened, -2))["case"] == "phantom-085"


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
    opened.page.mouse.wheel(0, -100 if room_above(opened) else 100)
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
    opened.page.keyboard.press("PageUp" if room_above(opened) else "PageDown")
    opened.wait_for(lambda: readouts(opened)[0] != before, 5, "another slice after PageUp or PageDown")


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


def test_the_cell_runs_again_and_one_explorer_is_there(opened: Any, subject: Subject) -> None:
    number = opened.code()[-3]
    before = opened.prompt(number)
    opened.select(number)
    opened.page.keyboard.press("Control+Enter")
    opened.wait_for(lambda: opened.prompt(number) not in (before, "[*]"), SECONDS, "the cell to run again")
    opened.wait_for(lambda: len(pictures(opened)) == 3 * subject.viewers, SECONDS, "the planes of the new one alone")
    settled(opened)
    assert explorer(opened).count() == 1 and opened.errors() == []


def test_nothing_is_asked_of_another_machine_and_the_console_is_quiet(opened: Any) -> None:
    assert opened.traffic.outside() == [] and opened.traffic.ours() == []
