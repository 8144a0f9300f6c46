"""An app of many functions and blueprints that is not ours, called as its users call it."""

import hashlib
import http.client
import os
import ssl
import uuid
from urllib.parse import urlsplit

import pytest
from function_app_sites import AzureAccount, FunctionAppSite, project
from terminal import Open

from mc_assets.local_cloud.settings import LocalSettings

V1 = "/parcels/v1"
BODY_LIMIT = 104_857_600


@pytest.fixture(scope="module")
def parcels(open_terminal: Open, local_clouds: LocalSettings) -> FunctionAppSite:
    azure = AzureAccount.opened(open_terminal, local_clouds)
    settings = {"REGION_NAME": "north & south", "AzureWebJobs.closed.Disabled": "true"}
    return azure.deployed("parcels-called", "EP1", project("parcels"), **settings)


def test_azure_lists_every_function(parcels: FunctionAppSite) -> None:
    listed = parcels.functions()
    assert {"echo", "WhoAmI", "parcel_by_number", "digest", "meet", "clerk"} <= set(listed)
    assert listed["parcel_by_number"].invoke_url_template == (
        f"{parcels.url}{V1}/parcels/{{id:int}}"
    )
    assert {name for name, function in listed.items() if function.is_disabled} == {"closed"}


def test_what_is_not_called_over_http_is_listed_and_left_alone(parcels: FunctionAppSite) -> None:
    listed = parcels.functions()
    for name, trigger in (("tidy_up", "timerTrigger"), ("take_parcel", "queueTrigger")):
        assert listed[name].config["bindings"][0]["type"] == trigger
        assert listed[name].invoke_url_template is None
        assert f"The '{name}' function is listed but never called" in parcels.log()
        assert parcels.call(f"{V1}/{name}").status_code == 404
    # Its schedule is every second, and it asks to be run at the start.
    assert "tidy_up: ran" not in parcels.log()
    run = parcels.call("/admin/functions/tidy_up", "POST", key=parcels.keys.master_key, json={})
    assert run.status_code == 501
    assert "tidy_up: ran" not in parcels.log()


def test_what_would_be_lost_fails_the_call(parcels: FunctionAppSite) -> None:
    assert parcels.call(f"{V1}/dispatch").text == "dispatched"
    assert parcels.call(f"{V1}/dispatch/7").status_code == 500
    parcels.log_comes_to_hold("The output bindings ['parcel'] of dispatch are not served here")


@pytest.mark.parametrize(
    ("path", "function", "route"),
    [
        ("parcels/12", "parcel_by_number", {"id": "12"}),
        ("parcels/-12", "parcel_by_number", {"id": "-12"}),
        ("PARCELS/12/", "parcel_by_number", {"id": "12"}),
        ("parcels/ups", "parcels_of_carrier", {"carrier": "ups"}),
        ("parcels/upsx", None, {}),
        ("parcels/99999999999", None, {}),
        (
            "parcels/7d444840-9dc0-11d1-b245-5ffdce74fad2",
            "parcel_by_ticket",
            {"ticket": "7d444840-9dc0-11d1-b245-5ffdce74fad2"},
        ),
        ("events/2026-11-23", "events", {"day": "2026-11-23", "page": "1"}),
        ("events/2026-11-23T07:30:00/9", "events", {"day": "2026-11-23T07:30:00", "page": "9"}),
        ("events/2026-11-23/10", None, {}),
        ("events/yesterday", None, {}),
        ("depots", "depots", {}),
        ("depots/s%C3%A3o%20paulo", "depots", {"name": "são paulo"}),
        ("depots/a%2Fb", "depots", {"name": "a%2Fb"}),
        ("depots/a/b", None, {}),
        ("labels/TRUE/xl", "labels", {"urgent": "TRUE", "size": "xl"}),
        ("labels/yes/xl", None, {}),
        ("labels/true/xxl", None, {}),
        ("codes/AB12", "codes", {"code": "AB12"}),
        ("codes/12", None, {}),
        ("archive", "archive", {}),
        ("archive/2026/11/x.txt", "archive", {"rest": "2026/11/x.txt"}),
        # The first by name of several that match, as the host does it.
        ("archive/latest", "archive", {"rest": "latest"}),
        ("archive/oldest", "a_oldest", {}),
    ],
)
def test_routes(
    parcels: FunctionAppSite, path: str, function: str | None, route: dict[str, str]
) -> None:
    answer = parcels.call(f"{V1}/{path}")
    if function is None:
        assert (answer.status_code, answer.content) == (404, b"")
    else:
        told = answer.json()
        assert (told["function"], told["route"]) == (function, route)


