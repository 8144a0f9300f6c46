"""Training jobs through boto3: scripts really run, and their records tell how it went."""

import hashlib
import io
import json
import os
import shlex
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
from local_aws import Jobs, Server, tarball, wait_for

from mc_assets.local_cloud.settings import ACCOUNT_ID, BUCKET, REGION

PROBE = """
import json, os, pathlib, sys
model = pathlib.Path(os.environ["SM_MODEL_DIR"])
base = model.parent
config = {p.stem: json.loads(p.read_text()) for p in (base / "input/config").iterdir()}
data = {
    str(p.relative_to(base / "input/data")): p.read_text()
    for p in (base / "input/data").rglob("*") if p.is_file()
}
(model / "probe.json").write_text(json.dumps({
    "environ": dict(os.environ), "argv": sys.argv, "cwd": os.getcwd(), "base": str(base),
    "config": config, "data": data, "python": sys.executable,
}))
(model / "nested").mkdir()
(model / "nested" / "weights.bin").write_bytes(bytes(1000))
pathlib.Path(os.environ["SM_OUTPUT_DATA_DIR"], "curve.csv").write_text("1,2")
"""

WHEEL = "mc_probe_package-1.0-py3-none-any.whl"

SLEEPER = """
import os, pathlib, signal, sys, time
model = pathlib.Path(os.environ["SM_MODEL_DIR"])
def leave(*_):
    (model / "saved-on-stop").write_text("yes")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("ready")
time.sleep(600)
"""

DEAF = """
import os, pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(os.environ["SM_MODEL_DIR"], "partial").write_text("some")
print("ready")
time.sleep(600)
"""


@pytest.fixture(scope="module")
def probe(jobs: Jobs) -> dict:
    """What a script sees of its container, and what became of it."""
    for key in ("data/train/x.txt", "data/train/deep/y.txt", "data/training/z.txt", "data/one.txt"):
        jobs.s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    channels = [("training", "data/train/"), ("single", "data/one.txt"), ("bare", "data/train")]
    job = jobs.run(
        "probe",
        PROBE,
        hyperparameters={
            "epochs": "2",
            "lr": "0.5",
            "name": '"text"',
            "fast": "true",
            "b": '"plain"',
            "raw": "not json",
            "sagemaker_region": '"us-east-1"',
        },
        Environment={"MINE": "yes", "SM_LOG_LEVEL": "10"},
        RetryStrategy={"MaximumRetryAttempts": 2},
        InputDataConfig=[
            {
                "ChannelName": name,
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{prefix}"}
                },
            }
            for name, prefix in channels
        ],
    )
    assert job["TrainingJobStatus"] == "Completed", job
    files = jobs.archive("probe")
    return {"job": job, "files": files, **json.loads(files["probe.json"])}


def test_completed_job_is_told_whole(probe: dict) -> None:
    job = probe["job"]
    assert job["TrainingJobArn"] == (f"arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}:training-job/probe")
    assert job["SecondaryStatus"] == "Completed"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == (
        f"s3://{BUCKET}/output/probe/output/model.tar.gz"
    )
    assert job["Environment"] == {"MINE": "yes", "SM_LOG_LEVEL": "10"}
    assert job["RetryStrategy"] == {"MaximumRetryAttempts": 2}
    assert job["HyperParameters"]["epochs"] == "2"
    assert job["TrainingTimeInSeconds"] == job["BillableTimeInSeconds"] >= 1
    assert job["CreationTime"] <= job["TrainingStartTime"] <= job["TrainingEndTime"]


def test_transitions_follow_each_other(probe: dict) -> None:
    transitions = probe["job"]["SecondaryStatusTransitions"]
    assert [entry["Status"] for entry in transitions] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    for earlier, later in pairwise(transitions):
        assert earlier["EndTime"] == later["StartTime"] >= earlier["StartTime"]
        assert earlier["StatusMessage"]


def test_model_archive_holds_the_model_folder(probe: dict, jobs: Jobs) -> None:
    assert set(probe["files"]) == {"probe.json", "nested/weights.bin"}
    assert jobs.archive("probe", "output") == {"curve.csv": b"1,2"}


def test_script_runs_as_in_the_classic_image(probe: dict) -> None:
    assert probe["argv"] == [
        "train.py", "-b", "plain", "--epochs", "2", "--fast", "True",
        "--lr", "0.5", "--name", "text", "--raw", "not json",
    ]  # fmt: skip
    assert probe["cwd"] == f"{probe['base']}/code"
    assert probe["python"] == sys.executable


