"""The whole process, from the shell's prompt to the text, against the same script in transformers, in one run.

Run where torch and transformers are installed (`make benchmarks` sees to that)::

    python -m benchmarks.cold_start

A base model with random weights and its processor lie in a folder, in the system's file cache, as does the sound file. This
package runs `tfwav2vec2 transcribe clip.wav --model FOLDER`; transformers runs what its documentation shows:
AutoProcessor, AutoModelForCTC, the samples read by soundfile. With random weights both write the same nonsense.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import _timing

SAMPLE_RATE = 16_000
TORCH, OURS = "transformers on torch", "tfwav2vec2 transcribe"
CLAIM = 1.2
LETTERS = "|ETAONIHSRDLUMWCFGYPBVK'XJQZ"

SCRIPT = """
import sys

import soundfile
import torch
from transformers import AutoModelForCTC, AutoProcessor

clip, folder, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
processor = AutoProcessor.from_pretrained(folder)
model = AutoModelForCTC.from_pretrained(folder, attn_implementation="sdpa").eval()
samples, rate = soundfile.read(clip, dtype="float32")
inputs = processor(samples, sampling_rate=rate, return_tensors="pt")
with torch.inference_mode():
    ids = model(**inputs).logits.argmax(-1)
print(processor.batch_decode(ids)[0])
"""


def write_model(folder: Path) -> None:
    """A base model with random weights and the processor of an English one, in the hub's layout."""
    from tfwav2vec2 import (
        TFWav2Vec2ForCTC,
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2Processor,
    )

    vocabulary = folder / "vocabulary.json"
    symbols = ["<pad>", "<s>", "</s>", "<unk>", *LETTERS]
    vocabulary.write_text(json.dumps({symbol: index for index, symbol in enumerate(symbols)}))
    tokenizer = Wav2Vec2CTCTokenizer(vocabulary)
    Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(folder)
    TFWav2Vec2ForCTC(Wav2Vec2Config(vocab_size=len(symbols))).save_pretrained(folder)
    vocabulary.unlink()


def write_clip(path: Path, seconds: float) -> None:
    import soundfile

    samples = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE))
    soundfile.write(path, samples, SAMPLE_RATE)


def text_of(command: list[str]) -> str:
    """What a process prints; its errors if it fails."""
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{run.stderr}")
    return run.stdout.strip()


def main() -> None:
    parser = _timing.parser(__doc__, rounds=7)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the clip (10)")
    options = parser.parse_args()
    _timing.limit_threads(options.threads)
    with tempfile.TemporaryDirectory() as place:
        folder, clip, script = Path(place, "model"), Path(place, "clip.wav"), Path(place, "transcribe.py")
        folder.mkdir()
        write_model(folder)
        write_clip(clip, options.seconds)
        script.write_text(SCRIPT)
        commands = {
            TORCH: [sys.executable, str(script), str(clip), str(folder), str(options.threads)],
            OURS: [sys.executable, "-m", "tfwav2vec2", "transcribe", str(clip), "--model", str(folder)],
        }
        # The first runs bring the files into the system's cache.
        texts = {name: text_of(command) for name, command in commands.items()}
        times = _timing.interleave(
            {
                name: lambda c=command: _timing.seconds(lambda: text_of(c))
                for name, command in commands.items()
            },
            options.rounds,
        )
    same = "the same text" if texts[TORCH] == texts[OURS] else "ANOTHER TEXT"
    _timing.report(
        f"Cold start, base model, a clip of {options.seconds:g} s, {options.threads} threads, {options.rounds} rounds",
        times,
        {OURS: f"{same}, {len(texts[OURS])} letters"},
        {(OURS, TORCH): CLAIM},
    )


if __name__ == "__main__":
    main()
