"""Pages of the local clouds' consoles: plain HTML without scripts, for browsers on this machine."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from urllib.parse import quote, urlsplit

HOST_NAMES = frozenset({"127.0.0.1", "localhost"})
REFRESH_SECONDS = 5

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse }
td, th { border-bottom: 1px solid #ddd; padding: .25rem 1.5rem .25rem 0; text-align: left }
td, th { vertical-align: top; overflow-wrap: anywhere } th { white-space: nowrap }
pre { background: #f6f6f6; overflow: auto; padding: 1rem; max-height: 40rem }
img { max-width: 100% } footer { color: #666; margin: 3rem 0 1rem }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

# No script runs, nothing is loaded from elsewhere, and no other site shows or reads a page.
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Html(str):
    """Text that is HTML already; any other is escaped."""

    __slots__ = ()


def is_of_this_machine(host: str) -> bool:
    """Whether a request's Host header names this machine.

    Any other name was led here by somebody's DNS, with a page of theirs waiting to read the answer.
    """
    try:
        return urlsplit(f"//{host}").hostname in HOST_NAMES
    except ValueError:
        return False


def page(title: str, *parts: Html, goes_on: bool = False) -> str:
    """A whole page; of what goes on, one that is loaded anew every few seconds."""
    refresh = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">' if goes_on else ""
    name, body = escape(title), "".join(parts)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{refresh}'
        f"<title>{name}</title><style>{_STYLE}</style></head><body><h1>{name}</h1>{body}"
        "<footer>A local cloud of mc_assets: nothing can be changed here.</footer></body></html>"
    )


def section(title: str, part: Html, name: str = "") -> Html:
    return Html(f'<h2 id="{escape(name or title.lower())}">{escape(title)}</h2>{part}')


def facts(told: Mapping[str, object]) -> Html:
    """Names and values; what is empty is left out."""
    rows = (
        f"<tr><th>{escape(name)}</th><td>{_shown(value)}</td></tr>"
        for name, value in told.items()
        if value not in (None, "", [], {})
    )
    return Html(f"<table>{''.join(rows)}</table>")


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join(
        f"<tr>{''.join(f'<td>{_shown(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return Html(f"<table><tr>{head}</tr>{body}</table>")


def log(lines: Iterable[str]) -> Html:
    text = "\n".join(lines)
    return Html(f"<pre>{escape(text)}</pre>") if text else paragraph("Nothing was logged yet.")


def paragraph(text: str) -> Html:
    return Html(f"<p>{_shown(text)}</p>")


def image(address: str) -> Html:
    return Html(f'<p><img src="{escape(address)}" alt="preview"></p>')


def link(address: str, text: str) -> Html:
    return Html(f'<a href="{escape(address)}">{escape(text)}</a>')


def path(*names: str) -> str:
    """An address of names that may have any characters; slashes in them stay."""
    return "/".join(quote(name) for name in names)


def _shown(value: object) -> str:
    return value if isinstance(value, Html) else escape(str(value))
