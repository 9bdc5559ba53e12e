"""The processor with a language model against transformers' own: its documented example, its folders, and what goes to and fro."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import shutil
import subprocess
import sys
import textwrap
from multiprocessing import get_context

import numpy as np
import pytest

from tests.language.arpa_files import random_ngrams, write_arpa
from tests.parity.burst_speech import burst_speech
from tests.test_processor import VOCABULARY, make_processor
from tests.tiny import TINY
from tfwav2vec2 import Wav2Vec2ProcessorWithLM, build_ctcdecoder
from tfwav2vec2.language.kenlm_binary import KenlmModel

transformers = pytest.importorskip("transformers", reason="the live comparison needs transformers")
pytest.importorskip("pyctcdecode", reason="the live comparison needs pyctcdecode and kenlm")
kenlm = pytest.importorskip("kenlm", reason="the live comparison needs pyctcdecode and kenlm")

pytestmark = pytest.mark.filterwarnings("ignore")

CLOSE = 1e-3
WORDS = ["A", "BAD", "CAB", "FACE", "HEAD"]
# Without <unk>: for pieces the reference looks for another name of it than its own decoder has, and refuses. Without a lone
# "▁", after which pyctcdecode lets whichever beam comes next open a word.
PIECES = ["<pad>", "<s>", "</s>", "▁A", "▁BA", "D", "A", "B", "CE", "▁FA", "▁HE"]


@pytest.fixture(scope="module")
def arpa(tmp_path_factory):
    ngrams = random_ngrams(WORDS, 3, np.random.default_rng(0))
    return write_arpa(tmp_path_factory.mktemp("lm") / "3gram.arpa", ngrams)


def silenced(logits: np.ndarray, labels: list[str]) -> np.ndarray:
    """Logits without <s>, </s> and <unk>, which the reference writes out."""
    logits = logits.copy()
    logits[..., [at for at, label in enumerate(labels) if label in ("<s>", "</s>", "<unk>")]] = -60
    return logits


def assert_same_output(ours, expected) -> None:
    assert list(ours) == list(expected.keys())
    assert ours.text == expected.text
    assert ours.word_offsets == expected.word_offsets
    for name in ("logit_score", "lm_score"):
        one, other = (np.hstack(list(np.atleast_1d(output[name]))) for output in (ours, expected))
        np.testing.assert_allclose(one, other, atol=CLOSE)


# The reference's page, "Decoding multiple audios", with local recordings in place of downloaded ones.
EXAMPLE = """
    from multiprocessing import get_context
    from {package} import AutoTokenizer, AutoProcessor, AutoModelForCTC
    from datasets import Dataset
    import numpy as np
    import torch

    if __name__ == "__main__":
        model = AutoModelForCTC.from_pretrained({folder!r})
        processor = AutoProcessor.from_pretrained({folder!r})

        clips = np.load({clips!r})
        dataset = Dataset.from_dict(
            {{"audio": [{{"array": clips[name], "sampling_rate": 16_000}} for name in clips.files]}}
        )

        def map_to_array(example):
            example["speech"] = example["audio"]["array"]
            return example

        # prepare speech data for batch inference
        dataset = dataset.map(map_to_array, remove_columns=["audio"])

        def map_to_pred(batch, pool):
            inputs = processor(batch["speech"], sampling_rate=16_000, padding=True, return_tensors="pt")

            with torch.no_grad():
                logits = model(**inputs).logits

            transcription = processor.batch_decode(logits.cpu().numpy(), pool).text
            batch["transcription"] = transcription
            return batch

        # note: pool should be instantiated *after* `Wav2Vec2ProcessorWithLM`.
        #       otherwise, the LM won't be available to the pool's sub-processes
        # select number of processes and batch size based on number of CPU cores available and on dataset size
        with get_context("fork").Pool(processes=2) as pool:
            result = dataset.map(
                map_to_pred, batched=True, batch_size=2, fn_kwargs={{"pool": pool}}, remove_columns=["speech"]
            )

        print("\\n".join(result["transcription"]))
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, arpa):
    """A random model with a processor that has a language model, in one folder."""
    folder = tmp_path_factory.mktemp("checkpoint")
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        **{**TINY, "vocab_size": len(VOCABULARY), "pad_token_id": 0},
        do_stable_layer_norm=True, feat_extract_norm="layer",
    )  # fmt: skip
    model = transformers.Wav2Vec2ForCTC(config).eval()
    with torch.no_grad():
        model.lm_head.weight *= 60
        model.lm_head.bias[1:4] = -60
    model.save_pretrained(folder)
    plain = make_processor(folder)
    Wav2Vec2ProcessorWithLM(
        plain.feature_extractor, plain.tokenizer, build_ctcdecoder(list(VOCABULARY), arpa)
    ).save_pretrained(folder)
    return folder


