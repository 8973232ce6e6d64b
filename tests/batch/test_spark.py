"""The Spark runner says what the local one says, byte for byte, however the input is cut and whatever fails."""

from __future__ import annotations

import gc
import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from batch_kit import DAY, bulk, endplate, ndjson, population, ready, write_bulk

from engine.batch.setup import Setup
from engine.batch.sources import listing
from engine.cli.screen import Options
from engine.errors import InputError, RunError
from engine.spark import run as stages
from engine.spark import tasks
from engine.spark.session import settings, start

Screen = Callable[..., Path]
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")   # PySpark does not close them


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One session for all tests: its start is most of their time."""
    pytest.importorskip("pyspark", reason="needs `endplate[spark]`")
    if not shutil.which("java"):
        pytest.skip("needs Java")
    scratch = tmp_path_factory.mktemp("spark")
    session = start(settings([
        f"spark.local.dir={scratch}", f"spark.sql.warehouse.dir={scratch}",
        "spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",    # short runs: start soon
    ], workers=2))  # fmt: skip
    yield session
    session.stop()
    gc.collect()


@pytest.fixture
def screen(spark: Any, tmp_path: Path) -> Iterator[Screen]:
    """Screens on Spark; the folder with what it wrote."""
    from engine.cli.screen_spark import run  # noqa: PLC0415

    def screened(*sources: object, out: str = "", **options: Any) -> Path:
        folder = out or str(tmp_path / "spark")
        asked = Options(**{"as_of": DAY.isoformat(), "complete": False, "backend": "plain", "folder": None,
                              "valuesets": (), **options})  # fmt: skip
        run([str(source) for source in sources], folder, asked, [])
        return Path(folder.removeprefix("file:"))

    yield screened
    gc.collect()


def lines(path: Path) -> list[bytes]:
    """The lines of a file, or of the parts of a folder, sorted."""
    files = [path] if path.is_file() else sorted(path.glob("part-*"))
    return sorted(line for file in files for line in file.read_bytes().splitlines())


def table(path: Path) -> list[str]:
    """The rows of a table, sorted."""
    parquet = pytest.importorskip("pyarrow.parquet")
    return sorted(json.dumps(row, default=str) for row in parquet.read_table(path).to_pylist())


def assert_same(spark_out: Path, local_out: Path) -> None:
    """Every finding, problem and count."""
    for name in ("detected-issues.ndjson", "problems.ndjson"):
        assert lines(spark_out / name) == lines(local_out / name), name
    assert table(spark_out / "findings.parquet") == table(local_out / "findings.parquet")
    assert json.loads((spark_out / "summary.json").read_text()) == json.loads((local_out / "summary.json").read_text())
    assert sorted(path.name for path in spark_out.iterdir()) == [
        "detected-issues.ndjson", "findings.parquet", "problems.ndjson", "report.html", "summary.json",
    ]  # fmt: skip


def locally(tmp_path: Path, *sources: object, options: tuple[object, ...] = ()) -> Path:
    out = tmp_path / "local"
    done = endplate(*sources, "--out", out, "--workers", 1, *options)
    assert done.returncode == 0, done.stderr
    return out


# -- the same findings


def test_bundles_and_a_bulk_export_give_what_they_give_on_one_machine(screen: Screen, tmp_path: Path) -> None:
    data = tmp_path / "data of 50% {a} [b]"
    data.mkdir()
    patients = list(population(3))
    (data / "one.json").write_bytes(json.dumps(patients[0], indent=1).encode())
    (data / "two.ndjson.gz").write_bytes(gzip.compress(ndjson(patients[1:9])))
    (data / "broken.ndjson.gz").write_bytes(gzip.compress(ndjson(patients[9:20]), mtime=0)[:-2000])
    write_bulk(data / "bulk", bulk(patients[20:]), files=3)

    assert_same(screen(data), locally(tmp_path, data))


def test_files_that_are_cut_count_their_lines_as_whole_ones(
    screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "WHOLE", 250_000)
    monkeypatch.setattr(stages, "STRETCH", 300_000)
    data = tmp_path / "data"
    patients = list(population(3))
    write_bulk(data, bulk(patients[:33]))
    odd = b"\xef\xbb\xbf" + ndjson(patients[33:50]) + b"\r\n\n{broken\r\n" + b'{"resourceType":"Patient","id":"\xff"}\n'
    (data / "bundles.ndjson").write_bytes(odd + ndjson(patients[50:]).replace(b"\n", b"\r\n").rstrip() + b"\n[]\n17")
    for cut in ("Observation.000.ndjson", "bundles.ndjson"):
        assert (data / cut).stat().st_size > 300_000

    spark_out = screen(data, only=("medication-safety",))

    assert_same(spark_out, locally(tmp_path, data, options=("--only", "medication-safety")))
    reasons = {json.loads(line)["reason"] for line in lines(spark_out / "problems.ndjson")}
    assert reasons >= {"not-json", "not-an-object"}


def test_what_an_export_deleted_and_who_is_named_by_an_identifier_is_as_on_one_machine(
    screen: Screen, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    resources = bulk(population(1))
    for patient in resources["Patient"]:
        patient["identifier"] = [{"system": "urn:mrn", "value": patient["id"]}]
    for observation in resources["Observation"][::2]:
        name = observation["subject"]["reference"].removeprefix("Patient/")
        observation["subject"] = {"identifier": {"system": "urn:mrn", "value": name}}
    write_bulk(data, resources, files=2)
    gone = [{"request": {"method": "DELETE", "url": f"Condition/{one['id']}"}} for one in resources["Condition"][:6]]
    (data / "deleted.ndjson").write_bytes(ndjson([{"resourceType": "Bundle", "type": "transaction", "entry": gone}]))
    output = [{"type": path.name.partition(".")[0], "url": f"https://ehr.example.org/{path.name}"}
              for path in sorted(data.glob("*.0*.ndjson"))]  # fmt: skip
    manifest = {"transactionTime": "2026-04-20T00:00:00Z", "request": "https://ehr.example.org/$export",
                "requiresAccessToken": False, "output": output, "error": [],
                "deleted": [{"type": "Bundle", "url": "https://ehr.example.org/deleted.ndjson"}]}  # fmt: skip
    (data / "manifest.json").write_text(json.dumps(manifest))

    assert_same(screen(data, complete=True, thorough=True),
                locally(tmp_path, data, options=("--complete", "--thorough")))  # fmt: skip


# -- what fails on the way


def test_a_killed_worker_is_repeated_and_nothing_is_told_twice(
    screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, mark = tmp_path / "data", tmp_path / "killed"
    write_bulk(data, bulk(population(1)))
    scan = tasks.scan

    def killed(*arguments: Any) -> Iterator[Any]:
        for number, item in enumerate(scan(*arguments)):
            if number == 20 and not mark.exists():
                mark.touch()
                os._exit(9)
            yield item

    monkeypatch.setattr(tasks, "scan", killed)
    monkeypatch.setattr(killed, "__module__", "__main__")    # travels as a value: executors do not have this module
    found = screen(data)

    assert mark.exists()
    assert_same(found, locally(tmp_path, data))


def test_an_executor_with_other_code_refuses_to_work() -> None:
    loaded = ready().ruleset
    setup = Setup(sources=(), parts=(), partitions=1, as_of=DAY, content=loaded.hash)
    shipped = tasks.ship(setup, loaded)

    assert tasks.received(shipped).ruleset.hash == loaded.hash
    with pytest.raises(RunError, match="install the same everywhere"):
        tasks.received(shipped.replace(tasks.code().encode(), b"0" * 64))
    with pytest.raises(RunError, match="other rules"):
        tasks.received(tasks.ship(Setup(sources=(), parts=(), partitions=1, as_of=DAY, content="other"), loaded))


def test_a_run_that_fails_leaves_no_summary_and_says_why(
    screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bulk(tmp_path / "data", bulk(population(1), frozenset({"Patient"})))
    monkeypatch.setattr(tasks, "code", lambda: "another program")

    with pytest.raises(typer.Exit) as stopped:
        screen(tmp_path / "data")

    assert stopped.value.exit_code == 3
    assert "another version of Endplate than the driver" in capsys.readouterr().err
    assert not (tmp_path / "spark/summary.json").exists()


# -- what cannot be


@pytest.mark.parametrize(
    ("sources", "options", "said"),
    [
        (["-"], {}, "standard input is on this machine alone"),
        (["data"], {"limit": 5}, "`--limit` does not work with `--runner spark`"),
        (["data"], {"resume": True}, "start again"),
        (["data"], {"compare": Path("rules")}, "`--runner local`"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused_before_it_starts(sources: list[str], options: Any, said: str) -> None:
    from engine.cli.screen_spark import run  # noqa: PLC0415

    asked = Options(as_of="", complete=False, backend="plain", folder=None, valuesets=(), **options)
    with pytest.raises(InputError, match=said):
        run(sources, "out", asked, [])


def test_files_that_spark_would_pass_over_are_refused(spark: Any, tmp_path: Path) -> None:
    from engine.spark.files import SparkFiles  # noqa: PLC0415

    (tmp_path / "_Patient.ndjson").write_text("{}\n")
    with pytest.raises(InputError, match="begins with `_`"):
        listing([str(tmp_path)], SparkFiles(spark))
    with pytest.raises(InputError, match="does not exist"):
        listing([f"file:{tmp_path}/nowhere"], SparkFiles(spark))
    with pytest.raises(InputError, match="knows no such file system"):
        listing(["carrier-pigeon://loft/data"], SparkFiles(spark))


def test_spark_lists_what_the_local_runner_lists(spark: Any, tmp_path: Path) -> None:
    from engine.spark.files import SparkFiles  # noqa: PLC0415

    data = write_bulk(tmp_path / "a b%41,{c}", bulk(population(1)), files=2)
    (data / "notes.txt").write_text("no data")
    for asked in ([str(data)], [f"{tmp_path}/*/Patient.*.ndjson"], [f"{data}/Patient.000.ndjson", str(data)]):
        here, there = listing(asked), listing(asked, SparkFiles(spark))
        assert [(one.name, one.size) for one in there.sources] == [(one.name, one.size) for one in here.sources] or (
            "*" in asked[0]
            and [Path(one.name.removeprefix("file:")).name for one in there.sources]
            == [Path(one.name).name for one in here.sources]
        )


def test_settings_that_would_hide_unreadable_files_are_refused() -> None:
    assert settings(["spark.master=yarn"])["spark.master"] == "yarn"
    assert settings([], workers=3)["spark.master"].startswith("local[3")
    with pytest.raises(InputError, match="must be false"):
        settings(["spark.files.ignoreCorruptFiles=true"])
    with pytest.raises(InputError, match="`--workers` is for this machine alone"):
        settings(["spark.master=yarn"], workers=2)
    with pytest.raises(InputError, match=r"write `spark\.name=value`"):
        settings(["yarn"])


def test_without_pyspark_or_java_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"endplate\[spark\]"):
        start({})
    monkeypatch.setattr("importlib.util.find_spec", lambda _: True)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(InputError, match="needs Java 17"):
        start({})
