"""Answers on the page of a case without a script: tried, shown as chosen, taken back, refused, downloaded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from answers_kit import EXAMINATION, EXAMPLES, NEUROPHYSIOLOGY, WAITING, form
from starlette.testclient import TestClient

from engine.forms.response import questionnaire_response

Json = dict[str, Any]
FALSE_POSITIVE = "AChR antibody in ALS without anything myasthenic"
OPEN = "AChR antibody in ALS, not yet confirmed"


@pytest.fixture
def case(client: TestClient) -> Iterator[str]:
    """The address of the example that waits for an examination."""
    yield dropped(client, json.loads((EXAMPLES / f"{WAITING}.json").read_bytes()))


def dropped(client: TestClient, bundle: Json) -> str:
    file = {"file": ("patient.json", json.dumps(bundle).encode())}
    answer = client.post("/workbench/files", files=file, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def send(client: TestClient, case: str, *asks: str, **fields: Any) -> Any:
    """The answer to a form, or with `live` to the script."""
    headers = {"X-Part": "live"} if fields.pop("live", False) else {}
    data = {"asks": list(asks), **fields}
    return client.post(f"{case}/answers", data=data, headers=headers, follow_redirects=False)


def answers(**told: str) -> dict[str, str | list[str]]:
    return {f"{EXAMINATION}:{link.replace('_', '-')}": word for link, word in told.items()}


EVERYTHING = (f"{EXAMINATION}:*", f"{NEUROPHYSIOLOGY}:*")
NO = answers(fatigability="absent", ocular_weakness="absent")


def told(page: str) -> str:
    found = re.search(r'<span id="told">(.*?)</span>', page)
    return found[1] if found else ""


def test_answers_are_tried_and_the_page_says_that_they_are_hypothetical(client: TestClient, case: str) -> None:
    before = client.get(case)
    assert "<title>Hypothetical" not in before.text and 'id="changes"' not in before.text
    answer = send(client, case, *EVERYTHING, **NO)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{case}#changes")
    page = client.get(case).text
    assert "<title>Hypothetical: " in page
    assert "Nothing of it is saved" in page
    assert FALSE_POSITIVE in told(page) and OPEN in told(page)
    assert 'value="absent" checked' in page


def test_a_question_beside_a_finding_is_answered_by_itself(client: TestClient, case: str) -> None:
    send(client, case, f"{EXAMINATION}:areflexia", **answers(areflexia="absent"))
    send(client, case, f"{EXAMINATION}:fatigability", **answers(fatigability="absent"))
    assert "what 2 answers would change" in client.get(case).text


def test_what_was_not_asked_for_is_not_taken(client: TestClient, case: str) -> None:
    send(client, case, f"{EXAMINATION}:areflexia", **answers(areflexia="absent", fatigability="absent"))
    assert "what 1 answer would change" in client.get(case).text


def test_an_answer_is_taken_back_and_so_are_all(client: TestClient, case: str) -> None:
    send(client, case, *EVERYTHING, **NO)
    page = send(client, case, live=True, **{"take-back": f"{EXAMINATION}:fatigability"}).text
    assert "what 1 answer would change" in page
    page = send(client, case, live=True, **{"take-back": "*"}).text
    assert 'id="changes"' not in page
    assert "<title>Hypothetical" not in client.get(case).text


def test_the_live_part_is_what_the_page_holds(client: TestClient, case: str) -> None:
    part = send(client, case, *EVERYTHING, live=True, **NO)
    assert part.status_code == 200 and "<html" not in part.text
    assert part.text.strip() in client.get(case).text


def test_a_faulty_entry_is_told_at_its_field_and_nothing_is_applied(client: TestClient, case: str) -> None:
    wrong = {**NO, f"{EXAMINATION}:ice-pack": '"><b>12,5'}
    answer = send(client, case, *EVERYTHING, **wrong)
    assert answer.status_code == 422
    assert "write a point before the decimals" in answer.text and 'aria-invalid="true"' in answer.text
    assert "&#34;&gt;&lt;b&gt;12,5" in answer.text and "<b>12,5" not in answer.text  # as it was typed, and as text
    assert 'value="absent" checked' in answer.text  # nothing that was entered is lost
    assert 'id="changes"' not in client.get(case).text


def test_a_script_learns_whether_it_was_applied(client: TestClient, case: str) -> None:
    wrong = send(client, case, *EVERYTHING, live=True, **{f"{EXAMINATION}:ice-pack": "much"})
    assert (wrong.status_code, wrong.headers["X-Applied"]) == (200, "no") and "this is no number" in wrong.text
    assert send(client, case, *EVERYTHING, live=True, **NO).headers["X-Applied"] == "yes"


def test_the_day_of_the_examination_dates_the_answers(client: TestClient, case: str) -> None:
    send(client, case, *EVERYTHING, **NO, **{f"{EXAMINATION}:date": "2026-02-03"})
    assert "fatigability absent on 2026-02-03" in client.get(case).text
    late = send(client, case, *EVERYTHING, **NO, **{f"{EXAMINATION}:date": "2031-01-01"})
    assert late.status_code == 422 and "after the day of the evaluation" in late.text


def test_a_page_that_is_behind_another_window_overwrites_nothing(client: TestClient, case: str) -> None:
    [seen] = re.findall(r'name="seen" value="([0-9a-f]+)"', client.get(case).text)
    assert send(client, case, *EVERYTHING, seen=seen, **answers(areflexia="absent")).status_code == 303
    answer = send(client, case, *EVERYTHING, seen=seen, **NO)
    assert answer.status_code == 409
    assert "changed in another window" in answer.text
    assert answer.text.count('value="absent" checked') >= 2  # what was sent still stands on the page
    assert "what 1 answer would change" in client.get(case).text


def test_the_answers_are_downloaded_as_what_would_be_written(client: TestClient, case: str) -> None:
    assert client.get(f"{case}/answers.json").status_code == 404
    send(client, case, *EVERYTHING, **NO, **{f"{NEUROPHYSIOLOGY}:edx-study": "normal"})
    answer = client.get(f"{case}/answers.json")
    assert answer.headers["content-disposition"] == 'attachment; filename="answers.json"'
    bundle = answer.json()
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert bundle["type"] == "transaction"
    assert sorted(set(kinds)) == ["Observation", "Provenance", "QuestionnaireResponse"]
    assert (kinds.count("QuestionnaireResponse"), kinds.count("Observation"), kinds.count("Provenance")) == (2, 3, 2)
    assert all(entry["request"]["ifNoneExist"] for entry in bundle["entry"])
    data = json.loads((EXAMPLES / f"{WAITING}.json").read_bytes())
    again = dropped(client, {**data, "entry": [*data["entry"], *bundle["entry"]]})
    page = client.get(again).text
    assert 'id="changes"' not in page
    assert "fatigability absent on" in page and 'href="/rules/achr-suspected-false-positive"' in page


def response(**more: Any) -> Json:
    of = form(EXAMINATION)
    facts = [{"c": "fatigability", "v": "absent"}, {"c": "ocular-weakness", "v": "absent"}]
    made = questionnaire_response(of, facts, patient=f"Patient/{WAITING}", authored="2026-02-20", identity="filled-in")
    return {**made, **more}


def with_response(held: Json) -> Json:
    data: Json = json.loads((EXAMPLES / f"{WAITING}.json").read_bytes())
    return {**data, "entry": [*data["entry"], {"resource": held}]}


def test_a_filled_in_form_among_the_data_counts_and_is_not_hypothetical(client: TestClient) -> None:
    page = client.get(dropped(client, with_response(response()))).text
    assert "QuestionnaireResponse/filled-in" in page and 'id="changes"' not in page
    assert "A filled-in form among the data" not in page


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"questionnaire": form(EXAMINATION).url + "|0123456789ab"}, "another version of its form"),
        ({"questionnaire": form(EXAMINATION).url}, "without naming its version"),
        ({"status": "in-progress"}, "a status other than completed or amended"),
    ],
)
def test_a_form_that_cannot_be_used_is_named_with_what_to_do(client: TestClient, more: Json, says: str) -> None:
    page = client.get(dropped(client, with_response(response(**more)))).text
    assert "A filled-in form among the data" in page and says in page
    assert "was not used" in page
    if "version" in says:
        assert f"fill in version {form(EXAMINATION).version}" in page


def test_hostile_words_of_a_record_stay_words(client: TestClient) -> None:
    bad = "<img src=x onerror=alert(1)>\"'&"
    held = response(id="x", questionnaire=form(EXAMINATION).url + "|old")
    data = json.loads(json.dumps(with_response(held)).replace(f"Patient/{WAITING}", "Patient/p"))
    for entry in data["entry"]:
        if entry["resource"]["resourceType"] == "Patient":
            entry["resource"] |= {"id": "p", "name": [{"text": bad}]}
        else:
            entry["resource"] |= {"note": [{"text": bad}]}
    case = dropped(client, data)
    for name, value in ((f"{EXAMINATION}:ice-pack", bad), (f"{EXAMINATION}:fatigability", bad), (bad, bad)):
        answer = send(client, case, *EVERYTHING, bad, **{name: value})
        assert "<img" not in answer.text and "onerror=alert(1)>" not in answer.text.replace("&gt;", "")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"a=%ff%fe&asks=" + f"{EXAMINATION}:*".encode(), "application/x-www-form-urlencoded", 303),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"a=1&" * 5_001, "application/x-www-form-urlencoded", 400),
        (b"a" * 600_000, "application/x-www-form-urlencoded", 413),
        (b"{}", "application/json", 415),
        (b"", "application/x-www-form-urlencoded", 303),
    ],
)
def test_whatever_is_sent_is_answered_with_a_page(
    client: TestClient, case: str, body: bytes, kind: str, status: int
) -> None:
    answer = client.post(f"{case}/answers", content=body, headers={"Content-Type": kind}, follow_redirects=False)
    assert answer.status_code == status
    assert "Traceback" not in answer.text and 'id="changes"' not in client.get(case).text


def test_a_case_that_is_gone_and_a_page_of_another_site_are_refused(client: TestClient, case: str) -> None:
    gone = send(client, "/workbench/cases/" + "x" * 32, *EVERYTHING, **NO)
    assert gone.status_code == 404 and "open the patient again" in gone.text
    evil = client.post(f"{case}/answers", data=NO, headers={"Origin": "https://evil.example"})
    assert evil.status_code == 403


def test_what_was_read_from_a_file_is_not_saved_anywhere(client: TestClient, case: str) -> None:
    send(client, case, *EVERYTHING, **NO)
    assert f"{case}/save" not in client.get(case).text
    answer = client.post(f"{case}/save", data={})
    assert answer.status_code == 403 and "download the answers" in answer.text
