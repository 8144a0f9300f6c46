"""Frames survive any way a stream may cut them."""

import random

import pytest

from mc_assets.local_cloud.azure.function_host.protocol import FrameDecoder, Kind, encode

FRAMES = [
    (Kind.INVOKE, 1, {"function": "f", "headers": {"x": "é"}}, b""),
    (Kind.RESULT, 2**32 - 1, {"status": 200}, bytes(range(256))),
    (Kind.INVOKE, 7, {}, b"\0" * 70_000),
    (Kind.INDEXED, 0, {"functions": []}, b""),
]


def stream_of_all() -> bytes:
    return b"".join(piece for frame in FRAMES for piece in encode(*frame))


@pytest.mark.parametrize("seed", range(5))
def test_decoder_with_pieces_of_any_size(seed: int) -> None:
    chance = random.Random(seed)
    data, decoder, decoded = stream_of_all(), FrameDecoder(), []
    while data:
        size = chance.choice([1, 3, 17, 1000, 50_000])
        decoded += decoder.feed(data[:size])
        data = data[size:]
    assert [tuple(frame) for frame in decoded] == FRAMES
