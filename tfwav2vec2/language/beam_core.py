"""The compiled part of the beam search: prefixes, what continues them, and which of them stay.

A beam is a prefix of a transcript, ``text`` (its finished words) and ``part`` (the word that it is in), with the label of its
last frame, since the same label again adds no letter. Beams of one prefix that differ in their last label form a group: what
continues them is the same but for that label. Prefixes are numbers: of a tree of texts, each a word longer than its parent,
and of a tree of parts, each a letter longer. A word is scored once, when the first beam leaves it, and kept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfwav2vec2.language.compiled import compiled

# Labels' roles, as tfwav2vec2.language.alphabet.Role numbers them.
_BLANK, _CONTINUES, _SPACE, _OPENS, _SILENT = 0, 1, 2, 3, 4

# What a candidate is: its beam with a blank, with its last label again, with a further one, or in the next word.
_WITH_BLANK, _AGAIN, _LONGER, _NEXT_WORD = 0, 1, 2, 3

NO_LABEL = -1  # a beam's last label where that is the blank, or where there is none yet
UNSCORED = -2  # the state of a text whose last word the language model has yet to score

PART = np.dtype([("parent", "i4"), ("letter", "i4"), ("length", "i4"), ("known", "i4"), ("hot", "i4")])
TEXT = np.dtype([("parent", "i4"), ("part", "i4"), ("state", "i4"), ("hot", "i4"), ("score", "f8")])
SPAN = np.dtype([("previous", "i4"), ("start", "i4"), ("end", "i4")])
BEAM = np.dtype(
    [
        *((name, "i4") for name in ("text", "part", "before", "last", "start", "end", "span")),
        ("logit", "f8"),
        ("score", "f8"),
    ]
)


class Settings(NamedTuple):
    """What a search goes by: see :class:`tfwav2vec2.language.beam_search.BeamSearchDecoderCTC`.

    ``alpha`` is in natural logarithms for scores to the base 10. ``scored_here`` tells a language model in arrays from one
    that is asked between two calls (``has_model`` with neither means that), ``lexicon_bound`` admits known words alone.
    """

    width: int
    prune: float
    least: float
    alpha: float
    beta: float
    unknown: float
    hot_weight: float
    has_model: bool
    scored_here: bool
    has_list: bool
    lexicon_bound: bool
    unknown_word: int


class Labels(NamedTuple):
    """``role`` (labels,), and the letters that each adds: ``letter[begin[label]:begin[label + 1]]``."""

    role: np.ndarray
    begin: np.ndarray
    letter: np.ndarray


@compiled
def score_word(ngrams, state, word):
    """log10 of a word's probability after a state of :class:`~tfwav2vec2.language.ngram_lm.NGramArrays`, and the next state."""
    total = 0.0
    while True:
        low, end = ngrams.begin[state], ngrams.begin[state + 1]
        if state == 0:
            low += word
        else:
            high = end
            while low < high:
                middle = (low + high) >> 1
                if ngrams.word[middle] < word:
                    low = middle + 1
                else:
                    high = middle
        if low < end and ngrams.word[low] == word:
            after = low if low < len(ngrams.backoff) else ngrams.shorter[low]
            return total + ngrams.probability[low], after
        total += ngrams.backoff[state]
        state = ngrams.shorter[state]


@compiled(inline=True)
def _child(letters, begin, node, letter):
    """The node of one more letter in a tree of words, -1 where there is none."""
    child = -1
    if node >= 0:
        low, end = begin[node], begin[node + 1]
        high = end
        while low < high:
            middle = (low + high) >> 1
            if letters[middle] < letter:
                low = middle + 1
            else:
                high = middle
        if low < end and letters[low] == letter:
            child = low
    return child


@compiled(inline=True)
def _slot(first, second, mask):
    code = np.int64(first) * np.int64(-7046029254386353131) + np.int64(second) * np.int64(
        -4417276706812531889
    )
    return (code ^ (code >> 32)) & mask


@compiled(inline=True)
def _log_add(first, second):
    if first < second:
        first, second = second, first
    return first if second == -np.inf else first + np.log1p(np.exp(second - first))


