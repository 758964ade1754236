"""The promises of the repository itself: commands, layers, dependencies, what may be committed."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("data_utils", "rcae_lite")
TARGETS = {
    "help",
    "demo",
    "quick",
    "test",
    "test-full",
    "test-browser",
    "lab",
    "lint",
    "notebooks",
    "class",
    "book",
    "clean",
}

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make")
needs_git = pytest.mark.skipif(
    shutil.which("git") is None or not (ROOT / ".git").exists(), reason="not a git checkout"
)


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def run(*command: str | Path, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess:
    """Run a command that knows nothing of the make or CI run around this test."""
    hidden = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "RCAE_DATA_ROOT")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted names that a module imports at run time, wherever it does so."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in for_types_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; name the module in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


# The installed package


def test_console_script_prints_the_version_of_the_package():
    script = shutil.which("rcae", path=sysconfig.get_path("scripts"))
    assert script, "no rcae beside this Python"
    result = run(script, "--version")
    assert (result.returncode, result.stdout.split()) == (0, ["rcae-lite", version("rcae-lite")])


def test_citation_and_changelog_name_the_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.M) == [version("rcae-lite")]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(.+?)\]", changelog, re.M)[0] == version("rcae-lite")


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_marked_as_typed(package):
    assert (ROOT / package / "py.typed").is_file()


OF_LAB = {"anywidget", "ipywidgets", "traitlets"}  # of the extra `lab`, in rcae_lite/widgets alone


def test_only_the_views_of_the_widgets_need_the_extra_lab():
    asking = {
        path.name
        for package in PACKAGES
        for path in sources(package)
        if OF_LAB & {name.split(".")[0] for name in imports(path)}
    }
    assert asking == {"ladder_view.py", "predictions.py", "quiz_view.py", "views.py"}


@needs_git
def test_the_wheel_holds_every_file_of_the_packages(tmp_path):
    pytest.importorskip("setuptools")
    for name in (*PACKAGES, "pyproject.toml", "LICENSE"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    build = "from setuptools.build_meta import build_wheel; build_wheel('wheel')"
    result = run(sys.executable, "-c", build, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        missing = {*run("git", "ls-files", *PACKAGES).stdout.split()} - {*archive.namelist()}
    assert not missing


def test_imports_and_declared_dependencies_agree():
    names = {
        name.split(".")[0]
        for package in PACKAGES
        for path in sources(package)
        for name in imports(path)
    }
    third_party = names - set(sys.stdlib_module_names) - set(PACKAGES)
    distributions = packages_distributions()  # which takes a second
    imported = {distributions[name][0].lower() for name in third_party}
    declared = {
        re.match(r"[\w-]+", line)[0].lower()
        for line in requires("rcae-lite")
        if "extra ==" not in line
    }
    assert imported - OF_LAB == declared


def test_contributing_says_what_each_dependency_is_for():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    declared = {re.match(r"[\w-]+", line)[0] for line in requires("rcae-lite")} - {"rcae-lite"}
    assert declared <= set(re.findall(r"`([\w-]+)`", text))


# Architecture


def test_data_flow_one_way():
    """The contracts of pyproject.toml: layers, no circles, data_utils alone."""
    script = shutil.which("lint-imports", path=sysconfig.get_path("scripts"))
    assert script, "no lint-imports beside this Python; pip install -e '.[dev]'"
    result = run(script, "--no-cache")
    assert result.returncode == 0 and "0 broken" in result.stdout, result.stdout


@pytest.mark.parametrize(
    "path",
    [path for package in PACKAGES for path in sources(package)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_nothing_can_unpickle(path):
    forbidden = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    # Work for our own processes; joblib.load and dump, which read and write files, stay forbidden.
    allowed = {
        f"joblib.{name}" for name in ("Parallel", "delayed", "effective_n_jobs", "parallel_config")
    }
    assert not forbidden & {name.split(".")[0] for name in set(imports(path)) - allowed}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in {("torch", "load"), ("torch", "save")}
        if isinstance(node, ast.keyword):
            assert node.arg != "allow_pickle"


def test_typescript_checks_every_module_of_the_widgets():
    modules = (ROOT / "rcae_lite" / "widgets" / "static").glob("*.js")
    texts = {path.name: path.read_text(encoding="utf-8") for path in modules}
    assert texts
    assert not [name for name, text in texts.items() if not text.startswith("// @ts-check\n")]
    silenced = re.compile("@ts-(ignore|nocheck|expect-error)")
    assert not [name for name, text in texts.items() if silenced.search(text)]


# What is committed


@needs_git
def test_no_file_names_a_path_of_one_machine():
    result = run("git", "grep", "-InE", "/(work|root|tmp|Users|home/[a-z]+)/")
    assert result.returncode == 1, result.stdout  # 1: git grep found nothing


@needs_git
def test_no_committed_file_is_above_2_mib():
    files = [ROOT / name for name in run("git", "ls-files", "-z").stdout.split("\0") if name]
    assert [path for path in files if path.is_file() and path.stat().st_size > 2 * 2**20] == []


# make and CI


@needs_make
def test_make_help_lists_every_target():
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    assert set(phony) == TARGETS
    listed = dict(re.findall(r"^make ([a-z-]+) +(\S.*)$", run("make").stdout, re.M))
    assert set(listed) == TARGETS


@needs_make
@pytest.mark.parametrize(("recipe", "ok"), [("@echo $$RCAE_DATA_ROOT", True), ("@false", False)])
def test_ci_runs_make_test_with_the_data_beside_the_clone(tmp_path, recipe, ok):
    clone, data = tmp_path / "clone", tmp_path / "shared" / "data"
    for folder in (clone / ".ci", data):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", clone / ".ci")
    (clone / "Makefile").write_text(f"test:\n\t{recipe}\n")
    result = run("bash", clone / ".ci" / "run", cwd=tmp_path, RCAE_CHROMIUM="none")
    assert (result.returncode == 0) == ok
    assert result.stdout == (f"{data}\n" if ok else "")


def test_a_test_run_ends_with_the_groups_that_did_not_run():
    """And with the reason, so that a skip does not pass in silence."""
    path, variables = "tests/data_utils/test_pillow_samples.py", {"RCAE_PILLOW_IMAGES": ""}
    result = run(sys.executable, "-m", "pytest", "-q", "-m", "", path, **variables)
    lines = result.stdout.splitlines()
    assert "did not run" in lines[-3]
    assert lines[-2].startswith("slow: 1 skipped, RCAE_PILLOW_IMAGES does not name")


@pytest.mark.parametrize("script", [".ci/run", "binder/postBuild", "binder/start"])
def test_scripts_can_be_run(script):
    assert os.access(ROOT / script, os.X_OK)
    assert run("bash", "-n", ROOT / script).returncode == 0