def test_the_prefix_of_host_json(parcels: FunctionAppSite) -> None:
    assert parcels.call("/api/depots").status_code == 404
    assert parcels.call("/depots").status_code == 404
    front = parcels.call("/")
    assert (front.status_code, front.headers["content-type"]) == (200, "text/html")


def test_one_route_with_a_function_for_each_method(parcels: FunctionAppSite) -> None:
    assert parcels.call(f"{V1}/parcels/3", "DELETE").json()["function"] == "parcel_removed"
    assert parcels.call(f"{V1}/parcels/3", "PUT").status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])
def test_methods(parcels: FunctionAppSite, method: str) -> None:
    answer = parcels.call(f"{V1}/echo", method)
    assert answer.headers["x-method"] == method
    assert answer.headers["content-length"] == str(len(method))
    assert answer.text == ("" if method == "HEAD" else method)
    assert parcels.call(f"{V1}/echo", "POST").status_code == 404


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=1&a=2", {"a": "1,2"}),
        ("a=1&A=2", {"a": "1,2"}),
        ("name=J%C3%BCrgen+K%26Co%3D", {"name": "Jürgen K&Co="}),
        ("empty=&bare&a=1", {"a": "1"}),
        ("", {}),
    ],
)
def test_query_strings(parcels: FunctionAppSite, query: str, seen: dict[str, str]) -> None:
    assert parcels.call(f"{V1}/depots?{query}").json()["query"] == seen


def test_levels_and_kinds_of_keys(parcels: FunctionAppSite) -> None:
    parcels.azure.web.web_apps.create_or_update_host_secret(
        parcels.group, parcels.name, "systemkeys", "extension", {"properties": {"value": "sys-key"}}
    )
    keys = {
        "none": None,
        "wrong": "wrong",
        "own": parcels.function_key("clerk"),
        "other's": parcels.function_key("cashier"),
        "host": parcels.keys.function_keys["default"],
        "system": "sys-key",
        "master": parcels.keys.master_key,
    }
    assert parcels.keys.system_keys == {"extension": "sys-key"}
    opens = {
        "public": set(keys),
        "clerk": {"own", "host", "master"},
        "manager": {"master"},
    }
    for function, openers in opens.items():
        for kind, key in keys.items():
            answer = parcels.call(f"{V1}/desk/{function}", key=key)
            expected = (200, function) if kind in openers else (401, "")
            assert (answer.status_code, answer.text) == expected, (function, kind)
    # In the query too, whatever it is written like; but a header goes before it.
    clerk = f"{V1}/desk/clerk"
    assert parcels.call(f"{clerk}?code={keys['own']}").text == "clerk"
    assert parcels.call(f"{clerk}?Code={keys['own']}").text == "clerk"
    assert parcels.call(f"{clerk}?code={keys['own']}", key="wrong").status_code == 401
    assert parcels.call(f"{clerk}?code=wrong", key=keys["own"]).text == "clerk"
    # A disabled function is there for nobody but the master.
    assert parcels.call(f"{V1}/desk/closed").status_code == 401
    assert parcels.call(f"{V1}/desk/closed", key=keys["host"]).status_code == 404
    assert parcels.call(f"{V1}/desk/closed", key=keys["master"]).text == "closed"


def test_admin_is_for_the_master(parcels: FunctionAppSite) -> None:
    assert parcels.call("/admin/host/ping").status_code == 200
    host_key = parcels.keys.function_keys["default"]
    assert parcels.call("/admin/host/status", key=host_key).status_code == 401
    status = parcels.call("/admin/host/status", key=parcels.keys.master_key).json()
    assert (status["state"], "errors" in status) == ("Running", False)
    listed = parcels.call("/admin/functions", key=parcels.keys.master_key).json()
    assert {each["name"] for each in listed} == set(parcels.functions())


def test_what_a_call_knows(parcels: FunctionAppSite) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"traceparent": trace, "User-Agent": "a customer"}
    told = parcels.call(f"{V1}/desk/who?x=1", headers=headers).json()
    assert (told["name"], told["folder"]) == ("WhoAmI", "wwwroot")
    assert uuid.UUID(told["invocation"])
    assert told["traced"] == trace
    assert told["agent"] == "a customer"
    assert told["url"] == f"{parcels.url}{V1}/desk/who?x=1"
    assert told["due"] == "2026-02-28"  # by a package of requirements.txt
    assert told["settings"] == {
        "REGION_NAME": "north & south",
        "LOCAL_ONLY": None,  # local.settings.json is for local runs alone
        "WEBSITE_SITE_NAME": "parcels-called",
        "AZURE_CLIENT_SECRET": None,
    }


