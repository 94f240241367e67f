// Starts kernels of our own on the device that TensorFlow.js uses, in its command stream and with its buffers, but with shaders that are
// ours from the first line: several results, one pipeline a kernel whatever the shapes, nothing compiled that is not used. Knows no kernel.
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";

/** Element type of a storage buffer in WGSL. */
export type Element = "f32" | "i32" | "f16" | "vec2<f32>" | "vec4<f32>" | "vec4<f16>";

export interface Kernel {
  /** Names the pipeline: the same name, the same text. */
  readonly name: string;
  /** Names by which the body knows results, inputs and uniforms, in the order of `Launch`. All must be used by it. */
  readonly outputs: Readonly<Record<string, Element>>;
  readonly inputs: Readonly<Record<string, Element>>;
  readonly uniforms: Readonly<Record<string, "u32" | "i32" | "f32">>;
  /** Extensions of the language that it uses; the device must have the features. */
  readonly enables?: readonly string[];
  /** Declarations and `fn main`, its attributes included. */
  readonly body: string;
}

export interface Launch {
  readonly kernel: Kernel;
  readonly inputs: readonly tf.TensorInfo[];
  /** Shapes of the f32 results; or a result of an earlier launch, which is then gone on with in place. */
  readonly outputs: readonly (readonly number[] | tf.TensorInfo)[];
  readonly uniforms: readonly number[];
  readonly workgroups: readonly [number, number, number];
}

/** What TensorFlow.js calls private, and every one of its own kernels goes through. */
interface Internals {
  readonly pipelineCache: Record<string, GPUComputePipeline | Promise<GPUComputePipeline>>;
  readonly commandQueueOwnedIds: WeakSet<object>;
  readonly commandEncoder: GPUCommandEncoder | null;
  computePassEncoder: GPUComputePassEncoder | null;
  dispatchCountInPass: number;
  makeUniforms(uniforms: readonly { readonly type: string; readonly data: readonly number[] }[]): GPUBindingResource;
  tensorToBinding(tensor: tf.TensorInfo): GPUBindingResource;
}

/** As TensorFlow.js calls them. */
const UNIFORM_TYPES = { u32: "uint32", i32: "int32", f32: "float32" } as const;

/** Most workgroups along one axis: the least that WebGPU promises. Kernels stride over what lies beyond. */
const MAX_WORKGROUPS = 65_535;

export const workgroupsFor = (items: number, perGroup = 1): number => Math.min(Math.max(1, Math.ceil(items / perGroup)), MAX_WORKGROUPS);

/** The whole shader: bindings and uniforms as the kernel names them, then its body. */
export function shaderOf({ outputs, inputs, uniforms, enables = [], body }: Kernel): string {
  const bind = (access: string, from: number) => (entry: [string, Element], index: number) =>
    `@group(0) @binding(${from + index}) var<storage, ${access}> ${entry[0]}: array<${entry[1]}>;`;
  const count = Object.keys(outputs).length;
  return [
    ...enables.map((name) => `enable ${name};`),
    `struct Uniforms { ${Object.entries(uniforms)
      .map(([name, type]) => `${name}: ${type},`)
      .join(" ")} }`,
    ...Object.entries(outputs).map(bind("read_write", 0)),
    ...Object.entries(inputs).map(bind("read", count)),
    `@group(0) @binding(${count + Object.keys(inputs).length}) var<uniform> uniforms: Uniforms;`,
    body,
  ].join("\n");
}

const labelOf = (kernel: Kernel): string => `weft ${kernel.name}`;

function descriptorOf(device: GPUDevice, kernel: Kernel): GPUComputePipelineDescriptor {
  const label = labelOf(kernel);
  const module = device.createShaderModule({ code: shaderOf(kernel), label });
  return { compute: { module, entryPoint: "main" }, label, layout: "auto" };
}

function pipelineOf(backend: WebGPUBackend, internals: Internals, kernel: Kernel): GPUComputePipeline | Promise<GPUComputePipeline> {
  const known = internals.pipelineCache[labelOf(kernel)];
  if (known !== undefined) return known;
  const { device } = backend;
  const descriptor = descriptorOf(device, kernel);
  const ahead = tf.env().getBool("WEBGPU_ENGINE_COMPILE_ONLY");
  const made = ahead ? device.createComputePipelineAsync(descriptor) : device.createComputePipeline(descriptor);
  internals.pipelineCache[labelOf(kernel)] = made;
  return made;
}

/** The kernel's pipeline, made now where it is not known, and known from now on. Rejects where the device does not compile it. */
export async function compile(backend: WebGPUBackend, kernel: Kernel): Promise<GPUComputePipeline> {
  const { pipelineCache } = backend as unknown as Internals;
  const pipeline = await (pipelineCache[labelOf(kernel)] ??
    backend.device.createComputePipelineAsync(descriptorOf(backend.device, kernel)));
  pipelineCache[labelOf(kernel)] = pipeline;
  return pipeline;
}

/** Enters one dispatch into the stream of commands, or, while compiling ahead, only asks for its pipeline. */
export function launch(backend: WebGPUBackend, { kernel, inputs, outputs, uniforms, workgroups }: Launch): tf.TensorInfo[] {
  const internals = backend as unknown as Internals;
  const results = outputs.map((output) => ("dataId" in output ? output : backend.makeTensorInfo([...output], "float32")));
  for (const { dataId } of [...results, ...inputs]) backend.uploadToGPU(dataId);
  const pipeline = pipelineOf(backend, internals, kernel);
  if (tf.env().getBool("WEBGPU_ENGINE_COMPILE_ONLY")) return results;
  if (pipeline instanceof Promise) throw new Error(`The pipeline of ${kernel.name} is still being made`);

  const types = Object.values(kernel.uniforms);
  const values = uniforms.map((value, index) => ({ type: UNIFORM_TYPES[types[index] ?? "u32"], data: [value] }));
  const resources = [...[...results, ...inputs].map((tensor) => internals.tensorToBinding(tensor)), internals.makeUniforms(values)];
  for (const { dataId } of [...results, ...inputs]) internals.commandQueueOwnedIds.add(dataId);
  const group = backend.device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: resources.map((resource, binding) => ({ binding, resource })),
  });
  backend.ensureCommandEncoderReady();
  internals.computePassEncoder ??= (internals.commandEncoder as GPUCommandEncoder).beginComputePass();
  internals.computePassEncoder.setPipeline(pipeline);
  internals.computePassEncoder.setBindGroup(0, group);
  internals.computePassEncoder.dispatchWorkgroups(...workgroups);
  internals.dispatchCountInPass++;
  if (internals.dispatchCountInPass >= tf.env().getNumber("WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE")) {
    backend.endComputePassEncoder();
    backend.submitQueue();
  }
  return results;
}
