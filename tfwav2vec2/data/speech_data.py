"""Examples to batches for ``fit``: every batch is a function of a seed, the epoch and the step, and of nothing else."""

from __future__ import annotations

import copy
import logging
import math
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfwav2vec2.audio.buckets import Buckets
from tfwav2vec2.audio.feature_extractor import Wav2Vec2FeatureExtractor
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.data.augmentation import Augmentation
from tfwav2vec2.data.batch_plan import BatchPlan, PlannedBatch, chosen_lengths, clips_of_a_batch
from tfwav2vec2.data.clip_preparation import ClipPreparation
from tfwav2vec2.data.data_report import DataReport, LeftOut
from tfwav2vec2.data.epoch_reading import ReadInEpochs
from tfwav2vec2.data.manifest import as_examples
from tfwav2vec2.data.reading_position import ReadingPosition, WaitingTime
from tfwav2vec2.data.selection import Selection, Usable
from tfwav2vec2.data.targets import Transcripts
from tfwav2vec2.data.tasks import targets_for

if TYPE_CHECKING:
    import tensorflow as tf

logger = logging.getLogger(__name__)


class SpeechData(ReadInEpochs):
    """Batches of speech for ``fit``, ``evaluate`` and ``predict``: ``model.fit(data.dataset(), epochs=...)``.

    Clips are decoded, resampled, augmented, normalised and padded while the model trains. Clips of about one length come
    together, padded to the few lengths of ``buckets``, so that few shapes are compiled. What cannot be learned from is
    left out, counted in :attr:`report` and logged: nothing disappears silently.

    ``batch(epoch, step)`` depends on the seed, the epoch and the step alone, so that a training which was interrupted can
    go on with the very batch that would have been next: see :meth:`seek`.

    Args:
        examples: a list of :class:`~tfwav2vec2.data.examples.Example`; the path of a manifest or of a folder of
            audio; or a Hugging Face dataset with its usual columns.
        task: ``"ctc"``, ``"classify"``, ``"frames"``, ``"speaker"`` or ``"pretrain"``.
        processor: the model's processor; a feature extractor is enough for tasks without text.
        config: the model's configuration.
        batch_size: the clips of a batch, over all devices; 8 by default.
        batch_seconds: in place of ``batch_size``: the sound of a batch, padding included, in seconds.
        shuffle: whether each epoch has its own order. Without it clips of one length come together all the same.
        seed: decides the order, the crops and the augmentation.
        augment: ``augment(samples, rng) -> samples``, applied to each clip before it is normalised. One that makes clips
            longer says so by an attribute ``stretch``, the most times longer. A clip that it makes too short for its
            target, or longer than it said, is used as it is.
        min_seconds: shorter clips are left out.
        max_seconds: longer clips are left out.
        crop_seconds: of longer clips a piece of this length is used, at random where ``shuffle`` is set, else from the
            middle; not for CTC and frame classification, whose targets belong to places in the clip.
        drop_remainder: whether the batch that is smaller than others is left out.
        buckets: the lengths that clips are padded to; or how many of the usual lengths to use, those that pad least.
        divisible_by: what the clips of every batch are a multiple of: the number of devices that share it.
        normalize_text: what is done to texts, in place of bringing them to the vocabulary's letters.
        background: for ``"frames"``, the class of frames in no interval.
        check: how far to look for unusable files before training begins: ``"header"`` reads their headers, ``"decode"``
            decodes them, ``"manifest"`` opens none whose length the manifest tells.
        workers: how many batches are made at once; by default as many as there are cores, at most 4.
        ahead: how many finished batches may wait.

    Raises:
        ValueError: for arguments that contradict each other, and where no example can be learned from.
        TypeError: for a processor without a tokenizer where there are texts.
    """

    def __init__(
        self,
        examples: Any,
        task: str,
        processor: Any,
        config: Wav2Vec2Config,
        *,
        batch_size: int | None = None,
        batch_seconds: float | None = None,
        shuffle: bool = True,
        seed: int = 0,
        augment: Augmentation | None = None,
        min_seconds: float | None = None,
        max_seconds: float | None = None,
        crop_seconds: float | None = None,
        drop_remainder: bool = False,
        buckets: Buckets | int | None = None,
        divisible_by: int = 1,
        normalize_text: Callable[[str], str] | None = None,
        background: str | None = None,
        check: str = "header",
        workers: int | None = None,
        ahead: int = 4,
    ) -> None:
        if seed < 0:
            raise ValueError(f"seed is {seed}; it must be 0 or more")
        batch_size = clips_of_a_batch(batch_size, batch_seconds, divisible_by)
        self.task = task
        self.seed = seed
        self.workers = workers or min(4, os.cpu_count() or 1)
        self.ahead = ahead
        self.wait = WaitingTime()
        self._config = config
        self._extractor = getattr(processor, "feature_extractor", processor)
        if not isinstance(self._extractor, Wav2Vec2FeatureExtractor):
            raise TypeError(
                f"processor is a {type(processor).__name__}; give the model's processor or its feature extractor"
            )
        self._targets = targets_for(task, processor, config, self.sampling_rate, normalize_text, background)
        if crop_seconds is not None and self._targets.follows_time:
            raise ValueError(
                f"crop_seconds cuts pieces out of clips, whose targets for {task!r} belong to the whole; use max_seconds "
                "to leave long clips out"
            )
        self._preparation = ClipPreparation(
            self._targets,
            config,
            self.sampling_rate,
            crop=None if crop_seconds is None else round(crop_seconds * self.sampling_rate),
            random_crops=shuffle,
            augment=augment,
        )
        selection = Selection(self._targets, config, self.sampling_rate, min_seconds, max_seconds, check)
        self._clips, left_out = selection.apply(as_examples(examples))
        if not self._clips:
            raise ValueError(
                "No example can be learned from:\n"
                + str(DataReport(0, left_out, 0.0, 0, {}, 0.0, **self._text_counts()))
            )
        lengths = [self._preparation.most_samples(clip) for clip in self._clips]
        if not isinstance(buckets, Buckets):
            usual = Buckets.at_rate(self.sampling_rate)
            buckets = usual if buckets is None else chosen_lengths(lengths, buckets, usual)
        self._plan = BatchPlan(
            lengths,
            [self._targets.size(clip.target) for clip in self._clips],
            buckets,
            clips=batch_size,
            total_samples=None if batch_seconds is None else round(batch_seconds * self.sampling_rate),
            divisible_by=divisible_by,
            shuffle=shuffle,
            drop_remainder=drop_remainder,
        )
        self._part, self._parts = 0, 1
        self._plans: dict[int, list[PlannedBatch]] = {}
        self._position = ReadingPosition(self.steps_per_epoch)
        if not self.steps_per_epoch:
            raise ValueError(
                f"{len(self._clips)} examples do not fill one batch of {batch_size or divisible_by}; make batches smaller, "
                "or leave out drop_remainder"
            )
        self.report = self._make_report(left_out)
        logger.log(logging.WARNING if left_out else logging.INFO, "%s", self.report)

    # What there is

    @property
    def sampling_rate(self) -> int:
        """The model's rate in Hz."""
        return self._extractor.sampling_rate

    @property
    def steps_per_epoch(self) -> int:
        """The batches of an epoch, the same for every epoch."""
        return len(self.plan(0))

    def __len__(self) -> int:
        return self.steps_per_epoch

    @property
    def element_spec(self) -> dict[str, tuple[tuple[int | None, ...], type]]:
        """The shape, as far as it is fixed, and the type of each part of a batch."""
        spec: dict[str, tuple[tuple[int | None, ...], type]] = {
            "input_values": ((None, None), np.float32),
            "attention_mask": ((None, None), np.int32),
        }
        if self._targets.trailing is not None:
            spec["labels"] = ((None, *self._targets.trailing), self._targets.dtype)
        return spec

    # A batch as a function of the epoch and the step

    def plan(self, epoch: int) -> list[PlannedBatch]:
        """The batches of an epoch, over all devices, before anything is read."""
        plan = self._plans.get(epoch)
        if plan is None:
            plan = self._plan.epoch(np.random.default_rng((self.seed, epoch)))
            # Whoever reads ahead needs the next epoch's plan beside this one's; the first tells what all are like.
            kept = {key: self._plans[key] for key in (0, epoch - 1) if key in self._plans}
            self._plans = {**kept, epoch: plan}
        return plan

    def batch_ids(self, epoch: int, step: int) -> list[str]:
        """The names of a batch's examples, in the order of its rows."""
        return [self._clips[member].example.id for member in self._rows(self._planned(epoch, step))]

    def batch(self, epoch: int, step: int) -> dict[str, np.ndarray]:
        """One batch, the same whenever and wherever it is asked for.

        Returns:
            ``input_values`` (batch, samples) float32, ``attention_mask`` (batch, samples) int32 and, unless the task is
            ``"pretrain"``, ``labels``: (batch, letters) int32 padded with -100, (batch,) int32 classes, or (batch,
            frames, num_labels) float32.

        Raises:
            OSError, ValueError: for a clip that cannot be read, or is not as long as was known of it.
            IndexError: for a step that the epoch does not have.
        """
        planned = self._planned(epoch, step)
        clips = [self._clips[member] for member in self._rows(planned)]
        waveforms, stretch = [], []
        for clip in clips:
            # The epoch's order is drawn from (seed, epoch), which is the same stream as (seed, epoch, 0).
            rng = np.random.default_rng((self.seed, epoch, 1 + clip.number))
            waveform, factor = self._preparation.waveform(clip, rng, planned.samples)
            waveforms.append(waveform)
            stretch.append(factor)
        batch = dict(
            self._extractor(
                waveforms,
                padding="max_length",
                max_length=planned.samples,
                return_attention_mask=True,
                sampling_rate=self.sampling_rate,
                return_tensors="np",
            )
        )
        labels = self._labels(clips, [len(waveform) for waveform in waveforms], stretch, planned)
        return batch if labels is None else batch | {"labels": labels}

    def _labels(
        self, clips: list[Usable], lengths: list[int], stretch: list[float], planned: PlannedBatch
    ) -> np.ndarray | None:
        targets = [clip.target for clip in clips]
        return self._targets.batch(targets, lengths, stretch, planned.samples, planned.label_columns)

    def _planned(self, epoch: int, step: int) -> PlannedBatch:
        plan = self.plan(epoch)
        if not 0 <= step < len(plan):
            raise IndexError(f"There is no step {step} in an epoch of {len(plan)} steps, counted from 0")
        return plan[step]

    def _rows(self, planned: PlannedBatch) -> tuple[int, ...]:
        rows = len(planned.members) // self._parts
        return planned.members[self._part * rows : (self._part + 1) * rows]

    # For several machines

    def as_graph_dataset(self, epoch: int = 0) -> tf.data.Dataset:
        """The batches of one epoch as a ``tf.data.Dataset`` in which nothing is Python, so that it can be sent elsewhere.

        It needs TensorFlow 2.16 or 2.17 and tensorflow-io, and holds clips as they are in their files: whole, without
        augmentation. Its resampler is another one than soxr.

        Raises:
            ImportError: where tensorflow-io is missing, or does not work with the installed TensorFlow.
            ValueError: for clips that are not whole files of a kind that it decodes, and where they are to be changed.
        """
        from tfwav2vec2.data.graph_audio import GraphBatch, make_graph_dataset

        if self._preparation.augment is not None or self._preparation.crop is not None:
            raise ValueError("Augmentation and crops are Python; leave them out, or use dataset()")
        batches = []
        for planned in self.plan(epoch):
            clips = [self._clips[member] for member in self._rows(planned)]
            if not all(
                isinstance(clip.example.audio, (str, Path)) and not clip.example.is_part for clip in clips
            ):
                raise ValueError(
                    "The graph decodes whole files, and some clips are arrays or parts; use dataset()"
                )
            labels = self._labels(clips, [clip.samples for clip in clips], [1.0] * len(clips), planned)
            batches.append(GraphBatch([Path(clip.example.audio) for clip in clips], planned.samples, labels))
        return make_graph_dataset(
            batches, self.sampling_rate, normalize=self._extractor.do_normalize, parallel=self.workers
        )

    def shard(self, index: int, count: int) -> SpeechData:
        """The part of every batch that one of several processes trains on; they see the same steps and shapes.

        Process ``index`` gets the ``index``-th of ``count`` equal blocks of each batch's rows.

        Raises:
            ValueError: for an index that is not below the count, or batches that cannot be cut into equal blocks.
        """
        if not 0 <= index < count:
            raise ValueError(f"There is no part {index} of {count}, counted from 0")
        if self._parts > 1:
            raise ValueError("These data are one process's part already; take parts of the whole")
        if self._plan.divisible_by % count:
            raise ValueError(
                f"Batches of {self._plan.divisible_by} clips and their multiples cannot be cut into {count} equal parts; "
                f"make the data with divisible_by={math.lcm(self._plan.divisible_by, count)}"
            )
        part = copy.copy(self)
        part._part, part._parts = index, count
        part._position = ReadingPosition(self.steps_per_epoch)
        part.wait = WaitingTime()
        return part

    # Once, at the beginning

    def _text_counts(self) -> dict[str, Any]:
        if not isinstance(self._targets, Transcripts):
            return {}
        return {"unknown_characters": self._targets.unknown, "changed_texts": self._targets.changed}

    def _make_report(self, left_out: list[LeftOut]) -> DataReport:
        plan = self.plan(0)
        members = [member for planned in plan for member in planned.members]
        sound = sum(self._preparation.cropped(self._clips[member].samples) for member in members)
        padded = sum(len(planned.members) * planned.samples for planned in plan)
        return DataReport(
            kept=len(self._clips),
            left_out=left_out,
            seconds=sum(clip.samples for clip in self._clips) / self.sampling_rate,
            steps=len(plan),
            shapes=Counter(planned.shape for planned in plan),
            padding=1 - sound / padded,
            remainder=len(self._clips) - len(members),
            **self._text_counts(),
        )
