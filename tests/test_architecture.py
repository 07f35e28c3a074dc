"""What keeps the package as drawn: one direction of imports, small files, a test for each layer, cheap imports."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
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


def test_help_and_a_dynamic_fixed_conversion_need_no_numpy() -> None:
    sample = ROOT / "sample_models" / "digits_plain"
    arguments = [
        "--quant_type", "DynamicFixed", "--deploy_model", str(sample / "deploy.prototxt"),
        "--weights", str(sample / "digits_plain.caffemodel"), "--quantized_deploy_model", os.devnull, "--quiet",
    ]  # fmt: skip
    code = f"import sys; from xportdnn import cli; assert cli._run({arguments!r}, True) == 0; print(*sys.modules)"
    assert {"numpy", "PIL"}.isdisjoint(python(code).split())


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