def test_script_sees_the_toolkits_variables(probe: dict) -> None:
    environ, base = probe["environ"], probe["base"]
    assert environ["SM_CHANNELS"] == '["bare","single","training"]'
    assert environ["SM_CHANNEL_TRAINING"] == f"{base}/input/data/training"
    assert environ["SM_HP_EPOCHS"] == "2"
    assert environ["SM_HP_FAST"] == "true"
    assert json.loads(environ["SM_HPS"]) == {
        "b": "plain", "epochs": 2, "fast": True, "lr": 0.5, "name": "text", "raw": "not json",
    }  # fmt: skip
    assert environ["SM_OUTPUT_DATA_DIR"] == f"{base}/output/data"
    assert json.loads(environ["SM_HOSTS"]) == ["algo-1"]
    assert environ["SM_CURRENT_HOST"] == "algo-1"
    assert environ["SM_CURRENT_INSTANCE_TYPE"] == "ml.m5.large"
    assert int(environ["SM_NUM_CPUS"]) == os.cpu_count()
    assert environ["SM_USER_ENTRY_POINT"] == "train.py"
    assert environ["PYTHONPATH"].split(os.pathsep)[0] == f"{base}/code"
    assert environ["TRAINING_JOB_NAME"] == "probe"
    told = json.loads(environ["SM_TRAINING_ENV"])
    assert told["hyperparameters"]["epochs"] == 2
    assert told["channel_input_dirs"]["training"] == f"{base}/input/data/training"
    assert told["job_name"] == "probe"


def test_the_requests_environment_arrives_and_the_servers_stays_out(probe: dict) -> None:
    environ = probe["environ"]
    assert environ["MINE"] == "yes"
    assert environ["SM_LOG_LEVEL"] == "20", "the toolkit goes by its hyperparameter"
    assert Path(environ["HOME"]).parent == Path(probe["base"]).parent
    assert "MC_TEST_SECRET" not in environ
    assert "MC_LOCAL_STOP_GRACE" not in environ


def test_config_files_are_those_of_the_contract(probe: dict) -> None:
    config = probe["config"]
    assert config["hyperparameters"]["name"] == '"text"'
    assert config["resourceconfig"]["hosts"] == ["algo-1"]
    assert config["inputdataconfig"]["single"]["TrainingInputMode"] == "File"


def test_channels_hold_what_is_under_their_prefix(probe: dict) -> None:
    data = probe["data"]
    assert {path for path in data if path.startswith("training/")} == {
        "training/x.txt",
        "training/deep/y.txt",
    }
    assert data["single/one.txt"] == "data/one.txt"
    # A prefix is no folder: "data/train" also begins "data/training/z.txt".
    assert {path for path in data if path.startswith("bare/")} == {
        "bare/x.txt",
        "bare/deep/y.txt",
        "bare/training/z.txt",
    }


def test_nothing_is_left_of_the_container(probe: dict) -> None:
    assert not Path(probe["base"]).exists()


def test_same_model_gives_the_same_archive(jobs: Jobs) -> None:
    script = (
        "import os, pathlib\n"
        "for name in ('b', 'a'):\n"
        "    pathlib.Path(os.environ['SM_MODEL_DIR'], name).write_text(name)\n"
    )
    digests = set()
    for name in ("same-1", "same-2"):
        jobs.run(name, script)
        body = jobs.s3.get_object(Bucket=BUCKET, Key=f"output/{name}/output/model.tar.gz")["Body"]
        digests.add(hashlib.sha256(body.read()).hexdigest())
    assert len(digests) == 1


def test_uncompressed_output(jobs: Jobs) -> None:
    script = "import os, pathlib\npathlib.Path(os.environ['SM_MODEL_DIR'], 'm').write_text('x')"
    output = {"S3OutputPath": f"s3://{BUCKET}/output", "CompressionType": "NONE"}
    job = jobs.run("uncompressed", script, OutputDataConfig=output)
    uri = f"s3://{BUCKET}/output/uncompressed/output/model/"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == uri
    key = "output/uncompressed/output/model/m"
    assert jobs.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"x"


def test_script_reaches_s3_with_what_it_is_given(jobs: Jobs) -> None:
    script = (
        "import boto3\n"
        f"boto3.client('s3').put_object(Bucket='{BUCKET}', Key='from-script', Body=b'hello')\n"
    )
    assert jobs.run("talks-to-s3", script)["TrainingJobStatus"] == "Completed"
    assert jobs.s3.get_object(Bucket=BUCKET, Key="from-script")["Body"].read() == b"hello"


