/** The model in this browser: the page's side of worker.js. */

import { GONE, Trouble, asSentence } from "./trouble.js";

let opened = null;
let current = null;
let streams = 0;

/**
 * Begin a stream; what comes before the model is loaded waits for it.
 * @param {{onAnswer: (answer: object) => void, onTrouble: (trouble: Trouble) => void}} handlers
 * @returns {{send: (samples: Float32Array) => void, finish: () => void, cancel: () => void}}
 */
export function openStream({ onAnswer, onTrouble }) {
  const stream = { number: streams++, onAnswer, onTrouble };
  current = stream;
  const post = async (message, transfer = []) => {
    try {
      (await load()).postMessage({ stream: stream.number, ...message }, transfer);
    } catch (error) {
      if (current !== stream) return;
      current = null;
      onTrouble(error);
    }
  };
  post({ begin: true });
  return {
    send: (samples) => post({ samples }, [samples.buffer]),
    finish: () => post({ finish: true }),
    cancel() {
      if (current === stream) current = null;
      post({ cancel: true });
    },
  };
}

/**
 * The worker with the model, loaded once; after a failure the next call tries again.
 * @returns {Promise<Worker>}
 */
export function load() {
  opened ??= open().catch((error) => {
    opened = null;
    throw error;
  });
  return opened;
}

async function open() {
  const configuration = await configure();
  if (configuration.problem) throw new Trouble(asSentence(configuration.problem));
  const worker = new Worker(new URL("worker.js", import.meta.url));
  try {
    await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => (data.ready ? resolve() : reject(new Error(data.error)));
      worker.onerror = (event) => reject(new Error(event.message));
      worker.postMessage({ open: configuration });
    });
  } catch (error) {
    worker.terminate();
    throw new Trouble(
      `The model cannot run in this browser (${error.message ?? "its worker does not start"}): choose “On the server”.`,
      error,
    );
  }
  worker.onmessage = ({ data }) => {
    if (data.stream !== current?.number) return;
    const stream = current;
    if (data.error) {
      // What state it is in is not known: the next recording gets a new one.
      worker.terminate();
      opened = current = null;
      stream.onTrouble(new Trouble(`The model failed in this browser (${data.error}): try again, or choose “On the server”.`));
      return;
    }
    if (data.answer.final) current = null;
    stream.onAnswer(data.answer);
  };
  return worker;
}

/**
 * How the model is run here, as the server tells.
 * @returns {Promise<object>} the windows, the vocabulary and the addresses; and `problem`, where browsers cannot run the model
 */
export async function configure() {
  try {
    return await (await fetch("browser.json")).json();
  } catch (error) {
    throw new Trouble(GONE, error);
  }
}
