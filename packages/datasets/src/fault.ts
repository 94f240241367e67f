// The one expected failure of this package: data that is not what it should be. Knows only how to say where.

/** `message` is a sentence that names the file, the place in it and the rule. */
export class DatasetFault extends Error {
  readonly code = "bad-dataset";
  constructor(message: string) {
    super(message);
    this.name = "DatasetFault";
  }
}
