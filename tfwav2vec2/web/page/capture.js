/** An AudioWorklet that hands the microphone's sound on, a twentieth of a second at a time. */

const MESSAGES_A_SECOND = 20;

class Capture extends AudioWorkletProcessor {
  #block = new Float32Array(Math.round(sampleRate / MESSAGES_A_SECOND));
  #filled = 0;
  #stopped = false;

  constructor() {
    super();
    this.port.onmessage = () => {
      this.#stopped = true;
      this.#send();
      this.port.postMessage("stopped");
    };
  }

  process([channels]) {
    const sound = channels[0];
    for (let from = 0; sound && !this.#stopped && from < sound.length; ) {
      const taken = Math.min(sound.length - from, this.#block.length - this.#filled);
      this.#block.set(sound.subarray(from, from + taken), this.#filled);
      this.#filled += taken;
      from += taken;
      if (this.#filled === this.#block.length) this.#send();
    }
    return !this.#stopped;
  }

  #send() {
    if (this.#filled) this.port.postMessage(this.#block.slice(0, this.#filled));
    this.#filled = 0;
  }
}

registerProcessor("capture", Capture);
