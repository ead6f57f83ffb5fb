"""Every module can be imported on every supported Python, alone, in silence and without a warning."""

from pathlib import Path

from tests.laws.hashseeds import same_output

ROOT = Path(__file__).resolve().parents[2]

IMPORT_ALL = """
import importlib, threading
for name in {names!r}:
    importlib.import_module(name)
assert threading.active_count() == 1, threading.enumerate()
print("imported")
"""


def test_every_module_imports_without_side_effects() -> None:
    """Nothing printed, no thread started, no warning (they are errors here)."""
    paths = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "minikubelet").rglob("*.py")]
    names = sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)
    runnable = [name for name in names if not name.endswith("__main__")]
    assert "minikubelet.model.pod" in runnable
    assert same_output(IMPORT_ALL.format(names=runnable), seeds=("random",)) == "imported\n"