def test_worker_processes_find_room_for_their_sockets(jobs: Jobs) -> None:
    script = (
        "from multiprocessing.connection import Listener\n"
        "with Listener(family='AF_UNIX') as listener:\n"
        "    print(listener.address)\n"
    )
    job = jobs.run("x" * 63, script)
    assert job["TrainingJobStatus"] == "Completed", job


def test_failure_file_is_the_reason(jobs: Jobs) -> None:
    script = (
        "import os, pathlib, sys\n"
        "failure = pathlib.Path(os.environ['SM_OUTPUT_DIR'], 'failure')\n"
        "failure.write_text('the loss is not a number' + '!' * 2000)\n"
        "sys.exit(3)\n"
    )
    job = jobs.run("fails-with-file", script)
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: the loss is not a number!!!")
    assert job["FailureReason"].endswith(", exit code: 1")
    assert len(job["FailureReason"]) <= 1024
    assert "ModelArtifacts" not in job


def test_raising_script_fails_in_the_toolkits_words_with_its_last_line(jobs: Jobs) -> None:
    job = jobs.run("raises", "print('fine so far')\nraise ValueError('no such optimizer')")
    assert job["FailureReason"] == (
        "AlgorithmError: ExecuteUserScriptError:\nExitCode 1\n"
        'ErrorMessage "ValueError: no such optimizer"\n'
        f'Command "{sys.executable} -- train.py", exit code: 1'
    )
    lines = jobs.lines("raises")
    assert "fine so far" in lines
    assert "Traceback (most recent call last):" in lines


def test_killed_script_fails_and_names_the_signal(jobs: Jobs) -> None:
    job = jobs.run("is-killed", "import os\nos.kill(os.getpid(), 9)")
    assert "\nExitCode -9\n" in job["FailureReason"]
    assert job["FailureReason"].endswith("exit code: 1")


def test_killed_container_fails_with_128_and_the_signal(jobs: Jobs) -> None:
    algorithm = {
        "TrainingImage": "image",
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["bash", "-c", "kill -9 $$"],
    }
    job = jobs.run("is-killed-whole", "", AlgorithmSpecification=algorithm)
    assert job["FailureReason"] == "AlgorithmError: , exit code: 137"


def test_script_that_is_no_python_is_started_by_itself(jobs: Jobs) -> None:
    script = '#!/usr/bin/env bash\necho "$BASH_SOURCE $*" > "$SM_MODEL_DIR/said"\n'
    own = {"sagemaker_program": "go.sh", "text": "two words"}
    jobs.run("shell-script", "", files={"go.sh": script}, hyperparameters=own)
    assert jobs.archive("shell-script") == {"said": b"./go.sh --text two words\n"}


def test_code_may_come_by_a_channel(jobs: Jobs) -> None:
    jobs.s3.put_object(
        Bucket=BUCKET, Key="isolated/sourcedir.tar.gz", Body=tarball({"train.py": "print('hi')"})
    )
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/isolated/"}
    jobs.run(
        "isolated",
        "",
        EnableNetworkIsolation=True,
        hyperparameters={"sagemaker_submit_directory": "/opt/ml/input/data/code/sourcedir.tar.gz"},
        InputDataConfig=[{"ChannelName": "code", "DataSource": {"S3DataSource": source}}],
    )
    assert jobs.lines("isolated") == ["hi"]


def test_code_may_come_as_a_folder(jobs: Jobs) -> None:
    jobs.s3.put_object(Bucket=BUCKET, Key="unpacked/train.py", Body=b"print('as it is')")
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/unpacked/"}
    jobs.run(
        "unpacked",
        "",
        hyperparameters={"sagemaker_submit_directory": "/opt/ml/input/data/code"},
        InputDataConfig=[{"ChannelName": "code", "DataSource": {"S3DataSource": source}}],
    )
    assert jobs.lines("unpacked") == ["as it is"]


def test_network_isolation_cuts_the_container_off_from_its_code(jobs: Jobs) -> None:
    job = jobs.run("cut-off", "", EnableNetworkIsolation=True)
    assert job["FailureReason"].startswith("ClientError: With network isolation the container")


def test_lines_can_be_filtered_by_the_prefix_of_their_stream(jobs: Jobs) -> None:
    jobs.run("filtered-1", "print('one word')\nprint('one more')")
    jobs.run("filtered-2", "print('one word')")

    def filtered(prefix: str, **more: str) -> list[str]:
        answer = jobs.logs.filter_log_events(
            logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=prefix, **more
        )
        return [event["message"] for event in answer["events"]]

    assert filtered("filtered-1/") == ["one word", "one more"]
    assert filtered("filtered-1/", filterPattern="more") == ["one more"]
    assert len(filtered("filtered-")) == 3
    assert filtered("nobody/") == []


