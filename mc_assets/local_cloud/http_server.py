"""How uvicorn serves either local cloud."""

from typing import Any

import uvicorn
from starlette.types import ASGIApp

GRACE_S = 5


def configuration(app: ASGIApp, **own: Any) -> uvicorn.Config:
    """What both have in common, and what is the caller's own: HTTP alone, nothing logged."""
    return uvicorn.Config(
        app,
        http="httptools",
        interface="asgi3",
        ws="none",
        lifespan="off",
        proxy_headers=False,
        # Request lines carry keys in their query.
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_S,
        **own,
    )
