"""Run as a program: how far a training step raises this process's peak of memory, in MB, with checkpoints and without."""

from __future__ import annotations

import json
import re
from pathlib import Path

import keras
import numpy as np

from tests.tiny import TINY
from tfwav2vec2 import TFWav2Vec2ForSequenceClassification, Wav2Vec2Config

# Many frames in layers of few weights, so that what is inside the layers is most of the memory.
FIELDS = {**TINY, "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 16, "mask_time_prob": 0.0}
SAMPLES = 30_000


# Not getrusage, which begins with the peak of the process that started this one.
STATUS = Path("/proc/self/status")


def peak() -> float:
    return int(re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text())[1]) / 1024


def train(checkpointing: bool) -> None:
    model = TFWav2Vec2ForSequenceClassification(Wav2Vec2Config(**FIELDS))
    if checkpointing:
        model.gradient_checkpointing_enable()
    model.compile(keras.optimizers.SGD(0.0), metrics=[], jit_compile=False)
    waveform = np.random.default_rng(0).standard_normal((4, SAMPLES)).astype("float32")
    model.fit({"input_values": waveform, "labels": np.zeros(4, "int32")}, batch_size=4, verbose=0)


def main() -> None:
    start = peak()
    raised = {}
    # The peak never falls: the smaller one comes first.
    for checkpointing in (True, False):
        train(checkpointing)
        raised["with" if checkpointing else "without"] = peak() - start
    print(json.dumps(raised))


if __name__ == "__main__":
    main()
