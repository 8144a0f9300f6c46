"""The page to try the model on: the headers with which a browser runs it and nothing else."""

import base64
import hashlib
import re

_INLINE = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)


def headers_of(html: str) -> dict[str, str]:
    """What the page is served with: it asks no other host, and no other page can frame it.

    Its own style and script are allowed by their hashes: slipped-in ones have others.
    """
    policy = {
        "default-src": "'none'",
        "connect-src": "'self'",
        "img-src": "data:",
        **{f"{kind}-src": f"'{_hash(text)}'" for kind, text in _INLINE.findall(html)},
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "content-security-policy": "; ".join(f"{name} {what}" for name, what in policy.items()),
        # Asked for anew every time: the next release may bring another page.
        "cache-control": "no-cache",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
