"""A real JupyterLab and a real browser: a server, Chromium, and a notebook open in a page.

Used by the tests in this folder, and by benchmarks/viewer_latency.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

LOOPBACK = {"127.0.0.1", "localhost"}
ON_THE_PAGE = ("data", "blob", "about")  # addresses that name no machine
# Patterns of what JupyterLab itself writes to the browser's console (nothing, in 4.6). All else counts as ours.
JUPYTERLABS_OWN: tuple[str, ...] = ()
# Chromium as root and offline: it may look up no name but this machine's. WebGL is drawn in software, or missing.
CHROMIUM = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
IN_SOFTWARE, NO_WEBGL = ["--enable-unsafe-swiftshader"], ["--disable-gpu", "--disable-3d-apis"]
QUIET = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}

IDLE = """() => {
  const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""


def quarter_second() -> None:
    time.sleep(0.25)


def wait_until(
    done: Callable[[], Any], seconds: float, what: str, *, pause: Callable[[], None] = quarter_second
) -> Any:
    """The first true value of `done()`, asked again and again; a failure that names `what` after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = done()
        if value:
            return value
        pause()
    pytest.fail(f"waited {seconds:.0f} s in vain for {what}", pytrace=False)


@dataclass
class Traffic:
    """What a page asked for and complained about."""

    addresses: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self, page: Any) -> None:
        page.on("request", lambda request: self.addresses.append(request.url))
        page.on("websocket", lambda socket: self.addresses.append(socket.url))
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def outside(self) -> list[str]:
        """Addresses that another machine would have had to answer."""
        parts = ((address, urlsplit(address)) for address in self.addresses)
        return [a for a, p in parts if p.scheme not in ON_THE_PAGE and p.hostname not in LOOPBACK]

    def ours(self) -> list[str]:
        """Complaints that are not JupyterLab's own."""
        return [c for c in self.complaints if not any(re.search(known, c) for known in JUPYTERLABS_OWN)]


class OpenNotebook:
    """A notebook open in JupyterLab: its cells in the browser beside the cells of its file."""

    def __init__(self, page: Any, path: Path, cells: list[Any]):
        self.page, self.path, self.cells, self.traffic = page, path, cells, Traffic()
        self.traffic.watch(page)

    def load(self, address: str | None = None) -> None:
        """Open the address (default: the open page again) and wait until the notebook and its kernel are there."""
        if address:
            self.page.goto(address)
        else:
            self.page.reload()
        self.page.locator(".jp-Notebook .jp-Cell").nth(len(self.cells) - 1).wait_for(state="attached", timeout=240_000)
        self.wait_idle(240)

    def wait_for(self, done: Callable[[], Any], seconds: float, what: str) -> Any:
        """As `wait_until`, with the page alive meanwhile."""
        return wait_until(done, seconds, what, pause=lambda: self.page.wait_for_timeout(250))

    def wait_idle(self, seconds: float = 20) -> None:
        """Wait until the kernel is connected and has nothing to do; the indicator on the page says so too early."""
        self.page.wait_for_function(IDLE, timeout=1000 * seconds)

    def cell(self, number: int) -> Any:
        """A cell of the page by its place in the file."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def tagged(self, start: str) -> dict[str, int]:
        """Place of every cell with a tag that begins like this, by tag."""
        tags = ((tag, n) for n, cell in enumerate(self.cells) for tag in cell.metadata.get("tags", []))
        return {tag: n for tag, n in tags if tag.startswith(start)}

    def code(self) -> list[int]:
        """Places of the code cells that hold code."""
        return [n for n, cell in enumerate(self.cells) if cell.cell_type == "code" and cell.source.strip()]

    def menu(self, name: str, entry: str) -> None:
        """Choose an entry of the menu bar."""
        self.page.locator(".lm-MenuBar-itemLabel", has_text=re.compile(f"^{name}$")).click()
        self.page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{entry}$")).click()

    def select(self, number: int) -> None:
        """Make a cell the active one, without opening it for typing."""
        self.cell(number).locator(".jp-InputPrompt, .jp-InputArea-prompt").first.click()
        self.cell(number).and_(self.page.locator(".jp-mod-active")).wait_for()

    def prompt(self, number: int) -> str:
        """What stands left of a cell: [3] once it has run, [*] while it waits or runs, [ ] before."""
        # not the inner text, which is empty for cells that the browser does not draw as they are out of view
        return (self.cell(number).locator(".jp-InputPrompt").first.text_content() or "").strip().rstrip(":")

    def ran(self, numbers: list[int]) -> bool:
        """Whether all these cells have run; a failure with the message as soon as any cell shows an error."""
        self.fail_on_error()
        return all(re.fullmatch(r"\[\d+\]", self.prompt(n)) for n in numbers)

    def errors(self) -> list[str]:
        """Texts of the error outputs on the page."""
        error = '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]'
        return self.page.locator(f".jp-Notebook {error}").all_text_contents()

    def saved(self) -> bool:
        """Whether the file holds every code cell as it ran."""
        try:
            cells = json.loads(self.path.read_text())["cells"]
        except ValueError:  # it is being written
            return False
        return all(cells[n]["execution_count"] for n in self.code())

    def fail_on_error(self) -> None:
        errors = self.errors()
        if errors:
            pytest.fail("a cell ended in an error:\n" + "\n".join(errors), pytrace=False)


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address and the folder that it serves."""

    url: str
    root: Path


@contextmanager
def running_lab(home: Path, root: Path, *, threads: int = 1) -> Iterator[Lab]:
    """`jupyter lab` of this environment on a free port of this machine, serving `root`.

    home: for folders of its own in place of the user's. threads: that its kernels compute with; volumes as small as
    those of tests gain nothing from threads that wait for each other.
    """
    (home / "config/labconfig").mkdir(parents=True)
    root.mkdir(parents=True, exist_ok=True)
    (home / "config/labconfig/default_setting_overrides.json").write_text(json.dumps(QUIET))
    own = {f"JUPYTER_{kind.upper()}_DIR": str(home / kind) for kind in ("config", "data", "runtime")}
    environment = {**os.environ, **own, "IPYTHONDIR": str(home / "ipython"), "JUPYTER_PREFER_ENV_PATH": "1"}
    environment.pop("PLOTLY_RENDERER", None)
    environment["OMP_NUM_THREADS"] = str(threads)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = f"-m jupyterlab --no-browser --allow-root --ip=127.0.0.1 --port={port} --ServerApp.port_retries=0"
    quiet = ["--IdentityProvider.token=", "--ServerApp.password=", "--LabApp.extension_manager=readonly"]
    quiet += ["--LabApp.expose_app_in_browser=True"]
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, *command.split(), *quiet, f"--ServerApp.root_dir={root}"],
            cwd=root,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: answers(f"{url}/api/status", server, home / "server.log"), 300, "JupyterLab to start")
            yield Lab(url, root)
        finally:
            stop(server)


