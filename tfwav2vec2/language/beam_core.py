"""The compiled part of the beam search: prefixes, what continues them, and which of them stay.

A beam is a prefix of a transcript, ``text`` (its finished words) and ``part`` (the word that it is in), with the label of its
last frame, since the same label again adds no letter. Beams of one prefix that differ in their last label form a group: what
continues them is the same but for that label. Prefixes are numbers: of a tree of texts, each a word longer than its parent,
and of a tree of parts, each a letter longer. A word is scored once, when the first beam leaves it, and kept.
"""

from __future__ import annotations

import numpy as np

from tfwav2vec2.language.beam_records import BEAM, CANDIDATE, GROUP, NO_LABEL, UNSCORED
from tfwav2vec2.language.compiled import compiled

# Labels' roles, as tfwav2vec2.language.alphabet.Role numbers them.
_BLANK, _CONTINUES, _SPACE, _OPENS, _SILENT = 0, 1, 2, 3, 4

# How many times as many beams are looked at as stay, where those with the same future are one.
ALTERNATIVES = 2

# What a candidate is: its beam with a blank, with its last label again, with a further one, or in the next word.
_WITH_BLANK, _AGAIN, _LONGER, _NEXT_WORD = 0, 1, 2, 3


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
def _partial(settings, length, is_known, hot_length):
    """What a word that has only begun adds to its beam's score: a bonus for hotwords, a penalty for what no word begins with.

    ``hot_length`` is that of the shortest hotword that begins so, 0 for none.
    """
    score = 0.0
    if hot_length > 0:
        score = settings.hot_weight * length / hot_length
    elif length > 0 and settings.has_model and not is_known:
        # Unknown words are taken to have six letters; what is longer costs more (as in pyctcdecode).
        score = settings.unknown * length / 6.0 if length > 6 else settings.unknown
    return score


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


@compiled(inline=True)
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
def _best(candidates, count, limit, heap):
    """The best candidates that reach ``limit``, as many as ``heap`` holds, in it from the best on; returns how many."""
    scores, orders = candidates["score"], candidates["order"]
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
def _heard(row, settings, roles, active, position):
    """The labels that a frame may hold, into ``active``, with their places there in ``position``; the blank for itself.

    Returns how many there are, whether one of them ends words, and the blank's logarithm, minus infinity where it is out.
    """
    likeliest = -1
    for label in range(len(row)):
        if roles[label] != _SILENT and (likeliest < 0 or row[label] > row[likeliest]):
            likeliest = label
    count, ends_words, blank = 0, False, -np.inf
    for label in range(len(row)):
        position[label] = -1
        role = roles[label]
        # A word that must go on in the list needs time to, however unlikely the blank is.
        always = label == likeliest or (role == _BLANK and settings.lexicon_bound)
        if role == _SILENT or (row[label] < settings.least and not always):
            continue
        if role == _BLANK:
            blank = _log_add(blank, row[label])
            continue
        active[count] = label
        position[label] = count
        count += 1
        ends_words = ends_words or role != _CONTINUES
    return count, ends_words, blank


@compiled
def _group_of(table, groups, text, part):
    """The group of a prefix, or where it belongs in the table as ``-1 - slot``."""
    mask = len(table) - 1
    slot = _slot(text, part, mask)
    while table[slot] > 0:
        group = table[slot] - 1
        if groups[group].text == text and groups[group].part == part:
            return group
        slot = (slot + 1) & mask
    return -1 - slot


@compiled
def _gather(beams, count, groups, table, group_of, following):
    """Beams of one prefix together, in their order; ``following`` chains them. Returns how many groups there are."""
    table[:] = 0
    alive = 0
    for beam in range(count):
        text, part, logit = beams[beam].text, beams[beam].part, beams[beam].logit
        group = _group_of(table, groups, text, part)
        following[beam] = -1
        if group < 0:
            table[-1 - group] = alive + 1
            group = alive
            alive += 1
            groups[group].text, groups[group].part = text, part
            groups[group].first, groups[group].total = beam, logit
        else:
            groups[group].total = _log_add(groups[group].total, logit)
            following[groups[group].last] = beam
        groups[group].last = beam
        group_of[beam] = group
    return alive


