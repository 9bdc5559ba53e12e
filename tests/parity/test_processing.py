"""Configuration, feature extractor, tokenizer and processor against the reference, over inputs of every kind.

Where the two differ on purpose, the last part of this file shows both sides.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import tfwav2vec2 as ours
from tests.test_processing_goldens import files_of, plain
from tfwav2vec2.language.vocabulary import AddedToken

reference = pytest.importorskip("transformers", reason="the live comparison needs transformers")
if not reference.__version__.startswith("4.57"):
    pytest.skip(
        f"the reference is transformers 4.57; this is {reference.__version__}", allow_module_level=True
    )
reference.logging.set_verbosity(60)  # above all levels: its remarks are not what is tested

pytestmark = pytest.mark.filterwarnings("ignore")
RATE = 16_000
relaxed = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
CHARACTERS = [*"ABCDabc'éÉßΣ1", "|", "AB", "ng", "a b"]
vocabularies = st.lists(st.sampled_from([*SPECIAL, *CHARACTERS]), min_size=3, max_size=18, unique=True).map(
    lambda tokens: {token: index for index, token in enumerate(dict.fromkeys(["<unk>", *tokens]))}
)
texts = st.lists(
    st.sampled_from([*CHARACTERS, *SPECIAL, " ", "  ", "\n", "XY", "foo", "q", "ς", "İ"]), max_size=12
).map("".join)
tokenizer_fields = st.fixed_dictionaries(
    {},
    optional={
        "do_lower_case": st.booleans(),
        "replace_word_delimiter_char": st.sampled_from([" ", "_", "-"]),
        "word_delimiter_token": st.sampled_from(["|", "'", "A"]),
        "pad_token": st.sampled_from(["[PAD]", "A"]),
        "bos_token": st.none(),
        "additional_special_tokens": st.just(["<x>", "B"]),
        "padding_side": st.sampled_from(["left", "right"]),
        "truncation_side": st.sampled_from(["left", "right"]),
        "clean_up_tokenization_spaces": st.booleans(),
        "model_max_length": st.integers(4, 9),
        "do_normalize": st.booleans(),
    },
)
token_options = st.fixed_dictionaries(
    {},
    optional={name: st.booleans() for name in ("lstrip", "rstrip", "single_word", "normalized", "special")},
)
edits = st.lists(
    st.one_of(
        st.tuples(
            st.just("add_tokens"), st.lists(st.sampled_from(["XY", "foo", "q", "AB", " é"]), max_size=2)
        ),
        st.tuples(st.just("add_token"), st.sampled_from(["XY", "foo", "AB"]), token_options),
        st.tuples(
            st.just("add_special_tokens"),
            st.dictionaries(
                st.sampled_from(["pad_token", "mask_token"]), st.sampled_from(["[P]", "XY", "A"])
            ),
        ),
    ),
    max_size=3,
)
encoding_options = st.fixed_dictionaries(
    {},
    optional={
        "padding": st.sampled_from([True, False, "longest", "max_length", "do_not_pad"]),
        "truncation": st.sampled_from([True, False, "longest_first", "only_first"]),
        "max_length": st.integers(1, 9),
        "pad_to_multiple_of": st.just(4),
        "padding_side": st.sampled_from(["left", "right"]),
        "return_attention_mask": st.booleans(),
        "return_special_tokens_mask": st.booleans(),
        "return_length": st.booleans(),
        "return_tensors": st.sampled_from(["np", "tf", "pt"]),
        "add_special_tokens": st.booleans(),
        "is_split_into_words": st.booleans(),
    },
)
decoding_options = st.fixed_dictionaries(
    {
        name: st.booleans()
        for name in (
            "skip_special_tokens",
            "output_char_offsets",
            "output_word_offsets",
            "group_tokens",
            "spaces_between_special_tokens",
            "clean_up_tokenization_spaces",
        )
    }
)
ids = st.lists(st.tuples(st.integers(0, 24), st.integers(1, 3)), min_size=1, max_size=15).map(
    lambda runs: [index for index, length in runs for _ in range(length)]
)

STATE = (
    "special_tokens_map",
    "all_special_tokens",
    "all_special_ids",
    "added_tokens_encoder",
    "vocab_size",
    "pad_token_id",
    "mask_token_id",
    "word_delimiter_token",
    "word_delimiter_token_id",
    "additional_special_tokens_ids",
    "padding_side",
    "model_max_length",
)


def comparable(value: Any) -> Any:
    """Results as plain data, tensors with their kind, type and shape."""
    if hasattr(value, "items"):
        return {name: comparable(item) for name, item in value.items()}
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        array = np.asarray(value)
        return (type(value).__name__, str(value.dtype), array.shape, plain(array))
    return plain(value)


def outcome(call: Callable[[], Any]) -> Any:
    """What a call gives, or that it fails: messages differ, and so may the errors' types."""
    try:
        return comparable(call())
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError, AssertionError):
        return "fails"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Without the remarks that odd combinations of arguments call for."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


