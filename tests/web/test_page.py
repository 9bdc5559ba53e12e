"""The page in a real browser, from the microphone or a file to the words: on the server, and in the browser alone."""

from __future__ import annotations

import difflib
import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.conftest import REPOSITORY
from tests.web.page_needs import chromium, missing, runtime
from tfwav2vec2.web.litert_runtime import VARIABLE

try:
    from playwright.sync_api import Page, Playwright, expect, sync_playwright

    from tests.web.page_browser import ALLOWED, FAKE, Visit, microphone_of, served, visiting
except ModuleNotFoundError:
    missing("playwright: pip install playwright")

CLIPS = REPOSITORY / "demo" / "clips"
SAID = {"three_digits": "308", "four_digits": "2695", "eight_digits": "58316092"}
MODES = {"server": "On the server", "browser": "In this browser"}
# The export of the file for browsers, which the server makes when it is first asked for it.
EXPORT_SECONDS = 280
HIGHEST_REAL_TIME_FACTOR = 0.2
# What Chromium writes to its console where the server refuses a file.
REFUSED = "status of 400"
# WCAG 2.2, success criterion 1.4.3: text, and 2.5.8: what is pressed, in CSS pixels.
LEAST_CONTRAST = 4.5
LEAST_TARGET = 24

Visiting = Callable[..., AbstractContextManager[Visit]]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    # Two processors, both busy with other tests, take their time.
    expect.set_options(timeout=30_000)
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """What the servers run with: this process's environment, and where LiteRT.js lies."""
    chromium()
    return {**os.environ, VARIABLE: str(runtime()), "TF_CPP_MIN_LOG_LEVEL": "3"}


