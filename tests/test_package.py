# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The package as a whole: what it imports, what it ships, what it says when an extra is missing."""

from __future__ import annotations

import ast
import configparser
import importlib
import importlib.metadata
import pkgutil
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import monai_debias
from tests import processes

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "monai_debias"
SUB_PACKAGES = sorted(info.name for info in pkgutil.iter_modules(monai_debias.__path__) if info.ispkg)
SOURCES = sorted(
    file for name in ("monai_debias", "tests", "benchmarks", "docs", "bundles") for file in (ROOT / name).rglob("*.py")
)

# whatever is not among the core dependencies, by the name under which it is imported
EXTRAS = (
    "captum",
    "cv2",
    "data_store",
    "einops",
    "jsonschema",
    "mlflow",
    "mnist",
    "pytest",
    "tensorboard",
    "tensorboardX",
    "torchvision",
    "wfdb",
    "zennit",
)
REFUSE_EXTRAS = f"""
EXTRAS = {EXTRAS}
import sys
from importlib.abc import MetaPathFinder

class Refuse(MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError("No module named " + repr(fullname), name=fullname)

sys.meta_path.insert(0, Refuse())
"""

# the rooms of the package from the ground up: imports point from a room to those before it, or to its own neighbours
ROOMS = (
    ("constraint", "without_waiting"),
    (
        "archives",
        "attached",
        "constraints",
        "distributed",
        "files",
        "labels",
        "masks",
        "networks",
        "origin",
        "parameters",
        "pixels",
        "processes",
        "recipe",
        "tasks",
        "z_scores",
    ),
    ("data",),
    ("transforms",),
    ("relevance",),
    ("losses", "metrics", "visualize"),
    ("engines", "handlers", "inferers"),
    ("apps", "audit", "demo", "overlays"),
    ("command_line",),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}


def imports(file: Path) -> list[str]:
    """Dotted names of the modules that a file imports anywhere; a relative import begins with a dot."""
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            # `from monai_debias import data` names its sub-package after the import
            names += [f"{module}.{alias.name}" for alias in node.names] if module == "monai_debias" else [module]
    return names


WITHOUT_EXTRAS = f"""
{REFUSE_EXTRAS}
import importlib, runpy, sys, monai
try:
    import jsonschema
except ModuleNotFoundError:
    print("jsonschema is refused")
before = set(sys.modules)
import monai_debias
print(*set(sys.modules) - before)
for name in {SUB_PACKAGES}:
    for module in [module for module in sys.modules if module.startswith("monai_debias")]:
        del sys.modules[module]  # each must work without the others having been imported before
    importlib.import_module("monai_debias." + name)
print(*set(sys.modules) & set(EXTRAS))
sys.argv = ["monai_debias", "demo-data", "ecg", "cohort"]
runpy.run_module("monai_debias", run_name="__main__")
"""