def answers(url: str, server: subprocess.Popen[bytes], log: Path) -> bool:
    """Whether the server answers yet; a failure with its log once it has ended."""
    if server.poll() is not None:
        pytest.fail(f"jupyter lab ended with exit code {server.returncode}:\n{log.read_text()[-3000:]}", pytrace=False)
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server; asked politely, it ends its kernels too."""
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@contextmanager
def headless_chromium(*, webgl: bool = True) -> Iterator[Any]:
    """Chromium without a window, as Playwright drives it. webgl: False for one that has none."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = [*CHROMIUM, *(IN_SOFTWARE if webgl else NO_WEBGL)]
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield chromium
        chromium.close()


def open_in_page(lab: Lab, browser: Any, notebook: Any, name: str) -> OpenNotebook:
    """Write a notebook to the folder that the server serves, and open it in a browser window of its own."""
    import nbformat

    copy = lab.root / f"{name}.ipynb"
    nbformat.write(notebook, copy)
    window = browser.new_context(viewport={"width": 1400, "height": 1500})
    return _open_tab(window, f"{lab.url}/doc/tree/{copy.name}?reset", copy, notebook.cells)


def open_second_tab(lab: Lab, opened: OpenNotebook) -> OpenNotebook:
    """The notebook as it was saved last, in another tab of the same window: one kernel serves both."""
    return _open_tab(opened.page.context, f"{lab.url}/doc/tree/{opened.path.name}", opened.path, opened.cells)


def _open_tab(window: Any, address: str, path: Path, cells: list[Any]) -> OpenNotebook:
    page = window.new_page()
    page.set_default_timeout(90_000)
    opened = OpenNotebook(page, path, cells)
    opened.load(address)
    return opened
