"""No text of a record becomes markup, rendered as GitHub-flavoured Markdown with HTML and links switched on."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import BASE, because, evaluation, finding, missing, rule
from markdown_it import MarkdownIt
from markdown_it.token import Token

from engine.model.problem import Problem
from engine.outputs.cards import cards_response
from engine.outputs.markdown import BREAK, bullets, escaped, plain

RENDERER = MarkdownIt("gfm-like", {"html": True, "linkify": True, "typographer": False})
OURS = {
    "paragraph_open",
    "paragraph_close",
    "bullet_list_open",
    "bullet_list_close",
    "list_item_open",
    "list_item_close",
    "inline",
    "text",
    "strong_open",
    "strong_close",
}

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "</li></ul><h1>",
    "![x](https://evil.example/p.png)",
    "[click](javascript:alert(1))",
    "[x]: https://evil.example",
    "<https://evil.example>",
    "https://evil.example/?q=1",
    "www.evil.example",
    "evil.com",
    "a@evil.com",
    "mailto:a@evil.com",
    "xmpp:a@evil.com",
    "//evil.com/x",
    "ftp://evil.com",
    "# heading",
    "- item",
    "+ item",
    "* item",
    "1. item",
    "12) item",
    "> quote",
    "```",
    "~~~",
    "---",
    "- - -",
    "***",
    "===",
    "| a | b |",
    "|-|-|",
    "**bold**",
    "__bold__",
    "_it_",
    "~~gone~~",
    "`code`",
    "$x^2$",
    "&lt;b&gt;",
    "&#60;b&#62;",
    "\\",
    "\\<b>",
    "\\\\`",
    "a\n\n# b",
    "a\r\n- b",
    "a\u2028# b",
    "    indented",
    "\t- tab",
    "[ ] task",
    "[^1]",
    ":smile:",
    "\u202egnp.exe",
    "\x1b[31mred",
    "\x00",
    "http:\u200b//evil.com",
    "&",
    "@everyone",
    "#123",
    "<!-- x -->",
    "<![CDATA[",
    "<?x",
)

texts = st.one_of(
    st.text(max_size=40),
    st.lists(st.one_of(st.sampled_from(HOSTILE), st.text("<>[]()!`*_~#-+.:/\\&|=@ \n1aW", max_size=8)), max_size=4).map(
        "".join
    ),
)


def all_tokens(source: str) -> Iterator[Token]:
    for token in RENDERER.parse(source):
        yield token
        yield from token.children or ()


def rendered_text(source: str) -> str:
    return "".join(token.content for token in all_tokens(source) if token.type == "text")


def markup_in(source: str) -> set[str]:
    return {token.type for token in all_tokens(source)} - OURS


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_rendered_as_it_is_written(text: str) -> None:
    source = bullets([escaped(text), escaped("next")])

    assert markup_in(source) == set()
    assert rendered_text(source).replace(BREAK, "") == plain(text) + "next"


@settings(max_examples=400, deadline=None)
@given(texts, texts)
def test_any_two_texts_are_two_items_of_one_list(first: str, second: str) -> None:
    source = bullets([escaped(first), escaped(second)])

    types = [token.type for token in RENDERER.parse(source)]
    assert types.count("bullet_list_open") == 1
    assert types.count("list_item_open") == 2
    assert markup_in(source) == set()
    assert rendered_text(source).replace(BREAK, "") == plain(first) + plain(second)


@pytest.mark.parametrize(
    "text",
    [
        "FVC 46 % on 2025-05-20 (Observation/fvc_1)",
        "AChR 6.1 nmol/L, confirmed: repeat",
        "P/Q-type; 4 to 5 (+)",
        'T\'s "x"',
    ],
)
def test_ordinary_text_stays_readable_in_the_source(text: str) -> None:
    assert escaped(text) == text


@given(texts)
def test_a_plain_text_is_one_line_of_printable_characters(text: str) -> None:
    line = plain(text)

    assert line == line.strip()
    assert all(unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn") for char in line)


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, min_size=9, max_size=9), st.sampled_from(["warning", "information"]))
def test_whatever_the_record_says_a_card_holds_only_our_markup(said: list[str], display: str) -> None:
    reasons = because(said[0] or "x", f"Observation/{said[1]}", said=said[2], date=said[3])
    asked = missing(ask_for=said[4] or "x", fact=said[5])
    found = finding(because=(reasons,), missing=(asked,), summary=said[6] or "x", display=display)
    other = finding("other", summary=said[7] or "x", display=display)
    whole = evaluation(found, other, patient=f"Patient/{said[8]}", problems=(Problem("not-json", said[0], said[1]),))

    for card in cards_response(whole, {"lantern": rule(), "other": rule("other")}, base=BASE)["cards"]:
        assert markup_in(card["detail"]) == set()
        assert card["summary"] == plain(card["summary"])
        assert len(card["summary"]) < 140


@pytest.mark.parametrize(
    "text", ["https://evil.example", "www.evil.example", "a@evil.example", "http:\u200b//evil.example"]
)
def test_an_address_is_broken_even_for_renderers_that_look_for_links_after_escapes_are_resolved(text: str) -> None:
    shown = rendered_text(bullets([escaped(text)]))

    assert BREAK in shown
    assert text not in shown
