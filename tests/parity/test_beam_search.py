"""The beam search against pyctcdecode and kenlm, which transformers' processor with a language model rests on.

pyctcdecode (0.5) says that it needs numpy below 2, and runs with a newer one. Its scores are held against this package's
wherever its two best are more than 1e-3 apart; logits are float64, since it adds up in their type.
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.language.arpa_files import random_ngrams, write_arpa
from tests.test_processor import VOCABULARY, make_processor
from tfwav2vec2 import Wav2Vec2ProcessorWithLM, build_ctcdecoder
from tfwav2vec2.language.beam_search import BeamSearchDecoderCTC
from tfwav2vec2.language.kenlm_binary import KenlmModel
from tfwav2vec2.language.language_model import LanguageModel
from tfwav2vec2.language.ngram_lm import NGramModel

pyctcdecode = pytest.importorskip("pyctcdecode", reason="the live comparison needs pyctcdecode and kenlm")
kenlm = pytest.importorskip("kenlm", reason="the live comparison needs pyctcdecode and kenlm")

pytestmark = pytest.mark.filterwarnings("ignore")

CLOSE = 1e-3
LETTERS = ["a", "b", "c", "ab"]
PIECES = ["▁a", "▁b", "▁ab", "a", "b", "c", "ab", "bc", "cc"]
WORDS = ["a", "ab", "bca", "cab", "aabbcca", "abcabcabc", "cc"]

alphabets = st.one_of(
    st.lists(st.sampled_from(LETTERS), min_size=1, unique=True).map(lambda letters: [*letters, " ", ""]),
    st.lists(st.sampled_from(PIECES), min_size=2, unique=True)
    .filter(lambda pieces: any(piece.startswith("▁") for piece in pieces))
    .map(lambda pieces: [*pieces, ""]),
).flatmap(st.permutations)
weights = st.fixed_dictionaries(
    {
        "alpha": st.floats(0, 2),
        "beta": st.floats(-3, 3),
        "unk_score_offset": st.floats(-10, 0),
        "lm_score_boundary": st.booleans(),
        "unigrams": st.lists(st.sampled_from([*WORDS, "foreign"]), unique=True).map(
            lambda words: ["zq", *words]
        ),
    }
)
options = st.fixed_dictionaries(
    {
        "beam_width": st.sampled_from([1, 2, 5, 20, 100]),
        "beam_prune_logp": st.sampled_from([-1.0, -5.0, -10.0, -30.0]),
        "token_min_logp": st.sampled_from([-1.0, -3.0, -5.0, -20.0]),
        "hotwords": st.none() | st.lists(st.sampled_from([*WORDS, "abba", "cd a", "ca"]), max_size=4),
        "hotword_weight": st.sampled_from([0.0, 1.0, 5.0, 10.0]),
    }
)
thorough = settings(
    max_examples=200,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("beam-search")


def assert_same_beams(ours, reference) -> None:
    """Texts, times and scores, as far as the reference's two best are apart."""
    assert len(ours) == len(reference)
    assume(len(reference) < 2 or reference[0][-1] - reference[1][-1] > CLOSE)
    text, *_, word_frames, logit_score, lm_score = reference[0]
    assert ours[0].text == text
    assert ours[0].word_frames == word_frames
    assert ours[0].logit_score == pytest.approx(logit_score, abs=CLOSE)
    assert ours[0].lm_score == pytest.approx(lm_score, abs=CLOSE)


@thorough
@given(
    labels=alphabets,
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(1, 30),
    spread=st.sampled_from([0.1, 1.0, 3.0, 8.0]),
    order=st.integers(2, 4),
    lm=st.none() | weights,
    how=options,
)
def test_random_logits_over_all_parameters(folder, labels, seed, frames, spread, order, lm, how) -> None:
    rng = np.random.default_rng(seed)
    fields = lm or {}
    if lm is not None:
        path = write_arpa(folder / "random.arpa", random_ngrams([*WORDS, "foreign"], order, rng))
        fields = {**lm, "kenlm_model_path": str(path)}
    letters = set("".join(labels))
    # Where the labels can spell none of the words, the reference decodes nevertheless.
    assume(lm is None or any(letters.issuperset(word) for word in fields["unigrams"]))
    decoder = build_ctcdecoder(labels, **fields)
    reference = pyctcdecode.build_ctcdecoder(labels, **fields)
    logits = spread * rng.normal(size=(frames, len(labels)))
    assert_same_beams(decoder.decode_beams(logits, **how), reference.decode_beams(logits, **how))


@settings(parent=thorough, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), lm=weights, how=options)
def test_a_model_that_kenlm_holds_gives_the_same(folder, seed, lm, how) -> None:
    rng = np.random.default_rng(seed)
    path = write_arpa(folder / "held.arpa", random_ngrams(WORDS, 3, rng))
    labels = ["", " ", "a", "b", "c"]
    logits = 2 * rng.normal(size=(25, len(labels)))
    lm = dict(lm)
    boundary, unigrams = lm.pop("lm_score_boundary"), [*WORDS, *lm.pop("unigrams")]
    beams = [
        BeamSearchDecoderCTC(
            build_ctcdecoder(labels).alphabet, LanguageModel(model, unigrams, score_boundary=boundary, **lm)
        ).decode_beams(logits, **how)
        for model in (NGramModel.read(path), KenlmModel(path))
    ]
    assert [beam.text for beam in beams[0]] == [beam.text for beam in beams[1]]
    for one, other in zip(*beams, strict=True):
        assert one.lm_score == pytest.approx(other.lm_score, abs=1e-4)