@compiled
def _find_part(parts, table, parent, letter):
    """The part that is a letter longer, or where it belongs in the table as ``-1 - slot``."""
    mask = len(table) - 1
    slot = _slot(parent, letter, mask)
    while table[slot] > 0:
        part = table[slot]
        if parts[part].parent == parent and parts[part].letter == letter:
            return part
        slot = (slot + 1) & mask
    return -1 - slot


@compiled
def _find_text(texts, table, parent, part):
    """The text that is a word longer, or where it belongs in the table as ``-1 - slot``."""
    mask = len(table) - 1
    slot = _slot(parent, part, mask)
    while table[slot] > 0:
        text = table[slot]
        if texts[text].parent == parent and texts[text].part == part:
            return text
        slot = (slot + 1) & mask
    return -1 - slot


@compiled
def index_parts(parts, count, table):
    """Enter all parts into an empty table."""
    for part in range(1, count):
        table[-1 - _find_part(parts, table, parts[part].parent, parts[part].letter)] = part


@compiled
def index_texts(texts, count, table):
    """Enter all texts into an empty table."""
    for text in range(1, count):
        table[-1 - _find_text(texts, table, texts[text].parent, texts[text].part)] = text


@compiled(inline=True)
def _partial(settings, known, hot, length, known_shortest, hot_shortest):
    """What a word that has only begun adds to its beam's score: a bonus for hotwords, a penalty for what no word begins with."""
    if length == 0:
        return 0.0
    if hot >= 0:
        return settings.hot_weight * length / hot_shortest[hot]
    if not settings.has_model or (known >= 0 and known_shortest[known] > 0):
        return 0.0
    # Unknown words are taken to have six letters; what is longer costs more (as in pyctcdecode).
    return settings.unknown * length / 6.0 if length > 6 else settings.unknown


@compiled
def _extend(parts, table, counts, part, label, labels, lexicon, hotwords):
    """The part that a label's letters make of one."""
    for index in range(labels.begin[label], labels.begin[label + 1]):
        letter = labels.letter[index]
        found = _find_part(parts, table, part, letter)
        if found < 0:
            new = counts[0]
            counts[0] += 1
            table[-1 - found] = new
            parts[new].parent, parts[new].letter, parts[new].length = part, letter, parts[part].length + 1
            parts[new].known = _child(lexicon.letter, lexicon.begin, parts[part].known, letter)
            parts[new].hot = _child(hotwords.letter, hotwords.begin, parts[part].hot, letter)
            found = new
        part = found
    return part


@compiled
def is_hotword(parts, part, hotwords):
    """Whether a part is a whole hotword."""
    hot = parts[part].hot
    return hot >= 0 and hotwords.listed[hot]


@compiled
def is_word(parts, part, lexicon, hotwords):
    """Whether a part is a whole word of the list, or a hotword."""
    known = parts[part].known
    return (known >= 0 and lexicon.listed[known]) or is_hotword(parts, part, hotwords)


@compiled
def _finish_word(settings, ngrams, lexicon, hotwords, parts, texts, texts_table, counts, text, part):
    """The text that a beam's finished word makes; where the language model is elsewhere, unscored."""
    found = _find_text(texts, texts_table, text, part)
    if found >= 0:
        return found
    new = counts[1]
    counts[1] += 1
    texts_table[-1 - found] = new
    texts[new].parent, texts[new].part = text, part
    texts[new].hot = texts[text].hot + (1 if is_hotword(parts, part, hotwords) else 0)
    texts[new].state, texts[new].score = 0, 0.0
    if settings.scored_here:
        known = parts[part].known
        word = lexicon.word[known] if known >= 0 else -1
        score, state = score_word(ngrams, texts[text].state, word if word >= 0 else settings.unknown_word)
        if word < 0 or word == settings.unknown_word or (settings.has_list and not lexicon.listed[known]):
            score += settings.unknown
        texts[new].score = texts[text].score + settings.alpha * score + settings.beta
        texts[new].state = state
    elif settings.has_model:
        texts[new].state = UNSCORED
    return new


@compiled
def _better(scores, orders, first, second):
    """Whether a candidate ranks before another; equal scores go by their order, so that results do not vary."""
    return scores[first] > scores[second] or (
        scores[first] == scores[second] and orders[first] < orders[second]
    )


