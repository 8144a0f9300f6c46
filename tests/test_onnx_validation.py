"""mc_assets.onnx_validation: a sound model passes; hostile, foreign and damaged ones do not."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx  # noqa: TID253 - the models under test are made with it
import pytest
from onnx import TensorProto, helper, numpy_helper  # noqa: TID253 - as above

from mc_assets.onnx_validation import (
    OnnxInvalid,
    check_signature,
    check_structure,
    compare,
    run,
    run_on_pixels,
)
from tiny_onnx import NO_PIXELS, expected_digits, tiny_images, tiny_onnx, tiny_weights

Change = Callable[[onnx.ModelProto], object]


def changed(change: Change) -> bytes:
    proto = onnx.load_from_string(tiny_onnx())
    change(proto)
    return proto.SerializeToString()


def weights_of(proto: onnx.ModelProto) -> onnx.TensorProto:
    return next(tensor for tensor in proto.graph.initializer if tensor.name == "weights")


def make_external(proto: onnx.ModelProto, location: str) -> None:
    tensor = weights_of(proto)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def add_subgraph(proto: onnx.ModelProto) -> None:
    body = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "body", [], [])
    proto.graph.node.append(
        helper.make_node("If", ["c"], ["z"], then_branch=body, else_branch=body)
    )


def set_domain(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].domain = "com.evil"
    proto.opset_import.add(domain="com.evil", version=1)


HOSTILE: dict[str, tuple[Change, str]] = {
    "external data": (lambda m: make_external(m, "weights.bin"), "external data"),
    "external data above": (lambda m: make_external(m, "../../etc/passwd"), "external data"),
    "absolute external data": (lambda m: make_external(m, "/etc/passwd"), "external data"),
    "external keys on inner data": (
        lambda m: weights_of(m).external_data.add(key="location", value="x"),
        "external data",
    ),
    "unknown domain": (set_domain, "com.evil"),
    "undeclared domain": (lambda m: setattr(m.graph.node[0], "domain", "x"), "unknown domain 'x'"),
    "future opset": (lambda m: setattr(m.opset_import[0], "version", 99), "operator set is 99"),
    "no opset": (lambda m: m.ClearField("opset_import"), "operator set is 0"),
    "future format": (lambda m: setattr(m, "ir_version", 99), "checker refuses"),
    "unknown operator": (lambda m: setattr(m.graph.node[2], "op_type", "PyOp"), "checker refuses"),
    "function": (lambda m: m.functions.add(name="f"), "functions"),
    "training graph": (lambda m: m.training_info.add(), "training graphs"),
    "sparse weights": (lambda m: m.graph.sparse_initializer.add(), "sparse weights"),
    "subgraph": (add_subgraph, "a graph of its own"),
    "dangling input": (lambda m: m.graph.node[2].input.__setitem__(0, "nowhere"), "checker"),
    "cycle": (lambda m: m.graph.node[0].input.__setitem__(0, "flat"), "checker"),
    "huge dimensions": (lambda m: weights_of(m).dims.__setitem__(0, 10**15), "checker"),
    "no nodes": (lambda m: m.graph.ClearField("node"), "no graph"),
}


def test_the_facts_of_a_sound_model() -> None:
    model = tiny_onnx()
    facts = check_structure(model)
    assert (facts.opset, facts.ir_version, facts.size) == (18, 10, len(model))
    assert facts.parameters == 7840 + 2
    assert [(value.name, value.dtype, value.shape) for value in facts.inputs] == [
        ("input_0", "float32", (None, 1, 28, 28))
    ]
    assert facts.outputs[0].shape == (None, 10)
    assert facts.metadata["input_mean"] == "0.1307"
    check_signature(model)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_structure_is_refused(kind: str) -> None:
    change, reason = HOSTILE[kind]
    with pytest.raises(OnnxInvalid, match=reason):
        check_structure(changed(change))


@pytest.mark.parametrize("data", [b"", b"<html>404</html>", b"\x80\x04K*.", bytes(1000)])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(OnnxInvalid):
        check_structure(data)


def test_external_data_by_hard_link_is_never_read(tmp_path: Path, monkeypatch) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(tiny_weights().tobytes())
    os.link(secret, tmp_path / "weights.bin")
    monkeypatch.chdir(tmp_path)
    model = changed(lambda proto: make_external(proto, "weights.bin"))
    with pytest.raises(OnnxInvalid, match="external data"):
        check_structure(model)
    # Even from bytes onnxruntime reads such a file when it lies in the working directory.
    with pytest.raises(OnnxInvalid, match="external data"):
        check_signature(model)
    with pytest.raises(OnnxInvalid, match="external data"):
        run(model, np.zeros((1, 1, 28, 28), np.float32))


def test_truncation_is_noticed_at_every_offset_tried() -> None:
    model = tiny_onnx()
    for length in random.Random(0).sample(range(len(model)), 100):
        with pytest.raises(OnnxInvalid):
            check_structure(model[:length])


def test_every_problem_is_listed() -> None:
    def spoil(proto: onnx.ModelProto) -> None:
        set_domain(proto)
        make_external(proto, "weights.bin")
        proto.opset_import[0].version = 99

    with pytest.raises(OnnxInvalid) as caught:
        check_structure(changed(spoil))
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    assert all(part in text for part in ("com.evil", "external data", "operator set is 99"))


def rename(proto: onnx.ModelProto, old: str, new: str) -> None:
    for node in proto.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in (*proto.graph.input, *proto.graph.output):
        value.name = new if value.name == old else value.name


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (changed(lambda m: rename(m, "input_0", "x")), "input is named 'x'"),
        (changed(lambda m: rename(m, "output_0", "y")), "output is named 'y'"),
        (tiny_onnx(input_shape=(1, 1, 28, 28)), r"\[1, 1, 28, 28\], expected \[N, 1, 28, 28\]"),
        (tiny_onnx(input_shape=("batch", 1, 27, 28)), "27"),
        (tiny_onnx(input_type=TensorProto.UINT8), "uint8"),
        (tiny_onnx(outputs=("output_0", "output_1")), "2 outputs"),
        (tiny_onnx(np.full((784, 10), np.nan, np.float32)), "not finite"),
    ],
)
def test_another_signature_is_refused(model: bytes, reason: str) -> None:
    with pytest.raises(OnnxInvalid, match=reason):
        check_signature(model)


def test_a_batch_that_is_only_said_to_be_free_is_found_out() -> None:
    def keep_two(proto: onnx.ModelProto) -> None:
        proto.graph.initializer.append(numpy_helper.from_array(np.array([0]), "first"))
        proto.graph.initializer.append(numpy_helper.from_array(np.array([2]), "third"))
        proto.graph.node[0].input[0] = "two"
        proto.graph.node.insert(
            0, helper.make_node("Slice", ["input_0", "first", "third"], ["two"])
        )

    model = changed(keep_two)
    check_structure(model)
    with pytest.raises(OnnxInvalid) as caught:
        check_signature(model)
    assert caught.value.problems == ("with a batch of 33 it answers [2, 10], not [33, 10]",)


def test_a_model_may_take_pixels_beside_its_input() -> None:
    model = tiny_onnx(pixels=NO_PIXELS)
    assert [value.name for value in check_structure(model).inputs] == ["input_0"]
    check_signature(model)


def spoil_scale(proto: onnx.ModelProto) -> None:
    scale = next(tensor for tensor in proto.graph.initializer if tensor.name == "scale")
    scale.CopyFrom(numpy_helper.from_array(np.array(1 / 255, np.float32), "scale"))


def swap_rows(proto: onnx.ModelProto) -> None:
    concat = next(node for node in proto.graph.node if node.op_type == "Concat")
    concat.input[:] = reversed(concat.input)


def with_pixels(change: Change) -> bytes:
    proto = onnx.load_from_string(tiny_onnx(pixels=NO_PIXELS))
    change(proto)
    return proto.SerializeToString()


def let_weights_be_replaced(proto: onnx.ModelProto) -> None:
    proto.graph.input.append(helper.make_tensor_value_info("weights", TensorProto.FLOAT, [784, 10]))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (tiny_onnx(pixels=NO_PIXELS.astype(np.int8)), r"type tensor\(int8\), expected uint8"),
        (tiny_onnx(pixels=NO_PIXELS[:, :, :27]), "27"),
        (tiny_onnx(pixels=np.zeros((1, 1, 28, 28), np.uint8)), r"\[2, 10\], not \[1, 10\]"),
        (tiny_onnx(pixels=NO_PIXELS, metadata={}), "how images are normalised"),
        (with_pixels(spoil_scale), "with a batch of 33 the pixels alone get answers that are"),
        (with_pixels(swap_rows), "with a batch of 2 the pixels alone get answers"),
        (changed(let_weights_be_replaced), "optional input is named 'weights', expected 'pixels'"),
    ],
)
def test_pixels_that_mean_something_else_are_refused(model: bytes, reason: str) -> None:
    with pytest.raises(OnnxInvalid, match=reason):
        check_signature(model)


@pytest.mark.parametrize("batch", [1, 7, 64, 500])
def test_run_gives_the_same_answers_in_any_batch(batch: int) -> None:
    weights, images = tiny_weights(), tiny_images(65)
    normal = (images[:, None] / np.float32(255) - np.float32(0.1307)) / np.float32(0.3081)
    outputs = run(tiny_onnx(weights), normal.astype(np.float32), batch=batch)
    assert outputs.shape == (65, 10)
    assert outputs.argmax(axis=1).tolist() == expected_digits(images, weights)


def test_pixels_are_normalised_as_the_model_says() -> None:
    weights, images = tiny_weights(), tiny_images(20)
    outputs = run_on_pixels(tiny_onnx(weights), images)
    assert outputs.argmax(axis=1).tolist() == expected_digits(images, weights)
    other = run_on_pixels(
        tiny_onnx(weights, metadata={"input_mean": "5", "input_std": "1"}), images
    )
    assert not np.allclose(outputs, other)
    with pytest.raises(OnnxInvalid, match="input_mean"):
        run_on_pixels(tiny_onnx(weights, metadata={}), images)


def test_pixels_are_given_as_they_are_to_a_model_that_takes_them() -> None:
    weights, images = tiny_weights(), tiny_images(130)
    outputs = run_on_pixels(tiny_onnx(weights, pixels=NO_PIXELS, metadata={}), images)
    assert outputs.shape == (130, 10)
    assert compare(run_on_pixels(tiny_onnx(weights), images), outputs).max_abs < 1e-4


def test_parity_finds_a_perturbed_model() -> None:
    images = tiny_images(200)
    reference = run_on_pixels(tiny_onnx(), images)
    same = compare(reference, run_on_pixels(tiny_onnx(), images))
    assert (same.max_abs, same.flips, same.n) == (0.0, 0, 200)
    weights = tiny_weights()
    weights[400, 3] += 0.01
    slight = compare(reference, run_on_pixels(tiny_onnx(weights), images))
    assert 1e-3 < slight.max_abs < 0.1
    weights[:, 3] += 0.05
    gross = compare(reference, run_on_pixels(tiny_onnx(weights), images))
    assert gross.flips > 0


def test_parity_is_worked_out_against_the_reference() -> None:
    reference = np.array([[-4.0, -0.5], [-0.25, -3.0]], np.float32)
    outputs = np.array([[-2.0, -0.5], [-3.25, -3.0]], np.float32)
    parity = compare(reference, outputs)
    assert (parity.max_abs, parity.max_rel, parity.flips, parity.n) == (3.0, 3.0, 1, 2)


@pytest.mark.parametrize(
    ("reference", "outputs"),
    [
        (np.zeros((2, 10)), np.zeros((3, 10))),
        (np.zeros((0, 10)), np.zeros((0, 10))),
        (np.zeros(10), np.zeros(10)),
        (np.zeros((1, 10)), np.full((1, 10), np.nan)),
        (np.full((1, 10), -np.inf), np.zeros((1, 10))),
    ],
)
def test_parity_of_what_cannot_be_compared_is_an_error(reference, outputs) -> None:
    with pytest.raises(ValueError, match=r"compare"):
        compare(reference.astype(np.float32), outputs.astype(np.float32))
