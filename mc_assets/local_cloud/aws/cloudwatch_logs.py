"""What moto's CloudWatch Logs lacks: FilterLogEvents that looks only at the streams of a prefix."""

import io
import json
from typing import Any

from moto.logs.models import logs_backends
from werkzeug.wrappers import Request

from mc_assets.local_cloud.settings import ACCOUNT_ID

FILTER_TARGET = "Logs_20140328.FilterLogEvents"
_NO_STREAM = "*"  # in no stream's name


def name_streams(request: Request, content: dict[str, Any], region: str) -> None:
    """Write the streams' names into a FilterLogEvents request whose content gives their prefix.

    moto reads names alone, and would answer with the lines of every other stream too.
    """
    prefix = content.pop("logStreamNamePrefix", None)
    backend = logs_backends[ACCOUNT_ID].get(region)
    if prefix is None or backend is None:
        return
    group = backend.groups.get(content.get("logGroupName", ""))
    # A copy: a job that is running adds to them meanwhile.
    names = [name for name in list(group.streams if group else ()) if name.startswith(prefix)]
    body = json.dumps({**content, "logStreamNames": names or [_NO_STREAM]}).encode()
    request.environ["wsgi.input"] = io.BytesIO(body)
    request.environ["CONTENT_LENGTH"] = str(len(body))
