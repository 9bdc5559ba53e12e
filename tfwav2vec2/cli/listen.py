"""``tfwav2vec2 listen``: what is said into this machine's microphone, as it is said."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from tfwav2vec2.cli.opening import DIGITS_ONLY, LANGUAGE_HELP, MODEL_HELP, open_transcriber

if TYPE_CHECKING:
    from tfwav2vec2.serving.engines import Engine
    from tfwav2vec2.transcription.streaming import StreamingTranscriber

PORTAUDIO_HELP = (
    "The microphone is reached through the library PortAudio, which this system lacks: install it, on Debian and Ubuntu with "
    "apt install libportaudio2, on Fedora with dnf install portaudio"
)

# How long the sound is that comes at once, and how much may wait for a model that is slower than speech.
_BLOCK_SECONDS = 0.1
_WAITING_SECONDS = 60.0
# How often the loop looks whether it shall end.
_WAKE_SECONDS = 0.2


@click.command(
    short_help="Write down what is said into the microphone.",
    epilog="Example:  tfwav2vec2 listen --model facebook/wav2vec2-base-960h",
)
@click.option("--model", metavar="MODEL", help=MODEL_HELP)
@click.option("--language", metavar="CODE", help=LANGUAGE_HELP)
@click.option(
    "--device",
    metavar="DEVICE",
    help="The microphone, by its number or a part of its name; the system's own by default.",
)
@click.option("--list-devices", is_flag=True, help="Name the microphones, and end.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="End after so much sound; otherwise Ctrl-C ends.",
)
def listen(
    model: str | None, language: str | None, device: str | None, list_devices: bool, seconds: float | None
) -> None:
    """Write down what is said into the microphone while it is said, until Ctrl-C.

    Words are printed as soon as they are certain, and never taken back. A .tflite file answers soonest: a Keras model compiles
    its programs first.
    """
    sounddevice = _sounddevice()
    if list_devices:
        _print_devices(sounddevice)
        return
    microphone = _microphone(sounddevice, device)
    engine = _engine(model, language)
    from tfwav2vec2.transcription.streaming import StreamingTranscriber

    try:
        stream = StreamingTranscriber(engine)
        _warm_up(engine)
        _listen(sounddevice, microphone, stream, engine.sampling_rate, seconds)
    except (sounddevice.PortAudioError, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _engine(model: str | None, language: str | None) -> Engine:
    """What runs the named model; the embedded one as its .tflite file where LiteRT is installed."""
    if model is None and language is None:
        from tfwav2vec2.embedded import embedded_model
        from tfwav2vec2.serving.engines import import_litert

        file = embedded_model() / "model.tflite"
        try:
            import_litert()
        except ImportError:
            pass
        else:
            if file.is_file():
                click.echo(DIGITS_ONLY, err=True)
                return open_transcriber(str(file), None).engine
    return open_transcriber(model, language).engine


def _warm_up(engine: Engine) -> None:
    """Run the model once: what it lays out the first time is not to be waited for while somebody speaks."""
    import numpy as np

    samples = max(engine.sampling_rate, engine.shortest)
    engine(np.zeros((1, samples), np.float32), [samples])


def _sounddevice() -> ModuleType:
    """The package that reaches microphones.

    Raises:
        click.ClickException: where it, or the library below it, is not installed.
    """
    from tfwav2vec2.extras import require_extra

    try:
        require_extra("microphone", "Listening needs", ("sounddevice",))
        import sounddevice
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{PORTAUDIO_HELP} ({error})") from error
    return sounddevice


def _print_devices(sounddevice: ModuleType) -> None:
    inputs = [device for device in sounddevice.query_devices() if device["max_input_channels"] > 0]
    if not inputs:
        raise click.ClickException("This system has no microphone: connect one")
    for device in inputs:
        click.echo(f"{device['index']}\t{device['name']}\t{device['default_samplerate']:.0f} Hz")


def _microphone(sounddevice: ModuleType, device: str | None) -> dict[str, Any]:
    """What is known of the microphone that is meant.

    Raises:
        click.ClickException: where there is none, or several have that name.
    """
    named = int(device) if device is not None and device.isdecimal() else device
    try:
        return dict(sounddevice.query_devices(named, "input"))
    except (sounddevice.PortAudioError, ValueError) as error:
        reason = str(error).strip().rstrip(".")
        raise click.ClickException(
            f"{'There is no microphone' if device is None else f'{device!r} is no microphone here'} ({reason}): "
            "tfwav2vec2 listen --list-devices names them"
        ) from error


def _listen(
    sounddevice: ModuleType,
    microphone: dict[str, Any],
    transcriber: StreamingTranscriber,
    wanted: int,
    seconds: float | None,
) -> None:
    """Print the text of what comes from the microphone until it shall end."""
    rate = _rate(sounddevice, microphone, wanted)
    sound = _Sound(rate)
    with (
        _interrupted() as stop,
        sounddevice.InputStream(
            device=microphone["index"],
            samplerate=rate,
            blocksize=round(rate * _BLOCK_SECONDS),
            channels=1,
            dtype="float32",
            callback=sound.take,
            finished_callback=sound.end,
        ),
    ):
        click.echo(f"Listening to {microphone['name']} at {rate} Hz. Ctrl-C ends.", err=True)
        _print_text(sound, transcriber, rate, wanted, seconds, stop)
    click.echo(transcriber.finish().new)
    if sound.ended and not stop.is_set():
        raise click.ClickException(f"{microphone['name']} stopped: check that it is still connected")


def _rate(sounddevice: ModuleType, microphone: dict[str, Any], wanted: int) -> int:
    """The model's rate where the microphone has it, its own otherwise."""
    try:
        sounddevice.check_input_settings(
            device=microphone["index"], channels=1, dtype="float32", samplerate=wanted
        )
    except sounddevice.PortAudioError:
        return round(microphone["default_samplerate"])
    return wanted


