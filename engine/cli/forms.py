"""`endplate forms`: the forms of a ruleset as FHIR Questionnaires, written and held against the ruleset."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.cli.common import ruleset, write
from engine.errors import InputError
from engine.forms.questionnaire import Version, questionnaire
from engine.outputs.validation import check_output

VERSIONS: tuple[Version, ...] = ("R4", "R5")


def build(folder: Path | None, out: Path) -> None:
    """Write every form in both versions of FHIR; files of forms that are gone are removed."""
    files = _files(folder, out)
    out.mkdir(parents=True, exist_ok=True)
    for path in _written(out):
        if path not in files:
            path.unlink()
    for path, content in files.items():
        path.write_bytes(content)
    write(f"{len(files)} forms written to {out.as_posix()}")


def check(folder: Path | None, out: Path) -> None:
    """Raises InputError if a file is missing, was changed, or belongs to no form."""
    files = _files(folder, out)
    stale = [path for path, content in files.items() if not path.is_file() or path.read_bytes() != content]
    stale += [path for path in _written(out) if path not in files]
    if stale:
        names = ", ".join(f"`{path.as_posix()}`" for path in stale)
        raise InputError(f"not up to date: {names}; run `endplate forms build`")
    write(f"{len(files)} forms are up to date")


def _files(folder: Path | None, out: Path) -> dict[Path, bytes]:
    loaded = ruleset(folder)
    if not loaded.content.forms:
        raise InputError("the ruleset has no forms: describe them in `forms.yaml`")
    files = {}
    for form in loaded.content.forms.values():
        for version in VERSIONS:
            resource = questionnaire(form, loaded.terminology, version)
            check_output(resource, version)
            text = msgspec.json.format(msgspec.json.encode(resource), indent=1)
            files[out / f"{form.name}.{version.lower()}.json"] = text + b"\n"
    return files


def _written(out: Path) -> list[Path]:
    return sorted(path for version in VERSIONS for path in out.glob(f"*.{version.lower()}.json"))
