/**
 * The model in this browser: LiteRT.js runs the windows of a stream, away from the page, which stays smooth.
 *
 * A classic worker, no module: LiteRT.js loads its WebAssembly by importScripts.
 *
 * Messages in: {open: configuration}, then for each stream {stream: number, begin: true}, {stream, samples: Float32Array}...,
 * {stream, finish: true}; {stream, cancel: true} at any time. Messages out: {ready: true}, {stream, answer}, {stream, error}; an
 * answer is what the server's WebSocket sends, and `computing`, the seconds that the model has computed for the stream.
 */

const model = {};
let stream = null;
let cancelled = -1;
// One after the other, also where a message comes while the model still loads.
let queue = Promise.resolve();

self.onmessage = ({ data }) => {
  if (data.cancel) cancelled = data.stream;
  queue = queue.then(() => take(data)).catch((error) => {
    stream = null;
    self.postMessage({ stream: data.stream, error: String(error?.message ?? error) });
  });
};

async function take(message) {
  if (message.open) {
    await open(message.open);
    self.postMessage({ ready: true });
  } else if (message.stream <= cancelled) {
    stream = null;
  } else if (message.begin) {
    begin(message.stream);
  } else if (stream?.number === message.stream) {
    if (message.samples) await compute(stream.cutter.push(message.samples), false);
    if (message.finish) await compute(stream.cutter.finish(), true);
  }
}

async function open(configuration) {
  const runtime = new URL(configuration.runtime, self.location.origin).href;
  const [litert, windows, text, content] = await Promise.all([
    import(`${runtime}core/dist/index.js`),
    import("./stream_windows.js"),
    import("./stream_text.js"),
    fetchModel(configuration.model),
  ]);
  // In a worker the WebAssembly would be looked for beside the worker. What LiteRT tells is no error.
  self.Module = {
    locateFile: (name) => `${runtime}core/wasm/${name}`,
    printErr: (line) => (/^(INFO|WARNING|VERBOSE)\b/.test(line) ? console.debug(line) : console.error(line)),
  };
  await litert.loadLiteRt(`${runtime}core/wasm/`);
  const compiled = await litert.loadAndCompile(content, { accelerator: "wasm" });
  const runner = compiled.signatures[configuration.signature];
  if (!runner) throw new Error(`The model's file has no signature ${configuration.signature}: export the model again`);
  Object.assign(model, { configuration, litert, windows, text, runner });
  // The first run takes ten times as long as the others: it lays out the memory.
  begin(-1);
  await run({ samples: new Float32Array(configuration.window), length: configuration.window, first: 0, end: 0 });
  stream = null;
}

async function fetchModel(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`The server does not give the model (status ${response.status})`);
  return new Uint8Array(await response.arrayBuffer());
}

function begin(number) {
  const { configuration, windows, text } = model;
  stream = {
    number,
    computing: 0,
    cutter: new windows.WindowCutter(new windows.StreamWindows(configuration)),
    decoder: new text.StreamedDecoder(configuration),
  };
}

async function compute(cut, last) {
  const { number, decoder, cutter } = stream;
  for (const window of cut) {
    tell(decoder.push(await run(window)));
    // A recording is many windows: between two of them the page may have asked to stop.
    await new Promise((resolve) => setTimeout(resolve));
    if (number <= cancelled) return;
  }
  if (!last) return;
  tell({ ...decoder.push([], true), seconds: cutter.total / model.configuration.sampling_rate, final: true });
  stream = null;
}

function tell(answer) {
  self.postMessage({ stream: stream.number, answer: { final: false, ...answer, computing: stream.computing } });
}

/** The likeliest labels of the frames of a window that count. */
async function run({ samples, length, first, end }) {
  const { litert, runner } = model;
  const begun = performance.now();
  const inputs = {
    waveform: new litert.Tensor(samples, [1, samples.length]),
    lengths: new litert.Tensor(Int32Array.of(length), [1]),
  };
  const outputs = await runner.run(inputs);
  const ids = outputs.ids.toTypedArray().slice(first, end);
  const labels = outputs.logits.type.layout.dimensions[2];
  const sound = outputs.logits.toTypedArray().subarray(first * labels, end * labels).every(Number.isFinite);
  for (const tensor of [...Object.values(inputs), ...Object.values(outputs)]) tensor.delete();
  stream.computing += (performance.now() - begun) / 1000;
  if (!sound) throw new Error("it computes NaN or infinity: check the recording's level");
  return ids;
}