def test_lines_arrive_while_the_script_runs(jobs: Jobs) -> None:
    jobs.submit("talks", "import time\nprint('first')\ntime.sleep(600)")
    jobs.wait_for_line("talks", "first")
    assert jobs.describe("talks")["TrainingJobStatus"] == "InProgress"
    assert jobs.describe("talks")["SecondaryStatus"] == "Training"
    jobs.sagemaker.stop_training_job(TrainingJobName="talks")
    jobs.wait("talks")


def test_stop_lets_the_script_save_its_model(jobs: Jobs) -> None:
    jobs.submit("stops", SLEEPER)
    jobs.wait_for_line("stops", "ready")
    jobs.sagemaker.stop_training_job(TrainingJobName="stops")
    assert jobs.describe("stops")["TrainingJobStatus"] in {"Stopping", "Stopped"}
    job = jobs.wait("stops")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert [entry["Status"] for entry in job["SecondaryStatusTransitions"]][-2:] == [
        "Stopping",
        "Stopped",
    ]
    assert jobs.archive("stops") == {"saved-on-stop": b"yes"}
    assert "FailureReason" not in job


def test_stop_leaves_the_script_its_grace_though_its_shell_dies_at_once(jobs: Jobs) -> None:
    script = (
        "trap 'sleep 1; echo yes > /opt/ml/model/saved-on-stop; exit 0' TERM; "
        "echo ready; sleep 600 & wait"
    )
    algorithm = {
        "TrainingImage": "image",
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["bash", "-c"],
        "ContainerArguments": [f"bash -c {shlex.quote(script)}; true"],
    }
    jobs.submit("shell-dies", "", AlgorithmSpecification=algorithm)
    jobs.wait_for_line("shell-dies", "ready")
    jobs.sagemaker.stop_training_job(TrainingJobName="shell-dies")
    assert jobs.wait("shell-dies")["TrainingJobStatus"] == "Stopped"
    assert jobs.archive("shell-dies") == {"saved-on-stop": b"yes\n"}


def test_stop_kills_a_script_that_does_not_listen(jobs: Jobs) -> None:
    jobs.submit("deaf", DEAF)
    jobs.wait_for_line("deaf", "ready")
    jobs.sagemaker.stop_training_job(TrainingJobName="deaf")
    assert jobs.wait("deaf")["TrainingJobStatus"] == "Stopped"
    assert jobs.archive("deaf") == {"partial": b"some"}


def test_max_runtime_stops_the_job(jobs: Jobs) -> None:
    job = jobs.run("too-long", SLEEPER, StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert jobs.archive("too-long") == {"saved-on-stop": b"yes"}


def test_children_of_the_script_end_with_it(jobs: Jobs) -> None:
    script = (
        "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\nprint('child', child.pid)\n"
    )
    assert jobs.run("leaves-a-child", script)["TrainingJobStatus"] == "Completed"
    (line,) = jobs.lines("leaves-a-child")
    wait_for(lambda: not is_running(int(line.split()[1])), 10, lambda: line)


def test_metrics_are_read_by_regex(jobs: Jobs) -> None:
    script = "for loss in (0.9, 0.5, 'nan', 'oops'):\n    print(f'epoch loss={loss};')"
    algorithm = {
        "TrainingImage": "image",
        "TrainingInputMode": "File",
        "MetricDefinitions": [
            {"Name": "loss", "Regex": "loss=([^;]+);"},
            {"Name": "never", "Regex": "never=(.*)"},
        ],
    }
    job = jobs.run("measures", script, AlgorithmSpecification=algorithm)
    metrics = [(m["MetricName"], m["Value"]) for m in job["FinalMetricDataList"]]
    assert metrics == [("loss", pytest.approx(0.5))]


def test_checkpoints_go_both_ways(jobs: Jobs) -> None:
    jobs.s3.put_object(Bucket=BUCKET, Key="checkpoints/c/1.pt", Body=b"one")
    script = (
        "import os, pathlib\n"
        "folder = pathlib.Path(os.environ['SM_MODEL_DIR']).parent / 'checkpoints'\n"
        "assert (folder / '1.pt').read_text() == 'one'\n"
        "(folder / '2.pt').write_text('two')\n"
    )
    checkpoints = {"S3Uri": f"s3://{BUCKET}/checkpoints/c"}
    assert jobs.run("resumes", script, CheckpointConfig=checkpoints)["TrainingJobStatus"] == (
        "Completed"
    )
    assert jobs.s3.get_object(Bucket=BUCKET, Key="checkpoints/c/2.pt")["Body"].read() == b"two"


def test_entrypoint_style_sees_its_folder_for_opt_ml(jobs: Jobs) -> None:
    driver = "echo driver\npython /opt/ml/input/data/code/main.py > /opt/ml/model/out\n"
    jobs.s3.put_object(Bucket=BUCKET, Key="v3/sm_drivers/run.sh", Body=driver.encode())
    jobs.s3.put_object(Bucket=BUCKET, Key="v3/code/main.py", Body=b"print('from /opt/ml')")
    request = jobs.request(
        "entrypoint",
        "",
        AlgorithmSpecification={
            "TrainingImage": "image",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash"],
            "ContainerArguments": ["-c", "bash /opt/ml/input/data/sm_drivers/run.sh"],
        },
        InputDataConfig=[
            {
                "ChannelName": name,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"s3://{BUCKET}/v3/{name}/",
                    }
                },
            }
            for name in ("sm_drivers", "code")
        ],
    )
    del request["HyperParameters"]
    jobs.sagemaker.create_training_job(**request)
    job = jobs.wait("entrypoint")
    assert job["TrainingJobStatus"] == "Completed", job
    # Only the drivers are rewritten: the user's own code is run as it is.
    assert jobs.archive("entrypoint") == {"out": b"from /opt/ml\n"}


