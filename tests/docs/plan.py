"""What becomes of every command in the documents: typed here, by another test, or by nobody."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ALL = "dg launch --assets '*'"
LIVE = """dg launch --assets 'key:"mnist/live_endpoint"'"""
OVERRIDE = '{"config": {"override_reason": "why"}}'
# What cloud-setup.md says to type before the cloud target is tried on the local clouds.
ON_LOCAL_CLOUDS = 'eval "$(mc-local env)" && '


@dataclass(frozen=True, slots=True)
class Step:
    """One command, typed in a copy of the project; it has to end with 0.

    `first` is typed before it, `answer` after it; `hyperparameters` are written into defs.yaml so
    that another model is trained; `shows` has to be in what it prints; a command that `serves` is
    asked at a port of the test's, and then interrupted.
    """

    command: str
    first: str = ""
    answer: str = ""
    shows: str = ""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    serves: bool = False


# In an order in which each finds what it needs.
TYPED = (
    Step("source .venv/bin/activate"),
    Step("dg check defs"),
    Step("dg check yaml"),
    Step("dg list defs", shows="mnist/live_endpoint"),
    Step("dg utils inspect-component mc_assets.lifecycle.ModelLifecycle", shows="retention_days"),
    Step("MC_TARGET=cloud dg check defs"),
    Step("python training_code/train.py --help", shows="--epochs"),
    Step("mc-endpoint --help", shows="curl"),
    Step("mc-local up", shows="started"),
    Step("mc-local status", shows="running"),
    Step("mc-local logs", shows="local Azure"),
    Step("mc-local env", shows="export AWS_ENDPOINT_URL="),
    Step('eval "$(mc-local env)"'),
    Step("make run", shows="The endpoint:"),
    Step("mc-endpoint url", shows="https://127.0.0.1:"),
    Step("mc-endpoint key"),
    Step("mc-lineage", shows="trained_model"),
    Step("mc-lineage 09d9c501", shows="live_endpoint"),
    Step('eval "$(mc-endpoint curl)"', shows='"digits"'),
    Step("dagster dev -w workspace.yaml", serves=True),
    Step(ALL, hyperparameters={"ridge": 100.0}),
    Step(f"{ALL} > run.log 2>&1 || grep -E 'Failure:|did not pass' run.log"),
    Step("""dg launch --assets 'key:"mnist/onnx_model"'"""),
    Step("""dg launch --assets 'key:"mnist/onnx_model"+'"""),
    Step(LIVE),
    Step("dg launch --job checks"),
    Step("dg launch --job live_check"),
    Step("mc-check"),
    Step("""dg launch --assets 'tag:cloud=aws'"""),
    Step("dagster schedule start retraining", shows="Started"),
    Step("dagster schedule start live_check", shows="Started"),
    Step("dagster sensor start on_change", shows="Started"),
    Step("dagster sensor start notifications", shows="Started"),
    Step("dagster schedule list", shows="RUNNING"),
    Step("dagster sensor list", shows="RUNNING"),
    Step("""dg launch --assets 'key:"mnist/source"'"""),
    Step("dg launch --job rollback"),
    Step(
        """dg launch --job rollback --config-json '{"ops": {"roll_back": {"config": """
        """{"to_version": "c30b6df3", "reason": "users complain"}}}}'"""
    ),
    Step(f"""{LIVE} --config-json '{{"ops": {{"mnist__live_endpoint": {OVERRIDE}}}}}'"""),
    Step(
        """dg launch --assets 'key:"mnist/function_package"+' --config-json '{"ops": """
        f"""{{"mnist__staged_endpoint": {OVERRIDE}, "mnist__live_endpoint": {OVERRIDE}}}}}'"""
    ),
    Step(
        f"""{ALL} --config-json '{{"resources": {{"sagemaker": {{"config": """
        """{"forward_termination": false}}}}'"""
    ),
    Step(
        f"""{ALL} --config-json '{{"ops": {{"mnist__trained_model": {{"config": """
        """{"retrain": true}}}}'"""
    ),
    Step('DAGSTER_HOME="$PWD/.dagster" dagster instance concurrency get --all'),
    Step("dg launch --job sweep", shows="touched none"),
    Step(
        """dg launch --job sweep --config-json '{"ops": {"sweep_orphans": """
        """{"config": {"delete": true}}}}'"""
    ),
    Step(f"MC_TARGET=cloud {ALL}", first=ON_LOCAL_CLOUDS),
    Step("MC_TARGET=cloud dg launch --job teardown", first=ON_LOCAL_CLOUDS, shows="Removed"),
    Step("dg launch --job teardown", shows="nothing to remove"),
    Step("mc-local down", shows="stopped"),
    Step("mc-local reset", answer="y", shows="deleted"),
)

