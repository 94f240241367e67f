// The block of a convolutional network under the name that the models ask for.
import type * as tf from "@tensorflow/tfjs-core";
import type { WasmBackend } from "../backend.ts";
import { type Launcher, take } from "./launchers.ts";

interface Extents {
  readonly images: number;
  readonly channels: number;
  readonly outChannels: number;
  readonly kernel: number;
  readonly height: number;
  readonly width: number;
}

/** Throws for a kernel that is not an odd square: it has no middle. */
function extentsOf(x: tf.TensorInfo, weight: tf.TensorInfo): Extents {
  const [images, channels, height, width] = x.shape as [number, number, number, number];
  const [outChannels, inputs, kernel, across] = weight.shape as [number, number, number, number];
  if (inputs !== channels || kernel !== across || kernel % 2 === 0)
    throw new Error(`No convolution of [${x.shape.join(", ")}] with [${weight.shape.join(", ")}]`);
  return { images, channels, outChannels, kernel, height, width };
}

function call(backend: WasmBackend, name: "convolutionBlock" | "convolutionBlockGradient", addresses: number[], extents: Extents): void {
  const { images, channels, outChannels, kernel, height, width } = extents;
  backend.withScratch(backend.instance.convolutionScratchBytes(channels, outChannels, kernel, height, width), (scratch) =>
    backend.call(name, ...addresses, images, channels, outChannels, kernel, height, width, scratch),
  );
}

const block: Launcher = (backend, inputs) => {
  const { x, weight, bias } = take(inputs, "x", "weight", "bias");
  const extents = extentsOf(x, weight);
  const shape = [extents.images, extents.outChannels, extents.height >> 1, extents.width >> 1];
  const [y, chosen] = [backend.output(shape), backend.output(shape)];
  const addresses = [x, weight, bias, y, chosen].map((tensor) => backend.addressOf(tensor));
  call(backend, "convolutionBlock", addresses, extents);
  return [y, chosen];
};

const blockGradient: Launcher = (backend, inputs, { inputIsData }) => {
  const { dy, x, weight, chosen } = take(inputs, "dy", "x", "weight", "chosen");
  const extents = extentsOf(x, weight);
  const dx = inputIsData === true ? [] : [backend.output(x.shape)];
  const [dWeight, dBias] = [backend.output(weight.shape), backend.output([extents.outChannels])];
  const given = [dy, x, weight, chosen].map((tensor) => backend.addressOf(tensor));
  const made = [dWeight, dBias].map((tensor) => backend.addressOf(tensor));
  const atDx = dx[0] === undefined ? 0 : backend.addressOf(dx[0]);
  call(backend, "convolutionBlockGradient", [...given, atDx, ...made], extents);
  return [...dx, dWeight, dBias];
};

export const VISION: Readonly<Record<string, Launcher>> = {
  WeftConvolutionBlock: block,
  WeftConvolutionBlockGradient: blockGradient,
};
