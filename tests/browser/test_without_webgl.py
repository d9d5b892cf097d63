"""A browser without WebGL: what is three-dimensional in an explorer is a still, and it follows the controls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.cells import explorer, notebook, run_cell
from tests.browser.explorer_subjects import SUBJECTS
from tests.browser.jupyterlab import headless_chromium
from widgets import style

pytestmark = pytest.mark.browser

SECONDS = 200
HAS_WEBGL = "() => Boolean(document.createElement('canvas').getContext('webgl'))"
# How many colours a picture has, and the share of its pixels that are as red, green and blue as shades of a colour.
LOOK = """async (image, [red, green, blue]) => {
  const picture = new Image();
  picture.src = image.getAttribute('href');
  await picture.decode();
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
  const context = canvas.getContext('2d');
  context.fillStyle = 'white';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  let near = 0;
  for (let n = 0; n < data.length; n += 4) {
    const pixel = [data[n], data[n + 1], data[n + 2]];
    colours.add(pixel.join());
    const order = (values) => [0, 1, 2].sort((a, b) => values[a] - values[b]).join();
    near += Math.max(...pixel) - Math.min(...pixel) > 40 && order(pixel) === order([red, green, blue]);
  }
  return { colours: colours.size, share: (4 * near) / data.length };
}"""


@pytest.fixture(scope="module")
def browser(require: Callable[[str, str], None]) -> Iterator[Any]:
    """A Chromium without WebGL, in the place of the one that other tests drive."""
    require("playwright", "pip install playwright")
    require("chromium", "apt-get install chromium fonts-dejavu-core")
    with headless_chromium(webgl=False) as chromium:
        yield chromium


@pytest.mark.parametrize(("name", "slider"), [("distance", "level of s"), ("overlap", "first crop, x")])
def test_surfaces_and_boxes_are_drawn_as_a_still_that_follows_the_controls(
    name: str, slider: str, open_notebook: Callable[..., Any], tmp_path: Path, artifacts: Path
) -> None:
    opened = open_notebook(notebook(tmp_path, "\n".join(SUBJECTS[name].cells()[:3])), f"{name}-without-webgl")
    assert not opened.page.evaluate(HAS_WEBGL)
    run_cell(opened, 0)
    still = explorer(opened).locator(".ssmis-chart image")
    opened.wait_for(lambda: still.count() == 1, SECONDS, "the still")
    chart = explorer(opened).locator(".ssmis-chart").filter(has=opened.page.locator("image"))
    assert "this browser has no WebGL" in chart.inner_text() and chart.locator(".no-webgl").count() == 0
    box, frame = still.bounding_box(), chart.locator(".js-plotly-plot").bounding_box()
    assert box["width"] > 0.6 * frame["width"] and box["height"] > 0.4 * frame["height"]
    wanted = [int(style.PREDICTION[n : n + 2], 16) for n in (1, 3, 5)]
    seen = still.evaluate(LOOK, wanted)
    assert seen["colours"] > 100 and seen["share"] > 0.005, seen
    before = still.get_attribute("href")
    explorer(opened).locator(".widget-slider", has_text=slider).locator(".noUi-handle").focus()
    opened.page.keyboard.press("ArrowRight" if name == "distance" else "ArrowLeft")
    opened.wait_for(lambda: still.get_attribute("href") != before, SECONDS, "another still")
    chart.scroll_into_view_if_needed()
    chart.screenshot(path=artifacts / f"{name}-without-webgl.png")
    assert opened.traffic.outside() == [] and opened.traffic.ours() == []