# Pages whose blocks are typed as they stand, all of them, by a test of their own.
PAGES_TYPED = {
    "docs/local-clouds.md": "tests/conformance/test_local_clouds_page.py::test_no_block_is_left_out"
}

CHECKS = "tests/test_check_command.py"
AZURE_CLI = "tests/conformance/test_azure_cli_apps.py"
# Command -> the test that types it, perhaps with names of its own.
TYPED_ELSEWHERE = {
    "dg dev": "tests/e2e/test_ui.py::test_materialize_all_in_a_browser",
    "make ui": "tests/e2e/test_ui.py::test_materialize_all_in_a_browser",  # it types `dg dev`
    "mc-check mnist/onnx_model": (
        f"{CHECKS}::test_one_check_all_of_an_asset_and_nothing_materialised"
    ),
    "mc-check mnist/onnx_model:parity": (
        f"{CHECKS}::test_one_check_all_of_an_asset_and_nothing_materialised"
    ),
    "python benchmarks/local_clouds.py": (
        "tests/test_benchmarks.py::test_every_load_runs_without_an_error"
    ),
    "python benchmarks/bench.py --report": (
        "tests/benchmarks/test_report.py::test_page_shows_every_row_and_keeps_its_own_text"
    ),
    "python tests/docs/diagrams.py": (
        "tests/docs/test_architecture.py::test_the_pictures_are_those_of_the_code"
    ),
    "aws sagemaker describe-training-job --training-job-name NAME": (
        "tests/conformance/test_aws_cli.py::test_sagemaker_trains"
    ),
    "aws sagemaker stop-training-job --training-job-name NAME": (
        "tests/conformance/test_aws_cli.py::test_logs_are_followed_and_a_job_is_stopped"
    ),
    "az account show --query id": f"{AZURE_CLI}::test_who_is_signed_in_and_to_what",
    "az functionapp keys set -g GROUP -n APP --key-type functionKeys --key-name default": (
        f"{AZURE_CLI}::test_functions_and_the_keys_that_open_them"
    ),
    "az group delete -n rg-try --yes": ("tests/conformance/test_local_clouds_page.py::test_azure"),
}

ITSELF = "it runs this very test; .ci/run types it"
LONG = "takes a quarter of an hour or more; its parts have tests of their own"
A_NAME = "names a command without what it needs"
# Command -> why nobody types it.
NOT_TYPED = {
    "make test": ITSELF,
    "pytest --ignore tests/conformance": ITSELF,
    "make lint": ".ci/run types it",
    "make faults": LONG,
    "make bench": LONG,
    "make bench-full": LONG,
    "python benchmarks/bench.py --only classify": "measures for a minute on a quiet machine",
    "python benchmarks/profiles.py": "measures for minutes on a quiet machine",
    "make screenshots": "trains on all of MNIST, and its pictures are for a person's eyes",
    "make run PYTHON=/path/to/python3.12": "would make another environment",
    "pip install -c constraints.txt -e .": "would make another environment",
    "pip install -e": A_NAME,
    "dg launch": A_NAME,
    "az login": "asks a person to sign in to a real account",
    "az storage account keys renew -g GROUP -n ACCOUNT --key primary": (
        "breaks the apps of that account until they are written anew"
    ),
}
