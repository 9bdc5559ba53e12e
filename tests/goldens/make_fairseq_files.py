"""Make small checkpoints with fairseq 0.12.2, in the layouts that it has had, for the reader that does without it.

Run where torch 2.9, torchaudio, hydra-core 1.0.7, omegaconf 2.0.6 and fairseq 0.12.2 are installed (for fairseq its
unpacked source on ``PYTHONPATH`` will do)::

    python tests/goldens/make_fairseq_files.py

``fairseq_files/group`` holds a base model's tiny relative and ``fairseq_files/layer`` a large one's, each pretrained and
fine-tuned, with ``expected.npz``: a waveform, the encoder's output of the one and the logits of the other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import shutil
import tempfile
import warnings
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchaudio  # noqa: F401  # has to be there before the change to dataclasses below

# Python 3.11 refuses the defaults of fairseq's and hydra's dataclasses unless they can be hashed.
plain_dataclass = dataclasses.dataclass
dataclasses.dataclass = functools.partial(dataclasses.dataclass, unsafe_hash=True)  # type: ignore[assignment]
# The files that fairseq reads here are its own, of a moment ago.
torch.load = functools.partial(torch.load, weights_only=False)
warnings.simplefilter("ignore")
logging.disable(logging.INFO)

from fairseq import options, tasks  # noqa: E402  # after the two changes above
from fairseq.dataclass.utils import convert_namespace_to_omegaconf  # noqa: E402
from fairseq.logging import metrics  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402

dataclasses.dataclass = plain_dataclass

FOLDER = Path(__file__).parent / "fairseq_files"
SYMBOLS = "|ETAO'"
SAMPLES = 1243
DATA = "data"

TINY = (
    *("--encoder-layers", "2", "--encoder-embed-dim", "32", "--encoder-ffn-embed-dim", "48"),
    *("--encoder-attention-heads", "4", "--conv-feature-layers", "[(16, 10, 5)] + [(12,3,2)] * 2"),
    *(
        "--conv-pos",
        "8",
        "--conv-pos-groups",
        "4",
        "--quantize-targets",
        "--latent-vars",
        "5",
        "--final-dim",
        "24",
    ),
    *("--mask-prob", "0.6", "--mask-channel-prob", "0.1", "--dropout-features", "0.2", "--logit-temp", "0.2"),
)
VARIANTS = {
    "group": (),
    "layer": ("--extractor-mode", "layer_norm", "--layer-norm-first", "--conv-bias", "--normalize"),
}


def parsed(*arguments: str) -> Namespace:
    """Options as fairseq's command line gives them."""
    parser = options.get_training_parser(default_task="audio_pretraining")
    return options.parse_args_and_arch(parser, list(arguments))


def built(cfg: Any) -> tuple[Any, Any]:
    """The task and its model, every weight of which is random."""
    task = tasks.setup_task(cfg.task)
    model = task.build_model(cfg.model).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return task, model


def training_state(model: Any, optimized: bool) -> dict[str, Any]:
    """What fairseq's trainer saves beside the options and the model, after one step and with it if ``optimized``."""
    optimizer = torch.optim.Adam(model.parameters())
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()
    with metrics.aggregate("train"):
        metrics.log_scalar("loss", 1.5, 1, round=3)
        metrics.log_speed("wps", 5.0)
    history = {
        "criterion_name": "Wav2vecCriterion",
        "optimizer_name": "FairseqAdam",
        "lr_scheduler_state": {"best": np.float64(1.5)},
        "num_updates": 1,
    }
    state = {
        "optimizer_history": [history],
        "extra_state": {"metrics": metrics.state_dict(), "train_iterator": {"epoch": 2}},
    }
    return {**state, "last_optimizer_state": optimizer.state_dict()} if optimized else state


def make(name: str) -> None:
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(len(name))
    wave = torch.randn(1, SAMPLES)
    expected = {"wave": wave.numpy()}
    old = name == "group"
    normalized = ("--normalize",) if "--normalize" in VARIANTS[name] else ()

    pretrained = parsed(DATA, "--arch", "wav2vec2", "--criterion", "wav2vec", *TINY, *VARIANTS[name])
    cfg = convert_namespace_to_omegaconf(pretrained)
    _, model = built(cfg)
    state = training_state(model, optimized=old)
    options_of = {"args": pretrained} if old else {"args": None, "cfg": cfg}
    with torch.no_grad():
        expected["encoded"] = model(wave, mask=False, features_only=True)["x"].numpy()
    path = Path("pretrained.pt")
    # The first of fairseq's published files are in torch's first format.
    torch.save(
        {**options_of, "model": model.state_dict(), **state}, path, _use_new_zipfile_serialization=not old
    )
    shutil.copy(path, folder)

    finetuned = parsed(
        *(DATA, "--arch", "wav2vec_ctc", "--task", "audio_finetuning", "--labels", "ltr"),
        *("--criterion", "ctc", "--w2v-path", str(path), "--layerdrop", "0.05", "--dropout", "0.15"),
        *("--final-dropout", "0.3", "--apply-mask", "--mask-prob", "0.4", *normalized),
    )
    cfg = convert_namespace_to_omegaconf(finetuned)
    task, model = built(cfg)
    state = training_state(model, optimized=False)
    with torch.no_grad():
        expected["logits"] = model(source=wave, padding_mask=None)["encoder_out"].transpose(0, 1).numpy()
    finetuned.w2v_args = pretrained
    plain = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    if old:
        content = {"args": finetuned}
    else:
        content = {"args": None, "cfg": plain, "criterion": None, "task_state": task.state_dict()}
    content |= {"model": model.state_dict(), **state}
    torch.save(content, folder / "finetuned.pt")
    np.savez(folder / "expected.npz", **expected)
    if old:
        shutil.copy(Path(DATA) / "dict.ltr.txt", folder)


def main() -> None:
    # Options keep paths: these are not of the machine that made the files.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path(DATA).mkdir()
        lines = [f"{symbol} {10 - index}\n" for index, symbol in enumerate(SYMBOLS)]
        (Path(DATA) / "dict.ltr.txt").write_text("".join(lines))
        for name in VARIANTS:
            make(name)


if __name__ == "__main__":
    main()
