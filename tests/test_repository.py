"""The repository keeps its promises: set-up files agree, imports are light and point one way, nothing stray is kept."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())

# What ssmis_core must do without, also inside functions: whatever touches people belongs in widgets.
FOR_PEOPLE = {"IPython", "ipywidgets", "anywidget", "plotly", "napari", "qtpy", "magicgui", "widgets"}
FOR_PEOPLE |= {"PyQt5", "PyQt6", "PySide2", "PySide6"}
# What training must start without: imported only inside the functions that use it.
LATE = {"nibabel", "medpy", "SimpleITK", "pandas", "pooch", "requests", "h5py", "matplotlib", "skimage"}
SLOW_TO_IMPORT = {"torch", "numpy", "scipy", *LATE, *FOR_PEOPLE}

WALK = """
import importlib, json, pkgutil, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in set({late!r}):
            raise ImportError(name + " is not installed (pretended by the test)")

sys.meta_path.insert(0, Refuse())
import ssmis_core
failed = {{}}
for module in pkgutil.walk_packages(ssmis_core.__path__, "ssmis_core."):
    if module.name.startswith("ssmis_core.cli") or module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        failed[module.name] = str(error)
print(json.dumps({{"loaded": sorted({{name.partition(".")[0] for name in sys.modules}}), "failed": failed}}))
"""


def run_python(code: str) -> str:
    """What a fresh interpreter in the repository's root prints for the code."""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that a statement brings in."""
    code = f"{statement}\nimport sys, json; print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    return set(json.loads(run_python(code)))


def committed_files() -> list[Path]:
    """Files in git, and those that would be added to it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [path for name in done.stdout.split("\0") if name and (path := REPOSITORY / name).is_file()]


def committed_notebooks() -> list[Path]:
    return [path for path in committed_files() if path.suffix == ".ipynb"]


def imported_by(source: Path) -> set[str]:
    """Top-level packages that a file imports, at its top or inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(), filename=str(source))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.fixture(scope="module")
def core_walked() -> dict:
    """Every module of ssmis_core but the command line imported, where the late packages cannot be."""
    return json.loads(run_python(WALK.format(late=sorted(LATE))))


@pytest.mark.parametrize("package", ["ssmis_core", "widgets"])
def test_importing_a_package_loads_nothing_slow(package: str) -> None:
    assert loaded_after(f"import {package}") & (SLOW_TO_IMPORT - {package}) == set()


def test_core_starts_without_the_packages_that_training_does_not_need(core_walked: dict) -> None:
    assert core_walked["failed"] == {}


def test_core_loads_no_notebook_qt_or_widget_package(core_walked: dict) -> None:
    assert set(core_walked["loaded"]) & FOR_PEOPLE == set()


def test_core_never_imports_what_belongs_to_widgets_not_even_inside_a_function() -> None:
    guilty = {
        str(path.relative_to(REPOSITORY)): sorted(found)
        for path in sorted((REPOSITORY / "ssmis_core").rglob("*.py"))
        if (found := imported_by(path) & FOR_PEOPLE)
    }
    assert guilty == {}


def test_every_public_name_of_core_is_there() -> None:
    import ssmis_core

    assert [name for name in ssmis_core.__all__ if getattr(ssmis_core, name, None) is None] == []


def test_an_unknown_name_of_core_is_an_attribute_error() -> None:
    import ssmis_core

    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        ssmis_core.trian  # noqa: B018


def test_conda_environment_agrees_with_pyproject() -> None:
    environment = yaml.safe_load((REPOSITORY / "environment.yml").read_text())
    conda = [line for line in environment["dependencies"] if isinstance(line, str)]
    pip = next(line["pip"] for line in environment["dependencies"] if isinstance(line, dict))
    assert environment["channels"] == ["conda-forge"]
    assert f"python{PYPROJECT['project']['requires-python']}" in conda
    assert "pip" in conda
    extras = re.fullmatch(r"-e \.\[([\w,]+)\]", pip[0])
    assert extras is not None and len(pip) == 1
    assert set(extras[1].split(",")) <= set(PYPROJECT["project"]["optional-dependencies"])


