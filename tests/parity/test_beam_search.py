"""The beam search against pyctcdecode and kenlm, which transformers' processor with a language model rests on.

pyctcdecode (0.5) says that it needs numpy below 2, and runs with a newer one. Its texts and scores are held against this
package's wherever its two best are more than 1e-3 apart; logits are float64, since it adds up in their type.

``TFWAV2VEC2_BEAM_CASES`` says how many cases are drawn in all; each of them is compared, and the number is checked.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.language.arpa_files import random_ngrams, write_arpa
from tfwav2vec2 import build_ctcdecoder
from tfwav2vec2.language.beam_search import BeamSearchDecoderCTC
from tfwav2vec2.language.kenlm_binary import KenlmModel
from tfwav2vec2.language.language_model import LanguageModel
from tfwav2vec2.language.ngram_lm import NGramModel

pyctcdecode = pytest.importorskip("pyctcdecode", reason="the live comparison needs pyctcdecode and kenlm")
kenlm = pytest.importorskip("kenlm", reason="the live comparison needs pyctcdecode and kenlm")

pytestmark = pytest.mark.filterwarnings("ignore")

CASES = int(os.environ.get("TFWAV2VEC2_BEAM_CASES", "300"))

CLOSE = 1e-3
LETTERS = ["a", "b", "c", "ab"]
MANY_LETTERS = [*"abcdefghijklmnopqrstuvwxyz'éßж"]
PIECES = ["▁a", "▁b", "▁ab", "a", "b", "c", "ab", "bc", "cc"]
WORDS = ["a", "ab", "bca", "cab", "aabbcca", "abcabcabc", "cc"]
ENGLISH = [" ", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'", ""]

alphabets = {
    "letters": (
        st.lists(st.sampled_from(LETTERS), min_size=1, unique=True)
        | st.lists(st.sampled_from(MANY_LETTERS), min_size=5, unique=True)
    )
    .map(lambda letters: [*letters, " ", ""])
    .flatmap(st.permutations),
    "pieces": st.lists(st.sampled_from(PIECES), min_size=2, unique=True)
    .filter(lambda pieces: any(piece.startswith("▁") for piece in pieces))
    .map(lambda pieces: [*pieces, ""])
    .flatmap(st.permutations),
}
weights = st.fixed_dictionaries(
    {
        "alpha": st.floats(0, 2),
        "beta": st.floats(-3, 3),
        "unk_score_offset": st.floats(-10, 0),
        "lm_score_boundary": st.booleans(),
    }
)
unigram_lists = st.none() | st.lists(st.sampled_from([*WORDS, "foreign"]), unique=True).map(
    lambda words: ["zq", *words]
)
limits = {
    "beam_width": st.sampled_from([1, 2, 5, 20, 100]),
    "beam_prune_logp": st.sampled_from([-1.0, -5.0, -10.0, -30.0]),
    "token_min_logp": st.sampled_from([-1.0, -3.0, -5.0, -20.0]),
    "hotword_weight": st.sampled_from([0.0, 1.0, 5.0, 10.0, -3.0]),
}
options = st.fixed_dictionaries(
    {
        **limits,
        "hotwords": st.none() | st.lists(st.sampled_from([*WORDS, "abba", "cd a", "ca"]), max_size=4),
    }
)
english_options = st.fixed_dictionaries(
    {
        **limits,
        "hotwords": st.none()
        | st.lists(
            st.sampled_from(["ACHIEVE", "WEEP", "ZEBRA CROSSING", "I", "HAV", "REMEMBERED"]), max_size=4
        ),
    }
)
thorough = settings(
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
        HealthCheck.nested_given,
    ],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("beam-search")


@pytest.fixture(scope="module")
def trigram(shared_data, folder):
    path = folder / "3gram.arpa"
    with gzip.open(next((shared_data / "lm").glob("*.arpa.gz"))) as packed, path.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked)
    return path


@pytest.fixture(scope="module")
def real_logits(shared_data):
    return np.array(json.loads((shared_data / "ctc_logits" / "libri_logits.json").read_text()))


def assert_same_beams(ours, reference) -> None:
    """Texts, times and scores of all transcripts, each as far as the reference's next ones are apart from it."""
    assert len(ours) == len(reference)
    scores = [beam[-1] for beam in reference]
    assume(len(scores) < 2 or scores[0] - scores[1] > CLOSE)
    for rank, (text, *_, word_frames, logit_score, lm_score) in enumerate(reference):
        assert ours[rank].lm_score == pytest.approx(lm_score, abs=CLOSE)
        beside = [*scores[max(rank - 1, 0) : rank], *scores[rank + 1 : rank + 2]]
        if all(abs(score - lm_score) > CLOSE for score in beside):
            assert ours[rank].text == text
            assert ours[rank].word_frames == word_frames
            assert ours[rank].logit_score == pytest.approx(logit_score, abs=CLOSE)


def as_probabilities(logits: np.ndarray, kind: str) -> np.ndarray:
    """The same for a decoder: logits, log probabilities or probabilities."""
    if kind == "logits":
        return logits
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares if kind == "probabilities" else np.log(shares)


kinds = st.sampled_from(["logits", "log probabilities", "probabilities"])


