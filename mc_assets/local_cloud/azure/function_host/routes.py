"""Route templates as ASP.NET reads them: which function answers a method and a path."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple

from mc_assets.local_cloud.azure.function_host.records import FunctionInfo

_PARAMETER = re.compile(r"\{((?:[^{}]|\{\{|\}\})+)\}")
_INSIDE = re.compile(
    r"(?P<stars>\**)(?P<name>[^:=?*]+)(?P<constraints>(?::\w+(?:\((?:[^()]|\([^()]*\))*\))?)*)"
    r"(?:=(?P<default>.*))?(?P<optional>\?)?"
)
_CONSTRAINT = re.compile(r":(\w+)(?:\(((?:[^()]|\([^()]*\))*)\))?")

_GUID = r"[0-9a-f]{32}|[{(]?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}[)}]?"
_DECIMAL = r"[+-]?(\d[\d,]*\.?\d*|\.\d+)"
_FLOAT = rf"{_DECIMAL}(e[+-]?\d+)?|nan|[+-]?infinity"

# What the host keeps for itself.
_RESERVED = ("admin", "runtime")


class RouteMatch(NamedTuple):
    function: FunctionInfo
    parameters: dict[str, str]


class Parameter(NamedTuple):
    name: str
    constraints: tuple[Callable[[str], bool], ...]
    default: str | None
    optional: bool
    catch_all: bool


@dataclass(frozen=True, slots=True)
class Route:
    """One compiled template."""

    pattern: re.Pattern[str]
    parameters: tuple[Parameter, ...]

    def parse(self, path: str) -> dict[str, str] | None:
        """The parameters in a path without trailing slash, or None where it does not match."""
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        values: dict[str, str] = {}
        for parameter, text in zip(self.parameters, found.groups(), strict=True):
            value = text or parameter.default
            if value is None:
                continue
            if not all(holds(value) for holds in parameter.constraints):
                return None
            values[parameter.name] = value
        return values


class RouteTable:
    """Every HTTP function of an app under its route prefix; `refused` says why one has no route.

    Where several functions match, the first by name answers, whatever their templates look like.
    source: azure-webjobs-sdk-extensions pull request 842 and azure-functions-host issue 9876.
    """

    def __init__(self, prefix: str, functions: Iterable[FunctionInfo]) -> None:
        self.refused: dict[str, str] = {}
        self._routes: list[tuple[Route, FunctionInfo]] = []
        for function in sorted(functions, key=lambda each: each.name.lower()):
            if reason := self._conflict(function):
                self.refused[function.name] = reason
            else:
                route = compile_route(f"{prefix}/{function.route.lstrip('/')}")
                self._routes.append((route, function))

    def match(self, method: str, path: str) -> RouteMatch | None:
        """The function for a method and a decoded path, in any case and with any trailing slash."""
        path = path.rstrip("/")
        for route, function in self._routes:
            if _answers(function, method) and (values := route.parse(path)) is not None:
                return RouteMatch(function, values)
        return None

    def _conflict(self, function: FunctionInfo) -> str | None:
        # source: the Functions host's validation of HTTP functions.
        route = _comparable(function)
        if route.startswith(_RESERVED):
            return "The specified route conflicts with one or more built in routes."
        for _, other in self._routes:
            if _comparable(other) == route and _share_a_method(function, other):
                return (
                    "The route specified conflicts with the route defined by function "
                    f"'{other.name}'."
                )
        return None


def compile_route(template: str) -> Route:
    """Compile a template such as `items/{id:int}/{*rest}`.

    Raises:
        ValueError: the template is not one ASP.NET would take; the message says why.
    """
    pattern = ""
    parameters: list[Parameter] = []
    segments = _segments(template)
    for position, segment in enumerate(segments):
        found = _parameters_of(segment, template)
        if any(parameter.catch_all for parameter in found) and position < len(segments) - 1:
            raise ValueError(f"In the route {template!r} the catch-all must be the last segment.")
        pattern += _segment_pattern(segment, found, template)
        parameters += found
    return Route(re.compile(pattern, re.IGNORECASE), tuple(parameters))


def _answers(function: FunctionInfo, method: str) -> bool:
    return not function.methods or method in function.methods


def _share_a_method(one: FunctionInfo, other: FunctionInfo) -> bool:
    return not one.methods or not other.methods or bool({*one.methods} & {*other.methods})


def _comparable(function: FunctionInfo) -> str:
    return function.route.strip("/").lower()


def _segments(template: str) -> list[str]:
    # A slash inside braces belongs to a constraint, not to the path.
    return [part for part in re.split(r"/(?![^{}]*\}(?!\}))", template) if part]


def _parameters_of(segment: str, template: str) -> list[Parameter]:
    if _PARAMETER.sub("", segment).strip("{}") != _PARAMETER.sub("", segment):
        raise ValueError(f"The route {template!r} has an unbalanced brace in {segment!r}.")
    return [_parameter(text, template) for text in _PARAMETER.findall(segment)]


def _parameter(text: str, template: str) -> Parameter:
    inside = _INSIDE.fullmatch(text)
    if inside is None:
        raise ValueError(f"The route {template!r} has a parameter that cannot be read: {{{text}}}.")
    constraints = tuple(
        _constraint(name, arguments.replace("{{", "{").replace("}}", "}"), template)
        for name, arguments in _CONSTRAINT.findall(inside["constraints"])
    )
    return Parameter(
        name=inside["name"],
        constraints=constraints,
        default=inside["default"],
        optional=bool(inside["optional"]) or inside["default"] is not None,
        catch_all=bool(inside["stars"]),
    )


def _segment_pattern(segment: str, parameters: list[Parameter], template: str) -> str:
    if len(parameters) == 1 and _PARAMETER.fullmatch(segment):
        (only,) = parameters
        if only.catch_all:
            return "(?:/(.*))?"
        return "(?:/([^/]+))?" if only.optional else "/([^/]+)"
    if any(parameter.optional or parameter.catch_all for parameter in parameters):
        raise ValueError(
            f"In the route {template!r} an optional or catch-all parameter shares a segment "
            f"with other text: {segment!r}."
        )
    pieces = _PARAMETER.split(segment)
    # re.split alternates literal text and parameter text.
    return "/" + "".join(
        "([^/]+)" if position % 2 else re.escape(piece) for position, piece in enumerate(pieces)
    )


def _constraint(name: str, arguments: str, template: str) -> Callable[[str], bool]:
    make = _CONSTRAINTS.get(name.lower())
    if make is None:
        raise ValueError(f"The route {template!r} uses the unknown constraint {name!r}.")
    try:
        return make(arguments)
    except (ValueError, re.error) as error:
        raise ValueError(
            f"The route {template!r} has an unusable constraint {name}({arguments}): {error}."
        ) from error


def _like(pattern: str) -> Callable[[str], Callable[[str], bool]]:
    shape = re.compile(pattern, re.IGNORECASE | re.ASCII)
    return lambda _arguments: lambda value: shape.fullmatch(value) is not None


def _reads_as(read: Callable[[str], object]) -> Callable[[str], Callable[[str], bool]]:
    def holds(value: str) -> bool:
        try:
            read(value)
        except ValueError:
            return False
        return True

    return lambda _arguments: holds


def _names_a_file(value: str) -> bool:
    _, dot, extension = value.rpartition("/")[2].rpartition(".")
    return bool(dot and extension)


def _whole_number(text: str, bits: int = 64) -> int:
    """Digits with or without a sign, and no more than the bits hold; int() would take `1_000`."""
    limit = 1 << (bits - 1)
    if not re.fullmatch(r"[+-]?\d{1,20}", text, re.ASCII) or not -limit <= int(text) < limit:
        raise ValueError(f"{text!r} is not a whole number of {bits} bits")
    return int(text)


def _between(
    measure: Callable[[str], int], arguments: str, lower: bool, upper: bool
) -> Callable[[str], bool]:
    bounds = [_whole_number(text.strip()) for text in arguments.split(",")]
    least = bounds[0] if lower else None
    most = bounds[-1] if upper else None

    def holds(value: str) -> bool:
        try:
            size = measure(value)
        except ValueError:
            return False
        return (least is None or size >= least) and (most is None or size <= most)

    return holds


_CONSTRAINTS: Mapping[str, Callable[[str], Callable[[str], bool]]] = {
    "int": _reads_as(partial(_whole_number, bits=32)),
    "long": _reads_as(_whole_number),
    "bool": _like("true|false"),
    "guid": _like(_GUID),
    "alpha": _like("[a-z]*"),
    "decimal": _like(_DECIMAL),
    "double": _like(_FLOAT),
    "float": _like(_FLOAT),
    "datetime": _reads_as(datetime.fromisoformat),
    "required": lambda _: bool,
    "file": lambda _: _names_a_file,
    "nonfile": lambda _: lambda value: not _names_a_file(value),
    "length": lambda arguments: _between(len, arguments, lower=True, upper=True),
    "minlength": lambda arguments: _between(len, arguments, lower=True, upper=False),
    "maxlength": lambda arguments: _between(len, arguments, lower=False, upper=True),
    "min": lambda arguments: _between(_whole_number, arguments, lower=True, upper=False),
    "max": lambda arguments: _between(_whole_number, arguments, lower=False, upper=True),
    "range": lambda arguments: _between(_whole_number, arguments, lower=True, upper=True),
    "regex": lambda arguments: (
        lambda value, found=re.compile(arguments, re.IGNORECASE): found.search(value) is not None
    ),
}
