"""``tfwav2vec2 lm``: text in, a language model that decodes out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tfwav2vec2.language.kneser_ney import Estimate
    from tfwav2vec2.language.ngram_counts import Corpus
    from tfwav2vec2.language.ngram_lm import NGramModel
    from tfwav2vec2.language.perplexity import Perplexity
    from tfwav2vec2.processor import Wav2Vec2Processor

_CASES: dict[str, Callable[[str], str]] = {"keep": str, "lower": str.lower, "upper": str.upper}

_PRUNE = "--prune"

# Imported late: numba takes its time.
_DEFAULT_ORDER, _MAX_ORDER = 3, 10
_SPECIAL_WORDS = 3  # <unk>, <s> and </s> lead every vocabulary


class _ListAfterPrune(click.Command):
    """A command whose ``--prune`` takes the numbers that follow it, however many, as lmplz does."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        joined: list[str] = []
        numbers: list[str] | None = None
        for argument in args:
            if numbers is not None and argument.isdecimal():
                numbers.append(argument)
                continue
            if numbers:
                joined.append(" ".join(numbers))
            numbers = [] if argument == _PRUNE else None
            joined.append(argument)
        return super().parse_args(context, joined + ([" ".join(numbers)] if numbers else []))


def _thresholds(context: click.Context, option: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        return tuple(map(int, value.replace(",", " ").split()))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no list of whole numbers such as 0 0 1") from None


@click.command(
    cls=_ListAfterPrune,
    short_help="Train a language model on text.",
    epilog="Example:  tfwav2vec2 lm books.txt --order 4 --prune 0 0 1 --model facebook/wav2vec2-base-960h --output with-lm",
)
@click.argument(
    "texts",
    metavar="TEXT...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write to, which may be the model's own.",
)
@click.option(
    "--order",
    type=click.IntRange(1, _MAX_ORDER),
    default=_DEFAULT_ORDER,
    show_default=True,
    help="How many words the longest n-grams have.",
)
@click.option(
    "--prune",
    metavar="COUNTS",
    default="0",
    show_default=True,
    callback=_thresholds,
    help="For each length, leave out n-grams that occur so often or less; 0 0 1 drops trigrams that occur once. The first is "
    "0, and the last goes for all greater lengths.",
)
@click.option(
    "--model",
    metavar="NAME_OR_FOLDER",
    help="Write the text in this recogniser's letters, and its processor's files too.",
)
@click.option(
    "--case",
    type=click.Choice(list(_CASES)),
    help="Without --model, the case that the recogniser writes.  [default: keep]",
)
@click.option(
    "--drop-first-column", is_flag=True, help="The lines begin with a name, as LibriSpeech's transcripts do."
)
@click.option(
    "--discount-fallback",
    is_flag=True,
    help="Take 0.5, 1 and 1.5 as discounts where the text is too small to tell.",
)
@click.option("--gzip", "packed", is_flag=True, help="Write .arpa.gz, which pyctcdecode does not read.")
@click.option(
    "--evaluate",
    "held_out",
    metavar="TEXT",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Print the perplexity of this text, which should be none of the above.",
)
def lm(
    texts: tuple[Path, ...],
    output: Path,
    order: int,
    prune: tuple[int, ...],
    model: str | None,
    case: str | None,
    drop_first_column: bool,
    discount_fallback: bool,
    packed: bool,
    held_out: Path | None,
) -> None:
    """Train an n-gram language model on TEXT and write it in the form that decoders read.

    A file of TEXT has one sentence a line, in UTF-8, perhaps gzipped; of a manifest (.tsv, .csv, .jsonl) the transcripts
    are taken. The smoothing is interpolated modified Kneser-Ney, by the conventions of KenLM's lmplz. DIR/language_model
    gets the ARPA file, the list of words and the weights. With --model, DIR is what AutoProcessor opens as a processor with
    a language model.
    """
    if model is not None and case is not None:
        raise click.UsageError(
            "--case is for texts without --model, which says itself what letters it writes"
        )
    try:
        _train(
            texts, output, order, prune, model, case, drop_first_column, discount_fallback, packed, held_out
        )
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise click.ClickException(" ".join(str(error).split("\n"))) from error


def _train(
    texts: tuple[Path, ...],
    output: Path,
    order: int,
    prune: tuple[int, ...],
    recogniser: str | None,
    case: str | None,
    drop_first_column: bool,
    discount_fallback: bool,
    packed: bool,
    held_out: Path | None,
) -> None:
    from tfwav2vec2.extras import require_extra
    from tfwav2vec2.language.kneser_ney import check_options, estimate
    from tfwav2vec2.language.lm_files import FOLDER, check_no_other, trained_name
    from tfwav2vec2.language.ngram_counts import read_corpus
    from tfwav2vec2.language.perplexity import perplexity
    from tfwav2vec2.language.text_files import normaliser, read_sentences

    # What is going to fail later fails now.
    check_options(order, prune, discount_fallback)
    name = trained_name(order) + (".gz" if packed else "")
    check_no_other(output, name)
    require_extra("lm", "A language model needs", ("numba",))
    processor = None if recogniser is None else _open_processor(recogniser)
    normalise = _CASES[case or "keep"] if processor is None else normaliser(_letters(processor))

    def sentences(paths: Iterable[Path]) -> Iterator[str]:
        return (normalise(sentence) for path in paths for sentence in read_sentences(path, drop_first_column))

    corpus = read_corpus(_progress(sentences(texts), "sentences"))
    result = estimate(
        corpus, order, prune, discount_fallback, lambda lengths: _progress(lengths, "lengths", order)
    )
    model = _write(result, output / FOLDER / name, processor)
    click.echo("\n".join(described(corpus, result)))
    if processor is not None:
        for note in _unspellable(corpus, processor):
            click.echo(note, err=True)
    if held_out is not None:
        measured = perplexity(model, _progress(sentences([held_out]), "sentences"))
        click.echo(evaluated(measured, held_out))
    click.echo(f"language model in {output}")


def _open_processor(name_or_path: str) -> Wav2Vec2Processor:
    """A recogniser's feature extractor and tokenizer; a language model that it has already is not opened."""
    from tfwav2vec2.audio.feature_extractor import Wav2Vec2FeatureExtractor
    from tfwav2vec2.language.tokenizer import Wav2Vec2CTCTokenizer
    from tfwav2vec2.processor import Wav2Vec2Processor

    return Wav2Vec2Processor(
        Wav2Vec2FeatureExtractor.from_pretrained(name_or_path),
        Wav2Vec2CTCTokenizer.from_pretrained(name_or_path),
    )


def _labels(processor: Wav2Vec2Processor) -> list[str]:
    vocabulary = processor.tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)