@compiled
def _end_words(
    settings, ngrams, lexicon, hotwords, parts, texts, texts_table, counts, groups, alive, table
):  # fmt: skip
    """What each group's text is once its word ends, -1 where it must not end; whether one of them waits for its score.

    Two groups can come to the same text: the word, and the word with a space after it.
    """
    waiting = False
    for group in range(alive):
        text, part = groups[group].text, groups[group].part
        if part != 0 and settings.lexicon_bound and not is_word(parts, part, lexicon, hotwords):
            text = -1
        elif part != 0:
            text = _finish_word(
                settings, ngrams, lexicon, hotwords, parts, texts, texts_table, counts, text, part
            )
            waiting = waiting or texts[text].state == UNSCORED
        groups[group].next, groups[group].home, groups[group].partner = text, group, -1
    for group in range(alive):
        if groups[group].part != 0 and groups[group].next >= 0:
            other = _group_of(table, groups, groups[group].next, 0)
            if other >= 0:
                groups[group].home = other
                groups[other].partner = group
    return waiting


@compiled
def _tell_repeats(
    beams, count, texts, roles, groups, alive, table, group_of, following, position, without, origin, repeats, alone
):  # fmt: skip
    """What continues each group by each label, without the beams that the label only repeats, and where these go.

    ``without`` (groups, labels) is the sum of the others' scores and ``origin`` the last of them, since where beams become one
    the times of its words are those of the last, as in pyctcdecode. ``repeats`` (groups, labels) is the beam that comes to the
    same prefix by repeating the label; ``alone`` (beams,) whether one that repeats its label meets no group there.
    """
    for group in range(alive):
        without[group] = groups[group].total
        origin[group] = groups[group].last
        repeats[group] = -1
    for beam in range(count):
        label, text = beams[beam].last, beams[beam].text
        alone[beam] = False
        if label < 0 or position[label] < 0:
            continue
        at, group = position[label], group_of[beam]
        total, source = -np.inf, -1
        member = groups[group].first
        while member >= 0:
            if member != beam:
                total = _log_add(total, beams[member].logit)
                source = member
            member = following[member]
        without[group, at], origin[group, at] = total, source
        if roles[label] == _CONTINUES:
            home = _group_of(table, groups, text, beams[beam].before)
        else:
            home = _group_of(table, groups, text, 0)
            if home < 0 and text > 0:
                home = _group_of(table, groups, texts[text].parent, texts[text].part)
        if home >= 0:
            repeats[home, at] = beam
        else:
            alone[beam] = True


