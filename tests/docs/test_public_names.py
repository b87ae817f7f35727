"""What is public is meant to be, and says what it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import im2dem

PACKAGE = Path(im2dem.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def test_the_names_of_the_package_are_pinned():
    # A name taken away breaks somebody's program: say so in CHANGELOG.md before changing this list.
    assert im2dem.__all__ == [
        "Grid",
        "GridMismatchError",
        "Im2DemError",
        "InputError",
        "MissingDependencyError",
        "ModelError",
        "OutputError",
        "OutputExistsError",
        "PageOptions",
        "PredictOptions",
        "Prediction",
        "Raster",
        "UsageError",
        "View",
        "Window",
        "__version__",
        "predict_dem",
        "predict_file",
        "read_raster",
        "view",
        "write_raster",
    ]
    assert all(hasattr(im2dem, name) for name in im2dem.__all__)


def without_docstring(tree: ast.Module) -> Iterator[str]:
    """Dotted names of public classes, functions and methods that say nothing; the module itself is ""."""
    if not ast.get_docstring(tree):
        yield ""

    def walk(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from walk(node.body, f"{prefix}{node.name}.")

    yield from walk(tree.body, "")


@pytest.mark.parametrize("module", [name for name in MODULES if not Path(name).name.startswith("_version")])
def test_public_names_have_docstrings(module):
    # Read, not imported: training needs torch, its docstrings do not. torch calls `forward`, nobody reads it.
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    assert [name for name in without_docstring(tree) if not name.endswith(".forward")] == []


def test_a_silent_function_is_noticed():
    tree = ast.parse(
        '"""Says."""\nclass A:\n    """Says."""\n    def b(self): pass\n    def _c(self): pass\ndef d(): pass'
    )
    assert list(without_docstring(tree)) == ["A.b", "d"]
