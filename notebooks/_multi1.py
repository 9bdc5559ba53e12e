import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
from keras import ops
from recordings import recordings

from tfwav2vec2 import (
    AutoFeatureExtractor,
    SpeechData,
    TFWav2Vec2ForCTC,
    Transcriber,
    WarmupDecay,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2Processor,
    read_manifest,
)
from tfwav2vec2.metrics.evaluation import evaluate_transcripts

sys.path.append("..")  # the recipes are not installed with the package
from recipes.yesno.spans import spans

BASE = Path("..", "saved_models", "spoken-digits")

keras.utils.set_random_seed(1)
temporary = TemporaryDirectory()
folder = Path(temporary.name)
manifest = read_manifest(recordings() / "manifest.tsv")
DIGITS = "zero one two three four five six seven eight nine".split()
HEBREW = {"YES": "כן", "NO": "לא"}


def split(examples, train, test):
    order = np.random.default_rng(0).permutation(len(examples))
    return [examples[index] for index in order[:train]], [examples[index] for index in order[train : train + test]]


english, english_test = split(
    [
        replace(example, target=str(DIGITS.index(example.target)))
        for example in manifest
        if example.id.startswith("fsdd/") and example.speaker.endswith("lucas")
    ],
    train=120,
    test=20,
)
clips, hebrew_test = split(
    [
        replace(example, target=" ".join(HEBREW[word] for word in example.target.split()))
        for example in manifest
        if example.id.startswith("yesno/")
    ],
    train=50,
    test=10,
)
runs, _ = split([run for run in spans(clips) if run.seconds < 3.5], train=200, test=0)
hebrew = clips[:20] + runs
vocabulary = json.loads((BASE / "vocab.json").read_text())
shared = ["<pad>", "<s>", "</s>", "<unk>", "|"]
letters = sorted(set("".join(HEBREW.values())))
vocabularies = {"eng": vocabulary, "heb": {token: index for index, token in enumerate(shared + letters)}}
(folder / "vocab.json").write_text(json.dumps(vocabularies))

tokenizer = Wav2Vec2CTCTokenizer(folder / "vocab.json", target_lang="eng")
processor = Wav2Vec2Processor(AutoFeatureExtractor.from_pretrained(BASE), tokenizer)
{language: len(tokens) for language, tokens in vocabularies.items()}
without_noise = {
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "final_dropout": 0.0,
}

with warnings.catch_warnings(action="ignore"):
    model = TFWav2Vec2ForCTC.from_pretrained(
        BASE,
        strict=False,
        adapter_attn_dim=32,
        word_delimiter_token_id=tokenizer.word_delimiter_token_id,
        **without_noise,
    )


def count(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


model.freeze_all_but_adapters()
print(f"{count(model.trainable_weights):,} of {count(model.weights):,} weights are trained")
def fit(model, examples, epochs, batch_size, learning_rate, lengths):
    data = SpeechData(examples, "ctc", processor, model.config, batch_size=batch_size, buckets=lengths)
    steps = epochs * data.steps_per_epoch
    schedule = WarmupDecay(learning_rate, steps, warmup_steps=steps // 10, decay="cosine")
    model.compile(keras.optimizers.Adam(schedule, beta_2=0.98, global_clipnorm=1.0))
    model.fit(data.dataset(), epochs=epochs, verbose=2)


def errors(transcriber, examples):
    return evaluate_transcripts(transcriber, examples).words.rate


before = errors(Transcriber.from_pretrained(BASE), english_test)
fit(model, english, epochs=3, batch_size=12, learning_rate=1e-3, lengths=1)
after = errors(Transcriber(model, processor), english_test)
print(f"English digits, word error rate: {before:.1%} without adapters, {after:.1%} with them")
model.save_pretrained(folder)
processor.save_pretrained(folder)
path = model.save_adapter(folder, "eng")
print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB; {folder.joinpath('model.safetensors').stat().st_size / 1e3:.0f} kB")
tokenizer.set_target_lang("heb")
model = TFWav2Vec2ForCTC.from_pretrained(
    folder, strict="backbone", ignore_mismatched_sizes=True, vocab_size=len(tokenizer)
)
model.init_adapter_layers()
model.freeze_all_but_adapters()
fit(model, hebrew, epochs=10, batch_size=4, learning_rate=3e-3, lengths=4)
print(model.save_adapter(folder, "heb").name)
model = TFWav2Vec2ForCTC.from_pretrained(folder, target_lang="eng")
processor = Wav2Vec2Processor.from_pretrained(folder, target_lang="eng")
adapters = {id(variable) for variable in model.adapter_variables().values()}
backbone = [(variable, ops.convert_to_numpy(variable)) for variable in model.weights if id(variable) not in adapters]

model.load_adapter("heb")
processor.tokenizer.set_target_lang("heb")
print(model.lm_head.kernel.shape, processor.tokenizer.target_lang)

transcriber = Transcriber(model, processor)
rates = {}
for language, examples in ("eng", english_test), ("heb", hebrew_test), ("eng", english_test):
    transcriber.set_language(language)
    rates[language] = errors(transcriber, examples)
    print(f"{language}: word error rate {rates[language]:.1%} on {len(examples)} held-out clips")

assert all(np.array_equal(ops.convert_to_numpy(variable), values) for variable, values in backbone)
assert rates["eng"] == after < 0.15 and rates["heb"] < 0.25
transcriber.set_language("heb")
for example, transcript in zip(hebrew_test[:3], transcriber.transcribe(e.audio for e in hebrew_test[:3]), strict=True):
    print(f"said   {example.target}\nfound  {transcript.text}\n")
temporary.cleanup()