class Pair:
    """The same object of the reference and of this package, asked the same things."""

    def __init__(self, theirs: Any, mine: Any) -> None:
        self.theirs, self.mine = theirs, mine

    def agree(self, method: str, *args: Any, **options: Any) -> None:
        # The reference changes the dictionaries that it is given.
        expected = outcome(lambda: getattr(self.theirs, method)(*deepcopy(args), **deepcopy(options)))
        assert outcome(lambda: getattr(self.mine, method)(*args, **options)) == expected, (
            method,
            args,
            options,
        )

    def agree_on(self, *names: str) -> None:
        for name in names:
            assert comparable(getattr(self.mine, name)) == comparable(getattr(self.theirs, name)), name


def tokenizer_pair(folder: Path, vocabulary: dict[str, Any], fields: dict[str, Any]) -> Pair:
    path = folder / "vocab.json"
    path.write_text(json.dumps(vocabulary), encoding="utf-8")
    # The reference keeps and changes the lists that it is given.
    own = json.loads(json.dumps(fields))
    return Pair(reference.Wav2Vec2CTCTokenizer(path, **own), ours.Wav2Vec2CTCTokenizer(path, **fields))


def edit(pair: Pair, changes: list[Any]) -> None:
    for method, argument, *options in changes:
        if method == "add_token":
            theirs = reference.AddedToken(argument, **options[0])
            assert pair.mine.add_tokens(AddedToken(argument, **options[0])) == pair.theirs.add_tokens(theirs)
        else:
            pair.agree(method, argument)


@relaxed
@given(
    vocabularies, tokenizer_fields, edits, texts, st.lists(texts, min_size=1, max_size=3), encoding_options
)
def test_encoding(tmp_path, vocabulary, fields, changes, text, batch, options) -> None:
    pair = tokenizer_pair(tmp_path, vocabulary, fields)
    edit(pair, changes)
    pair.agree_on(*STATE)
    assert (len(pair.mine), pair.mine.get_vocab()) == (len(pair.theirs), pair.theirs.get_vocab())
    pair.agree("tokenize", text)
    pair.agree("encode", text)
    pair.agree("__call__", text)
    if options.get("return_tensors") in ("tf", "pt"):
        options["padding"] = True  # both make [[], [5]] two empty rows; here ragged rows are an error
    pair.agree("__call__", batch, **options)
    if not options.get("is_split_into_words"):
        assume(text)  # an empty text alone is never padded in the reference; see below
        pair.agree("__call__", text, **options)


@relaxed
@given(vocabularies, tokenizer_fields, edits, ids, ids, decoding_options)
def test_decoding(tmp_path, vocabulary, fields, changes, one, two, options) -> None:
    pair = tokenizer_pair(tmp_path, vocabulary, fields)
    edit(pair, changes)
    pair.agree("decode", one, **options)
    pair.agree("decode", np.array(one), **options)
    pair.agree("convert_ids_to_tokens", one)
    pair.agree("convert_ids_to_tokens", one, skip_special_tokens=True)
    if not options["skip_special_tokens"]:  # that may leave nothing of the first row, see below
        pair.agree("batch_decode", [one, two], **options)


