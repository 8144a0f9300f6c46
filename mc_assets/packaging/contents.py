"""What a function package holds: which files belong in it, and what a zip really has inside."""

import hashlib
import io
import json
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

MODEL = "model/model.onnx"
MANIFEST = "manifest.json"
SETTINGS = ("host.json", "requirements.txt")
SERVED = ("openapi.json", "page.html")
MODULES = re.compile(r"(?!test_|conftest\.)[a-z][a-z0-9_]*\.py")

# Far above any package of ours; a bomb is refused on its own table of contents.
MAX_MEMBERS = 64
MAX_UNPACKED = 256 * 1024 * 1024
MAX_RATIO = 100

Files = tuple[tuple[str, int, str], ...]


class PackageError(ValueError):
    """A package that must not be deployed; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """One input or output of a model; a free dimension is its name, or "?"."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the packaged ONNX file says of itself; size in bytes."""

    sha256: str
    size: int
    opset: int
    ir_version: int
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    metadata: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON has it, with lists for tuples."""
        return json.loads(json.dumps(asdict(self)))


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """A zip read into memory; `version` is recomputed from the members, not taken from it."""

    members: Mapping[str, bytes]
    sha256: str
    version: str
    manifest: Mapping[str, Any]
    model: ModelFacts

    @property
    def files(self) -> Files:
        """(name, size in bytes, sha256) of every member, by name."""
        return listing(self.members)

    @property
    def unpacked_size(self) -> int:
        """Bytes of all members together."""
        return sum(map(len, self.members.values()))


def inspect_package(data: bytes) -> PackageFacts:
    """Read a zip into memory and say what it is, writing nothing to disk and running nothing.

    Raises:
        PackageError: not a zip; one with a name, link, size or compression that no package of
            ours has; or one without a readable manifest and model.
    """
    try:
        members = _read_members(data)
    except PackageError:
        raise
    # Between them, all that zipfile raises for bytes that are no proper zip.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise PackageError(f"The package is not a readable zip file: {error}.") from error
    for name in (MANIFEST, MODEL):
        if name not in members:
            raise PackageError(f"The package has no {name}.")
    return PackageFacts(
        members=members,
        sha256=sha256(data),
        version=version_of(members),
        manifest=_read_manifest(members[MANIFEST]),
        model=read_model(members[MODEL]),
    )


def check_contents(facts: PackageFacts, size_budget: int) -> tuple[str, ...]:
    """Everything that is wrong with a package, a sentence each; none when it may be deployed.

    Args:
        facts: from `inspect_package`.
        size_budget: how many bytes its files may take unpacked.
    """
    return (
        *(
            f"{name} is missing."
            for name in ("function_app.py", *SETTINGS)
            if name not in facts.members
        ),
        *_size_problems(facts.unpacked_size, size_budget),
        *_manifest_problems(facts),
        *_requirement_problems(facts.members.get("requirements.txt", b"")),
    )


def belongs(name: str) -> bool:
    """Whether a file of this name may be in a package."""
    return name in (MODEL, MANIFEST, *SERVED, *SETTINGS) or MODULES.fullmatch(name) is not None


def listing(members: Mapping[str, bytes]) -> Files:
    """(name, size in bytes, sha256) of every member, by name."""
    return tuple((name, len(members[name]), sha256(members[name])) for name in sorted(members))


def version_of(members: Mapping[str, bytes]) -> str:
    """The sha256 over one `sha256  name` line for every file but the manifest, by name."""
    lines = (f"{digest}  {name}\n" for name, _, digest in listing(members) if name != MANIFEST)
    return sha256("".join(lines).encode())


def sha256(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_model(data: bytes) -> ModelFacts:
    """Read the facts of an ONNX file, without judging its structure.

    Raises:
        PackageError: not an ONNX file, or one that names no opset.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise PackageError(f"{MODEL} is not an ONNX file: {error}.") from error
    opsets = [opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")]
    if len(opsets) != 1:
        raise PackageError(f"{MODEL} names {len(opsets)} opsets of ONNX's own, not one.")
    return ModelFacts(
        sha256=sha256(data),
        size=len(data),
        opset=opsets[0],
        ir_version=model.ir_version,
        inputs=tuple(map(_tensor, model.graph.input)),
        outputs=tuple(map(_tensor, model.graph.output)),
        metadata={entry.key: entry.value for entry in model.metadata_props},
    )


def _tensor(value: Any) -> TensorFacts:
    import onnx

    tensor = value.type.tensor_type
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except KeyError as error:
        raise PackageError(f"{value.name} in {MODEL} is not a tensor of a known type.") from error
    shape = tuple(
        size.dim_value if size.HasField("dim_value") else size.dim_param or "?"
        for size in tensor.shape.dim
    )
    return TensorFacts(value.name, dtype, shape)


def _read_members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        _refuse_strangers(entries)
        _refuse_bombs(entries)
        return {entry.filename: _read_member(archive, entry) for entry in entries}


def _read_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as stream:
        # A plain read() would unpack up to 2 GiB of a member that states a small size.
        return stream.read(entry.file_size + 1)


def _refuse_strangers(entries: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for entry in entries:
        name = entry.orig_filename  # filename ends at the first NUL
        if not belongs(name):
            raise PackageError(f"{name[:100]!r} does not belong in a function package.")
        if name in seen:
            raise PackageError(f"{name} is in the package more than once.")
        seen.add(name)
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            raise PackageError(f"{name} is a link or a device in the package, not a file.")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise PackageError(f"{name} is packed by a method other than store and deflate.")


def _refuse_bombs(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_MEMBERS:
        raise PackageError(f"The package has {len(entries)} files, at most {MAX_MEMBERS} may be.")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MAX_UNPACKED:
        raise PackageError(f"The package unpacks to {unpacked} bytes, above {MAX_UNPACKED}.")
    for entry in entries:
        if entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
            raise PackageError(f"{entry.filename} unpacks to over {MAX_RATIO} times its size.")


def _read_manifest(data: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PackageError(f"{MANIFEST} is not JSON: {error}.") from error
    if not isinstance(manifest, dict):
        raise PackageError(f"{MANIFEST} is not a JSON object.")
    return manifest


def _size_problems(size: int, budget: int) -> list[str]:
    if size <= budget:
        return []
    return [f"The files take {size} bytes unpacked, the budget is {budget} bytes."]


def _manifest_problems(facts: PackageFacts) -> list[str]:
    found = {
        "version": facts.version,
        "model": facts.model.as_json(),
        "files": {name: digest for name, _, digest in facts.files if name != MANIFEST},
    }
    return [
        f"{MANIFEST} states another {key} than the package holds."
        for key in found
        if facts.manifest.get(key) != found[key]
    ]


def _requirement_problems(requirements: bytes) -> list[str]:
    # An unpinned requirement makes tomorrow's remote build of the same package another program.
    lines = requirements.decode(errors="replace").splitlines()
    bare = [re.split("[#;]", line)[0].strip() for line in lines]
    return [
        f"requirements.txt does not pin {line!r} to one version with ==."
        for line in bare
        if line and not re.fullmatch(r"[\w.\-\[\]]+ *== *[\w.!+]+", line)
    ]
