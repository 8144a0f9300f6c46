"""The page of a deployed function app in a real browser: digits are drawn, asked about, shown."""

import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from browser import CHROMIUM_FLAGS, PAGE_SECONDS, find_chromium
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from mc_assets.hosting import Hosting
from mc_assets.packaging import build_package, inspect_package
from mc_assets.resources.azure_functions import AzureFunctions
from mc_assets.resources.releases import Candidate, Releases

ROOT = Path(__file__).parents[2]
CHROMIUM = find_chromium() or ""
pytestmark = pytest.mark.skipif(
    not CHROMIUM, reason="there is no Chromium on this machine: install one, or set CHROMIUM"
)

Stroke = list[tuple[float, float]]
ROUND = [math.pi * (turn / 16 - 0.5) for turn in range(33)]
# As people draw them, in a square whose side is 1.
DIGITS: Mapping[int, list[Stroke]] = {
    0: [[(0.5 + 0.33 * math.cos(angle), 0.5 + 0.48 * math.sin(angle)) for angle in ROUND]],
    1: [[(0.52, 0.02), (0.48, 0.98)]],
    4: [[(0.3, 0.05), (0.2, 0.55), (0.8, 0.55)], [(0.72, 0.05), (0.66, 0.98)]],
    7: [[(0.15, 0.08), (0.82, 0.08), (0.42, 0.98)]],
}
DESKTOP = {"viewport": {"width": 1000, "height": 720}}
PHONE = {
    "viewport": {"width": 320, "height": 800},
    "is_mobile": True,
    "has_touch": True,
    "color_scheme": "dark",
}


@dataclass(frozen=True)
class App:
    """A deployed function app with a model that was really trained."""

    url: str
    key: str
    model: str
    package: str
    azure: AzureFunctions
    hosting: Hosting

    def set(self, name: str, value: str) -> None:
        """Change an app setting; Azure restarts the app."""
        self.azure.ensure_app(replace(self.hosting, settings={name: value}), self.hosting.app_name)


@dataclass(frozen=True)
class Visit:
    """The page in a browser of its own, and all that the browser asked for and complained of."""

    page: Page
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def enter(self, key: str) -> None:
        self.page.get_by_label("Function key").fill(key)
        self.page.get_by_role("button", name="Use it").click()

    def draw(self, digit: int, side: float = 200, left: float = 40, top: float = 40) -> None:
        """With the mouse, in a square of the drawing area."""
        frame = self.page.locator("#drawing").bounding_box()
        assert frame is not None
        for stroke in DIGITS[digit]:
            places = [
                (frame["x"] + left + x * side, frame["y"] + top + y * side) for x, y in stroke
            ]
            self.page.mouse.move(*places[0])
            self.page.mouse.down()
            for place in places[1:]:
                self.page.mouse.move(*place, steps=4)
            self.page.mouse.up()

    def draw_with_a_finger(self, digit: int) -> None:
        frame = self.page.locator("#drawing").bounding_box()
        assert frame is not None
        session = self.page.context.new_cdp_session(self.page)

        def touch(kind: str, *points: tuple[float, float]) -> None:
            places = [{"x": frame["x"] + 280 * x, "y": frame["y"] + 280 * y} for x, y in points]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

        for stroke in DIGITS[digit]:
            touch("touchStart", stroke[0])
            for point in stroke[1:]:
                touch("touchMove", point)
            touch("touchEnd")

    def expect_answer(self, digit: int) -> None:
        expect(self.page.locator("#digit")).to_have_text(str(digit))

    def expect_within(self, width: float, *parts: str) -> None:
        for part in parts:
            box = self.page.locator(part).bounding_box()
            assert box is not None, part
            assert box["x"] >= 0, part
            assert box["x"] + box["width"] <= width, part

    @property
    def shares(self) -> list[float]:
        """The probabilities that are shown, 0 to 9."""
        texts = self.page.locator("#bars td:last-child").all_inner_texts()
        return [float(text.removesuffix(" %")) / 100 for text in texts]

    @property
    def sent(self) -> np.ndarray:
        """The grey levels of the last call, [28, 28]."""
        body = next(each for each in reversed(self.requests) if each.method == "POST")
        levels = body.post_data_buffer
        assert levels is not None
        return np.frombuffer(levels, np.uint8).reshape(28, 28)


