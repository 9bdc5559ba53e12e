"""Small language models written as ARPA files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SPECIAL = ("<unk>", "<s>", "</s>")


def write_arpa(path: Path, sections: list[dict[tuple[str, ...], tuple[float, float]]]) -> Path:
    """Write n-grams with their logarithms of probability and back-off weight."""
    lines = ["\\data\\", *(f"ngram {order}={len(ngrams)}" for order, ngrams in enumerate(sections, start=1))]
    for order, ngrams in enumerate(sections, start=1):
        lines += ["", f"\\{order}-grams:"]
        for words, (probability, backoff) in ngrams.items():
            last = order == len(sections)
            lines.append(f"{probability}\t{' '.join(words)}" + ("" if last else f"\t{backoff}"))
    path.write_text("\n".join([*lines, "", "\\end\\", ""]), encoding="utf-8")
    return path


def random_ngrams(
    words: list[str], order: int, rng: np.random.Generator
) -> list[dict[tuple[str, ...], tuple[float, float]]]:
    """A random model: some n-grams of each length whose shorter parts are there too."""
    vocabulary = [*SPECIAL, *words]
    levels = [[(word,) for word in vocabulary]]
    for _ in range(order - 1):
        below = set(levels[-1])
        candidates = [
            (*ngram, word)
            for ngram in levels[-1]
            for word in vocabulary
            if ngram[-1] != "</s>" and word not in ("<s>", "<unk>") and (*ngram[1:], word) in below
        ]
        levels.append([ngram for ngram in candidates if rng.random() < 0.4])
    return [
        {
            ngram: (
                -99.0 if ngram == ("<s>",) else round(-0.01 - 3 * rng.random(), 5),
                0.0 if ngram[-1] == "</s>" else round(-rng.random(), 5),
            )
            for ngram in level
        }
        for level in levels
    ]
