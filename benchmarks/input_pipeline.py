"""Whether training waits for its data: the step of a base model, fed from files and from memory, in one run.

Run anywhere::

    python -m benchmarks.input_pipeline

The files are the hard case: FLAC of 44.1 kHz whose samples are noise, which compresses badly, to be resampled to 16 kHz,
sped up or slowed down, put into a room and behind noise, normalised and padded, 4 clips of about 5 s for a step. The same
batches, made before, come from memory. Both are read by ``fit``, on the same cores: what is left of a difference is what the
pipeline costs in all, its computing and the wait for it. The wait is what ``SpeechData.wait`` counts.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _timing

FILE_RATE, SECONDS, CLIPS, STEPS = 44_100, 4.5, 4, 6
MEMORY, FILES = "batches in memory", "batches from files"
MOST_SECONDS = 1.05
# Of a step, for every batch but an epoch's first.
MOST_WAIT = 0.01
CLASSES = ("no", "yes")


def make_data(folder: Path) -> Any:
    """Recordings of one length after another, and what makes batches of them."""
    import soundfile

    from tfwav2vec2 import SpeechData, Wav2Vec2Config, Wav2Vec2FeatureExtractor
    from tfwav2vec2.data.augmentation import AdditiveNoise, Chain, Reverberation, SpeedPerturbation
    from tfwav2vec2.data.examples import Example

    rng = np.random.default_rng(0)
    examples = []
    for index in range(CLIPS * STEPS):
        noise = 0.1 * rng.standard_normal(round(SECONDS * FILE_RATE))
        path = folder / f"{index}.flac"
        soundfile.write(path, noise, FILE_RATE)
        examples.append(Example(path.name, path, CLASSES[index % 2]))
    config = Wav2Vec2Config(id2label=dict(enumerate(CLASSES)), label2id={"no": 0, "yes": 1})
    augment = Chain([SpeedPerturbation(), Reverberation(), AdditiveNoise()])
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    return config, SpeechData(examples, "classify", extractor, config, batch_size=CLIPS, augment=augment)


def main() -> None:
    parser = _timing.parser(__doc__, rounds=5)
    options = parser.parse_args()
    _timing.limit_threads(options.threads)

    import keras
    import tensorflow as tf

    from tfwav2vec2 import TFWav2Vec2ForSequenceClassification

    with tempfile.TemporaryDirectory() as folder:
        config, data = make_data(Path(folder))
        model = TFWav2Vec2ForSequenceClassification(config)
        model.freeze_feature_encoder()
        model.compile(keras.optimizers.Adam(1e-5))
        made = [data.batch(0, step) for step in range(STEPS)]
        stacked = {name: np.stack([batch[name] for batch in made]) for name in made[0]}
        in_memory = tf.data.Dataset.from_tensor_slices(stacked)
        sources = {MEMORY: lambda: in_memory, FILES: data.dataset}
        waits: list[float] = []

        def epoch(source: str) -> float:
            data.wait.reset()
            taken = _timing.seconds(lambda: model.fit(sources[source](), verbose=0)) / STEPS
            if source == FILES:
                waits.append((data.wait.seconds - data.wait.longest) / (STEPS - 1) / taken)
            return taken

        for source in sources:
            epoch(source)
        waits.clear()
        times = _timing.interleave(
            {source: lambda source=source: epoch(source) for source in sources}, options.rounds
        )
        alone = _timing.seconds(lambda: data.batch(1, 0))
    wait = statistics.median(waits)
    _timing.report(
        f"A training step, base model, {CLIPS} clips of {SECONDS:g} s, {options.threads} threads, {options.rounds} rounds of "
        f"{STEPS} steps",
        times,
        {FILES: f"made by one thread alone a batch takes {1000 * alone:.0f} ms"},
        {(FILES, MEMORY): MOST_SECONDS},
    )
    verdict = "holds" if wait <= MOST_WAIT else "FAILS"
    print(f"{verdict}: a step waits {wait:.2%} of its time for its batch; claimed: at most {MOST_WAIT:.0%}")


if __name__ == "__main__":
    main()
