"""Route templates: what matches, what wins, what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from function_host_serving import Served

from mc_assets.local_cloud.azure.function_host.records import FunctionInfo
from mc_assets.local_cloud.azure.function_host.routes import RouteTable, compile_route


def function(name: str, route: str, *methods: str) -> FunctionInfo:
    return FunctionInfo(name, route, methods, "anonymous", (), "function_app.py", True)


def found(table: RouteTable, method: str, path: str) -> tuple[str, dict[str, str]] | None:
    match = table.match(method, path)
    return None if match is None else (match.function.name, match.parameters)


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("items", "/items", {}),
        ("/items/", "/ITEMS/", {}),
        ("{name}", "/a", {"name": "a"}),
        ("{name}", "/a/b", None),
        ("{name}", "", None),
        ("items/{id?}", "/items", {}),
        ("items/{id?}", "/items/7", {"id": "7"}),
        ("items/{id=5}", "/items", {"id": "5"}),
        ("items/{id:int}", "/items/-7", {"id": "-7"}),
        ("items/{id:int}", "/items/x", None),
        ("items/{id:int}", "/items/2147483648", None),
        ("items/{id:long}", "/items/2147483648", {"id": "2147483648"}),
        ("items/{id:int?}", "/items", {}),
        ("items/{id:int:min(3)}", "/items/2", None),
        ("items/{id:range(3,5)}", "/items/5", {"id": "5"}),
        ("items/{id:range(3,5)}", "/items/6", None),
        ("items/{id:min(1)}", "/items/abc", None),
        ("items/{id:min(1)}", "/items/1_0", None),
        ("items/{id:max(9)}", "/items/\u0663", None),
        ("items/{id:max(9)}", "/items/ 3", None),
        ("items/{id:max(9)}", "/items/+3", {"id": "+3"}),
        ("items/{id:max(-3)}", "/items/-4", {"id": "-4"}),
        ("items/{id:min(1)}", "/items/9223372036854775808", None),
        ("items/{id:range(3, 5)}", "/items/4", {"id": "4"}),
        ("{x:length(2)}", "/ab", {"x": "ab"}),
        ("{x:length(2)}", "/abc", None),
        ("{x:length(2,3)}", "/abc", {"x": "abc"}),
        ("{x:maxlength(2)}", "/abc", None),
        ("{x:minlength(2)}", "/a", None),
        ("{x:alpha}", "/a1", None),
        ("{x:bool}", "/True", {"x": "True"}),
        ("{x:guid}", "/not-a-guid", None),
        ("{x:guid}", "/7d444840-9dc0-11d1-b245-5ffdce74fad2", ...),
        ("{x:guid}", "/{7D4448409dc011d1b2455ffdce74fad2}", None),
        ("{x:guid}", "/7D4448409dc011d1b2455ffdce74fad2", ...),
        ("{x:double}", "/1.5", {"x": "1.5"}),
        ("{x:double}", "/1.5e-3", {"x": "1.5e-3"}),
        ("{x:double}", "/1_000", None),
        ("{x:decimal}", "/-.5", {"x": "-.5"}),
        ("{x:decimal}", "/1e5", None),
        ("{x:file}", "/model.onnx", {"x": "model.onnx"}),
        ("{x:file}", "/model.", None),
        ("{x:nonfile}", "/model", {"x": "model"}),
        ("{x:nonfile}", "/model.onnx", None),
        ("{*x:nonfile}", "/v1.0/model", {"x": "v1.0/model"}),
        ("{x:datetime}", "/2026-11-23", {"x": "2026-11-23"}),
        (r"{x:regex(^\d{{2}}$)}", "/12", {"x": "12"}),
        (r"{x:regex(^\d{{2}}$)}", "/123", None),
        ("{x:maxlength(0)?}", "", {}),
        ("{x:maxlength(0)?}", "/a", None),
        ("{*rest}", "", {}),
        ("{*rest}", "/a/b/c", {"rest": "a/b/c"}),
        ("files/{**rest}", "/files/a/b", {"rest": "a/b"}),
        ("{name}.{extension}", "/model.v1.onnx", {"name": "model.v1", "extension": "onnx"}),
        ("v{version}/x", "/v2/x", {"version": "2"}),
        ("{user-id}", "/me", {"user-id": "me"}),
        ("a.b", "/axb", None),
    ],
)
def test_template(template: str, path: str, parameters: dict[str, str] | None) -> None:
    match = found(RouteTable("", [function("f", template)]), "GET", path)
    if parameters is ...:
        assert match is not None
    else:
        assert match == (None if parameters is None else ("f", parameters))


def test_of_several_functions_that_match_the_first_by_name_answers() -> None:
    table = RouteTable(
        "api",
        [
            function("zoo", "items/new"),
            function("number", "items/{id:int}"),
            function("Old", "items/{id}"),
        ],
    )
    assert found(table, "GET", "/api/items/7") == ("number", {"id": "7"})
    assert found(table, "GET", "/api/items/x") == ("Old", {"id": "x"})
    assert found(table, "GET", "/api/items/new") == ("Old", {"id": "new"})
    assert found(table, "GET", "/other") is None


def test_functions_that_cannot_have_their_route_are_refused() -> None:
    table = RouteTable(
        "api",
        [
            function("c", "/ITEMS/", "POST", "PUT"),
            function("b", "items", "PUT"),
            function("a", "items", "GET"),
            function("d", "admin/x"),
        ],
    )
    assert found(table, "PUT", "/api/items") == ("b", {})
    assert found(table, "POST", "/api/items") is None
    assert found(table, "GET", "/api/admin/x") is None
    assert table.refused == {
        "c": "The route specified conflicts with the route defined by function 'b'.",
        "d": "The specified route conflicts with one or more built in routes.",
    }


def test_the_method_chooses_between_functions_of_one_route() -> None:
    table = RouteTable("api", [function("read", "x", "GET"), function("write", "x", "PUT", "POST")])
    assert found(table, "GET", "/api/x") == ("read", {})
    assert found(table, "POST", "/API/X") == ("write", {})
    assert found(table, "DELETE", "/api/x") is None


@pytest.mark.parametrize("prefix", ["", "v1/api"])
def test_prefix(prefix: str) -> None:
    table = RouteTable(prefix, [function("f", "x"), function("root", "")])
    base = f"/{prefix}" if prefix else ""
    assert found(table, "GET", f"{base}/x") == ("f", {})
    assert found(table, "GET", base or "/") == ("root", {})
    assert found(table, "GET", "/nothing/x") is None


def test_a_parameter_that_can_only_be_left_out_is_the_bare_prefix() -> None:
    table = RouteTable(
        "api", [function("bare", "{nothing:maxlength(0)?}", "GET"), function("x", "x", "GET")]
    )
    assert found(table, "GET", "/api") == found(table, "GET", "/api/") == ("bare", {})
    assert found(table, "GET", "/api/x") == ("x", {})
    for path in ("/", "/api/y", "/api/bare", "/api/x/y"):
        assert found(table, "GET", path) is None


def test_an_empty_route_is_the_functions_name_and_not_the_bare_prefix(
    served: Served, write_app: Callable[..., Path]
) -> None:
    # source: WebScriptHostHttpRoutesManager of the Functions host.
    root = write_app(
        """
        @app.route(route="")
        def empty(req: func.HttpRequest) -> str:
            return "empty"

        @app.route(route="{nothing:maxlength(0)?}")
        def bare(req: func.HttpRequest) -> str:
            return f"bare {dict(req.route_params)}"
        """
    )
    assert served.activate(root).error is None
    assert served.call("/api/empty").text == "empty"
    assert served.call("/api").text == served.call("/api/").text == "bare {}"
    assert served.call("/api/bare").status_code == 404


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{x:colour}", "unknown constraint 'colour'"),
        ("{x:range(a,b)}", "unusable constraint"),
        ("{x:min(1_0)}", "unusable constraint"),
        ("{x:regex(()}", "cannot be read"),
        ("{*rest}/more", "must be the last"),
        ("a{x?}", "shares a segment"),
        ("{x", "unbalanced brace"),
    ],
)
def test_refused_templates(template: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        compile_route(template)
    assert template in str(refusal.value)
