"""One spelling for every code system and every code, so that a lookup is one dictionary access."""

from __future__ import annotations

import re
import unicodedata

_SEPARATORS = re.compile(r"[^0-9a-z]+")
_OID = re.compile(r"[0-2](\.\d+){3,}")


def plain_uri(uri: str) -> str:
    """A system URI without what senders vary: case, https, `www.`, version, trailing slash, spaces, bare OIDs."""
    text = uri.strip().lower().split("|", 1)[0].split("#", 1)[0].rstrip("/ ")
    if text.startswith("https:"):
        text = "http:" + text[6:]
    if text.startswith("http://www."):
        text = "http://" + text[11:]
    if text.startswith("oid:"):
        text = "urn:" + text
    return f"urn:oid:{text}" if _OID.fullmatch(text) else text


def plain_code(code: str, dotless: bool = False) -> str:
    """A code in lower case, without outer space; `_` is `:` (HP_0001250); without dots where these carry no meaning."""
    text = code.strip().lower().replace("_", ":")
    return text.replace(".", "").replace(" ", "").rstrip("-+*†!") if dotless else text


def plain_text(text: str) -> str:
    """The words of a text in lower case and without accents, one space between them."""
    decomposed = unicodedata.normalize("NFKD", text[:2000])
    bare = "".join(c for c in decomposed if not unicodedata.combining(c)).lower().replace("ß", "ss")
    return " ".join(_SEPARATORS.split(bare)).strip()