def test_the_documented_example_runs_with_its_import_line_changed(checkpoint, tmp_path) -> None:
    pytest.importorskip("datasets", reason="the reference's example needs the package datasets")
    speech, _ = burst_speech(24_000, (24_000, 15_431))
    np.savez(tmp_path / "clips.npz", *[speech[0], speech[1][:15_431], speech[0][:9_000], speech[0][5_000:]])
    printed = []
    for package in ("transformers", "tfwav2vec2"):
        script = tmp_path / f"with_{package}.py"
        script.write_text(
            textwrap.dedent(EXAMPLE).format(
                package=package, folder=str(checkpoint), clips=str(tmp_path / "clips.npz")
            )
        )
        run = subprocess.run(
            [sys.executable, script], capture_output=True, text=True, check=False,
            env={**os.environ, "KERAS_BACKEND": "torch", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"},
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        printed.append(run.stdout.splitlines())
    assert printed[0] == printed[1]
    assert len(printed[1]) == 4
    assert len(set(printed[1])) > 1  # there is something to compare
    assert all(set(text) & set("ABCDEFGH") for text in printed[1])


@pytest.mark.parametrize("vocabulary", [list(VOCABULARY), PIECES], ids=["letters", "pieces"])
def test_all_ways_of_asking(arpa, tmp_path, vocabulary) -> None:
    """One text or several, with or without times, from a pool, from so many processes, from neither."""
    plain = make_processor(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps({token: at for at, token in enumerate(vocabulary)}))
    unknown = "<unk>" if "<unk>" in vocabulary else "<pad>"
    tokenizer = type(plain.tokenizer)(tmp_path / "vocab.json", unk_token=unknown)
    ours = Wav2Vec2ProcessorWithLM(plain.feature_extractor, tokenizer, build_ctcdecoder(vocabulary, arpa))
    ours.save_pretrained(tmp_path / "saved")
    reference = transformers.Wav2Vec2ProcessorWithLM.from_pretrained(tmp_path / "saved")
    rng = np.random.default_rng(1)
    logits = [silenced(3 * rng.normal(size=(frames, len(vocabulary))), vocabulary) for frames in (40, 25, 33)]
    padded = np.full((3, 40, len(vocabulary)), -100.0)
    for row, clip in zip(padded, logits, strict=True):
        row[: len(clip)] = clip
    searched = {"beam_width": 30, "beam_prune_logp": -12.0, "token_min_logp": -4.0}
    with get_context("fork").Pool(2) as pool:
        for n_best, offsets, hotwords, how in itertools.product(
            (1, 2, 5), (False, True), (None, ["BAD", "FACED"]), ({}, searched)
        ):
            options = {
                "n_best": n_best, "output_word_offsets": offsets, "hotwords": hotwords, "hotword_weight": 4.0, **how,
            }  # fmt: skip
            expected = reference.batch_decode(padded, pool=pool, **options)
            for batch in (
                ours.batch_decode(padded, pool, **options),
                ours.batch_decode(padded, num_processes=2, **options),
                ours.batch_decode(logits, **options),
            ):
                assert_same_output(batch, expected)
            assert_same_output(ours.decode(logits[1], **options), reference.decode(logits[1], **options))


"""
"""


def test_a_folder_goes_to_the_reference_and_back(arpa, tmp_path) -> None:
    """transformers reads what this package wrote, and writes what this package reads."""
    plain = make_processor(tmp_path)
    ours = Wav2Vec2ProcessorWithLM(
        plain.feature_extractor, plain.tokenizer, build_ctcdecoder(list(VOCABULARY), arpa, alpha=0.3)
    )
    ours.save_pretrained(tmp_path / "ours")
    reference = transformers.Wav2Vec2ProcessorWithLM.from_pretrained(tmp_path / "ours")
    logits = silenced(3 * np.random.default_rng(1).normal(size=(3, 40, len(VOCABULARY))), list(VOCABULARY))
    changed = {"n_best": 3, "alpha": 0.9, "beta": 0.0, "unk_score_offset": -4.0, "lm_score_boundary": False}
    for options in ({}, changed, {}):  # weights persist in both
        assert_same_output(ours.decode(logits[0], **options), reference.decode(logits[0], **options))
    reference.save_pretrained(tmp_path / "reference")
    opened = Wav2Vec2ProcessorWithLM.from_pretrained(tmp_path / "reference")
    assert opened.batch_decode(logits) == ours.batch_decode(logits)
    assert opened.language_model.weights() == {
        "alpha": 0.9, "beta": 0.0, "unk_score_offset": -4.0, "score_boundary": False,
    }  # fmt: skip
    opened.save_pretrained(tmp_path / "again")
    again = transformers.Wav2Vec2ProcessorWithLM.from_pretrained(tmp_path / "again")
    assert_same_output(ours.batch_decode(logits), again.batch_decode(logits, num_processes=1))


def write_kenlm_binary(arpa, target) -> None:
    """Let kenlm write its own binary file, which its Python package can do but does not offer.

    A ``kenlm.Config`` holds KenLM's C++ ``Config`` behind the head of a Python object; the file's name is a pointer in it.
    """
    config = kenlm.Config()
    start = id(config) + object.__basicsize__
    defaults = (ctypes.c_float * 2).from_address(start + 36)  # unknown_missing_logprob, probing_multiplier
    if tuple(defaults) != (-100.0, 1.5):
        pytest.skip("kenlm's Config is laid out in another way here")
    name = ctypes.create_string_buffer(os.fsencode(target))
    ctypes.c_void_p.from_address(start + 96).value = ctypes.addressof(name)
    kenlm.Model(str(arpa), config)


@pytest.fixture(scope="module", params=["kenlm", "build_binary probing", "build_binary trie"])
def binary(request, arpa, tmp_path_factory):
    """A binary file of KenLM, as most language models on the hub are."""
    path = tmp_path_factory.mktemp("binary") / "3gram.bin"
    program, *kind = request.param.split()
    if program == "kenlm":
        write_kenlm_binary(arpa, path)
    elif shutil.which(program) is None:
        pytest.skip("needs KenLM's build_binary on the path, which the Python package does not bring")
    else:
        subprocess.run([program, *kind, str(arpa), str(path)], check=True, capture_output=True)
    return path


def test_a_binary_of_kenlm(binary, arpa, tmp_path) -> None:
    """The same texts as with the ARPA file it was made of, and as the reference's; in and out of the hub's folder."""
    plain = make_processor(tmp_path)
    decoders = [build_ctcdecoder(list(VOCABULARY), path, WORDS) for path in (arpa, binary)]
    assert isinstance(decoders[1].language_model.model, KenlmModel)
    logits = silenced(2 * np.random.default_rng(0).normal(size=(3, 60, len(VOCABULARY))), list(VOCABULARY))
    beams = [decoder.decode_beams_batch(logits, hotwords=["FACED"]) for decoder in decoders]
    for one, other in zip(*beams, strict=True):
        assert [beam.text for beam in one] == [beam.text for beam in other]
        assert [beam.lm_score for beam in one] == pytest.approx([beam.lm_score for beam in other], abs=1e-4)
    bound = [decoder.decode(logits[0], lexicon_bound=True) for decoder in decoders]
    assert bound[0] == bound[1]
    processor = Wav2Vec2ProcessorWithLM(plain.feature_extractor, plain.tokenizer, decoders[1])
    processor.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved" / "language_model" / "3gram.bin").read_bytes() == binary.read_bytes()
    reference = transformers.Wav2Vec2ProcessorWithLM.from_pretrained(tmp_path / "saved")
    expected = reference.batch_decode(logits, num_processes=1, n_best=3)
    assert_same_output(processor.batch_decode(logits, n_best=3), expected)
    reference.save_pretrained(tmp_path / "reference")
    opened = Wav2Vec2ProcessorWithLM.from_pretrained(tmp_path / "reference")
    assert isinstance(opened.language_model.model, KenlmModel)
    assert opened.batch_decode(logits, n_best=3) == processor.batch_decode(logits, n_best=3)


def test_a_truncated_binary_of_kenlm_is_one_clear_line(arpa, tmp_path) -> None:
    whole = tmp_path / "whole.bin"
    write_kenlm_binary(arpa, whole)
    content = whole.read_bytes()
    for length in (60, 100, len(content) // 2):
        (tmp_path / "cut.bin").write_bytes(content[:length])
        with pytest.raises(OSError, match="cannot be read by kenlm") as caught:
            build_ctcdecoder(list(VOCABULARY), tmp_path / "cut.bin")
        assert "\n" not in str(caught.value)
