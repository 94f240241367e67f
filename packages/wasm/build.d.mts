export const MODULES: readonly { readonly entry: string; readonly file: string }[];
export function compile(entry: string): Promise<Buffer>;