@relaxed
@given(vocabularies, st.lists(ids, min_size=1, max_size=3), encoding_options)
def test_padding_of_ids(tmp_path, vocabulary, batch, options) -> None:
    pair = tokenizer_pair(tmp_path, {"<pad>": 30, **vocabulary}, {})
    names = ("padding", "max_length", "pad_to_multiple_of", "padding_side", "return_tensors")
    options = {name: options[name] for name in names if name in options}
    if options.get("return_tensors") in ("tf", "pt"):
        options["padding"] = True  # as above
    pair.agree("pad", {"input_ids": [list(row) for row in batch]}, **options)
    pair.agree("pad", [{"input_ids": list(row)} for row in batch], **options)
    pair.agree("pad", {"input_ids": list(batch[0])}, **options)


@relaxed
@given(vocabularies, tokenizer_fields, edits, texts)
def test_tokenizer_files_both_ways(tmp_path, vocabulary, fields, changes, text) -> None:
    pair = tokenizer_pair(tmp_path, vocabulary, fields)
    edit(pair, changes)
    for path in tmp_path.glob("saved-*/*"):
        path.unlink()
    mine, theirs = tmp_path / "saved-mine", tmp_path / "saved-theirs"
    assert files_of(pair.mine, mine) == files_of(pair.theirs, theirs)
    again = Pair(
        reference.Wav2Vec2CTCTokenizer.from_pretrained(mine),
        ours.Wav2Vec2CTCTokenizer.from_pretrained(theirs),
    )
    again.agree_on(*STATE)
    again.agree("__call__", text)
    assert files_of(again.mine, theirs) == files_of(again.theirs, mine)


clips = st.lists(st.integers(1, 50), min_size=1, max_size=3)
extractor_fields = st.fixed_dictionaries(
    {},
    optional={
        "do_normalize": st.booleans(),
        "return_attention_mask": st.booleans(),
        "padding_value": st.sampled_from([0.0, -1.5]),
    },
)
audio_options = st.fixed_dictionaries(
    {},
    optional={
        "padding": st.sampled_from([True, False, "longest", "max_length"]),
        "max_length": st.integers(1, 60),
        "truncation": st.booleans(),
        "pad_to_multiple_of": st.just(8),
        "return_attention_mask": st.booleans(),
        "return_tensors": st.sampled_from(["np", "tf", "pt"]),
    },
)


@relaxed
@given(
    clips,
    st.sampled_from(["float32", "float64", "float16", "int16", "list", "integers", "matrix"]),
    st.integers(0, 2**32 - 1),
    extractor_fields,
    audio_options,
)
def test_feature_extraction(lengths, kind, seed, fields, options) -> None:
    rng = np.random.default_rng(seed)
    lengths = [lengths[0]] * len(lengths) if kind == "matrix" else lengths
    audio: Any = [300 * rng.standard_normal(length) + 20 for length in lengths]
    if kind in ("list", "integers"):
        audio = [(clip.astype(int) if kind == "integers" else clip).tolist() for clip in audio]
    elif kind == "matrix":
        audio = np.stack(audio)
    else:
        audio = [clip.astype(kind) for clip in audio]
    pair = Pair(reference.Wav2Vec2FeatureExtractor(**fields), ours.Wav2Vec2FeatureExtractor(**fields))
    expected = outcome(lambda: pair.theirs(audio, sampling_rate=RATE, **options))
    assume(
        expected != "fails"
    )  # rows longer than max_length with a mask: the reference cannot normalise them
    assert outcome(lambda: pair.mine(audio, sampling_rate=RATE, **options)) == expected
    single = audio[0]
    assert outcome(lambda: pair.mine(single, sampling_rate=RATE)) == outcome(
        lambda: pair.theirs(single, sampling_rate=RATE)
    )


@relaxed
@given(clips, extractor_fields, audio_options)
def test_padding_of_clips(lengths, fields, options) -> None:
    pair = Pair(reference.Wav2Vec2FeatureExtractor(**fields), ours.Wav2Vec2FeatureExtractor(**fields))
    rows = [np.arange(length, dtype=np.float32) for length in lengths]
    pair.agree("pad", {"input_values": rows}, **options)
    pair.agree("pad", [{"input_values": row.tolist()} for row in rows], **options)


