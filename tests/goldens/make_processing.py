"""Writes processing.json: what the reference's configuration, feature extractor, tokenizer and processor give.

Run with transformers 4.57.6 installed:  python tests/goldens/make_processing.py
The test that reads it, tests/test_processing_goldens.py, repeats every call and needs neither torch nor transformers.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from transformers import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor

LETTERS = {t: i for i, t in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"])}
BARE = {t: i for i, t in enumerate([*"abcdeéß", "|", "<unk>"])}  # <s>, </s> and <pad> are missing
PHONES = {t: i for i, t in enumerate(["[PAD]", "[UNK]", "_", "a", "aa", "tʃ", "ʃ", "s", "n", "ŋ", "h"])}
LANGUAGES = {
    "one": {t: i for i, t in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", "a", "b", "ng", "sch"])},
    "two": {t: i for i, t in enumerate(["|", "<unk>", "c", "<pad>", "</s>", "<s>", "x"])},
}

HELLO = [0, 12, 12, 0, 9, 16, 16, 0, 16, 19, 19, 4, 4, 0, 27, 27, 19, 22, 0, 16, 8, 8, 0, 0]
TEXTS = ["HELLO WORLD", "", "IT'S  A <s> TEST|OK", "lower Case é", " <pad> LEADING AND TRAILING  ", "A\nB\tC"]


def call(method: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
    return {"method": method, "args": list(args), "kwargs": kwargs}


ENCODINGS = [
    *[call("tokenize", text) for text in TEXTS],
    *[call("__call__", text) for text in TEXTS],
    *[call("encode", text) for text in TEXTS],
    call("__call__", TEXTS),
    call("__call__", TEXTS, padding=True),
    call("__call__", TEXTS, padding="longest", pad_to_multiple_of=8, return_length=True),
    call("__call__", TEXTS, padding="max_length", max_length=30, padding_side="left"),
    call("__call__", TEXTS, padding=True, truncation=True, max_length=6, return_special_tokens_mask=True),
    call("__call__", TEXTS[0], max_length=4),
    call("__call__", TEXTS[0], truncation=True, max_length=4, return_overflowing_tokens=True, stride=2),
    call("__call__", TEXTS[0], padding="max_length", max_length=16, return_length=True),
    call("__call__", TEXTS[0], return_attention_mask=False),
    call("__call__", ["HELLO", "WORLD"], is_split_into_words=True),
    call("__call__", text_target="HELLO"),
    call("__call__", TEXTS[0], text_target="HELLO"),
    call("pad", {"input_ids": [[5, 6, 7], [8]]}),
    call("pad", [{"input_ids": [5, 6, 7]}, {"input_ids": [8]}], pad_to_multiple_of=4, return_attention_mask=False),
    call("convert_tokens_to_ids", ["A", "?", "<s>", "|"]),
    call("convert_ids_to_tokens", [0, 3, 5, 500]),
]  # fmt: skip
DECODINGS = [
    call(method, argument, **options)
    for method, argument in (("decode", HELLO), ("batch_decode", [HELLO, HELLO[:9], [0, 0, 4, 5, 5]]))
    for options in (
        {},
        {"output_char_offsets": True},
        {"output_word_offsets": True},
        {"output_char_offsets": True, "output_word_offsets": True},
        {"skip_special_tokens": True, "output_char_offsets": True, "output_word_offsets": True},
        {"group_tokens": False},
        {"group_tokens": False, "output_word_offsets": True},
        {"spaces_between_special_tokens": True},
        {"clean_up_tokenization_spaces": True},
    )
] + [call("decode", [], output_word_offsets=True), call("decode", [4, 4, 5, 0, 4]), call("decode", [99, 5])]
STATE = [
    "vocab_size", "special_tokens_map", "all_special_tokens", "all_special_ids", "pad_token_id", "unk_token_id",
    "bos_token_id", "mask_token", "word_delimiter_token", "word_delimiter_token_id", "added_tokens_encoder",
    "padding_side", "model_max_length",
]  # fmt: skip
EDITS = [
    call("add_tokens", ["XY", "A", "é"]),
    call("add_special_tokens", {"mask_token": "[MASK]", "additional_special_tokens": ["<x>", "<y>"]}),
]

TOKENIZERS = [
    {"vocabulary": LETTERS, "fields": {}, "edits": []},
    {"vocabulary": LETTERS, "fields": {"do_lower_case": True}, "edits": []},
    {
        "vocabulary": LETTERS,
        "fields": {"replace_word_delimiter_char": "_", "padding_side": "left"},
        "edits": EDITS,
    },
    {"vocabulary": LETTERS, "fields": {"do_lower_case": True, "do_normalize": True}, "edits": EDITS},
    {"vocabulary": BARE, "fields": {"word_delimiter_token": "|"}, "edits": []},
    {
        "vocabulary": PHONES,
        "fields": {
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "word_delimiter_token": "_",
            "model_max_length": 9,
        },
        "edits": [],
    },
    {"vocabulary": LANGUAGES, "fields": {"target_lang": "one"}, "edits": []},
    {"vocabulary": LANGUAGES, "fields": {"target_lang": "two"}, "edits": []},
]

EXTRACTORS = [
    {},
    {"return_attention_mask": True},
    {"do_normalize": False, "padding_value": -1.0, "more": [1]},
]
RNG = np.random.default_rng(0)
CLIPS = [RNG.standard_normal(length).round(3).tolist() for length in (7, 11, 4)]
AUDIO_OPTIONS = [
    {},
    {"padding": True},
    {"padding": True, "return_attention_mask": False},
    {"padding": "max_length", "max_length": 9, "truncation": True, "return_attention_mask": True},
    {"padding": True, "pad_to_multiple_of": 8},
    {"padding": False, "return_attention_mask": True},
]

CONFIGS = [
    {},
    {
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_labels": 4,
        "kept": {"a": [1]},
        "torch_dtype": "float16",
    },
    {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}, "output_hidden_states": True},
    {
        "vocab_size": 40,
        "pad_token_id": None,
        "conv_dim": (8, 8),
        "conv_stride": (5, 2),
        "conv_kernel": (10, 3),
    },
]


def plain(value: Any) -> Any:
    if hasattr(value, "items"):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def written_by(saved: Any) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        saved.save_pretrained(folder)
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(Path(folder).iterdir())}


def run(target: Any, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**c, "result": plain(getattr(target, c["method"])(*c["args"], **c["kwargs"]))} for c in calls]


def tokenizer_case(case: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.json"
        path.write_text(json.dumps(case["vocabulary"]), encoding="utf-8")
        tokenizer = Wav2Vec2CTCTokenizer(path, **case["fields"])
    return {
        "vocabulary": case["vocabulary"],
        "fields": case["fields"],
        "edits": run(tokenizer, case["edits"]),
        "calls": run(tokenizer, ENCODINGS + DECODINGS),
        "state": {name: plain(getattr(tokenizer, name)) for name in STATE},
        "length": len(tokenizer),
        "files": written_by(tokenizer),
    }


def extractor_case(fields: dict[str, Any]) -> dict[str, Any]:
    extractor = Wav2Vec2FeatureExtractor(**fields)
    calls = []
    for dtype in ("list", "float32", "float64", "int16"):
        scale = 1000 if dtype == "int16" else 1
        clips = [c if dtype == "list" else (np.array(c) * scale).astype(dtype) for c in CLIPS]
        for options in AUDIO_OPTIONS:
            result = extractor(clips, sampling_rate=16_000, **options)
            dtypes = {name: str(np.asarray(rows[0]).dtype) for name, rows in result.items()}
            calls.append({"dtype": dtype, "options": options, "result": plain(result), "dtypes": dtypes})
    return {"fields": fields, "clips": CLIPS, "calls": calls, "files": written_by(extractor)}


def config_case(fields: dict[str, Any]) -> dict[str, Any]:
    return {"fields": plain(fields), "files": written_by(Wav2Vec2Config(**fields))}


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    goldens = {
        "made_by": f"transformers {transformers.__version__}",
        "tokenizers": [tokenizer_case(case) for case in TOKENIZERS],
        "extractors": [extractor_case(fields) for fields in EXTRACTORS],
        "configs": [config_case(fields) for fields in CONFIGS],
    }
    path = Path(__file__).with_name("processing.json")
    path.write_text(json.dumps(goldens, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
