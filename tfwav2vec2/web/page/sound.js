/** Sound into samples: from the microphone as it comes, or out of a file. */

import { Resampler } from "./resampling.js";
import { GONE, Trouble } from "./trouble.js";

let ready = null;
// Microphones that are open or asked for: while there are any, the context runs.
let inUse = 0;
// Firefox connects a microphone to a context of the same rate only.
let mixesRates = true;

/**
 * Load what the microphone's sound goes through, once, so that the next recording needs nothing from the server.
 * @param {number} rate samples a second
 * @returns {?{context: AudioContext, loading: Promise<void>}} null where this page may not use the microphone
 */
export function prepareMicrophone(rate) {
  if (!navigator.mediaDevices?.getUserMedia) return null;
  if (!ready) {
    const context = new AudioContext(mixesRates ? { sampleRate: rate } : {});
    const loading = context.audioWorklet.addModule(new URL("capture.js", import.meta.url));
    loading.catch(() => {
      ready = null; // and the next call tries again
      context.close();
    });
    ready = { context, loading };
  }
  return ready;
}

/**
 * Open the microphone.
 * @param {number} rate samples a second
 * @param {{onSamples: (samples: Float32Array) => void, onEnd: () => void}} handlers `onEnd` where the microphone goes away
 * @returns {Promise<{stop: () => Promise<void>}>} after `stop` no samples come any more, and the microphone is off
 */
export async function openMicrophone(rate, { onSamples, onEnd }) {
  // Before anything is waited for: some browsers let sound run only right after a press.
  const prepared = prepareMicrophone(rate);
  if (!prepared) {
    throw new Trouble("Browsers give the microphone to pages over https or on localhost only: open this page there, or choose a file.");
  }
  inUse += 1;
  let media;
  try {
    // The sound as it is: what browsers do to it for calls is not what models were trained on.
    media = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
    media.getAudioTracks()[0].addEventListener("ended", onEnd);
    const stop = await capture(media, prepared, rate, onSamples).catch((error) => {
      if (error.name !== "NotSupportedError" || !mixesRates) throw error;
      prepared.context.close();
      ready = null;
      mixesRates = false;
      return capture(media, prepareMicrophone(rate), rate, onSamples);
    });
    let stopping = null;
    return { stop: () => (stopping ??= stop().finally(() => release(media))) };
  } catch (error) {
    release(media);
    throw error instanceof Trouble ? error : new Trouble(microphoneTrouble(error), error);
  }
}

/** Have the samples of an open microphone handed on; gives what ends that, when the last have been. */
async function capture(media, { context, loading }, rate, onSamples) {
  await loading.catch((error) => {
    throw new Trouble(GONE, error);
  });
  await context.resume();
  const source = context.createMediaStreamSource(media);
  const worklet = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
  const resampler = context.sampleRate === rate ? null : new Resampler(context.sampleRate, rate);
  let stopped;
  worklet.port.onmessage = ({ data }) => {
    if (data === "stopped") stopped();
    else onSamples(resampler ? resampler.push(data) : data);
  };
  source.connect(worklet);
  return async () => {
    // What the worklet holds still comes.
    await new Promise((resolve) => {
      stopped = resolve;
      worklet.port.postMessage("stop");
    });
    if (resampler) onSamples(resampler.finish());
    source.disconnect();
  };
}

function release(media) {
  for (const track of media?.getTracks() ?? []) track.stop();
  inUse -= 1;
  if (!inUse && ready?.context.state === "running") ready.context.suspend();
}

function microphoneTrouble(error) {
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return "The microphone was refused: allow it for this page in the browser's settings and press Speak again, or choose a file.";
    case "NotFoundError":
      return "No microphone was found: connect one and press Speak again, or choose a file.";
    case "NotReadableError":
      return "Another program holds the microphone: close it and press Speak again, or choose a file.";
    default:
      return `The microphone does not work (${error.message}): press Speak again, or choose a file.`;
  }
}

/**
 * The samples of a sound file, all channels mixed into one.
 * @param {File} file
 * @param {number} rate samples a second
 * @returns {Promise<?Float32Array>} null where this browser cannot read the file
 */
export async function readFile(file, rate) {
  const content = await file.arrayBuffer();
  let audio;
  try {
    // A context without a sound card, which brings what it decodes to its rate.
    audio = await new OfflineAudioContext(1, 1, rate).decodeAudioData(content);
  } catch {
    return null;
  }
  const mixed = audio.getChannelData(0).slice();
  for (let channel = 1; channel < audio.numberOfChannels; channel += 1) {
    const samples = audio.getChannelData(channel);
    for (let index = 0; index < mixed.length; index += 1) mixed[index] += samples[index];
  }
  if (audio.numberOfChannels > 1) for (let index = 0; index < mixed.length; index += 1) mixed[index] /= audio.numberOfChannels;
  return mixed;
}
