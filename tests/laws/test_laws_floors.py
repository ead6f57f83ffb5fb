"""Law 2: imports point down only, without circles. The contracts hold here and break where they should."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What is planted, as (importing package, imported package). Each must break a contract.
PLANTED = [
    ("core", "shell"),
    ("model", "core"),
    ("wire", "ports"),
    ("ports", "wire"),  # downwards, and yet no business of a port
    ("apiclient", "sources"),
    ("runtimes", "journal"),  # neighbours
    ("stubapi", "replay"),  # neighbours
    ("replay", "runtimes"),  # downwards, and yet replay must do without
    ("stubapi", "journal"),  # likewise
    ("reporting", "agent"),
]
FOR_TYPES_ONLY = ("sources", "agent")


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Runs this project's contracts over the package that lies in root."""
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()",
         "--no-cache", "--no-logo", str(ROOT / "pyproject.toml")],
        cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def plant(root: Path, modules: dict[str, str]) -> Path:
    """An empty copy of the package's floors under root, with these modules (path to source) in it."""
    for package in sorted((ROOT / "minikubelet").glob("**/__init__.py")):
        copy = root / package.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()
    for path, source in modules.items():
        (root / "minikubelet" / path).write_text(source + "\n", encoding="utf-8")
    return root


def test_the_tree_keeps_its_contracts() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_bare_floors_keep_them_too(tmp_path: Path) -> None:
    """What breaks in the tests below breaks because of what they plant."""
    done = lint(plant(tmp_path, {}))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def planted_report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says of a package with every planted import in it at once."""
    modules = {f"{above}/planted_{below}.py": f"import minikubelet.{below}" for above, below in PLANTED}
    above, below = FOR_TYPES_ONLY
    modules[f"{above}/planted_types.py"] = (
        f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import minikubelet.{below}"
    )
    done = lint(plant(tmp_path_factory.mktemp("floors"), modules))
    assert done.returncode != 0
    return done.stdout


@pytest.mark.parametrize(("above", "below"), [*PLANTED, FOR_TYPES_ONLY])
def test_an_import_upwards_or_sideways_is_named(planted_report: str, above: str, below: str) -> None:
    expected = f"minikubelet.{above} is not allowed to import minikubelet.{below}:"
    assert expected in planted_report


def test_a_package_without_a_floor_is_named(tmp_path: Path) -> None:
    """A new package cannot slip in unnoticed: its place in the order is part of adding it."""
    root = plant(tmp_path, {})
    shutil.copytree(root / "minikubelet" / "model", root / "minikubelet" / "gadgets")
    assert "gadgets" in lint(root).stdout


def test_a_circle_within_a_package_is_named(tmp_path: Path) -> None:
    modules = {
        "core/planted_a.py": "import minikubelet.core.planted_b",
        "core/planted_b.py": "import minikubelet.core.planted_a",
    }
    done = lint(plant(tmp_path, modules))
    assert done.returncode != 0
    assert "No circles between the parts of any package BROKEN" in done.stdout
