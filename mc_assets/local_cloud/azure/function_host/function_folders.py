"""In the worker: the functions of an app of the first programming model, one folder for each."""

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

# The package below which an app of this model finds its own modules.
_PACKAGE = "__app__"


class FunctionJsonError(Exception):
    """A function.json describes no function; the text says why."""


@dataclass(frozen=True)
class FunctionFolder:
    """A folder's function, in the terms in which azure.functions describes a registered one."""

    folder: Path
    script: Path
    entry_point: str
    bindings: tuple[dict[str, Any], ...]

    @property
    def function_script_file(self) -> str:
        return f"{self.folder.name}/{self.script}"

    def get_function_name(self) -> str:
        return self.folder.name

    def get_raw_bindings(self) -> list[str]:
        return [json.dumps(binding) for binding in self.bindings]

    def get_user_function(self) -> Callable[..., Any]:
        """Import the script; raises whatever that raises.

        Raises:
            ValueError: it does not define the entry point.
        """
        steps = [self.folder.name, *self.script.with_suffix("").parts]
        module = _module(self.folder.parent, [step for step in steps if step != "__init__"])
        if not hasattr(module, self.entry_point):
            raise ValueError(
                f"{self.folder.name}/function.json leads to no function: {self.script} does not "
                f"define {self.entry_point}()."
            )
        return getattr(module, self.entry_point)


def found(root: Path) -> list[FunctionFolder]:
    """Read every function.json; one that cannot be read is told of, and its folder left out."""
    folders: list[FunctionFolder] = []
    for path in sorted(root.glob("*/function.json")):
        try:
            folders.append(_read(path))
        except (OSError, FunctionJsonError) as error:
            sys.stderr.write(
                f"[ERROR] The '{path.parent.name}' function is in error: "
                f"{path.parent.name}/{path.name}: {error}\n"
            )
    return folders


def _read(path: Path) -> FunctionFolder:
    try:
        settings = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise FunctionJsonError(f"it is not valid JSON: {error}.") from error
    if not isinstance(settings, dict):
        raise FunctionJsonError("it holds no JSON object.")
    script = Path(str(settings.get("scriptFile")))
    if script.suffix != ".py":
        raise FunctionJsonError(f"it names no Python script: its scriptFile is {str(script)!r}.")
    bindings = settings.get("bindings")
    if not isinstance(bindings, list) or not bindings:
        raise FunctionJsonError("at least one binding must be declared.")
    return FunctionFolder(
        folder=path.parent,
        script=script,
        entry_point=str(settings.get("entryPoint") or "main"),
        bindings=tuple(_binding(each, place) for place, each in enumerate(bindings, 1)),
    )


def _binding(given: object, place: int) -> dict[str, Any]:
    """A binding with its direction spelled as azure.functions spells it.

    A trigger may leave it out: it can only be `in`.
    """
    if not isinstance(given, dict):
        raise FunctionJsonError(f"its binding {place} is not an object.")
    for key in ("name", "type"):
        if not isinstance(given.get(key), str) or not given[key]:
            raise FunctionJsonError(f"its binding {given.get('name') or place!r} has no {key}.")
    is_trigger = given["type"].lower().endswith("trigger")
    direction = given.get("direction") or ("in" if is_trigger else None)
    if direction is None:
        raise FunctionJsonError(
            f"its binding '{given['name']}' has no direction: it can be in or out."
        )
    if str(direction).lower() not in ("in", "out"):
        raise FunctionJsonError(
            f"its binding '{given['name']}' has the direction {direction!r}: it can be in or out."
        )
    if given["type"] == "httpTrigger":
        _check_http(given)
    return {**given, "direction": str(direction).upper()}


def _check_http(trigger: dict[str, Any]) -> None:
    methods = trigger.get("methods") or []
    if not isinstance(methods, list) or not all(isinstance(method, str) for method in methods):
        raise FunctionJsonError(
            f"its binding '{trigger['name']}' does not list its methods by name."
        )
    if not isinstance(trigger.get("route") or "", str):
        raise FunctionJsonError(f"its binding '{trigger['name']}' has a route that is not text.")


def _module(root: Path, steps: list[str]) -> ModuleType:
    if _PACKAGE not in sys.modules:
        package = ModuleType(_PACKAGE)
        package.__path__ = [str(root)]
        sys.modules[_PACKAGE] = package
    return importlib.import_module(".".join([_PACKAGE, *steps]))