@compiled
def _propose(
    row, settings, labels, lexicon, ahead, hotwords, parts, texts, beams, count, groups, alive,
    active, heard, blank, without, origin, repeats, alone, candidates,
):  # fmt: skip
    """Every prefix that the frame can lead to, with its score, into ``candidates``; returns how many, and the best score."""
    # Fields of tuples that a loop reads are taken out first: every access to one would count references.
    roles, label_begin, label_letter = labels.role, labels.begin, labels.letter
    known_letter, known_begin, known_shortest = lexicon.letter, lexicon.begin, lexicon.shortest
    hot_letter, hot_begin, hot_shortest = hotwords.letter, hotwords.begin, hotwords.shortest
    # The most that a part can add to a score, for an early end to what cannot become a beam.
    bonus = max(settings.hot_weight, 0.0) if settings.unknown <= 0 else np.inf
    bound = settings.lexicon_bound
    if bound:
        bonus = bonus + max(settings.beta, 0.0) if settings.alpha >= 0 else np.inf
    width = settings.width
    found, best = 0, -np.inf
    # Prefixes that stay what they are: all groups with a blank, then the beams that repeat their label alone.
    for index in range(alive + count):
        if index < alive:
            if blank == -np.inf:
                continue
            text, part, source, label = groups[index].text, groups[index].part, groups[index].last, NO_LABEL
            kind, order, logit = _WITH_BLANK, groups[index].first - width, groups[index].total + blank
        else:
            source = index - alive
            if not alone[source]:
                continue
            text, part, label = beams[source].text, beams[source].part, beams[source].last
            kind, order, logit = _AGAIN, label * width + source, beams[source].logit + row[label]
        known, hot, length = parts[part].known, parts[part].hot, parts[part].length
        score = logit + texts[text].score + settings.hot_weight * texts[text].hot
        is_known = known >= 0 and known_shortest[known] > 0
        score += _partial(settings, length, is_known, hot_shortest[hot] if hot >= 0 else 0)
        if bound and length > 0 and known >= 0 and ahead[known] > -np.inf:
            score += settings.alpha * ahead[known] + settings.beta
        candidates[found].kind, candidates[found].group, candidates[found].label = kind, index, label
        candidates[found].source, candidates[found].order = source, order
        candidates[found].logit, candidates[found].score = logit, score
        found += 1
        best = max(best, score)
    for group in range(alive):
        part = groups[group].part
        for at in range(heard):
            label = active[at]
            logit, source = without[group, at], origin[group, at]
            if roles[label] == _CONTINUES:
                kind, text = _LONGER, groups[group].text
                known, hot, length = parts[part].known, parts[part].hot, parts[part].length
            else:
                kind, text = _NEXT_WORD, groups[group].next
                known, hot, length = 0, 0, 0
                if text < 0 or groups[group].home != group:
                    continue
                other = groups[group].partner
                if other >= 0 and origin[other, at] >= 0:
                    logit = _log_add(logit, without[other, at])
                    source = max(source, origin[other, at])
            again = repeats[group, at]
            if again >= 0:
                logit = _log_add(logit, beams[again].logit)
                if again > source:
                    source, kind = again, _AGAIN
            if source < 0:
                continue
            logit += row[label]
            score = logit + texts[text].score + settings.hot_weight * texts[text].hot
            if score + bonus < best + settings.prune:
                continue
            for index in range(label_begin[label], label_begin[label + 1]):
                letter = label_letter[index]
                # Most prefixes begin no word, and a call counts references even where there is nothing to do.
                if known >= 0:
                    known = _child(known_letter, known_begin, known, letter)
                if hot >= 0:
                    hot = _child(hot_letter, hot_begin, hot, letter)
                length += 1
            is_known = known >= 0 and known_shortest[known] > 0
            if bound and length > 0:
                if known >= 0 and ahead[known] > -np.inf:
                    score += settings.alpha * ahead[known] + settings.beta
                elif hot < 0:
                    continue
            score += _partial(settings, length, is_known, hot_shortest[hot] if hot >= 0 else 0)
            candidates[found].kind, candidates[found].group, candidates[found].label = kind, group, label
            candidates[found].source, candidates[found].order = source, label * width + source
            candidates[found].logit, candidates[found].score = logit, score
            found += 1
            best = max(best, score)
    return found, best


@compiled
def _advance(
    frame, labels, lexicon, hotwords, parts, parts_table, spans, counts, beams, groups, candidate, beam
):  # fmt: skip
    """Make a candidate the beam ``beam``."""
    source = beams[candidate.source]
    text, part, before, label = source.text, source.part, source.before, candidate.label
    start, end, span = source.start, source.end, source.span
    if candidate.kind == _AGAIN:
        end = frame + 1
    elif candidate.kind == _LONGER:
        before = part
        part = _extend(parts, parts_table, counts, part, label, labels, lexicon, hotwords)
        start, end = (frame if start < 0 else start), frame + 1
    elif candidate.kind == _NEXT_WORD:
        if part != 0:
            new = counts[2]
            counts[2] += 1
            spans[new].previous, spans[new].start, spans[new].end = span, start, end
            span = new
        text, before = groups[candidate.group].next, 0
        part = _extend(parts, parts_table, counts, 0, label, labels, lexicon, hotwords)
        opens = labels.role[label] == _OPENS
        start, end = (frame if opens else -1), (frame + 1 if opens else -1)
    beam.text, beam.part, beam.before, beam.last = text, part, before, label
    beam.start, beam.end, beam.span = start, end, span
    beam.logit, beam.score = candidate.logit, candidate.score


