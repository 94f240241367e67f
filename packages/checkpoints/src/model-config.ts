// config.json: the model's architecture. For a GPT it is the configuration of GPT-2 in Transformers, so that
// `AutoModelForCausalLM.from_pretrained` builds it unchanged; for the others a plain description.
import type { DatasetManifest, GptSpec, RunSpec } from "@weft/protocol";

/** Fields: https://huggingface.co/docs/transformers/model_doc/gpt2 (GPT2Config). */
const gpt2Config = (model: GptSpec): Record<string, unknown> => ({
  architectures: ["GPT2LMHeadModel"],
  model_type: "gpt2",
  vocab_size: model.vocabulary,
  n_positions: model.context,
  n_ctx: model.context,
  n_embd: model.width,
  n_layer: model.layers,
  n_head: model.heads,
  n_inner: 4 * model.width,
  // "gelu" is the exact one, "gelu_new" the tanh approximation.
  activation_function: model.gelu === "exact" ? "gelu" : "gelu_new",
  layer_norm_epsilon: 1e-5,
  scale_attn_weights: true,
  attn_pdrop: 0,
  embd_pdrop: 0,
  resid_pdrop: 0,
  tie_word_embeddings: true,
  // A model of characters has no begin and end; GPT-2's defaults lie outside its vocabulary.
  bos_token_id: null,
  eos_token_id: null,
  torch_dtype: "float32",
});

export function modelConfig({ model }: RunSpec, { form }: DatasetManifest): Record<string, unknown> {
  const images =
    form.kind === "images" ? { labels: form.labels, input_scale: form.scale, input_shape: [form.height, form.width, form.channels] } : {};
  switch (model.kind) {
    case "gpt":
      return gpt2Config(model);
    case "mlp":
      return { model_type: "weft-mlp", inputs: model.inputs, hidden: model.hidden, classes: model.classes, activation: "relu", ...images };
    case "cnn":
      return {
        model_type: "weft-cnn",
        height: model.height,
        width: model.width,
        in_channels: model.inChannels,
        channels: model.channels,
        kernel: model.kernel,
        padding: "same",
        pool: 2,
        hidden: model.hidden,
        classes: model.classes,
        activation: "relu",
        ...images,
      };
    case "lstm":
      return {
        model_type: "weft-lstm",
        vocabulary: model.vocabulary,
        context: model.context,
        embedding: model.embedding,
        layers: model.layers,
        hidden: model.hidden,
      };
    default:
      throw model satisfies never;
  }
}
