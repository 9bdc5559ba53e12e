/**
 * The page's arithmetic under node: a line of JSON in, a line of JSON out.
 *
 * {windows, pieces} -> the windows that a stream of these pieces makes: [samples that count, first frame, end, its samples]
 * {text, pieces}    -> what each piece of labels adds, and what the end adds
 * {rates, pieces}   -> the samples at the second rate
 */

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";

// The page's folder says nowhere that its files are modules: a server does, by their type.
async function load(name) {
  const source = await readFile(new URL(`../../tfwav2vec2/web/page/${name}`, import.meta.url), "utf8");
  return import(`data:text/javascript,${encodeURIComponent(source)}`);
}

const { StreamWindows, WindowCutter } = await load("stream_windows.js");
const { StreamedDecoder } = await load("stream_text.js");
const { Resampler } = await load("resampling.js");

function cut({ windows, pieces }) {
  const cutter = new WindowCutter(new StreamWindows(windows));
  const found = [];
  const take = ({ samples, length, first, end }) => found.push([length, first, end, [...samples]]);
  for (const piece of pieces) for (const window of cutter.push(Float32Array.from(piece))) take(window);
  for (const window of cutter.finish()) take(window);
  return found;
}

function write({ text, pieces }) {
  const decoder = new StreamedDecoder(text);
  return [...pieces.map((ids) => decoder.push(ids)), decoder.push([], true)];
}

function resample({ rates, pieces }) {
  const resampler = new Resampler(...rates);
  const found = pieces.map((piece) => resampler.push(Float32Array.from(piece)));
  return [...found, resampler.finish()].flatMap((samples) => [...samples]);
}

function answer(asked) {
  if (asked.windows) return cut(asked);
  return asked.text ? write(asked) : resample(asked);
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(answer(JSON.parse(line)))}\n`);
}
