/** Another rate for sound as it comes, for browsers that give the microphone at its own rate only. */

// Zero crossings of the sinc on each side, and the shape of Kaiser's window: together they keep what would come back from
// beyond the lower rate's range 80 dB down.
const CROSSINGS = 24;
const KAISER_BETA = 8;
/** Where the filter stands, of the lower rate's range: the rest is for its slope. */
const CUTOFF = 0.93;

export class Resampler {
  /**
   * @param {number} from samples a second that come in, a whole number
   * @param {number} to samples a second that go out, a whole number
   */
  constructor(from, to) {
    const common = greatestCommonDivisor(from, to);
    this.from = from / common;
    this.to = to / common;
    const cutoff = CUTOFF * Math.min(1, to / from);
    this.half = Math.ceil(CROSSINGS / cutoff);
    // The output falls on few places between two samples: each has its own weights for the samples around it.
    this.weights = Array.from({ length: this.to }, (_, phase) => weightsAt(phase / this.to, this.half, cutoff));
    this.kept = new Float32Array(this.half); // silence before the first sample
    this.first = -this.half; // the place of kept[0] in the stream
    this.taken = 0;
    this.given = 0;
  }

  /**
   * @param {Float32Array} samples of any number
   * @returns {Float32Array} what has become certain
   */
  push(samples) {
    this.taken += samples.length;
    return this.#resample(samples);
  }

  /** The rest, after the last samples. */
  finish() {
    const rest = Math.ceil((this.taken * this.to) / this.from) - this.given;
    return this.#resample(new Float32Array(2 * this.half)).subarray(0, rest);
  }

  #resample(samples) {
    const sound = new Float32Array(this.kept.length + samples.length);
    sound.set(this.kept);
    sound.set(samples, this.kept.length);
    const found = [];
    let begin = this.#begin();
    while (begin + 2 * this.half <= sound.length) {
      const weights = this.weights[(this.given * this.from) % this.to];
      let sum = 0;
      for (let index = 0; index < weights.length; index += 1) sum += weights[index] * sound[begin + index];
      found.push(sum);
      this.given += 1;
      begin = this.#begin();
    }
    this.kept = sound.slice(begin);
    this.first += begin;
    return Float32Array.from(found);
  }

  /** Where the samples around the next output begin, from the first that is kept. */
  #begin() {
    return Math.floor((this.given * this.from) / this.to) - this.half + 1 - this.first;
  }
}

/** The weights of the samples from `half - 1` before a place to `half` after it; `shift` is how far it lies behind its sample. */
function weightsAt(shift, half, cutoff) {
  const weights = Array.from({ length: 2 * half }, (_, index) => {
    const distance = index - half + 1 - shift;
    const inside = Math.max(1 - (distance / half) ** 2, 0);
    return sinc(distance * cutoff) * bessel(KAISER_BETA * Math.sqrt(inside));
  });
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** The modified Bessel function of order zero, as its series. */
function bessel(x) {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > 1e-12 * sum; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
