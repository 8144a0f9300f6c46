"""In the worker: finds the functions of an app and checks them, as Azure's Python worker does."""

import importlib
import inspect
import json
import os
import sys
import traceback
import typing
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import azure.functions as func

_ENTRY_SCRIPT = "function_app.py"


class FunctionLoadError(RuntimeError):
    """A function's signature does not fit its bindings."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"cannot load the {name} function: {reason}")


@dataclass(frozen=True)
class LoadedFunction:
    """A function ready to be called; `unserved` names input bindings nobody feeds here."""

    name: str
    call: Callable[..., Any]
    is_async: bool
    wants_context: bool
    request_parameter: str | None
    out_parameters: tuple[str, ...]
    http_output: str | None
    returns: bool
    unserved: tuple[str, ...]
    directory: Path
    info: dict[str, Any]


def registered(root: Path) -> list[Any]:
    """Import the app's entry script; the functions it registers, none where there is no script.

    Raises:
        ValueError: the script holds no function app, or more than one.
    """
    script = os.environ.get("PYTHON_SCRIPT_FILE_NAME") or _ENTRY_SCRIPT
    if not (root / script).is_file():
        return []
    module = importlib.import_module(Path(script).stem)
    # Once only: a second call of get_functions() complains about names that are not unique.
    return _the_app(module, script).get_functions()


def _the_app(module: object, script: str) -> func.FunctionRegister:
    apps = {
        id(value): value
        for value in vars(module).values()
        if isinstance(value, func.FunctionRegister)
    }
    if len(apps) != 1:
        found = "no" if not apps else f"{len(apps)}"
        raise ValueError(
            f"{script} defines {found} top-level function apps; exactly one instance of "
            "FunctionApp, AsgiFunctionApp or WsgiFunctionApp is needed."
        )
    return next(iter(apps.values()))


def load(function: Any, root: Path) -> LoadedFunction:
    """Make a function ready to be called.

    Raises:
        FunctionLoadError: its parameters or annotations do not fit its bindings.
    """
    name, bindings = function.get_function_name(), _bindings(function)
    call = function.get_user_function()
    bound = {each["name"]: each for each in bindings if each["name"] != "$return"}
    annotations = typing.get_type_hints(call)
    parameters = set(inspect.signature(call).parameters)
    wants_context = "context" in parameters and "context" not in bound
    if wants_context:
        parameters.remove("context")
        _check_context(name, annotations)
    _check_names(name, parameters, set(bound))
    for parameter, binding in bound.items():
        if parameter in annotations:
            _check_parameter(name, binding, annotations[parameter])
    returned = next((each for each in bindings if each["name"] == "$return"), None)
    if returned and "return" in annotations:
        _check_return(name, returned, annotations["return"])
    directory = getattr(function, "folder", root)
    return _loaded(function, call, wants_context=wants_context, directory=directory)


def load_or_list(function: Any, root: Path) -> LoadedFunction:
    """As `load`, but a function that cannot be loaded is listed all the same: its calls fail.

    source: azure-functions-python-worker issue 261, on functions in folders.
    """
    try:
        return load(function, root)
    except BaseException as error:  # noqa: BLE001 - whatever an import raises, SystemExit too, is this function's error alone
        name = function.get_function_name()
        sys.stderr.write(
            f"[ERROR] The '{name}' function could not be loaded: every call of it will fail.\n"
            f"{traceback.format_exc()}"
        )
        listed = _loaded(function, _failing(name, error), wants_context=False, directory=root)
        return replace(listed, unserved=())


def _failing(name: str, error: BaseException) -> Callable[..., Any]:
    def call(**_arguments: Any) -> Any:
        raise RuntimeError(f"The {name} function was not loaded.") from error

    return call


def _loaded(
    function: Any, call: Callable[..., Any], *, wants_context: bool, directory: Path
) -> LoadedFunction:
    bindings = _bindings(function)
    trigger = next((each for each in bindings if each["type"] == "httpTrigger"), None)
    inputs = [each["name"] for each in bindings if each["direction"] == "IN"]
    outputs = [each for each in bindings if each["direction"] == "OUT"]
    return LoadedFunction(
        name=function.get_function_name(),
        call=call,
        is_async=inspect.iscoroutinefunction(call),
        wants_context=wants_context,
        request_parameter=trigger["name"] if trigger else None,
        out_parameters=tuple(each["name"] for each in outputs if each["name"] != "$return"),
        http_output=next((each["name"] for each in outputs if each["type"] == "http"), None),
        returns=any(each["name"] == "$return" for each in outputs),
        unserved=tuple(each for each in inputs if not trigger or each != trigger["name"]),
        directory=directory,
        info=_info(function, bindings, trigger),
    )


def _bindings(function: Any) -> list[dict[str, Any]]:
    return [json.loads(text) for text in function.get_raw_bindings()]


def _info(
    function: Any, bindings: list[dict[str, Any]], trigger: dict[str, Any] | None
) -> dict[str, Any]:
    name = function.get_function_name()
    http = trigger or {}
    return {
        "name": name,
        "route": http.get("route") or (name if trigger else ""),
        "methods": [method.upper() for method in http.get("methods") or ()],
        "auth_level": str(http.get("authLevel") or "function").lower(),
        "bindings": bindings,
        "script_file": Path(function.function_script_file or _ENTRY_SCRIPT).name,
        "is_http": trigger is not None,
    }


def _check_context(name: str, annotations: dict[str, Any]) -> None:
    annotation = annotations.get("context", func.Context)
    if not isinstance(annotation, type) or annotation.__name__ != "Context":
        raise FunctionLoadError(
            name,
            f"its context parameter is annotated {annotation!r}, not azure.functions.Context",
        )


def _check_names(name: str, declared: set[str], bound: set[str]) -> None:
    if unbound := sorted(declared - bound):
        raise FunctionLoadError(name, f"no binding feeds its parameters {unbound}")
    if missing := sorted(bound - declared):
        raise FunctionLoadError(name, f"it has no parameters for its bindings {missing}")


def _check_parameter(name: str, binding: dict[str, Any], annotation: Any) -> None:
    parameter, is_out = binding["name"], _is_out(annotation)
    if is_out != (binding["direction"] == "OUT"):
        raise FunctionLoadError(
            name,
            f"the direction of binding {parameter} is {binding['direction']}, which its "
            f"annotation {annotation!r} contradicts",
        )
    if is_out:
        (annotation,) = typing.get_args(annotation) or (None,)
    if not isinstance(annotation, type) and typing.get_origin(annotation) is None:
        raise FunctionLoadError(
            name, f"the annotation of {parameter} is not a type: {annotation!r}"
        )
    converter: Any = func.get_binding_registry().get(binding["type"])
    if converter is None:
        return
    check = "check_output_type_annotation" if is_out else "check_input_type_annotation"
    if not getattr(converter, check)(annotation):
        raise FunctionLoadError(
            name, f"binding {parameter} of type {binding['type']} cannot be {annotation!r}"
        )


def _check_return(name: str, binding: dict[str, Any], annotation: Any) -> None:
    if not isinstance(annotation, type) or _is_out(annotation):
        raise FunctionLoadError(name, f"its return annotation is not a type: {annotation!r}")
    converter: Any = func.get_binding_registry().get(binding["type"])
    if converter is not None and not converter.check_output_type_annotation(annotation):
        raise FunctionLoadError(
            name, f"a return binding of type {binding['type']} cannot be {annotation!r}"
        )


def _is_out(annotation: Any) -> bool:
    return getattr(typing.get_origin(annotation) or annotation, "__name__", "") == "Out"