@pytest.fixture(scope="module")
def browser_file(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model's file for browsers, as the server makes it from the model's folder."""
    path = tmp_path_factory.mktemp("model") / "spoken-digits.tflite"
    with (
        served(**environment) as (address, _),
        urllib.request.urlopen(f"{address}model.tflite", timeout=EXPORT_SECONDS) as answer,
    ):
        path.write_bytes(answer.read())
    return path


@pytest.fixture(scope="module")
def address(environment: dict[str, str], browser_file: Path) -> Iterator[str]:
    """A server that has the model for browsers ready."""
    with served(str(browser_file), **environment) as (url, _):
        yield url


@pytest.fixture
def visit(playwright: Playwright, address: str) -> Visiting:
    """Opens the page of the server: ``with visit(*flags, **options) as opened``."""

    def opening(*flags: str, **options: Any) -> AbstractContextManager[Visit]:
        return visiting(playwright, address, *flags, **options)

    return opening


def clip(name: str) -> Path:
    return CLIPS / f"{name}.flac"


def choose(page: Page, mode: str) -> None:
    """Have the model run here or there, and be loaded."""
    page.get_by_label(MODES[mode]).check()
    expect(page.locator("#status")).to_have_text("Ready")


def speak(page: Page, text: str) -> None:
    """Let the microphone play its recording until the page shows ``text``, then stop."""
    page.get_by_role("button", name="Speak").click()
    # The digits' model writes no spaces, so that all of it is one word, under way until the end.
    expect(page.locator("#partial")).to_have_text(text)
    page.get_by_role("button", name="Stop").click()


def heard(page: Page) -> list[str]:
    """The words on the page, once it is done."""
    expect(page.locator("body")).to_have_attribute("data-state", "done")
    return page.locator("#words .word").evaluate_all("all => all.map(each => each.firstChild.textContent)")


def trouble(page: Page) -> str:
    """The one sentence about what went wrong."""
    alert = page.get_by_role("alert")
    expect(alert).to_be_visible()
    expect(page.locator("body")).to_have_attribute("data-state", "error")
    text = alert.text_content() or ""
    assert re.fullmatch(r"[^.]+(\.\w[^.]*)*\.", text), f"not one sentence: {text}"
    return text


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["four_digits", "eight_digits"])
def test_what_the_microphone_hears_is_on_the_page(
    visit: Visiting, tmp_path: Path, mode: str, name: str
) -> None:
    with visit(*microphone_of(clip(name), tmp_path)) as opened:
        page = opened.page
        choose(page, mode)
        speak(page, SAID[name])
        assert heard(page) == [SAID[name]]
        expect(page.locator("#status")).to_contain_text(" s of sound")
        expect(page.locator("#waveform")).to_have_attribute(
            "aria-label", re.compile(r"of sound, 1 word marked$")
        )
        # Where the sound went, as the page says.
        sockets = [url for method, url in opened.sent() if method == "WS"]
        assert len(sockets) == (1 if mode == "server" else 0)
        assert mode == "server" or opened.sent() == []


# As in Firefox: a microphone is connected to a context of its own rate only.
ONE_RATE = """
const connect = AudioContext.prototype.createMediaStreamSource;
AudioContext.prototype.createMediaStreamSource = function (media) {
    if (this.sampleRate === 16000) throw new DOMException("Connecting different rates", "NotSupportedError");
    document.documentElement.dataset.microphoneRate = this.sampleRate;
    return connect.call(this, media);
};
"""


@pytest.mark.parametrize("mode", MODES)
def test_a_browser_that_gives_the_microphone_at_its_own_rate(
    visit: Visiting, tmp_path: Path, mode: str
) -> None:
    with visit(*microphone_of(clip("eight_digits"), tmp_path), script=ONE_RATE) as opened:
        page = opened.page
        choose(page, mode)
        speak(page, SAID["eight_digits"])
        assert heard(page) == [SAID["eight_digits"]]
        assert int(page.locator("html").get_attribute("data-microphone-rate") or 0) > 16_000


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SAID)
def test_what_a_file_says_is_on_the_page(visit: Visiting, mode: str, name: str) -> None:
    with visit() as opened:
        page = opened.page
        choose(page, mode)
        page.get_by_label("Choose a file").set_input_files(clip(name))
        assert heard(page) == [SAID[name]]
        seconds = soundfile.info(clip(name)).duration
        expect(page.locator("#status")).to_contain_text(f"{seconds:.2f} s of sound")
        assert [url.rpartition("/")[2] for _, url in opened.sent()] == (
            ["transcribe"] if mode == "server" else []
        )


def test_both_modes_hear_the_words_at_the_same_time(visit: Visiting) -> None:
    """The times are the words' own, whoever computes them."""
    times = {}
    for mode in MODES:
        with visit() as opened:
            choose(opened.page, mode)
            opened.page.get_by_label("Choose a file").set_input_files(clip("four_digits"))
            heard(opened.page)
            shown = opened.page.locator(".word .time").text_content() or ""
            times[mode] = [float(number) for number in re.findall(r"[\d.]+", shown)]
    assert len(times["server"]) == 2
    assert times["browser"] == pytest.approx(times["server"], abs=0.1)
    assert 0 <= times["server"][0] < times["server"][1] <= soundfile.info(clip("four_digits")).duration


def test_in_the_browser_the_words_come_without_the_server(
    playwright: Playwright, environment: dict[str, str], browser_file: Path, tmp_path: Path
) -> None:
    with served(str(browser_file), **environment) as (url, process):
        flags = microphone_of(clip("four_digits"), tmp_path)
        with visiting(playwright, url, *flags) as opened:
            choose(opened.page, "browser")
            process.terminate()
            process.wait(60)
            speak(opened.page, SAID["four_digits"])
            assert heard(opened.page) == [SAID["four_digits"]]


def test_a_browser_keeps_up_with_speech(
    visit: Visiting, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model's time, in that of the sound, for half a minute of digits; of three goes the least disturbed counts."""
    recording, rate = soundfile.read(clip("eight_digits"), dtype="float32")
    path = tmp_path / "half_a_minute.wav"
    soundfile.write(path, np.resize(recording, 30 * rate), rate)
    factors = []
    with visit() as opened:
        choose(opened.page, "browser")
        for _ in range(3):
            opened.page.get_by_label("Choose a file").set_input_files(path)
            expect(opened.page.locator("body")).to_have_attribute("data-state", "working")
            heard(opened.page)
            factors.append(float(opened.page.locator("body").get_attribute("data-real-time-factor") or "nan"))
    with capsys.disabled():
        print(f"\nreal-time factor in Chromium: {', '.join(f'{factor:.3f}' for factor in factors)}")
    assert min(factors) < HIGHEST_REAL_TIME_FACTOR


def test_no_text_is_made_of_sound_that_is_no_number(visit: Visiting, tmp_path: Path) -> None:
    path = tmp_path / "infinite.wav"
    sound = soundfile.read(clip("three_digits"), dtype="float32")[0]
    soundfile.write(path, np.where(np.arange(len(sound)) == 9_000, np.inf, sound), 16_000, subtype="FLOAT")
    with visit() as opened:
        page = opened.page
        choose(page, "browser")
        page.get_by_label("Choose a file").set_input_files(path)
        assert "NaN or infinity" in trouble(page)
        # The next recording gets a model that works.
        page.get_by_label("Choose a file").set_input_files(clip("three_digits"))
        assert heard(page) == [SAID["three_digits"]]


def test_a_dropped_file_is_transcribed(visit: Visiting) -> None:
    with visit() as opened:
        page = opened.page
        page.evaluate(
            """(content) => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([Uint8Array.from(content)], "clip.flac", { type: "audio/flac" }));
                for (const type of ["dragover", "drop"]) {
                    dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
                }
            }""",
            list(clip("three_digits").read_bytes()),
        )
        assert heard(page) == [SAID["three_digits"]]
        expect(page.locator("#drop")).to_be_hidden()


def test_the_keyboard_is_enough(visit: Visiting, tmp_path: Path) -> None:
    text = SAID["four_digits"]
    permissions = ["microphone", "clipboard-read", "clipboard-write"]
    with visit(*microphone_of(clip("four_digits"), tmp_path), permissions=permissions) as opened:
        page = opened.page
        keyboard = page.keyboard

        def focused() -> str:
            return page.evaluate("document.activeElement.id || document.activeElement.value")

        stops = []
        for _ in range(4):
            keyboard.press("Tab")
            stops.append(focused())
            # The ring of a hidden control is drawn on its label.
            assert page.evaluate(
                """() => {
                    const here = document.activeElement;
                    const drawn = [here, here.nextElementSibling].filter(Boolean);
                    return drawn.some((each) => getComputedStyle(each).outlineStyle === "solid");
                }"""
            ), f"{stops[-1]} does not show that it has the focus"
        assert stops == ["server", "speak", "file", "transcript"]

        for _ in range(3):
            keyboard.press("Shift+Tab")
        keyboard.press("ArrowRight")
        assert focused() == "browser"
        expect(page.locator("#whereto")).to_contain_text("stays in this browser")
        expect(page.locator("#status")).to_have_text("Ready")

        keyboard.press("Tab")
        keyboard.press("Enter")
        expect(page.locator("#partial")).to_have_text(text)
        assert focused() == "speak"
        keyboard.press("Space")
        assert heard(page) == [text]

        while focused() != "copy":
            keyboard.press("Tab")
        keyboard.press("Enter")
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == text


def test_a_screen_reader_is_told(visit: Visiting) -> None:
    with visit() as opened:
        page = opened.page
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.get_by_role("group", name="Where the model runs").get_by_role("radio")).to_have_count(2)
        expect(page.get_by_role("status")).to_have_text("Ready")
        page.get_by_label("Choose a file").set_input_files(clip("three_digits"))
        heard(page)
        # The words are announced as they are added, each once, without their times.
        log = page.get_by_role("log", name="Words heard")
        expect(log).to_have_attribute("aria-live", "polite")
        assert log.aria_snapshot().count(SAID["three_digits"]) == 1
        expect(page.locator(".word .time")).to_have_attribute("aria-hidden", "true")
        expect(page.get_by_role("img", name="Waveform")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(visit: Visiting, scheme: str) -> None:
    with visit(color_scheme=scheme, expected=REFUSED) as opened:
        page = opened.page
        page.get_by_label("Choose a file").set_input_files(REPOSITORY / "LICENSE")
        trouble(page)
        page.get_by_label("Choose a file").set_input_files(clip("three_digits"))
        heard(page)
        # Shown again, for its colours.
        page.locator("#trouble").evaluate("each => { each.hidden = false; }")
        contrasts = {
            selector: contrast(*page.locator(selector).first.evaluate(COLOURS))
            for selector in (
                "h1", "#about", "#whereto", "input:checked + span", "input:not(:checked) + span", "#speak", ".choose label",
                "#trouble", ".word", ".time", "#status", "#copy",
            )
        }  # fmt: skip
        assert {selector: ratio for selector, ratio in contrasts.items() if ratio < LEAST_CONTRAST} == {}
    assert len(set(contrasts.values())) > 3


# An element's colour and those behind it, the nearest first, as [red, green, blue, opacity].
COLOURS = """(element) => {
    const parts = (colour) => {
        const [red, green, blue, opacity = 1] = colour.match(/[\\d.]+/g).map(Number);
        return [red, green, blue, opacity];
    };
    const behind = [];
    for (let each = element; each; each = each.parentElement) behind.push(parts(getComputedStyle(each).backgroundColor));
    return [parts(getComputedStyle(element).color), behind];
}"""


def contrast(ink: list[float], behind: list[list[float]]) -> float:
    """WCAG's contrast ratio of a colour on layers of colours."""
    ground = np.full(3, 255.0)
    for *colour, opacity in reversed(behind):
        ground = opacity * np.array(colour) + (1 - opacity) * ground

    def luminance(colour: Any) -> float:
        share = np.asarray(colour) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    darker, lighter = sorted((luminance(ink[:3]), luminance(ground)))
    return (lighter + 0.05) / (darker + 0.05)


def test_a_phone_is_wide_enough(visit: Visiting) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    with visit(expected=REFUSED, **phone) as opened:
        page = opened.page

        def check() -> None:
            assert page.evaluate("document.documentElement.scrollWidth") == 360
            for target in ("#speak", ".choose label", "#copy", "input:checked + span"):
                box = page.locator(target).bounding_box()
                assert box is not None
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= 360
                assert min(box["width"], box["height"]) >= LEAST_TARGET

        check()
        page.get_by_label("Choose a file").set_input_files(REPOSITORY / "LICENSE")
        trouble(page)
        check()
        page.get_by_label("Choose a file").set_input_files(clip("eight_digits"))
        heard(page)
        check()
        # A word wider than the page, as a model without spaces writes in a minute.
        page.locator(".word").evaluate("each => { each.firstChild.textContent = '0123456789'.repeat(10); }")
        check()


@pytest.mark.parametrize("mode", MODES)
def test_a_long_recording_comes_word_by_word(visit: Visiting, tmp_path: Path, mode: str) -> None:
    """Longer than the server takes in one upload, and than the picture is wide."""
    recording, rate = soundfile.read(clip("eight_digits"), dtype="float32")
    path = tmp_path / "long.wav"
    soundfile.write(path, np.resize(recording, 130 * rate), rate)
    with visit() as opened:
        page = opened.page
        slider = page.get_by_label("Position in the recording")
        expect(slider).to_be_hidden()
        choose(page, mode)
        page.get_by_label("Choose a file").set_input_files(path)
        expect(page.locator("#partial")).not_to_be_empty()
        expect(page.locator("body")).to_have_attribute("data-state", "working")
        expect(page.locator("#status")).to_contain_text("2:10.0 of sound")
        # Every digit of its 32 rounds, give or take what the joints do to their neighbours.
        assert similarity("".join(heard(page)), SAID["eight_digits"] * 32) > 0.9

        expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^0\.00 s to "))
        slider.press("End")
        expect(slider).to_have_attribute("aria-valuetext", re.compile(r" to 2:10\.0$"))


def similarity(first: str, second: str) -> float:
    return difflib.SequenceMatcher(None, first, second, autojunk=False).ratio()


def test_a_recording_can_be_broken_off(visit: Visiting, tmp_path: Path) -> None:
    recording, rate = soundfile.read(clip("eight_digits"), dtype="float32")
    path = tmp_path / "long.wav"
    soundfile.write(path, np.resize(recording, 600 * rate), rate)
    with visit() as opened:
        page = opened.page
        choose(page, "browser")
        page.get_by_label("Choose a file").set_input_files(path)
        expect(page.locator("#words .word").first).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("status")).to_have_text("Cancelled")
        # The next recording has the page for itself.
        page.get_by_label("Choose a file").set_input_files(clip("three_digits"))
        assert heard(page) == [SAID["three_digits"]]


def test_a_silent_recording_has_no_words(visit: Visiting, tmp_path: Path) -> None:
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(16_000), 16_000)
    with visit() as opened:
        for mode in MODES:
            choose(opened.page, mode)
            opened.page.get_by_label("Choose a file").set_input_files(path)
            expect(opened.page.get_by_role("status")).to_have_text("No words in 1.00 s of sound")
            expect(opened.page.get_by_role("button", name="Copy text")).to_be_disabled()


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_microphone(visit: Visiting, mode: str) -> None:
    with visit(FAKE, denied=True) as opened:
        choose(opened.page, mode)
        opened.page.get_by_role("button", name="Speak").click()
        assert trouble(opened.page).startswith("The microphone was refused: allow it ")
        # What else there is to do works.
        opened.page.get_by_label("Choose a file").set_input_files(clip("three_digits"))
        assert heard(opened.page) == [SAID["three_digits"]]
        expect(opened.page.get_by_role("alert")).to_be_hidden()


