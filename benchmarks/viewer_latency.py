"""How long a reader waits in JupyterLab, and what a kernel with one explorer holds.

    python benchmarks/viewer_latency.py --dataset la --data-root DIR --out benchmarks/results/viewer_latency_la.csv

Explorers look at the trained samples; at an untrained network of the same preset where there is no sample. Each is
opened in a JupyterLab and a kernel of its own, in headless Chromium (`pip install -e '.[all,test]'`,
`apt-get install chromium`), and driven there. Milliseconds go from the wheel's or the key's event to the frame after
the one that is drawn with the answer, in the browser's clock; beside a control that needs the network stands the same
call of the method's loss in the same kernel, before and after. `with_charts_ms` is until the charts are drawn too,
which planes and numbers do not wait for. Memory is the kernel's proportional set size (a page
that n processes share counts for 1/n) and its highest resident size: after all that, and again after so many more
cases were opened that the kernel keeps as many as it ever does. Beside it stands how many such kernels 24 GiB hold.
`taken_by_others_percent` is the share of the processors that a virtual machine's host gave to others meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from machine import machine, one_line, positive, processor_time

from ssmis_core.datasets import open_dataset
from ssmis_core.files import write_csv
from ssmis_core.samples import samples

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a script's own folder is all that Python looks in
from tests.browser.jupyterlab import OpenNotebook, headless_chromium, open_in_page, running_lab

VERSIONS = ("torch", "jupyterlab", "ipywidgets", "anywidget", "playwright")
TIMES = ("count", "median_ms", "p90_ms", "bare_ms", "with_charts_ms")
MEASURED = (*TIMES, "pss_mb", "peak_rss_mb", "kernels_in_24_gib")
SECONDS = 600  # for anything that the page does
STEPS = 5  # slices to scroll before turning back


@dataclass(frozen=True)
class Subject:
    """An explorer: its module and function, the method of its sample, and what a move of its seed asks the core for.

    core: Python for that with `scene`, `example` and `o` (the method's options); "" where the seed asks for nothing.
    given: Python for its first argument; cases, choose: Python for the cases that it can open, and to open `one`.
    """

    module: str
    function: str
    method: str
    core: str = ""
    given: str = "run"
    cases: str = 'shown.controls["case"].options'
    choose: str = 'shown.controls["case"].value = one'


SUBJECTS = {
    "certainty": Subject("uncertainty_explorer", "explore_uncertainty", "ugmcl", "scene.look(example)"),
    "noise": Subject(
        "adversarial_explorer",
        "explore_adversarial",
        "ssnet",
        "scene.look(example, dropout=False); random_like(scene, example, o.epsilon, dropout=False)",
    ),
    "separation": Subject(
        "separation_explorer",
        "explore_separation",
        "ssnet",
        "scene.look(example, dropout=False, large=True, smoothness=False)",
    ),
    "overlap": Subject(
        "translation_explorer", "explore_translation", "tracoco", "scene.look(example, dropout=False, cutmix='none')"
    ),
    "mixes": Subject("copy_paste_explorer", "explore_copy_paste", "cpam_trcm", "scene.look(example, dropout=False)"),
    "distance": Subject("distance_explorer", "explore_distance", "ugmcl"),
    "metrics": Subject("metric_explorer", "explore_metrics", "ugmcl", given="dataset"),
    "cases": Subject("case_browser", "browse_cases", "ugmcl", cases="shown.cases", choose="shown.show_case(one)"),
}
EVALUATED = ("cases",)  # explorers of scores, which an untrained network has none of

# Notes when the planes or the numbers that follow an event are on the screen, in `ssmis.times`.
LISTEN = """explorer => {
  const viewers = [...explorer.querySelectorAll('.ssmis-viewer')];
  const table = explorer.querySelector('.ssmis-numbers').parentElement;
  const charts = [...explorer.querySelectorAll('.ssmis-chart')];
  const state = { times: [], charts: [], began: 0, waiting: new Set(), drawing: new Set(), numbers: false };
  window.ssmis = state;
  const done = (frames, times) => frames
    ? requestAnimationFrame(() => done(frames - 1, times))
    : times.push(performance.now() - state.began);
  document.addEventListener('wheel', event => {
    [state.began, state.waiting] = [event.timeStamp, new Set(viewers)];
  }, true);
  document.addEventListener('keydown', event => {
    [state.began, state.numbers, state.drawing] = [event.timeStamp, true, new Set(charts)];
  }, true);
  for (const viewer of viewers) {
    new MutationObserver(() => {
      if (state.waiting.delete(viewer) && !state.waiting.size) done(1, state.times);
    }).observe(viewer, { attributes: true, attributeFilter: ['data-drawn'] });
  }
  for (const chart of charts) {
    new MutationObserver(() => {
      if (state.drawing.delete(chart) && !state.drawing.size) done(1, state.charts);
    }).observe(chart, { attributes: true, attributeFilter: ['data-drawn'] });
  }
  new MutationObserver(() => {
    if (!state.numbers) return;
    state.numbers = false;
    done(2, state.times); // numbers come after the layers; planes are drawn in the next frame
  }).observe(table, { childList: true });
}"""


@one_line
def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    open_dataset(options.dataset, options.data_root)  # before a browser waits for an explorer that cannot come
    rows = []
    for name in options.explorers:
        subject = SUBJECTS[name]
        trained = f"{options.dataset}/{subject.method}" in samples()
        if name in EVALUATED and not trained:
            print(f"viewer_latency: {name}: there is no sample {options.dataset}/{subject.method}", file=sys.stderr)
            continue
        measured = measure(name, subject, options, trained=trained)
        rows += measured
        write_csv(options.out, rows)
        for one in measured:
            print({key: one[key] for key in ("explorer", "what", *MEASURED) if one[key] != ""}, flush=True)
    return 0 if rows else 2


def measure(name: str, subject: Subject, options: argparse.Namespace, *, trained: bool) -> list[dict[str, Any]]:
    """The rows of one explorer. trained: on the sample, else on an untrained network."""
    source = cells(subject, options, trained=trained)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in source])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    before = processor_time()
    with tempfile.TemporaryDirectory(prefix="latency-") as folder:
        home, root = Path(folder) / "home", Path(folder) / "notebooks"
        with running_lab(home, root, threads=options.threads) as lab, headless_chromium() as browser:
            opened = open_in_page(lab, browser, notebook, name)
            chromium = browser.version
            run(opened, 0)
            run(opened, 1)
            explorer = opened.page.locator(".ssmis-explorer")
            explorer.locator("canvas.ssmis-canvas").first.wait_for(state="visible", timeout=1000 * SECONDS)
            explorer.locator(".ssmis-numbers").wait_for(state="visible", timeout=1000 * SECONDS)
            opened.wait_idle(SECONDS)
            opened.page.wait_for_timeout(2000)  # layers are still on their way
            explorer.evaluate(LISTEN)
            scrolled = scroll(opened, options.scrolls)
            bare = run(opened, 3)["milliseconds"] if subject.core else []
            moved, charted = move_seed(opened, options.moves) if subject.core else ([], [])
            bare += run(opened, 3)["milliseconds"] if subject.core else []  # on both sides: the machine's speed changes
            first = run(opened, 2)
            more = run(opened, 4)
    here = {**machine(VERSIONS, threads=options.threads), "chromium": chromium, "dataset": options.dataset}
    here |= {"explorer": name, "weights": "sample" if trained else "untrained"}
    stolen, ticks = (now - then for now, then in zip(processor_time(), before, strict=True))
    here["taken_by_others_percent"] = round(100 * stolen / ticks) if ticks else ""
    here["volume"] = " ".join(map(str, first["shape"]))
    rows = [row(here, "scroll a slice", scrolled)]
    if moved:
        rows.append(row(here, "move the seed, which needs the network", moved, bare=bare, charted=charted))
    rows.append(row(here, "memory of the kernel", memory=first))
    return [*rows, row(here, f"memory after {options.cases} more cases", memory=more)]


def cells(subject: Subject, options: argparse.Namespace, *, trained: bool) -> list[str]:
    """The notebook: open the sample, show the explorer, tell the memory, call the core alone, open more cases."""
    sample = f"{options.dataset}/{subject.method}"
    opening = f"run = open_sample({sample!r})"
    if not trained:
        opening = f"run = Scene.untrained({subject.method!r}, dataset=dataset, data_root=data_root)"
    core = f"""
import time
from widgets.scene import scene_of
from widgets.adversarial_explorer import random_like
scene, times = scene_of(run, data_root=data_root), []
o, case = scene.method.options, shown.controls["case"].value
for seed in range(1, {options.moves} + 2):
    example = scene.example(case, seed=seed)
    began = time.perf_counter()
    {subject.core}
    times.append(1000 * (time.perf_counter() - began))
del scene, example
print(json.dumps({{"milliseconds": times[1:]}}))"""
    memory = """
import re
def tell():
    pss = int(re.search(r"^Pss: +(\\d+)", open("/proc/self/smaps_rollup").read(), re.M)[1]) / 1024
    peak = int(re.search(r"^VmHWM:\\s+(\\d+)", open("/proc/self/status").read(), re.M)[1]) / 1024
    shape = [n for n in shown.viewers[0].shape if n > 1]
    print(json.dumps({"pss_mb": round(pss), "peak_rss_mb": round(peak), "shape": shape}))
tell()"""
    more = f"""
for one in list({subject.cases})[-{options.cases}:]:
    {subject.choose}
tell()"""
    look = f"from widgets.{subject.module} import {subject.function}"
    names = f"dataset, data_root = {options.dataset!r}, {options.data_root!r}"
    parts = "import json", "from ssmis_core.samples import open_sample", "from widgets.scene import Scene", look, names
    return [
        "\n".join([*parts, opening]),
        f"shown = {subject.function}({subject.given}, data_root=data_root)\nshown",
        memory.strip(),
        core.strip() if subject.core else "0",
        more.strip(),
    ]


def run(opened: OpenNotebook, number: int) -> Any:
    """Run a cell; what it printed as JSON, or None."""
    opened.select(number)
    opened.page.keyboard.press("Control+Enter")
    opened.wait_for(lambda: opened.ran([number]), SECONDS, f"cell {number + 1}")
    opened.wait_idle(SECONDS)
    printed = opened.cell(number).locator(".jp-OutputArea-output pre").all_inner_texts()
    return json.loads(printed[-1]) if printed and printed[-1].startswith("{") else None


def times(opened: OpenNotebook, of: str = "times") -> list[float]:
    return list(opened.page.evaluate(f"ssmis.{of}"))


def scroll(opened: OpenNotebook, count: int) -> list[float]:
    """Milliseconds of each of so many turns of the wheel over the axial plane, back and forth through some slices."""
    explorer, page = opened.page.locator(".ssmis-explorer"), opened.page
    slider = explorer.locator(".ssmis-slice").first
    low = slider.evaluate("slider => Number(slider.value) < Number(slider.max) / 2")
    canvas = explorer.locator("canvas[data-plane=axial]").first
    canvas.scroll_into_view_if_needed()
    canvas.hover()
    for turn in range(count):
        up = (turn // STEPS) % 2 == (0 if low else 1)
        page.mouse.wheel(0, -100 if up else 100)
        page.wait_for_function("n => ssmis.times.length > n", arg=turn, polling=20)
    return times(opened)


def move_seed(opened: OpenNotebook, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each of so many presses of an arrow key on the seed's slider, and until charts (if any) came."""
    explorer, page = opened.page.locator(".ssmis-explorer"), opened.page
    row = explorer.locator(".widget-slider").filter(has_text=re.compile(r"^\s*seed"))
    row.locator(".noUi-handle").focus()
    before, charts = len(times(opened)), explorer.locator(".ssmis-chart").count()
    for press in range(count):
        page.keyboard.press("ArrowRight")
        page.wait_for_function("n => ssmis.times.length > n", arg=before + press, polling=20, timeout=1000 * SECONDS)
        if charts:
            page.wait_for_function("n => ssmis.charts.length > n", arg=press, polling=20, timeout=1000 * SECONDS)
    return times(opened)[before:], times(opened, "charts")


def row(
    here: dict[str, Any],
    what: str,
    milliseconds: Sequence[float] = (),
    *,
    bare: Sequence[float] = (),
    charted: Sequence[float] = (),
    memory: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A row with its measured times or its measured memory; the other columns are empty."""
    empty = dict.fromkeys(MEASURED, "")
    told: dict[str, Any] = {}
    if len(milliseconds):
        median, high = np.percentile(milliseconds, (50, 90)).round(1).tolist()
        told |= {"count": len(milliseconds), "median_ms": median, "p90_ms": high}
    for column, several in (("bare_ms", bare), ("with_charts_ms", charted)):
        if len(several):
            told[column] = round(float(np.median(several)), 1)
    if memory:
        told |= {name: memory[name] for name in ("pss_mb", "peak_rss_mb")}
        told["kernels_in_24_gib"] = int(24 * 1024 // memory["pss_mb"])
    return {**here, "what": what, **empty, **told}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="la", help="whose samples are opened")
    parser.add_argument("--data-root", default=None, help="the folder with its files")
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    parser.add_argument("--explorers", nargs="+", choices=SUBJECTS, default=list(SUBJECTS), metavar="NAME")
    parser.add_argument("--scrolls", type=positive, default=60)
    parser.add_argument("--moves", type=positive, default=12)
    parser.add_argument("--cases", type=positive, default=12, help="to open before the memory is measured again")
    parser.add_argument("--threads", type=positive, default=len(os.sched_getaffinity(0)), help="of the kernel")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
