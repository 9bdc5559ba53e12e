/** The page: one button, one recording at a time, and what state it is in. */

import * as browser from "./browser.js";
import * as server from "./server.js";
import { openMicrophone, prepareMicrophone, readFile } from "./sound.js";
import { shortTime } from "./times.js";
import { Transcript } from "./transcript.js";
import { Trouble } from "./trouble.js";
import { Waveform } from "./waveform.js";

/** Samples a second that every model of this package takes. */
const RATE = 16000;
/** A longer recording is streamed to the server, which takes no such uploads, and its words come as they are found. */
const LONGEST_UPLOAD_SECONDS = 60;
/** A model that can write no more than so many signs is introduced by them. */
const FEW_SIGNS = 12;
/** Seconds after which the page says why the model is not there yet. */
const PATIENCE = 3;
const BUSY = ["asking", "listening", "working"];
const LABELS = { ready: "Speak", asking: "Cancel", listening: "Stop", working: "Cancel", done: "Speak", error: "Speak" };

const element = (id) => document.getElementById(id);
const waveform = new Waveform(element("waveform"), element("position"), RATE);
const transcript = new Transcript(
  { box: element("transcript"), words: element("words"), partial: element("partial") },
  (word) => waveform.show(word),
);

/** The recording under way: what stops it (`stop`, the words still come) and what breaks it off (`cancel`). */
let run = null;

function mode() {
  return document.querySelector("input[name=mode]:checked").value;
}

function enter(state, status) {
  document.body.dataset.state = state;
  element("speak-label").textContent = LABELS[state];
  element("status").textContent = status;
  for (const input of document.querySelectorAll("input[name=mode], #file")) input.disabled = BUSY.includes(state);
  element("copy").disabled = transcript.text === "";
}

function begin(state, status, live) {
  run?.cancel();
  run = { cancel() {}, stop() {}, computing: null };
  element("trouble").hidden = true;
  transcript.clear();
  waveform.clear(live);
  enter(state, status);
  return run;
}

function fail(failed, trouble) {
  if (run !== failed) return;
  failed.cancel();
  run = null;
  show(trouble);
}

function show(trouble) {
  if (!(trouble instanceof Trouble)) console.error(trouble);
  element("trouble").textContent = trouble instanceof Trouble ? trouble.message : `Something went wrong (${trouble.message}): reload the page.`;
  element("trouble").hidden = false;
  waveform.settle();
  enter("error", "Stopped");
}

function take(answer) {
  waveform.mark(answer.words, answer.characters);
  transcript.append(answer);
  element("copy").disabled = transcript.text === "";
}

function done(finished, seconds) {
  run = null;
  waveform.settle();
  const { computing } = finished;
  if (computing !== null) document.body.dataset.realTimeFactor = (computing / seconds).toFixed(4);
  const effort = computing === null ? "" : `, computed in ${shortTime(computing)}`;
  enter("done", transcript.text ? `${shortTime(seconds)} of sound${effort}` : `No words in ${shortTime(seconds)} of sound`);
}

/** A stream to the model, wherever it runs, that belongs to a run. */
function openStream(own) {
  const handlers = {
    onAnswer(answer) {
      if (run !== own) return;
      own.computing = answer.computing ?? null;
      take(answer);
      if (answer.final) {
        own.cancel = () => {};
        own.ended?.();
        done(own, answer.seconds);
      }
    },
    onTrouble: (trouble) => fail(own, trouble),
  };
  const stream = mode() === "browser" ? browser.openStream(handlers) : server.openStream(RATE, handlers);
  own.cancel = () => stream.cancel();
  return stream;
}

async function speak() {
  const own = begin("asking", "Asking for the microphone…", true);
  let microphone;
  let stream;
  let stopping = false;
  const stop = async () => {
    if (stopping || run !== own) return;
    stopping = true;
    enter("working", "Writing the last words…");
    await microphone.stop();
    stream.finish();
  };
  try {
    microphone = await openMicrophone(RATE, {
      onSamples(samples) {
        if (run !== own || !stream) return;
        waveform.push(samples);
        stream.send(samples);
      },
      onEnd: stop,
    });
    if (run !== own) {
      await microphone.stop();
      return;
    }
    stream = openStream(own);
    const cancelStream = own.cancel;
    own.cancel = () => {
      cancelStream();
      microphone.stop();
    };
    own.ended = () => microphone.stop();
    own.stop = stop;
    enter("listening", "Listening");
    if (mode() === "browser") await tellLoading(own);
  } catch (error) {
    fail(own, error);
  }
}