def test_no_microphone(visit: Visiting) -> None:
    with visit(ALLOWED) as opened:
        opened.page.get_by_role("button", name="Speak").click()
        assert trouble(opened.page).startswith("No microphone was found: connect one ")


@pytest.mark.parametrize("mode", MODES)
def test_a_file_without_sound(visit: Visiting, mode: str) -> None:
    with visit(expected=REFUSED) as opened:
        choose(opened.page, mode)
        opened.page.get_by_label("Choose a file").set_input_files(REPOSITORY / "LICENSE")
        assert re.search("audio|sound", trouble(opened.page))


@pytest.mark.parametrize("when", ["before", "while"])
def test_the_server_is_gone(
    playwright: Playwright, environment: dict[str, str], browser_file: Path, tmp_path: Path, when: str
) -> None:
    with ExitStack() as stack:
        url, process = stack.enter_context(served(str(browser_file), **environment))
        flags = microphone_of(clip("eight_digits"), tmp_path)
        opened = stack.enter_context(visiting(playwright, url, *flags, expected="net::ERR_|WebSocket"))
        if when == "before":
            end(process)
        opened.page.get_by_role("button", name="Speak").click()
        if when == "while":
            expect(opened.page.locator("#partial")).not_to_be_empty()
            end(process)
        assert trouble(opened.page).startswith("The server does not answer: see whether it still runs")
        opened.page.get_by_label("Choose a file").set_input_files(clip("three_digits"))
        expect(opened.page.locator("body")).to_have_attribute("data-state", "error")
        opened.page.get_by_label(MODES["browser"]).check()
        assert trouble(opened.page).startswith("The server does not answer")


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(60)