Open = Callable[[Mapping[str, Any]], AbstractContextManager[Visit]]


@pytest.fixture(scope="module")
def model(mnist: Path, mnist_subset: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A network that knows digits it never saw, trained for a fifth of an epoch."""
    folder = tmp_path_factory.mktemp("trained")
    command = [sys.executable, ROOT / "training_code" / "train.py", "--epochs", "0.2"]
    command += ["--shift", "0", "--training", mnist, "--testing", mnist_subset]
    # Checkpoints are kept beside the model's folder.
    command += ["--model-dir", folder / "model", "--output-dir", folder / "output"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return (folder / "model" / "model.onnx").read_bytes()


@pytest.fixture(scope="module")
def app(resources: Mapping[str, Any], model: bytes) -> Iterator[App]:
    azure: AzureFunctions = resources["azure_functions"]
    releases: Releases = resources["releases"]
    hosting = Hosting("tried", azure.target.connection.subscription_id)
    package = build_package(ROOT / "function_app", model)
    candidate = Candidate(package.data, package.version)
    released = releases.promote(hosting, candidate, redeploy=False, log=lambda _: None).app
    key = azure.function_key(released.group, released.name, None)
    sha256 = inspect_package(package.data).model.sha256
    yield App(released.url, key, sha256, package.version, azure, hosting)
    azure.resources.resource_groups.begin_delete(hosting.group_name).result()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=[*CHROMIUM_FLAGS])
        expect.set_options(timeout=PAGE_SECONDS * 1000)
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Browser, app: App) -> Open:
    """The page, in a window of this kind that knows no key yet."""

    @contextmanager
    def opened(window: Mapping[str, Any]) -> Iterator[Visit]:
        # The certificates of the local Azure are by an authority that no browser knows.
        with browser.new_context(**window, ignore_https_errors=True) as context:
            visit = Visit(context.new_page())

            def note(request: Request) -> None:
                visit.requests.append(request)

            visit.page.on("request", note)
            visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
            visit.page.on("console", lambda message: visit.complaints.append(message.text))
            visit.page.goto(f"{app.url}/api/")
            yield visit
            urls = [request.url for request in visit.requests]
            assert {url for url in urls if not url.startswith((f"{app.url}/api", "data:"))} == set()
            assert app.key not in " ".join(urls)

    return opened


@pytest.fixture
def visit(open_page: Open, app: App) -> Iterator[Visit]:
    """A page that knows the key."""
    with open_page(DESKTOP) as visit:
        visit.enter(app.key)
        yield visit


@pytest.mark.parametrize("digit", DIGITS)
def test_a_drawn_digit_is_told_with_its_probabilities_and_the_model(
    visit: Visit, app: App, digit: int
) -> None:
    visit.draw(digit)
    visit.expect_answer(digit)
    assert sum(visit.shares) == pytest.approx(1, abs=0.005)
    assert max(visit.shares) == visit.shares[digit]
    expect(visit.page.locator("#message")).to_have_text(f"{100 * visit.shares[digit]:.1f} % sure")
    for part, digest in (("#model", app.model), ("#package", app.package)):
        expect(visit.page.locator(part)).to_have_text(digest[:12])
        expect(visit.page.locator(part)).to_have_attribute("title", digest)
    expect(visit.page.locator("#latency")).to_have_text(re.compile(r"^\d+$"))
    assert visit.complaints == []


@pytest.mark.parametrize(("side", "left", "top"), [(200, 40, 40), (90, 5, 180), (270, 5, 5)])
def test_it_is_sent_as_mnist_has_its_digits_wherever_and_however_large_it_was_drawn(
    visit: Visit, side: float, left: float, top: float
) -> None:
    visit.draw(7, side, left, top)
    visit.expect_answer(7)
    levels = visit.sent.astype(float)
    rows, columns = np.nonzero(levels)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert 20 <= height <= 21
    assert 16 <= width <= 17
    assert levels.max() == 255
    centre = [(index * levels).sum() / levels.sum() + 0.5 for index in np.indices((28, 28))]
    assert centre == pytest.approx([14, 14], abs=0.5)


def test_the_key_is_asked_for_once(open_page: Open, app: App) -> None:
    with open_page(DESKTOP) as visit:
        visit.draw(1)
        expect(visit.page.get_by_text("needs its function key")).to_be_visible()
        visit.enter(app.key)
        visit.expect_answer(1)
        expect(visit.page.get_by_label("Function key")).to_be_hidden()
        visit.page.reload()
        expect(visit.page.get_by_label("Function key")).to_be_hidden()
        visit.draw(7)
        visit.expect_answer(7)
        visit.page.get_by_role("button", name="Use another key").click()
        visit.page.reload()
        expect(visit.page.get_by_label("Function key")).to_be_visible()
        assert visit.complaints == []


def test_a_wrong_key_is_said_and_asked_for_again(open_page: Open, app: App) -> None:
    with open_page(DESKTOP) as visit:
        visit.enter("wrong")
        visit.draw(4)
        expect(visit.page.get_by_text("The endpoint refuses this key")).to_be_visible()
        expect(visit.page.locator("#digit")).to_be_empty()
        expect(visit.page.get_by_label("Function key")).to_be_focused()
        visit.enter(app.key)
        visit.expect_answer(4)
        assert visit.complaints
        assert all("401" in complaint for complaint in visit.complaints)


def test_what_the_endpoint_finds_wrong_is_shown(visit: Visit) -> None:
    visit.page.route("**/classify*", lambda route: route.continue_(post_data=b"no digit"))
    visit.draw(1)
    expect(visit.page.locator("#message")).to_have_text(re.compile("^Wrong length: .* 8 bytes"))
    expect(visit.page.locator("#digit")).to_be_empty()


def test_an_endpoint_out_of_reach_is_said(visit: Visit) -> None:
    visit.draw(1)
    visit.expect_answer(1)
    visit.page.context.set_offline(True)
    visit.draw(7)
    expect(visit.page.get_by_text("The endpoint cannot be reached.")).to_be_visible()
    expect(visit.page.locator("#digit")).to_be_empty()


def test_all_but_drawing_is_done_by_keyboard(open_page: Open, app: App) -> None:
    with open_page(DESKTOP) as visit:
        keyboard = visit.page.keyboard
        for place in ("#clear", "#key"):
            keyboard.press("Tab")
            expect(visit.page.locator(place)).to_be_focused()
        keyboard.type(app.key)
        keyboard.press("Enter")
        expect(visit.page.get_by_role("button", name="Clear")).to_be_focused()
        visit.draw(7)
        visit.expect_answer(7)
        visit.page.get_by_role("button", name="Clear").focus()
        keyboard.press("Enter")
        expect(visit.page.locator("#digit")).to_be_empty()
        expect(visit.page.locator("#message")).to_contain_text("Draw with")
        visit.draw(1)
        visit.expect_answer(1)
        assert np.ptp(np.nonzero(visit.sent)[1]) < 6  # the 7 is gone
        assert visit.complaints == []


def test_a_finger_draws_on_a_narrow_phone(open_page: Open, app: App) -> None:
    with open_page(PHONE) as visit:
        visit.expect_within(320, "#drawing", "#below", "#key-form")
        visit.enter(app.key)
        visit.draw_with_a_finger(7)
        visit.expect_answer(7)
        visit.expect_within(320, "#drawing", "#below", "#shares", "footer")
        assert visit.complaints == []


def test_a_setting_takes_the_page_away_and_nothing_else(
    app: App, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: app.set("MC_TRY_PAGE", "true"))

    def statuses() -> list[int]:
        paths = ("/api/", "/api", "/api/health")
        return [requests.get(app.url + path, timeout=60).status_code for path in paths]

    assert statuses() == [200, 200, 200]
    app.set("MC_TRY_PAGE", "false")
    assert statuses() == [404, 404, 200]