def test_binary_bodies_both_ways(parcels: FunctionAppSite) -> None:
    body = bytes(range(256)) * 100
    headers = {"Content-Type": "application/x-scan"}
    answer = parcels.call(f"{V1}/documents/mirror", "POST", data=body, headers=headers)
    assert answer.content == body
    assert answer.headers["content-type"] == "application/x-scan"


def test_forms_and_files(parcels: FunctionAppSite) -> None:
    answer = parcels.call(
        f"{V1}/documents/upload",
        "POST",
        data={"sender": "Zoë", "tag": ["a", "b"]},
        files={"scan": ("scan 1.png", b"\x89PNG\r\n\x1a\n\x00", "image/png")},
    )
    assert answer.json() == {
        "form": {"sender": ["Zoë"], "tag": ["a", "b"]},
        "file": "scan 1.png",
        "type": "image/png",
        "content": b"\x89PNG\r\n\x1a\n\x00".hex(),
    }


def test_json_bodies(parcels: FunctionAppSite) -> None:
    path = f"{V1}/documents/json"
    assert parcels.call(path, "POST", json={"a": ["é"]}).json() == {"got": {"a": ["é"]}}
    refused = parcels.call(path, "POST", data=b"{a")
    assert (refused.status_code, refused.text) == (400, "not JSON: ValueError")


def test_bodies_up_to_the_limit_and_one_over(parcels: FunctionAppSite) -> None:
    path = f"{V1}/documents/digest"
    body = os.urandom(1024) * (BODY_LIMIT // 1024)
    answer = parcels.call(path, "POST", data=body)
    assert answer.text == f"{BODY_LIMIT} {hashlib.sha256(body).hexdigest()}"
    assert parcels.call(path, "POST", data=body + b"x").status_code == 413
    # curl asks before it sends (Expect: 100-continue), and is told before it has.
    terminal = parcels.azure.terminal
    (terminal.home / "over.bin").write_bytes(body + b"x")
    curl = ("curl", "--silent", "--cacert", parcels.azure.ca, "-o", "/dev/null")
    asked = (*curl, "-w", "%{http_code} %{size_upload}", "--data-binary", "@over.bin")
    assert terminal.must(*asked, parcels.url + path).stdout == "413 0"
    assert parcels.call(path, "POST", data=b"abc").text.startswith("3 ")


def test_a_body_in_chunks(parcels: FunctionAppSite) -> None:
    answer = parcels.call(f"{V1}/documents/digest", "POST", data=iter([b"ab", b"cd"]))
    assert answer.text.startswith("4 ")


def test_curl_sends_and_saves_files(parcels: FunctionAppSite) -> None:
    terminal = parcels.azure.terminal
    (terminal.home / "letter.bin").write_bytes(bytes(range(256)) * 5000)
    curl = ("curl", "--silent", "--cacert", parcels.azure.ca, "-H", "Content-Type: image/tiff")
    url = f"{parcels.url}{V1}/documents/mirror"
    terminal.must(*curl, "--data-binary", "@letter.bin", "-o", "back.bin", url)
    assert (terminal.home / "back.bin").read_bytes() == bytes(range(256)) * 5000


@pytest.mark.parametrize(
    ("kind", "status", "headers", "body"),
    [
        ("latin", 200, {"content-type": "text/html; charset=iso-8859-1"}, "Größe".encode("latin1")),
        ("moved", 303, {"location": "/elsewhere"}, b""),
        ("gone", 204, {}, b""),
        ("plain", 200, {"etag": '"1"', "x-copies": "2"}, b"thanks"),
    ],
)
def test_answers(
    parcels: FunctionAppSite, kind: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    answer = parcels.call(f"{V1}/documents/receipt/{kind}")
    assert (answer.status_code, answer.content) == (status, body)
    assert (
        headers.items() <= {name.lower(): value for name, value in answer.headers.items()}.items()
    )


def test_every_cookie_arrives(parcels: FunctionAppSite) -> None:
    context = ssl.create_default_context(cafile=parcels.azure.ca)
    connection = http.client.HTTPSConnection(urlsplit(parcels.url).netloc, context=context)
    connection.request("GET", f"{V1}/documents/receipt/plain")
    answer = connection.getresponse()
    assert answer.headers.get_all("set-cookie") == [
        "visit=1; Path=/; HttpOnly",
        "lang=fr; Max-Age=60; SameSite=Lax",
    ]
    connection.close()