@compiled
def _is_new(seen, texts, beams, beam):
    """Whether no better beam has the same future: the language model's state, the part, and the last label."""
    mask = len(seen) - 1
    state, part, last = texts[beams[beam].text].state, beams[beam].part, beams[beam].last
    slot = _slot(state * 1024 + last, part, mask)
    while seen[slot] > 0:
        other = seen[slot] - 1
        if (
            beams[other].part == part
            and beams[other].last == last
            and texts[beams[other].text].state == state
        ):
            return False
        slot = (slot + 1) & mask
    seen[slot] = beam + 1
    return True


@compiled
def search(
    log_probs, first, stop, settings, labels, ngrams, lexicon, ahead, hotwords,
    parts, parts_table, texts, texts_table, spans, beams, counts,
):  # fmt: skip
    """Take the beams through the frames from ``first`` up to ``stop``.

    ``log_probs`` (frames, labels); ``ahead`` (nodes of the lexicon,) log10 of the likeliest word's probability that passes
    a node, for a search that is bound to the lexicon; ``counts`` how many parts, texts, spans and beams there are; the arrays have room for
    what the frames can add. Returns the frame that it stopped before: an earlier one than ``stop`` where texts wait for
    their scores.
    """
    size, width = log_probs.shape[1], settings.width
    active, position = np.empty(size, np.int64), np.empty(size, np.int64)
    table = np.zeros(1 << int(np.ceil(np.log2(4 * width))), np.int32)
    groups, fresh = np.empty(width, GROUP), np.empty(width, BEAM)
    group_of, following = np.empty(width, np.int32), np.empty(width, np.int32)
    alone = np.empty(width, np.bool_)
    # Of beams with the same future the best one stays where only the lexicon's words are searched: more of them are looked at.
    heap = np.empty(ALTERNATIVES * width if settings.lexicon_bound else width, np.int64)
    seen = np.zeros(len(table), np.int32)
    candidates = np.empty(4096, CANDIDATE)
    for frame in range(first, stop):
        row = log_probs[frame]
        heard, ends_words, blank = _heard(row, settings, labels.role, active, position)
        count = counts[3]
        alive = _gather(beams, count, groups, table, group_of, following)
        if ends_words and _end_words(
            settings, ngrams, lexicon, hotwords, parts, texts, texts_table, counts, groups, alive, table
        ):
            return frame
        without, origin = np.empty((alive, heard), np.float64), np.empty((alive, heard), np.int32)
        repeats = np.empty((alive, heard), np.int32)
        _tell_repeats(
            beams, count, texts, labels.role, groups, alive, table, group_of, following, position, without, origin, repeats, alone
        )  # fmt: skip
        most = count + alive * (heard + 1)
        if most > len(candidates):
            candidates = np.empty(2 * most, CANDIDATE)
        found, best = _propose(
            row, settings, labels, lexicon, ahead, hotwords, parts, texts, beams, count, groups, alive,
            active, heard, blank, without, origin, repeats, alone, candidates,
        )  # fmt: skip
        ranked = _best(candidates, found, best + settings.prune, heap)
        seen[:] = 0
        kept = 0
        for rank in range(ranked):
            span = counts[2]
            _advance(
                frame, labels, lexicon, hotwords, parts, parts_table, spans, counts, beams, groups,
                candidates[heap[rank]], fresh[kept],
            )  # fmt: skip
            if settings.lexicon_bound and not _is_new(seen, texts, fresh, kept):
                counts[2] = span
                continue
            kept += 1
            if kept == width:
                break
        beams[:kept] = fresh[:kept]
        counts[3] = kept
    return stop
