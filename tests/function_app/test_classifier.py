"""The classifier gives the digits that the model's arithmetic gives, and loads no misfit."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import TensorProto  # noqa: TID253 - the models are made here

from tiny_onnx import (  # pyright: ignore[reportMissingImports] - pytest's path has tests/
    MEAN,
    NO_PIXELS,
    STD,
    expected_digits,
    normalised,
    tiny_images,
    tiny_onnx,
    tiny_weights,
)


@pytest.fixture(scope="module")
def classifier(modules: SimpleNamespace):
    return modules.classifier


@pytest.mark.parametrize("pixels", [None, NO_PIXELS], ids=["floats", "pixels"])
@pytest.mark.parametrize("count", [1, 2, 33, 63, 64, 65, 600])
def test_digits_are_those_of_the_arithmetic_whatever_the_batch(classifier, count, pixels):
    images, asked = tiny_images(count), classifier.Classifier(tiny_onnx(pixels=pixels))
    for given in (normalised(images), images[:, None]):
        scores = asked.scores(given)
        assert scores.shape == (count, 10)
        assert scores.argmax(axis=1).tolist() == expected_digits(images, tiny_weights())


def test_grey_levels_are_bit_for_bit_what_the_training_transform_gives(classifier):
    torch = pytest.importorskip("torch")
    pixels = torch.arange(256, dtype=torch.uint8).to(torch.float32).div(255)
    expected = pixels.sub_(torch.tensor(MEAN)).div_(torch.tensor(STD)).numpy()
    levels = classifier.normalised_levels(MEAN, STD)
    assert levels.dtype == np.float32
    assert levels.tobytes() == expected.tobytes()


def test_the_signature_of_a_model_that_takes_pixels_names_them(classifier):
    loaded = classifier.Classifier(tiny_onnx(pixels=NO_PIXELS))
    assert loaded.signature()["inputs"] == [
        {"name": "input_0", "type": "tensor(float)", "shape": ["batch", 1, 28, 28]},
        {"name": "pixels", "type": "tensor(uint8)", "shape": ["more", 1, 28, 28]},
    ]


def test_the_model_says_who_it_is(classifier):
    model = tiny_onnx(metadata={"input_mean": "0.25", "input_std": "0.5", "classes": "digits"})
    loaded = classifier.Classifier(model)
    assert loaded.sha256 == hashlib.sha256(model).hexdigest()
    assert (loaded.input_mean, loaded.input_std) == (0.25, 0.5)
    assert loaded.metadata["classes"] == "digits"
    assert loaded.signature() == {
        "inputs": [{"name": "input_0", "type": "tensor(float)", "shape": ["batch", 1, 28, 28]}],
        "outputs": [{"name": "output_0", "type": "tensor(float)", "shape": ["batch", 10]}],
    }


def test_a_model_without_normalisation_gets_that_of_mnist(classifier):
    loaded = classifier.Classifier(tiny_onnx(metadata={}))
    assert (loaded.input_mean, loaded.input_std) == (0.1307, 0.3081)


@pytest.mark.parametrize(
    "misfit",
    [
        {"input_shape": (1, 1, 28, 28)},
        {"input_shape": ("batch", 1, 27, 28)},
        {"input_shape": ("batch", 784)},
        {"input_type": TensorProto.DOUBLE},
        {"outputs": ("output_0", "output_1")},
        {"pixels": NO_PIXELS.astype(np.int8)},
        {"metadata": {"input_mean": "nan"}},
        {"metadata": {"input_std": "0"}},
        {"metadata": {"input_std": "-1"}},
        {"metadata": {"input_mean": "grey"}},
    ],
    ids=str,
)
def test_a_misfit_is_not_loaded(classifier, misfit):
    with pytest.raises(ValueError, match=r"model|could not convert"):
        classifier.Classifier(tiny_onnx(**misfit))


def test_a_model_that_answers_nan_is_an_error_and_not_a_digit(classifier):
    broken = classifier.Classifier(tiny_onnx(np.full((784, 10), np.nan, np.float32)))
    with pytest.raises(ArithmeticError):
        broken.scores(normalised(tiny_images(2)))


def test_probabilities_are_the_same_from_logits_and_from_their_logarithms(classifier):
    logits = np.random.default_rng(3).normal(0, 30, (50, 10)).astype(np.float32)
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    from_logits = classifier.probabilities(logits)
    assert np.allclose(from_logits.sum(axis=1), 1, atol=1e-12)
    assert np.allclose(from_logits, np.exp(log_probabilities), atol=1e-12)
    from_logarithms = classifier.probabilities(log_probabilities.astype(np.float32))
    assert np.allclose(from_logarithms, from_logits, atol=1e-5)
