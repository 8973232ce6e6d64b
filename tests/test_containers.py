"""The container and the composition of containers, as far as they can be tried without Docker: what they say is held
against the program, and the commands that they start are started here, with the settings that they set."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
import venv
from pathlib import Path
from typing import Any

import pytest
import ruamel.yaml
import typer
from peers.postgres import Postgres
from peers.server import Server, free_port

from engine.cli.app import app
from engine.settings import PREFIX, Settings, TrustedClient

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[1]
PARTS = {"services", "volumes", "networks", "secrets", "configs", "name"}  # and `x-...`
OF_A_SERVICE = {
    "build", "cap_drop", "command", "depends_on", "entrypoint", "environment", "env_file", "healthcheck", "image",
    "init", "network_mode", "networks", "ports", "profiles", "read_only", "restart", "secrets", "security_opt",
    "stop_grace_period", "tmpfs", "user", "volumes",
}  # fmt: skip
OF_A_HEALTH_CHECK = {"test", "interval", "timeout", "retries", "start_period", "start_interval"}
PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+[a-z0-9.-]*")
LOOPBACK = "127.0.0.1"
START_SECONDS = 90


def composition() -> Json:
    """The file with its merged parts (`<<`) put in place."""
    return dict(json.loads(json.dumps(ruamel.yaml.YAML(typ="safe").load(ROOT / "docker-compose.yml"))))


def instructions() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile with their arguments, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], re.sub(r"\s+", " ", line.partition(" ")[2]).strip()) for line in lines]


def given(name: str) -> list[str]:
    return [arguments for instruction, arguments in instructions() if instruction == name]


SERVICES: dict[str, Json] = composition()["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
COMMANDS = {name: service["command"] for name, service in OURS.items()} | {"image": json.loads(given("CMD")[0])}


def accepted(arguments: list[str]) -> None:
    """Parses a command line of `endplate`; raises if there is no such command or option."""
    command = typer.main.get_command(app)
    context = command.make_context("endplate", list(arguments))
    _, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    inner.make_context(inner.name, rest)


# -- what the files say


def test_the_composition_says_only_what_the_specification_knows() -> None:
    whole = composition()

    assert {part for part in whole if not part.startswith("x-")} <= PARTS
    assert set(SERVICES) == {"endplate", "db", "hapi", "dev"}
    for service in SERVICES.values():
        assert set(service) <= OF_A_SERVICE
        assert set(service["healthcheck"]) <= OF_A_HEALTH_CHECK
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        kept = {volume.partition(":")[0] for volume in service.get("volumes", ()) if isinstance(volume, str)}
        assert kept <= set(whole["volumes"])


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_pinned_unprivileged_read_only_and_asked_for_its_health(name: str) -> None:
    service = SERVICES[name]
    if "build" not in service:
        assert PINNED.fullmatch(service["image"])
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert all(port.startswith(f"{LOOPBACK}:") for port in service.get("ports", ()))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_one_of_the_program(name: str) -> None:
    accepted(COMMANDS[name])


@pytest.mark.parametrize("wrong", [["serv"], ["serve", "--hosts", "x"], ["serve", "--port", "eighty"]])
def test_a_wrong_command_would_be_noticed(wrong: list[str]) -> None:
    with pytest.raises(typer._click.exceptions.ClickException):
        accepted(wrong)


def test_every_variable_is_a_setting_and_no_secret_stands_in_the_file() -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    set_here = {name for service in OURS.values() for name in service.get("environment", {})}
    in_image = set(re.findall(rf"({PREFIX}\w+)=", " ".join(given("ENV"))))

    assert set_here
    assert set_here | in_image <= known
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    secrets = re.findall(r"PASSWORD: (.+)|://endplate:(.+)@|\"secret\": \"([^\"]+)\"", text)
    names = [re.match(r"\$\{(\w+):\?", "".join(secret)) for secret in secrets]
    assert [name and name[1] for name in names] == ["POSTGRES_PASSWORD", "HOOK_SECRET", "POSTGRES_PASSWORD"]
    example = (ROOT / ".env.example").read_text("utf-8").splitlines()
    assert {"POSTGRES_PASSWORD=", "HOOK_SECRET="} <= set(example)
    assert {".env", "keys/"} <= set((ROOT / ".gitignore").read_text("utf-8").splitlines())


def test_the_service_is_open_only_in_a_profile_of_its_own_and_there_on_loopback() -> None:
    for name, service in OURS.items():
        if "--dev" in service["command"]:
            assert service["profiles"] == ["dev"]
            assert service["network_mode"] == "host"  # `--dev` listens on loopback alone
        else:
            trusted = json.loads(service["environment"]["ENDPLATE_TRUSTED_CLIENTS"])
            assert [TrustedClient(**one) for one in trusted], name
    assert "--dev" not in COMMANDS["image"]


def test_what_is_kept_lies_in_volumes() -> None:
    mounted = {volume.partition(":")[2]: volume.partition(":")[0] for service in SERVICES.values()
               for volume in service.get("volumes", ()) if isinstance(volume, str)}  # fmt: skip

    assert set(mounted.values()) == set(composition()["volumes"])
    assert OURS["endplate"]["environment"]["ENDPLATE_DATA"] in mounted


def test_the_image_copies_what_exists_and_runs_as_a_user_of_its_own() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = {name for line in given("COPY") if not line.startswith("--from") for name in line.split()[:-1]}

    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    assert all(PINNED.fullmatch(line.split()[0]) for line in given("FROM"))
    assert given("USER") == ["10001"]
    assert {service["user"].partition(":")[0] for service in OURS.values()} == {"10001"}
    assert given("ENTRYPOINT") == ['["endplate"]']
    probes = {json.dumps(service["healthcheck"]["test"][1:]) for service in OURS.values()}
    assert probes == {given("HEALTHCHECK")[0].partition("CMD ")[2]}


# -- what they start


def variables(service: Json, tmp_path: Path, database: str, port: int) -> list[str]:
    """The settings of a service with what only containers have replaced: addresses, paths, the secret."""
    instead = {
        r"\$\{POSTGRES_PASSWORD:\?[^}]*\}": "secret", r"\$\{HOOK_SECRET:\?[^}]*\}": "secret" * 4,
        "@db/endplate$": f"@{database}", ":8080$": f":{port}",
        "/var/lib/endplate": str(tmp_path / "data"), "/run/keys/": f"{tmp_path}/keys/",
    }  # fmt: skip
    given = dict(service.get("environment", {}))
    for pattern, new in instead.items():
        given = {name: re.sub(pattern, new, value) for name, value in given.items()}
    return [f"{name}={value}" for name, value in given.items()]


def asked(address: str, token: str = "", body: bytes | None = None) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=30) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def make_token(*arguments: str, cwd: Path) -> str:
    command = [sys.executable, str(ROOT / "tools/make_token.py"), *arguments]
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("name", OURS)
def test_what_a_container_starts_becomes_ready_and_its_probe_says_so(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    service, port, database = OURS[name], free_port(), ""
    if "environment" in service:
        postgres: Postgres = request.getfixturevalue("postgres")
        database = postgres.create(f"compose_{uuid.uuid4().hex}").rpartition("@")[2]
    make_token("keys", cwd=tmp_path)
    arguments = [{"8080": str(port), "0.0.0.0": LOOPBACK}.get(one, one) for one in service["command"]]  # noqa: S104
    ours = [f"--unset={name}" for name in os.environ if name.startswith(PREFIX)]
    program = [sys.executable, "-c", "from engine.cli import main; main()", *arguments]
    probe = [part.replace("8080", str(port)) for part in service["healthcheck"]["test"][1:]]
    probe[0] = sys.executable
    base = f"http://{LOOPBACK}:{port}"
    server = Server(
        ["env", *ours, f"PYTHONPATH={ROOT}", *variables(service, tmp_path, database, port), *program],
        tmp_path,
        probe=lambda: asked(f"{base}/readyz")[0] == 200,
    )
    try:
        server.start(START_SECONDS)
        assert subprocess.run(probe, check=False, capture_output=True).returncode == 0
        address = f"{base}/cds-services"
        token = make_token("token", address, cwd=tmp_path)
        answers = [asked(address), asked(address, token), asked(address, token)]
        sign = f"{address}/endplate-order-sign"
        body = (ROOT / "fhir_examples/hooks/order-sign.json").read_bytes()
        signed = asked(sign, make_token("token", sign, cwd=tmp_path), body)
        card = json.loads(signed[1])["cards"][0]
        explained = asked(card["links"][0]["url"])
    finally:
        server.stop()
    assert subprocess.run(probe, check=False, capture_output=True).returncode != 0
    is_open = "--dev" in service["command"]
    refused = 200 if is_open else 401  # without a token, and with one that was used before
    assert [status for status, _ in answers] == [refused, 200, refused]
    assert json.loads(answers[1][1])["services"]
    assert (signed[0], explained[0], card["indicator"]) == (200, 200, "critical")
    if not is_open:
        assert [file.name for file in (tmp_path / "data").iterdir()] == ["audit"]  # the store is in PostgreSQL
        assert list((tmp_path / "data" / "audit").iterdir())
    assert "secret" not in (tmp_path / "log").read_text("utf-8")


def test_keys_for_trying_out_are_made_once_and_the_private_one_is_private(tmp_path: Path) -> None:
    make_token("keys", cwd=tmp_path)
    with pytest.raises(subprocess.CalledProcessError):
        make_token("keys", cwd=tmp_path)

    assert (tmp_path / "keys/private.json").stat().st_mode & 0o077 == 0
    [public] = json.loads((tmp_path / "keys/public.json").read_text("utf-8"))["keys"]
    assert "d" not in public


def test_the_image_is_built_of_what_it_copies(tmp_path: Path) -> None:
    """The steps of the Dockerfile that need no container: an environment, the installation with its extras, the check
    of the rules."""
    source = tmp_path / "src"
    for line in given("COPY"):
        if line.startswith("--from"):
            continue
        *names, target = line.split()
        for name in names:
            place = (source / target / name).resolve() if target == "./" else source / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, place)
    steps = [shlex.split(line) for line in given("RUN")]
    installs = [step for step in steps if step[:2] == ["pip", "install"]]
    checks = [step for step in steps if step[0] == "endplate"]
    assert [step[:3] for step in steps if step[0] == "python"] == [["python", "-m", "venv"]]
    assert len(installs) == len(checks) == 1
    accepted(checks[0][1:])
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith((PREFIX, "PYTHON", "VIRTUAL_ENV"))}
    variables = kept | {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", f"{PREFIX}CACHE": str(tmp_path / "cache"),
        "PIP_NO_COMPILE": "1",  # what is imported is compiled then: a third of the time
    }  # fmt: skip
    reached = subprocess.run(
        [folder / "bin/pip", "download", "--quiet", "--no-deps", "--dest", tmp_path / "probe", "hatchling"],
        check=False, capture_output=True, env=variables,
    )  # fmt: skip
    if reached.returncode:
        pytest.skip("needs a package index")
    for step in (*installs, *checks):
        tool = str(folder / "bin" / step[0])
        options = [one for one in step[1:] if one != "--no-cache-dir"]  # what was fetched once is not fetched again
        done = subprocess.run([tool, *options], cwd=source, env=variables, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert list((tmp_path / "cache").iterdir())
