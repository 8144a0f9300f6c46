"""The checks of an ONNX model: each fails for its own fault, and for no other."""

import numpy as np
import pytest
from by_hand import TESTING, WEIGHTS, ByHand, log_probabilities

from mc_assets import plots
from mc_assets.artifacts import Verdict
from mc_assets.pictures import UNDRAWN
from tiny_onnx import tiny_onnx, tiny_weights

STRANGER = tiny_weights(seed=9)
CHAMPION = "onnx_model not_worse_than_champion"


def failed(hand: ByHand) -> dict[str, str]:
    """What each check that failed said."""
    ran = hand.graph.check("onnx_model")
    assert len(ran.checks) == 5
    assert ran.success is not bool(ran.failed_checks), "every one of these checks blocks"
    return {name.partition(" ")[2]: str(ran.checks[name].description) for name in ran.failed_checks}


def test_a_sound_model_passes_every_check(hand: ByHand) -> None:
    hand.onnx(tiny_onnx(WEIGHTS))
    assert failed(hand) == {}


def test_its_answers_are_shown(hand: ByHand) -> None:
    model = hand.onnx(tiny_onnx(blurred(0.5)), reference=log_probabilities(blurred(0.5)))
    ran = hand.graph.check("onnx_model")
    assert ran.found("onnx_model test_accuracy", "accuracy") < 1
    pictures = {
        "parity": ["parity_differences"],
        "test_accuracy": ["confusion_matrix", "worst_digits"],
    }
    for check, names in pictures.items():
        for picture in names:
            assert "](data:image/png;base64," in ran.found(f"onnx_model {check}", picture)
            full_size = ran.found(f"onnx_model {check}", f"{picture}_full_size")
            assert model.version in full_size
            assert hand.graph.store.head(full_size) is not None


def test_where_nothing_is_wrong_no_worst_digit_is_shown(hand: ByHand) -> None:
    hand.onnx(tiny_onnx(WEIGHTS))
    found = hand.graph.check("onnx_model").checks["onnx_model test_accuracy"].metadata
    assert "confusion_matrix" in found
    assert "worst_digits" not in found


