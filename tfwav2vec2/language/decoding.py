"""From CTC frames, or labels, to text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfwav2vec2.batching import is_tensor, to_numpy
from tfwav2vec2.language.offsets import Wav2Vec2CTCTokenizerOutput, char_offsets, runs, word_offsets
from tfwav2vec2.language.special_tokens import SpecialTokens

# Spaces that English text does not have, and what is left of them, in the reference's order.
CLEAN_UP = {
    " .": ".", " ?": "?", " !": "!", " ,": ",", " ' ": "'",
    " n't": "n't", " 'm": "'m", " 's": "'s", " 've": "'ve", " 're": "'re",
}  # fmt: skip


class Decoding(SpecialTokens):
    """Turns ids into text (reference: ``decode`` and ``batch_decode`` of ``Wav2Vec2CTCTokenizer``)."""

    do_lower_case: bool
    clean_up_tokenization_spaces: bool
    replace_word_delimiter_char: str
    word_delimiter_token: str | None

    def convert_tokens_to_string(
        self,
        tokens: Sequence[str],
        group_tokens: bool = True,
        spaces_between_special_tokens: bool = False,
        output_char_offsets: bool = False,
        output_word_offsets: bool = False,
    ) -> dict[str, Any]:
        """The text of CTC frames.

        Args:
            tokens: one for each frame.
            group_tokens: whether equal neighbours are one character; False for labels, which hold no blanks.
            spaces_between_special_tokens: whether characters are joined with spaces, for phonemes.
            output_char_offsets: whether to return the characters' frames.
            output_word_offsets: whether to return the words' frames.

        Returns:
            ``text``, ``char_offsets`` and ``word_offsets``; offsets that were not asked for are None.
        """
        if not tokens:
            return {"text": "", "char_offsets": [], "word_offsets": []}
        blank, delimiter = self.pad_token, self.word_delimiter_token
        characters = [
            run._replace(token=self.replace_word_delimiter_char) if run.token == delimiter else run
            for run in runs(tokens, group_tokens)
            if run.token != blank
        ]
        text = (" " if spaces_between_special_tokens else "").join(run.token for run in characters).strip()
        return {
            "text": text.lower() if self.do_lower_case else text,
            "char_offsets": char_offsets(characters) if output_char_offsets else None,
            "word_offsets": (
                word_offsets(characters, self.replace_word_delimiter_char) if output_word_offsets else None
            ),
        }

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        output_char_offsets: bool = False,
        output_word_offsets: bool = False,
        group_tokens: bool = True,
        spaces_between_special_tokens: bool = False,
    ) -> Any:
        """The text of one sequence of ids.

        Args:
            token_ids: ids (frames,), a list or a tensor of any framework, or a single id.
            skip_special_tokens: whether special tokens are left out. The reference, and so this method, does that
                before it merges neighbours, and blanks are special tokens: frames H E L blank L O then read HELO, and
                offsets shift. For CTC output leave it False.
            clean_up_tokenization_spaces: whether spaces before punctuation are taken out; by default as the tokenizer's
                attribute says.
            output_char_offsets: whether to return the characters' frames.
            output_word_offsets: whether to return the words' frames.
            group_tokens: whether equal neighbours are one character; pass False for labels.
            spaces_between_special_tokens: whether characters are joined with spaces.

        Returns:
            The text, or with offsets a :class:`Wav2Vec2CTCTokenizerOutput`.

        Raises:
            ValueError: for a batch of sequences, or an unknown id where there is no unknown token.
        """
        ids = to_numpy(token_ids)
        if ids.ndim > 1:
            raise ValueError(f"decode takes one sequence of ids; got the shape {ids.shape}: use batch_decode")
        tokens = self.convert_ids_to_tokens(ids.reshape(-1).tolist(), skip_special_tokens)
        if None in tokens:
            raise ValueError(
                "Some ids are not in the vocabulary, and there is no unk_token to stand for them; check that the "
                "tokenizer belongs to the model"
            )
        if skip_special_tokens:
            left_out = set(self.all_special_tokens) - {self.pad_token}
            tokens = [token for token in tokens if token not in left_out]
        fields = self.convert_tokens_to_string(
            tokens, group_tokens, spaces_between_special_tokens, output_char_offsets, output_word_offsets
        )
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        if clean_up_tokenization_spaces:
            fields["text"] = self.clean_up_tokenization(fields["text"])
        if output_char_offsets or output_word_offsets:
            return Wav2Vec2CTCTokenizerOutput.of(**fields)
        return fields["text"]

    def batch_decode(
        self,
        sequences: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        output_char_offsets: bool = False,
        output_word_offsets: bool = False,
        **options: Any,
    ) -> Any:
        """The texts of several sequences of ids: :meth:`decode` for each, with the same arguments.

        Returns:
            A list of texts, or with offsets one :class:`Wav2Vec2CTCTokenizerOutput` of lists.
        """
        decoded = [
            self.decode(
                sequence,
                skip_special_tokens,
                clean_up_tokenization_spaces,
                output_char_offsets,
                output_word_offsets,
                **options,
            )
            for sequence in (to_numpy(sequences) if is_tensor(sequences) else sequences)
        ]
        if not (output_char_offsets or output_word_offsets):
            return decoded
        asked = {"text": True, "char_offsets": output_char_offsets, "word_offsets": output_word_offsets}
        return Wav2Vec2CTCTokenizerOutput(
            (name, [row[name] for row in decoded]) for name, wanted in asked.items() if wanted
        )

    @staticmethod
    def clean_up_tokenization(out_string: str) -> str:
        """Take out the spaces before punctuation and English contractions."""
        for spaced, joined in CLEAN_UP.items():
            out_string = out_string.replace(spaced, joined)
        return out_string
