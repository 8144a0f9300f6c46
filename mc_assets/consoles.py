"""The addresses of the pages on which a target's own consoles show what the graph makes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urlsplit

# By how a region's name begins; AWS's public partition has all the others.
AWS_CONSOLES: Mapping[str, str] = {
    "us-gov-": "console.amazonaws-us-gov.com",
    "cn-": "console.amazonaws.cn",
    "": "console.aws.amazon.com",
}
# By the host of Resource Manager.
PORTALS: Mapping[str, str] = {
    "management.usgovcloudapi.net": "https://portal.azure.us",
    "management.chinacloudapi.cn": "https://portal.azure.cn",
}
PUBLIC_PORTAL = "https://portal.azure.com"
# The console encodes a name in its fragment twice, and writes the percent sign as a dollar.
LOG_GROUP = "/aws/sagemaker/TrainingJobs".replace("/", "$252F")


@dataclass(frozen=True, slots=True)
class Consoles:
    """One address for each kind of thing, with its name in braces."""

    training_job: str
    training_log: str
    s3_object: str
    s3_folder: str
    function_app: str

    @classmethod
    def of_clouds(cls, region: str, resource_manager_url: str) -> Self:
        """AWS's console and Azure's portal, public, of the government, or in China."""
        host = next(host for start, host in AWS_CONSOLES.items() if region.startswith(start))
        aws = f"https://{region}.{host}"
        portal = PORTALS.get(urlsplit(resource_manager_url).hostname or "", PUBLIC_PORTAL)
        s3 = f"{{bucket}}?region={region}&bucketType=general&prefix={{key}}"
        return cls(
            training_job=f"{aws}/sagemaker/home?region={region}#/jobs/{{job}}",
            training_log=f"{aws}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/"
            f"{LOG_GROUP}$3FlogStreamNameFilter$3D{{job}}",
            s3_object=f"{aws}/s3/object/{s3}",
            s3_folder=f"{aws}/s3/buckets/{s3}",
            function_app=f"{portal}/#@/resource/subscriptions/{{subscription}}/resourceGroups/"
            "{group}/providers/Microsoft.Web/sites/{app}",
        )

    @classmethod
    def of_local_clouds(cls, aws_url: str, azure_url: str) -> Self:
        """The pages that the local clouds serve themselves."""
        aws = f"{aws_url}/_console"
        return cls(
            training_job=f"{aws}/jobs/{{job}}",
            training_log=f"{aws}/jobs/{{job}}#log",
            s3_object=f"{aws}/s3/{{bucket}}/{{key}}",
            s3_folder=f"{aws}/s3/{{bucket}}/{{key}}",
            function_app=f"{azure_url}/_console/apps/{{app}}",
        )

    @property
    def of_training(self) -> Mapping[str, str]:
        """The pages about a training job, by the name that their links have in Dagster."""
        return {"sagemaker_console": self.training_job, "cloudwatch_logs": self.training_log}

    def of_object(self, uri: str) -> str:
        """The page of an object in S3, or of a folder if the URI ends with a slash."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        template = self.s3_folder if uri.endswith("/") else self.s3_object
        return template.format(bucket=bucket, key=quote(key))

    def of_app(self, subscription: str, group: str, app: str, slot: str | None) -> str:
        """The page of a function app, or of a slot of it."""
        path = f"{app}/slots/{slot}" if slot else app
        return self.function_app.format(subscription=subscription, group=group, app=path)