@pytest.fixture(scope="module", name="without_extras")
def fixture_without_extras(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter that has the core dependencies only imports the package, and then gets a command."""
    folder = tmp_path_factory.mktemp("without_extras")
    command = [sys.executable, "-c", WITHOUT_EXTRAS]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def test_core_dependencies_are_enough_and_the_import_costs_little_beyond_monai(without_extras):
    assert without_extras.stdout.splitlines() == ["jsonschema is refused", "monai_debias", ""], without_extras.stderr


def test_the_command_line_works_without_extras_and_says_which_package_a_command_needs(without_extras):
    assert without_extras.returncode == 2
    assert without_extras.stderr.endswith("error: the ECG cohort needs the package wfdb: pip install wfdb.\n")


def test_the_command_line_explains_its_arguments(tmp_path):
    log, folder = tmp_path / "log.txt", tmp_path / "folder"
    folder.mkdir()
    assert processes.run(["monai_debias", "demo-data", "echo", "--help"], folder, log) == 0
    assert all(word in log.read_text() for word in ("OUT", "--bias", "--seed"))
    assert not list(folder.iterdir())


def setup_cfg() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def test_version_is_the_same_everywhere():
    assert importlib.metadata.version("monai-debias") == monai_debias.__version__
    for name in ("CHANGELOG.md", "CITATION.cff"):
        assert monai_debias.__version__ in (ROOT / name).read_text(encoding="utf-8")


def test_everything_is_shipped(tmp_path):
    """The wheel has every module, the overlays, the bundles with their guides, and py.typed, for type checkers."""
    assert "py.typed" in setup_cfg()["options.package_data"]["monai_debias"]  # older setuptools need to be told
    shared = ("bundles", "docs/*.md", "docs/images", "benchmarks/results/*.png", ":!docs/api")
    listed = subprocess.check_output(("git", "ls-files", *shared), text=True, cwd=ROOT).split()
    data_files = [ROOT / line for line in listed]
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(PACKAGE, tmp_path / "monai_debias", ignore=shutil.ignore_patterns("__pycache__"))
    for file in data_files:
        (tmp_path / file.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / file.relative_to(ROOT))
    build = [sys.executable, "-c", "import setuptools; setuptools.setup()", "-q", "bdist_wheel", "--dist-dir", "dist"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").iterdir()
    names = [Path(name) for name in zipfile.ZipFile(wheel).namelist()]
    data = f"monai_debias-{monai_debias.__version__}.data/data/share/monai-debias"
    kinds = ("*.py", "overlays/*.json", "audit/*.json", "audit/*.css", "lung_masks/*.pt", "py.typed")
    sources = [file for kind in kinds for file in PACKAGE.rglob(kind)]
    expected = {file.relative_to(ROOT) for file in sources} | {
        Path(data, file.relative_to(ROOT)) for file in data_files
    }
    assert {name for name in names if "dist-info" not in str(name)} == expected


def test_licence_lines():
    expected = ["# Copyright (c) monai-debias contributors", "# SPDX-License-Identifier: Apache-2.0"]
    assert [file for file in SOURCES if file.read_text(encoding="utf-8").splitlines()[:2] != expected] == []


def test_imports_point_one_way():
    wrong = {str(file.relative_to(PACKAGE)): wrong_imports(file) for file in sorted(PACKAGE.rglob("*.py"))}
    assert {file: names for file, names in wrong.items() if names} == {}


def wrong_imports(file: Path) -> list[str]:
    """What a file of the package must not import: relative names, what is outside of it, and a higher room."""
    names = imports(file)
    outside = [name for name in names if name.partition(".")[0] in ("", "bundles", "benchmarks", "tests")]
    own = file.relative_to(PACKAGE).with_suffix("").parts[0]
    inside = [name for name in names if name.startswith("monai_debias")]
    if own == "__init__":
        return outside + inside
    assert own in LEVEL, f"{own} is new: give it a place in ROOMS"
    used = {name: LEVEL.get(name.split(".")[1], 99) for name in inside if "." in name}
    return outside + [name for name, level in used.items() if level > LEVEL[own]]


def test_no_public_name_is_that_of_a_module_beside_it():
    """From Python 3.12 on MONAI's configs find the module under such a name, and not the function."""
    for package in pkgutil.walk_packages(monai_debias.__path__, "monai_debias."):
        if package.ispkg:
            found = importlib.import_module(package.name)
            modules = {module.name for module in pkgutil.iter_modules(found.__path__)}
            assert not modules & set(getattr(found, "__all__", ())), package.name


def test_a_test_file_has_the_name_of_a_module_or_sub_package():
    """Or begins with it, as test_lrp_gates.py; EXAMPLES of a public class are looked up in the file of its module."""
    tests = [file.relative_to(ROOT / "tests") for file in (ROOT / "tests").rglob("test_*.py")]
    of_the_package = [file for file in tests if len(file.parts) > 1 and (PACKAGE / file.parts[0]).is_dir()]
    assert of_the_package
    assert [str(file) for file in of_the_package if not is_named_after_a_part(file)] == []


def is_named_after_a_part(file: Path) -> bool:
    folder, name = PACKAGE / file.parent, file.stem.removeprefix("test_")
    parts = [folder.name, *(part.stem for part in folder.glob("*") if part.suffix in ("", ".py"))]
    return any(f"{name}_".startswith(f"{part}_") for part in parts)
