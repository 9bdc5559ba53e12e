/**
 * Which samples the model is given when, and which of its frames count: the scheme of
 * tfwav2vec2/transcription/stream_windows.py, for a model that is told how many samples count.
 */

export class StreamWindows {
  /**
   * @param {object} sizes
   * @param {number} sizes.hop samples from one frame to the next
   * @param {number} sizes.receptive_field samples that one frame hears
   * @param {number} sizes.left frames of context before a chunk
   * @param {number} sizes.chunk frames of a chunk
   * @param {number} sizes.right frames of context after it
   */
  constructor({ hop, receptive_field: receptiveField, left, chunk, right }) {
    Object.assign(this, { hop, receptiveField, left, chunk, right });
  }

  /** Samples of every window. */
  get window() {
    return (this.left + this.chunk + this.right - 1) * this.hop + this.receptiveField;
  }

  /** Frames that the model makes of so many samples. */
  framesIn(samples) {
    return Math.max(Math.floor((samples - this.receptiveField) / this.hop) + 1, 0);
  }
}

/**
 * Cuts a stream into windows. What comes out is to be run one after the other: `samples` is the model's input, of which the
 * first `length` count, and the frames from `first` to `end` (exclusive) of its answer are the next ones of the stream.
 */
export class WindowCutter {
  /** @param {StreamWindows} windows */
  constructor(windows) {
    this.windows = windows;
    this.buffer = new Float32Array(windows.window);
    this.filled = windows.left * windows.hop;
    this.total = 0;
    this.done = 0;
  }

  /**
   * Take samples of any number.
   * @param {Float32Array} samples
   * @returns {Generator<{samples: Float32Array, length: number, first: number, end: number}>} the windows that are full
   */
  *push(samples) {
    const { window, chunk, hop } = this.windows;
    for (let from = 0; from < samples.length; ) {
      const taken = Math.min(samples.length - from, window - this.filled);
      this.buffer.set(samples.subarray(from, from + taken), this.filled);
      this.filled += taken;
      this.total += taken;
      from += taken;
      if (this.filled === window) {
        yield this.#next(chunk);
        this.buffer.copyWithin(0, chunk * hop);
        this.filled -= chunk * hop;
      }
    }
  }

  /** The last window, where frames are left after the last samples. */
  *finish() {
    const rest = this.windows.framesIn(this.total) - this.done;
    if (rest > 0) yield this.#next(rest);
  }

  #next(count) {
    // What lies before the stream's start is no silence that the model should hear.
    const unheard = Math.max(this.windows.left - this.done, 0) * this.windows.hop;
    const samples = new Float32Array(this.windows.window);
    samples.set(this.buffer.subarray(unheard, this.filled));
    const first = Math.min(this.windows.left, this.done);
    this.done += count;
    return { samples, length: this.filled - unheard, first, end: first + count };
  }
}
