// WebGPU under TensorFlow.js: a device of our own, its registration, flat uploads and read-backs.
export { type Source, sourceOf } from "./buffer-tensors.ts";
export { DeviceOptimizer, type DeviceOptimizerOptions } from "./device-optimizer.ts";
export { encodesRightly } from "./encoders/conformance.ts";
export { DEVICE_CODECS, DeviceEncoder } from "./encoders/device-encoder.ts";
export { DeviceUpdate } from "./encoders/device-update.ts";
export { DeviceInputs, DeviceParameters, FlatReadBack } from "./flat-buffers.ts";
export { adapterKey, forgetfulMemory, type KernelMemory } from "./kernel-memory.ts";
export { installKernels, OPTIONAL_KERNELS, restoreKernel, strikeKernel } from "./kernels/install.ts";
export { installMatmul } from "./kernels/matmul.ts";
export { choicesOf } from "./kernels/matmul-choices.ts";
export { type Struck, tuneMatmul } from "./kernels/matmul-tuner.ts";
export { type OpenDeviceOptions, type OpenDeviceResult, type OpenedDevice, openDevice } from "./open-device.ts";
export { compileAhead, registerWebGpuBackend, unregisterWebGpuBackend, WEBGPU } from "./register-backend.ts";
export { flush, Tape } from "./tape.ts";
export { canHalf, HALF, inPrecision } from "./variants.ts";
