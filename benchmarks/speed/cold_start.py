"""Benchmark: from the function's import to its first answer, in a process that has nothing yet.

The functions worker has imported azure.functions before it looks at an app, so both sides begin
after that import. No bytecode of the app is left from before: a fresh instance has none.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from speed.measuring import Round, run_python
from speed.results import Goal, Row, compared
from speed.workshop import BENCHMARKS, Workshop, normalised

ROUNDS = 15

PROGRAM = """
import json, sys, time
import azure.functions as func
folder, body, model = sys.argv[1:]
sys.path.insert(0, folder)
body = open(body, "rb").read()
headers = {{"content-type": "{content_type}"}}
started = time.perf_counter()
{work}
print(json.dumps(time.perf_counter() - started))
"""
REQUEST = "func.HttpRequest(method='POST', url='/', headers=headers, params={}, body=body)"
LIBRARIES = "import numpy, onnxruntime"
OURS = f"""
import function_app
(classify,) = [each.get_user_function() for each in function_app.app.get_functions()
               if each.get_function_name() == "classify"]
assert classify({REQUEST}).status_code == 200
"""
WALKTHROUGH = f"""
from walkthrough.function import classify
assert classify({REQUEST}, model).status_code == 200
"""


def run(workshop: Workshop) -> Iterator[Row]:
    images, _ = workshop.test_images()
    raw, text = workshop.cache / "cold-start.bin", workshop.cache / "cold-start.json"
    raw.write_bytes(images[:1].tobytes())
    text.write_text(json.dumps({"data": normalised(images[:1]).tolist()}))
    model = workshop.walkthrough_model

    def libraries() -> float:
        return _seconds(LIBRARIES, "none", BENCHMARKS, raw, model)

    def ours() -> float:
        return _seconds(OURS, "application/octet-stream", workshop.package, raw, model)

    def walkthrough() -> float:
        return _seconds(WALKTHROUGH, "application/json", BENCHMARKS, text, model)

    for each in (libraries, ours, walkthrough):
        each()
    turns = [(libraries(), ours(), walkthrough()) for _ in range(ROUNDS)]
    yield compared(
        "cold start: import to first answer", "s", [Round(bare, mine) for bare, mine, _ in turns],
        against="importing onnxruntime and numpy", ratio_of="ours / baseline",
        goal=Goal("ratio", "at most", 1.2),
    )  # fmt: skip
    yield compared(
        "cold start, against the walkthrough's", "s",
        [Round(theirs, mine) for _, mine, theirs in turns],
    )  # fmt: skip


def _seconds(work: str, content_type: str, folder: Path, body: Path, model: Path) -> float:
    program = PROGRAM.format(work=work, content_type=content_type)
    arguments = ["-B", "-c", program, folder, body, model]
    return run_python(arguments, folder=folder).said