/** Nothing said meanwhile is lost: it waits for the model. */
async function tellLoading(own) {
  const tell = (status) => {
    if (run === own && document.body.dataset.state === "listening") element("status").textContent = status;
  };
  const late = setTimeout(() => tell("Listening, while the model loads…"), 500);
  await browser.load().catch(() => {}); // which the stream tells
  clearTimeout(late);
  tell("Listening");
}

async function transcribe(file) {
  const own = begin("working", `Reading ${file.name}…`, false);
  try {
    const samples = await readFile(file, RATE);
    if (run !== own) return;
    if (samples) waveform.push(samples);
    element("status").textContent = `Writing what ${file.name} says…`;
    const here = mode() === "browser";
    if (here && !samples) {
      throw new Trouble(`This browser finds no sound in ${file.name}: choose a WAV, FLAC, MP3, Ogg or M4A recording.`);
    }
    if (here || samples?.length > LONGEST_UPLOAD_SECONDS * RATE) {
      const stream = openStream(own);
      stream.send(samples);
      stream.finish();
    } else {
      await upload(own, file);
    }
  } catch (error) {
    fail(own, error);
  }
}

async function upload(own, file) {
  const aborter = new AbortController();
  own.cancel = () => aborter.abort();
  const answer = await server.transcribe(file, aborter.signal);
  if (run !== own) return;
  take({ new: answer.text, words: answer.words, partial: "", characters: answer.characters });
  done(own, answer.seconds);
}

function cancel() {
  run.cancel();
  run = null;
  waveform.settle();
  enter("ready", "Cancelled");
}

function press() {
  const { state } = document.body.dataset;
  if (state === "listening") run.stop();
  else if (BUSY.includes(state)) cancel();
  else speak();
}

/** A model that knows a few signs only says which. */
async function introduce() {
  try {
    const { vocabulary = [], delimiter_id: delimiterId } = await browser.configure();
    const signs = vocabulary.filter((token, id) => id !== delimiterId && !/^<.+>$/.test(token));
    if (signs.length && signs.length <= FEW_SIGNS) {
      const row = signs.every((sign, index) => sign.length === 1 && sign.charCodeAt(0) === signs[0].charCodeAt(0) + index);
      const named = row ? `${signs[0]} to ${signs.at(-1)}` : signs.join(" ");
      element("about").textContent = `Speech written down as you say it. This model knows ${named} and nothing else.`;
    }
  } catch {
    // It is only a hint; what needs the server will say that it is gone.
  }
}

async function chooseMode() {
  const here = mode() === "browser";
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  element("whereto").textContent = here
    ? "The sound stays in this browser: nothing of it is sent anywhere."
    : `The sound goes to the server ${local ? "on this computer" : location.host}, which keeps nothing of it.`;
  element("trouble").hidden = true;
  enter("ready", "Ready");
  if (!here) return;
  const tell = (status) => {
    if (!run && mode() === "browser") element("status").textContent = status;
  };
  tell("Loading the model…");
  const late = setTimeout(() => tell("The server makes a file of the model for browsers: about a minute, once…"), PATIENCE * 1000);
  try {
    const microphone = prepareMicrophone(RATE)?.loading;
    await browser.load();
    await microphone?.catch(() => {}); // it is told where the microphone is wanted
    tell("Ready");
  } catch (trouble) {
    if (!run && mode() === "browser") show(trouble);
  } finally {
    clearTimeout(late);
  }
}

async function copy() {
  const button = element("copy");
  try {
    await navigator.clipboard.writeText(transcript.text);
    button.textContent = "Copied";
  } catch {
    // Pages over plain http may not write to the clipboard: the text is marked, and the keys copy it.
    getSelection().selectAllChildren(element("words"));
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => (button.textContent = "Copy text"), 2000);
}

function takeDrops() {
  const holdsFile = (event) => event.dataTransfer?.types.includes("Files");
  const show = (shown) => document.body.classList.toggle("dropping", shown);
  addEventListener("dragover", (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = run ? "none" : "copy";
    show(!run);
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) show(false);
  });
  addEventListener("drop", (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    show(false);
    if (!run) transcribe(event.dataTransfer.files[0]);
  });
}

element("speak").addEventListener("click", press);
element("copy").addEventListener("click", copy);
element("file").addEventListener("change", ({ target }) => {
  if (target.files.length) transcribe(target.files[0]);
  target.value = ""; // so that the same file can be chosen again
});
for (const input of document.querySelectorAll("input[name=mode]")) input.addEventListener("change", chooseMode);
takeDrops();
introduce();
chooseMode();
