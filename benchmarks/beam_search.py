"""The beam search with a word trigram, against pyctcdecode and flashlight-text, in one run.

Run where the peers are installed (`make benchmarks` sees to that)::

    python -m benchmarks.beam_search [--arpa MODEL.arpa]

All decode the same logits (500 frames, 32 symbols: the blank, the space, the letters of English words, and three that the
language model's words lack) with the same 100 beams, language model and weights:

- **flat**: standard normal noise. Every symbol is possible in every frame, so that the search has all the work there can be:
  what a model gives for noise, or early in its training.
- **peaky**: random words of the language model, letter by letter, each held for one to three frames with blanks between, 12
  above the same noise: what a trained model gives for clear speech. Few symbols pass token_min_logp.

pyctcdecode must find the same text. flashlight-text searches the words of a lexicon alone, so this package does too
(``lexicon_bound``); both texts are judged by one function that belongs to neither: the logarithm of the text's probability
over all paths of the CTC lattice, plus alpha times kenlm's score, plus beta for each word. A faster search that finds worse
texts is no faster search.
"""

from __future__ import annotations

import gzip
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _timing

SHARED_ARPA = Path(__file__).resolve().parents[2] / "shared" / "data" / "lm"
LABELS = ["", " ", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'", "É", "Ü", "-"]
FRAMES, WIDTH, UTTERANCES = 500, 100, 32
ALPHA, BETA, PRUNE = 0.5, 1.5, -10.0
PEAK = 12.0
LN_10 = math.log(10)

# A fresh process: what the first decoding costs once numba's programs are kept on disk, and with them the model.
FIRST_DECODING = """
import sys, time
start = time.perf_counter()
import numpy as np
from tfwav2vec2 import build_ctcdecoder
imported = time.perf_counter()
decoder = build_ctcdecoder(eval(sys.argv[1]), sys.argv[2])
loaded = time.perf_counter()
decoder.decode(np.random.default_rng(0).standard_normal((50, len(decoder.alphabet.labels))))
print(imported - start, loaded - imported, time.perf_counter() - loaded)
"""

Search = Callable[[np.ndarray], str]


def flat_logits(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((FRAMES, len(LABELS)))


def peaky_logits(seed: int, words: Sequence[str]) -> np.ndarray:
    """Logits in which one text stands out."""
    rng = np.random.default_rng(seed)
    logits = flat_logits(seed)
    frame = 0
    while frame < FRAMES:
        for letter in [*words[rng.integers(len(words))], " "]:
            for label in (letter, ""):
                held = int(rng.integers(1, 4))
                logits[frame : frame + held, LABELS.index(label)] += PEAK
                frame += held
    return logits


def log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def log_probability(log_probs: np.ndarray, text: str) -> float:
    """The logarithm of a text's probability over all CTC paths; around and between words any number of spaces is one text."""
    labels = [LABELS.index(letter) for letter in f" {' '.join(text.split())} "]
    states = np.array([0, *(state for label in labels for state in (label, 0))])  # blanks between
    is_space = states == LABELS.index(" ")
    # Two states on: over a blank to another letter, and into a word or out of the last one without a space.
    over = np.zeros(len(states), bool)
    over[2:] = (states[2:] != 0) & (states[2:] != states[:-2])
    alpha = np.full(len(states), -np.inf)
    alpha[[0, 1, 3]] = log_probs[0, states[[0, 1, 3]]]
    for row in log_probs[1:]:
        before = alpha
        alpha = before.copy()
        alpha[1:] = np.logaddexp(alpha[1:], before[:-1])
        alpha[over] = np.logaddexp(alpha[over], before[np.flatnonzero(over) - 2])
        again = np.flatnonzero(is_space)  # another space after a blank
        alpha[again] = np.logaddexp(alpha[again], before[again + 1])
        if len(states) > 3:
            alpha[3] = np.logaddexp(alpha[3], before[0])  # no space before the first word
        alpha += row[states]
    return float(np.logaddexp.reduce(alpha[[-1, -2, -3, -4]]))


def combined_score(log_probs: np.ndarray, text: str, model: Any) -> float:
    """What all searches maximise: frames, language model (``kenlm.Model``) and number of words."""
    text = " ".join(text.split())
    return log_probability(log_probs, text) + ALPHA * LN_10 * model.score(text) + BETA * len(text.split())


def of_flashlight(arpa: Path, words: Sequence[str], log_add: bool) -> Search:
    """flashlight-text's decoder with a lexicon, set up as torchaudio does."""
    from flashlight.lib.text.decoder import (
        CriterionType,
        KenLM,
        LexiconDecoder,
        LexiconDecoderOptions,
        SmearingMode,
        Trie,
    )
    from flashlight.lib.text.dictionary import Dictionary, create_word_dict

    letters = set(LABELS)
    spelled = [word for word in words if letters.issuperset(word)]
    dictionary: Dictionary = create_word_dict({word: [[*word]] for word in [*spelled, "<unk>"]})
    model = KenLM(str(arpa), dictionary)
    trie, start, space = Trie(len(LABELS), LABELS.index(" ")), model.start(False), LABELS.index(" ")
    for word in spelled:
        index = dictionary.get_index(word)
        trie.insert([*map(LABELS.index, word), space], index, model.score(start, index)[1])
    trie.smear(SmearingMode.MAX)
    options = LexiconDecoderOptions(
        beam_size=WIDTH, beam_size_token=len(LABELS), beam_threshold=-PRUNE, lm_weight=ALPHA * LN_10,
        word_score=BETA, unk_score=-math.inf, sil_score=0.0, log_add=log_add, criterion_type=CriterionType.CTC,
    )  # fmt: skip
    unknown = dictionary.get_index("<unk>")
    decoder = LexiconDecoder(options, trie, model, space, LABELS.index(""), unknown, [], False)

    def search(logits: np.ndarray) -> str:
        scores = np.ascontiguousarray(log_softmax(logits), np.float32)
        best = decoder.decode(scores.ctypes.data, *scores.shape)[0]
        return " ".join(dictionary.get_entry(index) for index in best.words if index >= 0)

    return search


def unpacked(path: Path, folder: str) -> Path:
    """The ARPA file as the peers read it."""
    if path.suffix != ".gz":
        return path
    plain = Path(folder) / path.stem
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    return plain


def verdict(holds: bool, sentence: str) -> None:
    print(f"{'holds' if holds else 'FAILS'}: {sentence}")


def searches(arpa: Path, rounds: int, slow_rounds: int) -> None:
    """One recording at a time: flat and peaky, against both peers, with and without hotwords."""
    import kenlm
    import pyctcdecode

    from tfwav2vec2 import build_ctcdecoder

    ours = build_ctcdecoder(LABELS, arpa, alpha=ALPHA, beta=BETA)
    listed = sorted(ours.language_model.unigrams)
    reference = pyctcdecode.build_ctcdecoder(LABELS, str(arpa), listed, alpha=ALPHA, beta=BETA)
    words = [word for word in listed if set(LABELS).issuperset(word)]
    judge = kenlm.Model(str(arpa))
    hotwords = [str(word) for word in np.random.default_rng(0).choice(words, 100, replace=False)]
    every: dict[str, Search] = {
        "pyctcdecode": lambda logits: reference.decode(logits, beam_width=WIDTH),
        "tfwav2vec2": lambda logits: ours.decode(logits, beam_width=WIDTH),
        "tfwav2vec2, 100 hotwords": lambda logits: ours.decode(logits, beam_width=WIDTH, hotwords=hotwords),
        "flashlight-text, lexicon": of_flashlight(arpa, words, log_add=False),
        "flashlight-text, lexicon, log_add": of_flashlight(arpa, words, log_add=True),
        "tfwav2vec2, lexicon": lambda logits: ours.decode(logits, beam_width=WIDTH, lexicon_bound=True),
    }
    for name, logits in (("flat", flat_logits(1)), ("peaky", peaky_logits(1, words))):
        log_probs = log_softmax(logits)
        texts = {subject: search(logits) for subject, search in every.items()}
        scores = {subject: combined_score(log_probs, text, judge) for subject, text in texts.items()}
        notes = {
            subject: f"combined score {scores[subject]:.3f}, {len(text.split())} words"
            for subject, text in texts.items()
        }
        times = _timing.interleave(
            {
                subject: lambda search=search, logits=logits: _timing.seconds(lambda: search(logits))
                for subject, search in every.items()
            },
            rounds,
            {"pyctcdecode": slow_rounds},
        )
        claims = {
            ("tfwav2vec2", "pyctcdecode"): 1 / 20 if name == "flat" else 1.0,
            ("tfwav2vec2, 100 hotwords", "tfwav2vec2"): 1.5,
        }
        if name == "flat":
            claims["tfwav2vec2, lexicon", "flashlight-text, lexicon"] = 1.0
        title = f"Beam search, {name} logits of {FRAMES} frames and {len(LABELS)} symbols, {WIDTH} beams, {rounds} rounds"
        _timing.report(title, times, notes, claims)
        verdict(texts["tfwav2vec2"] == texts["pyctcdecode"], "the same text as pyctcdecode's")
        for peer in ("flashlight-text, lexicon", "flashlight-text, lexicon, log_add"):
            gain = scores["tfwav2vec2, lexicon"] - scores[peer]
            verdict(gain > -1e-3, f"the combined score is {gain:+.3f} from {peer}'s")
    # One pair of logits may be luck.
    gains = []
    for seed in range(2, 18):
        logits = flat_logits(seed)
        found = [every[name](logits) for name in ("tfwav2vec2, lexicon", "flashlight-text, lexicon")]
        one, other = (combined_score(log_softmax(logits), text, judge) for text in found)
        gains.append(one - other)
    verdict(
        min(gains) > -1e-3,
        f"on 16 further flat logits the combined score is {min(gains):+.3f} to {max(gains):+.3f} from flashlight-text's",
    )


def spin(steps: int) -> float:
    """What needs nothing but a processor."""
    total = 0.0
    for step in range(steps):
        total += math.sqrt(step + total)
    return total


def both_cores(arpa: Path, rounds: int) -> None:
    """32 recordings by one thread and by two, beside a loop that shows what a second thread is worth on this machine just now."""
    import numba

    from tfwav2vec2 import build_ctcdecoder

    loop = numba.njit(nogil=True)(spin)
    loop(10)

    decoder = build_ctcdecoder(LABELS, arpa, alpha=ALPHA, beta=BETA)
    batch = [flat_logits(seed) for seed in range(UTTERANCES)]
    single = decoder.decode_batch(batch, num_threads=1)
    verdict(single == decoder.decode_batch(batch, num_threads=2), "two threads find what one finds")

    def spin_by(threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(loop, [10_000_000] * 16))

    subjects: dict[str, Callable[[], float]] = {}
    for threads, name in ((1, "1 thread"), (2, "2 threads")):
        subjects[name] = lambda threads=threads: _timing.seconds(
            lambda: decoder.decode_batch(batch, num_threads=threads)
        )
        subjects[f"a plain loop, {name}"] = lambda threads=threads: _timing.seconds(lambda: spin_by(threads))
    times = _timing.interleave(subjects, rounds)
    title = f"Beam search, {UTTERANCES} flat recordings of {FRAMES} frames, {rounds} rounds"
    worth = statistics.median(times["a plain loop, 1 thread"]) / statistics.median(
        times["a plain loop, 2 threads"]
    )
    note = {"a plain loop, 2 threads": f"a second thread makes it {worth:.2f} times as fast"}
    _timing.report(title, times, note, {("2 threads", "1 thread"): 1 / 1.7})


def first_decoding(arpa: Path, rounds: int) -> None:
    """Fresh processes, the first of which may have to compile and to parse."""
    columns = ("import", "open the language model", "the first decoding, of 50 frames")
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "XDG_CACHE_HOME": cache}
        found = []
        for _ in range(rounds + 1):
            run = subprocess.run(
                [sys.executable, "-c", FIRST_DECODING, repr(LABELS), str(arpa)],
                capture_output=True, text=True, check=True, env=environment,
            )  # fmt: skip
            found.append([float(value) for value in run.stdout.split()])
    first, later = found[0], found[1:]
    size = arpa.stat().st_size / 1e6
    verdict(
        first[1] <= 3, f"a fresh process opens the ARPA file of {size:.1f} MB in {first[1]:.2f} s (at most 3)"
    )
    for number, column in enumerate(columns):
        times = sorted(row[number] for row in later)
        print(f"later processes, {column}: {times[0]:.2f} to {times[-1]:.2f} s")


def main() -> None:
    parser = _timing.parser(__doc__, rounds=15)
    parser.add_argument("--slow-rounds", type=int, default=3, help="timed rounds of pyctcdecode (3)")
    parser.add_argument(
        "--arpa",
        type=Path,
        help="an ARPA file of English words in capitals; by default the one in ../shared/data/lm",
    )
    options = parser.parse_args()
    _timing.limit_threads(options.threads)
    arpa = options.arpa or next(iter(sorted(SHARED_ARPA.glob("*.arpa.gz"))), None)
    if arpa is None:
        sys.exit(f"There is no ARPA file in {SHARED_ARPA}; give one with --arpa")
    with tempfile.TemporaryDirectory() as folder:
        plain = unpacked(arpa, folder)
        searches(plain, options.rounds, options.slow_rounds)
        both_cores(plain, max(3, options.rounds // 3))
        first_decoding(plain, 3)


if __name__ == "__main__":
    main()