def test_version_and_licence_are_the_same_everywhere() -> None:
    import ssmis_core

    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["version"] == ssmis_core.__version__
    assert citation["license"] == PYPROJECT["project"]["license"] == "Apache-2.0"
    assert ssmis_core.__version__ in (REPOSITORY / "CHANGELOG.md").read_text()
    assert "Apache License" in (REPOSITORY / "LICENSE").read_text()[:200]


def test_readme_starts_with_the_two_commands() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    first_block = re.search(r"```\w*\n(.*?)```", readme, flags=re.DOTALL)
    assert first_block is not None
    assert [line.partition("#")[0].strip() for line in first_block[1].splitlines()] == ["make demo", "make test"]


def test_every_make_target_that_the_readme_names_exists() -> None:
    named = set(
        re.findall(r"\bmake ([a-z]+)\b", " ".join(re.findall(r"`[^`]+`", (REPOSITORY / "README.md").read_text())))
    )
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE))
    assert named - targets == set()


def test_notebooks_are_committed_without_outputs() -> None:
    with_outputs = []
    for path in committed_notebooks():
        notebook = json.loads(path.read_text())
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        if "widgets" in notebook["metadata"] or any(cell["outputs"] or cell["execution_count"] for cell in code):
            with_outputs.append(str(path.relative_to(REPOSITORY)))
    assert with_outputs == [], "run `make format`"


def test_notebooks_start_in_the_environments_own_kernel() -> None:
    kernels = {
        path.name: json.loads(path.read_text())["metadata"]["kernelspec"]["name"] for path in committed_notebooks()
    }
    assert set(kernels.values()) <= {"python3"}, kernels


def test_no_committed_file_names_a_path_of_one_machine() -> None:
    one_machine = re.compile(r"(?<![\w.$)}\]*-])/(?:work|root|home/\w+|Users/\w+)/[\w.]")
    found = []
    for path in committed_files():
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue  # not text
        found += [f"{path.relative_to(REPOSITORY)}:{n}" for n, line in enumerate(lines, 1) if one_machine.search(line)]
    assert found == []


@pytest.fixture(scope="module")
def check_run() -> ModuleType:
    """The check of a run folder that continuous integration ends with."""
    spec = importlib.util.spec_from_file_location("check_run", REPOSITORY / ".ci" / "check_run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def complete_run(tmp_path: Path) -> Path:
    """A folder that looks like a finished run with two test cases."""
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "summary.json").write_text("{}")
    (tmp_path / "history.csv").write_text("iteration,total\n0,1.0\n")
    (tmp_path / "evaluations.csv").write_text("iteration,split,case,class\n1,test,a,1\n")
    (tmp_path / "cases.csv").write_text("case,class,dice,jaccard,hd95,asd\na,1,1,1,0,0\nb,1,1,1,0,0\n")
    (tmp_path / "weights.safetensors").write_bytes(b"x")
    (tmp_path / "predictions").mkdir()
    for case in "ab":
        (tmp_path / "predictions" / f"{case}.nii.gz").write_bytes(b"x")
    return tmp_path


def test_a_complete_run_folder_passes_the_check(check_run: ModuleType, complete_run: Path) -> None:
    assert check_run.problems(complete_run, 2) == []


@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        "summary.json",
        "history.csv",
        "evaluations.csv",
        "cases.csv",
        "weights.safetensors",
        "predictions/a.nii.gz",
    ],
)
def test_the_check_names_what_a_run_folder_lacks(check_run: ModuleType, complete_run: Path, name: str) -> None:
    (complete_run / name).unlink()
    (line,) = check_run.problems(complete_run, 2)
    if name.startswith("predictions/"):
        assert line == "expected 2 cases, found 1 predictions and 2 cases in cases.csv"
    else:
        assert line.startswith(f"{name}: ")


def test_the_check_sees_half_written_files(check_run: ModuleType, complete_run: Path) -> None:
    (complete_run / ".history.csv.part").write_text("iter")
    (complete_run / "run.json").write_text('{"seed": ')
    (complete_run / "cases.csv").write_text("case,class\na,1\n")
    found = check_run.problems(complete_run, 2)
    assert any("history.csv.part" in line for line in found)
    assert any("run.json" in line for line in found)
    assert any("dice" in line for line in found)
