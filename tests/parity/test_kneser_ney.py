"""Trained models in KenLM's hands: the package ``kenlm`` reads our ARPA files and scores sentences with them as we do."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfwav2vec2 import perplexity, train_language_model

kenlm = pytest.importorskip("kenlm", reason="the live comparison needs kenlm")

lines = st.lists(st.sampled_from("abcdé"), min_size=1, max_size=6).map(" ".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    texts=st.lists(lines, min_size=2, max_size=12),
    order=st.integers(2, 5),
    prune=st.sampled_from([(0,), (0, 1), (0, 0, 1)]),
    sentence=st.lists(st.sampled_from([*"abcdé", "missing"]), min_size=1, max_size=8),
    packed=st.booleans(),
)
def test_the_same_scores_and_perplexity(tmp_path, texts, order, prune, sentence, packed) -> None:
    model = train_language_model(texts, order, prune[:order], discount_fallback=True)
    path = tmp_path / ("model.arpa.gz" if packed else "model.arpa")
    model.write(path)
    theirs = kenlm.Model(str(path))
    text = " ".join(sentence)
    expected = [(score, unknown) for score, _, unknown in theirs.full_scores(text)]
    state, found = model.start(), []
    for word in [*sentence, "</s>"]:
        score, state = model.score(state, word)
        found.append((score, word not in model))
    assert [unknown for _, unknown in found] == [unknown for _, unknown in expected]
    assert [score for score, _ in found] == pytest.approx([score for score, _ in expected], abs=1e-4)
    assert perplexity(model, [text]).with_unknown == pytest.approx(theirs.perplexity(text), rel=1e-3)


def test_librispeech_scores_as_with_the_model_that_lmplz_made(shared_data, tmp_path) -> None:
    folder = shared_data / "lm"
    rows = (folder / "librispeech_train-clean-100.trans.txt").read_text(encoding="utf-8").splitlines()
    texts = [row.partition(" ")[2] for row in rows]
    model = train_language_model(texts, 3, (0, 0, 1))
    model.write(tmp_path / "model.arpa")
    ours = kenlm.Model(str(tmp_path / "model.arpa"))
    reference = kenlm.Model(str(next(folder.glob("*3gram.arpa.gz"))))
    for text in [*texts[::300], "A SENTENCE THAT NOBODY READ", "XYZZY AND THE XYZZY"]:
        assert ours.score(text) == pytest.approx(reference.score(text), abs=1e-4)
    total = sum(reference.score(text) for text in texts[::300])
    measured = perplexity(model, texts[::300])
    assert measured.with_unknown == pytest.approx(10 ** (-total / measured.words), rel=1e-4)
