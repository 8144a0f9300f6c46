"""Compressed bodies are unpacked whole, to no more than the limit, and nothing else is accepted."""

import gzip
import tracemalloc
import zlib

import pytest

LIMIT = 100_000
PACK = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress}


@pytest.fixture(scope="module")
def inflate(modules):
    return modules.inflating.inflate


@pytest.fixture(scope="module")
def refusal(modules):
    def status_of(body: bytes, encoding: str) -> int:
        with pytest.raises(modules.bad_input.BadInput) as raised:
            modules.inflating.inflate(body, encoding, LIMIT)
        return raised.value.status

    return status_of


@pytest.mark.parametrize("encoding", PACK)
@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_it_gives_back_what_was_packed(inflate, encoding, size):
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert inflate(PACK[encoding](body), encoding, LIMIT) == body
    assert inflate(PACK[encoding](body), f" {encoding.upper()} ", LIMIT) == body


def test_a_gzip_file_may_be_several(inflate, refusal):
    assert inflate(gzip.compress(b"one ") + gzip.compress(b"two"), "gzip", LIMIT) == b"one two"
    halves = gzip.compress(bytes(LIMIT)) + gzip.compress(b"1")
    assert refusal(halves, "gzip") == 413


@pytest.mark.parametrize("encoding", PACK)
def test_one_byte_over_the_limit_is_too_large(refusal, encoding):
    assert refusal(PACK[encoding](bytes(LIMIT + 1)), encoding) == 413


@pytest.mark.parametrize("encoding", PACK)
def test_a_bomb_is_not_unpacked(refusal, encoding):
    bomb = PACK[encoding](bytes(50_000_000))
    tracemalloc.start()
    try:
        assert refusal(bomb, encoding) == 413
        assert tracemalloc.get_traced_memory()[1] < 3 * LIMIT
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", PACK)
def test_what_is_not_whole_is_refused(refusal, encoding):
    packed = PACK[encoding](bytes(range(256)) * 4)
    assert refusal(b"", encoding) == 400
    assert refusal(bytes(784), encoding) == 400
    assert refusal(packed[:-1], encoding) == 400
    assert refusal(packed[: len(packed) // 2], encoding) == 400
    assert refusal(packed + b"more", encoding) == 400
    assert refusal(packed[:-2] + b"xx", encoding) == 400


def test_deflate_is_the_format_that_http_means(refusal):
    raw = zlib.compressobj(wbits=-15)
    assert refusal(raw.compress(bytes(784)) + raw.flush(), "deflate") == 400
    assert refusal(zlib.compress(b"1") + zlib.compress(b"2"), "deflate") == 400


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, deflate", "compress", "\u2603" * 200])
def test_another_encoding_is_not_offered(refusal, encoding):
    assert refusal(bytes(784), encoding) == 415
