"""The base architecture, warm, against transformers on torch, in one run.

Run where torch and transformers are installed (`make benchmarks` sees to that)::

    python -m benchmarks.base_speed

Both models hold the same random weights, carried over by `save_pretrained` and `from_pretrained`. torch runs at its best
setting: SDPA, evaluation, inference mode. This package runs with its default buckets, so clips of 9.7 s are padded to 10 s.
Each call starts from the waveform in numpy and ends with the logits in numpy.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable

import numpy as np

from benchmarks import _timing

SAMPLE_RATE = 16_000
TORCH, OURS = "transformers on torch", "tfwav2vec2"
CLAIM = 1.0
# A bucket is compiled when it has been called a few times.
WARM_UP = 5

Model = Callable[[np.ndarray], np.ndarray]


def pair_of_models(folder: str) -> dict[str, Model]:
    """The two models with the same weights, each from a waveform (batch, samples) to logits (batch, frames, vocab)."""
    import torch
    import transformers

    from tfwav2vec2 import TFWav2Vec2ForCTC

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config()
    transformers.Wav2Vec2ForCTC(config).save_pretrained(folder)
    reference = transformers.Wav2Vec2ForCTC.from_pretrained(folder, attn_implementation="sdpa").eval()
    ours = TFWav2Vec2ForCTC.from_pretrained(folder)

    def run_torch(waveform: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return reference(torch.from_numpy(waveform)).logits.numpy()

    return {TORCH: run_torch, OURS: lambda waveform: np.asarray(ours(waveform).logits)}


def speech(clips: int, seconds: float) -> np.ndarray:
    """Noise of the loudness that the feature extractor gives to speech."""
    samples = round(seconds * SAMPLE_RATE)
    return np.random.default_rng(0).standard_normal((clips, samples)).astype("float32")


def main() -> None:
    parser = _timing.parser(__doc__, rounds=9)
    parser.add_argument(
        "--seconds", type=float, nargs="+", default=[9.7, 10.0], help="lengths of the clips (9.7 10)"
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4], help="clips in a call (1 4)")
    options = parser.parse_args()
    _timing.limit_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        models = pair_of_models(folder)

    cases = {
        f"{clips} x {seconds:g} s": speech(clips, seconds)
        for clips in options.batches
        for seconds in options.seconds
    }
    subjects, notes = {}, {}
    for case, waveform in cases.items():
        for name, model in models.items():
            for _ in range(WARM_UP):
                logits = model(waveform)
            if name == TORCH:
                expected = logits
            subjects[f"{name}, {case}"] = lambda model=model, waveform=waveform: _timing.seconds(
                lambda: model(waveform)
            )
        difference = np.max(np.abs(logits - expected))
        notes[f"{OURS}, {case}"] = f"logits differ by {difference:.0e}, they vary by {expected.std():.0e}"
    times = _timing.interleave(subjects, options.rounds)
    for case in cases:
        torch_case, our_case = f"{TORCH}, {case}", f"{OURS}, {case}"
        _timing.report(
            f"Base model, {case}, {options.threads} threads, {options.rounds} rounds",
            {name: times[name] for name in (torch_case, our_case)},
            notes,
            {(our_case, torch_case): CLAIM},
        )


if __name__ == "__main__":
    main()
