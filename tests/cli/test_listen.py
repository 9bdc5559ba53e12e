"""The microphone is a module that plays a recording in blocks; the model is real."""

from __future__ import annotations

import signal
import sys
import threading
import time
import types

import numpy as np
import pytest
import soundfile
import soxr
from click.testing import CliRunner, Result

from tests.conftest import REPOSITORY
from tfwav2vec2 import load_audio
from tfwav2vec2.cli.main import cli

CLIP = REPOSITORY / "demo" / "clips" / "four_digits.flac"
MODEL = REPOSITORY / "saved_models" / "spoken-digits" / "model.tflite"


class PortAudioError(Exception):
    pass


class Microphone:
    """Stands for the package sounddevice: plays samples as fast as they are taken, in blocks of another thread's.

    Args:
        samples: (samples,) at ``rate``, after which it is silent.
        rate: the only rate that it has.
        at_end: what happens after the samples: "silence", "interrupt" (Ctrl-C) or "unplug".
        overflows: whether each block says that some were lost.
    """

    def __init__(
        self, samples: np.ndarray, rate: int, at_end: str = "silence", overflows: bool = False
    ) -> None:
        self.samples, self.rate, self.at_end, self.overflows = samples, rate, at_end, overflows
        self.opened: dict[str, object] = {}
        self.closed = False
        self.module = types.ModuleType("sounddevice")
        self.module.PortAudioError = PortAudioError
        self.module.query_devices = self.query
        self.module.check_input_settings = self.check
        self.module.InputStream = self.stream
        self.devices = [
            {"index": 0, "name": "Speaker", "max_input_channels": 0, "default_samplerate": 44_100.0},
            {"index": 1, "name": "Desk", "max_input_channels": 2, "default_samplerate": float(rate)},
        ]

    def query(self, device=None, kind=None):
        if kind is None:
            return self.devices
        found = [
            each
            for each in self.devices
            if each["max_input_channels"] and device in (None, each["index"], each["name"])
        ]
        if not found:
            raise ValueError(f"No input device matching {device!r}")
        return found[0]

    def check(self, *, device, channels, dtype, samplerate):
        assert (device, channels, dtype) == (1, 1, "float32")
        if samplerate != self.rate:
            raise PortAudioError("Invalid sample rate")

    def stream(self, **settings):
        self.opened = settings
        return self

    def __enter__(self):
        self._over = threading.Event()
        self._player = threading.Thread(target=self._play)
        self._player.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._player.join(timeout=30)
        self.closed = not self._player.is_alive()

    def _play(self) -> None:
        size, callback = self.opened["blocksize"], self.opened["callback"]
        # As drivers do, the same memory for each block.
        block = np.zeros((size, 1), np.float32)
        status = types.SimpleNamespace(input_overflow=self.overflows)
        for first in range(0, len(self.samples), size):
            part = self.samples[first : first + size]
            block[:] = 0
            block[: len(part), 0] = part
            callback(block, len(block), None, status)
            block[:] = np.nan
        if self.at_end == "interrupt":
            signal.raise_signal(signal.SIGINT)
        elif self.at_end == "unplug":
            self.opened["finished_callback"]()
        while self.at_end == "silence" and not self._over.is_set():
            block[:] = 0
            callback(block, len(block), None, status)
            time.sleep(0.001)


@pytest.fixture(scope="module")
def expected() -> str:
    """What the command prints of the file."""
    result = CliRunner().invoke(cli, ["transcribe", str(CLIP), "--model", str(MODEL)])
    assert len(result.stdout.strip()) == 4
    return result.stdout


def listen(monkeypatch: pytest.MonkeyPatch, microphone: Microphone, *arguments: str) -> Result:
    monkeypatch.setitem(sys.modules, "sounddevice", microphone.module)
    return CliRunner().invoke(cli, ["listen", "--model", str(MODEL), *arguments], catch_exceptions=False)


def recording(rate: int = 16_000) -> np.ndarray:
    waveform, own = soundfile.read(CLIP, dtype="float32")
    return waveform if own == rate else soxr.resample(waveform, own, rate)


