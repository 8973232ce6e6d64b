"""Bytes to documents: what is JSON is read, what is none costs itself, and nothing large is held."""

from __future__ import annotations

import gzip
import io
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.fhir import CODES, Document, decode_json, read_documents
from engine.fhir import decode as decode_module
from engine.model.problem import Problem

ONE = b'{"resourceType":"Patient","id":"1"}'


def contents(data: bytes) -> list[object]:
    return [found.content if isinstance(found, Document) else found.code for found in read_documents(data)]


def test_decimals_stay_as_they_are_written() -> None:
    assert str(decode_json(b'{"v": 0.40}')) == "{'v': Decimal('0.40')}"
    assert decode_json(b"[1.10e3, 7]") == [Decimal("1.10e3"), 7]


def test_a_pretty_document_is_one_document() -> None:
    assert contents(b'{\n "resourceType": "Patient",\n "id": "1"\n}\n') == [{"resourceType": "Patient", "id": "1"}]


def test_ndjson_is_recognised_whatever_the_file_is_called() -> None:
    assert contents(b"\n\n" + ONE + b"\r\n\n" + ONE + b"\n") == [{"resourceType": "Patient", "id": "1"}] * 2


def test_a_byte_order_mark_and_gzip_change_nothing() -> None:
    plain = contents(ONE + b"\n" + ONE)
    assert contents(b"\xef\xbb\xbf" + ONE + b"\n" + ONE) == plain
    assert contents(gzip.compress(b"\xef\xbb\xbf" + ONE + b"\n" + ONE)) == plain


def test_one_bad_line_costs_one_line_and_is_named() -> None:
    found = list(read_documents(ONE + b'\n{"broken": \n' + ONE, "export.ndjson"))
    assert [type(one) for one in found] == [Document, Problem, Document]
    assert found[1].code == "not-json" and found[1].where == "export.ndjson: line 2"  # type: ignore[union-attr]
    assert found[2].where == "export.ndjson: line 3"


@pytest.mark.parametrize("first", [b'{"resourceType": "Pat', b"exported on Monday", b'{"a":1}}'])
def test_a_bad_first_line_does_not_cost_the_others(first: bytes) -> None:
    assert contents(first + b"\n" + ONE + b"\n" + ONE) == ["not-json"] + [{"resourceType": "Patient", "id": "1"}] * 2


def test_the_message_says_where_and_quotes_nothing() -> None:
    (found,) = read_documents(b'{"name": "Secret Person" oops}')
    assert isinstance(found, Problem) and "byte" in found.message and "Secret" not in found.message
    (xml,) = read_documents(b"<Patient/>")
    assert isinstance(xml, Problem) and "XML" in xml.message
    (wide,) = read_documents('{"a": 1}'.encode("utf-16"))
    assert isinstance(wide, Problem) and "UTF-16" in wide.message


def test_nan_control_characters_and_half_surrogates_cost_nothing_but_themselves() -> None:
    assert (
        str(contents(b'{"v": NaN, "w": -Infinity, "x": 1}')) == "[{'v': Decimal('NaN'), 'w': Decimal('NaN'), 'x': 1}]"
    )
    assert contents(b'{"a": "x\ty\x01"}') == [{"a": "x\ty\x01"}]
    (found,) = contents(b'{"a\\ud800": ["\\udc00"]}')
    assert str(found).encode("utf-8") and found == {"a�": ["�"]}


@pytest.mark.parametrize("data", [b"[" * 200_000, b'{"a":' * 200_000, b'{"a": 1' + b"0" * 5000 + b"}"])
def test_deep_nesting_and_endless_numbers_are_problems(data: bytes) -> None:
    assert contents(data) in (["not-json"], [{"a": 10**5000}])


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    assert contents(b'{"status": "final", "status": "cancelled"}') == [{"status": "cancelled"}]


def test_a_line_that_is_too_long_is_skipped_without_being_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_module, "LARGEST", 1000)
    long = b'{"a": "' + b"x" * 5000 + b'"}'
    assert contents(ONE + b"\n" + long + b"\n" + ONE)[1] == "too-large"
    assert len(contents(ONE + b"\n" + long + b"\n" + ONE)) == 3
    assert contents(long + b"\n" + ONE) == ["too-large", {"resourceType": "Patient", "id": "1"}]
    assert contents(long) == ["too-large"]
    assert contents(b'{\n"a":\n' + b"1,\n" * 900 + b"}") == ["too-large"]


class Endless(io.RawIOBase):
    """A stream of spaces that never holds a line end."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        self.given += size
        return b" " * size if self.given < 200_000_000 else b""


def test_an_endless_line_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_module, "LARGEST", 1_000_000)
    assert [found.code for found in read_documents(Endless()) if isinstance(found, Problem)] == ["too-large"]


def test_a_cut_or_damaged_archive_gives_what_came_before() -> None:
    packed = gzip.compress(b"\n".join([ONE] * 20_000), compresslevel=0)
    found = list(read_documents(packed[: len(packed) // 2], "cut.ndjson.gz"))
    assert len(found) > 100 and isinstance(found[-1], Problem) and found[-1].code == "not-readable"
    assert contents(b"\x1f\x8bnot gzip at all") == ["not-readable"]


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    (found,) = read_documents(tmp_path / "nothing.json")
    assert isinstance(found, Problem) and found.code == "not-readable"


def test_nothing_gives_nothing() -> None:
    assert contents(b"") == contents(b"\n \n") == contents(b"\xef\xbb\xbf") == []


def test_one_document_has_the_name_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_bytes(ONE + b"\n")
    (found,) = read_documents(path, "one.json")
    assert found.where == "one.json"


def test_decode_raises_only_input_errors() -> None:
    with pytest.raises(InputError, match="no JSON"):
        decode_json(b"{,}")


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from([ONE, b"{", b"\n", b"}", b"\xff", b"\x1f\x8b", b"[1]", b'"'])).map(b"".join)
)
def test_any_bytes_give_documents_or_problems(data: bytes) -> None:
    for found in read_documents(data):
        assert isinstance(found, Document) or found.code in CODES


def test_a_second_line_that_only_begins_like_an_object_does_not_make_ndjson() -> None:
    assert contents(b'{"a":\n{"b": 1}}') == [{"a": {"b": 1}}]
    assert contents(b'{"a": [\n{"b": 1},\n{"b": 2}\n]}') == [{"a": [{"b": 1}, {"b": 2}]}]
    assert contents(b'[\n{"b": 1}\n]') == [[{"b": 1}]]


def test_what_is_not_utf8_is_said() -> None:
    (found,) = read_documents(b'{"name": "M\xfcller"}')
    assert isinstance(found, Problem) and found.message == "is not encoded as UTF-8"


def test_numbers_beyond_all_limits_are_no_numbers() -> None:
    assert str(contents(b'{"v": 1e99999999999999999999, "w": NaN}')) == "[{'v': Decimal('NaN'), 'w': Decimal('NaN')}]"


def test_repairs_stop_at_a_depth() -> None:
    assert contents(b'{"v": NaN, "w": ' + b"[" * 150 + b"]" * 150 + b"}") != []