config_fields = st.fixed_dictionaries(
    {},
    optional={
        "vocab_size": st.integers(1, 1000),
        "hidden_size": st.sampled_from([48, 96]),
        "layerdrop": st.floats(0, 1),
        "hidden_act": st.sampled_from(["gelu", "relu"]),
        "feat_extract_norm": st.sampled_from(["group", "layer"]),
        "do_stable_layer_norm": st.booleans(),
        "pad_token_id": st.none() | st.integers(0, 5),
        "output_hidden_size": st.none() | st.just(32),
        "num_labels": st.integers(1, 12),
        "output_attentions": st.booleans(),
        "return_dict": st.booleans(),
        "architectures": st.none() | st.just(["Wav2Vec2ForCTC"]),
        "torch_dtype": st.sampled_from(["float32", "float16"]),
        "problem_type": st.none() | st.just("regression"),
        "x_unknown": st.none() | st.lists(st.integers()) | st.text(),
    },
)


@relaxed
@given(config_fields)
def test_configurations(tmp_path, fields) -> None:
    theirs, mine = reference.Wav2Vec2Config(**fields), ours.Wav2Vec2Config(**fields)
    expected = files_of(theirs, tmp_path / "theirs")["config.json"]
    written = files_of(mine, tmp_path / "mine")["config.json"]
    kept = [line for line in expected.splitlines(keepends=True) if "transformers_version" not in line]
    assert written == "".join(kept)
    known = theirs.to_dict()
    assert {name: value for name, value in mine.to_dict().items() if name in known} == {
        name: known[name] for name in mine.to_dict() if name in known
    } | ({"dtype": mine.dtype} if mine.dtype else {})
    again = ours.Wav2Vec2Config.from_pretrained(tmp_path / "theirs")
    del again.transformers_version
    assert again.to_json_string() == written
    assert (
        reference.Wav2Vec2Config.from_pretrained(tmp_path / "mine").to_json_string()
        == theirs.to_json_string()
    )


TEXTS = ["HELLO WORLD", "IT'S <s> A|TEST", "", "<x>XYZ  é"]
FRAMES = [0, 12, 12, 9, 16, 16, 0, 16, 19, 4, 4, 0, 27, 19, 33]
CLIP = np.sin(np.arange(700, dtype=np.float32)).tolist()
LETTERS = {
    token: index
    for index, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"])
}


def results_of(processor: Any) -> dict[str, Any]:
    """What a processor makes of texts, frames and a clip, as JSON has it."""
    offsets = processor.tokenizer.decode(FRAMES, output_word_offsets=True, output_char_offsets=True)
    results = {
        "ids": processor(text=TEXTS)["input_ids"],
        "text": processor.batch_decode([FRAMES]),
        "words": offsets["word_offsets"],
        "characters": offsets["char_offsets"],
        "values": processor(CLIP, sampling_rate=RATE, padding="max_length", max_length=900)["input_values"],
        "mask": processor(CLIP, sampling_rate=RATE).get("attention_mask"),
        "length": len(processor.tokenizer),
    }
    return json.loads(json.dumps(plain(results)))


def make_processor(package: Any, folder: Path) -> Any:
    path = folder / "vocab.json"
    path.write_text(json.dumps(LETTERS), encoding="utf-8")
    tokenizer = package.Wav2Vec2CTCTokenizer(path, additional_special_tokens=["<x>"])
    tokenizer.add_tokens(["XY"])
    extractor = package.Wav2Vec2FeatureExtractor(return_attention_mask=True, padding_value=0.5)
    return package.Wav2Vec2Processor(extractor, tokenizer)


def test_processor_files_both_ways(tmp_path) -> None:
    pair = Pair(make_processor(reference, tmp_path), make_processor(ours, tmp_path))
    expected = results_of(pair.theirs)
    assert results_of(pair.mine) == expected
    assert files_of(pair.mine, tmp_path / "mine") == files_of(pair.theirs, tmp_path / "theirs")
    # AutoProcessor of the reference needs no config.json where the files name their class.
    assert results_of(reference.AutoProcessor.from_pretrained(tmp_path / "mine")) == expected
    assert results_of(ours.AutoProcessor.from_pretrained(tmp_path / "theirs")) == expected


