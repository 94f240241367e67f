// The part of a model card that shows how to load the weights in Python, generated from the architecture.
import type { CnnSpec, DatasetManifest, LstmSpec, MlpSpec, RunSpec } from "@weft/protocol";

const GPT = `from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(".")
tokenizer = AutoTokenizer.from_pretrained(".")
prompt = tokenizer("It is ", return_tensors="pt").input_ids
print(tokenizer.decode(model.generate(prompt, max_length=MAX_LENGTH, do_sample=True)[0]))`;

const module = (layers: readonly string[], comment: string, forward: readonly string[]): string =>
  `import torch
import torch.nn.functional as F
from safetensors.torch import load_file


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
${layers.map((layer) => `        ${layer}`).join("\n")}

    def forward(self, x):  # ${comment}
${forward.map((line) => `        ${line}`).join("\n")}


model = Model()
model.load_state_dict(load_file("model.safetensors"))`;

function mlp({ inputs, hidden, classes }: MlpSpec, scaled: string): string {
  const widths = [inputs, ...hidden, classes];
  const layers = widths.slice(1).map((width, index) => `self.fc${index + 1} = torch.nn.Linear(${widths[index]}, ${width})`);
  const last = widths.length - 1;
  return module(layers, `[batch, ${inputs}], ${scaled}`, [
    ...Array.from({ length: last - 1 }, (_, index) => `x = F.relu(self.fc${index + 1}(x))`),
    `return self.fc${last}(x)`,
  ]);
}

function cnn({ height, width, inChannels, channels, kernel, hidden, classes }: CnnSpec, scaled: string): string {
  const features = (channels.at(-1) as number) * (height >> channels.length) * (width >> channels.length);
  return module(
    [
      ...channels.map(
        (outputs, index) =>
          `self.conv${index + 1} = torch.nn.Conv2d(${index === 0 ? inChannels : channels[index - 1]}, ${outputs}, ${kernel}, padding=${(kernel - 1) / 2})`,
      ),
      `self.fc1 = torch.nn.Linear(${features}, ${hidden})`,
      `self.fc2 = torch.nn.Linear(${hidden}, ${classes})`,
    ],
    `[batch, ${inChannels}, ${height}, ${width}], ${scaled}`,
    [
      ...channels.map((_, index) => `x = F.max_pool2d(F.relu(self.conv${index + 1}(x)), 2)`),
      "x = F.relu(self.fc1(x.flatten(1)))",
      "return self.fc2(x)",
    ],
  );
}

function lstm({ vocabulary, context, embedding, layers, hidden }: LstmSpec, scaled: string): string {
  return module(
    [
      `self.embedding = torch.nn.Embedding(${vocabulary}, ${embedding})`,
      `self.lstm = torch.nn.LSTM(${embedding}, ${hidden}, ${layers}, batch_first=True)`,
      `self.fc = torch.nn.Linear(${hidden}, ${vocabulary})`,
    ],
    `[batch, up to ${context}], ${scaled}`,
    ["return self.fc(self.lstm(self.embedding(x))[0])"],
  );
}

/** Python that loads model.safetensors from the current folder. */
export function loadingCode({ model }: RunSpec, { form }: DatasetManifest): string {
  const scaled = form.kind === "images" ? `pixel values divided by ${form.scale}` : "token ids";
  switch (model.kind) {
    case "gpt":
      return GPT.replace("MAX_LENGTH", String(model.context));
    case "mlp":
      return mlp(model, scaled);
    case "cnn":
      return cnn(model, scaled);
    case "lstm":
      return lstm(model, scaled);
    default:
      throw model satisfies never;
  }
}
