"""``tfwav2vec2 info``: what a model is, told from its files without loading it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tfwav2vec2.config import Wav2Vec2Config

# A vocabulary of letters is shown whole; longer ones by their first symbols.
SHOWN_SYMBOLS = 40


@click.command(
    short_help="Tell what a model is.",
    epilog="Example:  tfwav2vec2 info facebook/wav2vec2-base-960h",
)
@click.argument("model", metavar="MODEL")
def info(model: str) -> None:
    """Tell what MODEL is, a folder or a name on the hub: architecture, parameters, audio, vocabulary, files.

    The weights are neither loaded nor, from the hub, downloaded.
    """
    try:
        for name, value in describe(model):
            click.echo(f"{name + ':':<15}{value}")
    except (OSError, ValueError, TypeError) as error:
        raise click.ClickException(str(error)) from error


def describe(model: str) -> Iterator[tuple[str, str]]:
    """Pairs of a heading and what there is to say under it.

    Raises:
        OSError: where the model or its configuration cannot be found or read.
        ValueError: where it is not a wav2vec 2.0 model.
    """
    from tfwav2vec2.config import Wav2Vec2Config

    config = Wav2Vec2Config.from_pretrained(model)
    yield "model", model
    yield "architecture", _architecture(config)
    yield "parameters", _parameters(model)
    yield "front end", _front_end(config)
    yield "audio", _audio(_optional_json(model, "preprocessor_config.json"))
    yield "vocabulary", _vocabulary(_optional_json(model, "vocab.json"))
    for name, size in _files(model):
        yield "file", f"{_size(size):>10}  {name}"


def _architecture(config: Wav2Vec2Config) -> str:
    parts = [
        ", ".join(config.architectures or ["wav2vec 2.0"]),
        f"{config.num_hidden_layers} layers",
        f"hidden {config.hidden_size}",
        f"{config.num_attention_heads} heads",
        f"feed-forward {config.intermediate_size}",
        "stable layer norm" if config.do_stable_layer_norm else "post-norm",
    ]
    if config.add_adapter:
        parts.append(f"{config.num_adapter_layers} adapter layers")
    if config.adapter_attn_dim:
        parts.append(f"language adapters of {config.adapter_attn_dim}")
    return ", ".join(parts)


def _front_end(config: Wav2Vec2Config) -> str:
    strides, kernels = config.conv_stride, config.conv_kernel
    receptive = 1 + sum((kernel - 1) * math.prod(strides[:i]) for i, kernel in enumerate(kernels))
    return (
        f"{len(kernels)} convolutions of up to {max(config.conv_dim)} channels, {config.feat_extract_norm} norm, "
        f"one frame for each {math.prod(strides)} samples, {receptive} samples wide"
    )


def _audio(extractor: dict[str, Any] | None) -> str:
    if extractor is None:
        return "no preprocessor_config.json"
    level = "zero mean and unit variance" if extractor.get("do_normalize", True) else "as recorded"
    return f"{extractor.get('sampling_rate', 16_000)} Hz, mono, {level}"


def _vocabulary(vocabulary: dict[str, Any] | None) -> str:
    if not vocabulary:
        return "no vocab.json: the model transcribes nothing"
    if all(isinstance(symbols, dict) for symbols in vocabulary.values()):
        return f"{len(vocabulary)} languages: {_listed(list(vocabulary))}"
    return f"{len(vocabulary)} symbols: {_listed(sorted(vocabulary, key=lambda symbol: vocabulary[symbol]))}"


def _listed(symbols: list[str]) -> str:
    return " ".join(symbols[:SHOWN_SYMBOLS]) + (" ..." if len(symbols) > SHOWN_SYMBOLS else "")


def _optional_json(model: str, filename: str) -> dict[str, Any] | None:
    from tfwav2vec2.weights.files import find_file, read_json

    path = find_file(model, filename, required=False)
    return read_json(path) if path else None


def _parameters(model: str) -> str:
    """Counted in the headers of the weights' files, here or in the cache, else on the hub."""
    from tfwav2vec2.weights.files import find_file
    from tfwav2vec2.weights.model_files import FLAX_NAMES, TF_NAMES, TORCH_NAMES
    from tfwav2vec2.weights.readers import open_checkpoint

    for filename in (*TORCH_NAMES, *TF_NAMES, *FLAX_NAMES):
        path = find_file(model, filename, required=False, local_files_only=True)
        if path is not None:
            with open_checkpoint(path) as checkpoint:
                count = sum(math.prod(shape) for shape in checkpoint.shapes.values())
                return f"{count:,} in {len(checkpoint.shapes)} tensors"
    if _is_folder(model):
        return f"no weights ({TORCH_NAMES[0]})"
    return _parameters_on_hub(model)


def _parameters_on_hub(model: str) -> str:
    from huggingface_hub import HfApi, errors

    from tfwav2vec2.weights.files import network_errors

    try:
        header = HfApi().get_safetensors_metadata(model)
    except errors.NotASafetensorsRepoError:
        return "known after the download: the hub has no safetensors file of it"
    except network_errors():
        return "known after the download: the hub cannot be reached"
    return f"{sum(header.parameter_count.values()):,} in {len(header.weight_map)} tensors"


def _files(model: str) -> list[tuple[str, int]]:
    """Names and sizes in bytes: of the folder, else on the hub, else in the cache."""
    from tfwav2vec2.weights.files import find_file, network_errors

    if not _is_folder(model):
        from huggingface_hub import HfApi

        try:
            siblings = HfApi().model_info(model, files_metadata=True).siblings or []
            return [(file.rfilename, file.size or 0) for file in siblings]
        except network_errors():
            pass  # without the network, the cache is what there is
    folder = find_file(model, "config.json").parent
    return [(path.name, path.stat().st_size) for path in sorted(folder.iterdir()) if path.is_file()]


def _is_folder(model: str) -> bool:
    return Path(model).expanduser().is_dir()


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
