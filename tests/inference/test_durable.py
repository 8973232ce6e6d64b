from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import pytest
from house_alarm import HOUSE, all_, any_, at_least, derived, is_, is_not, issue, plain
from strategies import known, program, seeded

import engine.inference.durable as module
from engine.errors import BackendError
from engine.inference.durable import DurableBackend
from engine.inference.plain import PlainBackend
from engine.rules.program import Program, Rule

pytestmark = pytest.mark.durable

SOAK = os.environ.get("ENDPLATE_SOAK") == "1"
FIRE = {"smoke": "seen", "heat": "present", "cooking": "absent"}


@contextmanager
def backend(*rules: Rule) -> Iterator[DurableBackend]:
    made = DurableBackend(Program(patient=rules, order=(), base={}))
    yield made
    assert made.leftovers() == []
    made.close()


def agree(values: dict[str, str], *rules: Rule) -> dict[str, str]:
    """The conclusions, the same from both backends."""
    expected = PlainBackend(Program(patient=rules, order=(), base={})).infer(values).conclusions
    with backend(*rules) as durable:
        assert durable.infer(values).conclusions == expected
    return dict(expected.values)


def test_it_concludes_values_and_cases() -> None:
    conclusions = DurableBackend(HOUSE).infer(FIRE).conclusions
    assert conclusions.values == {
        "hot": "present",
        "signs": "present",
        "fire": "sure",
        "alarm": "present",
        "look": "absent",
    }
    assert conclusions.cases == {"hot": 0, "signs": 0, "fire": 0, "alarm": 0}


def test_nothing_of_one_patient_is_left_for_the_next() -> None:
    durable = DurableBackend(HOUSE)
    for _ in range(3):
        assert durable.infer(FIRE).conclusions.values["alarm"] == "present"
        assert durable.infer({}).conclusions.values["alarm"] == "unknown"
        assert durable.leftovers() == []


# ---- the limits of the engine


def test_one_literal_may_stand_in_many_rules() -> None:
    """The engine refuses the 257th use of one pattern."""
    rules = [plain(f"r{n}", all_(is_("a", "present"), is_(f"b{n}", "present"))) for n in range(700)]
    values = {"a": "present"} | {f"b{n}": "present" if n % 3 else "absent" for n in range(700)}
    assert sum(value == "present" for value in agree(values, *rules).values()) == 466


def test_one_fact_may_have_many_values() -> None:
    """The engine loops for ever over 512 tests side by side."""
    rules = [issue(f"r{n}", is_("code", f"v{n}")) for n in range(1500)]
    found = agree({"code": "v777"}, *rules)
    assert [name for name, value in found.items() if value == "present"] == ["r777"]


def test_conditions_may_be_wider_than_an_engine_rule() -> None:
    """The engine refuses 17 patterns in one rule."""
    names = [f"f{n}" for n in range(300)]
    parts = [is_(name, "present") for name in names]
    rules = [plain("all", all_(*parts)), plain("any", any_(*parts))]
    present, absent = dict.fromkeys(names, "present"), dict.fromkeys(names, "absent")
    assert agree(present, *rules) == {"all": "present", "any": "present"}
    assert agree(absent, *rules) == {"all": "absent", "any": "absent"}
    assert agree({**present, "f299": "absent"}, *rules) == {"all": "absent", "any": "present"}
    assert agree({**absent, "f150": "unknown"}, *rules) == {"all": "absent", "any": "unknown"}


def test_many_rules_may_be_true_for_one_fact() -> None:
    """The engine gives up at the 65th rule that fires on one fact."""
    rules = [plain(f"r{n}", any_(is_("a", "present"), is_(f"b{n}", "present"))) for n in range(300)]
    assert set(agree({"a": "present"}, *rules).values()) == {"present"}


def test_more_rules_than_one_ruleset_takes_are_spread_over_several() -> None:
    """The engine refuses the 4097th rule."""
    below = ["b", *(f"r{n}" for n in range(59))]
    rules = [plain(f"r{n}", all_(is_(f"a{n}", "present"), is_(below[n], "present"))) for n in range(60)]
    rules += [plain(f"s{n}", all_(is_(f"c{n}", "present"), is_("b", "present"))) for n in range(4200)]
    values = {"b": "present", "c4199": "present"} | {f"a{n}": "present" for n in range(60)}
    found = agree(values, *rules)
    assert (found["r59"], found["s4199"], found["s0"]) == ("present", "present", "unknown")


