"""Where a person looks: AWS's and Azure's own consoles, and the local clouds' pages."""

import pytest

from mc_assets.consoles import Consoles

PUBLIC = "https://management.azure.com"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"


def test_a_training_job_and_its_log_on_aws() -> None:
    pages = Consoles.of_clouds("eu-west-2", PUBLIC).of_training
    assert {name: page.format(job="mnist-1") for name, page in pages.items()} == {
        "sagemaker_console": "https://eu-west-2.console.aws.amazon.com/sagemaker/home"
        "?region=eu-west-2#/jobs/mnist-1",
        "cloudwatch_logs": "https://eu-west-2.console.aws.amazon.com/cloudwatch/home"
        "?region=eu-west-2#logsV2:log-groups/log-group/$252Faws$252Fsagemaker$252FTrainingJobs"
        "$3FlogStreamNameFilter$3Dmnist-1",
    }


def test_an_object_and_a_folder_in_s3() -> None:
    consoles = Consoles.of_clouds("eu-west-2", PUBLIC)
    assert consoles.of_object("s3://bucket/a/b c.onnx") == (
        "https://eu-west-2.console.aws.amazon.com/s3/object/bucket"
        "?region=eu-west-2&bucketType=general&prefix=a/b%20c.onnx"
    )
    assert consoles.of_object("s3://bucket/a/").startswith(
        "https://eu-west-2.console.aws.amazon.com/s3/buckets/bucket?"
    )


def test_an_app_and_a_slot_in_the_portal() -> None:
    consoles = Consoles.of_clouds("eu-west-2", PUBLIC)
    app = (
        f"https://portal.azure.com/#@/resource/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/"
        "providers/Microsoft.Web/sites/app"
    )
    assert consoles.of_app(SUBSCRIPTION, "rg", "app", None) == app
    assert consoles.of_app(SUBSCRIPTION, "rg", "app", "staging") == f"{app}/slots/staging"


@pytest.mark.parametrize(
    ("region", "manager", "aws", "portal"),
    [
        (
            "us-gov-west-1",
            "https://management.usgovcloudapi.net/",
            "https://us-gov-west-1.console.amazonaws-us-gov.com/",
            "https://portal.azure.us/",
        ),
        (
            "cn-north-1",
            "https://management.chinacloudapi.cn",
            "https://cn-north-1.console.amazonaws.cn/",
            "https://portal.azure.cn/",
        ),
    ],
)
def test_clouds_apart_have_consoles_of_their_own(
    region: str, manager: str, aws: str, portal: str
) -> None:
    consoles = Consoles.of_clouds(region, manager)
    assert consoles.training_job.startswith(aws)
    assert consoles.of_object("s3://bucket/key").startswith(aws)
    assert consoles.of_app(SUBSCRIPTION, "rg", "app", None).startswith(portal)


def test_the_local_clouds_show_what_they_keep_themselves() -> None:
    local = Consoles.of_local_clouds("http://127.0.0.1:1", "https://127.0.0.1:2")
    assert local.of_training["cloudwatch_logs"].format(job="a-1") == (
        "http://127.0.0.1:1/_console/jobs/a-1#log"
    )
    assert local.of_object("s3://bucket/a/b") == "http://127.0.0.1:1/_console/s3/bucket/a/b"
    assert local.of_object("s3://bucket/a/") == "http://127.0.0.1:1/_console/s3/bucket/a/"
    assert local.of_app(SUBSCRIPTION, "rg", "app", "staging") == (
        "https://127.0.0.1:2/_console/apps/app/slots/staging"
    )