@pytest.mark.parametrize("alphabet", list(alphabets))
def test_random_logits_over_all_parameters(folder, alphabet) -> None:
    compared = 0

    @settings(thorough, max_examples=2 * CASES // 5)
    @given(
        labels=alphabets[alphabet],
        seed=st.integers(0, 2**32 - 1),
        frames=st.integers(1, 40),
        spread=st.sampled_from([0.1, 1.0, 3.0, 8.0]),
        peak=st.sampled_from([0.0, 4.0, 12.0]),
        kind=kinds,
        order=st.integers(2, 4),
        lm=st.none() | weights,
        unigrams=unigram_lists,
        how=options,
    )
    def compare(labels, seed, frames, spread, peak, kind, order, lm, unigrams, how) -> None:
        nonlocal compared
        rng = np.random.default_rng(seed)
        fields = {}
        if lm is not None:
            path = write_arpa(folder / "random.arpa", random_ngrams([*WORDS, "foreign"], order, rng))
            fields = {**lm, "kenlm_model_path": str(path), "unigrams": unigrams}
        letters = set("".join(labels))
        # Where the labels can spell none of the words, the reference decodes nevertheless.
        known = set(unigrams or ()) - {"zq"} or [*WORDS, "foreign"]
        assume(lm is None or any(letters.issuperset(word) for word in known))
        logits = spread * rng.normal(size=(frames, len(labels)))
        # A path that stands out, its labels some frames long.
        path = np.repeat(rng.integers(len(labels), size=frames), rng.integers(1, 4, frames))[:frames]
        logits[np.arange(frames), path] += peak
        logits = as_probabilities(logits, kind)
        decoder = build_ctcdecoder(labels, **fields)
        reference = pyctcdecode.build_ctcdecoder(labels, **fields)
        expected = reference.decode_beams(logits, **how)
        reference.cleanup()
        assert_same_beams(decoder.decode_beams(logits, **how), expected)
        compared += 1

    compare()
    assert compared >= 2 * CASES // 5


def test_real_logits_over_all_parameters(trigram, real_logits) -> None:
    decoder = build_ctcdecoder(ENGLISH, trigram)
    reference = pyctcdecode.build_ctcdecoder(ENGLISH, str(trigram), sorted(decoder.language_model.unigrams))
    without = build_ctcdecoder(ENGLISH), pyctcdecode.build_ctcdecoder(ENGLISH)
    compared = 0

    @settings(thorough, max_examples=CASES // 5)
    @given(
        seed=st.integers(0, 2**32 - 1),
        first=st.integers(0, 330),
        frames=st.integers(5, 60),
        # These logits are whole numbers: a little noise breaks ties, which fall as the beams happen to be stored.
        noise=st.sampled_from([0.01, 0.5, 2.0, 4.0]),
        sharpness=st.sampled_from([0.3, 1.0, 2.0]),
        kind=kinds,
        lm=st.none() | weights,
        how=english_options,
    )
    def compare(seed, first, frames, noise, sharpness, kind, lm, how) -> None:
        nonlocal compared
        logits = sharpness * real_logits[first : first + frames]
        logits = logits + noise * np.random.default_rng(seed).normal(size=logits.shape)
        logits = as_probabilities(logits, kind)
        pair = without if lm is None else (decoder, reference)
        for each in pair:
            each.reset_params(**(lm or {}))
        assert_same_beams(*(each.decode_beams(logits, **how) for each in pair))
        compared += 1

    compare()
    assert compared >= CASES // 5


@settings(parent=thorough, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), lm=weights, listed=unigram_lists, how=options)
def test_a_model_that_kenlm_holds_gives_the_same(folder, seed, lm, listed, how) -> None:
    rng = np.random.default_rng(seed)
    path = write_arpa(folder / "held.arpa", random_ngrams(WORDS, 3, rng))
    labels = ["", " ", "a", "b", "c"]
    logits = 2 * rng.normal(size=(25, len(labels)))
    lm = dict(lm)
    boundary, unigrams = lm.pop("lm_score_boundary"), [*WORDS, *(listed or ())]
    beams = [
        BeamSearchDecoderCTC(
            build_ctcdecoder(labels).alphabet, LanguageModel(model, unigrams, score_boundary=boundary, **lm)
        ).decode_beams(logits, **how)
        for model in (NGramModel.read(path), KenlmModel(path))
    ]
    assert [beam.text for beam in beams[0]] == [beam.text for beam in beams[1]]
    for one, other in zip(*beams, strict=True):
        assert one.lm_score == pytest.approx(other.lm_score, abs=1e-4)


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
def test_real_logits_with_a_real_model(trigram, real_logits, noise, hotwords) -> None:
    logits = real_logits[:200]
    logits = logits + noise * np.random.default_rng(0).normal(size=logits.shape)
    decoder = build_ctcdecoder(ENGLISH, trigram)
    reference = pyctcdecode.build_ctcdecoder(ENGLISH, str(trigram), sorted(decoder.language_model.unigrams))
    expected = reference.decode_beams(logits, hotwords=hotwords)
    ours = decoder.decode_beams(logits, hotwords=hotwords)
    assert expected[0][-1] - expected[1][-1] > CLOSE
    assert_same_beams(ours, expected)
