/** The words on the page, each with its time. */

import { shortTime } from "./times.js";

/** Seconds from which on a word's end is told as well. */
const LONG_WORD = 1;

export class Transcript {
  /**
   * @param {{box: HTMLElement, words: HTMLElement, partial: HTMLElement}} elements `box` scrolls; `words` holds those that are
   *   complete and is read aloud by screen readers; `partial` the word under way
   * @param {(word: ?{text: string, start: number, end: number}) => void} onShow a word is pointed at, or none any more
   */
  constructor({ box, words, partial }, onShow) {
    this.box = box;
    this.words = words;
    this.partial = partial;
    this.entries = new WeakMap();
    for (const [event, shows] of [["pointerover", true], ["pointerleave", false], ["click", true]]) {
      words.addEventListener(event, ({ target }) => {
        const element = shows ? target.closest(".word") : null;
        words.querySelector(".shown")?.classList.remove("shown");
        element?.classList.add("shown");
        onShow(element ? this.entries.get(element) : null);
      });
    }
    this.clear();
  }

  clear() {
    this.text = "";
    this.words.replaceChildren();
    this.partial.textContent = "";
    this.box.classList.remove("has-words");
  }

  /**
   * @param {{new: string, words: {text: string, start: number, end: number}[], partial: string}} answer
   */
  append(answer) {
    const follows = this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - 8;
    this.text += answer.new;
    this.words.append(...answer.words.flatMap((word) => [this.#element(word), " "]));
    this.partial.textContent = answer.partial;
    this.box.classList.toggle("has-words", this.text !== "");
    if (follows) this.box.scrollTop = this.box.scrollHeight;
  }

  #element(word) {
    const element = document.createElement("span");
    element.className = "word";
    const time = document.createElement("span");
    time.className = "time";
    // Read aloud between the words, the times would drown them.
    time.setAttribute("aria-hidden", "true");
    time.textContent = word.end - word.start < LONG_WORD ? shortTime(word.start) : `${shortTime(word.start)} – ${shortTime(word.end)}`;
    element.append(word.text, time);
    this.entries.set(element, word);
    return element;
  }
}