def test_processor_calls(tmp_path) -> None:
    pair = Pair(make_processor(reference, tmp_path), make_processor(ours, tmp_path))
    audio = [np.array(CLIP, np.float32), np.array(CLIP[:300], np.float32)]
    for options in (
        {"padding": True},
        {"padding": True, "return_tensors": "np"},
        {"padding": True, "return_tensors": "tf"},
        {"padding": "max_length", "max_length": 800, "return_attention_mask": False},
        {"padding": True, "truncation": True, "max_length": 400},
    ):
        pair.agree("__call__", audio, sampling_rate=RATE, **options)
        pair.agree("__call__", text=TEXTS, **options)
        pair.agree("__call__", audio, text=TEXTS[:2], sampling_rate=RATE, **options)
    pair.agree(
        "__call__",
        audio,
        text=TEXTS[:2],
        audio_kwargs={"sampling_rate": RATE, "padding": True},
        text_kwargs={"padding": "max_length", "max_length": 20},
        return_tensors="np",
    )
    inputs, labels = [{"input_values": clip} for clip in audio], [{"input_ids": [5, 6]}, {"input_ids": [7]}]
    for options in ({}, {"return_tensors": "np"}, {"padding": True, "return_tensors": "pt"}):
        pair.agree("pad", inputs, **options)
        pair.agree("pad", labels=labels, **options)
        pair.agree("pad", inputs, labels=labels, **options)
    pair.agree_on("model_input_names")
    pair.agree("decode", FRAMES)
    pair.agree("batch_decode", [FRAMES, FRAMES[3:]], output_word_offsets=True)


# transformers 5 lives in an environment of its own and is asked through a process.

NEWEST = os.environ.get("TFWAV2VEC2_TRANSFORMERS5_PYTHON")
needs_newest = pytest.mark.skipif(
    not NEWEST, reason="TFWAV2VEC2_TRANSFORMERS5_PYTHON names no Python that has transformers 5"
)


def in_newest(statements: str, *arguments: str) -> Any:
    """Run statements under transformers 5 with this file's helpers; what they call ``answer`` comes back."""
    here = Path(__file__)
    code = f"""
import json, sys
from pathlib import Path
import numpy as np
import transformers
transformers.logging.set_verbosity_error()
source = Path({str(here)!r}).read_text()
start, end = source.index("TEXTS = ["), source.index("def test_processor_files_both_ways")
golden = Path({str(here.parents[1] / "test_processing_goldens.py")!r}).read_text()
from typing import Any
RATE = {RATE}
exec(golden[golden.index("def plain("):golden.index("def files_of(")])
exec(source[start:end])
arguments = sys.argv[1:]
{statements}
print("answer:" + json.dumps(answer))
"""
    run = subprocess.run([NEWEST, "-c", code, *arguments], check=True, capture_output=True, text=True)
    return json.loads(run.stdout.rpartition("answer:")[2])


@needs_newest
def test_what_is_written_here_is_read_by_transformers_5(tmp_path) -> None:
    mine = make_processor(ours, tmp_path)
    mine.save_pretrained(tmp_path / "mine")
    ours.Wav2Vec2Config(num_labels=3, x_unknown=[1]).save_pretrained(tmp_path / "mine")
    answer = in_newest(
        "from transformers import AutoConfig, AutoProcessor\n"
        "processor = AutoProcessor.from_pretrained(arguments[0])\n"
        "config = AutoConfig.from_pretrained(arguments[0])\n"
        "answer = [type(processor).__name__, results_of(processor), config.num_labels, config.x_unknown]",
        str(tmp_path / "mine"),
    )
    assert answer == ["Wav2Vec2Processor", results_of(mine), 3, [1]]


@needs_newest
@pytest.mark.parametrize("times", [1, 2])
def test_what_transformers_5_writes_is_read_here(tmp_path, times: int) -> None:
    folders = [str(tmp_path / str(time)) for time in range(times)]
    answer = in_newest(
        "processor = make_processor(transformers, Path(arguments[0]))\n"
        "for folder in arguments[1:]:\n"
        "    processor.save_pretrained(folder)\n"
        "    transformers.Wav2Vec2Config(num_labels=3, x_unknown=[1]).save_pretrained(folder)\n"
        "    processor = transformers.AutoProcessor.from_pretrained(folder)\n"
        "answer = results_of(processor)",
        str(tmp_path),
        *folders,
    )
    again = ours.AutoProcessor.from_pretrained(folders[-1])
    assert results_of(again) == answer
    config = ours.AutoConfig.from_pretrained(folders[-1])
    assert (config.num_labels, config.x_unknown) == (3, [1])
    again.save_pretrained(folders[-1])  # now 4.57's layout lies beside that of 5
    assert results_of(ours.AutoProcessor.from_pretrained(folders[-1])) == answer
    assert results_of(reference.AutoProcessor.from_pretrained(folders[-1])) == answer