def test_ctrl_c_ends_with_all_that_was_said(monkeypatch, expected):
    microphone = Microphone(load_audio(CLIP), 16_000, "interrupt")
    before = signal.getsignal(signal.SIGINT)
    result = listen(monkeypatch, microphone)
    assert result.stdout == expected
    assert result.exit_code == 0
    assert "Listening to Desk at 16000 Hz. Ctrl-C ends." in result.stderr
    assert microphone.closed
    assert signal.getsignal(signal.SIGINT) is before
    assert microphone.opened["channels"] == 1
    assert microphone.opened["dtype"] == "float32"


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_another_rate_is_resampled(monkeypatch, expected, rate):
    microphone = Microphone(recording(rate), rate)
    seconds = len(microphone.samples) / rate
    result = listen(monkeypatch, microphone, "--device", "Desk", "--seconds", f"{seconds:.3f}")
    assert result.stdout == expected
    assert f"Desk at {rate} Hz" in result.stderr
    assert microphone.closed


def test_words_come_while_they_are_said(monkeypatch, expected):
    """Text is printed before the microphone has ended."""
    printed: list[tuple[str, bool]] = []
    microphone = Microphone(np.concatenate([load_audio(CLIP), np.zeros(32_000, np.float32)]), 16_000)
    monkeypatch.setattr(
        "tfwav2vec2.cli.listen.click.echo",
        lambda text="", **options: printed.append((str(text), options.get("err", False))),
    )
    listen(monkeypatch, microphone, "--seconds", "6")
    texts = [text for text, is_error in printed if not is_error]
    assert len([text for text in texts[:-1] if text]) >= 3
    assert "".join(texts) == expected.strip()


def test_a_microphone_that_stops_is_an_error_after_the_text(monkeypatch, expected):
    result = listen(monkeypatch, Microphone(load_audio(CLIP), 16_000, "unplug"))
    assert result.stdout == expected
    assert result.exit_code == 1
    assert "Error: Desk stopped: check that it is still connected" in result.stderr


def test_lost_sound_is_reported(monkeypatch, expected):
    result = listen(monkeypatch, Microphone(load_audio(CLIP), 16_000, "interrupt", overflows=True))
    assert result.stdout == expected
    assert "Warning: The system lost sound" in result.stderr


def test_a_model_slower_than_speech_is_reported(monkeypatch):
    monkeypatch.setattr("tfwav2vec2.cli.listen._WAITING_SECONDS", 1.0)
    minute = np.tile(load_audio(CLIP), 20)
    result = listen(monkeypatch, Microphone(minute, 16_000, "interrupt"))
    assert "s were left out: the model is slower than speech" in result.stderr


def test_devices_are_listed(monkeypatch):
    result = listen(monkeypatch, Microphone(np.zeros(1), 48_000), "--list-devices")
    assert result.stdout == "1\tDesk\t48000 Hz\n"


def test_no_microphone_at_all(monkeypatch):
    microphone = Microphone(np.zeros(1), 48_000)
    microphone.devices = microphone.devices[:1]
    result = listen(monkeypatch, microphone, "--list-devices")
    assert (result.exit_code, result.stderr) == (1, "Error: This system has no microphone: connect one\n")
    assert "There is no microphone" in listen(monkeypatch, microphone).stderr


@pytest.mark.parametrize("device", ["Attic", "7"])
def test_an_unknown_device_names_the_way_out(monkeypatch, device):
    result = listen(monkeypatch, Microphone(np.zeros(1), 48_000), "--device", device)
    assert result.exit_code == 1
    assert f"{device!r} is no microphone here" in result.stderr
    assert "--list-devices names them" in result.stderr


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    result = CliRunner().invoke(cli, ["listen"])
    assert result.exit_code == 1
    assert "Listening needs the package sounddevice" in result.stderr
    assert "pip install 'tfwav2vec2[microphone]'" in result.stderr


def test_a_missing_library_says_how_to_install_it(monkeypatch, tmp_path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    result = CliRunner().invoke(cli, ["listen"])
    assert result.exit_code == 1
    assert "apt install libportaudio2" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_real_package_answers():
    """Where PortAudio is installed, the names that the command uses are the package's."""
    try:
        import sounddevice
    except OSError:
        pytest.skip("needs PortAudio: apt install libportaudio2")
    for name in ("InputStream", "PortAudioError", "check_input_settings", "query_devices"):
        assert hasattr(sounddevice, name)
    assert CliRunner().invoke(cli, ["listen", "--list-devices"]).exit_code in (0, 1)


def test_without_a_model_the_embedded_file_listens(monkeypatch, expected):
    monkeypatch.setitem(sys.modules, "sounddevice", Microphone(load_audio(CLIP), 16_000, "interrupt").module)
    result = CliRunner().invoke(cli, ["listen"], catch_exceptions=False)
    assert result.stdout == expected
    assert result.stderr.startswith("Using the embedded model, which knows strings of English digits only.")
