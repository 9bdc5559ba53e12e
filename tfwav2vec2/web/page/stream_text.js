/** Frames to text as they come: the best CTC path collapsed, as tfwav2vec2/transcription/stream_text.py does it. */

/**
 * @typedef {{text: string, start: number, end: number}} Timed a word or a character, and when it was said in seconds
 */

/** A word without an end, such as a model writes that knows no spaces, is given out in pieces: memory stays bounded. */
const LONGEST_WORD = 100;

export class StreamedDecoder {
  /**
   * @param {object} options
   * @param {(?string)[]} options.vocabulary the token of each id
   * @param {number} options.pad_id the blank of CTC
   * @param {?number} options.delimiter_id what stands between words
   * @param {string} options.delimiter what is written for it
   * @param {boolean} options.lower_case whether tokens are written in small letters
   * @param {number} options.hop samples from one frame to the next
   * @param {number} options.sampling_rate of the samples, in Hz
   */
  constructor({ vocabulary, pad_id, delimiter_id, delimiter, lower_case, hop, sampling_rate }) {
    this.vocabulary = vocabulary;
    this.blank = vocabulary[pad_id];
    this.delimiterToken = vocabulary[delimiter_id];
    this.delimiter = delimiter;
    this.lowerCase = lower_case;
    this.hop = hop;
    this.rate = sampling_rate;
    this.frames = 0;
    this.open = null;
    this.word = [];
    this.spaces = "";
    this.begun = false;
  }

  /**
   * Collapse the frames that follow those before.
   * @param {Iterable<number>} ids the likeliest label of each frame
   * @param {boolean} last whether the stream ends with them: what is open then is completed
   * @returns {{new: string, words: Timed[], partial: string, characters: Timed[], seconds: number}} what has become certain,
   *   nothing of which is ever taken back: the text to append, the words that were completed, the word under way, the
   *   characters that ended, and how much of the stream has its labels
   */
  push(ids, last = false) {
    let text = "";
    const words = [];
    const ended = [];
    for (const id of ids) {
      const token = this.vocabulary[id] ?? null;
      if (token === null) throw new RangeError(`The model's vocabulary has no token for the label ${id}`);
      const frame = this.frames++;
      if (this.open?.token === token) {
        this.open.end = frame + 1;
        continue;
      }
      ended.push(...this.#endOpen());
      this.open = { token, start: frame, end: frame + 1 };
      if (this.#isText(this.open)) text += this.#append(this.#text(this.open));
      if (this.#isDelimiter(this.open) || this.word.length === LONGEST_WORD) words.push(...this.#endWord());
    }
    if (last) {
      ended.push(...this.#endOpen());
      words.push(...this.#endWord());
    }
    return {
      new: text,
      words,
      partial: this.#partial(),
      characters: ended.map((run) => this.#timed([run])),
      seconds: this.#seconds(this.frames),
    };
  }

  /** The character under way, which ends here: one or none. */
  #endOpen() {
    const run = this.open;
    this.open = null;
    if (!this.#isText(run)) return [];
    if (!this.#isDelimiter(run)) this.word.push(run);
    return [run];
  }

  /** The word under way, which ends here: one or none. */
  #endWord() {
    const word = this.word;
    this.word = [];
    return word.length ? [this.#timed(word)] : [];
  }

  #partial() {
    const begun = this.#isText(this.open) && !this.#isDelimiter(this.open) ? [this.open] : [];
    return [...this.word, ...begun].map((run) => this.#text(run)).join("");
  }

  /** What a character adds to the transcript: spaces at its ends count for nothing, so they wait for what follows. */
  #append(character) {
    const text = this.spaces + character;
    let kept = text.trimEnd();
    this.spaces = this.begun || kept ? text.slice(kept.length) : "";
    if (!this.begun) kept = kept.trimStart();
    this.begun ||= kept !== "";
    return kept;
  }

  #isText(run) {
    return run !== null && run.token !== this.blank;
  }

  #isDelimiter(run) {
    return this.#isText(run) && this.#text(run) === this.delimiter;
  }

  #text(run) {
    if (run.token === this.delimiterToken) return this.delimiter;
    return this.lowerCase ? run.token.toLowerCase() : run.token;
  }

  #timed(runs) {
    return {
      text: runs.map((run) => this.#text(run)).join(""),
      start: this.#seconds(runs[0].start),
      end: this.#seconds(runs.at(-1).end),
    };
  }

  #seconds(frame) {
    return (frame * this.hop) / this.rate;
  }
}
