/** The model on the server: sound over a WebSocket as it comes, files as an upload. */

import { GONE, Trouble, asSentence } from "./trouble.js";

/** Samples of one message; the server takes 2**20 bytes. */
const LONGEST_MESSAGE = 2 ** 16;

/**
 * Begin a stream.
 * @param {number} rate samples a second
 * @param {{onAnswer: (answer: object) => void, onTrouble: (trouble: Trouble) => void}} handlers
 * @returns {{send: (samples: Float32Array) => void, finish: () => void, cancel: () => void}}
 */
export function openStream(rate, { onAnswer, onTrouble }) {
  const address = new URL("live", document.baseURI);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  // What comes before the connection stands.
  let waiting = [JSON.stringify({ sampling_rate: rate })];
  let over = false;
  const send = (message) => {
    if (waiting) waiting.push(message);
    else if (socket.readyState === WebSocket.OPEN) socket.send(message);
  };
  socket.addEventListener("open", () => {
    const early = waiting;
    waiting = null;
    early.forEach(send);
  });
  socket.addEventListener("message", ({ data }) => {
    if (over) return;
    const answer = JSON.parse(data);
    if (answer.error) {
      over = true;
      onTrouble(new Trouble(asSentence(answer.error)));
      return;
    }
    over = answer.final;
    onAnswer(answer);
    if (over) socket.close();
  });
  socket.addEventListener("close", ({ reason }) => {
    if (over) return;
    over = true;
    onTrouble(new Trouble(reason ? asSentence(reason) : GONE));
  });
  return {
    // The server reads little-endian float32, which is what every machine with a browser writes.
    send(samples) {
      for (let from = 0; from < samples.length; from += LONGEST_MESSAGE) send(samples.subarray(from, from + LONGEST_MESSAGE));
    },
    finish: () => send(JSON.stringify({ end: true })),
    cancel() {
      over = true;
      socket.close();
    },
  };
}

/**
 * Have a file transcribed.
 * @param {File} file
 * @param {AbortSignal} signal
 * @returns {Promise<{text: string, seconds: number, words: {text: string, start: number, end: number}[]}>}
 */
export async function transcribe(file, signal) {
  const body = new FormData();
  body.append("file", file);
  let response;
  try {
    response = await fetch("transcribe", { method: "POST", body, signal });
  } catch (error) {
    throw signal.aborted ? error : new Trouble(GONE, error);
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw new Trouble(asSentence(answer.error ?? `The server refuses the file with status ${response.status}: try another one`));
}
