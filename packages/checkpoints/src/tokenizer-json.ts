// tokenizer.json and tokenizer_config.json for text of single characters, as the Tokenizers library reads them: byte-pair encoding
// without merges leaves each character alone, drops what is not in the alphabet, and Fuse joins without blanks.

const FILE = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: { type: "Fuse" },
};
const MODEL = {
  type: "BPE",
  dropout: null,
  unk_token: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
};

/**
 * tokenizer.json for an alphabet in id order. The vocabulary is spelled out entry by entry, since an object would move the
 * characters "0" to "9" to the front and lose a symbol called "__proto__".
 */
export function tokenizerText(alphabet: readonly string[]): string {
  const open = (value: object): string => JSON.stringify(value).slice(1, -1);
  const vocabulary = alphabet.map((symbol, id) => `${JSON.stringify(symbol)}:${id}`).join(",");
  return `{${open(FILE)},"model":{${open(MODEL)},"vocab":{${vocabulary}},"merges":[]}}\n`;
}

export const tokenizerConfig = (context: number): Record<string, unknown> => ({
  tokenizer_class: "PreTrainedTokenizerFast",
  model_max_length: context,
  clean_up_tokenization_spaces: false,
});