def test_a_server_without_the_runtime_says_what_is_missing(
    playwright: Playwright, environment: dict[str, str], browser_file: Path
) -> None:
    without = {name: value for name, value in environment.items() if name != VARIABLE}
    with (
        served(str(browser_file), **without) as (url, _),
        visiting(playwright, url) as opened,
    ):
        opened.page.get_by_label(MODES["browser"]).check()
        assert "npm install @litertjs/core" in trouble(opened.page)
        # The other mode is there still.
        opened.page.get_by_label(MODES["server"]).check()
        expect(opened.page.get_by_role("alert")).to_be_hidden()
        opened.page.get_by_label("Choose a file").set_input_files(clip("three_digits"))
        assert heard(opened.page) == [SAID["three_digits"]]


def test_a_runtime_that_is_incomplete(
    playwright: Playwright, environment: dict[str, str], browser_file: Path, tmp_path: Path
) -> None:
    """Files of LiteRT.js without its WebAssembly, as a careless copy has them."""
    scope = tmp_path / "node_modules" / "@litertjs"
    for package in ("core", "wasm-utils"):
        (scope / package).mkdir(parents=True)
        (scope / package / "dist").symlink_to(runtime() / package / "dist")
    (scope / "core" / "wasm").mkdir()
    incomplete = {**environment, VARIABLE: str(scope)}
    with (
        served(str(browser_file), **incomplete) as (url, _),
        visiting(playwright, url, expected="404|wasm|NetworkError|importScripts") as opened,
    ):
        opened.page.get_by_label(MODES["browser"]).check()
        assert trouble(opened.page).startswith("The model cannot run in this browser")


def test_the_hint_names_what_the_model_knows(visit: Visiting, address: str) -> None:
    with urllib.request.urlopen(f"{address}browser.json", timeout=30) as answer:
        assert "9" in json.loads(answer.read())["vocabulary"]
    with visit() as opened:
        expect(opened.page.locator("#about")).to_contain_text("This model knows 0 to 9 and nothing else.")
