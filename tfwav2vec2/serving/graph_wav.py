"""WAV files read inside a TensorFlow graph: PCM of 8 to 32 bits or floats, any rate, any number of channels."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfwav2vec2.audio.graph_resampling import resample

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE

# A header may claim any rate, and a lower one makes more samples of a file.
_LOWEST_RATE = 1_000

# Two rates that share less than this would need a filter for each of very many phases. Such a rate, which hardly a recording
# has, is taken for the nearest multiple: tempo and pitch are then off by 0.16 % at 8 kHz, and less above.
_COARSE_RATE = 25


def read_wavs(contents: Any, rate: int) -> tuple[Any, Any]:
    """Files (batch,) of bytes to waveforms (batch, samples) at ``rate`` Hz, channels averaged, and lengths (batch,).

    Raises:
        tf.errors.InvalidArgumentError: when the graph runs, for what is no WAV file, or one in another encoding.
    """
    waveforms = tf.map_fn(
        lambda each: read_wav(each, rate),
        contents,
        fn_output_signature=tf.RaggedTensorSpec((None,), tf.float32, ragged_rank=0),
    )
    return waveforms.to_tensor(), tf.cast(waveforms.row_lengths(), tf.int32)


def read_wav(contents: Any, rate: int) -> Any:
    """One file's bytes, a scalar string, to its waveform (samples,) float32 at ``rate`` Hz."""
    header = _check(
        tf.strings.length(contents) >= 12, ["Not a WAV file: it is shorter than its header"], contents
    )
    header = _check(
        tf.equal(tf.strings.substr(header, 0, 4), "RIFF") & tf.equal(tf.strings.substr(header, 8, 4), "WAVE"),
        ["Not a WAV file: it does not begin with RIFF and WAVE"],
        header,
    )
    form, data = _chunks(header)
    form = _check(tf.strings.length(form) >= 16, ["The WAV file has no format chunk"], form)
    encoding, channels = _number(form, 0, 2), _number(form, 2, 2)
    file_rate, block, bits = _number(form, 4, 4), _number(form, 12, 2), _number(form, 14, 2)
    # In an extensible header the encoding stands at the beginning of a longer name.
    encoding = tf.cond(
        tf.equal(encoding, _EXTENSIBLE) & (tf.strings.length(form) >= 26),
        lambda: _number(form, 24, 2),
        lambda: encoding,
    )
    known = (tf.equal(encoding, _PCM) & tf.reduce_any(tf.equal(bits, [8, 16, 24, 32]))) | (
        tf.equal(encoding, _FLOAT) & tf.equal(bits, 32)
    )
    sound = (channels > 0) & tf.equal(block, channels * (bits // 8)) & (file_rate >= _LOWEST_RATE)
    data = _check(
        known & sound,
        [f"WAV files of PCM with 8, 16, 24 or 32 bits and of 32-bit floats, from {_LOWEST_RATE} Hz on, are read; this one has encoding",
         encoding, "bits", bits, "channels", channels, "bytes in a block", block, "rate", file_rate],
        data,
    )  # fmt: skip
    samples = _samples(data, encoding, bits)
    frames = tf.shape(samples)[0] // channels
    waveform = tf.reduce_mean(tf.reshape(samples[: frames * channels], [frames, channels]), axis=1)
    return resample(waveform, _feasible(file_rate, rate), rate)


def _feasible(file_rate: Any, rate: int) -> Any:
    """The rate of a file, or the nearest one that can be resampled to ``rate`` (see ``_COARSE_RATE``)."""
    shared = [divisor for divisor in range(_COARSE_RATE, rate + 1) if rate % divisor == 0]
    nearest = (file_rate + _COARSE_RATE // 2) // _COARSE_RATE * _COARSE_RATE
    return tf.where(tf.reduce_any(tf.equal(file_rate % shared, 0)), file_rate, nearest)


def _check(condition: Any, message: list[Any], value: Any) -> Any:
    with tf.control_dependencies([tf.debugging.Assert(condition, message)]):
        return tf.identity(value)


def _number(contents: Any, place: Any, size: int) -> Any:
    """A little-endian number of 2 or 4 bytes, as int32; of 4 bytes with the highest bit set it comes out negative."""
    raw = tf.strings.substr(contents, place, size)
    if size == 2:
        return tf.cast(tf.io.decode_raw(raw, tf.uint16)[0], tf.int32)
    return tf.io.decode_raw(raw, tf.int32)[0]


def _chunks(contents: Any) -> tuple[Any, Any]:
    """The contents of the chunks ``fmt`` and ``data``, empty strings for those that are not there.

    A chunk that claims to be longer than the file, as a stream's does, ends with the file.
    """
    total = tf.strings.length(contents)

    def has_more(place: Any, form: Any, data: Any) -> Any:
        return (place + 8 <= total) & tf.equal(tf.strings.length(data), 0)

    def read(place: Any, form: Any, data: Any) -> tuple[Any, Any, Any]:
        name, size = tf.strings.substr(contents, place, 4), _number(contents, place + 4, 4)
        left = total - place - 8
        size = tf.where((size < 0) | (size > left), left, size)
        chunk = tf.strings.substr(contents, place + 8, size)
        form = tf.cond(tf.equal(name, "fmt "), lambda: chunk, lambda: form)
        data = tf.cond(tf.equal(name, "data"), lambda: chunk, lambda: data)
        return place + 8 + size + size % 2, form, data

    _, form, data = tf.while_loop(has_more, read, (12, "", ""))
    return form, data


def _samples(data: Any, encoding: Any, bits: Any) -> Any:
    """Bytes to numbers from -1 to 1, channels one after the other."""
    size = bits // 8
    data = tf.strings.substr(data, 0, tf.strings.length(data) // size * size)

    def pcm_24() -> Any:
        columns = tf.unstack(tf.reshape(tf.io.decode_raw(data, tf.uint8), [-1, 3]), axis=1)
        # As the three upper bytes of 32 bits, so that the sign is where it belongs.
        low, middle, high = (
            tf.bitwise.left_shift(tf.cast(column, tf.int32), shift)
            for column, shift in zip(columns, (8, 16, 24), strict=True)
        )
        joined = tf.bitwise.bitwise_or(tf.bitwise.bitwise_or(low, middle), high)
        return tf.cast(joined, tf.float32) / 2.0**31

    def pcm(dtype: Any, shift: float, scale: float) -> Any:
        return lambda: (tf.cast(tf.io.decode_raw(data, dtype), tf.float32) - shift) / scale

    kinds = [
        pcm(tf.uint8, 128.0, 128.0),
        pcm(tf.int16, 0.0, 2.0**15),
        pcm_24,
        pcm(tf.int32, 0.0, 2.0**31),
        lambda: tf.io.decode_raw(data, tf.float32),
    ]
    return tf.switch_case(tf.where(tf.equal(encoding, _FLOAT), 4, size - 1), kinds)
