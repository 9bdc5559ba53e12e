"""fairseq's checkpoints without fairseq: its own files, all of its layouts, and files that mean harm."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.weights.formats import fairseq_files
from tests.weights.formats.fairseq_files import (
    OPTIONS,
    content,
    data,
    fine_tuned,
    instance,
    namespace,
    pretrained,
)
from tests.weights.formats.torch_files import Entry, state_pickle, text
from tfwav2vec2 import Wav2Vec2Config
from tfwav2vec2.weights.checkpoint import Checkpoint, CheckpointError
from tfwav2vec2.weights.formats.fairseq_reader import fairseq_view
from tfwav2vec2.weights.formats.torch_pickle import UnsafePickleError
from tfwav2vec2.weights.formats.torch_reader import TorchCheckpoint

GOLDENS = Path(__file__).parents[2] / "goldens" / "fairseq_files"
FILES = [f"{variant}/{kind}" for variant in ("group", "layer") for kind in ("pretrained", "finetuned")]
SPECIAL = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3}


def view(path: Path) -> Checkpoint:
    checkpoint = TorchCheckpoint(path)
    try:
        seen = fairseq_view(checkpoint)
    except BaseException:
        checkpoint.close()
        raise
    assert seen is not None
    return seen


def view_bytes(folder: Path, written: bytes) -> Checkpoint:
    path = folder / "checkpoint_best.pt"
    path.write_bytes(written)
    return view(path)


@pytest.mark.parametrize("name", FILES)
def test_what_fairseq_computes(name: str) -> None:
    from tfwav2vec2 import TFWav2Vec2ForCTC, TFWav2Vec2Model
    from tfwav2vec2.weights.variables import fill

    fine_tuned = name.endswith("finetuned")
    path = GOLDENS / f"{name}.pt"
    with np.load(path.with_name("expected.npz")) as expected, view(path) as checkpoint:
        config = Wav2Vec2Config(**checkpoint.config_fields or {})
        model = (TFWav2Vec2ForCTC if fine_tuned else TFWav2Vec2Model)(config)
        assert fill(model, checkpoint, strict=True, ignore_mismatched_sizes=False) == []
        output = model(expected["wave"])
        found = output.logits if fine_tuned else output.last_hidden_state
        np.testing.assert_allclose(found, expected["logits" if fine_tuned else "encoded"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", FILES)
def test_the_numbers_are_the_files_own(name: str) -> None:
    with TorchCheckpoint(GOLDENS / f"{name}.pt") as source, view(GOLDENS / f"{name}.pt") as checkpoint:
        assert len(checkpoint.shapes) == len(source.shapes)
        origins = {
            "wav2vec2.masked_spec_embed": "mask_emb",
            "wav2vec2.feature_projection.layer_norm.bias": "layer_norm.bias",
            "wav2vec2.encoder.layer_norm.bias": "encoder.layer_norm.bias",
            "wav2vec2.encoder.layers.1.layer_norm.bias": "encoder.layers.1.self_attn_layer_norm.bias",
            "wav2vec2.encoder.layers.1.attention.v_proj.weight": "encoder.layers.1.self_attn.v_proj.weight",
            "lm_head.bias": "proj.bias",
            "quantizer.codevectors": "quantizer.vars",
            "project_hid.weight": "final_proj.weight",
            "project_q.weight": "project_q.weight",
        }
        for key, origin in origins.items():
            known = {
                name.removeprefix("w2v_encoder.").removeprefix("w2v_model."): name for name in source.shapes
            }
            if origin in known:
                np.testing.assert_array_equal(checkpoint.read(key), source.read(known[origin]))
                assert checkpoint.dtype(key) == np.float32
        assert {key: checkpoint.read(key).shape for key in checkpoint.shapes} == checkpoint.shapes


@pytest.mark.parametrize("variant", ["group", "layer"])
def test_what_the_options_say(variant: str) -> None:
    layer = variant == "layer"
    shared = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "conv_dim": [16, 12, 12],
        "conv_kernel": [10, 3, 3],
        "conv_stride": [5, 2, 2],
        "conv_bias": layer,
        "do_stable_layer_norm": layer,
        "feat_extract_norm": variant,
        "hidden_act": "gelu",
        "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 4,
        "feat_quantizer_dropout": 0.2,
        "contrastive_logits_temperature": 0.2,
        "num_negatives": 100,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    before = {
        "codevector_dim": 24,
        "proj_codevector_dim": 24,
        "num_codevector_groups": 2,
        "num_codevectors_per_group": 5,
        "mask_time_prob": 0.6,
        "mask_feature_prob": 0.1,
        "hidden_dropout": 0.1,
        "attention_dropout": 0.1,
        "layerdrop": 0.0,
    }
    after = {
        "vocab_size": 10,
        "mask_time_prob": 0.4,
        "mask_feature_prob": 0.0,
        "apply_spec_augment": True,
        "hidden_dropout": 0.15,
        "attention_dropout": 0.0 if layer else 0.1,
        "layerdrop": 0.05,
        "final_dropout": 0.3,
    }
    for kind, fields in (("pretrained", shared | before), ("finetuned", shared | after)):
        with view(GOLDENS / variant / f"{kind}.pt") as checkpoint:
            found = checkpoint.config_fields or {}
            assert {field: found.get(field) for field in fields} == fields


@pytest.mark.parametrize("variant", ["group", "layer"])
def test_the_dictionary(variant: str) -> None:
    """One lies beside the file, the other inside it."""
    with view(GOLDENS / variant / "finetuned.pt") as checkpoint:
        assert checkpoint.vocabulary == SPECIAL | {"|": 4, "E": 5, "T": 6, "A": 7, "O": 8, "'": 9}
    with view(GOLDENS / variant / "pretrained.pt") as checkpoint:
        assert checkpoint.vocabulary is None


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("layout", ["args", "cfg", "DictConfig"])
def test_every_layout_of_the_options(tmp_path: Path, layout: str, legacy: bool) -> None:
    nodes = b"(" + b"".join(
        text(name) + instance("omegaconf.nodes.AnyNode", data({"_val": value}))
        for name, value in OPTIONS.items()
    )
    config = instance("omegaconf.dictconfig.DictConfig", b"}" + text("_content") + b"}" + nodes + b"us")
    parts = {
        "args": {"args": namespace(OPTIONS)},
        "cfg": {"args": b"N", "cfg": data({"_name": None, "model": OPTIONS})},
        "DictConfig": {"cfg": b"}" + text("model") + config + b"s"},
    }[layout]
    with view_bytes(tmp_path, content(pretrained(), legacy, **parts)) as checkpoint:
        fields = checkpoint.config_fields or {}
        assert (fields["hidden_size"], fields["num_attention_heads"]) == (8, 2)
        np.testing.assert_array_equal(
            checkpoint.read("wav2vec2.feature_projection.projection.weight"),
            pretrained()["post_extract_proj.weight"],
        )
        assert Wav2Vec2Config(**fields).conv_stride == [5, 2]


def test_options_that_refer_to_others_or_are_missing_take_fairseqs_defaults(tmp_path: Path) -> None:
    options = OPTIONS | {"dropout": "${task.dropout}", "attention_dropout": "???", "logit_temp": None}
    with view_bytes(tmp_path, content(pretrained(), args=namespace(options))) as checkpoint:
        fields = checkpoint.config_fields or {}
    assert (fields["hidden_dropout"], fields["attention_dropout"]) == (0.1, 0.1)
    assert fields["contrastive_logits_temperature"] == 0.1


def test_a_model_trained_without_masks_keeps_its_mask_vector(tmp_path: Path) -> None:
    options = OPTIONS | {"mask_prob": 0, "mask_channel_prob": 0.0}
    with view_bytes(tmp_path, content(pretrained(), args=namespace(options))) as checkpoint:
        config = Wav2Vec2Config(**checkpoint.config_fields or {})
    assert not config.apply_spec_augment
    assert config.mask_time_prob > 0


def test_a_fine_tuned_file_without_the_options_of_its_encoder(tmp_path: Path) -> None:
    with view_bytes(tmp_path, content(fine_tuned(), args=namespace({"w2v_args": None}))) as checkpoint:
        assert checkpoint.config_fields is None
        assert checkpoint.shapes["lm_head.weight"] == (7, 8)


def fine_tuned_file(folder: Path, **parts: bytes) -> Checkpoint:
    options = namespace({"apply_mask": True}, w2v_args=namespace(OPTIONS))
    return view_bytes(folder, content(fine_tuned(), args=options, **parts))


def test_adapters_of_one_language(tmp_path: Path) -> None:
    arrays = pretrained()
    for end, shape in {
        "W_a": (1, 3, 8),
        "b_a": (1, 3),
        "W_b": (1, 8, 3),
        "b_b": (1, 8),
        "ln_W": (1, 8),
        "ln_b": (1, 8),
    }.items():
        arrays[f"encoder.layers.0.adapter_layer.{end}"] = np.full(shape, 2, np.float32)
    with view_bytes(tmp_path, content(arrays, args=namespace(OPTIONS))) as checkpoint:
        key = "wav2vec2.encoder.layers.0.adapter_layer.linear_1.weight"
        assert checkpoint.read(key).shape == checkpoint.shapes[key] == (3, 8)
        assert (checkpoint.config_fields or {})["adapter_attn_dim"] == 3
    arrays["encoder.layers.0.adapter_layer.ln_b"] = np.ones((2, 8), np.float32)
    with pytest.raises(CheckpointError, match="not one language's adapter"):
        view_bytes(tmp_path, content(arrays, args=namespace(OPTIONS)))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("| 5\nE 4\nT 3\n", {"|": 4, "E": 5, "T": 6}),
        ("| 5\r\nE 4\r\nT 3", {"|": 4, "E": 5, "T": 6}),
        ("a b 5\n\u2028 4\n\x0c 3\n", {"a b": 4, "\u2028": 5, "\x0c": 6}),
        ("E 5\nT 4\nE 3 #fairseq:overwrite\n", {"T": 5, "E": 6}),
    ],
)
def test_dictionary_files(tmp_path: Path, lines: str, expected: dict[str, int]) -> None:
    (tmp_path / "dict.ltr.txt").write_bytes(lines.encode())
    # Another one is not in the way of the one for letters.
    (tmp_path / "dict.wrd.txt").write_text("WORD 3\n")
    with fine_tuned_file(tmp_path) as checkpoint:
        assert checkpoint.vocabulary == SPECIAL | expected


def test_the_only_dictionary_is_the_one(tmp_path: Path) -> None:
    (tmp_path / "dict.phn.txt").write_text("a 1\nb 1\nc 1\n")
    with fine_tuned_file(tmp_path) as checkpoint:
        assert checkpoint.vocabulary == SPECIAL | {"a": 4, "b": 5, "c": 6}
    (tmp_path / "dict.phn.txt").unlink()
    with fine_tuned_file(tmp_path) as checkpoint:
        assert checkpoint.vocabulary is None


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"dict.ltr.txt": b"a 1\n"}, r"dict\.ltr\.txt has a dictionary of 5 symbols.* the model 7 outputs"),
        ({"dict.ltr.txt": b"a 1\nb 1\nb 1\n"}, r"dict\.ltr\.txt, line 3"),
        ({"dict.ltr.txt": b"a 1\nb\nc 1\n"}, r"dict\.ltr\.txt, line 2"),
        ({"dict.ltr.txt": b"a 1\n\nc 1\n"}, r"dict\.ltr\.txt, line 2"),
        ({"dict.ltr.txt": b"a 1\nb x\nc 1\n"}, r"dict\.ltr\.txt, line 2"),
        ({"dict.ltr.txt": b""}, r"dict\.ltr\.txt, line 1"),
        ({"dict.ltr.txt": b"\xff 1\n"}, "UTF-8"),
        ({"dict.a.txt": b"a 1\n", "dict.b.txt": b"a 1\n"}, r"any of dict\.a\.txt, dict\.b\.txt"),
    ],
)
def test_a_dictionary_that_does_not_fit(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    for name, written in files.items():
        (tmp_path / name).write_bytes(written)
    with pytest.raises(CheckpointError, match=message) as caught:
        fine_tuned_file(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "symbols",
    [["<s>", "<pad>", "</s>", "<unk>", "a"], ["<pad>", "<s>", "</s>", "<unk>", *"abc"], "text", [1] * 7],
)
def test_a_dictionary_inside_that_does_not_fit(tmp_path: Path, symbols: Any) -> None:
    inside = instance("fairseq.data.dictionary.Dictionary", data({"symbols": symbols}))
    with pytest.raises(CheckpointError, match="dictionary"):
        fine_tuned_file(tmp_path, task_state=b"}" + text("target_dictionary") + inside + b"s")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("encoder_embed_dim", 16, "by its options hidden_size is 16, by its tensors 8"),
        ("encoder_layers", 2, "num_hidden_layers"),
        ("encoder_ffn_embed_dim", 11, "intermediate_size"),
        ("conv_feature_layers", "[(6, 10, 5), (6, 4, 2)]", "conv_kernel"),
        ("conv_feature_layers", "[(6, 10, 5)]", "conv_dim"),
        ("conv_bias", True, "conv_bias"),
        ("conv_pos", 5, "num_conv_pos_embeddings"),
        ("conv_pos_groups", 4, "num_conv_pos_embedding_groups"),
        ("extractor_mode", "layer_norm", "feat_extract_norm"),
        ("extractor_mode", "other", "option extractor_mode is 'other'"),
        ("activation_fn", "linear", "option activation_fn is 'linear'"),
        ("encoder_layers", "1", "option encoder_layers is no int"),
        ("layer_norm_first", 1, "option layer_norm_first is no bool"),
        ("dropout", "0.1", "option dropout is no float"),
        ("dropout", 10**400, "float"),
        ("conv_feature_layers", 7, "option conv_feature_layers is no"),
        ("conv_feature_layers", "__import__('os').system('true')", "must be a list of"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, option: str, value: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        view_bytes(tmp_path, content(pretrained(), args=namespace(OPTIONS | {option: value})))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "foreign", ["label_embs_concat", "encoder.layers.0.attn.weight", "post_extract_proj.scale"]
)
def test_another_architecture(tmp_path: Path, foreign: str) -> None:
    arrays = pretrained() | {foreign: np.zeros(3, np.float32)}
    with pytest.raises(CheckpointError, match=f"no wav2vec 2.0 model of fairseq: its tensor '{foreign}'"):
        view_bytes(tmp_path, content(arrays, args=namespace(OPTIONS)))


def test_tensors_that_are_missing_or_doubled(tmp_path: Path) -> None:
    arrays = pretrained()
    arrays.pop("post_extract_proj.weight")
    with pytest.raises(CheckpointError, match=r"feature_projection\.projection\.weight is missing"):
        view_bytes(tmp_path, content(arrays, args=namespace(OPTIONS)))
    arrays = pretrained() | {"feature_extractor.conv_layers.0.2.1.bias": np.zeros(6, np.float32)}
    with pytest.raises(CheckpointError, match="no counterpart"):
        view_bytes(tmp_path, content(arrays, args=namespace(OPTIONS)))


def test_other_files_of_torchs_are_none_of_fairseqs() -> None:
    with TorchCheckpoint(GOLDENS.parent / "torch_files" / "zip.bin") as checkpoint:
        assert fairseq_view(checkpoint) is None


def test_what_is_not_a_tensor_in_the_model(tmp_path: Path) -> None:
    pickled = b"\x80\x02}(" + text("args") + namespace(OPTIONS) + text("model") + data({"a": 1}) + b"u."
    with pytest.raises(CheckpointError, match="holds under 'a' what is not a tensor"):
        view_bytes(tmp_path, fairseq_files.save(pickled, {}, legacy=False))


def calls(function: str, argument: str) -> bytes:
    module, _, name = function.rpartition(".")
    return f"c{module}\n{name}\n(".encode() + text(argument) + b"tR"


def hostile(target: Path) -> dict[str, bytes]:
    """Options that try to run something; each would make the target if a part of it were obeyed."""
    command = f"touch {target}"
    system = calls("os.system", command)
    return {
        "os.system": system,
        "posix.system": calls("posix.system", command),
        "eval": calls("builtins.eval", f"open({str(target)!r}, 'w')"),
        "exec of old": calls("__builtin__.exec", f"open({str(target)!r}, 'w')"),
        "inside the options": namespace(OPTIONS, encoder_layers=system),
        "as a state": b"cargparse\nNamespace\n)\x81" + system + b"b",
        "as arguments": b"cargparse\nNamespace\n(" + system + b"t\x81",
        "behind the class": b"\x8c\x08argparse\x8c\x12Namespace.__init__\x93)R",
        "the class's class": b"\x8c\x08argparse\x8c\x13Namespace.__class__\x93(" + text("x") + b")}tR",
        "the module's modules": calls("argparse._sys.modules.get", "os"),
        "another of the module's": calls("argparse.FileType", "w"),
        "a call of an object": namespace(OPTIONS) + b"(" + text(command) + b"tR",
        "an object of an object": namespace(OPTIONS) + b")\x81",
        "an object of a dtype": b"ctorch\nFloatStorage\n)\x81",
        "an object of torch's dictionary": b"ccollections\nOrderedDict\n)\x81",
        "fairseq's own loader": calls("fairseq.checkpoint_utils.load_checkpoint_to_cpu", str(target)),
        "fairseq's dictionary's loader": b"\x8c\x17fairseq.data.dictionary\x8c\x0fDictionary.load\x93"
        + b"(" + text(str(target)) + b"tR",
        "omegaconf's loader": calls("omegaconf.OmegaConf.load", str(target)),
        "numpy's loader": calls("numpy.load", str(target)),
        "builtins.getattr": calls("builtins.getattr", "x"),
        "persistent": b"(" + text("storage") + b"cargparse\nNamespace\n" + text("0") + text("cpu") + b"K\x01tQ",
        "inst": b"(" + text(command) + b"ios\nsystem\n",
        "keywords": b"cargparse\nNamespace\n)}\x92",
    }  # fmt: skip


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", sorted(hostile(Path("unused"))))
def test_options_that_try_to_run_code(tmp_path: Path, kind: str, legacy: bool) -> None:
    target = tmp_path / "executed"
    with pytest.raises(CheckpointError, match=r"checkpoint_best\.pt") as caught:
        view_bytes(tmp_path, content(pretrained(), legacy, args=hostile(target)[kind]))
    assert not target.exists()
    assert "\n" not in str(caught.value)
    if kind != "persistent":
        assert isinstance(caught.value, UnsafePickleError)
        assert "nothing in it was run" in str(caught.value)


@pytest.mark.parametrize("legacy", [False, True])
def test_states_stay_data(tmp_path: Path, legacy: bool) -> None:
    """Names that mean something to Python mean nothing here."""
    fields = OPTIONS | dict.fromkeys(
        ("__setstate__", "__class__", "__reduce__", "__dict__", "state"), "posix.system"
    )
    with view_bytes(tmp_path, content(pretrained(), legacy, args=namespace(fields))) as checkpoint:
        assert (checkpoint.config_fields or {})["hidden_size"] == 8


def test_traces_of_fairseq_have_no_place_in_a_plain_state_dict(tmp_path: Path) -> None:
    pickled = b"\x80\x02}(" + text("options") + namespace(OPTIONS) + b"u."
    with pytest.raises(UnsafePickleError, match=r"asks for 'argparse\.Namespace'"):
        view_bytes(tmp_path, fairseq_files.save(pickled, {}, legacy=False))


def bombs() -> dict[str, bytes]:
    pairs = b"](" + b"".join(text(str(index)) + b"N\x86" for index in range(1000)) + b"eq\x01"
    made = b"ccollections\nOrderedDict\nq\x00"
    again = b"(" + b"h\x00h\x01\x85R" * 50_000 + b"t"
    deep = b"cargparse\nNamespace\nq\x00" + b"h\x00)\x81}" * 30_000
    return {
        "the same list again and again": b"(" + pairs + made + again + b"t",
        "options within options": deep + b"b" * 60_000,
        "tuples within options": namespace(OPTIONS, encoder_layers=b")" + b"\x85" * 500_000),
        "an endless text of convolutions": namespace(
            OPTIONS | {"conv_feature_layers": "[(6,10,5)]" + "+[]" * 99999}
        ),
        "endless convolutions": namespace(OPTIONS | {"conv_feature_layers": "[(6, 10, 5)] * 1000000000"}),
        "brackets": namespace(OPTIONS | {"conv_feature_layers": "(" * 900}),
        "signs": namespace(OPTIONS | {"conv_feature_layers": "-" * 900 + "1"}),
        "powers": namespace(OPTIONS | {"conv_feature_layers": "[(6, 10, 9**9**9**9)]"}),
    }


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", sorted(bombs()))
def test_options_that_would_exhaust_the_machine(tmp_path: Path, kind: str, legacy: bool) -> None:
    start = time.process_time()
    with pytest.raises(CheckpointError) as caught:
        view_bytes(tmp_path, content(pretrained(), legacy, args=bombs()[kind])).close()
    assert time.process_time() - start < 10
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "claim", [{"shape": (10**10,)}, {"shape": (10**10,), "count": 10**10}, {"offset": 2**61}]
)
def test_a_small_file_that_claims_ten_gigabytes(tmp_path: Path, claim: dict[str, Any], legacy: bool) -> None:
    array = np.zeros(8, np.float32)
    state = state_pickle({"mask_emb": Entry(array, "0", **claim)}, legacy)[2:-1]
    pickled = b"\x80\x02}(" + text("args") + namespace(OPTIONS) + text("model") + state + b"u."
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="damaged"):
            view_bytes(tmp_path, fairseq_files.save(pickled, {"mask_emb": array}, legacy))
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_options_that_contain_themselves(tmp_path: Path) -> None:
    own = b"cargparse\nNamespace\n)\x81q\xff}(" + text("w2v_args") + b"h\xffub"
    with pytest.raises(CheckpointError, match="by its options hidden_size is 768"):
        view_bytes(tmp_path, content(fine_tuned(), args=own))


FUZZ = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_or_refuse(path: Path, written: bytes) -> None:
    path.write_bytes(written)
    refusal = str(path)
    try:
        with TorchCheckpoint(path) as source:
            seen = fairseq_view(source) or source
            for key, shape in seen.shapes.items():
                assert seen.read(key).shape == shape
            if seen.config_fields is not None:
                assert isinstance(seen.config_fields["conv_dim"], list)
    except CheckpointError as error:
        refusal = str(error)
    assert str(path) in refusal
    assert "\n" not in refusal


def whole_pickle(arrays: dict[str, np.ndarray], legacy: bool) -> bytes:
    symbols = ["<s>", "<pad>", "</s>", "<unk>", *"abc"]
    inside = instance("fairseq.data.dictionary.Dictionary", data({"symbols": symbols}))
    parts = {
        "args": namespace({"apply_mask": True}, w2v_args=namespace(OPTIONS)),
        "task_state": b"}" + text("target_dictionary") + inside + b"s",
    }
    beside = b"".join(text(name) + value for name, value in parts.items())
    state = state_pickle(fairseq_files.entries_of(arrays), legacy)[2:-1]
    return b"\x80\x02}(" + beside + text("model") + state + b"u."


@pytest.mark.parametrize("legacy", [False, True])
@FUZZ
@given(
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
    )
)
def test_a_pickle_with_changed_bytes(tmp_path: Path, legacy: bool, changes: list[tuple[float, int]]) -> None:
    arrays = fine_tuned()
    pickled = bytearray(whole_pickle(arrays, legacy))
    for place, value in changes:
        pickled[int(place * len(pickled))] = value
    read_or_refuse(tmp_path / "model.pt", fairseq_files.save(bytes(pickled), arrays, legacy))


@pytest.mark.parametrize("name", ["group/pretrained", "layer/finetuned"])
@settings(FUZZ, max_examples=60)
@given(
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4
    ),
    kept=st.floats(0, 1) | st.just(1.0),
)
def test_fairseqs_files_with_changed_bytes(
    tmp_path: Path, name: str, changes: list[tuple[float, int]], kept: float
) -> None:
    written = bytearray((GOLDENS / f"{name}.pt").read_bytes())
    for place, value in changes:
        # Half of the changes hit the first pickle.
        written[int(place * len(written)) if value % 2 else int(place * 10_000)] = value
    read_or_refuse(tmp_path / "model.pt", bytes(written[: int(kept * len(written))]))


# Instructions that work on what is there, so that random programs get somewhere.
PIECES = [
    *(bytes([code]) for code in b"()}]N\x88t\x85\x86\x87RQbsuaeld\x93\x81"),
    *(b"K\x01", text("args"), text("model"), b"q\x00", b"h\x00"),
    *(b"cargparse\nNamespace\n", b"comegaconf.dictconfig\nDictConfig\n", b"ccollections\nOrderedDict\n"),
    *(text("encoder_layers"), text("_content"), text("w2v_args"), text("conv_feature_layers")),
]


@FUZZ
@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_any_options(tmp_path: Path, program: list[bytes]) -> None:
    read_or_refuse(tmp_path / "model.pt", content(pretrained(), args=b"".join(program)))
