"""Pictures in metadata and in S3: looked at here, kept there, and known to the sweep."""

import base64
import io
from functools import partial

import dagster as dg
import pytest
from PIL import Image

from graph_runs import Graph
from mc_assets import plots
from mc_assets.automation.orphans import References
from mc_assets.ownership import TTL_TAG
from mc_assets.pictures import Album
from mc_assets.resources.artifact_store import ArtifactStore
from tiny_onnx import tiny_images

VERSION, OTHER = "ab" * 32, "cd" * 32
DRAW = partial(plots.class_balance, [5] * 10, [1] * 10)


@pytest.fixture
def album(store: ArtifactStore) -> Album:
    return Album(
        store, Graph.of("drawn").lifecycle.settings(), VERSION, dg.build_asset_context().log
    )


def size(png: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(png)).size


def key_of(album: Album, shown: dict[str, dg.MetadataValue]) -> str:
    return str(shown["balance_full_size"].value).removeprefix(album.store.uri(""))


def test_the_small_one_is_in_the_metadata_and_the_full_one_in_s3(album: Album) -> None:
    shown = album.show("balance", DRAW)
    assert shown.keys() == {"balance", "balance_full_size"}
    text = str(shown["balance"].value)
    title = "Images of each digit: 50 for training, 10 for tests"
    assert text.startswith(f"![{title}](data:image/png;base64,")
    assert len(text) < 100_000
    small = size(base64.b64decode(text.partition("base64,")[2].rstrip(")")))
    key = key_of(album, shown)
    assert key.startswith(f"drawn/pictures/{VERSION}/")
    stored = album.store.client.get_object(
        Bucket=album.store.bucket, Key=f"{album.store.prefix}/{key}"
    )
    assert size(stored["Body"].read())[0] > 2 * small[0]
    assert album.store.tags(key)[TTL_TAG] == f"{album.model.retention_days}d"


def test_images_of_noise_are_shown_small_enough_too(album: Album) -> None:
    noise = [[image.tobytes() for image in tiny_images(8, digit)] for digit in range(10)]
    shown = album.show("samples", partial(plots.sample_images, noise), in_full=False)
    assert len(str(shown["samples"].value)) < 100_000


def test_the_same_picture_is_stored_once(album: Album) -> None:
    def listed() -> list:
        return list(album.store.objects("drawn/"))

    first = album.show("balance", DRAW)
    before = listed()
    assert album.show("balance", DRAW) == first
    assert listed() == before
    assert len(before) == 1


def test_what_is_measured_anew_each_time_leaves_nothing_in_s3(album: Album) -> None:
    assert album.show("balance", DRAW, in_full=False).keys() == {"balance"}
    assert list(album.store.objects("drawn/")) == []


def test_the_sweep_lets_it_be_as_long_as_anything_refers_to_what_it_shows(album: Album) -> None:
    key = key_of(album, album.show("balance", DRAW))
    root = album.store.uri("")
    record = f'{{"version": "{VERSION}"}}'
    assert References.told_by(root, [record], set()).covers(key)
    assert not References.told_by(root, [record.replace(VERSION, OTHER)], set()).covers(key)
