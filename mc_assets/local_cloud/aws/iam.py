"""What moto's IAM lacks: SimulatePrincipalPolicy, and the role that training jobs run as."""

import json
from collections.abc import Mapping
from uuid import uuid4
from xml.sax.saxutils import escape

from moto.iam.models import iam_backends
from werkzeug.wrappers import Response

from mc_assets.local_cloud.settings import ACCOUNT_ID, ROLE_ARN, ROLE_NAME

_NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def ensure_role() -> None:
    """Make the training jobs' role, unless it is there."""
    backend = iam_backends[ACCOUNT_ID]["aws"]
    if ROLE_ARN not in {role.arn for role in backend.get_roles()}:
        backend.create_role(
            role_name=ROLE_NAME,
            assume_role_policy_document=json.dumps(_TRUST),
            path="/",
            permissions_boundary=None,
            description="Assumed by training jobs.",
            tags=[],
            max_session_duration="3600",
        )


def simulate_principal_policy(form: Mapping[str, str]) -> Response:
    """Every action is allowed: the local cloud has one user, who may do everything."""
    actions = [value for key, value in form.items() if key.startswith("ActionNames.member.")]
    results = "".join(
        f"<member><EvalActionName>{escape(action)}</EvalActionName>"
        f"<EvalResourceName>*</EvalResourceName><EvalDecision>allowed</EvalDecision>"
        f"<MatchedStatements/><MissingContextValues/></member>"
        for action in actions
    )
    text = (
        f'<SimulatePrincipalPolicyResponse xmlns="{_NAMESPACE}"><SimulatePrincipalPolicyResult>'
        f"<IsTruncated>false</IsTruncated><EvaluationResults>{results}</EvaluationResults>"
        f"</SimulatePrincipalPolicyResult><ResponseMetadata><RequestId>{uuid4()}</RequestId>"
        f"</ResponseMetadata></SimulatePrincipalPolicyResponse>"
    )
    return Response(text, mimetype="text/xml")
