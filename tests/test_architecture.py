"""What keeps the package as drawn: one direction of imports, small files, a test for each layer, cheap imports."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import xportdnn
from xportdnn import layers
from xportdnn.layers import LayerKind

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "xportdnn"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 350


def module(path: Path) -> str:
    """xportdnn/cli/__init__.py -> xportdnn.cli"""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = sorted(module(path) for path in FILES)


def python(code: str) -> str:
    """What a new interpreter prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- who imports what


def test_imports_go_one_way() -> None:
    """The layers are drawn in pyproject.toml, [tool.importlinter]; a new module needs a place there."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_importing_every_module_imports_nothing_heavy() -> None:
    modules = [name for name in MODULES if name != "xportdnn.__main__"]
    code = f"import sys; [__import__(name) for name in {modules!r}]; print(*sorted(sys.modules))"
    heavy = {"numpy", "PIL", "tqdm", "google.protobuf", "multiprocessing"}
    assert heavy.isdisjoint(python(code).split())


def test_only_the_command_line_imports_click() -> None:
    modules = [name for name in MODULES if not name.startswith(("xportdnn.cli", "xportdnn.__main__"))]
    code = f"import sys; [__import__(name) for name in {modules!r}]; print(*sorted(sys.modules))"
    assert "click" not in python(code).split()


def test_importing_the_package_imports_nothing_of_it() -> None:
    code = "import sys, xportdnn; print(*sorted(name for name in sys.modules if name.startswith('xportdnn')))"
    assert python(code).split() == ["xportdnn", "xportdnn.version"]


def imported(*arguments: str) -> set[str]:
    """The modules that the command line imports."""
    code = (
        "import io, sys; from xportdnn import cli; kept, sys.stdout = sys.stdout, io.StringIO(); "
        f"assert cli._run({list(arguments)!r}, True) == 0; print(*sys.modules, file=kept)"
    )
    return set(python(code).split())


def of_package(modules: Iterable[str], *below: str) -> set[str]:
    """Those of the package that stand below these places in it, without its name."""
    return {
        name.removeprefix("xportdnn.")
        for name in modules
        if name.startswith(tuple(f"xportdnn.{each}" for each in below))
    }


def test_the_help_imports_next_to_nothing() -> None:
    modules = imported("--help")
    assert of_package(modules, "") == {
        "cli", "cli.arguments", "cli.commands", "cli.conversion", "choices", "errors", "version",
    }  # fmt: skip
    assert {"dataclasses", "json", "numpy", "pathlib"}.isdisjoint(modules)


# What reads one of these pays for it: NumPy as much as nine, pathlib as much as half a Python that does nothing.
HEAVY = {"difflib", "hashlib", "importlib.resources", "numpy", "pathlib", "PIL", "tempfile", "tqdm", "zipfile"}
# Which layers the board computes inside others and which geometry it takes; the network's layers say it alone.
STRUCTURE = {f"simulation{name}" for name in ("", ".board", ".board.fusion", ".board.geometry", ".board.kinds")}


@pytest.mark.parametrize("said", [(), ("--quiet",)], ids=["told", "quiet"])
def test_a_dynamic_fixed_conversion_imports_no_more_than_it_needs(said: tuple[str, ...]) -> None:
    """Its guards and the rules of the board on what it writes included, where somebody hears them."""
    sample = ROOT / "sample_models" / "digits_plain"
    modules = imported(
        "--quant_type", "DynamicFixed", "--deploy_model", str(sample / "deploy.prototxt"),
        "--weights", str(sample / "digits_plain.caffemodel"), "--quantized_deploy_model", os.devnull, *said,
    )  # fmt: skip
    assert HEAVY & modules == set()
    assert of_package(modules, "engine", "evaluation", "calibration", "settle", "guards.xilinx") == set()
    told = {*STRUCTURE, "simulation.places"}
    assert of_package(modules, "simulation") == (set() if said else told)
    assert of_package(modules, "guards", "check") == set() if said else "xportdnn.guards.dynamic_fixed" in modules


def test_a_conversion_without_pictures_reads_no_weights_that_are_fused() -> None:
    """It names them; `check --weights` looks at what BatchNorm and Scale leave, with NumPy."""
    sample = ROOT / "sample_models" / "digits_residual"
    options = (
        "--quant_type", "DynamicFixed", "--deploy_model", str(sample / "deploy.prototxt"),
        "--weights", str(sample / "digits_residual.caffemodel"), "--quantized_deploy_model", os.devnull,
    )  # fmt: skip
    assert "numpy" not in imported(*options)
    assert "numpy" not in imported(*options, "--quiet")


def test_numpy_is_imported_lazily() -> None:
    """`import numpy` stands only where the type checker alone looks, and in lazy.py."""
    assert [path for path in FILES if _imports_numpy(path)] == [PACKAGE / "lazy.py"]


def _imports_numpy(path: Path) -> bool:
    tree = _without_type_checking(ast.parse(path.read_text(encoding="utf-8")))
    names = [
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    ]
    return any(name.split(".")[0] == "numpy" for name in names)


def _without_type_checking(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return tree


# ---- files


def test_no_file_is_long() -> None:
    lines = {module(path): path.read_text(encoding="utf-8").count("\n") for path in FILES}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_every_module_says_what_it_is() -> None:
    silent = [path for path in FILES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert silent == []


# ---- layers


@pytest.mark.parametrize("name", layers.types())
def test_layer_module(name: str) -> None:
    path = PACKAGE / "layers" / f"{name}.py"
    kind: LayerKind[Any] = import_module(f"xportdnn.layers.{name}").KIND
    # found by its type's name, and by no other spelling of it
    assert layers.kind(kind.name) is kind
    assert kind.name.lower() == name.replace("_", "")
    assert layers.kind(kind.name.swapcase()) is None
    # the module ends with it
    last = ast.parse(path.read_text(encoding="utf-8")).body[-1]
    assert isinstance(last, ast.Assign | ast.AnnAssign)
    target = last.targets[0] if isinstance(last, ast.Assign) else last.target
    assert isinstance(target, ast.Name)
    assert target.id == "KIND"
    assert (ROOT / "tests" / "layers" / f"test_{name}.py").exists()


def test_layer_tests_are_of_layers() -> None:
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests" / "layers").glob("test_*.py")}
    assert tests == set(layers.types())


@pytest.mark.parametrize(("alias", "name"), layers.ALIASES.items())
def test_aliases_lead_to_a_type(alias: str, name: str) -> None:
    found = layers.kind(alias)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("name", ["", "NoSuchType", "relu", "RELU", "Re_LU", "__init__", "Conv"])
def test_what_is_no_type(name: str) -> None:
    assert layers.kind(name) is None


# ---- the package's face


def test_all_is_what_it_says() -> None:
    assert all(hasattr(xportdnn, name) for name in xportdnn.__all__)
    assert not hasattr(xportdnn, "nothing")


def test_the_version_stands_in_the_changelog() -> None:
    path = ROOT / "CHANGELOG.md"
    newest = re.search(r"^## \[(\d[^\]]*)\]", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == xportdnn.__version__


def test_types_are_shipped() -> None:
    assert (PACKAGE / "py.typed").exists()
