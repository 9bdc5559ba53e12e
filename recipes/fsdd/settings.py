"""What both sides are given: the architecture, the budget, the batches and the learning rates to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recipes.fsdd.clips import Task
from tfwav2vec2 import SpeechData, TrainingOptions
from tfwav2vec2.audio.buckets import Buckets
from tfwav2vec2.audio.feature_extractor import Wav2Vec2FeatureExtractor
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.data.augmentation import AdditiveNoise, Augmentation, Chain, Sometimes, SpeedPerturbation
from tfwav2vec2.data.examples import Example

# The clips hold nothing above 4 kHz.
SAMPLING_RATE = 8000

# Almost all clips last 0.3 to 0.65 s, the longest 2.3 s.
BUCKETS = Buckets((4000, 5600, 8000, 12000, 20000))


@dataclass(frozen=True)
class Setting:
    """A task and its budget.

    Attributes:
        head: the package's name for the task.
        epochs: of the training.
        batch_size: clips of a batch.
        rates: the peak learning rates to choose from.
        augment: what training does to clips.
        passes: how often an epoch goes through the clips, where they are few: at the end of each one a model is written.
        crop_seconds: how much of a clip is used, from a random place in training and the middle of it in tests; None for
            all of it.
    """

    head: str
    epochs: int
    batch_size: int
    rates: tuple[float, ...]
    augment: Augmentation
    passes: int = 1
    crop_seconds: float | None = None

    def options(self, rate: float, seed: int) -> TrainingOptions:
        """How a model is trained: AdamW, a short warm-up, then a straight line down to 0."""
        return TrainingOptions(
            epochs=self.epochs, learning_rate=rate, schedule="linear", warmup=0.1, weight_decay=0.01,
            clip_norm=1.0, freeze_feature_encoder=False, every=10**9, seed=seed,
        )  # fmt: skip

    def training_data(
        self,
        examples: Sequence[Example],
        extractor: Wav2Vec2FeatureExtractor,
        config: Wav2Vec2Config,
        seed: int,
    ) -> SpeechData:
        """The batches of a seed, which are the same for both sides."""
        return SpeechData(
            [*examples] * self.passes, self.head, extractor, config, batch_size=self.batch_size,
            augment=self.augment, crop_seconds=self.crop_seconds, seed=seed, buckets=BUCKETS, workers=1,
        )  # fmt: skip

    def test_data(
        self, examples: Sequence[Example], extractor: Wav2Vec2FeatureExtractor, config: Wav2Vec2Config
    ) -> SpeechData:
        """The clips as they are, each once."""
        return SpeechData(
            examples, self.head, extractor, config, batch_size=32, shuffle=False,
            crop_seconds=self.crop_seconds, buckets=BUCKETS, workers=1,
        )  # fmt: skip


SETTINGS: dict[Task, Setting] = {
    "digits": Setting(
        head="classify",
        epochs=12,
        batch_size=16,
        rates=(5e-4, 1.5e-3, 4.5e-3),
        augment=Chain([SpeedPerturbation(), Sometimes(AdditiveNoise(), 0.5)]),
    ),
    "speakers": Setting(
        head="speaker",
        epochs=4,
        batch_size=16,
        rates=(5e-4, 1.5e-3, 4.5e-3),
        augment=Sometimes(AdditiveNoise(), 0.5),
        passes=10,
        crop_seconds=0.4,
    ),
}


def make_config() -> Wav2Vec2Config:
    """A small model of 8 kHz: a frame stands for 20 ms, as in every wav2vec 2.0; two layers; light x-vector layers."""
    return Wav2Vec2Config(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        conv_dim=[32, 48, 64], conv_kernel=[16, 10, 8], conv_stride=[8, 5, 4], conv_bias=False,
        feat_extract_norm="layer", do_stable_layer_norm=True, initializer_range=0.1,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=8,
        hidden_dropout=0.1, attention_dropout=0.1, activation_dropout=0.1, feat_proj_dropout=0.1, layerdrop=0.0,
        mask_time_prob=0.1, mask_time_length=3, mask_time_min_masks=0,
        mask_feature_prob=0.1, mask_feature_length=8, mask_feature_min_masks=0,
        classifier_proj_size=64,
        tdnn_dim=[64, 64, 128], tdnn_kernel=[3, 3, 1], tdnn_dilation=[1, 2, 1], xvector_output_dim=64,
    )  # fmt: skip


def make_extractor() -> Wav2Vec2FeatureExtractor:
    """Normalised waveforms of 8 kHz, and their lengths as a mask."""
    return Wav2Vec2FeatureExtractor(
        sampling_rate=SAMPLING_RATE, do_normalize=True, return_attention_mask=True
    )