LANGUAGES = {
    "deu": {t: i for i, t in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", "a", "b", "sch", "ng", "c"])},
    "fra": {
        t: i for i, t in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", "é", "oi", "a", "b", "x", "y"])
    },
}


@needs_newest
def test_languages_are_switched_as_in_transformers_5(tmp_path) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps(LANGUAGES), encoding="utf-8")
    text, frames = "schaboi aéng", [5, 6, 7, 8, 9, 10, 4, 3]
    mine = ours.Wav2Vec2CTCTokenizer(path, target_lang="deu")
    mine.set_target_lang("fra")
    answer = in_newest(
        "tokenizer = transformers.Wav2Vec2CTCTokenizer(arguments[0], target_lang='deu')\n"
        "tokenizer.set_target_lang('fra')\n"
        "frames = json.loads(arguments[2])\n"
        "answer = [tokenizer(arguments[1])['input_ids'], tokenizer.decode(frames), tokenizer.get_vocab()]",
        str(path),
        text,
        json.dumps(frames),
    )
    assert [mine(text)["input_ids"], mine.decode(frames), mine.get_vocab()] == answer


class TestDifferences:
    """Faults of the reference that are not repeated, as the docstrings say."""

    def test_padding_on_the_left_wipes_audio(self) -> None:
        fields = {"padding_side": "left", "return_attention_mask": True}
        audio = [np.arange(1, 4, dtype=np.float32), np.arange(1, 21, dtype=np.float32)]
        theirs, mine = (
            package.Wav2Vec2FeatureExtractor(**fields)(audio, sampling_rate=RATE, padding=True)[
                "input_values"
            ][0]
            for package in (reference, ours)
        )
        assert np.count_nonzero(theirs[-3:]) == 0
        assert np.count_nonzero(mine[-3:]) == 2  # the middle one is the mean

    def test_a_language_keeps_tokens_of_the_one_before(self, tmp_path) -> None:
        pair = tokenizer_pair(tmp_path, LANGUAGES, {"target_lang": "deu"})
        for tokenizer in (pair.theirs, pair.mine):
            tokenizer.set_target_lang("fra")
        assert (pair.theirs.decode([7, 8]), pair.mine.decode([7, 8])) == ("schng", "ab")

    def test_unknown_characters_have_no_id_where_the_vocabulary_lacks_the_unknown_token(
        self, tmp_path
    ) -> None:
        pair = tokenizer_pair(tmp_path, {"<pad>": 0, "|": 1, "a": 2}, {})
        assert pair.theirs("a?")["input_ids"] == [2, None]
        assert pair.mine("a?")["input_ids"] == [2, pair.mine.unk_token_id] == [2, 5]

    def test_a_word_delimiter_of_several_characters_falls_apart(self, tmp_path) -> None:
        pair = tokenizer_pair(tmp_path, {"<unk>": 0, "--": 1, "a": 2}, {"word_delimiter_token": "--"})
        assert pair.theirs("a a")["input_ids"] == [2, 0, 0, 2]
        assert pair.mine("a a")["input_ids"] == [2, 1, 2]

    def test_a_token_inside_a_longer_one_that_does_not_match_is_lost(self, tmp_path) -> None:
        pair = tokenizer_pair(tmp_path, {t: i for i, t in enumerate(["tsch", "sc", *"tschx", "<unk>"])}, {})
        assert pair.theirs.tokenize("tscxh") == [*"tscxh"]
        assert pair.mine.tokenize("tscxh") == ["t", "sc", "x", "h"]

    def test_an_empty_text_alone_is_not_padded(self, tmp_path) -> None:
        pair = tokenizer_pair(tmp_path, LETTERS, {})
        options = {"padding": "max_length", "max_length": 2}
        assert (pair.theirs("", **options)["input_ids"], pair.theirs([""], **options)["input_ids"]) == (
            [],
            [[0, 0]],
        )
        assert (pair.mine("", **options)["input_ids"], pair.mine([""], **options)["input_ids"]) == (
            [0, 0],
            [[0, 0]],
        )
