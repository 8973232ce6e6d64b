"""A wheel built from the checkout, installed into an empty environment, works from anywhere, rulesets included."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PATIENT = ROOT / "fhir_examples/patients/mg-then-als.json"
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")


def run(*command: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A command without anything of the checkout in its environment."""
    ours = ("PYTHON", "VIRTUAL_ENV", "ENDPLATE")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)} | {"PIP_NO_COMPILE": "1"}
    return subprocess.run(
        command, cwd=cwd, env=kept | more, text=True, timeout=400, check=False, capture_output=True
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what belongs to it, so that the checkout stays as it is."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("needs pip")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("engine", "rulesets", "fhir_examples"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    here = ("--no-build-isolation",) if importlib.util.find_spec("hatchling") else ()
    done = run(sys.executable, *PIP, "wheel", "--no-deps", *here, "--wheel-dir", str(out), str(source), cwd=out)
    if done.returncode and not here and not _reaches_an_index(out):
        pytest.skip("needs hatchling, or a package index to get it from")
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("endplate-*.whl")
    return built


def _reaches_an_index(folder: Path) -> bool:
    command = (sys.executable, *PIP, "download", "--no-deps", "--dest", str(folder / "probe"), "hatchling")
    return run(*command, cwd=folder).returncode == 0


def environment(folder: Path) -> Path:
    """The interpreter of a new, empty environment."""
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin/python"


def evaluated(python: Path, elsewhere: Path) -> None:
    """`endplate evaluate` answers on a file in another directory, without the checkout."""
    shutil.copy(PATIENT, elsewhere / "patient.json")
    command = (str(python.with_name("endplate")), "evaluate", "patient.json", "--as-of", "bundle", "--format", "json")
    places = {"HOME": str(elsewhere), "ENDPLATE_CACHE": str(elsewhere / "cache")}
    done = run(*command, "--backend", "plain", cwd=elsewhere, **places)
    assert done.returncode == 0, done.stderr
    evaluation = json.loads(done.stdout)
    assert [(f["issue"], f["severity"]) for f in evaluation["findings"]] == [("overlap-als-mg-definite", "high")]
    where = run(str(python), "-c", "import engine; print(engine.__file__)", cwd=elsewhere).stdout
    assert where.startswith(str(python.parent.parent))


def test_the_wheel_holds_the_engine_the_rulesets_the_examples_and_the_licences(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    rulesets = [path for path in (ROOT / "rulesets").rglob("*") if path.is_file()]
    assert {f"engine/_{path.relative_to(ROOT).as_posix()}" for path in rulesets} <= names
    assert {p.relative_to(ROOT).as_posix() for p in (ROOT / "engine").rglob("*.py")} <= names
    shown = [path for kind in ("patients", "hooks") for path in (ROOT / "fhir_examples" / kind).glob("*.json")]
    assert {f"engine/_examples/{path.parent.name}/{path.name}" for path in shown} <= names  # of the workbench
    assert {p.relative_to(ROOT).as_posix() for p in (ROOT / "engine/service/workbench").glob("*/*.*")} <= names
    assert any(name.endswith("licenses/NOTICE") for name in names)
    assert not any(name.startswith(("tests/", "fhir_examples/", "tools/")) for name in names)


def test_a_wheel_installed_without_the_checkout_evaluates_from_anywhere(wheel: Path, tmp_path: Path) -> None:
    """Without an index: the dependencies are those of the environment that runs the tests."""
    python = environment(tmp_path / "environment")
    command = (sys.executable, *PIP, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    assert run(*command, cwd=tmp_path).returncode == 0
    (site,) = (tmp_path / "environment").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    evaluated(python, tmp_path)


def test_a_wheel_brings_all_that_it_needs(wheel: Path, tmp_path: Path) -> None:
    """With an index: an empty environment, and nothing but what the wheel asks for."""
    if not _reaches_an_index(tmp_path):
        pytest.skip("needs a package index")
    python = environment(tmp_path / "environment")
    quick = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python), str(wheel))
    if run(*quick, cwd=tmp_path).returncode:  # uv is not there, or knows another index than pip
        done = run(sys.executable, *PIP, "--python", str(python), "install", str(wheel), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    evaluated(python, tmp_path)
    assert run(sys.executable, *PIP, "--python", str(python), "check", cwd=tmp_path).returncode == 0