@compiled
def _sink(heap, size, scores, orders, at):
    """Restore a heap, whose root is the worst candidate, below ``at``."""
    item = heap[at]
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and _better(scores, orders, heap[below], heap[below + 1]):
            below += 1
        if not _better(scores, orders, item, heap[below]):
            break
        heap[at] = heap[below]
        at = below
    heap[at] = item


@compiled
def _best(scores, orders, count, limit, heap):
    """The best candidates that reach ``limit``, as many as ``heap`` holds, in it from the best on; returns how many."""
    size = 0
    for candidate in range(count):
        if scores[candidate] < limit:
            continue
        if size < len(heap):
            heap[size] = candidate
            size += 1
            if size == len(heap):
                for at in range(size // 2 - 1, -1, -1):
                    _sink(heap, size, scores, orders, at)
        elif _better(scores, orders, candidate, heap[0]):
            heap[0] = candidate
            _sink(heap, size, scores, orders, 0)
    if size < len(heap):
        for at in range(size // 2 - 1, -1, -1):
            _sink(heap, size, scores, orders, at)
    for last in range(size - 1, 0, -1):
        heap[0], heap[last] = heap[last], heap[0]
        _sink(heap, last, scores, orders, 0)
    return size


@compiled
def _group_of(table, group_text, group_part, text, part):
    """The group of a prefix, or where it belongs in the table as ``-1 - slot``."""
    mask = len(table) - 1
    slot = _slot(text, part, mask)
    while table[slot] > 0:
        group = table[slot] - 1
        if group_text[group] == text and group_part[group] == part:
            return group
        slot = (slot + 1) & mask
    return -1 - slot


@compiled
def search(
    log_probs, first, stop, settings, labels, ngrams, lexicon, hotwords,
    parts, parts_table, texts, texts_table, spans, beams, counts,
):  # fmt: skip
    """Take the beams through the frames from ``first`` up to ``stop``.

    ``log_probs`` (frames, labels); ``counts`` how many parts, texts, spans and beams there are; the arrays have room for
    what the frames can add. Returns the frame that it stopped before: an earlier one than ``stop`` where texts wait for
    their scores.
    """
    # Fields of tuples that a loop reads are taken out first: every access to one would count references.
    role_of, label_begin, label_letter = labels.role, labels.begin, labels.letter
    known_letter, known_begin, known_shortest = lexicon.letter, lexicon.begin, lexicon.shortest
    hot_letter, hot_begin, hot_shortest = hotwords.letter, hotwords.begin, hotwords.shortest
    size, width = log_probs.shape[1], settings.width
    active, position = np.empty(size, np.int64), np.full(size, -1, np.int64)
    table = np.zeros(1 << int(np.ceil(np.log2(4 * width))), np.int32)
    group_text, group_part = np.empty(width, np.int32), np.empty(width, np.int32)
    group_first, group_total = np.empty(width, np.int32), np.empty(width, np.float64)
    group_next, group_home = np.empty(width, np.int32), np.empty(width, np.int32)
    partner = np.empty(width, np.int32)
    group_of, following = np.empty(width, np.int32), np.empty(width, np.int32)
    last_member = np.empty(width, np.int32)
    heap = np.empty(width, np.int64)
    fresh = np.empty(width, BEAM)
    room = 4096
    scores, logits = np.empty(room, np.float64), np.empty(room, np.float64)
    orders, sources = np.empty(room, np.int64), np.empty(room, np.int32)
    kinds, groups, tokens = np.empty(room, np.int8), np.empty(room, np.int32), np.empty(room, np.int32)
    # The most that a part can add to a score, for an early end to what cannot become a beam.
    bonus = max(settings.hot_weight, 0.0) if settings.unknown <= 0 else np.inf
    for frame in range(first, stop):
        row = log_probs[frame]

        # Which labels this frame may hold.
        likeliest = -1
        for label in range(size):
            if role_of[label] != _SILENT and (likeliest < 0 or row[label] > row[likeliest]):
                likeliest = label
        blank, heard, ends_words = -np.inf, 0, False
        for label in range(size):
            role = role_of[label]
            # A word that must go on in the list needs time to, however unlikely the blank is.
            always = label == likeliest or (role == _BLANK and settings.lexicon_bound)
            if role == _SILENT or (row[label] < settings.least and not always):
                continue
            if role == _BLANK:
                blank = _log_add(blank, row[label])
                continue
            active[heard] = label
            position[label] = heard
            heard += 1
            ends_words = ends_words or role != _CONTINUES

        # Beams of one prefix together, in their order.
        table[:] = 0
        held = counts[3]
        alive = 0
        for beam in range(held):
            text, part, logit = beams[beam].text, beams[beam].part, beams[beam].logit
            group = _group_of(table, group_text, group_part, text, part)
            following[beam] = -1
            if group < 0:
                table[-1 - group] = alive + 1
                group = alive
                alive += 1
                group_text[group], group_part[group] = text, part
                group_first[group], group_total[group] = beam, logit
            else:
                group_total[group] = _log_add(group_total[group], logit)
                following[last_member[group]] = beam
            last_member[group] = beam
            group_of[beam] = group

        # Where each group's text is once its word ends. Two groups can lead to the same: the word, and the word with a space.
        if ends_words:
            waiting = False
            for group in range(alive):
                text, part = group_text[group], group_part[group]
                if part == 0:
                    group_next[group] = text
                elif settings.lexicon_bound and not is_word(parts, part, lexicon, hotwords):
                    group_next[group] = -1
                else:
                    text = _finish_word(
                        settings, ngrams, lexicon, hotwords, parts, texts, texts_table, counts, text, part
                    )
                    group_next[group] = text
                    waiting = waiting or texts[text].state == UNSCORED
                partner[group] = -1
            if waiting:
                for index in range(heard):
                    position[active[index]] = -1
                return frame
            for group in range(alive):
                group_home[group] = group
                if group_part[group] != 0 and group_next[group] >= 0:
                    other = _group_of(table, group_text, group_part, group_next[group], 0)
                    if other >= 0:
                        group_home[group] = other
                        partner[other] = group

        # A group's sum for a label leaves out the member that the label only repeats. Where beams become one, the times of
        # its words are those of the last of them, as in pyctcdecode.
        without = np.empty((alive, heard), np.float64)
        origin = np.empty((alive, heard), np.int32)
        repeats = np.full((alive, heard), -1, np.int32)
        for group in range(alive):
            without[group] = group_total[group]
            origin[group] = last_member[group]
        needed = held + alive * (heard + 1)
        if needed > room:
            room = 2 * needed
            scores, logits = np.empty(room, np.float64), np.empty(room, np.float64)
            orders, sources = np.empty(room, np.int64), np.empty(room, np.int32)
            kinds, groups, tokens = (
                np.empty(room, np.int8),
                np.empty(room, np.int32),
                np.empty(room, np.int32),
            )
        found, best = 0, -np.inf
        for beam in range(held):
            label = beams[beam].last
            if label < 0 or position[label] < 0:
                continue
            at, group = position[label], group_of[beam]
            total, source = -np.inf, -1
            member = group_first[group]
            while member >= 0:
                if member != beam:
                    total = _log_add(total, beams[member].logit)
                    source = member
                member = following[member]
            without[group, at], origin[group, at] = total, source
            # The beam with its label again meets the group that becomes the same prefix by that label.
            text = beams[beam].text
            if role_of[label] == _CONTINUES:
                home = _group_of(table, group_text, group_part, text, beams[beam].before)
            else:
                home = _group_of(table, group_text, group_part, text, 0)
                if home < 0 and text > 0:
                    home = _group_of(table, group_text, group_part, texts[text].parent, texts[text].part)
            if home >= 0:
                repeats[home, at] = beam
                continue
            part = beams[beam].part
            logit = beams[beam].logit + row[label]
            score = (
                logit
                + (texts[text].score + settings.hot_weight * texts[text].hot)
                + _partial(
                    settings,
                    parts[part].known,
                    parts[part].hot,
                    parts[part].length,
                    known_shortest,
                    hot_shortest,
                )
            )
            scores[found], logits[found], orders[found] = score, logit, at * width + beam
            kinds[found], groups[found], tokens[found], sources[found] = _AGAIN, group, label, beam
            found += 1
            best = max(best, score)
        if blank > -np.inf:
            for group in range(alive):
                text, part = group_text[group], group_part[group]
                logit = group_total[group] + blank
                score = (
                    logit
                    + (texts[text].score + settings.hot_weight * texts[text].hot)
                    + _partial(
                        settings,
                        parts[part].known,
                        parts[part].hot,
                        parts[part].length,
                        known_shortest,
                        hot_shortest,
                    )
                )
                scores[found], logits[found], orders[found] = score, logit, group_first[group] - width
                kinds[found], groups[found], sources[found] = _WITH_BLANK, group, last_member[group]
                found += 1
                best = max(best, score)
        for group in range(alive):
            text, part = group_text[group], group_part[group]
            base = texts[text].score + settings.hot_weight * texts[text].hot
            known, hot, length = parts[part].known, parts[part].hot, parts[part].length
            for at in range(heard):
                label = active[at]
                role = role_of[label]
                logit, source = without[group, at], origin[group, at]
                if role != _CONTINUES:
                    if group_next[group] < 0 or group_home[group] != group:
                        continue
                    other = partner[group]
                    if other >= 0 and origin[other, at] >= 0:
                        logit = _log_add(logit, without[other, at])
                        source = max(source, origin[other, at])
                kind = _LONGER if role == _CONTINUES else _NEXT_WORD
                again = repeats[group, at]
                if again >= 0:
                    logit = _log_add(logit, beams[again].logit)
                    if again > source:
                        source = again
                        kind = _AGAIN
                if source < 0:
                    continue
                logit += row[label]
                if role == _CONTINUES:
                    score = logit + base
                    node, hot_node, letters = known, hot, length
                else:
                    following_text = group_next[group]
                    score = logit + (
                        texts[following_text].score + settings.hot_weight * texts[following_text].hot
                    )
                    node, hot_node, letters = 0, 0, 0
                if score + bonus < best + settings.prune:
                    continue
                for index in range(label_begin[label], label_begin[label + 1]):
                    node = _child(known_letter, known_begin, node, label_letter[index])
                    hot_node = _child(hot_letter, hot_begin, hot_node, label_letter[index])
                    letters += 1
                if (
                    settings.lexicon_bound
                    and letters > 0
                    and hot_node < 0
                    and (node < 0 or known_shortest[node] == 0)
                ):
                    continue
                score += _partial(settings, node, hot_node, letters, known_shortest, hot_shortest)
                scores[found], logits[found], orders[found] = score, logit, at * width + source
                kinds[found], groups[found], tokens[found], sources[found] = kind, group, label, source
                found += 1
                best = max(best, score)

        # The best become the next frame's beams.
        kept = _best(scores, orders, found, best + settings.prune, heap)
        for rank in range(kept):
            candidate = heap[rank]
            kind, group, source = kinds[candidate], groups[candidate], sources[candidate]
            new = beams[source]
            beam = fresh[rank]
            label = NO_LABEL if kind == _WITH_BLANK else tokens[candidate]
            text, part, before = new.text, new.part, new.before
            start, end, span = new.start, new.end, new.span
            if kind == _AGAIN:
                end = frame + 1
            elif kind == _LONGER:
                before = part
                part = _extend(parts, parts_table, counts, part, label, labels, lexicon, hotwords)
                start, end = (frame if start < 0 else start), frame + 1
            elif kind == _NEXT_WORD:
                if part != 0:
                    spans[counts[2]].previous = span
                    spans[counts[2]].start = start
                    spans[counts[2]].end = end
                    span = counts[2]
                    counts[2] += 1
                text, before = group_next[group], 0
                part = _extend(parts, parts_table, counts, 0, label, labels, lexicon, hotwords)
                opens = role_of[label] == _OPENS
                start, end = (frame if opens else -1), (frame + 1 if opens else -1)
            beam.text, beam.part, beam.before, beam.last = text, part, before, label
            beam.start, beam.end, beam.span = start, end, span
            beam.logit, beam.score = logits[candidate], scores[candidate]
        beams[:kept] = fresh[:kept]
        counts[3] = kept
        for index in range(heard):
            position[active[index]] = -1
    return stop
