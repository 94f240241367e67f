// tokenizer.json and tokenizer_config.json for text of single characters, as the Tokenizers library reads them: byte-pair encoding
// without merges leaves each character alone, drops what is not in the alphabet, and Fuse joins without blanks.

export const tokenizerJson = (alphabet: readonly string[]): Record<string, unknown> => ({
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: { type: "Fuse" },
  model: {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    vocab: alphabet,
    merges: [],
  },
});

export const tokenizerConfig = (context: number): Record<string, unknown> => ({
  tokenizer_class: "PreTrainedTokenizerFast",
  model_max_length: context,
  clean_up_tokenization_spaces: false,
});

/**
 * JSON text of tokenizerJson with the alphabet as { character: id }. Spelled out here, since an object would move the
 * characters "0" to "9" to the front and lose one called "__proto__".
 */
export function tokenizerText(alphabet: readonly string[]): string {
  const vocabulary = `{${alphabet.map((character, id) => `${JSON.stringify(character)}:${id}`).join(",")}}`;
  const file = tokenizerJson([]);
  return JSON.stringify({ ...file, model: { ...(file.model as object), vocab: "@vocab@" } }, null, 2).replace(
    '"@vocab@"',
    () => vocabulary,
  );
}
