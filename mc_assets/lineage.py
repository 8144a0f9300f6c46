"""What a version is made of, where each part of it is, and which releases serve it or once did."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mc_assets.artifacts import (
    Artifact,
    Dataset,
    Endpoint,
    FunctionPackage,
    LiveEndpoint,
    OnnxModel,
    ReleaseHistory,
    StagedEndpoint,
    Trained,
    TrainedModel,
)


@dataclass(frozen=True, slots=True)
class Part:
    """One version of one asset, and where it is: empty where nothing is known of that."""

    asset: str
    version: str
    where: str


@dataclass(frozen=True, slots=True)
class Known:
    """One version that is written down: how it stands, and all that went into it."""

    asset: str
    version: str
    stands: str
    parts: tuple[Part, ...]
    job: str = ""
    content_version: str = ""
    url: str = ""
    number: int = 0
    since: str = ""
    until: str = ""
    how: str = ""
    run_id: str = ""

    def has(self, wanted: str) -> bool:
        """Whether a sha256 in it, or the name of its training job, begins like this."""
        names = (*(part.version for part in self.parts), self.content_version, self.job)
        return any(name.startswith(wanted) for name in names)


def parts(artifact: Artifact, root: str) -> tuple[Part, ...]:
    """Every version from the dataset up to and including this one.

    Args:
        root: the address below which the store keeps everything.
    """
    places = dict(_places(artifact))
    found = []
    for key, version in artifact.lineage.items():
        model, _, asset = key.rpartition("/")
        # The dataset's is the one address that only its own record tells; its key is its version.
        otherwise = f"{root}{model}/{asset}/{version}/" if asset == Dataset.asset else ""
        found.append(Part(key, version, places.get(asset, otherwise)))
    return tuple(found)


def _places(artifact: Artifact) -> Iterator[tuple[str, str]]:
    if isinstance(artifact, TrainedModel | Trained):
        yield TrainedModel.asset, artifact.job_arn
    if isinstance(artifact, OnnxModel | FunctionPackage | Endpoint):
        yield OnnxModel.asset, artifact.model.uri
    if isinstance(artifact, FunctionPackage | Endpoint):
        yield FunctionPackage.asset, artifact.package.uri
    if isinstance(artifact, Endpoint):
        yield artifact.asset, artifact.url


def everything(
    newest: Mapping[str, Artifact], history: ReleaseHistory, root: str
) -> tuple[Known, ...]:
    """What is live, what was live before it with the last first, and the newest of each asset.

    Args:
        newest: what each asset's last materialisation handed on, by asset key.
        history: every release that was ever live.
        root: the address below which the store keeps everything.
    """
    live = next((each for each in newest.values() if isinstance(each, LiveEndpoint)), None)
    past = [each for each in history.releases if live is None or each.number != live.number]
    releases = [*([live] if live else []), *sorted(past, key=lambda each: -each.number)]
    others = {key: each for key, each in newest.items() if not isinstance(each, LiveEndpoint)}
    return (
        *(_release(each, live, releases, root) for each in releases),
        *(_newest(key, each, root) for key, each in reversed(others.items())),
    )


def about(known: Iterable[Known], wanted: str) -> list[Known]:
    """Those that have this sha256 or training job: of records that are no endpoints, only the ones
    that no other one found is made of."""
    found: list[Known] = []
    for each in known:
        is_part = any(
            (part.asset, part.version) == (each.asset, each.version)
            for other in found
            for part in other.parts
        )
        if each.has(wanted) and (each.url or not is_part):
            found.append(each)
    return found


def _release(
    release: LiveEndpoint, live: LiveEndpoint | None, releases: list[LiveEndpoint], root: str
) -> Known:
    later = sorted(each.since for each in releases if each.since > release.since)
    is_live = release is live
    return Known(
        asset=_key_of(release),
        version=release.version,
        stands="live" if is_live else "was live",
        parts=parts(release, root),
        job=_job_in(release.job_arn),
        content_version=release.content_version,
        url=release.url,
        number=release.number,
        since=release.since,
        until="" if is_live or not later else later[0],
        how=_how(release),
        run_id=release.run_id,
    )


def _newest(key: str, artifact: Artifact, root: str) -> Known:
    is_endpoint = isinstance(artifact, Endpoint)
    return Known(
        asset=key,
        version=artifact.version,
        stands="staged" if isinstance(artifact, StagedEndpoint) else "newest",
        parts=parts(artifact, root),
        job=_job_in(artifact.job_arn) if isinstance(artifact, TrainedModel | Trained) else "",
        content_version=artifact.content_version if is_endpoint else "",
        url=artifact.url if is_endpoint else "",
    )


def _how(release: LiveEndpoint) -> str:
    """By which way it became live."""
    if release.brought_back:
        return f"brought back: {release.brought_back}"
    if release.override:
        count = len(release.override.objections)
        return f"promoted past {count} objections: {release.override.reason}"
    return "promoted"


def _key_of(artifact: Artifact) -> str:
    """The artifact's own key: the last one of its lineage."""
    return next(reversed(artifact.lineage))


def _job_in(arn: str) -> str:
    return arn.rpartition("/")[2]
