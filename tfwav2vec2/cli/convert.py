"""``tfwav2vec2 convert``: a model's files from one format to another."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfwav2vec2.cli.quiet import import_models

if TYPE_CHECKING:
    from tfwav2vec2.weights.conversion import Progress, Report

# As in weights.conversion, which imports TensorFlow; a test compares the two.
FORMATS = ("safetensors", "torch", "keras", "weights-h5")
DTYPES = ("float32", "float16", "bfloat16")

# How far the logits of two sound implementations may lie apart: published models stay below a hundredth of this.
MOST_DIFFERENCE = 1e-2


@click.command(
    short_help="Write a model in another format.",
    epilog="""\b
Examples:
  tfwav2vec2 convert facebook/wav2vec2-base-960h my-model
  tfwav2vec2 convert wav2vec_small_960h.pt my-model
  tfwav2vec2 convert my-model model.keras
  tfwav2vec2 convert model.keras for-torch --to torch
  tfwav2vec2 convert model.weights.h5 my-model --config my-config.json --dtype float16""",
)
@click.argument("source", metavar="SOURCE")
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@click.option(
    "--to",
    type=click.Choice(FORMATS),
    help="The format to write. Without it, what DEST's suffix says (.keras, .weights.h5), else safetensors.",
)
@click.option(
    "--config",
    metavar="PATH",
    help="The config.json of the model, or its folder, where SOURCE has none or another is wanted.",
)
@click.option(
    "--dtype", type=click.Choice(DTYPES), help="The dtype to write. Without it, each tensor keeps its own."
)
@click.option("--overwrite", is_flag=True, help="Replace the model that DEST holds; other files in it stay.")
@click.option("--no-check", is_flag=True, help="Do not compare the logits with those of transformers.")
@click.option("--verbose", "-v", is_flag=True, help="List every tensor, not the parts of the model.")
@click.option("--revision", metavar="NAME", help="A branch, tag or commit of SOURCE on the hub.")
def convert(
    source: str,
    destination: Path,
    to: str | None,
    config: str | None,
    dtype: str | None,
    overwrite: bool,
    no_check: bool,
    verbose: bool,
    revision: str | None,
) -> None:
    """Write the model SOURCE to DEST in another format, bit for bit.

    SOURCE is a folder, a name on the hub, or one file: safetensors, torch's .bin or .pt (transformers', fairseq's or
    torchaudio's), tf_model.h5, flax_model.msgpack, .keras or .weights.h5. DEST is a folder, or the name of a .keras or
    .weights.h5 file. Neither torch nor any of the other libraries is needed, and memory for one tensor.

    The exit status is 1, and DEST is as it was, where a tensor is missing, left over or of another shape. Where torch
    and transformers are installed, the logits of both are compared at the end.
    """
    try:
        import_models()
        from tfwav2vec2.weights import conversion

        with _progress_bar() as progress:
            report = conversion.convert(
                source,
                destination,
                to=to,
                config=config,
                dtype=dtype,
                overwrite=overwrite,
                progress=progress,
                revision=revision,
            )
        for line in described(report, verbose):
            click.echo(line)
        # The reference's own reading of the source is a standard only for what was changed in nothing.
        comparable = source if config is None and dtype is None else None
        click.echo(
            "logits: not compared (--no-check)"
            if no_check
            else checked(report, comparable, revision=revision)
        )
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise click.ClickException(" ".join(str(error).split("\n"))) from error


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    """A bar of bytes on standard error where that is a terminal."""
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, leave=False, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def described(report: Report, verbose: bool) -> Iterator[str]:
    """The lines that tell what was written: whence, whereto, and a table of parts or of tensors."""
    yield f"{'from:':<8}{report.source}"
    yield f"{'to:':<8}{report.destination} ({report.format}): {', '.join(report.files)}"
    yield f"{'class:':<8}TF{report.architecture}"
    if report.initialised:
        yield f"{'new:':<8}{', '.join(report.initialised)}: not in the source, as in a new model"
    yield ""
    yield from _aligned(_tensor_rows(report) if verbose else _part_rows(report))


def _tensor_rows(report: Report) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("tensor", "shape", "dtype", "parameters")]
    rows += [
        (tensor.key, " x ".join(map(str, tensor.shape)), tensor.dtype, f"{tensor.parameters:,}")
        for tensor in report.tensors
    ]
    return [
        *rows,
        (f"total: {len(report.tensors)} tensors", _size(report), _dtypes(report), f"{report.parameters:,}"),
    ]


def _part_rows(report: Report) -> list[tuple[str, ...]]:
    parts: dict[str, list[Any]] = {}
    for tensor in report.tensors:
        parts.setdefault(part_of(tensor.key), []).append(tensor)
    rows: list[tuple[str, ...]] = [("part", "tensors", "dtype", "parameters")]
    for name, tensors in parts.items():
        dtypes = ", ".join(dict.fromkeys(tensor.dtype for tensor in tensors))
        rows.append((name, str(len(tensors)), dtypes, f"{sum(tensor.parameters for tensor in tensors):,}"))
    return [
        *rows,
        (f"total: {_size(report)}", str(len(report.tensors)), _dtypes(report), f"{report.parameters:,}"),
    ]


def part_of(key: str) -> str:
    """The part of a model that a tensor belongs to: a head, or a part of the backbone or of its encoder."""
    depth = 1
    names = key.split(".")
    if names[0] == "wav2vec2":
        depth += 1
    if names[depth - 1] == "encoder":
        depth += 1
    return ".".join(names[:depth])


def _dtypes(report: Report) -> str:
    return ", ".join(dict.fromkeys(tensor.dtype for tensor in report.tensors))


def _size(report: Report) -> str:
    return f"{report.bytes / 1e6:,.1f} MB"


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Columns as wide as their widest entry: names and dtypes to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, middle, dtype, count in rows:
        yield f"{name:<{widths[0]}}  {middle:>{widths[1]}}  {dtype:<{widths[2]}}  {count:>{widths[3]}}"


def checked(report: Report, source: str | None, **hub: Any) -> str:
    """One line about the logits of what was written, beside those of transformers.

    Args:
        report: what was written.
        source: what transformers may read in its place.
        hub: options for reading it.

    Raises:
        ValueError: where they differ by more than rounding explains.
    """
    missing = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
    if missing:
        return f"logits: not compared with transformers ({' and '.join(missing)} not installed)"
    from tfwav2vec2.cli.reference_check import largest_difference

    difference = largest_difference(report, source, **hub)
    if difference is None:
        return "logits: not compared with transformers, which reads neither this source nor this format"
    if not difference <= MOST_DIFFERENCE:
        raise ValueError(
            f"The logits of {report.destination} differ by {difference:.1e} from those of transformers on one second of "
            "sound, far more than rounding explains; do not use it, and please report this with the model's name"
        )
    return f"logits: within {difference:.1e} of transformers on one second of sound"
