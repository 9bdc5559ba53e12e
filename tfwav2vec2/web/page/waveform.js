/** The picture of the sound, with the words where they were said. Its memory: a peak for each hundredth of a second. */

import { shortTime } from "./times.js";

const PEAKS_A_SECOND = 100;
// So many pixels make a second readable: a word of average length has room for its letters.
const PIXELS_A_SECOND = 130;
const SHORTEST_VIEW = 3;
const BAR = 3;
const LABELS = 30;
const AXIS = 24;
// Left and right of the picture's first and last moment.
const INSET = 14;
// The model is sure of a character for a moment within it: a word is shown so much wider on either side, where there is room.
const MARGIN = 0.08;
// Quieter sound than this is not made to look loud.
const QUIET = 0.03;

export class Waveform {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLInputElement} slider where in the recording the picture stands, where it is longer than the picture
   * @param {number} rate samples a second
   */
  constructor(canvas, slider, rate) {
    this.canvas = canvas;
    this.slider = slider;
    this.samplesAPeak = rate / PEAKS_A_SECOND;
    slider.addEventListener("input", () => this.#draw());
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    this.clear();
  }

  /** Begin with nothing; while `live`, the picture follows the sound. */
  clear(live = false) {
    this.live = live;
    this.peaks = new Float32Array(PEAKS_A_SECOND * 60);
    this.count = 0;
    this.samples = 0;
    this.loudest = QUIET;
    this.words = [];
    this.characters = [];
    this.shown = null;
    this.slider.value = "0";
    this.#draw();
  }

  /** The sound is complete. */
  settle() {
    this.live = false;
    this.#draw();
  }

  /** @param {Float32Array} samples */
  push(samples) {
    for (let index = 0; index < samples.length; index += 1) {
      const peak = Math.floor(this.samples / this.samplesAPeak);
      if (peak >= this.peaks.length) this.#grow();
      const size = Math.abs(samples[index]);
      if (size > this.peaks[peak]) this.peaks[peak] = size;
      if (size > this.loudest) this.loudest = size;
      this.samples += 1;
    }
    this.count = Math.ceil(this.samples / this.samplesAPeak);
    this.#draw();
  }

  /**
   * @param {{text: string, start: number, end: number}[]} words those that were completed
   * @param {{text: string, start: number, end: number}[]} characters those that ended, in words or not complete yet
   */
  mark(words, characters = []) {
    this.characters.push(...characters.filter(({ text }) => text.trim()));
    for (const word of words) {
      const inside = this.characters.findIndex(({ start }) => start >= word.end);
      const own = this.characters.splice(0, inside < 0 ? this.characters.length : inside);
      this.words.push({ ...word, characters: own });
    }
    this.#draw();
  }

  /** Point at a word, moving the picture where it is outside. */
  show(word) {
    this.shown = word;
    if (word && !this.live) {
      const { from, span } = this.#view();
      if (word.start < from || word.end > from + span) this.slider.value = String((word.start + word.end - span) / 2);
    }
    this.#draw();
  }

  get seconds() {
    return this.count / PEAKS_A_SECOND;
  }

  #grow() {
    const larger = new Float32Array(this.peaks.length * 2);
    larger.set(this.peaks);
    this.peaks = larger;
  }

  /** The part of the recording that is in the picture, in seconds. */
  #view() {
    const most = Math.max((this.canvas.clientWidth - 2 * INSET) / PIXELS_A_SECOND, SHORTEST_VIEW);
    const end = Math.max(this.seconds, this.words.at(-1)?.end ?? 0);
    if (this.live) return { from: Math.max(end - most, 0), span: most, end };
    const span = Math.min(Math.max(end, SHORTEST_VIEW), most);
    return { from: Math.min(Number(this.slider.value), Math.max(end - span, 0)), span, end };
  }

  #draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.#drawNow();
    });
  }

  #drawNow() {
    const { canvas, slider } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const scale = window.devicePixelRatio;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const { from, span, end } = this.#view();
    const hidden = this.live || end <= span;
    slider.parentElement.hidden = hidden;
    if (!hidden) {
      // Whole steps, of which the last is cut to the recording's end.
      slider.max = String(Math.ceil((end - span) * 10) / 10);
      slider.setAttribute("aria-valuetext", `${shortTime(from)} to ${shortTime(from + span)}`);
    }
    const count = this.words.length;
    canvas.setAttribute(
      "aria-label",
      this.count || count
        ? `Waveform: ${shortTime(end)} of sound, ${count} ${count === 1 ? "word" : "words"} marked`
        : "Waveform: nothing recorded yet",
    );

    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`);
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const picture = {
      context, colour, width, height, from, span,
      x: (seconds) => INSET + ((seconds - from) / span) * (width - 2 * INSET),
      font: (weight) => `${weight} ${style.fontSize} ${style.fontFamily}`,
    };
    const words = this.#inSight(from - 1, from + span + 1);
    this.#drawShades(picture, words);
    this.#drawBars(picture, words);
    this.#drawLabels(picture, words);
    this.#drawAxis(picture);
  }

  /** The words in the picture, and the one under way. */
  #inSight(from, to) {
    let low = 0;
    for (let high = this.words.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.words[middle].end + MARGIN < from) low = middle + 1;
      else high = middle;
    }
    const words = [];
    while (low < this.words.length && this.words[low].start - MARGIN < to) words.push(this.words[low++]);
    if (this.characters.length) {
      words.push({
        text: this.characters.map(({ text }) => text).join(""),
        start: this.characters[0].start,
        end: this.characters.at(-1).end,
        characters: this.characters,
      });
    }
    // Neighbours share the room between them.
    return words.map((word, index) => ({
      ...word,
      from: Math.max(word.start - MARGIN, index ? (words[index - 1].end + word.start) / 2 : -Infinity),
      to: Math.min(word.end + MARGIN, index + 1 < words.length ? (word.end + words[index + 1].start) / 2 : Infinity),
    }));
  }

  #drawShades({ context, colour, x, height }, words) {
    for (const word of words) {
      context.fillStyle = colour(this.#isShown(word) ? "word-strong" : "word");
      context.beginPath();
      context.roundRect(x(word.from) + 0.5, 6, Math.max(x(word.to) - x(word.from) - 1, 3), height - AXIS - 8, 6);
      context.fill();
    }
  }

  #isShown(word) {
    return this.shown !== null && word.start === this.shown.start && word.end === this.shown.end;
  }

  #drawBars({ context, colour, width, height, from, span, x }, words) {
    const middle = (LABELS + height - AXIS) / 2;
    const reach = (height - AXIS - LABELS) / 2 - 4;
    const barSeconds = (span * BAR) / (width - 2 * INSET);
    context.lineWidth = BAR - 1;
    context.lineCap = "round";
    // Bars stand at fixed times, so that they do not flicker while the picture moves.
    const bars = { wave: [], accent: [] };
    const beside = INSET / BAR;
    const end = Math.min(from + span + beside * barSeconds, this.seconds);
    for (let bar = Math.max(Math.floor(from / barSeconds - beside), 0); bar * barSeconds < end; bar += 1) {
      const first = Math.floor(bar * barSeconds * PEAKS_A_SECOND);
      const last = Math.max(Math.ceil((bar + 1) * barSeconds * PEAKS_A_SECOND), first + 1);
      let loudest = 0;
      for (let peak = first; peak < last && peak < this.count; peak += 1) loudest = Math.max(loudest, this.peaks[peak]);
      const time = (bar + 0.5) * barSeconds;
      const inWord = words.some((word) => word.from <= time && time <= word.to);
      bars[inWord ? "accent" : "wave"].push([x(time), Math.max((loudest / this.loudest) ** 0.75 * reach, 0.5)]);
    }
    for (const [name, list] of Object.entries(bars)) {
      context.strokeStyle = colour(name);
      context.beginPath();
      for (const [at, size] of list) {
        context.moveTo(at, middle - size);
        context.lineTo(at, middle + size);
      }
      context.stroke();
    }
    if (!this.count) {
      context.strokeStyle = colour("line");
      context.beginPath();
      context.moveTo(INSET, middle);
      context.lineTo(width - INSET, middle);
      context.stroke();
    }
  }

  /** Characters where they were heard, where they have room; otherwise the word; what would lie over another is left out. */
  #drawLabels({ context, colour, width, x, font }, words) {
    context.font = font(600);
    context.fillStyle = colour("ink");
    context.textAlign = "center";
    context.textBaseline = "middle";
    let free = -Infinity;
    const label = (text, at) => {
      const half = context.measureText(text).width / 2;
      const centre = Math.min(Math.max(at, half + 4), width - half - 4);
      if (centre - half < free) return;
      context.fillText(text, centre, 6 + LABELS / 2);
      free = centre + half + 3;
    };
    for (const { text, start, end, characters } of words) {
      const places = characters.map((character) => [character.text, x((character.start + character.end) / 2)]);
      const apart = places.slice(1).every(([character, at], index) => at - places[index][1] > context.measureText(character).width + 2);
      const marks = places.length > 1 && apart ? places : [[text, x((start + end) / 2)]];
      for (const [character, at] of marks) if (at > -20 && at < width + 20) label(character, at);
    }
  }

  #drawAxis({ context, colour, width, height, from, span, x, font }) {
    const step = [0.5, 1, 2, 5, 10].find((seconds) => (seconds / span) * width >= 56) ?? 10;
    context.font = font(400);
    context.fillStyle = colour("faint");
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let tick = Math.ceil(from / step); tick * step <= from + span; tick += 1) {
      const seconds = tick * step;
      const minutes = Math.floor(seconds / 60);
      const text = seconds < 60 ? `${seconds} s` : `${minutes}:${String(seconds - minutes * 60).padStart(2, "0")}`;
      const half = context.measureText(text).width / 2;
      if (x(seconds) + half < width - 4) context.fillText(text, Math.max(x(seconds), half + INSET / 2), height - AXIS / 2);
    }
  }
}
