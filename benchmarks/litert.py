"""LiteRT files of the base architecture beside transformers on torch and ONNX Runtime, in one run.

Run where torch, transformers, onnx and onnxruntime are installed (`make benchmarks` sees to that)::

    python -m benchmarks.litert

All hold the same random weights. torch runs at its best setting: SDPA, evaluation, inference mode. ONNX Runtime runs what
torch exports, with all its optimisations, and for int8 what its own dynamic quantization makes of that (matrix products; with
``--convolutions`` also convolutions). The LiteRT files normalise the waveform and mark the frames that count besides. Each call
starts from the waveform in numpy and ends with the logits in numpy.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import _timing
from benchmarks.cold_start import write_model

SAMPLE_RATE = 16_000
TORCH, ONNX, ONNX_INT8 = "transformers on torch", "ONNX Runtime", "ONNX Runtime int8"
LITERT, LITERT_INT8 = "LiteRT", "LiteRT int8"
CLAIMS = {(LITERT, TORCH): 0.85, (LITERT, ONNX): 1.0, (LITERT_INT8, ONNX_INT8): 1.1}
LARGEST_SHARE_OF_BYTES = 1 / 3

Model = Callable[[np.ndarray], np.ndarray]


def torch_model(folder: Path) -> tuple[Model, object]:
    """The reference, and the module to export."""
    import torch
    import transformers

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = transformers.Wav2Vec2ForCTC.from_pretrained(folder, attn_implementation="sdpa").eval()

    def run(waveform: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(waveform)).logits.numpy()

    return run, model


def export_onnx(module: object, samples: int, folder: Path) -> dict[str, Path]:
    """What torch exports, and its dynamic quantization."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, waveform: torch.Tensor) -> torch.Tensor:
            return self.module(waveform).logits

    paths = {ONNX: folder / "model.onnx", ONNX_INT8: folder / "int8.onnx"}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Logits().eval(), (torch.zeros(1, samples),), input_names=["waveform"], dynamo=True
        )
        program.save(str(paths[ONNX]))
    quant_pre_process(str(paths[ONNX]), str(folder / "prepared.onnx"), skip_symbolic_shape=True)
    quantize_dynamic(
        str(folder / "prepared.onnx"),
        str(paths[ONNX_INT8]),
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gemm"],
    )
    return paths


def onnx_model(path: Path) -> Model:
    """An ONNX file in a session with all optimisations, which are the default."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda waveform: session.run(None, {"waveform": waveform})[0]


def litert_models(folder: Path, samples: int, clips: list[np.ndarray]) -> dict[str, Path]:
    """The files that `tfwav2vec2 export --to litert` writes."""
    from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Processor
    from tfwav2vec2.serving.litert import export_litert

    model = TFWav2Vec2ForCTC.from_pretrained(folder)
    processor = Wav2Vec2Processor.from_pretrained(folder)
    paths = {}
    for name, precision in ((LITERT, "float32"), (LITERT_INT8, "int8")):
        written = export_litert(
            model, processor, folder / f"{precision}.tflite", precision=precision, clips=clips,
            least_agreement=0.9, most_words_changed=1.0,
        )  # fmt: skip
        paths[name] = written.path
        if written.agreement is not None:
            print(
                f"int8: {written.integer_layers} in integers, {written.agreement:.1%} of the labels as in float32 "
                "(random weights, whose labels are all about as likely)"
            )
    return paths


def litert_model(path: Path) -> Model:
    """A file in the engine that `tfwav2vec2 transcribe` uses."""
    from tfwav2vec2.serving.engines import LiteRTEngine

    engine = LiteRTEngine(path, threads=int(os.environ["OMP_NUM_THREADS"]))
    return lambda waveform: engine(waveform, [waveform.shape[1]])["logits"]


def main() -> None:
    parser = _timing.parser(__doc__, rounds=11)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the clip (10)")
    options = parser.parse_args()
    _timing.limit_threads(options.threads)
    samples = round(options.seconds * SAMPLE_RATE)
    waveform = np.random.default_rng(0).standard_normal((1, samples)).astype("float32")
    # What the feature extractor makes of it, so that those without one get the same.
    waveform = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_model(folder)
        paths = litert_models(folder, samples, [0.1 * waveform[0, : samples // 2]])
        run_torch, module = torch_model(folder)
        paths |= export_onnx(module, samples, folder)
        models = {TORCH: run_torch}
        for name in (ONNX, LITERT, ONNX_INT8, LITERT_INT8):
            models[name] = (litert_model if name in (LITERT, LITERT_INT8) else onnx_model)(paths[name])
        sizes = {name: path.stat().st_size for name, path in paths.items()}
        external = paths[ONNX].with_name("model.onnx.data")
        sizes[ONNX] += external.stat().st_size if external.exists() else 0
    answers = {}
    for name, model in models.items():
        for _ in range(3):
            answers[name] = model(waveform)
    expected = answers[TORCH]
    notes = {}
    for name, size in sizes.items():
        difference = np.max(np.abs(answers[name] - expected)) / np.abs(expected).max()
        agree = np.mean(answers[name].argmax(-1) == expected.argmax(-1))
        notes[name] = (
            f"{size / 1e6:.0f} MB, logits within {difference:.0e} of the largest, {agree:.1%} of the labels the same"
        )
    times = _timing.interleave(
        {
            name: lambda model=model: _timing.seconds(lambda: model(waveform))
            for name, model in models.items()
        },
        options.rounds,
    )
    _timing.report(
        f"Base model, 1 x {options.seconds:g} s, {options.threads} threads, {options.rounds} rounds",
        times,
        notes,
        CLAIMS,
    )
    share = sizes[LITERT_INT8] / sizes[LITERT]
    verdict = "holds" if share <= LARGEST_SHARE_OF_BYTES else "FAILS"
    print(
        f"{verdict}: int8 takes {share:.2f} of the bytes of float32; claimed: at most {LARGEST_SHARE_OF_BYTES:.2f}"
    )


if __name__ == "__main__":
    main()