@pytest.fixture(scope="module")
def trigram(shared_data, folder):
    path = folder / "3gram.arpa"
    with gzip.open(next((shared_data / "lm").glob("*.arpa.gz"))) as packed, path.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked)
    return path


def test_a_real_models_scores_are_kenlms(trigram, shared_data) -> None:
    ours, reference = NGramModel.read(trigram), kenlm.Model(str(trigram))
    lines = (shared_data / "lm" / "librispeech_train-clean-100.trans.txt").read_text().splitlines()[:300]
    for line in lines:
        words = line.split()[1:]
        state, total = ours.start(), 0.0
        for word in [*words, "WORDTHATISNOT", words[0], "</s>"]:
            score, state = ours.score(state, word)
            total += score
        expected = reference.score(" ".join([*words, "WORDTHATISNOT", words[0]]))
        assert total == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("noise", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("hotwords", [None, ["ACHIEVE", "WEEP", "ZEBRA CROSSING"]])
def test_real_logits_with_a_real_model(trigram, shared_data, noise, hotwords) -> None:
    logits = np.array(json.loads((shared_data / "ctc_logits" / "libri_logits.json").read_text()))[:200]
    logits = logits + noise * np.random.default_rng(0).normal(size=logits.shape)
    labels = [" ", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'", ""]
    decoder = build_ctcdecoder(labels, trigram)
    reference = pyctcdecode.build_ctcdecoder(labels, str(trigram), sorted(decoder.language_model.unigrams))
    expected = reference.decode_beams(logits, hotwords=hotwords)
    ours = decoder.decode_beams(logits, hotwords=hotwords)
    assert expected[0][-1] - expected[1][-1] > CLOSE
    assert_same_beams(ours, expected)


def test_a_folder_goes_to_the_reference_and_back(folder, tmp_path) -> None:
    """transformers reads what this package wrote, decodes the same with a pool, and writes what this package reads."""
    transformers = pytest.importorskip("transformers")
    from multiprocessing import get_context

    arpa = write_arpa(
        folder / "exchange.arpa", random_ngrams(["A", "BAD", "CAB"], 3, np.random.default_rng(0))
    )
    plain = make_processor(tmp_path)
    ours = Wav2Vec2ProcessorWithLM(
        plain.feature_extractor, plain.tokenizer, build_ctcdecoder(list(VOCABULARY), arpa, alpha=0.3)
    )
    ours.save_pretrained(tmp_path / "ours")
    reference = transformers.Wav2Vec2ProcessorWithLM.from_pretrained(tmp_path / "ours")
    logits = 3 * np.random.default_rng(1).normal(size=(3, 40, len(VOCABULARY)))
    logits[:, :, 1:4] = -60  # <s>, </s> and <unk>, which the reference writes out
    padded = np.concatenate([logits, np.full((3, 5, len(VOCABULARY)), -100.0)], axis=1)
    for options in (
        {},
        {"output_word_offsets": True},
        {"n_best": 3, "alpha": 0.9, "beta": 0.0, "hotwords": ["BAD"]},
    ):
        # The single ones first: a pool keeps the weights that the reference had when it was made.
        expected_single, single = reference.decode(logits[0], **options), ours.decode(logits[0], **options)
        with get_context("fork").Pool(2) as pool:
            expected = reference.batch_decode(padded, pool=pool, **options)
            batch = ours.batch_decode(padded, pool=pool, **options)
        for one, other in ((batch, expected), (single, expected_single)):
            assert one.text == other.text
            assert list(one) == list(other.keys())
            assert one.word_offsets == other.word_offsets
            np.testing.assert_allclose(one.logit_score, other.logit_score, atol=CLOSE)
            np.testing.assert_allclose(one.lm_score, other.lm_score, atol=CLOSE)
    reference.save_pretrained(tmp_path / "reference")
    opened = Wav2Vec2ProcessorWithLM.from_pretrained(tmp_path / "reference")
    assert opened.batch_decode(logits) == ours.batch_decode(logits)
    assert opened.language_model.alpha == 0.9


def test_a_binary_of_kenlm(folder) -> None:
    """Where KenLM's own program is at hand, which the Python package does not bring."""
    program = shutil.which("build_binary")
    if program is None:
        pytest.skip("needs KenLM's build_binary on the path")
    arpa = write_arpa(folder / "text.arpa", random_ngrams(WORDS, 3, np.random.default_rng(0)))
    for kind in ("probing", "trie"):
        binary = folder / f"{kind}.bin"
        subprocess.run([program, kind, str(arpa), str(binary)], check=True, capture_output=True)
        decoders = [build_ctcdecoder(["", " ", "a", "b", "c"], path, WORDS) for path in (arpa, binary)]
        assert isinstance(decoders[1].language_model.model, KenlmModel)
        logits = 2 * np.random.default_rng(0).normal(size=(40, 5))
        texts, other = ([beam.text for beam in decoder.decode_beams(logits)] for decoder in decoders)
        assert texts == other
        decoders[1].save_to_dir(folder / kind)
        opened = BeamSearchDecoderCTC.load_from_dir(folder / kind)
        assert [beam.text for beam in opened.decode_beams(logits)] == texts