class _Sound:
    """What has come from the microphone, on the thread of its driver, and waits for the model."""

    def __init__(self, rate: int) -> None:
        self.blocks: queue.Queue[Any] = queue.Queue(round(_WAITING_SECONDS / _BLOCK_SECONDS))
        self.ended = False
        self._rate = rate
        self._lost = 0
        self._overflows = 0

    def take(self, samples: Any, count: int, _: Any, status: Any) -> None:
        """The driver's callback: samples (count, 1), which it uses again afterwards."""
        self._overflows += bool(status.input_overflow)
        try:
            self.blocks.put_nowait(samples[:, 0].copy())
        except queue.Full:
            self._lost += count

    def end(self) -> None:
        """The driver's callback where no more will come."""
        self.ended = True

    def trouble(self) -> list[str]:
        """What was lost since the last call, a sentence each."""
        found = []
        if self._overflows:
            found.append(f"The system lost sound {self._overflows} times: it is too busy")
        if self._lost:
            found.append(
                f"{self._lost / self._rate:.1f} s were left out: the model is slower than speech; take a smaller one, or a .tflite file"
            )
        self._overflows = self._lost = 0
        return found


def _print_text(
    sound: _Sound,
    transcriber: StreamingTranscriber,
    rate: int,
    wanted: int,
    seconds: float | None,
    stop: threading.Event,
) -> None:
    """Print text until enough was heard, the microphone stops or the user does; what was said before that is all heard."""
    import soxr

    resampler = None if rate == wanted else soxr.ResampleStream(rate, wanted, 1, dtype="float32")
    left = None if seconds is None else round(seconds * rate)
    while left is None or left > 0:
        for sentence in sound.trouble():
            click.echo(f"\nWarning: {sentence}", err=True)
        over = stop.is_set() or sound.ended
        try:
            block = sound.blocks.get(timeout=0 if over else _WAKE_SECONDS)
        except queue.Empty:
            if over:
                break
            continue
        if left is not None:
            block = block[:left]
            left -= len(block)
        _print_new(transcriber, block if resampler is None else resampler.resample_chunk(block))
    if resampler is not None:
        import numpy as np

        _print_new(transcriber, resampler.resample_chunk(np.zeros(0, np.float32), last=True))


def _print_new(transcriber: StreamingTranscriber, samples: Any) -> None:
    text = transcriber.push(samples).new
    if text:
        click.echo(text, nl=False)


@contextmanager
def _interrupted() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, in place of breaking off the model's work; a second Ctrl-C breaks off."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, before)
        stop.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
