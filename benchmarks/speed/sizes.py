"""Benchmark: what is stored and what travels: the model's file, and bytes per image."""

import statistics
from collections.abc import Iterator

from speed.measuring import process_of_its_own
from speed.results import Goal, Round, Row, alone, compared
from speed.sides import deflated, digits, json_body
from speed.workshop import Workshop

IMAGES = 1000


def run(workshop: Workshop) -> Iterator[Row]:
    theirs, ours = (
        path.stat().st_size / 1000 for path in (workshop.walkthrough_model, workshop.our_model)
    )
    yield compared("ONNX file", "kB", [Round(theirs, ours)], goal=Goal("ours", "at most", 200))
    yield _accuracy_of_file(workshop)
    images, _ = workshop.test_images()
    text = len(json_body(workshop, IMAGES)) / IMAGES
    packed = [len(deflated(image.tobytes())) for image in images[:IMAGES]]
    yield compared(
        "bytes per image on the wire, raw", "bytes", [Round(text, images[0].size)],
        goal=Goal("ours", "at most", 800), note="the walkthrough's: numbers in JSON",
    )  # fmt: skip
    yield compared(
        "bytes per image on the wire, compressed", "bytes",
        [Round(text, statistics.mean(packed))], goal=Goal("ours", "at most", 200),
        note=f"content-encoding deflate, one image a request: mean of {IMAGES}, "
        f"{min(packed)} to {max(packed)}",
    )  # fmt: skip


def _accuracy_of_file(workshop: Workshop) -> Row:
    """What the shipped file itself answers for all test images, through ONNX Runtime."""
    with process_of_its_own() as process:
        accuracy = process.submit(_accuracy, workshop).result()
    return alone(
        "ONNX file: accuracy on all test images", "%", [accuracy],
        goal=Goal("ours", "at least", 99.3),
    )  # fmt: skip


def _accuracy(workshop: Workshop) -> float:
    images, labels = workshop.test_images()
    found = digits(workshop, "bare session.run", len(images))
    return 100 * statistics.mean(map(int.__eq__, found, labels.tolist()))