def test_requirements_are_installed_for_the_job_alone(jobs: Jobs) -> None:
    files = {WHEEL: wheel(), "requirements.txt": f"./{WHEEL}\n"}
    script = "import mc_probe_package\nprint(mc_probe_package.__file__)"
    opt_in = {"MC_LOCAL_INSTALL_REQUIREMENTS": "true"}
    job = jobs.run("installs", script, files=files, Environment=opt_in)
    assert job["TrainingJobStatus"] == "Completed", jobs.lines("installs")
    assert "/installs/packages/mc_probe_package" in jobs.lines("installs")[-1]
    job = jobs.run("installs-not", script, files=files)
    assert "No module named 'mc_probe_package'" in job["FailureReason"]


def test_requirements_that_cannot_be_installed_fail_the_job(jobs: Jobs) -> None:
    job = jobs.run(
        "cannot-install",
        "",
        files={"requirements.txt": "./no-such-1.0-py3-none-any.whl\n"},
        Environment={"MC_LOCAL_INSTALL_REQUIREMENTS": "true"},
    )
    assert job["FailureReason"].startswith("AlgorithmError: ")
    assert any("no-such-1.0" in line for line in jobs.lines("cannot-install"))


def wheel() -> bytes:
    about = "mc_probe_package-1.0.dist-info"
    files = {
        "mc_probe_package/__init__.py": "",
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: mc-probe-package\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{about}/RECORD"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in {**files, f"{about}/RECORD": record}.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def test_missing_output_bucket_fails_the_job(jobs: Jobs) -> None:
    job = jobs.run("no-bucket", "", OutputDataConfig={"S3OutputPath": "s3://nowhere-at-all/x"})
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: ")
    assert "nowhere-at-all" in job["FailureReason"]


def test_missing_code_fails_the_job(jobs: Jobs) -> None:
    codes = {"no": None, "bad": b"this is no archive", "half-a": tarball({"train.py": "1"})[:-30]}
    for kind, code in codes.items():
        name = f"{kind}-code"
        uri = f"s3://{BUCKET}/broken/{name}.tar.gz"
        if code:
            jobs.s3.put_object(Bucket=BUCKET, Key=f"broken/{name}.tar.gz", Body=code)
        hyperparameters = {"sagemaker_submit_directory": json.dumps(uri)}
        job = jobs.run(name, "", hyperparameters=hyperparameters)
        assert job["FailureReason"].startswith(f"ClientError: The code archive {uri} ")


def test_archive_that_climbs_out_fails_the_job(jobs: Jobs, aws: Server) -> None:
    jobs.s3.put_object(Bucket=BUCKET, Key="evil.tar.gz", Body=tarball({"../../evil": "x"}))
    hyperparameters = {"sagemaker_submit_directory": json.dumps(f"s3://{BUCKET}/evil.tar.gz")}
    job = jobs.run("evil", "", hyperparameters=hyperparameters)
    assert job["FailureReason"].startswith("ClientError: The code archive")
    assert list((aws.state / "aws").rglob("evil")) == []


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed orphan stays a zombie where nothing reaps it.
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