def _letters(processor: Wav2Vec2Processor) -> frozenset[str]:
    """What the recogniser's words are spelled with."""
    from tfwav2vec2.language.alphabet import Alphabet

    return frozenset("".join(Alphabet.build(_labels(processor)).spellings()))


def _progress(items: Iterable[Any], unit: str, total: int | None = None) -> Iterable[Any]:
    from tqdm import tqdm

    return tqdm(
        items, total=total, unit=f" {unit}", leave=False, disable=None, unit_scale=True, file=sys.stderr
    )


def _write(result: Estimate, path: Path, processor: Wav2Vec2Processor | None) -> NGramModel:
    """Write the folder two levels above ``path``, which is the ARPA file's; returns the model."""
    from tfwav2vec2.language.alphabet import Alphabet
    from tfwav2vec2.language.arpa_writer import write_arpa
    from tfwav2vec2.language.beam_search import BeamSearchDecoderCTC
    from tfwav2vec2.language.language_model import LanguageModel
    from tfwav2vec2.language.lm_files import write_language_model
    from tfwav2vec2.language.ngram_lm import NGramModel
    from tfwav2vec2.processor_with_lm import Wav2Vec2ProcessorWithLM

    model = NGramModel(result.arpa, path)
    language_model = LanguageModel(model, result.arpa.words[_SPECIAL_WORDS:])
    output = path.parent.parent
    if processor is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_arpa(result.arpa, path)
        write_language_model(output, language_model)
    else:
        # Before anything is written: whether the words and the letters belong together.
        decoder = BeamSearchDecoderCTC(Alphabet.build(_labels(processor)), language_model)
        complete = Wav2Vec2ProcessorWithLM(processor.feature_extractor, processor.tokenizer, decoder)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_arpa(result.arpa, path)
        complete.save_pretrained(output)
    return model


def _unspellable(corpus: Corpus, processor: Wav2Vec2Processor) -> Iterator[str]:
    letters = _letters(processor)
    words = [word for word in corpus.words[_SPECIAL_WORDS:] if not letters.issuperset(word)]
    if words:
        yield (
            f"{len(words):,} words cannot be spelled with the model's letters and are never written, such as {words[0]!r}"
        )


def described(corpus: Corpus, result: Estimate) -> Iterator[str]:
    """What was counted, and what came of it."""
    running = len(corpus.tokens) - 2 * corpus.sentences
    different = len(corpus.words) - _SPECIAL_WORDS
    yield f"{corpus.sentences:,} sentences, {running:,} words, {different:,} of them different"
    for order, (section, counted, discounts) in enumerate(
        zip(result.arpa.sections, result.counted, result.discounts, strict=True), start=1
    ):
        pruned = counted - len(section.words)
        yield (
            f"{order}-grams {len(section.words):>12,}  discounts {'  '.join(f'{amount:.4f}' for amount in discounts)}"
            + (f"  ({pruned:,} pruned)" if pruned else "")
        )


def evaluated(measured: Perplexity, path: Path) -> str:
    """The perplexity of a file in words."""
    return (
        f"perplexity of {path.name}: {measured.with_unknown:.2f}, without unknown words {measured.without_unknown:.2f} "
        f"({measured.words:,} words with the ends of {measured.sentences:,} sentences, {measured.unknown:,} unknown)"
    )
