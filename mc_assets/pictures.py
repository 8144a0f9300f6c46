"""Pictures among a run's metadata: the small one to look at there, the full-size one in S3."""

import base64
import hashlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from mc_assets.model_settings import ModelSettings
from mc_assets.resources.artifact_store import ArtifactStore

if TYPE_CHECKING:
    from mc_assets.plots import Drawing

FOLDER = "pictures"
SMALL_DPI, FULL_DPI = 80, 200
# As the text that it becomes in Dagster's event log; images that are all noise get there.
SMALL_LIMIT, SMALLER_DPI = 100_000, 40
UNDRAWN = "It could not be drawn: the run's log says why."

Pictures = dict[str, dg.MetadataValue]


@dataclass(frozen=True)
class Album:
    """Takes the pictures of one version of an artifact.

    The version is in their keys, so that the sweep lets a picture be as long as anything refers to
    what it shows.
    """

    store: ArtifactStore
    model: ModelSettings
    version: str
    log: dg.DagsterLogManager

    def show(self, name: str, draw: "Callable[[], Drawing]", *, in_full: bool = True) -> Pictures:
        """The drawing as metadata of this name; and where it is in full size, if it is kept.

        Args:
            in_full: not for what is measured anew each time: every check would leave an object.
        """
        try:
            drawing = draw()
            small = _in_text(drawing.png(SMALL_DPI))
            small = small if len(small) < SMALL_LIMIT else _in_text(drawing.png(SMALLER_DPI))
            full = drawing.png(FULL_DPI) if in_full else b""
        except Exception:  # noqa: BLE001 - said in the run's log, in red; a check's verdict stands
            # In the text: of a message's exc_info Dagster stores nothing.
            self.log.error(f"{name} could not be drawn.\n{traceback.format_exc()}")  # noqa: TRY400
            return {name: dg.MetadataValue.text(UNDRAWN)}
        shown: Pictures = {
            name: dg.MetadataValue.md(f"![{drawing.title}](data:image/png;base64,{small})")
        }
        if in_full:
            shown[f"{name}_full_size"] = dg.MetadataValue.text(self._keep(full))
        return shown

    def _keep(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        key = f"{self.model.name}/{FOLDER}/{self.version}/{sha256}.png"
        return self.store.put_bytes(key, data, self.model.retention_days).uri


def _in_text(png: bytes) -> str:
    return base64.b64encode(png).decode()
