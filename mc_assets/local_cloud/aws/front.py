"""The front door: a request goes to the training service, S3, the console's pages, or to moto.

A request's body lies whole in memory, so that whoever has read it can rewind it for the next.
"""

import json
import logging
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from werkzeug.wrappers import Request, Response

from mc_assets.local_cloud.aws.cloudwatch_logs import FILTER_TARGET, name_streams
from mc_assets.local_cloud.aws.console import Console
from mc_assets.local_cloud.aws.errors import AwsError
from mc_assets.local_cloud.aws.iam import simulate_principal_policy
from mc_assets.local_cloud.aws.s3_mirror import S3Mirror
from mc_assets.local_cloud.aws.training_service import TrainingService
from mc_assets.local_cloud.settings import REGION

logger = logging.getLogger(__name__)

HEALTH_PATH = "/_mc/health"
_TARGET_PREFIX = "SageMaker."
# source: Signature Version 4, "Credential=<key>/<date>/<region>/<service>/aws4_request".
_CREDENTIAL_REGION = re.compile(r"Credential=[^/]+/\d{8}/([a-z0-9-]+)/")


class Front:
    """One WSGI application for every AWS service."""

    def __init__(
        self,
        moto: DomainDispatcherApplication,
        s3: S3Mirror,
        training: TrainingService,
        health: dict[str, Any],
    ) -> None:
        self._moto = moto
        self._s3 = s3
        self._training = training
        self._console = Console(training, s3)
        self._health = health

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ, populate_request=False)
        try:
            _refuse_web_pages(request)
            answer = self._answer(request) or self._application(request)
        except AwsError as error:
            logger.info("%s refused: %s", request.headers.get("X-Amz-Target"), error.message)
            answer = _json({"__type": error.code, "message": error.message}, error.status)
        return answer(environ, start_response)

    def _answer(self, request: Request) -> Response | None:
        """What is answered here and not by an application behind."""
        target = request.headers.get("X-Amz-Target", "")
        if target.startswith(_TARGET_PREFIX):
            return self._training_answer(target.removeprefix(_TARGET_PREFIX), request)
        if request.method == "GET" and request.path == HEALTH_PATH:
            return Response(json.dumps(self._health), mimetype="application/json")
        if self._console.serves(request):
            return self._console.answer(request)
        if request.path == "/" and b"Action=SimulatePrincipalPolicy&" in request.get_data():
            return simulate_principal_policy(dict(parse_qsl(request.get_data(as_text=True))))
        _rewind(request)
        if target == FILTER_TARGET:
            name_streams(request, _read_json(request), _region(request))
        return None

    def _application(self, request: Request) -> Any:
        application: Any = self._moto.get_application(request.environ)
        return self._s3 if application.service == "s3" else application

    def _training_answer(self, operation: str, request: Request) -> Response | None:
        content = _read_json(request)
        if not self._training.serves(operation, content):
            return None
        return _json(self._training.answer(operation, content, _region(request)), 200)


def _refuse_web_pages(request: Request) -> None:
    """No client of AWS's names an origin; a browser does, of the page that makes it ask.

    moto lets every page in (CORS), so one that a user visits could start training jobs here, which
    run as the user.
    """
    if origin := request.headers.get("Origin"):
        raise AwsError("AccessDenied", f"The local AWS is not for web pages ({origin[:80]}).", 403)


def _rewind(request: Request) -> None:
    request.environ["wsgi.input"].seek(0)


def _read_json(request: Request) -> dict[str, Any]:
    try:
        content = json.loads(request.get_data() or b"{}")
    except ValueError as error:
        raise AwsError("SerializationException", f"The body is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise AwsError("SerializationException", "The body is not a JSON object.")
    _rewind(request)
    return content


def _region(request: Request) -> str:
    match = _CREDENTIAL_REGION.search(request.headers.get("Authorization", ""))
    return match.group(1) if match else REGION


def _json(content: dict[str, Any], status: int) -> Response:
    response = Response(json.dumps(content), status, mimetype="application/x-amz-json-1.1")
    response.headers["x-amzn-RequestId"] = str(uuid4())
    return response