@pytest.mark.parametrize("most", [1, 3])
def test_rulesets_tell_each_other_what_they_conclude(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(module, "MAX_RULES", most)
    for seed in range(8):
        made = program(seeded(seed))
        durable, plain_, pick = DurableBackend(made), PlainBackend(made), seeded(seed + 100)
        for _ in range(12):
            values = known(pick, made)
            assert durable.infer(values) == plain_.infer(values)
        assert durable.leftovers() == []
        durable.close()


def test_at_least_counts_every_choice() -> None:
    names = "abcdef"
    rules = [plain(f"at-least-{n}", at_least(n, *(is_(name, "present") for name in names))) for n in range(8)]
    for size in range(7):
        for chosen in combinations(names, size):
            values = {name: "present" if name in chosen else "absent" for name in names}
            assert agree(values, *rules) == {f"at-least-{n}": "present" if size >= n else "absent" for n in range(8)}


def test_a_repeated_part_counts_as_often_as_it_is_written() -> None:
    twice = plain("x", at_least(2, is_("a", "present"), is_("a", "present"), is_("b", "present")))
    assert agree({"a": "present", "b": "absent"}, twice) == {"x": "present"}


def test_a_long_chain_is_derived_link_by_link() -> None:
    rules = [plain(f"c{n}", is_(f"c{n - 1}", "present" if n % 2 else "absent")) for n in range(1, 60)]
    agree({"c0": "present"}, *rules)
    agree({"c0": "absent"}, *rules)
    assert set(agree({}, *rules).values()) == {"unknown"}


def test_every_closing_waits_for_the_one_before() -> None:
    rules = [plain(f"c{n}", is_not(f"c{n - 1}", "present")) for n in range(1, 30)]
    assert agree({}, *rules)["c29"] == "present"


def test_names_and_values_may_hold_anything() -> None:
    """Only numbers enter the engine."""
    odd = 'a"b\\c{}[],\n\0é'
    rule = derived(odd, (odd, is_(odd + "x", odd)), ("z" * 70_000, is_("y", "w" * 70_000)))
    assert agree({odd + "x": odd}, rule) == {odd: odd}
    assert agree({odd + "x": "", "y": "w" * 70_000}, rule) == {odd: "z" * 70_000}
    assert agree({odd + "x": "1e-05", "y": "0"}, rule) == {odd: "absent"}


def test_a_program_without_rules_concludes_nothing() -> None:
    assert agree({"a": "present"}) == {}


def test_an_atom_keeps_away_from_ids_with_the_same_hash() -> None:
    numbers = module._numbers()
    taken = [next(numbers) for _ in range(50_000)]
    hashes = {module._hash(str(number)) for number in taken} | {module._hash("sid-0"), module._hash("$pulse")}
    assert len(hashes) == len(taken) + 2


def test_a_number_whose_hash_is_taken_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_hash", len)
    numbers = module._numbers()                       # `sid-0` takes 5, `$pulse` takes 6
    assert [next(numbers) for _ in range(4)] == [0, 10, 100, 1000]


def test_a_program_beyond_the_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOP", 1)
    monkeypatch.setattr(module, "BASE", 3)
    with pytest.raises(BackendError, match="use the backend `plain`"):
        DurableBackend(HOUSE)


# ---- failures


class Failing:
    """The engine with one function that fails once."""

    def __init__(self, function: str, answer: object) -> None:
        self._engine = import_module("durable_rules_engine")
        self._function, self._answer = function, answer
        self.created: list[int] = []

    def __getattr__(self, name: str) -> object:
        real = getattr(self._engine, name)

        def call(*arguments: object) -> object:
            if name == self._function and self._answer is not None:
                answer, self._answer = self._answer, None
                if isinstance(answer, BaseException):
                    raise answer
                return answer
            result = real(*arguments)
            if name == "create_ruleset":
                self.created.append(result)
            return result

        return call


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        ("assert_facts", (2, 1)),
        ("assert_facts", RuntimeError("Could not assert facts, error code: 303")),
        ("start_action_for_state", RuntimeError("Could not start action")),
        ("complete_and_start_action", RuntimeError("Could not complete")),
        ("complete_and_start_action", '{"q99999":{}}'),
        ("retract_facts", (1, 1)),
    ],
)
def test_after_a_failure_the_next_evaluation_has_a_new_engine(
    monkeypatch: pytest.MonkeyPatch, function: str, answer: object
) -> None:
    failing = Failing(function, answer)
    monkeypatch.setattr(module, "load_engine", lambda: failing)
    durable = DurableBackend(HOUSE)
    with pytest.raises(BackendError, match="starts afresh"):
        durable.infer(FIRE)
    assert len(failing.created) == 3                  # two parts, and the patient part again
    assert durable.infer(FIRE) == PlainBackend(HOUSE).infer(FIRE)
    assert durable.infer({}) == PlainBackend(HOUSE).infer({})
    assert durable.leftovers() == []


def test_an_interruption_passes_through_and_leaves_a_new_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_engine", lambda: Failing("complete_and_start_action", KeyboardInterrupt()))
    durable = DurableBackend(HOUSE)
    with pytest.raises(KeyboardInterrupt):
        durable.infer(FIRE)
    assert durable.infer(FIRE) == PlainBackend(HOUSE).infer(FIRE)


def test_a_missing_engine_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> SimpleNamespace:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(module, "import_module", missing)
    with pytest.raises(BackendError, match=r"install `endplate\[durable\]` with Python 3.11 or 3.12 and a C compiler"):
        DurableBackend(HOUSE)


def test_only_one_module_of_the_project_names_the_engine() -> None:
    root = Path(module.__file__).parent.parent
    naming = [path.name for path in root.rglob("*.py") if "durable_rules_engine" in path.read_text(encoding="utf-8")]
    assert naming == ["durable.py"]


# ---- many evaluations


def test_threads_take_turns() -> None:
    made = program(seeded(7))
    durable, plain_ = DurableBackend(made), PlainBackend(made)
    pick = seeded(8)
    patients = [known(pick, made) for _ in range(50)]
    wrong: list[dict[str, str]] = []

    def run() -> None:
        wrong.extend(values for values in patients * 4 if durable.infer(values) != plain_.infer(values))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    durable.close()


@pytest.mark.soak
def test_memory_stays_flat() -> None:
    durable = DurableBackend(HOUSE)
    patients = [FIRE, {}, {"smoke": "smelt"}, {"heat": "absent", "smoke": "absent"}]

    def run(evaluations: int) -> int:
        for index in range(evaluations):
            durable.infer(patients[index % 4])
        return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = run(2_000)
    after = run(200_000 if SOAK else 20_000)
    assert after - before < 2_000_000


def test_a_closed_backend_opens_again() -> None:
    durable = DurableBackend(HOUSE)
    durable.close()
    with pytest.raises(BackendError):
        durable.infer(FIRE)
    assert durable.infer(FIRE) == PlainBackend(HOUSE).infer(FIRE)
