"""The page is one file that asks nobody for anything, and comes only where it is wanted."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

INLINE = ("style", "script")


class Contents(HTMLParser):
    """What a browser finds in a page: the texts of its styles and scripts, and all attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.inline: dict[str, list[str]] = {kind: [] for kind in INLINE}
        self.attributes: list[tuple[str, str]] = []
        self._within = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag in INLINE:
            self.inline[tag].append("")

    def handle_data(self, data: str) -> None:
        if self._within in INLINE:
            self.inline[self._within][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._within = ""


@pytest.fixture
def contents(app):
    return Contents(app.call("page").document)


def policy_of(answer) -> dict[str, str]:
    directives = answer.headers["content-security-policy"].split("; ")
    return dict(directive.split(" ", 1) for directive in directives)


def test_its_policy_allows_its_own_style_and_script_and_no_other(app, contents):
    policy = policy_of(app.call("page"))
    for kind, (text,) in contents.inline.items():
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert policy.pop(f"{kind}-src") == f"'sha256-{digest}'"
    assert policy == {
        "default-src": "'none'",
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def test_it_needs_nothing_from_elsewhere(contents):
    named = dict(contents.attributes)
    assert {"id", "href", "type"} <= named.keys()
    assert not {name for name in named if name == "style" or name.startswith("on")}
    for name, value in contents.attributes:
        assert name not in ("src", "href", "action", "srcset") or value.startswith("data:")
    (style,), (script,) = contents.inline.values()
    assert not re.search(r"url\(|@import", style)
    assert "import" not in script
    assert script.count("fetch(") == 1


def test_it_is_html_that_is_asked_for_anew_and_tells_no_one_where_it_was(app):
    answer = app.call("page")
    assert (answer.status, answer.mimetype) == (200, "text/html")
    assert answer.document.startswith("<!doctype html>")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("setting", "is_there"), [("true", True), ("True", True), ("false", False), ("False", False)]
)
def test_a_setting_takes_it_away(folder, load, monkeypatch, setting, is_there):
    monkeypatch.setenv("MC_TRY_PAGE", setting)
    functions = set(load(folder).functions)
    assert functions == {"classify", "health", "model", "openapi"} | (
        {"page"} if is_there else set()
    )