def test_what_cannot_be_drawn_fails_no_check_and_is_said(
    hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("no ink")

    monkeypatch.setattr(plots, "confusion_matrix", broken)
    hand.onnx(tiny_onnx(WEIGHTS))
    ran = hand.graph.check("onnx_model")
    assert ran.success
    assert ran.found("onnx_model test_accuracy", "confusion_matrix") == UNDRAWN
    (said,) = (line for line in ran.messages if "confusion_matrix could not be drawn" in line)
    assert "ZeroDivisionError: no ink" in said


def test_weights_that_are_not_pytorchs_fail_parity(hand: ByHand) -> None:
    nudged = WEIGHTS.copy()
    nudged[:, 3] += np.float32(0.0003)
    hand.onnx(tiny_onnx(nudged), reference=log_probabilities(WEIGHTS))
    said = failed(hand)
    assert said.keys() == {"parity"}
    assert "max_parity_difference is 0.001" in said["parity"]
    assert "of 40 images" in said["parity"]


def test_a_model_below_the_floor_fails_accuracy(hand: ByHand) -> None:
    hand.onnx(tiny_onnx(STRANGER), reference=log_probabilities(STRANGER))
    found = np.mean(log_probabilities(STRANGER).argmax(1) == log_probabilities(WEIGHTS).argmax(1))
    assert failed(hand) == {
        "test_accuracy": f"The accuracy on 40 test images is {found:.4f}, below min_test_accuracy "
        "0.5."
    }


@pytest.mark.parametrize(
    ("misfit", "word"),
    [
        ({"outputs": ("output_0", "output_1")}, "output"),
        ({"input_shape": (1, 1, 28, 28)}, "[1, 1, 28, 28]"),
    ],
    ids=["two outputs", "a fixed batch"],
)
def test_another_signature_fails(hand: ByHand, misfit: dict[str, object], word: str) -> None:
    hand.onnx(tiny_onnx(WEIGHTS, **misfit))  # pyright: ignore[reportArgumentType] the parameters above
    ran = hand.graph.check("onnx_model")
    assert not ran.success
    assert "onnx_model signature" in ran.failed_checks
    assert word in str(ran.checks["onnx_model signature"].description)


def test_bytes_that_are_no_model_fail_structure(hand: ByHand) -> None:
    hand.onnx(b"no model")
    ran = hand.graph.check("onnx_model")
    assert not ran.success
    assert "onnx_model structure" in ran.failed_checks


def blurred(share: float) -> np.ndarray:
    """Weights that get some of the test images wrong."""
    return WEIGHTS + np.float32(share) * STRANGER


def test_a_model_worse_than_the_live_one_fails(hand: ByHand) -> None:
    worse = blurred(0.6)
    hand.onnx(tiny_onnx(worse), reference=log_probabilities(worse))
    assert failed(hand) == {}, "without a champion it is good enough"
    champion = hand.champion(WEIGHTS)
    ran = hand.graph.check("onnx_model")
    assert ran.failed_checks == {CHAMPION}
    assert ran.found(CHAMPION, "outcome") == "worse"
    assert ran.found(CHAMPION, "champion") == champion.model.sha256
    missed = ran.found(CHAMPION, "n01_champion_alone_right")
    assert (ran.found(CHAMPION, "images"), ran.found(CHAMPION, "n10_challenger_alone_right")) == (
        TESTING,
        0,
    )
    assert ran.found(CHAMPION, "difference") == -missed / TESTING
    assert ran.found(CHAMPION, "upper_bound") < 0


def test_a_verdict_names_the_champion_and_the_gate_it_judged_by(hand: ByHand) -> None:
    def verdict(check: str) -> Verdict:
        key = hand.graph.key("onnx_model").to_user_string()
        found = hand.graph.store.read_verdicts(key, model.version, [check])[check]
        assert found is not None
        return found

    model = hand.onnx(tiny_onnx(WEIGHTS))
    hand.graph.check("onnx_model")
    assert (verdict("test_accuracy").limit, verdict("parity").limit) == (0.5, 1e-3)
    assert verdict("structure").limit is None
    compared = verdict("not_worse_than_champion")
    assert (compared.limit, compared.against) == (0.05, "")
    champion = hand.champion(STRANGER)
    hand.graph.check("onnx_model")
    assert verdict("not_worse_than_champion").against == champion.model.sha256


def test_a_model_as_good_as_the_live_one_passes(hand: ByHand) -> None:
    hand.onnx(tiny_onnx(WEIGHTS))
    hand.champion(WEIGHTS)
    assert failed(hand) == {}


def test_the_live_model_itself_passes_as_the_champion(hand: ByHand) -> None:
    hand.onnx(tiny_onnx(WEIGHTS))
    hand.champion(WEIGHTS)
    assert hand.graph.check("onnx_model").found(CHAMPION, "outcome") == "champion"


@pytest.mark.parametrize("share", [1e-6, 0.03], ids=["a tie", "too few images"])
def test_what_is_not_beyond_doubt_needs_a_decision(hand: ByHand, share: float) -> None:
    other = blurred(share)
    hand.onnx(tiny_onnx(other), reference=log_probabilities(other))
    hand.champion(WEIGHTS)
    ran = hand.graph.check("onnx_model")
    assert ran.failed_checks == {CHAMPION}
    assert not ran.success, "nothing moves"
    assert ran.found(CHAMPION, "outcome") == "needs decision"
    description = str(ran.checks[CHAMPION].description)
    assert all(word in description for word in ("override_reason", "champion_margin", "test set"))


def test_a_champion_that_cannot_be_asked_needs_a_decision(hand: ByHand) -> None:
    hand.onnx(tiny_onnx(WEIGHTS))
    hand.champion(STRANGER, metadata={})
    ran = hand.graph.check("onnx_model")
    assert ran.failed_checks == {CHAMPION}
    assert "cannot be asked" in str(ran.checks[CHAMPION].description)


def test_a_model_better_than_the_live_one_passes(hand: ByHand) -> None:
    hand.onnx(tiny_onnx(WEIGHTS))
    hand.champion(STRANGER)
    assert failed(hand) == {}
