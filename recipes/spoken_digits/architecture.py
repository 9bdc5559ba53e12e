"""The model: a wav2vec 2.0 of under two million weights, with a front end that can stream."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import keras

from recipes.spoken_digits.corpus import WORDS, written
from recipes.spoken_digits.phonemes import PHONEMES, pronunciation
from tfwav2vec2.audio.feature_extractor import Wav2Vec2FeatureExtractor
from tfwav2vec2.audio.loading import SAMPLE_RATE
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.language.tokenizer import Wav2Vec2CTCTokenizer
from tfwav2vec2.processor import Wav2Vec2Processor
from tfwav2vec2.weights.files import write_json

if TYPE_CHECKING:
    from tfwav2vec2 import TFWav2Vec2ForCTC, TFWav2Vec2ForPreTraining

Labels = Literal["phonemes", "both", "digits"]

DIGITS = tuple("0123456789")
SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "|")
SYMBOLS: dict[Labels, tuple[str, ...]] = {
    "phonemes": PHONEMES,
    "both": (*DIGITS, *PHONEMES),
    "digits": DIGITS,
}


def vocabulary(labels: Labels = "digits") -> dict[str, int]:
    """The ids of what the model writes.

    A model of sounds spreads each over several frames, and the best path then loses the space between two words. So they
    teach the encoder, and the model in use writes one symbol for each word. One that writes both has its digits first, so that of its
    head the first rows are a head of digits (see :func:`recipes.spoken_digits.train.make_model`).
    """
    return {token: index for index, token in enumerate(SPECIAL_TOKENS + SYMBOLS[labels])}


def make_config(labels: Labels = "digits") -> Wav2Vec2Config:
    """The architecture, and what a training hides of the frames.

    The front end is thin where there are many frames, since that is where the time goes: its first convolution alone
    makes 3,200 frames a second. Layer norms, rather than a group norm over the whole clip, leave nothing to wait for,
    so it can run as the sound arrives. One frame stands for 20 ms, as in every wav2vec 2.0.
    """
    return Wav2Vec2Config(
        vocab_size=len(vocabulary(labels)),
        hidden_size=160,
        num_hidden_layers=5,
        num_attention_heads=4,
        intermediate_size=512,
        conv_dim=[32, 64, 96, 128, 160],
        conv_kernel=[10, 8, 8, 4, 4],
        conv_stride=[5, 4, 4, 2, 2],
        # A drawn bias would drown the small first convolution (see hush). In a trial on single digits the loss was 2.37 after 225
        # steps, against 2.69 with biases.
        conv_bias=False,
        # About 1 / sqrt(hidden_size), in proportion to the base model's 0.02 for a width of 768.
        initializer_range=0.06,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8,
        hidden_dropout=0.1,
        activation_dropout=0.0,
        # Digits are learnt too slowly rather than by heart, and to draw this one takes a tenth of a step.
        attention_dropout=0.1 if labels == "phonemes" else 0.0,
        feat_proj_dropout=0.0,
        final_dropout=0.1,
        layerdrop=0.0,
        # A training that hides much never leaves the blank. Longer spans hide a whole digit and leave nothing to tell it from another.
        mask_time_prob=0.05,
        mask_time_length=4,
        mask_time_min_masks=0,
        mask_feature_prob=0.05,
        mask_feature_length=8,
        ctc_loss_reduction="mean",
        # A digit of 0.14 s has hardly more frames than letters; played faster it may have too few.
        ctc_zero_infinity=True,
        architectures=["Wav2Vec2ForCTC"],
    )


# The root mean square of the first convolution's kernel; as it is drawn, it is 0.45. While pretraining and phonemes go on, the first of
# these grows to five times itself, and rooms come back; digits are learnt with the second, which stays.
HUSHED, HUSHED_FOR_DIGITS = 0.0045, 0.0126


def hush(model: TFWav2Vec2ForCTC | TFWav2Vec2ForPreTraining, size: float = HUSHED) -> None:
    """Make the first convolution small: its kernel then has ``size`` as its root mean square.

    A layer norm after each convolution lifts every frame to the same level: a room's echo and a recorder's hiss become as loud as speech,
    and a model of five people's recordings learns their rooms. But the norm adds 1e-5 to a frame's variance. With the waveform at
    unit variance and a convolution of size :data:`HUSHED`, that is about 12 dB below the average of speech (21 dB with
    :data:`HUSHED_FOR_DIGITS`), and what is fainter stays faint.
    """
    kernel = model.wav2vec2.feature_extractor.conv_layers[0].conv.kernel
    kernel.assign(kernel * (size / keras.ops.sqrt(keras.ops.mean(keras.ops.square(kernel)))))


def encode(words: Iterable[str], labels: Labels = "digits") -> list[int]:
    """The label ids of words, as the tokenizer gives them for their transcript."""
    ids = vocabulary(labels)
    return [ids[symbol] for symbol in spelt(words, labels)]


def spelt(words: Iterable[str], labels: Labels) -> str:
    """Words as the model writes them, one character for each label: "703", pronunciations with a bar between them, or "7aɪz" for SEVEN EYES."""
    if labels == "digits":
        return written(words)
    if labels == "both":
        return "".join(written([word]) if word in WORDS else pronunciation(word) for word in words)
    return "|".join(map(pronunciation, words))


def make_processor(labels: Labels = "digits") -> Wav2Vec2Processor:
    """What belongs to the model: 16 kHz at unit variance, lengths as a mask, one label for each symbol."""
    extractor = Wav2Vec2FeatureExtractor(sampling_rate=SAMPLE_RATE, return_attention_mask=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.json"
        write_json(path, vocabulary(labels))
        return Wav2Vec2Processor(extractor, Wav2Vec2CTCTokenizer(path))
