// Which parameters a model has, under the names and in the layouts of its home: PyTorch's Linear [out, in], OIHW and LSTM
// for mlp, cnn and lstm, GPT-2 as Transformers has it (Conv1D [in, out], the head tied to the embedding). Knows no backend.
import { type CnnSpec, type GptSpec, type LstmSpec, type MlpSpec, type ModelSpec, readsText } from "@weft/protocol";
import { layoutOf, type ParameterLayout } from "@weft/tensors";

interface Entry {
  readonly name: string;
  readonly shape: readonly number[];
}

const linear = (name: string, outputs: number, inputs: number): Entry[] => [
  { name: `${name}.weight`, shape: [outputs, inputs] },
  { name: `${name}.bias`, shape: [outputs] },
];

function mlpEntries({ inputs, hidden, classes }: MlpSpec): Entry[] {
  const widths = [inputs, ...hidden, classes];
  return widths.slice(1).flatMap((outputs, index) => linear(`fc${index + 1}`, outputs, widths[index] as number));
}

/** Height and width of the image after each convolution and pooling; the last is what the dense layer sees. */
export function pooledSize({ height, width, channels }: CnnSpec): { readonly height: number; readonly width: number } {
  const pooled = { height: height >> channels.length, width: width >> channels.length };
  if (pooled.height < 1 || pooled.width < 1) throw new Error(`cnn: ${channels.length} poolings are too many for ${height}x${width}`);
  return pooled;
}

function cnnEntries(model: CnnSpec): Entry[] {
  const { inChannels, channels, kernel, hidden, classes } = model;
  const pooled = pooledSize(model);
  const convolutions = channels.flatMap((outputs, index) => [
    { name: `conv${index + 1}.weight`, shape: [outputs, index === 0 ? inChannels : (channels[index - 1] as number), kernel, kernel] },
    { name: `conv${index + 1}.bias`, shape: [outputs] },
  ]);
  const features = (channels.at(-1) as number) * pooled.height * pooled.width;
  return [...convolutions, ...linear("fc1", hidden, features), ...linear("fc2", classes, hidden)];
}

function gptEntries({ vocabulary, context, layers, width, heads, bias }: GptSpec): Entry[] {
  if (width % heads !== 0) throw new Error(`gpt: ${heads} heads do not divide width ${width}`);
  const weightAndBias = (name: string, shape: readonly number[]): Entry[] => [
    { name: `${name}.weight`, shape },
    ...(bias ? [{ name: `${name}.bias`, shape: [shape.at(-1) as number] }] : []),
  ];
  const block = (index: number): Entry[] => {
    const name = `transformer.h.${index}`;
    return [
      ...weightAndBias(`${name}.ln_1`, [width]),
      ...weightAndBias(`${name}.attn.c_attn`, [width, 3 * width]),
      ...weightAndBias(`${name}.attn.c_proj`, [width, width]),
      ...weightAndBias(`${name}.ln_2`, [width]),
      ...weightAndBias(`${name}.mlp.c_fc`, [width, 4 * width]),
      ...weightAndBias(`${name}.mlp.c_proj`, [4 * width, width]),
    ];
  };
  return [
    { name: "transformer.wte.weight", shape: [vocabulary, width] },
    { name: "transformer.wpe.weight", shape: [context, width] },
    ...Array.from({ length: layers }, (_, index) => block(index)).flat(),
    ...weightAndBias("transformer.ln_f", [width]),
  ];
}

/** `nn.Embedding`, `nn.LSTM` and `nn.Linear`; the rows of an LSTM's weights are its input, forget, cell and output gates, in this order. */
function lstmEntries({ vocabulary, embedding, layers, hidden }: LstmSpec): Entry[] {
  const layer = (index: number): Entry[] => [
    { name: `lstm.weight_ih_l${index}`, shape: [4 * hidden, index === 0 ? embedding : hidden] },
    { name: `lstm.weight_hh_l${index}`, shape: [4 * hidden, hidden] },
    { name: `lstm.bias_ih_l${index}`, shape: [4 * hidden] },
    { name: `lstm.bias_hh_l${index}`, shape: [4 * hidden] },
  ];
  return [
    { name: "embedding.weight", shape: [vocabulary, embedding] },
    ...Array.from({ length: layers }, (_, index) => layer(index)).flat(),
    ...linear("fc", vocabulary, hidden),
  ];
}

/** Names, shapes and places of a model's parameters in the one flat vector. Throws on a specification that `parseRunSpec` would refuse. */
export function layoutFor(model: ModelSpec): ParameterLayout {
  switch (model.kind) {
    case "mlp":
      return layoutOf(mlpEntries(model));
    case "cnn":
      return layoutOf(cnnEntries(model));
    case "gpt":
      return layoutOf(gptEntries(model));
    case "lstm":
      return layoutOf(lstmEntries(model));
    default:
      throw model satisfies never;
  }
}

export const parameterCount = (model: ModelSpec): number => layoutFor(model).size;

/** Classes or symbols that the model chooses among. */
export const outputsOf = (model: ModelSpec): number => (readsText(model) ? model.vocabulary : model.classes);

/** Values or tokens of one sample. */
export function sampleLength(model: ModelSpec): number {
  switch (model.kind) {
    case "mlp":
      return model.inputs;
    case "cnn":
      return model.inChannels * model.height * model.width;
    case "gpt":
    case "lstm":
      return model.context;
    default:
      throw model satisfies never;
  }
}
