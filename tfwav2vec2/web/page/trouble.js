/** Something that went wrong, in one sentence for the person who reads it: what it is, and what to do. */
export class Trouble extends Error {
  /**
   * @param {string} sentence
   * @param {unknown} cause
   */
  constructor(sentence, cause) {
    super(sentence, { cause });
    this.name = "Trouble";
  }
}

export const GONE = "The server does not answer: see whether it still runs, and try again.";

/** The server's messages end without a full stop. */
export function asSentence(message) {
  return /[.!?]$/.test(message) ? message : `${message}.`;
}
