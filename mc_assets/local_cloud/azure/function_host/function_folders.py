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


@dataclass(frozen=True)
class FunctionFolder:
    """A folder's function, in the terms in which azure.functions describes a registered one."""

    folder: Path
    settings: dict[str, Any]
    user_function: Callable[..., Any]

    @property
    def function_script_file(self) -> str:
        return f"{self.folder.name}/{self.settings['scriptFile']}"

    def get_function_name(self) -> str:
        return self.folder.name

    def get_user_function(self) -> Callable[..., Any]:
        return self.user_function

    def get_raw_bindings(self) -> list[str]:
        bindings = self.settings.get("bindings") or []
        return [json.dumps({**each, "direction": each["direction"].upper()}) for each in bindings]


def found(root: Path) -> list[FunctionFolder]:
    """Import the script of every folder with a function.json.

    Raises:
        ValueError: a function.json cannot be read, or does not lead to a function.
    """
    return [_read(path) for path in sorted(root.glob("*/function.json"))]


def _read(path: Path) -> FunctionFolder:
    shown = f"{path.parent.name}/{path.name}"
    try:
        settings = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{shown} is not valid JSON: {error}.") from error
    script = Path(str(settings.get("scriptFile")))
    if script.suffix != ".py":
        raise ValueError(f"{shown} names no Python script: its scriptFile is {str(script)!r}.")
    steps = [path.parent.name, *script.with_suffix("").parts]
    module = _module(path.parents[1], [step for step in steps if step != "__init__"])
    name = settings.get("entryPoint", "main")
    if not hasattr(module, name):
        raise ValueError(f"{shown} leads to no function: {script} does not define {name}().")
    return FunctionFolder(path.parent, settings, getattr(module, name))


def _module(root: Path, steps: list[str]) -> ModuleType:
    if _PACKAGE not in sys.modules:
        package = ModuleType(_PACKAGE)
        package.__path__ = [str(root)]
        sys.modules[_PACKAGE] = package
    return importlib.import_module(".".join([_PACKAGE, *steps]))
