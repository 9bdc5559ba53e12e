"""The beam search against all paths through small logits, and what holds for any."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.language.arpa_files import random_ngrams, write_arpa
from tfwav2vec2.language.alphabet import Alphabet
from tfwav2vec2.language.beam_search import BeamSearchDecoderCTC, build_ctcdecoder
from tfwav2vec2.language.language_model import LanguageModel
from tfwav2vec2.language.log_probabilities import log_probabilities
from tfwav2vec2.language.ngram_lm import NGramModel

LETTERS = ["", " ", "a", "b"]
PIECES = ["", "▁a", "a", "b", "▁b"]
UNLIMITED = {"beam_width": 5000, "beam_prune_logp": -1e9, "token_min_logp": -1e9}
relaxed = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40
)


def random_logits(seed: int, frames: int, labels: int, spread: float = 2.0) -> np.ndarray:
    return spread * np.random.default_rng(seed).normal(size=(frames, labels))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> NGramModel:
    path = tmp_path_factory.mktemp("lm") / "model.arpa"
    words = ["a", "ab", "ba", "abba", "b"]
    return NGramModel.read(write_arpa(path, random_ngrams(words, 3, np.random.default_rng(0))))


def text_of(path: tuple[int, ...], labels: list[str]) -> str:
    collapsed = [labels[label] for at, label in enumerate(path) if at == 0 or path[at - 1] != label]
    return " ".join("".join(collapsed).replace("▁", " ").split())


@relaxed
@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 6), labels=st.sampled_from([LETTERS, PIECES]))
def test_without_limits_every_text_has_the_sum_of_its_paths(seed, frames, labels) -> None:
    logits = random_logits(seed, frames, len(labels))
    scores = log_probabilities(logits, len(labels))
    expected: dict[str, float] = {}
    for path in product(range(len(labels)), repeat=frames):
        text = text_of(path, labels)
        score = sum(scores[frame, label] for frame, label in enumerate(path))
        expected[text] = np.logaddexp(expected.get(text, -np.inf), score)
    beams = build_ctcdecoder(labels).decode_beams(logits, **UNLIMITED)
    assert {beam.text: beam.logit_score for beam in beams} == pytest.approx(expected, abs=1e-9)
    assert beams[0].logit_score == pytest.approx(max(expected.values()), abs=1e-9)


@relaxed
@given(
    seed=st.integers(0, 2**32 - 1),
    words=st.lists(st.sampled_from(["a", "ab", "ba", "bb"]), min_size=1, max_size=4),
)
def test_the_language_models_share_of_a_score(model, seed, words) -> None:
    """One text alone is possible; its score is that of its frames and of its words."""
    alpha, beta, offset = (float(value) for value in np.random.default_rng(seed).normal(size=3))
    offset = -abs(offset)
    lm = LanguageModel(model, model.words, alpha, beta, offset)
    decoder = BeamSearchDecoderCTC(Alphabet(LETTERS, False), lm)
    labels = [LETTERS.index(letter) for letter in " ".join(words) for letter in (letter, "")]
    logits = np.full((len(labels), len(LETTERS)), -np.inf)
    logits[np.arange(len(labels)), labels] = 0
    (beam,) = decoder.decode_beams(logits)
    state, log10 = model.start(), 0.0
    for word in words:
        score, state = model.score(state, word)
        log10 += score + (0 if word in model else offset)
    log10 += model.score(state, "</s>")[0]
    assert beam.text == " ".join(words)
    assert beam.logit_score == pytest.approx(0, abs=1e-9)
    assert beam.lm_score == pytest.approx(alpha * log10 * np.log(10) + beta * len(words), abs=1e-6)
    assert [word for word, _ in beam.word_frames] == words


@relaxed
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(0, 30),
    with_model=st.booleans(),
    lexicon_bound=st.booleans(),
    hotwords=st.lists(st.sampled_from(["abba", "bab", "a ba"]), max_size=2),
    width=st.sampled_from([1, 3, 100]),
    least=st.sampled_from([-1.0, -5.0]),
)
def test_what_holds_for_any_logits(
    model, seed, frames, with_model, lexicon_bound, hotwords, width, least
) -> None:
    labels = ["<pad>", "<s>", "</s>", "<unk>", "|", "a", "b"]
    decoder = build_ctcdecoder(labels)
    if with_model:
        decoder = BeamSearchDecoderCTC(decoder.alphabet, LanguageModel(model, ["a", "ab", "ba"]))
    logits = random_logits(seed, frames, len(labels))
    options = {
        "beam_width": width, "token_min_logp": least, "hotwords": hotwords,
        "lexicon_bound": lexicon_bound and with_model,
    }  # fmt: skip
    beams = decoder.decode_beams(logits, **options)
    assert beams == decoder.decode_beams(logits, **options)
    assert 1 <= len(beams) <= width
    assert len({beam.text for beam in beams}) == len(beams)
    assert [beam.lm_score for beam in beams] == sorted((beam.lm_score for beam in beams), reverse=True)
    assert decoder.decode_beams(logits, **options, n_best=2) == beams[:2]
    known = {"a", "ab", "ba", *" ".join(hotwords).split()}
    for beam in beams:
        assert set(beam.text) <= set("ab ")
        words = beam.text.split()
        assert [word for word, _ in beam.word_frames] == words
        ends = [0]
        for word, (start, end) in beam.word_frames:
            assert ends[-1] <= start < end <= frames
            assert end - start >= len(word)
            ends.append(end)
        if options["lexicon_bound"]:
            assert set(words) <= known


@relaxed
@given(seeds=st.lists(st.integers(0, 2**32 - 1), max_size=6), threads=st.none() | st.integers(1, 4))
def test_a_batch_is_its_recordings(model, seeds, threads) -> None:
    decoder = BeamSearchDecoderCTC(Alphabet(LETTERS, False), LanguageModel(model, model.words))
    batch = [random_logits(seed, 5 + seed % 20, len(LETTERS)) for seed in seeds]
    words = (word for word in ["abba"])  # an iterator serves the whole batch
    decoded = decoder.decode_beams_batch(batch, threads, hotwords=words)
    assert decoded == [decoder.decode_beams(logits, hotwords=["abba"]) for logits in batch]
    assert decoder.decode_batch(batch, threads) == [decoder.decode(logits) for logits in batch]


def test_hotwords_win_where_the_frames_are_undecided() -> None:
    decoder = build_ctcdecoder(["", " ", *"aelnot"])
    logits = np.full((8, 8), -10.0)
    for frame, letters in enumerate(["a", "l", "", "l", "ae", "n", " ", "t"]):
        for letter in letters or [""]:
            logits[frame, decoder.alphabet.labels.index(letter)] = 0
    logits[4, decoder.alphabet.labels.index("e")] = 0.5
    assert decoder.decode(logits) == "allen t"
    assert decoder.decode(logits, hotwords=["allan"]) == "allan t"
    assert decoder.decode(logits, hotwords=["allan"], hotword_weight=-10.0) == "allen t"
    best = decoder.decode_beams(logits, hotwords=["allan", "  ", "t allan"], hotword_weight=3.0)[0]
    assert best.lm_score - best.logit_score == pytest.approx(6)


def test_only_listed_words_where_the_search_is_bound_to_them(model) -> None:
    decoder = BeamSearchDecoderCTC(
        Alphabet(LETTERS, False), LanguageModel(model, ["abba"], unk_score_offset=0.0)
    )
    logits = np.log([[0.1, 0.1, 0.7, 0.1], [0.1, 0.1, 0.1, 0.7], [0.1, 0.1, 0.7, 0.1]])
    assert decoder.decode(logits) == "aba"
    assert decoder.decode(logits, lexicon_bound=True, beam_prune_logp=-1e3) == ""
    longer = np.concatenate([logits, np.log([[0.1, 0.1, 0.7, 0.1]])])
    longer[2] = [-1, -9, -9, -0.1]
    longer[1] = [-9, -9, -9, 0]
    longer = np.insert(longer, 2, [0, -9, -9, -9], axis=0)
    assert decoder.decode(longer, lexicon_bound=True) == "abba"
    with pytest.raises(ValueError, match="lexicon_bound needs a language model with a list of words"):
        build_ctcdecoder(LETTERS).decode(logits, lexicon_bound=True)


def test_the_words_ahead_lead_to_better_texts(shared_data) -> None:
    """In noise, where 100 beams are few, a search that knows what words will cost finds texts of higher scores."""
    labels = ["", " ", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]
    decoder = build_ctcdecoder(labels, next((shared_data / "lm").glob("*.arpa.gz")))
    for seed in range(3):
        logits = random_logits(seed, 200, len(labels), spread=1.0)
        bound, free = (decoder.decode_beams(logits, lexicon_bound=bound)[0] for bound in (True, False))
        assert set(bound.text.split()) <= decoder.language_model.unigrams
        assert bound.lm_score > free.lm_score


def test_probabilities_and_logits_are_told_apart() -> None:
    logits = random_logits(0, 12, 4)
    shares = np.exp(log_probabilities(logits, 4))
    for same in (logits + 3, np.log(shares), shares, shares.astype(np.float32)):
        np.testing.assert_allclose(log_probabilities(same, 4), np.log(shares), atol=1e-5)


def test_weights_are_checked_and_persist(model) -> None:
    lm = LanguageModel(model, model.words)
    decoder = BeamSearchDecoderCTC(Alphabet(LETTERS, False), lm)
    decoder.reset_params(alpha=2.0, lm_score_boundary=False)
    assert (lm.alpha, lm.beta, lm.score_boundary) == (2.0, 1.5, False)
    for wrong in ({"alpha": 1}, {"beta": "1"}, {"unk_score_offset": float("nan")}, {"lm_score_boundary": 1}):
        with pytest.raises(ValueError, match="must be a"):
            decoder.reset_params(**wrong)
    with pytest.raises(ValueError, match="alpha must be a finite number"):
        LanguageModel(model, alpha=float("inf"))


def test_the_words_of_a_real_recording(shared_data) -> None:
    """As they are these logits need no language model; under noise the likeliest letters are wrong, and with it the text is right."""
    logits = np.array(json.loads((shared_data / "ctc_logits" / "libri_logits.json").read_text()))
    labels = [" ", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'", ""]
    decoder, without = (
        build_ctcdecoder(labels, next((shared_data / "lm").glob("*.arpa.gz"))),
        build_ctcdecoder(labels),
    )

    def greedy(logits: np.ndarray) -> str:
        return text_of(tuple(logits.argmax(axis=1)), labels)

    spoken = "I HAVE A GOOD DEAL OF WILL YOU REMEMBER AND WHAT I HAVE SET MY MIND UPON NO DOUBT I SHALL SOME DAY ACHIEVE"
    beam = decoder.decode_beams(logits)[0]
    assert beam.text == greedy(logits) == spoken
    assert beam.word_frames[0] == ("I", (26, 27))
    noisy = logits + 3 * np.random.default_rng(0).normal(size=logits.shape)
    assert greedy(noisy) != spoken
    assert without.decode(noisy) != spoken
    for each in (logits, noisy):
        assert decoder.decode(each) == spoken
        assert decoder.decode(each, lexicon_bound=True) == spoken


def test_without_numba_a_search_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "from tfwav2vec2 import build_ctcdecoder\n"
        "import numpy\n"
        "build_ctcdecoder(['', 'a']).decode(numpy.zeros((3, 2)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = run.stderr.strip().splitlines()[-1]
    assert last == (
        "ImportError: Decoding with a language model needs numba, which is not installed; install it with "
        "pip install 'tfwav2vec2[lm]'"
    )
